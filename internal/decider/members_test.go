package decider

import (
	"encoding/json"
	"slices"
	"testing"

	"heed/internal/definition"
	"heed/internal/event"
)

// membersRules have an audience that is no condition over the profile.
const membersRules = `
kind: audience
name: loyal
where: {field: traits.plan, op: eq, value: pro}
---
kind: trigger
name: deal
pattern: [{event: deal}, {event: close}]
within: 5m
audience: loyal
hold: true
---
kind: trigger
name: look
pattern: [{event: look}]
audience: loyal
`

// defineRecorded puts rules in force whose audience only the log speaks of.
func (h *harness) defineRecorded(revision int64) {
	h.t.Helper()
	h.define(revision, membersRules)
	set := h.defs.sets[revision]
	recorded := *set.Audiences["loyal"]
	recorded.Frozen = "2026-01-01T00:00:00Z" // nothing that a profile could answer
	set.Audiences = map[string]*definition.Audience{"loyal": &recorded}
}

func (h *harness) membership(op string, users ...string) {
	h.t.Helper()
	properties, err := json.Marshal(event.Membership{Audience: "loyal", Op: op, Users: users})
	if err != nil {
		h.t.Fatal(err)
	}
	h.control(event.NameMembership, string(properties))
}

func TestMembershipRecords(t *testing.T) {
	for _, surveys := range []bool{false, true} {
		for _, crash := range []bool{false, true} {
			h := newHarness(t, 2, Config{})
			h.defineRecorded(1)
			users := []string{"ann", "bob", "cy"}
			fired := map[string]int{}
			step := func(what string, want ...string) {
				t.Helper()
				h.append(track("ann", "noise"), track("bob", "noise"), track("cy", "noise"))
				h.pump()
				if surveys {
					h.survey()
				}
				for _, u := range users {
					h.append(track(u, "deal"), track(u, "close"), track(u, "look"))
				}
				h.pump()
				var got []string
				for _, u := range users {
					if n := len(h.firedTo(u)); n != fired[u] {
						if n-fired[u] != 2 {
							t.Errorf("%s: %s fired %d times", what, u, n-fired[u])
						}
						fired[u] = n
						got = append(got, u)
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("surveys %t, crash %t, %s: %v fired, want %v", surveys, crash, what, got, want)
				}
				if crash {
					h.crash()
				}
			}
			step("nobody is in")
			h.membership("add", "ann", "bob")
			step("two were added", "ann", "bob")
			h.membership("remove", "bob", "nobody")
			step("one was removed", "ann")
			h.membership("replace", "cy", "cy")
			step("all were replaced", "cy")
			h.membership("add", "ann")
			step("one was added again", "ann", "cy")
			h.membership("replace")
			h.control(event.NameMembership, `{"audience":"loyal","op":"nonsense"}`)
			h.control(event.NameMembership, `[`)
			step("nobody is left; nonsense is skipped")
		}
	}
}

// A record counts from its place in the log on, also within one batch.
func TestMembershipCountsFromItsPlace(t *testing.T) {
	h := newHarness(t, 1, Config{})
	h.defineRecorded(1)
	h.append(track("ann", "look"))
	h.membership("add", "ann")
	h.append(track("ann", "look"))
	h.membership("remove", "ann")
	h.append(track("ann", "look"))
	h.pump()
	if got := h.intents(); len(got) != 1 || got[0].CauseID != "m2" {
		t.Errorf("fired: %+v", got)
	}
}

// An id takes its memberships with it when it turns out to be a user's.
func TestMembershipsAreHandedOver(t *testing.T) {
	for _, partitions := range []int{1, 2, 5} {
		for _, crash := range []bool{false, true} {
			h := newHarness(t, partitions, Config{})
			h.defineRecorded(1)
			look := event.Event{Type: event.Track, Name: "look", AnonymousID: "a1"}
			h.membership("replace") // the epochs of the partitions are not the first
			h.append(look)
			h.pump()
			h.membership("add", "a1")
			h.pump()
			if crash {
				h.crash()
			}
			h.append(event.Event{Type: event.Identify, Name: event.NameIdentify, AnonymousID: "a1", UserID: "ann"})
			h.pump()
			h.append(track("ann", "look"), look)
			h.pump()
			if got := len(h.firedTo("ann")); got != 2 {
				t.Errorf("%d partitions, crash %t: %d firings, want 2", partitions, crash, got)
			}
			h.membership("remove", "ann")
			h.append(track("ann", "look"), look)
			h.pump()
			if got := len(h.firedTo("ann")); got != 2 {
				t.Errorf("%d partitions, crash %t: %d firings after the membership has ended, want 2", partitions, crash, got)
			}
		}
	}
}
