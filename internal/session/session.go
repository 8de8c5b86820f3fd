// Package session owns when a session of a user begins, as it is told while it
// happens: at the first activity behind 30 minutes of silence; and the
// session_start event that tells of it. It is pure: it knows event and log times
// and no clock.
//
// It does not own what a measure makes of sessions in hindsight, when late events
// are known too (measure), nor who keeps and appends what is here (decider).
package session

import (
	"crypto/sha256"
	"encoding/hex"

	"heed/internal/event"
	"heed/internal/measure"
	"heed/internal/profile"
)

// Gap is the silence that ends a session, µs of event time.
const Gap = int64(measure.SessionGap / 1000)

// Keep is how much log time, in µs, a user is remembered behind the latest
// activity. It is longer than Gap, so that an event that comes late finds it.
const Keep = 45 * 60 * int64(1e6)

// Activity tells whether an event is something that its user does. What Heed
// makes itself is not.
func Activity(e *event.Event) bool { return profile.Counts(e) && !Made(e) }

// Made tells whether an event is a session_start that Heed made.
func Made(e *event.Event) bool {
	return e.Name == event.NameSessionStart && e.Source == event.SourceHeed
}

// Start makes the session_start of a user whose session the cause begins, at the
// time that See told. key is the cause's event.KeyOf. It names the user by the
// cause's ids, and shares its texts.
func Start(user string, cause *event.Event, key [16]byte, at int64) event.Event {
	sum := sha256.Sum256(append(key[:], user...))
	id := "session-" + hex.EncodeToString(sum[:16])
	e := event.Event{
		MessageID: id, Type: event.Track, Name: event.NameSessionStart, Source: event.SourceHeed,
		UserID: cause.UserID, AnonymousID: cause.AnonymousID,
		Timestamp: at, ReceivedAt: cause.ReceivedAt, SessionID: cause.SessionID,
		Depth: cause.Depth, ReplyTo: cause.ReplyTo, Context: cause.Context,
	}
	if e.User() != user {
		e.UserID = user // the cause came under an id that has become this user's
	}
	if e.SessionID == "" {
		e.SessionID = id
	}
	e.Context.Consent = nil // it is stated by the cause
	return e
}
