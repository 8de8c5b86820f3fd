package measuretest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"heed/internal/condition"
	"heed/internal/event"
	"heed/internal/measure"
	"heed/internal/period"
)

// Promoted are the fields of events that random queries ask about.
func Promoted() []string { return []string{"context.device", "properties.tier", "event.source"} }

// Random makes a small history around a change of clocks in Europe/Berlin, full
// of ties, late events, bots and merges, and a time to ask at.
func Random(r *rand.Rand) (h *History, now int64) {
	start := time.Date(2026, 3, 27, 0, 0, 0, 0, time.UTC).UnixMicro()
	if r.IntN(2) == 0 {
		start = time.Date(2026, 10, 23, 0, 0, 0, 0, time.UTC).UnixMicro()
	}
	length := pick(r, int64(3*time.Hour), int64(30*time.Hour), int64(5*24*time.Hour), int64(40*24*time.Hour)) / 1000
	grid := pick(r, int64(60e6), int64(600e6), int64(3600e6))
	h = &History{}
	ids := make([]string, 2+r.IntN(7))
	for i := range ids {
		ids[i] = fmt.Sprintf("u%d", i)
	}
	for i := range r.IntN(80) {
		at := start + r.Int64N(length)/grid*grid
		if r.IntN(8) == 0 {
			at += r.Int64N(3) - 1 // at the edges of windows and days
		}
		who := r.IntN(len(ids))
		e := event.Event{
			MessageID: fmt.Sprintf("m%d", i), Name: pick(r, "a", "a", "b", "c", "d"), Timestamp: at, ReceivedAt: at,
			Source: pick(r, "web", "app"), UserID: ids[who],
		}
		if r.IntN(3) == 0 {
			e.UserID, e.AnonymousID = "", ids[who]
		}
		c := &e.Context
		c.Device, c.Country = pick(r, "", "phone", "desk"), pick(r, "", "", "DE", "FI", "SE")
		c.Bot = r.IntN(12) == 0
		if r.IntN(12) == 0 {
			c.Extra = []byte(`{"internal":true}`)
		}
		if r.IntN(4) == 0 {
			e.Properties = []byte(fmt.Sprintf(`{"tier":%s,"revenue":%d}`, pick(r, `"1"`, `1`, `2`, `true`), r.IntN(5)))
		}
		if r.IntN(5) == 0 {
			c.Page.URL, c.Page.Referrer = "https://shop.example/x", pick(r, "https://www.search.example/", "https://pay.shop.example/", "https://www.paypal.com/", "")
			c.Campaign = event.CampaignContext{Source: pick(r, "letter", "", "ads"), Medium: pick(r, "mail", ""), Name: pick(r, "may", "")}
		}
		switch r.IntN(12) {
		case 0:
			e.Type, e.Name = event.Identify, event.NameIdentify
			e.Traits = []byte(fmt.Sprintf(`{"plan":%s,"age":%d,"consent":{"sms":%t}}`, pick(r, `"gold"`, `"free"`, `null`, `["x"]`), r.IntN(3)*10, r.IntN(2) == 0))
		case 1:
			c.Consent = []byte(pick(r, `{"sms":true}`, `{"sms":false,"email":true}`, `{"sms":{"granted":true,"source":"shop"},"email":{"granted":false}}`))
		case 2:
			e.Name = event.NameDelivery
			e.Properties = []byte(fmt.Sprintf(`{"campaign":"k","status":%q,"reason":%q,"test":%t}`, pick(r, "sent", "refused"), pick(r, "", "holdout", "cap"), r.IntN(10) == 0))
		case 3:
			e.Type, e.Name = event.Page, event.NamePage
		case 4:
			if r.IntN(4) == 0 {
				e.Type, e.Name = event.System, event.NameTick
			}
		case 5:
			e.Type, e.Name = event.Identify, event.NameImported
			e.Traits = []byte(pick(r, `{"plan":"gold"}`, `{"age":20,"consent":{"email":true}}`))
		}
		h.Events = append(h.Events, e)
	}
	for i := range ids {
		if r.IntN(4) == 0 && i > 0 {
			h.Merges = append(h.Merges, Merge{From: ids[i], To: pick(r, ids[r.IntN(i)], "new")})
		}
	}
	h.untie()
	return h, start + pick(r, length, length+1, length/2, 2*length)
}

// untie moves events of ids that are one user apart: between such, equal times
// have no order.
func (h *History) untie() {
	o := &oracle{}
	o.merges(h)
	type moment struct {
		user string
		at   int64
	}
	taken := map[moment]string{}
	for i := range h.Events {
		e := &h.Events[i]
		for {
			m := moment{o.canonical(e.User()), e.Timestamp}
			if id, ok := taken[m]; ok && id != e.User() {
				e.Timestamp++
				continue
			}
			taken[m] = e.User()
			break
		}
	}
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// AskFacts is Ask, and asks for what only the facts can answer too.
func AskFacts(r *rand.Rand, now int64) *measure.Query {
	if r.IntN(6) > 0 {
		return Ask(r, now)
	}
	q := common(r, now)
	if r.IntN(3) == 0 {
		q.Return = &measure.Return{
			Campaign: pick(r, "k", "k", "k", "other"), Goal: match(r), Within: pick(r, period.Period(time.Hour), period.Period(72*time.Hour)),
			Value: pick(r, "", "properties.revenue"),
		}
		return q
	}
	q.Attribution = &measure.Attribution{
		Goal: match(r), Value: pick(r, "", "properties.revenue"), Model: pick(r, measure.FirstTouch, measure.LastTouch),
		Lookback: pick(r, period.Period(10*time.Minute), period.Period(24*time.Hour), measure.DefaultLookback),
		By:       pick(r, measure.BySource, measure.ByMedium, measure.ByCampaign), Top: 1 + r.IntN(3),
	}
	if r.IntN(3) == 0 {
		q.Attribution.Returns = []string{"search.example"}
	}
	return q
}

// common is what every query has.
func common(r *rand.Rand, now int64) *measure.Query {
	q := &measure.Query{
		Range: span(r, now), Zone: pick(r, "", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"),
		WeekStart: pick(r, "", "sunday"),
	}
	if r.IntN(4) == 0 {
		q.AsOf = time.UnixMicro(now - r.Int64N(48*3600)*1e6).UTC().Format(time.RFC3339)
	}
	if r.IntN(2) == 0 {
		a := Tree(r, now, 2)
		q.Audience = &a
	}
	if r.IntN(4) == 0 {
		q.Where = where(r)
	}
	return q
}

// Ask makes a random query that Check accepts and Resolve leaves as it is.
func Ask(r *rand.Rand, now int64) *measure.Query {
	q := common(r, now)
	count := pick(r, measure.CountEvents, measure.CountUsers)
	switch r.IntN(9) {
	case 0:
		q.Range = timed(r, now)
		q.Series = &measure.Series{Of: []measure.Match{match(r)}, Count: count, Per: pick(r, measure.Hour, measure.Day, measure.Week, measure.Month), Top: 1 + r.IntN(3)}
		if r.IntN(2) == 0 {
			d := anyDimension(r, now)
			q.Series.By = &d
		}
	case 1:
		m := match(r)
		q.Breakdown = &measure.Breakdown{Of: &m, Count: count, By: []measure.Dimension{anyDimension(r, now)}, Top: 1 + r.IntN(3)}
		if r.IntN(2) == 0 {
			q.Breakdown.By = append(q.Breakdown.By, anyDimension(r, now))
		}
	case 2:
		q.Breakdown = &measure.Breakdown{Count: measure.CountUsers, By: []measure.Dimension{userDimension(r, now)}, Top: 1 + r.IntN(4)}
	case 3, 4:
		f := funnel(r)
		if f.Top = 1 + r.IntN(2); r.IntN(3) == 0 {
			d := userDimension(r, now)
			f.By = &d
		}
		q.Funnel = &f
	case 5:
		q.Range = timed(r, now)
		re := retention(r)
		q.Retention = &re
	case 6:
		p := paths(r)
		q.Paths = &p
	case 7:
		switch q.Users = (&measure.Users{Limit: r.IntN(5)}); r.IntN(3) {
		case 0:
			q.Users.After = "u2"
		case 1:
			q.Users, q.Live = nil, &measure.Live{Minutes: 1 + r.IntN(1000), Top: 3}
		}
	case 8:
		q.Sessions = &measure.Sessions{}
		if r.IntN(2) == 0 {
			q.Range, q.Sessions.Per = timed(r, now), measure.Day
		}
	}
	return q
}

func span(r *rand.Rand, now int64) measure.Range {
	if r.IntN(3) == 0 {
		return measure.Range{}
	}
	return timed(r, now)
}

func timed(r *rand.Rand, now int64) measure.Range {
	if r.IntN(2) == 0 {
		return measure.Range{Last: pick(r, "30m", "24h", "1d", "3d", "2w", "1mo")}
	}
	from := time.UnixMicro(now - r.Int64N(50*24*3600)*1e6).UTC()
	out := measure.Range{From: from.Format(time.RFC3339)}
	if r.IntN(2) == 0 {
		out.From = from.Format(time.DateOnly)
	}
	if r.IntN(2) == 0 {
		out.To = from.AddDate(0, 0, 1+r.IntN(20)).Format(time.RFC3339)
	}
	return out
}

func match(r *rand.Rand) measure.Match {
	m := measure.Match{Event: pick(r, "", "a", "b", "c", "d", "page", "never", event.NameDelivery)}
	if r.IntN(4) == 0 {
		m.Where = where(r)
	}
	return m
}

func where(r *rand.Rand) condition.Condition {
	return pick(
		r,
		condition.Condition{Field: "context.device", Op: condition.Eq, Value: "phone"},
		condition.Condition{Field: "context.device", Op: condition.Missing},
		condition.Condition{Field: "properties.tier", Op: condition.Eq, Value: 1},
		condition.Condition{Not: &condition.Condition{Field: "properties.tier", Op: condition.In, Value: []any{"1", true}}},
		condition.Condition{Any: []condition.Condition{{Field: "event.source", Op: condition.Eq, Value: "app"}, {Field: "event.event", Op: condition.Eq, Value: "b"}}},
	)
}

func traits(r *rand.Rand) *condition.Condition {
	c := pick(
		r,
		condition.Condition{Field: "traits.plan", Op: condition.Eq, Value: "gold"},
		condition.Condition{Field: "traits.plan", Op: condition.Missing},
		condition.Condition{Field: "traits.plan[0]", Op: condition.Exists},
		condition.Condition{All: []condition.Condition{{Field: "traits.age", Op: condition.Gte, Value: 10}, {Field: "traits.plan", Op: condition.Ne, Value: "free"}}},
		condition.Condition{Field: "traits.nothing", Op: condition.Exists},
	)
	return &c
}

func userDimension(r *rand.Rand, now int64) measure.Dimension {
	buckets := []measure.Bucket{{Name: "low", From: new(1.0), Below: new(2.0)}, {Name: "more", From: new(2.0)}}
	b := measure.Behavior{During: span(r, now)}
	m := match(r)
	b.Event, b.Where = m.Event, m.Where
	switch r.IntN(8) {
	case 0:
		return measure.Engagement()
	case 1:
		return measure.Dimension{Days: &b, Buckets: buckets}
	case 2:
		return measure.Dimension{Events: &b, Buckets: buckets}
	case 3:
		return measure.Dimension{Recency: &b}
	}
	return measure.Dimension{Field: pick(
		r, "traits.plan", "traits.age", "consent.sms", "user.country", "user.device", "acquisition.month", "acquisition.day",
		"acquisition.week", "acquisition.source", "acquisition.medium", "acquisition.campaign",
		"lastTouch.source", "lastTouch.medium", "lastTouch.campaign", "lastTouch.day", "lastTouch.week", "lastTouch.month",
	)}
}

func eventDimension(r *rand.Rand) measure.Dimension {
	return measure.Dimension{Field: pick(r, "event.event", "context.device", "properties.tier", "event.source")}
}

func anyDimension(r *rand.Rand, now int64) measure.Dimension {
	if r.IntN(2) == 0 {
		return eventDimension(r)
	}
	return userDimension(r, now)
}

func values(r *rand.Rand) []*string {
	all := []string{"gold", "1", "DE", "phone", "low", "direct", "letter", "2026-03", "2026-10", "true", "a"}
	out := []*string{&all[r.IntN(len(all))], &all[r.IntN(len(all))]}
	if r.IntN(2) == 0 {
		out = append(out, nil)
	}
	return out
}

func funnel(r *rand.Rand) measure.Funnel {
	f := measure.Funnel{Window: pick(r, period.Period(time.Hour), period.Period(10*time.Minute), period.Period(48*time.Hour)), Strict: r.IntN(3) == 0}
	for i := range 1 + r.IntN(4) {
		m := match(r)
		s := measure.Step{Event: m.Event, Where: m.Where}
		if i > 0 && r.IntN(4) == 0 {
			s.Without = []measure.Match{match(r)}
		}
		f.Steps = append(f.Steps, s)
	}
	return f
}

func retention(r *rand.Rand) measure.Retention {
	return measure.Retention{
		First: match(r), Return: match(r), New: r.IntN(3) == 0, Per: pick(r, measure.Day, measure.Week, measure.Month),
		Periods: 1 + r.IntN(8), Unbounded: r.IntN(2) == 0,
	}
}

func paths(r *rand.Rand) measure.Paths {
	return measure.Paths{From: match(r), Before: r.IntN(2) == 0, Depth: 1 + r.IntN(4), Window: pick(r, period.Period(time.Hour), period.Period(24*time.Hour)), Top: 1 + r.IntN(3)}
}

// Tree makes a random audience.
func Tree(r *rand.Rand, now int64, depth int) measure.Audience {
	if depth > 0 && r.IntN(3) == 0 {
		list := []measure.Audience{Tree(r, now, depth-1), Tree(r, now, depth-1)}
		switch r.IntN(3) {
		case 0:
			return measure.Audience{All: list}
		case 1:
			return measure.Audience{Any: list}
		default:
			return measure.Audience{Not: &list[0]}
		}
	}
	switch r.IntN(9) {
	case 0:
		return measure.Audience{Where: traits(r)}
	case 1:
		return measure.Audience{Is: &measure.Is{Dimension: userDimension(r, now), Values: values(r), Not: r.IntN(3) == 0}}
	case 2:
		return measure.Audience{Consent: pick(r, "sms", "email", "fax")}
	case 3:
		return measure.Audience{Users: []string{"u0", "u1", "u3", "nobody"}}
	case 4:
		f := funnel(r)
		in := &measure.InFunnel{Funnel: f, During: span(r, now), Level: 1 + r.IntN(len(f.Steps)), State: pick(r, measure.Reached, measure.Stuck, measure.Progress)}
		return measure.Audience{Funnel: in}
	case 5:
		re := retention(r)
		return measure.Audience{Retention: &measure.InRetention{
			Retention: re, During: timed(r, now), Cohort: time.UnixMicro(now - r.Int64N(4*24*3600)*1e6).UTC().Format(time.RFC3339),
			Period: r.IntN(re.Periods + 1), Lost: r.IntN(2) == 0,
		}}
	case 6:
		p := paths(r)
		return measure.Audience{Path: &measure.InPath{
			Paths: p, During: span(r, now), Depth: r.IntN(p.Depth + 1), Events: names(r), Not: r.IntN(3) == 0, Previous: names(r)[1:],
			NotPrevious: r.IntN(3) == 0,
		}}
	case 7:
		return measure.Audience{Session: &measure.InSession{During: span(r, now)}}
	}
	m := match(r)
	d := &measure.Did{Event: m.Event, Where: m.Where, During: span(r, now)}
	if n := r.IntN(4); r.IntN(2) == 0 {
		d.Min = &n
	} else if r.IntN(2) == 0 {
		d.Max = &n
	}
	if r.IntN(4) == 0 {
		d.Is = []measure.Is{{Dimension: eventDimension(r), Values: values(r), Not: r.IntN(2) == 0}}
	}
	return measure.Audience{Did: d}
}

func names(r *rand.Rand) []*string {
	out := []*string{nil, new(string)}
	*out[1] = pick(r, "a", "b", "page", "d")
	if r.IntN(2) == 0 {
		return slices.Clone(out)
	}
	return append(out[1:], out[1])
}
