package decider

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"heed/internal/event"
	"heed/internal/trigger"
)

// survey makes what is ordered.
func (h *harness) survey() {
	h.t.Helper()
	d := h.decider()
	for {
		select {
		case s := <-d.surveys:
			if err := s.make(h.ctx(), d, 0); err != nil {
				h.t.Fatal(err)
			}
		default:
			return
		}
	}
}

func (h *harness) discardedBy(what string) float64 {
	return value(h.decider().metrics.discarded.WithLabelValues(what))
}

func identify(user, traits string) event.Event {
	return event.Event{Type: event.Identify, Name: event.NameIdentify, UserID: user, Traits: []byte(traits)}
}

// targetRules are rules without the trigger that watches every name.
var targetRules = strings.Replace(rules, "{event: page}, {idle: 4m}", "{event: page}, {absent: win, for: 4m}", 1)

// Discarding by user changes no outcome, whenever surveys are ordered, made and
// taken, and whenever the process dies.
func TestDiscardingUsersChangesNothing(t *testing.T) {
	discarded := 0.0
	for seed := range uint64(6) {
		ops := history(seed+100, 12, 250)
		want := oracleOf(t, targetRules, ops)
		for _, partitions := range []int{1, 2, 8} {
			r := rand.New(rand.NewPCG(seed, uint64(partitions)))
			h := newHarness(t, partitions, Config{BatchEvents: 1 + r.IntN(10)})
			h.cfg.SurveyEvery = 10 * 60e9
			h.playBy(targetRules, ops, func() {
				if r.IntN(3) == 0 {
					h.pump()
				}
				if r.IntN(3) == 0 {
					h.survey()
				}
				if r.IntN(60) == 0 {
					discarded += h.discardedBy("user")
					h.crash()
				}
			})
			discarded += h.discardedBy("user")
			if diff := gocmp.Diff(want, fires(h.intents())); diff != "" {
				t.Errorf("seed %d, %d partitions (-want +got):\n%s", seed, partitions, diff)
			}
		}
	}
	if discarded < 100 {
		t.Errorf("only %g events were discarded by user", discarded)
	}
}

const gatedRules = `
kind: audience
name: vip
where: {field: traits.plan, op: eq, value: pro}
---
kind: trigger
name: deal
pattern: [{event: deal}, {event: close}]
within: 5m
audience: vip
hold: true
---
kind: trigger
name: look
pattern: [{event: look}]
audience: vip
`

func (h *harness) firedTo(user string) (out []string) {
	for _, in := range h.intents() {
		if in.User == user {
			out = append(out, in.Trigger)
		}
	}
	return out
}

// Nothing is discarded before the survey; then those outside are, without rows
// being read; who joins by an event counts with the next one.
func TestJoiningByAnEventCountsAtOnce(t *testing.T) {
	h := newHarness(t, 1, Config{})
	h.define(1, gatedRules)
	h.append(identify("in", `{"plan":"pro"}`), identify("out", `{"plan":"free"}`))
	h.append(track("out", "deal"))
	h.pump()
	if n := h.discardedBy("user"); n != 0 {
		t.Errorf("%g events discarded before anything is known", n)
	}
	h.survey()
	h.append(track("out", "deal"), track("in", "deal"), track("in", "close"), track("stranger", "deal"))
	h.pump()
	if n := h.discardedBy("user"); n != 2 {
		t.Errorf("%g events discarded, want those of two users", n)
	}
	if u := h.d.workers[0].users.find("stranger"); u == nil || u.hasRows {
		t.Error("rows were read for somebody whom nothing concerns")
	}
	// In one batch: out, joins, counts, leaves.
	h.append(track("out", "deal"), identify("out", `{"plan":"pro"}`), track("out", "deal"), track("out", "close"), identify("out", `{"plan":"free"}`))
	h.pump()
	if got := h.firedTo("out"); !slices.Equal(got, []string{"deal"}) {
		t.Errorf("who joined got %v", got)
	}
	if got := h.firedTo("in"); !slices.Equal(got, []string{"deal"}) {
		t.Errorf("who was in got %v", got)
	}
}

// After a restart a survey alone tells who is in.
func TestJoinersFoundBySurvey(t *testing.T) {
	h := newHarness(t, 2, Config{})
	h.define(1, gatedRules)
	for i := range 50 {
		h.append(identify(fmt.Sprint("u", i), fmt.Sprintf(`{"plan":%q}`, []string{"free", "pro"}[i%2])))
	}
	h.pump()
	h.crash()
	for i := range 10 { // a batch of each partition orders the survey
		h.append(track(fmt.Sprint("u", i), "noise"))
	}
	h.pump()
	h.survey()
	for _, name := range []string{"deal", "close"} {
		for i := range 50 {
			h.append(track(fmt.Sprint("u", i), name))
		}
		h.pump()
	}
	for i := range 50 {
		got, want := len(h.firedTo(fmt.Sprint("u", i))), i%2
		if got != want {
			t.Errorf("u%d got %d, want %d", i, got, want)
		}
	}
	if n := h.discardedBy("user"); n != 50 {
		t.Errorf("%g events discarded, want both of each of 25 users", n)
	}
}

// A user who moves into the audience while a survey is under way, behind its
// back, is not lost.
func TestJoiningDuringASurvey(t *testing.T) {
	h := newHarness(t, 1, Config{})
	h.define(1, gatedRules)
	h.append(identify("u", `{"plan":"free"}`))
	h.pump()
	h.append(track("x", "noise")) // orders
	h.pump()
	s := <-h.d.surveys
	if err := s.make(t.Context(), h.d, 0); err != nil { // went over u as an outsider
		t.Fatal(err)
	}
	s.worker.targets.done.Store(nil)
	h.append(identify("u", `{"plan":"pro"}`))
	h.pump()
	s.worker.targets.done.Store(s)
	h.append(track("u", "deal"), track("u", "close"))
	h.pump()
	if got := h.firedTo("u"); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

// The definitions decide who is in: a new revision is looked at anew, one that
// changes nothing of it is not.
func TestRevisionsAndSurveys(t *testing.T) {
	h := newHarness(t, 1, Config{})
	h.define(1, gatedRules)
	h.append(identify("u", `{"plan":"basic"}`))
	h.pump()
	h.survey()
	h.append(track("u", "deal"))
	h.pump()
	known := func() bool { return h.d.workers[0].targets.made != nil }
	if !known() {
		t.Fatal("the survey was not taken")
	}
	h.define(2, gatedRules+"---\nkind: trigger\nname: other\npattern: [{event: other}]\n")
	h.append(track("u", "other"))
	h.pump()
	if !known() {
		t.Error("a revision that concerns no audience made everybody unknown")
	}
	h.define(3, "kind: audience\nname: vip\nwhere: {field: traits.plan, op: in, value: [basic, pro]}\n---"+gatedRules[len("\nkind: audience\nname: vip\nwhere: {field: traits.plan, op: eq, value: pro}\n---"):])
	h.append(track("u", "deal"), track("u", "close"))
	h.pump()
	if got := h.firedTo("u"); !slices.Equal(got, []string{"other", "deal"}) {
		t.Errorf("after the audience grew: %v", got)
	}
}

// A refusal is counted each time, and noted at least once a day.
func TestRefusalsOfOutsiders(t *testing.T) {
	h := newHarness(t, 1, Config{})
	h.define(1, gatedRules)
	h.append(identify("u", `{"plan":"free"}`), track("x", "noise"))
	h.pump()
	h.append(track("x", "noise"))
	h.pump()
	h.survey()
	for range 10 {
		h.append(track("u", "look"))
		h.pump()
	}
	if n := h.decider().Progress().Triggers[1].Refused[trigger.Outside.String()]; n != 10 {
		t.Errorf("%d refusals are counted, want 10", n)
	}
	if n := h.discardedBy("user"); n != 9 {
		t.Errorf("%g events discarded, want all but the one that is noted", n)
	}
	if got := h.seen("u", "look"); len(got) != 1 {
		t.Errorf("notes: %v", got)
	}
}
