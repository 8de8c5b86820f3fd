package engager

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"heed/internal/channel"
	"heed/internal/condition"
	"heed/internal/consent"
	"heed/internal/definition"
	"heed/internal/render"
)

// plan is a set of definitions made ready for work. It is immutable.
type plan struct {
	set       *definition.Set
	byName    map[string]*campaign
	byTrigger map[string][]*campaign // live ones, by name
}

// campaign is a campaign made ready.
type campaign struct {
	name     string
	live     bool
	purpose  consent.Purpose
	who      []audience // empty: all
	holdout  float64
	capCount int
	capPer   time.Duration
	variants []variant
	weights  []int
	err      error // it cannot be used as it is defined
}

// audience is one of those that a campaign is for.
type audience struct {
	name    string
	program *condition.Program // nil: the membership records say who is in
}

// variant is one content of a campaign.
type variant struct {
	channelName string
	channel     channel.Channel
	definition  *definition.Channel
	template    string
	kind, slot  string
	expires     time.Duration
	subject     *render.Template // nil: none
	body        *render.Template
	err         error
}

// current is the plan of the definitions in force.
func (e *Engager) current() *plan {
	set := e.deps.Definitions.Current()
	if p := e.plan.Load(); p != nil && p.set == set {
		return p
	}
	e.planMu.Lock()
	defer e.planMu.Unlock()
	if p := e.plan.Load(); p != nil && p.set == set {
		return p
	}
	p := e.compile(set)
	e.plan.Store(p)
	return p
}

func (e *Engager) compile(set *definition.Set) *plan {
	p := &plan{set: set, byName: map[string]*campaign{}, byTrigger: map[string][]*campaign{}}
	if set == nil {
		return p
	}
	for name, def := range set.Campaigns {
		c := e.campaign(set, def)
		if c.err != nil && c.live {
			e.log.Error("a live campaign cannot be used", "campaign", name, "error", c.err)
		}
		p.byName[name] = c
		if on := def.When.Starts(); c.live && on != "" {
			p.byTrigger[on] = append(p.byTrigger[on], c)
		}
	}
	for _, list := range p.byTrigger {
		slices.SortFunc(list, func(a, b *campaign) int { return cmp.Compare(a.name, b.name) })
	}
	return p
}

func (e *Engager) campaign(set *definition.Set, def *definition.Campaign) *campaign {
	c := &campaign{name: def.Name, live: def.Status == definition.Live, purpose: cmp.Or(def.Purpose, consent.Marketing)}
	var errs []error
	who := def.Who
	if def.When.Once != "" {
		who = nil // the list of the order was asked when it was made
	}
	for _, name := range who {
		a := set.Audiences[name]
		if a == nil {
			errs = append(errs, fmt.Errorf("audience %q does not exist", name))
			continue
		}
		program, err := a.Program()
		if err != nil && !errors.Is(err, definition.ErrBehavior) {
			errs = append(errs, fmt.Errorf("audience %q: %w", name, err))
			continue
		}
		c.who = append(c.who, audience{name, program})
	}
	var err error
	if c.holdout, err = def.HoldoutShare(); err != nil {
		errs = append(errs, err)
	}
	if lim := def.Limits.Cap; lim != nil {
		c.capCount, c.capPer = lim.Count, lim.Per.Duration()
	}
	for _, v := range def.What {
		out := e.variant(set, v)
		c.variants = append(c.variants, out)
		c.weights = append(c.weights, cmp.Or(v.Weight, 1))
	}
	c.err = errors.Join(errs...)
	return c
}

func (e *Engager) variant(set *definition.Set, v definition.Variant) variant {
	out := variant{channelName: v.Channel, template: v.Template}
	def := set.Channels[v.Channel]
	if def == nil {
		out.err = fmt.Errorf("channel %q does not exist", v.Channel)
		return out
	}
	kind := def.Type
	if out.channel, out.definition = e.channels[kind], def; out.channel == nil {
		out.err = fmt.Errorf("channel %q is of the type %s, which this process does not send by", v.Channel, kind)
		return out
	}
	t := set.Templates[v.Template]
	if t == nil {
		out.err = fmt.Errorf("template %q does not exist", v.Template)
		return out
	}
	out.expires = t.Expires.Duration()
	if kind == definition.ChannelWeb {
		if out.expires == 0 {
			out.expires = e.cfg.Expires
		}
		out.kind = cmp.Or(t.As, "popup")
		if slot, ok := strings.CutPrefix(t.As, "slot:"); ok {
			out.kind, out.slot = "slot", slot
		}
	}
	if out.body, out.err = e.cache.Parse(t.Body, def.Mode()); out.err != nil {
		out.err = fmt.Errorf("template %q: %w", v.Template, out.err)
		return out
	}
	if t.Subject != "" {
		if out.subject, out.err = e.cache.Parse(t.Subject, render.Text); out.err != nil {
			out.err = fmt.Errorf("subject of template %q: %w", v.Template, out.err)
		}
	}
	return out
}

// personal tells whether the content is only for a verified user.
func (v *variant) personal() bool {
	return v.body.Personal() || v.subject != nil && v.subject.Personal()
}
