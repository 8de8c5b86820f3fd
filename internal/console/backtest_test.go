package console_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"heed/internal/backtest"
	"heed/internal/console"
	"heed/internal/console/api"
)

// backtests answers what it is told, and remembers the request.
type backtests struct {
	err  error
	last backtest.Request
}

func (b *backtests) Run(_ context.Context, req backtest.Request, report func(backtest.Progress)) (*backtest.Result, error) {
	b.last = req
	if b.err != nil {
		return nil, b.err
	}
	report(backtest.Progress{Share: 0.5, Events: 10})
	return &backtest.Result{Share: 1, Firings: 3, Users: 2, Campaign: &backtest.Outcome{}, Elapsed: time.Second}, nil
}

func (b *backtests) Preview(context.Context, backtest.Request) (*backtest.Result, error) {
	return &backtest.Result{Share: 0.25, Firings: 4}, nil
}

func TestBacktest(t *testing.T) {
	b := &backtests{}
	w := newWorld(t, func(_ *console.Config, d *console.Deps) { d.Backtests = b })
	c := w.as(adminToken)
	c.send("POST", "/api/v1/definitions:apply", definitions)
	ask := func(body string) answer {
		t.Helper()
		return c.send("POST", "/api/v1/triggers:backtest", body)
	}
	const draft = `"trigger": {"pattern": [{"event": "win"}]}`
	for body, want := range map[string]string{
		`{}`:                              "neither trigger nor name",
		`[]`:                              "not understood",
		`{` + draft + `, "day": 7}`:       "day",
		`{` + draft + `, "days": 401}`:    "days is 401",
		`{` + draft + `, "days": -1}`:     "days is -1",
		`{` + draft + `, "examples": -1}`: "examples is -1",
	} {
		if e := ask(body).fails(400, "bad_request"); !strings.Contains(e.Message, want) {
			t.Errorf("%s: %s", body, e.Message)
		}
	}
	for body, path := range map[string]string{
		`{"trigger": {"pattern": [{"event": "a"}, {"event": "b", "times": 99}], "within": "1m"}}`: "pattern[1].times",
		`{"trigger": {"pattern": [{"event": "a"}], "audience": "nobody"}}`:                        "audience",
		`{` + draft + `, "who": ["nobody"]}`:                                                      "who[0]",
		`{` + draft + `, "cap": {"count": 0, "per": "1h"}}`:                                       "cap",
		`{` + draft + `, "cap": {"count": 1, "per": "soon"}}`:                                     "cap",
	} {
		if e := ask(body).fails(422, "invalid"); len(e.Problems) != 1 || e.Problems[0].Path != path {
			t.Errorf("%s: %+v", body, e.Problems)
		}
	}
	ask(`{"name": "nothing"}`).fails(404, "not_found")
	ask(`{`+draft+`, "campaign": "nothing"}`).fails(404, "not_found")

	var lines []api.BacktestLine
	for line := range strings.Lines(string(ask(`{` + draft + `, "preview": true, "user": "ann", "cap": {"count": 2, "per": "1h"}}`).body)) {
		var l api.BacktestLine
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		lines = append(lines, l)
	}
	if len(lines) != 3 || lines[0].Estimate == nil || lines[0].Estimate.Exact || lines[1].Progress == nil || lines[2].Result == nil ||
		!lines[2].Result.Exact || lines[2].Result.Firings != 3 || lines[2].Result.Campaign == nil || lines[2].Result.Trigger != "draft" {
		t.Errorf("%+v", lines)
	}
	if r := b.last; r.Days != 7 || r.Examples != 20 || r.User != "ann" || r.Campaign.Cap.Count != 2 || r.Campaign.Cap.Per.Duration() != time.Hour {
		t.Errorf("asked for %+v", r)
	}
	ask(`{"name": "three-wins"}`)
	if b.last.Trigger.Name != "three-wins" || b.last.Campaign != nil {
		t.Errorf("asked for %+v", b.last)
	}

	b.err = backtest.ErrBusy
	if a := ask(`{` + draft + `}`); a.head.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	} else {
		a.fails(429, "busy")
	}
	b.err = backtest.ErrTooLong
	ask(`{`+draft+`}`).fails(503, "timeout")
	if a := ask(`{` + draft + `, "preview": true}`); a.status != 200 || !strings.Contains(string(a.body), `{"error":{"code":"timeout"`) {
		t.Errorf("an error after the estimate: %d %s", a.status, a.body)
	}
}
