package trigger_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"heed/internal/period"
	"heed/internal/trigger"
)

// with merges the state of another engine of the same set into e's.
func (e *engine) with(other *engine) {
	e.t.Helper()
	e.log = max(e.log, other.log)
	before := len(e.out.Firings)
	e.set.Merge(&e.st, &other.st, e.log, &e.out)
	if len(e.out.Firings) != before || !other.st.Empty() {
		e.t.Fatalf("a merge fired %d, left %v behind", len(e.out.Firings)-before, other.set.Append(nil, &other.st))
	}
	e.again()
}

// TestMergeKeepsBothChances: what either user would complete first after the
// barrier, the united one completes then.
func TestMergeKeepsBothChances(t *testing.T) {
	cases, fired := 0, 0
	for seed := range soak(t, 4000) {
		r := dice{rand.New(rand.NewPCG(seed, 11))}
		d := r.definition()
		d.Reentry, d.Limit, d.Order, d.Lateness, d.By, d.Delay, d.Cancel, d.Increasing = nil, nil, "", 0, nil, 0, nil, false
		for i := range d.Pattern {
			d.Pattern[i].Gap = 0
		}
		if last := d.Pattern[len(d.Pattern)-1]; last.Event == "" {
			continue
		}
		p := compile(t, d)
		histories := [2][]happening2{r.events(), r.events()}
		after := r.events()
		barrier := int64(0)
		for _, h := range histories {
			for _, e := range h {
				barrier = max(barrier, e.received)
			}
		}
		for i := range after {
			after[i].at, after[i].received, after[i].id = after[i].at+barrier, after[i].received+barrier, "after"+after[i].id
		}
		play := func(which ...int) *engine {
			engines := [2]*engine{newEngine(t, false, p), newEngine(t, false, p)}
			for i, e := range engines {
				for _, h := range histories[i] {
					e.step(h.event())
				}
				e.out.Reset()
			}
			e := engines[which[0]]
			e.offset = 100
			// The clock of the united user is the later one: so is that of the others.
			clock := engines[1-which[0]]
			if len(which) == 1 {
				clock.set.Forget(&clock.st, &clock.out)
			}
			e.st.Touch(max(engines[0].st.Clock(), engines[1].st.Clock()))
			if len(which) > 1 {
				e.with(engines[which[1]])
			}
			for _, h := range after {
				e.step(h.event())
			}
			return e
		}
		first := func(e *engine) int64 {
			if len(e.out.Firings) == 0 {
				return math.MaxInt64
			}
			return e.out.Firings[0].At
		}
		cases++
		united := play(0, 1)
		want := min(first(play(0)), first(play(1)))
		// Parts of a step in any order may be of both.
		groups := slices.ContainsFunc(d.Pattern, func(s trigger.Step) bool { return s.All != nil || s.Distinct != "" })
		if got := first(united); got > want || got < want && !groups {
			t.Fatalf("seed %d: first firing at %d, alone at %d\n%s\n%s\n%s", seed, got, want,
				describe(d, histories[0]), describe(d, histories[1]), describe(d, after))
		}
		if diff := gocmp.Diff(outcomes(united.out.Firings), outcomes(play(1, 0).out.Firings)); diff != "" {
			t.Fatalf("seed %d: the other way round: %s", seed, diff)
		}
		if want != math.MaxInt64 {
			fired++
		}
	}
	if fired < cases/10 {
		t.Errorf("only %d of %d cases fired", fired, cases)
	}
}

// TestMergeOfAnything: whatever is merged, it does not fire, can be stored, is
// as good the other way round, and progress counts add up.
func TestMergeOfAnything(t *testing.T) {
	for seed := range soak(t, 4000) {
		r := dice{rand.New(rand.NewPCG(seed, 12))}
		d := r.definition()
		p := compile(t, d)
		one, two := r.events(), r.events()
		play := func(a, b []happening2) *engine {
			e, other := newEngine(t, true, p), newEngine(t, true, p)
			for _, h := range a {
				e.step(h.event())
			}
			for _, h := range b {
				other.step(h.event())
			}
			e.out.Firings, other.out.Firings = nil, nil
			e.with(other)
			e.timers(math.MaxInt64 / 4)
			for range 10 {
				if next := e.st.NextDeadline(); next != math.MaxInt64 {
					e.set.Wake(&e.st, "u", &trigger.Input{LogTime: max(e.log, next), Live: true}, &e.out)
				}
			}
			level := 0
			for _, tr := range e.out.Transitions {
				level += tr.To - tr.From
			}
			if level != 0 && (d.Reentry == nil || !d.Reentry.Once) {
				t.Fatalf("seed %d: transitions sum up to %d: %s", seed, level, describe(d, nil))
			}
			return e
		}
		if diff := gocmp.Diff(outcomes(play(one, two).out.Firings), outcomes(play(two, one).out.Firings)); diff != "" && d.Limit == nil && d.Reentry == nil {
			t.Fatalf("seed %d: the other way round: %s\n%s\n%s", seed, diff, describe(d, one), describe(d, two))
		}
	}
}

func TestMergeMarks(t *testing.T) {
	hour, second := period.Period(time.Hour), func(n int) float64 { return float64(n) }
	f := func(d trigger.Definition, anonymous, user, after []string, want ...string) {
		t.Helper()
		d.Name = "t"
		p := compile(t, &d)
		at := 0
		play := func(e *engine, names []string) {
			for i, name := range names {
				e.happen(name, second(i*10+at))
			}
		}
		a, u := newEngine(t, true, p), newEngine(t, true, p)
		play(a, anonymous)
		at = 1
		play(u, user)
		a.out.Reset()
		u.out.Reset()
		u.with(a)
		at = 101
		play(u, after)
		u.timers(math.MaxInt64 / 4)
		u.expect(want...)
	}
	one := []trigger.Step{{Event: "a"}}
	f(trigger.Definition{Pattern: pair(), Within: hour}, []string{"a"}, nil, []string{"b", "b"}, "101")
	f(trigger.Definition{Pattern: pair(), Within: hour}, nil, []string{"a"}, []string{"b"}, "101")
	f(trigger.Definition{Pattern: one, Reentry: &trigger.Reentry{Once: true}}, []string{"a"}, nil, []string{"a"})
	f(trigger.Definition{Pattern: one, Reentry: &trigger.Reentry{Cooldown: period.Period(110 * time.Second)}}, []string{"a"}, nil, []string{"a", "a"}, "111")
	// The progress of the one ends with the cooldown of the other.
	f(trigger.Definition{Pattern: pair(), Within: hour, Reentry: &trigger.Reentry{Cooldown: period.Period(95 * time.Second)}},
		[]string{"a", "b"}, []string{"a"}, []string{"b", "b"})
	f(trigger.Definition{Pattern: one, Limit: &trigger.Limit{Count: 3, Per: hour}}, []string{"a"}, []string{"a"}, []string{"a", "a"}, "101")
	// Of a step in any order, either may have done a part.
	three := trigger.Definition{Pattern: []trigger.Step{{All: []trigger.Element{{Event: "a"}, {Event: "b"}, {Event: "c"}}}}, Within: hour}
	f(three, []string{"a"}, []string{"b"}, []string{"c"}, "101")
	f(three, []string{"a", "b"}, []string{"b", "c"}, []string{"x", "b"}, "111")
	f(trigger.Definition{Pattern: one, Delay: hour, Cancel: []string{"c"}}, []string{"a"}, nil, []string{"c"})
	left := func(anchor string) trigger.Definition {
		return trigger.Definition{Pattern: []trigger.Step{{Event: "a"}, {Absent: "b", For: hour, Anchor: anchor}}}
	}
	f(left(""), []string{"a"}, []string{"a"}, nil, "3600")
	f(left("last"), []string{"a"}, []string{"a"}, nil, "3601")
	f(left(""), []string{"a"}, []string{"a"}, []string{"b"})
	f(trigger.Definition{Pattern: one, Delay: hour}, []string{"a"}, []string{"a"}, nil, "3600")
	f(trigger.Definition{Pattern: pair(), Within: hour, Order: "event", Lateness: period.Period(time.Minute)},
		[]string{"a"}, []string{"x", "b"}, nil, "11")
}

func TestMergeBounds(t *testing.T) {
	d := trigger.Definition{Name: "t", Pattern: pair(), Within: hour, By: &trigger.By{Field: "properties.id"}}
	p := compile(t, &d)
	a, u := newEngine(t, true, p), newEngine(t, true, p)
	id := func(n int) func(in *trigger.Input) {
		return func(in *trigger.Input) { in.Event.Properties = fmt.Appendf(nil, `{"id":%d}`, n) }
	}
	for n := range 10 {
		u.happen("a", float64(n), id(n))
		a.happen("a", float64(n), id(n+8))
	}
	u.with(a)
	if u.out.Counts.Evicted != 2 {
		t.Errorf("evicted: %d, want 2", u.out.Counts.Evicted)
	}
	for n := range 18 {
		u.happen("b", 100+float64(n), id(n))
	}
	if len(u.out.Firings) != 16 || u.out.Firings[0].Key != "2" {
		t.Errorf("fired %v", fired(u.out.Firings))
	}

	d = trigger.Definition{Name: "t", Pattern: pair(), Within: hour, Order: "event", Lateness: hour}
	p = compile(t, &d)
	a, u = newEngine(t, true, p), newEngine(t, true, p)
	for n := range 40 {
		a.happen("b", float64(n))
		u.happen("b", float64(n))
	}
	u.with(a)
	if u.out.Counts.Evicted != 16 {
		t.Errorf("evicted: %d, want 16", u.out.Counts.Evicted)
	}
}

func TestForget(t *testing.T) {
	e := one(t, true, trigger.Definition{Pattern: pair(), Within: hour})
	e.happen("a", 1)
	e.out.Reset()
	e.set.Forget(&e.st, &e.out)
	if !e.st.Empty() || !e.out.Changed || len(e.out.Transitions) != 1 || e.out.Transitions[0] != (trigger.Transition{From: 1}) {
		t.Errorf("%+v", e.out)
	}
	e.out.Reset()
	e.set.Forget(&e.st, &e.out)
	if e.out.Changed {
		t.Error("nothing was changed")
	}
}
