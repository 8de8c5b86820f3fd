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
//     whose events before the barrier are of both, but for the parts of one step
//     in any order.
//   - Marks are united: once of either, the later end of a cooldown, the stamps
//     of both for limit. Where they hold at now, progress and waits are forgotten,
//     as a firing does.
//   - Of a step in any order each part keeps its newest time, of distinct values
//     the newest ones of as many as the step needs.
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
		x.unite(s.programs[from.index], s.olds[from.index], dst.open(from.index), from)
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
			p := s.programs[e.index]
			x.moved(p, e.index, e.rows[j].level(p), 0)
		}
	}
	x.settle()
	st.reset()
	out.Changed = true
}

// unite adds what another user's entry says to e.
func (x *stepper) unite(p, old *Program, e, from *entry) {
	e.once = e.once || from.once
	e.free = max(e.free, from.free)
	e.stamps = append(e.stamps, from.stamps...)
	slices.Sort(e.stamps)
	if n := len(e.stamps) - cmp.Or(p.limit, maxLimit); n > 0 {
		e.stamps = slices.Delete(e.stamps, 0, n)
	}
	e.uniteBuffers(&from.strand, &x.out.Counts)
	e.old.uniteBuffers(&from.old, &x.out.Counts)
	if e.once && p.once || x.in.LogTime < e.free {
		x.forget(p, e)
		e.old.rows = e.old.rows[:0]
		return
	}
	x.uniteRows(p, e, &e.strand, &from.strand)
	if old != nil {
		x.uniteRows(old, e, &e.old, &from.old)
	}
}

func (x *stepper) uniteRows(p *Program, e *entry, s, from *strand) {
	for i := range from.rows {
		r := &from.rows[i]
		at := s.row(string(r.key))
		if at < 0 {
			s.add(p, string(r.key))
			at = len(s.rows) - 1
		}
		into := &s.rows[at]
		before := into.level(p)
		into.unite(p, r)
		x.moved(p, e.index, before, into.level(p))
	}
	passed := x.st.last
	if p.buffered {
		passed = s.floor
	}
	x.expired(p, e, s, passed)
	for len(s.rows) > maxValues {
		x.out.Counts.Evicted++
		x.moved(p, e.index, s.rows[0].level(p), 0)
		s.remove(0)
	}
}

// uniteBuffers sorts what waits of both. What the other has passed already
// counts as of the time that was passed.
func (s *strand) uniteBuffers(from *strand, counts *Counts) {
	s.buffer = append(s.buffer, from.buffer...)
	s.floor = max(s.floor, from.floor)
	for i := range s.buffer {
		s.buffer[i].t = max(s.buffer[i].t, s.floor)
	}
	slices.SortStableFunc(s.buffer, func(a, b reading) int { return cmp.Compare(a.t, b.t) })
	if n := len(s.buffer) - maxBuffered; n > 0 {
		counts.Evicted += n
		s.floor = max(s.floor, s.buffer[n-1].t)
		s.buffer = slices.Delete(s.buffer, 0, n)
	}
}

// unite adds the row of another user.
func (r *row) unite(p *Program, from *row) {
	for i := range r.parts {
		r.parts[i].unite(&from.parts[i])
	}
	for _, one := range from.stamps {
		r.uniteStamp(p, one)
	}
	r.count.unite(&from.count, p.restart || p.final == silence)
	r.answer.unite(&from.answer, false)
}

// uniteStamp adds one of the events of a stage, and keeps the newest ones of as
// many as the stage needs.
func (r *row) uniteStamp(p *Program, one stamp) {
	if i := slices.IndexFunc(r.stamps, func(s stamp) bool { return s.bit == one.bit && s.value == one.value }); i >= 0 {
		r.stamps[i].start = max(r.stamps[i].start, one.start)
		return
	}
	r.stamps = append(r.stamps, one)
	st := &p.stages[p.bits[one.bit].stage]
	if r.stamped(st) <= st.need {
		return
	}
	oldest := -1
	for i := range r.stamps {
		s := &r.stamps[i]
		if !st.has(s.bit) {
			continue
		}
		if o := oldest; o < 0 || cmp.Or(cmp.Compare(s.start, r.stamps[o].start), cmp.Compare(s.value, r.stamps[o].value)) < 0 {
			oldest = i
		}
	}
	r.stamps = slices.Delete(r.stamps, oldest, oldest+1)
}

// unite keeps the timer that is over earlier, or later.
func (t *timer) unite(from *timer, later bool) {
	if !from.on {
		return
	}
	order := cmp.Or(cmp.Compare(from.due, t.due), bytes.Compare(from.cause.key[:], t.cause.key[:]))
	if later {
		order = -order
	}
	if !t.on || order < 0 {
		*t = *from
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
