package profile

import (
	"bytes"
	"encoding/json"
	"hash/maphash"

	"heed/internal/event"
	"heed/internal/touch"
)

// Glance is the little that must be remembered of a profile to tell that most
// events do not change it, without loading it. It holds within one process.
type Glance struct {
	first, last int64
	touch       int64 // when something brought the user last, and the hash of an event's words for it, 0 if none
	words       uint64
	consent     uint64 // hash of a consent that the profile already says, 0 if none
	known       uint8  // bit i: place i is filled
	user        bool   // the user id is known
	apart       bool   // the id has moved, or waits
}

// Apart tells that the user's events are not simply applied: the profile says
// what becomes of them.
func (g *Glance) Apart() bool { return g.apart }

// GlanceAt looks at the profile after an event was applied to it (nil: none).
func (p *Profile) GlanceAt(seed maphash.Seed, e *event.Event) Glance {
	g := Glance{first: p.FirstSeen, last: p.LastSeen, user: p.UserID != "", apart: p.Apart()}
	for i, have := range p.places() {
		if *have != "" {
			g.known |= 1 << i
		}
	}
	g.touch = p.LastTouch.At
	if e != nil && g.touch != 0 && brought(e) == p.LastTouch.Touch {
		g.words = wordsOf(seed, e)
	}
	if e != nil && len(e.Context.Consent) > 0 && p.says(e.Context.Consent) {
		g.consent = maphash.Bytes(seed, e.Context.Consent)
	}
	return g
}

// says tells whether the profile's consent holds every key of raw with the same
// value: then the same statement changes nothing before the next refresh.
func (p *Profile) says(raw []byte) bool {
	entries, ok := object(raw)
	if !ok {
		return true // never applied
	}
	for _, in := range entries {
		i, found := find(p.Consent, in.Key)
		if !found || p.Consent[i].Value != in.Value {
			return false
		}
	}
	return true
}

// wordsOf is a hash of what an event says of what brought its user.
func wordsOf(seed maphash.Seed, e *event.Event) uint64 {
	c := &e.Context
	return maphash.Comparable(seed, [...]string{c.Campaign.Source, c.Campaign.Medium, c.Campaign.Name, c.Page.Referrer, c.Page.URL})
}

// Full tells that Unchanged looks at no more of the event's context than what
// event.Peek reads, and a consent.
func (g *Glance) Full() bool { return g.known == 1<<places-1 }

// Unchanged tells that Apply of the event to the profile would change nothing;
// false means that it may.
func (g *Glance) Unchanged(seed maphash.Seed, e *event.Event) bool {
	if !Tells(e) {
		return true
	}
	t := max(e.Timestamp, 1)
	if g.first == 0 || t < g.first || t >= g.last+Refresh || e.Type == event.Identify || e.Type == event.Alias {
		return false
	}
	if !g.user && e.UserID != "" {
		return false
	}
	for i := range places {
		if g.known&(1<<i) == 0 && place(&e.Context, i) != "" {
			return false
		}
	}
	if e.Context.Campaign.Source != "" || e.Context.Page.Referrer != "" {
		known := t < g.touch || g.words != 0 && t < g.touch+Refresh && g.words == wordsOf(seed, e)
		if !known && brought(e) != touch.Direct() {
			return false
		}
	}
	c := e.Context.Consent
	return len(c) == 0 || g.consent != 0 && g.consent == maphash.Bytes(seed, c)
}

func compact(raw json.RawMessage) string {
	var b bytes.Buffer
	b.Grow(len(raw))
	if json.Compact(&b, raw) != nil {
		return null
	}
	return b.String()
}
