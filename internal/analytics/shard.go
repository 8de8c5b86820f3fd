package analytics

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"heed/internal/analytics/alerts"
	"heed/internal/console/api"
	"heed/internal/event"
	"heed/internal/eventlog"
)

// Active users are kept in slots of a ring that covers activeWindow.
const (
	activeWindow = 5 * time.Minute
	activeSlots  = 10
	slotWidth    = activeWindow / activeSlots
)

// seedEvents is how many of the newest events of each partition are shown after
// a start.
const seedEvents = 64

// shard counts one partition. Its lock is held once per record of the log.
type shard struct {
	a         *Analytics
	partition int

	mu       sync.Mutex
	next     uint64 // offset behind the last event that was counted for reports
	begun    bool
	liveFrom uint64 // first offset that the live figures count, and
	seedFrom uint64 // that is shown
	names    map[string]*tally
	other    int64 // events of names beyond the bound
	events   int64
	failures int64
	newest   int64 // log time of the newest record, µs
	lag      int64 // µs behind at the last record, 0 when caught up
	active   [activeSlots]sketch
	slot     int64 // number of the newest slot
	outcomes outcomes
	channels map[string]alerts.Minute // live outcomes, in all
	savedAt  uint64                   // next, as of the last save
	header   event.Header
	event    event.Event
}

// tally counts one name.
type tally struct {
	count int64
	last  int64 // log time, µs
}

func newShard(a *Analytics, partition int) *shard {
	return &shard{a: a, partition: partition, names: map[string]*tally{}, outcomes: outcomes{}, channels: map[string]alerts.Minute{}}
}

// run reads the partition from where the reports stand.
func (s *shard) run(ctx context.Context) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := s.read(ctx)
		if ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) {
			return nil //nolint:nilerr // the end was asked for
		}
		if errors.Is(err, event.ErrCorrupt) {
			return fmt.Errorf("partition %d: %w", s.partition, err)
		}
		s.a.log.Warn("the live feed reads again", "partition", s.partition, "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

func (s *shard) read(ctx context.Context) error {
	bounds, err := s.a.deps.Log.Bounds(ctx, eventlog.Events, s.partition)
	if err != nil {
		return err
	}
	first := !s.begun
	seed := bounds.Next
	if first {
		if seed, err = eventlog.Newest(ctx, s.a.deps.Log, eventlog.Events, s.partition, bounds, seedEvents); err != nil {
			return err
		}
		if err := s.restore(ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.next = max(s.next, bounds.First)
	from := s.next
	if first {
		s.begun, s.seedFrom, s.liveFrom, s.newest = true, seed, bounds.Next, bounds.Time
		from = min(from, seed)
	}
	s.mu.Unlock()
	reader, err := s.a.deps.Log.Read(ctx, eventlog.Events, s.partition, from)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }() // nothing was written
	if first {
		s.a.ready.Add(1)
	}
	for {
		chunk, ok, err := reader.TryNext()
		if err == nil && !ok {
			s.mu.Lock()
			s.lag = 0
			s.mu.Unlock()
			chunk, err = reader.Next(ctx)
		}
		if err != nil {
			return err
		}
		if err := s.count(&chunk); err != nil {
			return err
		}
	}
}

// count takes one record in. A record may be seen again, whole or in part.
func (s *shard) count(chunk *eventlog.Chunk) error {
	now := s.a.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest = max(s.newest, chunk.Appended)
	s.lag = max(0, now.UnixMicro()-chunk.Appended)
	s.turn(now)
	d := event.NewDecoder(chunk.Data)
	for offset := chunk.Base; ; offset++ {
		raw, ok, err := d.Raw()
		if err != nil {
			return err
		}
		if !ok {
			return nil
		}
		seed := offset < s.liveFrom && offset >= s.seedFrom
		fresh := offset >= s.next
		if !fresh && !seed {
			continue
		}
		if err := s.one(raw, offset, chunk.Appended, fresh); err != nil {
			return fmt.Errorf("event at %s: %w", api.Place(s.partition, offset), err)
		}
		s.next = max(s.next, offset+1)
	}
}

// one takes one event in; the lock is held. fresh: the reports do not have it.
func (s *shard) one(raw []byte, offset uint64, appended int64, fresh bool) error {
	h := &s.header
	if err := event.DecodeHeader(raw, h); err != nil {
		return err
	}
	live := offset >= s.liveFrom && fresh
	seed := offset < s.liveFrom && offset >= s.seedFrom
	if h.Type == event.System {
		return nil
	}
	outcome := strings.HasPrefix(h.Name, event.ReservedPrefix) && api.IsDelivery(h.Name)
	show := seed || live && s.show(h)
	learn := live && s.tally(h, appended, show)
	if !outcome && !show && !learn {
		return nil
	}
	e := &s.event
	if err := event.DecodeAvro(raw, e); err != nil {
		return err
	}
	if show {
		s.a.events.add(api.SummaryOf(s.partition, offset, e))
	}
	if learn {
		s.a.fields.add(e)
	}
	if outcome {
		s.outcome(e, offset, live || seed, live, fresh)
	}
	return nil
}

// show tells whether a live event is shown, not only counted.
func (s *shard) show(h *event.Header) bool {
	if s.a.budget.Add(-1) >= 0 || s.a.watched.has(h) {
		return true
	}
	s.a.sampled.Add(1)
	return false
}

// tally counts an event, and tells whether its fields are worth a look.
func (s *shard) tally(h *event.Header, appended int64, shown bool) (learn bool) {
	s.events++
	t := s.names[h.Name]
	switch {
	case t != nil:
		t.count++
		t.last = appended
	case len(s.names) < s.a.cfg.Names:
		t = &tally{count: 1, last: appended}
		s.names[strings.Clone(h.Name)] = t
	default:
		s.other++
	}
	// What happened long ago, such as an import, does not make its user active.
	if appended-h.Timestamp < int64(activeWindow/time.Microsecond) && !strings.HasPrefix(h.Name, event.ReservedPrefix) {
		s.active[s.slot%activeSlots].add(xxhash.Sum64String(h.User()))
	}
	carries := !strings.HasPrefix(h.Name, event.ReservedPrefix) || h.Name == event.NameImported
	return t != nil && carries && t.learns(shown)
}

func (s *shard) outcome(e *event.Event, offset uint64, show, live, fresh bool) {
	d, err := api.DeliveryOf(s.partition, offset, e)
	if err != nil {
		s.a.log.Warn("an outcome cannot be read", "place", api.Place(s.partition, offset), "error", err)
		return
	}
	if show {
		s.a.deliveries.add(d)
	}
	if live {
		if d.Status == api.StatusFailed {
			s.failures++
		}
		s.sending(&d)
	}
	if fresh {
		s.outcomes.add(&d, e.Timestamp)
	}
}

// turn empties the slots of active users that time has passed by; the lock is
// held.
func (s *shard) turn(now time.Time) {
	slot := now.UnixNano() / int64(slotWidth)
	if slot <= s.slot {
		return
	}
	for n := max(s.slot+1, slot-activeSlots+1); n <= slot; n++ {
		s.active[n%activeSlots] = sketch{}
	}
	s.slot = slot
}

// users estimates who was active; the lock is held.
func (s *shard) users(now time.Time) float64 {
	s.turn(now)
	var all sketch
	for i := range s.active {
		all.merge(&s.active[i])
	}
	return all.estimate()
}
