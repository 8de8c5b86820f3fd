// Package analytics owns what is made of the stream of events for people to
// look at: for now the live feed (counts, rates, the newest events and
// deliveries) and the counts of each campaign's outcomes.
//
// It does not own how they are shown (console), and it decides nothing: with
// this role stopped, triggers and messages go on.
package analytics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"heed/internal/console/api"
	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/eventlog"
)

// Config is what an operator may set.
type Config struct {
	// Recent is how many of the newest events are kept to be shown.
	Recent int `yaml:"recent"`
	// RecentDeliveries is how many of the newest outcomes are kept.
	RecentDeliveries int `yaml:"recent_deliveries"`
	// ShownPerSecond bounds the events that are shown one by one; the others
	// are counted only.
	ShownPerSecond int `yaml:"shown_per_second"`
	// Names bounds the different names that are counted in each partition.
	Names int `yaml:"names"`
}

// Defaults fills what is zero.
func (c *Config) Defaults() {
	if c.Recent == 0 {
		c.Recent = 500
	}
	if c.RecentDeliveries == 0 {
		c.RecentDeliveries = 500
	}
	if c.ShownPerSecond == 0 {
		c.ShownPerSecond = 400
	}
	if c.Names == 0 {
		c.Names = 2000
	}
}

// Validate says what is wrong.
func (c *Config) Validate() error {
	for _, f := range []struct {
		name string
		n    int
	}{
		{"recent", c.Recent},
		{"recent_deliveries", c.RecentDeliveries},
		{"shown_per_second", c.ShownPerSecond},
		{"names", c.Names},
	} {
		if f.n < 10 || f.n > 100_000 {
			return fmt.Errorf("%s is %d: 10 to 100000", f.name, f.n)
		}
	}
	return nil
}

// Deps are what the role works with.
type Deps struct {
	Log        eventlog.Log
	Documents  documents.Store
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Clock      func() time.Time
}

// Analytics is the role. Its methods may be called concurrently; Run once.
type Analytics struct {
	cfg    Config
	deps   Deps
	log    *slog.Logger
	now    func() time.Time
	since  time.Time
	shards []*shard

	events     *ring[seenEvent]
	deliveries *ring[seenDelivery]
	budget     atomic.Int64 // events that may still be shown before the next beat
	sampled    atomic.Int64 // events that were not shown
	watched    watched
	series     series
	fields     fields
	ready      atomic.Int32 // shards that have begun
}

// New checks the configuration.
func New(cfg Config, deps Deps) (*Analytics, error) {
	cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("analytics: %w", err)
	}
	if deps.Log == nil || deps.Documents == nil {
		return nil, errors.New("analytics: log and documents are needed")
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	a := &Analytics{
		cfg: cfg, deps: deps, log: deps.Logger, now: deps.Clock, since: deps.Clock(),
		events: newRing[seenEvent](cfg.Recent), deliveries: newRing[seenDelivery](cfg.RecentDeliveries),
	}
	a.fields.byName = map[string]map[string]*api.EventField{}
	for p := range deps.Log.Partitions() {
		a.shards = append(a.shards, newShard(a, p))
	}
	a.series.begin(a.since)
	if deps.Registerer != nil {
		err := deps.Registerer.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "heed_analytics_behind_seconds", Help: "How far the live feed is behind the log.",
		}, func() float64 { return float64(a.behind()) / 1e6 }))
		if err != nil {
			return nil, fmt.Errorf("analytics: %w", err)
		}
	}
	return a, nil
}

// Pace of the feed.
const (
	beatEvery = 100 * time.Millisecond
	saveEvery = 10 * time.Second
)

// Run reads the log until ctx ends.
func (a *Analytics) Run(ctx context.Context) error {
	a.budget.Store(a.allowance())
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range a.shards {
		group.Go(func() error { return s.run(ctx) })
	}
	group.Go(func() error { return a.beat(ctx) })
	if err := group.Wait(); err != nil {
		return fmt.Errorf("analytics: %w", err)
	}
	return a.save(context.WithoutCancel(ctx))
}

// allowance is how many events may be shown in one beat.
func (a *Analytics) allowance() int64 {
	return max(1, int64(a.cfg.ShownPerSecond)*int64(beatEvery)/int64(time.Second))
}

// beat renews the allowance, keeps the rates, and saves the counts.
func (a *Analytics) beat(ctx context.Context) error {
	tick := time.NewTicker(beatEvery)
	defer tick.Stop()
	saved := a.now()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		a.budget.Store(a.allowance())
		if n%int(time.Second/beatEvery) == 0 {
			a.series.advance(a)
		}
		if now := a.now(); now.Sub(saved) >= saveEvery {
			saved = now
			if err := a.save(ctx); err != nil && ctx.Err() == nil {
				a.log.Warn("counts of outcomes could not be saved; they will be", "error", err)
			}
		}
	}
}

// Ready tells whether every partition is being read.
func (a *Analytics) Ready() error {
	if n := int(a.ready.Load()); n < len(a.shards) {
		return fmt.Errorf("analytics: %d of %d partitions are being read", n, len(a.shards))
	}
	return nil
}

// watched are the users whose events are not sampled.
type watched struct {
	n     atomic.Int32
	mu    sync.Mutex
	users map[string]int
}

// Watch keeps the user's events from being sampled away until cancel.
func (a *Analytics) Watch(user string) (cancel func()) {
	w := &a.watched
	w.mu.Lock()
	if w.users == nil {
		w.users = map[string]int{}
	}
	w.users[user]++
	w.n.Store(int32(len(w.users)))
	w.mu.Unlock()
	return sync.OnceFunc(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.users[user]--; w.users[user] == 0 {
			delete(w.users, user)
		}
		w.n.Store(int32(len(w.users)))
	})
}

func (w *watched) has(h *event.Header) bool {
	if w.n.Load() == 0 {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.users[h.User()] > 0
}
