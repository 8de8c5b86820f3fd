package trigger

import (
	"heed/internal/condition"
)

// Bounds of a definition, so that rows stay small.
const (
	maxSteps    = 64 // event steps with repetitions counted
	maxValues   = 16 // live values of by per user and trigger
	maxBuffered = 64 // events waiting in order: event
	maxKey      = 128
	maxLimit    = 100
)

// ident names a trigger in stored rows: the first bytes of a hash of its name.
// 48 bits among the at most some thousand triggers of an installation.
type ident [6]byte

// Program is a compiled trigger. It is immutable.
type Program struct {
	// Name is the trigger's name.
	Name string
	// Pattern is the hash of the normalised pattern: equal for definitions that
	// mean the same rows. Audience, limit, re-entry and ages are not part of it.
	Pattern [16]byte

	id     ident
	tag    [4]byte // first bytes of Pattern, kept with rows
	steps  []step  // event steps, repetitions written out
	within int64   // µs
	roles  map[string]*role
	other  role // of a name that is not in roles, for idle
	index  int

	lasts      bool // partials keep their last time (gap or increasing)
	increasing bool
	overlap    bool
	final      final
	idle       bool  // reads every name
	wait       int64 // final countdown or delay, µs
	by         *correlation
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

// final says what follows the last event step.
type final uint8

const (
	fire   final = iota // the trigger fires at once
	delay               // it fires after wait, unless cancelled
	absent              // it fires after wait without such an event
	silent              // it fires after wait without any event
)

// step is one event step; its constraints are those of the edge into it.
type step struct {
	gap int64 // µs, 0: none
}

// role is what an event of one name means to a program. Bit i of a mask is
// step i, or the edge into it.
type role struct {
	match  uint64 // steps of that name
	conds  []guard
	kill   uint64 // edges that such an event breaks
	reset  bool
	cancel bool // ends the answer or the countdown that is pending ...
	when   *condition.Program
	active bool             // counts as activity for idle
	every  bool             // has no field of by: concerns every row
	field  *condition.Field // of by
}

// guard is the condition of some steps.
type guard struct {
	steps uint64
	where *condition.Program
}

// correlation is by, compiled.
type correlation struct{}

// Len is the number of steps, the final countdown included.
func (p *Program) Len() int {
	if p.final == absent || p.final == silent {
		return len(p.steps) + 1
	}
	return len(p.steps)
}

// String is the trigger's name.
func (p *Program) String() string { return p.Name }
