package console

import (
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

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
		return fail(http.StatusServiceUnavailable, "unavailable", "this process does not run the facts store", "run it with the role analytics, and facts.off unset")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, measure.MaxBytes))
	if err != nil {
		return err
	}
	format := r.URL.Query().Get("format")
	if format != "" && format != "json" && format != "csv" {
		return badRequest("format is not json or csv", "")
	}
	q, err := measure.Parse(body)
	if err != nil {
		return measureFailure(err)
	}
	res, err := c.deps.Measures.Answer(r.Context(), q, c.deps.Definitions.Current(), c.now().UnixMicro())
	if err != nil {
		return measureFailure(err)
	}
	if format == "csv" {
		w.Header().Set("Content-Type", "text/csv; charset=utf-8")
		out := csv.NewWriter(w)
		if err := out.WriteAll(table(q, &res)); err != nil && r.Context().Err() == nil {
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

// table lays an answer out as rows under a header, as it would be read in a
// spreadsheet. Every number of the answer that stands for people or events is
// in it.
func table(q *measure.Query, res *measure.Result) [][]string {
	at := func(micros int64) string { return time.UnixMicro(micros).In(zoneOf(res)).Format(time.RFC3339) }
	whole := func(n int64) string { return strconv.FormatInt(n, 10) }
	real := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	value := func(v *string, other bool) string {
		switch {
		case other:
			return "(other)"
		case v == nil:
			return "(none)"
		}
		return *v
	}
	var out [][]string
	add := func(cells ...string) { out = append(out, cells) }
	switch {
	case res.Series != nil:
		add("start", "event", "value", "count")
		for _, l := range res.Series.Lines {
			for i, start := range res.Series.Buckets {
				name := ""
				if l.Match < len(q.Series.Of) {
					name = q.Series.Of[l.Match].Event
				}
				split := ""
				if q.Series.By != nil {
					split = value(l.Value, l.Other)
				}
				add(at(start), name, split, real(l.Points[i]))
			}
		}
	case res.Breakdown != nil:
		header := []string{}
		for _, d := range q.Breakdown.By {
			header = append(header, named(d))
		}
		out = append(out, append(header, "count"))
		row := func(r *measure.Row, other bool) {
			cells := []string{}
			for i := range q.Breakdown.By {
				var v *string
				if i < len(r.Values) {
					v = r.Values[i]
				}
				cells = append(cells, value(v, other))
			}
			out = append(out, append(cells, real(r.Count)))
		}
		for i := range res.Breakdown.Rows {
			row(&res.Breakdown.Rows[i], false)
		}
		if res.Breakdown.Other != nil {
			row(res.Breakdown.Other, true)
		}
	case res.Funnel != nil:
		add("group", "step", "event", "reached", "stuck", "in progress")
		steps := func(group string, c *measure.FunnelCount) {
			for i, s := range c.Steps {
				add(group, strconv.Itoa(i+1), q.Funnel.Steps[i].Event, whole(s.Reached), whole(s.Stuck), whole(s.Progress))
			}
		}
		steps("", &res.Funnel.FunnelCount)
		for i := range res.Funnel.Groups {
			g := &res.Funnel.Groups[i]
			steps(value(g.Value, g.Other), &g.FunnelCount)
		}
	case res.Retention != nil:
		add("cohort", "period", "users")
		for _, c := range res.Retention.Cohorts {
			for i, n := range c.Cells {
				add(at(c.Start), strconv.Itoa(i), whole(n))
			}
		}
	case res.Users != nil:
		add("user")
		for _, id := range res.Users.IDs {
			add(id)
		}
	case res.Paths != nil:
		add("depth", "event", "users")
		for i, nodes := range res.Paths.Depths {
			for _, n := range nodes {
				name := n.Event
				switch {
				case n.Other:
					name = "(other)"
				case n.End:
					name = "(end)"
				}
				add(strconv.Itoa(i+1), name, whole(n.Users))
			}
		}
	case res.Live != nil:
		add("minute", "events")
		for i, n := range res.Live.Minutes {
			add(at(res.AsOf-int64(len(res.Live.Minutes)-i)*60e6), whole(n))
		}
	case res.Timeline != nil:
		add("time", "event", "type", "message id", "source", "page", "properties")
		for _, e := range res.Timeline.Events {
			add(at(e.At), e.Name, e.Type, e.MessageID, e.Source, e.URL, string(e.Properties))
		}
	case res.Sessions != nil:
		add("start", "sessions", "users", "events")
		row := func(start string, c *measure.SessionsCount) {
			add(start, whole(c.Sessions), whole(c.Users), whole(c.Events))
		}
		for i := range res.Sessions.Buckets {
			row(at(res.Sessions.Buckets[i].Start), &res.Sessions.Buckets[i].SessionsCount)
		}
		row("(all)", &res.Sessions.SessionsCount)
	case res.Attribution != nil:
		add("touch", "conversions", "users", "value")
		row := func(c *measure.Credit, name string) { add(name, whole(c.Conversions), whole(c.Users), real(c.Value)) }
		for i := range res.Attribution.Rows {
			row(&res.Attribution.Rows[i], res.Attribution.Rows[i].Touch)
		}
		if res.Attribution.Other != nil {
			row(res.Attribution.Other, "(other)")
		}
	case res.Return != nil:
		add("arm", "users", "converted", "value")
		row := func(name string, a measure.Arm) { add(name, whole(a.Users), whole(a.Converted), real(a.Value)) }
		row("treated", res.Return.Treated)
		row("holdout", res.Return.Holdout)
	}
	return out
}

func named(d measure.Dimension) string { return cmp.Or(d.Name, d.Field, "value") }

func zoneOf(res *measure.Result) *time.Location {
	zone, err := time.LoadLocation(res.Zone)
	if err != nil {
		return time.UTC // it was loaded to answer; without it the times are still right
	}
	return zone
}
