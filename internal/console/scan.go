package console

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

// scan searches the stream of events backwards, newest first, over some
// partitions at once, within a budget of time and a number of hits. It reads
// blocks of offsets forwards, always of the partition whose unread part is the
// newest.
type scan struct {
	log    eventlog.Log
	now    func() time.Time
	budget time.Duration
	want   int
	// match looks at the first fields; take reads the whole event. take may
	// refuse it.
	match func(h *event.Header) bool
	take  func(partition int, offset uint64, e *event.Event) (item any, ok bool)
}

// hit is something found. at is the log time of its record: within a partition
// it never decreases with the offset.
type hit struct {
	partition int
	offset    uint64
	at        int64
	item      any
}

// found is the outcome of a scan.
type found struct {
	hits       []hit // newest first
	searchedTo int64 // log time down to which everything was looked at, 0 if nothing was
	complete   bool  // nothing older is kept
	next       string
}

// front is how far a partition was searched.
type front struct {
	partition int
	first, hi uint64 // [first, hi) is not searched yet
	at        int64  // log time of the oldest record that was looked at
	block     uint64
	hits      []hit // newest first
}

func (f *front) done() bool { return f.hi <= f.first }

// Sizes of the blocks that are read at once, in offsets.
const firstBlock, largestBlock = 512, 1 << 15

// run searches below the cursor ("" from the end).
func (s *scan) run(ctx context.Context, partitions []int, cursor string) (found, error) {
	starts, err := readCursor(cursor)
	if err != nil {
		return found{}, err
	}
	deadline := s.now().Add(s.budget)
	fronts := make([]*front, 0, len(partitions))
	for _, p := range partitions {
		b, err := s.log.Bounds(ctx, eventlog.Events, p)
		if err != nil {
			return found{}, fmt.Errorf("read the log: %w", err)
		}
		f := &front{partition: p, first: b.First, hi: b.Next, at: b.Time, block: firstBlock}
		if starts != nil {
			start, ok := starts[p]
			f.hi = min(f.hi, start)
			if !ok {
				f.hi = f.first
			}
		}
		fronts = append(fronts, f)
	}
	for s.now().Before(deadline) {
		f := newest(fronts)
		if f == nil || s.certain(fronts) >= s.want {
			break
		}
		if err := s.block(ctx, f); err != nil {
			return found{}, err
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
func (s *scan) certain(fronts []*front) int {
	limit, n := frontier(fronts), 0
	for _, f := range fronts {
		for _, h := range f.hits {
			if h.at >= limit {
				n++
			}
		}
	}
	return n
}

// block reads the next older block of a partition.
func (s *scan) block(ctx context.Context, f *front) error {
	lo := f.first
	if f.hi-f.first > f.block {
		lo = f.hi - f.block
	}
	f.block = min(2*f.block, largestBlock)
	reader, err := s.log.Read(ctx, eventlog.Events, f.partition, lo)
	if errors.Is(err, eventlog.ErrTrimmed) {
		f.hi = f.first // retention was faster
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	defer func() { _ = reader.Close() }() // nothing was written
	var hits []hit
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
			if !s.match(&h) {
				continue
			}
			var e event.Event
			if err := event.DecodeAvro(raw, &e); err != nil {
				return fmt.Errorf("read the log: %w", err)
			}
			if item, ok := s.take(f.partition, offset, &e); ok {
				hits = append(hits, hit{f.partition, offset, chunk.Appended, item})
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
func (s *scan) merge(fronts []*front) found {
	limit := frontier(fronts)
	var out found
	for _, f := range fronts {
		for _, h := range f.hits {
			if h.at >= limit {
				out.hits = append(out.hits, h)
			}
		}
	}
	slices.SortStableFunc(out.hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(a.partition, b.partition), cmp.Compare(b.offset, a.offset))
	})
	out.hits = out.hits[:min(len(out.hits), s.want)]
	shown := map[int]uint64{} // partition -> its oldest hit that is shown
	for _, h := range out.hits {
		shown[h.partition] = h.offset
	}
	next := map[int]uint64{}
	for _, f := range fronts {
		at := f.hi
		for _, h := range f.hits { // newest first: stop at the first one that is not shown
			if oldest, ok := shown[f.partition]; !ok || h.offset < oldest {
				at = h.offset + 1
				break
			}
		}
		if at > f.first {
			next[f.partition] = at
		}
	}
	out.searchedTo = limit
	if len(next) == 0 {
		out.complete = true
		for _, f := range fronts {
			if out.searchedTo == 0 || f.at != 0 && f.at < out.searchedTo {
				out.searchedTo = f.at
			}
		}
		return out
	}
	if n := len(out.hits); n > 0 && n == s.want {
		out.searchedTo = out.hits[n-1].at
	}
	out.next = writeCursor(next)
	return out
}

func writeCursor(next map[int]uint64) string {
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
	bad := badRequest("before is not understood", "give `next` of the page before")
	if len(s) > 2048 {
		return nil, bad
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil, bad
	}
	out := map[int]uint64{}
	if err := json.Unmarshal(b, &out); err != nil || out == nil {
		return nil, bad
	}
	return out, nil
}

// allPartitions lists the partitions of the log.
func (c *Console) allPartitions() []int {
	out := make([]int, c.deps.Log.Partitions())
	for i := range out {
		out[i] = i
	}
	return out
}

// offsetAt is the first offset of a partition that was appended at or after t
// (µs): a search by halves, since log time never decreases.
func offsetAt(ctx context.Context, log eventlog.Log, partition int, b eventlog.Bounds, t int64) (uint64, error) {
	lo, hi := b.First, b.Next
	if t > b.Time {
		return hi, nil
	}
	for lo < hi {
		mid := lo + (hi-lo)/2
		chunk, ok, err := chunkAt(ctx, log, partition, mid)
		if err != nil {
			return 0, err
		}
		switch {
		case !ok || chunk.Appended >= t && chunk.Base <= mid:
			hi = mid
			if ok {
				hi = max(lo, min(hi, chunk.Base))
			}
		case chunk.Appended >= t: // a gap from mid to the chunk
			hi = mid
		default:
			lo = max(mid+1, chunk.Next())
		}
	}
	return lo, nil
}

// chunkAt is the first record that ends behind the offset.
func chunkAt(ctx context.Context, log eventlog.Log, partition int, offset uint64) (eventlog.Chunk, bool, error) {
	reader, err := log.Read(ctx, eventlog.Events, partition, offset)
	if errors.Is(err, eventlog.ErrTrimmed) {
		b, err := log.Bounds(ctx, eventlog.Events, partition)
		if err != nil || b.First <= offset {
			return eventlog.Chunk{}, false, err
		}
		return chunkAt(ctx, log, partition, b.First)
	}
	if err != nil {
		return eventlog.Chunk{}, false, err
	}
	defer func() { _ = reader.Close() }() // nothing was written
	return reader.TryNext()
}
