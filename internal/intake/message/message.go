// Package message owns what a message of somebody else's topic means: reading
// its format (JSON, Avro) and making events of it, by the mapping of a
// definition.Stream. It is pure; only the schemas of a registry come from
// outside.
//
// It does not own where messages come from, nor what becomes of the events
// (stream). Times are µs since the Unix epoch.
package message

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"heed/internal/definition"
	"heed/internal/event"
	"heed/internal/jsonscan"
)

// MaxBytes bounds the value of a message, as it came and as JSON.
const MaxBytes = 1 << 20

// Bounds of a value as a whole; what becomes of it is bounded as all events are.
const (
	maxDepth = 128
	maxKeys  = 10_000
)

// ErrEmpty says that a message has no value: a tombstone, of which no event is
// made.
var ErrEmpty = errors.New("message: has no value")

// Message is a message of a topic.
type Message struct {
	Topic      string
	Partition  int32
	Offset     int64
	Time       int64 // that it was written with
	Key, Value []byte
	Headers    []Header
}

// Header is one of a message's.
type Header struct {
	Name  string
	Value []byte
}

// Mapping makes events of the messages of a stream. It is used by one goroutine.
type Mapping struct {
	stream              *definition.Stream
	format              format
	user, anonymous     *definition.Place
	name, time, id      *definition.Place
	properties, traits  []field
	scan                jsonscan.Scanner
	value               []byte // of the present message, as JSON
	message             *Message
	strict, loose, keys jsonscan.Scanner
}

// field is one of the properties or traits.
type field struct {
	name  string
	place *definition.Place
}

// New prepares the mapping of a stream that was checked. schemas may be nil
// where it names no registry.
func New(s *definition.Stream, schemas Schemas) (*Mapping, error) {
	m := &Mapping{stream: s}
	m.strict.MaxDepth, m.strict.MaxKeys = event.MaxJSONDepth, event.MaxJSONKeys
	m.loose.MaxDepth, m.loose.MaxKeys = maxDepth, maxKeys
	m.keys.MaxDepth, m.keys.MaxKeys = maxDepth, maxKeys
	var err error
	if m.format, err = formatOf(s, schemas); err != nil {
		return nil, err
	}
	place := func(text string) *definition.Place {
		if text == "" {
			return nil
		}
		p, bad := definition.ParsePlace(text)
		err = errors.Join(err, bad)
		return &p
	}
	m.user, m.anonymous = place(s.UserID), place(s.AnonymousID)
	m.name, m.time, m.id = place(s.EventFrom), place(s.Time), place(s.MessageID)
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		m.properties = append(m.properties, field{name, place(s.Properties[name])})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Traits)) {
		m.traits = append(m.traits, field{name, place(s.Traits[name])})
	}
	return m, err
}

// Value is the value of a message as JSON: an object. The error is ErrEmpty, an
// event.Refusal, or says why its schema cannot be had at the moment. What it
// returns stays good until the next call of the Mapping.
func (m *Mapping) Value(ctx context.Context, msg *Message) ([]byte, error) {
	switch {
	case msg.Value == nil:
		return nil, ErrEmpty
	case len(msg.Value) > MaxBytes:
		return nil, tooBig
	}
	value, err := m.format.json(ctx, msg.Value)
	if err != nil {
		return nil, err
	}
	return value, sound(&m.loose, value)
}

const tooBig event.Refusal = "is bigger than 1 MB"

// sound tells what is wrong with a text that should be an object.
func sound(s *jsonscan.Scanner, text []byte) error {
	s.Reset(text)
	if s.Kind() != jsonscan.Object {
		return event.RefusedNotObject
	}
	s.Value()
	if s.End() != nil {
		return event.Refusal("is not valid JSON")
	}
	if fault := s.TakeFault(); fault != jsonscan.NoFault {
		return event.Refusal(fault.String())
	}
	return nil
}

// Events are what is made of a message: what it tells of the user's traits, if
// anything, and then what happened. The error is as that of Value. now is the
// time of receipt.
func (m *Mapping) Events(ctx context.Context, msg *Message, now int64) ([]event.Event, error) {
	value, err := m.Value(ctx, msg)
	if err != nil {
		return nil, err
	}
	m.message, m.value = msg, value
	e := event.Event{Type: event.Track, Source: m.stream.Name, Name: m.stream.Event, ReceivedAt: now, Timestamp: msg.Time}
	e.Context.Verified = true
	for _, part := range []struct {
		of    *definition.Place
		to    *string
		needs bool
	}{
		{m.user, &e.UserID, m.anonymous == nil}, {m.anonymous, &e.AnonymousID, m.user == nil}, {m.name, &e.Name, true}, {m.id, &e.MessageID, true},
	} {
		if part.of == nil {
			continue
		}
		if *part.to, err = m.text(part.of, part.needs); err != nil {
			return nil, err
		}
	}
	if m.id == nil {
		e.MessageID = msg.id()
	}
	if m.time != nil {
		if e.Timestamp, err = m.when(); err != nil {
			return nil, err
		}
	}
	e.Timestamp = max(1, min(e.Timestamp, now))
	e.Properties = value
	if len(m.properties) > 0 {
		e.Properties = m.object(m.properties)
	}
	if e.Properties, err = m.within(e.Properties); err != nil {
		return nil, err
	}
	if why := e.Check(); why != "" {
		return nil, why
	}
	traits, err := m.within(m.object(m.traits))
	if err != nil || traits == nil {
		return []event.Event{e}, err
	}
	who := e
	who.Type, who.Name, who.MessageID, who.Properties, who.Traits = event.Identify, event.NameIdentify, e.MessageID+"#traits", nil, traits
	if why := who.Check(); why != "" {
		return nil, why
	}
	return []event.Event{who, e}, nil
}

// within holds an object to the bounds of all events; an empty one is none.
func (m *Mapping) within(object []byte) ([]byte, error) {
	if len(object) > event.MaxEventBytes {
		return nil, event.RefusedSize
	}
	if len(event.Members(object)) == 0 {
		return nil, nil
	}
	return object, sound(&m.strict, object)
}

// object makes one of those fields that the message has.
func (m *Mapping) object(fields []field) []byte {
	if len(fields) == 0 {
		return nil
	}
	out := []byte{'{'}
	for _, f := range fields {
		raw, err := m.find(f.place)
		if err != nil || raw == nil {
			continue // it says nothing of it
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(append(event.AppendQuoted(out, f.name), ':'), raw...)
	}
	return append(out, '}')
}

// find is what stands at a place, as JSON; nil: nothing.
func (m *Mapping) find(p *definition.Place) ([]byte, error) {
	switch p.In {
	case definition.PlaceHeaders:
		for _, h := range m.message.Headers {
			if h.Name == p.Path[0] {
				return quoted(p, h.Value)
			}
		}
		return nil, nil
	case definition.PlaceKey:
		if m.message.Key == nil {
			return nil, nil
		}
		if len(p.Path) == 0 {
			return quoted(p, m.message.Key)
		}
		if err := sound(&m.keys, m.message.Key); err != nil {
			return nil, event.Refusal("key " + err.Error())
		}
		return m.below(m.message.Key, p.Path), nil
	default:
		return m.below(m.value, p.Path), nil
	}
}

// quoted is a text that is no JSON, as JSON.
func quoted(p *definition.Place, text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return nil, event.Refusal(p.String() + " is not text")
	}
	return event.AppendQuoted(nil, string(text)), nil
}

// below follows a path into a sound text; nil: it leads nowhere.
func (m *Mapping) below(text []byte, path []string) []byte {
	s := &m.scan
	s.Reset(text)
	for _, step := range path {
		if !enter(s, step) {
			return nil
		}
	}
	return s.Value()
}

// enter goes to a member or an element.
func enter(s *jsonscan.Scanner, step string) bool {
	switch s.Kind() {
	case jsonscan.Object:
		s.Enter()
		for name, more := s.NextKey(); more; name, more = s.NextKey() {
			if string(name) == step {
				return true
			}
			s.Value()
		}
	case jsonscan.Array:
		n, ok := definition.Index(step)
		s.Enter()
		for ; ok && s.NextElement(); n-- {
			if n == 0 {
				return true
			}
			s.Value()
		}
	default: // has nothing in it
	}
	return false
}

// text is an id or a name: a text, or a number as its digits.
func (m *Mapping) text(p *definition.Place, needed bool) (string, error) {
	raw, err := m.find(p)
	if err != nil {
		return "", err
	}
	m.scan.Reset(raw)
	text := ""
	switch {
	case raw == nil || raw[0] == 'n':
	case raw[0] == '"':
		text = string(m.scan.Text())
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		text = string(raw)
	default:
		return "", event.Refusal(p.String() + " is neither text nor a number")
	}
	if text == "" && needed {
		return "", event.Refusal(p.String() + " is missing")
	}
	return text, nil
}

// when reads the time at its place.
func (m *Mapping) when() (int64, error) {
	text, err := m.text(m.time, true)
	if err != nil {
		return 0, err
	}
	format, unit := m.stream.TimeFormat, 1.0
	switch format {
	case "", definition.TimeRFC3339:
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return 0, event.Refusal(m.time.String() + " is not a time as RFC 3339 has it")
		}
		return at.UnixMicro(), nil
	case definition.TimeSeconds:
		unit = 1e6
	case definition.TimeMillis:
		unit = 1e3
	}
	if whole, err := strconv.ParseInt(text, 10, 64); err == nil && whole > 0 && whole <= math.MaxInt64/int64(unit) {
		return whole * int64(unit), nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if us := n * unit; err == nil && us >= 1 && us < 1<<62 {
		return int64(us), nil
	}
	return 0, event.Refusal(m.time.String() + " is not a time in " + format + " since 1970")
}

// id names a message by where it stands. The time keeps those of a topic apart
// that was deleted and made again under its name.
func (msg *Message) id() string {
	topic := msg.Topic
	if len(topic) > event.MaxIDBytes/2 {
		sum := sha256.Sum256([]byte(topic))
		topic = hex.EncodeToString(sum[:8])
	}
	return fmt.Sprintf("%s/%d/%d@%d", topic, msg.Partition, msg.Offset, msg.Time/1000)
}

// Shown is the value of a message as text, for people to look at: as JSON if it
// can be read.
func (m *Mapping) Shown(ctx context.Context, msg *Message) []byte {
	if value, err := m.Value(ctx, msg); err == nil {
		return bytes.Clone(value)
	}
	if m.stream.Format != definition.FormatAvro && utf8.Valid(msg.Value) {
		return msg.Value
	}
	return fmt.Appendf(nil, "0x%x", msg.Value[:min(len(msg.Value), 4<<10)])
}
