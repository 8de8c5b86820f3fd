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
	d        *trigger.Definition // in force at the end: re-entry and limit are its
	versions []*version          // the one before an edit first
	names    map[string]bool     // that any of them reads
	edited   int                 // events from this one on come after the edit
	editLog  int64               // log time of the last event before it
	free     int64
	fired    bool
	times    []int64
	out      []outcome
	last     int64
	unsure   bool // two timers at one time compete for a cooldown or a limit
	canceled int
	forgot   bool // the event at hand fired, and that forgot everything
	used     map[string]bool
	finished int // firings of the version before the edit
	arrival  int // of the event at hand
}

// version is one version of the pattern.
type version struct {
	d       *trigger.Definition
	steps   []oracleStep
	final   *trigger.Step // absent or idle; nil
	names   map[string]bool
	scope   map[string]bool
	history []happening2 // in the order in which the trigger sees them
	since   map[string]int
	start   int // since, of all keys
	counts  map[string]*answer
	answers map[string]*answer
}

type happening2 struct {
	happening
	good    bool   // satisfies the conditions
	value   string // of distinct
	offset  int
	t       int64
	arrival int
}

// oracleStep is a step; a repeated one is as many.
type oracleStep struct {
	names    []string // of one, or of the elements of all
	where    []bool
	distinct int // different values, if not 0
	strict   bool
	not      []string
	gap      int64
}

func (s *oracleStep) group() bool { return len(s.names) > 1 || s.distinct > 0 }

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

// newOracle is the oracle of a trigger, or of one that is edited before the
// event that arrives as number edited.
func newOracle(d *trigger.Definition, before *trigger.Definition, edited int) *oracle {
	o := &oracle{d: d, edited: math.MaxInt, names: map[string]bool{}, last: math.MinInt64}
	if before != nil {
		o.edited = edited
		o.versions = append(o.versions, newVersion(before))
	}
	o.versions = append(o.versions, newVersion(d))
	for _, v := range o.versions {
		for n := range v.names {
			o.names[n] = true
		}
	}
	return o
}

func newVersion(d *trigger.Definition) *version {
	v := &version{
		d: d, names: map[string]bool{}, scope: map[string]bool{}, since: map[string]int{},
		counts: map[string]*answer{}, answers: map[string]*answer{},
	}
	read := func(names ...string) {
		for _, n := range names {
			v.names[n] = true
		}
	}
	for i := range d.Pattern {
		s := &d.Pattern[i]
		read(s.Without...)
		step := oracleStep{names: []string{s.Event}, where: []bool{s.Where != nil}, strict: s.Strict, not: s.Without, gap: s.Gap.Micros()}
		switch {
		case s.All != nil:
			step.names, step.where = nil, nil
			for _, el := range s.All {
				step.names, step.where = append(step.names, el.Event), append(step.where, el.Where != nil)
			}
			v.steps = append(v.steps, step)
		case s.Distinct != "":
			step.distinct = s.Times
			v.steps = append(v.steps, step)
		case s.Event != "":
			for n := range max(s.Times, 1) {
				if n > 0 {
					step.strict, step.not, step.gap = s.Consecutive, nil, 0
				}
				v.steps = append(v.steps, step)
			}
		default:
			v.final = s
			if s.Absent != "" {
				read(s.Absent)
			}
			continue
		}
		read(step.names...)
	}
	read(d.Reset...)
	read(d.Cancel...)
	for _, n := range d.Scope {
		v.scope[n] = true
	}
	if len(d.Scope) == 0 {
		for n := range v.names {
			v.scope[n] = !strings.HasPrefix(n, "heed.")
		}
	}
	return v
}

// run gives what fires, with the clock running on for ever.
func (o *oracle) run(events []happening2) []outcome {
	events = slices.Clone(events)
	o.editLog = math.MinInt64
	for i := range events {
		events[i].arrival = i
		if i < o.edited {
			o.editLog = max(o.editLog, events[i].received)
		}
	}
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
			if strings.HasPrefix(e.name, "heed.") && !o.reads(&e) {
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

// reads tells whether a version that is there when the event arrives reads it.
func (o *oracle) reads(e *happening2) bool {
	if e.arrival < o.edited {
		return o.versions[0].names[e.name]
	}
	return o.names[e.name]
}

func (v *version) keyed() bool { return v.d.By != nil }

// concerns tells whether an event belongs to the row of a key.
func (v *version) concerns(e *happening2, key string) bool {
	if !v.keyed() {
		return true
	}
	if v.d.By.PerEvent != nil && v.d.By.PerEvent[e.name] == "" {
		return v.names[e.name] || v.scope[e.name]
	}
	return e.key != "" && e.key == key
}

// timers runs what is over, a countdown before an answer, the older version
// before the newer.
func (o *oracle) timers(until int64) {
	for {
		var first string
		var found *answer
		var of *version
		isAnswer := false
		for _, v := range o.versions {
			for i, pending := range []map[string]*answer{v.counts, v.answers} {
				for key, a := range pending {
					if found != nil && a.due == found.due && (key != first || v != of) && (o.d.Reentry != nil || o.d.Limit != nil || len(o.versions) > 1) {
						o.unsure = true
					}
					if found == nil || a.due < found.due || a.due == found.due && v == of && i == 0 && !isAnswer && key < first {
						first, found, of, isAnswer = key, a, v, i == 1
					}
				}
			}
		}
		if found == nil || found.due > until {
			return
		}
		if isAnswer {
			delete(of.answers, first)
		} else {
			delete(of.counts, first)
			if !of.d.Overlap {
				of.since[first] = len(of.history)
			}
			if of.d.Delay > 0 {
				if of.answers[first] == nil && o.allowed(found.due) {
					of.answers[first] = &answer{found.due + of.d.Delay.Micros(), found.offset}
				}
				continue
			}
		}
		o.fire(of, outcome{found.due, first, found.offset, true})
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

// fire settles a match, which restarts both versions.
func (o *oracle) fire(v *version, f outcome) {
	late := int64(0)
	if o.d.Order == "event" {
		late = o.d.Lateness.Micros()
	}
	if len(o.versions) > 1 && (f.At+late > o.editLog || !f.Timer && o.d.Order == "" && o.arrival >= o.edited) {
		alike := same(o.versions[0].d.By, o.versions[1].d.By)
		for _, w := range o.versions {
			if w == o.versions[1] && v == w {
				continue // its own firing has done what there is to do
			}
			if !alike && w != v {
				w.start = len(w.history)
				clear(w.counts)
				clear(w.answers)
				if w == o.versions[1] && !f.Timer {
					o.used[""] = true
				}
				continue
			}
			w.since[f.Key] = len(w.history)
			delete(w.counts, f.Key)
			delete(w.answers, f.Key)
		}
		if v == o.versions[0] && !f.Timer && alike {
			o.used["/"+f.Key] = true
		}
	}
	if !o.allowed(f.At) {
		return
	}
	if len(o.versions) > 1 && v == o.versions[0] && f.At+late > o.editLog {
		o.finished++
	}
	o.out = append(o.out, f)
	o.times = append(o.times, f.At)
	o.fired = true
	if r := o.d.Reentry; r != nil && (r.Once || r.Cooldown > 0) {
		o.free = f.At + r.Cooldown.Micros()
		o.forgot = true
		for _, w := range o.versions {
			clear(w.counts)
			clear(w.answers)
			w.start = len(w.history)
		}
	}
}

func same(a, b *trigger.By) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Field != b.Field || len(a.PerEvent) != len(b.PerEvent) {
		return false
	}
	for name, field := range a.PerEvent {
		if b.PerEvent[name] != field {
			return false
		}
	}
	return true
}

func (o *oracle) event(e happening2) {
	if r := o.d.Reentry; o.fired && r != nil && (r.Once || r.Cooldown > 0 && e.t < o.free) {
		return
	}
	o.forgot, o.used, o.arrival = false, map[string]bool{}, e.arrival
	for i, v := range o.versions {
		if len(o.versions) == 1 || i == 0 || e.arrival >= o.edited {
			v.history = append(v.history, e)
		}
	}
	for i, v := range o.versions {
		if len(o.versions) == 1 || i == 0 || e.arrival >= o.edited {
			o.of(v, e)
		}
		if o.forgot {
			return
		}
	}
}

// of lets one version have the event.
func (o *oracle) of(v *version, e happening2) {
	active := !strings.HasPrefix(e.name, "heed.")
	keys := []string{""}
	if v.keyed() {
		keys = nil
		for _, h := range v.history {
			if h.key != "" && !slices.Contains(keys, h.key) {
				keys = append(keys, h.key)
			}
		}
	}
	for _, key := range keys {
		if v == o.versions[len(o.versions)-1] && (o.used[""] || o.used["/"+key]) {
			continue
		}
		if a := v.counts[key]; a != nil && v.final != nil && v.final.Idle > 0 && active {
			a.due = e.t + v.final.Idle.Micros()
			if len(v.steps) == 0 {
				a.offset = e.offset
			}
		}
		if v.concerns(&e, key) {
			o.row(v, &e, key)
		}
		if o.forgot {
			return
		}
	}
}

// later tells whether an event is too late to begin anything in a version.
func (o *oracle) later(v *version, e *happening2) bool {
	return len(o.versions) > 1 && v == o.versions[0] && e.arrival >= o.edited
}

func (o *oracle) row(v *version, e *happening2, key string) {
	at := len(v.history) - 1
	d := v.d
	if slices.Contains(d.Reset, e.name) {
		v.since[key] = at + 1
		delete(v.counts, key)
	}
	if slices.Contains(d.Cancel, e.name) && v.answers[key] != nil {
		delete(v.answers, key)
		o.canceled++
	}
	if v.final != nil && v.final.Absent == e.name && (v.final.Where == nil || e.good) {
		delete(v.counts, key)
	}
	if len(v.steps) == 0 {
		if v.counts[key] == nil && !strings.HasPrefix(e.name, "heed.") && !slices.Contains(d.Reset, e.name) && !o.later(v, e) {
			v.counts[key] = &answer{e.t + v.final.Idle.Micros(), e.offset}
		}
		return
	}
	if !o.chain(v, key, at, len(v.steps)-1, at) {
		return
	}
	switch {
	case v.final != nil && v.final.Idle > 0:
		if v.counts[key] == nil {
			v.counts[key] = &answer{e.t + v.final.Idle.Micros(), e.offset}
		}
		return
	case v.final != nil:
		if v.counts[key] == nil || v.final.Anchor == "last" {
			v.counts[key] = &answer{e.t + v.final.For.Micros(), e.offset}
		}
		return
	case d.Delay > 0:
		if v.answers[key] == nil && o.allowed(e.t) {
			v.answers[key] = &answer{e.t + d.Delay.Micros(), e.offset}
		}
	}
	if !d.Overlap {
		v.since[key] = at + 1
	}
	if d.Delay == 0 {
		o.fire(v, outcome{e.t, key, e.offset, false})
	}
}

// element is which part of step i an event does; -1: none.
func (o *oracle) element(v *version, key string, at, i int) int {
	e, s := &v.history[at], &v.steps[i]
	if at < max(v.since[key], v.start) || !v.concerns(e, key) || s.distinct > 0 && e.value == "" {
		return -1
	}
	n := slices.Index(s.names, e.name)
	if n < 0 || s.where[n] && !e.good {
		return -1
	}
	if i == 0 && o.later(v, e) && !o.missing(v, key, at) {
		return -1
	}
	return n
}

// missing tells whether an event that came after the edit may still be part of
// a first step: something of it must have been done before, this part not, and
// only the first one counts.
func (o *oracle) missing(v *version, key string, at int) bool {
	s := &v.steps[0]
	if !s.group() {
		return false
	}
	part := func(h *happening2) string {
		if s.distinct > 0 {
			return h.value
		}
		return h.name
	}
	done := map[string]bool{}
	for i := range at {
		h := &v.history[i]
		n := slices.Index(s.names, h.name)
		if i < max(v.since[key], v.start) || n < 0 || s.where[n] && !h.good || !v.concerns(h, key) || part(h) == "" {
			continue
		}
		if !o.later(v, h) || len(done) > 0 {
			done[part(h)] = true
		}
	}
	need := len(s.names)
	if s.distinct > 0 {
		need = s.distinct
	}
	return len(done) > 0 && len(done) < need && !done[part(&v.history[at])]
}

// chain tells whether some chain does step i with history[at] as its last event,
// and the steps before it earlier; end is where the whole chain ends.
func (o *oracle) chain(v *version, key string, at, i, end int) bool {
	n := o.element(v, key, at, i)
	if n < 0 {
		return false
	}
	s := &v.steps[i]
	switch {
	case s.distinct > 0:
		return o.parts(v, key, at, i, end, at, s.distinct-1, nil, []string{v.history[at].value})
	case len(s.names) > 1:
		left := slices.Delete(slices.Clone(s.names), n, n+1)
		return o.parts(v, key, at, i, end, at, len(left), left, nil)
	}
	return o.parts(v, key, at, i, end, at, 0, nil, nil)
}

// parts looks for what is left of step i before history[from], whose last event
// is history[at], and then for the steps before it.
func (o *oracle) parts(v *version, key string, at, i, end, from, count int, left, values []string) bool {
	s := &v.steps[i]
	if count == 0 && i == 0 {
		return len(v.steps) == 1 && !s.group() || v.history[end].t-v.history[from].t < v.d.Within.Micros()
	}
	for before := from - 1; before >= 0; before-- {
		b := &v.history[before]
		if count == 0 {
			fits := (s.gap == 0 || v.history[at].t-b.t < s.gap) && (!v.d.Increasing || b.t < v.history[from].t)
			if fits && o.chain(v, key, before, i-1, end) {
				return true
			}
		} else if o.element(v, key, before, i) >= 0 {
			rest, seen := left, values
			fits := false
			if s.distinct > 0 {
				fits = !slices.Contains(values, b.value)
				seen = append(slices.Clone(values), b.value)
			} else if n := slices.Index(left, b.name); n >= 0 {
				fits = true
				rest = slices.Delete(slices.Clone(left), n, n+1)
			}
			if fits && o.parts(v, key, at, i, end, before, count-1, rest, seen) {
				return true
			}
		}
		// Longer chains have b between the two steps.
		if v.concerns(b, key) && (s.strict && v.scope[b.name] || slices.Contains(s.not, b.name)) {
			return false
		}
	}
	return false
}
