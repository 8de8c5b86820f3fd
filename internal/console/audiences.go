package console

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"heed/internal/console/api"
	"heed/internal/measure"
)

// Audiences tells who is in what audience. What does not exist is nil without
// an error.
type Audiences interface {
	Audiences(ctx context.Context) ([]api.Audience, error)
	Audience(ctx context.Context, name string) (*api.Audience, error)
	Changes(ctx context.Context, name string, limit int) ([]api.AudienceChange, error)
	// Names looks names up for one query, those of frozen audiences too.
	Names(ctx context.Context) measure.Names
	// Preview answers a query for users that nobody has saved.
	Preview(ctx context.Context, q *measure.Query) (api.AudiencePreview, error)
}

func (c *Console) audiences() (Audiences, error) {
	if c.deps.Audiences == nil {
		return nil, api.Fail(http.StatusServiceUnavailable, "unavailable", "sizes of audiences are not at hand here", "ask a running server")
	}
	return c.deps.Audiences, nil
}

// ListAudiences lists all of them.
func (s *server) ListAudiences(ctx context.Context, _ api.ListAudiencesRequestObject) (api.ListAudiencesResponseObject, error) {
	as, err := s.c.audiences()
	if err != nil {
		return nil, err
	}
	list, err := as.Audiences(ctx)
	return api.ListAudiences200JSONResponse{Audiences: list}, err
}

// GetAudience answers with one.
func (s *server) GetAudience(ctx context.Context, r api.GetAudienceRequestObject) (api.GetAudienceResponseObject, error) {
	as, err := s.c.audiences()
	if err != nil {
		return nil, err
	}
	a, err := as.Audience(ctx, r.Name)
	if err != nil {
		return nil, err
	}
	if a == nil {
		return nil, api.NotFound("there is no audience of this name")
	}
	return api.GetAudience200JSONResponse(*a), nil
}

// ListAudienceChanges lists who entered and left.
func (s *server) ListAudienceChanges(ctx context.Context, r api.ListAudienceChangesRequestObject) (api.ListAudienceChangesResponseObject, error) {
	limit, err := limitOf(r.Params.Limit)
	if err != nil {
		return nil, err
	}
	as, err := s.c.audiences()
	if err != nil {
		return nil, err
	}
	if s.c.deps.Definitions.Current().Audiences[r.Name] == nil {
		return nil, api.NotFound("there is no audience of this name")
	}
	changes, err := as.Changes(ctx, r.Name, limit)
	return api.ListAudienceChanges200JSONResponse{Changes: changes}, err
}

// previewAudience counts an audience that is not saved.
func (c *Console) previewAudience(w http.ResponseWriter, r *http.Request) error {
	as, err := c.audiences()
	if err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, measure.MaxBytes))
	if err != nil {
		return err
	}
	q, err := measure.ParseUsers(body)
	if err != nil {
		return measureFailure(err)
	}
	out, err := as.Preview(r.Context(), q)
	if err != nil {
		return measureFailure(err)
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(out); err != nil && r.Context().Err() == nil {
		c.log.Debug("an answer was not sent whole", "error", err)
	}
	return nil
}
