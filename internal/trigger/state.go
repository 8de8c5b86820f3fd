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

	// Scratch.
	call     stepper
	texts    []string
	now      reading
	released reading
}

// entry is what one trigger knows about the user.
type entry struct {
	index int

	// Marks: they outlive the rows.
	once   bool
	free   int64   // end of the cooldown; 0: none
	stamps []int64 // firings that count for the limit, oldest first

	rows []row // in the order in which they were opened

	// Of order: event.
	buffer []reading // in order of time, ties as they arrived
	floor  int64     // events before it have been passed already
}

// row is the progress of one value of by, or of the trigger if it has none.
type row struct {
	key     []byte
	parts   []partial // parts[i]: the newest partial that reached step i
	pending bool      // a countdown or an answer is pending:
	due     int64     // when
	cause   cause     // and the event that armed it
}

// partial is where a chain stands.
type partial struct {
	live        bool
	start, last int64
	// The newest partial with last strictly before the other's, for increasing.
	earlier                  bool
	earlierStart, earlierEnd int64
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
	active bool
	every  bool
	keys   []string // values of by
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
	st.last, st.ents = 0, st.ents[:0]
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
	*e = entry{index: index, stamps: spare.stamps[:0], rows: spare.rows[:0], buffer: spare.buffer[:0]}
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
	return !e.once && e.free == 0 && len(e.stamps) == 0 && len(e.rows) == 0 && len(e.buffer) == 0 && e.floor == 0
}

// row is the row of a key, or -1.
func (e *entry) row(key string) int {
	for i := range e.rows {
		if string(e.rows[i].key) == key {
			return i
		}
	}
	return -1
}

// add opens a row at the end.
func (e *entry) add(p *Program, key string) *row {
	if len(e.rows) == cap(e.rows) {
		e.rows = slices.Grow(e.rows, 1)
	}
	e.rows = e.rows[:len(e.rows)+1]
	r := &e.rows[len(e.rows)-1]
	n := max(p.n-1, 0)
	r.key = append(r.key[:0], key...)
	r.parts = slices.Grow(r.parts[:0], n)[:n]
	clear(r.parts)
	r.pending, r.due, r.cause = false, 0, cause{}
	return r
}

// remove removes the row at i and keeps its memory behind the end.
func (e *entry) remove(i int) {
	spare := e.rows[i]
	copy(e.rows[i:], e.rows[i+1:])
	e.rows[len(e.rows)-1] = spare
	e.rows = e.rows[:len(e.rows)-1]
}

// level is how many steps the row has done.
func (r *row) level(p *Program) int {
	if r.pending {
		return p.n
	}
	for i, q := range slices.Backward(r.parts) {
		if q.live {
			return i + 1
		}
	}
	return 0
}

// empty tells whether the row says nothing.
func (r *row) empty() bool {
	if r.pending {
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
func (r *row) clear() { clear(r.parts) }

// newest is the start of the newest partial that is live.
func (r *row) newest() (start int64, ok bool) {
	for i := range r.parts {
		if q := &r.parts[i]; q.live && (!ok || q.start > start) {
			start, ok = q.start, true
		}
	}
	return start, ok
}

// timer is the earliest thing the entry waits for, as a log time.
func (e *entry) timer(p *Program) int64 {
	next := int64(math.MaxInt64)
	for i := range e.rows {
		if e.rows[i].pending {
			next = min(next, e.rows[i].due)
		}
	}
	if len(e.buffer) > 0 {
		next = min(next, e.buffer[0].t)
	}
	if next != math.MaxInt64 {
		next += p.lateness
	}
	return next
}

// slack is how much longer than needed things are kept, for events whose
// receipt and append are apart.
const slack = 60e6

// expiry is the log time from which on no event that may still come live can
// need what the entry keeps; 0 if nothing of it expires.
func (e *entry) expiry(p *Program) int64 {
	var end int64
	for i := range e.rows {
		if start, ok := e.rows[i].newest(); ok {
			end = max(end, start+p.within)
		}
	}
	end = max(end, e.free, e.floor)
	if n := len(e.stamps); n > 0 {
		end = max(end, e.stamps[n-1]+p.per)
	}
	if end == 0 {
		return 0
	}
	return end + p.maxAge + slack
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
		p := st.set.programs[e.index]
		st.next = min(st.next, e.timer(p))
		st.forget = max(st.forget, e.expiry(p))
	}
}
