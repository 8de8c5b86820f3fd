package console_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heed/internal/console"
	"heed/internal/console/api"
	"heed/internal/event"
)

type knownTraits struct{ there bool }

func (k *knownTraits) Traits() (api.KnownTraits, bool) {
	users, vip := int64(3), int64(2)
	return api.KnownTraits{Users: &users, Complete: true, Traits: []api.KnownTrait{
		{Name: "email", Field: "traits.email", Types: []api.KnownTraitTypes{}, Values: []api.KnownTraitValue{}},
		{Name: "vip", Field: "traits.vip", Users: &vip, Types: []api.KnownTraitTypes{api.TraitIsBoolean}, Values: []api.KnownTraitValue{}},
	}}, k.there
}

func TestTraits(t *testing.T) {
	known := &knownTraits{}
	w := newWorld(t, func(_ *console.Config, d *console.Deps) { d.Traits = known })
	w.add(event.Event{
		Type: event.Identify, Name: event.NameIdentify, UserID: "ann",
		Traits: []byte(`{"email":"a@x.example","vip":true,"home":{"city":"Bonn"},"tags":["a"]}`),
	})
	// what an import says is known as well
	w.add(event.Event{
		Type: event.Identify, Name: event.NameImported, UserID: "ben",
		Traits: []byte(`{"plan":"gold","vip":"yes"}`),
	})
	// the traits of a group are not those of its members
	w.add(event.Event{Type: event.Group, Name: event.NameGroup, GroupID: "g", UserID: "ann", Traits: []byte(`{"seats":3}`)})
	names := func() (out []string, list api.KnownTraits) {
		list = ok[api.KnownTraits](w.as(adminToken).get("/traits"))
		for _, trait := range list.Traits {
			out = append(out, trait.Name)
		}
		return out, list
	}
	eventually(t, "the traits that were seen", func() bool {
		got, list := names()
		return cmp.Equal(got, []string{"email", "plan", "vip"}) && list.Users == nil && !list.Complete
	})
	_, list := names()
	if types := list.Traits[2].Types; !cmp.Equal(types, []api.KnownTraitTypes{api.TraitIsBoolean, api.TraitIsText}) {
		t.Errorf("the types of what was set in two ways: %v", types)
	}
	known.there = true
	_, list = names()
	if list.Users == nil || *list.Users != 3 || len(list.Traits) != 3 {
		t.Fatalf("%+v", list)
	}
	email, vip := list.Traits[0], list.Traits[2]
	if email.Users != nil || len(email.Types) != 1 || string(email.Values[0].Value) != `"a@x.example"` {
		t.Errorf("what the index cannot know is not filled in: %+v", email)
	}
	if vip.Users == nil || *vip.Users != 2 {
		t.Errorf("what the index knows is lost: %+v", vip)
	}
}

func TestDimensions(t *testing.T) {
	w := newWorld(t)
	list := func() map[string]api.Dimension {
		got := ok[api.DimensionList](w.as(adminToken).get("/dimensions"))
		out := map[string]api.Dimension{}
		for _, d := range got.Dimensions {
			out[d.Name] = d
		}
		return out
	}
	before := list()
	if d := before["engagement"]; len(before) < 5 || d.Defined || !d.BuiltIn || d.Description == "" || d.Spec == nil {
		t.Fatalf("built in: %+v", before)
	}
	ok[api.Applied](w.as(adminToken).send("PUT", "/api/v1/definitions/dimension/engagement", `{"days": {"during": {"last": "7d"}}, "buckets": [{"name": "some", "from": 1}]}`))
	ok[api.Applied](w.as(adminToken).send("PUT", "/api/v1/definitions/dimension/plan", `{"description": "What they pay for", "field": "traits.plan"}`))
	after := list()
	if len(after) != len(before)+1 {
		t.Errorf("%d dimensions before, %d after", len(before), len(after))
	}
	if d := after["engagement"]; !d.Defined || !d.BuiltIn {
		t.Errorf("a definition does not take the place of what is built in: %+v", d)
	}
	d := after["plan"]
	var spec map[string]any
	if err := json.Unmarshal(d.Spec, &spec); err != nil {
		t.Fatal(err)
	}
	if !d.Defined || d.BuiltIn || d.Description != "What they pay for" || !cmp.Equal(spec, map[string]any{"field": "traits.plan"}) {
		t.Errorf("%+v, %v", d, spec)
	}
}
