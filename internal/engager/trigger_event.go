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

// triggerEvents finds the events that the intents of one partition name.
type triggerEvents struct {
	log       eventlog.Log
	partition int

	mu     sync.Mutex
	recent [recentChunks]placed
	next   int
}

type placed struct {
	partition int
	eventlog.Chunk
}

// at reads the event at an intent's offset; nil if retention has removed it.
func (t *triggerEvents) at(ctx context.Context, offset uint64) (*event.Event, error) {
	partition, offset := event.PlaceOf(t.partition, offset)
	c, ok := t.cached(partition, offset)
	if !ok {
		var err error
		if c, ok, err = t.read(ctx, partition, offset); err != nil || !ok {
			return nil, err
		}
		t.mu.Lock()
		t.recent[t.next] = placed{partition, c}
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

func (t *triggerEvents) cached(partition int, offset uint64) (eventlog.Chunk, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.recent {
		if c.partition == partition && c.Count > 0 && c.Base <= offset && offset < c.Next() {
			return c.Chunk, true
		}
	}
	return eventlog.Chunk{}, false
}

func (t *triggerEvents) read(ctx context.Context, partition int, offset uint64) (c eventlog.Chunk, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	r, err := eventlog.Peek(ctx, t.log, eventlog.Events, partition, offset)
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
