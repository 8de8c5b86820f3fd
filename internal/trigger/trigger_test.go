package trigger_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"heed/internal/condition"
	"heed/internal/event"
	"heed/internal/period"
	"heed/internal/trigger"
)

func TestCheck(t *testing.T) {
	a, b := trigger.Step{Event: "a"}, trigger.Step{Event: "b"}
	minute := period.Period(time.Minute)
	f := func(d trigger.Definition, want string) {
		t.Helper()
		d.Name = "t"
		err := trigger.Check(&d)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if err != nil && strings.ContainsAny(strings.SplitN(err.Error(), ": ", 2)[0], " ") {
			t.Errorf("%v: the path has a space", err)
		}
	}
	steps := func(s ...trigger.Step) trigger.Definition { return trigger.Definition{Pattern: s, Within: minute} }
	f(trigger.Definition{}, "pattern: has no step")
	f(trigger.Definition{Pattern: []trigger.Step{a, b}}, "within: is missing")
	f(trigger.Definition{Pattern: []trigger.Step{a, b}, Within: period.Period(31 * 24 * time.Hour)}, "within: must be between 1µs and 30d")
	f(steps(trigger.Step{}), "pattern[0]: write one of")
	f(steps(trigger.Step{Event: "a", Idle: minute}), "pattern[0]: write one of")
	f(steps(trigger.Step{Event: "a", Without: []string{"x"}}), "pattern[0].without: the first step")
	f(steps(trigger.Step{Event: "a", Strict: true}), "pattern[0].strict: ")
	f(steps(trigger.Step{Event: "a", Gap: minute}), "pattern[0].gap: ")
	f(steps(trigger.Step{Event: "a", Times: -1}), "pattern[0].times: must be")
	f(steps(trigger.Step{Event: "a", Times: 65}), "pattern[0].times: a pattern takes at most 64 events")
	f(steps(trigger.Step{Event: "a", Consecutive: true}), "pattern[0].consecutive: ")
	f(steps(a, trigger.Step{Event: "b", Without: []string{""}}), "pattern[1].without[0]: is empty")
	f(steps(a, trigger.Step{Absent: "x"}), "pattern[1].for: is missing")
	f(steps(trigger.Step{Absent: "x", For: minute}), "pattern[0]: absent needs a step before")
	f(steps(a, trigger.Step{Absent: "x", For: minute}, b), "pattern[1]: absent and idle can only be the last")
	f(steps(a, trigger.Step{Absent: "x", For: minute, Anchor: "middle"}), "pattern[1].anchor: ")
	f(steps(a, trigger.Step{Idle: minute, Strict: true}), "pattern[1]: times, distinct, consecutive, strict")
	f(steps(trigger.Step{Event: "a", Where: &condition.Condition{All: []condition.Condition{{Field: "properties.a", Op: "is"}}}}), "pattern[0].where.all[0].op: ")
	f(trigger.Definition{Pattern: []trigger.Step{a}, Reset: []string{"a"}}, "reset[0]: \"a\" is a step too")
	f(trigger.Definition{Pattern: []trigger.Step{a}, Scope: []string{"heed.shown"}}, "scope[0]: ")
	f(trigger.Definition{Pattern: []trigger.Step{a}, Cancel: []string{"b"}}, "cancel: needs a delay")
	all := func(s trigger.Step) trigger.Step { s.All = []trigger.Element{{Event: "b"}, {Event: "c"}}; return s }
	f(steps(trigger.Step{Event: "a", All: []trigger.Element{{Event: "b"}, {Event: "c"}}}), "pattern[0]: write one of")
	f(steps(trigger.Step{All: []trigger.Element{{Event: "b"}}}), "pattern[0].all: takes 2 to 16 events, has 1")
	f(steps(trigger.Step{All: []trigger.Element{}}), "pattern[0].all: takes 2 to 16 events, has 0")
	f(steps(trigger.Step{All: []trigger.Element{{Event: "b"}, {Event: ""}}}), "pattern[0].all[1].event: is empty")
	f(steps(trigger.Step{All: []trigger.Element{{Event: "b"}, {Event: "b"}}}), "pattern[0].all[1]: \"b\" is there twice: one event could do both")
	f(steps(trigger.Step{All: []trigger.Element{{Event: "b"}, {Event: "c", Where: &condition.Condition{Field: "x", Op: "eq"}}}}), "pattern[0].all[1].where.field: ")
	f(steps(all(trigger.Step{Times: 2})), "pattern[0].times: does not go with all")
	f(steps(all(trigger.Step{Where: &condition.Condition{}})), "pattern[0].where: belongs to an element of all")
	f(steps(a, all(trigger.Step{Strict: true})), "pattern[1].strict: does not go with all: a row keeps one time")
	f(steps(a, all(trigger.Step{Gap: minute})), "pattern[1].gap: does not go with all")
	f(steps(a, all(trigger.Step{Consecutive: true})), "pattern[1].consecutive: does not go with all")
	f(steps(a, all(trigger.Step{Without: []string{"c"}})), "pattern[1].without: \"c\" is part of the step")
	f(steps(all(trigger.Step{Without: []string{"x"}})), "pattern[0].without: the first step")
	f(steps(trigger.Step{Event: "a", Distinct: "properties.x"}), "pattern[0].times: is missing: distinct")
	f(steps(trigger.Step{Event: "a", Times: 2, Distinct: "x"}), "pattern[0].distinct: \"x\": write")
	f(steps(trigger.Step{Event: "a", Times: 2, Distinct: "properties.x[]"}), "pattern[0].distinct: leads to many values")
	f(steps(trigger.Step{Event: "a", Times: 65, Distinct: "properties.x"}), "pattern[0].times: a pattern takes at most 64")
	f(steps(trigger.Step{Event: "a", Times: 2, Consecutive: true, Distinct: "properties.x"}), "pattern[0].consecutive: does not go with distinct")
	f(steps(a, trigger.Step{Event: "b", Times: 2, Distinct: "properties.x", Without: []string{"b"}}), "pattern[1].without: \"b\" is the step itself")
	f(trigger.Definition{Pattern: []trigger.Step{all(trigger.Step{})}}, "within: is missing")
	f(trigger.Definition{Pattern: []trigger.Step{a}, Order: "random"}, "order: ")
	f(trigger.Definition{Pattern: []trigger.Step{a}, Order: "event"}, "lateness: ")
	f(trigger.Definition{Pattern: []trigger.Step{a}, Lateness: minute}, "lateness: belongs to order: event")
	f(trigger.Definition{Pattern: []trigger.Step{a}, By: &trigger.By{Field: "id"}}, "by: ")
	f(trigger.Definition{Pattern: []trigger.Step{a, b}, Within: minute, By: &trigger.By{PerEvent: map[string]string{"a": "properties.x"}}}, "by: the step \"b\" has no field")
	f(trigger.Definition{Pattern: []trigger.Step{a}, By: &trigger.By{PerEvent: map[string]string{"q": "properties.x"}}}, "by.q: the trigger does not read")
	f(trigger.Definition{Pattern: []trigger.Step{{Idle: minute}}, By: &trigger.By{Field: "properties.x"}}, "by: needs an event step")
	f(trigger.Definition{Pattern: []trigger.Step{a}, Limit: &trigger.Limit{Count: 0, Per: minute}}, "limit.count: ")
	f(trigger.Definition{Pattern: []trigger.Step{a}, Hold: true}, "hold: needs an audience")
}

func TestPatternHash(t *testing.T) {
	base := func() *trigger.Definition {
		return &trigger.Definition{
			Name: "t", Within: period.Period(time.Minute), Reset: []string{"x", "y"},
			Pattern: []trigger.Step{{Event: "a", Times: 2, Consecutive: true}, {Event: "b"}},
		}
	}
	want := compile(t, base()).Pattern
	f := func(same bool, edit func(d *trigger.Definition)) {
		t.Helper()
		d := base()
		edit(d)
		if got := compile(t, d).Pattern; (got == want) != same {
			t.Errorf("%+v: same pattern %v, want %v", d, got == want, same)
		}
	}
	f(true, func(d *trigger.Definition) { d.Description = "text" })
	f(true, func(d *trigger.Definition) { d.Reset = []string{"y", "x", "x"} })
	f(true, func(d *trigger.Definition) { d.Audience, d.Reentry = "vip", &trigger.Reentry{Once: true} })
	f(true, func(d *trigger.Definition) { d.Scope = []string{"a", "b", "x", "y"} }) // as is the default
	f(true, func(d *trigger.Definition) {
		d.Pattern = []trigger.Step{{Event: "a"}, {Event: "a", Strict: true}, {Event: "b"}}
	})
	f(false, func(d *trigger.Definition) { d.Within *= 2 })
	f(false, func(d *trigger.Definition) { d.Pattern[0].Times = 3 })
	f(false, func(d *trigger.Definition) { d.Scope = []string{"a"} })
	f(false, func(d *trigger.Definition) { d.Delay = period.Period(time.Minute) })
}

// happen gives the engine one event at a time in seconds.
func (e *engine) happen(name string, at float64, edit ...func(in *trigger.Input)) {
	t := int64(at * 1e6)
	e.log = max(e.log, t)
	ev := &event.Event{Name: name, MessageID: fmt.Sprint(e.offset), Source: "s", UserID: "u", Timestamp: t, ReceivedAt: t}
	in := &trigger.Input{Event: ev, Time: t, LogTime: e.log, Offset: e.offset, Key: event.KeyOf("s", ev.MessageID), Live: e.live}
	e.offset++
	for _, edit := range edit {
		edit(in)
	}
	e.set.Step(&e.st, "u", in, &e.out)
	e.again()
}

func (e *engine) expect(want ...string) {
	e.t.Helper()
	if diff := gocmp.Diff(append([]string{}, want...), fired(e.out.Firings)); diff != "" {
		e.t.Errorf("-want +got\n%s", diff)
	}
}

func one(t *testing.T, live bool, d trigger.Definition) *engine {
	t.Helper()
	d.Name = "t"
	return newEngine(t, live, compile(t, &d))
}

func pair() []trigger.Step { return []trigger.Step{{Event: "a"}, {Event: "b"}} }

const hour = period.Period(time.Hour)

func TestMaxAge(t *testing.T) {
	d := trigger.Definition{Pattern: pair(), Within: hour, MaxAge: period.Period(time.Minute)}
	old := func(seconds float64) func(in *trigger.Input) {
		return func(in *trigger.Input) {
			in.Time -= int64(seconds * 1e6)
			in.Event.Timestamp = in.Time
		}
	}
	e := one(t, true, d)
	e.happen("a", 1000)
	e.happen("b", 1100, old(60.001))
	e.expect()
	e.happen("b", 1100, func(in *trigger.Input) { in.Event.Context.Historical = true })
	e.expect()
	if e.out.Counts.Stale != 2 {
		t.Errorf("stale: %d, want 2", e.out.Counts.Stale)
	}
	e.happen("b", 1200, old(60))
	e.expect("1140")
	e = one(t, false, d)
	e.happen("a", 1000)
	e.happen("b", 1100, old(80))
	e.expect("1020")
}

func TestMaxStale(t *testing.T) {
	d := trigger.Definition{Pattern: []trigger.Step{{Event: "a"}, {Absent: "b", For: hour}}, MaxStale: hour}
	for _, overdue := range []float64{3600, 3600.1} {
		e := one(t, true, d)
		e.happen("a", 0)
		e.happen("z", 3600+overdue)
		e.set.Wake(&e.st, "u", &trigger.Input{LogTime: int64((3600 + overdue) * 1e6), Live: true}, &e.out)
		if dropped := overdue > 3600; dropped != (len(e.out.Firings) == 0) || dropped != (e.out.Counts.Stale == 1) {
			t.Errorf("overdue by %v s: %d firings, %d stale", overdue, len(e.out.Firings), e.out.Counts.Stale)
		}
	}
}

func TestDepthAndReserved(t *testing.T) {
	e := one(t, true, trigger.Definition{Pattern: []trigger.Step{{Event: "heed.clicked"}}})
	e.happen("heed.clicked", 1)
	e.happen("heed.clicked", 2, func(in *trigger.Input) { in.Event.Depth = event.MaxDepth })
	e.happen("heed.clicked", 3, func(in *trigger.Input) { in.Event.Depth = event.MaxDepth + 1 })
	e.happen("heed.clicked", 4, func(in *trigger.Input) { in.Event.Type = event.System })
	e.expect("1", "2")
	if e.out.Counts.Deep != 1 || e.out.Firings[1].Depth != event.MaxDepth {
		t.Errorf("deep: %d, depth %d", e.out.Counts.Deep, e.out.Firings[1].Depth)
	}
	idle := one(t, true, trigger.Definition{Pattern: []trigger.Step{{Event: "a"}, {Idle: hour}}})
	idle.happen("a", 0)
	idle.happen("heed.clicked", 1800)
	idle.happen("other", 1000)
	idle.timers(math.MaxInt64 / 4)
	idle.expect("4600") // neither activity nor clock
}

func TestAudience(t *testing.T) {
	in := false
	ask := func(i *trigger.Input) { i.InAudience = func(string) bool { return in } }
	e := one(t, true, trigger.Definition{Pattern: pair(), Within: hour, Audience: "vip"})
	e.happen("a", 0, ask)
	e.happen("b", 1, ask)
	e.expect()
	if e.out.Counts.Outside != 1 || len(e.out.Refusals) != 1 || e.out.Refusals[0].Reason != trigger.Outside {
		t.Errorf("%+v", e.out)
	}
	e.happen("a", 2, ask)
	in = true
	e.happen("b", 3, ask)
	e.expect("3")

	in = false
	e = one(t, true, trigger.Definition{Pattern: pair(), Within: hour, Audience: "vip", Hold: true})
	e.happen("a", 0, ask)
	in = true
	e.happen("b", 1, ask)
	e.happen("a", 2, ask)
	e.happen("b", 3, ask)
	e.expect("3")
}

func TestPull(t *testing.T) {
	high := &condition.Condition{Field: "pull.scores.churn", Op: condition.Gt, Value: 0.5}
	e := one(t, true, trigger.Definition{Pattern: []trigger.Step{{Event: "a", Where: high}}})
	e.happen("a", 1)
	e.happen("a", 2, func(in *trigger.Input) {
		in.Pull = func(c string) []byte { return []byte(`{"churn":0.9,"of":"` + c + `"}`) }
	})
	e.expect("2")
}

func TestAtMostSixteenValues(t *testing.T) {
	e := one(t, true, trigger.Definition{Pattern: pair(), Within: hour, By: &trigger.By{Field: "properties.id"}})
	id := func(n int) func(in *trigger.Input) {
		return func(in *trigger.Input) { in.Event.Properties = fmt.Appendf(nil, `{"id":%d}`, n) }
	}
	for n := range 18 {
		e.happen("a", float64(n), id(n))
	}
	if e.out.Counts.Evicted != 2 {
		t.Errorf("evicted: %d, want 2", e.out.Counts.Evicted)
	}
	for n := range 18 {
		e.happen("b", 100+float64(n), id(n))
	}
	if len(e.out.Firings) != 16 || e.out.Firings[0].Key != "2" {
		t.Errorf("fired %v", fired(e.out.Firings))
	}
}

func TestCorrelationIntoArrays(t *testing.T) {
	e := one(t, true, trigger.Definition{
		Pattern: []trigger.Step{{Event: "cart_add"}, {Absent: "purchase", For: hour}}, Reset: []string{"logout"},
		By: &trigger.By{PerEvent: map[string]string{"cart_add": "properties.product_id", "purchase": "properties.products[].product_id"}},
	})
	props := func(s string) func(in *trigger.Input) {
		return func(in *trigger.Input) { in.Event.Properties = []byte(s) }
	}
	for i, p := range []string{"a", "b", "c"} {
		e.happen("cart_add", float64(i), props(`{"product_id":"`+p+`"}`))
	}
	e.happen("purchase", 10, props(`{"products":[{"product_id":"a"},{"product_id":"c"},{"product_id":"a"}]}`))
	e.timers(3700e6)
	e.expect("3601/b")
	e.happen("cart_add", 4000, props(`{"product_id":"d"}`))
	e.happen("logout", 4001)
	if e.timers(math.MaxInt64 / 4); len(e.out.Firings) != 1 {
		t.Errorf("after logout: %v", fired(e.out.Firings))
	}
}

func TestBufferOverflow(t *testing.T) {
	e := one(t, true, trigger.Definition{Pattern: pair(), Within: hour, Order: "event", Lateness: period.Period(time.Minute)})
	e.happen("a", 100)
	for i := range 70 {
		e.happen("b", 101+float64(i)/10)
	}
	e.timers(math.MaxInt64 / 4)
	e.expect("101")
	if e.out.Counts.Evicted != 7 {
		t.Errorf("evicted: %d, want 7", e.out.Counts.Evicted)
	}
}

// TestLatenessOutlivesMaxAge: what waits longer than events may come late is
// not forgotten while it waits.
func TestLatenessOutlivesMaxAge(t *testing.T) {
	e := one(t, true, trigger.Definition{
		Pattern: pair(), Within: period.Period(10 * time.Minute), Order: "event", Lateness: hour, MaxAge: period.Period(time.Minute),
	})
	e.happen("a", 0)
	e.happen("b", 599)
	for range 10 {
		next := e.st.NextDeadline()
		if next == math.MaxInt64 {
			break
		}
		e.log = max(e.log, next)
		e.set.Wake(&e.st, "u", &trigger.Input{LogTime: e.log, Live: true}, &e.out)
		e.again()
	}
	e.expect("599")
	if !e.st.Empty() {
		t.Errorf("keeps %x", e.set.Append(nil, &e.st))
	}
}

// TestNothingStays: when everything has expired, nothing is stored.
func TestNothingStays(t *testing.T) {
	for seed := range uint64(2000) {
		r := dice{rand.New(rand.NewPCG(seed, 3))}
		d := r.definition()
		if d.Reentry != nil && d.Reentry.Once {
			continue
		}
		e := newEngine(t, true, compile(t, d))
		e.drive(unique(r.events()))
		for i := 0; !e.st.Empty(); i++ {
			next := e.st.NextDeadline()
			if next == math.MaxInt64 || i > 10 {
				t.Fatalf("seed %d: %s: keeps %x, next deadline %d", seed, describe(d, nil), e.set.Append(nil, &e.st), next)
			}
			e.log = max(e.log, next)
			e.set.Wake(&e.st, "u", &trigger.Input{LogTime: e.log, Live: true}, &e.out)
		}
		level := 0
		for _, tr := range e.out.Transitions {
			level += tr.To - tr.From
		}
		if level != 0 {
			t.Fatalf("seed %d: transitions sum up to %d: %s", seed, level, describe(d, nil))
		}
	}
}

// TestSetsChange: rows belong to a pattern, marks to a name.
func TestSetsChange(t *testing.T) {
	d := trigger.Definition{Name: "t", Pattern: pair(), Within: hour, Reentry: &trigger.Reentry{Once: true}}
	other := trigger.Definition{Name: "other", Pattern: pair(), Within: hour}
	e := newEngine(t, true, compile(t, &d), compile(t, &other))
	e.happen("a", 1)
	// The same rows after an edit that does not touch the pattern, and in
	// another order of programs.
	d.Audience = "vip"
	e.set = trigger.NewSet([]*trigger.Program{compile(t, &other), compile(t, &d)})
	e.happen("b", 2)
	e.expect("2", "2")
	// Another pattern starts afresh but remembers that it fired.
	d.Pattern = append(pair(), trigger.Step{Event: "c"})
	e.happen("a", 3)
	e.set = trigger.NewSet([]*trigger.Program{compile(t, &d)})
	e.happen("a", 4)
	e.happen("b", 5)
	e.happen("c", 6)
	e.expect("2", "2")
}

// TestEdits: what was begun under the version before may finish by it.
func TestEdits(t *testing.T) {
	steps := func(names ...string) []trigger.Step {
		var out []trigger.Step
		for _, n := range names {
			out = append(out, trigger.Step{Event: n})
		}
		return out
	}
	f := func(what string, versions []trigger.Definition, events string, dropped int, want ...string) {
		t.Helper()
		var programs []*trigger.Program
		for i := range versions {
			versions[i].Name = "t"
			programs = append(programs, compile(t, &versions[i]))
		}
		e := newEngine(t, true, programs[0])
		at, now := 0.0, 0
		for name := range strings.FieldsSeq(events) {
			if name == "!edit" {
				now++
				e.set = trigger.NewSet(programs[now:now+1], programs[now-1])
				continue
			}
			e.timers(int64(at * 1e6))
			e.happen(name, at)
			at += 10
		}
		e.timers(math.MaxInt64 / 4)
		if diff := gocmp.Diff(append([]string{}, want...), fired(e.out.Firings)); diff != "" {
			t.Errorf("%s: %s: -want +got\n%s", what, events, diff)
		}
		for _, f := range e.out.Firings {
			if f.Program != programs[now] {
				t.Errorf("%s: a firing is reported of another version", what)
			}
		}
		if e.out.Counts.Dropped != dropped {
			t.Errorf("%s: %d dropped, want %d", what, e.out.Counts.Dropped, dropped)
		}
	}
	minute := period.Period(time.Minute)
	type ds = []trigger.Definition
	ab := trigger.Definition{Pattern: steps("a", "b"), Within: hour}
	ac := trigger.Definition{Pattern: steps("a", "c"), Within: hour}
	ad := trigger.Definition{Pattern: steps("a", "d"), Within: hour}
	f("the old one finishes", ds{ab, ac}, "a !edit b", 0, "10")
	f("the old one begins nothing", ds{ab, ac}, "!edit a b", 0)
	f("and not again", ds{ab, ac}, "a !edit b a b", 0, "10")
	f("the new one sees what is later", ds{ab, ac}, "a !edit c a c", 0, "30")
	f("a firing of the old one restarts both", ds{ab, ac}, "a !edit a b c", 0, "20")
	f("a firing of the new one restarts both", ds{ab, ac}, "a !edit a c b", 0, "20")
	f("one event fires once", ds{ab, {Pattern: steps("b"), Within: hour}}, "a !edit b", 0, "10")
	f("a third version drops the oldest", ds{ab, ac, ad}, "a !edit a !edit b c", 1, "30")
	f("also if it was not looked at", ds{ab, ac, ad}, "a !edit !edit b", 1)
	f("taken back", ds{ab, ac, ab}, "a !edit !edit b", 0, "10")
	f("taken back after a look", ds{ab, ac, ab}, "a !edit x a !edit b", 0, "30")
	f("a window", ds{ab, {Pattern: steps("a", "b"), Within: period.Period(5 * time.Second)}}, "a !edit b a b", 0, "10")
	f("the audience and the limit are edited at once",
		ds{ab, {Pattern: steps("a", "c"), Within: hour, Reentry: &trigger.Reentry{Once: true}}}, "a !edit b a c", 0, "10")
	left := trigger.Definition{Pattern: append(steps("a"), trigger.Step{Absent: "b", For: minute})}
	longer := trigger.Definition{Pattern: append(steps("a"), trigger.Step{Absent: "b", For: hour})}
	f("a countdown goes on", ds{left, longer}, "a !edit x", 0, "60")
	f("and restarts the other", ds{left, longer}, "a !edit a", 0, "60")
	f("and can be ended", ds{left, longer}, "a !edit b", 0)
	f("to a correlated one", ds{ab, {Pattern: steps("a", "b"), Within: hour, By: &trigger.By{Field: "properties.x"}}}, "a !edit b", 0, "10")
	any2 := trigger.Definition{Pattern: []trigger.Step{{All: []trigger.Element{{Event: "a"}, {Event: "b"}}}}, Within: minute}
	f("parts that are missing may come", ds{any2, ac}, "a !edit b b a", 0, "10")
	f("parts that are there stay", ds{any2, ac}, "a !edit x x x x a x b", 0)
	late := ac
	late.Order, late.Lateness = "event", minute
	lateB := trigger.Definition{Pattern: steps("b"), Order: "event", Lateness: minute}
	f("one event fires once in another order too", ds{ab, lateB}, "a !edit x b b", 0, "20", "30")
	lateAB, c := ab, trigger.Definition{Pattern: steps("b")}
	lateAB.Order, lateAB.Lateness = "event", minute
	f("nor from an order that waits", ds{lateAB, c}, "a !edit b", 0, "10")
	f("another order", ds{ab, late}, "a !edit b a c", 0, "10", "30")
}

func TestExplain(t *testing.T) {
	f := func(d trigger.Definition, names string, now float64, want string) {
		t.Helper()
		e := one(t, true, d)
		for i, name := range strings.Fields(names) {
			e.happen(name, float64(10*i))
		}
		var got []string
		for _, s := range e.set.Explain(&e.st, int64(now*1e6)) {
			text := ""
			if s.Never {
				text += "never again "
			}
			if s.FreeAt > 0 {
				text += fmt.Sprintf("free at %d ", s.FreeAt/second)
			}
			if s.LimitFreeAt > 0 {
				text += fmt.Sprintf("limit free at %d ", s.LimitFreeAt/second)
			}
			for _, r := range s.Rows {
				text += fmt.Sprintf("%d of %d since %d until %d", r.Done, r.Steps, r.Since/second, r.Expires/second)
				for _, w := range r.Waits {
					text += fmt.Sprintf(", %s (%d of %d) until %d", w.Event, w.Done, w.Of, w.Until/second)
				}
				if r.FiresAt > 0 {
					text += fmt.Sprintf(", at %d delayed=%v unless %v", r.FiresAt/second, r.Delayed, r.EndedBy)
				}
			}
			got = append(got, text)
		}
		if s := strings.Join(got, ";"); s != want {
			t.Errorf("%s: %q, want %q", names, s, want)
		}
	}
	minute := period.Period(time.Minute)
	left := trigger.Definition{Pattern: append(pair(), trigger.Step{Absent: "c", For: hour}), Within: hour}
	f(left, "", 0, "")
	f(left, "a", 5, "1 of 3 since 0 until 3600, b (0 of 1) until 3600")
	f(left, "a", 3600, "")
	f(left, "a b", 15, "2 of 3 since 10 until 3610, b (0 of 1) until 3600, at 3610 delayed=false unless [c]")
	three := trigger.Definition{Pattern: []trigger.Step{{Event: "a", Times: 3}, {Event: "b", Gap: minute}}, Within: hour}
	f(three, "a a", 20, "2 of 4 since 0 until 3600, a (2 of 3) until 3600, a (1 of 3) until 3610")
	f(three, "a a a", 20, "3 of 4 since 0 until 3600, b (0 of 1) until 80, a (2 of 3) until 3610, a (1 of 3) until 3620")
	f(trigger.Definition{Pattern: pair(), Within: hour, Reentry: &trigger.Reentry{Once: true}}, "a b", 20, "never again ")
	f(trigger.Definition{Pattern: pair(), Within: hour, Reentry: &trigger.Reentry{Cooldown: hour}}, "a b", 20, "free at 3610 ")
	f(trigger.Definition{Pattern: pair(), Within: hour, Reentry: &trigger.Reentry{Cooldown: minute}}, "a b", 70, "")
	f(trigger.Definition{Pattern: pair()[:1], Limit: &trigger.Limit{Count: 2, Per: minute}}, "a", 20, "")
	f(trigger.Definition{Pattern: pair()[:1], Limit: &trigger.Limit{Count: 2, Per: minute}}, "a a a", 20, "limit free at 60 ")
	f(trigger.Definition{Pattern: pair()[:1], Delay: hour, Cancel: []string{"b"}}, "a", 20, "1 of 1 since 0 until 3600, at 3600 delayed=true unless [b]")
	answer := left
	answer.Delay, answer.Cancel = minute, []string{"d"}
	f(answer, "a b", 20, "2 of 3 since 10 until 3610, b (0 of 1) until 3600, at 3610 delayed=false unless [c]")
	any3 := trigger.Definition{
		Pattern: []trigger.Step{{All: []trigger.Element{{Event: "a"}, {Event: "b"}, {Event: "c"}}}, {Event: "d"}}, Within: hour,
	}
	f(any3, "b", 20, "1 of 4 since 0 until 3600, a (0 of 1) until 3600, c (0 of 1) until 3600")
	f(any3, "b a", 20, "2 of 4 since 0 until 3600, c (0 of 1) until 3600")
	f(any3, "b a c", 20, "3 of 4 since 0 until 3600, d (0 of 1) until 3600")
	f(trigger.Definition{Pattern: []trigger.Step{{Event: "a", Times: 3, Distinct: "event.messageId"}}, Within: hour}, "a a", 20,
		"2 of 3 since 0 until 3600, a (2 of 3) until 3600")
}

func FuzzDecode(f *testing.F) {
	var programs []*trigger.Program
	for seed := range uint64(12) {
		r := dice{rand.New(rand.NewPCG(seed, 4))}
		d := r.definition()
		d.Name = fmt.Sprint(seed)
		programs = append(programs, compile(f, d))
	}
	// Half of them were something else before.
	var previous []*trigger.Program
	for seed := range uint64(6) {
		r := dice{rand.New(rand.NewPCG(seed, 6))}
		d := r.definition()
		d.Name = fmt.Sprint(seed)
		previous = append(previous, compile(f, d))
	}
	set := trigger.NewSet(programs, previous...)
	for seed := range uint64(20) {
		r := dice{rand.New(rand.NewPCG(seed, 5))}
		e := newEngine(f, true, append(slices.Clone(previous), programs[6:]...)...)
		for i, ev := range unique(r.events()) {
			if i == 4 {
				e.set = set
			}
			e.step(ev.event())
			f.Add(e.set.Append(nil, &e.st))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var st trigger.State
		if set.Decode(b, &st) != nil {
			if !st.Empty() {
				t.Fatal("an error leaves rows")
			}
			return
		}
		// What was read can be written and used.
		again := set.Append(nil, &st)
		var other trigger.State
		if err := set.Decode(again, &other); err != nil {
			t.Fatalf("%x: %v", again, err)
		}
		e := engine{t: t, set: set, st: st, live: true}
		e.happen("A", 1e9)
		set.Wake(&e.st, "u", &trigger.Input{LogTime: 1 << 59}, &e.out)
		set.Explain(&e.st, 0)
	})
}

func TestDecodeErrors(t *testing.T) {
	e := one(t, true, trigger.Definition{Pattern: append(pair(), trigger.Step{Absent: "c", For: hour}), Within: hour})
	e.happen("a", 5)
	e.happen("b", 6)
	full := e.set.Append(nil, &e.st)
	for n := 1; n < len(full); n++ {
		var st trigger.State
		// Cut right behind the clock, the bytes are a State without rows.
		if err := e.set.Decode(full[:n], &st); err == nil && len(e.set.Append(nil, &st)) != n {
			t.Errorf("%x: no error", full[:n])
		}
	}
	var st trigger.State
	if err := e.set.Decode(append(full, full[5:]...), &st); err == nil {
		t.Error("a trigger twice: no error")
	}
}
