package audiences

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"heed/internal/definition"
	"heed/internal/journey"
	"heed/internal/measure"
)

// kind says how the members of an audience come about.
type kind string

const (
	byProfile  kind = "profile"
	byBehavior kind = "behavior"
	frozen     kind = "frozen"
)

func kindOf(a *definition.Audience) kind {
	if a.Frozen != "" {
		return frozen
	}
	if _, err := a.Program(); errors.Is(err, definition.ErrBehavior) {
		return byBehavior
	}
	return byProfile
}

// symbols stand a frozen audience's definition in for its members.
type symbols struct{ *definition.Set }

func (s symbols) AudienceNamed(name string) (*measure.Audience, error) {
	a := s.Audiences[name]
	if a == nil || a.Frozen == "" {
		return s.Set.AudienceNamed(name)
	}
	text, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("write audience %q: %w", name, err)
	}
	return &measure.Audience{Users: []string{string(text)}}, nil
}

// meaning is the tree of an audience with those that it names in their places,
// and a print of it: audiences of the same print have the same members.
func meaning(set *definition.Set, name string) (tree *measure.Audience, print string, err error) {
	q, err := measure.Resolve(set.Audiences[name].Query(), symbols{set})
	if err != nil {
		return nil, "", err
	}
	text, err := json.Marshal(q)
	if err != nil {
		return nil, "", fmt.Errorf("write audience %q: %w", name, err)
	}
	sum := sha256.Sum256(text)
	return q.Audience, hex.EncodeToString(sum[:16]), nil
}

// reads gathers what who is in a tree depends on, apart from time.
func reads(a *measure.Audience, into *journey.Reads) {
	match := func(m measure.Match) {
		if m.Event == "" {
			into.All = true
		} else if !slices.Contains(into.Names, m.Event) {
			into.Names = append(into.Names, m.Event)
		}
	}
	for i := range a.All {
		reads(&a.All[i], into)
	}
	for i := range a.Any {
		reads(&a.Any[i], into)
	}
	switch {
	case a.All != nil, a.Any != nil:
	case a.Did != nil:
		match(a.Did.Match())
		if least, _ := a.Did.Bounds(); least < 1 {
			into.People = true
		}
	case a.Is != nil:
		into.People = true
		d := &a.Is.Dimension
		for _, b := range []*measure.Behavior{d.Days, d.Events, d.Recency, d.Sum} {
			if b != nil {
				match(b.Match())
			}
		}
	case a.Funnel != nil:
		f := &a.Funnel.Funnel
		into.All = into.All || f.Strict
		for i := range f.Steps {
			match(f.Steps[i].Match())
			for _, m := range f.Steps[i].Without {
				match(m)
			}
		}
	case a.Retention != nil:
		match(a.Retention.Retention.First)
		match(a.Retention.Retention.Return)
	case a.Path != nil, a.Session != nil:
		into.All = true
	default:
		into.People = true
		if a.Not != nil {
			reads(a.Not, into)
		}
	}
}

// timed tells whether users may come into a tree, or go, without an event.
func timed(a *measure.Audience) bool {
	for i := range a.All {
		if timed(&a.All[i]) {
			return true
		}
	}
	for i := range a.Any {
		if timed(&a.Any[i]) {
			return true
		}
	}
	switch {
	case a.Not != nil:
		return timed(a.Not)
	case a.Did != nil:
		return a.Did.During.Last != ""
	case a.Is != nil:
		d := &a.Is.Dimension
		for _, b := range []*measure.Behavior{d.Days, d.Events, d.Sum} {
			if b != nil && b.During.Last != "" {
				return true
			}
		}
		return d.Recency != nil
	}
	// Windows close, units of time begin.
	return a.Funnel != nil || a.Retention != nil || a.Path != nil || a.Session != nil
}
