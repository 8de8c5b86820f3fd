package trigger

import (
	"math"
	"slices"

	"heed/internal/condition"
	"heed/internal/event"
)

// Step runs the timers that are due by in.LogTime and then advances the rows of
// the user by the event. user is the profile id, part of the fire ids.
//
// Events that no trigger reads need no Step; given to it, they move the user's
// clock, to which later events of an earlier time are clamped.
func (s *Set) Step(st *State, user string, in *Input, out *Result) {
	s.adopt(st)
	x := s.begin(st, user, in, out)
	if st.NextTimer() <= in.LogTime {
		x.wake()
	}
	routes := s.candidates(in.Event.Name)
	switch {
	case in.Event.Type == event.System || len(routes) == 0 && reserved(in.Event.Name):
	case in.Event.Depth > event.MaxDepth:
		out.Counts.Deep += len(routes)
		for _, r := range routes {
			x.wasted(r, TooDeep)
		}
	default:
		x.event(routes)
	}
	x.settle()
}

// Wake runs every timer of the user with a deadline <= in.LogTime, in order,
// and, when live, forgets what has expired. Of in it reads LogTime, InAudience
// and Live. A Wake that comes too early does nothing.
func (s *Set) Wake(st *State, user string, in *Input, out *Result) {
	s.adopt(st)
	x := s.begin(st, user, in, out)
	if st.NextTimer() <= in.LogTime {
		x.wake()
	}
	if in.Live && st.forget != 0 && st.forget <= in.LogTime {
		x.prune()
	}
	x.settle()
}

// adopt makes the state one of this set: after a change of definitions, rows
// are carried over as Append and Decode do.
func (s *Set) adopt(st *State) {
	if st.set == s {
		return
	}
	if st.set == nil || len(st.ents) == 0 {
		st.set = s
		st.plan()
		return
	}
	if err := s.Decode(st.set.Append(nil, st), st); err != nil {
		panic("trigger: a set does not read what another wrote: " + err.Error())
	}
	st.set = s
}

// stepper is one call of Step or Wake. It lives in the State, as all that a call
// needs, so that nothing is allocated.
type stepper struct {
	set     *Set
	st      *State
	user    string
	in      *Input
	out     *Result
	facts   condition.Facts
	before  int  // firings that were there before
	touched bool // deadlines have to be computed again

	// Conditions that were asked about this event: repetitions share theirs.
	asked [8]answered
	asks  int
}

type answered struct {
	where *condition.Program
	holds bool
}

// holds asks a condition about the event at hand, each once.
func (x *stepper) holds(where *condition.Program) bool {
	if where == nil {
		return true
	}
	for i := range min(x.asks, len(x.asked)) {
		if x.asked[i].where == where {
			return x.asked[i].holds
		}
	}
	holds := where.Eval(&x.facts)
	x.asked[x.asks%len(x.asked)] = answered{where, holds}
	x.asks++
	return holds
}

func (s *Set) begin(st *State, user string, in *Input, out *Result) *stepper {
	x := &st.call
	*x = stepper{
		set: s, st: st, user: user, in: in, out: out, before: len(out.Firings),
		facts: condition.Facts{Event: in.Event, Traits: in.Traits},
	}
	return x
}

// settle ends a call: firings into the order of their times, deadlines.
func (x *stepper) settle() {
	fs := x.out.Firings[x.before:]
	for i := 1; i < len(fs); i++ {
		for j := i; j > 0 && fs[j].At < fs[j-1].At; j-- {
			fs[j], fs[j-1] = fs[j-1], fs[j]
		}
	}
	st, touched := x.st, x.touched
	if touched {
		x.out.Changed = true
	}
	*x = stepper{} // holds on to nothing of the caller's
	if !touched {
		return
	}
	for i := len(st.ents) - 1; i >= 0; i-- {
		if st.ents[i].empty() {
			st.drop(i)
		}
	}
	st.plan()
}

// wake runs what is due of every trigger.
func (x *stepper) wake() {
	for i := range x.st.ents {
		e := &x.st.ents[i]
		x.catchUp(x.set.programs[e.index], e)
	}
	x.touched = true
}

// catchUp runs the timers of an entry that are due, and takes the events that
// have waited long enough; at a tie the timer comes first.
func (x *stepper) catchUp(p *Program, e *entry) {
	clock := x.in.LogTime - p.lateness
	for {
		due, at := int64(math.MaxInt64), -1
		for i := range e.rows {
			if e.rows[i].pending && e.rows[i].due < due {
				due, at = e.rows[i].due, i
			}
		}
		if len(e.buffer) > 0 && e.buffer[0].t < due && e.buffer[0].t <= clock {
			x.release(p, e)
			continue
		}
		if at < 0 || due > clock {
			return
		}
		x.expire(p, e, at, clock)
	}
}

// release applies the oldest event of the buffer.
func (x *stepper) release(p *Program, e *entry) {
	rd := &x.st.released
	*rd = e.buffer[0]
	copy(e.buffer, e.buffer[1:])
	e.buffer[len(e.buffer)-1] = reading{}
	e.buffer = e.buffer[:len(e.buffer)-1]
	e.floor = max(e.floor, rd.t)
	x.apply(p, e, rd, nil)
	x.touched = true
}

// expire runs the timer of the row at i.
func (x *stepper) expire(p *Program, e *entry, i int, clock int64) {
	r := &e.rows[i]
	before := r.level(p)
	due, cause := r.due, r.cause
	key := r.key
	r.pending = false
	if p.counts() && !p.overlap {
		r.clear()
	}
	x.moved(e.index, before, r.level(p))
	if x.in.Live && clock-due > p.maxStale {
		x.out.Counts.Stale++
		x.refuse(p, key, due, Overdue)
	} else {
		x.fire(p, e, key, due, cause, true)
	}
	// A firing may have forgotten every row.
	if i < len(e.rows) && e.rows[i].empty() {
		e.remove(i)
	}
	x.touched = true
}

// event advances the rows by the event at hand.
func (x *stepper) event(routes []route) {
	in, st := x.in, x.st
	t := min(in.Time, in.LogTime)
	received := in.Event.ReceivedAt
	if received == 0 {
		received = in.LogTime
	}
	age := received - in.Time
	if in.Live && (in.Event.Context.Historical || age > x.set.maxAge) {
		x.out.Counts.Stale += len(routes)
		why := TooOld
		if in.Event.Context.Historical {
			why = Historical
		}
		for _, r := range routes {
			x.wasted(r, why)
		}
		return
	}
	arrived := t
	if t < st.last && st.last != 0 {
		t = st.last
	}
	for i := range routes {
		p, role := routes[i].prog, routes[i].role
		if in.Live && age > p.maxAge {
			x.out.Counts.Stale++
			x.wasted(routes[i], TooOld)
			continue
		}
		e := st.find(routes[i].index)
		if e == nil && !p.buffered && !p.starts(role.match, role.active) {
			continue
		}
		rd := &st.now
		*rd = reading{
			t: t, match: role.match, kill: role.kill, reset: role.reset, stop: role.stop,
			active: role.active, every: role.every, keys: rd.keys[:0],
			cause: cause{in.Key, in.Offset, in.Event.Depth},
		}
		if role.field != nil && (role.match|role.kill != 0 || role.reset || role.stop) {
			st.texts = role.field.Texts(&x.facts, st.texts[:0], maxFanout)
			rd.keys = addKeys(rd.keys, st.texts)
		}
		if p.buffered {
			rd.t = arrived
			x.hold(p, routes[i].index, role, rd)
			continue
		}
		if e != nil && (e.once && p.once || t < e.free) {
			continue
		}
		if e == nil {
			e = x.first(p, routes[i].index, rd)
			if e == nil {
				continue
			}
		}
		x.apply(p, e, rd, role)
	}
	if t > st.last {
		st.last = t
		x.touched = true
	}
}

// wasted notes that the event at hand, which may not count, would have been a
// first step, or a step of what is under way.
func (x *stepper) wasted(r route, why Reason) {
	for i := range r.prog.n {
		if r.role.match&(1<<i) == 0 || i > 0 && x.st.find(r.index) == nil || !x.holds(r.prog.where[i]) {
			continue
		}
		x.refuse(r.prog, nil, x.in.Time, why)
		return
	}
}

// starts tells whether an event of that role can do something where there is
// no row yet.
func (p *Program) starts(match uint64, active bool) bool {
	return match&1 != 0 || p.n == 0 && active
}

// first opens the entry of a trigger that has none, if the event is a first
// step.
func (x *stepper) first(p *Program, index int, rd *reading) *entry {
	if p.n > 0 && !x.holds(p.where[0]) || p.keyed && len(rd.keys) == 0 {
		return nil
	}
	x.touched = true
	return x.st.open(index)
}

// hold buffers an event until lateness has passed. Conditions are asked now.
func (x *stepper) hold(p *Program, index int, role *role, rd *reading) {
	e := x.st.open(index)
	if rd.t < x.in.LogTime-p.lateness || rd.t < e.floor {
		x.out.Counts.Late++
		x.touched = true
		return
	}
	for i := range p.n {
		if bit := uint64(1) << i; rd.match&bit != 0 && !x.holds(p.where[i]) {
			rd.match &^= bit
		}
	}
	rd.stop = rd.stop && x.holds(role.when)
	at := len(e.buffer)
	for at > 0 && e.buffer[at-1].t > rd.t {
		at--
	}
	e.buffer = append(e.buffer, reading{})
	copy(e.buffer[at+1:], e.buffer[at:])
	kept := *rd
	kept.keys = nil
	for _, key := range rd.keys {
		kept.keys = append(kept.keys, string(append([]byte(nil), key...)))
	}
	e.buffer[at] = kept
	x.touched = true
	if len(e.buffer) > maxBuffered {
		// The oldest goes on before its time, so that nothing is lost unless an
		// even older one still comes.
		x.out.Counts.Evicted++
		x.advanceTo(p, e, e.buffer[0].t)
		x.release(p, e)
	}
	x.catchUp(p, e)
}

// advanceTo runs the timers of an entry up to an event time.
func (x *stepper) advanceTo(p *Program, e *entry, t int64) {
	for {
		due, at := int64(math.MaxInt64), -1
		for i := range e.rows {
			if e.rows[i].pending && e.rows[i].due < due {
				due, at = e.rows[i].due, i
			}
		}
		if at < 0 || due > t {
			return
		}
		x.expire(p, e, at, due)
	}
}

// apply advances the rows of one trigger by one event. role is nil if the
// conditions have been asked already.
func (x *stepper) apply(p *Program, e *entry, rd *reading, role *role) {
	if e.once && p.once || rd.t < e.free {
		return
	}
	a := advance{x: x, p: p, e: e, rd: rd, role: role}
	switch {
	case !p.keyed:
		a.row(0)
	case rd.every:
		for i := len(e.rows) - 1; i >= 0 && i < len(e.rows); i-- {
			a.row(i)
		}
	default:
		if p.final == silence && rd.active {
			for i := range e.rows {
				a.postpone(&e.rows[i])
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

// advance is one event on its way through the rows of one trigger.
type advance struct {
	x    *stepper
	p    *Program
	e    *entry
	rd   *reading
	role *role
}

// where asks the condition of a step.
func (a *advance) where(i int) bool {
	return a.role == nil || a.x.holds(a.p.where[i])
}

// stops asks the condition of the final absence.
func (a *advance) stops() bool {
	return a.rd.stop && (a.role == nil || a.x.holds(a.role.when))
}

// key advances the row of one value of by.
func (a *advance) key(key string) {
	if i := a.e.row(key); i >= 0 {
		a.row(i)
		return
	}
	if a.rd.match&1 == 0 || !a.where(0) {
		return
	}
	a.x.expired(a.p, a.e, a.rd.t)
	if len(a.e.rows) >= maxValues {
		a.x.out.Counts.Evicted++
		a.x.moved(a.e.index, a.e.rows[0].level(a.p), 0)
		a.e.remove(0)
	}
	a.e.add(a.p, key)
	a.row(len(a.e.rows) - 1)
}

// expired removes rows whose window has passed at time t.
func (x *stepper) expired(p *Program, e *entry, t int64) {
	for i := len(e.rows) - 1; i >= 0; i-- {
		r := &e.rows[i]
		if start, ok := r.newest(); !r.pending && (!ok || t-start >= p.within) {
			if level := r.level(p); level > 1 {
				x.refuse(p, r.key, r.parts[level-1].start+p.within, Expired)
			}
			x.moved(e.index, r.level(p), 0)
			e.remove(i)
			x.touched = true
		}
	}
}

// row advances the row at i, which without by is opened at need.
func (a *advance) row(i int) {
	p, e := a.p, a.e
	if !p.keyed && len(e.rows) == 0 {
		if !p.starts(a.rd.match, a.rd.active) {
			return
		}
		e.add(p, "")
	}
	r := &e.rows[i]
	before := r.level(p)
	completed := a.steps(r)
	a.x.moved(e.index, before, r.level(p))
	if completed && p.final == atOnce {
		a.x.fire(p, e, r.key, a.rd.t, a.rd.cause, false)
	}
	if i < len(e.rows) && e.rows[i].empty() {
		e.remove(i)
	}
	a.x.touched = true
}

// postpone restarts the countdown of a silence.
func (a *advance) postpone(r *row) {
	if r.pending {
		r.due = a.rd.t + a.p.wait
		if a.p.n == 0 {
			r.cause = a.rd.cause
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
		if p.final != delayed {
			r.pending = false
		}
	}
	if r.pending && a.stops() {
		r.pending = false
		if p.final == delayed {
			a.x.refuse(p, r.key, r.due, Canceled)
		}
	}
	if p.final == silence && rd.active && !rd.reset {
		a.postpone(r)
		if p.n == 0 && !r.pending {
			a.arm(r)
		}
	}
	for i := p.n - 1; i >= 0; i-- {
		bit := uint64(1) << i
		if rd.match&bit != 0 {
			if start, ok := a.extends(r, i); ok && a.where(i) {
				if i < p.n-1 {
					r.parts[i].advance(start, rd.t)
				} else if a.complete(r) {
					return true
				}
				completed = completed || i == p.n-1
			}
		}
		if rd.kill&bit != 0 && i > 0 {
			r.parts[i-1] = partial{}
		}
	}
	return completed
}

// extends tells whether a partial can take the event as step i, and when that
// partial's chain started.
func (a *advance) extends(r *row, i int) (start int64, ok bool) {
	p, t := a.p, a.rd.t
	if i == 0 {
		in := a.x.in
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
	if t-start >= p.within || p.gaps[i] > 0 && t-last >= p.gaps[i] {
		return 0, false
	}
	return start, true
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
		if !r.pending && a.x.allowed(p, a.e, r.key, a.rd.t) {
			a.arm(r)
		}
	case absence, silence:
		if !r.pending || p.restart {
			a.arm(r)
		}
		return false
	}
	if p.overlap {
		return false
	}
	r.clear()
	return true
}

func (a *advance) arm(r *row) {
	r.pending, r.due, r.cause = true, a.rd.t+a.p.wait, a.rd.cause
}

// moved reports a transition.
func (x *stepper) moved(index, from, to int) {
	if from != to {
		x.out.Transitions = append(x.out.Transitions, Transition{index, from, to})
	}
}

// prune forgets what no event that may still come live can need.
func (x *stepper) prune() {
	st := x.st
	for i := range st.ents {
		e := &st.ents[i]
		p := x.set.programs[e.index]
		now := x.in.LogTime - p.maxAge - slack
		x.expired(p, e, now)
		if e.free <= now {
			e.free = 0
		}
		if e.floor <= now {
			e.floor = 0
		}
		if n := len(e.stamps); n > 0 && e.stamps[n-1]+p.per <= now {
			e.stamps = e.stamps[:0]
		}
	}
	if st.last != 0 && st.last+x.set.maxAge+slack <= x.in.LogTime {
		st.last = 0
	}
	x.touched = true
}
