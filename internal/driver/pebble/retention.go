package pebble

import (
	"context"
	"errors"
	"fmt"
	"time"

	crdb "github.com/cockroachdb/pebble/v2"

	"heed/internal/eventlog"
)

func (l *log) Trim(ctx context.Context, s eventlog.Stream, before time.Time, keep []uint64) error {
	if err := l.err(ctx); err != nil {
		return err
	}
	if err := l.db.enter(); err != nil {
		return eventlog.ErrClosed
	}
	defer l.db.leave()
	for i, p := range l.stream(s) {
		floor := ^uint64(0)
		if i < len(keep) {
			floor = keep[i]
		}
		if err := l.trim(ctx, p, before.UnixMicro(), floor); err != nil {
			return fmt.Errorf("eventlog: trim %s/%d: %w", s, i, err)
		}
	}
	return nil
}

// trim removes a partition's records from before a time with one range
// deletion.
func (l *log) trim(ctx context.Context, p *partition, before int64, floor uint64) error {
	at := p.bounds()
	cut, err := l.cut(ctx, p, at, before)
	if err != nil {
		return err
	}
	if cut, err = l.start(ctx, p, at, min(cut, floor)); err != nil || cut <= at.First {
		return err
	}
	// Readers learn of it first: what is gone is then trimmed, not missing.
	p.mu.Lock()
	p.first = cut
	for len(p.ring) > 0 && p.ring[0].Base < cut {
		p.ringSize -= len(p.ring[0].Data)
		p.ring = p.ring[1:]
	}
	at = eventlog.Bounds{First: p.first, Next: p.next, Time: p.time}
	p.mu.Unlock()
	return l.db.write(func(b *crdb.Batch) error {
		return errors.Join(
			b.DeleteRange(recordKey(p.stream, p.number, 0), recordKey(p.stream, p.number, cut), nil),
			b.Set(headKey(p.stream, p.number), appendHead(at), nil),
		)
	}, true)
}

// cut is the offset of the first record appended at the time or later, found by
// halving: log time never decreases.
func (l *log) cut(ctx context.Context, p *partition, at eventlog.Bounds, before int64) (offset uint64, err error) {
	it, err := l.db.engine.NewIterWithContext(ctx, &crdb.IterOptions{
		LowerBound: recordKey(p.stream, p.number, at.First),
		UpperBound: recordKey(p.stream, p.number, at.Next),
	})
	if err != nil {
		return 0, fmt.Errorf("read: %w", err)
	}
	defer func() { err = errors.Join(err, closeIterator(it)) }()
	low, high := at.First, at.Next // the cut is within [low, high]
	for low < high {
		mid := low + (high-low)/2
		c, err := seek(it, p, mid)
		if err != nil {
			return 0, err
		}
		if c.Appended < before {
			low = c.Next()
		} else {
			high = min(mid, c.Base)
		}
	}
	return low, nil
}

// seek reads the record that holds the offset.
func seek(it *crdb.Iterator, p *partition, offset uint64) (eventlog.Chunk, error) {
	if !it.SeekGE(recordKey(p.stream, p.number, offset)) {
		if err := it.Error(); err != nil {
			return eventlog.Chunk{}, fmt.Errorf("read offset %d: %w", offset, err)
		}
		return eventlog.Chunk{}, fmt.Errorf("offset %d: %w: it is missing", offset, errCorrupt)
	}
	value, err := it.ValueAndErr()
	if err != nil {
		return eventlog.Chunk{}, fmt.Errorf("read offset %d: %w", offset, err)
	}
	c, err := parseRecord(it.Key(), value)
	if err != nil {
		return c, fmt.Errorf("offset %d: %w", offset, err)
	}
	return c, nil
}

// start is the beginning of the record that holds the offset.
func (l *log) start(ctx context.Context, p *partition, at eventlog.Bounds, offset uint64) (start uint64, err error) {
	if offset >= at.Next || offset <= at.First {
		return min(offset, at.Next), nil
	}
	it, err := l.db.engine.NewIterWithContext(ctx, &crdb.IterOptions{
		LowerBound: recordKey(p.stream, p.number, at.First),
		UpperBound: recordKey(p.stream, p.number, at.Next),
	})
	if err != nil {
		return 0, fmt.Errorf("read: %w", err)
	}
	defer func() { err = errors.Join(err, closeIterator(it)) }()
	c, err := seek(it, p, offset)
	return c.Base, err
}

// DiskUsage is what the database takes on disk, in bytes.
func (db *DB) DiskUsage() (uint64, error) {
	if err := db.enter(); err != nil {
		return 0, fmt.Errorf("pebble: disk usage: %w", err)
	}
	defer db.leave()
	return db.engine.Metrics().DiskSpaceUsage(), nil
}

// StreamUsage is about what a stream's records take in tables, in bytes. What
// is still in the write-ahead log is not counted.
func (db *DB) StreamUsage(s eventlog.Stream) (uint64, error) {
	if err := db.enter(); err != nil {
		return 0, fmt.Errorf("pebble: usage of %s: %w", s, err)
	}
	defer db.leave()
	prefix := []byte{keyRecord, streamByte(s)}
	n, err := db.engine.EstimateDiskUsage(prefix, successor(prefix))
	if err != nil {
		return 0, fmt.Errorf("pebble: usage of %s: %w", s, err)
	}
	return n, nil
}

// CutForSize tells before which time a stream must be trimmed to take at most
// limit bytes; ok is false if it does. The records are taken to be of about
// equal size.
func (db *DB) CutForSize(ctx context.Context, s eventlog.Stream, limit uint64) (before time.Time, ok bool, err error) {
	used, err := db.StreamUsage(s)
	if err != nil || used <= limit {
		return time.Time{}, false, err
	}
	if err := db.enter(); err != nil {
		return time.Time{}, false, fmt.Errorf("pebble: %w", err)
	}
	defer db.leave()
	remove := 1 - float64(limit)/float64(used)
	for _, p := range db.log.stream(s) {
		at := p.bounds()
		offset := at.First + uint64(float64(at.Next-at.First)*remove)
		if at.First == at.Next || offset >= at.Next {
			continue
		}
		t, err := db.log.timeAt(ctx, p, at, offset)
		if err != nil {
			return time.Time{}, false, fmt.Errorf("pebble: trim %s/%d: %w", s, p.number, err)
		}
		if cut := time.UnixMicro(t); cut.After(before) {
			before, ok = cut, true
		}
	}
	return before, ok, nil
}

func (l *log) timeAt(ctx context.Context, p *partition, at eventlog.Bounds, offset uint64) (t int64, err error) {
	it, err := l.db.engine.NewIterWithContext(ctx, &crdb.IterOptions{
		LowerBound: recordKey(p.stream, p.number, at.First),
		UpperBound: recordKey(p.stream, p.number, at.Next),
	})
	if err != nil {
		return 0, fmt.Errorf("read: %w", err)
	}
	defer func() { err = errors.Join(err, closeIterator(it)) }()
	c, err := seek(it, p, offset)
	return c.Appended, err
}
