package journey

import (
	"math"
	"math/bits"
	"slices"

	"heed/internal/journey/bitset"
	"heed/internal/measure"
)

// funnel is a compiled funnel.
type funnel struct {
	steps  int
	window int64
	asOf   int64
	in     measure.Span
	heeds  *[codeMask + 1]uint8 // by kind: 1 if it is of any step or bar
	takes  *[codeMask + 1]masks // by kind
	first  []bool               // kinds of the first step
	second []bool               // and of the second, if there is one
}

// masks are bits per step: the steps that a kind matches, and the steps behind
// which it must not come before the next one.
type masks struct{ step, bars uint32 }

func (e *query) compile(f *measure.Funnel, sees []bool, in measure.Span) (*funnel, error) {
	out := &funnel{
		steps: len(f.Steps), window: f.Window.Micros(), asOf: e.f.AsOf, in: in,
		heeds: new([codeMask + 1]uint8), takes: new([codeMask + 1]masks),
	}
	for i := range f.Steps {
		m, err := e.matching(f.Steps[i].Match(), sees)
		if err != nil {
			return nil, err
		}
		switch i {
		case 0:
			out.first = m
		case 1:
			out.second = m
		}
		for code := range m {
			if m[code] {
				out.takes[code].step |= 1 << i
			}
		}
		for _, w := range f.Steps[i].Without {
			m, err := e.matching(w, sees)
			if err != nil {
				return nil, err
			}
			for code := range m {
				if m[code] {
					out.takes[code].bars |= 1 << (i - 1)
				}
			}
		}
	}
	if f.Strict {
		for code, counts := range e.counting(sees) {
			if counts {
				out.takes[code].bars = 1<<(out.steps-1) - 1
			}
		}
	}
	for code, m := range out.takes {
		if m.step|m.bars != 0 {
			out.heeds[code] = 1
		}
	}
	return out, nil
}

// stand is how far a user got.
type stand struct {
	level     int
	open      bool
	converted bool
	took      int64
}

// gather is how many events are looked through at once, a power of two.
const gather = 32

// none is the start of no chain: no event is within a window of it.
const none = math.MinInt64 / 2

// walker walks users through a funnel, one after the other. It belongs to one
// goroutine.
type walker struct {
	*funnel

	starts [measure.MaxSteps + 1]int64 // by step; starts[0] is the event itself
	near   [gather]uint64
}

// walk advances one user along their events, which end at as-of. For each step
// it keeps the latest start of a chain that ends there: whatever an earlier
// start can still reach, that one can too. Events are tried against the last
// step first, so that one never fills two steps.
func (f *walker) walk(list []uint64) stand {
	var s stand
	for i := range f.steps + 1 {
		f.starts[i] = none
	}
	if n := len(list); n > 0 && timeOf(list[0]) < f.in.From {
		list = list[from(list, f.in.From):]
	}
	// Whether the funnel heeds an event cannot be foretold either: gathering those
	// it does, without a branch, costs a third of mistaken guesses.
	heeds, near := f.heeds, &f.near
	for len(list) > 0 {
		some := list[:min(len(list), gather)]
		list = list[len(some):]
		n := 0
		for _, w := range some {
			near[n&(gather-1)] = w
			n += int(heeds[w&codeMask])
		}
		if !f.advance(&s, near[:n]) {
			break
		}
	}
	if s.converted {
		return s
	}
	for _, began := range f.starts[1:f.steps] {
		if f.asOf-began < f.window {
			s.open = true
		}
	}
	return s
}

// advance takes the steps of some events; false says that no later one can matter.
func (f *walker) advance(s *stand, events []uint64) bool {
	starts := &f.starts
	for _, w := range events {
		m := f.takes[w&codeMask]
		t := timeOf(w)
		starts[0] = t
		if t >= f.in.To {
			if s.level == 0 || t-f.in.To >= f.window {
				return false
			}
			starts[0] = none
		}
		// Which step an event is cannot be foretold, so the usual case, of one
		// step and no bar, does without branches on it.
		if m.bars == 0 && m.step&(m.step-1) == 0 {
			i := bits.Len32(m.step) & 31
			began, level := starts[i-1], i
			if t-began >= f.window {
				began, level = none, 0
			}
			starts[i] = max(starts[i], began)
			s.level = max(s.level, level)
			if level == f.steps {
				s.converted, s.took = true, t-began
				return false
			}
			continue
		}
		for rest := m.step | m.bars; rest != 0; {
			i := bits.Len32(rest)
			rest &^= 1 << (i - 1)
			began := int64(none)
			if m.step>>(i-1)&1 == 1 && t-starts[i-1] < f.window {
				began = starts[i-1]
			}
			if m.bars>>(i-1)&1 == 1 {
				starts[i] = none
			}
			if began == none {
				continue
			}
			starts[i] = max(starts[i], began)
			s.level = max(s.level, i)
			if i == f.steps {
				s.converted, s.took = true, t-began
				return false
			}
		}
	}
	return true
}

// entrants is the users of a set who may have entered, and those of them whose
// events tell how far they got. How it stands with the others is known: they took
// the first step, never the second, and are out of time.
func (e *query) entrants(f *funnel, among bitset.Set) (may, walked bitset.Set) {
	may, sure := e.candidates(f.first, f.in, among)
	if f.second == nil {
		return may, may
	}
	later, _ := e.candidates(f.second, measure.Span{From: f.in.From, To: f.in.To + f.window}, sure)
	lately, _ := e.candidates(f.first, measure.Span{From: max(f.in.From, f.asOf-f.window), To: f.in.To}, sure)
	sure.AndNot(later)
	sure.AndNot(lately)
	walked = slices.Clone(may)
	walked.AndNot(sure)
	return may, walked
}

// funnelCount gathers users of one group.
type funnelCount struct {
	steps []measure.FunnelStep
	took  []int64
}

func (c *funnelCount) add(s stand) {
	for i := range s.level {
		c.steps[i].Reached++
	}
	switch {
	case s.converted:
		c.took = append(c.took, s.took)
	case s.open:
		c.steps[s.level-1].Progress++
	default:
		c.steps[s.level-1].Stuck++
	}
}

func (c *funnelCount) join(o *funnelCount) {
	for i := range o.steps {
		c.steps[i].Reached += o.steps[i].Reached
		c.steps[i].Stuck += o.steps[i].Stuck
		c.steps[i].Progress += o.steps[i].Progress
	}
	c.took = append(c.took, o.took...)
}

func (c *funnelCount) result() measure.FunnelCount {
	return measure.FunnelCount{Steps: c.steps, Convert: measure.PercentilesOf(c.took)}
}

func (e *query) funnel(q *measure.Funnel) (*measure.FunnelResult, error) {
	f, err := e.compile(q, e.sees, e.span)
	if err != nil {
		return nil, err
	}
	by := &dimension{newValues(), func() func(u uint32) uint32 { return func(uint32) uint32 { return 0 } }}
	if q.By != nil {
		if by, err = e.dimension(q.By); err != nil {
			return nil, err
		}
	}
	empty := func() *funnelCount { return &funnelCount{steps: make([]measure.FunnelStep, f.steps)} }
	groups := map[uint32]*funnelCount{}
	may, walked := e.entrants(f, e.users)
	err = walk(e, may, walked, func() (map[uint32]*funnelCount, func(u uint32)) {
		mine, value := map[uint32]*funnelCount{}, by.reader()
		last, lastValue := (*funnelCount)(nil), uint32(0)
		w := walker{funnel: f}
		return mine, func(u uint32) {
			s := stand{level: 1}
			if walked.Has(u) {
				s = w.walk(e.before(u))
			}
			if s.level == 0 {
				return
			}
			v := value(u)
			if last == nil || v != lastValue {
				if last = mine[v]; last == nil {
					last = empty()
					mine[v] = last
				}
				lastValue = v
			}
			last.add(s)
		}
	}, func(mine map[uint32]*funnelCount) {
		for v, c := range mine {
			if groups[v] == nil {
				groups[v] = empty()
			}
			groups[v].join(c)
		}
	})
	if err != nil {
		return nil, err
	}
	all := empty()
	for _, c := range groups {
		all.join(c)
	}
	res := &measure.FunnelResult{FunnelCount: all.result()}
	if q.By == nil {
		return res, nil
	}
	var order []uint32
	for v := range groups {
		order = append(order, v)
	}
	slices.SortFunc(order, func(a, b uint32) int {
		if n, m := groups[a].steps[0].Reached, groups[b].steps[0].Reached; n != m {
			return int(m - n)
		}
		return measure.Compare(by.values.text(a), by.values.text(b))
	})
	other := empty()
	for i, v := range order {
		if i < q.Top {
			res.Groups = append(res.Groups, measure.FunnelGroup{Value: by.values.text(v), FunnelCount: groups[v].result()})
		} else {
			other.join(groups[v])
		}
	}
	if len(order) > q.Top {
		res.Groups = append(res.Groups, measure.FunnelGroup{Other: true, FunnelCount: other.result()})
	}
	return res, nil
}

func (e *query) inFunnel(in *measure.InFunnel, among bitset.Set) (bitset.Set, error) {
	span, err := e.f.Span(in.During)
	if err != nil {
		return nil, err
	}
	sees, err := e.kindsWhere(in.Where)
	if err != nil {
		return nil, err
	}
	f, err := e.compile(&in.Funnel, sees, span)
	if err != nil {
		return nil, err
	}
	may, walked := e.entrants(f, among)
	return e.keep(may, func() func(u uint32) bool {
		w := walker{funnel: f}
		return func(u uint32) bool {
			s := stand{level: 1}
			if walked.Has(u) {
				s = w.walk(e.before(u))
			}
			switch in.State {
			case measure.Stuck:
				return s.level == in.Level && !s.converted && !s.open
			case measure.Progress:
				return s.level == in.Level && !s.converted && s.open
			case measure.Reached:
			}
			return s.level >= in.Level
		}
	})
}
