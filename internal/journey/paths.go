package journey

import (
	"heed/internal/journey/bitset"
	"heed/internal/measure"
)

// paths is a compiled question for paths.
type paths struct {
	q       *measure.Paths
	in      measure.Span
	anchors []bool
	counts  []bool
	kinds   []kind
}

func (e *query) compilePaths(q *measure.Paths, sees []bool, in measure.Span) (*paths, error) {
	anchors, err := e.matching(q.From, sees)
	return &paths{q: q, in: in, anchors: anchors, counts: e.counting(sees), kinds: e.x.kinds}, err
}

// follow is the names, by number, of what a user did next to their anchor.
func (p *paths) follow(list []uint64, buf []uint32) (names []uint32, ok bool) {
	step, at, end := 1, 0, len(list)
	if p.q.Before {
		step, at, end = -1, len(list)-1, -1
		if n := len(list); n > 0 && timeOf(list[n-1]) >= p.in.To {
			at = from(list, p.in.To) - 1
		}
	} else if len(list) > 0 && timeOf(list[0]) < p.in.From {
		at = from(list, p.in.From)
	}
	for ; at != end && !p.anchors[list[at]&codeMask]; at += step {
	}
	if at == end || !p.in.Holds(timeOf(list[at])) {
		return nil, false
	}
	anchor := timeOf(list[at])
	names = buf[:0]
	for at += step; at != end && len(names) < p.q.Depth; at += step {
		away := timeOf(list[at]) - anchor
		if max(away, -away) >= p.q.Window.Micros() {
			break
		}
		if code := list[at] & codeMask; p.counts[code] {
			names = append(names, p.kinds[code].name)
		}
	}
	return names, true
}

func (e *query) paths(q *measure.Paths) (*measure.PathsResult, error) {
	p, err := e.compilePaths(q, e.sees, e.span)
	if err != nil {
		return nil, err
	}
	may, _ := e.candidates(p.anchors, e.span, e.users)
	type tally struct {
		users int64
		at    [measure.MaxPathDepth + 1]map[uint32]int64 // by depth and name; 0: the end
	}
	begin := func() *tally {
		t := &tally{}
		for i := range t.at {
			t.at[i] = map[uint32]int64{}
		}
		return t
	}
	sum := begin()
	err = walk(e, may, may, func() (*tally, func(u uint32)) {
		t, buf := begin(), make([]uint32, 0, q.Depth)
		return t, func(u uint32) {
			names, ok := p.follow(e.before(u), buf)
			if !ok {
				return
			}
			t.users++
			for i, n := range names {
				t.at[i+1][n]++
			}
			if len(names) < q.Depth {
				t.at[len(names)+1][0]++
			}
		}
	}, func(t *tally) {
		sum.users += t.users
		for i := range t.at {
			for n, users := range t.at[i] {
				sum.at[i][n] += users
			}
		}
	})
	if err != nil {
		return nil, err
	}
	res := &measure.PathsResult{Users: sum.users, Depths: [][]measure.PathNode{}}
	var places [measure.MaxPathDepth + 1]map[uint32]int // of a name among the nodes of its depth
	for depth := 1; depth <= q.Depth && len(sum.at[depth]) > 0; depth++ {
		nodes, place := measure.PathNodes(sum.at[depth], e.x.names.texts, q.Top)
		res.Depths, places[depth] = append(res.Depths, nodes), place
	}
	links := map[measure.PathLink]int64{}
	err = walk(e, may, may, func() (map[measure.PathLink]int64, func(u uint32)) {
		mine, buf := map[measure.PathLink]int64{}, make([]uint32, 0, q.Depth+1)
		return mine, func(u uint32) {
			names, ok := p.follow(e.before(u), buf)
			if !ok {
				return
			}
			if len(names) < q.Depth {
				names = append(names, 0)
			}
			before := 0
			for i, n := range names {
				to := places[i+1][n]
				mine[measure.PathLink{Depth: i + 1, From: before, To: to}]++
				before = to
			}
		}
	}, func(mine map[measure.PathLink]int64) {
		for l, n := range mine {
			links[l] += n
		}
	})
	if err != nil {
		return nil, err
	}
	res.Links = measure.PathLinks(links)
	return res, nil
}

func (e *query) inPath(in *measure.InPath, among bitset.Set) (bitset.Set, error) {
	span, err := e.f.Span(in.During)
	if err != nil {
		return nil, err
	}
	sees, err := e.kindsWhere(in.Where)
	if err != nil {
		return nil, err
	}
	p, err := e.compilePaths(&in.Paths, sees, span)
	if err != nil {
		return nil, err
	}
	numbers := func(list []*string) (names map[uint32]bool) {
		names = map[uint32]bool{}
		for _, s := range list {
			if s == nil {
				names[0] = true
			} else if n, ok := e.x.names.find(*s); ok {
				names[n] = true
			}
		}
		return names
	}
	events, previous := numbers(in.Events), numbers(in.Previous)
	may, _ := e.candidates(p.anchors, span, among)
	return e.keep(may, func() func(u uint32) bool {
		buf := make([]uint32, 0, in.Paths.Depth)
		return func(u uint32) bool {
			names, ok := p.follow(e.before(u), buf)
			if !ok || in.Depth == 0 || len(names) < in.Depth-1 {
				return ok && in.Depth == 0
			}
			here := uint32(0)
			if len(names) >= in.Depth {
				here = names[in.Depth-1]
			}
			if in.Not && here == 0 || events[here] == in.Not {
				return false
			}
			return in.Depth < 2 || len(in.Previous) == 0 || previous[names[in.Depth-2]] != in.NotPrevious
		}
	})
}
