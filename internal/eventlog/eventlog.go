// Package eventlog owns the contract of the log: two streams, partitioned by
// user, appended durably and read by tailing. Drivers implement it; every one
// of them runs the suite in eventlogtest.
//
// It does not own what the records mean, nor where they are stored.
package eventlog

import (
	"context"
	"errors"
	"time"
)

// Stream names one of the two streams through which roles meet.
type Stream string

// The streams.
const (
	Events  Stream = "events"
	Intents Stream = "intents"
)

// Errors that callers decide on.
var (
	// ErrUnavailable: nothing was acknowledged, the client may resend (503).
	ErrUnavailable = errors.New("eventlog: unavailable")
	// ErrDiskFull: the disk reserve is reached (503); it recovers by itself.
	ErrDiskFull = errors.New("eventlog: disk reserve reached")
	// ErrTrimmed: retention has removed the offset that was asked for.
	ErrTrimmed = errors.New("eventlog: offset is older than retention")
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("eventlog: closed")
)

// Key identifies an event for dedup: 128 bits of (source, message id). The zero
// Key means "made by Heed, never repeated": it is not remembered.
type Key [16]byte

// Batch is what one request appends to one partition; it becomes one
// record, a part of one that others share, or several if it is too large.
// The log fills Base, Duplicate and Appended.
type Batch struct {
	Partition int
	// Data holds the events one after the other, each as event.AppendEvent
	// wrote it (length-prefixed). The log does not change it but may keep
	// parts of it only until Append returns.
	Data []byte
	// Ends[i] is the end of event i in Data.
	Ends []int
	// Keys[i] is the dedup key of event i. Empty for the stream of intents.
	Keys []Key
	// Own marks what Heed itself derives (outcomes, control records): it may
	// use a part of the disk reserve, so that the pipeline drains.
	Own bool

	// Results.
	Base      uint64 // offset of the first event that was kept
	Appended  int64  // log time given to the record, µs; 0 where only its readers learn it
	Duplicate []bool // nil if none was; else Duplicate[i]: event i had been appended before
}

// Chunk is one record of a partition: Count events with the offsets Base,
// Base+1, ... Data is decoded by event.NewDecoder and belongs to the reader
// until it drops it: a driver never reuses it.
type Chunk struct {
	Base     uint64
	Count    int
	Appended int64  // log time in µs: never decreases within a partition
	Schema   uint64 // fingerprint of the schema that the data was written with
	Data     []byte
	Keys     []Key // those of the events, of a log that may hold repeats; else nil
}

// Next is the offset after the chunk.
func (c Chunk) Next() uint64 { return c.Base + uint64(c.Count) }

// Bounds are the offsets [First, Next) that a partition holds durably, and its
// log time in µs (0 if it never had a record).
type Bounds struct {
	First, Next uint64
	Time        int64
}

// Log is a partitioned, durable log. All methods may be called concurrently.
type Log interface {
	// Partitions is fixed when the installation is created.
	Partitions() int
	// Append writes the batches and returns when they survive power loss; on a
	// cluster, the loss of fewer brokers than have to be in sync. A log that one
	// process writes drops repeats (by Key) before an offset is given; one that
	// many write may hold repeats, and its readers drop them. An error means
	// that it is unknown whether they were written.
	Append(ctx context.Context, s Stream, batches []*Batch) error
	// Read starts a tailing reader at the first record that ends behind from.
	// It fails with ErrTrimmed if that is gone; Bounds tells where to begin.
	// Offsets may have gaps and, after a fail-over, records may be seen again:
	// readers compare offsets.
	Read(ctx context.Context, s Stream, partition int, from uint64) (Reader, error)
	// Bounds tells what a partition holds.
	Bounds(ctx context.Context, s Stream, partition int) (Bounds, error)
	// Trim removes records appended before the time and never one at or behind
	// keep[partition] (nil: no floor). It is meant to be called seldom (hourly),
	// so that it removes much at once.
	Trim(ctx context.Context, s Stream, before time.Time, keep []uint64) error
	// Close stops appends and readers.
	Close() error
}

// Reader reads one partition in order. It is used by one goroutine.
type Reader interface {
	// Next waits for the next durable record. It returns ctx.Err() when ctx
	// ends, ErrClosed when the log closes.
	Next(ctx context.Context) (Chunk, error)
	// TryNext is Next without waiting: ok is false when the reader has caught up.
	TryNext() (c Chunk, ok bool, err error)
	Close() error
}

// Peeker is a Log whose Read has to look at more than what it reads.
type Peeker interface {
	// Peek is Read for who looks at a few records: repeats may be among them.
	Peek(ctx context.Context, s Stream, partition int, from uint64) (Reader, error)
}

// Peek begins to read for the sake of a few records.
func Peek(ctx context.Context, log Log, s Stream, partition int, from uint64) (Reader, error) {
	if p, ok := log.(Peeker); ok {
		return p.Peek(ctx, s, partition, from)
	}
	return log.Read(ctx, s, partition, from)
}

// Lender is a Reader whose caller may give up the ownership of the data, so that
// reading much makes little garbage.
type Lender interface {
	// Lend makes the Data of each further Chunk the caller's only until the next
	// call of the reader. It is called before the first.
	Lend()
}

// PartitionOf is the partition of a user: xxhash64 of the profile id, modulo n.
// It is fixed when an installation is created.
func PartitionOf(user string, n int) int { return partitionOf(user, n) }
