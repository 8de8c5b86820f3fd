package memory

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"heed/internal/event"
	"heed/internal/eventlog"
)

// partition is one partition of one stream.
type partition struct {
	mu          sync.Mutex
	chunks      []eventlog.Chunk
	first, next uint64
	time        int64
	wake        chan struct{} // closed and replaced at each append
}

func newPartition() *partition { return &partition{wake: make(chan struct{})} }

// append adds a record; the partition's lock is held.
func (p *partition) append(now int64, spacing uint64, gap, count int, schema uint64, data []byte, keys []eventlog.Key) eventlog.Chunk {
	p.time = max(p.time, now)
	if len(p.chunks) > 0 {
		p.next += uint64(gap)
	}
	p.next = (p.next + spacing - 1) / spacing * spacing
	c := eventlog.Chunk{Base: p.next, Count: count, Appended: p.time, Schema: schema, Data: data, Keys: keys}
	p.chunks = append(p.chunks, c)
	p.next = c.Next()
	close(p.wake)
	p.wake = make(chan struct{})
	return c
}

// at is the index of the first record that ends behind the offset; the lock is held.
func (p *partition) at(offset uint64) int {
	return sort.Search(len(p.chunks), func(i int) bool { return p.chunks[i].Next() > offset })
}

type log struct {
	db     *DB
	once   sync.Once
	closed chan struct{}
}

func (l *log) stream(s eventlog.Stream) []*partition {
	if s == eventlog.Intents {
		return l.db.data.intents
	}
	return l.db.data.events
}

func (l *log) err(ctx context.Context) error {
	select {
	case <-l.closed:
		return eventlog.ErrClosed
	default:
		return ctx.Err()
	}
}

func (l *log) Partitions() int { return l.db.cfg.Partitions }

// Spacing implements eventlog.Spaced.
func (l *log) Spacing() uint64 { return max(1, l.db.cfg.Spacing) }

func (l *log) Append(ctx context.Context, s eventlog.Stream, batches []*eventlog.Batch) error {
	if err := l.err(ctx); err != nil {
		return err
	}
	for _, b := range batches {
		if err := b.Check(s, l.db.cfg.Partitions); err != nil {
			return err
		}
	}
	d := l.db.data
	d.dedupMu.Lock()
	defer d.dedupMu.Unlock()
	for _, b := range batches {
		l.appendOne(s, b)
	}
	if l.db.chance(l.db.hostile.Load().LostAck) {
		return fmt.Errorf("%w: the acknowledgement was lost", eventlog.ErrUnavailable)
	}
	return nil
}

func (l *log) appendOne(s eventlog.Stream, b *eventlog.Batch) {
	var keys []eventlog.Key
	b.Duplicate = nil
	if l.db.cfg.Repeats {
		keys = slices.Clone(b.Keys)
	} else {
		l.mark(b)
	}
	p := l.stream(s)[b.Partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	kept := b.Kept()
	if kept == 0 {
		b.Base, b.Appended = p.next, p.time
		return
	}
	c := p.append(l.db.cfg.Clock().UnixMicro(), l.Spacing(), l.db.gap(), kept, eventlog.Schema(s), b.AppendKept(nil), keys)
	b.Base, b.Appended = c.Base, c.Appended
}

// mark marks what had been appended before.
func (l *log) mark(b *eventlog.Batch) {
	d := l.db.data
	for i, k := range b.Keys {
		if k == (eventlog.Key{}) {
			continue
		}
		if _, ok := d.dedup[k]; ok {
			if b.Duplicate == nil {
				b.Duplicate = make([]bool, len(b.Ends))
			}
			b.Duplicate[i] = true
		}
		d.dedup[k] = struct{}{}
	}
}

func (db *DB) gap() int {
	if db.chance(db.hostile.Load().Gap) {
		return db.upTo(3)
	}
	return 0
}

// appendIntents appends what a commit of user state emits.
func (l *log) appendIntents(partition int, intents []event.Intent) {
	if len(intents) == 0 {
		return
	}
	var data []byte
	for i := range intents {
		data = event.AppendIntent(data, &intents[i])
	}
	p := l.db.data.intents[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.append(l.db.cfg.Clock().UnixMicro(), l.Spacing(), l.db.gap(), len(intents), event.IntentFingerprint, data, nil)
}

func (l *log) Read(ctx context.Context, s eventlog.Stream, partition int, from uint64) (eventlog.Reader, error) {
	if err := l.err(ctx); err != nil {
		return nil, err
	}
	if partition < 0 || partition >= l.db.cfg.Partitions {
		return nil, fmt.Errorf("eventlog: read partition %d of %d", partition, l.db.cfg.Partitions)
	}
	p := l.stream(s)[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	if from < p.first {
		return nil, fmt.Errorf("eventlog: read %s/%d from %d, first is %d: %w", s, partition, from, p.first, eventlog.ErrTrimmed)
	}
	return &reader{log: l, p: p, next: from, floor: from}, nil
}

func (l *log) Bounds(ctx context.Context, s eventlog.Stream, partition int) (eventlog.Bounds, error) {
	if err := l.err(ctx); err != nil {
		return eventlog.Bounds{}, err
	}
	if partition < 0 || partition >= l.db.cfg.Partitions {
		return eventlog.Bounds{}, fmt.Errorf("eventlog: bounds of partition %d of %d", partition, l.db.cfg.Partitions)
	}
	p := l.stream(s)[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	return eventlog.Bounds{First: p.first, Next: p.next, Time: p.time}, nil
}

func (l *log) Trim(ctx context.Context, s eventlog.Stream, before time.Time, keep []uint64) error {
	if err := l.err(ctx); err != nil {
		return err
	}
	for i, p := range l.stream(s) {
		p.mu.Lock()
		n := 0
		for n < len(p.chunks) && p.chunks[n].Appended < before.UnixMicro() &&
			(i >= len(keep) || p.chunks[n].Next() <= keep[i]) {
			n++
		}
		if n > 0 {
			p.first = p.chunks[n-1].Next()
			p.chunks = slices.Clone(p.chunks[n:])
		}
		p.mu.Unlock()
	}
	return nil
}

func (l *log) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

type reader struct {
	log    *log
	p      *partition
	floor  uint64 // where the reader was opened: redelivery does not go below
	next   uint64
	closed bool
}

func (r *reader) TryNext() (eventlog.Chunk, bool, error) {
	c, ok, _, err := r.try()
	return c, ok, err
}

func (r *reader) try() (c eventlog.Chunk, ok bool, wake <-chan struct{}, err error) {
	if err := r.log.err(context.Background()); err != nil {
		return c, false, nil, err
	}
	if r.closed {
		return c, false, nil, eventlog.ErrClosed
	}
	p, db := r.p, r.log.db
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.next < p.first {
		return c, false, nil, fmt.Errorf("eventlog: next is %d, first is %d: %w", r.next, p.first, eventlog.ErrTrimmed)
	}
	i := p.at(r.next)
	if i > 0 && db.chance(db.hostile.Load().Redeliver) {
		i = max(i-db.upTo(3), p.at(r.floor))
	}
	if i == len(p.chunks) {
		return c, false, p.wake, nil
	}
	c = p.chunks[i]
	r.next = c.Next()
	c.Data = slices.Clone(c.Data)
	return c, true, nil, nil
}

func (r *reader) Next(ctx context.Context) (eventlog.Chunk, error) {
	for {
		if err := ctx.Err(); err != nil {
			return eventlog.Chunk{}, err
		}
		c, ok, wake, err := r.try()
		if ok || err != nil {
			return c, err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return eventlog.Chunk{}, ctx.Err()
		case <-r.log.closed:
			return eventlog.Chunk{}, eventlog.ErrClosed
		}
	}
}

func (r *reader) Close() error {
	r.closed = true
	return nil
}
