package event

import (
	"strconv"
	"time"
	"unicode/utf8"
	"unsafe"

	"heed/internal/jsonscan"
)

// Refusal says why an event is not taken, in words for the client.
type Refusal string

// Error makes it an error.
func (r Refusal) Error() string { return string(r) }

// Refusals that reading an event finds.
const (
	RefusedNotObject  Refusal = "is not a JSON object"
	RefusedNoName     Refusal = "event is required"
	RefusedType       Refusal = "type is not one of track, page, screen, identify, group, alias"
	RefusedText       Refusal = "an id or name is not a string"
	RefusedTime       Refusal = "a time is neither RFC 3339 nor ms since the epoch"
	RefusedProperties Refusal = "properties is not an object"
	RefusedTraits     Refusal = "traits is not an object"
	RefusedContext    Refusal = "context is not an object"
)

// Longest texts of a context, in bytes: what is longer is cut.
const (
	MaxContextText = 256
	MaxContextURL  = 2048
)

// Stated is what a client's JSON says beside the event itself.
type Stated struct {
	Type         bool  // a type was stated
	Timestamp    bool  // a timestamp was stated
	SentAt       int64 // µs, 0 if absent
	WriteKey     string
	Signature    string
	DeviceSentAt int64 // originalTimestamp, µs, 0 if absent
	// PreviousSignature proves the id that an identify or alias links.
	PreviousSignature string
}

// Reader reads events from JSON text in one pass, without allocating once its
// room has grown. What it read aliases the text and its room: both must stay
// until the events are used up. It is used by one goroutine.
type Reader struct {
	Scan jsonscan.Scanner

	aux  jsonscan.Scanner
	room []byte
}

// Reset starts on a text.
func (r *Reader) Reset(text []byte) {
	// The object itself, and in it properties of the depth that is allowed.
	r.Scan.MaxDepth, r.Scan.MaxKeys = MaxJSONDepth+1, MaxJSONKeys
	r.Scan.Reset(text)
	r.room = r.room[:0]
}

// Event reads one value as an event, over all fields of e and st. A refusal
// leaves the reader behind the value; broken syntax shows in Scan.
func (r *Reader) Event(e *Event, st *Stated) Refusal { return r.read(e, st, Track, false) }

// Call is Event for a value that is known to be of a type, whatever it states.
func (r *Reader) Call(t Type, e *Event, st *Stated) Refusal { return r.read(e, st, t, true) }

func (r *Reader) read(e *Event, st *Stated, t Type, fixed bool) (refused Refusal) {
	*e, *st = Event{Type: t}, Stated{}
	s := &r.Scan
	if s.Kind() != jsonscan.Object {
		s.Value()
		s.TakeFault()
		return RefusedNotObject
	}
	refuse := func(why Refusal) {
		if refused == "" {
			refused = why
		}
	}
	s.TakeFault()
	s.SetBase()
	s.Enter()
	var title []byte // the raw name of a page or screen
	var session string
	for name, more := s.NextKey(); more; name, more = s.NextKey() {
		var ok bool
		switch string(name) {
		case "messageId":
			e.MessageID, ok = r.id()
		case "type":
			var text string
			if text, ok = r.id(); ok && text != "" {
				stated, known := ParseType(text)
				if !known && !fixed {
					refuse(RefusedType)
				}
				if !fixed {
					e.Type = stated
				}
				st.Type = true
			}
		case "event":
			e.Name, ok = r.id()
		case "name":
			title, ok = s.Value(), true
		case "userId":
			e.UserID, ok = r.id()
		case "anonymousId":
			e.AnonymousID, ok = r.id()
		case "groupId":
			e.GroupID, ok = r.id()
		case "previousId":
			e.PreviousID, ok = r.id()
		case "sessionId":
			e.SessionID, ok = r.id()
		case "source":
			e.Source, ok = r.id()
		case "replyTo":
			e.ReplyTo, ok = r.id()
		case "writeKey":
			st.WriteKey, ok = r.id()
		case "signature":
			st.Signature, ok = r.id()
		case "previousSignature":
			st.PreviousSignature, ok = r.id()
		case "timestamp":
			e.Timestamp, ok = r.Time()
			st.Timestamp = e.Timestamp != 0
			if !ok {
				refuse(RefusedTime)
			}
			ok = true
		case "receivedAt":
			e.ReceivedAt, ok = r.Time()
			if !ok {
				refuse(RefusedTime)
			}
			ok = true
		case "sentAt":
			// What cannot be read corrects nothing.
			st.SentAt, _ = r.Time()
			ok = true
		case "originalTimestamp":
			st.DeviceSentAt, _ = r.Time()
			ok = true
		case "depth":
			var v int64
			if s.Kind() == jsonscan.Number {
				v, _ = s.Int()
			} else {
				s.Value()
			}
			e.Depth, ok = int(int32(v)), true
		case "properties":
			if e.Properties, ok = r.object(); !ok {
				refuse(RefusedProperties)
			}
			ok = true
		case "traits":
			if e.Traits, ok = r.object(); !ok {
				refuse(RefusedTraits)
			}
			ok = true
		case "context":
			if session, ok = r.Context(&e.Context); !ok {
				refuse(RefusedContext)
			}
			ok = true
		default:
			s.Value()
			ok = true
		}
		if !ok {
			refuse(RefusedText)
		}
	}
	if fault := s.TakeFault(); fault != jsonscan.NoFault {
		return Refusal(fault.String())
	}
	if refused != "" || s.Failed() {
		return refused
	}
	if e.SessionID == "" {
		e.SessionID = session
	}
	if fixed := e.Type.DefaultName(); fixed != "" {
		e.Name = fixed
	}
	if (e.Type == Page || e.Type == Screen) && len(title) > 2 && title[0] == '"' {
		e.Properties = r.With(e.Properties, `"name":`, title)
	}
	return ""
}

// id reads a string, or a number as its digits; null is absent.
func (r *Reader) id() (string, bool) {
	switch r.Scan.Kind() {
	case jsonscan.String:
		return text(r.Scan.Text()), true
	case jsonscan.Number:
		return text(r.Scan.Value()), true
	case jsonscan.Null:
		r.Scan.Value()
		return "", true
	default:
		r.Scan.Value()
		return "", r.Scan.Failed()
	}
}

func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// object reads an object as it stands; null and {} are absent.
func (r *Reader) object() ([]byte, bool) {
	k := r.Scan.Kind()
	raw := r.Scan.Value()
	switch k {
	case jsonscan.Object:
		if len(raw) <= 2 {
			return nil, true
		}
		return raw, true
	case jsonscan.Null:
		return nil, true
	default:
		return nil, r.Scan.Failed()
	}
}

// Time reads a time: RFC 3339 or a number of ms since the epoch, as µs. null
// is 0.
func (r *Reader) Time() (us int64, ok bool) {
	switch r.Scan.Kind() {
	case jsonscan.String:
		t, err := time.Parse(time.RFC3339, text(r.Scan.Text()))
		if err != nil {
			return 0, false
		}
		return t.UnixMicro(), true
	case jsonscan.Number:
		raw := r.Scan.Value()
		ms, err := strconv.ParseFloat(text(raw), 64)
		if err != nil || ms < -1e14 || ms > 1e14 {
			return 0, false
		}
		return int64(ms * 1000), true
	case jsonscan.Null:
		r.Scan.Value()
		return 0, true
	default:
		r.Scan.Value()
		return 0, false
	}
}

// Context reads one value as a context, over what c holds. Keys that Heed has
// no field for go to Extra.
func (r *Reader) Context(c *Context) (sessionID string, ok bool) {
	s := &r.Scan
	if k := s.Kind(); k != jsonscan.Object {
		s.Value()
		return "", k == jsonscan.Null
	}
	s.Enter()
	extra := len(r.room)
	for name, more := s.NextKey(); more; name, more = s.NextKey() {
		switch string(name) {
		case "page":
			r.page(&c.Page)
		case "campaign":
			r.campaign(&c.Campaign)
		case "device":
			c.Device = r.device()
		case "os":
			c.OS = r.named()
		case "browser":
			c.Browser = r.named()
		case "screen":
			c.Screen = r.screen()
		case "locale":
			c.Locale = r.short(MaxContextText)
		case "timezone":
			c.Timezone = r.short(MaxContextText)
		case "country":
			c.Country = r.short(MaxContextText)
		case "userAgent":
			c.UserAgent = r.short(MaxContextText)
		case "ip":
			c.IP = r.short(MaxContextText)
		case "sessionId":
			sessionID = r.short(MaxIDBytes)
		case "bot":
			c.Bot = r.flag()
		case "historical":
			c.Historical = r.flag()
		case "verified":
			c.Verified = r.flag()
		case "consent":
			c.Consent, _ = r.object()
		default:
			// Nothing else of a context uses the room, so Extra is one piece.
			r.room = appendMember(r.room, extra, name, s.Value())
		}
	}
	if n := len(r.room); n > extra {
		r.room = append(r.room, '}')
		c.Extra = r.room[extra : n+1 : n+1]
	}
	return sessionID, true
}

// appendMember adds a member to the object that began at start, if it did.
func appendMember(room []byte, start int, name, raw []byte) []byte {
	if len(room) == start {
		room = append(room, '{')
	} else {
		room = append(room, ',')
	}
	room = AppendQuoted(room, text(name))
	room = append(room, ':')
	return append(room, raw...)
}

// With puts a member in front of an object's own, unless it has one of that
// name. head is the quoted name and a colon.
func (r *Reader) With(object []byte, head string, raw []byte) []byte {
	members := Members(object)
	if len(members) > 0 {
		r.aux.Reset(object)
		r.aux.Enter()
		for name, more := r.aux.NextKey(); more; name, more = r.aux.NextKey() {
			if string(name) == head[1:len(head)-2] {
				return object
			}
			r.aux.Value()
		}
	}
	start := len(r.room)
	r.room = append(append(append(r.room, '{'), head...), raw...)
	if len(members) > 0 {
		r.room = append(append(r.room, ','), members...)
	}
	r.room = append(r.room, '}')
	return r.room[start:len(r.room):len(r.room)]
}

func (r *Reader) page(p *PageContext) {
	s := &r.Scan
	if s.Kind() != jsonscan.Object {
		s.Value()
		return
	}
	s.Enter()
	for name, more := s.NextKey(); more; name, more = s.NextKey() {
		switch string(name) {
		case "url":
			p.URL = r.short(MaxContextURL)
		case "path":
			p.Path = r.short(MaxContextURL)
		case "referrer":
			p.Referrer = r.short(MaxContextURL)
		case "title":
			p.Title = r.short(MaxContextText)
		default:
			s.Value()
		}
	}
}

func (r *Reader) campaign(c *CampaignContext) {
	s := &r.Scan
	if s.Kind() != jsonscan.Object {
		s.Value()
		return
	}
	s.Enter()
	for name, more := s.NextKey(); more; name, more = s.NextKey() {
		switch string(name) {
		case "source":
			c.Source = r.short(MaxContextText)
		case "medium":
			c.Medium = r.short(MaxContextText)
		case "name":
			c.Name = r.short(MaxContextText)
		case "term":
			c.Term = r.short(MaxContextText)
		case "content":
			c.Content = r.short(MaxContextText)
		default:
			s.Value()
		}
	}
}

// short reads a text and cuts it; what is no text is absent.
func (r *Reader) short(most int) string {
	switch r.Scan.Kind() {
	case jsonscan.String:
		return Cut(text(r.Scan.Text()), most)
	case jsonscan.Number:
		return Cut(text(r.Scan.Value()), most)
	default:
		r.Scan.Value()
		return ""
	}
}

// Cut shortens a text to so many bytes, between two characters.
func Cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

func (r *Reader) flag() bool {
	k := r.Scan.Kind()
	r.Scan.Value()
	return k == jsonscan.True
}

// members reads an object's texts by name, for the few that mobile clients
// send as objects.
func (r *Reader) members(names ...string) (values [4]string) {
	s := &r.Scan
	s.Enter()
	for name, more := s.NextKey(); more; name, more = s.NextKey() {
		found := false
		for i, n := range names {
			if string(name) == n {
				values[i], found = r.short(MaxContextText/2-1), true
			}
		}
		if !found {
			s.Value()
		}
	}
	return values
}

// named reads a text, or {name, version} as one.
func (r *Reader) named() string {
	if r.Scan.Kind() != jsonscan.Object {
		return r.short(MaxContextText)
	}
	v := r.members("name", "version")
	if v[1] == "" {
		return v[0]
	}
	return v[0] + " " + v[1]
}

// device reads a text, or the kind of device from an object.
func (r *Reader) device() string {
	if r.Scan.Kind() != jsonscan.Object {
		return r.short(MaxContextText)
	}
	v := r.members("type", "model", "name")
	for _, text := range v {
		if text != "" {
			return text
		}
	}
	return ""
}

// screen reads a text, or {width, height} as 1280x720.
func (r *Reader) screen() string {
	if r.Scan.Kind() != jsonscan.Object {
		return r.short(MaxContextText)
	}
	v := r.members("width", "height")
	if v[0] == "" || v[1] == "" {
		return ""
	}
	return v[0] + "x" + v[1]
}

// Inherit gives an event what the context of its batch states and its own does
// not.
func (r *Reader) Inherit(c, batch *Context) {
	for _, f := range [...]struct {
		to   *string
		from string
	}{
		{&c.Page.URL, batch.Page.URL},
		{&c.Page.Path, batch.Page.Path},
		{&c.Page.Referrer, batch.Page.Referrer},
		{&c.Page.Title, batch.Page.Title},
		{&c.Campaign.Source, batch.Campaign.Source},
		{&c.Campaign.Medium, batch.Campaign.Medium},
		{&c.Campaign.Name, batch.Campaign.Name},
		{&c.Campaign.Term, batch.Campaign.Term},
		{&c.Campaign.Content, batch.Campaign.Content},
		{&c.Device, batch.Device},
		{&c.OS, batch.OS},
		{&c.Browser, batch.Browser},
		{&c.Screen, batch.Screen},
		{&c.Locale, batch.Locale},
		{&c.Timezone, batch.Timezone},
		{&c.Country, batch.Country},
		{&c.UserAgent, batch.UserAgent},
		{&c.IP, batch.IP},
	} {
		if *f.to == "" {
			*f.to = f.from
		}
	}
	c.Bot = c.Bot || batch.Bot
	c.Historical = c.Historical || batch.Historical
	if c.Consent == nil {
		c.Consent = batch.Consent
	}
	switch {
	case batch.Extra == nil:
	case c.Extra == nil:
		c.Extra = batch.Extra
	default:
		c.Extra = r.union(c.Extra, batch.Extra)
	}
}

// union is the object a with those members of b that it lacks.
func (r *Reader) union(a, b []byte) []byte {
	var inA jsonscan.Scanner
	start := len(r.room)
	r.room = append(r.room, '{')
	r.room = append(r.room, Members(a)...)
	r.aux.Reset(b)
	r.aux.Enter()
	for name, more := r.aux.NextKey(); more; name, more = r.aux.NextKey() {
		raw := r.aux.Value()
		has := false
		inA.Reset(a)
		inA.Enter()
		for other, more := inA.NextKey(); more && !has; other, more = inA.NextKey() {
			has = string(other) == string(name)
			inA.Value()
		}
		if !has {
			r.room = append(r.room, ',')
			r.room = AppendQuoted(r.room, text(name))
			r.room = append(r.room, ':')
			r.room = append(r.room, raw...)
		}
	}
	r.room = append(r.room, '}')
	return r.room[start:len(r.room):len(r.room)]
}
