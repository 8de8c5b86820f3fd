package decider

import (
	"errors"
	"fmt"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"heed/internal/event"
	"heed/internal/eventlog"
)

func TestRevisionSwitchesWithinTheLog(t *testing.T) {
	h := newHarness(t, 1, Config{})
	simple := func(name string) string {
		return fmt.Sprintf("kind: trigger\nname: t\npattern: [{event: %s}]\n", name)
	}
	h.append(track("u", "x")) // before there are any definitions
	h.define(1, simple("x"))
	h.append(track("u", "x"), track("u", "y"))
	h.define(2, simple("y"))
	h.append(track("u", "x"), track("u", "y"))
	h.define(1, simple("x")) // an older one is ignored
	h.append(track("u", "y"))
	h.control(event.NameRevision, `{"revision":7}`) // is not there
	h.control(event.NameRevision, `nonsense`)
	h.append(track("u", "y"))
	h.pump()
	if n := len(h.intents()); n != 4 {
		t.Errorf("%d intents, want x under 1, y under 2 three times", n)
	}
	h.crash()
	if got := h.decider().workers[0].rules.revision; got != 2 {
		t.Errorf("revision %d after a restart", got)
	}
	h.append(track("u", "x"), track("u", "y"))
	h.pump()
	if n := len(h.intents()); n != 5 {
		t.Errorf("%d intents after a restart", n)
	}
}

// What was begun before an edit of the pattern finishes by what the pattern was,
// over a restart too.
func TestEditKeepsWhatIsUnderWay(t *testing.T) {
	h := newHarness(t, 1, Config{})
	wins := func(n int) string {
		return fmt.Sprintf("kind: trigger\nname: t\npattern: [{event: win, times: %d}]\nwithin: 10m\n", n)
	}
	at := func(seconds int64) {
		h.clock.set(epoch + seconds*second)
		h.append(track("u", "win"))
	}
	h.define(1, wins(3))
	at(0)
	at(100)
	h.define(2, wins(5))
	h.defs.sets[2].Previous = h.defs.sets[1].Triggers
	h.pump()
	h.crash()
	at(200)
	h.pump()
	h.crash()
	for _, s := range []int64{300, 301, 302, 303, 304} {
		at(s)
	}
	h.pump()
	var got []int64
	for _, in := range h.intents() {
		got = append(got, (in.At-epoch)/second)
	}
	if diff := gocmp.Diff([]int64{200, 304}, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if p := h.decider().Progress().Triggers; len(p) != 1 || p[0].Fired != 2 {
		t.Errorf("progress: %+v", p)
	}
}

// A record within a request that also holds events splits the request.
func TestRevisionInTheMiddleOfARecord(t *testing.T) {
	h := newHarness(t, 1, Config{})
	h.defs.add(t, 1, "kind: trigger\nname: t\npattern: [{event: x}]\n")
	var b eventlog.Batch
	for i, e := range []event.Event{
		track("u", "x"),
		{Type: event.System, Name: event.NameRevision, Source: event.SourceHeed, Properties: []byte(`{"revision":1}`)},
		track("u", "x"),
	} {
		e.MessageID, e.Timestamp = fmt.Sprint(i), epoch
		b.Data = event.AppendEvent(b.Data, &e)
		b.Ends = append(b.Ends, len(b.Data))
		b.Keys = append(b.Keys, eventlog.Key{})
	}
	h.write(&b)
	h.pump()
	if got := h.intents(); len(got) != 1 || got[0].CauseID != "2" {
		t.Fatalf("intents %+v", got)
	}
}

func TestDefinitionsThatCannotBeLoadedAreTriedAgain(t *testing.T) {
	h := newHarness(t, 1, Config{})
	h.define(1, rules)
	h.append(track("u", "win"))
	h.decider()
	h.defs.fail = errors.New("away")
	w := h.d.workers[0]
	if err := w.fill(); err != nil {
		t.Fatal(err)
	}
	if err := w.step(t.Context()); err == nil {
		t.Fatal("decided without definitions")
	}
	h.defs.fail = nil
	h.crash()
	h.pump()
	if n := len(h.intents()); n != 1 {
		t.Fatalf("%d intents", n)
	}
}
