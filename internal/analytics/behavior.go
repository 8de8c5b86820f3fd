package analytics

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/facts"
	"heed/internal/journey"
	"heed/internal/measure"
	"heed/internal/period"
)

// BehaviorConfig is what an operator may set.
type BehaviorConfig struct {
	// Off: whoever puts the roles together leaves the index out.
	Off bool `yaml:"off"`
	// Memory in bytes that the index may take; beyond it, it is given up and the
	// facts answer alone.
	Memory int64 `yaml:"memory"`
	// Workers is how many cores one query uses; 0: all. See journey.Config.
	Workers int `yaml:"workers"`
	// Promote are fields of events that the index keeps; see journey.Config.
	Promote []string `yaml:"promote"`
	// SaveEvery is how often a snapshot is written.
	SaveEvery time.Duration `yaml:"save_every"`
	// Keep drops events that are older.
	Keep period.Period `yaml:"keep"`
}

// Defaults fills what is zero.
func (c *BehaviorConfig) Defaults() {
	if c.Memory == 0 {
		c.Memory = 200 << 20
	}
	if c.SaveEvery == 0 {
		c.SaveEvery = 10 * time.Minute
	}
	if c.Keep == 0 {
		c.Keep = period.Period(430 * 24 * time.Hour)
	}
}

// Validate says what is wrong.
func (c *BehaviorConfig) Validate() error {
	switch {
	case c.Memory < 1<<20:
		return fmt.Errorf("memory is %d: at least 1048576 bytes are needed", c.Memory)
	case c.SaveEvery < time.Second:
		return fmt.Errorf("save_every is %s: at least 1s", c.SaveEvery)
	case c.Keep.Duration() < 24*time.Hour:
		return fmt.Errorf("keep is %s: at least 1d", c.Keep)
	case c.Workers < 0:
		return fmt.Errorf("workers is %d: 1 or more, or 0 for all cores", c.Workers)
	}
	index := c.index()
	index.Defaults()
	return index.Validate()
}

func (c *BehaviorConfig) index() journey.Config {
	return journey.Config{Workers: c.Workers, Promote: c.Promote}
}

// BehaviorDeps are what the feeding of the index works with.
type BehaviorDeps struct {
	Log eventlog.Log
	// Facts have what the log no longer has; nil: nobody does.
	Facts      Past
	File       string // of the snapshot; its folder exists
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Clock      func() time.Time
}

// Past is the part of a facts store that an index is built anew from.
type Past interface {
	facts.Past
	Status() facts.Status
}

// Behavior keeps the behavioral index in: it loads the snapshot, takes in what
// the log has since, follows the log, and saves. Run it once; Query may be
// called concurrently, also before the index is there.
type Behavior struct {
	cfg    BehaviorConfig
	deps   BehaviorDeps
	index  atomic.Pointer[journey.Index] // nil: none yet, or none any more
	merges event.Merges                  // used inside of Write
	ready  atomic.Bool                   // it holds what the log held when it was opened

	done, of atomic.Int64 // of what is loaded: users of the snapshot, then offsets of the log
	givenUp  atomic.Pointer[error]
	waits    atomic.Pointer[error] // why what is tried again failed; nil: it did not
}

// finalError is what no other try mends.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

func isFinal(err error) bool {
	_, final := errors.AsType[finalError](err)
	return final || errors.Is(err, event.ErrCorrupt) || errors.Is(err, eventlog.ErrClosed)
}

// How long is waited between tries.
const firstPause, longestPause = time.Second, time.Minute

// BehaviorState is where the index stands.
type BehaviorState string

// The states. Unless it is ready, the facts answer what they can.
const (
	BehaviorLoading BehaviorState = "loading"
	BehaviorReady   BehaviorState = "ready"
	BehaviorGivenUp BehaviorState = "given_up" // until the next start
)

// BehaviorStatus tells how the index stands.
type BehaviorStatus struct {
	State    BehaviorState
	Done, Of int64 // of loading: users of the snapshot first, then offsets of the log
	journey.Stats
	Err error // why it was given up, or what its loading waits for; nil: nothing
}

// Status tells how the index stands. It does not wait for what is loaded.
func (b *Behavior) Status() BehaviorStatus {
	s := BehaviorStatus{State: BehaviorLoading}
	if err := b.givenUp.Load(); err != nil {
		s.State, s.Err = BehaviorGivenUp, *err
		return s
	}
	s.Done, s.Of = b.done.Load(), b.of.Load()
	if err := b.waits.Load(); err != nil {
		s.Err = *err
	}
	x := b.index.Load()
	if x == nil {
		return s
	}
	s.Stats = x.Stats()
	if b.ready.Load() {
		s.State, s.Done, s.Of = BehaviorReady, 0, 0
	}
	return s
}

// NewBehavior checks the configuration.
func NewBehavior(cfg BehaviorConfig, deps BehaviorDeps) (*Behavior, error) {
	cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("behavior: %w", err)
	}
	if deps.Log == nil || deps.File == "" {
		return nil, errors.New("behavior: a log and a file are needed")
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	b := &Behavior{cfg: cfg, deps: deps}
	if deps.Registerer == nil {
		return b, nil
	}
	stat := func(name, help string, value func(journey.Stats) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			if x := b.index.Load(); x != nil {
				return value(x.Stats())
			}
			return 0
		})
	}
	for _, m := range []prometheus.Collector{
		stat("heed_behavior_events", "Events in the behavioral index.", func(s journey.Stats) float64 { return float64(s.Events) }),
		stat("heed_behavior_bytes", "Memory of the behavioral index, about.", func(s journey.Stats) float64 { return float64(s.Bytes) }),
	} {
		if err := deps.Registerer.Register(m); err != nil {
			return nil, fmt.Errorf("behavior: %w", err)
		}
	}
	return b, nil
}

// Ready is nil: until the index is there, the facts answer.
func (b *Behavior) Ready() error { return nil }

// loaded tells whether everything is in that the log held at the start.
func (b *Behavior) loaded() bool { return b.ready.Load() }

// Index is the index once it holds all that the log held at the start; until
// then, loading is true. It is nil after it was given up.
func (b *Behavior) Index() (x *journey.Index, loading bool) {
	if b == nil || b.givenUp.Load() != nil {
		return nil, false
	}
	if !b.loaded() {
		return nil, true
	}
	return b.index.Load(), false
}

// Query answers a resolved measure at a time (µs since the Unix epoch); ok is
// false if the facts have to.
func (b *Behavior) Query(ctx context.Context, q *measure.Query, now int64) (res measure.Result, ok bool, err error) {
	if !b.loaded() {
		return res, false, nil
	}
	x := b.index.Load()
	if x == nil {
		return res, false, nil
	}
	return x.Evaluate(ctx, q, now)
}

// Run follows the log until ctx ends. What goes wrong with the index stops
// nothing else; it is tried again unless that cannot help.
func (b *Behavior) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		err := b.run(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed):
			return nil //nolint:nilerr // the end was asked for
		case errors.Is(err, eventlog.ErrTrimmed):
			b.deps.Logger.Warn("the behavioral index is loaded again: the log no longer has what comes next", "error", err)
			b.ready.Store(false)
			b.index.Store(nil)
		default:
			b.deps.Logger.Warn("the behavioral index is given up until the next start: the facts answer alone", "error", err)
			b.givenUp.Store(&err)
			b.index.Store(nil)
			<-ctx.Done()
		}
	}
	return nil
}

// insist tries until it succeeds, ctx ends or no other try can help.
func (b *Behavior) insist(ctx context.Context, try func() error) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := try()
		if err == nil {
			b.waits.Store(nil)
			return nil
		}
		if ctx.Err() != nil || isFinal(err) {
			return err
		}
		b.waits.Store(&err)
		b.deps.Logger.Warn("the behavioral index cannot be loaded at the moment; it will be tried again", "error", err, "after", pause)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (b *Behavior) run(ctx context.Context) error {
	var x *journey.Index
	err := b.insist(ctx, func() (err error) {
		x, err = b.open(ctx)
		return err
	})
	if err != nil {
		return err
	}
	inFile := x.Stats().Events
	err = b.insist(ctx, func() error {
		filled, err := b.fill(ctx, x)
		if err == nil {
			x = filled
		}
		return err
	})
	if err != nil {
		return err
	}
	var until []uint64
	err = b.insist(ctx, func() (err error) {
		until, err = b.until(ctx, x)
		return err
	})
	if err != nil {
		return err
	}
	b.index.Store(x)
	var behind atomic.Int32
	behind.Store(int32(len(until)))
	group, ctx := errgroup.WithContext(ctx)
	for p := range until {
		current := sync.OnceFunc(func() {
			if behind.Add(-1) == 0 {
				b.ready.Store(true)
			}
		})
		group.Go(func() error { return b.tail(ctx, x, p, until[p], current) })
	}
	group.Go(func() error { return b.keep(ctx, x, inFile) })
	return group.Wait()
}

// until is what the log holds now: when an index has all of it, it is ready.
func (b *Behavior) until(ctx context.Context, x *journey.Index) ([]uint64, error) {
	until := make([]uint64, b.deps.Log.Partitions())
	of := int64(0)
	for p := range until {
		bounds, err := b.deps.Log.Bounds(ctx, eventlog.Events, p)
		if err != nil {
			return nil, err
		}
		until[p] = bounds.Next
		of += int64(bounds.Next - min(bounds.Next, uint64(x.Next(p))))
	}
	b.done.Store(0)
	b.of.Store(of)
	return until, nil
}

// open loads the snapshot, or begins anew.
func (b *Behavior) open(ctx context.Context) (*journey.Index, error) {
	f, err := os.Open(b.deps.File)
	if errors.Is(err, fs.ErrNotExist) {
		return journey.New(b.cfg.index())
	}
	if err != nil {
		return nil, fmt.Errorf("open the snapshot: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	began, said := b.deps.Clock(), b.deps.Clock()
	x, err := journey.Load(ctx, b.cfg.index(), f, func(done, of int) {
		b.done.Store(int64(done))
		b.of.Store(int64(of))
		if now := b.deps.Clock(); now.Sub(said) > 5*time.Second {
			said = now
			b.deps.Logger.Info("the behavioral index is loading", "users", done, "of", of)
		}
	})
	if errors.Is(err, journey.ErrSnapshot) {
		b.deps.Logger.Warn("the behavioral index is built anew", "error", err)
		return journey.New(b.cfg.index())
	}
	if err == nil {
		b.deps.Logger.Info("the behavioral index is loaded", "events", x.Stats().Events, "took", b.deps.Clock().Sub(began).Round(time.Millisecond))
	}
	return x, err
}

// fill makes an index whose end the log still has: the one given or, if that ends
// too early, a new one from the facts.
func (b *Behavior) fill(ctx context.Context, x *journey.Index) (*journey.Index, error) {
	first := make([]uint64, b.deps.Log.Partitions())
	gap := false
	for p := range first {
		bounds, err := b.deps.Log.Bounds(ctx, eventlog.Events, p)
		if err != nil {
			return nil, err
		}
		first[p] = bounds.First
		gap = gap || uint64(x.Next(p)) < bounds.First
	}
	if !gap {
		return x, nil
	}
	if b.deps.Facts == nil {
		return nil, finalError{errors.New("the log no longer has the events behind the end of the index, and there are no facts to build it from")}
	}
	b.deps.Logger.Info("the behavioral index is built from the facts: the log no longer has all of it")
	began := b.deps.Clock()
	x, err := journey.New(b.cfg.index())
	if err != nil {
		return nil, err
	}
	status := b.deps.Facts.Status()
	until := status.Next
	b.done.Store(0)
	b.of.Store(status.Rows)
	err = b.deps.Facts.Past(ctx, began.Add(-b.cfg.Keep.Duration()).UnixMicro(), until, func(from, to string) error {
		x.Write(func(w *journey.Writer) { w.Merge(from, to) })
		return nil
	}, func(e *event.Event) error {
		x.Write(func(w *journey.Writer) { w.Add(e) })
		b.done.Add(1)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the facts: %w", err)
	}
	x.Write(func(w *journey.Writer) {
		for p := range first {
			w.Next(p, int64(max(first[p], until[p])))
		}
	})
	b.deps.Logger.Info("the behavioral index is built", "events", x.Stats().Events, "took", b.deps.Clock().Sub(began).Round(time.Millisecond))
	return x, nil
}

// tail keeps a partition in, whatever happens to the reading of it.
func (b *Behavior) tail(ctx context.Context, x *journey.Index, p int, until uint64, current func()) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := b.follow(ctx, x, p, until, current)
		if ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) || errors.Is(err, eventlog.ErrTrimmed) || errors.Is(err, event.ErrCorrupt) {
			return err
		}
		b.deps.Logger.Warn("the behavioral index reads the log again", "partition", p, "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// follow takes in a partition; current is called when what the log held at the
// beginning is in.
func (b *Behavior) follow(ctx context.Context, x *journey.Index, p int, until uint64, current func()) error {
	reader, err := b.deps.Log.Read(ctx, eventlog.Events, p, uint64(x.Next(p)))
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }() // nothing was written
	if l, ok := reader.(eventlog.Lender); ok {
		l.Lend()
	}
	var e event.Event // one for all: it is large
	for {
		if uint64(x.Next(p)) >= until {
			current()
		}
		chunk, err := reader.Next(ctx)
		if err != nil {
			return err
		}
		before := x.Next(p)
		if err := take(x, &b.merges, p, chunk, &e); err != nil {
			return err
		}
		if !b.ready.Load() {
			b.done.Add(x.Next(p) - before)
		}
	}
}

// take brings a record into the index, or what of it is not in yet. merges belongs to
// whoever writes the index; e is for the events on their way.
func take(x *journey.Index, merges *event.Merges, p int, c eventlog.Chunk, e *event.Event) (err error) {
	x.Write(func(w *journey.Writer) {
		d := event.NewDecoder(c.Data)
		next := uint64(w.At(p))
		for offset := c.Base; ; offset++ {
			var ok bool
			if ok, err = d.Next(e); !ok {
				break
			}
			switch {
			case offset < next:
			case e.Type == event.System && e.Name == event.NameMerge:
				switch m, holds, err := merges.Read(e); {
				case err != nil || !holds:
				case m.From == m.To:
					w.Part(m.From)
				default:
					w.Merge(m.From, m.To)
				}
			default:
				w.Add(e)
			}
		}
		w.Next(p, int64(max(next, c.Next())))
	})
	return err
}

// keep saves, trims and watches the size. The snapshot holds so many events. It saves
// while the log is still read, too: who is killed then need not begin anew.
func (b *Behavior) keep(ctx context.Context, x *journey.Index, events int64) error {
	look := time.NewTicker(min(b.cfg.SaveEvery, 10*time.Second))
	defer look.Stop()
	saved, trimmed := b.deps.Clock(), b.deps.Clock()
	for {
		select {
		case <-ctx.Done():
			// The next start has less to read. A snapshot of much takes seconds, so
			// it is left to the timer.
			if n := x.Stats().Events; n != events && n < 2_000_000 && !b.mixed(x) {
				return b.save(context.WithoutCancel(ctx), x)
			}
			return nil
		case <-look.C:
		}
		if err := b.renew(ctx, x); err != nil && ctx.Err() == nil {
			b.deps.Logger.Warn("ids that are their own again could not be told apart in the behavioral index; it will be tried again", "error", err)
		}
		now, s := b.deps.Clock(), x.Stats()
		if s.Bytes > b.cfg.Memory {
			return finalError{fmt.Errorf("it takes %d MB, and behavior.memory allows %d", s.Bytes>>20, b.cfg.Memory>>20)}
		}
		if now.Sub(trimmed) >= 24*time.Hour {
			trimmed = now
			x.Write(func(w *journey.Writer) { w.Trim(now.Add(-b.cfg.Keep.Duration()).UnixMicro()) })
		}
		if now.Sub(saved) < b.cfg.SaveEvery || s.Events == events || b.mixed(x) {
			continue
		}
		saved = now
		if err := b.save(ctx, x); err != nil && ctx.Err() == nil {
			b.deps.Logger.Warn("the behavioral index could not be saved; it will be tried again", "error", err)
			continue
		}
		events = s.Events
	}
}

// mixed tells whether users are to be taken in anew first: a snapshot does not know of it.
func (b *Behavior) mixed(x *journey.Index) bool {
	ids, _, _ := x.Mixed()
	return len(ids) > 0 && b.deps.Facts != nil
}

// maxRenewed is how many users are taken in anew at once.
const maxRenewed = 1000

// renew takes in anew, from the facts, users that were one for a while: only there
// stands who did what. Whoever does something meanwhile waits for the next time.
func (b *Behavior) renew(ctx context.Context, x *journey.Index) error {
	ids, next, version := x.Mixed()
	if len(ids) == 0 || b.deps.Facts == nil {
		return nil
	}
	ids = ids[:min(len(ids), maxRenewed)]
	has := b.deps.Facts.Status()
	if has.Repair != nil || slices.ContainsFunc(has.Lost, func(l facts.Lost) bool { return !l.Final }) {
		return nil // not all of it is there
	}
	until := make([]uint64, len(has.Next))
	for p := range until {
		if until[p] = uint64(next[p]); has.Next[p] < until[p] {
			return nil // they are behind
		}
	}
	var events []event.Event
	err := b.deps.Facts.PastOf(ctx, ids, b.deps.Clock().Add(-b.cfg.Keep.Duration()).UnixMicro(), until, func(e *event.Event) error {
		events = append(events, *e)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the facts: %w", err)
	}
	x.Write(func(w *journey.Writer) { w.Renew(ids, version, events) })
	return nil
}

// save writes the snapshot beside the old one and then takes its place.
func (b *Behavior) save(ctx context.Context, x *journey.Index) (err error) {
	name := b.deps.File + ".new"
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("save the behavioral index: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("save the behavioral index: %w", err), os.Remove(name))
		}
	}()
	out := bufio.NewWriterSize(f, 1<<20)
	err = x.Save(ctx, out)
	if err == nil {
		err = out.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(name, b.deps.File); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(b.deps.File))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
