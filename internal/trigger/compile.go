package trigger

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"heed/internal/condition"
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
	Event    string          `json:"event"`
	Where    json.RawMessage `json:"where,omitempty"`
	Gap      int64           `json:"gap,omitempty"`
	Breaks   []string        `json:"breaks,omitempty"` // names that break the edge, sorted
	All      []edge          `json:"all,omitempty"`    // in order of Event
	Distinct string          `json:"distinct,omitempty"`
	Times    int             `json:"times,omitempty"` // of distinct
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
	Delay      int64             `json:"delay,omitempty"`  // behind a countdown
	Cancels    []string          `json:"cancel,omitempty"` // of it
}

// compiler carries a definition through its compilation.
type compiler struct {
	d      *Definition
	p      *Program
	strict uint64 // bits of stages
	normal normal
	breaks []map[string]bool // by stage
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

// times takes what is about time.
func (c *compiler) times() error {
	d, p := c.d, c.p
	switch within := d.Within.Duration(); {
	case p.units < 2:
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
		p.delay, p.cancels = d.Delay.Micros(), d.Cancel
		if !p.counts() {
			p.final = delayed
		}
	} else if len(d.Cancel) > 0 {
		return fail("cancel", "needs a delay: without one there is nothing to cancel")
	}
	if d.MaxAge < 0 || d.MaxStale < 0 {
		return fail("max_age", "max_age and max_stale must not be negative")
	}
	p.maxAge = cmp.Or(d.MaxAge, period.Period(defaultMaxAge)).Micros()
	p.maxStale = cmp.Or(d.MaxStale, period.Period(defaultMaxStale)).Micros()
	p.increasing, p.overlap = d.Increasing && len(p.stages) > 1, d.Overlap
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
	for _, list := range []struct {
		path  string
		names []string
	}{{"scope", d.Scope}, {"reset", d.Reset}, {"cancel", d.Cancel}} {
		if err := checkNames(list.path, list.names); err != nil {
			return err
		}
	}
	for i, name := range d.Scope {
		if reserved(name) {
			return fail(fmt.Sprintf("scope[%d]", i), "%q: Heed's own events never count as scope", name)
		}
	}
	for i, b := range p.bits {
		c.role(b.name).match |= 1 << i
	}
	for i, name := range d.Reset {
		if r := p.roles[name]; r != nil && r.match != 0 {
			return fail(fmt.Sprintf("reset[%d]", i), "%q is a step too: it cannot both advance and forget", name)
		}
	}
	for _, name := range d.Reset {
		c.role(name).reset = true
	}
	for i, breaks := range c.breaks {
		for name := range breaks {
			c.role(name).kill |= 1 << p.stages[i].bit
		}
	}
	for _, name := range p.stops {
		r := c.role(name)
		r.stop, r.when = true, p.when
	}
	for _, name := range p.cancels {
		c.role(name).cancel = true
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
		for i := range c.breaks {
			if c.strict&(1<<i) != 0 {
				c.role(name).kill |= 1 << p.stages[i].bit
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
	if len(p.stages) == 0 {
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
	for _, name := range slices.Sorted(maps.Keys(by.PerEvent)) {
		text, r := by.PerEvent[name], p.roles[name]
		if r == nil {
			return fail("by."+name, "the trigger does not read this event")
		}
		field, err := condition.CompileField(text)
		if err != nil {
			return fail("by."+name, "%v", err)
		}
		r.field = field
	}
	for _, b := range p.bits {
		if p.roles[b.name].field == nil {
			return fail("by", "the step %q has no field: every step needs one", b.name)
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
	if p.final == delayed {
		n.Wait, n.Stops = p.delay, sorted(p.cancels)
	} else {
		n.Delay, n.Cancels = p.delay, sorted(p.cancels)
	}
	n.Reset = sorted(c.d.Reset)
	n.Increasing, n.Overlap = p.increasing, p.overlap
	if by := c.d.By; by != nil {
		n.By, n.ByEvent = by.Field, by.PerEvent
		text, err := json.Marshal(by)
		if err != nil {
			return fail("by", "%v", err)
		}
		p.by = string(text)
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
