package measure

import (
	"heed/internal/condition"
	"heed/internal/period"
)

// Audience is one node of a tree over users: exactly one of its fields is set.
// The zero Audience is all users.
type Audience struct {
	All []Audience `yaml:"all,omitempty" json:"all,omitempty"`
	Any []Audience `yaml:"any,omitempty" json:"any,omitempty"`
	Not *Audience  `yaml:"not,omitempty" json:"not,omitempty"`

	// Where is a condition on traits.*.
	Where *condition.Condition `yaml:"where,omitempty" json:"where,omitempty"`
	// Is asks a dimension of who the user is.
	Is *Is `yaml:"is,omitempty" json:"is,omitempty"`
	// Did asks for events.
	Did *Did `yaml:"did,omitempty" json:"did,omitempty"`
	// Consent is a key of the consent that the user gave: it is true.
	Consent string `yaml:"consent,omitempty" json:"consent,omitempty"`
	// Audience is another one, by name; Resolve puts its tree here.
	Audience string `yaml:"audience,omitempty" json:"audience,omitempty"`
	// Users are ids. An id of an anonymous user who became known is the user.
	Users []string `yaml:"users,omitempty" json:"users,omitempty"`

	// A place in an answer.
	Funnel    *InFunnel    `yaml:"funnel,omitempty" json:"funnel,omitempty"`
	Retention *InRetention `yaml:"retention,omitempty" json:"retention,omitempty"`
	Path      *InPath      `yaml:"path,omitempty" json:"path,omitempty"`
	Session   *InSession   `yaml:"session,omitempty" json:"session,omitempty"`
}

// Is holds if the value of a dimension is one of Values, where null is no value.
type Is struct {
	Dimension Dimension `yaml:"dimension" json:"dimension"`
	Values    []*string `yaml:"values" json:"values"`
	Not       bool      `yaml:"not,omitempty" json:"not,omitempty"` // holds if it is none of them
}

// Did holds for users with events that match: at least Min of them (default 1)
// and at most Max, within During. {max: 0} is "did not". In order within a
// window is a Funnel.
type Did struct {
	Event  string              `yaml:"event,omitempty" json:"event,omitempty"`
	Where  condition.Condition `yaml:"where,omitempty" json:"where,omitzero"`
	Is     []Is                `yaml:"is,omitempty" json:"is,omitempty"` // dimensions of the event, all of them
	During Range               `yaml:"during,omitempty" json:"during,omitzero"`
	Min    *int                `yaml:"min,omitempty" json:"min,omitempty"`
	Max    *int                `yaml:"max,omitempty" json:"max,omitempty"`
}

// Match is what the clause matches, apart from Is.
func (d *Did) Match() Match { return Match{Event: d.Event, Where: d.Where} }

// Bounds are the least and the greatest number of events; most < 0: no bound.
func (d *Did) Bounds() (least, most int) {
	least, most = 1, -1
	if d.Max != nil {
		most, least = *d.Max, min(1, *d.Max)
	}
	if d.Min != nil {
		least = *d.Min
	}
	return least, most
}

// State is where users are that stand at a level of a funnel.
type State string

// The states.
const (
	Reached  State = "reached"  // got there, or further
	Stuck    State = "stuck"    // got there and no further, and no window is open
	Progress State = "progress" // got there and no further yet
)

// InFunnel is the users at a place of a funnel. "Dropped at level 2" is
// {level: 2, state: stuck}, did step 2 and not step 3, or {level: 1, state:
// stuck}, did step 1 and never came to step 2.
type InFunnel struct {
	Funnel Funnel              `yaml:"funnel" json:"funnel"`
	During Range               `yaml:"during,omitempty" json:"during,omitzero"`
	Where  condition.Condition `yaml:"where,omitempty" json:"where,omitzero"`
	Level  int                 `yaml:"level" json:"level"` // 1 to the number of steps
	State  State               `yaml:"state" json:"state"`
}

// InRetention is a cell: the users of a cohort who came back in a period. In
// period 0 it is the whole cohort.
type InRetention struct {
	Retention Retention           `yaml:"retention" json:"retention"`
	During    Range               `yaml:"during,omitempty" json:"during,omitzero"`
	Where     condition.Condition `yaml:"where,omitempty" json:"where,omitzero"`
	Cohort    string              `yaml:"cohort" json:"cohort"` // RFC 3339 time in the cohort's unit
	Period    int                 `yaml:"period" json:"period"`
	Lost      bool                `yaml:"lost,omitempty" json:"lost,omitempty"` // those who did not come back instead
}

// InPath is the users whose path leads over an event at a depth.
type InPath struct {
	Paths  Paths               `yaml:"paths" json:"paths"`
	During Range               `yaml:"during,omitempty" json:"during,omitzero"`
	Where  condition.Condition `yaml:"where,omitempty" json:"where,omitzero"`
	Depth  int                 `yaml:"depth" json:"depth"` // 0: the anchor itself
	// Events are the names at this depth; null is the end of the path: it has
	// one step less.
	Events []*string `yaml:"events" json:"events"`
	Not    bool      `yaml:"not,omitempty" json:"not,omitempty"` // it has this depth, and none of them
	// Previous are the names one step nearer to the anchor; empty: any.
	Previous    []*string `yaml:"previous,omitempty" json:"previous,omitempty"`
	NotPrevious bool      `yaml:"notPrevious,omitempty" json:"notPrevious,omitempty"`
}

// InSession is the users with a session that began during a time.
type InSession struct {
	During Range               `yaml:"during,omitempty" json:"during,omitzero"`
	Where  condition.Condition `yaml:"where,omitempty" json:"where,omitzero"`
}

// Dimension is a named bucketing. It is a reference (Dimension), or exactly one
// of Field, Days, Events, Recency, Sum says what it is of. A value is text, or
// missing.
type Dimension struct {
	Name        string `yaml:"name,omitempty" json:"name,omitempty"` // of a definition; not needed in a query
	Description string `yaml:"description,omitempty" json:"description,omitempty"`

	// Dimension refers to one by name; Resolve puts it here.
	Dimension string `yaml:"dimension,omitempty" json:"dimension,omitempty"`

	// Field is of the user (traits.*, user.country, acquisition.month ...) or
	// of the event (event.*, properties.*, context.*). See Fields.
	Field string `yaml:"field,omitempty" json:"field,omitempty"`
	// Days is the number of local days with a matching event.
	Days *Behavior `yaml:"days,omitempty" json:"days,omitempty"`
	// Events is the number of matching events.
	Events *Behavior `yaml:"events,omitempty" json:"events,omitempty"`
	// Recency is the number of whole days (24 h) since the last matching event;
	// missing without one.
	Recency *Behavior `yaml:"recency,omitempty" json:"recency,omitempty"`
	// Sum is the sum of a numeric field over matching events.
	Sum *Behavior `yaml:"sum,omitempty" json:"sum,omitempty"`

	// Buckets name ranges of numbers or sets of texts: the first that fits is
	// the value, and missing if none does. Without them the value is itself.
	Buckets []Bucket `yaml:"buckets,omitempty" json:"buckets,omitempty"`
}

// Behavior is what users did, for a dimension.
type Behavior struct {
	Event  string              `yaml:"event,omitempty" json:"event,omitempty"`
	Where  condition.Condition `yaml:"where,omitempty" json:"where,omitzero"`
	During Range               `yaml:"during,omitempty" json:"during,omitzero"`
	Field  string              `yaml:"field,omitempty" json:"field,omitempty"` // of a sum
}

// Match is what the behavior matches.
func (b *Behavior) Match() Match { return Match{Event: b.Event, Where: b.Where} }

// Bucket is numbers from From up to, not including, Below, or the texts In.
type Bucket struct {
	Name  string   `yaml:"name" json:"name"`
	From  *float64 `yaml:"from,omitempty" json:"from,omitempty"`
	Below *float64 `yaml:"below,omitempty" json:"below,omitempty"`
	In    []string `yaml:"in,omitempty" json:"in,omitempty"`
}

// SessionGap is the silence that ends a session.
const SessionGap = period.Period(30 * 60 * 1e9)
