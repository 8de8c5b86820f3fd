// Package sink owns what all sinks of the log have in common: reading the events of
// every partition from where the sink stands, one attempt after the other, and
// telling where that is.
//
// It does not own what is written, nor where a sink keeps its position.
package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"heed/internal/event"
	"heed/internal/eventlog"
)

// Source reads the log for one sink. Run it once; Next may be called meanwhile.
type Source struct {
	log    eventlog.Log
	logger *slog.Logger
	what   string

	mu   sync.Mutex
	done []uint64 // by partition; nil: not known yet
}

// New makes a Source; what is written names it in messages: "Avro files".
func New(log eventlog.Log, logger *slog.Logger, what string) *Source {
	return &Source{log: log, logger: logger, what: what}
}

// Arrival is a record of a partition.
type Arrival struct {
	Partition int
	Chunk     eventlog.Chunk
}

// Pauses between attempts.
const (
	firstPause = time.Second
	lastPause  = time.Minute
)

// Run makes one attempt after the other until ctx ends; moved tells whether one came
// further. What fails is tried again and stops nobody else, but for a damaged record.
func (s *Source) Run(ctx context.Context, attempt func(ctx context.Context) (moved bool, err error)) error {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		moved, err := attempt(ctx)
		switch {
		case errors.Is(err, eventlog.ErrClosed):
			return nil
		case ctx.Err() != nil:
			if err != nil && !errors.Is(err, context.Canceled) {
				s.logger.Warn("the last events are not written; the next start does that: "+s.what, "error", err)
			}
			return nil
		case errors.Is(err, event.ErrCorrupt):
			return fmt.Errorf("%s: %w", s.what, err)
		}
		if moved {
			pause = firstPause
		}
		s.logger.Warn("events cannot be written; it will be tried again: "+s.what, "error", err, "after", pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// Follow reads all partitions from where each goes on, and has write take what
// arrives until the context that it gets ends. It is nil if ctx ended and write
// was content.
func (s *Source) Follow(ctx context.Context, from []uint64, write func(ctx context.Context, arrivals <-chan Arrival) error) error {
	s.Done(from)
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	group, inner := errgroup.WithContext(inner)
	arrivals := make(chan Arrival, len(from))
	for p, next := range from {
		group.Go(func() error { return s.tail(inner, p, next, arrivals) })
	}
	err := write(inner, arrivals)
	cancel()
	if readErr := group.Wait(); err == nil && ctx.Err() == nil {
		err = readErr
	}
	return err
}

// tail passes a partition's records on.
func (s *Source) tail(ctx context.Context, partition int, from uint64, out chan<- Arrival) error {
	bounds, err := s.log.Bounds(ctx, eventlog.Events, partition)
	if err != nil {
		return fmt.Errorf("read partition %d: %w", partition, err)
	}
	if from < bounds.First {
		if from > 0 {
			s.logger.Warn("retention has removed events that were not written: "+s.what, "partition", partition, "from", from, "to", bounds.First)
		}
		from = bounds.First
	}
	reader, err := s.log.Read(ctx, eventlog.Events, partition, from)
	if err != nil {
		return fmt.Errorf("read partition %d: %w", partition, err)
	}
	defer func() { _ = reader.Close() }() // nothing was written
	for {
		chunk, err := reader.Next(ctx)
		if err != nil {
			return fmt.Errorf("read partition %d: %w", partition, err)
		}
		select {
		case out <- Arrival{partition, chunk}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Each visits the encoded events of a record from next on that are no plumbing of
// Heed's, and tells from where on to go on. raw is part of the record.
func (a *Arrival) Each(next uint64, visit func(raw []byte) error) (uint64, error) {
	var h event.Header
	d := event.NewDecoder(a.Chunk.Data)
	for offset := a.Chunk.Base; ; offset++ {
		raw, ok, err := d.Raw()
		if err == nil && !ok {
			return max(next, a.Chunk.Next()), nil
		}
		if err == nil && offset < next { // shown again
			continue
		}
		if err == nil {
			err = event.DecodeHeader(raw, &h)
		}
		if err != nil {
			return next, fmt.Errorf("partition %d, offset %d: %w", a.Partition, offset, err)
		}
		if h.Type != event.System || !event.Plumbing(h.Name) {
			if err := visit(raw); err != nil {
				return next, err
			}
		}
		next = offset + 1
	}
}

// Done notes that everything in front of these offsets, by partition, is written.
func (s *Source) Done(next []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done = append(s.done[:0], next...)
}

// Next is the first offset of each partition that is not written yet; empty before
// the first attempt.
func (s *Source) Next(context.Context) (map[int]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[int]uint64, len(s.done))
	for p, next := range s.done {
		out[p] = next
	}
	return out, nil
}
