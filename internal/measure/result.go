package measure

import "encoding/json"

// Result answers a query: the pointer of the query's kind is set. Times are µs
// since the Unix epoch.
type Result struct {
	Kind     Kind     `json:"kind"`
	From     int64    `json:"from"` // the range that was looked at; 0: all that is known
	To       int64    `json:"to"`   // exclusive; never behind AsOf
	AsOf     int64    `json:"asOf"`
	Zone     string   `json:"zone"`
	Excluded Excluded `json:"excluded"`

	Series      *SeriesResult      `json:"series,omitempty"`
	Breakdown   *BreakdownResult   `json:"breakdown,omitempty"`
	Funnel      *FunnelResult      `json:"funnel,omitempty"`
	Retention   *RetentionResult   `json:"retention,omitempty"`
	Paths       *PathsResult       `json:"paths,omitempty"`
	Live        *LiveResult        `json:"live,omitempty"`
	Users       *UsersResult       `json:"users,omitempty"`
	Timeline    *TimelineResult    `json:"timeline,omitempty"`
	Sessions    *SessionsResult    `json:"sessions,omitempty"`
	Attribution *AttributionResult `json:"attribution,omitempty"`
	Return      *ReturnResult      `json:"return,omitempty"`
}

// Listed makes lists empty that are nil: readers of JSON are promised lists.
func (r *Result) Listed() {
	switch {
	case r.Series != nil:
		listed(&r.Series.Buckets)
		listed(&r.Series.Lines)
	case r.Breakdown != nil:
		listed(&r.Breakdown.Rows)
	case r.Retention != nil:
		listed(&r.Retention.Cohorts)
		for i := range r.Retention.Cohorts {
			listed(&r.Retention.Cohorts[i].Cells)
		}
	case r.Paths != nil:
		listed(&r.Paths.Depths)
		for i := range r.Paths.Depths {
			listed(&r.Paths.Depths[i])
		}
		listed(&r.Paths.Links)
	case r.Live != nil:
		listed(&r.Live.Top)
	case r.Timeline != nil:
		listed(&r.Timeline.Events)
	case r.Attribution != nil:
		listed(&r.Attribution.Rows)
	}
}

func listed[T any](list *[]T) {
	if *list == nil {
		*list = []T{}
	}
}

// Excluded counts the events in the range that count as activity and were left
// out. What is both counts as a bot's. Nothing is left out that was asked for.
type Excluded struct {
	Bots     int64 `json:"bots"`
	Internal int64 `json:"internal"`
}

// SeriesResult has one line per match and value.
type SeriesResult struct {
	Buckets []int64 `json:"buckets"` // starts; the last ends at the range's end
	Lines   []Line  `json:"lines"`   // in order of match, then as rows of a breakdown
}

// Line is one line of a series.
type Line struct {
	Match  int       `json:"match"` // index into Series.Of
	Value  *string   `json:"value"` // of By; nil: missing, or there is no By
	Other  bool      `json:"other,omitempty"`
	Points []float64 `json:"points"` // one per bucket
	Total  float64   `json:"total"`  // users: distinct over the range
}

// BreakdownResult has the rows by count, greatest first, equal ones by values
// (bytes, missing last), and Other last.
type BreakdownResult struct {
	Rows  []Row   `json:"rows"`
	Other *Row    `json:"other,omitempty"` // all rows beyond the top; nil if there are none
	Total float64 `json:"total"`           // users: distinct ones over all rows
}

// Row is one combination of values.
type Row struct {
	Values []*string `json:"values"` // per dimension; nil: missing
	Count  float64   `json:"count"`
}

// FunnelResult is the whole funnel, and one per value of By.
type FunnelResult struct {
	FunnelCount

	Groups []FunnelGroup `json:"groups,omitempty"` // by users that entered, greatest first; Other last
}

// FunnelGroup is the part of users with a value.
type FunnelGroup struct {
	Value *string `json:"value"`
	Other bool    `json:"other,omitempty"`
	FunnelCount
}

// FunnelCount counts users per level. Reached = Stuck + Progress + Reached of
// the next level; at the last level nobody is stuck or in progress.
type FunnelCount struct {
	Steps []FunnelStep `json:"steps"`
	// Convert is the time to convert; nil if nobody did.
	Convert *Percentiles `json:"convert,omitempty"`
}

// FunnelStep counts users at a level.
type FunnelStep struct {
	Reached  int64 `json:"reached"`
	Stuck    int64 `json:"stuck"`
	Progress int64 `json:"progress"`
}

// Percentiles are exact, by nearest rank: the p-th of n sorted values is the
// ceil(p·n)-th. In µs.
type Percentiles struct {
	P25 int64 `json:"p25"`
	P50 int64 `json:"p50"`
	P75 int64 `json:"p75"`
	P90 int64 `json:"p90"`
	P95 int64 `json:"p95"`
}

// RetentionResult has a cohort per unit of the range, those without users too.
type RetentionResult struct {
	Cohorts []Cohort `json:"cohorts"`
}

// Cohort is one row. Cells[0] is the whole cohort; cells whose unit has not
// begun at as-of are left out at the end. The last cell is Partial if its unit
// has not ended.
type Cohort struct {
	Start   int64   `json:"start"`
	Cells   []int64 `json:"cells"`
	Partial bool    `json:"partial,omitempty"`
}

// PathsResult has the events per depth, from 1, and the links between depths.
type PathsResult struct {
	Users  int64        `json:"users"` // with an anchor
	Depths [][]PathNode `json:"depths"`
	Links  []PathLink   `json:"links"`
}

// PathNode is what users did at a depth. Nodes stand by users, greatest first,
// equal ones by name; then Other and End.
type PathNode struct {
	Event string `json:"event,omitempty"`
	Other bool   `json:"other,omitempty"` // any name beyond the top of this depth
	End   bool   `json:"end,omitempty"`   // nothing more: only users who did something one step before
	Users int64  `json:"users"`
}

// PathLink goes from a node of Depth-1 to one of Depth, both by index into
// Depths; from depth 0, the anchor, it is 0. Links stand in order.
type PathLink struct {
	Depth int   `json:"depth"`
	From  int   `json:"from"`
	To    int   `json:"to"`
	Users int64 `json:"users"`
}

// LiveResult is the last minutes.
type LiveResult struct {
	Users   int64   `json:"users"`
	Events  int64   `json:"events"`
	Minutes []int64 `json:"minutes"` // events per minute, the last one ends at as-of
	Top     []Row   `json:"top"`     // events by name
}

// UsersResult is a page of users in order of id (bytes).
type UsersResult struct {
	Total int64    `json:"total"`
	IDs   []string `json:"ids,omitempty"`
	More  bool     `json:"more,omitempty"`
}

// TimelineResult is a page of events, newest first, equal times latest in the
// log first.
type TimelineResult struct {
	User   string       `json:"user"` // the id that the user has today
	Events []TimedEvent `json:"events"`
	More   bool         `json:"more,omitempty"`
}

// TimedEvent is one event of a timeline.
type TimedEvent struct {
	At         int64           `json:"at"`
	Name       string          `json:"name"`
	Type       string          `json:"type"`
	MessageID  string          `json:"messageId"`
	Source     string          `json:"source,omitempty"`
	URL        string          `json:"url,omitempty"`
	Properties json.RawMessage `json:"properties,omitempty"` // an object
}

// SessionsResult sums up sessions, over all and per bucket.
type SessionsResult struct {
	SessionsCount

	Buckets []SessionsBucket `json:"buckets,omitempty"`
}

// SessionsBucket is the sessions that began in a bucket.
type SessionsBucket struct {
	Start int64 `json:"start"`
	SessionsCount
}

// SessionsCount sums up sessions.
type SessionsCount struct {
	Sessions int64 `json:"sessions"`
	Users    int64 `json:"users"`  // distinct
	Events   int64 `json:"events"` // in these sessions
	// Duration is from first to last event; nil without sessions.
	Duration *Percentiles `json:"duration,omitempty"`
}

// AttributionResult has the rows by value (by conversions without one),
// greatest first, equal ones by touch.
type AttributionResult struct {
	Rows  []Credit `json:"rows"`
	Other *Credit  `json:"other,omitempty"`
	Total Credit   `json:"total"`
}

// Credit is what a touch is given.
type Credit struct {
	Touch       string  `json:"touch"` // direct if nothing else
	Conversions int64   `json:"conversions"`
	Users       int64   `json:"users"`
	Value       float64 `json:"value"`
}

// ReturnResult compares those who got a campaign with those held back.
type ReturnResult struct {
	Treated Arm `json:"treated"`
	Holdout Arm `json:"holdout"`
	// Met is users who turned out to be two, one on each side: they tell nothing, and are
	// in neither.
	Met int64 `json:"met"`
	// Lift is nil if one of them has nobody.
	Lift *Lift `json:"lift,omitempty"`
}

// Lift is how much greater the share of those who converted is among the treated,
// and what it lies between with a confidence of 95 %. 0.02 is two points of a
// hundred.
type Lift struct {
	Difference float64 `json:"difference"`
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
}

// Arm is one side of the comparison.
type Arm struct {
	Users     int64   `json:"users"`
	Converted int64   `json:"converted"`
	Value     float64 `json:"value"`
}
