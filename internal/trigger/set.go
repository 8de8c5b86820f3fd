package trigger

import (
	"errors"

	"heed/internal/event"
)

// ErrCorrupt says that bytes given to Decode were not written by Append.
var ErrCorrupt = errors.New("trigger: corrupt rows")

// Input is what Step and Wake are told. Times are µs since the Unix epoch.
type Input struct {
	// Event is what happened; nil for Wake.
	Event *event.Event
	// Time is the event time. Step clamps it to LogTime and, for triggers in
	// order of arrival, to the newest time of the user.
	Time int64
	// LogTime is the running maximum of the append time in the partition, this
	// event included.
	LogTime int64
	// Offset is the event's offset in its partition.
	Offset uint64
	// Key is event.KeyOf(source, message id).
	Key [16]byte
	// Traits is the profile's traits as a JSON object, or nil.
	Traits []byte
	// Pull looks a document of the user up, for conditions on
	// pull.<collection>.*: a JSON object, or nil. Without it they are missing.
	Pull func(collection string) []byte
	// InAudience tells whether the user is in an audience now; nil: in all.
	InAudience func(name string) bool
	// Live is false for replay and backtest, which ignore max_age, max_stale
	// and context.historical.
	Live bool
}

// Firing says that a trigger fired for the user.
type Firing struct {
	Program *Program
	Key     string // correlation value of the row, if any
	At      int64  // logical time: of the completing event, or the deadline
	FireID  [16]byte
	// Offset, CauseKey and Depth are those of the completing event or, when a
	// timer fired, of the event that armed it.
	Offset   uint64
	CauseKey [16]byte
	Depth    int
	Timer    bool // a timer fired, not the event at hand
}

// Reason says why something that matched did not fire.
type Reason uint8

// The reasons.
const (
	Limited    Reason = iota + 1 // the trigger's limit was reached
	Outside                      // the user was not in the audience
	Overdue                      // the timer was found overdue by more than max_stale
	Canceled                     // a cancel event came before the delayed answer
	TooOld                       // the event was received later than max_age after its time
	Historical                   // the event is marked as history
	TooDeep                      // the event is derived from others too deeply
	Expired                      // the window passed with two steps or more done

	// LastReason is the last of them.
	LastReason = Expired
)

// String is the reason as explain shows it.
func (r Reason) String() string {
	switch r {
	case Limited:
		return "limit"
	case Outside:
		return "audience"
	case Overdue:
		return "stale"
	case Canceled:
		return "cancelled"
	case TooOld:
		return "too_old"
	case Historical:
		return "historical"
	case TooDeep:
		return "too_deep"
	case Expired:
		return "expired"
	}
	return "unknown"
}

// ReasonOf reads what String wrote; 0 if it is no reason.
func ReasonOf(text string) Reason {
	for r := Reason(1); r <= LastReason; r++ {
		if r.String() == text {
			return r
		}
	}
	return 0
}

// Refusal is a chance to fire that came to nothing: a match that was consumed, a
// step that did not count, or progress that was lost.
type Refusal struct {
	Program *Program
	Key     string
	At      int64
	Reason  Reason
}

// Transition says that a row went from one step to another: 0 is "no row", i
// is "i steps done". Sums of them are the live progress counts of a trigger.
type Transition struct {
	Program  int // index in the Set
	From, To int
}

// Counts are what was not matched, per (event, trigger) or timer.
type Counts struct {
	Late    int // dropped because the buffer of order: event had passed its time
	Stale   int // events older than max_age or historical, and overdue timers
	Evicted int // rows over 16 live values of by, and buffered events over 64
	Limited int // firings refused by limit
	Outside int // firings refused by audience
	Deep    int // events derived too deeply
	Dropped int // users' progress that ended since the pattern was edited again
}

// Add adds b to c.
func (c *Counts) Add(b Counts) {
	c.Late += b.Late
	c.Stale += b.Stale
	c.Evicted += b.Evicted
	c.Limited += b.Limited
	c.Outside += b.Outside
	c.Deep += b.Deep
	c.Dropped += b.Dropped
}

// Result collects what Step and Wake did. They append to it and add to its
// counts; the caller calls Reset when it has taken them.
type Result struct {
	Firings     []Firing // in order of their logical time within one call, timers first
	Refusals    []Refusal
	Transitions []Transition
	Counts      Counts
	Changed     bool // the State differs: it has to be stored
}

// Reset empties r and keeps its memory.
func (r *Result) Reset() {
	r.Firings = r.Firings[:0]
	r.Refusals = r.Refusals[:0]
	r.Transitions = r.Transitions[:0]
	r.Counts = Counts{}
	r.Changed = false
}

// Set is the triggers in force, with a router over every name that one of them
// reads. It is immutable and may be used concurrently, each call with its own
// State and Result.
type Set struct {
	programs []*Program
	olds     []*Program // the version before the last edit of each, or nil
	routes   map[string][]route
	idle     []route // triggers that watch every name
	byName   map[ident]int
	maxAge   int64 // largest max_age, µs
}

// route leads an event to a program: what its name means there, and what it
// means to the version before the last edit. Either role may be nil.
type route struct {
	index int
	prog  *Program
	role  *role
	old   *Program
	was   *role
}

// NewSet makes the Set of the programs, one per trigger name (of doubled names
// the last counts).
//
// previous are what some of them were before the pattern was last edited: rows
// that were begun under it may finish by it. It begins no chain, the one in
// force sees every later event, and a firing of either restarts both. Rows of
// any other version are dropped and counted.
func NewSet(programs []*Program, previous ...*Program) *Set {
	s := &Set{routes: make(map[string][]route), byName: make(map[ident]int)}
	for _, p := range programs {
		if i, ok := s.byName[p.id]; ok {
			s.programs[i] = p
			continue
		}
		s.byName[p.id] = len(s.programs)
		s.programs = append(s.programs, p)
	}
	s.olds = make([]*Program, len(s.programs))
	for _, p := range previous {
		if i, ok := s.byName[p.id]; ok && s.programs[i].Pattern != p.Pattern {
			s.olds[i] = p.finishing(s.programs[i])
		}
	}
	for i, p := range s.programs {
		s.maxAge = max(s.maxAge, p.maxAge)
		for name := range p.roles {
			s.routes[name] = nil
		}
		if old := s.olds[i]; old != nil {
			for name := range old.roles {
				s.routes[name] = nil
			}
		}
		if r := s.route(i, ""); r.role != nil || r.was != nil {
			s.idle = append(s.idle, r)
		}
	}
	for name := range s.routes {
		var rs []route
		for i := range s.programs {
			if r := s.route(i, name); r.role != nil || r.was != nil {
				rs = append(rs, r)
			}
		}
		s.routes[name] = rs
	}
	return s
}

// route is what a name means to the program at index; the empty name is that of
// an event which no program reads.
func (s *Set) route(index int, name string) route {
	r := route{index: index, prog: s.programs[index], old: s.olds[index]}
	r.role = r.prog.role(name)
	if r.old != nil {
		r.was = r.old.role(name)
	}
	return r
}

// role is what a name means to the program, or nil.
func (p *Program) role(name string) *role {
	if r := p.roles[name]; r != nil {
		return r
	}
	if p.final == silence && !reserved(name) {
		return &p.other
	}
	return nil
}

// Programs are the programs of the Set in the order of Transition.Program.
func (s *Set) Programs() []*Program { return s.programs }

// Relevant tells cheaply whether a trigger may care about events of that name.
// Events for which it is false need no Step.
func (s *Set) Relevant(name string) bool {
	if len(s.idle) > 0 && !reserved(name) {
		return true
	}
	_, ok := s.routes[name]
	return ok
}

// candidates are the routes of a name.
func (s *Set) candidates(name string) []route {
	if r, ok := s.routes[name]; ok {
		return r
	}
	if reserved(name) {
		return nil
	}
	return s.idle
}

func reserved(name string) bool {
	return len(name) >= len(event.ReservedPrefix) && name[:len(event.ReservedPrefix)] == event.ReservedPrefix
}
