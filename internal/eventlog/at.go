package eventlog

import (
	"context"
	"errors"
)

// Seeker is a Log that can say by itself which is the first offset of a partition
// that was appended at or after t (µs), or the next one if there is none.
type Seeker interface {
	OffsetAt(ctx context.Context, s Stream, partition int, t int64) (uint64, error)
}

// OffsetAt is the first offset of a partition that was appended at or after t
// (µs), within the bounds: what the log says, or a search by halves, since log
// time never decreases.
func OffsetAt(ctx context.Context, log Log, s Stream, partition int, b Bounds, t int64) (uint64, error) {
	if seeker, ok := log.(Seeker); ok {
		offset, err := seeker.OffsetAt(ctx, s, partition, t)
		return min(max(offset, b.First), b.Next), err
	}
	lo, hi := b.First, b.Next
	if t > b.Time {
		return hi, nil
	}
	for lo < hi {
		mid := lo + (hi-lo)/2
		chunk, ok, err := ChunkAt(ctx, log, s, partition, mid)
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

// ChunkAt is the first record of a partition that ends behind the offset; ok is
// false if there is none.
func ChunkAt(ctx context.Context, log Log, s Stream, partition int, offset uint64) (c Chunk, ok bool, err error) {
	reader, err := Peek(ctx, log, s, partition, offset)
	if errors.Is(err, ErrTrimmed) {
		b, err := log.Bounds(ctx, s, partition)
		if err != nil || b.First <= offset {
			return Chunk{}, false, err
		}
		return ChunkAt(ctx, log, s, partition, b.First)
	}
	if err != nil {
		return Chunk{}, false, err
	}
	defer func() { _ = reader.Close() }() // nothing was written
	return reader.TryNext()
}
