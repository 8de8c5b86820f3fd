package ask

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"strconv"

	"heed/internal/event"
	"heed/internal/facts"
	"heed/internal/measure"
	"heed/internal/touch"
)

func parseUser(text string) (uint32, error) {
	u, err := strconv.ParseUint(text, 10, 32)
	return uint32(u), err
}

// pathWalk is a walk over anchors (predicate 0) and activity (1), with names.
func (a *asking) pathWalk(p *measure.Paths, in measure.Span, eventsOf eventsOf) (w walk, err error) {
	anchor, quiet, err := a.match(p.From)
	if err != nil {
		return w, err
	}
	around := measure.Span{From: in.From, To: min(in.To, a.frame.AsOf)}
	if p.Before {
		around.From -= p.Window.Micros()
	} else {
		around.To = min(around.To+p.Window.Micros(), a.frame.AsOf)
	}
	w.predicates, w.text, w.texts = []string{anchor, Activity}, "event", newTexts()
	w.from, err = eventsOf(a.within(around), quiet)
	return w, err
}

// follow is the names, by number, of what a user did next to their anchor.
func follow(p *measure.Paths, steps []step, in measure.Span) (names []uint32, ok bool) {
	if p.Before {
		slices.Reverse(steps)
	}
	anchor := slices.IndexFunc(steps, func(s step) bool { return s.meets(0) && in.Holds(s.at) })
	if anchor < 0 {
		return nil, false
	}
	for _, s := range steps[anchor+1:] {
		away := s.at - steps[anchor].at
		if max(away, -away) >= p.Window.Micros() || len(names) == p.Depth {
			break
		}
		if s.meets(1) {
			names = append(names, s.text)
		}
	}
	return names, true
}

func (a *asking) paths(ctx context.Context, p *measure.Paths) (*measure.PathsResult, error) {
	over, err := a.pathWalk(p, a.span, a.events)
	if err != nil {
		return nil, err
	}
	// Each path, and what of it was counted: a path that is short has an end.
	type path [measure.MaxPathDepth]uint32
	all := map[path]int64{}
	users := make([]map[uint32]int64, p.Depth) // by depth and name; 0: the end
	for i := range users {
		users[i] = map[uint32]int64{}
	}
	out := &measure.PathsResult{Depths: [][]measure.PathNode{}}
	err = a.walks(ctx, over, func(_ uint32, steps []step) {
		names, ok := follow(p, steps, a.span)
		if !ok {
			return
		}
		out.Users++
		var key path
		copy(key[:], names)
		all[key]++
		for i := range min(len(names)+1, p.Depth) {
			users[i][key[i]]++
		}
	})
	if err != nil {
		return nil, err
	}
	places := make([]map[uint32]int, p.Depth)
	for i := range users {
		if len(users[i]) == 0 {
			break
		}
		var nodes []measure.PathNode
		nodes, places[i] = measure.PathNodes(users[i], over.texts.by, p.Top)
		out.Depths = append(out.Depths, nodes)
	}
	links := map[measure.PathLink]int64{}
	for key, n := range all {
		from := 0
		for i, name := range key[:p.Depth] {
			to := places[i][name]
			links[measure.PathLink{Depth: i + 1, From: from, To: to}] += n
			if from = to; name == 0 {
				break
			}
		}
	}
	out.Links = measure.PathLinks(links)
	return out, nil
}

// sessionWalk is a walk over the activity that sessions which begin in a span may
// be made of.
func (a *asking) sessionWalk(in measure.Span, eventsOf eventsOf) (w walk, err error) {
	// What came less than a gap before decides whether the first one begins here.
	in.From -= measure.SessionGap.Micros()
	w.predicates = []string{Activity}
	w.from, err = eventsOf(Activity+" AND "+a.within(in), false)
	return w, err
}

// cut visits the sessions: start, end, events.
func cut(steps []step, visit func(start, end, n int64)) {
	begin := 0
	for i := range steps {
		if i+1 < len(steps) && steps[i+1].at-steps[i].at < measure.SessionGap.Micros() {
			continue
		}
		visit(steps[begin].at, steps[i].at, int64(i+1-begin))
		begin = i + 1
	}
}

// sessionCount gathers the sessions of one bucket.
type sessionCount struct {
	measure.SessionsCount

	last  uint32 // user that was counted last, plus one
	times []int64
}

func (c *sessionCount) add(user uint32, took, events int64) {
	c.Sessions++
	c.Events += events
	if c.last != user+1 {
		c.last = user + 1
		c.Users++
	}
	c.times = append(c.times, took)
}

func (c *sessionCount) result() measure.SessionsCount {
	c.Duration = measure.PercentilesOf(c.times)
	return c.SessionsCount
}

func (a *asking) sessions(ctx context.Context, q *measure.Sessions) (*measure.SessionsResult, error) {
	var starts []int64
	var err error
	if q.Per != "" {
		if starts, err = a.frame.Buckets(a.span, q.Per, measure.MaxBuckets); err != nil {
			return nil, err
		}
	}
	// The last ones go on behind the range.
	over, err := a.sessionWalk(measure.Span{From: a.span.From, To: a.frame.AsOf}, a.events)
	if err != nil {
		return nil, err
	}
	var all sessionCount
	buckets := make([]sessionCount, len(starts))
	err = a.walks(ctx, over, func(user uint32, steps []step) {
		cut(steps, func(start, end, n int64) {
			if !a.span.Holds(start) {
				return
			}
			all.add(user, end-start, n)
			if at := sort.Search(len(starts), func(i int) bool { return starts[i] > start }) - 1; at >= 0 {
				buckets[at].add(user, end-start, n)
			}
		})
	})
	if err != nil {
		return nil, err
	}
	out := &measure.SessionsResult{SessionsCount: all.result()}
	for i := range buckets {
		out.Buckets = append(out.Buckets, measure.SessionsBucket{Start: starts[i], SessionsCount: buckets[i].result()})
	}
	return out, nil
}

// ofThose is events, but only of users of whom others are among them.
func (a *asking) ofThose(with, predicate string, quiet bool) (string, error) {
	few, err := a.events(with, quiet)
	if err != nil {
		return "", err
	}
	return a.events(predicate+" AND u IN (SELECT u FROM "+few+")", quiet)
}

// touch is the part of an event's touch that is asked for; null if it is direct.
func (a *asking) touch(q *measure.Attribution) string {
	n := a.db.Call(&Call{Text: func(_ any, v []string) (string, bool) {
		t := touch.Of(v[0], v[1], v[2], v[3], v[4], q.Returns)
		return q.By.Of(t), t != touch.Direct()
	}})
	return fmt.Sprintf("%s(%d, campaign_source, campaign_medium, campaign_name, referrer, url)", TextFunction, n)
}

// maxTouches bounds what attribution tells apart.
const maxTouches = 1_000_000

func (a *asking) attribution(ctx context.Context, q *measure.Attribution) (*measure.AttributionResult, error) {
	match, quiet, err := a.match(q.Goal)
	if err != nil {
		return nil, err
	}
	goal := "(" + match + " AND " + a.within(a.span) + ")"
	visit := "(" + visits + ")"
	over := walk{predicates: []string{goal, visit}, text: "CASE WHEN " + visit + " THEN " + a.touch(q) + " END", texts: newTexts()}
	if q.Value != "" {
		value, err := a.amount(q.Value)
		if err != nil {
			return nil, err
		}
		over.amount = "CASE WHEN " + goal + " THEN " + value + " ELSE 0 END"
	}
	since := a.within(measure.Span{From: a.span.From - q.Lookback.Micros(), To: min(a.span.To, a.frame.AsOf)})
	if over.from, err = a.ofThose(goal, "("+goal+" OR "+visit+") AND "+since, quiet); err != nil {
		return nil, err
	}
	all, byTouch := &credit{}, map[string]*credit{}
	var shares []share
	var touches []step
	err = a.walks(ctx, over, func(user uint32, steps []step) {
		touches = touches[:0]
		for _, s := range steps {
			if s.text != 0 {
				touches = append(touches, s)
			}
			if !s.meets(0) {
				continue
			}
			name := q.By.Of(touch.Direct())
			from := sort.Search(len(touches), func(i int) bool { return s.at-touches[i].at < q.Lookback.Micros() })
			if from < len(touches) && q.Model == measure.FirstTouch {
				name = over.texts.by[touches[from].text]
			} else if from < len(touches) {
				name = over.texts.by[touches[len(touches)-1].text]
			}
			c := byTouch[name]
			if c == nil {
				c = &credit{Credit: measure.Credit{Touch: name}}
				byTouch[name] = c
			}
			all.give(user, s.amount)
			if c.give(user, s.amount) {
				shares = append(shares, share{user, c})
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if len(byTouch) > maxTouches {
		return nil, fmt.Errorf("%w: more than %d different touches", facts.ErrTooBig, maxTouches)
	}
	out := &measure.AttributionResult{Rows: []measure.Credit{}, Total: all.Credit}
	for _, c := range byTouch {
		out.Rows = append(out.Rows, c.Credit)
	}
	slices.SortFunc(out.Rows, func(x, y measure.Credit) int {
		if q.Value != "" {
			return cmp.Or(cmp.Compare(y.Value, x.Value), cmp.Compare(x.Touch, y.Touch))
		}
		return cmp.Or(cmp.Compare(y.Conversions, x.Conversions), cmp.Compare(x.Touch, y.Touch))
	})
	if len(out.Rows) > q.Top {
		out.Other = others(out.Rows[q.Top:], byTouch, shares)
		out.Rows = out.Rows[:q.Top]
	}
	return out, nil
}

// credit adds up what a touch is given, a user at a time.
type credit struct {
	measure.Credit

	last uint32 // user that was counted last, plus one
}

// give adds a goal and tells whether it is the user's first here.
func (c *credit) give(user uint32, value float64) (first bool) {
	c.Conversions++
	c.Value += value
	if first = c.last != user+1; first {
		c.last = user + 1
		c.Users++
	}
	return first
}

// share is that a user has goals of a touch.
type share struct {
	user uint32
	of   *credit
}

// others joins rows into one. shares stand by user.
func others(rows []measure.Credit, byTouch map[string]*credit, shares []share) *measure.Credit {
	rest := map[*credit]bool{}
	other := &credit{}
	for _, r := range rows {
		rest[byTouch[r.Touch]] = true
		other.Conversions += r.Conversions
		other.Value += r.Value
	}
	for _, s := range shares {
		if rest[s.of] && other.last != s.user+1 {
			other.last = s.user + 1
			other.Users++
		}
	}
	return &other.Credit
}

func (a *asking) campaignReturn(ctx context.Context, r *measure.Return) (*measure.ReturnResult, error) {
	said := func(name, want string) (string, error) {
		v, err := a.value(&measure.Dimension{Field: "properties." + name})
		return "(coalesce(" + v + ", '') = " + Quote(want) + ")", err
	}
	campaign, err := said("campaign", r.Campaign)
	if err != nil {
		return nil, err
	}
	held, err := said("reason", "holdout")
	if err != nil {
		return nil, err
	}
	sent, err := said("status", "sent")
	if err != nil {
		return nil, err
	}
	test, err := said("test", "true")
	if err != nil {
		return nil, err
	}
	goal, _, err := a.match(r.Goal)
	if err != nil {
		return nil, err
	}
	since := a.within(measure.Span{From: a.span.From, To: a.frame.AsOf})
	ever := "(event = " + Quote(event.NameDelivery) + " AND " + since + " AND " + campaign + " AND NOT " + test + ")"
	delivery := "(" + ever + " AND " + a.within(a.span) + ")"
	over := walk{predicates: []string{delivery + " AND " + held, delivery + " AND " + sent, goal, ever + " AND " + held, ever + " AND " + sent}}
	if r.Value != "" {
		value, err := a.amount(r.Value)
		if err != nil {
			return nil, err
		}
		over.amount = "CASE WHEN " + goal + " THEN " + value + " ELSE 0 END"
	}
	if over.from, err = a.ofThose(delivery, "("+ever+" OR "+goal+") AND "+since, true); err != nil {
		return nil, err
	}
	out := &measure.ReturnResult{}
	err = a.walks(ctx, over, func(_ uint32, steps []step) {
		at := slices.IndexFunc(steps, func(s step) bool { return s.meets(0) || s.meets(1) })
		if at < 0 {
			return
		}
		// Exposure wins where arms meet, and the user tells nothing any more.
		met := func(p int) bool { return slices.ContainsFunc(steps, func(s step) bool { return s.meets(p) }) }
		if met(3) && met(4) {
			out.Met++
			return
		}
		arm := &out.Treated
		if steps[at].meets(0) {
			arm = &out.Holdout
		}
		arm.Users++
		converted := false
		for _, s := range steps[at+1:] {
			if s.meets(2) && s.at-steps[at].at < r.Within.Micros() {
				converted = true
				arm.Value += s.amount
			}
		}
		if converted {
			arm.Converted++
		}
	})
	out.Lift = measure.LiftOf(out.Treated, out.Holdout)
	return out, err
}
