// Package measuretest owns the oracle of measure: answers computed by brute
// force over a plain list of events, written from the meaning of each measure
// and from nothing else; and random histories and queries to compare by. It is
// for tests.
package measuretest

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"heed/internal/condition"
	"heed/internal/consent"
	"heed/internal/event"
	"heed/internal/measure"
	"heed/internal/profile"
	"heed/internal/touch"
)

// History is what happened: events in the order of the log, each once, and who
// turned out to be whom.
type History struct {
	Events []event.Event
	Merges []Merge // in order
}

// Merge says that an id's user is another one.
type Merge struct{ From, To string }

// Answer answers a resolved query at a time (µs since the Unix epoch).
func (h *History) Answer(q *measure.Query, now int64) (measure.Result, error) {
	f, err := q.Frame(now)
	if err != nil {
		return measure.Result{}, err
	}
	o := &oracle{q: q, f: f, users: map[string]*user{}}
	if o.span, err = f.Span(q.Range); err != nil {
		return measure.Result{}, err
	}
	if q.Live != nil {
		o.span = measure.Span{From: f.AsOf - int64(q.Live.Minutes)*60e6, To: f.AsOf}
	}
	o.res = measure.Result{Kind: q.Kind(), From: o.span.From, To: o.span.To, AsOf: f.AsOf, Zone: f.Zone.String()}
	o.read(h)
	if q.Audience != nil {
		o.only(o.audience(q.Audience))
	}
	switch q.Kind() {
	case measure.KindSeries:
		o.series(q.Series)
	case measure.KindBreakdown:
		o.breakdown(q.Breakdown)
	case measure.KindFunnel:
		o.funnel(q.Funnel)
	case measure.KindRetention:
		o.retention(q.Retention)
	case measure.KindPaths:
		o.paths(q.Paths)
	case measure.KindLive:
		o.live(q.Live)
	case measure.KindUsers:
		o.listed(q.Users)
	case measure.KindTimeline:
		o.timeline(q.Timeline)
	case measure.KindSessions:
		o.sessions(q.Sessions)
	case measure.KindAttribution:
		o.attribution(q.Attribution)
	case measure.KindReturn:
		o.campaign(q.Return)
	default:
		o.err = errors.New("asks nothing")
	}
	return o.res, o.err
}

// user is one user with the events that exist for them.
type user struct {
	id   string
	ever []*event.Event // in order, those behind as-of too
	all  []*event.Event // in order, before as-of, whatever Where says
	evs  []*event.Event // those of all that Where lets pass
}

type oracle struct {
	q     *measure.Query
	f     measure.Frame
	span  measure.Span
	users map[string]*user // that exist
	order []*user          // the same, by id
	known map[string]string
	res   measure.Result
	err   error
}

func (o *oracle) check(err error) {
	if o.err == nil {
		o.err = err
	}
}

func (o *oracle) read(h *History) {
	o.merges(h)
	for i := range h.Events {
		e := &h.Events[i]
		if e.Type == event.System || e.User() == "" {
			continue
		}
		bot, internal := e.Context.Bot, truth(e.Context.Extra, "internal")
		if out := bot && !o.q.Bots || internal && !o.q.Internal; out {
			if profile.Counts(e) && o.span.Holds(e.Timestamp) {
				if bot && !o.q.Bots {
					o.res.Excluded.Bots++
				} else {
					o.res.Excluded.Internal++
				}
			}
			continue
		}
		id := o.canonical(e.User())
		u := o.users[id]
		if u == nil {
			u = &user{id: id}
			o.users[id] = u
		}
		u.ever = append(u.ever, e)
	}
	for id, u := range o.users {
		slices.SortStableFunc(u.ever, func(a, b *event.Event) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
		exists := false
		for _, e := range u.ever {
			if e.Timestamp >= o.f.AsOf {
				break
			}
			exists = exists || profile.Tells(e)
			u.all = append(u.all, e)
			if o.where(o.q.Where, e) {
				u.evs = append(u.evs, e)
			}
		}
		if !exists {
			delete(o.users, id)
		}
	}
	o.sort()
}

// merges finds whose every id is today.
func (o *oracle) merges(h *History) {
	o.known = map[string]string{}
	for _, m := range h.Merges {
		from, to := o.canonical(m.From), o.canonical(m.To)
		if from == to {
			continue
		}
		o.known[from] = to
		for id, now := range o.known {
			if now == from {
				o.known[id] = to
			}
		}
	}
}

func (o *oracle) sort() {
	o.order = nil
	for _, u := range o.users {
		o.order = append(o.order, u)
	}
	slices.SortFunc(o.order, func(a, b *user) int { return strings.Compare(a.id, b.id) })
}

func (o *oracle) only(in map[*user]bool) {
	for id, u := range o.users {
		if !in[u] {
			delete(o.users, id)
		}
	}
	o.sort()
}

func (o *oracle) canonical(id string) string {
	if now, ok := o.known[id]; ok {
		return now
	}
	return id
}

func truth(doc []byte, key string) bool {
	var m map[string]any
	if json.Unmarshal(doc, &m) != nil {
		return false
	}
	v, ok := m[key].(bool)
	return ok && v
}

func (o *oracle) where(c condition.Condition, e *event.Event) bool {
	p, err := condition.Compile(c, condition.ForEvent)
	o.check(err)
	return err == nil && p.Eval(&condition.Facts{Event: e})
}

func (o *oracle) matches(m measure.Match, e *event.Event) bool {
	if m.Event != "" && e.Name != m.Event || m.Event == "" && !profile.Counts(e) {
		return false
	}
	return o.where(m.Where, e)
}

// pick is the events of a list that match within a span.
func (o *oracle) pick(evs []*event.Event, m measure.Match, in measure.Span) []*event.Event {
	var out []*event.Event
	for _, e := range evs {
		if in.Holds(e.Timestamp) && o.matches(m, e) {
			out = append(out, e)
		}
	}
	return out
}

func (o *oracle) during(r measure.Range) measure.Span {
	s, err := o.f.Span(r)
	o.check(err)
	return s
}

func filter(evs []*event.Event, keep func(e *event.Event) bool) []*event.Event {
	var out []*event.Event
	for _, e := range evs {
		if keep(e) {
			out = append(out, e)
		}
	}
	return out
}

// audience is the existing users for whom a node holds.
func (o *oracle) audience(a *measure.Audience) map[*user]bool {
	out := map[*user]bool{}
	for _, u := range o.order {
		if o.holds(a, u) {
			out[u] = true
		}
	}
	return out
}

func (o *oracle) holds(a *measure.Audience, u *user) bool {
	visible := func(c condition.Condition) []*event.Event {
		return filter(u.all, func(e *event.Event) bool { return o.where(c, e) })
	}
	switch {
	case a.All != nil:
		for i := range a.All {
			if !o.holds(&a.All[i], u) {
				return false
			}
		}
		return true
	case a.Any != nil:
		for i := range a.Any {
			if o.holds(&a.Any[i], u) {
				return true
			}
		}
		return false
	case a.Not != nil:
		return !o.holds(a.Not, u)
	case a.Where != nil:
		p, err := condition.Compile(*a.Where, condition.ForProfile)
		o.check(err)
		return err == nil && p.Eval(&condition.Facts{Traits: o.traits(u)})
	case a.Is != nil:
		return a.Is.Holds(o.value(&a.Is.Dimension, u, nil))
	case a.Consent != "":
		var said map[string]json.RawMessage
		o.check(json.Unmarshal(o.consent(u), &said))
		return consent.Read(string(said[a.Consent])).State == consent.Granted
	case a.Users != nil:
		return slices.ContainsFunc(a.Users, func(id string) bool { return o.canonical(id) == u.id })
	case a.Did != nil:
		n := 0
		for _, e := range o.pick(u.all, a.Did.Match(), o.during(a.Did.During)) {
			if !slices.ContainsFunc(a.Did.Is, func(is measure.Is) bool { return !is.Holds(o.value(&is.Dimension, u, e)) }) {
				n++
			}
		}
		least, most := a.Did.Bounds()
		return n >= least && (most < 0 || n <= most)
	case a.Funnel != nil:
		w := o.walk(&a.Funnel.Funnel, visible(a.Funnel.Where), o.during(a.Funnel.During))
		open := w.open && w.level < len(a.Funnel.Funnel.Steps)
		switch a.Funnel.State {
		case measure.Stuck:
			return w.level == a.Funnel.Level && !open && w.level < len(a.Funnel.Funnel.Steps)
		case measure.Progress:
			return w.level == a.Funnel.Level && open
		case measure.Reached:
		}
		return w.level >= a.Funnel.Level
	case a.Retention != nil:
		r := &a.Retention.Retention
		at, err := o.f.Span(measure.Range{From: a.Retention.Cohort})
		o.check(err)
		start, ok := o.cohort(r, visible(a.Retention.Where), o.during(a.Retention.During))
		if !ok || start != o.f.Floor(at.From, r.Per) {
			return false
		}
		return o.returned(r, visible(a.Retention.Where), start, a.Retention.Period) != a.Retention.Lost
	case a.Path != nil:
		return o.onPath(a.Path, visible(a.Path.Where))
	case a.Session != nil:
		in := o.during(a.Session.During)
		return slices.ContainsFunc(o.cut(visible(a.Session.Where)), func(s []*event.Event) bool { return in.Holds(s[0].Timestamp) })
	}
	return true
}

// traits and consent are as of the last write by event time.
func (o *oracle) traits(u *user) []byte {
	m := map[string]json.RawMessage{}
	for _, e := range u.ever {
		if e.Type == event.Identify && profile.Tells(e) {
			o.merge(m, e.Traits)
		}
	}
	b, err := json.Marshal(m)
	o.check(err)
	return b
}

func (o *oracle) consent(u *user) []byte {
	m := map[string]json.RawMessage{}
	for _, e := range u.ever {
		if !profile.Tells(e) {
			continue
		}
		o.merge(m, e.Context.Consent)
		if e.Type == event.Identify && len(e.Traits) > 0 {
			var in struct{ Consent json.RawMessage }
			o.check(json.Unmarshal(e.Traits, &in))
			o.merge(m, in.Consent)
		}
	}
	b, err := json.Marshal(m)
	o.check(err)
	return b
}

func (o *oracle) merge(into map[string]json.RawMessage, doc []byte) {
	if len(doc) == 0 {
		return
	}
	var m map[string]json.RawMessage
	o.check(json.Unmarshal(doc, &m))
	for k, v := range m {
		if string(v) == "null" {
			delete(into, k)
		} else {
			into[k] = v
		}
	}
}

// value is the value of a dimension for a user, or one of their events.
func (o *oracle) value(d *measure.Dimension, u *user, e *event.Event) *string {
	number := func(n float64) *string { return d.BucketNumber(n) }
	switch {
	case d.Days != nil:
		days := map[int64]bool{}
		for _, e := range o.pick(u.all, d.Days.Match(), o.during(d.Days.During)) {
			days[o.f.Floor(e.Timestamp, measure.Day)] = true
		}
		return number(float64(len(days)))
	case d.Events != nil:
		return number(float64(len(o.pick(u.all, d.Events.Match(), o.during(d.Events.During)))))
	case d.Recency != nil:
		got := o.pick(u.all, d.Recency.Match(), o.during(d.Recency.During))
		if len(got) == 0 {
			return nil
		}
		return number(float64((o.f.AsOf - got[len(got)-1].Timestamp) / 86400e6))
	case d.Sum != nil:
		sum := 0.0
		for _, e := range o.pick(u.all, d.Sum.Match(), o.during(d.Sum.During)) {
			sum += o.number(d.Sum.Field, e)
		}
		return number(sum)
	}
	switch head, rest, _ := strings.Cut(d.Field, "."); head {
	case "traits":
		return d.Bucket(o.text(d.Field, &condition.Facts{Traits: o.traits(u)}))
	case "consent":
		return d.Bucket(o.text("traits."+rest, &condition.Facts{Traits: o.consent(u)}))
	case "user":
		for _, e := range slices.Backward(u.ever) {
			if v := place(e, rest); v != "" && profile.Tells(e) {
				return d.Bucket(&v)
			}
		}
		return nil
	case "acquisition":
		return d.Bucket(o.acquired(u, rest))
	case "lastTouch":
		return d.Bucket(o.lastTouch(u, rest))
	}
	return d.Bucket(o.text(d.Field, &condition.Facts{Event: e}))
}

func place(e *event.Event, name string) string {
	c := &e.Context
	return map[string]string{
		"country": c.Country, "locale": c.Locale, "timezone": c.Timezone, "device": c.Device, "os": c.OS, "browser": c.Browser,
	}[name]
}

func (o *oracle) acquired(u *user, what string) *string {
	first := u.ever[slices.IndexFunc(u.ever, profile.Tells)]
	return o.brought(first, what)
}

// lastTouch is of the latest event that something brought.
func (o *oracle) lastTouch(u *user, what string) *string {
	for _, e := range slices.Backward(u.ever) {
		if profile.Counts(e) && touchOf(e, nil) != touch.Direct() {
			return o.brought(e, what)
		}
	}
	if what == "source" {
		return new(touch.Direct().Source)
	}
	return nil
}

// brought is what an event says of how its user came, and when.
func (o *oracle) brought(e *event.Event, what string) *string {
	var v string
	switch what {
	case "day", "week":
		v = o.date(o.f.Floor(e.Timestamp, measure.Unit(what)), "2006-01-02")
	case "month":
		v = o.date(o.f.Floor(e.Timestamp, measure.Month), "2006-01")
	default:
		v = measure.TouchPart(what).Of(touchOf(e, nil))
	}
	if v == "" {
		return nil
	}
	return &v
}

func (o *oracle) date(at int64, layout string) string {
	return timeOf(at).In(o.f.Zone).Format(layout)
}

func touchOf(e *event.Event, returns []string) touch.Touch {
	c := &e.Context
	return touch.Of(c.Campaign.Source, c.Campaign.Medium, c.Campaign.Name, c.Page.Referrer, c.Page.URL, returns)
}

func (o *oracle) text(field string, facts *condition.Facts) *string {
	f, err := condition.CompileField(field)
	if err != nil {
		o.check(err)
		return nil
	}
	if got := f.Texts(facts, nil, 1); len(got) > 0 {
		return &got[0]
	}
	return nil
}

func (o *oracle) number(field string, e *event.Event) float64 {
	if v := o.text(field, &condition.Facts{Event: e}); v != nil {
		return measure.Amount(*v)
	}
	return 0
}

func key(values []*string) string {
	var b strings.Builder
	for _, v := range values {
		if v == nil {
			b.WriteString("-;")
		} else {
			fmt.Fprintf(&b, "%q;", *v)
		}
	}
	return b.String()
}
