package analysis

import (
	"context"
	"net/http"

	"heed/internal/console/api"
)

// ListAlerts lists what is out of the ordinary.
func (h *Handlers) ListAlerts(ctx context.Context, _ api.ListAlertsRequestObject) (api.ListAlertsResponseObject, error) {
	if h.deps.Alerts == nil {
		return nil, api.Fail(http.StatusServiceUnavailable, "unavailable", "this process does not look for alerts", "run it with the role analytics")
	}
	list, err := h.deps.Alerts.Alerts(ctx)
	return api.ListAlerts200JSONResponse(list), err
}
