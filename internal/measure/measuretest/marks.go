package measuretest

import "heed/internal/measure"

// Counted is a mark with the number of users that its answer shows.
type Counted struct {
	measure.Mark
	Users int64
}

// Marks are the marks of an answer that count users.
func Marks(q *measure.Query, res *measure.Result) []Counted {
	var out []Counted
	add := func(m measure.Mark, users int64) { out = append(out, Counted{m, users}) }
	switch {
	case res.Series != nil && q.Series.Count == measure.CountUsers:
		for i, l := range res.Series.Lines {
			add(measure.Mark{Row: &i}, int64(l.Total))
			for b, n := range l.Points {
				add(measure.Mark{Row: &i, Bucket: &b}, int64(n))
			}
		}
	case res.Breakdown != nil && q.Breakdown.Count == measure.CountUsers:
		b := res.Breakdown
		add(measure.Mark{}, int64(b.Total))
		for i, r := range b.Rows {
			add(measure.Mark{Row: &i}, int64(r.Count))
		}
		ofEvents := false
		for i := range q.Breakdown.By {
			ofEvents = ofEvents || q.Breakdown.By[i].OfEvent()
		}
		if b.Other != nil && (len(q.Breakdown.By) == 1 || !ofEvents) {
			add(measure.Mark{Other: true}, int64(b.Other.Count))
		}
	case res.Funnel != nil:
		count := func(c *measure.FunnelCount, group *int) {
			for i, s := range c.Steps {
				add(measure.Mark{Step: i + 1, Group: group}, s.Reached)
				add(measure.Mark{Step: i + 1, State: measure.Stuck, Group: group}, s.Stuck)
				add(measure.Mark{Step: i + 1, State: measure.Progress, Group: group}, s.Progress)
			}
		}
		count(&res.Funnel.FunnelCount, nil)
		for i := range res.Funnel.Groups {
			count(&res.Funnel.Groups[i].FunnelCount, &i)
		}
	case res.Retention != nil:
		for i, c := range res.Retention.Cohorts {
			for p, n := range c.Cells {
				add(measure.Mark{Cohort: i, Period: p}, n)
				add(measure.Mark{Cohort: i, Period: p, Lost: true}, c.Cells[0]-n)
			}
		}
	case res.Paths != nil:
		add(measure.Mark{}, res.Paths.Users)
		for d, nodes := range res.Paths.Depths {
			for n, node := range nodes {
				add(measure.Mark{Depth: d + 1, Node: n}, node.Users)
			}
		}
		for _, l := range res.Paths.Links {
			add(measure.Mark{Depth: l.Depth, Node: l.To, From: &l.From}, l.Users)
		}
	case res.Sessions != nil:
		add(measure.Mark{}, res.Sessions.Users)
		for i, b := range res.Sessions.Buckets {
			add(measure.Mark{Bucket: &i}, b.Users)
		}
	case res.Live != nil:
		add(measure.Mark{}, res.Live.Users)
	case res.Users != nil:
		add(measure.Mark{}, res.Users.Total)
	}
	return out
}
