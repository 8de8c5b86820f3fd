package audiences

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"heed/internal/definition"
	"heed/internal/event"
	"heed/internal/measure"
	"heed/internal/measure/measuretest"
)

const crashRules = `
kind: audience
name: buyers
did: {event: purchase}
---
kind: audience
name: away
all: [{audience: buyers}, {did: {event: visit, max: 0, during: {last: 1h}}}]
---
kind: audience
name: fixed
frozen: 2026-11-20T00:00:05Z
did: {event: purchase}
`

// live plays a history in which much happens to few audiences. The process may
// die at any write of a step, and starts again before the next one.
func live(w *world) {
	many := func(from, to int, name string) {
		for i := from; i < to; i++ {
			w.happen(track(fmt.Sprintf("user-%04d-%s", i, strings.Repeat("x", 90)), name))
		}
	}
	for _, step := range []func(){
		func() { many(0, 130, "purchase"); w.define(crashRules) },
		func() { many(130, 132, "purchase"); w.happen(track("ann", "purchase")) },
		func() { many(0, 3, "visit"); w.happen(track("ann", "visit")) },
		func() { a := track("", "purchase"); a.AnonymousID = "a1"; w.happen(a) },
		func() { w.merge("a1", "bob"); w.happen(track("bob", "visit")) },
		func() { w.now += 3700e6 },
		func() { many(0, 60, "visit") },
		func() { w.define(strings.Replace(crashRules, "max: 0", "max: 1", 1)) },
		func() { w.now += 3700e6; many(200, 330, "purchase") },
		func() { w.define(crashRules[:strings.Index(crashRules, "kind: audience\nname: fixed")-4]) },
	} {
		w.now += 10e6
		step()
		if !w.settle() {
			w.restart()
			w.settle()
		}
	}
}

// Whatever write the process dies at, with the power or without: who is in, and
// who entered and left, comes to the same.
func TestCrashAtAnyWrite(t *testing.T) {
	calm := newWorld(t, 3)
	calm.entryBytes = 4 << 10
	calm.start()
	live(calm)
	members, events := calm.obeyed()
	records := len(calm.records())
	if len(members["buyers"]) != 130+2+2+130 || len(members["fixed"]) != 0 || len(events["away ann"]) == 0 || calm.writes < 60 {
		t.Fatalf("a history without interest: %d buyers, %d writes", len(members["buyers"]), calm.writes)
	}
	for at := 1; at <= calm.writes; at++ {
		for i, c := range []struct{ after, power bool }{{false, false}, {true, false}, {true, true}} {
			if i != at%3 && os.Getenv("HEED_SOAK") == "" {
				continue
			}
			w := newWorld(t, 3)
			w.entryBytes = calm.entryBytes
			w.start()
			w.dieAt, w.after, w.power = at, c.after, c.power
			live(w)
			gotMembers, gotEvents := w.obeyed()
			if diff := gocmp.Diff(members, gotMembers); diff != "" {
				t.Errorf("dead at write %d %+v: members (-calm +got):\n%s", at, c, diff)
			}
			if diff := gocmp.Diff(events, gotEvents); diff != "" {
				t.Errorf("dead at write %d %+v: events (-calm +got):\n%s", at, c, diff)
			}
			// A start tells the log nothing that it knows: at most the rest of a
			// step is cut otherwise.
			if got := len(w.records()); got > records+3*4 {
				t.Errorf("dead at write %d %+v: %d records, %d without", at, c, got, records)
			}
			if t.Failed() {
				return
			}
		}
	}
}

// Whatever write of its beginning the process dies at: who asks again gets the same
// audience, and so does who asks again after a start.
func TestBeginAtAnyWrite(t *testing.T) {
	const rule = "kind: audience\nname: buyers\ndid: {event: purchase}\n"
	begin := func(w *world, at int, again bool) (writes int) {
		w.entryBytes = 4 << 10
		w.start()
		var ids []string
		for i := range 130 {
			id := fmt.Sprintf("user-%04d-%s", i, strings.Repeat("x", 90))
			ids = append(ids, id)
			w.happen(track(id, "purchase"))
		}
		w.define("kind: audience\nname: others\ndid: {event: visit}\n")
		w.settle()
		if writes = w.writes; at > 0 {
			w.dieAt, w.after = writes+at, at%2 == 0
		}
		docs, _ := definition.Parse("", []byte(rule))
		to := []*definition.Audience{docs[0].Spec.(*definition.Audience)}
		if err := w.k.Begin(t.Context(), "buyers", to, ids); err != nil {
			if again {
				w.restart()
				w.settle()
			}
			w.dead, w.dieAt = false, 0
			w.now++
			if err := w.k.Begin(t.Context(), "buyers", to, ids); err != nil {
				t.Fatal(err)
			}
		}
		writes = w.writes - writes
		w.happen(track("ann", "purchase"))
		w.define(rule)
		w.settle()
		return writes
	}
	calm := newWorld(t, 3)
	writes := begin(calm, 0, false)
	members, events := calm.obeyed()
	if len(members["buyers"]) != 131 || len(events) != 1 || !slices.Equal(events["buyers ann"], []string{event.NameAudienceEntered}) {
		t.Fatalf("%d members, events %v", len(members["buyers"]), events)
	}
	for at := 1; at <= writes; at++ {
		for _, again := range []bool{false, true} {
			w := newWorld(t, 3)
			begin(w, at, again)
			gotMembers, gotEvents := w.obeyed()
			if diff := gocmp.Diff(members, gotMembers) + gocmp.Diff(events, gotEvents); diff != "" {
				t.Fatalf("dead at write %d, restart %v (-calm +got):\n%s", at, again, diff)
			}
		}
	}
}

// Who the records say is in an audience is who the oracle says, whatever
// happens, with the index and without.
func TestMembersAreThoseOfTheOracle(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 13))
		h, now := measuretest.Random(r)
		slices.SortStableFunc(h.Events, func(a, b event.Event) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
		w := newWorld(t, 3)
		if seed%3 == 0 {
			w.index = nil
		}
		trees := map[string]measure.Audience{"a": measuretest.Tree(r, now, 2), "b": measuretest.Tree(r, now, 1), "c": {Audience: "a"}}
		w.set = setOf(trees)
		events, merges := h.Events, h.Merges
		for len(events)+len(merges) > 0 {
			n := min(len(events), 1+r.IntN(20))
			for _, e := range events[:n] {
				w.now = max(w.now, e.Timestamp+1)
				w.happen(e)
			}
			if events = events[n:]; len(merges) > 0 && r.IntN(2) == 0 {
				w.merge(merges[0].From, merges[0].To)
				merges = merges[1:]
			}
			w.now += r.Int64N(60) * 1e6
			switch r.IntN(6) {
			case 0:
				w.restart()
			case 1:
				trees["a"] = measuretest.Tree(r, now, 1)
				w.set = setOf(trees)
			}
			w.now += 15e6 // whatever time changes is due
			w.k.atLeast = math.MaxInt64
			w.settle()
			got, _ := w.obeyed()
			for name := range trees {
				q, err := measure.Resolve(w.set.Audiences[name].Query(), w.set)
				if err != nil {
					t.Fatal(err)
				}
				q.Users.Limit = 100
				want, err := w.past.Answer(q, w.now)
				if err != nil {
					t.Fatal(err)
				}
				if diff := gocmp.Diff(want.Users.IDs, got[name], cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("seed %d, %s (-oracle +records):\n%s", seed, name, diff)
				}
			}
		}
	}
}

// setOf defines audiences by their trees.
func setOf(trees map[string]measure.Audience) *definition.Set {
	set := &definition.Set{Audiences: map[string]*definition.Audience{}}
	for name, tree := range trees {
		if _, profile := tree.Profile(); profile { // else it would not be kept
			tree = measure.Audience{All: []measure.Audience{tree, {Not: &measure.Audience{Users: []string{"no one"}}}}}
		}
		set.Audiences[name] = &definition.Audience{Name: name, Audience: tree}
	}
	return set
}
