package trigger

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"heed/internal/condition"
	"heed/internal/event"
	"heed/internal/period"
)

func (c *compiler) pattern() error {
	steps := c.d.Pattern
	if len(steps) == 0 {
		return fail("pattern", "has no step")
	}
	for i := range steps {
		path, s := fmt.Sprintf("pattern[%d]", i), &steps[i]
		kinds := 0
		for _, used := range []bool{s.Event != "", s.All != nil, s.Absent != "", s.Idle != 0} {
			if used {
				kinds++
			}
		}
		switch {
		case kinds != 1:
			return fail(path, "write one of event, all, absent or idle")
		case s.Event != "" || s.All != nil:
			if err := c.step(path, s); err != nil {
				return err
			}
		case i != len(steps)-1:
			return fail(path, "absent and idle can only be the last step; none of these between two steps is without")
		default:
			if err := c.last(path, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// step takes a step of events.
func (c *compiler) step(path string, s *Step) error {
	first := len(c.p.stages) == 0
	switch {
	case s.For != 0 || s.Anchor != "":
		return fail(path, "for and anchor belong to an absent step")
	case first && s.Strict:
		return fail(path+".strict", "the first step has no step before it; for repetitions write consecutive")
	case first && len(s.Without) > 0:
		return fail(path+".without", "the first step has no step before it; to forget what was begun write reset, between repetitions write them as steps of their own")
	case first && s.Gap != 0:
		return fail(path+".gap", "the first step has no step before it; between repetitions, write them as steps of their own")
	case s.Gap < 0 || s.Gap != 0 && s.Gap.Micros() == 0:
		return fail(path+".gap", "must be at least 1µs")
	}
	if err := checkNames(path+".without", s.Without); err != nil {
		return err
	}
	if s.All == nil && s.Distinct == "" {
		return c.single(path, s)
	}
	form := "all"
	if s.Distinct != "" {
		form = "distinct"
	}
	switch {
	case s.Strict:
		return fail(path+".strict", "does not go with %s: a row keeps one time for each part of it, which cannot tell what lay between the parts; exclude other events with without", form)
	case s.Gap != 0:
		return fail(path+".gap", "does not go with %s: its events have no first one to measure to; use within, or gap on the step after it", form)
	case s.Consecutive:
		return fail(path+".consecutive", "does not go with %s: use without, or write the steps out in their order", form)
	case s.Distinct != "":
		return c.several(path, s)
	}
	return c.all(path, s)
}

// single takes an event step: a stage for every repetition.
func (c *compiler) single(path string, s *Step) error {
	times := cmp.Or(s.Times, 1)
	if err := checkName(path+".event", s.Event); err != nil {
		return err
	}
	switch {
	case times < 1:
		return fail(path+".times", "must be at least 1")
	case s.Consecutive && times == 1:
		return fail(path+".consecutive", "is about repetitions: set times")
	}
	where, text, err := compileWhere(path, s.Where)
	if err != nil {
		return err
	}
	for i := range times {
		e := edge{Event: s.Event, Where: text}
		without := s.Without
		if i == 0 {
			e.Gap = s.Gap.Micros()
		} else {
			without = nil
		}
		if i == 0 && s.Strict || i > 0 && s.Consecutive {
			c.strict |= 1 << len(c.p.stages)
		}
		st := stage{kind: single, need: 1, gap: e.Gap, done: i, of: times}
		if err := c.add(path+".times", st, e, without, bit{name: s.Event, where: where}); err != nil {
			return err
		}
		c.p.lasts = c.p.lasts || e.Gap > 0
	}
	return nil
}

// all takes a step of several events in any order. One event could do two
// elements of the same name, and newest times alone could not tell which.
func (c *compiler) all(path string, s *Step) error {
	switch {
	case len(s.All) < 2 || len(s.All) > maxElements:
		return fail(path+".all", "takes 2 to %d events, has %d", maxElements, len(s.All))
	case s.Where != nil:
		return fail(path+".where", "belongs to an element of all: {all: [{event: a, where: ...}, b]}")
	case s.Times != 0:
		return fail(path+".times", "does not go with all: write the step again")
	}
	e := edge{}
	var bits []bit
	for i, el := range s.All {
		at := fmt.Sprintf("%s.all[%d]", path, i)
		if err := checkName(at+".event", el.Event); err != nil {
			return err
		}
		if slices.ContainsFunc(bits, func(b bit) bool { return b.name == el.Event }) {
			return fail(at, "%q is there twice: one event could do both, and a row keeps one time for each; for repetitions use times, for different values distinct", el.Event)
		}
		if slices.Contains(s.Without, el.Event) {
			return fail(path+".without", "%q is part of the step: a row keeps one time for each part, which cannot tell the one that does it from one between", el.Event)
		}
		where, text, err := compileWhere(at, el.Where)
		if err != nil {
			return err
		}
		bits = append(bits, bit{name: el.Event, where: where})
		e.All = append(e.All, edge{Event: el.Event, Where: text})
	}
	// In any order also as written.
	slices.SortFunc(bits, func(a, b bit) int { return strings.Compare(a.name, b.name) })
	slices.SortFunc(e.All, func(a, b edge) int { return strings.Compare(a.Event, b.Event) })
	return c.add(path+".all", stage{kind: all, need: len(bits), of: 1}, e, s.Without, bits...)
}

// several takes a step of distinct values.
func (c *compiler) several(path string, s *Step) error {
	if err := checkName(path+".event", s.Event); err != nil {
		return err
	}
	if s.Times < 2 {
		return fail(path+".times", "is missing: distinct takes as many different values, at least 2")
	}
	if slices.Contains(s.Without, s.Event) {
		return fail(path+".without", "%q is the step itself: a row keeps one time for each value, which cannot tell the one that does it from one between", s.Event)
	}
	field, err := condition.CompileField(s.Distinct)
	if err != nil {
		return fail(path+".distinct", "%v", err)
	}
	if strings.Contains(s.Distinct, "[]") {
		return fail(path+".distinct", "leads to many values, and one event does one step: name one, such as [0]")
	}
	where, text, err := compileWhere(path, s.Where)
	if err != nil {
		return err
	}
	e := edge{Event: s.Event, Where: text, Distinct: s.Distinct, Times: s.Times}
	st := stage{kind: several, need: s.Times, field: field, of: 1}
	return c.add(path+".times", st, e, s.Without, bit{name: s.Event, where: where})
}

// add appends a stage.
func (c *compiler) add(path string, st stage, e edge, without []string, bits ...bit) error {
	p := c.p
	if p.units+st.need > maxSteps {
		return fail(path, "a pattern takes at most %d events, repetitions counted: one row keeps a time stamp for each", maxSteps)
	}
	st.bit, st.width, st.base = len(p.bits), len(bits), p.units
	breaks := map[string]bool{}
	for _, name := range without {
		breaks[name] = true
	}
	for _, b := range bits {
		b.stage = len(p.stages)
		if b.stage == 0 {
			p.first |= 1 << len(p.bits)
		}
		if st.kind == several {
			p.distinct |= 1 << len(p.bits)
		}
		p.bits = append(p.bits, b)
	}
	p.stamped = p.stamped || st.kind != single
	p.units += st.need
	p.stages = append(p.stages, st)
	c.breaks = append(c.breaks, breaks)
	c.normal.Steps = append(c.normal.Steps, e)
	return nil
}

// compileWhere compiles a condition and writes its normal form.
func compileWhere(path string, where *condition.Condition) (*condition.Program, json.RawMessage, error) {
	if where == nil {
		return nil, nil, nil
	}
	p, err := condition.Compile(*where, condition.ForEvent)
	if err != nil {
		at, message := path+".where", err.Error()
		if e, ok := errors.AsType[*condition.Error](err); ok {
			if message = e.Message; e.Path != "" {
				at += "." + e.Path
			}
		}
		return nil, nil, fail(at, "%s", message)
	}
	text, err := json.Marshal(where)
	if err != nil {
		return nil, nil, fail(path+".where", "%v", err)
	}
	return p, text, nil
}

// last takes the final absence or silence.
func (c *compiler) last(path string, s *Step) error {
	p := c.p
	if s.Times != 0 || s.Consecutive || s.Strict || len(s.Without) > 0 || s.Gap != 0 || s.Distinct != "" {
		return fail(path, "times, distinct, consecutive, strict, without and gap belong to an event step")
	}
	if s.Idle != 0 {
		if s.For != 0 || s.Anchor != "" || s.Where != nil {
			return fail(path, "idle takes no for, anchor or where: any event of the user restarts it")
		}
		p.final, p.wait = silence, s.Idle.Micros()
		return checkWait(path+".idle", s.Idle)
	}
	if len(p.stages) == 0 {
		return fail(path, "absent needs a step before it: its time starts there")
	}
	if err := checkName(path+".absent", s.Absent); err != nil {
		return err
	}
	if err := checkWait(path+".for", s.For); err != nil {
		return err
	}
	switch s.Anchor {
	case "", "first":
	case "last":
		p.restart = true
	default:
		return fail(path+".anchor", "%q: write first or last", s.Anchor)
	}
	when, text, err := compileWhere(path, s.Where)
	if err != nil {
		return err
	}
	p.final, p.wait, p.stops, p.when, c.normal.When = absence, s.For.Micros(), []string{s.Absent}, when, text
	return nil
}

func checkWait(path string, w period.Period) error {
	switch {
	case w == 0:
		return fail(path, "is missing")
	case w.Micros() <= 0 || w.Duration() > maxWait:
		return fail(path, "must be between 1µs and %s", period.Period(maxWait))
	}
	return nil
}

func checkName(path, name string) error {
	switch {
	case name == "":
		return fail(path, "is empty")
	case len(name) > event.MaxNameBytes:
		return fail(path, "is longer than %d bytes", event.MaxNameBytes)
	}
	return nil
}

func checkNames(path string, names []string) error {
	if len(names) > maxNames {
		return fail(path, "has more than %d names", maxNames)
	}
	for i, name := range names {
		if err := checkName(fmt.Sprintf("%s[%d]", path, i), name); err != nil {
			return err
		}
	}
	return nil
}
