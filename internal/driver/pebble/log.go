package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
	"sync"
	"sync/atomic"

	crdb "github.com/cockroachdb/pebble/v2"

	"heed/internal/eventlog"
)

// Bounds of a partition's ring of recent records.
const (
	ringBytes   = 2 << 20
	ringRecords = 512
)

// partition is the live part of one partition of one stream.
type partition struct {
	stream eventlog.Stream
	number int

	// writing orders who gives offsets to intents (Decider and schedules); the
	// offsets of events are given by the sequencer alone.
	writing sync.Mutex

	mu          sync.Mutex
	first, next uint64 // [first, next) may be read
	time        int64
	readers     int
	waiting     bool          // somebody waits on wake
	wake        chan struct{} // closed and replaced when next moves
	ring        []eventlog.Chunk
	ringSize    int
}

// publish makes a record readable and keeps it for the readers at the tail.
// data must not change any more; nil keeps nothing.
func (p *partition) publish(c eventlog.Chunk) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next, p.time = c.Next(), c.Appended
	if c.Data == nil {
		p.ring, p.ringSize = nil, 0
	} else {
		p.ring = append(p.ring, c)
		p.ringSize += len(c.Data)
		drop := 0
		for p.ringSize > ringBytes && drop < len(p.ring)-1 || len(p.ring)-drop > ringRecords {
			p.ringSize -= len(p.ring[drop].Data)
			p.ring[drop].Data = nil
			drop++
		}
		p.ring = p.ring[drop:]
	}
	if p.waiting {
		p.waiting = false
		close(p.wake)
		p.wake = make(chan struct{})
	}
}

// followed tells whether a record should be kept for readers.
func (p *partition) followed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.readers > 0
}

// recent finds the record that holds the offset in the ring; the lock is held.
func (p *partition) recent(offset uint64) (eventlog.Chunk, bool) {
	if len(p.ring) == 0 || offset < p.ring[0].Base || offset >= p.next {
		return eventlog.Chunk{}, false
	}
	i := sort.Search(len(p.ring), func(i int) bool { return p.ring[i].Next() > offset })
	return p.ring[i], true
}

func (p *partition) bounds() eventlog.Bounds {
	p.mu.Lock()
	defer p.mu.Unlock()
	return eventlog.Bounds{First: p.first, Next: p.next, Time: p.time}
}

// log is both streams.
type log struct {
	db              *DB
	events, intents []*partition
	dedup           *dedup
	seq             sequencer

	once   sync.Once
	closed chan struct{}
	shut   atomic.Bool
}

func openLog(db *DB) (*log, error) {
	l := &log{db: db, closed: make(chan struct{})}
	l.seq.wake = make(chan struct{}, 1)
	for i := range db.made.Partitions {
		for _, s := range []eventlog.Stream{eventlog.Events, eventlog.Intents} {
			p := &partition{stream: s, number: i, wake: make(chan struct{})}
			if err := db.recover(p); err != nil {
				return nil, fmt.Errorf("%s/%d: %w", s, i, err)
			}
			if s == eventlog.Events {
				l.events = append(l.events, p)
			} else {
				l.intents = append(l.intents, p)
			}
		}
	}
	var err error
	if l.dedup, err = openDedup(db); err != nil {
		return nil, fmt.Errorf("dedup: %w", err)
	}
	return l, nil
}

// recover finds where a partition begins and ends.
func (db *DB) recover(p *partition) (err error) {
	head, err := db.get(headKey(p.stream, p.number))
	if err != nil {
		return err
	}
	if head != nil {
		if len(head) != 24 {
			return fmt.Errorf("%w: head of %d bytes", errCorrupt, len(head))
		}
		p.first = binary.LittleEndian.Uint64(head)
		p.next = binary.LittleEndian.Uint64(head[8:])
		p.time = int64(binary.LittleEndian.Uint64(head[16:]))
	}
	it, err := db.engine.NewIter(&crdb.IterOptions{
		LowerBound: recordKey(p.stream, p.number, p.first),
		UpperBound: successor(recordKey(p.stream, p.number, 0)[:3]),
	})
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	defer func() { err = errors.Join(err, closeIterator(it)) }()
	if !it.Last() {
		return nil
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return fmt.Errorf("read the last record: %w", err)
	}
	c, err := parseRecord(it.Key(), value)
	if err != nil {
		return fmt.Errorf("last record, key %x: %w", it.Key(), err)
	}
	p.next = max(p.next, c.Next())
	p.time = max(p.time, c.Appended)
	return nil
}

func appendHead(b eventlog.Bounds) []byte {
	v := binary.LittleEndian.AppendUint64(nil, b.First)
	v = binary.LittleEndian.AppendUint64(v, b.Next)
	return binary.LittleEndian.AppendUint64(v, uint64(b.Time))
}

func (l *log) partition(s eventlog.Stream, n int) (*partition, error) {
	if n < 0 || n >= len(l.events) {
		return nil, fmt.Errorf("eventlog: partition %d of %d", n, len(l.events))
	}
	switch s {
	case eventlog.Events:
		return l.events[n], nil
	case eventlog.Intents:
		return l.intents[n], nil
	}
	return nil, fmt.Errorf("eventlog: unknown stream %q", s)
}

func (l *log) stream(s eventlog.Stream) []*partition {
	if s == eventlog.Intents {
		return l.intents
	}
	return l.events
}

// err tells whether the log still works.
func (l *log) err(ctx context.Context) error {
	if l.shut.Load() {
		return eventlog.ErrClosed
	}
	if err := l.db.Err(); err != nil {
		return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
	}
	return ctx.Err()
}

func (l *log) Partitions() int { return l.db.made.Partitions }

func (l *log) Bounds(ctx context.Context, s eventlog.Stream, n int) (eventlog.Bounds, error) {
	if err := l.err(ctx); err != nil {
		return eventlog.Bounds{}, err
	}
	p, err := l.partition(s, n)
	if err != nil {
		return eventlog.Bounds{}, err
	}
	return p.bounds(), nil
}

func (l *log) Close() error {
	l.once.Do(func() {
		l.shut.Store(true)
		close(l.closed)
	})
	return nil
}
