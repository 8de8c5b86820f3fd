package engager_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"heed/internal/channel"
	"heed/internal/consent"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/driver/memory"
	"heed/internal/engager"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/inbox"
	"heed/internal/period"
	"heed/internal/policy"
	"heed/internal/profile"
)

// revised gives definitions that may change while the Engager runs.
type revised struct {
	set atomic.Pointer[definition.Set]
}

func (r *revised) Current() *definition.Set { return r.set.Load() }

func (v *env) now() time.Time {
	if v.clock != nil {
		return v.clock()
	}
	return time.Now()
}

// revise puts a changed campaign in force.
func (v *env) revise(name string, change func(*definition.Campaign)) {
	c := *v.set.Campaigns[name]
	change(&c)
	set := *v.set
	set.Revision++
	set.Campaigns = maps.Clone(v.set.Campaigns)
	set.Campaigns[name] = &c
	v.set = &set
	v.defs.set.Store(v.set)
}

func status(s definition.Status) func(*definition.Campaign) {
	return func(c *definition.Campaign) { c.Status = s }
}

// none waits, and checks that a user got no outcome.
func (v *env) none(user string, d time.Duration) {
	v.t.Helper()
	time.Sleep(d)
	synctest.Wait()
	if n := v.count(func(o *outcome) bool { return o.event.User() == user }); n > 0 {
		v.t.Fatalf("%s has %d outcomes already", user, n)
	}
}

// count counts outcomes in the log now.
func (v *env) count(of func(*outcome) bool) (n int) {
	v.t.Helper()
	for _, o := range v.all() {
		if of(&o) {
			n++
		}
	}
	return n
}

// all lists the outcomes in the log now.
func (v *env) all() (out []outcome) {
	v.t.Helper()
	for p := range v.db.Log().Partitions() {
		b, err := v.db.Log().Bounds(v.t.Context(), eventlog.Events, p)
		if err != nil {
			v.t.Fatal(err)
		}
		if b.Next == b.First {
			continue
		}
		r, err := v.db.Log().Read(v.t.Context(), eventlog.Events, p, b.First)
		if err != nil {
			v.t.Fatal(err)
		}
		for next := b.First; next < b.Next; {
			c, err := r.Next(v.t.Context())
			if err != nil {
				v.t.Fatal(err)
			}
			next = c.Next()
			out = append(out, outcomesIn(v.t, c.Data, "")...)
		}
		_ = r.Close()
	}
	return out
}

// at moves the (virtual) clock of the environment to a moment.
func (v *env) at(moment string) {
	v.t.Helper()
	at, err := time.Parse(time.RFC3339, moment)
	if err != nil {
		v.t.Fatal(err)
	}
	off := time.Until(at)
	v.clock = func() time.Time { return time.Now().Add(off) }
	v.cfg.Poll = time.Second
	v.db = memory.Open(memory.Config{Partitions: 2, Clock: v.clock})
}

func (v *env) quiet(from, to string) {
	v.set.Sending = &definition.Sending{Name: definition.SendingSettings, Quiet: &definition.Quiet{From: from, To: to}}
}

func in(zone string) *profile.Profile { return &profile.Profile{FirstSeen: 1, Timezone: zone} }

func TestPauseHoldsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newEnv(t)
		v.at("2026-07-01T12:00:00Z")
		v.campaign("later", "outbox", "hi", func(c *definition.Campaign, _ *definition.Template) { c.Delay = period.Period(time.Minute) })
		v.campaign("text", "sms", "hi")
		v.campaign("pop", "web", "hi", func(c *definition.Campaign, _ *definition.Template) { c.Delay = period.Period(time.Second) })
		v.sms.answers = []error{&channel.Error{Class: channel.Temporary, Err: errors.New("down"), After: time.Minute}}
		v.start()
		v.fire("u1")
		synctest.Wait()
		for _, name := range []string{"later", "text", "pop"} {
			v.revise(name, status(definition.Paused))
		}
		v.fire("u2") // a paused campaign starts nothing
		v.none("u1", time.Hour)
		if len(v.sms.seen) != 1 {
			t.Errorf("%d attempts while it is paused", len(v.sms.seen))
		}
		for _, name := range []string{"later", "pop"} {
			v.revise(name, status(definition.Live))
		}
		v.revise("text", status(definition.Ended))
		got := map[string]string{}
		for _, o := range v.outcomes("u1", 3) {
			got[o.Campaign] = strings.TrimSpace(o.Status + " " + o.Reason)
		}
		// What the user has left long since is worth nothing any more.
		if want := map[string]string{"later": "sent", "text": "refused not_live", "pop": "refused expired"}; !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		if n := v.count(func(o *outcome) bool { return o.event.User() == "u2" }); n != 0 {
			t.Errorf("%d outcomes of a firing during the pause", n)
		}
		v.stop()
	})
}

// What was held back for days is not worth sending, though its content never
// expires.
func TestHeldTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newEnv(t)
		v.at("2026-07-01T12:00:00Z")
		v.campaign("c", "outbox", "hi", func(c *definition.Campaign, _ *definition.Template) { c.Delay = period.Period(time.Minute) })
		v.start()
		v.fire("u1")
		synctest.Wait()
		v.revise("c", status(definition.Paused))
		time.Sleep(80 * time.Hour)
		v.revise("c", status(definition.Live))
		if o := v.outcomes("u1", 1)[0]; o.Reason != string(policy.Expired) {
			t.Errorf("%s %s", o.Status, o.Reason)
		}
		v.stop()
	})
}

// Everything stops, over a restart, and goes on when the stop is lifted.
func TestStopAllSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newEnv(t)
		v.at("2026-07-01T12:00:00Z")
		v.campaign("c", "outbox", "hi")
		v.campaign("receipt", "sms", "paid", func(c *definition.Campaign, _ *definition.Template) { c.Purpose = consent.Transactional })
		v.start()
		if _, err := v.e.SetSending(t.Context(), true, "ada"); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			v.fire(fmt.Sprint("u", i))
		}
		v.none("u3", time.Minute)
		v.stop()
		v.start()
		for i := range 20 {
			v.fire(fmt.Sprint("u", i))
		}
		v.none("u3", time.Minute)
		if s, err := v.e.Sending(t.Context()); err != nil || !s.Stopped || s.By != "ada" || s.At == 0 {
			t.Errorf("%+v, %v", s, err)
		}
		if len(v.sms.seen)+len(v.letters()) > 0 {
			t.Errorf("%d texts and %d letters were sent", len(v.sms.seen), len(v.letters()))
		}
		if _, err := v.e.SetSending(t.Context(), false, "ada"); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			for _, o := range v.outcomes(fmt.Sprint("u", i), 4) {
				if o.Status != "sent" {
					t.Errorf("%+v", o)
				}
			}
		}
		v.stop()
	})
}

// Under load, nothing is sent a second after all sending was stopped or the
// campaign was paused.
func TestStopsUnderLoad(t *testing.T) {
	f := func(name string, halt func(v *env)) {
		t.Helper()
		v := newEnv(t)
		v.campaign("c", "sms", "hi")
		v.start()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { // a load that does not end by itself
			defer close(done)
			for ctx.Err() == nil {
				v.fire(fmt.Sprint("u", v.fires%500))
			}
		}()
		seen := func() int {
			v.sms.mu.Lock()
			defer v.sms.mu.Unlock()
			return len(v.sms.seen)
		}
		for seen() < 300 {
			time.Sleep(time.Millisecond)
		}
		halt(v)
		time.Sleep(time.Second)
		n := seen()
		time.Sleep(time.Second)
		if again := seen(); again != n {
			t.Errorf("%s: %d were sent, and a second later %d", name, n, again)
		}
		cancel()
		<-done
		v.stop()
	}
	f("stopped", func(v *env) {
		if _, err := v.e.SetSending(t.Context(), true, "ada"); err != nil {
			t.Error(err)
		}
	})
	f("paused", func(v *env) { v.revise("c", status(definition.Paused)) })
}

// A user who is asleep gets it in the morning, by the clock where the user is, and
// only if it is still for the user then.
func TestQuietHours(t *testing.T) {
	f := func(name, now, zone, want string, after time.Duration, change ...func(v *env)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			v := newEnv(t)
			v.at(now)
			v.quiet("21:00", "08:00")
			v.campaign("c", "outbox", "hi")
			v.users["u1"] = in(zone)
			for _, f := range change {
				f(v)
			}
			v.start()
			began := v.now()
			v.fire("u1")
			if after > 0 {
				v.none("u1", after-time.Second)
			}
			o := v.outcomes("u1", 1)[0]
			if got := strings.TrimSpace(o.Status + " " + o.Reason); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
			if took := v.now().Sub(began); took < after || took > after+2*time.Second {
				t.Errorf("%s: after %s, want %s", name, took, after)
			}
			v.stop()
		})
	}
	purpose := func(p consent.Purpose) func(*env) {
		return func(v *env) { v.set.Campaigns["c"].Purpose = p }
	}
	own := func(q definition.Quiet) func(*env) {
		return func(v *env) { v.set.Campaigns["c"].Limits.Quiet = &q }
	}
	f("awake", "2026-07-01T12:00:00Z", "Europe/Berlin", "sent", 0)
	f("asleep", "2026-07-01T22:00:00Z", "Europe/Berlin", "sent", 8*time.Hour)
	f("awake elsewhere", "2026-07-01T22:00:00Z", "America/New_York", "sent", 0)
	f("asleep elsewhere", "2026-07-01T10:00:00Z", "America/New_York", "sent", 2*time.Hour)
	f("nobody knows where", "2026-07-01T22:00:00Z", "Mars/Olympus", "sent", 10*time.Hour)
	f("a short night", "2026-03-28T21:00:00Z", "Europe/Berlin", "sent", 9*time.Hour)
	f("a long night", "2026-10-24T20:00:00Z", "Europe/Berlin", "sent", 11*time.Hour)
	f("a receipt", "2026-07-01T22:00:00Z", "Europe/Berlin", "sent", 0, purpose(consent.Transactional))
	f("a receipt that waits", "2026-07-01T22:00:00Z", "Europe/Berlin", "sent", 7*time.Hour, purpose(consent.Transactional), own(definition.Quiet{From: "22:00", To: "07:00"}))
	f("its own hours", "2026-07-01T22:00:00Z", "Europe/Berlin", "sent", 7*time.Hour, own(definition.Quiet{From: "22:00", To: "07:00"}))
	f("none", "2026-07-01T22:00:00Z", "Europe/Berlin", "sent", 0, own(definition.Quiet{Off: true}))
	f("on the page", "2026-07-01T22:00:00Z", "Europe/Berlin", "sent", 0, func(v *env) {
		v.campaign("c", "web", "hi", func(_ *definition.Campaign, tpl *definition.Template) { tpl.As = "popup" })
	})
	f("expired by then", "2026-07-01T22:00:00Z", "Europe/Berlin", "refused expired", 8*time.Hour, func(v *env) { v.set.Templates["c"].Expires = period.Period(time.Hour) })
}

// Of two that waited for the same morning, the cap lets one go.
func TestQuietHoursAndCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newEnv(t)
		v.at("2026-07-01T22:00:00Z")
		v.quiet("21:00", "08:00")
		v.set.Sending.Cap = &definition.Cap{Count: 1, Per: period.Period(24 * time.Hour)}
		v.campaign("c1", "outbox", "hi")
		v.campaign("c2", "outbox", "hi")
		v.start()
		v.fire("u1")
		v.none("u1", 9*time.Hour)
		time.Sleep(time.Hour + 10*time.Second)
		got := map[string]int{}
		for _, o := range v.outcomes("u1", 2) {
			got[strings.TrimSpace(o.Status+" "+o.Reason)]++
		}
		if want := map[string]int{"sent": 1, "refused cap_all": 1}; !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		v.stop()
	})
}

func (v *env) put(collection, key, value string) {
	v.t.Helper()
	if err := v.db.Documents().Apply(v.t.Context(), documents.Durable, documents.Write{Collection: collection, Key: key, Value: []byte(value), Expect: documents.Any}); err != nil {
		v.t.Fatal(err)
	}
}

// Whoever reached the goal while the message waited does not get it any more.
func TestConvertedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newEnv(t)
		v.at("2026-07-01T12:00:00Z")
		v.campaign("c", "outbox", "Come back", func(c *definition.Campaign, _ *definition.Template) {
			c.Delay, c.Goal = period.Period(time.Hour), &definition.Goal{Event: "purchase", Within: period.Period(24 * time.Hour)}
		})
		v.users["u2"] = &profile.Profile{UserID: "u2", FirstSeen: 1, AnonymousIDs: []string{"a2"}}
		v.start()
		time.Sleep(time.Second)
		v.did("u3", "purchase") // before
		time.Sleep(time.Second)
		for _, u := range []string{"u1", "u2", "u3", "u4"} {
			v.fire(u)
		}
		time.Sleep(time.Minute)
		v.did("u1", "purchase")
		v.did("a2", "purchase") // by an id that is known to be u2's
		v.did("u4", "view")
		v.stop() // a restart forgets nothing of it
		time.Sleep(time.Minute)
		v.start()
		for u, want := range map[string]string{"u1": "refused converted", "u2": "refused converted", "u3": "sent", "u4": "sent"} {
			o := v.outcomes2h(u)
			if got := strings.TrimSpace(o.Status + " " + o.Reason); got != want {
				t.Errorf("%s: %s, want %s", u, got, want)
			}
		}
		v.stop()
	})
}

// outcomes2h waits for the only outcome of a user for two (virtual) hours.
func (v *env) outcomes2h(user string) outcome {
	v.t.Helper()
	for range 120 {
		for _, o := range v.all() {
			if o.event.User() == user {
				return o
			}
		}
		time.Sleep(time.Minute)
	}
	v.t.Fatalf("%s has no outcome", user)
	return outcome{}
}

// The arm is the first one that was given, whatever id the user had; where a user
// turns out to be two of different arms, having been exposed wins.
func TestArms(t *testing.T) {
	share := func(s string) func(*definition.Campaign, *definition.Template) {
		return func(c *definition.Campaign, _ *definition.Template) { c.Limits.Holdout = s }
	}
	f := func(name, holdout, want string, arms map[string]string, wantKept string) {
		t.Helper()
		v := newEnv(t)
		v.campaign("c", "outbox", "hi", share(holdout))
		v.users["u1"] = &profile.Profile{UserID: "u1", FirstSeen: 1, AnonymousIDs: []string{"a1", "a2"}}
		for id, arm := range arms {
			v.put(engager.CollectionStanding, "c\x00"+id, arm)
		}
		v.start()
		o := v.one("u1")
		if got := strings.TrimSpace(o.Status + " " + o.Reason); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		v.stop()
		d, err := v.db.Documents().Get(t.Context(), engager.CollectionStanding, "c\x00u1")
		if wantKept == "" && errors.Is(err, documents.ErrNotFound) {
			return
		}
		if err != nil || string(d.Value) != wantKept {
			t.Errorf("%s: kept %s, %v; want %s", name, d.Value, err, wantKept)
		}
	}
	const exposed, held = `{"arm":"exposed"}`, `{"arm":"held_back"}`
	f("the first time", "100%", "refused holdout", nil, held)
	f("the first time, exposed", "0.000001%", "sent", nil, exposed)
	f("no holdout", "0%", "sent", nil, "")
	f("the share grew", "100%", "sent", map[string]string{"u1": exposed}, exposed)
	f("the share shrank", "0.000001%", "refused holdout", map[string]string{"u1": held}, held)
	f("known as somebody else", "100%", "sent", map[string]string{"a2": exposed}, exposed)
	f("known as two of one arm", "0.000001%", "refused holdout", map[string]string{"a1": held, "a2": held}, held)
	f("arms meet", "100%", "sent", map[string]string{"a1": held, "a2": exposed}, `{"arm":"exposed","met":true}`)
	f("arms meet late", "100%", "sent", map[string]string{"u1": held, "a2": exposed}, `{"arm":"exposed","met":true}`)
}

// A share of the users gets no marketing at all, and what users need all the same.
func TestGlobalHoldout(t *testing.T) {
	v := newEnv(t)
	v.set.Sending = &definition.Sending{Name: definition.SendingSettings, Holdout: "30%"}
	v.campaign("c", "outbox", "hi")
	v.campaign("d", "outbox", "hi")
	v.campaign("receipt", "outbox", "paid", func(c *definition.Campaign, _ *definition.Template) { c.Purpose = consent.Transactional })
	v.start()
	held := 0
	for i := range 200 {
		u := fmt.Sprint("u", i)
		v.fire(u)
		reasons := map[string]string{}
		for _, o := range v.outcomes(u, 3) {
			reasons[o.Campaign] = o.Reason
		}
		if reasons["c"] != reasons["d"] || reasons["receipt"] != "" {
			t.Fatalf("%s: %v", u, reasons)
		}
		if reasons["c"] == string(policy.GlobalHoldout) {
			held++
		}
	}
	if held < 35 || held > 85 {
		t.Errorf("%d of 200 are held out", held)
	}
}

// Caps across campaigns and by channel count what each of them sent, for a user
// under all ids; a document that is only kept for later counts for nothing.
func TestCapsAcrossCampaigns(t *testing.T) {
	v := newEnv(t)
	day := period.Period(24 * time.Hour)
	v.set.Sending = &definition.Sending{Name: definition.SendingSettings, Cap: &definition.Cap{Count: 3, Per: day}}
	v.set.Channels["outbox"] = &definition.Channel{Name: "outbox", Type: "outbox", Cap: &definition.Cap{Count: 2, Per: day}}
	for _, name := range []string{"c1", "c2"} {
		v.campaign(name, "outbox", "hi")
	}
	v.campaign("c3", "sms", "hi", func(c *definition.Campaign, _ *definition.Template) { c.When.Trigger = "s" })
	v.campaign("receipt", "sms", "paid", func(c *definition.Campaign, _ *definition.Template) {
		c.When.Trigger, c.Purpose = "p", consent.Transactional
	})
	v.users["u1"] = &profile.Profile{UserID: "u1", FirstSeen: 1, AnonymousIDs: []string{"a1"}}
	v.start()
	on := func(trigger string) func(*event.Intent) {
		return func(in *event.Intent) { in.Trigger = trigger }
	}
	f := func(user, trigger string, n int, want ...string) {
		t.Helper()
		v.fire(user, on(trigger))
		all := v.outcomes(user, n)
		for i, o := range all[len(all)-len(want):] {
			if got := strings.TrimSpace(o.Campaign + " " + o.Status + " " + o.Reason); got != want[i] {
				t.Errorf("%s on %s: %s, want %s", user, trigger, got, want[i])
			}
		}
	}
	f("a1", "t", 2, "c1 sent", "c2 sent") // before it is known who that is
	f("u1", "t", 2, "c1 refused cap_channel", "c2 refused cap_channel")
	f("u1", "s", 3, "c3 sent")
	f("u1", "s", 4, "c3 refused cap_all")
	f("u1", "p", 5, "receipt sent")
	f("u2", "t", 2, "c1 sent", "c2 sent")
}

// Once is once, also for a user who comes back as another.
func TestOncePerUser(t *testing.T) {
	v := newEnv(t)
	enter := func(in *event.Intent) { in.Trigger = "audience:vip:enter" }
	yes := true
	v.campaign("welcome", "outbox", "hi", func(c *definition.Campaign, _ *definition.Template) { c.When = definition.When{Audience: "vip"} })
	v.campaign("always", "outbox", "hi", func(c *definition.Campaign, _ *definition.Template) {
		no := false
		c.When, c.Limits.Once = definition.When{Audience: "vip"}, &no
	})
	v.campaign("first", "outbox", "hi", func(c *definition.Campaign, _ *definition.Template) { c.Limits.Once = &yes })
	v.users["u1"] = &profile.Profile{UserID: "u1", FirstSeen: 1, AnonymousIDs: []string{"a1"}}
	v.start()
	f := func(user string, change func(*event.Intent), n int, want ...string) {
		t.Helper()
		v.fire(user, change)
		all := v.outcomes(user, n)
		for i, o := range all[len(all)-len(want):] {
			if got := strings.TrimSpace(o.Campaign + " " + o.Status + " " + o.Reason); got != want[i] {
				t.Errorf("%s: %s, want %s", user, got, want[i])
			}
		}
	}
	f("a1", enter, 2, "always sent", "welcome sent")
	f("a1", enter, 4, "always sent", "welcome refused once")
	f("u1", enter, 2, "always sent", "welcome refused once")
	f("u1", func(*event.Intent) {}, 3, "first sent")
	f("u1", func(*event.Intent) {}, 4, "first refused once")
}

// A message that has expired stays for a while: another process may have to find out
// whether it had been put.
func TestAfterlife(t *testing.T) {
	v := newEnv(t)
	v.cfg.JanitorEvery = time.Millisecond
	for id, ago := range map[string]time.Duration{"long ago": 2 * time.Hour, "lately": time.Minute} {
		m := inbox.Message{ID: id, User: "u1", Expires: time.Now().Add(-ago).UnixMicro()}
		if fresh, err := v.db.Inbox().Put(t.Context(), m); !fresh || err != nil {
			t.Fatal(fresh, err)
		}
	}
	v.start()
	known := func(id string) bool {
		_, _, err := v.db.Inbox().Advance(t.Context(), id, inbox.Shown)
		if err != nil && !errors.Is(err, inbox.ErrUnknown) {
			t.Fatal(err)
		}
		return err == nil
	}
	for deadline := time.Now().Add(time.Minute); known("long ago"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it is not removed")
		}
	}
	if !known("lately") {
		t.Error("one that has just expired is removed")
	}
}
