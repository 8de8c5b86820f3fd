package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"heed/internal/catalog"
	"heed/internal/console/analysis"
	"heed/internal/console/api"
	"heed/internal/console/drafts"
	"heed/internal/definition"
	"heed/internal/engager/content"
	"heed/internal/measure"
	"heed/internal/policy"
)

// Sends sends to a list of users; the Engager does. Times are µs since the
// Unix epoch.
type Sends interface {
	// SendOnce orders that a campaign goes to the users. Repeating an order is no
	// harm: its first list counts.
	SendOnce(ctx context.Context, campaign, id string, users []string) (at int64, of int, err error)
	// Ordered tells of an order; of is 0 if there is none.
	Ordered(ctx context.Context, campaign, id string) (at int64, of int, err error)
	// Reachable is who of the users the campaign may write to, and how many others
	// by reason.
	Reachable(ctx context.Context, c *definition.Campaign, users []string) (left []string, refused map[policy.Reason]int, err error)
	// Treated are those of the users who would not be held back.
	Treated(campaign string, share float64, users []string) []string
	// Languages tells which text of the template how many of the users would get.
	Languages(ctx context.Context, t *definition.Template, users []string) ([]content.Readers, error)
	// Preview renders what a user would read, in the language of locale or the user's.
	Preview(ctx context.Context, t *definition.Template, campaign, user, locale string) (content.Rendered, error)
}

// send is what a draft comes to.
type send struct {
	docs     []definition.Document
	audience *definition.Audience
	entering *definition.Audience // users who enter it later get it too; nil: it goes once
	template *definition.Template
	campaign *definition.Campaign
}

const (
	defaultSendHoldout = "0%"
	reviewOrder        = "review" // stands for the order in a campaign that is only reviewed
)

// sendOf makes definitions of a draft, all under its name.
func sendOf(d *api.SendDraft, order string) (*send, error) {
	s := &send{
		template: &definition.Template{
			Name: d.Name, Channel: d.Channel, As: d.As, Locale: d.Locale,
			Text: definition.Text{Subject: d.Subject, Body: d.Body}, Locales: drafts.Texts(d.Locales),
		},
		campaign: &definition.Campaign{
			Name: d.Name, Description: d.Description, When: definition.When{Once: order}, Status: definition.Live,
			What:   []definition.Variant{{Channel: d.Channel, Template: d.Name}},
			Limits: definition.CampaignLimits{Holdout: cmp.Or(d.Holdout, defaultSendHoldout)},
		},
		audience: &definition.Audience{Name: d.Name, Description: d.Description, Zone: d.Zone, WeekStart: d.WeekStart},
	}
	if len(d.Audience) > 0 && string(d.Audience) != "null" {
		tree, err := measure.ParseAudience(d.Audience)
		if err != nil {
			return nil, analysis.Refusal(err)
		}
		s.audience.Audience = *tree
		s.campaign.Who = []string{d.Name}
		s.docs = append(s.docs, definition.NewDocument(definition.KindAudience, d.Name, s.audience))
	}
	if d.Keep {
		if len(s.campaign.Who) == 0 {
			return nil, api.BadRequest("everybody is in it already", "name the users that it goes to, or send once")
		}
		s.entering = s.entered()
		s.campaign.When = definition.When{Audience: s.entering.Name, On: definition.Enter}
	}
	s.docs = append(s.docs,
		definition.NewDocument(definition.KindTemplate, d.Name, s.template),
		definition.NewDocument(definition.KindCampaign, d.Name, s.campaign))
	return s, nil
}

// entered is the audience that users enter who come later. Nobody is told to enter
// one that the profile decides on when it is asked for: another one names it then.
func (s *send) entered() *definition.Audience {
	if _, err := s.audience.Program(); errors.Is(err, definition.ErrBehavior) {
		return s.audience
	}
	name := s.audience.Name
	const suffix = "-entering"
	entering := &definition.Audience{
		Name: name[:min(len(name), 64-len(suffix))] + suffix, Description: "Who enters " + name,
		Audience: measure.Audience{All: []measure.Audience{{Audience: name}}},
	}
	s.docs = append(s.docs, definition.NewDocument(definition.KindAudience, entering.Name, entering))
	return entering
}

// unused expects that none of the definitions exists.
func (s *send) unused() map[string]int64 {
	out := make(map[string]int64, len(s.docs))
	for _, d := range s.docs {
		out[d.Ref()] = 0
	}
	return out
}

// canSend tells whether this process can.
func (c *Console) canSend(name string) error {
	if c.deps.Sends == nil || c.deps.Measures == nil {
		return api.Fail(http.StatusServiceUnavailable, "unavailable", "this process does not send", "run it with the roles engager and analytics, and facts.off unset")
	}
	return nameOf(definition.KindCampaign, name)
}

// everybody lists the users of an audience as of a moment, all of them.
func (c *Console) everybody(ctx context.Context, a *definition.Audience, now time.Time) ([]string, error) {
	q := a.Query()
	q.AsOf = now.UTC().Format(time.RFC3339Nano)
	users, err := measure.Everybody(q, func(q *measure.Query) (measure.Result, error) {
		return c.deps.Measures.Answer(ctx, q, c.analysis.Names(ctx), now.UnixMicro())
	})
	if err != nil {
		return nil, analysis.Refusal(err)
	}
	return users, nil
}

// ReviewSend tells whom a message would reach.
func (s *server) ReviewSend(ctx context.Context, r api.ReviewSendRequestObject) (api.ReviewSendResponseObject, error) {
	c := s.c
	if err := c.canSend(r.Body.Name); err != nil {
		return nil, err
	}
	draft, err := sendOf(r.Body, reviewOrder)
	if err != nil {
		return nil, err
	}
	if _, err := c.deps.Definitions.Apply(ctx, draft.docs, catalog.Options{DryRun: true, Expect: draft.unused()}); err != nil {
		return nil, sendConflict(r.Body.Name, err)
	}
	now := c.now()
	users, err := c.everybody(ctx, draft.audience, now)
	if err != nil {
		return nil, err
	}
	share, err := draft.campaign.HoldoutShare()
	if err != nil {
		return nil, err // it was checked
	}
	left, refused, err := c.deps.Sends.Reachable(ctx, draft.campaign, users)
	if err != nil {
		return nil, err
	}
	treated := c.deps.Sends.Treated(r.Body.Name, share, left)
	refused[policy.Holdout] = len(left) - len(treated)
	out := api.ReviewSend200JSONResponse{
		AsOf: now.UTC(), Matched: int64(len(users)), Sending: int64(len(treated)), Excluded: []api.Exclusion{},
	}
	for _, why := range policy.Reasons() {
		if n := refused[why]; n > 0 {
			out.Excluded = append(out.Excluded, api.Exclusion{Reason: string(why), Sentence: why.Sentence(), Users: int64(n)})
		}
	}
	if len(users) > 0 {
		out.Preview = c.preview(ctx, draft.template, users[0], "")
	}
	if len(draft.template.Locales) > 0 {
		if out.Languages, err = c.languages(ctx, draft.template, treated); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// languages tells which text how many of the users get, and shows it to one of them.
func (c *Console) languages(ctx context.Context, t *definition.Template, users []string) ([]api.SendLanguage, error) {
	all, err := c.deps.Sends.Languages(ctx, t, users)
	if err != nil {
		return nil, err
	}
	out := make([]api.SendLanguage, len(all))
	for i, r := range all {
		out[i] = api.SendLanguage{Locale: r.Locale, Fallback: r.Fallback, Users: int64(r.Users), Unknown: int64(r.Unknown)}
		if r.First != "" {
			out[i].Preview = c.preview(ctx, t, r.First, "")
		}
	}
	return out, nil
}

func (c *Console) preview(ctx context.Context, t *definition.Template, user, reader string) api.SendPreview {
	p := api.SendPreview{User: user, Missing: []string{}}
	made, err := c.deps.Sends.Preview(ctx, t, t.Name, user, reader)
	if err != nil {
		p.Error = err.Error()
		return p
	}
	p.Subject, p.Body, p.Missing = made.Subject, made.Body, append(p.Missing, made.Missing...)
	return p
}

// sendConflict says which name is taken.
func sendConflict(name string, err error) error {
	if errors.Is(err, catalog.ErrConflict) {
		return api.Fail(http.StatusConflict, "conflict", fmt.Sprintf("something is called %q already", name), "choose another name")
	}
	return err
}

// PostSend sends once, or goes on.
func (s *server) PostSend(ctx context.Context, r api.PostSendRequestObject) (api.PostSendResponseObject, error) {
	c, asked := s.c, r.Body
	if err := c.canSend(asked.Name); err != nil {
		return nil, err
	}
	if !definition.ValidName(asked.Id) || asked.Id == reviewOrder {
		return nil, api.BadRequest("id is not one of an order", "8 to 64 letters, digits, - _ and .")
	}
	order, err := sendOf(&api.SendDraft{
		Name: asked.Name, Description: asked.Description, Audience: asked.Audience, Zone: asked.Zone, WeekStart: asked.WeekStart, Channel: asked.Channel,
		As: asked.As, Locale: asked.Locale, Subject: asked.Subject, Body: asked.Body, Locales: asked.Locales, Holdout: asked.Holdout, Keep: asked.Keep,
	}, asked.Id)
	if err != nil {
		return nil, err
	}
	sent := func(at int64, of int, err error) (api.PostSendResponseObject, error) {
		if err != nil {
			return nil, err
		}
		out := api.PostSend200JSONResponse{Campaign: asked.Name, At: api.Time(at), Users: int64(of)}
		if len(order.campaign.Who) > 0 {
			out.Audience = asked.Name
		}
		return out, nil
	}
	if at, of, err := c.deps.Sends.Ordered(ctx, asked.Name, asked.Id); err != nil || of > 0 {
		return sent(at, of, err)
	}
	users, err := c.everybody(ctx, order.audience, c.now())
	if err != nil {
		return nil, err
	}
	switch n := int64(len(users)); {
	case n != asked.Matched:
		return nil, api.Fail(http.StatusConflict, "drifted", fmt.Sprintf("there are %d users in the audience now, and not %d as reviewed; nothing was sent", n, asked.Matched), "review it again")
	case n == 0:
		return nil, api.BadRequest("nobody is in the audience", "")
	}
	if err := c.define(ctx, order, users); err != nil {
		return nil, err
	}
	return sent(c.deps.Sends.SendOnce(ctx, asked.Name, asked.Id, users))
}

// define puts the definitions of an order in force. An earlier try may have got
// as far as that: then the campaign under the name is this one. Who enters from now
// on is told from these users.
func (c *Console) define(ctx context.Context, s *send, users []string) error {
	now := c.deps.Definitions.Current()
	if have := now.Campaigns[s.campaign.Name]; have != nil && reflect.DeepEqual(have, s.campaign) {
		return nil
	}
	if s.entering != nil && c.deps.Audiences != nil {
		if now.Audiences[s.entering.Name] != nil {
			return sendConflict(s.campaign.Name, catalog.ErrConflict)
		}
		if err := c.deps.Audiences.Begin(ctx, s.entering.Name, []*definition.Audience{s.audience, s.entering}, users); err != nil {
			return err
		}
	}
	_, err := c.apply(ctx, s.docs, catalog.Options{Expect: s.unused()})
	return sendConflict(s.campaign.Name, err)
}
