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
	// Previous: it was begun before the pattern was edited, and may finish by what
	// the pattern was.
	Previous bool
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
		at.add(p, &e.strand, now)
		if old := st.set.olds[e.index]; old != nil {
			at.add(old, &e.old, now)
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

// add describes the rows of a strand.
func (at *Standing) add(p *Program, s *strand, now int64) {
	for i := range s.rows {
		if row, ok := s.rows[i].progress(p, now); ok {
			at.Rows = append(at.Rows, row)
		}
	}
}

// progress describes a row; ok is false if there is nothing to tell.
func (r *row) progress(p *Program, now int64) (Progress, bool) {
	out := Progress{Key: string(r.key), Previous: p.heir != nil, Steps: p.Len()}
	reached := func(done int, start int64) {
		if out.Done == 0 {
			out.Done, out.Since, out.Expires = done, start, start+p.within
		}
	}
	for i := len(p.stages) - 1; i >= 0; i-- {
		st := &p.stages[i]
		have, oldest := 0, now
		for j := range r.stamps {
			if m := &r.stamps[j]; st.has(m.bit) && now-m.start < p.within {
				have, oldest = have+1, min(oldest, m.start)
			}
		}
		if have > 0 && (i >= len(r.parts) || !r.parts[i].live) {
			reached(st.base+min(have, st.need-1), oldest)
		}
		var q *partial
		until := int64(0)
		if i > 0 {
			if q = &r.parts[i-1]; !q.live {
				continue
			}
			if until = q.start + p.within; st.gap > 0 {
				until = min(until, q.last+st.gap)
			}
			if now >= until {
				continue
			}
		} else if have == 0 {
			continue
		}
		if have > 0 {
			until = oldest + p.within
		}
		out.wait(p, r, st, have, until)
		if q != nil {
			reached(st.base, q.start)
		}
	}
	for _, t := range [...]*timer{&r.count, &r.answer} {
		if t.on {
			out.FiresAt, out.Delayed = t.due, t == &r.answer
		}
	}
	switch {
	case out.FiresAt == 0:
	case out.Delayed:
		out.Done, out.Since, out.Expires, out.EndedBy = p.Len(), out.FiresAt-p.delay, out.FiresAt, slices.Clone(p.cancels)
	default:
		out.Done, out.Since, out.Expires, out.EndedBy = p.units, out.FiresAt-p.wait, out.FiresAt, slices.Clone(p.stops)
	}
	return out, out.Done > 0
}

// wait adds what a stage waits for.
func (out *Progress) wait(p *Program, r *row, st *stage, have int, until int64) {
	switch st.kind {
	case single:
		out.Waits = append(out.Waits, Wait{p.bits[st.bit].name, st.done, st.of, until})
	case several:
		out.Waits = append(out.Waits, Wait{p.bits[st.bit].name, min(have, st.need-1), st.need, until})
	case all:
		for b := st.bit; b < st.bit+st.width; b++ {
			if !slices.ContainsFunc(r.stamps, func(m stamp) bool { return m.bit == b }) {
				out.Waits = append(out.Waits, Wait{p.bits[b].name, 0, 1, until})
			}
		}
	}
}
