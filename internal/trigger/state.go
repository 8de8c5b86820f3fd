package trigger

// State is all rows of one user, decoded. The zero State is empty. It may be
// reused for another user by Decode, which keeps its memory. It is used by one
// goroutine.
type State struct{ last int64 }

// Empty tells whether there is nothing to store.
func (st *State) Empty() bool { return st.last == 0 }

// NextDeadline is the time at which Wake has something to do for the user: a
// timer to run or rows to forget; math.MaxInt64 if there is nothing.
func (st *State) NextDeadline() int64 { return 0 }

// Decode reads what Append wrote. Rows of triggers that are not in the set, or
// whose pattern is another one by now, are dropped; marks of re-entry and limit
// live as long as a trigger of that name is in the set. Empty input is the empty
// State. On an error the State is empty.
func (s *Set) Decode(b []byte, st *State) error { return nil }

// Append writes the rows compactly. An empty State appends nothing.
func (s *Set) Append(dst []byte, st *State) []byte { return dst }

// Step runs the timers that are due by in.LogTime and then advances the rows of
// the user by the event. user is the profile id, part of the fire ids.
func (s *Set) Step(st *State, user string, in *Input, out *Result) {}

// Wake runs every timer of the user with a deadline <= in.LogTime, in order,
// and forgets what has expired. Of in it reads LogTime, InAudience and Live.
// A Wake that comes too early does nothing.
func (s *Set) Wake(st *State, user string, in *Input, out *Result) {}

// Progress visits the live rows, for explain and the page of a user: the steps
// done of how many, since when and until when (0: no end), and the names that
// would bring the row on.
func (s *Set) Progress(st *State, visit func(p *Program, key string, step, steps int, since, expires int64, waitsFor []string)) {
}
