package decider

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/session"
)

const minute = 60 * second

// When a batch is begun again because an event panics, what it had learned of
// sessions is taken back.
func TestPoisonTakesSessionsBack(t *testing.T) {
	h := newHarness(t, 1, Config{})
	h.trap = func(e *event.Event) {
		if e.Name == "bad" {
			panic("cannot bear it")
		}
	}
	h.define(1, "kind: trigger\nname: t\npattern: [{event: session_start}]\n")
	h.append(track("ann", "page"), track("bob", "bad"), track("cleo", "page"), track("bob", "page"))
	h.pump()
	if n := len(h.controls(event.NameSessionStart)); n != 3 {
		t.Errorf("%d sessions of three users", n)
	}
	if n := len(h.intents()); n != 3 {
		t.Errorf("%d intents", n)
	}
}

// A crash at any point between the event and its session_start in the log loses
// none and makes no second one.
func TestCrashAroundASessionStart(t *testing.T) {
	for _, partitions := range []int{1, 2, 8} {
		for point := range 12 {
			h := newHarness(t, partitions, Config{BatchEvents: 2})
			h.define(1, "kind: trigger\nname: t\npattern: [{event: session_start}, {event: page}]\nwithin: 1m\n")
			var users []string
			for i := range 5 {
				user := fmt.Sprintf("u%d", i)
				users = append(users, user)
				h.append(track(user, "page"), track(user, "scroll"))
			}
			for again, step := true, 0; again; {
				again = false
				for n := range partitions {
					w := h.decider().workers[n]
					if h.once(w) {
						again = true
					}
					if step++; step == point { // committed, not appended
						h.crash()
						w = h.decider().workers[n]
					}
					if n%2 == 0 || step > point {
						again = h.tell(w) || again
					}
					if step == point+1 { // appended, and the store does not know
						h.crash()
					}
				}
			}
			count := map[string]int{}
			for _, e := range h.controls(event.NameSessionStart) {
				count[e.User()]++
			}
			for _, u := range users {
				if count[u] != 1 {
					t.Errorf("%d partitions, crash at %d: %s has %d session starts", partitions, point, u, count[u])
				}
			}
			if n := len(h.intents()); n != len(users) {
				t.Errorf("%d partitions, crash at %d: %d intents", partitions, point, n)
			}
		}
	}
}

// What the event carried is told with the session, and the answer to who waits
// for the event comes once.
func TestSessionStartCarriesItsCause(t *testing.T) {
	h := newHarness(t, 2, Config{})
	h.define(1, "kind: trigger\nname: letter\npattern: [{event: session_start, where: {field: context.campaign.source, op: eq, value: letter}}]\n")
	e := track("ann", "page")
	e.ReplyTo = "tok"
	e.Context = event.Context{
		Campaign: event.CampaignContext{Source: "letter"}, Device: "mobile", Page: event.PageContext{Path: "/"},
		Extra: []byte(`{"internal":true}`), Consent: []byte(`{"sms":true}`),
	}
	h.append(e)
	h.pump()
	got := h.controls(event.NameSessionStart)
	if len(got) != 1 {
		t.Fatalf("%d sessions", len(got))
	}
	e.Context.Consent = nil
	if diff := gocmp.Diff(e.Context, got[0].Context); diff != "" || got[0].ReplyTo != "" {
		t.Errorf("context (-want +got):\n%s%+v", diff, got[0])
	}
	in := h.intents()
	if len(in) != 1 || in[0].ReplyTo != "tok" || in[0].CauseID != got[0].MessageID {
		t.Fatalf("%+v", in)
	}
	w := h.decider().workerOf("ann")
	partition, offset := event.PlaceOf(w.number, in[0].Offset)
	if found := h.at(partition, offset); found.Name != "page" {
		t.Errorf("the intent leads to %+v", found)
	}
	if s := h.settler.sum["tok"]; s.Events != 1 || s.Intents != 1 {
		t.Errorf("settled %+v", s)
	}
}

// refusing is a log that takes nothing of Heed's own while it is full.
type refusing struct {
	eventlog.Log
	full atomic.Bool
}

func (r *refusing) Append(ctx context.Context, s eventlog.Stream, b []*eventlog.Batch) error {
	if r.full.Load() && b[0].Own {
		return eventlog.ErrDiskFull
	}
	return r.Log.Append(ctx, s, b)
}

// While the log takes no session_start, decisions go on.
func TestFullLogStopsNoDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{Partitions: 1, Seed: 1})
		log := &refusing{Log: db.Log()}
		log.full.Store(true)
		h := &harness{t: t, clock: &clock{now: epoch}, stores: stores{log, db.UserState()}, defs: &revisions{}, settler: &settler{}}
		d, err := New(Config{}, Deps{Log: log, State: db.UserState(), Definitions: h.defs, Logger: discard()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- d.Run(ctx) }()
		h.define(1, "kind: trigger\nname: t\npattern: [{event: session_start}]\n")
		for i := range 50 {
			h.append(track(fmt.Sprintf("u%d", i), "page"))
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if n := len(h.intents()); n != 50 {
			t.Errorf("%d intents while the log is full", n)
		}
		if n := len(h.controls(event.NameSessionStart)); n != 0 || d.Telling() != 50 {
			t.Errorf("%d session starts in a full log, %d wait", n, d.Telling())
		}
		log.full.Store(false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := len(h.controls(event.NameSessionStart)); n != 50 || d.Telling() != 0 {
			t.Errorf("%d session starts, %d wait", n, d.Telling())
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A user who is forgotten for want of room begins a session again, and is counted.
func TestSessionUsersAreBounded(t *testing.T) {
	h := newHarness(t, 1, Config{SessionUsers: 20})
	for i := range 60 {
		h.append(track(fmt.Sprintf("u%d", i), "page"))
		h.pump()
	}
	if n := value(h.d.metrics.evicted); n != 40 {
		t.Errorf("%v were evicted", n)
	}
	h.append(track("u59", "page"), track("u0", "page"))
	h.pump()
	if n := len(h.controls(event.NameSessionStart)); n != 61 {
		t.Errorf("%d sessions", n)
	}
}

// A session begins live where it begins in a replay of the same events, over which
// it does not matter that some of them are Heed's own session_start.
func TestSessionsLiveAndReplayed(t *testing.T) {
	const rules = `
{kind: trigger, name: visit, pattern: [{event: session_start}]}
---
{kind: trigger, name: looks, pattern: [{event: session_start}, {event: win, times: 2}], within: 20m}
`
	for seed := range uint64(4) {
		ops := history(seed+300, 6, 200)
		r := rand.New(rand.NewPCG(seed, 9))
		for i, add := 0, int64(0); i < len(ops); i++ {
			if i%10 == 9 {
				add += 10*minute + r.Int64N(35*minute)
			}
			ops[i].at += add
			for k := range ops[i].events {
				ops[i].events[k].Timestamp += add
			}
		}
		want := replayed(t, rules, ops)
		if len(want) < 30 {
			t.Fatalf("seed %d fires only %d times", seed, len(want))
		}
		for _, partitions := range []int{1, 8} {
			h := newHarness(t, partitions, Config{BatchEvents: 7})
			h.playBy(rules, ops, func() {
				if r.IntN(4) == 0 {
					h.pump()
				}
				if r.IntN(40) == 0 {
					h.crash()
				}
			})
			h.pump()
			var got []string
			for _, in := range h.intents() {
				got = append(got, fmt.Sprintf("%s %s %d", in.Trigger, in.FireID, in.At))
			}
			slices.Sort(got)
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Fatalf("seed %d, %d partitions (-replay +live):\n%s", seed, partitions, diff)
			}
			if partitions > 1 {
				continue
			}
			var all []op // with what Heed made
			h.each(0, func(_ uint64, e event.Event) {
				if e.Type != event.System {
					all = append(all, op{at: e.ReceivedAt, events: []event.Event{e}})
				}
			})
			if diff := gocmp.Diff(want, replayed(t, rules, all)); diff != "" {
				t.Errorf("seed %d, from the log (-want +got):\n%s", seed, diff)
			}
		}
	}
}

// After a restart it is known who was active, also of many users over a long time.
func TestSessionsAfterManyRestarts(t *testing.T) {
	h := newHarness(t, 2, Config{})
	const users = 400
	for round := range 30 {
		h.clock.set(epoch + int64(round)*10*minute)
		var events []event.Event
		for i := range users {
			if (i+round)%3 == 0 || i < 200 { // half of the users every time, others each half hour
				events = append(events, track(fmt.Sprintf("u%d", i), "page"))
			}
		}
		h.append(events...)
		h.pump()
		h.crash()
	}
	want := 200 + 200*10 // u200 to u399 are silent for exactly 30 minutes each time
	if n := len(h.controls(event.NameSessionStart)); n != want {
		t.Errorf("%d sessions, want %d", n, want)
	}
	if session.Gap != 30*minute {
		t.Errorf("the gap is %d", session.Gap)
	}
}
