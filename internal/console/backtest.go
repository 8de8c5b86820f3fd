package console

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"heed/internal/backtest"
	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/period"
	"heed/internal/trigger"
)

// Backtests tries triggers on the past; *backtest.Backtester does.
type Backtests interface {
	Run(ctx context.Context, req backtest.Request, report func(backtest.Progress)) (*backtest.Result, error)
	Preview(ctx context.Context, req backtest.Request) (*backtest.Result, error)
}

// Bounds and defaults of a request.
const (
	maxBacktestDays    = 400
	defaultDays        = 7
	maxExamples        = 100
	defaultExamples    = 20
	maxWho             = 100
	draftName          = "draft"
	maxBacktestCap     = 1000
	backtestRetryAfter = 2 * time.Second
)

// backtestTrigger streams progress and the answer as JSON lines.
func (c *Console) backtestTrigger(w http.ResponseWriter, r *http.Request) error {
	if c.deps.Backtests == nil {
		return api.Fail(http.StatusServiceUnavailable, "unavailable", "this process runs no backtests", "")
	}
	asked, req, err := c.backtestOf(r)
	if err != nil {
		return err
	}
	ctx, rc, stop := c.streaming(w, r)
	defer stop()
	out := &lines{w: bufio.NewWriterSize(&timedWriter{w, rc}, 16<<10), rc: rc}
	if asked.Preview {
		estimate, err := c.deps.Backtests.Preview(ctx, req)
		if err != nil {
			return c.noAnswer(ctx, w, out, err)
		}
		answer := api.BacktestResultOf(&req, estimate)
		out.write(w, api.BacktestLine{Estimate: &answer})
	}
	res, err := c.deps.Backtests.Run(ctx, req, func(p backtest.Progress) {
		out.write(w, api.BacktestLine{Progress: &api.BacktestProgress{
			Share: p.Share, Events: p.Events, Firings: p.Firings, Waiting: p.Waiting,
		}})
	})
	if err != nil {
		return c.noAnswer(ctx, w, out, err)
	}
	answer := api.BacktestResultOf(&req, res)
	out.write(w, api.BacktestLine{Result: &answer})
	return nil
}

// lines writes JSON lines, each at once.
type lines struct {
	w     *bufio.Writer
	rc    *http.ResponseController
	begun bool
}

// write gives up silently: a reader who has gone ends the request's context.
func (l *lines) write(w http.ResponseWriter, line api.BacktestLine) {
	if !l.begun {
		l.begun = true
		w.Header().Set("Content-Type", "application/x-ndjson")
	}
	if json.NewEncoder(l.w).Encode(line) == nil && l.w.Flush() == nil {
		_ = l.rc.Flush()
	}
}

// noAnswer tells why there is no answer: as the failure of the request or, once
// lines were written, as the last one.
func (c *Console) noAnswer(ctx context.Context, w http.ResponseWriter, out *lines, err error) error {
	switch {
	case ctx.Err() != nil:
		return nil //nolint:nilerr // nobody is there to be told
	case errors.Is(err, backtest.ErrBusy):
		f := api.Fail(http.StatusTooManyRequests, "busy", "other backtests are running and waiting", "try again in a moment")
		f.RetryAfter = backtestRetryAfter
		err = f
	case errors.Is(err, backtest.ErrTooLong):
		err = api.Fail(http.StatusServiceUnavailable, "timeout", "the backtest took longer than it may and was stopped", "ask for fewer days, or for one user; the setting is backtest.max_time")
	}
	if !out.begun {
		return err
	}
	f := failureOf(err)
	if f.Status == http.StatusInternalServerError {
		c.log.Error("a backtest failed", "error", err)
	}
	out.write(w, api.BacktestLine{Error: &f.Body})
	return nil
}

// backtestOf reads the request and checks the draft against the definitions in
// force.
func (c *Console) backtestOf(r *http.Request) (asked api.BacktestRequest, req backtest.Request, err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return asked, req, fmt.Errorf("read the request: %w", err)
	}
	in := json.NewDecoder(bytes.NewReader(body))
	in.DisallowUnknownFields()
	if err := in.Decode(&asked); err != nil {
		return asked, req, api.BadRequest("the body is not understood: "+cut(err.Error(), 200), `{"trigger": {...}, "days": 7}`)
	}
	if asked.Days == 0 {
		asked.Days = defaultDays
	}
	if asked.Examples == 0 {
		asked.Examples = defaultExamples
	}
	switch {
	case asked.Days < 1 || asked.Days > maxBacktestDays:
		return asked, req, api.BadRequest(fmt.Sprintf("days is %d: 1 to %d", asked.Days, maxBacktestDays), "")
	case asked.Examples < 1 || asked.Examples > maxExamples:
		return asked, req, api.BadRequest(fmt.Sprintf("examples is %d: 1 to %d", asked.Examples, maxExamples), "")
	case len(asked.User) > 512:
		return asked, req, api.BadRequest("user is too long", "")
	case len(asked.Who) > maxWho:
		return asked, req, api.BadRequest(fmt.Sprintf("who names more than %d audiences", maxWho), "")
	}
	req = backtest.Request{Days: asked.Days, User: asked.User, Examples: asked.Examples}
	defs := c.deps.Definitions.Current()
	if req.Trigger, err = draftOf(defs, &asked); err != nil {
		return asked, req, err
	}
	req.Campaign, err = campaignOf(defs, &asked)
	return asked, req, err
}

// draftOf is the trigger to try.
func draftOf(defs *definition.Set, asked *api.BacktestRequest) (*trigger.Definition, error) {
	if len(asked.Trigger) == 0 {
		if asked.Name == "" {
			return nil, api.BadRequest("neither trigger nor name is there", `{"trigger": {...}} or {"name": "three-wins"}`)
		}
		saved := defs.Triggers[asked.Name]
		if saved == nil {
			return nil, api.NotFound("there is no trigger " + cut(asked.Name, 64))
		}
		return saved, nil
	}
	name := asked.Name
	if name == "" {
		var own struct{ Name string }
		if json.Unmarshal(asked.Trigger, &own) == nil { // what is wrong with it is told below
			name = own.Name
		}
	}
	if name == "" {
		name = draftName
	}
	doc, err := definition.ParseOne(definition.KindTrigger, name, definition.Compact(asked.Trigger))
	if err != nil {
		return nil, err
	}
	docs := []definition.Document{doc}
	for _, name := range slices.Sorted(maps.Keys(defs.Dimensions)) {
		docs = append(docs, definition.NewDocument(definition.KindDimension, name, defs.Dimensions[name]))
	}
	for _, name := range slices.Sorted(maps.Keys(defs.Audiences)) {
		docs = append(docs, definition.NewDocument(definition.KindAudience, name, defs.Audiences[name]))
	}
	if _, problems := definition.NewSet(0, docs); problems != nil {
		return nil, problems
	}
	draft, ok := doc.Spec.(*trigger.Definition)
	if !ok {
		return nil, api.BadRequest("this is no trigger", "")
	}
	return draft, nil
}

// campaignOf is the campaign to ask, nil if none is meant.
func campaignOf(defs *definition.Set, asked *api.BacktestRequest) (*backtest.Campaign, error) {
	if asked.Campaign == "" && len(asked.Who) == 0 && asked.Cap == nil {
		return nil, nil //nolint:nilnil // no campaign is no error
	}
	out := &backtest.Campaign{Name: asked.Campaign}
	if asked.Campaign != "" {
		k := defs.Campaigns[asked.Campaign]
		if k == nil {
			return nil, api.NotFound("there is no campaign " + cut(asked.Campaign, 64))
		}
		share, err := k.HoldoutShare()
		if err != nil {
			return nil, fmt.Errorf("campaign %s: %w", k.Name, err)
		}
		out.Who, out.Holdout, out.Cap = k.Who, share, k.Limits.Cap
	}
	if len(asked.Who) > 0 {
		out.Who = asked.Who
		for i, name := range asked.Who {
			if defs.Audiences[name] == nil {
				return nil, definition.Problems{{Path: fmt.Sprintf("who[%d]", i), Message: fmt.Sprintf("audience %q does not exist", cut(name, 64))}}
			}
		}
	}
	if asked.Cap != nil {
		per, err := period.Parse(asked.Cap.Per)
		if err != nil || per <= 0 || per.Duration() > maxBacktestDays*24*time.Hour || asked.Cap.Count < 1 || asked.Cap.Count > maxBacktestCap {
			return nil, definition.Problems{{
				Path: "cap", Message: fmt.Sprintf("needs a count from 1 to %d and a period", maxBacktestCap), Hint: "cap: {count: 1, per: 24h}",
			}}
		}
		out.Cap = &definition.Cap{Count: asked.Cap.Count, Per: per}
	}
	return out, nil
}
