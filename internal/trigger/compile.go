package trigger

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"heed/internal/condition"
	"heed/internal/event"
	"heed/internal/period"
)

// Bounds and defaults of times.
const (
	maxWithin       = 30 * 24 * time.Hour
	maxWait         = 365 * 24 * time.Hour
	maxLateness     = time.Hour
	defaultMaxAge   = 15 * time.Minute
	defaultMaxStale = time.Hour
)

// Error says what is wrong where in a definition.
type Error struct {
	Path    string // such as pattern[1].without
	Message string
}

// Error is "path: message".
func (e *Error) Error() string { return e.Path + ": " + e.Message }

func fail(path, format string, args ...any) error {
	return &Error{Path: path, Message: fmt.Sprintf(format, args...)}
}

// Check validates a definition. Its error is an *Error with the path inside it.
func Check(d *Definition) error {
	_, err := Compile(d)
	return err
}

// edge is the pattern's normal form: one event step with the edge into it.
type edge struct {
	Event  string          `json:"event"`
	Where  json.RawMessage `json:"where,omitempty"`
	Gap    int64           `json:"gap,omitempty"`
	Breaks []string        `json:"breaks,omitempty"` // names that break the edge, sorted
}

// normal is what the pattern hash is made of. Definitions that mean the same
// rows have the same normal form; its JSON is part of the meaning of fire ids
// and must not change.
type normal struct {
	Steps      []edge            `json:"steps"`
	Within     int64             `json:"within,omitempty"`
	Final      final             `json:"final,omitempty"`
	Wait       int64             `json:"wait,omitempty"`
	Stops      []string          `json:"stops,omitempty"`
	When       json.RawMessage   `json:"when,omitempty"`
	Restart    bool              `json:"restart,omitempty"`
	Reset      []string          `json:"reset,omitempty"`
	By         string            `json:"by,omitempty"`
	ByEvent    map[string]string `json:"byEvent,omitempty"`
	Increasing bool              `json:"increasing,omitempty"`
	Lateness   *int64            `json:"lateness,omitempty"`
	Overlap    bool              `json:"overlap,omitempty"`
}

// compiler carries a definition through its compilation.
type compiler struct {
	d      *Definition
	p      *Program
	strict uint64
	normal normal
	breaks []map[string]bool
	when   *condition.Program // of the final absence
}

// Compile checks and compiles a definition. Its error is an *Error.
func Compile(d *Definition) (*Program, error) {
	c := compiler{d: d, p: &Program{Name: d.Name, roles: map[string]*role{}}}
	for _, part := range []func() error{c.pattern, c.times, c.names, c.by, c.rest} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	if err := c.hash(); err != nil {
		return nil, err
	}
	return c.p, nil
}

func (c *compiler) pattern() error {
	steps := c.d.Pattern
	if len(steps) == 0 {
		return fail("pattern", "has no step")
	}
	for i := range steps {
		path, s := fmt.Sprintf("pattern[%d]", i), &steps[i]
		kinds := 0
		for _, used := range []bool{s.Event != "", s.Absent != "", s.Idle != 0} {
			if used {
				kinds++
			}
		}
		switch {
		case kinds != 1:
			return fail(path, "write one of event, absent or idle")
		case s.Event != "":
			if err := c.step(path, s, i == 0); err != nil {
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

func (c *compiler) step(path string, s *Step, first bool) error {
	if err := checkName(path+".event", s.Event); err != nil {
		return err
	}
	times := cmp.Or(s.Times, 1)
	switch {
	case s.For != 0 || s.Anchor != "":
		return fail(path, "for and anchor belong to an absent step")
	case times < 1:
		return fail(path+".times", "must be at least 1")
	case c.p.n+times > maxSteps:
		return fail(path+".times", "a pattern has at most %d steps, repetitions counted: one row keeps a time stamp for each", maxSteps)
	case s.Consecutive && times == 1:
		return fail(path+".consecutive", "is about repetitions: set times")
	case first && s.Strict:
		return fail(path+".strict", "the first step has no step before it; for repetitions write consecutive")
	case first && len(s.Without) > 0:
		return fail(path+".without", "the first step has no step before it; between repetitions, write them as steps of their own")
	case first && s.Gap != 0:
		return fail(path+".gap", "the first step has no step before it; between repetitions, write them as steps of their own")
	case s.Gap < 0 || s.Gap != 0 && s.Gap.Micros() == 0:
		return fail(path+".gap", "must be at least 1µs")
	}
	if err := checkNames(path+".without", s.Without); err != nil {
		return err
	}
	where, text, err := compileWhere(path, s.Where)
	if err != nil {
		return err
	}
	for i := range times {
		e := edge{Event: s.Event, Where: text}
		breaks := map[string]bool{}
		if i == 0 {
			e.Gap = s.Gap.Micros()
			for _, name := range s.Without {
				breaks[name] = true
			}
		}
		if i == 0 && s.Strict || i > 0 && s.Consecutive {
			c.strict |= 1 << c.p.n
		}
		c.normal.Steps = append(c.normal.Steps, e)
		c.breaks = append(c.breaks, breaks)
		c.p.names = append(c.p.names, s.Event)
		c.p.repeats = append(c.p.repeats, repeat{i, times})
		c.p.gaps = append(c.p.gaps, e.Gap)
		c.p.where = append(c.p.where, where)
		c.p.lasts = c.p.lasts || e.Gap > 0
		c.p.n++
	}
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
	switch {
	case s.Times != 0 || s.Consecutive || s.Strict || len(s.Without) > 0 || s.Gap != 0:
		return fail(path, "times, consecutive, strict, without and gap belong to an event step")
	case c.d.Delay != 0:
		return fail("delay", "a row holds one timer, and a pattern that ends with absent or idle has it already: make its time longer")
	}
	if s.Idle != 0 {
		if s.For != 0 || s.Anchor != "" || s.Where != nil {
			return fail(path, "idle takes no for, anchor or where: any event of the user restarts it")
		}
		p.final, p.wait = silence, s.Idle.Micros()
		return checkWait(path+".idle", s.Idle)
	}
	if p.n == 0 {
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
	p.final, p.wait, p.stops, c.when, c.normal.When = absence, s.For.Micros(), []string{s.Absent}, when, text
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

// times takes what is about time.
func (c *compiler) times() error {
	d, p := c.d, c.p
	switch within := d.Within.Duration(); {
	case p.n < 2:
	case within == 0:
		return fail("within", "is missing: a pattern of two or more event steps needs a window, first step to last")
	case within < 0 || within > maxWithin || d.Within.Micros() == 0:
		return fail("within", "must be between 1µs and %s", period.Period(maxWithin))
	default:
		p.within = d.Within.Micros()
	}
	switch d.Order {
	case "", "arrival":
		if d.Lateness != 0 {
			return fail("lateness", "belongs to order: event")
		}
	case "event":
		if d.Lateness <= 0 || d.Lateness.Duration() > maxLateness {
			return fail("lateness", "must be between 1µs and %s", period.Period(maxLateness))
		}
		p.buffered, p.lateness = true, d.Lateness.Micros()
		c.normal.Lateness = &p.lateness
	default:
		return fail("order", "%q: write arrival or event", d.Order)
	}
	if d.Delay != 0 {
		if err := checkWait("delay", d.Delay); err != nil {
			return err
		}
		p.final, p.wait, p.stops = delayed, d.Delay.Micros(), d.Cancel
	} else if len(d.Cancel) > 0 {
		return fail("cancel", "needs a delay: without one there is nothing to cancel")
	}
	if d.MaxAge < 0 || d.MaxStale < 0 {
		return fail("max_age", "max_age and max_stale must not be negative")
	}
	p.maxAge = cmp.Or(d.MaxAge, period.Period(defaultMaxAge)).Micros()
	p.maxStale = cmp.Or(d.MaxStale, period.Period(defaultMaxStale)).Micros()
	p.increasing, p.overlap = d.Increasing && p.n > 1, d.Overlap
	p.lasts = p.lasts || p.increasing
	return nil
}

// role is the role of a name, made at need.
func (c *compiler) role(name string) *role {
	r := c.p.roles[name]
	if r == nil {
		r = &role{active: !reserved(name)}
		c.p.roles[name] = r
	}
	return r
}

// names spreads the pattern over the names it reads.
func (c *compiler) names() error {
	d, p := c.d, c.p
	for path, names := range map[string][]string{"scope": d.Scope, "reset": d.Reset, "cancel": d.Cancel} {
		if err := checkNames(path, names); err != nil {
			return err
		}
	}
	for i, name := range d.Scope {
		if reserved(name) {
			return fail(fmt.Sprintf("scope[%d]", i), "%q: Heed's own events never count as scope", name)
		}
	}
	for i, name := range d.Reset {
		if slices.Contains(p.names, name) {
			return fail(fmt.Sprintf("reset[%d]", i), "%q is a step too: it cannot both advance and forget", name)
		}
		c.role(name).reset = true
	}
	for i, name := range p.names {
		c.role(name).match |= 1 << i
	}
	for i, breaks := range c.breaks {
		for name := range breaks {
			c.role(name).kill |= 1 << i
		}
	}
	for _, name := range p.stops {
		r := c.role(name)
		r.stop, r.when = true, c.when
	}
	if c.strict == 0 {
		return nil
	}
	scope := d.Scope
	if len(scope) == 0 {
		scope = slices.Collect(maps.Keys(p.roles))
	}
	for _, name := range scope {
		if reserved(name) {
			continue
		}
		c.role(name).kill |= c.strict
		for i := range c.breaks {
			if c.strict&(1<<i) != 0 {
				c.breaks[i][name] = true
			}
		}
	}
	return nil
}

// by takes the correlation.
func (c *compiler) by() error {
	by, p := c.d.By, c.p
	if by == nil {
		return nil
	}
	if p.n == 0 {
		return fail("by", "needs an event step")
	}
	p.keyed = true
	if by.PerEvent == nil {
		field, err := condition.CompileField(by.Field)
		if err != nil {
			return fail("by", "%v", err)
		}
		for _, r := range p.roles {
			r.field = field
		}
		p.other.field = field
		return nil
	}
	for name, text := range by.PerEvent {
		r := p.roles[name]
		if r == nil {
			return fail("by."+name, "the trigger does not read this event")
		}
		field, err := condition.CompileField(text)
		if err != nil {
			return fail("by."+name, "%v", err)
		}
		r.field = field
	}
	for _, name := range p.names {
		if p.roles[name].field == nil {
			return fail("by", "the step %q has no field: every step needs one", name)
		}
	}
	for _, r := range p.roles {
		r.every = r.field == nil
	}
	return nil
}

// rest takes re-entry, limit and audience.
func (c *compiler) rest() error {
	d, p := c.d, c.p
	if r := d.Reentry; r != nil {
		if r.Cooldown < 0 || r.Cooldown != 0 && r.Cooldown.Micros() == 0 {
			return fail("reentry.cooldown", "must be at least 1µs")
		}
		p.once, p.cooldown = r.Once, r.Cooldown.Micros()
	}
	if l := d.Limit; l != nil {
		if l.Count < 1 || l.Count > maxLimit {
			return fail("limit.count", "must be between 1 and %d: one time stamp is kept for each", maxLimit)
		}
		if l.Per.Micros() <= 0 || l.Per.Duration() > maxWait {
			return fail("limit.per", "must be between 1µs and %s", period.Period(maxWait))
		}
		p.limit, p.per = l.Count, l.Per.Micros()
	}
	if d.Hold && d.Audience == "" {
		return fail("hold", "needs an audience")
	}
	p.audience, p.hold = d.Audience, d.Hold
	p.other.active = true
	return nil
}

func (c *compiler) hash() error {
	p, n := c.p, &c.normal
	for i := range n.Steps {
		n.Steps[i].Breaks = slices.Sorted(maps.Keys(c.breaks[i]))
	}
	n.Within, n.Final, n.Wait, n.Restart = p.within, p.final, p.wait, p.restart
	n.Stops = sorted(p.stops)
	n.Reset = sorted(c.d.Reset)
	n.Increasing, n.Overlap = p.increasing, p.overlap
	if by := c.d.By; by != nil {
		n.By, n.ByEvent = by.Field, by.PerEvent
	}
	text, err := json.Marshal(n)
	if err != nil {
		return fail("pattern", "%v", err)
	}
	sum := sha256.Sum256(text)
	copy(p.Pattern[:], sum[:])
	copy(p.tag[:], sum[:])
	sum = sha256.Sum256([]byte(p.Name))
	copy(p.id[:], sum[:])
	return nil
}

func sorted(names []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}
