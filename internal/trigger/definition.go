// Package trigger owns what a trigger means: its definition, its compilation,
// and the engine that keeps one small row per (user, trigger[, key]) and
// advances it with each event and timer. It is pure: time is passed in, state
// goes in and out as values.
//
// It does not own where rows are stored or when timers are looked at (decider,
// replay).
package trigger

import (
	"heed/internal/condition"
	"heed/internal/period"
)

// Definition is a trigger as people write it.
type Definition struct {
	Name        string        `yaml:"name" json:"name"`
	Description string        `yaml:"description,omitempty" json:"description,omitempty"`
	Pattern     []Step        `yaml:"pattern" json:"pattern"`
	Within      period.Period `yaml:"within,omitempty" json:"within,omitempty"`
	Scope       []string      `yaml:"scope,omitempty" json:"scope,omitempty"`
	Reset       []string      `yaml:"reset,omitempty" json:"reset,omitempty"`
	By          *By           `yaml:"by,omitempty" json:"by,omitempty"`
	Increasing  bool          `yaml:"increasing,omitempty" json:"increasing,omitempty"`
	Order       string        `yaml:"order,omitempty" json:"order,omitempty"` // arrival (default) | event
	Lateness    period.Period `yaml:"lateness,omitempty" json:"lateness,omitempty"`
	Overlap     bool          `yaml:"overlap,omitempty" json:"overlap,omitempty"`
	Delay       period.Period `yaml:"delay,omitempty" json:"delay,omitempty"`
	Cancel      []string      `yaml:"cancel,omitempty" json:"cancel,omitempty"`
	Reentry     *Reentry      `yaml:"reentry,omitempty" json:"reentry,omitempty"`
	Limit       *Limit        `yaml:"limit,omitempty" json:"limit,omitempty"`
	MaxAge      period.Period `yaml:"max_age,omitempty" json:"max_age,omitempty"`     // default 15m
	MaxStale    period.Period `yaml:"max_stale,omitempty" json:"max_stale,omitempty"` // default 1h
	Audience    string        `yaml:"audience,omitempty" json:"audience,omitempty"`
	Hold        bool          `yaml:"hold,omitempty" json:"hold,omitempty"`
}

// Step is one step of a pattern: an event, several events in any order, or as
// the last one an absence or a silence.
type Step struct {
	Event       string               `yaml:"event,omitempty" json:"event,omitempty"`
	All         []Element            `yaml:"all,omitempty" json:"all,omitempty"`           // one event each, in any order
	Distinct    string               `yaml:"distinct,omitempty" json:"distinct,omitempty"` // field: times different values of it
	Where       *condition.Condition `yaml:"where,omitempty" json:"where,omitempty"`
	Times       int                  `yaml:"times,omitempty" json:"times,omitempty"`
	Consecutive bool                 `yaml:"consecutive,omitempty" json:"consecutive,omitempty"`
	Strict      bool                 `yaml:"strict,omitempty" json:"strict,omitempty"`
	Without     []string             `yaml:"without,omitempty" json:"without,omitempty"`
	Gap         period.Period        `yaml:"gap,omitempty" json:"gap,omitempty"`

	Absent string        `yaml:"absent,omitempty" json:"absent,omitempty"`
	For    period.Period `yaml:"for,omitempty" json:"for,omitempty"`
	Anchor string        `yaml:"anchor,omitempty" json:"anchor,omitempty"` // first (default) | last
	Idle   period.Period `yaml:"idle,omitempty" json:"idle,omitempty"`
}

// Element is one of the events of an all step. Without a condition it is written
// as its name alone.
type Element struct {
	Event string
	Where *condition.Condition
}

// By correlates steps on the equality of a property: one row per value. Field
// serves every event; PerEvent, where set, names the field of each event.
// A field may reach into an array ("properties.products[].product_id").
type By struct {
	Field    string
	PerEvent map[string]string
}

// Reentry says whether a user may fire again.
type Reentry struct {
	Once     bool          // never again
	Cooldown period.Period // free again at exactly + Cooldown; 0: every time
}

// Limit is a rolling limit on firings per user.
type Limit struct {
	Count int           `yaml:"count" json:"count"`
	Per   period.Period `yaml:"per" json:"per"`
}
