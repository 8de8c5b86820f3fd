package decider

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"heed/internal/driver/memory"
	"heed/internal/driver/pebble"
	"heed/internal/event"
	"heed/internal/replay"
)

// openRules are rules without audiences: a replay has every user in all of them.
var openRules = regexp.MustCompile(`\n(audience|hold): [a-z]+`).ReplaceAllString(rules, "")

// Live and replay fire with the same ids at the same times, with events in
// between that no trigger reads and times that go back, whatever the partitions,
// batches and crashes.
func TestLiveAgreesWithReplay(t *testing.T) {
	for _, watched := range []bool{false, true} {
		rules := openRules
		if !watched { // without the trigger that watches every name
			rules = regexp.MustCompile(`\{idle: 4m\}`).ReplaceAllString(rules, "{absent: win, for: 4m}")
		}
		for seed := range uint64(4) {
			ops := history(seed+200, 10, 300)
			want := replayed(t, rules, ops)
			if len(want) < 50 {
				t.Fatalf("seed %d fires only %d times", seed, len(want))
			}
			for _, partitions := range []int{1, 2, 8} {
				r := rand.New(rand.NewPCG(seed, uint64(partitions)))
				h := newHarness(t, partitions, Config{BatchEvents: []int{1, 3, 4096}[r.IntN(3)], TimerPage: 1 + r.IntN(5)})
				h.playBy(rules, ops, func() {
					if r.IntN(4) == 0 {
						h.pump()
					}
					if r.IntN(40) == 0 {
						h.crash()
					}
				})
				var got []string
				for _, in := range h.intents() {
					got = append(got, fmt.Sprintf("%s %s %d", in.Trigger, in.FireID, in.At))
				}
				slices.Sort(got)
				if diff := gocmp.Diff(want, got); diff != "" {
					t.Errorf("seed %d, %d partitions, every name watched %t (-replay +live):\n%s", seed, partitions, watched, diff)
				}
			}
		}
	}
}

func replayed(t *testing.T, rules string, ops []op) []string {
	t.Helper()
	defs := &revisions{}
	defs.add(t, 1, rules)
	rs, err := newRulebook(defs, discard(), newMetrics()).at(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	r := replay.NewRunner(rs.set.Programs(), nil)
	for _, o := range ops {
		r.Until(o.at)
		for _, e := range o.events {
			if e.ReceivedAt = o.at; e.Source == "" {
				e.Source = "test"
			}
			r.Event(&e)
		}
	}
	var out []string
	for _, f := range r.Firings() {
		out = append(out, fmt.Sprintf("%s %s %d", f.Program.Name, hex.EncodeToString(f.FireID[:]), f.At))
	}
	slices.Sort(out)
	return out
}

// A thousand timers that fall due in an outage of ten minutes each fire once; in
// an outage of two hours each is dropped and counted. What was received before
// the outage ended is looked at first.
func TestOutage(t *testing.T) {
	const users = 1000
	f := func(outage int64, fired, stale int) {
		t.Helper()
		h := newHarness(t, 4, Config{TimerPage: 64})
		h.define(1, "kind: trigger\nname: cart\npattern: [{event: cart}, {absent: buy, for: 60s}]\n")
		for i := range users {
			h.append(track(fmt.Sprint("u", i), "cart"))
		}
		h.pump()
		h.crash()
		// Some bought while nobody decided, before the minute was over.
		h.clock.set(epoch + 30*second)
		for i := range 100 {
			h.append(track(fmt.Sprint("u", i), "buy"))
		}
		h.clock.set(epoch + 60*second + outage*second)
		h.control(event.NameTick, "")
		h.pump()
		h.crash()
		h.control(event.NameTick, "")
		h.pump()
		seen := map[string]bool{}
		for _, in := range h.intents() {
			if seen[in.User] || in.At != epoch+60*second {
				t.Errorf("%s fired at +%ds, before: %t", in.User, (in.At-epoch)/second, seen[in.User])
			}
			seen[in.User] = true
		}
		dropped := int64(0)
		for _, p := range h.decider().Progress().Triggers {
			dropped += p.Refused["stale"]
		}
		if len(seen) != fired || dropped != int64(stale) {
			t.Errorf("an outage of %ds: %d fired, %d dropped; want %d and %d", outage, len(seen), dropped, fired, stale)
		}
	}
	f(600, users-100, 0)
	f(7200, 0, users-100)
}

// However the clock jumps, on either store: log time never goes back, nothing
// fires twice, no timer is lost.
func TestClockJumps(t *testing.T) {
	for _, driver := range []string{"memory", "pebble"} {
		t.Run(driver, func(t *testing.T) {
			h := newHarness(t, 1, Config{})
			if driver == "pebble" {
				db, err := pebble.Open(pebble.Config{Dir: t.TempDir(), Partitions: 1}, pebble.Deps{Clock: h.clock.Time})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := db.Close(); err != nil {
						t.Error(err)
					}
				})
				h.stores = stores{db.Log(), db.UserState()}
			} else {
				db := memory.Open(memory.Config{Partitions: 1, Clock: h.clock.Time, Seed: 1})
				h.stores = stores{db.Log(), db.UserState()}
			}
			h.define(1, "kind: trigger\nname: cart\npattern: [{event: cart}, {absent: buy, for: 5m}]\nmax_stale: 3h\n")
			r := rand.New(rand.NewPCG(5, 5))
			now, newest, last := epoch, epoch, int64(0)
			due := map[string]int64{}
			for i := range 200 {
				now += 20 * second
				if i%20 == 19 {
					now += []int64{3600, -3600}[r.IntN(2)] * second
				}
				newest = max(newest, now)
				h.clock.set(now)
				user := fmt.Sprint("u", i)
				h.append(track(user, "cart"))
				due[user] = now + 300*second // by the clock of the client, which is the server's here
				if r.IntN(3) == 0 {
					h.pump()
				}
				if r.IntN(20) == 0 {
					h.crash()
				}
				if at := h.decider().workers[0].board.logTime; at < last {
					t.Fatalf("log time went back by %ds", (last-at)/second)
				} else {
					last = at
				}
			}
			h.pump()
			if last = h.d.workers[0].board.logTime; last != newest {
				t.Errorf("log time is +%ds, want +%ds", (last-epoch)/second, (newest-epoch)/second)
			}
			h.clock.set(newest + 600*second)
			h.control(event.NameTick, "")
			h.pump()
			fired := map[string]int{}
			for _, in := range h.intents() {
				fired[in.User]++
				if in.At < due[in.User] {
					t.Errorf("%s fired %ds early", in.User, (due[in.User]-in.At)/second)
				}
			}
			for user := range due {
				if fired[user] != 1 {
					t.Errorf("%s fired %d times", user, fired[user])
				}
			}
		})
	}
}
