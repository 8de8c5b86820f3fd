package analytics

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"heed/internal/facts"
	"heed/internal/measure"
)

// Measures answers what can be asked about behavior: from the index where that
// is exact, else from the facts. Its methods may be called concurrently.
type Measures struct {
	// Zone and WeekStart are those of queries that name none; empty: UTC, monday.
	Zone, WeekStart string
	Behavior        *Behavior   // nil: there is no index
	Facts           interface { // nil: there are none
		Query(ctx context.Context, q *measure.Query, now int64) (measure.Result, error)
	}
}

// Answer resolves a query and answers it at a time (µs since the Unix epoch). An
// error of the query is a *measure.Error.
func (m *Measures) Answer(ctx context.Context, q *measure.Query, names measure.Names, now int64) (measure.Result, error) {
	q, err := measure.Resolve(q, names)
	if err != nil {
		return measure.Result{}, err
	}
	local := *q
	local.Zone, local.WeekStart = cmp.Or(q.Zone, m.Zone), cmp.Or(q.WeekStart, m.WeekStart)
	q = &local
	if m.Behavior != nil {
		res, ok, err := m.Behavior.Query(ctx, q, now)
		if err != nil {
			return measure.Result{}, fmt.Errorf("ask the behavioral index for %s: %w", q.Kind(), err)
		}
		if ok {
			res.Listed()
			return res, nil
		}
	}
	var res measure.Result
	if m.Facts != nil {
		res, err = m.Facts.Query(ctx, q, now)
	} else {
		err = fmt.Errorf("%w: %s without the facts store", facts.ErrUnsupported, q.Kind())
	}
	if _, loading := m.Behavior.Index(); loading && errors.Is(err, facts.ErrUnsupported) {
		return measure.Result{}, fmt.Errorf("%w: the behavioral index is needed for %s", facts.ErrLoading, q.Kind())
	}
	if err != nil {
		return measure.Result{}, fmt.Errorf("ask the facts for %s: %w", q.Kind(), err)
	}
	res.Listed()
	return res, nil
}
