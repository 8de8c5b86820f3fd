// Package sending owns the part of the admin API that steers sending as a whole:
// the switch that stops all of it, the runs of schedules, and starting a campaign
// for those who are in its audience already.
//
// It does not own what a stop means, or when a schedule is due (engager).
package sending

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"heed/internal/console/api"
	"heed/internal/definition"
)

// Engager is the role that sends. Times are µs since the Unix epoch.
type Engager interface {
	// Sending tells whether all sending is stopped, since when and by whom.
	Sending(ctx context.Context) (Switch, error)
	SetSending(ctx context.Context, stop bool, by string) (Switch, error)
	Schedules(ctx context.Context) ([]Schedule, error)
	// SendOnce orders that a campaign goes to the users. Repeating an order is no
	// harm: its first list counts.
	SendOnce(ctx context.Context, campaign, id string, users []string) (at int64, of int, err error)
}

// Switch is whether all sending is stopped. The zero Switch: it never was.
type Switch struct {
	Stopped bool
	At      int64
	By      string
}

// Schedule is how a campaign's schedule stands; zero times: none.
type Schedule struct {
	Campaign   string
	Next, Last time.Time
	Users      int // of the last run
	Missed     int64
}

// Deps is what the handlers work with. Without an Engager, or Members, the answers
// say what is missing.
type Deps struct {
	Engager     Engager
	Members     func(ctx context.Context, audiences []string) ([]string, error)
	Definitions interface{ Current() *definition.Set }
	// Who is the caller's name, Audit notes what the caller did.
	Who   func(ctx context.Context) string
	Audit func(ctx context.Context, what, subject, detail string)
}

// Sending implements a part of api.StrictServerInterface. It may be used
// concurrently.
type Sending struct{ deps Deps }

// New makes the handlers.
func New(deps Deps) *Sending { return &Sending{deps} }

func (s *Sending) engager() (Engager, error) {
	if s.deps.Engager == nil {
		return nil, api.Fail(http.StatusServiceUnavailable, "unavailable", "this process does not send", "run it with the role engager")
	}
	return s.deps.Engager, nil
}

func shown(s Switch) api.SendingSwitch {
	return api.SendingSwitch{Stopped: s.Stopped, At: api.Time(s.At), By: s.By}
}

// GetSending tells whether all sending is stopped.
func (s *Sending) GetSending(ctx context.Context, _ api.GetSendingRequestObject) (api.GetSendingResponseObject, error) {
	e, err := s.engager()
	if err != nil {
		return nil, err
	}
	now, err := e.Sending(ctx)
	return api.GetSending200JSONResponse(shown(now)), err
}

// PutSending stops all sending, or lifts the stop.
func (s *Sending) PutSending(ctx context.Context, r api.PutSendingRequestObject) (api.PutSendingResponseObject, error) {
	e, err := s.engager()
	if err != nil {
		return nil, err
	}
	now, err := e.SetSending(ctx, r.Body.Stopped, s.deps.Who(ctx))
	if err != nil {
		return nil, err
	}
	s.deps.Audit(ctx, "sending", "", fmt.Sprintf("stopped: %t", now.Stopped))
	return api.PutSending200JSONResponse(shown(now)), nil
}

// ListSchedules tells when campaigns run.
func (s *Sending) ListSchedules(ctx context.Context, _ api.ListSchedulesRequestObject) (api.ListSchedulesResponseObject, error) {
	e, err := s.engager()
	if err != nil {
		return nil, err
	}
	all, err := e.Schedules(ctx)
	if err != nil {
		return nil, err
	}
	out := api.ListSchedules200JSONResponse{Schedules: make([]api.Schedule, len(all))}
	for i, x := range all {
		out.Schedules[i] = api.Schedule{Campaign: x.Campaign, Next: x.Next.UTC(), Last: x.Last.UTC(), Users: int64(x.Users), Missed: x.Missed}
	}
	return out, nil
}

// included lists who is in the audience whose entering starts the campaign.
func (s *Sending) included(ctx context.Context, name string) (c *definition.Campaign, users []string, err error) {
	c = s.deps.Definitions.Current().Campaigns[name]
	switch {
	case c == nil:
		return nil, nil, api.NotFound("there is no such campaign")
	case c.When.Audience == "" || c.When.On == definition.Leave:
		return nil, nil, api.BadRequest("the campaign does not start when users enter an audience", "")
	case s.deps.Members == nil:
		return nil, nil, api.Fail(http.StatusServiceUnavailable, "unavailable", "this process does not know who is in an audience", "run it with the role analytics, and facts.off unset")
	}
	users, err = s.deps.Members(ctx, []string{c.When.Audience})
	return c, users, err
}

// GetIncluded counts them.
func (s *Sending) GetIncluded(ctx context.Context, r api.GetIncludedRequestObject) (api.GetIncludedResponseObject, error) {
	c, users, err := s.included(ctx, r.Name)
	if err != nil {
		return nil, err
	}
	return api.GetIncluded200JSONResponse{Audience: c.When.Audience, Users: int64(len(users))}, nil
}

// PostInclude starts the campaign for them.
func (s *Sending) PostInclude(ctx context.Context, r api.PostIncludeRequestObject) (api.PostIncludeResponseObject, error) {
	e, err := s.engager()
	if err != nil {
		return nil, err
	}
	if !definition.ValidName(r.Body.Id) {
		return nil, api.BadRequest("id is not one of an order", "1 to 64 letters, digits, - _ and .")
	}
	c, users, err := s.included(ctx, r.Name)
	switch {
	case err != nil:
		return nil, err
	case c.Status != definition.Live:
		return nil, api.Fail(http.StatusConflict, "not_live", "the campaign is not live", "launch it first")
	case len(users) == 0:
		return api.PostInclude200JSONResponse{Campaign: r.Name}, nil
	}
	at, of, err := e.SendOnce(ctx, r.Name, r.Body.Id, users)
	if err != nil {
		return nil, err
	}
	s.deps.Audit(ctx, "include", "campaign "+r.Name, fmt.Sprintf("%d users", of))
	return api.PostInclude200JSONResponse{Campaign: r.Name, At: api.Time(at), Users: int64(of)}, nil
}
