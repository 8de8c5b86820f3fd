package decider

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/userstate"
)

// running is a Decider with its goroutines, in a bubble of synctest.
type running struct {
	*harness
	registry *prometheus.Registry
	cancel   context.CancelFunc
	done     chan error
}

// run must be called within a bubble: its clock is that of the bubble.
func run(t *testing.T, db *memory.DB, h *harness) *running {
	t.Helper()
	r := &running{harness: h, registry: prometheus.NewRegistry(), done: make(chan error, 1)}
	h.t = t
	h.stores = stores{db.Log(), db.UserState()}
	h.clock = &clock{} // not used: the bubble's is
	d, err := New(h.cfg, Deps{
		Log: db.Log(), State: db.UserState(), Definitions: h.defs, Settler: h.settler,
		Logger: slog.New(slog.DiscardHandler), Registerer: r.registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.d = d
	if d.Ready() == nil {
		t.Error("ready before it runs")
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() { r.done <- d.Run(ctx) }()
	return r
}

func (r *running) stop() {
	r.t.Helper()
	r.cancel()
	if err := <-r.done; err != nil {
		r.t.Error(err)
	}
}

func (r *running) send(events ...event.Event) {
	r.t.Helper()
	r.clock.set(time.Now().UnixMicro())
	r.append(events...)
}

func (r *running) ticks() float64 { return value(r.d.metrics.ticks) }

// value is that of a collector with one metric.
func value(c prometheus.Collector) float64 {
	ch := make(chan prometheus.Metric, 16)
	c.Collect(ch)
	var m dto.Metric
	if err := (<-ch).Write(&m); err != nil {
		panic(err)
	}
	return m.GetCounter().GetValue() + m.GetGauge().GetValue()
}

func open(partitions int) *memory.DB {
	return memory.Open(memory.Config{Partitions: partitions, Clock: time.Now, Seed: 5})
}

const cartRules = `
kind: trigger
name: cart
pattern: [{event: cart}, {absent: purchase, for: 60s}]
`

func TestTimerFiresByATick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(2)
		r := run(t, db, &harness{defs: &revisions{}, settler: &settler{}})
		synctest.Wait()
		if err := r.d.Ready(); err != nil {
			t.Error(err)
		}
		r.define(1, cartRules)
		time.Sleep(time.Hour)
		if n := r.ticks(); n != 0 {
			t.Errorf("%v ticks without a timer", n)
		}
		start := time.Now()
		r.send(track("ann", "cart"))
		time.Sleep(59 * time.Second)
		if n := len(r.intents()); n != 0 {
			t.Fatalf("%d intents after 59 s", n)
		}
		time.Sleep(2 * time.Second)
		got := r.intents()
		if len(got) != 1 || got[0].At != start.Add(time.Minute).UnixMicro() {
			t.Fatalf("intents %+v", got)
		}
		if n := r.ticks(); n < 1 || n > 2 {
			t.Errorf("%v ticks", n)
		}
		// What is kept about ann is forgotten, and then it is silent again.
		time.Sleep(time.Hour)
		n := r.ticks()
		time.Sleep(24 * time.Hour)
		if more := r.ticks(); more != n || n > 5 {
			t.Errorf("%v ticks after an hour, %v after a day", n, more)
		}
		r.stop()
	})
}

func TestNoTickBeforeATimerIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, open(1), &harness{defs: &revisions{}, settler: &settler{}})
		r.define(1, "kind: trigger\nname: t\npattern: [{event: a}, {event: b}]\nwithin: 10m\n")
		r.send(track("ann", "a"), track("ann", "b"))
		time.Sleep(11 * time.Minute)
		if n := r.ticks(); n != 0 {
			t.Errorf("%v ticks", n)
		}
		r.stop()
	})
}

func TestTimersSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(1)
		h := &harness{defs: &revisions{}, settler: &settler{}}
		r := run(t, db, h)
		r.define(1, cartRules)
		r.send(track("ann", "cart"), track("bob", "cart"))
		time.Sleep(10 * time.Second)
		r.stop()
		if err := r.d.Ready(); err == nil {
			t.Error("ready after the end")
		}
		time.Sleep(30 * time.Second)
		db = db.Reopen()
		r = run(t, db, h)
		r.send(track("bob", "purchase"))
		time.Sleep(25 * time.Second)
		if got := r.intents(); len(got) != 1 || got[0].User != "ann" {
			t.Fatalf("intents %+v", got)
		}
		time.Sleep(time.Hour)
		if n := len(r.intents()); n != 1 {
			t.Fatalf("%d intents", n)
		}
		r.stop()
	})
}

func TestTakenOverPartitionIsOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(1)
		r := run(t, db, &harness{defs: &revisions{}, settler: &settler{}})
		r.define(1, "kind: trigger\nname: t\npattern: [{event: a}]\n")
		synctest.Wait()
		if _, err := db.UserState().Open(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		r.send(track("ann", "a"))
		time.Sleep(time.Second)
		if n := len(r.intents()); n != 1 {
			t.Fatalf("%d intents", n)
		}
		if err := r.d.Ready(); err != nil {
			t.Error(err)
		}
		if n := value(r.d.metrics.reopened); n != 1 {
			t.Errorf("opened again %v times", n)
		}
		r.stop()
	})
}

func TestClosedStoresEndTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(2)
		r := run(t, db, &harness{defs: &revisions{}, settler: &settler{}})
		synctest.Wait()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-r.done; !errors.Is(err, eventlog.ErrClosed) && !errors.Is(err, userstate.ErrClosed) {
			t.Errorf("Run: %v", err)
		}
		r.cancel()
	})
}

func TestHostileRunFiresEverythingOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(3)
		db.SetHostile(memory.AllHostile())
		h := &harness{defs: &revisions{}, settler: &settler{}, cfg: Config{BatchEvents: 8}}
		r := run(t, db, h)
		r.define(1, "kind: trigger\nname: t\npattern: [{event: a}]\n")
		time.Sleep(time.Second)
		for range 200 {
			r.send(track("ann", "a"), track("bob", "a"), track("cleo", "x"))
			time.Sleep(50 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		ids := fires(r.intents())
		for i := 1; i < len(ids); i++ {
			if ids[i] == ids[i-1] {
				t.Fatalf("%s fired twice", ids[i])
			}
		}
		if len(ids) != 400 {
			t.Errorf("%d firings", len(ids))
		}
		if value(r.d.metrics.reopened) == 0 {
			t.Error("no partition was taken over: the test shows nothing")
		}
		r.stop()
	})
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, open(1), &harness{defs: &revisions{}, settler: &settler{}})
		r.define(1, "kind: trigger\nname: t\npattern: [{event: a}]\n")
		r.send(track("ann", "a"), track("ann", "noise"))
		time.Sleep(time.Second)
		f := func(c prometheus.Collector, want float64) {
			t.Helper()
			if got := value(c); got != want {
				t.Errorf("%v, want %v", got, want)
			}
		}
		f(r.d.workers[0].events, 4) // with the session_start, which is discarded unseen
		f(r.d.metrics.sessions, 1)
		f(r.d.metrics.evicted, 0)
		f(r.d.metrics.discarded.WithLabelValues("name"), 1)
		f(r.d.metrics.firings, 1)
		f(r.d.metrics.poisoned, 0)
		bounds, err := r.stores.log.Bounds(t.Context(), eventlog.Events, 0)
		if next, _ := r.d.Next(t.Context()); err != nil || len(next) != 1 || next[0] != bounds.Next {
			t.Errorf("decided up to %v of %+v, %v", next, bounds, err)
		}
		if _, err := r.registry.Gather(); err != nil {
			t.Error(err)
		}
		if _, err := New(Config{}, Deps{Log: r.stores.log, State: r.stores.state, Definitions: r.defs, Registerer: r.registry}); err == nil {
			t.Error("metrics were registered twice")
		}
		r.stop()
	})
}

func TestConfig(t *testing.T) {
	f := func(c Config, ok bool) {
		t.Helper()
		c.Defaults()
		if err := c.Validate(); (err == nil) != ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
	f(Config{}, true)
	f(Config{BatchEvents: -1}, false)
	f(Config{BatchBytes: -1}, false)
	f(Config{CacheBytes: -1}, false)
	f(Config{TickAfter: time.Microsecond}, false)
	f(Config{TimerPage: -1}, false)
	f(Config{SessionUsers: -1}, false)
}
