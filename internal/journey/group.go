package journey

import (
	"cmp"
	"slices"

	"heed/internal/journey/bitset"
	"heed/internal/measure"
)

// combination is a value per dimension of a breakdown.
type combination [measure.MaxDimensions]uint32

// axes reads the combination of an event, or of a user.
type axes struct {
	list []axis
	one  bool // all dimensions are of users: a user has one combination
}

type axis struct {
	values *values
	user   *dimension // or
	kinds  []uint32
}

func (e *query) axes(by []measure.Dimension) (*axes, error) {
	a := &axes{one: true}
	for i := range by {
		if by[i].OfEvent() {
			k, err := e.perKind(&by[i])
			if err != nil {
				return nil, err
			}
			a.list, a.one = append(a.list, axis{values: k.values, kinds: k.of}), false
			continue
		}
		d, err := e.dimension(&by[i])
		if err != nil {
			return nil, err
		}
		a.list = append(a.list, axis{values: d.values, user: d})
	}
	return a, nil
}

// reader starts a user, and then reads their events.
func (a *axes) reader() (user func(u uint32) combination, event func(c combination, code uint64) combination) {
	readers := make([]func(u uint32) uint32, len(a.list))
	for i := range a.list {
		if a.list[i].user != nil {
			readers[i] = a.list[i].user.reader()
		}
	}
	return func(u uint32) (c combination) {
			for i, read := range readers {
				if read != nil {
					c[i] = read(u)
				}
			}
			return c
		}, func(c combination, code uint64) combination {
			for i := range a.list {
				if kinds := a.list[i].kinds; kinds != nil {
					c[i] = kinds[code]
				}
			}
			return c
		}
}

func (a *axes) texts(c combination) []*string {
	out := make([]*string, len(a.list))
	for i := range out {
		out[i] = a.list[i].values.text(c[i])
	}
	return out
}

// hits is what a breakdown or a line counts: events that match in the span.
type hits struct {
	takes []bool
	users bool // count users
}

func (e *query) hits(m measure.Match, count measure.Count) (h hits, err error) {
	if count == measure.CountSum {
		return h, errFacts
	}
	h.users = count == measure.CountUsers
	h.takes, err = e.matching(m, e.sees)
	return h, err
}

// groups counts by combination.
type groups struct {
	count map[combination]int64
	total int64
}

// counter counts by combination, for one worker. Those of one dimension have an
// array: a look-up in a map for each user would cost most of the time.
type counter struct {
	single []int64
	count  map[combination]int64
	total  int64
}

func newCounter() *counter { return &counter{count: map[combination]int64{}} }

func (t *counter) add(c combination, n int64) {
	if c != (combination{c[0]}) {
		t.count[c] += n
		return
	}
	for int(c[0]) >= len(t.single) {
		t.single = append(t.single, 0)
	}
	t.single[c[0]] += n
}

// join takes over what a worker has counted.
func (g *groups) join(t *counter) {
	g.total += t.total
	for c, n := range t.count {
		g.count[c] += n
	}
	for value, n := range t.single {
		if n > 0 {
			g.count[combination{uint32(value)}] += n
		}
	}
}

func (e *query) group(h hits, a *axes) (groups, error) {
	out := groups{count: map[combination]int64{}}
	may, sure := e.candidates(h.takes, e.span, e.users)
	if h.users && a.one {
		if err := e.countUsers(&out, a, sure); err != nil {
			return out, err
		}
		may.AndNot(sure)
	}
	err := walk(e, may, may, func() (*counter, func(u uint32)) {
		mine := newCounter()
		ofUser, ofEvent := a.reader()
		var seen []combination
		return mine, func(u uint32) {
			var base combination
			n := int64(0)
			seen = seen[:0]
			for _, w := range e.within(u, e.span) {
				code := w & codeMask
				if !h.takes[code] {
					continue
				}
				if n++; n == 1 {
					base = ofUser(u)
				}
				if a.one {
					if h.users {
						break
					}
					continue
				}
				c := ofEvent(base, code)
				if !h.users {
					mine.add(c, 1)
				} else if !slices.Contains(seen, c) {
					seen = append(seen, c)
					mine.add(c, 1)
				}
			}
			if n == 0 {
				return
			}
			if h.users {
				n = 1
			}
			if a.one {
				mine.add(base, n)
			}
			mine.total += n
		}
	}, out.join)
	return out, err
}

// ranked is the combinations in the order of a breakdown.
func (g *groups) ranked(a *axes) []combination {
	out := make([]combination, 0, len(g.count))
	texts := make(map[combination][]*string, len(g.count))
	for c := range g.count {
		out = append(out, c)
		texts[c] = a.texts(c)
	}
	slices.SortFunc(out, func(x, y combination) int {
		return cmp.Or(cmp.Compare(g.count[y], g.count[x]), slices.CompareFunc(texts[x], texts[y], measure.Compare))
	})
	return out
}

// countUsers counts users by what they are.
func (e *query) countUsers(into *groups, a *axes, users bitset.Set) error {
	return walk(e, users, nil, func() (*counter, func(u uint32)) {
		mine := newCounter()
		of, _ := a.reader()
		return mine, func(u uint32) {
			mine.add(of(u), 1)
			mine.total++
		}
	}, into.join)
}

func (e *query) breakdown(b *measure.Breakdown) (*measure.BreakdownResult, error) {
	a, err := e.axes(b.By)
	if err != nil {
		return nil, err
	}
	g := groups{count: map[combination]int64{}}
	var h hits
	if b.Of == nil {
		err = e.countUsers(&g, a, e.users)
	} else if h, err = e.hits(*b.Of, b.Count); err == nil {
		g, err = e.group(h, a)
	}
	if err != nil {
		return nil, err
	}
	order := g.ranked(a)
	res := &measure.BreakdownResult{Total: float64(g.total)}
	top := map[combination]bool{}
	other := g.total
	for _, c := range order[:min(len(order), b.Top)] {
		top[c] = true
		other -= g.count[c]
		res.Rows = append(res.Rows, measure.Row{Values: a.texts(c), Count: float64(g.count[c])})
	}
	if len(order) > b.Top {
		if b.Of != nil && h.users && !a.one {
			if other, err = e.usersBeyond(h, a, top); err != nil {
				return nil, err
			}
		}
		res.Other = &measure.Row{Count: float64(other)}
	}
	return res, nil
}

// usersBeyond counts users with an event beyond the top.
func (e *query) usersBeyond(h hits, a *axes, top map[combination]bool) (int64, error) {
	may, _ := e.candidates(h.takes, e.span, e.users)
	n := int64(0)
	err := walk(e, may, may, func() (*int64, func(u uint32)) {
		mine := new(int64)
		ofUser, ofEvent := a.reader()
		return mine, func(u uint32) {
			base, started := combination{}, false
			for _, w := range e.within(u, e.span) {
				code := w & codeMask
				if !h.takes[code] {
					continue
				}
				if !started {
					base, started = ofUser(u), true
				}
				if !top[ofEvent(base, code)] {
					*mine++
					return
				}
			}
		}
	}, func(mine *int64) { n += *mine })
	return n, err
}

// line gathers one line of a series.
type line struct {
	points []int64
	total  int64
	user   uint32 // that was counted last, plus one
	bucket int    // in which
}

func (l *line) add(u uint32, bucket int, users bool) {
	if users && l.user == u+1 {
		if l.bucket == bucket {
			return
		}
		l.total--
	}
	l.user, l.bucket = u+1, bucket
	l.total++
	l.points[bucket]++
}

func (e *query) series(s *measure.Series) (*measure.SeriesResult, error) {
	starts, err := e.f.Buckets(e.span, s.Per, measure.MaxBuckets)
	if err != nil {
		return nil, err
	}
	res := &measure.SeriesResult{Buckets: starts}
	for i, m := range s.Of {
		h, err := e.hits(m, s.Count)
		if err != nil {
			return nil, err
		}
		var by []measure.Dimension
		if s.By != nil {
			by = []measure.Dimension{*s.By}
		}
		a, err := e.axes(by)
		if err != nil {
			return nil, err
		}
		index := map[combination]int{{}: 0}
		lines := []measure.Line{{Match: i}}
		other := -1
		if s.By != nil {
			g, err := e.group(h, a)
			if err != nil {
				return nil, err
			}
			order := g.ranked(a)
			clear(index)
			lines = nil
			for _, c := range order[:min(len(order), s.Top)] {
				index[c] = len(lines)
				lines = append(lines, measure.Line{Match: i, Value: a.texts(c)[0]})
			}
			if len(order) > s.Top {
				other = len(lines)
				lines = append(lines, measure.Line{Match: i, Other: true})
			}
		}
		if len(lines)*max(1, len(starts)) > 2_000_000 {
			return nil, errFacts
		}
		if err := e.points(h, a, calendar{starts}, index, other, lines); err != nil {
			return nil, err
		}
		res.Lines = append(res.Lines, lines...)
	}
	return res, nil
}

// points fills in lines.
func (e *query) points(h hits, a *axes, cal calendar, index map[combination]int, other int, into []measure.Line) error {
	for i := range into {
		into[i].Points = make([]float64, len(cal.starts))
	}
	if len(cal.starts) == 0 {
		return nil
	}
	may, _ := e.candidates(h.takes, e.span, e.users)
	return walk(e, may, may, func() ([]line, func(u uint32)) {
		mine := make([]line, len(into))
		for i := range mine {
			mine[i].points = make([]int64, len(cal.starts))
		}
		ofUser, ofEvent := a.reader()
		return mine, func(u uint32) {
			base, started, bucket := combination{}, false, 0
			for _, w := range e.within(u, e.span) {
				code := w & codeMask
				if !h.takes[code] {
					continue
				}
				if !started {
					base, started = ofUser(u), true
				}
				bucket = cal.find(timeOf(w), bucket)
				at, ok := index[ofEvent(base, code)]
				if !ok {
					at = other
				}
				mine[at].add(u, bucket, h.users)
			}
		}
	}, func(mine []line) {
		for i := range mine {
			into[i].Total += float64(mine[i].total)
			for b, n := range mine[i].points {
				into[i].Points[b] += float64(n)
			}
		}
	})
}
