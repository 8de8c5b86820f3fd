package decider

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"heed/internal/driver/memory"
	"heed/internal/driver/pebble"
	"heed/internal/event"
	"heed/internal/inbox"
	"heed/internal/profile"
	"heed/internal/session"
	"heed/internal/trigger"
)

// idRules are short: a history of logins takes no long time.
const idRules = `
kind: audience
name: vip
where: {field: traits.plan, op: eq, value: pro}
---
kind: trigger
name: wins
pattern: [{event: win, times: 3, consecutive: true}]
within: 30s
scope: [win, loss]
---
kind: trigger
name: pair
pattern: [{event: a}, {event: b}]
within: 15s
reentry: {cooldown: 5s}
---
kind: trigger
name: cart
pattern: [{event: cart}, {absent: purchase, for: 6s}]
reset: [logout]
---
kind: trigger
name: idle
pattern: [{event: page}, {idle: 4s}]
---
kind: trigger
name: visit
pattern: [{event: session_start}, {event: win}]
within: 40s
---
kind: trigger
name: first-win
pattern: [{event: win}]
reentry: once
---
kind: trigger
name: limited
pattern: [{event: loss}]
limit: {count: 2, per: 20s}
---
kind: trigger
name: sorted
pattern: [{event: b}, {event: a}]
within: 20s
order: event
lateness: 3s
---
kind: trigger
name: vip-loss
pattern: [{event: loss}]
audience: vip
---
kind: trigger
name: hello
pattern: [{event: a}, {event: identify}]
within: 20s
`

// idOp is one request, or a tick. Before and behind a quiet one everything is
// decided: it is an event of an id that has moved, which takes its place among those
// of its user when it is forwarded.
type idOp struct {
	op
	quiet bool
}

// idHistory makes a random history of people who log in and out of devices.
func idHistory(seed uint64, n int) []idOp {
	r := rand.New(rand.NewPCG(seed, 77))
	names := []string{"win", "win", "win", "loss", "a", "b", "cart", "cart", "purchase", "page", "logout", "noise"}
	type device struct {
		id    string
		user  string
		moved bool // the id was linked to somebody
	}
	made := 0
	fresh := func() device { made++; return device{id: fmt.Sprintf("d%d", made)} }
	devices := make([]device, 6)
	for i := range devices {
		devices[i] = fresh()
	}
	var ops []idOp
	now := epoch
	for i := range n {
		now += r.Int64N(900_000)
		o := idOp{op: op{at: now}}
		if i%25 == 24 { // a silence, or almost; what is under way gets there before
			now += 20*60*second + r.Int64N(20*60*second)
			o.at, o.quiet = now, true
		}
		for k := range 1 + r.IntN(3) {
			d := &devices[r.IntN(len(devices))]
			e := event.Event{
				MessageID: fmt.Sprintf("h%d-%d", i, k), Type: event.Track, Name: names[r.IntN(len(names))],
				UserID: d.user, AnonymousID: d.id, Timestamp: now - r.Int64N(2)*second,
			}
			switch x := r.IntN(100); {
			case x < 14: // a login, also on top of another
				d.user = fmt.Sprintf("u%d", r.IntN(4))
				d.moved = true
				e.Type, e.Name, e.UserID = event.Identify, event.NameIdentify, d.user
				if r.IntN(2) == 0 {
					e.Traits = []byte([]string{`{"plan":"pro"}`, `{"plan":"free"}`}[r.IntN(2)])
				}
			case x < 17: // by way of alias
				d.user = fmt.Sprintf("u%d", r.IntN(4))
				d.moved = true
				e = event.Event{MessageID: e.MessageID, Type: event.Alias, Name: event.NameAlias, UserID: d.user, PreviousID: d.id, Timestamp: now}
			case x < 19: // forged
				e.Type, e.Name = event.Identify, event.NameIdentify
				e.UserID, e.AnonymousID = fmt.Sprintf("u%d", r.IntN(4)), fmt.Sprintf("u%d", r.IntN(4))
			case x < 22: // traits of somebody unknown
				e.Type, e.Name, e.UserID, e.Traits = event.Identify, event.NameIdentify, "", []byte(`{"plan":"pro"}`)
			case x < 28:
				*d = fresh()
				continue
			case x < 30:
				d.user = "" // a logout without reset
				continue
			case x < 33: // another tab
				e.UserID = ""
			case x < 36:
				e.Context.Historical = true
			}
			if e.UserID == "" && d.moved {
				if len(o.events) > 0 {
					continue // it is a request by itself
				}
				o.quiet = true
			}
			o.events = append(o.events, e)
			if o.quiet {
				break
			}
		}
		if len(o.events) > 0 || r.IntN(2) == 0 {
			ops = append(ops, o)
		}
	}
	for range 40 {
		now += second
		ops = append(ops, idOp{op: op{at: now}})
	}
	return ops
}

// idOracle knows who is who at once: there is one place for everybody.
func idOracle(t *testing.T, ops []idOp) (fired, began []string, profiles map[string]profile.Profile) {
	t.Helper()
	defs := &revisions{}
	defs.add(t, 1, idRules)
	rs, err := newRulebook(defs, discard(), newMetrics()).at(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	type person struct {
		id      string
		state   trigger.State
		profile profile.Profile
		traits  []byte
		who     session.User
	}
	tracker := session.NewTracker(1000)
	people := make(map[string]*person)
	var all []*person
	of := func(id string) *person {
		if people[id] == nil {
			people[id] = &person{id: id, who: session.UserOf(id)}
			all = append(all, people[id])
		}
		return people[id]
	}
	var out trigger.Result
	for _, o := range ops {
		for _, p := range all {
			if p.state.NextDeadline() <= o.at {
				rs.set.Wake(&p.state, p.id, &trigger.Input{LogTime: o.at, InAudience: in(rs, p.traits), Live: true}, &out)
			}
		}
		for _, e := range o.events {
			e.Source, e.ReceivedAt = "test", o.at
			p := of(e.User())
			switch to := p.profile.Moved.To; {
			case to != "" && e.UserID == "":
				p = of(to)
			case to != "":
				p.profile.Moved = profile.Move{} // a known user is nobody else's
			}
			if from, links := e.Links(); links && !p.profile.Has(from) {
				f := of(from)
				if f.profile.Moved.To == "" && f.profile.UserID != from {
					rs.set.Merge(&p.state, &f.state, o.at, &out)
					if seen, ok := tracker.Seen(&f.who, o.at); ok {
						tracker.Merge(&p.who, seen, o.at)
					}
					p.profile.Merge(&f.profile)
					p.profile.Link(from)
					f.profile.Moved.To = e.UserID
				}
			}
			step := func(e *event.Event) {
				if !rs.set.Relevant(e.Name) {
					return
				}
				rs.set.Step(&p.state, p.id, &trigger.Input{
					Event: e, Time: e.Timestamp, LogTime: o.at, Key: event.KeyOf(e.Source, e.MessageID),
					Traits: p.traits, InAudience: in(rs, p.traits), Live: true,
				}, &out)
			}
			if at, begins := tracker.See(&p.who, e.Timestamp, o.at); begins {
				start := session.Start(p.id, &e, event.KeyOf(e.Source, e.MessageID), at)
				began = append(began, fmt.Sprintf("%s of %s at %d", start.MessageID, start.User(), start.Timestamp))
				step(&start)
			}
			p.profile.Apply(&e)
			p.traits = p.profile.AppendTraits(nil)
			step(&e)
		}
	}
	for _, f := range out.Firings {
		fired = append(fired, fmt.Sprintf("%x", f.FireID))
	}
	slices.Sort(fired)
	slices.Sort(began)
	profiles = make(map[string]profile.Profile)
	for id, p := range people {
		if strings.HasPrefix(id, "u") {
			profiles[id] = p.profile
		}
	}
	return fired, began, profiles
}

// began are the session_start events of the log as the oracle writes them.
func (h *harness) began() []string {
	h.t.Helper()
	var out []string
	for _, e := range h.controls(event.NameSessionStart) {
		out = append(out, fmt.Sprintf("%s of %s at %d", e.MessageID, e.User(), e.Timestamp))
	}
	slices.Sort(out)
	return out
}

// playIDs puts the history into the log, with whatever happens in between.
func (h *harness) playIDs(ops []idOp, between func(i int)) {
	h.t.Helper()
	h.define(1, idRules)
	for i, o := range ops {
		if o.quiet {
			h.pump()
		}
		h.clock.set(o.at)
		if len(o.events) == 0 {
			h.control(event.NameTick, "")
		} else {
			h.append(slices.Clone(o.events)...)
		}
		if o.quiet {
			h.pump()
		}
		between(i)
	}
	h.pump()
	h.control(event.NameTick, "") // what was merged last may be due
	h.pump()
}

// halfway does one batch of a worker up to a point before its commit, and
// crashes.
func (h *harness) halfway(w *worker, sent bool) {
	h.t.Helper()
	if err := w.fill(); err != nil {
		h.t.Fatal(err)
	}
	if len(w.chunks) > 0 {
		if err := w.batch.prepare(h.ctx()); err != nil {
			h.t.Fatal(err)
		}
		w.batch.decide()
		if sent {
			_ = w.batch.send(h.ctx()) // the hostile log says no and does it
		}
	}
	h.crash()
}

// One history of logins, many ways to get there, one answer.
func TestSameFiringsWhoeverLogsIn(t *testing.T) {
	seeds := uint64(3 * soak())
	merged := 0.0
	for seed := range seeds {
		ops := idHistory(seed, 200)
		want, began, profiles := idOracle(t, ops)
		if len(want) < 60 {
			t.Fatalf("seed %d: the history fires only %d times", seed, len(want))
		}
		f := func(name string, h *harness, between func(h *harness, i int)) {
			t.Helper()
			h.playIDs(ops, func(i int) { between(h, i) })
			if diff := gocmp.Diff(want, fires(h.intents())); diff != "" {
				t.Errorf("seed %d, %s (-want +got):\n%s", seed, name, diff)
			}
			if diff := gocmp.Diff(began, h.began()); diff != "" {
				t.Errorf("seed %d, %s: sessions (-want +got):\n%s", seed, name, diff)
			}
			got := make(map[string]profile.Profile)
			for id := range profiles {
				p, err := h.decider().Profile(t.Context(), id)
				if err != nil || p == nil {
					t.Fatalf("seed %d, %s: profile of %s: %+v, %v", seed, name, id, p, err)
				}
				got[id] = *p
			}
			if diff := gocmp.Diff(profiles, got); diff != "" {
				t.Errorf("seed %d, %s: profiles (-want +got):\n%s", seed, name, diff)
			}
		}
		nothing := func(*harness, int) {}
		each := func(h *harness, _ int) { h.pump() }
		for _, partitions := range []int{1, 2, 8} {
			f(fmt.Sprintf("%d partitions, at the end", partitions), newHarness(t, partitions, Config{}), nothing)
			f(fmt.Sprintf("%d partitions, each record", partitions), newHarness(t, partitions, Config{}), each)
			f(fmt.Sprintf("%d partitions, batches of 1", partitions), newHarness(t, partitions, Config{BatchEvents: 1, CacheBytes: 1}), nothing)
			f(fmt.Sprintf("%d partitions, batches of 7", partitions), newHarness(t, partitions, Config{BatchEvents: 7}), nothing)
			f(fmt.Sprintf("%d partitions, one timer a page", partitions), newHarness(t, partitions, Config{TimerPage: 1}), nothing)
			// One partition may be far ahead of another, but for less than the
			// patience of a barrier.
			r := rand.New(rand.NewPCG(seed, 3))
			uneven := func(h *harness, i int) {
				workers := h.decider().workers
				w := workers[r.IntN(len(workers))]
				switch r.IntN(5) {
				case 0:
					h.once(w)
				case 1:
					h.pumpOne(w)
				case 2:
					h.halfway(w, false)
				case 3:
					h.halfway(w, true)
				case 4:
					h.crash()
				}
				if i%7 == 0 {
					h.pump()
				}
			}
			f(fmt.Sprintf("%d partitions, crashes", partitions), newHarness(t, partitions, Config{BatchEvents: 5}), uneven)
			hostile := newHarness(t, partitions, Config{BatchEvents: 16})
			db := memory.Open(memory.Config{Partitions: partitions, Clock: hostile.clock.Time, Seed: seed})
			db.SetHostile(memory.AllHostile())
			hostile.stores = stores{db.Log(), db.UserState()}
			f(fmt.Sprintf("%d partitions, hostile", partitions), hostile, uneven)
		}
		merged += float64(len(profiles))
	}
	if merged == 0 {
		t.Error("nobody logged in")
	}
}

func TestSameFiringsOfLoginsOnPebble(t *testing.T) {
	ops := idHistory(42, 120)
	want, began, _ := idOracle(t, ops)
	h := newHarness(t, 4, Config{BatchEvents: 8})
	dir := t.TempDir()
	var db *pebble.DB
	reopen := func() {
		if db != nil {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if db, err = pebble.Open(pebble.Config{Dir: dir, Partitions: 4, Memory: 8 << 20}, pebble.Deps{Clock: h.clock.Time}); err != nil {
			t.Fatal(err)
		}
		h.stores = stores{db.Log(), db.UserState()}
		h.crash()
	}
	reopen()
	h.playIDs(ops, func(i int) {
		workers := h.decider().workers
		switch {
		case i%40 == 0:
			h.halfway(workers[i/40%4], true)
			reopen()
			h.pump()
		case i%3 == 0:
			h.once(workers[i%4])
		case i%7 == 0:
			h.pump()
		}
	})
	if diff := gocmp.Diff(want, fires(h.intents())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff(began, h.began()); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// A crash at any point between the identify, the hand-over and the merge loses
// nothing and applies nothing twice.
func TestCrashWithinALogin(t *testing.T) {
	const rules = "kind: trigger\nname: t\npattern: [{event: win, times: 3}]\nwithin: 10m\n"
	for _, partitions := range []int{1, 2, 8} {
		for _, sent := range []bool{false, true} {
			for point := 0; ; point++ {
				h := newHarness(t, partitions, Config{BatchEvents: 1})
				h.define(1, rules)
				h.append(event.Event{Type: event.Track, Name: "win", AnonymousID: "a1", MessageID: "w1"},
					event.Event{Type: event.Track, Name: "win", AnonymousID: "a1", MessageID: "w2"})
				h.append(event.Event{Type: event.Identify, Name: event.NameIdentify, AnonymousID: "a1", UserID: "ann", MessageID: "i"})
				h.append(event.Event{Type: event.Track, Name: "win", AnonymousID: "a1", UserID: "ann", MessageID: "w3", ReplyTo: "tok"})
				steps, crashed := 0, false
				for again := true; again; {
					again = false
					for n := range partitions {
						w := h.decider().workers[n]
						if steps == point && !crashed {
							crashed = true
							h.halfway(w, sent)
							w = h.decider().workers[n]
						}
						if h.once(w) {
							steps, again = steps+1, true
						}
					}
				}
				got := h.intents()
				if len(got) != 1 || got[0].User != "ann" || got[0].CauseID != "w3" || got[0].ReplyTo != "tok" {
					t.Fatalf("%d partitions, crash at %d, sent %t: %+v", partitions, point, sent, got)
				}
				if s := h.settler.sum["tok"]; s != (inbox.Settlement{Events: 1, Intents: 1}) {
					t.Errorf("%d partitions, crash at %d: settled %+v", partitions, point, s)
				}
				if merges := h.controls(event.NameMerge); len(merges) != 1 || string(merges[0].Properties) != `{"from":"a1","to":"ann","at":"2026-11-20T00:00:00Z"}` {
					t.Errorf("%d partitions, crash at %d: %d merge records, %s", partitions, point, len(merges), merges[0].Properties)
				}
				if !crashed {
					break
				}
			}
		}
	}
}

// The event that a timer of the anonymous id remembers is found where it stands.
func TestPlaceOfAnEventBeforeTheLogin(t *testing.T) {
	for _, partitions := range []int{1, 8} {
		h := newHarness(t, partitions, Config{})
		h.define(1, "kind: trigger\nname: cart\npattern: [{event: cart}, {absent: buy, for: 60s}]\n---\nkind: trigger\nname: late\npattern: [{event: late}]\n")
		h.append(event.Event{Type: event.Track, Name: "cart", AnonymousID: "a1", MessageID: "c"})
		h.append(event.Event{Type: event.Identify, Name: event.NameIdentify, AnonymousID: "a1", UserID: "ann"})
		h.pump()
		h.append(event.Event{Type: event.Track, Name: "late", AnonymousID: "a1", MessageID: "l"})
		h.pump()
		h.clock.set(epoch + 60*second)
		h.control(event.NameTick, "")
		h.pump()
		got := h.intents()
		if len(got) != 2 {
			t.Fatalf("%d intents", len(got))
		}
		for _, in := range got {
			w := h.decider().workerOf(in.User)
			partition, offset := event.PlaceOf(w.number, in.Offset)
			e := h.at(partition, offset)
			if want := map[string]string{"cart": "c", "late": "l"}[in.Trigger]; e.MessageID != want {
				t.Errorf("%d partitions: the event of %s is %+v", partitions, in.Trigger, e)
			}
		}
	}
}

func TestParkedCodec(t *testing.T) {
	queue := []parked{
		{record: []byte("abc"), offset: 7, time: epoch, from: "a1", deadline: epoch + patience},
		{record: []byte("d"), offset: 9, time: epoch + 1},
		{record: []byte("e"), offset: 10, time: epoch, from: "a2", deadline: 5, answer: []byte("h"), answered: 12},
	}
	data := appendParked(queue)
	got, err := decodeParked(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(queue, got, gocmp.AllowUnexported(parked{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for n := 1; n < len(data); n++ {
		if _, err := decodeParked(data[:n]); err == nil {
			t.Errorf("cut at %d of %d it still reads", n, len(data))
		}
	}
	if _, err := decodeParked([]byte{parkedVersion + 1}); err == nil {
		t.Error("a later version reads")
	}
}

// An event that panics once it is released harms its user only, and ends: the
// wait is over in time, and what was parked is dropped.
func TestPoisonedParkedEvent(t *testing.T) {
	h := newHarness(t, 8, Config{})
	h.trap = func(e *event.Event) {
		if e.Name == "bad" {
			panic("cannot bear it")
		}
	}
	h.define(1, "kind: trigger\nname: t\npattern: [{event: win}]\n")
	h.append(event.Event{Type: event.Identify, Name: event.NameIdentify, AnonymousID: "a1", UserID: "ann"},
		track("ann", "bad"), track("ann", "win"), track("bob", "win"))
	h.pump()
	h.clock.set(epoch + 20*second)
	h.append(track("bob", "win"))
	h.control(event.NameTick, "")
	h.pump()
	h.append(track("ann", "win"))
	h.pump()
	count := make(map[string]int)
	for _, in := range h.intents() {
		count[in.User]++
	}
	if count["bob"] != 2 || count["ann"] != 1 {
		t.Errorf("fired %v", count)
	}
	if p, err := h.decider().Profile(t.Context(), "ann"); err != nil || p.Waiting {
		t.Errorf("ann %+v, %v", p, err)
	}
}

// Control records that make no sense are skipped.
func TestUnreadableControlRecords(t *testing.T) {
	h := newHarness(t, 8, Config{})
	h.define(1, "kind: trigger\nname: t\npattern: [{event: win}]\n")
	record := func(name, user, anonymous, properties string) event.Event {
		return event.Event{
			Type: event.System, Name: name, Source: event.SourceHeed, UserID: user, AnonymousID: anonymous, Properties: []byte(properties),
		}
	}
	h.append(
		record(event.NameHandOver, "ann", "zz", `nonsense`),
		record(event.NameHandOver, "ann", "", `{}`),
		record(event.NameForward, "ann", "a1", `{"event":"AAAA"}`),
		record(event.NameLink, "", "a1", `{}`),
		record(event.NameHandOver, "ann", "zz", `{"rows":"AAAA","profile":"AAAA"}`),
		track("ann", "win"),
	)
	h.pump()
	if n := len(h.intents()); n != 1 {
		t.Fatalf("%d intents", n)
	}
}
