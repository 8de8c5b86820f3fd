package decider

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"heed/internal/condition"
	"heed/internal/driver/memory"
	"heed/internal/driver/pebble"
	"heed/internal/driver/redis"
	"heed/internal/driver/redis/redistest"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/inbox"
	"heed/internal/profile"
	"heed/internal/trigger"
	"heed/internal/userstate"
)

// rules is a set of triggers that use rows, timers, marks and the profile.
const rules = `
kind: audience
name: vip
where: {field: traits.plan, op: eq, value: pro}
---
kind: trigger
name: wins
pattern: [{event: win, times: 3, consecutive: true}]
within: 10m
scope: [win, loss]
---
kind: trigger
name: pair
pattern: [{event: a}, {event: b}]
within: 5m
---
kind: trigger
name: cart
pattern: [{event: cart}, {absent: purchase, for: 60s}]
reset: [logout]
---
kind: trigger
name: idle
pattern: [{event: page}, {idle: 4m}]
---
kind: trigger
name: first-win
pattern: [{event: win}]
reentry: once
---
kind: trigger
name: vip-loss
pattern: [{event: loss}]
audience: vip
---
kind: trigger
name: vip-deal
pattern: [{event: deal}, {event: close}]
within: 5m
audience: vip
hold: true
---
kind: trigger
name: vip-look
pattern: [{event: look, where: {field: properties.n, op: gte, value: 2}}]
audience: vip
limit: {count: 2, per: 10m}
`

// op is one thing that happens to the log.
type op struct {
	at     int64
	events []event.Event // none: a tick in every partition
}

// history makes a random one: whatever the partitions, the same operations.
func history(seed uint64, users, n int) []op {
	r := rand.New(rand.NewPCG(seed, 7))
	names := []string{"win", "win", "win", "loss", "a", "b", "cart", "cart", "purchase", "page", "logout", "noise", "noise", "deal", "close", "look"}
	var ops []op
	now := epoch
	tick := now
	for i := range n {
		now += r.Int64N(20) * second
		for tick += 30 * second; tick < now; tick += 30 * second {
			ops = append(ops, op{at: tick})
		}
		tick = now
		var events []event.Event
		for k := range 1 + r.IntN(4) {
			user := fmt.Sprintf("u%d", r.IntN(users))
			e := track(user, names[r.IntN(len(names))])
			e.MessageID = fmt.Sprintf("h%d-%d", i, k)
			e.Timestamp = now - r.Int64N(40)*second
			e.Properties = []byte(fmt.Sprintf(`{"n":%d}`, r.IntN(4)))
			switch {
			case e.Name == "page":
				e.Type = event.Page
			case r.IntN(20) == 0:
				e.Type, e.Name = event.Identify, event.NameIdentify
				e.Traits = []byte([]string{`{"plan":"pro"}`, `{"plan":"free"}`}[r.IntN(2)])
			}
			events = append(events, e)
		}
		ops = append(ops, op{at: now, events: events})
	}
	for range 40 { // until every timer is due
		now += 30 * second
		ops = append(ops, op{at: now})
	}
	return ops
}

// play puts the history into the log, with whatever happens in between.
func (h *harness) play(ops []op, between func()) {
	h.t.Helper()
	h.playBy(rules, ops, between)
}

func (h *harness) playBy(rules string, ops []op, between func()) {
	h.t.Helper()
	h.define(1, rules)
	for _, o := range ops {
		h.clock.set(o.at)
		if len(o.events) == 0 {
			h.control(event.NameTick, "")
		} else {
			h.append(slices.Clone(o.events)...)
		}
		between()
	}
	h.pump()
}

// oracle steps every user by itself, with nothing stored in between.
func oracle(t *testing.T, ops []op) []string {
	t.Helper()
	return oracleOf(t, rules, ops)
}

func oracleOf(t *testing.T, rules string, ops []op) []string {
	t.Helper()
	defs := &revisions{}
	defs.add(t, 1, rules)
	b := newRulebook(defs, discard(), newMetrics())
	rs, err := b.at(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	type person struct {
		state   trigger.State
		profile profile.Profile
		traits  []byte
	}
	people := make(map[string]*person)
	var ids []string
	var out trigger.Result
	for _, o := range ops {
		for i := range ids {
			p := people[ids[i]]
			if p.state.NextDeadline() > o.at {
				continue
			}
			rs.set.Wake(&p.state, ids[i], &trigger.Input{LogTime: o.at, InAudience: in(rs, p.traits), Live: true}, &out)
		}
		for i := range o.events {
			e := &o.events[i]
			e.Source, e.ReceivedAt = "test", o.at
			p := people[e.User()]
			if p == nil {
				p = &person{}
				people[e.User()] = p
				ids = append(ids, e.User())
			}
			p.profile.Apply(e)
			p.traits = p.profile.AppendTraits(nil)
			if !rs.set.Relevant(e.Name) {
				continue
			}
			rs.set.Step(&p.state, e.User(), &trigger.Input{
				Event: e, Time: e.Timestamp, LogTime: o.at, Key: event.KeyOf(e.Source, e.MessageID),
				Traits: p.traits, InAudience: in(rs, p.traits), Live: true,
			}, &out)
		}
	}
	var got []string
	for _, f := range out.Firings {
		got = append(got, fmt.Sprintf("%x", f.FireID))
	}
	slices.Sort(got)
	return got
}

func in(rs *ruleset, traits []byte) func(string) bool {
	return func(name string) bool { return rs.audiences[name].Eval(&condition.Facts{Traits: traits}) }
}

// One history, many ways to get there, one answer.
func TestSameFiringsWhateverHappens(t *testing.T) {
	for seed := range uint64(4) {
		ops := history(seed, 12, 250)
		want := oracle(t, ops)
		if len(want) < 50 {
			t.Fatalf("seed %d: the history fires only %d times", seed, len(want))
		}
		f := func(name string, h *harness, between func(*harness)) {
			t.Helper()
			h.play(ops, func() { between(h) })
			if diff := gocmp.Diff(want, fires(h.intents())); diff != "" {
				t.Errorf("seed %d, %s (-want +got):\n%s", seed, name, diff)
			}
		}
		nothing := func(*harness) {}
		each := func(h *harness) { h.pump() }
		for _, partitions := range []int{1, 2, 8} {
			f(fmt.Sprintf("%d partitions, at the end", partitions), newHarness(t, partitions, Config{}), nothing)
			f(fmt.Sprintf("%d partitions, each record", partitions), newHarness(t, partitions, Config{}), each)
		}
		f("batches of 1", newHarness(t, 2, Config{BatchEvents: 1}), nothing)
		f("batches of 7", newHarness(t, 2, Config{BatchEvents: 7}), nothing)
		f("bytes", newHarness(t, 2, Config{BatchBytes: 1}), nothing)
		f("one timer a page", newHarness(t, 1, Config{TimerPage: 1}), nothing)
		f("two timers a page", newHarness(t, 1, Config{TimerPage: 2}), nothing)
		f("no cache", newHarness(t, 2, Config{CacheBytes: 1}), each)
		r := rand.New(rand.NewPCG(seed, 3))
		f("crashes", newHarness(t, 2, Config{BatchEvents: 16}), func(h *harness) {
			switch r.IntN(6) {
			case 0:
				h.pump()
			case 1: // everything but the commit
				for _, w := range h.decider().workers {
					if err := w.fill(); err != nil {
						t.Fatal(err)
					}
					if len(w.chunks) > 0 {
						if err := w.batch.prepare(t.Context()); err != nil {
							t.Fatal(err)
						}
						w.batch.decide()
					}
				}
				h.crash()
			case 2:
				for _, w := range h.decider().workers {
					h.once(w)
				}
				h.crash()
			}
		})
		hostile := newHarness(t, 2, Config{BatchEvents: 16})
		db := memory.Open(memory.Config{Partitions: 2, Clock: hostile.clock.Time, Seed: seed})
		db.SetHostile(memory.AllHostile())
		hostile.stores = stores{db.Log(), db.UserState()}
		f("hostile", hostile, func(h *harness) {
			if r.IntN(3) == 0 {
				h.pump()
			}
		})
	}
}

func TestSameFiringsOnPebble(t *testing.T) {
	ops := history(11, 12, 120)
	want := oracle(t, ops)
	h := newHarness(t, 2, Config{BatchEvents: 32})
	dir := t.TempDir()
	var db *pebble.DB
	reopen := func() {
		if db != nil {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
		var err error
		if db, err = pebble.Open(pebble.Config{Dir: dir, Partitions: 2, Memory: 8 << 20}, pebble.Deps{Clock: h.clock.Time}); err != nil {
			t.Fatal(err)
		}
		h.stores = stores{db.Log(), db.UserState()}
		h.crash()
	}
	reopen()
	n := 0
	h.play(ops, func() {
		switch n++; {
		case n%50 == 0:
			reopen()
		case n%3 == 0:
			h.pump()
		}
	})
	if diff := gocmp.Diff(want, fires(h.intents())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// On Redis, which loses everything twice: then the log is decided again, and intents
// come again with the ids that they had.
func TestSameFiringsOnRedis(t *testing.T) {
	server := redistest.Start(t)
	ops := history(11, 12, 120)
	want := oracle(t, ops)
	h := newHarness(t, 2, Config{BatchEvents: 32})
	open := func() *redis.State {
		s, err := redis.OpenState(t.Context(), redis.Config{Addrs: []string{server.Addr()}}, h.stores.log, redis.Deps{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		h.stores.state = s
		return s
	}
	open()
	n, lost := 0, 0
	h.play(ops, func() {
		switch n++; {
		case n%60 == 0:
			if err := server.Client().FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			lost++
		case n%41 == 0:
			open() // another process takes over, and the former one does not know
			h.crash()
		case n%3 == 0:
			h.pump()
		}
	})
	got := fires(h.intents())
	if diff := gocmp.Diff(want, slices.Compact(slices.Clone(got))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	t.Logf("history of %d steps, data lost %d times: expected %d, seen %d, repeated with the same id %d", n, lost, len(want), len(got), len(got)-len(want))
	if lost == 0 {
		t.Error("nothing was lost")
	}
}

// What is counted step by step is what the rows say, as long as no window has
// passed; in the end nothing is left.
func TestProgressAgreesWithRows(t *testing.T) {
	ops := history(5, 20, 200)
	n4 := slices.IndexFunc(ops, func(o op) bool { return o.at > epoch+4*60*second })
	rest := ops[n4:]
	ops = ops[:n4]
	h := newHarness(t, 2, Config{BatchEvents: 10})
	n := 0
	h.play(ops, func() {
		if n++; n%17 == 0 {
			h.pump()
			h.crash()
		}
	})
	count := func() map[string]int64 {
		sum := make(map[string]int64)
		for _, p := range h.decider().Progress().Triggers {
			for i, k := range p.Steps {
				if k != 0 {
					sum[fmt.Sprintf("%s/%d", p.Trigger, i+1)] += k
				}
			}
		}
		return sum
	}
	want := make(map[string]int64)
	for i := range 20 {
		rows, err := h.decider().Explain(t.Context(), fmt.Sprintf("u%d", i))
		if err != nil {
			t.Fatal(err)
		}
		for _, known := range rows.Triggers {
			for _, r := range known.Rows {
				want[fmt.Sprintf("%s/%d", known.Trigger, r.Done)]++
			}
		}
	}
	if len(want) < 3 {
		t.Fatalf("too few rows: %v", want)
	}
	if diff := gocmp.Diff(want, count()); diff != "" {
		t.Errorf("progress (-rows +counted):\n%s", diff)
	}
	fired := int64(0)
	for _, p := range h.decider().Progress().Triggers {
		fired += p.Fired
	}
	if got := int64(len(h.intents())); fired != got {
		t.Errorf("%d firings counted, %d intents", fired, got)
	}
	h.crash()
	if diff := gocmp.Diff(want, count()); diff != "" {
		t.Errorf("after a restart (-rows +counted):\n%s", diff)
	}
	for _, o := range rest {
		h.clock.set(o.at)
		if len(o.events) == 0 {
			h.control(event.NameTick, "")
		} else {
			h.append(o.events...)
		}
	}
	h.clock.set(h.clock.Time().Add(time.Hour).UnixMicro())
	h.control(event.NameTick, "")
	h.pump()
	if got := count(); len(got) != 0 {
		t.Errorf("an hour after the last event: %v", got)
	}
}

// The partition holds exactly one timer for a user who waits, and none else.
func TestOneTimerAUser(t *testing.T) {
	h := newHarness(t, 1, Config{})
	ops := history(9, 10, 200)
	n := 0
	h.play(ops[:len(ops)-40], func() {
		h.pump()
		if n++; n%10 != 0 {
			return
		}
		w := h.decider().workers[0]
		due, err := w.part.Due(t.Context(), math.MaxInt64, 1000)
		if err != nil {
			t.Fatal(err)
		}
		have := make(map[string]int64)
		for _, d := range due {
			if have[d.User] != 0 {
				t.Fatalf("two timers of %s", d.User)
			}
			have[d.User] = d.Deadline
		}
		for i := range 10 {
			id := fmt.Sprintf("u%d", i)
			value, err := h.stores.state.Get(t.Context(), 0, userstate.Rows, id)
			if err != nil {
				t.Fatal(err)
			}
			var u user
			if err := u.setRows(value); err != nil {
				t.Fatal(err)
			}
			var st trigger.State
			if err := w.rules.set.Decode(u.rows, &st); err != nil {
				t.Fatal(err)
			}
			next := st.NextDeadline()
			switch {
			case st.Empty() && have[id] != 0:
				t.Fatalf("a timer of %s, who has no rows", id)
			case next != math.MaxInt64 && (have[id] == 0 || have[id] > next):
				t.Fatalf("%s waits for %d, is woken at %d", id, next, have[id])
			}
		}
	})
}

func TestTimerOverdueAfterAnOutage(t *testing.T) {
	h := newHarness(t, 1, Config{})
	h.define(1, rules)
	h.append(track("ann", "cart"))
	h.append(track("bob", "cart"))
	h.pump()
	h.crash()
	// While nobody decides, bob buys in time and ann does not.
	h.clock.set(epoch + 30*second)
	h.append(track("bob", "purchase"))
	h.clock.set(epoch + 20*60*second)
	h.append(track("cleo", "noise"))
	h.pump()
	got := h.intents()
	if len(got) != 1 || got[0].User != "ann" || got[0].At != epoch+60*second || got[0].Offset != 1 {
		t.Fatalf("intents %+v", got)
	}
	h.clock.set(epoch + 30*60*second)
	h.append(track("cleo", "noise"))
	h.pump()
	if n := len(h.intents()); n != 1 {
		t.Fatalf("%d intents", n)
	}
}

// A timer that is due runs before an event of the same log time, however many
// are due and however few are looked at together.
func TestTimersRunBeforeTheEvent(t *testing.T) {
	for _, page := range []int{0, 1, 2, 3} {
		h := newHarness(t, 1, Config{TimerPage: page})
		h.define(1, `
kind: audience
name: vip
where: {field: traits.plan, op: eq, value: pro}
---
kind: trigger
name: cart
pattern: [{event: cart}, {absent: purchase, for: 60s}]
audience: vip
`)
		people := []string{"ann", "bob", "cleo", "dora"}
		plan := func(name string) {
			var events []event.Event
			for _, user := range people {
				e := track(user, event.NameIdentify)
				e.Type, e.Traits = event.Identify, fmt.Appendf(nil, `{"plan":%q}`, name)
				events = append(events, e)
			}
			h.append(events...)
		}
		plan("pro")
		h.append(track("ann", "cart"))
		h.clock.set(epoch + 20*second)
		h.append(track("bob", "cart"), track("cleo", "cart"), track("dora", "cart"))
		h.pump()
		h.clock.set(epoch + 70*second)
		h.append(track("eve", "noise"))
		h.clock.set(epoch + 90*second)
		plan("free")
		h.pump()
		if got := h.intents(); len(got) != len(people) {
			t.Errorf("pages of %d: %d intents, want one of everybody who was vip when the timer was due", page, len(got))
		}
	}
}

func TestPoisonedEventIsSkipped(t *testing.T) {
	play := func(trap bool, batch int) []string {
		h := newHarness(t, 1, Config{BatchEvents: batch})
		if trap {
			h.trap = func(e *event.Event) {
				if e.MessageID == "bad" {
					panic("cannot bear it")
				}
			}
		}
		h.define(1, rules)
		var events []event.Event
		for i := range 5 {
			e := track("u", "win")
			e.MessageID = fmt.Sprint(i)
			events = append(events, e)
		}
		bad := track("u", "loss")
		bad.MessageID, bad.ReplyTo = "bad", "tok"
		if trap {
			events = slices.Insert(events, 2, bad)
		}
		h.append(events...)
		h.pump()
		if trap {
			if got := h.settler.sum["tok"]; got.Events != 1 {
				t.Errorf("the poisoned event was settled as %+v", got)
			}
		}
		return fires(h.intents())
	}
	want := play(false, 0)
	if len(want) != 2 {
		t.Fatalf("fires %v", want)
	}
	for _, batch := range []int{0, 1, 3} {
		if diff := gocmp.Diff(want, play(true, batch)); diff != "" {
			t.Errorf("batches of %d (-without it +with it):\n%s", batch, diff)
		}
	}
}

func TestUnreadableEventIsSkipped(t *testing.T) {
	h := newHarness(t, 1, Config{})
	h.define(1, "kind: trigger\nname: t\npattern: [{event: x}]\n")
	good := track("u", "x")
	good.MessageID, good.Source, good.Timestamp = "1", "test", epoch
	var b eventlog.Batch
	for _, data := range [][]byte{event.AppendEvent(nil, &good), {3, 0xff, 0xff, 0xff}, event.AppendEvent(nil, &good)} {
		b.Data = append(b.Data, data...)
		b.Ends = append(b.Ends, len(b.Data))
		b.Keys = append(b.Keys, eventlog.Key{})
	}
	h.write(&b)
	h.append(track("u", "x"))
	h.pump()
	if n := len(h.intents()); n != 3 {
		t.Fatalf("%d intents", n)
	}
}

func TestSettlementsAddUp(t *testing.T) {
	for _, batch := range []int{0, 1, 2, 5} {
		h := newHarness(t, 2, Config{BatchEvents: batch})
		h.define(1, rules)
		want := make(map[string]inbox.Settlement)
		for i := range 10 {
			token := fmt.Sprintf("tok%d", i)
			var events []event.Event
			for k := range 6 {
				e := track(fmt.Sprintf("u%d", (i+k)%4), []string{"win", "noise", "loss"}[k%3])
				e.ReplyTo = token
				events = append(events, e)
			}
			h.append(events...)
			want[token] = inbox.Settlement{Events: 6}
		}
		h.pump()
		for _, in := range h.intents() {
			s := want[in.ReplyTo]
			s.Intents++
			want[in.ReplyTo] = s
		}
		if len(h.intents()) < 4 {
			t.Fatalf("%d intents", len(h.intents()))
		}
		if diff := gocmp.Diff(want, h.settler.sum); diff != "" {
			t.Errorf("batches of %d (-want +got):\n%s", batch, diff)
		}
	}
}

func TestHistoricalFeedsTheProfileOnly(t *testing.T) {
	h := newHarness(t, 1, Config{})
	h.define(1, "kind: trigger\nname: t\npattern: [{event: x}]\n")
	old := track("u", "x")
	old.Timestamp = epoch - 3600*second
	imported := track("u", "x")
	imported.Context.Historical, imported.Timestamp = true, epoch-7200*second
	h.append(old, imported)
	h.pump()
	if n := len(h.intents()); n != 0 {
		t.Errorf("%d intents", n)
	}
	p, err := h.decider().Profile(t.Context(), "u")
	if err != nil || p == nil || p.FirstSeen != epoch-7200*second {
		t.Errorf("profile %+v, %v", p, err)
	}
	h.append(track("u", "x"))
	h.pump()
	if n := len(h.intents()); n != 1 {
		t.Errorf("%d intents", n)
	}
}

// Profiles do not depend on batches, cache and restarts.
func TestProfilesWhateverHappens(t *testing.T) {
	ops := history(3, 12, 200)
	read := func(cfg Config, partitions int, between func(h *harness)) map[string]any {
		h := newHarness(t, partitions, cfg)
		h.play(ops, func() { between(h) })
		out := make(map[string]any)
		found, err := h.decider().SearchUsers(t.Context(), "u", 100)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.IsSortedFunc(found, func(a, b Found) int { return cmp.Compare(a.User, b.User) }) {
			t.Error("users are out of order")
		}
		for _, f := range found {
			out[f.User] = *f.Profile
		}
		return out
	}
	want := read(Config{BatchEvents: 1, CacheBytes: 1}, 1, func(h *harness) { h.pump(); h.crash() })
	if len(want) != 12 {
		t.Fatalf("%d users", len(want))
	}
	if diff := gocmp.Diff(want, read(Config{}, 8, func(*harness) {})); diff != "" {
		t.Errorf("at the end (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff(want, read(Config{BatchEvents: 5}, 2, func(h *harness) { h.pump() })); diff != "" {
		t.Errorf("each record (-want +got):\n%s", diff)
	}
}

func TestSearchUsersIsBounded(t *testing.T) {
	h := newHarness(t, 4, Config{})
	for i := range 30 {
		h.append(track(fmt.Sprintf("user-%02d", i), "x"))
	}
	h.append(track("other", "x"))
	h.pump()
	f := func(prefix string, limit int, want ...string) {
		t.Helper()
		found, err := h.decider().SearchUsers(t.Context(), prefix, limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, u := range found {
			got = append(got, u.User)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", prefix, diff)
		}
	}
	f("user-", 3, "user-00", "user-01", "user-02")
	f("user-2", 2, "user-20", "user-21")
	f("", 1, "other")
	f("nobody", 5)
}

func TestFencedOwnerWritesNothing(t *testing.T) {
	h := newHarness(t, 1, Config{})
	h.define(1, rules)
	h.append(track("u", "win"))
	h.decider()
	w := h.d.workers[0]
	if err := w.fill(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.stores.state.Open(t.Context(), 0); err != nil { // somebody else
		t.Fatal(err)
	}
	if err := w.step(t.Context()); !errors.Is(err, userstate.ErrFenced) {
		t.Fatalf("step: %v", err)
	}
	if n := len(h.intents()); n != 0 {
		t.Fatalf("%d intents", n)
	}
	if p := h.d.Progress().Triggers; len(p) != 0 {
		t.Fatalf("progress of what was not committed: %+v", p)
	}
}

func TestConsumed(t *testing.T) {
	h := newHarness(t, 1, Config{BatchEvents: 2})
	f := func(want uint64) {
		t.Helper()
		got, err := h.decider().Consumed(t.Context())
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("consumed %v, %v; want %d", got, err, want)
		}
	}
	h.append(track("u", "a"), track("u", "b"), track("u", "c"))
	f(0)
	h.once(h.d.workers[0])
	f(2)
	h.crash()
	f(2)
	h.pump()
	f(4) // with the session_start
}

func TestBoardCodec(t *testing.T) {
	b := board{revision: 3, logTime: epoch, scores: []score{
		{name: "a", pattern: [16]byte{1}, steps: []int64{4, 0}, fired: 9, last: epoch, refused: [reasons]int64{1, 0, 2}},
		{name: "b"},
	}}
	data := b.append(nil)
	got, err := decodeBoard(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(b, got, gocmp.AllowUnexported(board{}, score{})); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	for n := 1; n < len(data); n++ {
		if _, err := decodeBoard(data[:n]); err == nil {
			t.Errorf("cut at %d of %d it still reads", n, len(data))
		}
	}
	if _, err := decodeBoard([]byte{metaVersion + 1}); !errors.Is(err, errMeta) {
		t.Errorf("a later version: %v", err)
	}
}
