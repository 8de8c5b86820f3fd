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
	"heed/internal/userstate"
)

const explainRules = `
kind: audience
name: vip
where: {field: traits.plan, op: eq, value: pro}
---
kind: trigger
name: wins
pattern: [{event: win, times: 3}]
within: 10m
---
kind: trigger
name: limited
pattern: [{event: buy}]
limit: {count: 1, per: 1h}
---
kind: trigger
name: vips
pattern: [{event: visit}]
audience: vip
---
kind: trigger
name: later
pattern: [{event: ask}]
delay: 5m
cancel: [never-mind]
max_stale: 1h
`

// seen is what explain says of a trigger's last chances, newest first.
func (h *harness) seen(user, trigger string) []string {
	h.t.Helper()
	x, err := h.decider().Explain(h.ctx(), user)
	if err != nil {
		h.t.Fatal(err)
	}
	out := []string{}
	for _, n := range x.Trigger(trigger).Notes {
		text := fmt.Sprintf("%s +%ds x%d", n.Outcome, (n.At-epoch)/second, n.Count)
		if n.Event != "" {
			text += " " + n.Event + "/" + n.MessageID
		}
		if (n.FireID != "") != (n.Outcome == "fired") {
			text += " fire id " + n.FireID
		}
		out = append(out, text)
	}
	return out
}

func TestExplainSaysWhy(t *testing.T) {
	h := newHarness(t, 2, Config{})
	h.define(1, explainRules)
	at := func(seconds int64, name, id string, change ...func(*event.Event)) {
		h.clock.set(epoch + seconds*second)
		e := track("u", name)
		e.MessageID = id
		for _, c := range change {
			c(&e)
		}
		h.append(e)
		h.pump()
		h.crash() // nothing is only in memory
	}
	want := func(trigger string, notes ...string) {
		t.Helper()
		if diff := gocmp.Diff(notes, h.seen("u", trigger)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", trigger, diff)
		}
	}
	at(0, "buy", "b1")
	at(10, "buy", "b2")
	at(20, "buy", "b3")
	want("limited", "limit +20s x2 buy/b3", "fired +0s x1 buy/b1")
	at(30, "visit", "v1")
	want("vips", "audience +30s x1 visit/v1")
	at(40, "ask", "a1")
	at(50, "never-mind", "n1")
	want("later", "cancelled +340s x1 never-mind/n1")
	at(60, "ask", "a2")
	at(360, "other", "o1")
	want("later", "fired +360s x1", "cancelled +340s x1 never-mind/n1")
	at(400, "ask", "a3")
	at(400+300+3601, "other", "o2") // an outage
	want("later", "stale +700s x1", "fired +360s x1", "cancelled +340s x1 never-mind/n1")
	at(5000, "win", "w1", func(e *event.Event) { e.Timestamp = epoch + 1400*second })
	want("wins", "too_old +1400s x1 win/w1")
	at(5010, "win", "w2", func(e *event.Event) { e.Context.Historical = true })
	at(5020, "win", "w3", func(e *event.Event) { e.Depth = event.MaxDepth + 1 })
	want("wins", "too_deep +5020s x1 win/w3", "historical +5010s x1 win/w2", "too_old +1400s x1 win/w1")
	at(5030, "win", "w4")
	at(5040, "win", "w5")
	x, err := h.decider().Explain(t.Context(), "u")
	if err != nil {
		t.Fatal(err)
	}
	rows := []trigger.Progress{{
		Done: 2, Steps: 3, Since: epoch + 5030*second, Expires: epoch + 5630*second,
		Waits: []trigger.Wait{{Event: "win", Done: 2, Of: 3, Until: epoch + 5630*second}, {Event: "win", Done: 1, Of: 3, Until: epoch + 5640*second}},
	}}
	if diff := gocmp.Diff(rows, x.Trigger("wins").Rows); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if x.LogTime != epoch+5040*second {
		t.Errorf("log time is +%ds", (x.LogTime-epoch)/second)
	}
	at(9000, "other", "o3") // the window is long past
	if notes := h.seen("u", "wins"); notes[0] != "expired +5630s x1" {
		t.Errorf("after the window: %v", notes)
	}
	for i := range int64(5) {
		at(20000+i*4000, "buy", fmt.Sprint("c", i))
	}
	want("limited", "fired +36000s x6 buy/c4", "fired +32000s x5 buy/c3", "fired +28000s x4 buy/c2", "limit +20s x2 buy/b3")
	if x, err := h.decider().Explain(t.Context(), "nobody"); err != nil || len(x.Triggers) > 0 {
		t.Errorf("of a user never seen: %+v, %v", x, err)
	}
}

// Users who only make progress have no notes.
func TestNoNotesForProgress(t *testing.T) {
	h := newHarness(t, 1, Config{})
	h.define(1, explainRules)
	for i := range 100 {
		h.append(track(fmt.Sprint("u", i), "win"), track(fmt.Sprint("u", i), "win"))
	}
	h.pump()
	rows, err := h.stores.state.Scan(t.Context(), 0, userstate.Notes, "", "", 10)
	if err != nil || len(rows) > 0 {
		t.Errorf("%d users have notes, %v", len(rows), err)
	}
}

// Notes stay within their bounds, and the newest of each kind is there.
func TestNotesAreBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var ns notes
	for i := range 5000 {
		n := note{
			trigger: fmt.Sprint("t", r.IntN(12)), reason: trigger.Reason(r.IntN(int(trigger.LastReason) + 1)), at: int64(i),
			key: strings.Repeat("k", r.IntN(3)), event: "e", message: fmt.Sprint(i),
		}
		n.fire[0] = byte(i)
		if n.reason != 0 {
			n.fire[0] = 0
		}
		ns = ns.add(n)
		if last := ns[len(ns)-1]; last.at != int64(i) || last.trigger != n.trigger {
			t.Fatalf("the newest is %+v", last)
		}
		per := map[string]int{}
		for _, n := range ns {
			per[fmt.Sprint(n.trigger, n.reason)]++
			if k := per[fmt.Sprint(n.trigger, n.reason)]; k > maxFiringNotes || k > 1 && n.reason != 0 {
				t.Fatalf("%d notes of %s %s", k, n.trigger, n.reason)
			}
		}
		if len(ns) > maxNotes || !slices.IsSortedFunc(ns, func(a, b note) int { return int(a.at - b.at) }) {
			t.Fatalf("%d notes: %+v", len(ns), ns)
		}
		encoded := ns.append(nil)
		back, err := decodeNotes(encoded, nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(ns, back, gocmp.AllowUnexported(note{})); diff != "" {
			t.Fatal(diff)
		}
		if i%100 == 0 {
			for k := 1; k < len(encoded); k++ {
				if _, err := decodeNotes(encoded[:k], nil); err == nil {
					t.Fatalf("%d of %d bytes are taken for notes", k, len(encoded))
				}
			}
		}
	}
}
