package trigger

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"

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
		for i := range routes {
			x.wasted(&routes[i], TooDeep)
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

	// What the version before the edit used up, which is used up for both.
	used used

	// Conditions that were asked about this event: repetitions share theirs.
	asked [8]answered
	asks  int
}

// used is an event and the rows that it is used up for.
type used struct {
	any   bool
	every bool // all rows
	cause cause
	keys  []string
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
	x.set, x.st, x.user, x.in, x.out, x.before = s, st, user, in, out, len(out.Firings)
	x.facts = condition.Facts{Event: in.Event, Traits: in.Traits, Pull: in.Pull}
	x.touched, x.asks, x.used.any = false, 0, false
	if st.dropped > 0 {
		out.Counts.Dropped += st.dropped
		st.dropped, x.touched = 0, true
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
	x.user, x.in, x.out, x.facts, x.used = "", nil, nil, condition.Facts{}, used{} // the caller's
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
		for i := range routes {
			x.wasted(&routes[i], why)
		}
		return
	}
	arrived := t
	if t < st.last && st.last != 0 {
		t = st.last
	}
	heard := len(routes) == 0
	for i := range routes {
		r := &routes[i]
		e := st.find(r.index)
		if e == nil && x.shut(r) {
			continue
		}
		heard = true
		if in.Live && age > r.prog.maxAge {
			x.out.Counts.Stale++
			x.wasted(r, TooOld)
			continue
		}
		if r.was != nil && e != nil && len(e.old.rows)+len(e.old.buffer) > 0 {
			x.finish(r, e, t, arrived)
		}
		if r.role == nil {
			continue
		}
		p := r.prog
		if e == nil && !p.buffered && !p.starts(r.role) {
			continue
		}
		rd := &st.now
		x.read(p, r.role, rd, t)
		if p.buffered {
			rd.t = arrived
			x.hold(p, st.open(r.index), rd)
			continue
		}
		if e != nil && (e.once && p.once || t < e.free) {
			continue
		}
		if e == nil {
			if e = x.first(p, r.index, rd); e == nil {
				continue
			}
		}
		x.apply(p, e, &e.strand, rd, r.role)
	}
	if heard && t > st.last {
		st.last = t
		x.touched = true
	}
}

// wasted notes that the event at hand, which may not count, would have been a
// first step, or a step of what is under way.
func (x *stepper) wasted(r *route, why Reason) {
	if r.role == nil {
		return
	}
	for left := r.role.match; left != 0; left &= left - 1 {
		b := bits.TrailingZeros64(left)
		if r.prog.first&(1<<b) == 0 && x.st.find(r.index) == nil || !x.holds(r.prog.bits[b].where) {
			continue
		}
		x.refuse(r.prog, nil, x.in.Time, why)
		return
	}
}

// finish lets the version before the edit have the event.
func (x *stepper) finish(r *route, e *entry, t, arrived int64) {
	rd := &x.st.before
	x.read(r.old, r.was, rd, t)
	rd.later = true
	if !r.old.buffered {
		x.apply(r.old, e, &e.old, rd, r.was)
		return
	}
	rd.t = arrived
	x.hold(r.old, e, rd)
}

// read works out what the event at hand means to a program.
func (x *stepper) read(p *Program, role *role, rd *reading, t int64) {
	*rd = reading{
		t: t, match: role.match, kill: role.kill, reset: role.reset, stop: role.stop, cancel: role.cancel,
		active: role.active, every: role.every, keys: rd.keys[:0], values: rd.values[:0],
		cause: cause{x.in.Key, x.in.Offset, x.in.Event.Depth},
	}
	if role.field != nil && (role.match|role.kill != 0 || role.reset || role.stop || role.cancel) {
		x.st.texts = role.field.Texts(&x.facts, x.st.texts[:0], maxFanout)
		rd.keys = addKeys(rd.keys, x.st.texts)
	}
	for left := role.match & p.distinct; left != 0; left &= left - 1 {
		b := bits.TrailingZeros64(left)
		x.st.texts = p.stages[p.bits[b].stage].field.Texts(&x.facts, x.st.texts[:0], 1)
		if len(x.st.texts) == 0 {
			rd.match &^= 1 << b
			continue
		}
		rd.values = append(rd.values, hashOf(x.st.texts[0]))
	}
}

// value is the value that the event has for a bit of distinct.
func (rd *reading) value(p *Program, b int) uint64 {
	if p.distinct&(1<<b) == 0 {
		return 0
	}
	return rd.values[bits.OnesCount64(rd.match&p.distinct&(1<<b-1))]
}

// hashOf stands for a value of distinct: of two in a row one in 2^64 is taken
// for the other.
func hashOf(text string) uint64 {
	var room [128]byte
	sum := sha256.Sum256(append(room[:0], text...))
	return binary.LittleEndian.Uint64(sum[:])
}

// first opens the entry of a trigger that has none, if the event is a first
// step.
func (x *stepper) first(p *Program, index int, rd *reading) *entry {
	if len(p.stages) > 0 && !x.begins(p, rd) || p.keyed && len(rd.keys) == 0 {
		return nil
	}
	x.touched = true
	return x.st.open(index)
}

// begins tells whether the event does a first step.
func (x *stepper) begins(p *Program, rd *reading) bool {
	for left := rd.match & p.first; left != 0; left &= left - 1 {
		if x.holds(p.bits[bits.TrailingZeros64(left)].where) {
			return true
		}
	}
	return false
}

// hold buffers an event until lateness has passed. Conditions are asked now.
func (x *stepper) hold(p *Program, e *entry, rd *reading) {
	s := &e.strand
	if p.heir != nil {
		s = &e.old
	}
	x.touched = true
	if rd.t < x.in.LogTime-p.lateness || rd.t < s.floor {
		x.out.Counts.Late++
		return
	}
	kept := *rd
	kept.keys, kept.values = nil, nil
	for left := rd.match; left != 0; left &= left - 1 {
		b := bits.TrailingZeros64(left)
		switch {
		case !x.holds(p.bits[b].where):
			kept.match &^= 1 << b
		case p.distinct&(1<<b) != 0:
			kept.values = append(kept.values, rd.value(p, b))
		}
	}
	if kept.stop {
		kept.stop = x.holds(p.when)
	}
	u := &x.used
	used := u.any && p.heir == nil && u.cause == rd.cause
	if used && (u.every || !p.keyed) {
		return
	}
	for _, key := range rd.keys {
		if !used || !slices.Contains(u.keys, key) {
			kept.keys = append(kept.keys, strings.Clone(key))
		}
	}
	at := len(s.buffer)
	for at > 0 && s.buffer[at-1].t > kept.t {
		at--
	}
	s.buffer = append(s.buffer, reading{})
	copy(s.buffer[at+1:], s.buffer[at:])
	s.buffer[at] = kept
	if len(s.buffer) > maxBuffered {
		// The oldest goes on before its time, so that nothing is lost unless an
		// even older one still comes.
		x.out.Counts.Evicted++
		x.advanceTo(p, e, s, s.buffer[0].t)
		x.release(p, e, s)
	}
	x.catchUp(e)
}
