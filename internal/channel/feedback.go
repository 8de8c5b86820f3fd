package channel

import (
	"context"
	"net/http"
)

// FeedbackKind says what came back about something that was sent.
type FeedbackKind string

// The kinds.
const (
	Delivered    FeedbackKind = "delivered"    // it arrived
	Shown        FeedbackKind = "shown"        // it was put before its reader's eyes
	Bounced      FeedbackKind = "bounced"      // it did not: for good, if Hard
	Complained   FeedbackKind = "complained"   // it was called spam
	Opened       FeedbackKind = "opened"       // it was looked at
	Clicked      FeedbackKind = "clicked"      // a link in it was followed
	Unsubscribed FeedbackKind = "unsubscribed" // its reader wants no more of its kind
	Resubscribed FeedbackKind = "resubscribed" // its reader wants them again
	Confirmed    FeedbackKind = "confirmed"    // its reader wants what was asked for, if anything was
)

// Feedback is what a provider, a mailbox or a reader says about a delivery, or
// about an address.
type Feedback struct {
	Kind     FeedbackKind
	Delivery string // id of the delivery, "" if only the address is known
	Type     string // of the channel
	Channel  string // its name, "" if unknown
	Address  string // as it was sent to; "" if only the delivery is known
	Sender   string // of SMS: the sender that was answered; "" for all
	Hard     bool   // of a bounce: the address will never work
	Machine  bool   // of an opening or a click: by a scanner or a proxy, not by a person
	Link     string // of a click
	Detail   string // for people: at most 300 bytes are kept
	ID       string // makes a repeat harmless; "" for one made of the rest
	At       int64  // µs since the Unix epoch; 0: now
	Reported bool   // by somebody who tells of At afterwards, perhaps again: what the reader said since stands
}

// Inbound takes feedback. It returns once the feedback will survive, and what it
// suppresses is suppressed for every decision from then on. It may be called
// concurrently.
type Inbound func(ctx context.Context, f Feedback) error

// Receiver is a channel that is called back over HTTP: by its provider, or by the
// readers of what it sent. Its routes are public.
type Receiver interface {
	Register(mux *http.ServeMux)
}

// Runner is a channel that does something by itself: it keeps a session with its
// provider, or listens for answers. Run ends with ctx.
type Runner interface {
	Run(ctx context.Context) error
}

// Addresser is a channel that keeps the addresses of users itself: what lets it
// write to somebody comes from that person's device.
type Addresser interface {
	// Address is where a user can be reached, "" if nowhere; anonymousIDs are
	// the ids that turned out to be the user's. It becomes Delivery.To.
	Address(ctx context.Context, user string, anonymousIDs []string) (string, error)
}
