package journey

import (
	"slices"

	"heed/internal/journey/bitset"
	"heed/internal/measure"
)

// retention is a compiled retention.
type retention struct {
	q           *measure.Retention
	in          measure.Span
	first, back []bool
	units       calendar // from the first cohort to as-of
	end         int64    // of its last unit
	cohorts     int
}

func (e *query) compileRetention(q *measure.Retention, sees []bool, in measure.Span) (*retention, error) {
	r := &retention{q: q, in: in}
	var err error
	if r.first, err = e.matching(q.First, sees); err != nil {
		return nil, err
	}
	if r.back, err = e.matching(q.Return, sees); err != nil {
		return nil, err
	}
	starts, err := e.f.Buckets(in, q.Per, measure.MaxBuckets)
	if err != nil {
		return nil, err
	}
	r.cohorts = len(starts)
	if r.cohorts > 0 {
		r.end = e.f.Next(starts[r.cohorts-1], q.Per)
		for r.end < e.f.AsOf && len(starts) < r.cohorts+q.Periods {
			starts = append(starts, r.end)
			r.end = e.f.Next(r.end, q.Per)
		}
	}
	r.units.starts = starts
	return r, nil
}

// cohort is a user's cohort, and their events from the first on.
func (r *retention) cohort(list []uint64) (int, []uint64) {
	if !r.q.New && len(list) > 0 && timeOf(list[0]) < r.in.From {
		list = list[from(list, r.in.From):]
	}
	for i, w := range list {
		if !r.first[w&codeMask] {
			continue
		}
		if t := timeOf(w); r.in.Holds(t) {
			return r.units.find(t, 0), list[i:]
		}
		break
	}
	return -1, nil
}

// came marks the periods in which a user of a cohort came back.
func (r *retention) came(cohort int, list []uint64, cells []bool) {
	clear(cells)
	at, last := cohort, 0
	for _, w := range list {
		if !r.back[w&codeMask] {
			continue
		}
		t := timeOf(w)
		if t >= r.end {
			last = r.q.Periods
			break
		}
		at = r.units.find(t, at)
		if last = min(at-cohort, r.q.Periods); at-cohort > last {
			break
		}
		cells[last] = true
	}
	if r.q.Unbounded {
		for p := range last {
			cells[p+1] = true
		}
	}
	cells[0] = true
}

func (e *query) retention(q *measure.Retention) (*measure.RetentionResult, error) {
	r, err := e.compileRetention(q, e.sees, e.span)
	if err != nil {
		return nil, err
	}
	table := func() [][]int64 {
		t := make([][]int64, r.cohorts)
		for i := range t {
			t[i] = make([]int64, q.Periods+1)
		}
		return t
	}
	sums := table()
	may, _ := e.candidates(r.first, r.in, e.users)
	err = walk(e, may, may, func() ([][]int64, func(u uint32)) {
		mine, cells := table(), make([]bool, q.Periods+1)
		return mine, func(u uint32) {
			c, list := r.cohort(e.before(u))
			if c < 0 {
				return
			}
			r.came(c, list, cells)
			for p, hit := range cells {
				if hit {
					mine[c][p]++
				}
			}
		}
	}, func(mine [][]int64) {
		for c := range sums {
			for p := range sums[c] {
				sums[c][p] += mine[c][p]
			}
		}
	})
	if err != nil {
		return nil, err
	}
	res := &measure.RetentionResult{Cohorts: make([]measure.Cohort, 0, r.cohorts)}
	for c, cells := range sums {
		n := min(q.Periods+1, len(r.units.starts)-c)
		start := r.units.starts[c]
		res.Cohorts = append(res.Cohorts, measure.Cohort{
			Start: start, Cells: cells[:n], Partial: e.f.Add(start, q.Per, n) > e.f.AsOf,
		})
	}
	return res, nil
}

func (e *query) inRetention(in *measure.InRetention, among bitset.Set) (bitset.Set, error) {
	span, err := e.f.Span(in.During)
	if err != nil {
		return nil, err
	}
	sees, err := e.kindsWhere(in.Where)
	if err != nil {
		return nil, err
	}
	r, err := e.compileRetention(&in.Retention, sees, span)
	if err != nil {
		return nil, err
	}
	at, err := e.f.Span(measure.Range{From: in.Cohort})
	if err != nil {
		return nil, err
	}
	want, ok := slices.BinarySearch(r.units.starts[:r.cohorts], e.f.Floor(at.From, in.Retention.Per))
	if !ok {
		return make(bitset.Set, len(among)), nil
	}
	may, _ := e.candidates(r.first, r.in, among)
	return e.keep(may, func() func(u uint32) bool {
		cells := make([]bool, in.Retention.Periods+1)
		return func(u uint32) bool {
			c, list := r.cohort(e.before(u))
			if c != want {
				return false
			}
			r.came(c, list, cells)
			return cells[in.Period] != in.Lost
		}
	})
}
