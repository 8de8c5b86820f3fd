// Package halt owns the switch that stops all sending: where it is kept, and how
// each process that sends or hands out messages knows how it stands.
//
// It does not own what a stop means for what is under way (engager, gateway).
package halt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"heed/internal/documents"
)

// Collection holds whether anything may be sent at all.
const (
	Collection = "sending"
	key        = "switch"
)

const retry = time.Second // after an error

// State says whether all sending is stopped, since when (µs since the Unix epoch)
// and by whom. The zero State: it never was.
type State struct {
	Stopped bool   `json:"stopped"`
	At      int64  `json:"at"`
	By      string `json:"by"`
}

// Switch is one process's view of the switch. Its methods may be called
// concurrently.
type Switch struct {
	store documents.Store
	log   *slog.Logger
	now   func() int64 // µs

	stopped  atomic.Bool
	known    atomic.Bool  // it was read whether it is
	stopping atomic.Int32 // stops that are being ordered here

	mu     sync.Mutex // held while the switch is read or turned
	kept   State      // as last read or turned
	unkept bool       // a stop that was ordered here since then could not be kept
}

// New makes a view that knows nothing yet.
func New(store documents.Store, log *slog.Logger, now func() int64) *Switch {
	return &Switch{store: store, log: log, now: now}
}

// Sending tells how the switch stands.
func (s *Switch) Sending(ctx context.Context) (at State, err error) {
	d, err := s.store.Get(ctx, Collection, key)
	if errors.Is(err, documents.ErrNotFound) {
		return State{}, nil
	}
	if err == nil {
		err = json.Unmarshal(d.Value, &at)
	}
	if err != nil {
		return State{}, fmt.Errorf("read whether sending is stopped: %w", err)
	}
	return at, nil
}

// Stopped tells whether all sending is stopped; until that is known, it is.
func (s *Switch) Stopped() bool { return s.Ordered() || !s.known.Load() }

// Ordered tells whether somebody has stopped all sending, as far as that is known.
func (s *Switch) Ordered() bool { return s.stopped.Load() || s.stopping.Load() > 0 }

// Read makes hold here what holds. A stop that was ordered here, and that could not
// be kept, goes on to hold until somebody orders something else.
func (s *Switch) Read(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, err := s.Sending(ctx)
	if err != nil {
		return err
	}
	if s.known.Load() && at != s.kept {
		s.unkept = false
	}
	s.kept = at
	s.stopped.Store(at.Stopped || s.unkept)
	s.known.Store(true)
	return nil
}

// Follow keeps to what any process orders, until ctx ends.
func (s *Switch) Follow(ctx context.Context) {
	wake, cancel := s.store.Watch(Collection)
	defer cancel()
	for {
		var again <-chan time.Time
		if err := s.Read(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("whether sending is stopped is read again", "error", err)
			again = time.After(retry)
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		case <-again:
		}
	}
}

// SetSending stops all sending, or lifts the stop. A stop holds here at once, also if
// the error says that it could not be kept for other processes and the next start;
// attempts that have begun end. What is stopped waits, and is decided on anew when
// the stop is lifted.
func (s *Switch) SetSending(ctx context.Context, stop bool, by string) (State, error) {
	to := State{Stopped: stop, At: s.now(), By: by}
	if stop {
		s.stopping.Add(1)
		defer s.stopping.Add(-1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	value, err := json.Marshal(to)
	if err == nil {
		err = s.store.Apply(ctx, documents.Durable, documents.Write{Collection: Collection, Key: key, Value: value, Expect: documents.Any})
	}
	if err != nil {
		if stop {
			s.unkept = true
			s.stopped.Store(true)
		}
		return State{}, fmt.Errorf("keep whether sending is stopped: %w", err)
	}
	s.kept, s.unkept = to, false
	s.stopped.Store(stop)
	s.log.Warn("sending", "stopped", stop, "by", by)
	return to, nil
}
