// Package measure owns what can be asked about the behavior of users: one
// model for series, breakdowns, funnels, retention, paths and the rest, what
// each of them means, its strict parsing and its bounds, and how a mark of an
// answer becomes an audience. docs/measures.md shows it by example.
//
// It is pure: it reads no clock and holds no events. Who answers a query
// (journey, or SQL over the facts) is not its business; that they answer alike
// is, and the tests of this package hold the oracle for it.
//
// # What exists for a query
//
// An event exists for a query if it happened before the query's as-of time, its
// user is known, it is not a bot's or internal (unless included) and it
// satisfies the query's Where. Its user is the one whom the merges known today
// give its ids to. Events are in order of event time, equal times in the order
// of the log; between ids that were merged, equal times have no order. Control
// records do not exist. Events whose names begin with "heed." exist only for a
// Match that names them: they are no activity and break no strictness.
//
// A user exists for a query if an event of theirs that counts as activity
// exists, or an import that told of them, whatever Where says; nor does Where touch
// the audience. What they are (traits, place, consent, acquisition, last touch) is as
// known today from events that are not excluded; what they
// did ends at as-of.
package measure

import (
	"time"

	"heed/internal/condition"
	"heed/internal/period"
	"heed/internal/touch"
)

// Kind names what is asked.
type Kind string

// The kinds.
const (
	KindSeries      Kind = "series"
	KindBreakdown   Kind = "breakdown"
	KindFunnel      Kind = "funnel"
	KindRetention   Kind = "retention"
	KindPaths       Kind = "paths"
	KindLive        Kind = "live"
	KindUsers       Kind = "users"
	KindTimeline    Kind = "timeline"
	KindSessions    Kind = "sessions"
	KindAttribution Kind = "attribution"
	KindReturn      Kind = "return"
)

// Query asks one thing: exactly one of the pointers is set.
type Query struct {
	// Range is when; the zero Range is all time that is known.
	Range Range `yaml:"range,omitempty" json:"range,omitzero"`
	// AsOf is an RFC 3339 time at which the answer stops; empty: now. A later
	// time than now is now.
	AsOf string `yaml:"asOf,omitempty" json:"asOf,omitempty"`
	// Zone is the IANA time zone of days, weeks and months; empty: UTC.
	Zone string `yaml:"zone,omitempty" json:"zone,omitempty"`
	// WeekStart is the first day of a week, "monday" (also if empty) to "sunday".
	WeekStart string `yaml:"weekStart,omitempty" json:"weekStart,omitempty"`
	// Audience: only these users; nil: all.
	Audience *Audience `yaml:"audience,omitempty" json:"audience,omitempty"`
	// Where: only these events. It asks event.*, properties.* and context.*.
	Where condition.Condition `yaml:"where,omitempty" json:"where,omitzero"`
	// Bots and Internal take in what is left out by default.
	Bots     bool `yaml:"bots,omitempty" json:"bots,omitempty"`
	Internal bool `yaml:"internal,omitempty" json:"internal,omitempty"`

	Series      *Series      `yaml:"series,omitempty" json:"series,omitempty"`
	Breakdown   *Breakdown   `yaml:"breakdown,omitempty" json:"breakdown,omitempty"`
	Funnel      *Funnel      `yaml:"funnel,omitempty" json:"funnel,omitempty"`
	Retention   *Retention   `yaml:"retention,omitempty" json:"retention,omitempty"`
	Paths       *Paths       `yaml:"paths,omitempty" json:"paths,omitempty"`
	Live        *Live        `yaml:"live,omitempty" json:"live,omitempty"`
	Users       *Users       `yaml:"users,omitempty" json:"users,omitempty"`
	Timeline    *Timeline    `yaml:"timeline,omitempty" json:"timeline,omitempty"`
	Sessions    *Sessions    `yaml:"sessions,omitempty" json:"sessions,omitempty"`
	Attribution *Attribution `yaml:"attribution,omitempty" json:"attribution,omitempty"`
	Return      *Return      `yaml:"return,omitempty" json:"return,omitempty"`
}

// Kind is what the query asks, "" if nothing or several things.
func (q *Query) Kind() Kind {
	var kind Kind
	for _, k := range []struct {
		set  bool
		kind Kind
	}{
		{q.Series != nil, KindSeries},
		{q.Breakdown != nil, KindBreakdown},
		{q.Funnel != nil, KindFunnel},
		{q.Retention != nil, KindRetention},
		{q.Paths != nil, KindPaths},
		{q.Live != nil, KindLive},
		{q.Users != nil, KindUsers},
		{q.Timeline != nil, KindTimeline},
		{q.Sessions != nil, KindSessions},
		{q.Attribution != nil, KindAttribution},
		{q.Return != nil, KindReturn},
	} {
		if k.set && kind != "" {
			return ""
		}
		if k.set {
			kind = k.kind
		}
	}
	return kind
}

// Match picks events: those of a name, or with no name every event that counts
// as activity, that satisfy a condition over event.*, properties.*, context.*.
type Match struct {
	Event string              `yaml:"event,omitempty" json:"event,omitempty"`
	Where condition.Condition `yaml:"where,omitempty" json:"where,omitzero"`
}

// Count says what is counted.
type Count string

// What can be counted.
const (
	CountEvents Count = "events" // events; the default
	CountUsers  Count = "users"  // distinct users
	CountSum    Count = "sum"    // the sum of a field, of each event its Amount
)

// Series counts per bucket of local time. A user counts once in every bucket in
// which they have an event, and once in the total.
type Series struct {
	Of    []Match `yaml:"of" json:"of"` // a line each
	Count Count   `yaml:"count,omitempty" json:"count,omitempty"`
	Field string  `yaml:"field,omitempty" json:"field,omitempty"` // of a sum, such as properties.revenue
	Per   Unit    `yaml:"per" json:"per"`
	// By splits each line by a dimension: the Top values by total, and one line
	// for all others. A user-level dimension splits by who the user is, an
	// event-level one by the event; then one user may be on several lines.
	By  *Dimension `yaml:"by,omitempty" json:"by,omitempty"`
	Top int        `yaml:"top,omitempty" json:"top,omitempty"` // default 10
}

// Breakdown counts by up to four dimensions over the whole range. Without Of it
// counts users by what they are; the range does not matter then.
type Breakdown struct {
	Of    *Match      `yaml:"of,omitempty" json:"of,omitempty"`
	Count Count       `yaml:"count,omitempty" json:"count,omitempty"` // default users without Of
	Field string      `yaml:"field,omitempty" json:"field,omitempty"`
	By    []Dimension `yaml:"by" json:"by"`
	Top   int         `yaml:"top,omitempty" json:"top,omitempty"` // default 100
}

// Funnel is how far users get along ordered steps. A chain is one event per
// step, each later in order than the one before, the first within the range,
// the last less than Window after the first, with no event between two steps
// that Without of the later one or Strict forbids. A user's level is the number
// of steps of their longest chain. Later steps may lie behind the range.
//
// A user who is not through is in progress if a chain of theirs can still grow:
// its window is open at as-of and nothing forbidden came after it. All others
// are stuck at their level. A user who is through converted at the first event
// that completes a chain; the time to convert is from the latest possible first
// step of a chain that ends there.
type Funnel struct {
	// Funnel is a saved one, by name, instead of Steps, Window and Strict; Resolve
	// puts them here. Its own By and Top count where none are said.
	Funnel string        `yaml:"funnel,omitempty" json:"funnel,omitempty"`
	Steps  []Step        `yaml:"steps,omitempty" json:"steps,omitempty"`
	Window period.Period `yaml:"window,omitempty" json:"window,omitempty"`
	// Strict: no event that counts as activity between two steps.
	Strict bool `yaml:"strict,omitempty" json:"strict,omitempty"`
	// By is a dimension of who the user is.
	By  *Dimension `yaml:"by,omitempty" json:"by,omitempty"`
	Top int        `yaml:"top,omitempty" json:"top,omitempty"` // default 10
}

// Step is one step of a funnel.
type Step struct {
	Event   string              `yaml:"event,omitempty" json:"event,omitempty"`
	Where   condition.Condition `yaml:"where,omitempty" json:"where,omitzero"`
	Without []Match             `yaml:"without,omitempty" json:"without,omitempty"` // none of these since the step before
}

// Match is what the step matches.
func (s *Step) Match() Match { return Match{Event: s.Event, Where: s.Where} }

// Retention is who comes back. A cohort is the users whose first First event of
// the range lies in one local unit; cell p counts those of them with a Return
// event in the p-th unit after it, or with Unbounded in that unit or any later
// one. Return events may lie behind the range.
type Retention struct {
	First  Match `yaml:"first" json:"first"`
	Return Match `yaml:"return" json:"return"`
	// New takes in only users whose first First event of all time is in the range.
	New       bool `yaml:"new,omitempty" json:"new,omitempty"`
	Per       Unit `yaml:"per" json:"per"`         // day, week or month
	Periods   int  `yaml:"periods" json:"periods"` // cells behind the cohort's own unit
	Unbounded bool `yaml:"unbounded,omitempty" json:"unbounded,omitempty"`
}

// Paths is what users do right after (or before) an event: the next (previous)
// Depth events that count as activity, less than Window away from the anchor,
// which is the user's first match in the range (last, with Before).
type Paths struct {
	From   Match         `yaml:"from" json:"from"`
	Before bool          `yaml:"before,omitempty" json:"before,omitempty"`
	Depth  int           `yaml:"depth" json:"depth"`
	Window period.Period `yaml:"window" json:"window"`
	Top    int           `yaml:"top,omitempty" json:"top,omitempty"` // names a depth; default 10
}

// Live is the last minutes up to as-of: active users, events a minute, the most
// frequent events. The range does not matter.
type Live struct {
	Minutes int `yaml:"minutes" json:"minutes"`
	Top     int `yaml:"top,omitempty" json:"top,omitempty"` // default 10
}

// Users lists the audience in order of id, a page at a time, and counts all of
// it. The range does not matter.
type Users struct {
	Limit int    `yaml:"limit,omitempty" json:"limit,omitempty"` // 0: only count
	After string `yaml:"after,omitempty" json:"after,omitempty"` // the last id of the page before
}

// Timeline is the events of one user within the range, newest first, those that
// do not count as activity too.
type Timeline struct {
	User   string `yaml:"user" json:"user"` // any of the user's ids
	Limit  int    `yaml:"limit,omitempty" json:"limit,omitempty"`
	Offset int    `yaml:"offset,omitempty" json:"offset,omitempty"`
}

// Sessions cuts what users do at every 30 minutes of silence. A session belongs
// to the bucket of its first event and is not cut by the range's end.
type Sessions struct {
	Per Unit `yaml:"per,omitempty" json:"per,omitempty"` // empty: no buckets
}

// Attribution gives each goal event in the range to one touch of its user in
// the look-back before it, the goal's own event included: the first or the
// last that is not direct, else direct. See touch.Of.
type Attribution struct {
	Goal     Match         `yaml:"goal" json:"goal"`
	Value    string        `yaml:"value,omitempty" json:"value,omitempty"`       // numeric field of the goal event
	Model    Model         `yaml:"model,omitempty" json:"model,omitempty"`       // default last
	Lookback period.Period `yaml:"lookback,omitempty" json:"lookback,omitempty"` // default 30d
	By       TouchPart     `yaml:"by,omitempty" json:"by,omitempty"`             // default source
	// Returns are domains, with all below them, that start no touch: the shop's
	// own and payment providers. Those of Providers always count as such.
	Returns []string `yaml:"returns,omitempty" json:"returns,omitempty"`
	Top     int      `yaml:"top,omitempty" json:"top,omitempty"` // default 100
}

// Model is how credit is given.
type Model string

// The models.
const (
	FirstTouch Model = "first"
	LastTouch  Model = "last"
)

// DefaultLookback is how far back attribution looks.
const DefaultLookback = period.Period(30 * 24 * time.Hour)

// TouchPart is what attribution groups by.
type TouchPart string

// Of is that part of a touch.
func (p TouchPart) Of(t touch.Touch) string {
	switch p {
	case ByMedium:
		return t.Medium
	case ByCampaign:
		return t.Campaign
	case BySource:
	}
	return t.Source
}

// The parts of a touch.
const (
	BySource   TouchPart = "source"
	ByMedium   TouchPart = "medium"
	ByCampaign TouchPart = "campaign"
)

// Return is what a campaign brought. The first heed.delivery of the campaign in
// the range with status sent or reason holdout decides whether a user was
// treated or held back. They converted if a goal event came less than Within
// after it; the value is that of all such events.
type Return struct {
	Campaign string        `yaml:"campaign" json:"campaign"`
	Goal     Match         `yaml:"goal" json:"goal"`
	Within   period.Period `yaml:"within" json:"within"`
	Value    string        `yaml:"value,omitempty" json:"value,omitempty"`
}
