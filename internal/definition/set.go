package definition

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"heed/internal/consent"
	"heed/internal/event"
	"heed/internal/measure"
	"heed/internal/trigger"
)

// NewSet checks the documents, each by itself and all against each other, and
// makes a set of them. On problems the set is nil.
func NewSet(revision int64, docs []Document) (*Set, Problems) {
	s := &Set{
		Revision:  revision,
		Sources:   map[string]*Source{},
		Events:    map[string]*Event{},
		Triggers:  map[string]*trigger.Definition{},
		Audiences: map[string]*Audience{}, Dimensions: map[string]*measure.Dimension{},
		Templates: map[string]*Template{},
		Channels: map[string]*Channel{
			ChannelWeb:    {Name: ChannelWeb, Type: ChannelWeb},
			ChannelOutbox: {Name: ChannelOutbox, Type: ChannelOutbox},
		},
		Campaigns: map[string]*Campaign{}, Collections: map[string]*Collection{}, Streams: map[string]*Stream{},
		Funnels: map[string]*Funnel{}, Boards: map[string]*Board{},
	}
	var problems Problems
	seen := map[string]Document{}
	for _, d := range docs {
		if first, doubled := seen[d.Ref()]; doubled {
			p := d.Problem("name", "is defined twice", "")
			if first.file != "" {
				p.Hint = "first in " + first.file
			}
			problems = append(problems, p)
			continue
		}
		seen[d.Ref()] = d
		s.add(d)
	}
	for _, d := range docs {
		c := checker{set: s, doc: d}
		c.check()
		problems = append(problems, c.problems...)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return s, nil
}

func (s *Set) add(d Document) {
	switch spec := d.Spec.(type) {
	case *Source:
		s.Sources[d.Name] = spec
	case *Event:
		s.Events[d.Name] = spec
	case *trigger.Definition:
		s.Triggers[d.Name] = spec
	case *Audience:
		s.Audiences[d.Name] = spec
	case *measure.Dimension:
		s.Dimensions[d.Name] = spec
	case *Template:
		s.Templates[d.Name] = spec
	case *Channel:
		s.Channels[d.Name] = spec
	case *Campaign:
		s.Campaigns[d.Name] = spec
	case *Collection:
		s.Collections[d.Name] = spec
	case *Stream:
		s.Streams[d.Name] = spec
	case *Sending:
		s.Sending = spec
	case *Funnel:
		s.Funnels[d.Name] = spec
	case *Board:
		s.Boards[d.Name] = spec
	}
}

// checker checks one document against the set.
type checker struct {
	set      *Set
	doc      Document
	problems Problems
}

func (c *checker) fail(path, hint, format string, args ...any) {
	c.problems = append(c.problems, c.doc.Problem(path, fmt.Sprintf(format, args...), hint))
}

func (c *checker) check() {
	switch spec := c.doc.Spec.(type) {
	case *Source:
		c.source(spec)
	case *Event:
		if strings.HasPrefix(spec.Name, "heed.") {
			c.fail("name", "", "names beginning with heed. are Heed's own")
		}
	case *trigger.Definition:
		c.trigger(spec)
	case *Audience:
		c.audience(spec)
	case *measure.Dimension:
		c.dimension(spec)
	case *Template:
		c.template(spec)
	case *Channel:
		c.channel(spec)
	case *Campaign:
		c.campaign(spec)
	case *Collection:
		c.collection(spec)
	case *Stream:
		c.stream(spec)
	case *Sending:
		c.sending(spec)
	case *Funnel:
		c.funnel(spec)
	case *Board:
		c.board(spec)
	}
}

// Masked stands for a secret that is not shown; given back, it keeps the secret.
const Masked = "***"

func (c *checker) source(s *Source) {
	if s.Name == event.SourceHeed {
		c.fail("name", "", "is the source of Heed's own events")
	}
	for _, k := range []struct{ path, key string }{{"writeKey", s.WriteKey}, {"serverKey", s.ServerKey}} {
		// What stands for a secret says nothing about it.
		if k.key == "" || k.key == Masked || strings.HasPrefix(k.key, "${") {
			continue
		}
		for name, other := range c.set.Sources {
			if name < s.Name && (k.key == other.WriteKey || k.key == other.ServerKey) {
				c.fail(k.path, "keys are unique", "is a key of source %s too", name)
			}
		}
	}
	if s.WriteKey != "" && s.WriteKey == s.ServerKey {
		c.fail("serverKey", "the write key is public", "must differ from writeKey")
	}
	if strings.ContainsAny(s.WriteKey, ": \t\n\"") {
		c.fail("writeKey", "", "must not hold spaces, quotes or colons")
	}
	for i, o := range s.Origins {
		if o != "*" && !strings.HasPrefix(o, "http://") && !strings.HasPrefix(o, "https://") || strings.HasSuffix(o, "/") {
			c.fail(fmt.Sprintf("origins[%d]", i), "https://shop.example", "%q is not an origin", o)
		}
	}
}

func (c *checker) trigger(t *trigger.Definition) {
	var te *trigger.Error
	if err := trigger.Check(t); errors.As(err, &te) {
		c.fail(te.Path, "", "%s", te.Message)
	} else if err != nil {
		c.fail("", "", "%v", err)
	}
	c.pulled("pattern", t.Fields())
	if t.Audience != "" {
		c.refer("audience", KindAudience, t.Audience, maps.Keys(c.set.Audiences))
	}
}

func (c *checker) audience(a *Audience) {
	c.measure(measure.CheckAudience(&a.Audience))
	if len(c.problems) == 0 {
		c.measure(measure.Check(a.Query())) // its zone, its first day of the week, its time
	}
	if len(c.problems) > 0 {
		return
	}
	c.references("", a.References())
	if len(c.problems) > 0 {
		return
	}
	// What it refers to may refer back, be of events or be too large together.
	if _, err := measure.Resolve(a.Query(), unfrozen{c.set}); err != nil {
		if me, ok := errors.AsType[*measure.Error](err); ok {
			err = errors.New(me.Message)
		}
		c.fail("", "", "%v", err)
	}
}

func (c *checker) dimension(d *measure.Dimension) {
	if d.Dimension != "" {
		c.fail("dimension", "say of what it is: field, days, events, recency or sum", "only refers to another one")
		return
	}
	c.measure(measure.CheckDimension(d))
}

// measure takes over a problem of what can be asked.
func (c *checker) measure(err error) {
	if me, ok := errors.AsType[*measure.Error](err); ok {
		if me.Path == "asOf" {
			me.Path = "frozen"
		}
		c.fail(me.Path, "", "%s", me.Message)
	} else if err != nil {
		c.fail("", "", "%v", err)
	}
}

func (c *checker) campaign(k *Campaign) {
	c.when(&k.When)
	if k.Purpose != "" && k.Purpose != consent.Marketing && k.Purpose != consent.Transactional {
		c.fail("purpose", "marketing or transactional", "%q is not a purpose", k.Purpose)
	}
	for i, who := range k.Who {
		c.refer(fmt.Sprintf("who[%d]", i), KindAudience, who, maps.Keys(c.set.Audiences))
	}
	if len(k.What) == 0 {
		c.fail("what", "what: [{channel: web, template: wow}]", "is empty")
	}
	for i, v := range k.What {
		at := fmt.Sprintf("what[%d]", i)
		c.refer(at+".channel", KindChannel, v.Channel, maps.Keys(c.set.Channels))
		t := c.set.TemplateOf(v)
		if t == nil {
			c.refer(at+".template", KindTemplate, v.Template, maps.Keys(c.set.Templates))
		}
		if t != nil && t.Channel != v.Channel {
			c.fail(at+".template", "", "template %s is for channel %s", v.Template, t.Channel)
		}
		if v.Weight < 0 || v.Weight > 1_000_000 {
			c.fail(at+".weight", "a whole number from 1 to 1000000; unset is 1", "%d is not a weight", v.Weight)
		}
		if k.Status == Live && k.Purpose != consent.Transactional {
			c.endable(at, v)
		}
	}
	c.cap("limits.cap", k.Limits.Cap)
	c.quiet("limits.quiet", k.Limits.Quiet)
	if k.Delay < 0 || k.Delay.Duration() > maxDelay {
		c.fail("delay", "delay: 30m", "%s is not from 0 to 30d", k.Delay)
	}
	if _, err := k.HoldoutShare(); err != nil {
		c.fail("limits.holdout", "10%", "%v", err)
	}
	if g := k.Goal; g != nil && (g.Event == "" || g.Within <= 0) {
		c.fail("goal", "goal: {event: purchase, within: 3d}", "needs an event and a period")
	}
	switch k.Status {
	case Draft, Live, Paused, Ended:
	default:
		c.fail("status", "draft, live, paused or ended", "%q is not a status", k.Status)
	}
}

// pulled checks that the collections of fields pull.<collection>.* exist.
func (c *checker) pulled(path string, fields []string) {
	seen := map[string]bool{}
	for _, f := range fields {
		rest, ok := strings.CutPrefix(f, "pull.")
		name, _, _ := strings.Cut(rest, ".")
		if ok && !seen[name] {
			seen[name] = true
			c.refer(path, KindCollection, name, maps.Keys(c.set.Collections))
		}
	}
}

func (c *checker) when(w *When) {
	c.schedule(w)
	said := 0
	for _, s := range []string{w.Trigger, w.Stream, w.Audience, w.Once, w.Schedule} {
		if s != "" {
			said++
		}
	}
	switch {
	case said > 1:
		c.fail("when", "make a campaign of each", "says several things")
	case w.Audience != "":
		c.refer("when.audience", KindAudience, w.Audience, maps.Keys(c.set.Audiences))
		if a := c.set.Audiences[w.Audience]; a != nil {
			if _, err := a.Program(); !errors.Is(err, ErrBehavior) {
				c.fail("when.audience", "name it in an audience of its own, as all: [{audience: "+w.Audience+"}], and take that one",
					"audience %q is decided by the profile when it is asked for, so nobody is told to enter it", w.Audience)
			}
		}
		if w.On != "" && w.On != Enter && w.On != Leave {
			c.fail("when.on", "enter or leave", "%q is neither", w.On)
		}
	case w.Stream != "":
		c.refer("when.stream", KindStream, w.Stream, maps.Keys(c.set.Streams))
		if s := c.set.Streams[w.Stream]; s != nil && (s.Event == "") == (w.Event == "") {
			c.fail("when.event", "when: {stream: crm, event: registered}", "belongs to a stream whose messages say what each is called, and is needed there")
		}
	case w.Event != "":
		c.fail("when.event", "make a trigger of it, or name its stream", "needs a stream")
	case w.On != "":
		c.fail("when.on", "when: {audience: vip, on: enter}", "needs an audience")
	case w.Once != "":
		if !ValidName(w.Once) {
			c.fail("when.once", "it is made when somebody sends from the console", "%q is not the id of an order", w.Once)
		}
	case w.Schedule != "":
	case w.Trigger == "":
		c.fail("when", "when: {trigger: three-wins}", "says nothing")
	default:
		c.refer("when.trigger", KindTrigger, w.Trigger, maps.Keys(c.set.Triggers))
	}
}

// refer checks that a reference leads somewhere.
func (c *checker) refer(path string, kind Kind, name string, known func(func(string) bool)) {
	names := slices.Sorted(known)
	if _, found := slices.BinarySearch(names, name); found {
		return
	}
	hint := ""
	if n := nearest(name, names); n != "" {
		hint = "did you mean " + n + "?"
	} else if len(names) == 0 {
		hint = "there is no " + string(kind) + " yet"
	}
	c.fail(path, hint, "%s %q does not exist", kind, name)
}

// DefaultHoldout is the share of users that a campaign holds back to measure
// its lift.
const DefaultHoldout = 0.10

// HoldoutShare is the share of users held back, 0 to 1.
func (k *Campaign) HoldoutShare() (float64, error) {
	text := k.Limits.Holdout
	if text == "" {
		return DefaultHoldout, nil
	}
	return share(text)
}

// share reads a share like 10%: 0 to 1.
func share(text string) (float64, error) {
	number, percent := strings.CutSuffix(text, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !percent || math.IsNaN(v) || v < 0 || v > 100 {
		return 0, fmt.Errorf("%q is not a share: write it like 10%%", text)
	}
	return v / 100, nil
}

// Documents lists the set's definitions in order of kind and name. Channels
// that exist without a definition, and have none, are left out.
func (s *Set) Documents() []Document {
	var docs []Document
	docs = appendKind(docs, KindSource, s.Sources)
	docs = appendKind(docs, KindEvent, s.Events)
	docs = appendKind(docs, KindCollection, s.Collections)
	docs = appendKind(docs, KindStream, s.Streams)
	docs = appendKind(docs, KindDimension, s.Dimensions)
	docs = appendKind(docs, KindFunnel, s.Funnels)
	docs = appendKind(docs, KindAudience, s.Audiences)
	docs = appendKind(docs, KindTrigger, s.Triggers)
	docs = appendKind(docs, KindTemplate, s.Templates)
	docs = appendKind(docs, KindChannel, s.Channels)
	docs = appendKind(docs, KindCampaign, s.Campaigns)
	if s.Sending != nil {
		docs = append(docs, NewDocument(KindSettings, s.Sending.Name, s.Sending))
	}
	docs = appendKind(docs, KindBoard, s.Boards)
	return slices.DeleteFunc(docs, func(d Document) bool {
		ch, ok := d.Spec.(*Channel)
		return ok && (d.Name == ChannelWeb || d.Name == ChannelOutbox) && ch.Cap == nil
	})
}

func appendKind[T any](docs []Document, k Kind, m map[string]*T) []Document {
	for _, name := range slices.SortedFunc(maps.Keys(m), cmp.Compare[string]) {
		docs = append(docs, NewDocument(k, name, m[name]))
	}
	return docs
}

// CampaignsOn lists the live campaigns that a trigger starts, by name.
func (s *Set) CampaignsOn(triggerName string) []*Campaign {
	var out []*Campaign
	for _, k := range s.Campaigns {
		if k.Status == Live && k.When.Starts() == triggerName {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b *Campaign) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// AllTriggers are the triggers that were defined, and those that live campaigns
// on an audience or a stream stand for.
func (s *Set) AllTriggers() map[string]*trigger.Definition {
	out := s.Triggers
	for _, k := range s.Campaigns {
		if k.Status != Live || k.When.Audience == "" && k.When.Stream == "" {
			continue
		}
		if len(out) == len(s.Triggers) {
			if out = maps.Clone(s.Triggers); out == nil {
				out = map[string]*trigger.Definition{}
			}
		}
		out[k.When.Starts()] = k.When.implied(s)
	}
	return out
}

// AudienceNamed is the tree of a dynamic audience: with DimensionNamed, a Set is
// measure.Names. The members of a frozen one are kept elsewhere.
func (s *Set) AudienceNamed(name string) (*measure.Audience, error) {
	a := s.Audiences[name]
	if a == nil {
		return nil, nil
	}
	if a.Frozen != "" {
		return nil, errors.New("is frozen, and its members are not at hand")
	}
	return &a.Audience, nil
}

// DimensionNamed is a dimension that was defined, or else a built-in one.
func (s *Set) DimensionNamed(name string) (*measure.Dimension, error) {
	if d := s.Dimensions[name]; d != nil {
		return d, nil
	}
	for _, d := range measure.BuiltIn() {
		if d.Name == name {
			return &d, nil
		}
	}
	return nil, nil
}

func (s *Set) dimensionNames() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, d := range measure.BuiltIn() {
			if s.Dimensions[d.Name] == nil && !yield(d.Name) {
				return
			}
		}
		for name := range s.Dimensions {
			if !yield(name) {
				return
			}
		}
	}
}

// unfrozen takes frozen audiences by their trees too: to check them.
type unfrozen struct{ *Set }

func (s unfrozen) AudienceNamed(name string) (*measure.Audience, error) {
	if a := s.Audiences[name]; a != nil {
		return &a.Audience, nil
	}
	return nil, nil
}
