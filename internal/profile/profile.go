// Package profile owns the hot part of a user's profile: what is kept about a
// user beside the rows of triggers, how an event changes it, and its bytes
// (docs/format/state.md). It is pure: it does no I/O and reads no clock.
//
// It does not own where profiles are stored (userstate), who writes them
// (decider) or what may be sent to whom (consent, policy).
package profile

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"heed/internal/consent"
	"heed/internal/event"
	"heed/internal/touch"
)

// Bounds of one profile.
const (
	// MaxAnonymousIDs is how many anonymous ids a user keeps.
	MaxAnonymousIDs = 100
	// MaxTraitsBytes bounds keys and values of the traits together; what does
	// not fit is left out.
	MaxTraitsBytes = 32 << 10
	// MaxConsentBytes bounds keys and values of the consent together, but for
	// refusals (consentLimit).
	MaxConsentBytes = 4 << 10
	// maxTextBytes bounds every other text.
	maxTextBytes = 512
)

// Refresh is how far event time must move (µs) before last seen, and what is
// kept beside it, is written again: not every event dirties the profile.
const Refresh = int64(5 * time.Minute / time.Microsecond)

// Profile is what is known about a user. Times are µs since the Unix epoch.
// The zero Profile is a user that was never seen. It is not safe for concurrent
// use.
type Profile struct {
	UserID       string   // "" while the user is anonymous
	AnonymousIDs []string // ids whose profiles were merged into this one, oldest first

	// Moved says whose this id turned out to be, if it did: what happens to it
	// from now on happens to that user.
	Moved Move
	// Waiting: events are kept back until a hand-over has come.
	Waiting bool

	FirstSeen int64 // the earliest event time, or the import that made the user known
	LastSeen  int64 // the latest event time, in steps of Refresh; 0: only an import told of the user

	Acquisition Acquisition
	LastTouch   Touch

	// As of LastSeen.
	Country, Locale, Timezone, Device, OS, Browser string

	// Traits and Consent are sorted by key; the last write wins by event time.
	Traits  []Entry
	Consent []Entry

	Email, Phone Address
}

// Acquisition says what brought the user: it belongs to the earliest event.
type Acquisition struct {
	Campaign event.CampaignContext
	Referrer string
	Month    string // "2026-11", UTC
}

// Touch is what brought the user last, and when (µs; 0: never). Visits that
// nothing brought leave it as it is. While it stays the same, the time moves in
// steps of Refresh.
type Touch struct {
	touch.Touch
	At int64
}

// Move is a link to another user.
type Move struct {
	To string
	At int64
	// Trusted: also what names this id as a user id belongs to To.
	Trusted bool
}

// Entry is one key of a JSON object with the event time that wrote it. Value is
// compact JSON; "null" marks a key that
// was removed, so that an older write that arrives late does not bring it back.
type Entry struct {
	Key   string
	Value string
	At    int64
}

// Address is an e-mail address or a phone number. A verified one is only
// replaced by a verified one.
type Address struct {
	Value    string
	Verified bool
	At       int64
}

// Known tells whether the user was ever seen.
func (p *Profile) Known() bool { return p.FirstSeen != 0 }

// Counts tells whether an event is something that its user did: control records,
// what Heed derived itself and what was imported are no activity.
func Counts(e *event.Event) bool {
	return e.Type != event.System && !strings.HasPrefix(e.Name, event.ReservedPrefix)
}

// Tells tells whether an event says something about its user at all, so that the
// user exists by it: activity does, and an import.
func Tells(e *event.Event) bool { return Counts(e) || e.Name == event.NameImported }

// Apply changes the profile by an event of its user and tells whether it did.
// It links nothing: that is done by Merge.
// The outcome does not depend on how events are batched or on restarts.
func (p *Profile) Apply(e *event.Event) (changed bool) {
	if !Tells(e) {
		return false
	}
	t := max(e.Timestamp, 1) // 0 means never seen
	if e.UserID != "" && p.UserID == "" {
		p.UserID, changed = strings.Clone(e.UserID), true
	}
	refresh := p.seen(e, t)
	if p.fill(e, refresh) {
		changed = true
	}
	if Counts(e) && p.touch(e, t) {
		changed = true
	}
	vouched := e.Context.Verified && !claimed(e.Context.Extra)
	if len(e.Context.Consent) > 0 && p.consent(e.Context.Consent, t, refresh, vouched) {
		changed = true
	}
	if e.Type == event.Identify && len(e.Traits) > 0 && p.identify(e, t, vouched) {
		changed = true
	}
	return changed || refresh
}

// seen moves first and last seen; it tells whether one of them moved.
func (p *Profile) seen(e *event.Event, t int64) bool {
	moved := false
	if p.FirstSeen == 0 || t < p.FirstSeen {
		p.FirstSeen, moved = t, true
		p.Acquisition = Acquisition{
			Campaign: event.CampaignContext{
				Source:  text(e.Context.Campaign.Source),
				Medium:  text(e.Context.Campaign.Medium),
				Name:    text(e.Context.Campaign.Name),
				Term:    text(e.Context.Campaign.Term),
				Content: text(e.Context.Campaign.Content),
			},
			Referrer: text(e.Context.Page.Referrer),
			Month:    time.UnixMicro(t).UTC().Format("2006-01"),
		}
	}
	if Counts(e) && (p.LastSeen == 0 || t >= p.LastSeen+Refresh) {
		p.LastSeen, moved = t, true
	}
	return moved
}

// brought is what brought the user to an event.
func brought(e *event.Event) touch.Touch {
	c := &e.Context
	t := touch.Of(c.Campaign.Source, c.Campaign.Medium, c.Campaign.Name, c.Page.Referrer, c.Page.URL, nil)
	return touch.Touch{Source: cut(t.Source), Medium: cut(t.Medium), Campaign: cut(t.Campaign)}
}

// touch keeps what brought the user last.
func (p *Profile) touch(e *event.Event, t int64) (changed bool) {
	last := &p.LastTouch
	b := brought(e)
	if b == touch.Direct() || t < last.At || b == last.Touch && t < last.At+Refresh {
		return false
	}
	if b != last.Touch {
		last.Touch = touch.Touch{Source: strings.Clone(b.Source), Medium: strings.Clone(b.Medium), Campaign: strings.Clone(b.Campaign)}
	}
	last.At = t
	return true
}

// fill keeps where the user was last seen: anew with a refresh of last seen,
// and otherwise only what is still unknown.
func (p *Profile) fill(e *event.Event, refresh bool) (changed bool) {
	latest := refresh && max(e.Timestamp, 1) == p.LastSeen
	for i, have := range p.places() {
		got := place(&e.Context, i)
		if got == "" || *have != "" && !latest {
			continue
		}
		if got = cut(got); *have != got {
			*have, changed = strings.Clone(got), true
		}
	}
	return changed
}

const places = 6

func (p *Profile) places() [places]*string {
	return [places]*string{&p.Country, &p.Locale, &p.Timezone, &p.Device, &p.OS, &p.Browser}
}

func place(c *event.Context, i int) string {
	switch i {
	case 0:
		return c.Country
	case 1:
		return c.Locale
	case 2:
		return c.Timezone
	case 3:
		return c.Device
	case 4:
		return c.OS
	default:
		return c.Browser
	}
}

// identify writes the traits, and the addresses and the consent among them.
func (p *Profile) identify(e *event.Event, t int64, verified bool) (changed bool) {
	traits, ok := object(e.Traits)
	if !ok {
		return false
	}
	size := entriesBytes(p.Traits)
	for _, in := range traits {
		switch in.Key {
		case "email":
			changed = p.Email.set(in.Value, verified, t) || changed
		case "phone":
			changed = p.Phone.set(in.Value, verified, t) || changed
		case "consent":
			changed = p.consent([]byte(in.Value), t, true, verified) || changed
		}
		in.At = t
		changed = put(&p.Traits, &size, MaxTraitsBytes, in, true) || changed
	}
	return changed
}

// claimed tells whether the gateway has marked the addresses of an event as claims.
// A client that writes the key itself, to whatever value, marks its own.
func claimed(extra []byte) bool {
	if len(extra) == 0 {
		return false
	}
	entries, ok := object(extra)
	_, found := find(entries, event.Claimed)
	return found || !ok
}

// consent merges a statement key by key. An equal value is only given a newer
// time along with last seen, so that a client that repeats itself with every
// event does not dirty the profile. That a yes was confirmed counts only from who
// can vouch for it, and then for as long as it stays a yes.
func (p *Profile) consent(raw []byte, t int64, refresh, vouched bool) (changed bool) {
	entries, ok := object(raw)
	if !ok {
		return false
	}
	size := entriesBytes(p.Consent)
	for _, in := range entries {
		s := consent.Read(in.Value)
		if in.At = t; s.At != 0 {
			in.At = min(s.At, t) // it was said before it was told
		}
		confirmed := s.State == consent.Granted && (s.Confirmed && vouched || consent.Read(p.ConsentTo(in.Key)).Confirmed)
		switch {
		case len(in.Value) > maxTextBytes && s.State == consent.Refused:
			in.Value = "false"
		case s.Confirmed != confirmed:
			s.Confirmed = confirmed
			in.Value = s.Value()
		}
		changed = put(&p.Consent, &size, consentLimit(in), in, refresh) || changed
	}
	return changed
}

// consentLimit is the room for an entry of the consent: a no that matters is
// never lost for want of it.
func consentLimit(in Entry) int {
	if consent.Matters(in.Key) && consent.Read(in.Value).State == consent.Refused {
		return 3 * MaxConsentBytes
	}
	return MaxConsentBytes
}

func traitsLimit(Entry) int { return MaxTraitsBytes }

// put writes one entry if it is not older than what is there and fits.
func put(entries *[]Entry, size *int, limit int, in Entry, refresh bool) bool {
	i, found := find(*entries, in.Key)
	if !found {
		if *size+len(in.Key)+len(in.Value) > limit {
			return false
		}
		*size += len(in.Key) + len(in.Value)
		*entries = slices.Insert(*entries, i, in)
		return true
	}
	have := &(*entries)[i]
	if in.At < have.At || have.Value == in.Value && (in.At == have.At || !refresh) {
		return false
	}
	grown := *size + len(in.Value) - len(have.Value)
	if grown > limit && len(in.Value) > len(have.Value) {
		return false
	}
	*size, *have = grown, in
	return true
}

const null = "null"

func find(entries []Entry, key string) (int, bool) {
	return slices.BinarySearchFunc(entries, key, func(e Entry, key string) int { return strings.Compare(e.Key, key) })
}

func entriesBytes(entries []Entry) int {
	n := 0
	for _, e := range entries {
		n += len(e.Key) + len(e.Value)
	}
	return n
}

func (a *Address) set(value string, verified bool, t int64) bool {
	var s string
	if json.Unmarshal([]byte(value), &s) != nil || len(s) > maxTextBytes {
		return false
	}
	if a.Verified && !verified || a.Verified == verified && t < a.At {
		return false
	}
	next := Address{Value: s, Verified: verified && s != "", At: t}
	if next == *a {
		return false
	}
	*a = next
	return true
}

// Trait is the JSON value of a trait, "" if the user has none of that name.
func (p *Profile) Trait(key string) string { return lookup(p.Traits, key) }

// ConsentTo is the JSON value of a key of the consent, "" if nothing was said.
func (p *Profile) ConsentTo(key string) string { return lookup(p.Consent, key) }

// ConsentAt is the JSON value of a key of the consent and since when it holds.
func (p *Profile) ConsentAt(key string) (value string, at int64) {
	i, ok := find(p.Consent, key)
	if !ok || p.Consent[i].Value == null {
		return "", 0
	}
	return p.Consent[i].Value, p.Consent[i].At
}

func lookup(entries []Entry, key string) string {
	i, ok := find(entries, key)
	if !ok || entries[i].Value == null {
		return ""
	}
	return entries[i].Value
}

// AppendTraits writes the traits as a JSON object.
func (p *Profile) AppendTraits(dst []byte) []byte { return appendEntries(dst, p.Traits) }

// AppendConsent writes the consent as a JSON object.
func (p *Profile) AppendConsent(dst []byte) []byte { return appendEntries(dst, p.Consent) }

func appendEntries(dst []byte, entries []Entry) []byte {
	dst = append(dst, '{')
	first := true
	for _, e := range entries {
		if e.Value == null {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		key, err := json.Marshal(e.Key)
		if err != nil { // a string always has a JSON form
			continue
		}
		dst = append(append(append(dst, key...), ':'), e.Value...)
	}
	return append(dst, '}')
}

// object reads the keys of a JSON object in order of key, with compact values.
func object(raw []byte) ([]Entry, bool) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil || m == nil {
		return nil, false
	}
	entries := make([]Entry, 0, len(m))
	for k, v := range m {
		if len(entries) == event.MaxJSONKeys {
			return nil, false
		}
		entries = append(entries, Entry{Key: k, Value: compact(v)})
	}
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
	return entries, true
}

// text is a copy of s, cut to what a profile keeps.
func text(s string) string { return strings.Clone(cut(s)) }

func cut(s string) string {
	if len(s) <= maxTextBytes {
		return s
	}
	return strings.ToValidUTF8(s[:maxTextBytes], "")
}
