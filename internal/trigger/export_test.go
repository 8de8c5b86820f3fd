package trigger

// Clock is the newest event time of the user.
func (st *State) Clock() int64 { return st.last }

// Touch moves the user's clock on.
func (st *State) Touch(t int64) { st.last = max(st.last, t) }
