package journey

import (
	"slices"

	"heed/internal/journey/bitset"
	"heed/internal/measure"
)

// maxDurations bounds the sessions whose lengths are held to rank them.
const maxDurations = 8_000_000

// sessions gathers the sessions of one bucket.
type sessions struct {
	measure.SessionsCount

	user  uint32 // that was counted last, plus one
	times []int64
}

func (s *sessions) result() measure.SessionsCount {
	s.Duration = measure.PercentilesOf(s.times)
	return s.SessionsCount
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
	cal := calendar{[]int64{e.span.From}}
	if q.Per != "" {
		starts, err := e.f.Buckets(e.span, q.Per, measure.MaxBuckets)
		if err != nil {
			return nil, err
		}
		cal.starts = starts
	}
	counts := e.counting(e.sees)
	sums := make([]sessions, len(cal.starts))
	users := int64(0)
	type part struct {
		buckets []sessions
		users   int64
		lost    bool
	}
	lost, held := false, 0
	err := walk(e, e.users, e.users, func() (*part, func(u uint32)) {
		mine := &part{buckets: make([]sessions, len(cal.starts))}
		n := 0
		return mine, func(u uint32) {
			at, any := 0, false
			list := near(e.before(u), counts, e.span.From)
			cut(list, counts, func(start, end, events int64) {
				if !e.span.Holds(start) || mine.lost {
					return
				}
				at = cal.find(start, at)
				b := &mine.buckets[at]
				b.Sessions++
				b.Events += events
				if b.user != u+1 {
					b.user = u + 1
					b.Users++
				}
				b.times = append(b.times, end-start)
				n++
				any, mine.lost = true, n > maxDurations
			})
			if any {
				mine.users++
			}
		}
	}, func(mine *part) {
		users += mine.users
		for i := range mine.buckets {
			held += len(mine.buckets[i].times)
			sums[i].Sessions += mine.buckets[i].Sessions
			sums[i].Users += mine.buckets[i].Users
			sums[i].Events += mine.buckets[i].Events
			sums[i].times = append(sums[i].times, mine.buckets[i].times...)
		}
		lost = lost || mine.lost || held > maxDurations
	})
	if err != nil {
		return nil, err
	}
	if lost {
		return nil, errFacts
	}
	all := sessions{SessionsCount: measure.SessionsCount{Users: users}}
	res := &measure.SessionsResult{}
	for i := range sums {
		all.Sessions += sums[i].Sessions
		all.Events += sums[i].Events
		all.times = append(all.times, sums[i].times...)
		if q.Per != "" {
			res.Buckets = append(res.Buckets, measure.SessionsBucket{Start: cal.starts[i], SessionsCount: sums[i].result()})
		}
	}
	res.SessionsCount = all.result()
	return res, nil
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
	return e.keep(among, func() func(u uint32) bool {
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
	err := walk(e, e.users, e.users, func() (*tally, func(u uint32)) {
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
