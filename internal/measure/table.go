package measure

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// Table lays an answer out as Rows, in text, as it would be read in a spreadsheet;
// times are in the zone of the answer, and texts are Inert.
func Table(q *Query, res *Result) [][]string {
	head, rows := Rows(q, res)
	out := make([][]string, 1, len(rows)+1)
	for _, c := range head {
		out[0] = append(out[0], c.Name)
	}
	for _, r := range rows {
		cells := make([]string, len(r))
		for i, v := range r {
			switch v := v.(type) {
			case string:
				cells[i] = Inert(v)
			case int64:
				cells[i] = strconv.FormatInt(v, 10)
			case float64:
				cells[i] = strconv.FormatFloat(v, 'f', -1, 64)
			case time.Time:
				cells[i] = v.Format(time.RFC3339)
			default:
				cells[i] = "(all)"
			}
		}
		out = append(out, cells)
	}
	return out
}

// Inert is a text that a spreadsheet does not take for a formula: names and ids come
// from whoever knows the public key. What begins like one and is no plain number gets
// an apostrophe in front.
func Inert(s string) string {
	if s == "" || !strings.Contains("=+-@\t\r", s[:1]) {
		return s
	}
	if (s[0] == '+' || s[0] == '-') && strings.Trim(s[1:], "0123456789. ") == "" {
		return s // a number, a telephone number
	}
	return "'" + s
}

// Column is one of a table, whose cells are string, int64, float64 or time.Time.
type Column struct {
	Name string
	Type CellType
}

// CellType is what the cells of a column are.
type CellType int

// The types of cells.
const (
	Text CellType = iota
	Whole
	Real
	Time
)

// Rows lays an answer out as rows of typed cells. Every number of the answer that
// stands for people or events is in it. A time that is nil stands for all.
func Rows(q *Query, res *Result) (head []Column, out [][]any) {
	at := func(micros int64) any { return time.UnixMicro(micros).In(zoneOf(res)) }
	whole := func(n int64) any { return n }
	real := func(f float64) any { return f }
	name := func(t CellType, names ...string) {
		for _, n := range names {
			head = append(head, Column{n, t})
		}
	}
	value := func(v *string, other bool) string {
		switch {
		case other:
			return "(other)"
		case v == nil:
			return "(none)"
		}
		return *v
	}
	add := func(cells ...any) { out = append(out, cells) }
	switch {
	case res.Series != nil:
		name(Time, "start")
		name(Text, "event", "value")
		name(Real, "count")
		for _, l := range res.Series.Lines {
			for i, start := range res.Series.Buckets {
				match := ""
				if l.Match < len(q.Series.Of) {
					match = q.Series.Of[l.Match].Event
				}
				split := ""
				if q.Series.By != nil {
					split = value(l.Value, l.Other)
				}
				add(at(start), match, split, real(l.Points[i]))
			}
		}
	case res.Breakdown != nil:
		for _, d := range q.Breakdown.By {
			name(Text, header(d))
		}
		name(Real, "count")
		row := func(r *Row, other bool) {
			cells := []any{}
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
		name(Text, "group")
		name(Whole, "step")
		name(Text, "event")
		name(Whole, "reached", "stuck", "in progress")
		steps := func(group string, c *FunnelCount) {
			for i, s := range c.Steps {
				add(group, whole(int64(i+1)), q.Funnel.Steps[i].Event, whole(s.Reached), whole(s.Stuck), whole(s.Progress))
			}
		}
		steps("", &res.Funnel.FunnelCount)
		for i := range res.Funnel.Groups {
			g := &res.Funnel.Groups[i]
			steps(value(g.Value, g.Other), &g.FunnelCount)
		}
	case res.Retention != nil:
		name(Time, "cohort")
		name(Whole, "period", "users")
		for _, c := range res.Retention.Cohorts {
			for i, n := range c.Cells {
				add(at(c.Start), whole(int64(i)), whole(n))
			}
		}
	case res.Users != nil:
		name(Text, "user")
		for _, id := range res.Users.IDs {
			add(id)
		}
	case res.Paths != nil:
		name(Whole, "depth")
		name(Text, "event")
		name(Whole, "users")
		for i, nodes := range res.Paths.Depths {
			for _, n := range nodes {
				event := n.Event
				switch {
				case n.Other:
					event = "(other)"
				case n.End:
					event = "(end)"
				}
				add(whole(int64(i+1)), event, whole(n.Users))
			}
		}
	case res.Live != nil:
		name(Time, "minute")
		name(Whole, "events")
		for i, n := range res.Live.Minutes {
			add(at(res.AsOf-int64(len(res.Live.Minutes)-i)*60e6), whole(n))
		}
	case res.Timeline != nil:
		name(Time, "time")
		name(Text, "event", "type", "message id", "source", "page", "properties")
		for _, e := range res.Timeline.Events {
			add(at(e.At), e.Name, e.Type, e.MessageID, e.Source, e.URL, string(e.Properties))
		}
	case res.Sessions != nil:
		name(Time, "start")
		name(Whole, "sessions", "users", "events")
		row := func(start any, c *SessionsCount) {
			add(start, whole(c.Sessions), whole(c.Users), whole(c.Events))
		}
		for i := range res.Sessions.Buckets {
			row(at(res.Sessions.Buckets[i].Start), &res.Sessions.Buckets[i].SessionsCount)
		}
		row(nil, &res.Sessions.SessionsCount)
	case res.Attribution != nil:
		name(Text, "touch")
		name(Whole, "conversions", "users")
		name(Real, "value")
		row := func(c *Credit, touch string) { add(touch, whole(c.Conversions), whole(c.Users), real(c.Value)) }
		for i := range res.Attribution.Rows {
			row(&res.Attribution.Rows[i], res.Attribution.Rows[i].Touch)
		}
		if res.Attribution.Other != nil {
			row(res.Attribution.Other, "(other)")
		}
	case res.Return != nil:
		name(Text, "arm")
		name(Whole, "users", "converted")
		name(Real, "value")
		row := func(arm string, a Arm) { add(arm, whole(a.Users), whole(a.Converted), real(a.Value)) }
		row("treated", res.Return.Treated)
		row("holdout", res.Return.Holdout)
		row("met", Arm{Users: res.Return.Met})
	}
	return head, out
}

func header(d Dimension) string { return cmp.Or(d.Name, d.Field, "value") }

func zoneOf(res *Result) *time.Location {
	zone, err := time.LoadLocation(res.Zone)
	if err != nil {
		return time.UTC // it was loaded to answer; without it the times are still right
	}
	return zone
}
