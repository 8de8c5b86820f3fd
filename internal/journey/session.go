package journey

import (
	"slices"

	"heed/internal/journey/bitset"
	"heed/internal/journey/ranks"
	"heed/internal/measure"
)

// sessions gathers the sessions of one bucket.
type sessions struct {
	measure.SessionsCount

	user uint32 // that was counted last, plus one
}

func (s *sessions) add(u uint32, events int64) {
	s.Sessions++
	s.Events += events
	if s.user != u+1 {
		s.user = u + 1
		s.Users++
	}
}

// cut visits a user's sessions: start, end, events.
func cut(list []uint64, counts []bool, visit func(start, end, n int64)) {
	var start, end, n int64
	for _, w := range list {
		if !counts[w&codeMask] {
			continue
		}
		t := timeOf(w)
		if n > 0 && t-end >= measure.SessionGap.Micros() {
			visit(start, end, n)
			n = 0
		}
		if n == 0 {
			start = t
		}
		end = t
		n++
	}
	if n > 0 {
		visit(start, end, n)
	}
}

// near is the events of a user from the start of the session that is under way
// at a time, or before it.
func near(list []uint64, counts []bool, t int64) []uint64 {
	at := from(list, t)
	// Go back to a silence: what lies before it cannot matter.
	for i, last := at-1, t; i >= 0; i-- {
		if !counts[list[i]&codeMask] {
			continue
		}
		if last-timeOf(list[i]) >= measure.SessionGap.Micros() {
			break
		}
		at, last = i, timeOf(list[i])
	}
	return list[at:]
}

func (e *query) sessions(q *measure.Sessions) (*measure.SessionsResult, error) {
	var cal calendar
	if q.Per != "" {
		starts, err := e.f.Buckets(e.span, q.Per, measure.MaxBuckets)
		if err != nil {
			return nil, err
		}
		cal.starts = starts
	}
	counts := e.counting(e.sees)
	may, _ := e.candidates(counts, e.span, e.users)
	res, buckets := &measure.SessionsResult{}, make([]measure.SessionsBucket, len(cal.starts))
	type part struct {
		all     sessions
		buckets []sessions
		lengths *ranks.Counter
	}
	lengths := ranks.New(1+len(buckets), e.x.cfg.MaxRanked) // of all, then by bucket
	for again := false; lengths.Next(); again = true {
		err := walk(e, may, may, func() (*part, func(u uint32)) {
			mine := &part{buckets: make([]sessions, len(buckets)), lengths: lengths.Counter()}
			return mine, func(u uint32) {
				at := 0
				cut(near(e.before(u), counts, e.span.From), counts, func(start, end, events int64) {
					if !e.span.Holds(start) {
						return
					}
					mine.all.add(u, events)
					mine.lengths.Add(0, end-start)
					if q.Per != "" {
						at = cal.find(start, at)
						mine.buckets[at].add(u, events)
						mine.lengths.Add(1+at, end-start)
					}
				})
			}
		}, func(mine *part) {
			lengths.Join(mine.lengths)
			if again {
				return
			}
			sum(&res.SessionsCount, &mine.all)
			for i := range buckets {
				sum(&buckets[i].SessionsCount, &mine.buckets[i])
			}
		})
		if err != nil {
			return nil, err
		}
	}
	res.Duration = lengths.Percentiles(0)
	if q.Per != "" {
		for i := range buckets {
			buckets[i].Start, buckets[i].Duration = cal.starts[i], lengths.Percentiles(1+i)
		}
		res.Buckets = buckets
	}
	return res, nil
}

func sum(into *measure.SessionsCount, s *sessions) {
	into.Sessions += s.Sessions
	into.Users += s.Users
	into.Events += s.Events
}

func (e *query) inSession(in *measure.InSession, among bitset.Set) (bitset.Set, error) {
	span, err := e.f.Span(in.During)
	if err != nil {
		return nil, err
	}
	sees, err := e.kindsWhere(in.Where)
	if err != nil {
		return nil, err
	}
	counts := e.counting(sees)
	may, _ := e.candidates(counts, span, among)
	return e.keep(may, func() func(u uint32) bool {
		return func(u uint32) bool {
			found := false
			cut(near(e.before(u), counts, span.From), counts, func(start, _, _ int64) { found = found || span.Holds(start) })
			return found
		}
	})
}

func (e *query) live(q *measure.Live) (*measure.LiveResult, error) {
	type tally struct {
		users, events int64
		minutes       []int64
		names         map[uint32]int64
	}
	begin := func() *tally { return &tally{minutes: make([]int64, q.Minutes), names: map[uint32]int64{}} }
	sum, counts := begin(), e.counting(e.sees)
	may, _ := e.candidates(counts, e.span, e.users)
	err := walk(e, may, may, func() (*tally, func(u uint32)) {
		t := begin()
		return t, func(u uint32) {
			before := t.events
			for _, w := range e.within(u, e.span) {
				if code := w & codeMask; counts[code] {
					t.events++
					t.minutes[(timeOf(w)-e.span.From)/60e6]++
					t.names[e.x.kinds[code].name]++
				}
			}
			if t.events > before {
				t.users++
			}
		}
	}, func(t *tally) {
		sum.users += t.users
		sum.events += t.events
		for i, n := range t.minutes {
			sum.minutes[i] += n
		}
		for name, n := range t.names {
			sum.names[name] += n
		}
	})
	if err != nil {
		return nil, err
	}
	res := &measure.LiveResult{Users: sum.users, Events: sum.events, Minutes: sum.minutes}
	for name, n := range sum.names {
		res.Top = append(res.Top, measure.Row{Values: []*string{&e.x.names.texts[name]}, Count: float64(n)})
	}
	measure.SortRows(res.Top)
	res.Top = slices.Clone(res.Top[:min(len(res.Top), q.Top)])
	return res, nil
}
