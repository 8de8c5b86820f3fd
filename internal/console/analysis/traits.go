package analysis

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"heed/internal/console/api"
	"heed/internal/event"
	"heed/internal/measure"
)

// ListTraits lists what is known of users' traits. What the index cannot know is
// filled in from what was seen of what sets them: identify calls, of browsers,
// servers and streams alike, and imports. The traits of a group call are the group's.
func (h *Handlers) ListTraits(_ context.Context, _ api.ListTraitsRequestObject) (api.ListTraitsResponseObject, error) {
	list := api.KnownTraits{Traits: []api.KnownTrait{}}
	if h.deps.Traits != nil {
		if known, ok := h.deps.Traits.Traits(); ok {
			list = known
		}
	}
	list.AsOf = h.deps.Clock().UTC()
	for _, t := range h.seenTraits() {
		i := slices.IndexFunc(list.Traits, func(known api.KnownTrait) bool { return known.Name == t.Name })
		switch {
		case i < 0:
			list.Traits = append(list.Traits, t)
		case list.Traits[i].Users == nil:
			list.Traits[i] = t
		}
	}
	slices.SortFunc(list.Traits, func(a, b api.KnownTrait) int { return cmp.Compare(a.Name, b.Name) })
	return api.ListTraits200JSONResponse(list), nil
}

// seenTraits are those that were set since the start, each once.
func (h *Handlers) seenTraits() (out []api.KnownTrait) {
	if h.deps.Fields == nil {
		return nil
	}
	for _, by := range []string{event.NameIdentify, event.NameImported} {
		for _, f := range h.deps.Fields(by) {
			name := strings.TrimPrefix(f.Field, "event.traits.")
			if name == f.Field || strings.ContainsAny(name, ".[") {
				continue // what lies inside of a trait is no trait by itself
			}
			seen := seenTrait(name, f)
			i := slices.IndexFunc(out, func(t api.KnownTrait) bool { return t.Name == name })
			if i < 0 {
				out = append(out, seen)
				continue
			}
			for _, kind := range seen.Types {
				if !slices.Contains(out[i].Types, kind) {
					out[i].Types = append(out[i].Types, kind)
				}
			}
			for _, v := range seen.Values {
				if !slices.ContainsFunc(out[i].Values, func(have api.KnownTraitValue) bool { return bytes.Equal(have.Value, v.Value) }) {
					out[i].Values = append(out[i].Values, v)
				}
			}
		}
	}
	return out
}

func seenTrait(name string, f api.EventField) api.KnownTrait {
	t := api.KnownTrait{Name: name, Field: "traits." + name, Values: []api.KnownTraitValue{}}
	for _, kind := range f.Types {
		t.Types = append(t.Types, api.KnownTraitTypes(kind))
	}
	for _, v := range f.Values {
		t.Values = append(t.Values, api.KnownTraitValue{Value: v})
	}
	return t
}

// ListDimensions lists the dimensions that a query can name.
func (h *Handlers) ListDimensions(_ context.Context, _ api.ListDimensionsRequestObject) (api.ListDimensionsResponseObject, error) {
	out := api.ListDimensions200JSONResponse{Dimensions: []api.Dimension{}}
	add := func(d *measure.Dimension, defined, builtIn bool) error {
		spec := *d
		spec.Name, spec.Description = "", ""
		text, err := json.Marshal(spec)
		if err != nil {
			return fmt.Errorf("write dimension %q: %w", d.Name, err)
		}
		out.Dimensions = append(out.Dimensions, api.Dimension{Name: d.Name, Description: d.Description, Defined: defined, BuiltIn: builtIn, Spec: text})
		return nil
	}
	own := h.deps.Definitions.Current().Dimensions
	builtIn := map[string]bool{}
	for _, d := range measure.BuiltIn() {
		builtIn[d.Name] = true
		if own[d.Name] == nil {
			if err := add(&d, false, true); err != nil {
				return nil, err
			}
		}
	}
	for name, d := range own {
		if err := add(d, true, builtIn[name]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out.Dimensions, func(a, b api.Dimension) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}
