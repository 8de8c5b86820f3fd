// Package later owns events that are decided and not in the log yet: each commit
// keeps those that it made as one of its rows until they are appended, in the
// background and in order, so that no decision waits for the log. Their ids are
// the same whoever appends them, so that the log drops what is appended again
// after a crash.
//
// It does not own what the events say (session), nor the commits (decider).
package later

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/userstate"
)

// version is the first byte of a row (docs/format/state.md).
const version = 1

const (
	rowBytes = 64 << 10 // from which on events begin a new row
	maxHeld  = 4 << 20  // of rows in memory; more wait in the store
)

// Waits before what the log refused is tried again.
const (
	minBackoff = 10 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// Add writes an event into the last of the rows, or begins another one.
func Add(rows [][]byte, e *event.Event) [][]byte {
	if n := len(rows); n == 0 || len(rows[n-1]) > rowBytes {
		rows = append(rows, []byte{version})
	}
	last := &rows[len(rows)-1]
	*last = event.AppendEvent(*last, e)
	return rows
}

// Queue is the rows of a partition on their way into the log. The owner of the
// partition calls Forget, Found, Rows and Committed; Run and Flush may be called
// meanwhile, by one goroutine.
type Queue struct {
	Partition int
	Kind      userstate.Kind
	Prefix    string // of the rows' names
	Log       eventlog.Log
	State     userstate.Store
	Logger    *slog.Logger
	Corrupt   func() // a row was unreadable

	next uint64 // number of the next row

	mu   sync.Mutex
	rows []row
	held int      // bytes of rows
	done []uint64 // in the log, and still in the store
	bell chan struct{}
}

type row struct {
	number uint64
	data   []byte // nil: it is to be read from the store
}

func (q *Queue) name(number uint64) string { return fmt.Sprintf("%s%016x", q.Prefix, number) }

// Forget begins anew: a new owner has the partition.
func (q *Queue) Forget() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.next, q.rows, q.held, q.done = 0, nil, 0, nil
	q.bell = make(chan struct{}, 1)
}

// Found takes a row that is in the store, in order; false: the name is of no row.
func (q *Queue) Found(name string) bool {
	var number uint64
	if n, err := fmt.Sscanf(name, q.Prefix+"%016x", &number); n != 1 || err != nil {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.rows = append(q.rows, row{number: number})
	q.next = number + 1
	return true
}

// Rows visits what the next commit is to write: rows that it makes, and nil for
// what is in the log by now.
func (q *Queue) Rows(rows [][]byte, write func(name string, value []byte)) {
	for i, data := range rows {
		write(q.name(q.next+uint64(i)), data)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, n := range q.done {
		write(q.name(n), nil)
	}
	q.done = q.done[:0]
}

// Committed takes the rows of a commit over.
func (q *Queue) Committed(rows [][]byte) {
	if len(rows) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, data := range rows {
		r := row{number: q.next}
		if q.held+len(data) <= maxHeld {
			r.data = data
			q.held += len(data)
		}
		q.rows = append(q.rows, r)
		q.next++
	}
	select {
	case q.bell <- struct{}{}:
	default:
	}
}

// Pending is how many rows wait.
func (q *Queue) Pending() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.rows)
}

// Run appends what is committed until ctx ends. While the log refuses, rows wait
// in the store.
func (q *Queue) Run(ctx context.Context) {
	backoff := minBackoff
	for {
		err := q.Flush(ctx)
		if ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) || errors.Is(err, userstate.ErrClosed) {
			return // the next owner appends what is left
		}
		if err == nil {
			backoff = minBackoff
			select {
			case <-ctx.Done():
				return
			case <-q.bell:
			}
			continue
		}
		q.Logger.Warn("events of Heed could not be appended, trying again", "error", err, "wait", backoff)
		again := time.NewTimer(backoff)
		select {
		case <-ctx.Done():
			again.Stop()
			return
		case <-again.C:
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// Flush appends what waits.
func (q *Queue) Flush(ctx context.Context) error {
	for {
		r, ok := q.first()
		if !ok {
			return nil
		}
		if r.data == nil {
			var err error
			if r.data, err = q.State.Get(ctx, q.Partition, q.Kind, q.name(r.number)); err != nil {
				return fmt.Errorf("read events that are not in the log yet: %w", err)
			}
		}
		if b := q.batch(r.data); len(b.Ends) > 0 {
			if err := q.Log.Append(ctx, eventlog.Events, []*eventlog.Batch{b}); err != nil {
				return fmt.Errorf("append events: %w", err)
			}
		}
		q.drop()
	}
}

func (q *Queue) first() (row, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.rows) == 0 {
		return row{}, false
	}
	return q.rows[0], true
}

// drop removes the first row, which is in the log.
func (q *Queue) drop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.held -= len(q.rows[0].data)
	q.done = append(q.done, q.rows[0].number)
	q.rows[0].data = nil
	q.rows = q.rows[1:]
}

// batch makes a batch of a row. What is unreadable is left out.
func (q *Queue) batch(data []byte) *eventlog.Batch {
	b := &eventlog.Batch{Partition: q.Partition, Own: true}
	var err error
	if len(data) == 0 || data[0] != version {
		err = errors.New("unknown version")
	} else {
		d := event.NewDecoder(data[1:])
		var e event.Event
		for {
			var ok bool
			if ok, err = d.Next(&e); !ok {
				break
			}
			b.Data = event.AppendEvent(b.Data, &e)
			b.Ends = append(b.Ends, len(b.Data))
			b.Keys = append(b.Keys, event.KeyOf(e.Source, e.MessageID))
		}
	}
	if err != nil {
		q.Logger.Error("events of Heed are unreadable: they are skipped", "error", err)
		q.Corrupt()
	}
	return b
}
