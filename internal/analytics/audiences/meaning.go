package audiences

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"heed/internal/definition"
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
