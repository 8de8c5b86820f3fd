// Package explain owns the answer to "why did, or did not, this user get this
// campaign?": it puts together what became of the user's activations, what waits,
// how far the campaign's trigger is, and what would be decided now, and says it in
// sentences.
//
// It owns none of these: outcomes come from the log, progress from the Decider,
// decisions from the Engager.
package explain

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/eventlog/logsearch"
	"heed/internal/policy"
	"heed/internal/profile"
	"heed/internal/userstate"
)

// Prospect is what would be decided now.
type Prospect struct {
	Wait              policy.Wait   // "": for nothing
	Reason            policy.Reason // None: it would be sent, after the wait if there is one
	Detail            string
	Template, Channel string
}

// Waiting is an activation that has not ended. Times are µs since the Unix epoch.
type Waiting struct {
	Campaign string
	Why      policy.Wait
	At       int64
	Due      int64 // 0: when somebody lifts what holds it back
	Attempts int
	Detail   string
}

// Sender tells what the Engager would do and has not finished.
type Sender interface {
	Prospect(ctx context.Context, user, campaign string) (Prospect, error)
	Waiting(ctx context.Context, ids []string) ([]Waiting, error)
}

// Triggers tells how far a user is in a trigger.
type Triggers interface {
	ExplainTrigger(ctx context.Context, user, trigger string) (api.TriggerExplanation, error)
}

// Deps is what explanations are made of. Sender and Triggers may be nil: then
// these parts are missing.
type Deps struct {
	Log         eventlog.Log
	State       userstate.Store
	Definitions interface{ Current() *definition.Set }
	Sender      Sender
	Triggers    Triggers
	Now         func() time.Time
	Budget      time.Duration // of searching the log
}

// Campaigns answers the API's calls about users and campaigns. Its methods may be
// called concurrently.
type Campaigns struct{ Deps }

// maxOutcomes bounds the outcomes of a user that are looked at, shownOutcomes
// those that are told of each campaign.
const maxOutcomes, shownOutcomes = 500, 10

// ExplainCampaign explains one campaign.
func (c *Campaigns) ExplainCampaign(ctx context.Context, r api.ExplainCampaignRequestObject) (api.ExplainCampaignResponseObject, error) {
	u, err := c.user(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	found, err := c.outcomes(ctx, u, r.Name)
	if err != nil {
		return nil, err
	}
	if c.Definitions.Current().Campaigns[r.Name] == nil && len(found.of[r.Name]) == 0 {
		return nil, api.NotFound("there is no campaign of this name, and none is known to have reached this user")
	}
	x, err := c.explain(ctx, u, r.Name, found)
	if err != nil {
		return nil, err
	}
	return api.ExplainCampaign200JSONResponse(x), nil
}

// ExplainCampaigns explains all campaigns that are defined, and those that are
// gone but have outcomes.
func (c *Campaigns) ExplainCampaigns(ctx context.Context, r api.ExplainCampaignsRequestObject) (api.ExplainCampaignsResponseObject, error) {
	u, err := c.user(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	found, err := c.outcomes(ctx, u, "")
	if err != nil {
		return nil, err
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(c.Definitions.Current().Campaigns)), maps.Keys(found.of))
	slices.Sort(names)
	out := api.ExplainCampaigns200JSONResponse{Campaigns: []api.CampaignExplanation{}, SearchedTo: found.searchedTo, Complete: found.complete}
	for _, name := range slices.Compact(names) {
		x, err := c.explain(ctx, u, name, found)
		if err != nil {
			return nil, err
		}
		out.Campaigns = append(out.Campaigns, x)
	}
	return out, nil
}

// user is who is asked about: under which ids, in which partitions of the log.
type user struct {
	id         string
	asked      string
	movedAt    int64
	ids        map[string]bool
	partitions []int
	waiting    []Waiting
}

func (c *Campaigns) user(ctx context.Context, id string) (*user, error) {
	if id == "" || len(id) > 4*event.MaxIDBytes {
		return nil, api.NotFound("no user has such an id")
	}
	u := &user{id: id, asked: id, ids: map[string]bool{}}
	p, err := c.profile(ctx, id)
	if err != nil {
		return nil, err
	}
	if p != nil && p.Moved.To != "" {
		u.id, u.movedAt, u.ids[id] = p.Moved.To, p.Moved.At, true
		if p, err = c.profile(ctx, u.id); err != nil {
			return nil, err
		}
	}
	if p == nil {
		return nil, api.Fail(http.StatusNotFound, "not_found", "no user has this id", "an event makes a user; it takes a moment")
	}
	u.ids[u.id] = true
	for _, other := range p.AnonymousIDs {
		u.ids[other] = true
	}
	for other := range u.ids {
		if at := eventlog.PartitionOf(other, c.Log.Partitions()); !slices.Contains(u.partitions, at) {
			u.partitions = append(u.partitions, at)
		}
	}
	if c.Sender != nil {
		if u.waiting, err = c.Sender.Waiting(ctx, slices.Sorted(maps.Keys(u.ids))); err != nil {
			return nil, fmt.Errorf("what waits for %.40q: %w", u.id, err)
		}
	}
	return u, nil
}

// profile is nil for a user that was never seen.
func (c *Campaigns) profile(ctx context.Context, id string) (*profile.Profile, error) {
	value, err := c.State.Get(ctx, eventlog.PartitionOf(id, c.Log.Partitions()), userstate.Profile, id)
	if err != nil {
		return nil, fmt.Errorf("read a profile: %w", err)
	}
	if value == nil {
		return nil, nil //nolint:nilnil // no user is no error
	}
	p, err := profile.Decode(value)
	if err != nil {
		return nil, fmt.Errorf("read the profile of %.40q: %w", id, err)
	}
	return p, nil
}

// outcomes are what the log says of a user, by campaign, newest first.
type outcomes struct {
	of         map[string][]outcome
	searchedTo time.Time
	complete   bool
}

type outcome struct {
	api.Delivery
	detail string
}

// outcomes searches the log; campaign "" means all.
func (c *Campaigns) outcomes(ctx context.Context, u *user, campaign string) (*outcomes, error) {
	search := &logsearch.Search{
		Log: c.Log, Now: c.Now, Budget: c.Budget, Want: maxOutcomes,
		Match: func(h *event.Header) bool { return api.IsDelivery(h.Name) && u.ids[h.User()] },
		Take: func(partition int, offset uint64, e *event.Event) (any, bool) {
			d, err := api.DeliveryOf(partition, offset, e)
			if err != nil || campaign != "" && d.Campaign != campaign {
				return nil, false
			}
			return outcome{d, detailOf(e)}, true
		},
	}
	res, err := search.Run(ctx, u.partitions, "")
	if err != nil {
		return nil, err
	}
	out := &outcomes{of: map[string][]outcome{}, searchedTo: api.Time(res.SearchedTo), complete: res.Complete}
	for _, h := range res.Hits {
		if o, ok := h.Item.(outcome); ok {
			out.of[o.Campaign] = append(out.of[o.Campaign], o)
		}
	}
	return out, nil
}

// explain puts one explanation together.
func (c *Campaigns) explain(ctx context.Context, u *user, name string, found *outcomes) (api.CampaignExplanation, error) {
	x := api.CampaignExplanation{
		User: u.id, Campaign: name, Waiting: []api.WaitingDelivery{}, Outcomes: []api.ExplainedOutcome{}, Text: []string{},
		SearchedTo: found.searchedTo, Complete: found.complete,
	}
	def := c.Definitions.Current().Campaigns[name]
	var steps []string
	if def != nil {
		x.Status = api.CampaignExplanationStatus(def.Status)
		x.Trigger = def.When.Trigger
		if x.Trigger != "" && c.Triggers != nil {
			t, err := c.Triggers.ExplainTrigger(ctx, u.id, x.Trigger)
			if ctx.Err() != nil {
				return x, ctx.Err()
			}
			if steps = t.Text; err != nil { // the rest is worth knowing
				steps = []string{fmt.Sprintf("Where the user stands is not known at the moment: %v.", err)}
			}
		}
		if c.Sender != nil {
			p, err := c.Sender.Prospect(ctx, u.id, name)
			if err != nil {
				return x, fmt.Errorf("what would be decided on %s: %w", name, err)
			}
			x.Now = prospect(def, &p)
		}
	}
	for _, o := range found.of[name] {
		if len(x.Outcomes) < shownOutcomes {
			x.Outcomes = append(x.Outcomes, api.ExplainedOutcome{
				At: o.At, Status: o.Status, Reason: o.Reason, Channel: o.Channel, Template: o.Template, Test: o.Test, Text: o.text(),
			})
		}
	}
	for _, w := range u.waiting {
		if w.Campaign == name {
			x.Waiting = append(x.Waiting, api.WaitingDelivery{At: api.Time(w.At), Due: api.Time(w.Due), Reason: string(w.Why), Attempts: w.Attempts, Text: w.text()})
		}
	}
	x.Answer, x.Got = answer(def, found, name, x.Waiting, steps)
	x.Text = text(u, def, &x, steps)
	return x, nil
}

// answer is the one reason: the newest outcome if there is one, else what waits,
// else what keeps the campaign from starting.
func answer(def *definition.Campaign, found *outcomes, name string, waiting []api.WaitingDelivery, steps []string) (sentence string, got bool) {
	for _, o := range found.of[name] {
		if o.Settles && !o.Test && !o.Machine {
			return o.text() + " Until then it was unknown whether it had arrived.", o.Status != api.StatusBounced
		}
		if o.Test || followed(o.Status) {
			continue // of tests, and of what was sent before it
		}
		return o.text(), o.Status == api.StatusSent
	}
	never := "No attempt is known"
	if !found.complete && !found.searchedTo.IsZero() {
		never += " since " + clock(found.searchedTo)
	}
	switch {
	case len(waiting) > 0:
		return waiting[0].Text, false
	case def == nil:
		return never + ": there is no campaign of this name any more.", false
	case def.Status != definition.Live:
		return fmt.Sprintf("%s: the campaign is not live (%s).", never, def.Status), false
	case def.When.Once != "":
		return never + ": it was sent once, by hand, and this user was not among those it was sent to.", false
	case def.When.Audience != "" && def.When.On == definition.Leave:
		return fmt.Sprintf("%s: it starts when the user leaves the audience %s, which has not happened while it was live.", never, def.When.Audience), false
	case def.When.Audience != "":
		return fmt.Sprintf("%s: it starts when the user enters the audience %s, which has not happened while it was live.", never, def.When.Audience), false
	case def.When.Stream != "":
		return fmt.Sprintf("%s: it starts with a message of the stream %s about the user, and none came while it was live.", never, def.When.Stream), false
	case len(steps) > 0:
		return fmt.Sprintf("%s: its trigger %s has not fired. %s", never, def.When.Trigger, steps[0]), false
	}
	return fmt.Sprintf("%s: it starts when trigger %s fires.", never, def.When.Trigger), false
}

// text is everything in sentences.
func text(u *user, def *definition.Campaign, x *api.CampaignExplanation, steps []string) []string {
	var out []string
	if u.asked != u.id {
		out = append(out, fmt.Sprintf("%s is %s since %s.", u.asked, u.id, clock(api.Time(u.movedAt))))
	}
	out = append(out, x.Answer)
	for _, w := range x.Waiting {
		if w.Text != x.Answer {
			out = append(out, w.Text)
		}
	}
	for _, o := range x.Outcomes {
		if o.Text != x.Answer {
			out = append(out, o.Text)
		}
	}
	if x.Now.Text != "" {
		out = append(out, x.Now.Text)
	}
	if def != nil && len(steps) > 0 {
		out = append(out, "Its trigger "+def.When.Trigger+":")
		out = append(out, steps...)
	}
	return out
}

// clock writes a time for people.
func clock(t time.Time) string {
	return strings.Replace(t.UTC().Format(time.DateTime), " ", " at ", 1) + " UTC"
}
