package engager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/phone"
	"heed/internal/policy"
	"heed/internal/profile"
	"heed/internal/reach"
)

// standing is what is kept of a user with a campaign for as long as there is the
// campaign. That of the campaign without a name is the user's with all marketing.
type standing struct {
	Arm policy.Arm `json:"arm,omitempty"`
	// Met: the user turned out to be two, of different arms. It tells nothing any
	// more about what the campaign achieved.
	Met      bool  `json:"met,omitempty"`
	Received int64 `json:"received,omitempty"` // when it was last sent, µs; 0: never
	// Which content the user was given, of a campaign that has several.
	Template string `json:"template,omitempty"`
	Channel  string `json:"channel,omitempty"`
}

func standingKey(campaign, user string) string { return campaign + "\x00" + user }

func (s *standing) write(campaign, user string) (documents.Write, error) {
	value, err := json.Marshal(s)
	if err != nil {
		return documents.Write{}, &corrupt{fmt.Errorf("encode standing: %w", err)}
	}
	// One lane serves a user, so nobody else writes it.
	return documents.Write{Collection: CollectionStanding, Key: standingKey(campaign, user), Value: value, Expect: documents.Any}, nil
}

// standing reads what is kept of a person, whatever ids it was kept under, and of
// its present one alone.
func (e *Engager) standing(ctx context.Context, campaign string, ids []string) (all, own standing, err error) {
	for i, id := range ids {
		var s standing
		d, err := e.deps.Documents.Get(ctx, CollectionStanding, standingKey(campaign, id))
		switch {
		case errors.Is(err, documents.ErrNotFound):
			continue
		case err != nil:
			return all, own, fmt.Errorf("read standing: %w", err)
		}
		if err := json.Unmarshal(d.Value, &s); err != nil {
			return all, own, &corrupt{fmt.Errorf("decode standing: %w", err)}
		}
		if i == 0 {
			own = s
		}
		all.Met = all.Met || s.Met || all.Arm != policy.Unassigned && s.Arm != policy.Unassigned && all.Arm != s.Arm
		all.Arm = all.Arm.Meet(s.Arm)
		if all.Template == "" { // where two meet, the present id's counts
			all.Template, all.Channel = s.Template, s.Channel
		}
		all.Received = max(all.Received, s.Received)
	}
	return all, own, nil
}

// person is who an intent is about, by what is known now: the id, and before it
// all ids under which something may have been kept.
type person struct {
	ids     []string // the present one first
	profile *profile.Profile
}

func (p *person) id() string { return p.ids[0] }

// person follows an id that has turned out since to be another user's.
func (m *moment) person(ctx context.Context) (*person, error) {
	if m.who != nil {
		return m.who, nil
	}
	id, p, err := reach.Whose(ctx, m, m.intent.User)
	if err != nil {
		return nil, err
	}
	out := &person{ids: []string{id}, profile: p}
	before := []string{m.intent.User}
	if p != nil {
		before = append(before, p.AnonymousIDs...)
	}
	for _, id := range before {
		if !slices.Contains(out.ids, id) {
			out.ids = append(out.ids, id)
		}
	}
	m.who = out
	return out, nil
}

// groups asks on which side of the comparisons the user is and which content is the
// user's, and notes down what is new about it. It tells too whether the campaign was
// received before.
func (a *activation) groups(ctx context.Context, q *policy.Case, who *person) error {
	a.pending = nil
	several := len(a.c.variants) > 1
	for _, g := range []struct {
		campaign string
		group    *policy.Group
		received *bool
	}{{"", &q.Global, nil}, {a.name, &q.Holdout, &q.Received}} {
		if g.group.Share <= 0 && (g.received == nil || !q.Once && !several) {
			continue
		}
		all, own, err := a.worker.standing(ctx, g.campaign, who.ids)
		if err != nil {
			return err
		}
		g.group.Arm = all.Arm
		if g.received != nil {
			*g.received = all.Received > 0
			if several {
				q.Given = 1 + a.c.index(all.Template, all.Channel)
				if chosen := q.Choose(); chosen >= 0 {
					all.Template, all.Channel = a.c.variants[chosen].template, a.c.variants[chosen].channelName
				}
			}
		}
		if !q.Transactional {
			all.Arm = g.group.ArmOf(q.Salt, g.campaign, who.id())
		}
		if all == own {
			continue
		}
		if all.Met && !own.Met {
			a.worker.metrics.armsMet.Inc()
		}
		w, err := all.write(g.campaign, who.id())
		if err != nil {
			return err
		}
		a.pending = append(a.pending, w)
	}
	return nil
}

// limits are the caps on a content, with what they count; none for what is not
// marketing.
func (a *activation) limits(ctx context.Context, v *variant, ids []string) ([]policy.Limit, error) {
	var out []policy.Limit
	for _, k := range a.c.caps(v) {
		l := policy.Limit{Reason: k.reason, Count: k.cap.Count, Per: k.cap.Per.Duration()}
		for _, id := range ids {
			sent, _, err := a.worker.caps(ctx, capKey(id, k.of))
			if err != nil {
				return nil, err
			}
			l.Sent = append(l.Sent, sent...)
		}
		out = append(out, l)
	}
	return out, nil
}

// counter is a cap and what it counts: see capKey.
type counter struct {
	reason policy.Reason
	of     string
	cap    *definition.Cap
}

// channelCap names what a channel's cap counts. No campaign has such a name.
func channelCap(channel string) string { return "\x00" + channel }

// caps are those that hold for a content. What only writes a document is no
// message, and counts for the campaign's own cap alone.
func (c *campaign) caps(v *variant) []counter {
	var out []counter
	add := func(r policy.Reason, of string, k *definition.Cap) {
		if k != nil {
			out = append(out, counter{r, of, k})
		}
	}
	if c.transactional() {
		return nil
	}
	add(policy.Cap, c.name, c.cap)
	if v.definition != nil && v.definition.Type != definition.ChannelPull {
		add(policy.CapAll, "", c.capAll)
		add(policy.CapChannel, channelCap(v.channelName), v.definition.Cap)
	}
	return out
}

// unsure counts what may have arrived like what was sent, and keeps that a receipt
// which comes yet settles it.
func (a *activation) unsure(ctx context.Context) ([]documents.Write, error) {
	writes, err := a.count(ctx)
	if err != nil {
		return nil, err
	}
	record, err := a.worker.deps.Book.Unsure(ctx, DeliveryID(a.worker.deps.Secret, a.id))
	return append(writes, record...), err
}

// count adds a send to what the caps count, and to what is known of the user.
func (a *activation) count(ctx context.Context) ([]documents.Write, error) {
	if a.intent.Test || a.c == nil {
		return nil, nil
	}
	counters := []counter(nil)
	if v := a.c.variant(a.entry.Template, a.entry.Channel); v != nil {
		counters = a.c.caps(v)
	}
	if len(counters) == 0 && !a.c.once {
		return nil, nil
	}
	who, err := a.person(ctx)
	if err != nil {
		return nil, err
	}
	at := a.entry.Finished
	var writes []documents.Write
	for _, k := range counters {
		key := capKey(who.id(), k.of)
		sent, version, err := a.worker.caps(ctx, key)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(append(policy.Counted(sent, at, k.cap.Per.Duration()), at))
		if err != nil {
			return nil, &corrupt{fmt.Errorf("encode cap: %w", err)}
		}
		writes = append(writes, documents.Write{Collection: CollectionCaps, Key: key, Value: value, Expect: version})
	}
	if a.c.once {
		all, _, err := a.worker.standing(ctx, a.name, who.ids)
		if err != nil {
			return nil, err
		}
		all.Received = at
		w, err := all.write(a.name, who.id())
		if err != nil {
			return nil, err
		}
		writes = append(writes, w)
	}
	return writes, nil
}

// clocks are those that may be on the user's wall: the one that the browser told
// of; else those of the country that a number belongs to; else the
// installation's.
func (e *Engager) clocks(p *profile.Profile, to string) []*time.Location {
	if p != nil && p.Timezone != "" {
		if z := e.zone(p.Timezone); z != nil {
			return []*time.Location{z}
		}
	}
	var out []*time.Location
	for _, name := range phone.Zones(to) { // none for what is no number
		if z := e.zone(name); z != nil {
			out = append(out, z)
		}
	}
	if len(out) == 0 {
		out = append(out, e.deps.Zone)
	}
	return out
}

// zone finds a zone; nil if there is none of that name: browsers say many things.
func (e *Engager) zone(name string) *time.Location {
	if z, ok := e.zones.Load(name); ok {
		return z.(*time.Location) //nolint:forcetypeassert // nothing else is stored
	}
	z, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil
	}
	e.zones.Store(name, z)
	return z
}

// converted is when a person last did an event that is some campaign's goal, µs;
// 0: not that it is known.
func (e *Engager) converted(ctx context.Context, goal string, ids []string) (last int64, err error) {
	for _, id := range ids {
		d, err := e.deps.Documents.Get(ctx, CollectionGoals, goalKey(goal, id))
		if errors.Is(err, documents.ErrNotFound) {
			continue
		}
		if err != nil {
			return 0, fmt.Errorf("read goal: %w", err)
		}
		at, err := strconv.ParseInt(string(d.Value), 10, 64)
		if err != nil {
			return 0, &corrupt{fmt.Errorf("decode goal: %w", err)}
		}
		last = max(last, at)
	}
	return last, nil
}

// ExpireStandings forgets what is known of users with campaigns that are gone; it
// tells how many.
func (e *Engager) ExpireStandings(ctx context.Context) (int, error) {
	removed := 0
	for after := ""; ; {
		docs, err := e.deps.Documents.List(ctx, documents.Query{Collection: CollectionStanding, After: after, Limit: 500})
		if err != nil {
			return removed, fmt.Errorf("engager: list standings: %w", err)
		}
		if len(docs) == 0 {
			return removed, nil
		}
		var writes []documents.Write
		for _, d := range docs {
			after = d.Key
			campaign, _, _ := strings.Cut(d.Key, "\x00")
			if campaign == "" || e.deps.Definitions.Current().Campaigns[campaign] != nil {
				after = campaign + "\x00\xff\xff" // on to the next campaign: no id begins so
				break
			}
			writes = append(writes, documents.Write{Collection: CollectionStanding, Key: d.Key, Expect: documents.Any})
		}
		if err := e.deps.Documents.Apply(ctx, documents.Relaxed, writes...); err != nil {
			return removed, fmt.Errorf("engager: remove standings: %w", err)
		}
		removed += len(writes)
	}
}
