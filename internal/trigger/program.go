package trigger

import (
	"heed/internal/condition"
)

// Bounds, so that rows stay small.
const (
	maxSteps    = 64  // event steps, repetitions counted
	maxElements = 16  // of an all step
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

	id  ident
	tag [4]byte // first bytes of Pattern, kept with rows

	stages []stage
	bits   []bit // what one event can do: a step, or a part of one
	units  int   // Done and Steps count these: events that the pattern takes
	first  uint64
	within int64 // µs; 0 with less than two event steps
	roles  map[string]*role
	other  role // of names that are not in roles, for silence

	final      final
	wait       int64 // final countdown, µs
	delay      int64 // of the answer, µs
	stops      []string
	when       *condition.Program // of stops
	cancels    []string
	restart    bool // anchor: last
	lasts      bool // partials keep their last time (gap or increasing)
	increasing bool
	overlap    bool
	stamped    bool   // there are steps of several events in any order
	distinct   uint64 // bits of distinct steps
	keyed      bool
	by         string // normal form of by
	buffered   bool   // order: event
	lateness   int64  // µs

	// What takes effect at once when it is edited.
	rules

	// heir is the program in force, if this is the version before the last edit.
	heir *Program
}

// rules are what is not part of the pattern.
type rules struct {
	once     bool
	cooldown int64
	limit    int
	per      int64
	maxAge   int64
	maxStale int64
	audience string
	hold     bool
}

// stage is a step; a repeated one is as many stages.
type stage struct {
	kind  kind
	bit   int // the first of its bits
	width int // how many there are: one an element
	need  int // events that do it
	base  int // events that do the stages before it
	gap   int64
	field *condition.Field // distinct
	done  int              // repetitions of the step as written that come before
	of    int
}

// kind says how a stage is done.
type kind uint8

const (
	single  kind = iota // by an event
	all                 // by one event for each element, in any order
	several             // by events of as many distinct values
)

// bit is what one event can do.
type bit struct {
	stage int
	name  string
	where *condition.Program
}

// final says what follows the last event step.
type final uint8

const (
	atOnce  final = iota // the trigger fires
	delayed              // it answers after wait, unless cancelled
	absence              // it fires after wait without such an event
	silence              // it fires after wait without any event
)

// role is what an event of one name means to a program. Kills are at the first
// bit of the stage that the broken edge leads into.
type role struct {
	match  uint64 // bits of that name
	kill   uint64 // edges that such an event breaks
	reset  bool
	stop   bool               // ends the countdown
	when   *condition.Program // ... if this holds
	cancel bool               // cancels the answer
	active bool               // counts as activity
	every  bool               // has no field in by: concerns every row
	field  *condition.Field   // of by
}

// Len is the number of steps: the events that the pattern takes, and a final
// countdown.
func (p *Program) Len() int {
	if p.counts() {
		return p.units + 1
	}
	return p.units
}

// counts tells whether the pattern ends with a countdown.
func (p *Program) counts() bool { return p.final == absence || p.final == silence }

// partials is how many stages have one to be kept.
func (p *Program) partials() int { return max(len(p.stages)-1, 0) }

// starts tells whether an event of that role can do something where there is
// no row yet.
func (p *Program) starts(r *role) bool {
	return r.match&p.first != 0 || len(p.stages) == 0 && r.active
}

// shown is the program that firings are reported of.
func (p *Program) shown() *Program {
	if p.heir != nil {
		return p.heir
	}
	return p
}

// finishing is the program beside its heir: what was edited at once is the
// heir's, and new chains do not begin.
func (p *Program) finishing(heir *Program) *Program {
	old := *p
	old.rules, old.heir = heir.rules, heir
	return &old
}

// String is the trigger's name.
func (p *Program) String() string { return p.Name }
