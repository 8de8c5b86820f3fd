package ask

import (
	"fmt"
	"strings"

	"heed/internal/condition"
	"heed/internal/measure"
)

// Promoted is a property with a column of its own. Where that is null, the column
// RestOf the property is the JSON that may still say something, or null too: the
// event has no such property.
type Promoted struct {
	Column string
	Type   ColumnType
}

// ColumnType is what a property's column holds.
type ColumnType uint8

// The types.
const (
	ColumnText ColumnType = iota // not empty, and without what JSON would write otherwise
	ColumnNumber
	ColumnFlag
)

// RestOf is the column with the JSON of those events of which a property's column
// does not say all.
func RestOf(key string) string { return `"rest.` + key + `"` }

// propertyOf is the key of a field that is a member of the properties themselves,
// or "".
func propertyOf(field string) string {
	key, ok := strings.CutPrefix(strings.TrimPrefix(field, "event."), "properties.")
	if !ok || strings.ContainsAny(key, ".[]") {
		return ""
	}
	return key
}

// promotedOf tells of the properties among fields; nil if one of them has no column:
// then the JSON is read anyway.
func (a *asking) promotedOf(fields []string) map[string]Promoted {
	out := map[string]Promoted{}
	for _, f := range fields {
		if key := propertyOf(f); key != "" {
			p, ok := a.db.Promoted(key)
			if !ok {
				return nil
			}
			out[key] = p
		} else if column, _, err := argument(f); err == nil && column == "properties" {
			return nil
		}
	}
	return out
}

// text is the text of the column as condition.Field has it. What fits into a column
// of numbers is written so that the engine's text of it is the shortest, too.
func (p Promoted) text() string {
	switch p.Type {
	case ColumnNumber:
		return fmt.Sprintf("CASE WHEN %[1]s = trunc(%[1]s) THEN %[1]s::BIGINT::VARCHAR ELSE %[1]s::VARCHAR END", p.Column)
	case ColumnFlag:
		return p.Column + "::VARCHAR"
	case ColumnText:
	}
	return p.Column
}

// member puts a property back into JSON.
func (p Promoted) member(key string) func(*scratch, string) {
	return func(s *scratch, v string) {
		s.event.Properties = nil
		if v == "" {
			return
		}
		if len(s.doc) == 0 {
			s.doc = append(s.doc, '{')
		} else {
			s.doc = append(s.doc, ',')
		}
		s.doc = append(append(append(s.doc, '"'), key...), '"', ':')
		if p.Type != ColumnText {
			s.doc = append(s.doc, v...)
			return
		}
		s.doc = append(append(append(s.doc, '"'), v...), '"')
	}
}

// promotedText is the text of a property that has a column: only what that does not
// say is read from JSON.
func (a *asking) promotedText(key string, p Promoted) (string, error) {
	field, err := condition.CompileField("properties." + key)
	if err != nil {
		return "", err
	}
	text := &fieldText{field: field, set: []func(*scratch, string){func(s *scratch, v string) { s.event.Properties = []byte(v) }}}
	n := a.db.Call(&Call{Begin: newScratch, Text: func(state any, args []string) (string, bool) {
		v := text.of(state.(*scratch), args)
		if v == nil {
			return "", false
		}
		return *v, true
	}})
	rest := RestOf(key)
	return fmt.Sprintf("coalesce(%s, CASE WHEN %s IS NOT NULL THEN %s(%d, %s) END)", p.text(), rest, TextFunction, n, rest), nil
}

// promotedValue is value of a property that has a column.
func (a *asking) promotedValue(key string, p Promoted, d *measure.Dimension) (string, error) {
	text, err := a.promotedText(key, p)
	if err != nil || d.Buckets == nil {
		return text, err
	}
	n := a.db.Call(&Call{Text: func(_ any, args []string) (string, bool) {
		if args[0] == "" {
			return "", false
		}
		v := d.Bucket(&args[0])
		if v == nil {
			return "", false
		}
		return *v, true
	}})
	return fmt.Sprintf("%s(%d, %s)", TextFunction, n, text), nil
}

// promotedAmount is amount of a property that has a column.
func (a *asking) promotedAmount(key string, p Promoted) (string, error) {
	text, err := a.promotedText(key, p)
	if err != nil {
		return "", err
	}
	n := a.db.Call(&Call{Number: func(_ any, args []string) float64 { return measure.Amount(args[0]) }})
	amount := fmt.Sprintf("%s(%d, %s)", NumberFunction, n, text)
	if p.Type == ColumnNumber {
		return fmt.Sprintf("coalesce(%s, %s)", p.Column, amount), nil
	}
	return amount, nil
}
