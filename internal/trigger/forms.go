package trigger

import (
	"encoding/json"
	"errors"
	"fmt"

	"heed/internal/condition"
	"heed/internal/period"
)

// Element, By and Reentry are written in a short and a long form; these methods
// read and write both, in YAML and JSON alike.

type longElement struct {
	Event string               `yaml:"event" json:"event"`
	Where *condition.Condition `yaml:"where,omitempty" json:"where,omitempty"`
}

// UnmarshalYAML reads "view" or {event: view, where: ...}.
func (e *Element) UnmarshalYAML(unmarshal func(any) error) error {
	var name string
	if unmarshal(&name) == nil {
		*e = Element{Event: name}
		return nil
	}
	var long longElement
	if err := unmarshal(&long); err != nil {
		return fmt.Errorf("write an event or {event: view, where: ...}: %w", err)
	}
	*e = Element(long)
	return nil
}

// MarshalYAML writes the form that UnmarshalYAML reads.
func (e Element) MarshalYAML() (any, error) {
	if e.Where == nil {
		return e.Event, nil
	}
	return longElement(e), nil
}

// UnmarshalJSON is UnmarshalYAML for JSON.
func (e *Element) UnmarshalJSON(data []byte) error {
	return e.UnmarshalYAML(func(v any) error { return json.Unmarshal(data, v) })
}

// MarshalJSON is MarshalYAML for JSON.
func (e Element) MarshalJSON() ([]byte, error) {
	v, _ := e.MarshalYAML()
	return json.Marshal(v)
}

// UnmarshalYAML reads "properties.id" or {event: field, ...}.
func (b *By) UnmarshalYAML(unmarshal func(any) error) error {
	var field string
	if unmarshal(&field) == nil {
		*b = By{Field: field}
		return nil
	}
	var per map[string]string
	if err := unmarshal(&per); err != nil {
		return errors.New(`write a field ("properties.product_id") or a map from event to field`)
	}
	*b = By{PerEvent: per}
	return nil
}

// MarshalYAML writes the form that UnmarshalYAML reads.
func (b By) MarshalYAML() (any, error) {
	if b.PerEvent != nil {
		return b.PerEvent, nil
	}
	return b.Field, nil
}

// UnmarshalJSON is UnmarshalYAML for JSON.
func (b *By) UnmarshalJSON(data []byte) error {
	return b.UnmarshalYAML(func(v any) error { return json.Unmarshal(data, v) })
}

// MarshalJSON is MarshalYAML for JSON.
func (b By) MarshalJSON() ([]byte, error) {
	v, _ := b.MarshalYAML()
	return json.Marshal(v)
}

type longReentry struct {
	Cooldown period.Period `yaml:"cooldown" json:"cooldown"`
}

// UnmarshalYAML reads every, once or {cooldown: 24h}.
func (r *Reentry) UnmarshalYAML(unmarshal func(any) error) error {
	var word string
	if unmarshal(&word) == nil {
		switch word {
		case "every":
			*r = Reentry{}
		case "once":
			*r = Reentry{Once: true}
		default:
			return fmt.Errorf("%q: write every, once or {cooldown: 24h}", word)
		}
		return nil
	}
	var long longReentry
	if err := unmarshal(&long); err != nil || long.Cooldown <= 0 {
		return errors.New("write every, once or {cooldown: 24h}")
	}
	*r = Reentry{Cooldown: long.Cooldown}
	return nil
}

// MarshalYAML writes the form that UnmarshalYAML reads.
func (r Reentry) MarshalYAML() (any, error) {
	switch {
	case r.Once:
		return "once", nil
	case r.Cooldown > 0:
		return longReentry{r.Cooldown}, nil
	default:
		return "every", nil
	}
}

// UnmarshalJSON is UnmarshalYAML for JSON.
func (r *Reentry) UnmarshalJSON(data []byte) error {
	return r.UnmarshalYAML(func(v any) error { return json.Unmarshal(data, v) })
}

// MarshalJSON is MarshalYAML for JSON.
func (r Reentry) MarshalJSON() ([]byte, error) {
	v, _ := r.MarshalYAML()
	return json.Marshal(v)
}
