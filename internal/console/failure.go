package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"heed/internal/catalog"
	"heed/internal/console/api"
	"heed/internal/console/signin"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/eventlog"
	"heed/internal/eventlog/logsearch"
)

// failureOf is what a caller is told about an error. What nobody foresaw is
// logged by the caller and not shown.
func failureOf(err error) *api.Refusal {
	if f, ok := errors.AsType[*api.Refusal](err); ok {
		return f
	}
	if ps, ok := errors.AsType[definition.Problems](err); ok {
		f := api.Fail(http.StatusUnprocessableEntity, "invalid", "the definitions do not hold together; nothing was changed", "")
		f.Body.Problems = api.ProblemsOf(ps)
		return f
	}
	if p, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return api.Fail(http.StatusRequestEntityTooLarge, "too_large", "the body is larger than "+strconv.FormatInt(p.Limit, 10)+" bytes", "")
	}
	switch {
	case errors.Is(err, signin.ErrBusy):
		f := api.Fail(http.StatusServiceUnavailable, "unavailable", err.Error(), "try again in a moment")
		f.RetryAfter = 2 * time.Second
		return f
	case errors.Is(err, logsearch.ErrCursor):
		return api.BadRequest("before is not understood", "give `next` of the page before")
	case errors.Is(err, catalog.ErrNotFound):
		return api.NotFound(err.Error())
	case errors.Is(err, catalog.ErrConflict):
		return api.Fail(http.StatusPreconditionFailed, "conflict", err.Error(), "load it again and repeat your change")
	case errors.Is(err, eventlog.ErrUnavailable), errors.Is(err, eventlog.ErrDiskFull), errors.Is(err, eventlog.ErrClosed),
		errors.Is(err, documents.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		f := api.Fail(http.StatusServiceUnavailable, "unavailable", "the server cannot answer this now", "try again in a moment")
		f.RetryAfter = time.Second
		return f
	}
	return api.Fail(http.StatusInternalServerError, "internal", "something went wrong on the server; its log says more", "")
}

func throttled(wait time.Duration) error {
	f := api.Fail(http.StatusTooManyRequests, "throttled", "too many failed attempts", "wait "+wait.Round(time.Second).String()+" and try again")
	f.RetryAfter = wait
	return f
}

// fail writes an error as the API's one shape.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, err error) {
	f := failureOf(err)
	if f.Status == http.StatusInternalServerError {
		c.log.Error("a request failed", "method", r.Method, "route", r.Pattern, "error", err)
	}
	h := w.Header()
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(max(1, (f.RetryAfter+time.Second-1)/time.Second))))
	}
	if f.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="heed"`)
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(f.Status)
	_ = json.NewEncoder(w).Encode(api.ErrorReply{Error: f.Body}) // the caller has gone
}

// mistaken writes a parameter or body that could not be read.
func (c *Console) mistaken(w http.ResponseWriter, r *http.Request, err error) {
	if _, ok := errors.AsType[*http.MaxBytesError](err); !ok {
		err = api.BadRequest(cut(err.Error(), 300), "")
	}
	c.fail(w, r, err)
}
