package mongo

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	mongodb "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"heed/internal/documents"
)

// Each collection of documents has a counter in MongoDB that grows after its
// documents changed; who watches looks at all counters.
const (
	// announceEvery is how long a change may wait to be announced that nobody
	// waits for.
	announceEvery = 100 * time.Millisecond
	// pollEvery is how often the counters are looked at.
	pollEvery = 250 * time.Millisecond
	// wakeEvery is how often everybody who watches is woken for nothing: a process
	// may end between a change and its announcement.
	wakeEvery = 5 * time.Second
	// maxCounters bounds what is read of them.
	maxCounters = 10_000
)

// changes are collections whose change is to be announced.
type changes struct {
	mu      sync.Mutex
	dirty   map[string]struct{}
	waiting []chan struct{} // closed when what is dirty now was announced
	kick    chan struct{}   // somebody waits
}

func (c *changes) init() {
	c.dirty = make(map[string]struct{})
	c.kick = make(chan struct{}, 1)
}

// changed announces a change. Of a durable one other processes know, or will at
// their next look, when it returns.
func (s *Store) changed(ctx context.Context, d documents.Durability, writes []documents.Write) {
	c := &s.changes
	c.mu.Lock()
	for i := range writes {
		c.dirty[writes[i].Collection] = struct{}{}
	}
	if d == documents.Relaxed {
		c.mu.Unlock()
		return
	}
	done := make(chan struct{})
	c.waiting = append(c.waiting, done)
	c.mu.Unlock()
	select {
	case c.kick <- struct{}{}:
	default:
	}
	select {
	case <-done:
	case <-ctx.Done(): // it was written all the same, and is announced when that is possible
	case <-s.stopped:
	}
}

// announce counts changes: many that happen at once in one go.
func (s *Store) announce(ctx context.Context) {
	c := &s.changes
	every := time.NewTicker(announceEvery)
	defer every.Stop()
	failing := false
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-c.kick:
		case <-every.C:
		}
		c.mu.Lock()
		dirty, waiting := c.dirty, c.waiting
		c.dirty, c.waiting = make(map[string]struct{}), nil
		c.mu.Unlock()
		if len(dirty) == 0 {
			continue
		}
		err := s.count(ctx, dirty)
		if err != nil && !failing { // it is said once: it is tried again at once
			s.log.Warn("changes cannot be announced now", "error", err)
		}
		failing = err != nil
		if failing {
			c.mu.Lock()
			for name := range dirty {
				c.dirty[name] = struct{}{}
			}
			c.mu.Unlock()
		}
		for _, done := range waiting {
			close(done)
		}
	}
}

func (s *Store) count(ctx context.Context, dirty map[string]struct{}) error {
	ctx, cancel := s.later(ctx) // also when closing
	defer cancel()
	var models []mongodb.WriteModel
	for name := range dirty {
		models = append(models, mongodb.NewUpdateOneModel().SetUpsert(true).
			SetFilter(bson.D{{Key: "_id", Value: ascii(name)}}).
			SetUpdate(bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: int64(1)}}}}))
	}
	_, err := s.db.Collection(collChanges).BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
	return err
}

// Watch implements documents.Store. It wakes also for nothing, now and then.
func (s *Store) Watch(collection string) (wake <-chan struct{}, cancel func()) {
	s.watched.Store(true)
	return s.hub.Watch(collection)
}

// poll wakes watchers of what other processes changed.
func (s *Store) poll(ctx context.Context) {
	every := time.NewTicker(pollEvery)
	defer every.Stop()
	seen := make(map[string]int64)
	failing := false
	for round := 1; ; round++ {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		if !s.watched.Load() {
			continue
		}
		if round%int(wakeEvery/pollEvery) == 0 {
			s.hub.Wake()
		}
		err := s.pollOnce(ctx, seen)
		if err != nil && !failing && ctx.Err() == nil {
			s.log.Warn("changes by other processes are not seen now", "error", err)
		}
		failing = err != nil
	}
}

func (s *Store) pollOnce(ctx context.Context, seen map[string]int64) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	found, err := s.db.Collection(collChanges).Find(ctx, bson.D{}, options.Find().SetLimit(maxCounters))
	if err != nil {
		return fmt.Errorf("look for changes: %w", err)
	}
	var counters []struct {
		ID string `bson:"_id"`
		N  int64  `bson:"n"`
	}
	if err := found.All(ctx, &counters); err != nil {
		return fmt.Errorf("look for changes: %w", err)
	}
	for _, c := range counters {
		name, ok := bytesOf(c.ID)
		if !ok || seen[c.ID] == c.N {
			continue
		}
		seen[c.ID] = c.N
		s.hub.Changed([]documents.Write{{Collection: name}})
	}
	return nil
}
