package analytics

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"heed/internal/console/api"
	"heed/internal/event"
)

// Bounds of what is remembered of the fields of events. An event's first few
// are read, then a sample of those that are shown.
const (
	learnFirst     = 32
	learnEvery     = 16
	fieldsPerName  = 64
	fieldsInAll    = 20_000
	fieldDepth     = 4
	valuesPerField = 5
	valueBytes     = 60
)

// fields are what events carried, by name.
type fields struct {
	mu     sync.Mutex
	byName map[string]map[string]*api.EventField
	all    int
}

// learns tells whether the fields of this event are worth a look.
func (t *tally) learns(shown bool) bool {
	return t.count <= learnFirst || shown && t.count%learnEvery == 0
}

// add remembers what the event carries.
func (f *fields) add(e *event.Event) {
	if len(e.Properties) == 0 && len(e.Traits) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	known := f.byName[e.Name]
	if known == nil {
		known = map[string]*api.EventField{}
		f.byName[strings.Clone(e.Name)] = known
	}
	f.object(known, "properties", e.Properties)
	f.object(known, "event.traits", e.Traits)
}

func (f *fields) object(known map[string]*api.EventField, path string, text []byte) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v map[string]any
	if len(text) > 0 && d.Decode(&v) == nil { // it was read when it arrived
		f.inside(known, path, v, 1)
	}
}

func (f *fields) inside(known map[string]*api.EventField, path string, v map[string]any, depth int) {
	for key, value := range v {
		if key != "" && !strings.ContainsAny(key, ".[]") { // others cannot be named in a condition
			f.value(known, path+"."+key, value, depth)
		}
	}
}

func (f *fields) value(known map[string]*api.EventField, path string, v any, depth int) {
	var kind api.EventFieldTypes
	switch v := v.(type) {
	case map[string]any:
		if depth < fieldDepth {
			f.inside(known, path, v, depth+1)
		}
		return
	case []any:
		if depth < fieldDepth {
			for _, each := range v[:min(len(v), valuesPerField)] {
				f.value(known, path+"[]", each, depth+1)
			}
		}
		return
	case json.Number:
		kind = api.FieldNumber
	case bool:
		kind = api.FieldBoolean
	case string:
		kind = api.FieldText
		if _, err := time.Parse(time.RFC3339, v); err == nil {
			kind = api.FieldTime
		}
	default: // null: it says nothing about the field
		return
	}
	field := known[path]
	if field == nil {
		if len(known) >= fieldsPerName || f.all >= fieldsInAll {
			return
		}
		f.all++
		field = &api.EventField{Field: path, Values: []api.AnyJSON{}}
		known[path] = field
	}
	if !slices.Contains(field.Types, kind) {
		field.Types = append(field.Types, kind)
	}
	if len(field.Values) == valuesPerField || kind == api.FieldTime {
		return
	}
	text, err := json.Marshal(v)
	same := func(have api.AnyJSON) bool { return bytes.Equal(have, text) }
	if err == nil && len(text) <= valueBytes && !slices.ContainsFunc(field.Values, same) {
		field.Values = append(field.Values, text)
	}
}

// Fields lists what events of a name carried since the start, by field.
func (a *Analytics) Fields(name string) []api.EventField {
	f := &a.fields
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]api.EventField, 0, len(f.byName[name]))
	for _, field := range f.byName[name] {
		out = append(out, api.EventField{Field: field.Field, Types: slices.Clone(field.Types), Values: slices.Clone(field.Values)})
	}
	slices.SortFunc(out, func(x, y api.EventField) int { return cmp.Compare(x.Field, y.Field) })
	return out
}
