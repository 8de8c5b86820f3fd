package analytics

import (
	"encoding/json"
	"time"

	"heed/internal/console/api"
	"heed/internal/journey"
)

// traitValues is how many values of a trait are shown.
const traitValues = 12

// Traits lists the traits that users have; ok is false while the index is not
// there.
func (b *Behavior) Traits() (list api.KnownTraits, ok bool) {
	x := b.index.Load()
	if x == nil || !b.loaded() {
		return list, false
	}
	traits, users, complete := x.Traits(traitValues)
	list = api.KnownTraits{Users: &users, Complete: complete, Traits: make([]api.KnownTrait, 0, len(traits))}
	for i := range traits {
		list.Traits = append(list.Traits, knownTrait(&traits[i]))
	}
	return list, true
}

func knownTrait(t *journey.Trait) api.KnownTrait {
	out := api.KnownTrait{Name: t.Key, Field: "traits." + t.Key, Types: []api.KnownTraitTypes{}, Values: []api.KnownTraitValue{}}
	if t.Wide {
		return out
	}
	out.Users, out.Distinct, out.Least, out.Greatest = &t.Users, t.Distinct, t.Least, t.Greatest
	for _, v := range t.Values {
		out.Values = append(out.Values, api.KnownTraitValue{Value: api.AnyJSON(v.JSON), Users: &v.Users})
	}
	for _, kind := range t.Kinds {
		out.Types = append(out.Types, traitType(kind, t.Values))
	}
	return out
}

func traitType(kind byte, values []journey.TraitValue) api.KnownTraitTypes {
	switch kind {
	case '0':
		return api.TraitIsNumber
	case 't':
		return api.TraitIsBoolean
	case '[':
		return api.TraitIsList
	case '{':
		return api.TraitIsObject
	}
	if allTimes(values) {
		return api.TraitIsTime
	}
	return api.TraitIsText
}

// allTimes tells whether the texts among values are times.
func allTimes(values []journey.TraitValue) bool {
	texts := 0
	for _, v := range values {
		if v.JSON[0] != '"' {
			continue
		}
		var text string
		if json.Unmarshal([]byte(v.JSON), &text) != nil {
			return false
		}
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			return false
		}
		texts++
	}
	return texts > 0
}
