package trigger

import "slices"

// Standing is where a user stands with one trigger, for explain and the page of
// a user. Times are µs.
type Standing struct {
	Program *Program
	// Never: it fired, and reentry: once lets it do so no more.
	Never bool
	// FreeAt is when the cooldown ends; 0: it is free.
	FreeAt int64
	// LimitFreeAt is when the limit lets the next firing through; 0: it does now.
	LimitFreeAt int64
	Rows        []Progress // in the order in which they were opened
}

// Progress is how far one row is.
type Progress struct {
	Key string // value of by, if any
	// Done of Steps: repetitions are steps of their own, and so is a final wait.
	Done, Steps int
	Since       int64  // the start of the chain, or of the wait
	Expires     int64  // what is done so far counts before this time only; 0: no end
	Waits       []Wait // what brings the row on, the furthest first
	// FiresAt is when the final wait, or the delay of the answer, is over; 0: none
	// is under way. Until then EndedBy would end it.
	FiresAt int64
	Delayed bool // it is the delay of an answer
	EndedBy []string
}

// Wait is an event that brings a row on.
type Wait struct {
	Event string
	// Done of Of repetitions of the step are there.
	Done, Of int
	Until    int64 // the event has to come before this time; 0: no end
}

// Explain tells where the user stands at log time now with every trigger that
// knows something of the user.
func (s *Set) Explain(st *State, now int64) []Standing {
	if st.set == nil {
		return nil
	}
	now = max(now, st.last)
	var out []Standing
	for i := range st.ents {
		e := &st.ents[i]
		p := st.set.programs[e.index]
		at := Standing{Program: p, Never: e.once && p.once, LimitFreeAt: e.limitFreeAt(p, now)}
		if e.free > now {
			at.FreeAt = e.free
		}
		for j := range e.rows {
			if row, ok := e.rows[j].progress(p, now); ok {
				at.Rows = append(at.Rows, row)
			}
		}
		if at.Never || at.FreeAt != 0 || at.LimitFreeAt != 0 || len(at.Rows) > 0 {
			out = append(out, at)
		}
	}
	return out
}

// limitFreeAt is when the limit lets the next firing through; 0: now.
func (e *entry) limitFreeAt(p *Program, now int64) int64 {
	if n := len(e.stamps) - p.limit; p.limit > 0 && n >= 0 && now-e.stamps[n] < p.per {
		return e.stamps[n] + p.per
	}
	return 0
}

// progress describes a row; ok is false if there is nothing to tell.
func (r *row) progress(p *Program, now int64) (Progress, bool) {
	out := Progress{Key: string(r.key), Steps: p.Len()}
	for i := len(r.parts) - 1; i >= 0; i-- {
		q := &r.parts[i]
		if !q.live || now-q.start >= p.within {
			continue
		}
		until := q.start + p.within
		if gap := p.gaps[i+1]; gap > 0 {
			until = min(until, q.last+gap)
		}
		if now >= until {
			continue
		}
		if out.Done == 0 {
			out.Done, out.Since, out.Expires = i+1, q.start, q.start+p.within
		}
		w := p.repeats[i+1]
		out.Waits = append(out.Waits, Wait{Event: p.names[i+1], Done: w.done, Of: w.of, Until: until})
	}
	if r.pending {
		out.Done, out.Since, out.Expires = p.n, r.due-p.wait, r.due
		out.FiresAt, out.Delayed, out.EndedBy = r.due, p.final == delayed, slices.Clone(p.stops)
	}
	return out, out.Done > 0
}
