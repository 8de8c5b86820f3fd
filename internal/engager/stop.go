package engager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"heed/internal/documents"
)

// CollectionSwitch holds whether anything may be sent at all.
const (
	CollectionSwitch = "sending"
	switchKey        = "switch"
)

// Switch says whether all sending is stopped, since when (µs since the Unix epoch)
// and by whom. The zero Switch: it never was.
type Switch struct {
	Stopped bool   `json:"stopped"`
	At      int64  `json:"at"`
	By      string `json:"by"`
}

// Sending tells how the switch stands.
func (e *Engager) Sending(ctx context.Context) (s Switch, err error) {
	d, err := e.deps.Documents.Get(ctx, CollectionSwitch, switchKey)
	if errors.Is(err, documents.ErrNotFound) {
		return Switch{}, nil
	}
	if err == nil {
		err = json.Unmarshal(d.Value, &s)
	}
	if err != nil {
		return Switch{}, fmt.Errorf("engager: read whether sending is stopped: %w", err)
	}
	return s, nil
}

// Stopped tells whether all sending is stopped; until that is known, it is.
func (e *Engager) Stopped() bool { return e.stopped.Load() || !e.switchKnown.Load() }

// readSending makes hold at a start what held before. A stop that somebody ordered
// meanwhile, and that could not be kept, goes on to hold.
func (e *Engager) readSending(ctx context.Context) error {
	e.turning.Lock()
	defer e.turning.Unlock()
	s, err := e.Sending(ctx)
	e.stopped.Store(s.Stopped || e.stopped.Load())
	if err == nil {
		e.switchKnown.Store(true)
	}
	return err
}

// watchSending makes hold what another process's switch says.
func (e *Engager) watchSending(ctx context.Context) {
	wake, cancel := e.deps.Documents.Watch(CollectionSwitch)
	defer cancel()
	known, err := e.Sending(ctx)
	for {
		if err != nil && !wait(ctx, e.cfg.Poll) {
			return
		}
		if err == nil {
			select {
			case <-ctx.Done():
				return
			case <-wake:
			}
		}
		e.turning.Lock()
		var now Switch
		if now, err = e.Sending(ctx); err == nil && now != known { // else a stop that could not be kept goes on to hold
			known = now
			e.stopped.Store(now.Stopped)
		}
		e.turning.Unlock()
	}
}

// SetSending stops all sending, or lifts the stop. A stop holds at once, also if
// the error says that it could not be kept for the next start; attempts that have
// begun end. What is stopped waits, and is decided on anew when the stop is lifted.
func (e *Engager) SetSending(ctx context.Context, stop bool, by string) (Switch, error) {
	s := Switch{Stopped: stop, At: e.now(), By: by}
	if stop {
		e.stopped.Store(true)
	}
	e.turning.Lock()
	defer e.turning.Unlock()
	value, err := json.Marshal(s)
	if err == nil {
		err = e.deps.Documents.Apply(ctx, documents.Durable, documents.Write{Collection: CollectionSwitch, Key: switchKey, Value: value, Expect: documents.Any})
	}
	if err != nil {
		return Switch{}, fmt.Errorf("engager: keep whether sending is stopped: %w", err)
	}
	e.stopped.Store(stop)
	e.log.Warn("sending", "stopped", stop, "by", by)
	return s, nil
}
