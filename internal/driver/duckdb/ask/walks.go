package ask

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sort"
	"strings"

	"heed/internal/measure"
)

// step is one event of a walk over a user's events: its time and which of the
// query's predicates it meets.
type step struct {
	at   int64
	meet uint64
}

// walks visits the users one after the other, each with the events that meet
// any of the predicates, in order. steps is reused.
func (a *asking) walks(ctx context.Context, from string, predicates []string, visit func(user uint32, steps []step)) error {
	bits := make([]string, len(predicates))
	for i, p := range predicates {
		bits[i] = fmt.Sprintf("CASE WHEN %s THEN %d::BIGINT ELSE 0 END", p, int64(1)<<i)
	}
	meet := strings.Join(bits, " + ")
	text := fmt.Sprintf("SELECT u, t, meet FROM (SELECT u, t, part, pos, %s AS meet FROM %s) WHERE meet <> 0 ORDER BY u, t, part, pos", meet, from)
	var steps []step
	var user uint32
	err := a.each(ctx, text, func(r *sql.Rows) error {
		var u uint32
		var s step
		var bits int64
		if err := r.Scan(&u, &s.at, &bits); err != nil {
			return err
		}
		s.meet = uint64(bits)
		if u != user && len(steps) > 0 {
			visit(user, steps)
			steps = steps[:0]
		}
		user = u
		steps = append(steps, s)
		return nil
	})
	if err == nil && len(steps) > 0 {
		visit(user, steps)
	}
	return err
}

// walked is how far one user got in a funnel.
type walked struct {
	level     int
	open      bool
	converted bool
	took      int64
}

const never = int64(-1) << 62

// walkFunnel keeps, for each level, the latest start of the chains that stand there
// and that nothing forbidden has ended: none with an earlier start can get
// further than that one. best is scratch of steps+1 values.
func walkFunnel(steps []step, n int, window, asOf int64, in measure.Span, best []int64) (w walked) {
	for i := range best {
		best[i] = never
	}
	for _, s := range steps {
		for level := n - 1; level >= 1; level-- {
			reached := best[level] != never && s.meet>>level&1 == 1 && s.at-best[level] < window
			start := best[level]
			if s.meet>>(n+level)&1 == 1 { // forbidden on the way to this step
				best[level] = never
			}
			if !reached {
				continue
			}
			w.level = max(w.level, level+1)
			if level+1 < n {
				best[level+1] = max(best[level+1], start)
			} else if !w.converted {
				w.converted, w.took = true, s.at-start
			}
		}
		if s.meet&1 == 1 && in.Holds(s.at) {
			w.level = max(w.level, 1)
			if n > 1 {
				best[1] = max(best[1], s.at)
			} else if !w.converted {
				w.converted = true
			}
		}
	}
	for level := 1; level < n; level++ {
		w.open = w.open || best[level] != never && asOf-best[level] < window
	}
	return w
}

func (a *asking) funnel(ctx context.Context, f *measure.Funnel) (*measure.FunnelResult, error) {
	n := len(f.Steps)
	predicates := make([]string, 2*n)
	quiet := false
	for i := range f.Steps {
		p, q, err := a.match(f.Steps[i].Match())
		if err != nil {
			return nil, err
		}
		predicates[i], predicates[n+i] = p, "false"
		quiet = quiet || q
		if f.Strict && i > 0 {
			predicates[n+i] = Activity
		}
		for _, m := range f.Steps[i].Without {
			p, q, err := a.match(m)
			if err != nil {
				return nil, err
			}
			predicates[n+i] += " OR " + p
			quiet = quiet || q
		}
	}
	from, err := a.events(a.within(measure.Span{From: a.span.From, To: a.frame.AsOf}), quiet)
	if err != nil {
		return nil, err
	}
	values := map[uint32]*string{}
	if f.By != nil {
		if values, err = a.userValues(ctx, f.By); err != nil {
			return nil, err
		}
	}
	best := make([]int64, n+1)
	total := newFunnelCount(n)
	groups := map[string]*funnelCount{}
	err = a.walks(ctx, from, predicates, func(user uint32, steps []step) {
		w := walkFunnel(steps, n, f.Window.Micros(), a.frame.AsOf, a.span, best)
		if w.level == 0 {
			return
		}
		total.add(w)
		if f.By == nil {
			return
		}
		v := values[user]
		key := "-"
		if v != nil {
			key = "+" + *v
		}
		if groups[key] == nil {
			groups[key] = newFunnelCount(n)
			groups[key].value = v
		}
		groups[key].add(w)
	})
	if err != nil {
		return nil, err
	}
	out := &measure.FunnelResult{FunnelCount: total.result()}
	if f.By != nil {
		out.Groups = groupsOf(groups, n, f.Top)
	}
	return out, nil
}

// userValues is the value of each user.
func (a *asking) userValues(ctx context.Context, d *measure.Dimension) (map[uint32]*string, error) {
	relation, err := a.valuesOf(d)
	if err != nil {
		return nil, err
	}
	values := map[uint32]*string{}
	shared := map[string]*string{}
	err = a.each(ctx, "SELECT u, v FROM "+relation+" WHERE v IS NOT NULL", func(r *sql.Rows) error {
		var u uint32
		var v string
		if err := r.Scan(&u, &v); err != nil {
			return err
		}
		if shared[v] == nil {
			shared[v] = &v
		}
		values[u] = shared[v]
		return nil
	})
	return values, err
}

// funnelCount adds users up.
type funnelCount struct {
	value *string
	steps []measure.FunnelStep
	took  []int64
}

func newFunnelCount(n int) *funnelCount { return &funnelCount{steps: make([]measure.FunnelStep, n)} }

func (c *funnelCount) add(w walked) {
	for i := range w.level {
		c.steps[i].Reached++
	}
	switch {
	case w.converted:
		c.took = append(c.took, w.took)
	case w.open:
		c.steps[w.level-1].Progress++
	default:
		c.steps[w.level-1].Stuck++
	}
}

func (c *funnelCount) merge(o *funnelCount) {
	for i, s := range o.steps {
		c.steps[i].Reached += s.Reached
		c.steps[i].Stuck += s.Stuck
		c.steps[i].Progress += s.Progress
	}
	c.took = append(c.took, o.took...)
}

func (c *funnelCount) result() measure.FunnelCount {
	return measure.FunnelCount{Steps: c.steps, Convert: measure.PercentilesOf(c.took)}
}

func groupsOf(groups map[string]*funnelCount, n, top int) []measure.FunnelGroup {
	rows := make([]measure.Row, 0, len(groups))
	byValue := map[*string]*funnelCount{}
	for _, g := range groups {
		rows = append(rows, measure.Row{Values: []*string{g.value}, Count: float64(g.steps[0].Reached)})
		byValue[g.value] = g
	}
	measure.SortRows(rows)
	var out []measure.FunnelGroup
	rest := newFunnelCount(n)
	for i, r := range rows {
		g := byValue[r.Values[0]]
		if i < top {
			out = append(out, measure.FunnelGroup{Value: g.value, FunnelCount: g.result()})
		} else {
			rest.merge(g)
		}
	}
	if len(rows) > top {
		out = append(out, measure.FunnelGroup{Other: true, FunnelCount: rest.result()})
	}
	return out
}

func (a *asking) retention(ctx context.Context, r *measure.Retention) (*measure.RetentionResult, error) {
	starts, err := a.frame.Buckets(a.span, r.Per, measure.MaxBuckets)
	if err != nil {
		return nil, err
	}
	first, quiet1, err := a.match(r.First)
	if err != nil {
		return nil, err
	}
	back, quiet2, err := a.match(r.Return)
	if err != nil {
		return nil, err
	}
	since := a.within(measure.Span{From: a.span.From, To: a.frame.AsOf})
	if r.New {
		since = "true"
	}
	from, err := a.events(since, quiet1 || quiet2)
	if err != nil {
		return nil, err
	}
	out := &measure.RetentionResult{Cohorts: make([]measure.Cohort, len(starts))}
	limits := make([][]int64, len(starts)) // starts of the units of a cohort, and the end of the last
	for i, start := range starts {
		c := measure.Cohort{Start: start}
		for p := 0; p <= r.Periods && (p == 0 || a.frame.Add(start, r.Per, p) < a.frame.AsOf); p++ {
			c.Cells = append(c.Cells, 0)
			limits[i] = append(limits[i], a.frame.Add(start, r.Per, p))
		}
		end := a.frame.Add(start, r.Per, len(c.Cells))
		limits[i] = append(limits[i], end)
		c.Partial = end > a.frame.AsOf
		out.Cohorts[i] = c
	}
	err = a.walks(ctx, from, []string{first, back}, func(_ uint32, steps []step) {
		at := slices.IndexFunc(steps, func(s step) bool { return s.meet&1 == 1 && (r.New || a.span.Holds(s.at)) })
		if at < 0 || !a.span.Holds(steps[at].at) {
			return
		}
		cohort := sort.Search(len(starts), func(i int) bool { return starts[i] > steps[at].at }) - 1
		cells, units := out.Cohorts[cohort].Cells, limits[cohort]
		cells[0]++
		done := 0 // cells up to this one have counted the user
		for _, s := range steps[at:] {
			p := sort.Search(len(units), func(i int) bool { return units[i] > s.at }) - 1
			switch {
			case s.meet&2 == 0 || p <= done && p < len(cells):
			case r.Unbounded:
				for done < min(p, len(cells)-1) {
					done++
					cells[done]++
				}
			case p < len(cells):
				cells[p]++
				done = p
			}
		}
	})
	return out, err
}
