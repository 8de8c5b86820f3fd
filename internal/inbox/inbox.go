// Package inbox owns the contract of content that waits for a user: put by the
// Engager, delivered by whichever gateway holds the user's connection, kept
// until the browser acknowledges it or it expires; and of the word that
// everything a request caused is settled. Drivers run the suite in inboxtest.
package inbox

import (
	"context"
	"errors"
)

// ErrUnknown: no such message (never put, expired, or removed).
var ErrUnknown = errors.New("inbox: no such message")

// Message is content for one user. Times are µs since the Unix epoch.
type Message struct {
	ID       string // delivery id: an HMAC of the activation id, not guessable
	User     string // profile id
	Campaign string
	Template string
	Kind     string // popup | banner | slot | inline
	Slot     string // for kind slot
	HTML     string // the author's rendered content; only ever shown in a sandboxed iframe
	Created  int64
	Expires  int64
	CauseID  string // message id of the event that completed the trigger
	ReplyTo  string // token of the waiting request
	Personal bool   // reads profile, stream or pull fields: needs a verified user
	Depth    int
	Test     bool
	Seq      uint64 // given by the inbox: order within the user
	State    State
}

// State is how far a message has come. It only moves forward.
type State uint8

// The states.
const (
	Waiting State = iota
	Shown
	Clicked
	Dismissed
)

// Settlement is progress on what one waiting request caused. The numbers of
// all settlements of a token add up.
type Settlement struct {
	Events  int // events of the request that the Decider has committed
	Intents int // intents that they gave rise to
	Done    int // intents whose activations have all ended in an outcome
}

// Inbox keeps messages and tells who listens. All methods may be called
// concurrently.
type Inbox interface {
	// Put stores the message durably and wakes the user's subscribers. Putting
	// an id again is no error and changes nothing: fresh is false.
	Put(ctx context.Context, m Message) (fresh bool, err error)
	// Pending lists the user's messages in order of Seq, behind after, that
	// have not expired at now and are Waiting or Shown.
	Pending(ctx context.Context, user string, after uint64, now int64) ([]Message, error)
	// Advance moves a message's state on; changed is false if it was there
	// already. A dismissed or clicked message is no longer pending.
	Advance(ctx context.Context, id string, s State) (m Message, changed bool, err error)
	// Subscribe wakes the channel (capacity 1, never closed while subscribed)
	// whenever one of the users may have something new.
	Subscribe(users ...string) (wake <-chan struct{}, cancel func())
	// Settle reports progress on a token; it is a hint and may be lost.
	Settle(ctx context.Context, token string, s Settlement)
	// Watch hears the settlements of a token from now on.
	Watch(token string) (settled <-chan Settlement, cancel func())
	// Expire removes what expired before now (µs), at most limit; it tells how many.
	Expire(ctx context.Context, now int64, limit int) (int, error)
}
