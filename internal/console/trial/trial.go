// Package trial owns the admin API's way to try a campaign on one user before it
// is saved.
//
// It does not own what is sent, nor sending it (engager), nor who may ask
// (console).
package trial

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"heed/internal/catalog"
	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/eventlog/logsearch"
)

// Tries is what tries; the Engager does.
type Tries interface {
	// Try begins a trial and gives its id.
	Try(ctx context.Context, d *Draft) (id string, err error)
	// Tried tells of a trial; it is false if there is none of that id.
	Tried(ctx context.Context, id string) (api.Trial, bool, error)
}

// Draft is what is tried. The templates stand in for what is saved under their
// names.
type Draft struct {
	Campaign  *definition.Campaign
	Templates []definition.Template
	User      string
	To        string          // stands in for the user's address
	Cause     json.RawMessage // an event; nil if there is none
}

// Definitions checks what is drafted against what is saved.
type Definitions interface {
	Apply(ctx context.Context, docs []definition.Document, o catalog.Options) (catalog.Result, error)
}

// API answers; its methods may be called concurrently.
type API struct {
	Tries       Tries // nil: this process does not send
	Definitions Definitions
	Log         eventlog.Log
	Now         func() time.Time
	// Budget bounds the search for an event.
	Budget time.Duration
}

// PostTrial begins one.
func (a *API) PostTrial(ctx context.Context, r api.PostTrialRequestObject) (api.PostTrialResponseObject, error) {
	if a.Tries == nil {
		return nil, unavailable()
	}
	docs, problems, err := definition.ParseJSON("", r.Body.Documents)
	if err != nil {
		return nil, api.BadRequest(err.Error(), "")
	}
	if len(problems) > 0 {
		return nil, problems
	}
	d, err := draft(docs)
	if err != nil {
		return nil, err
	}
	if _, err := a.Definitions.Apply(ctx, docs, catalog.Options{DryRun: true}); err != nil {
		return nil, err
	}
	d.User, d.To = r.Body.User, r.Body.To
	if d.Cause, err = a.newest(ctx, r.Body.Event, d.User); err != nil {
		return nil, err
	}
	id, err := a.Tries.Try(ctx, d)
	if err != nil {
		return nil, err
	}
	return api.PostTrial200JSONResponse{Id: id, User: d.User, Campaign: d.Campaign.Name}, nil
}

func unavailable() error {
	return api.Fail(http.StatusServiceUnavailable, "unavailable", "this process does not send", "run it with the role engager")
}

// draft finds what is tried among the documents.
func draft(docs []definition.Document) (*Draft, error) {
	out, campaigns := new(Draft), 0
	for _, d := range docs {
		switch spec := d.Spec.(type) {
		case *definition.Campaign:
			out.Campaign = spec
			campaigns++
		case *definition.Template:
			out.Templates = append(out.Templates, *spec)
		case *definition.Channel:
			return nil, api.BadRequest("a channel has to be saved before it is tried", "nothing is sent by it until a live campaign names it")
		}
	}
	if campaigns != 1 {
		return nil, api.BadRequest("documents has not exactly one campaign", "send the campaign that is tried, and what it needs that is not saved")
	}
	return out, nil
}

// newest is the newest event of a name, as if it was the user's; nil if there is
// none lately.
func (a *API) newest(ctx context.Context, name, user string) (json.RawMessage, error) {
	if name == "" {
		return nil, nil
	}
	partitions := make([]int, a.Log.Partitions())
	for p := range partitions {
		partitions[p] = p
	}
	found, err := (&logsearch.Search{
		Log: a.Log, Now: a.Now, Budget: a.Budget, Want: 1,
		Match: func(h *event.Header) bool { return h.Name == name },
		Take: func(_ int, _ uint64, e *event.Event) (any, bool) {
			e.UserID, e.AnonymousID = user, ""
			return json.RawMessage(event.AppendJSON(nil, e)), true
		},
	}).Run(ctx, partitions, "")
	if err != nil || len(found.Hits) == 0 {
		return nil, err
	}
	cause, _ := found.Hits[0].Item.(json.RawMessage)
	return cause, nil
}

// GetTrial tells of one.
func (a *API) GetTrial(ctx context.Context, r api.GetTrialRequestObject) (api.GetTrialResponseObject, error) {
	if a.Tries == nil {
		return nil, unavailable()
	}
	t, known, err := a.Tries.Tried(ctx, r.Id)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, api.NotFound("there is no such trial; it is forgotten after an hour")
	}
	return api.GetTrial200JSONResponse(t), nil
}
