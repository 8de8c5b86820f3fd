package definition

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heed/internal/event"
	"heed/internal/measure"
	"heed/internal/trigger"
)

const behaving = `kind: dimension
name: spend
description: Revenue of a year
sum: {event: purchase, field: properties.revenue, during: {last: 1y}}
buckets:
- {name: none, below: 1}
- {name: some, from: 1}
---
kind: audience
name: engaged
is: {dimension: {dimension: engagement}, values: [medium-high, high]}
---
kind: audience
name: stuck
zone: Europe/Berlin
all:
- audience: engaged
- not:
    is: {dimension: {dimension: spend}, values: [none, null]}
- did: {event: purchase, max: 0, during: {last: 28d}}
- funnel:
    funnel:
      steps:
      - event: session_start
      - event: click_event1
        without: [{event: logout}]
      window: 1h
    during: {from: "2026-05-01", to: "2026-06-01"}
    level: 1
    state: stuck
---
kind: audience
name: gold
any:
- where: {field: traits.plan, op: eq, value: gold}
- not: {where: {field: traits.plan, op: exists}}
---
kind: audience
name: then
frozen: "2026-05-01T00:00:00Z"
consent: sms
`

func TestAudiencesOfBehavior(t *testing.T) {
	docs := mustParse(t, behaving)
	set, problems := NewSet(1, docs)
	if problems != nil {
		t.Fatal(problems)
	}
	out, err := Marshal(docs)
	if err != nil {
		t.Fatal(err)
	}
	again := mustParse(t, string(out))
	for i := range docs {
		if diff := cmp.Diff(docs[i].Spec, again[i].Spec); diff != "" {
			t.Errorf("%s reads back differently from YAML:\n%s", docs[i].Ref(), diff)
		}
		stored, err := MarshalSpec(docs[i].Spec)
		if err != nil {
			t.Fatal(err)
		}
		if spec, err := DecodeSpec(docs[i].Kind, stored); err != nil || !cmp.Equal(spec, docs[i].Spec) {
			t.Errorf("%s reads back differently from JSON: %v\n%s", docs[i].Ref(), err, stored)
		}
	}
	if _, err := set.Audiences["gold"].Program(); err != nil {
		t.Errorf("an audience on traits: %v", err)
	}
	for _, name := range []string{"engaged", "stuck", "then"} {
		if _, err := set.Audiences[name].Program(); !errors.Is(err, ErrBehavior) {
			t.Errorf("%s: %v", name, err)
		}
	}
	q, err := measure.Resolve(set.Audiences["stuck"].Query(), set)
	if err != nil {
		t.Fatal(err)
	}
	if refs := q.Audience.References(); len(refs) > 0 {
		t.Errorf("unresolved: %v", refs)
	}
	if q.Audience.All[0].Is.Dimension.Days == nil {
		t.Error("the built-in dimension is not in the place of its name")
	}
	if _, err := measure.Resolve(&measure.Query{Audience: &measure.Audience{Audience: "then"}, Users: &measure.Users{}}, set); err == nil || !strings.Contains(err.Error(), "frozen") {
		t.Errorf("a frozen audience: %v", err)
	}
}

func TestAudiencesRefused(t *testing.T) {
	refuse := func(text, want string) {
		t.Helper()
		docs, problems := Parse("x.yaml", []byte(text))
		if problems == nil {
			_, problems = NewSet(1, docs)
		}
		if problems == nil || !strings.Contains(problems.Error(), want) {
			t.Errorf("%s\n got %v, want %q", text, problems, want)
		}
	}
	refuse("kind: audience\nname: a\naudience: b\n", "did you mean a?")
	refuse("kind: audience\nname: a\naudience: a\n", "refers to itself")
	refuse("kind: audience\nname: a\nall:\n- audience: b\n---\nkind: audience\nname: b\nnot: {audience: a}\n", "refers to itself")
	refuse("kind: audience\nname: a\nis: {dimension: {dimension: engagemen}, values: [low]}\n", "did you mean engagement?")
	refuse("kind: audience\nname: a\nis: {dimension: {dimension: d}, values: [low]}\n---\nkind: dimension\nname: d\nfield: properties.x\n", "is of events")
	refuse("kind: audience\nname: a\ndid: {event: x, mim: 3}\n", `unknown field "mim"`)
	refuse("kind: audience\nname: a\ndid: {event: x, during: {last: 3 weeks}}\n", "x.yaml:3")
	refuse("kind: audience\nname: a\nzone: Nowhere\nconsent: sms\n", "no time zone")
	refuse("kind: audience\nname: a\nfrozen: yesterday\nconsent: sms\n", "frozen")
	refuse("kind: audience\nname: a\nwhere: {field: traits.x, op: exists}\ndid: {event: x}\n", "write one of all, any")
	refuse("kind: dimension\nname: d\n", "exactly one of")
	refuse("kind: dimension\nname: d\ndimension: engagement\n", "only refers to another one")
	refuse("kind: dimension\nname: d\nfield: traits.age\nbuckets: [{name: young, from: 30, below: 20}]\n", "is empty")
	on := func(when string) string {
		return strings.ReplaceAll(shop, "when: {trigger: three-wins}", "when: "+when) + "\n---\nkind: audience\nname: texted\nconsent: sms\n"
	}
	refuse(on("{audience: texted, trigger: three-wins}"), "says several things")
	refuse(on("{audience: texte}"), "did you mean texted?")
	refuse(on("{audience: texted, on: entr}"), `"entr" is neither`)
	refuse(on("{trigger: three-wins, on: enter}"), "needs an audience")
	refuse(on("{audience: vip}"), "nobody is told to enter it")
}

// Triggers and campaigns take audiences by behavior, and campaigns start with
// their coming and going.
func TestAudiencesInUse(t *testing.T) {
	text := strings.ReplaceAll(shop, "where: {all: [{field: traits.plan, op: eq, value: gold}]}", "consent: sms")
	if text == shop {
		t.Fatal("the audience was not found")
	}
	text = strings.ReplaceAll(text, "when: {trigger: three-wins}", "when: {audience: vip, on: leave}")
	set, problems := NewSet(1, mustParse(t, text))
	if problems != nil {
		t.Fatal(problems)
	}
	const name = "audience:vip:leave"
	all := set.AllTriggers()
	if err := trigger.Check(all[name]); err != nil || all[name].Pattern[0].Event != event.NameAudienceLeft {
		t.Errorf("%+v: %v", all[name], err)
	}
	if set.Triggers[name] != nil || len(all) != len(set.Triggers)+1 || len(set.CampaignsOn(name)) != 1 {
		t.Errorf("%d triggers were defined, %d in all; %d campaigns", len(set.Triggers), len(all), len(set.CampaignsOn(name)))
	}
}
