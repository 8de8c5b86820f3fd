package trigger

// Relocate changes the offsets of the events that the state remembers: they are
// meaningful in one partition only.
func (st *State) Relocate(place func(offset uint64) uint64) {
	for i := range st.ents {
		e := &st.ents[i]
		for _, s := range [...]*strand{&e.strand, &e.old} {
			for j := range s.rows {
				for _, t := range [...]*timer{&s.rows[j].count, &s.rows[j].answer} {
					if t.on {
						t.cause.offset = place(t.cause.offset)
					}
				}
			}
			for j := range s.buffer {
				s.buffer[j].cause.offset = place(s.buffer[j].cause.offset)
			}
		}
	}
}
