package journey

import (
	"slices"

	"heed/internal/condition"
	"heed/internal/consent"
	"heed/internal/journey/bitset"
	"heed/internal/measure"
)

// audience is the users of a set for whom a node holds.
func (e *query) audience(a *measure.Audience, among bitset.Set) (bitset.Set, error) {
	switch {
	case a.All != nil:
		// What costs little goes first and leaves less for the rest.
		order := slices.Clone(a.All)
		slices.SortStableFunc(order, func(a, b measure.Audience) int { return cost(&a) - cost(&b) })
		out := among
		for i := range order {
			var err error
			if out, err = e.audience(&order[i], out); err != nil {
				return nil, err
			}
		}
		return out, nil
	case a.Any != nil:
		out, left := make(bitset.Set, len(among)), slices.Clone(among)
		for i := range a.Any {
			got, err := e.audience(&a.Any[i], left)
			if err != nil {
				return nil, err
			}
			out.Or(got)
			left.AndNot(got)
		}
		return out, nil
	case a.Not != nil:
		got, err := e.audience(a.Not, among)
		if err != nil {
			return nil, err
		}
		out := slices.Clone(among)
		out.AndNot(got)
		return out, nil
	case a.Where != nil:
		return e.where(*a.Where, among)
	case a.Is != nil:
		return e.is(a.Is, among)
	case a.Consent != "":
		return e.consents(a.Consent, among)
	case a.Users != nil:
		out := make(bitset.Set, len(among))
		for _, id := range a.Users {
			if u, ok := e.x.number(id); ok && among.Has(u) {
				out.Add(u)
			}
		}
		return out, nil
	case a.Did != nil:
		return e.did(a.Did, among)
	case a.Funnel != nil:
		return e.inFunnel(a.Funnel, among)
	case a.Retention != nil:
		return e.inRetention(a.Retention, among)
	case a.Path != nil:
		return e.inPath(a.Path, among)
	case a.Session != nil:
		return e.inSession(a.Session, among)
	case a.Audience != "":
		return nil, errFacts // it was not resolved
	}
	return among, nil
}

func cost(a *measure.Audience) int {
	switch {
	case a.Users != nil, a.Where != nil, a.Consent != "", a.Is != nil && a.Is.Dimension.Field != "":
		return 0
	case a.Did != nil:
		return 1
	case a.Not != nil:
		return cost(a.Not)
	case a.Is != nil:
		return 2
	}
	return 3
}

// keep is the users of a set for whom a test holds.
func (e *query) keep(among bitset.Set, begin func() func(u uint32) bool) (bitset.Set, error) {
	out := make(bitset.Set, len(among))
	err := walk(e, among, nil, func() (bitset.Set, func(u uint32)) {
		mine, test := make(bitset.Set, len(among)), begin()
		return mine, func(u uint32) {
			if test(u) {
				mine.Add(u)
			}
		}
	}, out.Or)
	return out, err
}

// where asks the leaves of a condition on traits once per distinct value.
func (e *query) where(c condition.Condition, among bitset.Set) (bitset.Set, error) {
	node := func(list []condition.Condition) []measure.Audience {
		out := make([]measure.Audience, len(list))
		for i := range list {
			out[i].Where = &list[i]
		}
		return out
	}
	switch {
	case c.All != nil:
		return e.audience(&measure.Audience{All: node(c.All)}, among)
	case c.Any != nil:
		return e.audience(&measure.Audience{Any: node(c.Any)}, among)
	case c.Not != nil:
		return e.audience(&measure.Audience{Not: &measure.Audience{Where: c.Not}}, among)
	case c.Field == "":
		return among, nil
	}
	p, err := condition.Compile(c, condition.ForProfile)
	if err != nil {
		return nil, err
	}
	key := traitKey(c.Field)
	col, ok := e.x.traits.find(key)
	if !ok {
		return nil, errFacts
	}
	return e.byValue(col, among, func(raw string) bool {
		return p.Eval(&condition.Facts{Traits: document(key, raw)})
	})
}

// byValue keeps users by the value of a column, which is asked once per value.
func (e *query) byValue(col *column, among bitset.Set, test func(raw string) bool) (bitset.Set, error) {
	none := test("")
	if col == nil {
		if none {
			return among, nil
		}
		return make(bitset.Set, len(among)), nil
	}
	holds := make([]bool, max(1, len(col.texts)))
	holds[0] = none
	for i := 1; i < len(col.texts); i++ {
		holds[i] = test(col.texts[i])
	}
	return e.keep(among, func() func(u uint32) bool { return func(u uint32) bool { return holds[col.get(u)] } })
}

func (e *query) consents(key string, among bitset.Set) (bitset.Set, error) {
	col, ok := e.x.consent.find(key)
	if !ok {
		return nil, errFacts
	}
	return e.byValue(col, among, func(raw string) bool { return consent.Read(raw).State == consent.Granted })
}

func (e *query) is(is *measure.Is, among bitset.Set) (bitset.Set, error) {
	d, err := e.dimension(&is.Dimension)
	if err != nil {
		return nil, err
	}
	return e.keep(among, func() func(u uint32) bool {
		value := d.reader()
		var known []int8 // by number of the value
		return func(u uint32) bool {
			v := value(u)
			for int(v) >= len(known) {
				known = append(known, 0)
			}
			if known[v] == 0 {
				known[v] = -1
				if is.Holds(d.values.text(v)) {
					known[v] = 1
				}
			}
			return known[v] > 0
		}
	})
}

func (e *query) did(d *measure.Did, among bitset.Set) (bitset.Set, error) {
	in, err := e.f.Span(d.During)
	if err != nil {
		return nil, err
	}
	takes, err := e.matching(d.Match(), e.all())
	if err != nil {
		return nil, err
	}
	for i := range d.Is {
		by, err := e.perKind(&d.Is[i].Dimension)
		if err != nil {
			return nil, err
		}
		for code := range takes {
			takes[code] = takes[code] && d.Is[i].Holds(by.values.text(by.of[code]))
		}
	}
	least, most := d.Bounds()
	holds := func(n int) bool { return n >= least && (most < 0 || n <= most) }
	candidates, sure := e.candidates(takes, in, among)
	once := holds(1) && most < 0 // at least one is all that is asked
	none := most == 0
	count := func(u uint32) bool {
		n := 0
		for _, w := range e.within(u, in) {
			if takes[w&codeMask] {
				if n++; once || none {
					break
				}
			}
		}
		return holds(n)
	}
	if !once && !none {
		sure = make(bitset.Set, len(among))
	}
	ask := slices.Clone(candidates)
	ask.AndNot(sure)
	got, err := e.keep(ask, func() func(u uint32) bool { return count })
	if err != nil {
		return nil, err
	}
	if holds(0) {
		rest := slices.Clone(among)
		rest.AndNot(candidates)
		got.Or(rest)
	}
	if once {
		got.Or(sure)
	}
	return got, nil
}
