package trigger

import (
	"heed/internal/condition"
)

// Bounds, so that rows stay small.
const (
	maxSteps    = 64  // event steps, repetitions counted
	maxValues   = 16  // live values of by per user and trigger
	maxBuffered = 64  // events that wait in order: event
	maxFanout   = 64  // values of by that one event carries
	maxKey      = 128 // bytes of a value of by; longer ones are hashed
	maxLimit    = 100 // count of limit
	maxNames    = 100 // of a list of names
)

// ident names a trigger in stored rows: the first bytes of a hash of its name,
// 48 bits among the at most some thousand triggers of an installation.
type ident [6]byte

// Program is a compiled trigger. It is immutable.
type Program struct {
	// Name is the trigger's name.
	Name string
	// Pattern is the hash of the normalised pattern: equal for definitions whose
	// rows mean the same. Audience, limit, re-entry and ages are not part of it.
	Pattern [16]byte

	id      ident
	tag     [4]byte // first bytes of Pattern, kept with rows
	n       int     // event steps, repetitions written out
	gaps    []int64 // µs, of the edge into each step; 0: none
	where   []*condition.Program
	names   []string // event of each step
	repeats []repeat // which repetition of its step as written
	within  int64    // µs; 0 with less than two event steps
	roles   map[string]*role
	other   role // of names that are not in roles, for silence

	final      final
	wait       int64 // countdown or delay, µs
	stops      []string
	restart    bool // anchor: last
	lasts      bool // partials keep their last time (gap or increasing)
	increasing bool
	overlap    bool
	keyed      bool
	buffered   bool  // order: event
	lateness   int64 // µs

	once     bool
	cooldown int64
	limit    int
	per      int64
	maxAge   int64
	maxStale int64
	audience string
	hold     bool
}

// repeat says that so many of the repetitions of a step are done before it.
type repeat struct{ done, of int }

// final says what follows the last event step.
type final uint8

const (
	atOnce  final = iota // the trigger fires
	delayed              // it answers after wait, unless cancelled
	absence              // it fires after wait without such an event
	silence              // it fires after wait without any event
)

// role is what an event of one name means to a program. Bit i of a mask is step
// i or the edge into it.
type role struct {
	match  uint64 // steps of that name
	kill   uint64 // edges that such an event breaks
	reset  bool
	stop   bool               // ends the countdown, or cancels the answer
	when   *condition.Program // ... if this holds
	active bool               // counts as activity
	every  bool               // has no field in by: concerns every row
	field  *condition.Field   // of by
}

// Len is the number of steps, a final countdown included.
func (p *Program) Len() int {
	if p.counts() {
		return p.n + 1
	}
	return p.n
}

// counts tells whether the pattern ends with a countdown.
func (p *Program) counts() bool { return p.final == absence || p.final == silence }

// String is the trigger's name.
func (p *Program) String() string { return p.Name }
