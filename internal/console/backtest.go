package console

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	openapi_types "github.com/oapi-codegen/runtime/types"

	"heed/internal/backtest"
	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/event"
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
		return fail(http.StatusServiceUnavailable, "unavailable", "this process runs no backtests", "")
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
		answer := backtestResult(&req, estimate)
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
	answer := backtestResult(&req, res)
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
		return nil // nobody is there to be told
	case errors.Is(err, backtest.ErrBusy):
		f := fail(http.StatusTooManyRequests, "busy", "other backtests are running and waiting", "try again in a moment")
		f.retryAfter = backtestRetryAfter
		err = f
	case errors.Is(err, backtest.ErrTooLong):
		err = fail(http.StatusServiceUnavailable, "timeout", "the backtest took longer than it may and was stopped", "ask for fewer days, or for one user; the setting is backtest.max_time")
	}
	if !out.begun {
		return err
	}
	f := failureOf(err)
	if f.status == http.StatusInternalServerError {
		c.log.Error("a backtest failed", "error", err)
	}
	out.write(w, api.BacktestLine{Error: &f.body})
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
		return asked, req, badRequest("the body is not understood: "+cut(err.Error(), 200), `{"trigger": {...}, "days": 7}`)
	}
	if asked.Days == 0 {
		asked.Days = defaultDays
	}
	if asked.Examples == 0 {
		asked.Examples = defaultExamples
	}
	switch {
	case asked.Days < 1 || asked.Days > maxBacktestDays:
		return asked, req, badRequest(fmt.Sprintf("days is %d: 1 to %d", asked.Days, maxBacktestDays), "")
	case asked.Examples < 1 || asked.Examples > maxExamples:
		return asked, req, badRequest(fmt.Sprintf("examples is %d: 1 to %d", asked.Examples, maxExamples), "")
	case len(asked.User) > 512:
		return asked, req, badRequest("user is too long", "")
	case len(asked.Who) > maxWho:
		return asked, req, badRequest(fmt.Sprintf("who names more than %d audiences", maxWho), "")
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
			return nil, badRequest("neither trigger nor name is there", `{"trigger": {...}} or {"name": "three-wins"}`)
		}
		saved := defs.Triggers[asked.Name]
		if saved == nil {
			return nil, notFound("there is no trigger " + cut(asked.Name, 64))
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
	doc, err := definition.ParseOne(definition.KindTrigger, name, compact(asked.Trigger))
	if err != nil {
		return nil, err
	}
	docs := []definition.Document{doc}
	for _, name := range slices.Sorted(maps.Keys(defs.Audiences)) {
		docs = append(docs, definition.NewDocument(definition.KindAudience, name, defs.Audiences[name]))
	}
	if _, problems := definition.NewSet(0, docs); problems != nil {
		return nil, problems
	}
	draft, ok := doc.Spec.(*trigger.Definition)
	if !ok {
		return nil, badRequest("this is no trigger", "")
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
			return nil, notFound("there is no campaign " + cut(asked.Campaign, 64))
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

// backtestResult is the answer as the API shows it.
func backtestResult(req *backtest.Request, r *backtest.Result) api.BacktestResult {
	out := api.BacktestResult{
		Trigger: req.Trigger.Name, AsOf: api.Time(r.Until), From: api.Time(r.From), Until: api.Time(r.Until),
		LogFrom: api.Time(r.LogFrom), WarmedFrom: api.Time(r.WarmedFrom), Short: r.Short, Days: req.Days, Zone: "UTC",
		Exact: r.Exact(), Share: r.Share, Firings: r.Firings, Users: r.Users, PerDay: []api.BacktestDay{},
		Refused: api.BacktestRefused{Limit: r.Refused.Limit, Audience: r.Refused.Audience, Cancelled: r.Refused.Cancelled},
		Counts: api.BacktestCounts{
			Events: r.Counts.Events, Matched: r.Counts.Matched, Old: r.Counts.Old, Late: r.Counts.Late,
			Evicted: r.Counts.Evicted, Deep: r.Counts.Deep, Unreadable: r.Counts.Unreadable,
		},
		Examples: []api.BacktestExample{}, Profiles: api.ProfilesUnused, Notes: backtestNotes(req, r),
		Seconds: r.Elapsed.Seconds(),
	}
	if r.Profiles {
		out.Profiles = api.ProfilesRebuilt
	}
	if s := r.Elapsed.Seconds(); s > 0 {
		out.EventsPerSecond = float64(r.Counts.Events) / s
	}
	for _, d := range r.Days {
		out.PerDay = append(out.PerDay, api.BacktestDay{Day: openapi_types.Date{Time: api.Time(d.Day)}, Firings: d.Firings})
	}
	if c := r.Campaign; c != nil {
		out.Campaign = &api.BacktestCampaign{Audience: c.Audience, Holdout: c.Holdout, Cap: c.Cap, Sends: c.Sends, Recipients: c.Recipients}
	}
	for _, e := range r.Examples {
		x := api.BacktestExample{User: e.User, At: api.Time(e.At), Key: e.Key, Fire: hex.EncodeToString(e.FireID[:]), Timer: e.Timer}
		for _, s := range e.Steps {
			var ev event.Event
			if event.DecodeAvro(s.Record, &ev) == nil { // it was read before
				x.Events = append(x.Events, api.SummaryOf(e.Partition, s.Offset, &ev))
			}
		}
		out.Examples = append(out.Examples, x)
	}
	return out
}

// backtestNotes says what one should know about an answer.
func backtestNotes(req *backtest.Request, r *backtest.Result) []string {
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	date := func(t int64) string { return api.Time(t).Format("2006-01-02 15:04 MST") }
	switch {
	case r.LogFrom == 0:
		note("The log holds no events yet.")
	case r.LogFrom > r.From && r.Counts.Old > 0:
		note("The log begins at %s: of what happened earlier, only what was brought in later is counted.", date(r.LogFrom))
	case r.LogFrom > r.From:
		note("The log begins at %s: earlier events are not counted.", date(r.LogFrom))
	case r.Short:
		note("The log begins at %s: what was under way before it is not known.", date(r.LogFrom))
	}
	if req.Trigger.Reentry != nil && req.Trigger.Reentry.Once {
		note("Whoever this trigger would have fired for before the log begins counts once more.")
	}
	if !r.Exact() {
		note("An estimate from %.2g %% of the events.", 100*r.Share)
		if r.Days == nil {
			note("Users are those of the newest events alone.")
		}
	}
	if r.Sampled {
		note("There was not enough memory for the rows of all users: the rest were left out by a hash of their id (backtest.memory_bytes).")
	}
	if r.Profiles {
		note("Traits are those of that moment, folded along the log. What was overwritten since %s is unknown before its first write there.", date(r.WarmedFrom))
	}
	if r.Pulls {
		note("What was pulled is not kept over time: conditions on pull.* count as missing.")
	}
	if r.Counts.Old > 0 {
		note("%d of the matched events are historical or came later than max_age: live they would not have counted.", r.Counts.Old)
	}
	if r.Counts.Unreadable > 0 {
		note("%d events could not be read and were skipped, as they are live.", r.Counts.Unreadable)
	}
	return notes
}
