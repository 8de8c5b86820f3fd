package distinct

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/eventlog"
)

// reader leaves repeats out of what another one reads.
type reader struct {
	eventlog.Reader
	part    *partition
	scan    *scan // guarded by part
	dropped prometheus.Counter
	left    []eventlog.Chunk // of the last chunk, between what was dropped
	closed  bool
}

var errDamaged = errors.New("distinct: the data of a record are no events")

// Next implements eventlog.Reader.
func (r *reader) Next(ctx context.Context) (eventlog.Chunk, error) {
	for len(r.left) == 0 {
		c, err := r.Reader.Next(ctx)
		if err == nil {
			err = r.take(c)
		}
		if err != nil {
			return eventlog.Chunk{}, err
		}
	}
	return r.give(), nil
}

// TryNext implements eventlog.Reader.
func (r *reader) TryNext() (eventlog.Chunk, bool, error) {
	for len(r.left) == 0 {
		c, ok, err := r.Reader.TryNext()
		if ok && err == nil {
			err = r.take(c)
		}
		if !ok || err != nil {
			return eventlog.Chunk{}, false, err
		}
	}
	return r.give(), true, nil
}

// Lend implements eventlog.Lender: parts of a chunk are given before the next one
// is asked for.
func (r *reader) Lend() {
	if lender, ok := r.Reader.(eventlog.Lender); ok {
		lender.Lend()
	}
}

// Close implements eventlog.Reader.
func (r *reader) Close() error {
	if !r.closed {
		r.closed = true
		r.part.mu.Lock()
		r.part.leave(r)
		r.part.mu.Unlock()
	}
	return r.Reader.Close()
}

func (r *reader) give() eventlog.Chunk {
	c := r.left[0]
	r.left = r.left[1:]
	return c
}

// take keeps what is to be given of a chunk.
func (r *reader) take(c eventlog.Chunk) (err error) {
	drop := r.part.look(r, &c, r.dropped)
	if len(drop) == 0 {
		r.left = append(r.left[:0], c)
		return nil
	}
	r.left, err = split(r.left[:0], c, drop)
	return err
}

// split appends what is left of a chunk without some of its events.
func split(out []eventlog.Chunk, c eventlog.Chunk, drop []uint64) ([]eventlog.Chunk, error) {
	begin, first := 0, 0 // of the part at hand: in the data, among the events
	end := 0
	for i := range c.Count {
		size, w := binary.Uvarint(c.Data[end:])
		if w <= 0 || size > uint64(len(c.Data)-end-w) {
			return nil, errDamaged
		}
		next := end + w + int(size)
		if len(drop) > 0 && drop[0] == c.Base+uint64(i) {
			drop = drop[1:]
			out = part(out, c, first, i, begin, end)
			begin, first = next, i+1
		}
		end = next
	}
	return part(out, c, first, c.Count, begin, end), nil
}

// part appends the events [first, last) of a chunk, which are the data [begin, end).
func part(out []eventlog.Chunk, c eventlog.Chunk, first, last, begin, end int) []eventlog.Chunk {
	if first == last {
		return out
	}
	c.Base, c.Count = c.Base+uint64(first), last-first
	c.Data, c.Keys = c.Data[begin:end:end], c.Keys[first:last]
	return append(out, c)
}

// within copies those of the ascending offsets that are in [lo, hi).
func within(offsets []uint64, lo, hi uint64) []uint64 {
	i, _ := slices.BinarySearch(offsets, lo)
	j, _ := slices.BinarySearch(offsets[i:], hi)
	if j == 0 {
		return nil
	}
	return slices.Clone(offsets[i : i+j])
}
