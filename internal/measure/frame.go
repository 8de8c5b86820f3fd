package measure

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones must mean the same on every machine
)

// Unit is a unit of local time.
type Unit string

// The units. A day begins with its first moment in the zone and may have 23 or
// 25 hours; its hours are counted from there.
const (
	Minute Unit = "minute"
	Hour   Unit = "hour"
	Day    Unit = "day"
	Week   Unit = "week"
	Month  Unit = "month"
)

// Range says when. From and To are RFC 3339 times or dates (their first moment
// in the zone); To is exclusive and by default as-of. Last is instead a length
// that ends at as-of: "30m" and "24h" are exact lengths, "28d", "4w", "3mo" and
// "1y" are local days, weeks, months and years of which the current one is the
// last.
type Range struct {
	From string `yaml:"from,omitempty" json:"from,omitempty"`
	To   string `yaml:"to,omitempty" json:"to,omitempty"`
	Last string `yaml:"last,omitempty" json:"last,omitempty"`
}

// Span is a range in µs since the Unix epoch: from From up to, not including, To.
type Span struct{ From, To int64 }

// Holds tells whether a time lies within.
func (s Span) Holds(t int64) bool { return t >= s.From && t < s.To }

// Frame is the calendar that a query is answered in.
type Frame struct {
	AsOf      int64 // µs since the Unix epoch
	Zone      *time.Location
	WeekStart time.Weekday
}

// Frame resolves the query's as-of time, zone and first day of the week. now is
// in µs since the Unix epoch.
func (q *Query) Frame(now int64) (Frame, error) {
	f := Frame{AsOf: now, Zone: time.UTC, WeekStart: time.Monday}
	if q.AsOf != "" {
		at, err := time.Parse(time.RFC3339, q.AsOf)
		if err != nil {
			return f, wrong("asOf", "%q is not an RFC 3339 time", q.AsOf)
		}
		f.AsOf = min(at.UnixMicro(), now)
	}
	var err error
	if f.Zone, err = zone(q.Zone); err != nil {
		return f, err
	}
	if q.WeekStart != "" {
		i := slices.IndexFunc(weekdays(), func(d time.Weekday) bool { return strings.EqualFold(d.String(), q.WeekStart) })
		if i < 0 {
			return f, wrong("weekStart", "%q is no day of the week: monday to sunday", q.WeekStart)
		}
		f.WeekStart = weekdays()[i]
	}
	return f, nil
}

func weekdays() []time.Weekday {
	return []time.Weekday{time.Sunday, time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday}
}

func zone(name string) (*time.Location, error) {
	if len(name) > 64 || name == "Local" {
		return nil, wrong("zone", "%q is no time zone: write it like Europe/Berlin", name)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, wrong("zone", "%q is no time zone: write it like Europe/Berlin", name)
	}
	return loc, nil
}

// Span resolves a range. It never goes behind as-of; the zero Range is all time
// before it, from 0.
func (f Frame) Span(r Range) (Span, error) {
	s := Span{To: f.AsOf}
	if r.Last != "" {
		if r.From != "" || r.To != "" {
			return s, wrong("last", "stands beside from or to: write one of them")
		}
		n, unit, err := parseLast(r.Last)
		if err != nil {
			return s, err
		}
		s.From = f.back(n, unit)
		return s, nil
	}
	var err error
	if r.From != "" {
		if s.From, err = f.moment(r.From); err != nil {
			return s, wrong("from", "%v", err)
		}
	}
	if r.To != "" {
		to, err := f.moment(r.To)
		if err != nil {
			return s, wrong("to", "%v", err)
		}
		if to < s.From {
			return s, wrong("to", "lies before from")
		}
		s.To = min(s.To, to)
	}
	s.To = max(s.To, s.From)
	return s, nil
}

func (f Frame) moment(text string) (int64, error) {
	if len(text) == len(time.DateOnly) {
		t, err := time.Parse(time.DateOnly, text)
		if err != nil {
			return 0, fmt.Errorf("%q is no date", text)
		}
		return f.dayStart(t.Date()), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, fmt.Errorf("%q is neither an RFC 3339 time nor a date", text)
	}
	return t.UnixMicro(), nil
}

// parseLast reads a length; unit "" is an exact length, then n is in µs.
func parseLast(text string) (n int64, unit string, err error) {
	for _, u := range []string{"mo", "d", "w", "y"} {
		digits, ok := strings.CutSuffix(text, u)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(digits)
		if err != nil || n < 1 || n > 3660 {
			return 0, "", wrong("last", "%q: write it like 30m, 24h, 28d, 4w, 3mo or 1y", text)
		}
		return int64(n), u, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > 3660*24*time.Hour {
		return 0, "", wrong("last", "%q: write it like 30m, 24h, 28d, 4w, 3mo or 1y", text)
	}
	return d.Microseconds(), "", nil
}

func (f Frame) back(n int64, unit string) int64 {
	// The current unit is that of the last moment before as-of.
	y, m, d := f.local(f.AsOf - 1).Date()
	switch unit {
	case "d":
		return f.dayStart(y, m, d-int(n)+1)
	case "w":
		return f.dayStart(y, m, d-f.intoWeek(f.AsOf-1)-7*int(n-1))
	case "mo":
		return f.dayStart(y, m-time.Month(n)+1, 1)
	case "y":
		return f.dayStart(y-int(n)+1, 1, 1)
	}
	return f.AsOf - n
}

func (f Frame) local(t int64) time.Time { return time.UnixMicro(t).In(f.Zone) }

func (f Frame) intoWeek(t int64) int {
	return (int(f.local(t).Weekday()-f.WeekStart) + 7) % 7
}

// dayStart is the first moment of a local day. Midnight may happen twice, then
// it is the first, or be skipped, then it is the moment after the gap.
func (f Frame) dayStart(y int, m time.Month, d int) int64 {
	naive := time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix()
	at := time.Unix(naive-26*3600, 0).In(f.Zone)
	for {
		begin, end := at.ZoneBounds()
		_, offset := at.Zone()
		midnight := naive - int64(offset)
		if !begin.IsZero() && midnight < begin.Unix() {
			return begin.UnixMicro()
		}
		if end.IsZero() || midnight < end.Unix() {
			return midnight * 1e6
		}
		at = end
	}
}

// Floor is the start of the unit that a time lies in.
func (f Frame) Floor(t int64, u Unit) int64 {
	local := f.local(t)
	y, m, d := local.Date()
	switch u {
	case Week:
		return f.dayStart(y, m, d-f.intoWeek(t))
	case Month:
		return f.dayStart(y, m, 1)
	case Hour, Minute:
		step := int64(3600e6)
		if u == Minute {
			step = 60e6
		}
		day := f.dayStart(y, m, d)
		return t - (t-day)%step
	case Day:
	}
	return f.dayStart(y, m, d)
}

// Next is the start of the unit behind the one that begins at start.
func (f Frame) Next(start int64, u Unit) int64 { return f.Add(start, u, 1) }

// Add is the start of the n-th unit behind the one that begins at start.
func (f Frame) Add(start int64, u Unit, n int) int64 {
	y, m, d := f.local(start).Date()
	switch u {
	case Week:
		return f.dayStart(y, m, d+7*n)
	case Month:
		return f.dayStart(y, m+time.Month(n), 1)
	case Hour, Minute:
		step := int64(3600e6)
		if u == Minute {
			step = 60e6
		}
		for range n {
			y, m, d = f.local(start).Date()
			start = min(start+step, f.dayStart(y, m, d+1))
		}
		return start
	case Day:
	}
	return f.dayStart(y, m, d+n)
}

// ErrBuckets says that a range has more buckets than asked for.
var ErrBuckets = errors.New("too many buckets")

// Buckets are the starts of the units that a span touches; the first is the
// start of the unit that the span begins in. An empty span has none.
func (f Frame) Buckets(s Span, u Unit, limit int) ([]int64, error) {
	if s.To <= s.From {
		return nil, nil
	}
	if least := map[Unit]int64{Minute: 60e6, Hour: 3600e6, Day: 25 * 3600e6, Week: 8 * 86400e6, Month: 32 * 86400e6}[u]; (s.To-s.From)/least > int64(limit) {
		return nil, fmt.Errorf("%w: more than %d of a %s each; take a shorter range or a longer unit", ErrBuckets, limit, u)
	}
	var out []int64
	for at := f.Floor(s.From, u); at < s.To; at = f.Next(at, u) {
		if len(out) == limit {
			return nil, fmt.Errorf("%w: more than %d of a %s each; take a shorter range or a longer unit", ErrBuckets, limit, u)
		}
		out = append(out, at)
	}
	return out, nil
}
