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

func (r dice) definition() *trigger.Definition {
	d := &trigger.Definition{Name: "t"}
	good := &condition.Condition{Field: "properties.n", Op: condition.Gte, Value: 1}
	steps := 0
	for i := range 1 + r.IntN(4) {
		s := trigger.Step{Event: r.pick("A", "B", "C", "A", "B", "C", "A", "B", "C", "heed.z")}
		if r.one(3) {
			s.Times = 2 + r.IntN(2)
			s.Consecutive = r.one(2)
		}
		if r.one(4) {
			s.Where = good
		}
		if i > 0 {
			s.Strict = r.one(4)
			if r.one(4) {
				s.Without = []string{r.pick("X", "Y", "A", "B")}
			}
			if r.one(4) {
				s.Gap = r.period(1, 4)
			}
		}
		if steps += max(s.Times, 1); steps > 4 && i > 0 {
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
	case 3, 4:
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
	}
	if r.one(3) && d.Pattern[0].Event != "" {
		d.By = &trigger.By{Field: "properties.key"}
		if r.one(3) {
			d.By = &trigger.By{PerEvent: map[string]string{}}
			for i := range d.Pattern {
				if n := d.Pattern[i].Event; n != "" {
					d.By.PerEvent[n] = "properties.key"
				}
			}
			if a := d.Pattern[len(d.Pattern)-1].Absent; a != "" && r.one(2) {
				d.By.PerEvent[a] = "properties.key"
			}
		}
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
	n := 0
	if h.good {
		n = 1
	}
	e.Properties = fmt.Appendf(nil, `{"n":%d}`, n)
	if h.key != "" {
		e.Properties = fmt.Appendf(nil, `{"n":%d,"key":%q}`, n, h.key)
	}
	return e
}

// drive runs the engine over events, waking the user as a Decider would.
func (e *engine) drive(events []happening2) {
	for i := range events {
		e.timers(max(e.log, events[i].received))
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

// TestDifferential compares the engine, restarted around every event, with the
// oracle.
func TestDifferential(t *testing.T) {
	cases, fired, kinds := 0, 0, map[string]int{}
	for seed := range soak(t, 30_000) {
		r := dice{rand.New(rand.NewPCG(seed, 1))}
		d, events := r.definition(), r.events()
		o := newOracle(d)
		want := o.run(unique(events))
		if o.unsure {
			continue
		}
		cases++
		e := newEngine(t, false, compile(t, d))
		e.restart = seed%4 != 0
		e.drive(events)
		got := outcomes(e.out.Firings)
		if diff := gocmp.Diff(order(want), got); diff != "" && len(want)+len(got) > 0 {
			t.Fatalf("seed %d: -oracle +engine\n%s\n%s", seed, diff, describe(d, events))
		}
		if len(got) > 0 {
			fired++
			for kind, on := range map[string]bool{
				"by": d.By != nil, "event": d.Order != "", "delay": d.Delay > 0, "overlap": d.Overlap, "increasing": d.Increasing,
				"once": d.Reentry != nil && d.Reentry.Once, "cooldown": d.Reentry != nil && !d.Reentry.Once, "limit": d.Limit != nil,
				"reset": d.Reset != nil, "timer": got[0].Timer, "cancelled": o.canceled > 0, "limited": e.out.Counts.Limited > 0, "late": e.out.Counts.Late > 0,
			} {
				if on {
					kinds[kind]++
				}
			}
		}
		ids := map[[16]byte]bool{}
		for _, f := range e.out.Firings {
			if ids[f.FireID] {
				t.Fatalf("seed %d: fire id %x twice\n%s", seed, f.FireID, describe(d, events))
			}
			ids[f.FireID] = true
		}
		level := 0
		for _, tr := range e.out.Transitions {
			level += tr.To - tr.From
		}
		if level < 0 {
			t.Fatalf("seed %d: transitions leave a negative progress\n%s", seed, describe(d, events))
		}
	}
	t.Logf("%d cases, %d fired: %v", cases, fired, kinds)
	if fired < cases/10 {
		t.Errorf("only %d of %d cases fired: the generator is too tame", fired, cases)
	}
	for kind, n := range kinds {
		if n < cases/1000 {
			t.Errorf("%s fired in only %d of %d cases", kind, n, cases)
		}
	}
}
