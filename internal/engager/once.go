package engager

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"heed/internal/consent"
	"heed/internal/definition"
	"heed/internal/engager/content"
	"heed/internal/engager/order"
	"heed/internal/event"
	"heed/internal/policy"
	"heed/internal/reach"
	"heed/internal/render"
)

// SendOnce orders that a campaign which is started once goes to the users, as
// order.Desk says.
func (e *Engager) SendOnce(ctx context.Context, campaign, id string, users []string) (order.Order, error) {
	return e.desk.Place(ctx, campaign, id, users)
}

// Ordered is an order as it stands; without an id if there is none.
func (e *Engager) Ordered(ctx context.Context, campaign, id string) (order.Order, error) {
	return e.desk.Find(ctx, campaign, id)
}

// Reachable asks, as the decision does, who of the users a campaign may write to by
// its first content's channel: those, and how many others by reason.
func (e *Engager) Reachable(ctx context.Context, c *definition.Campaign, users []string) ([]string, map[policy.Reason]int, error) {
	refused := map[policy.Reason]int{}
	def := e.deps.Definitions.Current().Channels[c.What[0].Channel]
	if def == nil {
		return nil, nil, fmt.Errorf("engager: channel %q does not exist", c.What[0].Channel)
	}
	left := make([]string, 0, len(users))
	for _, u := range users {
		user, p, err := reach.Whose(ctx, e.deps.Profiles, u)
		if err != nil {
			return nil, nil, err
		}
		a, err := e.deps.Book.Ask(ctx, &reach.Question{
			User: user, Profile: p, Purpose: cmp.Or(c.Purpose, consent.Marketing), Campaign: c.Name, Channel: def,
		})
		if err != nil {
			return nil, nil, err
		}
		if why := a.Refusal(); why != policy.None {
			refused[why]++
			continue
		}
		left = append(left, u)
	}
	return left, refused, nil
}

// Treated are those of the users whom a campaign of that name would not hold back,
// nor would all marketing.
func (e *Engager) Treated(campaign string, share float64, users []string) []string {
	global := e.current().global
	return slices.DeleteFunc(slices.Clone(users), func(u string) bool {
		return policy.HeldOut(e.salt, "", u, global) || policy.HeldOut(e.salt, campaign, u, share)
	})
}

// Languages tells which text of a template how many of the users would get.
func (e *Engager) Languages(ctx context.Context, t *definition.Template, users []string) ([]content.Readers, error) {
	tally := content.NewTally(t)
	for _, u := range users {
		_, p, err := reach.Whose(ctx, e.deps.Profiles, u)
		if err != nil {
			return nil, err
		}
		tally.Add(u, p)
	}
	return tally.Readers(), nil
}

// Preview renders what a campaign's template would say to a user, by what is
// known of the user now, and in the language of locale if it is not empty.
func (e *Engager) Preview(ctx context.Context, t *definition.Template, campaign, user, locale string) (content.Rendered, error) {
	return e.preview(ctx, t, campaign, user, locale, nil)
}

func (e *Engager) preview(ctx context.Context, t *definition.Template, campaign, user, locale string, ev *event.Event) (content.Rendered, error) {
	p, err := e.deps.Profiles.Profile(ctx, user)
	if err != nil {
		return content.Rendered{}, fmt.Errorf("read profile: %w", err)
	}
	mode := render.HTML
	if def := e.deps.Definitions.Current().Channels[t.Channel]; def != nil {
		mode = t.Mode(def)
	}
	made, err := content.New(e.cache, t, mode)
	if err != nil {
		return content.Rendered{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.RenderTimeout)
	defer cancel()
	in := e.input(ctx, user, campaign)
	in.Event, in.Profile, in.Unsubscribe, in.Confirm = ev, p, "#", "#" // a preview ends nothing
	return made.Render(ctx, in, locale)
}
