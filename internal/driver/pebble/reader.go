package pebble

import (
	"context"
	"errors"
	"fmt"

	crdb "github.com/cockroachdb/pebble/v2"

	"heed/internal/eventlog"
)

// A reader behind the ring reads this much at a time from the engine, and holds
// no iterator in between: an open iterator keeps files from being removed.
const (
	readAheadBytes   = 1 << 20
	readAheadRecords = 256
)

type reader struct {
	log    *log
	p      *partition
	next   uint64
	ahead  []eventlog.Chunk // read, not yet given out
	closed bool
	lends  bool
	arena  []byte // of what was read ahead, if it lends
}

// Lend makes the reader use its memory again: eventlog.Lender.
func (r *reader) Lend() { r.lends = true }

// own copies a value that the iterator is going to overwrite.
func (r *reader) own(value []byte) []byte {
	if !r.lends {
		return append([]byte(nil), value...)
	}
	if len(value) > cap(r.arena)-len(r.arena) { // what is in use of the old one stays
		r.arena = make([]byte, 0, max(len(value), readAheadBytes+readAheadBytes/8))
	}
	at := len(r.arena)
	r.arena = append(r.arena, value...)
	return r.arena[at:len(r.arena):len(r.arena)]
}

func (l *log) Read(ctx context.Context, s eventlog.Stream, n int, from uint64) (eventlog.Reader, error) {
	if err := l.err(ctx); err != nil {
		return nil, err
	}
	p, err := l.partition(s, n)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if from < p.first {
		return nil, trimmed(p, from)
	}
	p.readers++
	return &reader{log: l, p: p, next: from}, nil
}

// trimmed is the error for an offset below first; the partition's lock is held.
func trimmed(p *partition, from uint64) error {
	return fmt.Errorf("eventlog: read %s/%d at %d, the first is %d: %w", p.stream, p.number, from, p.first, eventlog.ErrTrimmed)
}

func (r *reader) TryNext() (eventlog.Chunk, bool, error) {
	c, ok, _, err := r.try(false)
	return c, ok, err
}

// try gives the next record; if there is none and wait is set, a channel that
// closes when there may be one.
func (r *reader) try(wait bool) (c eventlog.Chunk, ok bool, wake <-chan struct{}, err error) {
	if r.closed || r.log.shut.Load() {
		return c, false, nil, eventlog.ErrClosed
	}
	if len(r.ahead) > 0 {
		c = r.ahead[0]
		r.ahead[0] = eventlog.Chunk{}
		r.ahead = r.ahead[1:]
		r.next = c.Next()
		return c, true, nil, nil
	}
	p := r.p
	p.mu.Lock()
	switch {
	case r.next < p.first:
		err = trimmed(p, r.next)
		p.mu.Unlock()
		return c, false, nil, err
	case r.next >= p.next:
		if wait {
			p.waiting = true
			wake = p.wake
		}
		p.mu.Unlock()
		return c, false, wake, nil
	}
	if c, ok = p.recent(r.next); ok {
		p.mu.Unlock()
		r.next = c.Next()
		return c, true, nil, nil
	}
	end := p.next
	p.mu.Unlock()
	if err := r.fill(end); err != nil {
		return c, false, nil, err
	}
	return r.try(wait)
}

// fill reads ahead up to end, which is behind next.
func (r *reader) fill(end uint64) (err error) {
	if err := r.log.db.enter(); err != nil {
		return eventlog.ErrClosed
	}
	defer r.log.db.leave()
	p := r.p
	it, err := r.log.db.engine.NewIter(&crdb.IterOptions{
		LowerBound: recordKey(p.stream, p.number, r.next),
		UpperBound: recordKey(p.stream, p.number, end),
	})
	if err != nil {
		return r.wrong(r.next, err)
	}
	defer func() { err = errors.Join(err, closeIterator(it)) }()
	r.arena = r.arena[:0] // nothing of it is in use any more
	size := 0
	expected := r.next
	ok := it.First()
	for ; ok && size < readAheadBytes && len(r.ahead) < readAheadRecords; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return r.wrong(expected, err)
		}
		c, err := parseRecord(it.Key(), r.own(value))
		if err != nil {
			return r.wrong(expected, err)
		}
		// Offsets are contiguous here, so a gap is a record that went missing.
		if c.Base > expected {
			return r.missing(expected, c.Base)
		}
		expected = c.Next()
		size += len(value)
		r.ahead = append(r.ahead, c)
	}
	if err := it.Error(); err != nil {
		return r.wrong(expected, err)
	}
	if !ok && expected < end {
		return r.missing(expected, end)
	}
	return nil
}

// missing tells why there is a hole: retention has made it, or damage.
func (r *reader) missing(from, to uint64) error {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	if r.next < r.p.first {
		r.ahead = nil
		return trimmed(r.p, r.next)
	}
	return r.wrong(from, fmt.Errorf("%w: offsets %d to %d are missing", errCorrupt, from, to))
}

// wrong says where the log cannot be read. Reading stops here: skipping would
// lose acknowledged events silently.
func (r *reader) wrong(offset uint64, err error) error {
	return fmt.Errorf("eventlog: read %s/%d at offset %d: %w", r.p.stream, r.p.number, offset, err)
}

func (r *reader) Next(ctx context.Context) (eventlog.Chunk, error) {
	for {
		if err := ctx.Err(); err != nil {
			return eventlog.Chunk{}, err
		}
		c, ok, wake, err := r.try(true)
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
	if r.closed {
		return nil
	}
	r.closed = true
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	if r.p.readers--; r.p.readers == 0 {
		r.p.ring, r.p.ringSize = nil, 0
	}
	return nil
}
