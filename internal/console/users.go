package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"heed/internal/console/api"
	"heed/internal/console/explain"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/eventlog/logsearch"
	"heed/internal/peer"
	"heed/internal/profile"
	"heed/internal/userstate"
)

func textOf(jsonValue string) string {
	var s string
	if jsonValue == "" || json.Unmarshal([]byte(jsonValue), &s) != nil {
		return ""
	}
	return s
}

// nameOfUser is what people call the user, if the traits say.
func nameOfUser(p *profile.Profile) string {
	if name := textOf(p.Trait("name")); name != "" {
		return name
	}
	return strings.TrimSpace(textOf(p.Trait("firstName")) + " " + textOf(p.Trait("lastName")))
}

func userSummaryOf(id string, p *profile.Profile) api.UserSummary {
	return api.UserSummary{
		Id: id, Known: p.UserID != "", MovedTo: p.Moved.To, Name: nameOfUser(p), Email: p.Email.Value, Phone: p.Phone.Value,
		FirstSeen: api.Time(p.FirstSeen), LastSeen: api.Time(p.LastSeen), Country: p.Country,
	}
}

// summaryOf is what is known of a user; of one who has no profile yet, the id.
func (c *Console) summaryOf(ctx context.Context, id string) (api.UserSummary, error) {
	value, err := c.deps.State.Get(ctx, eventlog.PartitionOf(id, c.deps.Log.Partitions()), userstate.Profile, id)
	if err != nil {
		return api.UserSummary{}, fmt.Errorf("read the profile of %.40q: %w", id, err)
	}
	if value == nil {
		return api.UserSummary{Id: id}, nil
	}
	p, err := profile.Decode(value)
	if err != nil {
		return api.UserSummary{}, fmt.Errorf("read the profile of %.40q: %w", id, err)
	}
	return userSummaryOf(id, p), nil
}

// search looks through the profiles partition by partition.
type search struct {
	c        *Console
	limit    int
	deadline time.Time
	out      map[string]api.UserSummary
	more     bool
	complete bool
}

// scanPage is how many profiles are read at once.
const scanPage = 500

// prefix adds users whose id starts with it.
func (s *search) prefix(ctx context.Context, prefix string) error {
	return s.scan(ctx, prefix, func(string, *profile.Profile) bool { return true }, true)
}

// scan visits the profiles until enough were kept or the time is up.
func (s *search) scan(ctx context.Context, prefix string, keep func(id string, p *profile.Profile) bool, all bool) error {
	for partition := range s.c.deps.Log.Partitions() {
		got := 0
		for after := ""; ; {
			if s.c.now().After(s.deadline) {
				s.complete = false
				return nil
			}
			limit := scanPage
			if all {
				limit = min(scanPage, s.limit+1)
			}
			rows, err := s.c.deps.State.Scan(ctx, partition, userstate.Profile, prefix, after, limit)
			if err != nil {
				return fmt.Errorf("search users: %w", err)
			}
			for _, row := range rows {
				after = row.User
				p, err := profile.Decode(row.Value)
				if err != nil {
					return fmt.Errorf("search users: profile of %.40q: %w", row.User, err)
				}
				if keep(row.User, p) {
					s.out[row.User] = userSummaryOf(row.User, p)
					got++
				}
			}
			if len(rows) < limit {
				break
			}
			if got > s.limit {
				s.more = true
				break
			}
		}
	}
	return nil
}

// ListUsers searches users.
func (s *server) ListUsers(ctx context.Context, r api.ListUsersRequestObject) (api.ListUsersResponseObject, error) {
	c := s.c
	limit, err := api.PageSize(r.Params.Limit)
	if err != nil {
		return nil, err
	}
	q := strings.TrimSpace(r.Params.Q)
	if len(q) > 254 {
		return nil, api.BadRequest("q is too long", "")
	}
	find := &search{c: c, limit: limit, deadline: c.now().Add(c.cfg.ScanBudget), out: map[string]api.UserSummary{}, complete: true}
	if err := find.prefix(ctx, q); err != nil {
		return nil, err
	}
	if q != "" {
		same := func(s string) bool { return s != "" && strings.EqualFold(s, q) }
		err := find.scan(ctx, "", func(_ string, p *profile.Profile) bool {
			return same(p.Email.Value) || same(p.Phone.Value) || same(nameOfUser(p)) || slices.Contains(p.AnonymousIDs, q)
		}, false)
		if err != nil {
			return nil, err
		}
	}
	out := api.ListUsers200JSONResponse{Users: []api.UserSummary{}, Complete: find.complete, More: find.more}
	for _, u := range find.out {
		out.Users = append(out.Users, u)
	}
	slices.SortFunc(out.Users, func(a, b api.UserSummary) int {
		if a.Id == q || b.Id == q { // an exact hit comes first
			if a.Id == q {
				return -1
			}
			return 1
		}
		if q != "" {
			return strings.Compare(a.Id, b.Id)
		}
		if d := b.LastSeen.Compare(a.LastSeen); d != 0 {
			return d
		}
		return strings.Compare(a.Id, b.Id)
	})
	if len(out.Users) > limit {
		out.Users, out.More = out.Users[:limit], true
	}
	return out, nil
}

func addressOf(a profile.Address) api.Address {
	if a.Value == "" {
		return api.Address{}
	}
	return api.Address{Value: a.Value, Verified: a.Verified, At: api.Time(a.At)}
}

func traitsOf(entries []profile.Entry) []api.Trait {
	out := []api.Trait{}
	for _, e := range entries {
		if e.Value != "null" {
			out = append(out, api.Trait{Name: e.Key, Value: json.RawMessage(e.Value), At: api.Time(e.At)})
		}
	}
	return out
}

// userID checks an id from a path.
func userID(id string) error {
	if id == "" || len(id) > 4*event.MaxIDBytes {
		return api.NotFound("no user has such an id")
	}
	return nil
}

// GetUser reads a profile.
func (s *server) GetUser(ctx context.Context, r api.GetUserRequestObject) (api.GetUserResponseObject, error) {
	c := s.c
	if err := userID(r.Id); err != nil {
		return nil, err
	}
	partition := eventlog.PartitionOf(r.Id, c.deps.Log.Partitions())
	value, err := c.deps.State.Get(ctx, partition, userstate.Profile, r.Id)
	if err != nil {
		return nil, fmt.Errorf("read a profile: %w", err)
	}
	if value == nil {
		return nil, api.Fail(http.StatusNotFound, "not_found", "no user has this id", "an event makes a user; it takes a moment")
	}
	p, err := profile.Decode(value)
	if err != nil {
		return nil, fmt.Errorf("read the profile of %.40q: %w", r.Id, err)
	}
	out := api.GetUser200JSONResponse{
		Id: r.Id, Known: p.UserID != "", UserId: p.UserID, AnonymousIds: append([]string{}, p.AnonymousIDs...),
		MovedTo: p.Moved.To, MovedAt: api.Time(p.Moved.At), FirstSeen: api.Time(p.FirstSeen), LastSeen: api.Time(p.LastSeen),
		Country: p.Country, Locale: p.Locale, Timezone: p.Timezone, Device: p.Device, Os: p.OS, Browser: p.Browser,
		Email: addressOf(p.Email), Phone: addressOf(p.Phone), Traits: traitsOf(p.Traits), Consent: traitsOf(p.Consent),
		Acquisition: api.Acquisition{
			Month: p.Acquisition.Month, Referrer: p.Acquisition.Referrer, Campaign: p.Acquisition.Campaign.Name,
			Source: p.Acquisition.Campaign.Source, Medium: p.Acquisition.Campaign.Medium,
			Term: p.Acquisition.Campaign.Term, Content: p.Acquisition.Campaign.Content,
		},
		LastTouch: api.LastTouch{
			Source: p.LastTouch.Source, Medium: p.LastTouch.Medium, Campaign: p.LastTouch.Campaign, At: api.Time(p.LastTouch.At),
		},
		Triggers: []api.UserTrigger{},
	}
	if out.Audiences, err = c.audiencesOf(ctx, r.Id, p); err != nil {
		return nil, err
	}
	if c.deps.Progress != nil {
		triggers, err := c.deps.Progress.Explain(ctx, r.Id)
		switch {
		case err == nil:
			out.Triggers = append(out.Triggers, triggers...)
		case peer.Own(ctx):
			return nil, fmt.Errorf("explain %.40q: %w", r.Id, err)
		default: // the rest of what is known of a user is worth showing
			c.log.Warn("where a user stands with triggers is not known", "user", r.Id, "error", err)
			out.TriggersUnknown = err.Error()
		}
	}
	return out, nil
}

// ExplainTrigger tells where a user stands with a trigger.
func (s *server) ExplainTrigger(ctx context.Context, r api.ExplainTriggerRequestObject) (api.ExplainTriggerResponseObject, error) {
	c := s.c
	if err := userID(r.Id); err != nil {
		return nil, err
	}
	if c.deps.Progress == nil {
		return nil, api.Fail(http.StatusServiceUnavailable, "unavailable", "the decider is not in this process", "ask the process that runs the decider role")
	}
	x, err := c.deps.Progress.ExplainTrigger(ctx, r.Id, r.Name)
	if err != nil {
		return nil, fmt.Errorf("explain %.40q with trigger %.40q: %w", r.Id, r.Name, err)
	}
	if !x.InForce && len(x.Notes) == 0 {
		return nil, api.NotFound("there is no trigger of this name")
	}
	return api.ExplainTrigger200JSONResponse(x), nil
}

// campaigns explains who got which campaign, and why.
func (c *Console) campaigns() *explain.Campaigns {
	return &explain.Campaigns{Deps: explain.Deps{
		Log: c.deps.Log, State: c.deps.State, Definitions: c.deps.Definitions, Sender: c.deps.Sender, Triggers: c.deps.Progress,
		Now: c.now, Budget: c.cfg.ScanBudget,
	}}
}

// idsOf is under which ids a user's events stand in the log, and in which
// partitions.
func (c *Console) idsOf(ctx context.Context, id string) (ids map[string]bool, partitions []int, err error) {
	n := c.deps.Log.Partitions()
	value, err := c.deps.State.Get(ctx, eventlog.PartitionOf(id, n), userstate.Profile, id)
	if err != nil {
		return nil, nil, fmt.Errorf("read a profile: %w", err)
	}
	p, err := profile.Decode(value)
	if err != nil {
		return nil, nil, fmt.Errorf("read the profile of %.40q: %w", id, err)
	}
	ids = map[string]bool{id: true}
	for _, other := range p.AnonymousIDs {
		ids[other] = true
	}
	for other := range ids {
		if at := eventlog.PartitionOf(other, n); !slices.Contains(partitions, at) {
			partitions = append(partitions, at)
		}
	}
	slices.Sort(partitions)
	return ids, partitions, nil
}

// GetTimeline reads the user's part of the log backwards.
func (s *server) GetTimeline(ctx context.Context, r api.GetTimelineRequestObject) (api.GetTimelineResponseObject, error) {
	c := s.c
	if err := userID(r.Id); err != nil {
		return nil, err
	}
	limit, err := api.PageSize(r.Params.Limit)
	if err != nil {
		return nil, err
	}
	ids, partitions, err := c.idsOf(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	res, err := c.scanOf(limit, func(h *event.Header) bool {
		return h.Type != event.System && ids[h.User()]
	}, func(partition int, offset uint64, e *event.Event) (any, bool) {
		if api.IsDelivery(e.Name) {
			if d, err := api.DeliveryOf(partition, offset, e); err == nil {
				return api.TimelineItem{Kind: api.TimelineDelivery, At: d.At, Delivery: d}, true
			}
		}
		summary := api.SummaryOf(partition, offset, e)
		return api.TimelineItem{Kind: api.TimelineEvent, At: summary.Timestamp, Event: summary}, true
	}).Run(ctx, partitions, r.Params.Before)
	if err != nil {
		return nil, err
	}
	out := api.GetTimeline200JSONResponse{
		Items: []api.TimelineItem{}, SearchedTo: api.Time(res.SearchedTo), Complete: res.Complete, Next: res.Next,
	}
	for _, h := range res.Hits {
		if item, ok := h.Item.(api.TimelineItem); ok {
			out.Items = append(out.Items, item)
		}
	}
	return out, nil
}

func (c *Console) scanOf(want int, match func(*event.Header) bool, take func(int, uint64, *event.Event) (any, bool)) *logsearch.Search {
	return &logsearch.Search{Log: c.deps.Log, Now: c.now, Budget: c.cfg.ScanBudget, Want: want, Match: match, Take: take}
}
