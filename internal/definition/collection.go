package definition

import (
	"fmt"
	"time"

	"heed/internal/period"
)

// Collection is a collection of the pull store: documents about users that are
// read at the moment of a decision, as pull.<name>.<field>.
type Collection struct {
	Name        string `yaml:"name" json:"name"`
	Description string `yaml:"description,omitempty" json:"description,omitempty"`
	// Key is what documents are kept by: the user's id, so far.
	Key string `yaml:"key,omitempty" json:"key,omitempty"`
	// Fields are those that a document may have; none: any.
	Fields map[string]FieldType `yaml:"fields,omitempty" json:"fields,omitempty"`
	// TTL is how long a document is worth reading; 0: until it is replaced.
	TTL period.Period `yaml:"ttl,omitempty" json:"ttl,omitempty"`
}

// KeyUser is the id of the user, also if Key is empty.
const KeyUser = "user"

// FieldType is what a field of a document holds.
type FieldType string

// The types. Null is a value of each.
const (
	FieldText    FieldType = "text"
	FieldNumber  FieldType = "number"
	FieldBoolean FieldType = "boolean"
	FieldTime    FieldType = "time" // a text as RFC 3339 has it, or a date
	FieldList    FieldType = "list"
	FieldObject  FieldType = "object"
)

func fieldTypes() []FieldType {
	return []FieldType{FieldText, FieldNumber, FieldBoolean, FieldTime, FieldList, FieldObject}
}

// Holds tells whether a valid JSON value is of the type.
func (t FieldType) Holds(value []byte) bool {
	if len(value) == 0 {
		return false
	}
	switch value[0] {
	case 'n':
		return true
	case '"':
		return t == FieldText || t == FieldTime && isTime(string(value[1:len(value)-1]))
	case '{':
		return t == FieldObject
	case '[':
		return t == FieldList
	case 't', 'f':
		return t == FieldBoolean
	default:
		return t == FieldNumber
	}
}

func isTime(s string) bool {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}

// maxFields bounds what a collection declares.
const maxFields = 256

func (c *checker) collection(k *Collection) {
	if k.Key != "" && k.Key != KeyUser {
		c.fail("key", "user", "%q is nothing that documents can be kept by", k.Key)
	}
	if len(k.Fields) > maxFields {
		c.fail("fields", "", "are %d, at most %d are allowed", len(k.Fields), maxFields)
	}
	for name, typ := range k.Fields {
		known := false
		for _, t := range fieldTypes() {
			known = known || t == typ
		}
		if !known {
			c.fail("fields."+name, "text, number, boolean, time, list or object", "%q is not a type", typ)
		}
	}
	if k.TTL < 0 {
		c.fail("ttl", fmt.Sprintf("ttl: %s", period.Period(30*24*time.Hour)), "is negative")
	}
}
