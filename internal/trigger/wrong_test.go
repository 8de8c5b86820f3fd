package trigger_test

import (
	"math/rand/v2"
	"testing"

	"heed/internal/trigger"
)

// The rows that look right and are wrong, as small engines for relaxed
// patterns. The random comparison with the oracle has to catch each of them,
// and must find nothing against the right row.

type smallRow struct {
	starts []int64 // starts[i]: of the partial that reached step i; -1: none
	anchor int64
	count  int
	step   int
}

type smallEngine func(names []string, within int64, row *smallRow, e *happening2) bool

// right is the row rule.
func right(names []string, within int64, row *smallRow, e *happening2) bool {
	for i := len(names) - 1; i >= 0; i-- {
		if e.name != names[i] {
			continue
		}
		start := e.t
		if i > 0 {
			if start = row.starts[i-1]; start < 0 || e.t-start >= within {
				continue
			}
		}
		if i == len(names)-1 {
			for j := range row.starts {
				row.starts[j] = -1
			}
			return true
		}
		row.starts[i] = start
	}
	return false
}

// oneAnchor counts with the time of the first event only.
func oneAnchor(names []string, within int64, row *smallRow, e *happening2) bool {
	if row.count > 0 && e.t-row.anchor >= within {
		row.count = 0
	}
	if e.name != names[row.count] {
		return false
	}
	if row.count == 0 {
		row.anchor = e.t
	}
	if row.count++; row.count == len(names) {
		row.count = 0
		return true
	}
	return false
}

// firstStart never replaces a partial that is still in its window.
func firstStart(names []string, within int64, row *smallRow, e *happening2) bool {
	for i := len(names) - 1; i >= 0; i-- {
		if e.name != names[i] {
			continue
		}
		start := e.t
		if i > 0 {
			if start = row.starts[i-1]; start < 0 || e.t-start >= within {
				continue
			}
		}
		if i == len(names)-1 {
			for j := range row.starts {
				row.starts[j] = -1
			}
			return true
		}
		if row.starts[i] < 0 || e.t-row.starts[i] >= within {
			row.starts[i] = start
		}
	}
	return false
}

// restarting begins anew whenever the first step happens again.
func restarting(names []string, within int64, row *smallRow, e *happening2) bool {
	if row.step > 0 && e.t-row.anchor >= within {
		row.step = 0
	}
	switch {
	case row.step > 0 && e.name == names[row.step]:
		row.step++
	case e.name == names[0]:
		row.step, row.anchor = 1, e.t
	}
	if row.step == len(names) {
		row.step = 0
		return true
	}
	return false
}

// upward goes from the first step to the last, so that one event fills two.
func upward(names []string, within int64, row *smallRow, e *happening2) bool {
	for i := range names {
		if e.name != names[i] {
			continue
		}
		start := e.t
		if i > 0 {
			if start = row.starts[i-1]; start < 0 || e.t-start >= within {
				continue
			}
		}
		if i == len(names)-1 {
			for j := range row.starts {
				row.starts[j] = -1
			}
			return true
		}
		row.starts[i] = start
	}
	return false
}

// runSmall runs a small engine; forgetful remembers only the last key.
func runSmall(engine smallEngine, forgetful bool, d *trigger.Definition, events []happening2) []int64 {
	names := make([]string, 0, 4)
	for i := range d.Pattern {
		names = append(names, d.Pattern[i].Event)
	}
	rows := map[string]*smallRow{}
	var out []int64
	log, last := int64(-1), int64(-1)
	for _, e := range events {
		log = max(log, e.received)
		if len(e.name) == 1 {
			last = max(last, min(e.at, log))
		}
		e.t = last
		key := ""
		if d.By != nil {
			if key = e.key; key == "" {
				continue
			}
		}
		row := rows[key]
		if row == nil {
			if forgetful {
				clear(rows)
			}
			row = &smallRow{starts: []int64{-1, -1, -1, -1}}
			rows[key] = row
		}
		if len(names) == 1 {
			if e.name == names[0] {
				out = append(out, e.t)
			}
		} else if engine(names, d.Within.Micros(), row, &e) {
			out = append(out, e.t)
		}
	}
	return out
}

func TestWrongRowsAreCaught(t *testing.T) {
	f := func(name string, engine smallEngine, forgetful, caught bool) {
		t.Helper()
		wrong := 0
		for seed := range uint64(5_000) {
			r := dice{rand.New(rand.NewPCG(seed, 2))}
			d := &trigger.Definition{Name: "t", Within: r.period(3, 12)}
			for range 1 + r.IntN(4) {
				d.Pattern = append(d.Pattern, trigger.Step{Event: r.pick("A", "B", "C")})
			}
			if r.one(2) {
				d.By = &trigger.By{Field: "properties.key"}
			}
			events := unique(r.events())
			want := newOracle(d, nil, 0).run(events)
			got := runSmall(engine, forgetful, d, events)
			same := len(want) == len(got)
			for i := 0; same && i < len(want); i++ {
				same = want[i].At == got[i]
			}
			if !same {
				wrong++
			}
		}
		t.Logf("%s: %d of 5000 wrong", name, wrong)
		if caught != (wrong > 0) {
			t.Errorf("%s: %d differences from the oracle; caught should be %v", name, wrong, caught)
		}
	}
	f("the right row", right, false, false)
	f("a counter with one anchor", oneAnchor, false, true)
	f("the first start", firstStart, false, true)
	f("a restart at the first step", restarting, false, true)
	f("only the last product", right, true, true)
	f("one event fills two steps", upward, false, true)
}
