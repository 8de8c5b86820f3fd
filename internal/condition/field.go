package condition

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"heed/internal/event"
)

// Facts are what a condition is asked about. Evaluation only reads them; text
// it looks at may alias the bytes of the event.
type Facts struct {
	Event  *event.Event // nil: event.*, properties.* and context.* are missing
	Traits []byte       // the profile's traits as a JSON object, or nil
	// Pull looks up what was pulled of the user: the document of a collection as
	// a JSON object, or nil. Without it pull.* is missing.
	Pull func(collection string) []byte
}

// Field is a compiled field name. It is immutable and may be used concurrently.
type Field struct {
	root root
	typ  kind // what a field of the event itself holds; none for JSON
	path []segment

	collection string // of ofPull

	text  func(e *event.Event) string
	flag  func(e *event.Event) bool
	stamp func(e *event.Event) int64
}

// root is where a field starts.
type root uint8

const (
	ofEvent root = iota // a field of event.Event
	ofProperties
	ofEventTraits
	ofConsent
	ofExtra
	ofProfile
	ofPull
)

// segment is one part of a path into JSON: a key, an index or any element.
type segment struct {
	key   string
	index int // -1: not an index
	any   bool
}

const (
	maxPath  = 16
	maxField = 256
)

const fieldForms = "write event.*, properties.*, context.*, traits.* or pull.<collection>.*"

// CompileField checks and compiles a field name such as
// "properties.products[].product_id".
func CompileField(name string) (*Field, error) {
	if len(name) > maxField {
		return nil, fmt.Errorf("is longer than %d bytes", maxField)
	}
	head, rest, _ := strings.Cut(name, ".")
	if rest == "" {
		return nil, fmt.Errorf("%q: %s", name, fieldForms)
	}
	switch head {
	case "event":
		if after, ok := strings.CutPrefix(rest, "traits."); ok {
			return jsonField(ofEventTraits, after)
		}
		if after, ok := strings.CutPrefix(rest, "properties."); ok {
			return jsonField(ofProperties, after)
		}
		return eventField(rest)
	case "properties":
		return jsonField(ofProperties, rest)
	case "traits":
		return jsonField(ofProfile, rest)
	case "context":
		if after, ok := strings.CutPrefix(rest, "consent."); ok {
			return jsonField(ofConsent, after)
		}
		if f := contextField(rest); f != nil {
			return f, nil
		}
		return jsonField(ofExtra, rest)
	case "pull":
		collection, path, _ := strings.Cut(rest, ".")
		if collection == "" || path == "" || strings.ContainsAny(collection, "[]") {
			return nil, fmt.Errorf("%q: write pull.<collection>.<field>", name)
		}
		f, err := jsonField(ofPull, path)
		if err != nil {
			return nil, err
		}
		f.collection = collection
		return f, nil
	}
	return nil, fmt.Errorf("%q: %s", name, fieldForms)
}

func jsonField(from root, path string) (*Field, error) {
	f := &Field{root: from}
	for part := range strings.SplitSeq(path, ".") {
		key, rest, bracket := strings.Cut(part, "[")
		if key == "" {
			return nil, fmt.Errorf("%q: has an empty part", path)
		}
		f.path = append(f.path, segment{key: key, index: -1})
		for bracket {
			var inside string
			var closed bool
			inside, rest, closed = strings.Cut(rest, "]")
			switch n, err := strconv.Atoi(inside); {
			case !closed || rest != "" && rest[0] != '[':
				return nil, fmt.Errorf("%q: write [] for any element or [0] for the first", path)
			case inside == "":
				f.path = append(f.path, segment{index: -1, any: true})
			case err != nil || n < 0:
				return nil, fmt.Errorf("%q: write [] for any element or [0] for the first", path)
			default:
				f.path = append(f.path, segment{index: n})
			}
			if bracket = rest != ""; bracket {
				rest = rest[1:]
			}
		}
	}
	if len(f.path) > maxPath {
		return nil, fmt.Errorf("%q: is deeper than %d parts", path, maxPath)
	}
	return f, nil
}

func ofText(get func(e *event.Event) string) *Field { return &Field{typ: text, text: get} }
func ofFlag(get func(e *event.Event) bool) *Field   { return &Field{typ: boolean, flag: get} }
func ofTime(get func(e *event.Event) int64) *Field  { return &Field{typ: instant, stamp: get} }

func eventField(name string) (*Field, error) {
	switch name {
	case "event", "name":
		return ofText(func(e *event.Event) string { return e.Name }), nil
	case "type":
		return ofText(func(e *event.Event) string { return e.Type.String() }), nil
	case "messageId":
		return ofText(func(e *event.Event) string { return e.MessageID }), nil
	case "userId":
		return ofText(func(e *event.Event) string { return e.UserID }), nil
	case "anonymousId":
		return ofText(func(e *event.Event) string { return e.AnonymousID }), nil
	case "groupId":
		return ofText(func(e *event.Event) string { return e.GroupID }), nil
	case "source":
		return ofText(func(e *event.Event) string { return e.Source }), nil
	case "sessionId":
		return ofText(func(e *event.Event) string { return e.SessionID }), nil
	case "timestamp":
		return ofTime(func(e *event.Event) int64 { return e.Timestamp }), nil
	case "receivedAt":
		return ofTime(func(e *event.Event) int64 { return e.ReceivedAt }), nil
	}
	return nil, fmt.Errorf("%q is no field of an event: event, type, messageId, userId, anonymousId, groupId, source, sessionId, timestamp, receivedAt, traits.*", "event."+name)
}

// contextField is a field of event.Context, or nil for one of its extras.
func contextField(name string) *Field {
	switch name {
	case "page.url":
		return ofText(func(e *event.Event) string { return e.Context.Page.URL })
	case "page.path":
		return ofText(func(e *event.Event) string { return e.Context.Page.Path })
	case "page.referrer":
		return ofText(func(e *event.Event) string { return e.Context.Page.Referrer })
	case "page.title":
		return ofText(func(e *event.Event) string { return e.Context.Page.Title })
	case "campaign.source":
		return ofText(func(e *event.Event) string { return e.Context.Campaign.Source })
	case "campaign.medium":
		return ofText(func(e *event.Event) string { return e.Context.Campaign.Medium })
	case "campaign.name":
		return ofText(func(e *event.Event) string { return e.Context.Campaign.Name })
	case "campaign.term":
		return ofText(func(e *event.Event) string { return e.Context.Campaign.Term })
	case "campaign.content":
		return ofText(func(e *event.Event) string { return e.Context.Campaign.Content })
	case "device":
		return ofText(func(e *event.Event) string { return e.Context.Device })
	case "os":
		return ofText(func(e *event.Event) string { return e.Context.OS })
	case "browser":
		return ofText(func(e *event.Event) string { return e.Context.Browser })
	case "screen":
		return ofText(func(e *event.Event) string { return e.Context.Screen })
	case "locale":
		return ofText(func(e *event.Event) string { return e.Context.Locale })
	case "timezone":
		return ofText(func(e *event.Event) string { return e.Context.Timezone })
	case "country":
		return ofText(func(e *event.Event) string { return e.Context.Country })
	case "userAgent":
		return ofText(func(e *event.Event) string { return e.Context.UserAgent })
	case "ip":
		return ofText(func(e *event.Event) string { return e.Context.IP })
	case "bot":
		return ofFlag(func(e *event.Event) bool { return e.Context.Bot })
	case "historical":
		return ofFlag(func(e *event.Event) bool { return e.Context.Historical })
	case "verified":
		return ofFlag(func(e *event.Event) bool { return e.Context.Verified })
	}
	return nil
}

// Profile tells whether the field is one of the profile's traits.
func (f *Field) Profile() bool { return f.root == ofProfile }

// document is the JSON the field's path starts in.
func (f *Field) document(facts *Facts) []byte {
	switch f.root {
	case ofProfile:
		return facts.Traits
	case ofPull:
		if facts.Pull == nil {
			return nil
		}
		return facts.Pull(f.collection)
	case ofEvent, ofProperties, ofEventTraits, ofConsent, ofExtra:
	}
	if facts.Event == nil {
		return nil
	}
	switch f.root {
	case ofProperties:
		return facts.Event.Properties
	case ofEventTraits:
		return facts.Event.Traits
	case ofConsent:
		return facts.Event.Context.Consent
	case ofExtra:
		return facts.Event.Context.Extra
	case ofEvent, ofProfile, ofPull:
	}
	return nil
}

// own is the value of a field of the event itself. Empty text is missing.
func (f *Field) own(e *event.Event) value {
	switch {
	case e == nil:
	case f.text != nil:
		if s := f.text(e); s != "" {
			return value{kind: text, str: s}
		}
	case f.flag != nil:
		return value{kind: boolean, flag: f.flag(e)}
	case f.stamp != nil:
		return value{kind: instant, at: time.UnixMicro(f.stamp(e))}
	}
	return value{}
}

// Texts appends the text of every scalar the field has, to correlate by: text
// as it is, numbers in their shortest form (42, "42" and 42.0 are the same),
// true and false. Empty text, null, objects and arrays count as missing. The
// texts may alias the facts. Beyond limit values it stops.
func (f *Field) Texts(facts *Facts, dst []string, limit int) []string {
	if f.root == ofEvent {
		v := f.own(facts.Event)
		return v.appendText(dst)
	}
	c := collector{dst: dst, room: limit}
	c.walk(f.document(facts), 0, f.path)
	return c.dst
}
