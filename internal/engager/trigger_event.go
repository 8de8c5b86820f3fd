package engager

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"heed/internal/event"
	"heed/internal/eventlog"
)

// recentChunks is how many records of a partition are kept for intents that
// share a request, or a moment.
const recentChunks = 16

// readTimeout bounds the wait for an event that an intent names: it is in the
// log already.
const readTimeout = 5 * time.Second

// triggerEvents finds the events that intents name, in one partition.
type triggerEvents struct {
	log       eventlog.Log
	partition int

	mu     sync.Mutex
	recent [recentChunks]eventlog.Chunk
	next   int
}

// at reads the event at an offset; nil if retention has removed it.
func (t *triggerEvents) at(ctx context.Context, offset uint64) (*event.Event, error) {
	c, ok := t.cached(offset)
	if !ok {
		var err error
		if c, ok, err = t.read(ctx, offset); err != nil || !ok {
			return nil, err
		}
		t.mu.Lock()
		t.recent[t.next] = c
		t.next = (t.next + 1) % recentChunks
		t.mu.Unlock()
	}
	d := event.NewDecoder(c.Data)
	for i := c.Base; i < offset; i++ {
		if ok, err := d.Skip(); err != nil || !ok {
			return nil, &corrupt{fmt.Errorf("record at %d ends before offset %d: %w", c.Base, offset, err)}
		}
	}
	e := new(event.Event)
	if ok, err := d.Next(e); err != nil || !ok {
		return nil, &corrupt{fmt.Errorf("decode event at offset %d: %w", offset, err)}
	}
	return e, nil
}

func (t *triggerEvents) cached(offset uint64) (eventlog.Chunk, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.recent {
		if c.Count > 0 && c.Base <= offset && offset < c.Next() {
			return c, true
		}
	}
	return eventlog.Chunk{}, false
}

func (t *triggerEvents) read(ctx context.Context, offset uint64) (c eventlog.Chunk, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	r, err := t.log.Read(ctx, eventlog.Events, t.partition, offset)
	if errors.Is(err, eventlog.ErrTrimmed) {
		return c, false, nil
	}
	if err != nil {
		return c, false, fmt.Errorf("read event at offset %d: %w", offset, err)
	}
	defer func() { _ = r.Close() }() // it was only read
	for {
		c, err := r.Next(ctx)
		switch {
		case errors.Is(err, eventlog.ErrTrimmed):
			return c, false, nil
		case err != nil:
			return c, false, fmt.Errorf("read event at offset %d: %w", offset, err)
		case c.Base > offset:
			return c, false, nil // a gap: it is gone
		case offset < c.Next():
			return c, true, nil
		}
	}
}
