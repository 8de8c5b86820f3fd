// Package decider owns the role that decides: per partition one worker reads
// the log of events, advances the rows of triggers and the hot profile of each
// user, runs timers as log time passes, and commits rows, timers, offset and
// intents in one step. It is the only writer of user state.
//
// It does not own what a trigger means (trigger), what a profile keeps
// (profile), nor what follows an intent (engager). It never renders.
package decider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"heed/internal/definition"
	"heed/internal/eventlog"
	"heed/internal/inbox"
	"heed/internal/share"
	"heed/internal/userstate"
)

// Definitions loads the definitions of a revision. An error that wraps
// documents.ErrNotFound says that there is no such revision; others are tried
// again.
type Definitions interface {
	At(ctx context.Context, revision int64) (*definition.Set, error)
}

// Settler hears how far the events of a waiting request have come.
type Settler interface {
	Settle(ctx context.Context, token string, s inbox.Settlement)
}

// Config is what an operator may set.
type Config struct {
	// BatchEvents bounds the events of one commit of a partition.
	BatchEvents int `yaml:"batch_events"`
	// BatchBytes bounds the bytes of the log that a partition holds at once.
	BatchBytes int `yaml:"batch_bytes"`
	// CacheBytes is the memory for rows and profiles of hot users, all
	// partitions together.
	CacheBytes int64 `yaml:"cache_bytes"`
	// TickAfter is the silence of a partition after which a due timer is given
	// a tick in the log.
	TickAfter time.Duration `yaml:"tick_after"`
	// SurveyEvery is how often it is gone over all users to see whom the triggers
	// with an audience are for.
	SurveyEvery time.Duration `yaml:"survey_every"`
	// SessionUsers is of how many users, all partitions together, it is remembered
	// when they were last active.
	SessionUsers int `yaml:"session_users"`
	// TimerPage is how many due timers are looked at together.
	TimerPage int `yaml:"timer_page"`
}

// Defaults fills what is zero.
func (c *Config) Defaults() {
	if c.BatchEvents == 0 {
		c.BatchEvents = 4096
	}
	if c.BatchBytes == 0 {
		c.BatchBytes = 4 << 20
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 64 << 20
	}
	if c.TickAfter == 0 {
		c.TickAfter = time.Second
	}
	if c.SurveyEvery == 0 {
		c.SurveyEvery = 24 * time.Hour
	}
	if c.SessionUsers == 0 {
		c.SessionUsers = 2_000_000
	}
	if c.TimerPage == 0 {
		c.TimerPage = 4096
	}
}

// Validate says what is wrong.
func (c *Config) Validate() error {
	switch {
	case c.BatchEvents < 1 || c.BatchEvents > 1<<20:
		return fmt.Errorf("batch_events is %d: 1 to %d", c.BatchEvents, 1<<20)
	case c.BatchBytes < 1:
		return fmt.Errorf("batch_bytes is %d: at least 1", c.BatchBytes)
	case c.CacheBytes < 0:
		return fmt.Errorf("cache_bytes is %d: not negative", c.CacheBytes)
	case c.TickAfter < time.Millisecond:
		return fmt.Errorf("tick_after is %s: at least 1ms", c.TickAfter)
	case c.SurveyEvery < time.Second:
		return fmt.Errorf("survey_every is %s: at least 1s", c.SurveyEvery)
	case c.SessionUsers < 1 || c.SessionUsers > 1<<30:
		return fmt.Errorf("session_users is %d: 1 to %d", c.SessionUsers, 1<<30)
	case c.TimerPage < 1:
		return fmt.Errorf("timer_page is %d: at least 1", c.TimerPage)
	}
	return nil
}

// Deps are what the Decider works with.
type Deps struct {
	Log         eventlog.Log
	State       userstate.Store
	Definitions Definitions
	Share       share.Dealer // nil: all partitions are this process's
	Settler     Settler      // nil: nobody waits
	Pull        Pull         // nil: conditions on pull.* read nothing
	Logger      *slog.Logger
	Registerer  prometheus.Registerer // nil: no metrics
	Clock       func() time.Time      // only decides when a tick is appended
}

// Pull looks up the user's document in a collection of the pull store: a JSON
// object, nil if there is none. A decision waits for it.
type Pull interface {
	Fields(ctx context.Context, collection, user string) ([]byte, error)
}

// Decider is the role. Its methods may be called concurrently; Run once.
type Decider struct {
	cfg     Config
	deps    Deps
	rules   *rulebook
	metrics *metrics
	workers []*worker     // of all partitions
	share   *share.Holder // which of them are this process's
	surveys chan *survey  // ordered
}

// New checks the configuration; nothing is opened before Run.
func New(cfg Config, deps Deps) (*Decider, error) {
	cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("decider: %w", err)
	}
	if deps.Log == nil || deps.State == nil || deps.Definitions == nil {
		return nil, errors.New("decider: log, state and definitions are needed")
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	d := &Decider{cfg: cfg, deps: deps, share: share.New(deps.Share, "decider", deps.Log.Partitions())}
	d.metrics = newMetrics()
	d.rules = newRulebook(deps.Definitions, deps.Logger, d.metrics)
	partitions := deps.Log.Partitions()
	d.surveys = make(chan *survey, partitions)
	for n := range partitions {
		d.workers = append(d.workers, newWorker(d, n, cfg.CacheBytes/int64(partitions), (cfg.SessionUsers+partitions-1)/partitions))
	}
	if err := d.metrics.register(deps.Registerer, d); err != nil {
		return nil, fmt.Errorf("decider: %w", err)
	}
	return d, nil
}

// Run decides until ctx ends: the batch in hand is committed, then it returns
// nil. It returns an error when a store was closed under it.
func (d *Decider) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return d.share.Run(ctx, func(ctx context.Context, partition int) error { return d.workers[partition].run(ctx) })
	})
	group.Go(func() error { return d.survey(ctx) })
	if err := group.Wait(); err != nil {
		return fmt.Errorf("decider: %w", err)
	}
	return nil
}

// own are the workers of the partitions that are this process's.
func (d *Decider) own() []*worker {
	partitions, _ := d.share.Own()
	out := make([]*worker, len(partitions))
	for i, p := range partitions {
		out[i] = d.workers[p]
	}
	return out
}

// Ready tells whether every partition that is this process's is in hand.
func (d *Decider) Ready() error {
	if _, dealt := d.share.Own(); !dealt {
		return fmt.Errorf("decider: %w", errNoShare)
	}
	for _, w := range d.own() {
		if err := w.status(); err != nil {
			return fmt.Errorf("decider: partition %d: %w", w.number, err)
		}
	}
	return nil
}

// The statuses of a worker that is not at work.
var (
	errStarting = errors.New("not opened yet")
	errStopped  = errors.New("stopped")
	errNoShare  = errors.New("it is not known yet which partitions are this process's")
	errNotOurs  = errors.New("is another process's")
)

// shared is what a worker shows to readers in other goroutines.
type shared struct {
	mu    sync.Mutex
	err   error // why the partition is not in hand
	rules *ruleset
	board board  // as of the last commit
	next  uint64 // as of the last commit
}
