package trigger_test

import (
	"math"
	"slices"
	"sort"
	"strings"

	"heed/internal/trigger"
)

// oracle says what a trigger means by searching all chains of events. It knows
// nothing of rows: it keeps every event and, at each, looks for some chain that
// ends there and satisfies everything. It is written from the meaning in
// docs/triggers.md, not from the engine.
type oracle struct {
	d        *trigger.Definition
	steps    []oracleStep
	final    *trigger.Step // absent or idle; nil
	names    map[string]bool
	scope    map[string]bool
	history  []happening2 // in the order in which the trigger sees them
	since    map[string]int
	pending  map[string]*answer
	free     int64
	fired    bool
	times    []int64
	out      []outcome
	last     int64
	unsure   bool // two timers at one time compete for a cooldown or a limit
	canceled int
}

type happening2 struct {
	happening
	good   bool // satisfies the conditions
	offset int
	t      int64
}

type oracleStep struct {
	name   string
	where  bool
	strict bool
	not    []string
	gap    int64
}

type answer struct {
	due    int64
	offset int
}

type outcome struct {
	At     int64
	Key    string
	Offset int
	Timer  bool
}

func newOracle(d *trigger.Definition) *oracle {
	o := &oracle{d: d, names: map[string]bool{}, scope: map[string]bool{}, since: map[string]int{}, pending: map[string]*answer{}, last: math.MinInt64}
	read := func(names ...string) {
		for _, n := range names {
			o.names[n] = true
		}
	}
	for i := range d.Pattern {
		s := &d.Pattern[i]
		if s.Event == "" {
			o.final = s
			if s.Absent != "" {
				read(s.Absent)
			}
			continue
		}
		read(s.Event)
		read(s.Without...)
		for n := range max(s.Times, 1) {
			step := oracleStep{name: s.Event, where: s.Where != nil, strict: s.Strict, not: s.Without, gap: s.Gap.Micros()}
			if n > 0 {
				step.strict, step.not, step.gap = s.Consecutive, nil, 0
			}
			o.steps = append(o.steps, step)
		}
	}
	read(d.Reset...)
	read(d.Cancel...)
	for _, n := range d.Scope {
		o.scope[n] = true
	}
	if len(d.Scope) == 0 {
		for n := range o.names {
			o.scope[n] = !strings.HasPrefix(n, "heed.")
		}
	}
	return o
}

// run gives what fires, with the clock running on for ever.
func (o *oracle) run(events []happening2) []outcome {
	if o.d.Order == "event" {
		late := o.d.Lateness.Micros()
		var kept []happening2
		log := int64(math.MinInt64)
		for _, e := range events {
			log = max(log, e.received)
			e.t = min(e.at, log)
			if log-e.t <= late {
				kept = append(kept, e)
			}
		}
		sort.SliceStable(kept, func(i, j int) bool { return kept[i].t < kept[j].t })
		for _, e := range kept {
			o.timers(e.t)
			o.event(e)
		}
	} else {
		log := int64(math.MinInt64)
		for _, e := range events {
			log = max(log, e.received)
			o.timers(log)
			if strings.HasPrefix(e.name, "heed.") && !o.names[e.name] {
				continue
			}
			o.last = max(o.last, min(e.at, log))
			e.t = o.last
			o.event(e)
		}
	}
	o.timers(math.MaxInt64)
	return o.out
}

func (o *oracle) keyed() bool { return o.d.By != nil }

// concerns tells whether an event belongs to the row of a key.
func (o *oracle) concerns(e *happening2, key string) bool {
	if !o.keyed() {
		return true
	}
	if o.d.By.PerEvent != nil && o.d.By.PerEvent[e.name] == "" {
		return o.names[e.name] || o.scope[e.name]
	}
	return e.key != "" && e.key == key
}

func (o *oracle) timers(until int64) {
	for {
		var first string
		var found *answer
		for key, a := range o.pending {
			if found != nil && a.due == found.due && (o.d.Reentry != nil || o.d.Limit != nil) {
				o.unsure = true
			}
			if found == nil || a.due < found.due || a.due == found.due && key < first {
				first, found = key, a
			}
		}
		if found == nil || found.due > until {
			return
		}
		delete(o.pending, first)
		if o.final != nil && !o.d.Overlap {
			o.since[first] = len(o.history)
		}
		if o.allowed(found.due) {
			o.fire(outcome{found.due, first, found.offset, true})
		}
	}
}

func (o *oracle) allowed(at int64) bool {
	if o.d.Limit == nil {
		return true
	}
	n := 0
	for _, f := range o.times {
		if at-f < o.d.Limit.Per.Micros() {
			n++
		}
	}
	return n < o.d.Limit.Count
}

func (o *oracle) fire(f outcome) {
	o.out = append(o.out, f)
	o.times = append(o.times, f.At)
	o.fired = true
	if r := o.d.Reentry; r != nil && (r.Once || r.Cooldown > 0) {
		o.free = f.At + r.Cooldown.Micros()
		clear(o.pending)
		o.history = nil
		clear(o.since)
	}
}

func (o *oracle) event(e happening2) {
	if r := o.d.Reentry; o.fired && r != nil && (r.Once || r.Cooldown > 0 && e.t < o.free) {
		return
	}
	o.history = append(o.history, e)
	active := !strings.HasPrefix(e.name, "heed.")
	keys := []string{""}
	if o.keyed() {
		keys = nil
		for _, h := range o.history {
			if h.key != "" && !slices.Contains(keys, h.key) {
				keys = append(keys, h.key)
			}
		}
	}
	for _, key := range keys {
		if a := o.pending[key]; a != nil && o.final != nil && o.final.Idle > 0 && active {
			a.due = e.t + o.final.Idle.Micros()
			if len(o.steps) == 0 {
				a.offset = e.offset
			}
		}
		if o.concerns(&e, key) {
			o.row(&e, key)
		}
		if len(o.history) == 0 {
			return // it fired, and that forgot everything
		}
	}
}

func (o *oracle) row(e *happening2, key string) {
	at := len(o.history) - 1
	d := o.d
	if slices.Contains(d.Reset, e.name) {
		o.since[key] = at + 1
		if d.Delay == 0 {
			delete(o.pending, key)
		}
	}
	if slices.Contains(d.Cancel, e.name) && o.pending[key] != nil {
		delete(o.pending, key)
		o.canceled++
	}
	if o.final != nil && o.final.Absent == e.name && (o.final.Where == nil || e.good) {
		delete(o.pending, key)
	}
	if len(o.steps) == 0 {
		if o.pending[key] == nil && !strings.HasPrefix(e.name, "heed.") && !slices.Contains(d.Reset, e.name) {
			o.pending[key] = &answer{e.t + o.final.Idle.Micros(), e.offset}
		}
		return
	}
	if !o.chain(key, at, len(o.steps)-1, at) {
		return
	}
	switch {
	case o.final != nil && o.final.Idle > 0:
		if o.pending[key] == nil {
			o.pending[key] = &answer{e.t + o.final.Idle.Micros(), e.offset}
		}
		return
	case o.final != nil:
		if o.pending[key] == nil || o.final.Anchor == "last" {
			o.pending[key] = &answer{e.t + o.final.For.Micros(), e.offset}
		}
		return
	case d.Delay > 0:
		if o.pending[key] == nil && o.allowed(e.t) {
			o.pending[key] = &answer{e.t + d.Delay.Micros(), e.offset}
		}
	}
	if !d.Overlap {
		o.since[key] = at + 1
	}
	if d.Delay == 0 && o.allowed(e.t) {
		o.fire(outcome{e.t, key, e.offset, false})
	}
}

// chain tells whether some chain does step i at history[at] and the steps
// before it earlier; end is where the whole chain ends.
func (o *oracle) chain(key string, at, i, end int) bool {
	e, s := &o.history[at], &o.steps[i]
	if at < o.since[key] || e.name != s.name || s.where && !e.good || !o.concerns(e, key) {
		return false
	}
	if i == 0 {
		return len(o.steps) == 1 || o.history[end].t-e.t < o.d.Within.Micros()
	}
	for before := at - 1; before >= 0; before-- {
		b := &o.history[before]
		fits := (s.gap == 0 || e.t-b.t < s.gap) && (!o.d.Increasing || b.t < e.t)
		if fits && o.chain(key, before, i-1, end) {
			return true
		}
		// Longer chains have b between the two steps.
		if o.concerns(b, key) && (s.strict && o.scope[b.name] || slices.Contains(s.not, b.name)) {
			return false
		}
	}
	return false
}
