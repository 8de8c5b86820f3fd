package measure

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"

	"heed/internal/condition"
	"heed/internal/event"
	"heed/internal/period"
)

// Bounds of a query.
const (
	MaxSteps      = 20     // of a funnel
	MaxDimensions = 4      // of a breakdown
	MaxMatches    = 20     // of a series
	MaxTop        = 1000   // rows or lines
	MaxBuckets    = 10_000 // of time, and of cells in all
	MaxWithout    = 20
	MaxPathDepth  = 10
	MaxPathTop    = 50
	MaxPage       = 10_000 // users
	MaxTimeline   = 1000   // events
	MaxUserIDs    = 10_000 // written into an audience
	MaxNodes      = 256    // of an audience
	MaxDepth      = 16     // of an audience
	MaxWindow     = period.Period(400 * 24 * time.Hour)
	maxValues     = 1000
	maxText       = 4 << 10
)

// Check validates a query without asking for the time or for what its names
// refer to. Its error is an *Error.
func Check(q *Query) error { return check(q, MaxUserIDs) }

func check(q *Query, ids int) error {
	f, err := q.Frame(math.MaxInt64 / 2)
	if err != nil {
		return err
	}
	c := checker{frame: f, ids: ids}
	if err := c.span("range", q.Range); err != nil {
		return err
	}
	if q.Audience != nil {
		if err := at("audience", c.audience(q.Audience, 0)); err != nil {
			return err
		}
	}
	if err := at("where", where(q.Where)); err != nil {
		return err
	}
	timed := q.Range != Range{}
	switch kind := q.Kind(); kind {
	case KindSeries:
		err = c.series(q.Series, timed)
	case KindBreakdown:
		err = c.breakdown(q.Breakdown)
	case KindFunnel:
		err = c.funnel(q.Funnel)
	case KindRetention:
		if !timed {
			return wrong("range", "is missing: retention has a cohort per %s of it", cmp.Or(string(q.Retention.Per), "unit"))
		}
		err = c.retention(q.Retention)
	case KindPaths:
		err = c.paths(q.Paths)
	case KindLive:
		if err = between("minutes", q.Live.Minutes, 1, 1440); err == nil {
			err = between("top", q.Live.Top, 0, MaxTop)
		}
	case KindUsers:
		if err = between("limit", q.Users.Limit, 0, MaxPage); err == nil && len(q.Users.After) > maxText {
			err = wrong("after", "is too long")
		}
	case KindTimeline:
		err = c.timeline(q.Timeline)
	case KindSessions:
		if q.Sessions.Per != "" {
			err = unit("per", q.Sessions.Per, timed)
		}
	case KindAttribution:
		err = c.attribution(q.Attribution)
	case KindReturn:
		err = c.campaignReturn(q.Return)
	default:
		return wrong("", "asks nothing, or several things: write exactly one of series, breakdown, funnel, retention, paths, live, users, timeline, sessions, attribution, return")
	}
	return at(string(q.Kind()), err)
}

// CheckAudience validates an audience's tree. Its error is an *Error.
func CheckAudience(a *Audience) error {
	c := checker{frame: Frame{AsOf: math.MaxInt64 / 2, Zone: time.UTC}, ids: MaxUserIDs}
	return c.audience(a, 0)
}

// CheckFunnel validates a funnel. Its error is an *Error.
func CheckFunnel(f *Funnel) error {
	c := checker{frame: Frame{AsOf: math.MaxInt64 / 2, Zone: time.UTC}}
	return c.funnel(f)
}

// CheckDimension validates a dimension. Its error is an *Error.
func CheckDimension(d *Dimension) error {
	c := checker{frame: Frame{AsOf: math.MaxInt64 / 2, Zone: time.UTC}}
	return c.dimension(d)
}

// checker walks a query. Its frame is far in the future: it only serves to
// parse ranges.
type checker struct {
	frame Frame
	ids   int // most ids in a node
	nodes int
}

func (c *checker) span(path string, r Range) error {
	_, err := c.frame.Span(r)
	return at(path, err)
}

func between(path string, n, least, most int) error {
	if n < least || n > most {
		return wrong(path, "%d is not from %d to %d", n, least, most)
	}
	return nil
}

func unit(path string, u Unit, timed bool) error {
	switch u {
	case Minute, Hour, Day, Week, Month:
	default:
		return wrong(path, "%q is no unit: minute, hour, day, week or month", u)
	}
	if !timed {
		return wrong(path, "needs a range: all of time has no buckets")
	}
	return nil
}

func window(path string, w period.Period) error {
	if w <= 0 || w > MaxWindow {
		return wrong(path, "%s is not more than 0 and at most %s", w, MaxWindow)
	}
	return nil
}

// where checks a condition on events. What users are is asked by the audience.
func where(c condition.Condition) error {
	if err := condition.Check(c, condition.ForEvent); err != nil {
		return at("", err)
	}
	for _, f := range condition.Fields(c) {
		if strings.HasPrefix(f, "traits.") {
			return wrong("", "%q: ask for traits in the audience, beside the events", f)
		}
	}
	return nil
}

func match(m Match) error {
	if len(m.Event) > event.MaxNameBytes {
		return wrong("event", "is longer than %d bytes", event.MaxNameBytes)
	}
	return at("where", where(m.Where))
}

func number(path, field string) error {
	if field == "" {
		return wrong(path, "is missing: which number to sum, such as properties.revenue")
	}
	if !strings.HasPrefix(field, "properties.") && !strings.HasPrefix(field, "context.") {
		return wrong(path, "%q: sum a field of properties.* or context.*", field)
	}
	return at(path, fieldPath(field))
}

// fieldPath checks a field of the event that has at most one value.
func fieldPath(field string) error {
	if strings.Contains(field, "[]") {
		return wrong("", "%q has many values: write [0] for the first", field)
	}
	_, err := condition.CompileField(field)
	return at("", err)
}

func count(k Count, field string) error {
	switch k {
	case CountSum:
		return number("field", field)
	case CountEvents, CountUsers, "":
	default:
		return wrong("count", "%q cannot be counted: events, users or sum", k)
	}
	if field != "" {
		return wrong("field", "only a sum has it")
	}
	return nil
}

func (c *checker) series(s *Series, timed bool) error {
	if len(s.Of) == 0 || len(s.Of) > MaxMatches {
		return wrong("of", "has %d lines, not from 1 to %d", len(s.Of), MaxMatches)
	}
	for i, m := range s.Of {
		if err := at(fmt.Sprintf("of[%d]", i), match(m)); err != nil {
			return err
		}
	}
	if err := count(s.Count, s.Field); err != nil {
		return err
	}
	if err := unit("per", s.Per, timed); err != nil {
		return err
	}
	if s.By != nil {
		if err := at("by", c.dimension(s.By)); err != nil {
			return err
		}
	}
	return between("top", s.Top, 0, MaxTop)
}

func (c *checker) breakdown(b *Breakdown) error {
	if len(b.By) == 0 || len(b.By) > MaxDimensions {
		return wrong("by", "has %d dimensions, not from 1 to %d", len(b.By), MaxDimensions)
	}
	if b.Of != nil {
		if err := at("of", match(*b.Of)); err != nil {
			return err
		}
	}
	if err := count(b.Count, b.Field); err != nil {
		return err
	}
	for i := range b.By {
		path := fmt.Sprintf("by[%d]", i)
		if err := at(path, c.dimension(&b.By[i])); err != nil {
			return err
		}
		if b.Of == nil && b.By[i].OfEvent() {
			return wrong(path, "is of events: say which, with of")
		}
	}
	if b.Of == nil && b.Count != "" && b.Count != CountUsers {
		return wrong("count", "without of, only users can be counted")
	}
	return between("top", b.Top, 0, MaxTop)
}

func (c *checker) funnel(f *Funnel) error {
	if f.Funnel != "" {
		if len(f.Steps) > 0 || f.Window != 0 || f.Strict {
			return wrong("funnel", "names a saved funnel: leave out its steps, window and strict")
		}
		return c.split(f)
	}
	if len(f.Steps) == 0 || len(f.Steps) > MaxSteps {
		return wrong("steps", "has %d steps, not from 1 to %d", len(f.Steps), MaxSteps)
	}
	for i := range f.Steps {
		s := &f.Steps[i]
		path := fmt.Sprintf("steps[%d]", i)
		if err := at(path, match(s.Match())); err != nil {
			return err
		}
		if i == 0 && len(s.Without) > 0 {
			return wrong(path+".without", "nothing comes before the first step")
		}
		if len(s.Without) > MaxWithout {
			return wrong(path+".without", "has more than %d", MaxWithout)
		}
		for j, m := range s.Without {
			if err := at(fmt.Sprintf("%s.without[%d]", path, j), match(m)); err != nil {
				return err
			}
		}
	}
	if err := window("window", f.Window); err != nil {
		return err
	}
	return c.split(f)
}

// split checks how a funnel is shown.
func (c *checker) split(f *Funnel) error {
	if f.By != nil {
		if err := at("by", c.dimension(f.By)); err != nil {
			return err
		}
		if f.By.OfEvent() {
			return wrong("by", "is of events: a funnel is split by what users are")
		}
	}
	return between("top", f.Top, 0, MaxTop)
}

func (c *checker) retention(r *Retention) error {
	if err := at("first", match(r.First)); err != nil {
		return err
	}
	if err := at("return", match(r.Return)); err != nil {
		return err
	}
	if r.Per != Day && r.Per != Week && r.Per != Month {
		return wrong("per", "%q is not day, week or month", r.Per)
	}
	return between("periods", r.Periods, 1, 400)
}

func (c *checker) paths(p *Paths) error {
	if err := at("from", match(p.From)); err != nil {
		return err
	}
	if err := between("depth", p.Depth, 1, MaxPathDepth); err != nil {
		return err
	}
	if err := between("top", p.Top, 0, MaxPathTop); err != nil {
		return err
	}
	return window("window", p.Window)
}

func (c *checker) timeline(t *Timeline) error {
	if t.User == "" || len(t.User) > event.MaxIDBytes {
		return wrong("user", "is empty or longer than %d bytes", event.MaxIDBytes)
	}
	if err := between("limit", t.Limit, 0, MaxTimeline); err != nil {
		return err
	}
	return between("offset", t.Offset, 0, 1_000_000)
}

func (c *checker) attribution(a *Attribution) error {
	if err := at("goal", match(a.Goal)); err != nil {
		return err
	}
	if a.Value != "" {
		if err := number("value", a.Value); err != nil {
			return err
		}
	}
	switch a.Model {
	case FirstTouch, LastTouch, "":
	default:
		return wrong("model", "%q is not first or last", a.Model)
	}
	switch a.By {
	case BySource, ByMedium, ByCampaign, "":
	default:
		return wrong("by", "%q is not source, medium or campaign", a.By)
	}
	if len(a.Returns) > maxValues {
		return wrong("returns", "has more than %d domains", maxValues)
	}
	if a.Lookback != 0 {
		if err := window("lookback", a.Lookback); err != nil {
			return err
		}
	}
	return between("top", a.Top, 0, MaxTop)
}

func (c *checker) campaignReturn(r *Return) error {
	if r.Campaign == "" {
		return wrong("campaign", "is missing")
	}
	if err := at("goal", match(r.Goal)); err != nil {
		return err
	}
	if r.Value != "" {
		if err := number("value", r.Value); err != nil {
			return err
		}
	}
	return window("within", r.Within)
}

func (c *checker) audience(a *Audience, depth int) error {
	if c.nodes++; c.nodes > MaxNodes {
		return wrong("", "has more than %d parts", MaxNodes)
	}
	if depth > MaxDepth {
		return wrong("", "is nested deeper than %d levels", MaxDepth)
	}
	forms := 0
	for _, set := range []bool{
		a.All != nil, a.Any != nil, a.Not != nil, a.Where != nil, a.Is != nil, a.Did != nil, a.Consent != "",
		a.Audience != "", a.Users != nil, a.Funnel != nil, a.Retention != nil, a.Path != nil, a.Session != nil,
	} {
		if set {
			forms++
		}
	}
	if forms > 1 {
		return wrong("", "write one of all, any, not, where, is, did, consent, audience, users, funnel, retention, path, session; join them with all or any")
	}
	switch {
	case a.All != nil:
		return c.list("all", a.All, depth)
	case a.Any != nil:
		return c.list("any", a.Any, depth)
	case a.Not != nil:
		return at("not", c.audience(a.Not, depth+1))
	case a.Where != nil:
		return at("where", condition.Check(*a.Where, condition.ForProfile))
	case a.Is != nil:
		if a.Is.Dimension.OfEvent() {
			return wrong("is.dimension", "is of events: write it below did")
		}
		return at("is", c.is(a.Is))
	case a.Did != nil:
		return at("did", c.did(a.Did))
	case a.Users != nil:
		if len(a.Users) > c.ids {
			return wrong("users", "has more than %d ids", c.ids)
		}
	case a.Funnel != nil:
		return at("funnel", c.inFunnel(a.Funnel))
	case a.Retention != nil:
		return at("retention", c.inRetention(a.Retention))
	case a.Path != nil:
		return at("path", c.inPath(a.Path))
	case a.Session != nil:
		if err := c.span("session.during", a.Session.During); err != nil {
			return err
		}
		return at("session.where", where(a.Session.Where))
	case len(a.Consent) > maxText:
		return wrong("consent", "is too long")
	}
	return nil
}

func (c *checker) list(path string, list []Audience, depth int) error {
	if len(list) == 0 {
		return wrong(path, "is empty")
	}
	for i := range list {
		if err := at(fmt.Sprintf("%s[%d]", path, i), c.audience(&list[i], depth+1)); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) is(is *Is) error {
	if len(is.Values) == 0 || len(is.Values) > maxValues {
		return wrong("values", "has %d values, not from 1 to %d", len(is.Values), maxValues)
	}
	return at("dimension", c.dimension(&is.Dimension))
}

func (c *checker) did(d *Did) error {
	if err := match(d.Match()); err != nil {
		return err
	}
	if len(d.Is) > MaxDimensions {
		return wrong("is", "has more than %d dimensions", MaxDimensions)
	}
	for i := range d.Is {
		path := fmt.Sprintf("is[%d]", i)
		if err := at(path, c.is(&d.Is[i])); err != nil {
			return err
		}
		if !d.Is[i].Dimension.OfEvent() {
			return wrong(path+".dimension", "is of users: write it beside did")
		}
	}
	if least, most := d.Bounds(); least < 0 || most >= 0 && most < least || least > 1_000_000_000 {
		return wrong("min", "at least %d and at most %d cannot be", least, most)
	}
	return c.span("during", d.During)
}

func (c *checker) inFunnel(in *InFunnel) error {
	if err := at("funnel", c.funnel(&in.Funnel)); err != nil {
		return err
	}
	if in.Funnel.By != nil {
		return wrong("funnel.by", "write it as a condition beside the funnel")
	}
	most := len(in.Funnel.Steps)
	if in.Funnel.Funnel != "" {
		most = MaxSteps // it is checked again when the steps are known
	}
	if err := between("level", in.Level, 1, most); err != nil {
		return err
	}
	switch in.State {
	case Reached, Stuck, Progress:
	default:
		return wrong("state", "%q is not reached, stuck or progress", in.State)
	}
	if err := at("where", where(in.Where)); err != nil {
		return err
	}
	return c.span("during", in.During)
}

func (c *checker) inRetention(in *InRetention) error {
	if err := at("retention", c.retention(&in.Retention)); err != nil {
		return err
	}
	if _, err := c.frame.moment(in.Cohort); err != nil {
		return wrong("cohort", "%v", err)
	}
	if err := between("period", in.Period, 0, in.Retention.Periods); err != nil {
		return err
	}
	if err := at("where", where(in.Where)); err != nil {
		return err
	}
	return c.span("during", in.During)
}

func (c *checker) inPath(in *InPath) error {
	if err := at("paths", c.paths(&in.Paths)); err != nil {
		return err
	}
	if err := between("depth", in.Depth, 0, in.Paths.Depth); err != nil {
		return err
	}
	if len(in.Events) > maxValues || len(in.Previous) > maxValues {
		return wrong("events", "has more than %d names", maxValues)
	}
	if in.Depth > 0 && len(in.Events) == 0 {
		return wrong("events", "is empty")
	}
	if err := at("where", where(in.Where)); err != nil {
		return err
	}
	return c.span("during", in.During)
}

func (c *checker) dimension(d *Dimension) error {
	if len(d.Name) > maxText || len(d.Description) > maxText {
		return wrong("name", "is too long")
	}
	forms := 0
	for _, set := range []bool{d.Dimension != "", d.Field != "", d.Days != nil, d.Events != nil, d.Recency != nil, d.Sum != nil} {
		if set {
			forms++
		}
	}
	if forms != 1 {
		return wrong("", "write exactly one of dimension, field, days, events, recency, sum")
	}
	for _, b := range []struct {
		path string
		*Behavior
		sum bool
	}{{"days", d.Days, false}, {"events", d.Events, false}, {"recency", d.Recency, false}, {"sum", d.Sum, true}} {
		if b.Behavior == nil {
			continue
		}
		if err := at(b.path, match(b.Match())); err != nil {
			return err
		}
		if err := c.span(b.path+".during", b.During); err != nil {
			return err
		}
		if b.sum {
			if err := number(b.path+".field", b.Field); err != nil {
				return err
			}
		} else if b.Field != "" {
			return wrong(b.path+".field", "only a sum has it")
		}
	}
	if d.Field != "" && !d.OfEvent() {
		if err := userField(d.Field); err != nil {
			return at("field", err)
		}
	} else if d.Field != "" {
		if err := at("field", fieldPath(d.Field)); err != nil {
			return err
		}
	}
	return d.checkBuckets()
}

func (d *Dimension) checkBuckets() error {
	if d.Dimension != "" && d.Buckets != nil {
		return wrong("buckets", "are those of the dimension that is named")
	}
	if len(d.Buckets) > 100 {
		return wrong("buckets", "has more than 100")
	}
	for i, b := range d.Buckets {
		path := fmt.Sprintf("buckets[%d]", i)
		switch numbers := b.From != nil || b.Below != nil; {
		case b.Name == "" || len(b.Name) > 128:
			return wrong(path+".name", "is empty or longer than 128 bytes")
		case numbers == (b.In != nil):
			return wrong(path, "write from and below, or in")
		case len(b.In) > maxValues:
			return wrong(path+".in", "has more than %d texts", maxValues)
		case b.From != nil && b.Below != nil && *b.From >= *b.Below:
			return wrong(path, "is empty: %v up to, not including, %v", *b.From, *b.Below)
		}
		for j := range i {
			if d.Buckets[j].Name == b.Name {
				return wrong(path+".name", "%q is there twice", b.Name)
			}
		}
	}
	return nil
}
