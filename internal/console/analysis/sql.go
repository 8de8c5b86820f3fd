package analysis

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"heed/internal/console/api"
	"heed/internal/facts"
	"heed/internal/facts/export"
)

// maxSQL is the longest statement, in bytes.
const maxSQL = 64 << 10

// rowTimeout is how long a client may take for a part of a result.
const rowTimeout = 10 * time.Second

// RunSQL answers a SELECT over the facts, row by row.
func (h *Handlers) RunSQL(w http.ResponseWriter, r *http.Request) error {
	if h.deps.Facts == nil {
		return NoFacts()
	}
	var q api.SQLRequest
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return api.BadRequest("the body is no JSON object with a query", `{"query": "SELECT count(*) FROM events"}`)
	}
	switch {
	case q.Query == "":
		return api.BadRequest("query is empty", "SELECT count(*) FROM events")
	case len(q.Query) > maxSQL:
		return api.BadRequest(fmt.Sprintf("query is longer than %d bytes", maxSQL), "")
	case q.Limit < 0:
		return api.BadRequest("limit is not a number from 1", "")
	}
	format := r.URL.Query().Get("format")
	if format == "" {
		format = "jsonl"
	}
	switch format {
	case "jsonl", "csv":
	case "parquet":
		file, err := h.deps.Facts.Parquet(r.Context(), q.Query, facts.Options{Rows: q.Limit})
		if err != nil {
			return SQLRefusal(err)
		}
		return h.SendParquet(w, r, "heed-sql", file)
	default:
		return api.BadRequest("format is not jsonl, csv or parquet", "")
	}
	rows, err := h.deps.Facts.SQL(r.Context(), q.Query, facts.Options{Rows: q.Limit})
	if err != nil {
		return SQLRefusal(err)
	}
	rc := http.NewResponseController(w)
	out := bufio.NewWriterSize(&timedRows{w, rc}, 32<<10)
	var end error
	if format == "csv" {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		end = export.CSV(out, rows)
	} else {
		w.Header().Set("Content-Type", "application/x-ndjson")
		end = export.JSON(out, rows, func(err error) any { return SQLRefusal(err).Body })
	}
	if err := errors.Join(end, out.Flush(), rows.Close()); err != nil && r.Context().Err() == nil {
		h.deps.Logger.Debug("a result was not sent whole", "error", err)
		if format == "csv" {
			panic(http.ErrAbortHandler) // CSV cannot tell that it is not whole; a broken connection does
		}
	}
	return nil
}

// NoFacts says that this process cannot answer.
func NoFacts() *api.Refusal {
	return api.Fail(http.StatusServiceUnavailable, "unavailable", "this process does not run the facts store", "run it with the role analytics, and facts.off unset")
}

// SendParquet sends a file and closes it.
func (h *Handlers) SendParquet(w http.ResponseWriter, r *http.Request, name string, file *os.File) (err error) {
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	head := w.Header()
	head.Set("Content-Type", "application/vnd.apache.parquet")
	head.Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	head.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", name+"-"+h.deps.Clock().UTC().Format("20060102T150405Z")+".parquet"))
	if _, err := io.Copy(&timedRows{w, http.NewResponseController(w)}, file); err != nil && r.Context().Err() == nil {
		h.deps.Logger.Debug("a file was not sent whole", "error", err)
	}
	return nil
}

// timedRows gives a slow reader a bounded time for each write.
type timedRows struct {
	w  io.Writer
	rc *http.ResponseController
}

func (t *timedRows) Write(b []byte) (int, error) {
	if err := t.rc.SetWriteDeadline(time.Now().Add(rowTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return t.w.Write(b)
}

// SQLRefusal says what the caller is told about an error of a statement.
func SQLRefusal(err error) *api.Refusal {
	switch {
	case errors.Is(err, facts.ErrStatement):
		return api.BadRequest(err.Error(), "docs/sql.md lists the views")
	case errors.Is(err, facts.ErrFull):
		return full(err)
	case errors.Is(err, facts.ErrBusy):
		return api.Fail(http.StatusTooManyRequests, "throttled", err.Error(), "try again in a moment")
	case errors.Is(err, facts.ErrTimeout), errors.Is(err, facts.ErrTooBig):
		return api.Fail(http.StatusUnprocessableEntity, "too_large", err.Error(), "ask for less time, or for fewer columns")
	}
	return api.BadRequest(err.Error(), "")
}
