package analysis

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"heed/internal/console/api"
	"heed/internal/measure"
)

func (h *Handlers) audiences() (Audiences, error) {
	if h.deps.Audiences == nil {
		return nil, api.Fail(http.StatusServiceUnavailable, "unavailable", "sizes of audiences are not at hand here", "ask a running server")
	}
	return h.deps.Audiences, nil
}

// ListAudiences lists all of them.
func (h *Handlers) ListAudiences(ctx context.Context, _ api.ListAudiencesRequestObject) (api.ListAudiencesResponseObject, error) {
	as, err := h.audiences()
	if err != nil {
		return nil, err
	}
	list, err := as.Audiences(ctx)
	return api.ListAudiences200JSONResponse{Audiences: list}, err
}

// GetAudience answers with one.
func (h *Handlers) GetAudience(ctx context.Context, r api.GetAudienceRequestObject) (api.GetAudienceResponseObject, error) {
	as, err := h.audiences()
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
func (h *Handlers) ListAudienceChanges(ctx context.Context, r api.ListAudienceChangesRequestObject) (api.ListAudienceChangesResponseObject, error) {
	limit, err := api.PageSize(r.Params.Limit)
	if err != nil {
		return nil, err
	}
	as, err := h.audiences()
	if err != nil {
		return nil, err
	}
	if h.deps.Definitions.Current().Audiences[r.Name] == nil {
		return nil, api.NotFound("there is no audience of this name")
	}
	changes, err := as.Changes(ctx, r.Name, limit)
	return api.ListAudienceChanges200JSONResponse{Changes: changes}, err
}

// PreviewAudience counts an audience that is not saved.
func (h *Handlers) PreviewAudience(w http.ResponseWriter, r *http.Request) error {
	as, err := h.audiences()
	if err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, measure.MaxBytes))
	if err != nil {
		return err
	}
	q, err := measure.ParseUsers(body)
	if err != nil {
		return Refusal(err)
	}
	out, err := as.Preview(r.Context(), q)
	if err != nil {
		return Refusal(err)
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(out); err != nil && r.Context().Err() == nil {
		h.deps.Logger.Debug("an answer was not sent whole", "error", err)
	}
	return nil
}
