package trigger_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"heed/internal/condition"
	"heed/internal/event"
	"heed/internal/period"
	"heed/internal/trigger"
)

// dice makes random triggers and histories from a seed.
type dice struct{ *rand.Rand }

func (r dice) one(in int) bool { return r.IntN(in) == 0 }

func (r dice) pick(names ...string) string { return names[r.IntN(len(names))] }

func (r dice) period(low, high int) period.Period {
	return period.Period(low+r.IntN(high-low+1)) * period.Period(second) * 1000
}

// step is a step of events.
func (r dice) step(first bool) trigger.Step {
	good := &condition.Condition{Field: "properties.n", Op: condition.Gte, Value: 1}
	s := trigger.Step{Event: r.pick("A", "B", "C", "A", "B", "C", "A", "B", "C", "heed.z")}
	own := []string{s.Event}
	switch kind := r.IntN(10); {
	case kind == 0:
		s.Event, own = "", nil
		for _, i := range r.Perm(4)[:2+r.IntN(2)] {
			el := trigger.Element{Event: []string{"A", "B", "C", "X"}[i]}
			if r.one(4) {
				el.Where = good
			}
			s.All, own = append(s.All, el), append(own, el.Event)
		}
	case kind == 1:
		s.Distinct, s.Times = "properties.value", 2+r.IntN(2)
	case r.one(3):
		s.Times = 2 + r.IntN(2)
		s.Consecutive = r.one(2)
	}
	if r.one(4) && s.All == nil {
		s.Where = good
	}
	if first {
		return s
	}
	s.Strict, s.Gap = r.one(4), r.period(1, 4)
	if !r.one(4) {
		s.Gap = 0
	}
	if r.one(4) {
		s.Without = []string{r.pick("X", "Y", "A", "B")}
	}
	if s.All != nil || s.Distinct != "" {
		s.Strict, s.Gap = false, 0
		s.Without = slices.DeleteFunc(s.Without, func(n string) bool { return slices.Contains(own, n) })
	}
	return s
}

// takes is how many events a step takes.
func takes(s *trigger.Step) int { return max(s.Times, len(s.All), 1) }

func (r dice) definition() *trigger.Definition {
	d := &trigger.Definition{Name: "t"}
	good := &condition.Condition{Field: "properties.n", Op: condition.Gte, Value: 1}
	steps := 0
	for i := range 1 + r.IntN(4) {
		s := r.step(i == 0)
		if steps += takes(&s); steps > 5 && i > 0 {
			break
		}
		d.Pattern = append(d.Pattern, s)
	}
	switch r.IntN(9) {
	case 0, 1:
		s := trigger.Step{Absent: r.pick("X", "Y", "C"), For: r.period(1, 6), Anchor: r.pick("", "first", "last")}
		if r.one(4) {
			s.Where = good
		}
		d.Pattern = append(d.Pattern, s)
	case 2:
		if r.one(6) {
			d.Pattern = nil
		}
		d.Pattern = append(d.Pattern, trigger.Step{Idle: r.period(1, 5)})
	}
	if r.one(5) {
		d.Delay = r.period(1, 6)
		if !r.one(4) {
			d.Cancel = []string{r.pick("X", "A", "C")}
		}
	}
	d.Within = r.period(2, 12)
	if r.one(3) {
		d.Scope = []string{"A", "B", r.pick("C", "X", "Z")}
	}
	if r.one(5) {
		d.Reset = []string{r.pick("X", "Y", "Z", "Q")}
		if slices.ContainsFunc(d.Pattern, func(s trigger.Step) bool {
			return slices.ContainsFunc(s.All, func(el trigger.Element) bool { return el.Event == d.Reset[0] })
		}) {
			d.Reset = []string{"Q"}
		}
	}
	if r.one(3) && d.Pattern[0].Idle == 0 {
		r.by(d)
	}
	d.Increasing = r.one(4)
	d.Overlap = r.one(5)
	if r.one(5) {
		d.Order, d.Lateness = "event", r.period(1, 5)
	}
	switch r.IntN(8) {
	case 0:
		d.Reentry = &trigger.Reentry{Cooldown: r.period(1, 8)}
	case 1:
		d.Reentry = &trigger.Reentry{Once: true}
	}
	if r.one(6) {
		d.Limit = &trigger.Limit{Count: 1 + r.IntN(2), Per: r.period(2, 12)}
	}
	return d
}

// by makes the trigger correlate.
func (r dice) by(d *trigger.Definition) {
	d.By = &trigger.By{Field: "properties.key"}
	if !r.one(3) {
		return
	}
	d.By = &trigger.By{PerEvent: map[string]string{}}
	for i := range d.Pattern {
		if n := d.Pattern[i].Event; n != "" {
			d.By.PerEvent[n] = "properties.key"
		}
		for _, el := range d.Pattern[i].All {
			d.By.PerEvent[el.Event] = "properties.key"
		}
	}
	if a := d.Pattern[len(d.Pattern)-1].Absent; a != "" && r.one(2) {
		d.By.PerEvent[a] = "properties.key"
	}
}

// edit makes another version of a trigger: other steps, or other windows only.
func (r dice) edit(d *trigger.Definition) *trigger.Definition {
	next := r.definition()
	if r.one(2) {
		next = new(*d)
		next.Within = r.period(2, 12)
		if last := &next.Pattern[len(next.Pattern)-1]; last.For > 0 && r.one(2) {
			next.Pattern = slices.Clone(next.Pattern)
			next.Pattern[len(next.Pattern)-1].For = r.period(1, 6)
		}
	}
	next.Order, next.Lateness, next.Reentry, next.Limit = d.Order, d.Lateness, d.Reentry, d.Limit
	return next
}

func (r dice) events() []happening2 {
	out := make([]happening2, 0, 20)
	received := int64(0)
	for i := range 3 + r.IntN(16) {
		received += int64(r.IntN(4)) * second
		if r.one(3) {
			received += int64(r.IntN(1000)) * 1000
		}
		e := happening2{good: !r.one(4), offset: i}
		e.name = r.pick("A", "A", "B", "B", "C", "C", "X", "Y", "Z", "heed.z")
		if !r.one(6) {
			e.key = r.pick("P", "Q", "R")
		}
		if !r.one(8) {
			e.value = r.pick("1", "2", "3")
		}
		e.received, e.at = received, received
		if r.one(4) {
			e.at = max(0, received-int64(r.IntN(6))*second)
		}
		if r.one(40) {
			e.received = max(0, received-int64(r.IntN(3))*second) // the clock goes back
		}
		e.id = strconv.Itoa(i)
		out = append(out, e)
		if r.one(12) {
			out = append(out, e) // a repeat
			out[len(out)-1].offset = -1
		}
	}
	return out
}

func (h *happening2) event() *event.Event {
	e := h.happening.event()
	b := []byte(`{"n":0`)
	if h.good {
		b = []byte(`{"n":1`)
	}
	if h.key != "" {
		b = fmt.Appendf(b, `,"key":%q`, h.key)
	}
	if h.value != "" {
		b = fmt.Appendf(b, `,"value":%s`, h.value)
	}
	e.Properties = append(b, '}')
	return e
}

// edit is an edit of the trigger before an event.
type edit struct {
	at  int // index of the event
	set *trigger.Set
}

// drive runs the engine over events, waking the user as a Decider would.
func (e *engine) drive(events []happening2, edits ...edit) {
	for i := range events {
		if len(edits) > 0 && edits[0].at == i {
			e.set, edits = edits[0].set, edits[1:]
		}
		if !e.sleepy {
			e.timers(max(e.log, events[i].received))
		}
		if events[i].offset >= 0 {
			e.offset = uint64(events[i].offset)
		}
		e.step(events[i].event())
	}
	e.timers(math.MaxInt64 / 4)
}

func outcomes(fs []trigger.Firing) []outcome {
	out := []outcome{}
	for _, f := range fs {
		out = append(out, outcome{f.At, f.Key, int(f.Offset), f.Timer})
	}
	return order(out)
}

func order(out []outcome) []outcome {
	slices.SortFunc(out, func(a, b outcome) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Offset, b.Offset))
	})
	return out
}

// unique drops the repeats, which neither side may see.
func unique(events []happening2) []happening2 {
	return slices.DeleteFunc(slices.Clone(events), func(e happening2) bool { return e.offset < 0 })
}

func describe(d *trigger.Definition, events []happening2) string {
	text, _ := json.Marshal(d)
	s := string(text) + "\n"
	for _, e := range events {
		s += fmt.Sprintf("%s/%s good=%v @%g>%g  ", e.name, e.key, e.good, float64(e.at)/1e6, float64(e.received)/1e6)
	}
	return s
}

// soak is how many random cases a test runs: HEED_SOAK multiplies them.
func soak(t *testing.T, n int) uint64 {
	t.Helper()
	if s := os.Getenv("HEED_SOAK"); s != "" {
		factor, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("HEED_SOAK=%q: %v", s, err)
		}
		return uint64(n * factor)
	}
	if testing.Short() {
		return uint64(n / 10)
	}
	return uint64(n)
}

// testCase is a random trigger, perhaps with an edit of it, and a history.
type testCase struct {
	d, before *trigger.Definition
	edited    int
	events    []happening2
}

func newCase(t *testing.T, seed, stream uint64) testCase {
	t.Helper()
	r := dice{rand.New(rand.NewPCG(seed, stream))}
	c := testCase{d: r.definition(), events: r.events()}
	if r.one(5) {
		c.before, c.d = c.d, r.edit(c.d)
		c.edited = r.IntN(len(c.events))
		if compile(t, c.before).Pattern == compile(t, c.d).Pattern {
			c.before, c.edited = nil, 0 // no edit of the pattern
		}
	}
	return c
}

func (c *testCase) String() string {
	s := describe(c.d, c.events)
	if c.before != nil {
		s = fmt.Sprintf("edited at event %d, before: %s%s", c.edited, describe(c.before, nil), s)
	}
	return s
}

// want asks the oracle. Repeats, which neither side may see, are left out.
func (c *testCase) want() ([]outcome, *oracle) {
	events := unique(c.events)
	edited := 0
	for _, e := range c.events[:c.edited] {
		if e.offset >= 0 {
			edited++
		}
	}
	o := newOracle(c.d, c.before, edited)
	return order(o.run(events)), o
}

// play runs the engine over the case.
func (c *testCase) play(t *testing.T, how func(e *engine)) *engine {
	t.Helper()
	p := compile(t, c.d)
	e := newEngine(t, false, p)
	how(e)
	if c.before == nil {
		e.drive(c.events)
		return e
	}
	was := compile(t, c.before)
	e.set = trigger.NewSet([]*trigger.Program{was})
	e.drive(c.events, edit{c.edited, trigger.NewSet([]*trigger.Program{p}, was)})
	return e
}

// tally is what a shard of cases came to.
type tally struct {
	cases, fired, unsure int
	kinds                map[string]int
}

// TestDifferential compares the engine, restarted around every event, with the
// oracle.
func TestDifferential(t *testing.T) {
	const shards = 8
	n := soak(t, 102_000) // some are left out
	var mu sync.Mutex
	sum := tally{kinds: map[string]int{}}
	t.Run("shards", func(t *testing.T) {
		for shard := range uint64(shards) {
			t.Run(strconv.FormatUint(shard, 10), func(t *testing.T) {
				t.Parallel()
				got := tally{kinds: map[string]int{}}
				for seed := shard; seed < n; seed += shards {
					got.differential(t, seed)
				}
				mu.Lock()
				defer mu.Unlock()
				sum.cases, sum.fired, sum.unsure = sum.cases+got.cases, sum.fired+got.fired, sum.unsure+got.unsure
				for kind, n := range got.kinds {
					sum.kinds[kind] += n
				}
			})
		}
	})
	if t.Failed() {
		return
	}
	t.Logf("%d cases, %d fired, 0 mismatches, %d left out because timers tie: %v", sum.cases, sum.fired, sum.unsure, sum.kinds)
	if sum.fired < sum.cases/10 {
		t.Errorf("only %d of %d cases fired: the generator is too tame", sum.fired, sum.cases)
	}
	for _, kind := range []string{
		"by", "event", "delay", "overlap", "increasing", "once", "cooldown", "limit", "reset", "timer", "cancelled", "limited", "late",
		"all", "distinct", "edited", "finished", "delayed countdown",
	} {
		if sum.kinds[kind] < sum.cases/2000 {
			t.Errorf("%s fired in only %d of %d cases", kind, sum.kinds[kind], sum.cases)
		}
	}
}

func (s *tally) differential(t *testing.T, seed uint64) {
	t.Helper()
	c := newCase(t, seed, 1)
	if c.before != nil && c.d.Order == "event" && newVersion(c.before).steps != nil && newVersion(c.before).steps[0].group() {
		return // what of a first group came before the edit depends on when it is looked at
	}
	d := c.d
	want, o := c.want()
	if o.unsure {
		s.unsure++
		return
	}
	s.cases++
	e := c.play(t, func(e *engine) { e.restart = seed%4 != 0 })
	got := outcomes(e.out.Firings)
	if !slices.Equal(want, got) {
		t.Fatalf("seed %d: -oracle +engine\n%s\n%v", seed, gocmp.Diff(want, got), &c)
	}
	if len(got) > 0 {
		s.fired++
		has := func(f func(*trigger.Step) bool) bool {
			return slices.ContainsFunc(d.Pattern, func(s trigger.Step) bool { return f(&s) })
		}
		for kind, on := range map[string]bool{
			"by": d.By != nil, "event": d.Order != "", "delay": d.Delay > 0, "overlap": d.Overlap, "increasing": d.Increasing,
			"once": d.Reentry != nil && d.Reentry.Once, "cooldown": d.Reentry != nil && !d.Reentry.Once, "limit": d.Limit != nil,
			"reset": d.Reset != nil, "timer": got[0].Timer, "cancelled": o.canceled > 0, "limited": e.out.Counts.Limited > 0, "late": e.out.Counts.Late > 0,
			"all": has(func(s *trigger.Step) bool { return s.All != nil }), "distinct": has(func(s *trigger.Step) bool { return s.Distinct != "" }),
			"edited": c.before != nil, "finished": o.finished > 0, "delayed countdown": d.Delay > 0 && o.versions[len(o.versions)-1].final != nil,
		} {
			if on {
				s.kinds[kind]++
			}
		}
	}
	ids := map[[16]byte]bool{}
	for _, f := range e.out.Firings {
		if ids[f.FireID] {
			t.Fatalf("seed %d: fire id %x twice\n%v", seed, f.FireID, &c)
		}
		ids[f.FireID] = true
	}
	level := 0
	for _, tr := range e.out.Transitions {
		level += tr.To - tr.From
	}
	if level < 0 && c.before == nil {
		t.Fatalf("seed %d: transitions leave a negative progress\n%v", seed, &c)
	}
}

// TestSameFireIDs: however the state is stored between two events, and whenever
// the user is woken, the same log gives the same ids.
func TestSameFireIDs(t *testing.T) {
	for seed := range soak(t, 5000) {
		c := newCase(t, seed, 21)
		ids := func(how func(e *engine)) []string {
			e := c.play(t, how)
			var out []string
			for _, f := range e.out.Firings {
				out = append(out, fmt.Sprintf("%d %x", f.At, f.FireID))
			}
			slices.Sort(out)
			return out
		}
		want := ids(func(e *engine) { e.restart = true })
		for name, how := range map[string]func(e *engine){
			"never stored":       func(e *engine) { e.restart = false },
			"stored at random":   func(e *engine) { e.coin = rand.New(rand.NewPCG(seed, 22)) },
			"woken by events":    func(e *engine) { e.sleepy = true },
			"woken for nothing":  func(e *engine) { e.restless = rand.New(rand.NewPCG(seed, 23)) },
			"and never restarts": func(e *engine) { e.sleepy, e.restart = true, false },
		} {
			if got := ids(how); !slices.Equal(want, got) {
				t.Fatalf("seed %d: %s: -want +got\n%s\n%v", seed, name, gocmp.Diff(want, got), &c)
			}
		}
	}
}
