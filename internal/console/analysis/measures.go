package analysis

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"heed/internal/console/api"
	"heed/internal/measure"
)

// askedMeasure is the body of a request about measures, and the format that is
// wanted, one of formats.
func (h *Handlers) askedMeasure(w http.ResponseWriter, r *http.Request, formats ...string) (body []byte, format string, err error) {
	if h.deps.Measures == nil {
		return nil, "", NoFacts()
	}
	if body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, measure.MaxBytes)); err != nil {
		return nil, "", err
	}
	format = cmp.Or(r.URL.Query().Get("format"), "json")
	if !slices.Contains(formats, format) {
		return nil, "", api.BadRequest("format is none of "+strings.Join(formats, ", "), "")
	}
	return body, format, nil
}

// QueryMeasure answers one measure: exact, and over what was acknowledged a
// moment ago.
func (h *Handlers) QueryMeasure(w http.ResponseWriter, r *http.Request) error {
	body, format, err := h.askedMeasure(w, r, "json", "csv", "parquet")
	if err != nil {
		return err
	}
	q, err := measure.Parse(body)
	if err != nil {
		return Refusal(err)
	}
	res, err := h.deps.Measures.Answer(r.Context(), q, h.Names(r.Context()), h.deps.Clock().UnixMicro())
	if err != nil {
		return Refusal(err)
	}
	if format != "json" { // a table names the steps of a saved funnel
		if q, err = q.WithFunnel(h.Names(r.Context())); err != nil {
			return Refusal(err)
		}
	}
	if format == "parquet" {
		head, rows := measure.Rows(q, &res)
		file, err := h.deps.Facts.ParquetOf(r.Context(), head, rows)
		if err != nil {
			return Refusal(err)
		}
		return h.SendParquet(w, r, "heed-"+string(q.Kind()), file)
	}
	if format == "csv" {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		out := csv.NewWriter(w)
		if err := out.WriteAll(measure.Table(q, &res)); err != nil && r.Context().Err() == nil {
			h.deps.Logger.Debug("an answer was not sent whole", "error", err)
		}
		return nil
	}
	return h.sendMeasure(w, r, &res)
}

func (h *Handlers) sendMeasure(w http.ResponseWriter, r *http.Request, answer any) error {
	text, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("write an answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(append(text, '\n')); err != nil && r.Context().Err() == nil {
		h.deps.Logger.Debug("an answer was not sent whole", "error", err)
	}
	return nil
}

// ListMeasureUsers answers who is behind a mark: the query is answered again as
// of the same time, so that the mark means what it meant.
func (h *Handlers) ListMeasureUsers(w http.ResponseWriter, r *http.Request) error {
	body, format, err := h.askedMeasure(w, r, "json", "csv")
	if err != nil {
		return err
	}
	pick, err := measure.ParsePick(body)
	if err != nil {
		return Refusal(err)
	}
	names := h.Names(r.Context())
	answer := func(q *measure.Query) (measure.Result, error) {
		return h.deps.Measures.Answer(r.Context(), q, names, h.deps.Clock().UnixMicro())
	}
	res, err := answer(&pick.Query)
	if err != nil {
		return Refusal(err)
	}
	q, err := pick.Users(&res, names)
	if err != nil {
		return Refusal(err)
	}
	if format == "csv" {
		q.Users = &measure.Users{Limit: measure.MaxPage}
	}
	page, err := answer(q)
	if err != nil {
		return Refusal(err)
	}
	if format == "csv" {
		h.sendIDs(w, r, q, page.Users, answer)
		return nil
	}
	out := api.MeasureUsers{Total: page.Users.Total, Users: []api.UserSummary{}, More: page.Users.More, AsOf: page.AsOf}
	for _, id := range page.Users.IDs {
		u, err := h.deps.Summary(r.Context(), id)
		if err != nil {
			return err
		}
		out.Users = append(out.Users, u)
	}
	var tree measure.Audience // everybody
	if q.Audience != nil {
		tree = *q.Audience
	}
	if out.Audience, err = json.Marshal(tree); err != nil {
		return fmt.Errorf("write an audience: %w", err)
	}
	return h.sendMeasure(w, r, &out)
}

// sendIDs writes the users of all pages from the first one on.
func (h *Handlers) sendIDs(w http.ResponseWriter, r *http.Request, q *measure.Query, page *measure.UsersResult, answer func(*measure.Query) (measure.Result, error)) {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	out := csv.NewWriter(&timedRows{w, http.NewResponseController(w)})
	err := out.Write([]string{"user"})
	for err == nil {
		for _, id := range page.IDs {
			if err = out.Write([]string{measure.Inert(id)}); err != nil {
				break
			}
		}
		if err != nil || !page.More {
			break
		}
		q.Users.After = page.IDs[len(page.IDs)-1]
		var next measure.Result
		next, err = answer(q)
		page = next.Users
	}
	out.Flush()
	if err = errors.Join(err, out.Error()); err != nil {
		if r.Context().Err() == nil {
			h.deps.Logger.Debug("a list of users was not sent whole", "error", err)
		}
		panic(http.ErrAbortHandler) // CSV cannot tell that it is not whole; a broken connection does
	}
}
