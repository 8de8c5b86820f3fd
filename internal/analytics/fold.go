package analytics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/facts"
)

// FoldDeps are what the fold works with.
type FoldDeps struct {
	Log        eventlog.Log
	Facts      facts.Store
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Clock      func() time.Time
}

// Fold brings the stream of events into the facts store, and back what a
// damaged file has lost. Nobody waits for it: while it stands still, triggers
// and messages go on. Run it once; its other methods may be called concurrently.
type Fold struct {
	deps  FoldDeps
	log   *slog.Logger
	tails []foldTail
}

// foldTail is where the reading of a partition stands.
type foldTail struct {
	next   atomic.Uint64
	oldest atomic.Int64 // append time of the oldest record that is not in, µs; 0: all are
}

// NewFold makes the fold; it begins where the store stands.
func NewFold(deps FoldDeps) (*Fold, error) {
	if deps.Log == nil || deps.Facts == nil {
		return nil, errors.New("facts: a log and a store are needed")
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	f := &Fold{deps: deps, log: deps.Logger, tails: make([]foldTail, deps.Log.Partitions())}
	if deps.Registerer == nil {
		return f, nil
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	for _, m := range []prometheus.Collector{
		gauge("heed_facts_behind_seconds", "How far queries over the facts are behind the log.", func() float64 { return f.Behind().Seconds() }),
		gauge("heed_facts_rows", "Events in the facts store.", func() float64 { return float64(deps.Facts.Status().Rows) }),
		gauge("heed_facts_hot_rows", "Events of the facts store that are in memory only.", func() float64 { return float64(deps.Facts.Status().Hot) }),
		gauge("heed_facts_bytes", "Bytes of the facts store on the disk.", func() float64 { return float64(deps.Facts.Status().Bytes) }),
		gauge("heed_facts_rebuild_ratio", "How much of the log is read again to bring lost events back; 1 if nothing is.", func() float64 {
			p := deps.Facts.Status().Repair
			if p == nil || p.Total == 0 {
				return 1
			}
			return float64(p.Done) / float64(p.Total)
		}),
		gauge("heed_facts_lost_files", "Damaged files whose events are not back.", func() float64 { return float64(len(deps.Facts.Status().Lost)) }),
	} {
		if err := deps.Registerer.Register(m); err != nil {
			return nil, fmt.Errorf("facts: %w", err)
		}
	}
	return f, nil
}

// repairEvery is how often is looked whether something was lost.
const repairEvery = 2 * time.Second

// Run reads until ctx ends. What fails is tried again: it stops nobody else.
func (f *Fold) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for p := range f.tails {
		group.Go(func() error { return f.tail(ctx, p) })
	}
	group.Go(func() error { return f.repair(ctx) })
	if err := group.Wait(); err != nil {
		return fmt.Errorf("facts: %w", err)
	}
	return nil
}

// Ready is nil: what is behind is shown, and nobody waits for it.
func (f *Fold) Ready() error { return nil }

// Behind is how long the oldest event that queries do not see yet has waited.
func (f *Fold) Behind() time.Duration {
	now := f.deps.Clock().UnixMicro()
	var behind int64
	for p := range f.tails {
		if at := f.tails[p].oldest.Load(); at != 0 {
			behind = max(behind, now-at)
		}
	}
	return time.Duration(behind) * time.Microsecond
}

// Next is the first offset of each partition that is not in yet.
func (f *Fold) Next(context.Context) (map[int]uint64, error) {
	out := make(map[int]uint64, len(f.tails))
	for p := range f.tails {
		out[p] = f.tails[p].next.Load()
	}
	return out, nil
}

// CatchUp takes in what the log holds now, for who opens the folder only for a
// moment instead of Run.
func (f *Fold) CatchUp(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	next := f.deps.Facts.Status().Next
	for p := range f.tails {
		group.Go(func() error {
			b, err := f.deps.Log.Bounds(ctx, eventlog.Events, p)
			if err != nil {
				return err
			}
			_, err = f.readRange(ctx, p, next[p], b.Next, func(c eventlog.Chunk) error { return f.deps.Facts.Append(ctx, p, c) })
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("facts: %w", err)
	}
	return nil
}

// tail keeps a partition in.
func (f *Fold) tail(ctx context.Context, p int) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := f.follow(ctx, p)
		switch {
		case ctx.Err() != nil, errors.Is(err, eventlog.ErrClosed), errors.Is(err, facts.ErrClosed):
			return nil //nolint:nilerr // the end was asked for
		case errors.Is(err, event.ErrCorrupt):
			return fmt.Errorf("partition %d: %w", p, err)
		}
		f.log.Warn("facts are read from the log again", "partition", p, "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func (f *Fold) follow(ctx context.Context, p int) error {
	bounds, err := f.deps.Log.Bounds(ctx, eventlog.Events, p)
	if err != nil {
		return err
	}
	from := f.deps.Facts.Status().Next[p]
	if from < bounds.First {
		if from > 0 {
			f.log.Error("the log no longer has events that the facts lack", "partition", p, "from", from, "to", bounds.First)
		}
		from = bounds.First
	}
	t := &f.tails[p]
	t.next.Store(from)
	reader, err := f.deps.Log.Read(ctx, eventlog.Events, p, from)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }() // nothing was written
	if l, ok := reader.(eventlog.Lender); ok {
		l.Lend()
	}
	for {
		chunk, ok, err := reader.TryNext()
		if err == nil && !ok {
			t.oldest.Store(0)
			chunk, err = reader.Next(ctx)
		}
		if err != nil {
			return err
		}
		t.oldest.Store(chunk.Appended)
		if err := f.deps.Facts.Append(ctx, p, chunk); err != nil {
			return err
		}
		t.next.Store(chunk.Next())
	}
}

// repair brings back what was lost.
func (f *Fold) repair(ctx context.Context) error {
	tick := time.NewTicker(repairEvery)
	defer tick.Stop()
	for {
		for _, l := range f.deps.Facts.Status().Lost {
			if l.Final {
				continue
			}
			err := f.deps.Facts.Repair(ctx, f.readRange)
			if err != nil && ctx.Err() == nil {
				f.log.Error("lost facts could not be brought back; it will be tried again", "error", err)
			}
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// readRange is a facts.ReadLog.
func (f *Fold) readRange(ctx context.Context, p int, from, to uint64, take func(eventlog.Chunk) error) (first uint64, err error) {
	bounds, err := f.deps.Log.Bounds(ctx, eventlog.Events, p)
	if err != nil {
		return 0, err
	}
	if from = max(from, bounds.First); from >= min(to, bounds.Next) {
		return bounds.First, nil
	}
	reader, err := f.deps.Log.Read(ctx, eventlog.Events, p, from)
	if err != nil {
		return 0, err
	}
	defer func() { _ = reader.Close() }() // nothing was written
	for {
		chunk, ok, err := reader.TryNext()
		if err != nil {
			return 0, err
		}
		if !ok || chunk.Base >= to {
			return bounds.First, nil
		}
		if err := take(chunk); err != nil {
			return 0, err
		}
	}
}
