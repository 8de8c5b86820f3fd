package event

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// String is the type's name in JSON and Avro.
func (t Type) String() string {
	switch t {
	case Track:
		return "track"
	case Page:
		return "page"
	case Screen:
		return "screen"
	case Identify:
		return "identify"
	case Group:
		return "group"
	case Alias:
		return "alias"
	case System:
		return "system"
	default:
		return "type" + strconv.Itoa(int(t))
	}
}

// ParseType is the type of a name.
func ParseType(name string) (t Type, ok bool) {
	switch name {
	case "track":
		return Track, true
	case "page":
		return Page, true
	case "screen":
		return Screen, true
	case "identify":
		return Identify, true
	case "group":
		return Group, true
	case "alias":
		return Alias, true
	case "system":
		return System, true
	default:
		return 0, false
	}
}

// DefaultName is the name of the calls that have none: "" for track and system.
func (t Type) DefaultName() string {
	if t == Track || t >= System {
		return ""
	}
	return t.String()
}

// AppendJSON appends the event in the JSON form of the Segment spec, with
// receivedAt and source, on one line unless its own JSON has line breaks.
// Absent fields are left out.
func AppendJSON(dst []byte, e *Event) []byte {
	dst = append(dst, `{"messageId":`...)
	dst = AppendQuoted(dst, e.MessageID)
	dst = append(dst, `,"type":"`...)
	dst = append(dst, e.Type.String()...)
	dst = append(dst, `","event":`...)
	dst = AppendQuoted(dst, e.Name)
	dst = appendField(dst, "userId", e.UserID)
	dst = appendField(dst, "anonymousId", e.AnonymousID)
	dst = appendField(dst, "groupId", e.GroupID)
	dst = appendField(dst, "previousId", e.PreviousID)
	dst = appendTime(dst, "timestamp", e.Timestamp)
	dst = appendTime(dst, "receivedAt", e.ReceivedAt)
	dst = appendField(dst, "source", e.Source)
	dst = appendField(dst, "sessionId", e.SessionID)
	if e.Depth != 0 {
		dst = append(dst, `,"depth":`...)
		dst = strconv.AppendInt(dst, int64(e.Depth), 10)
	}
	dst = appendField(dst, "replyTo", e.ReplyTo)
	dst = appendContext(dst, &e.Context)
	dst = appendRaw(dst, "properties", e.Properties)
	dst = appendRaw(dst, "traits", e.Traits)
	return append(dst, '}')
}

func appendContext(dst []byte, c *Context) []byte {
	outer := len(dst)
	dst = append(dst, `,"context":{`...)
	start := len(dst)
	inner := len(dst)
	dst = appendField(dst, "url", c.Page.URL)
	dst = appendField(dst, "path", c.Page.Path)
	dst = appendField(dst, "referrer", c.Page.Referrer)
	dst = appendField(dst, "title", c.Page.Title)
	dst = wrap(dst, inner, `,"page":{`)
	inner = len(dst)
	dst = appendField(dst, "source", c.Campaign.Source)
	dst = appendField(dst, "medium", c.Campaign.Medium)
	dst = appendField(dst, "name", c.Campaign.Name)
	dst = appendField(dst, "term", c.Campaign.Term)
	dst = appendField(dst, "content", c.Campaign.Content)
	dst = wrap(dst, inner, `,"campaign":{`)
	dst = appendField(dst, "device", c.Device)
	dst = appendField(dst, "os", c.OS)
	dst = appendField(dst, "browser", c.Browser)
	dst = appendField(dst, "screen", c.Screen)
	dst = appendField(dst, "locale", c.Locale)
	dst = appendField(dst, "timezone", c.Timezone)
	dst = appendField(dst, "country", c.Country)
	dst = appendField(dst, "userAgent", c.UserAgent)
	dst = appendField(dst, "ip", c.IP)
	dst = appendFlag(dst, "bot", c.Bot)
	dst = appendFlag(dst, "historical", c.Historical)
	dst = appendFlag(dst, "verified", c.Verified)
	dst = appendRaw(dst, "consent", c.Consent)
	if inside := Members(c.Extra); len(inside) > 0 {
		dst = append(append(dst, ','), inside...)
	}
	if len(dst) == start {
		return dst[:outer]
	}
	// The first member brought a comma.
	return append(append(dst[:start], dst[start+1:]...), '}')
}

// wrap makes members that were appended from start on the value of a member,
// dropping the comma of the first one.
func wrap(dst []byte, start int, head string) []byte {
	n := len(dst) - start
	if n == 0 {
		return dst
	}
	dst = append(dst, head[1:]...) // room for head in place of the comma
	copy(dst[start+len(head):], dst[start+1:start+n])
	copy(dst[start:], head)
	return append(dst, '}')
}

// Members is what stands between the braces of a JSON object.
func Members(object []byte) []byte {
	object = bytes.TrimSpace(object)
	if len(object) < 2 {
		return nil
	}
	return bytes.TrimSpace(object[1 : len(object)-1])
}

func appendField(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return AppendQuoted(dst, value)
}

func appendFlag(dst []byte, name string, value bool) []byte {
	if !value {
		return dst
	}
	return appendRaw(dst, name, []byte("true"))
}

func appendRaw(dst []byte, name string, value []byte) []byte {
	if len(value) == 0 {
		return dst
	}
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return append(dst, value...)
}

// appendTime writes µs as RFC 3339: to the ms, if no more is there.
func appendTime(dst []byte, name string, us int64) []byte {
	if us == 0 {
		return dst
	}
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':', '"')
	layout := "2006-01-02T15:04:05.000Z"
	if us%1000 != 0 {
		layout = "2006-01-02T15:04:05.000000Z"
	}
	dst = time.UnixMicro(us).UTC().AppendFormat(dst, layout)
	return append(dst, '"')
}

const hexDigits = "0123456789abcdef"

// AppendQuoted writes a JSON string. Bytes that are not UTF-8 become U+FFFD.
func AppendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for len(s) > 0 {
		n := 0
		for n < len(s) && s[n] >= 0x20 && s[n] < utf8.RuneSelf && s[n] != '"' && s[n] != '\\' {
			n++
		}
		dst = append(dst, s[:n]...)
		if s = s[n:]; len(s) == 0 {
			break
		}
		c := s[0]
		switch {
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRuneInString(s)
			dst = utf8.AppendRune(dst, r)
			s = s[size:]
			continue
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		s = s[1:]
	}
	return append(dst, '"')
}

// ParseJSON reads the form that AppendJSON writes, and what else the Segment
// spec allows: unknown keys are passed over, times are RFC 3339 or ms since the
// epoch. The type may be absent (track), and so may event where the type gives
// the name. The strings and bytes of e may alias b.
func ParseJSON(b []byte, e *Event) error {
	var r Reader
	var st Stated
	r.Reset(b)
	refusal := r.Event(e, &st)
	if err := r.Scan.End(); err != nil {
		return fmt.Errorf("event: %w", err)
	}
	if refusal != "" {
		return fmt.Errorf("event: %w", refusal)
	}
	if e.Name == "" {
		return fmt.Errorf("event: %w", RefusedNoName)
	}
	return nil
}
