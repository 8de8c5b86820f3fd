package engager

import (
	"context"

	"heed/internal/engager/halt"
)

// Sending tells how the switch over all sending stands.
func (e *Engager) Sending(ctx context.Context) (halt.State, error) { return e.halt.Sending(ctx) }

// Stopped tells whether all sending is stopped; until that is known, it is.
func (e *Engager) Stopped() bool { return e.halt.Stopped() }

// SetSending stops all sending, or lifts the stop, as halt.Switch says.
func (e *Engager) SetSending(ctx context.Context, stop bool, by string) (halt.State, error) {
	return e.halt.SetSending(ctx, stop, by)
}
