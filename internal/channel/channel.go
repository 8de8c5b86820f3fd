// Package channel owns the contract of channels: the ways out of Heed, through
// which only the Engager sends. Each channel is a package of its own below this
// one.
//
// It does not own what is sent (render), whether (policy), or that it is sent
// at most once (engager, by its ledger).
package channel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"heed/internal/definition"
)

// Channel delivers content. All methods may be called concurrently.
type Channel interface {
	// Type is the type of the channel's definition: "web", "outbox".
	Type() string
	// Idempotent tells whether sending the same Delivery again has no further
	// effect, whatever happened to the first attempt.
	Idempotent() bool
	// Send delivers and returns once the delivery will survive. An error is
	// classed by Class.
	Send(ctx context.Context, d *Delivery) (Receipt, error)
}

// Delivery is one content for one user. All of it but Created and Attempt is
// the same in each attempt. Times are µs since the Unix epoch.
type Delivery struct {
	ID           string // an HMAC of the activation id: not guessable
	ActivationID string
	User         string // profile id
	To           string // address for channels that have one: an e-mail address, a number in E.164, a push subscription
	Unsubscribe  string // address of the page that ends messages like this one; "" for transactional ones
	Campaign     string
	Template     string
	Kind         string // web: popup | banner | slot | inline; outbox: what it stands for, email | sms | push
	Slot         string // for kind slot
	Subject      string
	Link         string // push: what a click opens; "" if the template does not say
	Body         string // rendered; of web channels HTML that is only ever shown in a sandboxed frame
	At           int64  // when the trigger fired
	Created      int64  // when it was first decided
	Expires      int64  // 0: never
	CauseID      string // message id of the event that completed the trigger
	ReplyTo      string // token of the waiting request
	Personal     bool   // reads profile, stream or pull fields: only for a verified user
	Depth        int    // of the events that are derived from the delivery
	Test         bool
	Attempt      int // from 1
	// Channel is the channel as it is defined; nil if it needs no definition.
	Channel *definition.Channel
}

// Receipt is what a channel says of a delivery that it took.
type Receipt struct {
	// Fresh is false if the channel knows that the delivery had been made
	// before.
	Fresh bool
	// Reference is the provider's id for it, if it gives one.
	Reference string
}

// ErrorClass says what an error means for the delivery.
type ErrorClass uint8

// The classes.
const (
	// Uncertain: it may have arrived. Repeating it may show it twice.
	Uncertain ErrorClass = iota
	// Temporary: it has not arrived; later it may.
	Temporary
	// Permanent: it has not arrived and never will.
	Permanent
)

// String names the class.
func (c ErrorClass) String() string {
	switch c {
	case Temporary:
		return "temporary"
	case Permanent:
		return "permanent"
	case Uncertain:
	}
	return "uncertain"
}

// Error is an error with its class.
type Error struct {
	Class ErrorClass
	Err   error
	// After is how long to wait at least before the next attempt.
	After time.Duration
	// Untried: nothing was attempted, so it does not count as an attempt.
	Untried bool
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Class, e.Err) }

// Unwrap gives the error itself.
func (e *Error) Unwrap() error { return e.Err }

// Class classes an error of Send; one that says nothing is Uncertain.
func Class(err error) ErrorClass {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return Uncertain
}
