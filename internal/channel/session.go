package channel

import "time"

// Session is a standing connection of a channel with its provider.
type Session struct {
	Channel     string // its name
	Destination string // host and port
	Bound       bool
	Since       time.Time // it is bound, or fails; zero: it is being begun for the first time
	Reason      string    // it is not bound
	Window      int       // messages that may be under way
	InFlight    int       // that are
	Waiting     int       // that wait for a place
	Throttled   bool      // the provider has asked for a pause
}

// Connected is a channel that keeps sessions with its providers.
type Connected interface {
	Sessions() []Session
}

// Sessions are those of all channels.
func Sessions(all []Channel) []Session {
	var out []Session
	for _, c := range all {
		if k, ok := c.(Connected); ok {
			out = append(out, k.Sessions()...)
		}
	}
	return out
}
