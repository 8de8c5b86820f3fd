package measuretest

import (
	"cmp"
	"slices"
	"time"

	"heed/internal/condition"
	"heed/internal/event"
	"heed/internal/measure"
	"heed/internal/profile"
	"heed/internal/touch"
)

func timeOf(µs int64) time.Time { return time.UnixMicro(µs) }

// tally counts one thing: events, distinct users or a sum.
type tally struct {
	count measure.Count
	n     float64
	users map[*user]bool
}

func (t *tally) add(u *user, amount float64) {
	switch t.count {
	case measure.CountUsers:
		if t.users == nil {
			t.users = map[*user]bool{}
		}
		t.users[u] = true
		t.n = float64(len(t.users))
	case measure.CountSum:
		t.n += amount
	case measure.CountEvents:
		t.n++
	}
}

// hit is one event, or one user, that a breakdown or a line counts.
type hit struct {
	u      *user
	at     int64
	amount float64
	values []*string
}

func (o *oracle) hits(m measure.Match, count measure.Count, field string, by []measure.Dimension) []hit {
	var out []hit
	for _, u := range o.order {
		for _, e := range o.pick(u.evs, m, o.span) {
			h := hit{u: u, at: e.Timestamp}
			if count == measure.CountSum {
				h.amount = o.number(field, e)
			}
			for i := range by {
				h.values = append(h.values, o.value(&by[i], u, e))
			}
			out = append(out, h)
		}
	}
	return out
}

// rows groups hits by values, in the order of a breakdown.
func rows(hits []hit, count measure.Count) []measure.Row {
	groups := map[string]*tally{}
	var out []measure.Row
	for _, h := range hits {
		k := key(h.values)
		if groups[k] == nil {
			groups[k] = &tally{count: count}
			out = append(out, measure.Row{Values: h.values})
		}
		groups[k].add(h.u, h.amount)
	}
	for i := range out {
		out[i].Count = groups[key(out[i].Values)].n
	}
	measure.SortRows(out)
	return out
}

func total(hits []hit, count measure.Count) float64 {
	t := tally{count: count}
	for _, h := range hits {
		t.add(h.u, h.amount)
	}
	return t.n
}

func split(hits []hit, rows []measure.Row) (in, out []hit) {
	for _, h := range hits {
		if slices.ContainsFunc(rows, func(r measure.Row) bool { return key(r.Values) == key(h.values) }) {
			in = append(in, h)
		} else {
			out = append(out, h)
		}
	}
	return in, out
}

func (o *oracle) breakdown(b *measure.Breakdown) {
	var hits []hit
	if b.Of != nil {
		hits = o.hits(*b.Of, b.Count, b.Field, b.By)
	} else {
		for _, u := range o.order {
			h := hit{u: u}
			for i := range b.By {
				h.values = append(h.values, o.value(&b.By[i], u, nil))
			}
			hits = append(hits, h)
		}
	}
	res := &measure.BreakdownResult{Rows: rows(hits, b.Count), Total: total(hits, b.Count)}
	if len(res.Rows) > b.Top {
		res.Rows = res.Rows[:b.Top]
		_, rest := split(hits, res.Rows)
		res.Other = &measure.Row{Count: total(rest, b.Count)}
	}
	o.res.Breakdown = res
}

func (o *oracle) series(s *measure.Series) {
	starts, err := o.f.Buckets(o.span, s.Per, measure.MaxBuckets)
	o.check(err)
	res := &measure.SeriesResult{Buckets: starts}
	line := func(match int, hits []hit) measure.Line {
		l := measure.Line{Match: match, Points: []float64{}, Total: total(hits, s.Count)}
		for i, from := range starts {
			to := o.span.To
			if i+1 < len(starts) {
				to = starts[i+1]
			}
			l.Points = append(l.Points, total(slices.DeleteFunc(slices.Clone(hits), func(h hit) bool { return h.at < from || h.at >= to }), s.Count))
		}
		return l
	}
	for i, m := range s.Of {
		if s.By == nil {
			res.Lines = append(res.Lines, line(i, o.hits(m, s.Count, s.Field, nil)))
			continue
		}
		hits := o.hits(m, s.Count, s.Field, []measure.Dimension{*s.By})
		all := rows(hits, s.Count)
		top := all[:min(len(all), s.Top)]
		for _, r := range top {
			mine, _ := split(hits, []measure.Row{r})
			l := line(i, mine)
			l.Value = r.Values[0]
			res.Lines = append(res.Lines, l)
		}
		if len(all) > len(top) {
			_, rest := split(hits, top)
			l := line(i, rest)
			l.Other = true
			res.Lines = append(res.Lines, l)
		}
	}
	o.res.Series = res
}

// walked is how far one user got.
type walked struct {
	level     int
	open      bool // a chain can still grow
	converted bool
	took      int64
}

// walk tries every chain there is.
func (o *oracle) walk(f *measure.Funnel, evs []*event.Event, in measure.Span) walked {
	var w walked
	ends := -1 // index of the event that completes
	var start int64
	forbidden := func(step int, e *event.Event) bool {
		if f.Strict && profile.Counts(e) {
			return true
		}
		return slices.ContainsFunc(f.Steps[step].Without, func(m measure.Match) bool { return o.matches(m, e) })
	}
	var extend func(level, last int, began int64)
	extend = func(level, last int, began int64) {
		w.level = max(w.level, level)
		if level == len(f.Steps) {
			if ends < 0 || last < ends || last == ends && began > start {
				ends, start = last, began
			}
			return
		}
		for i := last + 1; i < len(evs); i++ {
			if evs[i].Timestamp-began < f.Window.Micros() && o.matches(f.Steps[level].Match(), evs[i]) {
				extend(level+1, i, began)
			}
			if forbidden(level, evs[i]) {
				return
			}
		}
		if o.f.AsOf-began < f.Window.Micros() {
			w.open = true
		}
	}
	for i, e := range evs {
		if in.Holds(e.Timestamp) && o.matches(f.Steps[0].Match(), e) {
			extend(1, i, e.Timestamp)
		}
	}
	if ends >= 0 {
		w.converted, w.took = true, evs[ends].Timestamp-start
	}
	return w
}

func (o *oracle) funnel(f *measure.Funnel) {
	all := map[*user]walked{}
	byValue := map[string][]*user{}
	values := map[string]*string{}
	var everyone []*user
	for _, u := range o.order {
		w := o.walk(f, u.evs, o.span)
		if w.level == 0 {
			continue
		}
		all[u] = w
		everyone = append(everyone, u)
		if f.By != nil {
			v := o.value(f.By, u, nil)
			k := key([]*string{v})
			values[k] = v
			byValue[k] = append(byValue[k], u)
		}
	}
	count := func(users []*user) measure.FunnelCount {
		c := measure.FunnelCount{Steps: make([]measure.FunnelStep, len(f.Steps))}
		var took []int64
		for _, u := range users {
			w := all[u]
			for i := range w.level {
				c.Steps[i].Reached++
			}
			switch {
			case w.converted:
				took = append(took, w.took)
			case w.open:
				c.Steps[w.level-1].Progress++
			default:
				c.Steps[w.level-1].Stuck++
			}
		}
		c.Convert = measure.PercentilesOf(took)
		return c
	}
	res := &measure.FunnelResult{FunnelCount: count(everyone)}
	if f.By != nil {
		var list []measure.Row
		for k, users := range byValue {
			list = append(list, measure.Row{Values: []*string{values[k]}, Count: float64(len(users))})
		}
		measure.SortRows(list)
		var rest []*user
		for i, r := range list {
			users := byValue[key(r.Values)]
			if i < f.Top {
				res.Groups = append(res.Groups, measure.FunnelGroup{Value: r.Values[0], FunnelCount: count(users)})
			} else {
				rest = append(rest, users...)
			}
		}
		if rest != nil {
			res.Groups = append(res.Groups, measure.FunnelGroup{Other: true, FunnelCount: count(rest)})
		}
	}
	o.res.Funnel = res
}

// cohort is the start of the unit of a user's first event.
func (o *oracle) cohort(r *measure.Retention, evs []*event.Event, in measure.Span) (int64, bool) {
	ever := o.pick(evs, r.First, measure.Span{To: o.f.AsOf})
	first := slices.IndexFunc(ever, func(e *event.Event) bool { return in.Holds(e.Timestamp) })
	if first < 0 || r.New && first > 0 {
		return 0, false
	}
	return o.f.Floor(ever[first].Timestamp, r.Per), true
}

func (o *oracle) returned(r *measure.Retention, evs []*event.Event, start int64, period int) bool {
	if period == 0 {
		return true
	}
	in := measure.Span{From: o.f.Add(start, r.Per, period), To: o.f.AsOf}
	if !r.Unbounded {
		in.To = min(in.To, o.f.Add(start, r.Per, period+1))
	}
	return len(o.pick(evs, r.Return, in)) > 0
}

func (o *oracle) retention(r *measure.Retention) {
	starts, err := o.f.Buckets(o.span, r.Per, measure.MaxBuckets)
	o.check(err)
	res := &measure.RetentionResult{Cohorts: []measure.Cohort{}}
	for _, start := range starts {
		c := measure.Cohort{Start: start}
		for p := 0; p <= r.Periods && (p == 0 || o.f.Add(start, r.Per, p) < o.f.AsOf); p++ {
			n := int64(0)
			for _, u := range o.order {
				if at, ok := o.cohort(r, u.evs, o.span); ok && at == start && o.returned(r, u.evs, start, p) {
					n++
				}
			}
			c.Cells = append(c.Cells, n)
		}
		c.Partial = o.f.Add(start, r.Per, len(c.Cells)) > o.f.AsOf
		res.Cohorts = append(res.Cohorts, c)
	}
	o.res.Retention = res
}

// path is what a user did next to their anchor.
func (o *oracle) path(p *measure.Paths, evs []*event.Event, in measure.Span) (names []string, ok bool) {
	evs = slices.Clone(evs)
	if p.Before {
		slices.Reverse(evs)
	}
	anchor := slices.IndexFunc(evs, func(e *event.Event) bool { return in.Holds(e.Timestamp) && o.matches(p.From, e) })
	if anchor < 0 {
		return nil, false
	}
	for _, e := range evs[anchor+1:] {
		away := e.Timestamp - evs[anchor].Timestamp
		if max(away, -away) >= p.Window.Micros() || len(names) == p.Depth {
			break
		}
		if profile.Counts(e) {
			names = append(names, e.Name)
		}
	}
	return names, true
}

func (o *oracle) onPath(in *measure.InPath, evs []*event.Event) bool {
	names, ok := o.path(&in.Paths, evs, o.during(in.During))
	if !ok || in.Depth == 0 || len(names) < in.Depth-1 {
		return ok && in.Depth == 0
	}
	has := func(list []*string, depth int) bool {
		return slices.ContainsFunc(list, func(want *string) bool {
			if want == nil {
				return len(names) == depth-1
			}
			return len(names) >= depth && names[depth-1] == *want
		})
	}
	if in.Not && len(names) < in.Depth || has(in.Events, in.Depth) == in.Not {
		return false
	}
	return in.Depth < 2 || len(in.Previous) == 0 || has(in.Previous, in.Depth-1) != in.NotPrevious
}

func (o *oracle) paths(p *measure.Paths) {
	res := &measure.PathsResult{Depths: [][]measure.PathNode{}}
	var all [][]string
	for _, u := range o.order {
		if names, ok := o.path(p, u.evs, o.span); ok {
			all = append(all, names)
		}
	}
	res.Users = int64(len(all))
	places := make([][]int, len(all)) // per path, the node at each depth
	for depth := 1; depth <= p.Depth; depth++ {
		count := map[string]int64{}
		end := int64(0)
		for _, names := range all {
			if len(names) >= depth {
				count[names[depth-1]]++
			} else if len(names) == depth-1 {
				end++
			}
		}
		var nodes []measure.PathNode
		for name, n := range count {
			nodes = append(nodes, measure.PathNode{Event: name, Users: n})
		}
		slices.SortFunc(nodes, func(a, b measure.PathNode) int {
			return cmp.Or(cmp.Compare(b.Users, a.Users), cmp.Compare(a.Event, b.Event))
		})
		if len(nodes) > p.Top {
			other := measure.PathNode{Other: true}
			for _, n := range nodes[p.Top:] {
				other.Users += n.Users
			}
			nodes = append(nodes[:p.Top], other)
		}
		if end > 0 {
			nodes = append(nodes, measure.PathNode{End: true, Users: end})
		}
		if len(nodes) == 0 {
			break
		}
		res.Depths = append(res.Depths, nodes)
		links := map[[2]int]int64{}
		for i, names := range all {
			if len(names) < depth-1 {
				continue
			}
			to := slices.IndexFunc(nodes, func(n measure.PathNode) bool {
				return len(names) < depth && n.End || len(names) >= depth && (n.Event == names[depth-1] && !n.End || n.Other)
			})
			from := 0
			if depth > 1 {
				from = places[i][depth-2]
			}
			places[i] = append(places[i], to)
			links[[2]int{from, to}]++
		}
		var list []measure.PathLink
		for l, n := range links {
			list = append(list, measure.PathLink{Depth: depth, From: l[0], To: l[1], Users: n})
		}
		slices.SortFunc(list, func(a, b measure.PathLink) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
		res.Links = append(res.Links, list...)
	}
	o.res.Paths = res
}

func (o *oracle) live(l *measure.Live) {
	res := &measure.LiveResult{Minutes: make([]int64, l.Minutes)}
	names := []measure.Dimension{{Field: "event.event"}}
	hits := o.hits(measure.Match{}, measure.CountEvents, "", names)
	for _, h := range hits {
		res.Minutes[(h.at-o.span.From)/60e6]++
	}
	res.Events = int64(len(hits))
	res.Users = int64(total(hits, measure.CountUsers))
	res.Top = rows(hits, measure.CountEvents)
	res.Top = res.Top[:min(len(res.Top), l.Top)]
	o.res.Live = res
}

func (o *oracle) listed(p *measure.Users) {
	res := &measure.UsersResult{Total: int64(len(o.order))}
	for _, u := range o.order {
		if p.After != "" && u.id <= p.After || p.Limit == 0 {
			continue
		}
		if len(res.IDs) == p.Limit {
			res.More = true
			break
		}
		res.IDs = append(res.IDs, u.id)
	}
	o.res.Users = res
}

func (o *oracle) timeline(t *measure.Timeline) {
	res := &measure.TimelineResult{User: o.canonical(t.User), Events: []measure.TimedEvent{}}
	if u := o.users[res.User]; u != nil {
		skip := t.Offset
		for _, e := range slices.Backward(u.evs) {
			switch {
			case !o.span.Holds(e.Timestamp):
			case skip > 0:
				skip--
			case len(res.Events) == t.Limit:
				res.More = true
			default:
				res.Events = append(res.Events, measure.TimedEvent{
					At: e.Timestamp, Name: e.Name, Type: e.Type.String(), MessageID: e.MessageID, Source: e.Source,
					URL: e.Context.Page.URL, Properties: e.Properties,
				})
			}
		}
	}
	o.res.Timeline = res
}

// cut makes sessions of events.
func (o *oracle) cut(evs []*event.Event) [][]*event.Event {
	var out [][]*event.Event
	for _, e := range evs {
		if !profile.Counts(e) {
			continue
		}
		if n := len(out); n > 0 && e.Timestamp-out[n-1][len(out[n-1])-1].Timestamp < measure.SessionGap.Micros() {
			out[n-1] = append(out[n-1], e)
		} else {
			out = append(out, []*event.Event{e})
		}
	}
	return out
}

func (o *oracle) sessions(s *measure.Sessions) {
	count := func(in measure.Span) measure.SessionsCount {
		var c measure.SessionsCount
		var durations []int64
		for _, u := range o.order {
			before := c.Sessions
			for _, session := range o.cut(u.evs) {
				if in.Holds(session[0].Timestamp) {
					c.Sessions++
					c.Events += int64(len(session))
					durations = append(durations, session[len(session)-1].Timestamp-session[0].Timestamp)
				}
			}
			if c.Sessions > before {
				c.Users++
			}
		}
		c.Duration = measure.PercentilesOf(durations)
		return c
	}
	res := &measure.SessionsResult{SessionsCount: count(o.span)}
	if s.Per != "" {
		starts, err := o.f.Buckets(o.span, s.Per, measure.MaxBuckets)
		o.check(err)
		for i, from := range starts {
			in := measure.Span{From: max(from, o.span.From), To: o.span.To}
			if i+1 < len(starts) {
				in.To = starts[i+1]
			}
			res.Buckets = append(res.Buckets, measure.SessionsBucket{Start: from, SessionsCount: count(in)})
		}
	}
	o.res.Sessions = res
}

func (o *oracle) attribution(a *measure.Attribution) {
	type group struct {
		measure.Credit
		users map[*user]bool
	}
	groups := map[string]*group{}
	all := group{users: map[*user]bool{}}
	give := func(g *group, u *user, value float64) {
		g.users[u] = true
		g.Users = int64(len(g.users))
		g.Conversions++
		g.Value += value
	}
	var goals []struct {
		u     *user
		touch string
		value float64
	}
	for _, u := range o.order {
		for i, goal := range u.evs {
			if !o.span.Holds(goal.Timestamp) || !o.matches(a.Goal, goal) {
				continue
			}
			credit := touch.Direct()
			for _, e := range u.evs[:i+1] {
				t := touchOf(e, a.Returns)
				if !profile.Counts(e) || t == touch.Direct() || goal.Timestamp-e.Timestamp >= a.Lookback.Micros() {
					continue
				}
				if credit == touch.Direct() || a.Model == measure.LastTouch {
					credit = t
				}
			}
			value := 0.0
			if a.Value != "" {
				value = o.number(a.Value, goal)
			}
			part := a.By.Of(credit)
			goals = append(goals, struct {
				u     *user
				touch string
				value float64
			}{u, part, value})
			if groups[part] == nil {
				groups[part] = &group{Credit: measure.Credit{Touch: part}, users: map[*user]bool{}}
			}
			give(groups[part], u, value)
			give(&all, u, value)
		}
	}
	res := &measure.AttributionResult{Rows: []measure.Credit{}, Total: all.Credit}
	for _, g := range groups {
		res.Rows = append(res.Rows, g.Credit)
	}
	slices.SortFunc(res.Rows, func(x, y measure.Credit) int {
		if a.Value != "" {
			return cmp.Or(cmp.Compare(y.Value, x.Value), cmp.Compare(x.Touch, y.Touch))
		}
		return cmp.Or(cmp.Compare(y.Conversions, x.Conversions), cmp.Compare(x.Touch, y.Touch))
	})
	if len(res.Rows) > a.Top {
		other := group{users: map[*user]bool{}}
		for _, g := range goals {
			if !slices.ContainsFunc(res.Rows[:a.Top], func(c measure.Credit) bool { return c.Touch == g.touch }) {
				give(&other, g.u, g.value)
			}
		}
		res.Rows, res.Other = res.Rows[:a.Top], &other.Credit
	}
	o.res.Attribution = res
}

func (o *oracle) campaign(r *measure.Return) {
	res := &measure.ReturnResult{}
	of := func(e *event.Event) bool {
		return e.Name == event.NameDelivery && o.property(e, "campaign") == r.Campaign && o.property(e, "test") != "true"
	}
	for _, u := range o.order {
		held, sent := false, false
		for _, e := range u.evs {
			if of(e) && e.Timestamp >= o.span.From {
				held = held || o.property(e, "reason") == "holdout"
				sent = sent || o.property(e, "status") == "sent"
			}
		}
		for i, e := range u.evs {
			if !of(e) || !o.span.Holds(e.Timestamp) {
				continue
			}
			if held && sent {
				if o.property(e, "reason") != "holdout" && o.property(e, "status") != "sent" {
					continue
				}
				res.Met++
				break
			}
			arm := &res.Treated
			if o.property(e, "reason") == "holdout" {
				arm = &res.Holdout
			} else if o.property(e, "status") != "sent" {
				continue
			}
			arm.Users++
			converted := false
			for _, goal := range u.evs[i+1:] {
				if goal.Timestamp-e.Timestamp < r.Within.Micros() && o.matches(r.Goal, goal) {
					converted = true
					if r.Value != "" {
						arm.Value += o.number(r.Value, goal)
					}
				}
			}
			if converted {
				arm.Converted++
			}
			break
		}
	}
	res.Lift = measure.LiftOf(res.Treated, res.Holdout)
	o.res.Return = res
}

func (o *oracle) property(e *event.Event, name string) string {
	if got := o.text("properties."+name, &condition.Facts{Event: e}); got != nil {
		return *got
	}
	return ""
}
