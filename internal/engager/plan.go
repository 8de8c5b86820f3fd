package engager

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"heed/internal/channel"
	"heed/internal/condition"
	"heed/internal/consent"
	"heed/internal/definition"
	"heed/internal/engager/content"
	"heed/internal/schedule"
)

// plan is a set of definitions made ready for work. It is immutable.
type plan struct {
	set       *definition.Set
	byName    map[string]*campaign
	byTrigger map[string][]*campaign // live ones, by name
	goals     map[string]struct{}    // events that some campaign wants to happen
	global    float64                // share of users that no marketing goes to
}

// campaign is a campaign made ready.
type campaign struct {
	name    string
	live    bool
	paused  bool
	purpose consent.Purpose
	who     []audience // empty: all
	listed  bool       // whoever starts it names users that were in the audiences just then
	holdout float64
	once    bool // per user
	cap     *definition.Cap
	capAll  *definition.Cap // of all campaigns together
	quiet   schedule.Quiet
	delay   time.Duration
	goal    string // event, "" if it has none

	schedule  *schedule.Schedule // nil: none
	rule      string             // the text of the schedule
	audiences []string           // that a run asks for
	variants  []variant
	weights   []int
	err       error // it cannot be used as it is defined
	confirms  bool  // asks the owner of an address to confirm a yes
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
	content     *content.Content // nil: err says why
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
	p := &plan{set: set, byName: map[string]*campaign{}, byTrigger: map[string][]*campaign{}, goals: map[string]struct{}{}}
	e.pace.SetLimit(definition.DefaultRelease)
	if set == nil {
		return p
	}
	if s := set.Sending; s != nil {
		if s.Release > 0 {
			e.pace.SetLimit(rate.Limit(s.Release))
		}
		p.global, _ = s.HoldoutShare() // it was checked
	}
	for _, def := range set.Confirmations() {
		c := e.campaign(set, def)
		c.confirms = true
		p.byName[c.name] = c
	}
	for name, def := range set.Campaigns {
		c := e.campaign(set, def)
		if c.err != nil && c.live {
			e.log.Error("a live campaign cannot be used", "campaign", name, "error", c.err)
		}
		p.byName[name] = c
		if c.goal != "" && def.Status != definition.Ended {
			p.goals[c.goal] = struct{}{}
		}
		if on := def.When.Starts(); c.live && on != "" {
			p.byTrigger[on] = append(p.byTrigger[on], c)
		}
	}
	for _, list := range p.byTrigger {
		slices.SortFunc(list, func(a, b *campaign) int { return cmp.Compare(a.name, b.name) })
	}
	return p
}

// listed tells whether what starts the campaign has just asked for its audiences: an
// order, a run, or that a user has entered the only one there is.
func listed(def *definition.Campaign) bool {
	w := &def.When
	return w.Once != "" || w.Schedule != "" || w.Audience != "" && w.On != definition.Leave && slices.Equal(def.Who, []string{w.Audience})
}

func (e *Engager) campaign(set *definition.Set, def *definition.Campaign) *campaign {
	c := &campaign{
		name: def.Name, live: def.Status == definition.Live, paused: def.Status == definition.Paused,
		purpose: cmp.Or(def.Purpose, consent.Marketing), once: def.OncePerUser(), cap: def.Limits.Cap, delay: def.Delay.Duration(),
		listed: listed(def), rule: def.When.Schedule + " " + def.When.Zone, audiences: def.Who,
	}
	if set.Sending != nil {
		c.capAll = set.Sending.Cap
	}
	if def.Goal != nil {
		c.goal = def.Goal.Event
	}
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
	if c.quiet, err = set.QuietHours(def); err != nil {
		errs = append(errs, err)
	}
	if c.schedule, err = def.When.Plan(e.deps.Zone); err != nil {
		errs = append(errs, err)
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
	t := set.TemplateOf(v)
	if t == nil {
		out.err = fmt.Errorf("template %q does not exist", v.Template)
		return out
	}
	out.expires = t.Expires.Duration()
	if kind == definition.ChannelOutbox {
		out.kind = t.As
	}
	if kind == definition.ChannelWeb {
		if out.expires == 0 {
			out.expires = e.cfg.Expires
		}
		out.kind = cmp.Or(t.As, "popup")
		if slot, ok := strings.CutPrefix(t.As, "slot:"); ok {
			out.kind, out.slot = "slot", slot
		}
	}
	if out.content, out.err = content.New(e.cache, t, t.Mode(def)); out.err != nil {
		out.err = fmt.Errorf("template %q: %w", v.Template, out.err)
	}
	return out
}

// transactional tells whether the campaign is what users need, wanted or not.
func (c *campaign) transactional() bool { return c.purpose == consent.Transactional }

// variant is the content of a template by a channel; nil if there is none any more.
func (c *campaign) variant(template, channel string) *variant {
	if i := c.index(template, channel); i >= 0 {
		return &c.variants[i]
	}
	return nil
}

// index is where that content stands among the campaign's; -1 if it does not.
func (c *campaign) index(template, channel string) int {
	return slices.IndexFunc(c.variants, func(v variant) bool { return v.template == template && v.channelName == channel })
}

// holds tells whether an attempt that may have arrived is not repeated.
func (e *Engager) holds(v *variant) bool {
	return !v.channel.Idempotent() && v.definition.Unknown(e.cfg.OnUnknown) == definition.Hold
}

// undisturbing tells whether the content reaches the user without a sound: it is
// shown on the page, or only kept for later.
func (v *variant) undisturbing() bool {
	return v.definition != nil && (v.definition.Type == definition.ChannelWeb || v.definition.Type == definition.ChannelPull)
}
