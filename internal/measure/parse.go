package measure

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"heed/internal/condition"
)

// Error says what is wrong where in a query, an audience or a dimension.
type Error struct {
	Path    string // such as funnel.steps[1].where; empty for the whole
	Message string
}

// Error is "path: message".
func (e *Error) Error() string {
	if e.Path == "" {
		return e.Message
	}
	return e.Path + ": " + e.Message
}

func wrong(path, format string, args ...any) error {
	return &Error{Path: path, Message: fmt.Sprintf(format, args...)}
}

// Limits on what is parsed.
const (
	// MaxBytes bounds a query as JSON.
	MaxBytes = 256 << 10
	maxDepth = 64
)

// Parse reads a query as JSON, strictly: unknown, doubled or differently cased
// keys are refused, and so is what Check refuses. Its error is an *Error.
func Parse(data []byte) (*Query, error) {
	q := &Query{}
	if err := decode(data, q); err != nil {
		return nil, err
	}
	if err := Check(q); err != nil {
		return nil, err
	}
	return q, nil
}

// ParseAudience reads an audience's tree like Parse.
func ParseAudience(data []byte) (*Audience, error) {
	a := &Audience{}
	if err := decode(data, a); err != nil {
		return nil, err
	}
	if err := CheckAudience(a); err != nil {
		return nil, err
	}
	return a, nil
}

// ParseUsers reads an audience's tree, with zone and weekStart beside it as in a
// definition, as the query for its users.
func ParseUsers(data []byte) (*Query, error) {
	var in struct {
		Zone      string `json:"zone"`
		WeekStart string `json:"weekStart"`
		Audience
	}
	if err := decode(data, &in); err != nil {
		return nil, err
	}
	if err := CheckAudience(&in.Audience); err != nil {
		return nil, err
	}
	q := &Query{Zone: in.Zone, WeekStart: in.WeekStart, Audience: &in.Audience, Users: &Users{}}
	if err := Check(q); err != nil {
		return nil, err
	}
	return q, nil
}

func decode(data []byte, into any) error {
	if len(data) > MaxBytes {
		return wrong("", "is longer than %d bytes", MaxBytes)
	}
	known := map[string]bool{}
	collectKeys(reflect.TypeOf(into), known, map[reflect.Type]bool{})
	if err := scanKeys(data, known); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			return wrong(te.Field, "is %s, not %s", te.Value, friendly(te.Type))
		}
		return wrong("", "%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

func friendly(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct, reflect.Pointer, reflect.Map:
		return "an object"
	case reflect.Slice:
		return "a list"
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	default:
		return "a whole number"
	}
}

// collectKeys gathers every key that may appear.
func collectKeys(t reflect.Type, into map[string]bool, seen map[reflect.Type]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || seen[t] {
		return
	}
	seen[t] = true
	for f := range t.Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			into[name] = true
		}
		collectKeys(f.Type, into, seen)
	}
}

// scanKeys refuses what encoding/json would let pass: doubled keys, keys in
// another case, deep nesting, and anything behind the value.
func scanKeys(data []byte, known map[string]bool) error {
	type level struct {
		object bool
		key    bool // a key comes next
		seen   []string
	}
	var open []level
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			if len(open) > 0 || len(data) == 0 {
				return wrong("", "is cut off")
			}
			return nil
		}
		if err != nil {
			return wrong("", "is not JSON: %v", err)
		}
		if top := len(open) - 1; top >= 0 && open[top].object && open[top].key {
			if key, ok := tok.(string); ok {
				if !known[key] {
					return wrong("", "%q is unknown", key)
				}
				if slices.Contains(open[top].seen, key) {
					return wrong("", "%q is there twice", key)
				}
				open[top].seen = append(open[top].seen, key)
				open[top].key = false
				continue
			}
		}
		switch tok {
		case json.Delim('{'), json.Delim('['):
			if len(open) == maxDepth {
				return wrong("", "is nested deeper than %d levels", maxDepth)
			}
			open = append(open, level{object: tok == json.Delim('{'), key: true})
			continue
		case json.Delim('}'), json.Delim(']'):
			open = open[:len(open)-1]
		}
		if top := len(open) - 1; top >= 0 {
			open[top].key = true
		} else if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return wrong("", "has something behind its end")
		} else {
			return nil
		}
	}
}

// at puts an error below a path.
func at(path string, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	var c *condition.Error
	switch {
	case errors.As(err, &e):
		return &Error{Path: joinPath(path, e.Path), Message: e.Message}
	case errors.As(err, &c):
		return &Error{Path: joinPath(path, c.Path), Message: c.Message}
	}
	return &Error{Path: path, Message: err.Error()}
}

func joinPath(a, b string) string {
	if a == "" || b == "" || strings.HasPrefix(b, "[") {
		return a + b
	}
	return a + "." + b
}
