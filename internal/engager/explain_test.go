package engager_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"heed/internal/channel"
	"heed/internal/definition"
	"heed/internal/period"
	"heed/internal/policy"
)

// What would be decided is what is decided then; asking changes nothing.
func TestProspect(t *testing.T) {
	v := newEnv(t)
	v.campaign("plain", "sms", "hi")
	v.campaign("held", "web", "hi", func(c *definition.Campaign, _ *definition.Template) { c.Limits.Holdout = "100%" })
	v.campaign("capped", "web", "hi", func(c *definition.Campaign, _ *definition.Template) {
		c.Limits.Cap = &definition.Cap{Count: 1, Per: period.Period(time.Hour)}
	})
	v.campaign("paused", "web", "hi", func(c *definition.Campaign, _ *definition.Template) { c.Status = definition.Paused })
	v.campaign("lost", "web", "hi", func(c *definition.Campaign, _ *definition.Template) { c.What[0].Template = "gone" })
	v.start()
	f := func(campaign string, reason policy.Reason, channel string) {
		t.Helper()
		wait := policy.Wait("")
		if campaign == "paused" {
			wait = policy.Paused
		}
		for range 2 {
			p, err := v.e.Prospect(t.Context(), "u1", campaign)
			if err != nil || p.Reason != reason || p.Wait != wait || p.Send != (reason == policy.None && wait == "") || p.Channel != channel {
				t.Errorf("%s: %+v, %v", campaign, p, err)
			}
		}
	}
	f("plain", policy.None, "sms")
	f("held", policy.Holdout, "")
	f("capped", policy.None, "web")
	f("paused", policy.None, "")
	f("lost", policy.Definition, "")
	f("none", policy.NotLive, "")
	v.fire("u1")
	v.outcomes("u1", 4)
	f("capped", policy.Cap, "")
	if n := len(v.sms.seen); n != 1 {
		t.Errorf("%d were sent", n)
	}
}

func TestWaiting(t *testing.T) {
	v := newEnv(t)
	v.cfg.Backoff, v.cfg.MaxBackoff = time.Hour, time.Hour
	v.sms.answers = []error{&channel.Error{Class: channel.Temporary, Err: errors.New("421 busy")}}
	v.campaign("c", "sms", "hi")
	v.campaign("w", "web", "hi")
	v.start()
	fired := v.fire("u1")
	v.outcomes("u1", 1) // of the other campaign
	deadline := time.Now().Add(20 * time.Second)
	for {
		all, err := v.e.Waiting(t.Context(), []string{"u1"})
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 1 && strings.Contains(all[0].Detail, "421 busy") {
			if w := all[0]; w.Campaign != "c" || w.Why != policy.Retry || w.At != fired.At || w.Attempts != 1 || w.Due < time.Now().Add(50*time.Minute).UnixMicro() {
				t.Errorf("%+v", w)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v wait", all)
		}
	}
	if all, err := v.e.Waiting(t.Context(), []string{"u2"}); err != nil || len(all) != 0 {
		t.Errorf("somebody else: %+v, %v", all, err)
	}
}

// At every moment what was sent, what ended otherwise and what waits are together all
// that fired.
func TestBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newEnv(t)
		v.at("2026-07-01T22:00:00Z")
		v.cfg.Backoff, v.cfg.MaxBackoff = time.Hour, time.Hour
		v.quiet("21:00", "08:00")
		awake := func(c *definition.Campaign, _ *definition.Template) {
			c.Limits.Quiet = &definition.Quiet{Off: true}
		}
		v.campaign("quiet", "outbox", "hi")
		v.campaign("later", "web", "hi", func(c *definition.Campaign, _ *definition.Template) { c.Delay = period.Period(30 * time.Minute) })
		v.campaign("pop", "web", "hi")
		v.campaign("busy", "sms", "hi", awake)
		down := &channel.Error{Class: channel.Temporary, Err: errors.New("421 try later")}
		left := &channel.Error{Class: channel.Temporary, Err: errors.New("left alone"), Untried: true, After: 2 * time.Hour}
		v.sms.answers = []error{down, left, down}
		v.start()
		fired := 0
		is := func(when, want string) {
			t.Helper()
			time.Sleep(time.Second)
			synctest.Wait()
			b, err := v.e.Backlog(t.Context())
			if err != nil || !b.Complete {
				t.Fatalf("%s: %+v, %v", when, b, err)
			}
			var got []string
			waiting := 0
			for name, of := range b.Of {
				for why, n := range of {
					got = append(got, fmt.Sprintf("%s %s %d", name, why, n))
					waiting += int(n)
				}
			}
			slices.Sort(got)
			if text := strings.Join(got, ", "); text != want {
				t.Errorf("%s: %s, want %s", when, text, want)
			}
			if ended := len(v.all()); ended+waiting != 4*fired {
				t.Errorf("%s: %d ended and %d wait of %d", when, ended, waiting, 4*fired)
			}
			// Of one user it is the same, each with its reason.
			u, err := v.e.Waiting(t.Context(), []string{"u1", "u2", "u3"})
			if err != nil || len(u) != waiting {
				t.Errorf("%s: %d wait of the users, %d of all; %v", when, len(u), waiting, err)
			}
		}
		for i := range 3 {
			v.fire(fmt.Sprint("u", i+1))
			fired++
			time.Sleep(time.Second)
		}
		is("at night", "busy channel 1, busy retry 2, later delay 3, quiet quiet_hours 3")
		v.revise("busy", status(definition.Paused))
		time.Sleep(90 * time.Minute)
		is("paused", "busy channel 1, busy paused 2, quiet quiet_hours 3")
		if _, err := v.e.SetSending(t.Context(), true, "ada"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(12 * time.Hour)
		is("stopped", "busy paused 2, busy stopped 1, quiet quiet_hours 3")
		v.revise("busy", status(definition.Live))
		if _, err := v.e.SetSending(t.Context(), false, "ada"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		is("in the end", "")
		v.stop()
	})
}
