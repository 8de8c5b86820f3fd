package engager

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/inbox"
)

// laneBuffer is how many jobs may wait for a lane.
const laneBuffer = 64

// worker serves one partition of the stream of intents. A lane serves all jobs
// of a user, in order.
type worker struct {
	*Engager
	partition int
	events    triggerEvents
	lanes     []chan job
	progress  progress

	mu      sync.Mutex
	active  map[string]struct{} // notes that somebody in this process works on
	nextDue int64               // when the next parked note is due; 0: none

	goalsKnown atomic.Bool // the events until the start were searched for goals
}

// job is one intent of the stream, or one open activation.
type job struct {
	intent   event.Intent
	ticket   uint64 // of an intent of the stream
	note     string // of an open activation: the key of its note
	campaign string
	done     func()
}

func newWorker(e *Engager, partition int) *worker {
	return &worker{
		Engager: e, partition: partition, active: make(map[string]struct{}),
		events: triggerEvents{log: e.deps.Log, partition: partition},
	}
}

// run serves the partition until soft ends, and finishes what is in flight
// until hard ends. recovered is called once, when nothing of an earlier process
// is open any more.
func (w *worker) run(soft, hard context.Context, served, recovered func()) error {
	defer recovered() // also if it never comes to it
	soft, stop := context.WithCancelCause(soft)
	defer stop(nil)

	var next uint64
	var err error
	if !w.insist(soft, "load position", func() error {
		next, err = w.position(soft, w.partition)
		if isCorrupt(err) {
			stop(err)
		}
		return err
	}) {
		if cause := context.Cause(soft); isCorrupt(cause) {
			return fmt.Errorf("position: %w", cause)
		}
		return nil
	}
	w.progress.low = next

	var lanes sync.WaitGroup
	for range w.cfg.Lanes {
		lane := make(chan job, laneBuffer)
		w.lanes = append(w.lanes, lane)
		lanes.Go(func() {
			for j := range lane {
				if err := w.do(soft, hard, &j); err != nil {
					stop(err)
				}
				if j.done != nil {
					j.done()
				}
			}
		})
	}
	err = w.serve(soft, hard, stop, next, served, recovered)
	for _, lane := range w.lanes {
		close(lane)
	}
	lanes.Wait()
	w.savePosition(hard)
	if cause := context.Cause(soft); isCorrupt(cause) {
		return cause
	}
	if soft.Err() != nil {
		return nil
	}
	return err
}

// serve reads the stream.
func (w *worker) serve(soft, hard context.Context, stopAll context.CancelCauseFunc, next uint64, served, recovered func()) error {
	if err := w.recover(soft, recovered); err != nil {
		return err
	}
	served()
	var ticks sync.WaitGroup
	defer ticks.Wait()
	soft, stop := context.WithCancel(soft)
	defer stop()
	ticks.Go(func() { w.tick(soft, hard, stopAll) })
	ticks.Go(func() { w.goals(soft) })
	ticks.Go(func() { w.releases(soft, stopAll) })
	for soft.Err() == nil {
		r, err := w.open(soft, &next)
		if err == nil {
			err = w.follow(soft, r, &next)
			_ = r.Close() // it was only read
		}
		if soft.Err() != nil || errors.Is(err, eventlog.ErrClosed) || isCorrupt(err) {
			return err
		}
		w.metrics.storeErrors.Inc()
		w.log.Warn("engager reads intents again", "partition", w.partition, "error", err)
		wait(soft, 100*time.Millisecond)
	}
	return soft.Err()
}

func (w *worker) open(ctx context.Context, next *uint64) (eventlog.Reader, error) {
	r, err := w.deps.Log.Read(ctx, eventlog.Intents, w.partition, *next)
	if !errors.Is(err, eventlog.ErrTrimmed) {
		return r, err
	}
	b, err := w.deps.Log.Bounds(ctx, eventlog.Intents, w.partition)
	if err != nil {
		return nil, err
	}
	w.metrics.trimmed.Inc()
	w.log.Error("intents were removed before they were read", "partition", w.partition, "from", *next, "to", b.First)
	*next = max(*next, b.First)
	return w.deps.Log.Read(ctx, eventlog.Intents, w.partition, *next)
}

// follow hands intents to the lanes until an error.
func (w *worker) follow(ctx context.Context, r eventlog.Reader, next *uint64) error {
	for {
		c, err := r.Next(ctx)
		if err != nil {
			return err
		}
		data := c.Data
		for i := range uint64(c.Count) {
			var j job
			n, err := event.DecodeIntent(data, &j.intent)
			if err != nil {
				return &corrupt{fmt.Errorf("decode intent at offset %d: %w", c.Base+i, err)}
			}
			data = data[n:]
			if c.Base+i < *next {
				continue // seen before
			}
			*next = c.Base + i + 1
			w.metrics.intents.Inc()
			j.ticket = w.progress.begin(*next)
			if !w.dispatch(ctx, j) {
				return ctx.Err()
			}
		}
	}
}

func (w *worker) dispatch(ctx context.Context, j job) bool {
	// Partitions take the low end of the hash; lanes take the high one.
	lane := w.lanes[int((xxhash.Sum64String(j.intent.User)>>32)%uint64(len(w.lanes)))]
	select {
	case lane <- j:
		return true
	case <-ctx.Done():
		return false
	}
}

// recover hands everything that is open to the lanes, ahead of the stream.
func (w *worker) recover(ctx context.Context, recovered func()) error {
	var jobs sync.WaitGroup
	after := openPrefix(w.partition)
	for {
		docs, err := w.list(ctx, openPrefix(w.partition), after, 500)
		if err != nil {
			return err
		}
		for _, d := range docs {
			after = d.Key
			n, err := decodeNote(d.Value)
			if err != nil {
				return &corrupt{fmt.Errorf("%s: %w", d.Key, err)}
			}
			if n.parked {
				w.due(d.Key)
				continue
			}
			w.metrics.recovered.Inc()
			w.take(d.Key)
			jobs.Add(1)
			if !w.dispatch(ctx, job{intent: n.intent, campaign: n.campaign, note: d.Key, done: jobs.Done}) {
				jobs.Done()
				return ctx.Err()
			}
		}
		if len(docs) == 0 {
			break
		}
	}
	go func() { // ends with the lanes at the latest
		jobs.Wait()
		recovered()
	}()
	return nil
}

func (w *worker) list(ctx context.Context, prefix, after string, limit int) (docs []documents.Document, err error) {
	if !w.insist(ctx, "list open activations", func() error {
		docs, err = w.deps.Documents.List(ctx, documents.Query{
			Collection: CollectionOpen, Prefix: prefix, After: after, Limit: limit,
		})
		return err
	}) {
		return nil, context.Cause(ctx)
	}
	return docs, nil
}

// tick looks after what is parked, and keeps the position.
func (w *worker) tick(soft, hard context.Context, stop context.CancelCauseFunc) {
	t := time.NewTicker(w.cfg.Poll)
	defer t.Stop()
	for {
		select {
		case <-soft.Done():
			return
		case <-t.C:
			w.savePosition(hard)
			if err := w.wake(soft); isCorrupt(err) {
				stop(err)
			}
		}
	}
}

// wake hands parked activations that are due to the lanes.
func (w *worker) wake(ctx context.Context) error {
	now := w.now()
	w.mu.Lock()
	ready := w.nextDue != 0 && w.nextDue <= now
	if ready {
		w.nextDue = 0
	}
	w.mu.Unlock()
	if !ready {
		return nil
	}
	end := openKey(w.partition, now+1, "")
	after := openPrefix(w.partition)
	for {
		docs, err := w.list(ctx, openPrefix(w.partition), after, 200)
		if err != nil {
			return err
		}
		for _, d := range docs {
			after = d.Key
			n, err := decodeNote(d.Value)
			if err != nil {
				return &corrupt{fmt.Errorf("%s: %w", d.Key, err)}
			}
			if d.Key >= end {
				if n.parked {
					w.due(d.Key)
					return nil
				}
				continue
			}
			if !n.parked || !w.take(d.Key) {
				continue
			}
			if !w.dispatch(ctx, job{intent: n.intent, campaign: n.campaign, note: d.Key}) {
				return ctx.Err()
			}
		}
		if len(docs) == 0 {
			return nil
		}
	}
}

// take marks a note as worked on; it is false if it was.
func (w *worker) take(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, taken := w.active[key]; taken {
		return false
	}
	w.active[key] = struct{}{}
	return true
}

// forget takes the mark off again.
func (w *worker) forget(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.active, key)
}

// due remembers when a parked note must be looked after.
func (w *worker) due(key string) {
	at, err := strconv.ParseInt(key[len(openPrefix(w.partition)):][:16], 16, 64)
	if err != nil {
		at = 1 // at once
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.nextDue == 0 || at < w.nextDue {
		w.nextDue = at
	}
}

// do works a job off. An error means that the Engager must stop; a job that a
// shutdown interrupts is left to the next start.
func (w *worker) do(soft, hard context.Context, j *job) error {
	if over(soft) {
		return nil
	}
	in := &moment{worker: w, intent: &j.intent}
	campaigns := []string{j.campaign}
	if j.note == "" {
		campaigns = w.campaignsOf(&j.intent)
	}
	for _, name := range campaigns {
		pause, note := 10*time.Millisecond, j.note
		for {
			err := w.activate(hard, in, name, &note)
			if err == nil {
				break
			}
			if isCorrupt(err) {
				return fmt.Errorf("activation of %s for fire %s: %w", name, j.intent.FireID, err)
			}
			if over(soft) {
				return nil
			}
			w.metrics.storeErrors.Inc()
			w.log.Warn("engager tries again", "partition", w.partition, "campaign", name, "fire", j.intent.FireID, "error", err)
			if !wait(soft, pause) {
				return nil
			}
			pause = min(2*pause, time.Second)
		}
	}
	if j.note == "" {
		if j.intent.ReplyTo != "" {
			w.deps.Inbox.Settle(hard, j.intent.ReplyTo, inbox.Settlement{Done: 1})
		}
		w.progress.end(j.ticket)
	}
	return nil
}

// over tells whether a context has ended.
func over(ctx context.Context) bool { return ctx.Err() != nil }

// campaignsOf names the campaigns that an intent starts.
func (w *worker) campaignsOf(in *event.Intent) []string {
	if in.Campaign != "" {
		return []string{in.Campaign}
	}
	list := w.current().byTrigger[in.Trigger]
	names := make([]string, len(list))
	for i, c := range list {
		names[i] = c.name
	}
	return names
}

// Consumed tells, partition by partition, the offset of the stream of intents
// from which the next start reads: retention must not go beyond it.
func (e *Engager) Consumed(ctx context.Context) ([]uint64, error) {
	out := make([]uint64, e.deps.Log.Partitions())
	for p := range out {
		var err error
		if out[p], err = e.position(ctx, p); err != nil {
			return nil, fmt.Errorf("engager: position of partition %d: %w", p, err)
		}
	}
	return out, nil
}

// Has tells whether a partition is this process's.
func (e *Engager) Has(partition int) bool { return e.share.Has(partition) }

// position is what was kept of a partition's.
func (e *Engager) position(ctx context.Context, partition int) (uint64, error) {
	d, err := e.deps.Documents.Get(ctx, CollectionPosition, strconv.Itoa(partition))
	if err == nil {
		n, err := strconv.ParseUint(string(d.Value), 10, 64)
		if err != nil {
			return 0, &corrupt{err}
		}
		return n, nil
	}
	if !errors.Is(err, documents.ErrNotFound) {
		return 0, err
	}
	b, err := e.deps.Log.Bounds(ctx, eventlog.Intents, partition)
	return b.First, err
}

// savePosition keeps how far the stream was worked off. It is rare and relaxed:
// the ledger makes it harmless to read intents again.
func (w *worker) savePosition(ctx context.Context) {
	low, moved := w.progress.moved()
	if !moved {
		return
	}
	err := w.deps.Documents.Apply(ctx, documents.Relaxed, documents.Write{
		Collection: CollectionPosition, Key: strconv.Itoa(w.partition),
		Value: strconv.AppendUint(nil, low, 10), Expect: documents.Any,
	})
	if err != nil {
		w.metrics.storeErrors.Inc()
		w.log.Warn("engager cannot keep its position", "partition", w.partition, "error", err)
		return
	}
	w.progress.kept(low)
}

// progress knows up to where all intents have been worked off.
type progress struct {
	mu      sync.Mutex
	first   uint64 // ticket of items[0]
	items   []step
	low     uint64 // everything below was worked off
	saved   uint64
	isSaved bool
}

type step struct {
	next uint64
	done bool
}

func (p *progress) begin(next uint64) (ticket uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.items = append(p.items, step{next: next})
	return p.first + uint64(len(p.items)) - 1
}

func (p *progress) end(ticket uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.items[ticket-p.first].done = true
	n := 0
	for n < len(p.items) && p.items[n].done {
		p.low = p.items[n].next
		n++
	}
	p.first += uint64(n)
	if n == len(p.items) {
		p.items = p.items[:0]
	} else {
		p.items = p.items[n:]
	}
}

func (p *progress) moved() (low uint64, moved bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.low, !p.isSaved && p.low > 0 || p.low != p.saved
}

func (p *progress) kept(low uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.saved, p.isSaved = low, true
}
