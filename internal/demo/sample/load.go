package sample

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/reach"
)

// Status is how far loading has come.
type Status string

// The statuses.
const (
	Absent  Status = "absent"
	Loading Status = "loading"
	Loaded  Status = "loaded"
	Failed  Status = "failed"
)

// Progress is how far loading has come, in events.
type Progress struct {
	Status   Status
	Done, Of int
	Users    int
	Err      error // of Failed
}

// Book takes addresses onto the list of what is suppressed: a reach.Book.
type Book interface {
	Hear(ctx context.Context, list []reach.Heard) error
}

// Deps is what a Loader works with.
type Deps struct {
	Log       eventlog.Log
	Documents documents.Store
	Book      Book
	Products  []Product
	Logger    *slog.Logger
	Now       func() time.Time
}

// Loader puts the sample shop's past into the log, once: it remembers how far
// it came, and goes on there after a restart. Its methods may be called
// concurrently.
type Loader struct {
	deps    Deps
	users   int
	perTick int

	asked chan struct{} // capacity 1
	mu    sync.Mutex
	state Progress
}

// Pace: what the rest of the machine is to notice little of.
const (
	tick   = 50 * time.Millisecond
	pace   = 20_000 // events a second
	packet = 500    // events of one append
)

// NewLoader makes a Loader for so many users; Run does the work.
func NewLoader(users int, deps Deps) *Loader {
	return &Loader{
		deps: deps, users: users, perTick: pace * int(tick) / int(time.Second),
		asked: make(chan struct{}, 1), state: Progress{Status: Absent},
	}
}

// Load asks Run to load the history. Asking again is no harm.
func (l *Loader) Load() {
	l.set(func(p *Progress) {
		if p.Status == Absent || p.Status == Failed {
			*p = Progress{Status: Loading}
		}
	})
	select {
	case l.asked <- struct{}{}:
	default:
	}
}

// Progress is how far loading has come.
func (l *Loader) Progress() Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

func (l *Loader) set(f func(*Progress)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.state)
}

// record is what is remembered between starts.
type record struct {
	Past
	Done   int  `json:"done"` // events that are in the log for sure
	Of     int  `json:"of"`
	Loaded bool `json:"loaded"`
}

const (
	collection = "demo_sample"
	key        = "past"
)

// Run goes on with what an earlier start began, and loads when asked, until ctx
// ends.
func (l *Loader) Run(ctx context.Context) error {
	rec, err := l.read(ctx)
	if err != nil {
		return err
	}
	if rec.Loaded {
		l.set(func(p *Progress) { *p = Progress{Status: Loaded, Done: rec.Of, Of: rec.Of, Users: rec.Users} })
	} else if rec.Users > 0 {
		l.Load()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.asked:
		}
		if err := l.load(ctx); err != nil && ctx.Err() == nil {
			l.deps.Logger.Error("the sample shop's history could not be loaded", "error", err)
			l.set(func(p *Progress) { p.Status, p.Err = Failed, err })
		}
	}
}

func (l *Loader) read(ctx context.Context) (rec record, err error) {
	d, err := l.deps.Documents.Get(ctx, collection, key)
	if errors.Is(err, documents.ErrNotFound) {
		return rec, nil
	}
	if err == nil {
		err = json.Unmarshal(d.Value, &rec)
	}
	if err != nil {
		return rec, fmt.Errorf("read how far the sample history came: %w", err)
	}
	return rec, nil
}

func (l *Loader) save(ctx context.Context, rec record, d documents.Durability) error {
	value, err := json.Marshal(rec)
	if err == nil {
		err = l.deps.Documents.Apply(ctx, d, documents.Write{Collection: collection, Key: key, Value: value, Expect: documents.Any})
	}
	if err != nil {
		return fmt.Errorf("remember how far the sample history came: %w", err)
	}
	return nil
}

// load puts what is missing into the log.
func (l *Loader) load(ctx context.Context) error {
	rec, err := l.read(ctx)
	if err != nil || rec.Loaded {
		return err
	}
	if rec.Users == 0 {
		rec.Past = Past{Seed: 1, Users: l.users, Until: l.deps.Now().UTC().Truncate(time.Second)}
		for range rec.Events(l.deps.Products) {
			rec.Of++
		}
		if err := l.save(ctx, rec, documents.Durable); err != nil {
			return err
		}
	}
	l.set(func(p *Progress) { *p = Progress{Status: Loading, Done: rec.Done, Of: rec.Of, Users: rec.Users} })
	// Before anybody could be written to; again, after a restart, is no harm.
	if err := l.deps.Book.Hear(ctx, rec.Suppressed()); err != nil {
		return fmt.Errorf("suppress sample addresses: %w", err)
	}
	pacer := time.NewTicker(tick)
	defer pacer.Stop()
	out := newPackets(l.deps.Log.Partitions())
	n, sent, saved := 0, 0, rec.Done
	for e := range rec.Events(l.deps.Products) {
		if n++; n <= rec.Done {
			continue
		}
		out.add(e)
		if out.count < packet && n < rec.Of {
			continue
		}
		if err := l.deps.Log.Append(ctx, eventlog.Events, out.take()); err != nil {
			return fmt.Errorf("append sample events: %w", err)
		}
		rec.Done = n
		l.set(func(p *Progress) { p.Done = n })
		if n-saved >= pace {
			saved = n
			if err := l.save(ctx, rec, documents.Relaxed); err != nil {
				return err
			}
		}
		if sent += packet; sent >= l.perTick {
			sent -= l.perTick
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-pacer.C:
			}
		}
	}
	rec.Loaded = true
	if err := l.save(ctx, rec, documents.Durable); err != nil {
		return err
	}
	l.set(func(p *Progress) { p.Status = Loaded })
	l.deps.Logger.Info("the sample shop's history is loaded", "events", rec.Of, "users", rec.Users)
	return nil
}

// packets lays events out for the log, by partition.
type packets struct {
	batches []eventlog.Batch
	out     []*eventlog.Batch
	count   int
}

func newPackets(partitions int) *packets {
	return &packets{batches: make([]eventlog.Batch, partitions)}
}

func (p *packets) add(e *event.Event) {
	b := &p.batches[eventlog.PartitionOf(e.User(), len(p.batches))]
	b.Data = event.AppendEvent(b.Data, e)
	b.Ends = append(b.Ends, len(b.Data))
	b.Keys = append(b.Keys, event.KeyOf(e.Source, e.MessageID))
	p.count++
}

// take hands over what was added.
func (p *packets) take() []*eventlog.Batch {
	p.out = p.out[:0]
	for i := range p.batches {
		if b := &p.batches[i]; len(b.Ends) > 0 {
			p.out = append(p.out, &eventlog.Batch{Partition: i, Data: b.Data, Ends: b.Ends, Keys: b.Keys})
			p.batches[i] = eventlog.Batch{}
		}
	}
	p.count = 0
	return p.out
}
