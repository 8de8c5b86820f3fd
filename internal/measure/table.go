package measure

import (
	"cmp"
	"strconv"
	"time"
)

// Table lays an answer out as rows under a header, as it would be read in a
// spreadsheet; times are in the zone of the answer. Every number of the answer
// that stands for people or events is in it.
func Table(q *Query, res *Result) [][]string {
	at := func(micros int64) string { return time.UnixMicro(micros).In(zoneOf(res)).Format(time.RFC3339) }
	whole := func(n int64) string { return strconv.FormatInt(n, 10) }
	real := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	value := func(v *string, other bool) string {
		switch {
		case other:
			return "(other)"
		case v == nil:
			return "(none)"
		}
		return *v
	}
	var out [][]string
	add := func(cells ...string) { out = append(out, cells) }
	switch {
	case res.Series != nil:
		add("start", "event", "value", "count")
		for _, l := range res.Series.Lines {
			for i, start := range res.Series.Buckets {
				name := ""
				if l.Match < len(q.Series.Of) {
					name = q.Series.Of[l.Match].Event
				}
				split := ""
				if q.Series.By != nil {
					split = value(l.Value, l.Other)
				}
				add(at(start), name, split, real(l.Points[i]))
			}
		}
	case res.Breakdown != nil:
		head := []string{}
		for _, d := range q.Breakdown.By {
			head = append(head, header(d))
		}
		out = append(out, append(head, "count"))
		row := func(r *Row, other bool) {
			cells := []string{}
			for i := range q.Breakdown.By {
				var v *string
				if i < len(r.Values) {
					v = r.Values[i]
				}
				cells = append(cells, value(v, other))
			}
			out = append(out, append(cells, real(r.Count)))
		}
		for i := range res.Breakdown.Rows {
			row(&res.Breakdown.Rows[i], false)
		}
		if res.Breakdown.Other != nil {
			row(res.Breakdown.Other, true)
		}
	case res.Funnel != nil:
		add("group", "step", "event", "reached", "stuck", "in progress")
		steps := func(group string, c *FunnelCount) {
			for i, s := range c.Steps {
				add(group, strconv.Itoa(i+1), q.Funnel.Steps[i].Event, whole(s.Reached), whole(s.Stuck), whole(s.Progress))
			}
		}
		steps("", &res.Funnel.FunnelCount)
		for i := range res.Funnel.Groups {
			g := &res.Funnel.Groups[i]
			steps(value(g.Value, g.Other), &g.FunnelCount)
		}
	case res.Retention != nil:
		add("cohort", "period", "users")
		for _, c := range res.Retention.Cohorts {
			for i, n := range c.Cells {
				add(at(c.Start), strconv.Itoa(i), whole(n))
			}
		}
	case res.Users != nil:
		add("user")
		for _, id := range res.Users.IDs {
			add(id)
		}
	case res.Paths != nil:
		add("depth", "event", "users")
		for i, nodes := range res.Paths.Depths {
			for _, n := range nodes {
				name := n.Event
				switch {
				case n.Other:
					name = "(other)"
				case n.End:
					name = "(end)"
				}
				add(strconv.Itoa(i+1), name, whole(n.Users))
			}
		}
	case res.Live != nil:
		add("minute", "events")
		for i, n := range res.Live.Minutes {
			add(at(res.AsOf-int64(len(res.Live.Minutes)-i)*60e6), whole(n))
		}
	case res.Timeline != nil:
		add("time", "event", "type", "message id", "source", "page", "properties")
		for _, e := range res.Timeline.Events {
			add(at(e.At), e.Name, e.Type, e.MessageID, e.Source, e.URL, string(e.Properties))
		}
	case res.Sessions != nil:
		add("start", "sessions", "users", "events")
		row := func(start string, c *SessionsCount) {
			add(start, whole(c.Sessions), whole(c.Users), whole(c.Events))
		}
		for i := range res.Sessions.Buckets {
			row(at(res.Sessions.Buckets[i].Start), &res.Sessions.Buckets[i].SessionsCount)
		}
		row("(all)", &res.Sessions.SessionsCount)
	case res.Attribution != nil:
		add("touch", "conversions", "users", "value")
		row := func(c *Credit, name string) { add(name, whole(c.Conversions), whole(c.Users), real(c.Value)) }
		for i := range res.Attribution.Rows {
			row(&res.Attribution.Rows[i], res.Attribution.Rows[i].Touch)
		}
		if res.Attribution.Other != nil {
			row(res.Attribution.Other, "(other)")
		}
	case res.Return != nil:
		add("arm", "users", "converted", "value")
		row := func(name string, a Arm) { add(name, whole(a.Users), whole(a.Converted), real(a.Value)) }
		row("treated", res.Return.Treated)
		row("holdout", res.Return.Holdout)
	}
	return out
}

func header(d Dimension) string { return cmp.Or(d.Name, d.Field, "value") }

func zoneOf(res *Result) *time.Location {
	zone, err := time.LoadLocation(res.Zone)
	if err != nil {
		return time.UTC // it was loaded to answer; without it the times are still right
	}
	return zone
}
