package audiences

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/console/api"
	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/measure"
)

// run runs the world's Keeper by the clock of a bubble until stop.
func (w *world) run() (stop func()) {
	w.real = true
	w.start()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.k.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
}

// An event makes a member within two seconds, and time alone within a minute.
func TestMembersInTime(t *testing.T) {
	for _, indexed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 2)
			if !indexed {
				w.index = nil
			}
			w.define(`
kind: audience
name: quiet
all:
- did: {event: purchase}
- did: {event: purchase, max: 0, during: {last: 720h}}
---
kind: audience
name: buyers
did: {event: purchase}
`)
			defer w.run()()
			size := func(name string) int64 {
				t.Helper()
				a, err := w.k.Audience(t.Context(), name)
				if err != nil || a.State != api.AudienceReady || a.Stale {
					t.Fatalf("%+v, %v", a, err)
				}
				return a.Size
			}
			time.Sleep(time.Second)
			const left = 5 * time.Minute
			long := track("ann", "purchase")
			long.Timestamp = time.Now().Add(left - 720*time.Hour).UnixMicro()
			due := time.Now().Add(left)
			w.happen(long)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if size("buyers") != 1 || size("quiet") != 0 {
				t.Errorf("%d buyers, %d quiet", size("buyers"), size("quiet"))
			}
			time.Sleep(time.Until(due))
			synctest.Wait()
			if size("quiet") != 0 {
				t.Error("a member before it is one")
			}
			time.Sleep(time.Minute)
			synctest.Wait()
			if size("quiet") != 1 {
				t.Error("no member a minute after it is one")
			}
			w.happen(track("ann", "purchase"))
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if size("quiet") != 0 {
				t.Error("still a member after the purchase")
			}
			_, events := w.obeyed()
			if got := events["quiet ann"]; !slices.Equal(got, []string{event.NameAudienceEntered, event.NameAudienceLeft}) {
				t.Errorf("events: %v", got)
			}
		})
	}
}

// While nothing changes nothing is asked, but for what keeps the time of the
// answer; and of the time, ten elevenths are rest.
func TestAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.index = nil
		w.define("kind: audience\nname: buyers\ndid: {event: purchase}\n")
		defer w.run()()
		time.Sleep(time.Second)
		synctest.Wait()
		asked := w.asked
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if w.asked != asked || asked == 0 {
			t.Errorf("%d looks at nothing new", w.asked-asked)
		}
		w.mu.Lock()
		w.slow = 500 * time.Millisecond
		w.mu.Unlock()
		for range 300 {
			w.happen(track("ann", "noise"))
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if n := w.asked - asked; n < 4 || n > 6 {
			t.Errorf("%d looks of half a second in 30 s", n)
		}
	})
}

// A start is not rested from as what comes again and again: with many audiences, nobody
// would enter or leave the last of them for minutes.
func TestStartIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.index = nil
		w.slow = time.Second
		var rules strings.Builder
		for i := range 10 {
			fmt.Fprintf(&rules, "kind: audience\nname: buyers%d\ndid: {event: purchase, min: %d}\n---\n", i, i+1)
		}
		w.define(rules.String())
		defer w.run()()
		time.Sleep(25 * time.Second)
		synctest.Wait()
		list, err := w.k.Audiences(t.Context())
		if err != nil || len(list) != 10 {
			t.Fatalf("%d audiences, %v", len(list), err)
		}
		for _, a := range list {
			if a.State != api.AudienceReady {
				t.Errorf("%s is %s", a.Name, a.State)
			}
		}
	})
}

// What nobody keeps any more is still shown, and said to be old.
func TestStale(t *testing.T) {
	w := newWorld(t, 2)
	w.define("kind: audience\nname: buyers\ndid: {event: purchase}\n")
	w.happen(track("ann", "purchase"))
	w.settle()
	w.k.running.Store(false)
	show := func() *api.Audience {
		t.Helper()
		list, err := w.k.Audiences(t.Context())
		if err != nil || len(list) != 1 {
			t.Fatalf("%v, %v", list, err)
		}
		return &list[0]
	}
	if a := show(); a.Size != 1 || a.Stale || a.State != api.AudienceReady || len(a.History) != 1 {
		t.Errorf("%+v", a)
	}
	w.now += 3 * 60e6
	if a := show(); a.Size != 1 || !a.Stale {
		t.Errorf("%+v", a)
	}
	if a, err := w.k.Audience(t.Context(), "nobody"); a != nil || err != nil {
		t.Errorf("%+v, %v", a, err)
	}
}

// Sizes are kept for seven days, a point a minute, and read back.
func TestSizes(t *testing.T) {
	w := newWorld(t, 2)
	w.define("kind: audience\nname: buyers\ndid: {event: purchase}\n")
	for i := range 10 * 24 * 4 {
		w.happen(track(string(rune('a'+i%26))+time.Duration(i).String(), "purchase"))
		w.settle()
		w.now += 15 * 60e6
	}
	check := func() {
		t.Helper()
		a, err := w.k.Audience(t.Context(), "buyers")
		if err != nil {
			t.Fatal(err)
		}
		n := len(a.History)
		if n < 7*24*4-4 || n > 8*24*4 || a.History[n-1].Size != 10*24*4 || a.History[n-1].Size-a.History[0].Size != int64(n-1) {
			t.Errorf("%d points, from %v to %v", n, a.History[0], a.History[n-1])
		}
		list, err := w.k.Audiences(t.Context())
		if err != nil || len(list[0].History) > 8*24+1 || len(list[0].History) < 7*24-1 {
			t.Errorf("%d points in the list, %v", len(list[0].History), err)
		}
		if a.Entered24h < 95 || a.Entered24h > 97 {
			t.Errorf("%d entered in 24 hours", a.Entered24h)
		}
	}
	check()
	w.restart()
	w.settle()
	check()
	docs, err := w.db.Documents().List(t.Context(), documents.Query{Collection: collSizes})
	if err != nil || len(docs) < 7 || len(docs) > 9 {
		t.Errorf("%d days are stored, %v", len(docs), err)
	}
}

// The journal does not grow for ever, and the list of changes ends.
func TestFolds(t *testing.T) {
	w := newWorld(t, 2)
	w.define("kind: audience\nname: odd\nall: [{did: {event: on}}, {did: {event: off, max: 0, during: {last: 1m}}}]\n")
	for i := range 5000 {
		w.happen(track(user(i), "on"))
	}
	w.settle()
	for range 10 {
		for i := range 700 {
			w.happen(track(user(i), "off"))
		}
		w.settle()
		w.now += 80e6
		w.settle()
	}
	entries, err := w.db.Documents().List(t.Context(), documents.Query{Collection: collJournal})
	if err != nil || len(entries) > 15 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	changes, err := w.k.Changes(t.Context(), "odd", 1000)
	if err != nil || len(changes) != 1000 || changes[0].Change != api.AudienceEntered || changes[0].Time.Before(changes[999].Time) {
		t.Errorf("%d changes, %v", len(changes), err)
	}
	before := len(w.records())
	w.restart()
	w.settle()
	if n := len(w.records()); n != before {
		t.Errorf("a start told the log %d records", n-before)
	}
	in, _ := w.obeyed()
	if len(in["odd"]) != 5000 {
		t.Errorf("%d members", len(in["odd"]))
	}
}

func TestPreview(t *testing.T) {
	w := newWorld(t, 2)
	w.define("kind: audience\nname: then\nfrozen: 2026-11-20T00:00:00Z\ndid: {event: purchase}\n")
	for i := range 30 {
		w.happen(track(user(i), "purchase"))
	}
	ask := func(text string) (api.AudiencePreview, error) {
		q, err := measure.ParseUsers([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return w.k.Preview(t.Context(), q)
	}
	if _, err := ask(`{"audience": "then"}`); err == nil {
		t.Error("frozen members that are not counted yet were counted")
	}
	w.settle()
	w.happen(track("late", "purchase"))
	for text, want := range map[string]int64{
		`{"did": {"event": "purchase"}, "zone": "Europe/Berlin"}`: 31,
		`{"audience": "then"}`:                                 30,
		`{"all": [{"audience": "then"}, {"users": ["late"]}]}`: 0,
	} {
		w.now++
		got, err := ask(text)
		if err != nil || got.Size != want || len(got.Sample) != int(min(want, 20)) || len(got.Reachable) != 2 || got.Reachable[0].Users != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t, 2)
	registry := prometheus.NewRegistry()
	var err error
	if w.k.metrics, err = newMetrics(registry, w.k.behind); err != nil {
		t.Fatal(err)
	}
	w.define("kind: audience\nname: buyers\ndid: {event: purchase}\n")
	w.settle()
	w.happen(track("ann", "purchase"))
	w.settle()
	w.happen(track("bob", "noise")) // nobody asks because of it
	w.settle()
	w.happen(track("ann", "purchase"))
	w.now++
	w.settle()
	w.now += 90e6
	got := map[string]float64{}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	if got["heed_audiences_changes_total entered"] != 1 || got["heed_audiences_evaluations_total changed"] != 2 ||
		got["heed_audiences_evaluations_total same"] != 1 || got["heed_audiences_behind_seconds"] != 90 {
		t.Errorf("%v", got)
	}
}
