package channel

import "time"

// Outage is a destination that fails: it is left alone, and what is for it waits.
type Outage struct {
	Channel     string // its name
	Destination string // the host
	Since       time.Time
	Failures    int // in a row
	Reason      string
}

// Watched is a channel that knows which of its destinations fail at a time.
type Watched interface {
	Outages(now time.Time) []Outage
}

// Outages are those of all channels.
func Outages(all []Channel, now time.Time) []Outage {
	var out []Outage
	for _, c := range all {
		if w, ok := c.(Watched); ok {
			out = append(out, w.Outages(now)...)
		}
	}
	return out
}
