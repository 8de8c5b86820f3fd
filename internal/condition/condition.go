// Package condition owns the condition tree: what it may say, how it is
// checked, and how it is compiled to a closure over an event and a profile.
// (The same tree compiles to SQL for audiences; that dialect lives with the
// facts.) It does no I/O.
package condition

// Condition is one node of a tree: either a comparison (Field, Op, Value), or
// exactly one of All, Any, Not. The zero Condition holds always.
type Condition struct {
	Field string `yaml:"field,omitempty" json:"field,omitempty"` // event.*, properties.*, context.*, traits.*, pull.<collection>.*
	Op    Op     `yaml:"op,omitempty" json:"op,omitempty"`
	Value any    `yaml:"value,omitempty" json:"value,omitempty"` // string, number, bool, or a list of them for in and nin

	All []Condition `yaml:"all,omitempty" json:"all,omitempty"`
	Any []Condition `yaml:"any,omitempty" json:"any,omitempty"`
	Not *Condition  `yaml:"not,omitempty" json:"not,omitempty"`
}

// Op is a comparison.
type Op string

// The comparisons. Values are compared as typed, never by text.
const (
	Eq         Op = "eq"
	Ne         Op = "ne"
	Gt         Op = "gt"
	Gte        Op = "gte"
	Lt         Op = "lt"
	Lte        Op = "lte"
	In         Op = "in"
	Nin        Op = "nin"
	Contains   Op = "contains"
	StartsWith Op = "starts_with"
	EndsWith   Op = "ends_with"
	Matches    Op = "matches"
	Exists     Op = "exists"
	Missing    Op = "missing"
)
