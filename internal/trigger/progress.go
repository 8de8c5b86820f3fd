package trigger

import "slices"

// Progress visits the live rows, for explain and the page of a user: the steps
// done of how many, since when and until when (0: no end), and the names that
// bring the row on or, while a countdown or an answer is pending, end it.
func (s *Set) Progress(st *State, visit func(p *Program, key string, step, steps int, since, expires int64, waitsFor []string)) {
	if st.set == nil {
		return
	}
	for i := range st.ents {
		e := &st.ents[i]
		p := st.set.programs[e.index]
		for j := range e.rows {
			r := &e.rows[j]
			if r.pending {
				visit(p, string(r.key), p.n, p.Len(), r.due-p.wait, r.due, p.stops)
				continue
			}
			level := r.level(p)
			if level == 0 {
				continue
			}
			start := r.parts[level-1].start
			if st.last-start >= p.within {
				continue
			}
			var waits []string
			for k := range r.parts {
				if name := p.names[k+1]; r.parts[k].live && !slices.Contains(waits, name) {
					waits = append(waits, name)
				}
			}
			visit(p, string(r.key), level, p.Len(), start, start+p.within, waits)
		}
	}
}
