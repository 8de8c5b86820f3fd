package engager_test

import (
	"errors"
	"strings"
	"testing"
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
		all, err := v.e.Waiting(t.Context(), "u1")
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 1 && strings.Contains(all[0].Detail, "421 busy") {
			if w := all[0]; w.Campaign != "c" || w.At != fired.At || w.Attempts != 1 || w.Due < time.Now().Add(50*time.Minute).UnixMicro() {
				t.Errorf("%+v", w)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v wait", all)
		}
	}
	if all, err := v.e.Waiting(t.Context(), "u2"); err != nil || len(all) != 0 {
		t.Errorf("somebody else: %+v, %v", all, err)
	}
}
