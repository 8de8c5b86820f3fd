// Package logread reads the log of events forwards: from a time or an end on, those
// of a user or a name, in the order of log time. It does not own looking backwards
// (logsearch), or what is made of the events.
package logread

import (
	"context"
	"errors"
	"fmt"
	"time"

	"heed/internal/event"
	"heed/internal/eventlog"
)

// Query selects events of the log.
type Query struct {
	From, Until int64 // log time in µs; Until 0: none
	FromNow     bool  // instead of From
	Follow      bool  // go on with what is appended
	Limit       int64 // for the caller, who counts; 0: none
	User, Name  string
	Internal    bool // control records too
}

func (q *Query) matches(h *event.Header) bool {
	switch {
	case h.Type == event.System && !q.Internal:
		return false
	case q.Name != "" && h.Name != q.Name:
		return false
	case q.User != "" && h.User() != q.User:
		return false
	}
	return true
}

// tail is one partition of a stream that is being read.
type tail struct {
	reader    eventlog.Reader
	next, end uint64 // offsets; end: of the moment of asking
	chunk     eventlog.Chunk
	pending   bool // chunk is to be written
}

// fill reads the next chunk below end; it is false when there is none.
func (t *tail) fill() (bool, error) {
	for !t.pending && t.next < t.end {
		chunk, ok, err := t.reader.TryNext()
		if err != nil {
			return false, fmt.Errorf("read the log: %w", err)
		}
		if !ok || chunk.Base >= t.end {
			t.next = t.end
			return false, nil
		}
		if chunk.Next() > t.next {
			t.chunk, t.pending = chunk, true
		}
	}
	return t.pending, nil
}

// Select passes what the query selects to visit, each event in its Avro form, in
// the order of log time up to the end of the moment of asking, then, to follow, as
// it comes. idle is called when a follower has caught up. An error of the callbacks
// ends it and is returned.
func Select(ctx context.Context, log eventlog.Log, q Query, visit func(raw []byte) error, idle func() error) error {
	tails, err := open(ctx, log, q)
	defer func() {
		for _, t := range tails {
			_ = t.reader.Close() // nothing was written
		}
	}()
	if err != nil {
		return err
	}
	for {
		var first *tail
		for _, t := range tails {
			ok, err := t.fill()
			if err != nil {
				return err
			}
			if ok && (first == nil || t.chunk.Appended < first.chunk.Appended) {
				first = t
			}
		}
		if first == nil {
			break
		}
		if err := first.emit(q, visit); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if !q.Follow {
		return nil
	}
	return follow(ctx, tails, q, visit, idle)
}

// open begins to read the partitions that the query needs.
func open(ctx context.Context, log eventlog.Log, q Query) ([]*tail, error) {
	var tails []*tail
	for p := range log.Partitions() {
		if q.User != "" && p != eventlog.PartitionOf(q.User, log.Partitions()) {
			continue
		}
		b, err := log.Bounds(ctx, eventlog.Events, p)
		if err != nil {
			return tails, fmt.Errorf("read the log: %w", err)
		}
		from := b.First
		switch {
		case q.FromNow:
			from = b.Next
		case q.From > 0:
			if from, err = eventlog.OffsetAt(ctx, log, eventlog.Events, p, b, q.From); err != nil {
				return tails, fmt.Errorf("read the log: %w", err)
			}
		}
		reader, err := log.Read(ctx, eventlog.Events, p, from)
		if errors.Is(err, eventlog.ErrTrimmed) {
			if b, err = log.Bounds(ctx, eventlog.Events, p); err == nil {
				from = b.First
				reader, err = log.Read(ctx, eventlog.Events, p, from)
			}
		}
		if err != nil {
			return tails, fmt.Errorf("read the log: %w", err)
		}
		tails = append(tails, &tail{reader: reader, next: from, end: b.Next})
	}
	return tails, nil
}

// emit passes the pending chunk on.
func (t *tail) emit(q Query, visit func(raw []byte) error) error {
	t.pending = false
	if q.Until > 0 && t.chunk.Appended >= q.Until {
		t.next = t.end // log time only grows
		return nil
	}
	d := event.NewDecoder(t.chunk.Data)
	var h event.Header
	for offset := t.chunk.Base; ; offset++ {
		raw, ok, err := d.Raw()
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if !ok {
			return nil
		}
		if offset < t.next {
			continue
		}
		t.next = offset + 1
		if err := event.DecodeHeader(raw, &h); err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if q.matches(&h) {
			if err := visit(raw); err != nil {
				return err
			}
		}
	}
}

// follow reads what is appended from now on.
func follow(ctx context.Context, tails []*tail, q Query, visit func(raw []byte) error, idle func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	type arrival struct {
		tail  *tail
		chunk eventlog.Chunk
		err   error
	}
	arrivals := make(chan arrival, len(tails))
	done := make(chan struct{}, len(tails))
	for _, t := range tails {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				chunk, err := t.reader.Next(ctx)
				select {
				case arrivals <- arrival{t, chunk, err}:
				case <-ctx.Done():
					return
				}
				if err != nil {
					return
				}
			}
		}()
	}
	defer func() { // the readers are closed by the caller, so nobody may use them any more
		cancel()
		for range tails {
			<-done
		}
	}()
	beat := time.NewTicker(15 * time.Second)
	defer beat.Stop()
	for {
		if len(arrivals) == 0 {
			if err := idle(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-beat.C:
		case a := <-arrivals:
			if a.err != nil {
				return fmt.Errorf("read the log: %w", a.err)
			}
			a.tail.chunk = a.chunk
			if err := a.tail.emit(q, visit); err != nil {
				return err
			}
		}
	}
}
