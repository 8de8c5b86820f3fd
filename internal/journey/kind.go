package journey

import (
	"encoding/json"
	"fmt"
	"strings"

	"heed/internal/condition"
	"heed/internal/event"
	"heed/internal/profile"
)

// kind is an event name together with a combination of promoted values. What a
// query asks of events is asked once per kind.
type kind struct {
	key    string // of byKind
	name   uint32
	counts bool // as activity
	coarse bool // its promoted values are not known
	sample event.Event
}

// field is a promoted field: how to copy it from an event into a sample.
type field struct {
	name string
	path []string // into properties
	copy func(to, from *event.Event) string
}

func newField(name string) (field, error) {
	f := field{name: name}
	if rest, ok := strings.CutPrefix(name, "properties."); ok {
		if strings.ContainsAny(rest, "[].") || rest == "" {
			return f, fmt.Errorf("journey: promote %q: only a key of properties itself can be promoted", name)
		}
		f.path = []string{rest}
		return f, nil
	}
	switch name {
	case "event.source":
		f.copy = func(to, from *event.Event) string { to.Source = strings.Clone(from.Source); return to.Source }
	case "context.device":
		f.copy = func(to, from *event.Event) string {
			to.Context.Device = strings.Clone(from.Context.Device)
			return to.Context.Device
		}
	case "context.os":
		f.copy = func(to, from *event.Event) string {
			to.Context.OS = strings.Clone(from.Context.OS)
			return to.Context.OS
		}
	case "context.browser":
		f.copy = func(to, from *event.Event) string {
			to.Context.Browser = strings.Clone(from.Context.Browser)
			return to.Context.Browser
		}
	case "context.country":
		f.copy = func(to, from *event.Event) string {
			to.Context.Country = strings.Clone(from.Context.Country)
			return to.Context.Country
		}
	case "context.campaign.source":
		f.copy = func(to, from *event.Event) string {
			to.Context.Campaign.Source = strings.Clone(from.Context.Campaign.Source)
			return to.Context.Campaign.Source
		}
	default:
		return f, fmt.Errorf("journey: promote %q: write properties.<key>, event.source, context.device, context.os, context.browser, context.country or context.campaign.source", name)
	}
	return f, nil
}

// value is the field's value in an event, put into the sample, as bytes of a key.
func (f *field) value(to, from *event.Event, props map[string]json.RawMessage) string {
	if f.copy != nil {
		return f.copy(to, from)
	}
	raw, ok := props[f.path[0]]
	if !ok || len(raw) > 256 || raw[0] == '{' || raw[0] == '[' {
		// What is no short scalar is kept as such: it is not known.
		if ok && string(raw) != "null" {
			return "\xff"
		}
		return ""
	}
	object := map[string]json.RawMessage{}
	if to.Properties != nil {
		_ = json.Unmarshal(to.Properties, &object) // we wrote it
	}
	object[f.path[0]] = raw
	to.Properties, _ = json.Marshal(object) // it was read a moment ago
	return string(raw)
}

// kindOf is the code of an event's kind, which may be new; 0: there is no room.
func (x *Index) kindOf(e *event.Event) uint16 {
	key := e.Name
	counts := profile.Counts(e)
	k := kind{counts: counts}
	if len(x.fields) > 0 && !x.coarse {
		var b strings.Builder
		b.WriteString(e.Name)
		var props map[string]json.RawMessage
		for i := range x.fields {
			f := &x.fields[i]
			if f.path != nil && props == nil && len(e.Properties) > 0 {
				if json.Unmarshal(e.Properties, &props) != nil {
					props = map[string]json.RawMessage{}
				}
			}
			b.WriteByte(0)
			v := f.value(&k.sample, e, props)
			k.coarse = k.coarse || v == "\xff"
			b.WriteString(v)
		}
		key = b.String()
	}
	if code, ok := x.byKind[key]; ok {
		return code
	}
	switch {
	case x.coarse:
		// Every later name is a kind by itself, of which nothing but the name is
		// known.
		key = "\xff" + e.Name
		if code, ok := x.byKind[key]; ok {
			return code
		}
		k.sample, k.coarse = event.Event{}, true
	case len(x.fields) > 0 && len(x.kinds) >= maxKinds*3/4:
		x.coarse = true
		return x.kindOf(e)
	}
	if len(x.kinds) > maxKinds {
		x.lost = true
		return 0
	}
	k.name = x.names.put(e.Name)
	k.sample.Name = x.names.texts[k.name]
	if len(x.kinds) == 0 {
		x.kinds = append(x.kinds, kind{}) // code 0 is none
	}
	code := uint16(len(x.kinds))
	k.key = strings.Clone(key)
	x.kinds = append(x.kinds, k)
	x.byKind[k.key] = code
	return code
}

// knows tells whether a field can be asked of kinds.
func (x *Index) knows(name string) bool {
	if name == "event.event" || name == "event.name" {
		return true
	}
	for i := range x.fields {
		if x.fields[i].name == name || "event."+x.fields[i].name == name && x.fields[i].path != nil {
			return true
		}
	}
	return false
}

func onlyName(c condition.Condition) bool {
	for _, f := range condition.Fields(c) {
		if f != "event.event" && f != "event.name" {
			return false
		}
	}
	return true
}
