package analytics

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"heed/internal/channel"
	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/measure"
)

// hourly answers that each event came so often in every hour up to the last one.
type hourly struct {
	times float64
	err   error
	asked *measure.Query
}

func (h *hourly) Query(_ context.Context, q *measure.Query, now int64) (measure.Result, error) {
	h.asked = q
	f, err := q.Frame(now)
	if err != nil {
		return measure.Result{}, errors.Join(err, h.err)
	}
	span, err := f.Span(q.Range)
	if err != nil {
		return measure.Result{}, errors.Join(err, h.err)
	}
	res := measure.SeriesResult{}
	for at := span.From; at < now; at += time.Hour.Microseconds() {
		res.Buckets = append(res.Buckets, at)
	}
	for range q.Series.Of {
		line := measure.Line{Points: make([]float64, len(res.Buckets))}
		for i := range len(line.Points) - 1 {
			line.Points[i] = h.times
		}
		res.Lines = append(res.Lines, line)
	}
	return measure.Result{Kind: measure.KindSeries, Series: &res}, h.err
}

type refusedEvents []api.BadEvent

func (r refusedEvents) BadEvents(context.Context, int) ([]api.BadEvent, error) { return r, nil }

func TestAlerts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(40 * time.Minute) // behind the full hour
		db := memory.Open(memory.Config{})
		defer func() { _ = db.Close() }()
		live, stop := start(t, db, Config{})
		defer stop()
		docs, problems := definition.Parse("", []byte("kind: event\nname: purchase\nkey: true\n---\nkind: event\nname: view\n"))
		if problems != nil {
			t.Fatal(problems)
		}
		set, problems := definition.NewSet(1, docs)
		if problems != nil {
			t.Fatal(problems)
		}
		facts, bad := &hourly{times: 5}, refusedEvents(nil)
		var failing []channel.Outage
		a := &Alerts{Live: live, Measures: &Measures{Facts: facts}, BadEvents: &bad, Definitions: current{set}, Outages: func(time.Time) []channel.Outage { return failing }, Clock: time.Now}
		alerts := func() (api.AlertList, string) {
			t.Helper()
			time.Sleep(alertsEvery)
			list, err := a.Alerts(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var kinds []string
			for _, x := range list.Alerts {
				kinds = append(kinds, strings.TrimSpace(string(x.Kind)+" "+x.Subject))
			}
			return list, strings.Join(kinds, ", ")
		}
		if list, got := alerts(); got != "" || list.Alerts == nil {
			t.Errorf("a quiet shop: %s", got)
		}
		facts.times = 100
		for i := range 6 {
			bad = append(bad, make(refusedEvents, 5)...)
			for j := range bad {
				bad[j] = api.BadEvent{At: time.Now(), Source: "shop", Reason: "no event name"}
			}
			e := outcome(fmt.Sprint("u", i), "failed", "smtp", false)
			e.Properties = []byte(`{"status":"failed","reason":"550 no","channel":"mail","campaign":"winners"}`)
			add(t, db, e)
		}
		add(t, db, event.Event{Name: event.NameDelivery, AnonymousID: "t", Properties: []byte(`{"status":"sent","channel":"mail","campaign":"winners","test":true}`)})
		list, got := alerts()
		if got != "channel_failing mail, bad_events_jump, event_silent purchase" {
			t.Fatalf("%s in %+v", got, list)
		}
		if x := list.Alerts[0]; x.Count != 6 || x.Of != 6 || x.Href != "/campaigns/winners?status=failed" || !strings.Contains(x.Detail, "550 no") {
			t.Errorf("%+v", x)
		}
		if x := list.Alerts[1]; x.Count != 30 || !strings.Contains(x.Detail, "no event name") {
			t.Errorf("%+v", x)
		}
		if x := list.Alerts[2]; x.Usual < 60 || x.Usual > 70 || x.Since.Minute() != 0 || !strings.Contains(x.Href, "%22purchase%22") {
			t.Errorf("%+v", x)
		}
		// A destination that fails is told at once, beside what was found a moment ago.
		failing = []channel.Outage{{Channel: "hook", Destination: "hook.example", Since: time.Now().Add(-time.Minute), Failures: 5, Reason: "503."}}
		list, err := a.Alerts(t.Context())
		if err != nil || len(list.Alerts) != 4 {
			t.Fatalf("%+v, %v", list, err)
		}
		if x := list.Alerts[0]; x.Kind != api.DestinationFailing || x.Count != 5 || x.WindowSeconds != 60 || x.Href != "/channels/hook" ||
			!strings.Contains(x.Detail, "5 attempts in a row failed, the last one with: 503. ") {
			t.Errorf("%+v", x)
		}
		failing = nil
		if list, err = a.Alerts(t.Context()); err != nil || len(list.Alerts) != 3 {
			t.Errorf("%+v, %v", list, err)
		}
		// They go by themselves.
		bad = nil
		time.Sleep(20 * time.Minute)
		add(t, db, track("u", "purchase"))
		if list, got = alerts(); got != "" {
			t.Errorf("%+v", list)
		}
		facts.err = errors.New("the facts are being repaired")
		if list, got = alerts(); got != "" || len(list.Notes) != 1 || !strings.Contains(list.Notes[0], "being repaired. It is looked at again") {
			t.Errorf("%+v", list)
		}
	})
}

type current struct{ set *definition.Set }

func (c current) Current() *definition.Set { return c.set }
