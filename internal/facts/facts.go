// Package facts owns the contract of the facts store: the events, kept for
// analysis. Drivers implement it; every one of them runs the suite in factstest.
//
// It does not own what a measure means (measure), who reads the log into the
// store (analytics), nor where facts are stored.
package facts

import (
	"context"
	"errors"
	"os"
	"time"

	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/measure"
)

// Errors that callers decide on.
var (
	// ErrStatement: the text is not one statement that only reads, or does not
	// mean anything; the message says why.
	ErrStatement = errors.New("facts: statement refused")
	// ErrBusy: too many queries wait already.
	ErrBusy = errors.New("facts: too many queries")
	// ErrTimeout: the query took longer than it may.
	ErrTimeout = errors.New("facts: query took too long")
	// ErrTooBig: the query needed more memory or disk than it may have.
	ErrTooBig = errors.New("facts: query needs too much memory")
	// ErrFull: nothing may be written, the rest of the disk is left to those who cannot wait.
	ErrFull = errors.New("the disk reserve is reached")
	// ErrUnsupported: the store cannot answer this exactly; the message says why.
	ErrUnsupported = errors.New("facts: not supported")
	// ErrLoading: what could answer is not there yet, but will be.
	ErrLoading = errors.New("facts: still being loaded")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("facts: closed")
)

// Store holds facts. All methods may be called concurrently, Append for one
// partition by one goroutine at a time.
type Store interface {
	// Append takes in a record of the stream of events. Offsets that the store
	// has already are passed over, so a record may be given again, and must be
	// after a start: from Status().Next on. When it returns, every query sees
	// the record's events, and nothing of its bytes is kept. It waits while the
	// store has no room.
	Append(ctx context.Context, partition int, c eventlog.Chunk) error
	// Repair brings back from the log what was lost (Status().Lost), as far as
	// the log still has it. What it has not stays lost and is named in Status.
	Repair(ctx context.Context, read ReadLog) error
	// Query answers a measure that was resolved, exactly or not at all
	// (ErrUnsupported). now is in µs since the Unix epoch.
	Query(ctx context.Context, q *measure.Query, now int64) (measure.Result, error)
	// SQL runs one SELECT over the public views (docs/sql.md).
	SQL(ctx context.Context, text string, o Options) (Rows, error)
	// Status tells how the store stands. It does not wait.
	Status() Status
	// Close stops what runs and closes the store. What is not on the disk yet
	// is read from the log after the next start.
	Close() error
}

// Files makes Parquet files of answers; the caller closes them. Methods may be
// called concurrently.
type Files interface {
	// Parquet is Store.SQL with the whole answer as a Parquet file: all rows or an
	// error.
	Parquet(ctx context.Context, text string, o Options) (*os.File, error)
	// ParquetOf makes a Parquet file of rows that were answered.
	ParquetOf(ctx context.Context, head []measure.Column, rows [][]any) (*os.File, error)
}

// Past is what a store holds, for whoever builds something of it anew.
type Past interface {
	// Past hands over first each id that has become another user's (merged), then
	// the events from a time on (µs) whose offset is below until[partition], in
	// order of event time, equal times in the order of the log. An event has no
	// session id, and is valid until take returns. An error of the callbacks ends
	// it and is returned.
	Past(ctx context.Context, from int64, until []uint64, merged func(from, to string) error, take func(*event.Event) error) error
	// PastOf hands over like that the events of the users whom these ids belong to
	// today. What take keeps of an event stays as it is.
	PastOf(ctx context.Context, ids []string, from int64, until []uint64, take func(*event.Event) error) error
}

// Driver is all that a driver does.
type Driver interface {
	Store
	Files
	Past
}

// ReadLog reads the offsets [from, to) of a partition, as far as the log has
// them, and returns the first offset that it has.
type ReadLog func(ctx context.Context, partition int, from, to uint64, take func(eventlog.Chunk) error) (first uint64, err error)

// Options of a query. Zero means the store's own limits, which are the largest.
type Options struct {
	Rows    int  // at most so many rows; Rows.More tells whether there were others
	All     bool // of Parquet: the rows are not limited, only the bytes
	Timeout time.Duration
}

// Rows is a result, read by one goroutine. Values are nil, bool, int64, uint64,
// float64, string, time.Time, or what a nested type is made of: []any and
// map[string]any.
type Rows interface {
	Columns() []Column
	// Next goes to the next row; false at the end and on an error.
	Next() bool
	// Values are those of the row, valid until Next.
	Values() []any
	// More tells, behind the last row, whether the limit cut others off.
	More() bool
	Err() error
	Close() error
}

// Column describes one column of a result; Type is the engine's name for it.
type Column struct{ Name, Type string }

// Status tells how a store stands.
type Status struct {
	Next   []uint64  // partition by partition: the offset behind what was taken in
	Rows   int64     // all of them
	Hot    int64     // those in memory only; the log still has them
	Bytes  int64     // on disk
	Files  int       // on disk
	Users  int64     // ids that were ever seen
	Oldest time.Time // first day there is a fact of; zero if there is none
	Lost   []Lost    // what is missing, and is not coming back by itself
	Repair *Progress // nil: none runs
	Err    error     // why nothing is written at the moment; nil if all is well
}

// Lost is what a damaged file held.
type Lost struct {
	File     string
	From, To time.Time // of its events, both inclusive
	Rows     int64
	Final    bool // the log no longer has (all of) it
}

// Progress is that of a rebuild, in log offsets.
type Progress struct{ Done, Total uint64 }
