package journey

import (
	"encoding/json"
	"fmt"
	"slices"
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

// field is a promoted field: a key of the properties, or where else an event has
// it.
type field struct {
	name string
	key  string
	of   func(e *event.Event) *string
}

func newField(name string) (field, error) {
	f := field{name: name}
	if rest, ok := strings.CutPrefix(name, "properties."); ok {
		if strings.ContainsAny(rest, "[].") || rest == "" {
			return f, fmt.Errorf("journey: promote %q: only a key of properties itself can be promoted", name)
		}
		f.key = rest
		return f, nil
	}
	switch name {
	case "event.source":
		f.of = func(e *event.Event) *string { return &e.Source }
	case "context.device":
		f.of = func(e *event.Event) *string { return &e.Context.Device }
	case "context.os":
		f.of = func(e *event.Event) *string { return &e.Context.OS }
	case "context.browser":
		f.of = func(e *event.Event) *string { return &e.Context.Browser }
	case "context.country":
		f.of = func(e *event.Event) *string { return &e.Context.Country }
	case "context.campaign.source":
		f.of = func(e *event.Event) *string { return &e.Context.Campaign.Source }
	default:
		return f, fmt.Errorf("journey: promote %q: write properties.<key>, event.source, context.device, context.os, context.browser, context.country or context.campaign.source", name)
	}
	return f, nil
}

// unknown stands for a value that is no short scalar: the index does not keep it.
const unknown = "\xff"

// properties reads those of an event, if a promoted field is one of them.
func (x *Index) properties(e *event.Event) map[string]json.RawMessage {
	if len(e.Properties) == 0 || !slices.ContainsFunc(x.fields, func(f field) bool { return f.key != "" }) {
		return nil
	}
	var props map[string]json.RawMessage
	if json.Unmarshal(e.Properties, &props) != nil {
		return nil
	}
	return props
}

// value is the field's value in an event, as bytes of a key.
func (f *field) value(e *event.Event, props map[string]json.RawMessage) string {
	if f.of != nil {
		return *f.of(e)
	}
	raw, ok := props[f.key]
	switch {
	case !ok || string(raw) == "null":
		return ""
	case len(raw) > 256 || raw[0] == '{' || raw[0] == '[':
		return unknown
	}
	return string(raw)
}

// kindOf is the code of an event's kind, which may be new; 0: there is no room.
// Nearly every event's kind is known, so looking for it makes nothing.
func (x *Index) kindOf(e *event.Event) uint16 {
	if x.coarse {
		// Every later name is a kind by itself, of which nothing but the name is
		// known.
		x.key = append(append(x.key[:0], unknown...), e.Name...)
		if code, ok := x.byKind[string(x.key)]; ok {
			return code
		}
		return x.newKind(e, kind{coarse: true})
	}
	x.key = append(x.key[:0], e.Name...)
	props := x.properties(e)
	for i := range x.fields {
		x.key = append(append(x.key, 0), x.fields[i].value(e, props)...)
	}
	if code, ok := x.byKind[string(x.key)]; ok {
		return code
	}
	if len(x.fields) > 0 && len(x.kinds) >= maxKinds*3/4 {
		x.coarse = true
		return x.kindOf(e)
	}
	return x.newKind(e, x.sampleOf(e, props))
}

// sampleOf is a kind with the promoted values of an event.
func (x *Index) sampleOf(e *event.Event, props map[string]json.RawMessage) (k kind) {
	object := map[string]json.RawMessage{}
	for i := range x.fields {
		f := &x.fields[i]
		switch v := f.value(e, props); {
		case v == unknown:
			k.coarse = true
		case f.of != nil:
			*f.of(&k.sample) = strings.Clone(v)
		case v != "":
			object[f.key] = json.RawMessage(v)
		}
	}
	if len(object) > 0 {
		k.sample.Properties, _ = json.Marshal(object) // it was read a moment ago
	}
	return k
}

// newKind is the code of a kind that is not known yet, of key x.key.
func (x *Index) newKind(e *event.Event, k kind) uint16 {
	if len(x.kinds) > maxKinds {
		x.lost = true
		return 0
	}
	k.key, k.counts, k.name = string(x.key), profile.Counts(e), x.names.put(e.Name)
	k.sample.Name = x.names.texts[k.name]
	if len(x.kinds) == 0 {
		x.kinds = append(x.kinds, kind{}) // code 0 is none
	}
	code := uint16(len(x.kinds))
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
		if x.fields[i].name == name || "event."+x.fields[i].name == name && x.fields[i].key != "" {
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
