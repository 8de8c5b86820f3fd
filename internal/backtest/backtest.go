// Package backtest owns trying a trigger on the past: it reads the last days of
// the log, lets the engine that decides live run over them, and tells how often
// the trigger would have fired, for whom, and what would have been refused.
// Nothing is sent and nothing is kept.
//
// It does not own what a trigger means (trigger), how rows of many users are
// kept while events act on them (replay), or how the answer is shown (console).
package backtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"heed/internal/definition"
	"heed/internal/eventlog"
	"heed/internal/trigger"
	"heed/internal/userstate"
)

// Errors that callers decide on.
var (
	// ErrBusy: too many runs wait already.
	ErrBusy = errors.New("backtest: too many runs wait already")
	// ErrTooLong: the run took longer than it may.
	ErrTooLong = errors.New("backtest: took too long")
)

// Config is what an operator may set.
type Config struct {
	// MaxTime ends a run, the time it waits not counted.
	MaxTime time.Duration `yaml:"max_time"`
	// MemoryBytes bounds the rows of a run; beyond it the run goes on with half
	// of the users, and its answer is an estimate.
	MemoryBytes int64 `yaml:"memory_bytes"`
	// Queue is how many runs may wait while one works.
	Queue int `yaml:"queue"`
	// SampleEvents is how many events the estimate of a preview reads.
	SampleEvents int `yaml:"sample_events"`
}

// Defaults fills what is zero.
func (c *Config) Defaults() {
	if c.MaxTime == 0 {
		c.MaxTime = 10 * time.Minute
	}
	if c.MemoryBytes == 0 {
		c.MemoryBytes = 256 << 20
	}
	if c.Queue == 0 {
		c.Queue = 8
	}
	if c.SampleEvents == 0 {
		c.SampleEvents = 150_000
	}
}

// Validate says what is wrong.
func (c *Config) Validate() error {
	switch {
	case c.MaxTime < time.Second:
		return fmt.Errorf("max_time is %s: at least 1s", c.MaxTime)
	case c.MemoryBytes < 1<<20:
		return fmt.Errorf("memory_bytes is %d: at least %d", c.MemoryBytes, 1<<20)
	case c.Queue < 1:
		return fmt.Errorf("queue is %d: at least 1", c.Queue)
	case c.SampleEvents < 1000:
		return fmt.Errorf("sample_events is %d: at least 1000", c.SampleEvents)
	}
	return nil
}

// Deps are what a backtest reads.
type Deps struct {
	Log   eventlog.Log
	State userstate.Store
	// Definitions are those in force: audiences, and the triggers whose events
	// move the users' clocks.
	Definitions interface{ Current() *definition.Set }
	// HeldOut tells whether a campaign holds a user back; nil: nobody.
	HeldOut func(campaign, user string, share float64) bool
	// Alone says that nothing live runs in this process: a run makes no pauses.
	Alone  bool
	Clock  func() time.Time
	Logger *slog.Logger
}

// Request says what to try.
type Request struct {
	Trigger *trigger.Definition
	Days    int    // times 24 hours back from now
	User    string // only this profile id; "" for all
	// Campaign, if set, is asked what it would make of the firings.
	Campaign *Campaign
	Examples int // at most so many
}

// Campaign is what of a campaign decides whether a firing is sent.
type Campaign struct {
	Name    string
	Who     []string // audiences, one of which the user must be in; none: all users
	Holdout float64  // share of users held back, 0 to 1
	Cap     *definition.Cap
}

// Progress is how far a run is.
type Progress struct {
	Share   float64 // 0 to 1 of the events that will be read
	Events  int64   // read so far
	Firings int64   // so far, after the warm-up
	Waiting int     // runs before this one
}

// Day counts the firings of a day. Day is its first moment, µs.
type Day struct {
	Day     int64
	Firings int64
}

// Example is a firing.
type Example struct {
	User, Key string
	At        int64
	FireID    [16]byte
	Timer     bool // a countdown or a delay ended
	// Partition and Offset are those of the completing event or, of a timer,
	// the event that armed it.
	Partition int
	Offset    uint64
	Since     int64 // no event before it can have been a step
	// Steps are the events that led to it, oldest first, as far as they are
	// found near; a preview looks for none.
	Steps []Step
}

// Result is the answer. Times are µs since the epoch.
type Result struct {
	From, Until int64 // firings in [From, Until) count
	LogFrom     int64 // log time of the oldest record; 0: the log is empty
	WarmedFrom  int64 // where reading began
	Short       bool  // the log does not reach back as far as was asked, warm-up included
	Share       float64
	Firings     int64
	Users       int64
	Days        []Day // nil if a sample has not the whole range
	Refused     Refused
	Campaign    *Outcome
	Counts      Counts
	Examples    []Example // newest first
	Profiles    bool      // profiles were asked, and rebuilt along the log
	Pulls       bool      // the trigger asks about pulled documents, which a backtest does not have
	Sampled     bool      // users were left out for want of memory
	Elapsed     time.Duration
}

// Exact tells whether every user and every event of the range counts.
func (r *Result) Exact() bool { return r.Share == 1 }

// Refused counts what matched and did not fire.
type Refused struct{ Limit, Audience, Cancelled int64 }

// Outcome is what would have become of the firings. They add up.
type Outcome struct {
	Audience, Holdout, Cap, Sends int64
	Recipients                    int64 // distinct users of Sends
}

// Counts are about the reading; they are never scaled.
type Counts struct {
	Events     int64 // read
	Matched    int64 // of names that the trigger reads
	Old        int64 // of those: historical, or older at the receipt than max_age
	Late       int64
	Evicted    int64
	Deep       int64
	Unreadable int64 // skipped, as the Decider skips them
}

// Backtester runs backtests: one at a time, while a few wait. Its methods may be
// called concurrently.
type Backtester struct {
	cfg      Config
	deps     Deps
	runs     chan struct{} // holds who works
	waits    chan struct{} // holds who works or waits
	previews chan struct{}
}

// New checks the configuration.
func New(cfg Config, deps Deps) (*Backtester, error) {
	cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("backtest: %w", err)
	}
	if deps.Log == nil || deps.State == nil || deps.Definitions == nil {
		return nil, errors.New("backtest: log, state and definitions are needed")
	}
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	return &Backtester{
		cfg: cfg, deps: deps,
		runs: make(chan struct{}, 1), waits: make(chan struct{}, 1+cfg.Queue), previews: make(chan struct{}, 1),
	}, nil
}

// reportEvery is the time between two reports of progress.
const reportEvery = 200 * time.Millisecond

// Run reads everything. It fails with ErrBusy at once, with ErrTooLong when its
// time is over, and with ctx.Err() when ctx ends. report is called by the
// goroutine of the caller.
func (b *Backtester) Run(ctx context.Context, req Request, report func(Progress)) (*Result, error) {
	select {
	case b.waits <- struct{}{}:
		defer func() { <-b.waits }()
	default:
		return nil, ErrBusy
	}
	if err := b.wait(ctx, report); err != nil {
		return nil, err
	}
	defer func() { <-b.runs }()
	return b.work(ctx, req, 0, report)
}

// wait waits for its turn.
func (b *Backtester) wait(ctx context.Context, report func(Progress)) error {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case b.runs <- struct{}{}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			report(Progress{Waiting: max(1, len(b.waits)-1)})
		}
	}
}

// Preview estimates from a sample: the users of some partitions, which are those
// of some hashes, and if even one holds too many events, its newest ones.
func (b *Backtester) Preview(ctx context.Context, req Request) (*Result, error) {
	select {
	case b.previews <- struct{}{}:
		defer func() { <-b.previews }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return b.work(ctx, req, b.cfg.SampleEvents, func(Progress) {})
}

// work is a run whose turn it is. sample bounds the events that it reads; 0: it
// reads all.
func (b *Backtester) work(ctx context.Context, req Request, sample int, report func(Progress)) (*Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, b.cfg.MaxTime, ErrTooLong)
	defer cancel()
	r, err := newRun(b, req)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := r.plan(ctx, sample); err != nil {
		return nil, r.reason(ctx, err)
	}
	if err := r.read(ctx, report); err != nil {
		return nil, r.reason(ctx, err)
	}
	res := r.result()
	if sample == 0 {
		if err := r.steps(ctx, res.Examples); err != nil {
			return nil, r.reason(ctx, err)
		}
	}
	res.Elapsed = time.Since(start)
	return res, nil
}

// reason is why a run ended early.
func (r *run) reason(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}
