// Package logsearch owns looking backwards through the stream of events, newest
// first, over some partitions at once.
//
// It does not own what is looked for, nor the log (eventlog).
package logsearch

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"heed/internal/event"
	"heed/internal/eventlog"
)

// Search is a search within a budget of time and a number of hits. It reads
// blocks of offsets forwards, always of the partition whose unread part is the
// newest. It may be run again; it is used by one goroutine.
type Search struct {
	Log    eventlog.Log
	Now    func() time.Time
	Budget time.Duration
	Want   int
	// Match looks at the first fields; Take reads the whole event. Take may
	// refuse it.
	Match func(h *event.Header) bool
	Take  func(partition int, offset uint64, e *event.Event) (item any, ok bool)
}

// Hit is something found. At is the log time of its record: within a partition
// it never decreases with the offset.
type Hit struct {
	Partition int
	Offset    uint64
	At        int64
	Item      any
}

// Found is the outcome.
type Found struct {
	Hits       []Hit  // newest first
	SearchedTo int64  // log time down to which everything was looked at, 0 if nothing was
	Complete   bool   // nothing older is kept
	Next       string // cursor to go on with; "" if Complete
}

// ErrCursor: the cursor was not made by Cursor.
var ErrCursor = errors.New("logsearch: the cursor is not understood")

// front is how far a partition was searched.
type front struct {
	partition int
	first, hi uint64 // [first, hi) is not searched yet
	at        int64  // log time of the oldest record that was looked at
	block     uint64
	hits      []Hit // newest first
}

func (f *front) done() bool { return f.hi <= f.first }

// Sizes of the blocks that are read at once, in offsets. Where each record takes many,
// there may be few events in so many: blocks are larger then, but not as much as if
// all records had only one event.
const firstBlock, largestBlock, mostSpacing = 512, 1 << 15, 16

// Run searches below the cursor ("" from the end).
func (s *Search) Run(ctx context.Context, partitions []int, cursor string) (Found, error) {
	starts, err := readCursor(cursor)
	if err != nil {
		return Found{}, err
	}
	deadline := s.Now().Add(s.Budget)
	fronts := make([]*front, 0, len(partitions))
	for _, p := range partitions {
		b, err := s.Log.Bounds(ctx, eventlog.Events, p)
		if err != nil {
			return Found{}, fmt.Errorf("read the log: %w", err)
		}
		f := &front{partition: p, first: b.First, hi: b.Next, at: b.Time, block: firstBlock * s.spacing()}
		if starts != nil {
			start, ok := starts[p]
			f.hi = min(f.hi, start)
			if !ok {
				f.hi = f.first
			}
		}
		fronts = append(fronts, f)
	}
	for s.Now().Before(deadline) {
		f := newest(fronts)
		if f == nil || s.certain(fronts) >= s.Want {
			break
		}
		if err := s.block(ctx, f); err != nil {
			return Found{}, err
		}
	}
	return s.merge(fronts), nil
}

// newest is the partition to go on with, nil if all are done.
func newest(fronts []*front) *front {
	var best *front
	for _, f := range fronts {
		if !f.done() && (best == nil || f.at > best.at) {
			best = f
		}
	}
	return best
}

// frontier is the log time above which nothing unsearched is left.
func frontier(fronts []*front) int64 {
	if f := newest(fronts); f != nil {
		return f.at
	}
	return 0
}

// certain counts the hits that nothing unsearched can come before.
func (s *Search) certain(fronts []*front) int {
	limit, n := frontier(fronts), 0
	for _, f := range fronts {
		for _, h := range f.hits {
			if h.At >= limit {
				n++
			}
		}
	}
	return n
}

func (s *Search) spacing() uint64 { return min(eventlog.Spacing(s.Log), mostSpacing) }

// block reads the next older block of a partition.
func (s *Search) block(ctx context.Context, f *front) error {
	lo := f.first
	if f.hi-f.first > f.block {
		lo = f.hi - f.block
	}
	f.block = min(2*f.block, largestBlock*s.spacing())
	reader, err := eventlog.Peek(ctx, s.Log, eventlog.Events, f.partition, lo)
	if errors.Is(err, eventlog.ErrTrimmed) {
		f.hi = f.first // retention was faster
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	defer func() { _ = reader.Close() }() // nothing was written
	var hits []Hit
	var h event.Header
	seen, oldest := lo, int64(0)
	for ctx.Err() == nil {
		chunk, ok, err := reader.TryNext()
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if !ok || chunk.Base >= f.hi {
			break
		}
		if oldest == 0 {
			oldest = chunk.Appended
		}
		d := event.NewDecoder(chunk.Data)
		for offset := chunk.Base; ; offset++ {
			raw, ok, err := d.Raw()
			if err != nil {
				return fmt.Errorf("read the log: %w", err)
			}
			if !ok {
				break
			}
			if offset < seen || offset >= f.hi { // outside of the block, or shown again
				continue
			}
			seen = offset + 1
			if err := event.DecodeHeader(raw, &h); err != nil {
				return fmt.Errorf("read the log: %w", err)
			}
			if !s.Match(&h) {
				continue
			}
			var e event.Event
			if err := event.DecodeAvro(raw, &e); err != nil {
				return fmt.Errorf("read the log: %w", err)
			}
			if item, ok := s.Take(f.partition, offset, &e); ok {
				hits = append(hits, Hit{f.partition, offset, chunk.Appended, item})
			}
		}
		if chunk.Next() >= f.hi {
			break
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	slices.Reverse(hits)
	f.hits = append(f.hits, hits...)
	f.hi = lo
	if oldest != 0 {
		f.at = oldest
	}
	return nil
}

// merge orders the hits, keeps the certain ones, and makes the cursor.
func (s *Search) merge(fronts []*front) Found {
	limit := frontier(fronts)
	var out Found
	for _, f := range fronts {
		for _, h := range f.hits {
			if h.At >= limit {
				out.Hits = append(out.Hits, h)
			}
		}
	}
	slices.SortStableFunc(out.Hits, func(a, b Hit) int {
		return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(a.Partition, b.Partition), cmp.Compare(b.Offset, a.Offset))
	})
	out.Hits = out.Hits[:min(len(out.Hits), s.Want)]
	shown := map[int]uint64{} // partition -> its oldest hit that is shown
	for _, h := range out.Hits {
		shown[h.Partition] = h.Offset
	}
	next := map[int]uint64{}
	for _, f := range fronts {
		at := f.hi
		for _, h := range f.hits { // newest first: stop at the first one that is not shown
			if oldest, ok := shown[f.partition]; !ok || h.Offset < oldest {
				at = h.Offset + 1
				break
			}
		}
		if at > f.first {
			next[f.partition] = at
		}
	}
	out.SearchedTo = limit
	if len(next) == 0 {
		out.Complete = true
		for _, f := range fronts {
			if out.SearchedTo == 0 || f.at != 0 && f.at < out.SearchedTo {
				out.SearchedTo = f.at
			}
		}
		return out
	}
	if n := len(out.Hits); n > 0 && n == s.Want {
		out.SearchedTo = out.Hits[n-1].At
	}
	out.Next = Cursor(next)
	return out
}

// Cursor makes a cursor: below which offset to go on, partition by partition.
func Cursor(next map[int]uint64) string {
	b, err := json.Marshal(next)
	if err != nil { // numbers always have a JSON form
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// readCursor is nil for the empty cursor.
func readCursor(s string) (map[int]uint64, error) {
	if s == "" {
		return nil, nil
	}
	if len(s) > 2048 {
		return nil, ErrCursor
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, ErrCursor
	}
	out := map[int]uint64{}
	if err := json.Unmarshal(b, &out); err != nil || out == nil {
		return nil, ErrCursor
	}
	return out, nil
}
