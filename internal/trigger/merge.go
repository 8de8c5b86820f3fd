package trigger

import (
	"bytes"
	"cmp"
	"slices"
)

// Merge unites what is known of an anonymous user, src, with what is known of
// the user it turned out to be, dst, and leaves src empty. now is the log time
// of the barrier. Both may have been decoded by other sets.
//
// What it guarantees:
//   - It never fires and runs no timer: what is due stays due.
//   - It depends on the two states and now alone, not on which user had what,
//     but for ties: dst's values of by count as opened first.
//   - Each step keeps the newest partial of either, so whatever one of them
//     could still complete alone, the united row can complete. It finds no chain
//     whose events before the barrier are of both.
//   - Marks are united: once of either, the later end of a cooldown, the stamps
//     of both for limit. Where they hold at now, progress and waits are forgotten,
//     as a firing does.
//   - One countdown and one answer are left per row: the one that is over earlier,
//     or later where the step before restarts it (anchor: last, idle).
//   - The user's clock is the later one. With order: event what waits is put in
//     order of time; nothing goes before what either has passed already.
//   - Bounds hold: rows over 16 values of by and events over 64 that wait are
//     evicted, the first opened and the oldest ones first, and counted.
func (s *Set) Merge(dst, src *State, now int64, out *Result) {
	s.adopt(dst)
	s.adopt(src)
	if src.Empty() {
		return
	}
	x := s.begin(dst, "", &Input{LogTime: now}, out)
	dst.last = max(dst.last, src.last)
	for i := range src.ents {
		from := &src.ents[i]
		x.unite(s.programs[from.index], dst.open(from.index), from)
	}
	src.reset()
	x.touched = true
	x.settle()
}

// Forget empties the State of a user that is no more, such as an anonymous one
// that was merged into another, and reports that its rows are gone.
func (s *Set) Forget(st *State, out *Result) {
	s.adopt(st)
	if st.Empty() {
		return
	}
	x := s.begin(st, "", &Input{}, out)
	for i := range st.ents {
		e := &st.ents[i]
		for j := range e.rows {
			x.moved(e.index, e.rows[j].level(s.programs[e.index]), 0)
		}
	}
	x.settle()
	st.reset()
	out.Changed = true
}

// unite adds what another user's entry says to e.
func (x *stepper) unite(p *Program, e, from *entry) {
	now := x.in.LogTime
	e.once = e.once || from.once
	e.free = max(e.free, from.free)
	e.stamps = append(e.stamps, from.stamps...)
	slices.Sort(e.stamps)
	if n := len(e.stamps) - cmp.Or(p.limit, maxLimit); n > 0 {
		e.stamps = slices.Delete(e.stamps, 0, n)
	}
	e.uniteBuffers(from, &x.out.Counts)
	if e.once && p.once || now < e.free {
		for i := range e.rows {
			x.moved(e.index, e.rows[i].level(p), 0)
		}
		e.rows = e.rows[:0]
		return
	}
	for i := range from.rows {
		r := &from.rows[i]
		at := e.row(string(r.key))
		if at < 0 {
			e.add(p, string(r.key))
			at = len(e.rows) - 1
		}
		into := &e.rows[at]
		before := into.level(p)
		into.unite(p, r)
		x.moved(e.index, before, into.level(p))
	}
	passed := x.st.last
	if p.buffered {
		passed = e.floor
	}
	x.expired(p, e, passed)
	for len(e.rows) > maxValues {
		x.out.Counts.Evicted++
		x.moved(e.index, e.rows[0].level(p), 0)
		e.remove(0)
	}
}

// uniteBuffers sorts what waits of both. What the other has passed already
// counts as of the time that was passed.
func (e *entry) uniteBuffers(from *entry, counts *Counts) {
	e.buffer = append(e.buffer, from.buffer...)
	e.floor = max(e.floor, from.floor)
	for i := range e.buffer {
		e.buffer[i].t = max(e.buffer[i].t, e.floor)
	}
	slices.SortStableFunc(e.buffer, func(a, b reading) int { return cmp.Compare(a.t, b.t) })
	if n := len(e.buffer) - maxBuffered; n > 0 {
		counts.Evicted += n
		e.floor = max(e.floor, e.buffer[n-1].t)
		e.buffer = slices.Delete(e.buffer, 0, n)
	}
}

// unite adds the row of another user.
func (r *row) unite(p *Program, from *row) {
	for i := range r.parts {
		r.parts[i].unite(&from.parts[i])
	}
	if !from.pending {
		return
	}
	better := cmp.Compare(from.due, r.due)
	if better == 0 {
		better = bytes.Compare(from.cause.key[:], r.cause.key[:])
	}
	if p.restart || p.final == silence {
		better = -better
	}
	if !r.pending || better < 0 {
		r.pending, r.due, r.cause = true, from.due, from.cause
	}
}

// unite keeps the newest partial of either, and the newest one of them that
// ends before it.
func (q *partial) unite(from *partial) {
	var room [4]partial
	all := room[:0]
	for _, one := range [...]*partial{q, from} {
		if one.live {
			all = append(all, partial{start: one.start, last: one.last})
		}
		if one.live && one.earlier {
			all = append(all, partial{start: one.earlierStart, last: one.earlierEnd})
		}
	}
	if len(all) == 0 {
		return
	}
	newer := func(a, b partial) int {
		return cmp.Or(cmp.Compare(b.start, a.start), cmp.Compare(b.last, a.last))
	}
	slices.SortFunc(all, newer)
	*q = partial{live: true, start: all[0].start, last: all[0].last}
	for _, one := range all[1:] {
		if one.last < q.last {
			q.earlier, q.earlierStart, q.earlierEnd = true, one.start, one.last
			break
		}
	}
}
