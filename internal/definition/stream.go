package definition

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hamba/avro/v2"

	"heed/internal/event"
)

// Stream is somebody else's Kafka topic, whose messages become events of the
// source that has the stream's name. It is an operator's source: the user ids in
// it are believed.
type Stream struct {
	Name        string `yaml:"name" json:"name"`
	Description string `yaml:"description,omitempty" json:"description,omitempty"`
	Kafka       Kafka  `yaml:"kafka" json:"kafka"`
	Topic       string `yaml:"topic" json:"topic"`
	// Group is the consumer group that keeps the position; empty: one of this
	// installation and stream.
	Group string `yaml:"group,omitempty" json:"group,omitempty"`
	// Start is where a group begins that has no position yet: latest (default),
	// earliest, or an RFC 3339 time.
	Start  string `yaml:"start,omitempty" json:"start,omitempty"`
	Format string `yaml:"format,omitempty" json:"format,omitempty"` // json (default) | avro
	// Avro says how messages of that format are written.
	Avro *Avro `yaml:"avro,omitempty" json:"avro,omitempty"`

	// What is made of a message. Each is a Place in it, but for Event. Without
	// MessageID an event is known by where its message stands in the topic, without
	// Time it happened when its message was written there.
	UserID      string `yaml:"userId,omitempty" json:"userId,omitempty"`
	AnonymousID string `yaml:"anonymousId,omitempty" json:"anonymousId,omitempty"`
	Event       string `yaml:"event,omitempty" json:"event,omitempty"` // the name itself
	EventFrom   string `yaml:"eventFrom,omitempty" json:"eventFrom,omitempty"`
	Time        string `yaml:"time,omitempty" json:"time,omitempty"`
	TimeFormat  string `yaml:"timeFormat,omitempty" json:"timeFormat,omitempty"` // rfc3339 (default) | s | ms | us
	MessageID   string `yaml:"messageId,omitempty" json:"messageId,omitempty"`
	// Properties are those of the event, by name; none: all fields of the value.
	Properties map[string]string `yaml:"properties,omitempty" json:"properties,omitempty"`
	// Traits of the user, by name, that the message tells of.
	Traits map[string]string `yaml:"traits,omitempty" json:"traits,omitempty"`

	Paused bool `yaml:"paused,omitempty" json:"paused,omitempty"`
}

// Avro is how messages in Avro are written.
type Avro struct {
	// Framing is what stands before the data: a single-object header (default), the
	// 5 bytes of a schema registry (confluent), or nothing (none).
	Framing string `yaml:"framing,omitempty" json:"framing,omitempty"`
	// Schema is what all messages are written with. With the framing confluent a
	// registry may tell it instead, by the id in each message.
	Schema   string `yaml:"schema,omitempty" json:"schema,omitempty"`
	Registry string `yaml:"registry,omitempty" json:"registry,omitempty"` // https://schemas.example
	User     string `yaml:"user,omitempty" json:"user,omitempty"`
	Password string `yaml:"password,omitempty" json:"password,omitempty"`
}

// What a stream's start, format, framing and times may be called.
const (
	StartLatest   = "latest"
	StartEarliest = "earliest"

	FormatJSON = "json"
	FormatAvro = "avro"

	FramingSingleObject = "single-object"
	FramingConfluent    = "confluent"
	FramingNone         = "none"

	TimeRFC3339 = "rfc3339"
	TimeSeconds = "s"
	TimeMillis  = "ms"
	TimeMicros  = "us"
)

// Place is a place in a message: its key, a part of its key or value, or a header.
type Place struct {
	In   string   // PlaceKey, PlaceValue or PlaceHeaders
	Path []string // below it; of an array, the number of an element from 0 on
}

// What Place.In may be.
const (
	PlaceKey     = "key"
	PlaceValue   = "value"
	PlaceHeaders = "headers"
)

const placeHint = "key, key.id, value.customer.id or headers.source"

// ParsePlace reads a place as it is written.
func ParsePlace(text string) (Place, error) {
	parts := strings.Split(text, ".")
	p := Place{In: parts[0], Path: parts[1:]}
	bad := slices.Contains(p.Path, "") || len(p.Path) > event.MaxJSONDepth
	switch p.In {
	case PlaceKey:
	case PlaceValue:
		bad = bad || len(p.Path) == 0
	case PlaceHeaders: // whose names may have dots
		p.Path = []string{strings.Join(p.Path, ".")}
		bad = bad || p.Path[0] == ""
	default:
		bad = true
	}
	if bad {
		return Place{}, fmt.Errorf("%q is no place in a message", text)
	}
	return p, nil
}

// String writes it as ParsePlace reads it.
func (p Place) String() string { return strings.Join(append([]string{p.In}, p.Path...), ".") }

// Index is the number of an element that a step of the path stands for.
func Index(step string) (n int, ok bool) {
	n, err := strconv.Atoi(step)
	return n, err == nil && n >= 0
}

// Since is the time that a stream starts at; ok is false if it is not by time.
func (s *Stream) Since() (at time.Time, ok bool) {
	at, err := time.Parse(time.RFC3339, s.Start)
	return at, err == nil
}

// maxSchema bounds a schema, in bytes.
const maxSchema = 256 << 10

func (c *checker) stream(s *Stream) {
	if c.set.Sources[s.Name] != nil {
		c.fail("name", "events are told apart by their source", "is the name of a source too")
	}
	if s.Name == event.SourceHeed || s.Name == "import" {
		c.fail("name", "", "is the source of Heed's own events")
	}
	c.kafka("kafka", &s.Kafka)
	if !kafkaTopics.MatchString(s.Topic) || s.Topic == "." || s.Topic == ".." {
		c.fail("topic", "1 to 249 letters, digits, '.', '_' and '-'", "%q is no name of a topic", s.Topic)
	}
	if len(s.Group) > 249 || strings.ContainsFunc(s.Group, func(r rune) bool { return r <= ' ' || r > '~' }) {
		c.fail("group", "", "%q is no id of a consumer group", s.Group)
	}
	if _, byTime := s.Since(); !byTime && s.Start != "" && s.Start != StartLatest && s.Start != StartEarliest {
		c.fail("start", "latest, earliest, or a time such as 2026-11-01T00:00:00Z", "%q is no place to start", s.Start)
	}
	c.format(s)
	c.mapping(s)
}

func (c *checker) format(s *Stream) {
	switch s.Format {
	case "", FormatJSON:
		if s.Avro != nil {
			c.fail("avro", "format: avro", "only messages of the format avro have it")
		}
	case FormatAvro:
		a := s.Avro
		if a == nil {
			c.fail("avro", `avro: {schema: '{"type": "record", …}'}`, "says how messages are written, and is missing")
			return
		}
		c.avro(a)
	default:
		c.fail("format", "json or avro", "%q is not a format", s.Format)
	}
}

func (c *checker) avro(a *Avro) {
	registered := a.Framing == FramingConfluent
	switch a.Framing {
	case "", FramingSingleObject, FramingNone, FramingConfluent:
	default:
		c.fail("avro.framing", "single-object, confluent or none", "%q is not a framing", a.Framing)
		return
	}
	switch {
	case a.Schema == "" && !registered:
		c.fail("avro.schema", "", "is missing")
	case (a.Schema == "") == (a.Registry == "") && registered:
		c.fail("avro", "", "give either schema or registry")
	case a.Registry != "" && !registered:
		c.fail("avro.registry", "framing: confluent", "is of use only where messages name their schema")
	}
	if a.Registry == "" && (a.User != "" || a.Password != "") {
		c.fail("avro.user", "", "only a registry asks for it")
	}
	if u, err := url.Parse(a.Registry); a.Registry != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil) {
		c.fail("avro.registry", "https://schemas.example; user and password stand beside it", "%q is not the address of a registry", a.Registry)
	}
	if a.Schema == "" {
		return
	}
	if len(a.Schema) > maxSchema {
		c.fail("avro.schema", "", "has more than %d bytes", maxSchema)
	} else if schema, err := ParseSchema(a.Schema); err != nil {
		c.fail("avro.schema", "", "%v", err)
	} else if schema.Type() != avro.Record {
		c.fail("avro.schema", "", "is of the type %s, and events are made of a record", schema.Type())
	}
}

// ParseSchema reads a schema by itself: names that others define are not known.
func ParseSchema(text string) (avro.Schema, error) {
	schema, err := avro.ParseWithCache(text, "", &avro.SchemaCache{})
	if err != nil {
		return nil, fmt.Errorf("is not a schema in Avro: %w", err)
	}
	return schema, nil
}

func (c *checker) mapping(s *Stream) {
	if s.UserID == "" && s.AnonymousID == "" {
		c.fail("userId", "userId: value.customer.id, or anonymousId", "is missing: nobody would have done it")
	}
	switch {
	case (s.Event == "") == (s.EventFrom == ""):
		c.fail("event", "event: registered, or eventFrom: value.type", "give either event or eventFrom")
	case s.Event != "":
		if why := (&event.Event{Name: s.Event, UserID: "somebody"}).Check(); why != "" {
			c.fail("event", "", "%s", why)
		}
	}
	switch s.TimeFormat {
	case "", TimeRFC3339, TimeSeconds, TimeMillis, TimeMicros:
	default:
		c.fail("timeFormat", "rfc3339, s, ms or us", "%q is not a way to write times", s.TimeFormat)
	}
	if s.TimeFormat != "" && s.Time == "" {
		c.fail("timeFormat", "time: value.createdAt", "is that of time, which is missing")
	}
	for _, p := range []struct{ path, text string }{
		{"userId", s.UserID}, {"anonymousId", s.AnonymousID}, {"eventFrom", s.EventFrom}, {"time", s.Time}, {"messageId", s.MessageID},
	} {
		if p.text != "" {
			c.place(p.path, p.text)
		}
	}
	c.fields("properties", s.Properties)
	c.fields("traits", s.Traits)
}

func (c *checker) fields(path string, fields map[string]string) {
	if len(fields) > event.MaxJSONKeys {
		c.fail(path, "", "are %d, at most %d are allowed", len(fields), event.MaxJSONKeys)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if name == "" || len(name) > event.MaxNameBytes {
			c.fail(path, "1 to 128 bytes", "%q cannot be the name of a field", name)
		}
		c.place(path+"."+name, fields[name])
	}
}

func (c *checker) place(path, text string) {
	if _, err := ParsePlace(text); err != nil {
		c.fail(path, placeHint, "%v", err)
	}
}
