package console

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"heed/internal/facts"
	"heed/internal/measure"
)

// Measures resolves a query and answers it at a time (µs since the Unix epoch).
type Measures interface {
	Answer(ctx context.Context, q *measure.Query, names measure.Names, now int64) (measure.Result, error)
}

// queryMeasure answers one measure: exact, and over what was acknowledged a
// moment ago.
func (c *Console) queryMeasure(w http.ResponseWriter, r *http.Request) error {
	if c.deps.Measures == nil {
		return noFacts()
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, measure.MaxBytes))
	if err != nil {
		return err
	}
	format := r.URL.Query().Get("format")
	switch format {
	case "", "json", "csv", "parquet":
	default:
		return badRequest("format is not json, csv or parquet", "")
	}
	q, err := measure.Parse(body)
	if err != nil {
		return measureFailure(err)
	}
	var names measure.Names = c.deps.Definitions.Current()
	if c.deps.Audiences != nil {
		names = c.deps.Audiences.Names(r.Context())
	}
	res, err := c.deps.Measures.Answer(r.Context(), q, names, c.now().UnixMicro())
	if err != nil {
		return measureFailure(err)
	}
	if format == "parquet" {
		head, rows := measure.Rows(q, &res)
		file, err := c.deps.Facts.ParquetOf(r.Context(), head, rows)
		if err != nil {
			return measureFailure(err)
		}
		return c.sendParquet(w, r, "heed-"+string(q.Kind()), file)
	}
	if format == "csv" {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		out := csv.NewWriter(w)
		if err := out.WriteAll(measure.Table(q, &res)); err != nil && r.Context().Err() == nil {
			c.log.Debug("an answer was not sent whole", "error", err)
		}
		return nil
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(&res); err != nil && r.Context().Err() == nil {
		c.log.Debug("an answer was not sent whole", "error", err)
	}
	return nil
}

// measureFailure says what the caller is told.
func measureFailure(err error) error {
	var wrong *measure.Error
	switch {
	case errors.As(err, &wrong):
		return badRequest(wrong.Error(), "docs/measures.md shows each measure by example")
	case errors.Is(err, measure.ErrBuckets):
		return badRequest(err.Error(), "")
	case errors.Is(err, facts.ErrUnsupported):
		return fail(http.StatusUnprocessableEntity, "unsupported", err.Error(), "docs/measures.md says who answers what")
	case errors.Is(err, facts.ErrLoading):
		return fail(http.StatusServiceUnavailable, "unavailable", err.Error(), "try again in a moment")
	case errors.Is(err, facts.ErrBusy):
		return fail(http.StatusTooManyRequests, "throttled", err.Error(), "try again in a moment")
	case errors.Is(err, facts.ErrTimeout), errors.Is(err, facts.ErrTooBig):
		return fail(http.StatusUnprocessableEntity, "too_large", err.Error(), "ask for a shorter range, fewer steps or fewer dimensions")
	}
	return err
}
