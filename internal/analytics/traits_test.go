package analytics

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"heed/internal/console/api"
	"heed/internal/journey"
)

func TestTypesOfTraits(t *testing.T) {
	f := func(kinds string, values []string, want ...api.KnownTraitTypes) {
		t.Helper()
		trait := journey.Trait{Key: "x", Users: 1, Kinds: []byte(kinds)}
		for _, v := range values {
			trait.Values = append(trait.Values, journey.TraitValue{JSON: v, Users: 1})
		}
		got := knownTrait(&trait)
		if diff := cmp.Diff(want, got.Types); diff != "" {
			t.Errorf("%s of %q (-want +got):\n%s", kinds, values, diff)
		}
		if len(got.Values) != len(values) || got.Field != "traits.x" || *got.Users != 1 {
			t.Errorf("%+v", got)
		}
	}
	f(`"`, []string{`"pro"`, `"2026-05-04T10:00:00Z"`}, api.TraitIsText)
	f(`"`, []string{`"2026-05-04T10:00:00Z"`, `"2026-05-04T10:00:00+02:00"`}, api.TraitIsTime)
	f(`"0`, []string{`1`, `"2026-05-04T10:00:00Z"`}, api.TraitIsTime, api.TraitIsNumber)
	f("0[t{", []string{`1`, `[]`, `true`, `{}`}, api.TraitIsNumber, api.TraitIsList, api.TraitIsBoolean, api.TraitIsObject)
	if wide := knownTrait(&journey.Trait{Key: "x", Wide: true}); wide.Users != nil || wide.Types == nil {
		t.Errorf("%+v", wide)
	}
}
