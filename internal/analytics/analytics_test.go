package analytics

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"heed/internal/console/api"
	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/eventlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func add(t testing.TB, db *memory.DB, events ...event.Event) {
	t.Helper()
	log := db.Log()
	for _, e := range events {
		if e.Timestamp == 0 {
			e.Timestamp = time.Now().UnixMicro()
		}
		e.ReceivedAt, e.Source = time.Now().UnixMicro(), "shop"
		b := &eventlog.Batch{Partition: eventlog.PartitionOf(e.User(), log.Partitions()), Data: event.AppendEvent(nil, &e)}
		b.Ends = []int{len(b.Data)}
		if err := log.Append(t.Context(), eventlog.Events, []*eventlog.Batch{b}); err != nil {
			t.Fatal(err)
		}
	}
}

func track(user, name string) event.Event {
	return event.Event{MessageID: user + name, Name: name, AnonymousID: user, Properties: []byte(`{"n":1}`)}
}

func outcome(user, status, reason string, test bool) event.Event {
	return event.Event{
		Name: event.NameDelivery, AnonymousID: user,
		Properties: fmt.Appendf(nil, `{"status":%q,"reason":%q,"campaign":"winners","test":%t}`, status, reason, test),
	}
}

func start(t *testing.T, db *memory.DB, cfg Config) (a *Analytics, stop func()) {
	t.Helper()
	a, err := New(cfg, Deps{Log: db.Log(), Documents: db.Documents()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	synctest.Wait()
	if err := a.Ready(); err != nil {
		t.Error(err)
	}
	return a, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func TestFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{})
		defer func() { _ = db.Close() }()
		a, stop := start(t, db, Config{})
		defer stop()
		for i := range 10 {
			add(t, db, track(fmt.Sprint("u", i), "win"), track(fmt.Sprint("u", i), "lobby"))
		}
		add(t, db, track("u1", "win"), outcome("u1", "failed", "smtp", false))
		add(t, db, event.Event{Type: event.System, Name: event.NameTick, AnonymousID: "u1"})
		old := track("old", "win")
		old.Timestamp = time.Now().Add(-time.Hour).UnixMicro()
		add(t, db, old)
		time.Sleep(1100 * time.Millisecond)
		s := a.Stats()
		if s.Events != 23 || s.ActiveUsers != 10 || s.BehindMs != 0 || s.Dropped != 0 || s.Failures != 1 {
			t.Errorf("stats: %+v", s)
		}
		if s.ByName[0].Name != "win" || s.ByName[0].Count != 12 || s.ByName[0].PerSecond == 0 {
			t.Errorf("by name: %+v", s.ByName)
		}
		if s.EventsPerSecond == 0 || s.PerMinute[len(s.PerMinute)-1]+s.PerMinute[len(s.PerMinute)-2] != 23 {
			t.Errorf("rates: %v, %v", s.EventsPerSecond, s.PerMinute)
		}
		events, next, missed := a.Events(0, "")
		if len(events) != 23 || missed != 0 {
			t.Errorf("%d events, %d missed", len(events), missed)
		}
		if events, _, _ := a.Events(0, "u1"); len(events) != 4 {
			t.Errorf("of u1: %+v", events)
		}
		add(t, db, track("u2", "loss"))
		synctest.Wait()
		events, _, _ = a.Events(next, "")
		if len(events) != 1 || events[0].Event != "loss" || string(events[0].Properties) != `{"n":1}` || events[0].User != "u2" {
			t.Errorf("behind %d: %+v", next, events)
		}
		if d, _, _ := a.Deliveries(0, ""); len(d) != 1 || d[0].Status != api.StatusFailed || d[0].Reason != "smtp" {
			t.Errorf("deliveries: %+v", d)
		}
		// Nobody is active for ever, and rates end.
		time.Sleep(6 * time.Minute)
		s = a.Stats()
		if s.ActiveUsers != 0 || s.EventsPerSecond != 0 || s.Events != 24 {
			t.Errorf("later: %+v", s)
		}
		time.Sleep(time.Hour)
		if s = a.Stats(); s.Failures != 0 {
			t.Errorf("failures an hour later: %d", s.Failures)
		}
	})
}

func TestSampling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{})
		defer func() { _ = db.Close() }()
		a, stop := start(t, db, Config{ShownPerSecond: 10, Recent: 50, RecentDeliveries: 1000})
		defer stop()
		cancel := a.Watch("vip")
		for i := range 200 {
			add(t, db, track(fmt.Sprint("u", i), "win"), outcome(fmt.Sprint("u", i), "sent", "", false))
		}
		add(t, db, track("vip", "win"), track("vip", "loss"))
		time.Sleep(1500 * time.Millisecond)
		shown, _, _ := a.Events(0, "")
		s := a.Stats()
		if s.Events != 402 || s.Dropped != 402-int64(len(shown)) || s.Dropped < 350 {
			t.Errorf("%d events, %d shown, %d dropped", s.Events, len(shown), s.Dropped)
		}
		if vip, _, _ := a.Events(0, "vip"); len(vip) != 2 {
			t.Errorf("a watched user was sampled: %d of 2 events", len(vip))
		}
		if d, _, _ := a.Deliveries(0, ""); len(d) != 200 {
			t.Errorf("%d of 200 deliveries are shown", len(d))
		}
		cancel()
		cancel()
		if n := a.watched.n.Load(); n != 0 {
			t.Errorf("%d users are still watched", n)
		}
	})
}

// What came back about a delivery of which nobody knew whether it arrived settles that,
// and is no outcome more.
func TestReportOfSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{})
		defer func() { _ = db.Close() }()
		a, stop := start(t, db, Config{})
		for i := range 3 {
			add(t, db, outcome(fmt.Sprint("u", i), "held", "unknown", false))
		}
		for name, user := range map[string]string{event.NameDelivered: "u0", event.NameBounced: "u1"} {
			add(t, db, event.Event{Name: name, AnonymousID: user, Properties: []byte(`{"campaign":"winners","settles":true}`)})
		}
		add(t, db, event.Event{Name: event.NameDelivered, AnonymousID: "u3", Properties: []byte(`{"campaign":"winners"}`)})
		synctest.Wait()
		got := a.Report("winners")
		stop()
		if got.Activations != 3 || got.UnknownArrived != 1 || got.UnknownBounced != 1 || got.Delivered != 2 || got.Bounced != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// Whatever the log repeats and whenever the process ends, an outcome counts once.
func TestReportsSurviveRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{Seed: 3})
		h := memory.AllHostile()
		h.LostAck = 0
		db.SetHostile(h)
		defer func() { _ = db.Close() }()
		for round := range 6 {
			_, stop := start(t, db, Config{})
			for i := range 20 {
				u := fmt.Sprint("u", i)
				add(t, db, outcome(u, "sent", "", false), outcome(u, "refused", "cap", i%2 == 0))
				add(t, db, event.Event{Name: event.NameShown, AnonymousID: u, Properties: []byte(`{"campaign":"winners"}`)})
			}
			if round%2 == 0 {
				time.Sleep(11 * time.Second)
			}
			stop()
		}
		a, stop := start(t, db, Config{})
		synctest.Wait()
		got := a.Report("winners")
		stop()
		got.AsOf, got.Since = time.Time{}, time.Time{}
		want := api.CampaignReport{
			Campaign: "winners", Activations: 180, Sent: 120, Shown: 120, Tests: 60,
			Outcomes: []api.StatusCount{{Status: "sent", Count: 120}, {Status: "refused", Reason: "cap", Count: 60}},
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
		if r := a.Report("other"); r.Activations != 0 || r.Outcomes == nil {
			t.Errorf("a campaign without outcomes: %+v", r)
		}
	})
}

func TestNewestAreShownAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{})
		defer func() { _ = db.Close() }()
		_, stop := start(t, db, Config{})
		add(t, db, track("u", "win"), outcome("u", "sent", "", false))
		stop()
		a, stop := start(t, db, Config{})
		defer stop()
		synctest.Wait()
		if events, _, _ := a.Events(0, ""); len(events) != 2 {
			t.Errorf("%d of 2 events are shown", len(events))
		}
		if d, _, _ := a.Deliveries(0, ""); len(d) != 1 {
			t.Errorf("%d of 1 delivery is shown", len(d))
		}
		time.Sleep(1500 * time.Millisecond)
		if s := a.Stats(); s.Events != 0 {
			t.Errorf("%d events of before are counted as new", s.Events)
		}
		if r := a.Report("winners"); r.Sent != 1 {
			t.Errorf("sent %d, want 1", r.Sent)
		}
	})
}

// However many offsets a record takes, the newest events are shown, and not more.
func TestNewestOfALogWithGaps(t *testing.T) {
	for _, spacing := range []uint64{1, 256} {
		synctest.Test(t, func(t *testing.T) {
			db := memory.Open(memory.Config{Partitions: 1, Spacing: spacing})
			defer func() { _ = db.Close() }()
			for i := range 2 * seedEvents {
				add(t, db, track("u", fmt.Sprint("event", i)))
			}
			a, stop := start(t, db, Config{})
			defer stop()
			synctest.Wait()
			if events, _, _ := a.Events(0, ""); len(events) != seedEvents || events[0].Event != fmt.Sprint("event", seedEvents) {
				t.Errorf("spacing %d: %d events are shown, want the %d newest", spacing, len(events), seedEvents)
			}
		})
	}
}

func TestNamesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{Partitions: 1})
		defer func() { _ = db.Close() }()
		a, stop := start(t, db, Config{Names: 150})
		defer stop()
		for i := range 200 {
			add(t, db, track("u", fmt.Sprint("event", i)))
		}
		time.Sleep(1500 * time.Millisecond)
		s := a.Stats()
		var sum int64
		for _, n := range s.ByName {
			sum += n.Count
		}
		if len(a.Names()) != 150 || len(s.ByName) != 100 || sum+s.OtherNames != 200 {
			t.Errorf("%d names, %d listed with %d events, %d others", len(a.Names()), len(s.ByName), sum, s.OtherNames)
		}
	})
}

func TestRing(t *testing.T) {
	r := newRing[int](3)
	f := func(after uint64, want []int, wantNext uint64, wantMissed int64) {
		t.Helper()
		got, next, missed := r.since(after, func(*int) bool { return true })
		if d := cmp.Diff(want, got); d != "" || next != wantNext || missed != wantMissed {
			t.Errorf("since(%d) = %v, %d, %d, want %v, %d, %d", after, got, next, missed, want, wantNext, wantMissed)
		}
	}
	f(0, nil, 0, 0)
	r.add(1)
	f(0, []int{1}, 1, 0)
	for i := 2; i <= 5; i++ {
		r.add(i)
	}
	f(0, []int{3, 4, 5}, 5, 2)
	f(4, []int{5}, 5, 0)
	f(5, nil, 5, 0)
}

func TestSketch(t *testing.T) {
	for _, n := range []int{0, 1, 10, 1000, 50_000, 200_000} {
		var s, half sketch
		for i := range n {
			h := xxhash.Sum64String(fmt.Sprint("user-", i))
			s.add(h)
			s.add(h)
			if i%2 == 0 {
				half.add(h)
			}
		}
		half.merge(&s)
		got := half.estimate()
		if off := math.Abs(got - float64(n)); off > 0.05*float64(n)+0.5 {
			t.Errorf("%d users are estimated as %.0f", n, got)
		}
	}
}

func BenchmarkCount(b *testing.B) {
	db := memory.Open(memory.Config{Partitions: 1})
	defer func() { _ = db.Close() }()
	a, err := New(Config{}, Deps{Log: db.Log(), Documents: db.Documents()})
	if err != nil {
		b.Fatal(err)
	}
	const n = 1000
	var data []byte
	for i := range n {
		e := track(fmt.Sprint("user-", i), fmt.Sprint("event-", i%20))
		e.Timestamp, e.Properties = time.Now().UnixMicro(), []byte(`{"pad":"`+strings.Repeat("x", 500)+`"}`)
		data = event.AppendEvent(data, &e)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		chunk := eventlog.Chunk{Base: uint64(i * n), Count: n, Appended: time.Now().UnixMicro(), Data: data}
		if err := a.shards[0].count(&chunk); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/event")
}

func TestFields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{Partitions: 1})
		defer func() { _ = db.Close() }()
		a, stop := start(t, db, Config{})
		defer stop()
		win := func(properties string) event.Event {
			return event.Event{Name: "win", AnonymousID: "u", Properties: []byte(properties)}
		}
		add(
			t, db,
			win(`{"stake": 10, "game": "slots", "a.b": 1, "gone": null}`),
			win(`{"stake": "10", "game": "dice", "at": "2026-11-21T09:00:00Z", "items": [{"id": 7}, {"id": 8}], "deep": {"a": {"b": {"c": {"d": 1}}}}}`),
			event.Event{Type: event.Identify, Name: "identify", AnonymousID: "u", Traits: []byte(`{"vip": true}`)},
		)
		synctest.Wait()
		got := ""
		for _, f := range append(a.Fields("win"), a.Fields("identify")...) {
			got += fmt.Sprintf("%s %v %s\n", f.Field, f.Types, f.Values)
		}
		want := `properties.at [time] []
properties.game [text] ["slots" "dice"]
properties.items[].id [number] [7 8]
properties.stake [number text] [10 "10"]
event.traits.vip [boolean] [true]
`
		if got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
		if f := a.Fields("never"); len(f) != 0 {
			t.Errorf("an event that never came has %v", f)
		}

		// However many different keys there are, few are kept.
		for i := range 300 {
			add(t, db, win(fmt.Sprintf(`{"k%d": %d}`, i, i)))
		}
		synctest.Wait()
		if n := len(a.Fields("win")); n > fieldsPerName {
			t.Errorf("%d fields are kept", n)
		}
	})
}
