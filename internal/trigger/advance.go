package trigger

import (
	"math/bits"
	"slices"
)

// apply advances the rows of one version of a trigger by one event. role is nil
// if the conditions have been asked already.
func (x *stepper) apply(p *Program, e *entry, s *strand, rd *reading, role *role) {
	if e.once && p.once || rd.t < e.free {
		return
	}
	a := advance{x: x, p: p, e: e, s: s, rd: rd, role: role}
	switch {
	case !p.keyed:
		a.row(0)
	case rd.every:
		for i := len(s.rows) - 1; i >= 0 && i < len(s.rows); i-- {
			a.row(i)
		}
	default:
		if p.final == silence && rd.active {
			for i := range s.rows {
				a.postpone(&s.rows[i])
			}
		}
		for i, key := range rd.keys {
			if !slices.Contains(rd.keys[:i], key) {
				a.key(key)
			}
			if e.once && p.once || rd.t < e.free {
				return
			}
		}
	}
}

// advance is one event on its way through the rows of one version of a trigger.
type advance struct {
	x    *stepper
	p    *Program
	e    *entry
	s    *strand
	rd   *reading
	role *role
}

// where asks the condition of a bit.
func (a *advance) where(b int) bool {
	return a.role == nil || a.x.holds(a.p.bits[b].where)
}

// stops asks the condition of the final absence.
func (a *advance) stops() bool {
	return a.rd.stop && (a.role == nil || a.x.holds(a.role.when))
}

// opens tells whether the event begins a chain where there is no row.
func (a *advance) opens() bool {
	switch {
	case a.rd.later:
		return false
	case a.role == nil:
		return a.rd.match&a.p.first != 0
	}
	return a.x.begins(a.p, a.rd)
}

// key advances the row of one value of by.
func (a *advance) key(key string) {
	if i := a.s.row(key); i >= 0 {
		a.row(i)
		return
	}
	if !a.opens() {
		return
	}
	a.x.expired(a.p, a.e, a.s, a.rd.t)
	if len(a.s.rows) >= maxValues {
		a.x.out.Counts.Evicted++
		a.x.moved(a.p, a.e.index, a.s.rows[0].level(a.p), 0)
		a.s.remove(0)
	}
	a.s.add(a.p, key)
	a.row(len(a.s.rows) - 1)
}

// row advances the row at i, which without by is opened at need.
func (a *advance) row(i int) {
	p, e, s := a.p, a.e, a.s
	if !p.keyed && len(s.rows) == 0 {
		if a.rd.later || a.rd.match&p.first == 0 && (len(p.stages) > 0 || !a.rd.active) {
			return
		}
		s.add(p, "")
	}
	r := &s.rows[i]
	if u := &a.x.used; u.any && p.heir == nil && u.cause == a.rd.cause && (u.every || slices.Contains(u.keys, string(r.key))) {
		if r.empty() {
			s.remove(i)
		}
		return
	}
	before := r.level(p)
	completed := a.steps(r)
	a.x.moved(p, e.index, before, r.level(p))
	if completed && p.final == atOnce {
		a.x.fire(p, e, r.key, a.rd.t, a.rd.cause, false)
	}
	if i < len(s.rows) && s.rows[i].empty() {
		s.remove(i)
	}
	a.x.touched = true
}

// postpone restarts the countdown of a silence.
func (a *advance) postpone(r *row) {
	if r.count.on {
		r.count.due = a.rd.t + a.p.wait
		if len(a.p.stages) == 0 {
			r.count.cause = a.rd.cause
		}
		a.x.touched = true
	}
}

// steps is the row rule: from the last step down to the first, so that one
// event never fills two steps. It tells whether the last event step was done
// and, unless overlap, has then forgotten the progress.
func (a *advance) steps(r *row) (completed bool) {
	p, rd := a.p, a.rd
	if rd.reset {
		r.clear()
		r.count.on = false
	}
	if rd.cancel && r.answer.on {
		r.answer.on = false
		a.x.refuse(p, r.key, r.answer.due, Canceled)
	}
	if r.count.on && a.stops() {
		r.count.on = false
	}
	if p.final == silence && rd.active && !rd.reset {
		a.postpone(r)
		if len(p.stages) == 0 && !r.count.on && !rd.later {
			a.arm(&r.count, p.wait)
		}
	}
	for left := rd.match | rd.kill; left != 0; {
		b := bits.Len64(left) - 1
		mask := uint64(1) << b
		left &^= mask
		i := p.bits[b].stage
		if rd.match&mask != 0 {
			if start, ok := a.extends(r, i); ok && a.where(b) {
				if start, ok = a.reaches(r, i, b, start); ok {
					if i < len(r.parts) {
						r.parts[i].advance(start, rd.t)
					} else if completed = true; a.complete(r) {
						return true
					}
				}
			}
		}
		if rd.kill&mask != 0 && i > 0 {
			r.parts[i-1] = partial{}
			if p.stamped {
				r.unstamp(&p.stages[i])
			}
		}
	}
	return completed
}

// extends tells whether a partial can take the event as part of stage i, and
// when that partial's chain started.
func (a *advance) extends(r *row, i int) (start int64, ok bool) {
	p, t := a.p, a.rd.t
	if i == 0 {
		in := a.x.in
		if a.rd.later && p.stages[0].kind == single {
			return 0, false
		}
		return t, !p.hold || in.InAudience == nil || in.InAudience(p.audience)
	}
	q := &r.parts[i-1]
	if !q.live {
		return 0, false
	}
	start, last := q.start, q.last
	if p.increasing && last >= t {
		if !q.earlier {
			return 0, false
		}
		start, last = q.earlierStart, q.earlierEnd
	}
	if gap := p.stages[i].gap; t-start >= p.within || gap > 0 && t-last >= gap {
		return 0, false
	}
	return start, true
}

// reaches tells whether the event completes stage i, and when the newest chain
// started that is there then. Of a stage that takes several events the row
// keeps, for each, the start of the newest chain that has it: newest starts only
// grow, so the chain that has all of them starts at the least of them.
func (a *advance) reaches(r *row, i, b int, start int64) (int64, bool) {
	p := a.p
	st := &p.stages[i]
	if st.kind == single {
		return start, true
	}
	value := a.rd.value(p, b)
	at := slices.IndexFunc(r.stamps, func(s stamp) bool { return s.bit == b && s.value == value })
	if i == 0 && a.rd.later {
		// What was begun before the edit may be finished: what is there stays as
		// it is, and what is missing may come.
		if n := r.stamped(st); at >= 0 || n == 0 || n == st.need {
			return 0, false
		}
	}
	if at >= 0 {
		r.stamps[at].start = start
	} else {
		r.stamps = append(r.stamps, stamp{b, value, start})
	}
	have, oldest := 0, -1
	for j := range r.stamps {
		if st.has(r.stamps[j].bit) {
			if have++; oldest < 0 || r.stamps[j].start < r.stamps[oldest].start {
				oldest = j
			}
		}
	}
	if have > st.need {
		// Of more values than are needed the newest count.
		r.stamps = slices.Delete(r.stamps, oldest, oldest+1)
		return a.oldest(r, st)
	}
	if have < st.need {
		return 0, false
	}
	return a.oldest(r, st)
}

// oldest is the start of the chain that has all of a stage's events, if it is
// within the window.
func (a *advance) oldest(r *row, st *stage) (start int64, ok bool) {
	start = a.rd.t
	for j := range r.stamps {
		if s := &r.stamps[j]; st.has(s.bit) {
			start = min(start, s.start)
		}
	}
	return start, a.rd.t-start < a.p.within
}

// unstamp forgets what is done of a stage that takes several events.
func (r *row) unstamp(st *stage) {
	r.stamps = slices.DeleteFunc(r.stamps, func(s stamp) bool { return st.has(s.bit) })
}

// advance makes (start, t) the newest partial.
func (q *partial) advance(start, t int64) {
	if q.live && q.last < t {
		q.earlier, q.earlierStart, q.earlierEnd = true, q.start, q.last
	}
	q.live, q.start, q.last = true, start, t
}

// complete does what follows the last event step, and tells whether the event
// is used up.
func (a *advance) complete(r *row) (consumed bool) {
	p := a.p
	switch p.final {
	case atOnce:
	case delayed:
		if !r.answer.on && a.x.allowed(p, a.e, r.key, a.rd.t) {
			a.arm(&r.answer, p.delay)
		}
	case absence, silence:
		if !r.count.on || p.restart {
			a.arm(&r.count, p.wait)
		}
		return false
	}
	if p.overlap {
		return false
	}
	r.clear()
	return true
}

func (a *advance) arm(t *timer, after int64) {
	*t = timer{true, a.rd.t + after, a.rd.cause}
}

// moved reports a transition. Those of the version before an edit, whose steps
// are others, are not counted.
func (x *stepper) moved(p *Program, index, from, to int) {
	if from != to && p.heir == nil {
		x.out.Transitions = append(x.out.Transitions, Transition{index, from, to})
	}
}
