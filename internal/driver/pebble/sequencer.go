package pebble

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	crdb "github.com/cockroachdb/pebble/v2"

	"heed/internal/eventlog"
)

// groupBytes is how much the sequencer commits at once. It stays far below the
// size from which the engine turns a batch into a table of its own.
func groupBytes(memory int64) int { return int(memTableSize(memory) / 4) }

// While several callers append at a time, the sequencer waits a little for those
// who are about to: the processor mostly stands still during a sync, and a sync
// for every one or two requests costs twice the CPU and serves nobody sooner. It
// waits as long as requests go on arriving, within bounds.
const (
	lingerStep = 600 * time.Microsecond
	lingerMost = 4 * time.Millisecond
)

// maxRecord is how many bytes of data one record holds at most, unless one
// request brings more.
const maxRecord = 256 << 10

// request is one Append that waits.
type request struct {
	batches []*eventlog.Batch
	size    int
	err     error
	state   atomic.Int32
	done    chan struct{} // capacity 1
}

// The states of a request: what the sequencer has taken can no longer be
// cancelled, because it reads the caller's bytes.
const (
	requestWaiting int32 = iota
	requestTaken
	requestCancelled
)

// sequencer is the one writer of the stream of events: it drains the requests
// that wait into one batch, gives contiguous offsets, commits with one sync,
// acknowledges, and moves the mark up to which readers see.
type sequencer struct {
	mu    sync.Mutex
	queue []*request
	wake  chan struct{}
	pool  sync.Pool
}

func (l *log) Append(ctx context.Context, s eventlog.Stream, batches []*eventlog.Batch) error {
	if err := l.err(ctx); err != nil {
		return err
	}
	size, own := 0, true
	for _, b := range batches {
		if err := b.Check(s, len(l.events)); err != nil {
			return err
		}
		b.Duplicate = nil
		size += len(b.Data) + headerLen + recordKeyLen + 16*len(b.Keys) + 16
		own = own && b.Own
	}
	if len(batches) == 0 {
		return nil
	}
	if err := l.db.disk.admit(size, own); err != nil {
		return err
	}
	if s == eventlog.Intents {
		return l.appendIntents(batches)
	}
	return l.enqueue(ctx, batches, size)
}

func (l *log) enqueue(ctx context.Context, batches []*eventlog.Batch, size int) error {
	q := &l.seq
	r, ok := q.pool.Get().(*request)
	if !ok {
		r = &request{done: make(chan struct{}, 1)}
	}
	r.batches, r.size, r.err = batches, size, nil
	r.state.Store(requestWaiting)
	q.mu.Lock()
	if l.shut.Load() { // the sequencer drains the queue once more after this is set
		q.mu.Unlock()
		return eventlog.ErrClosed
	}
	q.queue = append(q.queue, r)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		if r.state.CompareAndSwap(requestWaiting, requestCancelled) {
			return ctx.Err() // the sequencer drops it; it is not pooled
		}
		<-r.done
	}
	err := r.err
	r.batches = nil
	q.pool.Put(r)
	return err
}

// linger returns when no more requests arrive, when a group is full, or when it
// has taken too long.
func (q *sequencer) linger(limit int) {
	waited, before := time.Duration(0), 0
	for {
		q.mu.Lock()
		n, size := len(q.queue), 0
		for _, r := range q.queue {
			size += r.size
		}
		q.mu.Unlock()
		if n == before && before > 0 || size >= limit || waited >= lingerMost {
			return
		}
		before = n
		time.Sleep(lingerStep)
		waited += lingerStep
	}
}

// take moves requests from the queue, at most a group.
func (q *sequencer) take(dst []*request, limit int) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for _, r := range q.queue {
		if n > 0 && size+r.size > limit {
			break
		}
		n++
		if r.state.CompareAndSwap(requestWaiting, requestTaken) {
			size += r.size
			dst = append(dst, r)
		}
	}
	rest := copy(q.queue, q.queue[n:])
	clear(q.queue[rest:])
	q.queue = q.queue[:rest]
	return dst
}

// sequence runs until the log closes.
func (l *log) sequence() {
	w := &writer{log: l, ends: make([]end, len(l.events))}
	w.batch = l.db.engine.NewBatch(crdb.WithMaxRetainedSizeBytes(2 * groupBytes(l.db.cfg.Memory)))
	defer func() {
		if l.db.Err() == nil {
			_ = w.batch.Close()
		}
	}()
	limit := groupBytes(l.db.cfg.Memory)
	var group []*request
	for {
		closing := false
		select {
		case <-l.seq.wake:
		case <-l.closed:
			closing = true
		}
		for {
			if len(group) > 1 && !closing {
				l.seq.linger(limit)
			}
			group = l.seq.take(group[:0], limit)
			if len(group) == 0 {
				break
			}
			w.commit(group)
			clear(group) // its length is kept: how many append at a time
		}
		if closing {
			l.dedup.close()
			return
		}
	}
}

// writer is the sequencer's goroutine.
type writer struct {
	log   *log
	batch *crdb.Batch
	keys  []byte // dedup keys of this commit
	news  []pending

	number uint64 // of this commit
	ends   []end  // by partition: where this commit's records end
}

// end is where a partition ends within a commit, and what of it is not in the
// batch yet.
type end struct {
	next   uint64
	time   int64
	commit uint64

	count int // events of data
	size  int
	data  [][]byte // of several requests: they become one record
}

// pending is a record that becomes readable once the commit is durable.
type pending struct {
	p     *partition
	chunk eventlog.Chunk
}

// commit appends a group of requests and answers them.
func (w *writer) commit(group []*request) {
	err := w.write(group)
	for _, r := range group {
		r.err = err
		r.done <- struct{}{}
	}
}

func (w *writer) write(group []*request) error {
	l := w.log
	if err := l.db.Err(); err != nil {
		return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
	}
	now := l.db.deps.Clock()
	l.dedup.rotate(now)
	w.batch.Reset()
	w.number++
	w.keys, w.news = w.keys[:0], w.news[:0]
	events, duplicates := 0, 0
	for _, r := range group {
		for _, b := range r.batches {
			kept, err := w.add(b, now.UnixMicro())
			if err != nil {
				err = fmt.Errorf("dedup of partition %d: %w", b.Partition, err)
				// Keys of this group are remembered that were not written.
				l.db.fail(err)
				return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
			}
			events += kept
			duplicates += len(b.Ends) - kept
		}
	}
	for i := range w.ends {
		if err := w.flush(l.events[i]); err != nil {
			l.db.fail(err)
			return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
		}
	}
	if len(w.keys) > 0 {
		op := w.batch.SetDeferred(openKeyLen, len(w.keys))
		l.dedup.putOpenKey(op.Key)
		copy(op.Value, w.keys)
		if err := op.Finish(); err != nil {
			l.db.fail(err)
			return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
		}
	}
	size := w.batch.Len()
	if !w.batch.Empty() {
		began := time.Now()
		if err := l.db.commit(w.batch, true); err != nil {
			return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
		}
		l.db.metrics.commits.Observe(time.Since(began).Seconds())
		for i := range w.news {
			w.news[i].p.publish(w.news[i].chunk)
			w.news[i] = pending{}
		}
	}
	l.db.metrics.appended.Add(float64(events))
	l.db.metrics.appendedBytes.Add(float64(size))
	if duplicates > 0 {
		l.db.metrics.duplicates.Add(float64(duplicates))
	}
	return nil
}

// add puts one request's batch into the engine's batch and tells how many of
// its events are new.
func (w *writer) add(b *eventlog.Batch, now int64) (kept int, err error) {
	l := w.log
	if w.keys, err = l.dedup.filter(b, w.keys); err != nil {
		return 0, err
	}
	kept = b.Kept()
	p := l.events[b.Partition]
	base, last := w.tail(p)
	b.Base, b.Appended = base, last
	if kept == 0 {
		return 0, nil
	}
	b.Appended = max(last, now)
	data := b.Data
	if b.Duplicate != nil {
		data = b.AppendKept(make([]byte, 0, len(b.Data)))
	}
	e := &w.ends[b.Partition]
	if e.size > 0 && (e.size+len(data) > maxRecord || e.time != b.Appended) {
		if err := w.flush(p); err != nil {
			return 0, err
		}
	}
	e.next, e.time, e.commit = base+uint64(kept), b.Appended, w.number
	e.count += kept
	e.size += len(data)
	e.data = append(e.data, data)
	return kept, nil
}

// flush puts what waits of a partition into the engine's batch, as one record.
func (w *writer) flush(p *partition) error {
	e := &w.ends[p.number]
	if e.count == 0 {
		return nil
	}
	chunk := eventlog.Chunk{
		Base: e.next - uint64(e.count), Count: e.count, Appended: e.time, Schema: eventlog.Schema(eventlog.Events),
	}
	stored, err := putRecord(w.batch, p, chunk, e.size, e.data...)
	if err != nil {
		return err
	}
	if p.followed() {
		chunk.Data = append([]byte(nil), stored...)
	}
	w.news = append(w.news, pending{p, chunk})
	clear(e.data)
	e.count, e.size, e.data = 0, 0, e.data[:0]
	return nil
}

// tail is where a partition ends, counting what this commit has added.
func (w *writer) tail(p *partition) (next uint64, last int64) {
	if e := w.ends[p.number]; e.commit == w.number {
		return e.next, e.time
	}
	// Only this goroutine moves the end of a partition of events.
	return p.next, p.time
}

// putRecord adds a record to a batch and returns its data as it stands there.
func putRecord(batch *crdb.Batch, p *partition, c eventlog.Chunk, size int, data ...[]byte) ([]byte, error) {
	op := batch.SetDeferred(recordKeyLen, headerLen+size)
	putRecordKey(op.Key, p.stream, p.number, c.Next()-1)
	to := op.Value[headerLen:]
	for _, d := range data {
		to = to[copy(to, d):]
	}
	putHeader(op.Key, op.Value, c.Schema, c.Count, c.Appended)
	stored := op.Value[headerLen:]
	return stored, op.Finish()
}

// appendIntents appends to the stream of intents, beside the Decider's commits.
func (l *log) appendIntents(batches []*eventlog.Batch) error {
	if err := l.db.enter(); err != nil {
		return eventlog.ErrClosed
	}
	defer l.db.leave()
	for _, b := range batches {
		if err := l.appendIntentBatch(b); err != nil {
			return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
		}
	}
	if err := l.db.barrier(); err != nil {
		return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
	}
	return nil
}

func (l *log) appendIntentBatch(b *eventlog.Batch) error {
	batch := l.db.engine.NewBatchWithSize(len(b.Data) + 64)
	defer func() { _ = batch.Close() }()
	p := l.intents[b.Partition]
	p.writing.Lock()
	defer p.writing.Unlock()
	c, err := l.addIntents(batch, p, len(b.Ends), b.Data)
	if err != nil {
		return err
	}
	if err := l.db.commit(batch, false); err != nil {
		return err
	}
	b.Base, b.Appended = c.Base, c.Appended
	p.publish(c)
	return nil
}

// addIntents adds a record of intents to a batch; the partition's writing lock
// is held until the batch is committed and the chunk published.
func (l *log) addIntents(batch *crdb.Batch, p *partition, count int, data []byte) (eventlog.Chunk, error) {
	at := p.bounds()
	c := eventlog.Chunk{
		Base: at.Next, Count: count, Schema: eventlog.Schema(eventlog.Intents),
		Appended: max(at.Time, l.db.deps.Clock().UnixMicro()),
	}
	stored, err := putRecord(batch, p, c, len(data), data)
	if err != nil {
		return c, err
	}
	if p.followed() {
		c.Data = append([]byte(nil), stored...)
	}
	return c, nil
}
