package console

import (
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"heed/internal/console/api"
	"heed/internal/eventlog"
	"heed/internal/facts"
	"heed/internal/measure"
	"heed/internal/profile"
	"heed/internal/userstate"
)

// Measures resolves a query and answers it at a time (µs since the Unix epoch).
type Measures interface {
	Answer(ctx context.Context, q *measure.Query, names measure.Names, now int64) (measure.Result, error)
}

// names is what queries may refer to: frozen audiences have members if somebody
// keeps them.
func (c *Console) names(ctx context.Context) measure.Names {
	if c.deps.Audiences != nil {
		return c.deps.Audiences.Names(ctx)
	}
	return c.deps.Definitions.Current()
}

// askedMeasure is the body of a request about measures, and the format that is
// wanted, one of formats.
func (c *Console) askedMeasure(w http.ResponseWriter, r *http.Request, formats ...string) (body []byte, format string, err error) {
	if c.deps.Measures == nil {
		return nil, "", noFacts()
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

// queryMeasure answers one measure: exact, and over what was acknowledged a
// moment ago.
func (c *Console) queryMeasure(w http.ResponseWriter, r *http.Request) error {
	body, format, err := c.askedMeasure(w, r, "json", "csv", "parquet")
	if err != nil {
		return err
	}
	q, err := measure.Parse(body)
	if err != nil {
		return measureFailure(err)
	}
	res, err := c.deps.Measures.Answer(r.Context(), q, c.names(r.Context()), c.now().UnixMicro())
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
	c.sendMeasure(w, r, &res)
	return nil
}

func (c *Console) sendMeasure(w http.ResponseWriter, r *http.Request, answer any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil && r.Context().Err() == nil {
		c.log.Debug("an answer was not sent whole", "error", err)
	}
}

// listMeasureUsers answers who is behind a mark: the query is answered again as
// of the same time, so that the mark means what it meant.
func (c *Console) listMeasureUsers(w http.ResponseWriter, r *http.Request) error {
	body, format, err := c.askedMeasure(w, r, "json", "csv")
	if err != nil {
		return err
	}
	pick, err := measure.ParsePick(body)
	if err != nil {
		return measureFailure(err)
	}
	names := c.names(r.Context())
	answer := func(q *measure.Query) (measure.Result, error) {
		return c.deps.Measures.Answer(r.Context(), q, names, c.now().UnixMicro())
	}
	res, err := answer(&pick.Query)
	if err != nil {
		return measureFailure(err)
	}
	q, err := pick.Users(&res, names)
	if err != nil {
		return measureFailure(err)
	}
	if format == "csv" {
		q.Users = &measure.Users{Limit: measure.MaxPage}
	}
	page, err := answer(q)
	if err != nil {
		return measureFailure(err)
	}
	if format == "csv" {
		c.sendIDs(w, r, q, page.Users, answer)
		return nil
	}
	out := api.MeasureUsers{Total: page.Users.Total, Users: []api.UserSummary{}, More: page.Users.More, AsOf: page.AsOf}
	for _, id := range page.Users.IDs {
		u, err := c.summaryOf(r.Context(), id)
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
	c.sendMeasure(w, r, &out)
	return nil
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

// sendIDs writes the users of all pages from the first one on.
func (c *Console) sendIDs(w http.ResponseWriter, r *http.Request, q *measure.Query, page *measure.UsersResult, answer func(*measure.Query) (measure.Result, error)) {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	out := csv.NewWriter(&timedRows{w, http.NewResponseController(w)})
	err := out.Write([]string{"user"})
	for err == nil {
		for _, id := range page.IDs {
			if err = out.Write([]string{id}); err != nil {
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
			c.log.Debug("a list of users was not sent whole", "error", err)
		}
		panic(http.ErrAbortHandler) // CSV cannot tell that it is not whole; a broken connection does
	}
}

// measureFailure says what the caller is told.
func measureFailure(err error) error {
	var wrong *measure.Error
	switch {
	case errors.As(err, &wrong):
		return api.BadRequest(wrong.Error(), "docs/measures.md shows each measure by example")
	case errors.Is(err, measure.ErrBuckets):
		return api.BadRequest(err.Error(), "")
	case errors.Is(err, facts.ErrUnsupported):
		return api.Fail(http.StatusUnprocessableEntity, "unsupported", err.Error(), "docs/measures.md says who answers what")
	case errors.Is(err, facts.ErrLoading):
		return api.Fail(http.StatusServiceUnavailable, "unavailable", err.Error(), "try again in a moment")
	case errors.Is(err, facts.ErrBusy):
		return api.Fail(http.StatusTooManyRequests, "throttled", err.Error(), "try again in a moment")
	case errors.Is(err, facts.ErrTimeout), errors.Is(err, facts.ErrTooBig):
		return api.Fail(http.StatusUnprocessableEntity, "too_large", err.Error(), "ask for a shorter range, fewer steps or fewer dimensions")
	}
	return err
}
