package trigger

import (
	"math"
	"slices"
)

// State is all rows of one user, decoded. The zero State is empty. It may be
// reused for another user by Decode, which keeps its memory. It is used by one
// goroutine.
type State struct {
	set  *Set    // whose indexes the entries use; nil while empty
	last int64   // newest event time of the user; 0: unknown
	ents []entry // in order of index

	next   int64 // earliest timer; math.MaxInt64 if none
	forget int64 // when the last of what expires has expired; 0 if nothing does

	dropped int // rows that Decode left out, not reported yet

	// Scratch.
	call     stepper
	texts    []string
	now      reading
	before   reading // of the version before the edit
	released reading
}

// entry is what one trigger knows about the user.
type entry struct {
	index int

	// Marks: they outlive the rows.
	once   bool
	free   int64   // end of the cooldown; 0: none
	stamps []int64 // firings that count for the limit, oldest first

	strand        // of the pattern in force
	old    strand // of the one before the last edit
}

// strand is the progress in one version of a pattern.
type strand struct {
	rows []row // in the order in which they were opened

	// Of order: event.
	buffer []reading // in order of time, ties as they arrived
	floor  int64     // events before it have been passed already
}

// row is the progress of one value of by, or of the trigger if it has none.
type row struct {
	key    []byte
	parts  []partial // parts[i]: the newest partial that reached stage i
	stamps []stamp   // of stages that take several events
	count  timer     // the final countdown
	answer timer     // the delayed answer
}

// partial is where a chain stands.
type partial struct {
	live        bool
	start, last int64
	// The newest partial with last strictly before the other's, for increasing.
	earlier                  bool
	earlierStart, earlierEnd int64
}

// stamp is one of the events of a stage that takes several: an element of all,
// or a value of distinct.
type stamp struct {
	bit   int
	value uint64 // hash of the value
	start int64  // of the newest chain that has this event
}

// timer is something that happens when it is over.
type timer struct {
	on    bool
	due   int64
	cause cause // the event that armed it
}

// cause identifies an event.
type cause struct {
	key    [16]byte
	offset uint64
	depth  int
}

// reading is what one event means to one program.
type reading struct {
	t      int64
	match  uint64
	kill   uint64
	reset  bool
	stop   bool
	cancel bool
	active bool
	every  bool
	later  bool     // came after the pattern was edited: begins no chain in the old one
	keys   []string // values of by
	values []uint64 // of distinct: one for each such bit in match, the lowest first
	cause  cause
}

// Empty tells whether there is nothing to store.
func (st *State) Empty() bool { return st.last == 0 && len(st.ents) == 0 }

// NextTimer is the earliest deadline of a timer; math.MaxInt64 if none pends.
func (st *State) NextTimer() int64 {
	if st.set == nil {
		return math.MaxInt64
	}
	return st.next
}

// NextDeadline is the log time at which Wake has something to do for the user:
// a timer to run or rows to forget; math.MaxInt64 if there is nothing.
func (st *State) NextDeadline() int64 {
	if next := st.NextTimer(); st.forget == 0 || next < st.forget {
		return next
	}
	return st.forget
}

// reset empties the state and keeps its memory.
func (st *State) reset() {
	st.last, st.dropped, st.ents = 0, 0, st.ents[:0]
	st.set, st.next, st.forget = nil, math.MaxInt64, 0
}

// find is the entry of a program, or nil.
func (st *State) find(index int) *entry {
	for i := range st.ents {
		if st.ents[i].index == index {
			return &st.ents[i]
		}
	}
	return nil
}

// open is the entry of a program, made at need. It moves other entries.
func (st *State) open(index int) *entry {
	at := 0
	for at < len(st.ents) && st.ents[at].index < index {
		at++
	}
	if at < len(st.ents) && st.ents[at].index == index {
		return &st.ents[at]
	}
	if len(st.ents) == cap(st.ents) {
		st.ents = slices.Grow(st.ents, 1)
	}
	st.ents = st.ents[:len(st.ents)+1]
	spare := st.ents[len(st.ents)-1] // keeps the memory of a former entry
	copy(st.ents[at+1:], st.ents[at:])
	e := &st.ents[at]
	*e = entry{index: index, stamps: spare.stamps[:0], strand: spare.reused(), old: spare.old.reused()}
	return e
}

// drop removes the entry at i and keeps its memory behind the end.
func (st *State) drop(i int) {
	spare := st.ents[i]
	copy(st.ents[i:], st.ents[i+1:])
	st.ents[len(st.ents)-1] = spare
	st.ents = st.ents[:len(st.ents)-1]
}

// empty tells whether the entry says nothing.
func (e *entry) empty() bool {
	return !e.once && e.free == 0 && len(e.stamps) == 0 && e.strand.empty() && e.old.empty()
}

// empty tells whether the strand says nothing.
func (s *strand) empty() bool { return len(s.rows) == 0 && len(s.buffer) == 0 && s.floor == 0 }

// reused is an empty strand with the memory of s.
func (s *strand) reused() strand { return strand{rows: s.rows[:0], buffer: s.buffer[:0]} }

// row is the row of a key, or -1.
func (s *strand) row(key string) int {
	for i := range s.rows {
		if string(s.rows[i].key) == key {
			return i
		}
	}
	return -1
}

// add opens a row at the end.
func (s *strand) add(p *Program, key string) *row {
	if len(s.rows) == cap(s.rows) {
		s.rows = slices.Grow(s.rows, 1)
	}
	s.rows = s.rows[:len(s.rows)+1]
	r := &s.rows[len(s.rows)-1]
	n := p.partials()
	r.key = append(r.key[:0], key...)
	r.parts = slices.Grow(r.parts[:0], n)[:n]
	clear(r.parts)
	r.stamps = r.stamps[:0]
	r.count, r.answer = timer{}, timer{}
	return r
}

// remove removes the row at i and keeps its memory behind the end.
func (s *strand) remove(i int) {
	spare := s.rows[i]
	copy(s.rows[i:], s.rows[i+1:])
	s.rows[len(s.rows)-1] = spare
	s.rows = s.rows[:len(s.rows)-1]
}

// level is how many steps the row has done.
func (r *row) level(p *Program) int {
	switch {
	case r.answer.on:
		return p.Len()
	case r.count.on:
		return p.units
	case !p.stamped: // a step is an event
		for i, part := range slices.Backward(r.parts) {
			if part.live {
				return i + 1
			}
		}
		return 0
	}
	for i := len(p.stages) - 1; i >= 0; i-- {
		st := &p.stages[i]
		if i < len(r.parts) && r.parts[i].live {
			return st.base + st.need
		}
		if st.kind != single {
			if n := r.stamped(st); n > 0 {
				return st.base + min(n, st.need-1)
			}
		}
	}
	return 0
}

// since is the start of the chain that is the furthest.
func (r *row) since(p *Program) int64 {
	for i := len(p.stages) - 1; i >= 0; i-- {
		if i < len(r.parts) && r.parts[i].live {
			return r.parts[i].start
		}
		since, any := int64(math.MaxInt64), false
		for j := range r.stamps {
			if s := &r.stamps[j]; p.stages[i].has(s.bit) {
				since, any = min(since, s.start), true
			}
		}
		if any {
			return since
		}
	}
	return 0
}

// stamped counts the stamps of a stage.
func (r *row) stamped(st *stage) int {
	n := 0
	for i := range r.stamps {
		if st.has(r.stamps[i].bit) {
			n++
		}
	}
	return n
}

// has tells whether a bit is one of the stage's.
func (st *stage) has(bit int) bool { return bit >= st.bit && bit < st.bit+st.width }

// pending tells whether a timer runs.
func (r *row) pending() bool { return r.count.on || r.answer.on }

// empty tells whether the row says nothing.
func (r *row) empty() bool {
	if r.pending() || len(r.stamps) > 0 {
		return false
	}
	for i := range r.parts {
		if r.parts[i].live {
			return false
		}
	}
	return true
}

// clear forgets the progress, not what is pending.
func (r *row) clear() {
	clear(r.parts)
	r.stamps = r.stamps[:0]
}

// newest is the start of the newest chain that is live.
func (r *row) newest() (start int64, ok bool) {
	for i := range r.parts {
		if q := &r.parts[i]; q.live && (!ok || q.start > start) {
			start, ok = q.start, true
		}
	}
	for i := range r.stamps {
		if s := r.stamps[i].start; !ok || s > start {
			start, ok = s, true
		}
	}
	return start, ok
}

// happening is the next thing that the passing of time brings to a strand.
type happening struct {
	at     int64 // logical time; math.MaxInt64: nothing
	row    int   // of the timer; -1: an event of the buffer
	answer bool  // which of its timers
}

// next is the earliest timer or waiting event of the strand; of a tie the timer.
func (s *strand) next() happening {
	h := happening{at: math.MaxInt64}
	for i := range s.rows {
		if c := &s.rows[i].count; c.on && c.due < h.at {
			h = happening{c.due, i, false}
		}
		if a := &s.rows[i].answer; a.on && a.due < h.at {
			h = happening{a.due, i, true}
		}
	}
	if len(s.buffer) > 0 && s.buffer[0].t < h.at {
		h = happening{s.buffer[0].t, -1, false}
	}
	return h
}

// timer is the earliest thing the strand waits for, as a log time.
func (s *strand) timer(p *Program) int64 {
	if h := s.next(); h.at != math.MaxInt64 {
		return h.at + p.lateness
	}
	return math.MaxInt64
}

// slack is how much longer than needed things are kept, for events whose
// receipt and append are apart.
const slack = 60e6

// expiry is the log time from which on no event that may still come live can
// need what the entry keeps; 0 if nothing of it expires.
func (e *entry) expiry(p, old *Program) int64 {
	end := max(e.free, e.strand.expiry(p))
	if old != nil {
		end = max(end, e.old.expiry(old))
	}
	if n := len(e.stamps); n > 0 {
		end = max(end, e.stamps[n-1]+p.per)
	}
	if end == 0 {
		return 0
	}
	return end + p.keep(old)
}

// keep is how much longer than it counts a thing is kept, for events that come
// late and wait.
func (p *Program) keep(old *Program) int64 {
	late := p.lateness
	if old != nil {
		late = max(late, old.lateness)
	}
	return p.maxAge + late + slack
}

func (s *strand) expiry(p *Program) int64 {
	end := s.floor
	for i := range s.rows {
		if start, ok := s.rows[i].newest(); ok {
			end = max(end, start+p.within)
		}
	}
	return end
}

// plan recomputes the deadlines.
func (st *State) plan() {
	st.next, st.forget = math.MaxInt64, 0
	if st.set == nil {
		return
	}
	if st.last != 0 {
		st.forget = st.last + st.set.maxAge + slack
	}
	for i := range st.ents {
		e := &st.ents[i]
		p, old := st.set.programs[e.index], st.set.olds[e.index]
		st.next = min(st.next, e.timer(p))
		if old != nil {
			st.next = min(st.next, e.old.timer(old))
		}
		st.forget = max(st.forget, e.expiry(p, old))
	}
}
