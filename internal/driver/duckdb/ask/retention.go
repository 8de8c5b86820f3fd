package ask

import (
	"context"
	"slices"
	"sort"

	"heed/internal/measure"
)

// retentionWalk is a walk over the first events (predicate 0) and the returns (1).
func (a *asking) retentionWalk(r *measure.Retention, in measure.Span, eventsOf eventsOf) (w walk, err error) {
	first, quiet1, err := a.match(r.First)
	if err != nil {
		return w, err
	}
	back, quiet2, err := a.match(r.Return)
	if err != nil {
		return w, err
	}
	since := a.within(measure.Span{From: in.From, To: a.frame.AsOf})
	if r.New {
		since = "true"
	}
	w.predicates = []string{first, back}
	w.from, err = eventsOf(since, quiet1 || quiet2)
	return w, err
}

// entered is the step by which a user belongs to a cohort.
func entered(r *measure.Retention, steps []step, in measure.Span) (at int, ok bool) {
	at = slices.IndexFunc(steps, func(s step) bool { return s.meets(0) && (r.New || in.Holds(s.at)) })
	return at, at >= 0 && in.Holds(steps[at].at)
}

func (a *asking) retention(ctx context.Context, r *measure.Retention) (*measure.RetentionResult, error) {
	starts, err := a.frame.Buckets(a.span, r.Per, measure.MaxBuckets)
	if err != nil {
		return nil, err
	}
	over, err := a.retentionWalk(r, a.span, a.events)
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
	err = a.walks(ctx, over, func(_ uint32, steps []step) {
		at, ok := entered(r, steps, a.span)
		if !ok {
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
