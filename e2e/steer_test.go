package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A campaign on a schedule writes a score for each user into the pull store, and a
// triggered one uses it in its text within the same minute.
func TestScheduleWritesWhatATriggerReads(t *testing.T) {
	s := start(t, t.TempDir())
	s.admin(http.MethodPost, "/definitions:apply", `
kind: source
name: site
writeKey: site-key
serverKey: server-key-0123456789
---
kind: collection
name: scores
fields: {next_best: text}
---
kind: channel
name: scorer
type: pull
collection: scores
---
kind: template
name: score
channel: scorer
body: '{"next_best": "{{ profile.traits.plan | default: "basic" }} tent"}'
---
kind: campaign
name: scoring
when: {schedule: "* * * * *", zone: Europe/Berlin}
what: [{channel: scorer, template: score}]
limits: {holdout: 0%, once: false}
status: live
---
kind: trigger
name: looked
pattern: [{event: view}]
---
kind: template
name: offer
channel: outbox
body: 'How about the {{ pull.scores.next_best }}?'
---
kind: campaign
name: offers
when: {trigger: looked}
what: [{channel: outbox, template: offer}]
limits: {holdout: 0%}
status: live
`, nil)
	call := func(kind string, body map[string]any) {
		t.Helper()
		body["writeKey"] = "site-key"
		if status, err := s.post("/v1/"+kind, body, nil); err != nil || status != http.StatusOK {
			t.Fatal(kind, status, err)
		}
	}
	call("identify", map[string]any{"userId": "ada", "traits": map[string]any{"plan": "gold"}})
	var schedules struct {
		Schedules []struct {
			Campaign   string
			Next, Last time.Time
			Users      int
		}
	}
	eventually(t, 90*time.Second, "the schedule ran for ada", func() bool {
		s.admin(http.MethodGet, "/schedules", "", &schedules)
		return len(schedules.Schedules) == 1 && schedules.Schedules[0].Users == 1
	})
	run := schedules.Schedules[0]
	if run.Campaign != "scoring" || run.Last.Second() != 0 || run.Next.Sub(run.Last)%time.Minute != 0 {
		t.Errorf("%+v", run)
	}
	eventually(t, 20*time.Second, "the score is there", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/v1/pull/scores/ada", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer server-key-0123456789")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }() // only its status counts
		return resp.StatusCode == http.StatusOK
	})
	call("track", map[string]any{"userId": "ada", "event": "view"})
	eventually(t, 20*time.Second, "the letter", func() bool {
		return strings.Contains(s.admin(http.MethodGet, "/outbox", "", nil), "How about the gold tent?")
	})
	if took := time.Since(run.Last); took > time.Minute {
		t.Errorf("the letter came %s after the run", took)
	}
}

// Everything stops within a second under load, over a kill, and goes on when the
// stop is lifted: nothing is lost.
func TestStopAllSending(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.admin(http.MethodPost, "/definitions:apply", `
kind: source
name: site
writeKey: site-key
---
kind: trigger
name: bought
pattern: [{event: purchase}]
---
kind: template
name: thanks
channel: outbox
body: Thank you
---
kind: campaign
name: thanks
when: {trigger: bought}
what: [{channel: outbox, template: thanks}]
limits: {holdout: 0%}
status: live
---
kind: settings
name: sending
release: 5000
`, nil)
	type report struct{ Activations, Sent int }
	counted := func() (r report) {
		s.admin(http.MethodGet, "/campaigns/thanks/report", "", &r)
		return r
	}
	sent := 0
	load := func(n int) {
		t.Helper()
		var batch []map[string]any
		for range n {
			batch = append(batch, map[string]any{"event": "purchase", "userId": fmt.Sprint("u", sent)})
			sent++
		}
		if status, err := s.post("/v1/batch", map[string]any{"writeKey": "site-key", "batch": batch}, nil); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
	}
	for range 10 {
		load(500)
	}
	eventually(t, 20*time.Second, "some are sent", func() bool { return counted().Sent > 0 })
	s.admin(http.MethodPut, "/sending", `{"stopped":true}`, nil)
	time.Sleep(time.Second) // what the promise allows; outcomes are counted a moment later
	load(500)
	time.Sleep(time.Second)
	before := counted()
	load(500)
	time.Sleep(2 * time.Second)
	if after := counted(); after != before {
		t.Errorf("stopped at %+v, and later %+v", before, after)
	}
	s.kill()
	s = start(t, dir)
	var state struct {
		Stopped bool
		By      string
		At      time.Time
	}
	s.admin(http.MethodGet, "/sending", "", &state)
	if !state.Stopped || state.By == "" || time.Since(state.At) > time.Minute {
		t.Errorf("after a kill: %+v", state)
	}
	load(500)
	s.admin(http.MethodPut, "/sending", `{"stopped":false}`, nil)
	eventually(t, 60*time.Second, "everything is sent", func() bool { return counted().Sent >= sent })
	if r := counted(); r.Sent != sent || r.Activations != sent {
		t.Errorf("%+v of %d", r, sent)
	}
}

// A campaign that starts when users enter an audience is started for those who are
// in it already when somebody says so, and for each user once.
func TestIncludeWhoIsInItAlready(t *testing.T) {
	s := start(t, t.TempDir())
	s.admin(http.MethodPost, "/definitions:apply", `
kind: source
name: site
writeKey: site-key
---
kind: audience
name: buyers
did: {event: purchase}
---
kind: template
name: welcome
channel: outbox
body: Welcome
---
kind: campaign
name: welcome
when: {audience: buyers}
what: [{channel: outbox, template: welcome}]
limits: {holdout: 0%}
status: draft
`, nil)
	const users = 40
	var batch []map[string]any
	for i := range users {
		batch = append(batch, map[string]any{"event": "purchase", "userId": fmt.Sprint("u", i)})
	}
	if status, err := s.post("/v1/batch", map[string]any{"writeKey": "site-key", "batch": batch}, nil); err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	var in struct {
		Audience string
		Users    int
	}
	eventually(t, 20*time.Second, "everybody is counted", func() bool {
		s.admin(http.MethodGet, "/campaigns/welcome/include", "", &in)
		return in.Users == users && in.Audience == "buyers"
	})
	if status, text := s.ask("/campaigns/welcome/include", `{"id":"launch-1"}`); status != http.StatusConflict || !strings.Contains(text, "not_live") {
		t.Errorf("of a draft: %d %s", status, text)
	}
	s.admin(http.MethodPost, "/definitions:apply", `
kind: campaign
name: welcome
when: {audience: buyers}
what: [{channel: outbox, template: welcome}]
limits: {holdout: 0%}
status: live
`, nil)
	var report struct{ Activations, Sent int }
	s.admin(http.MethodGet, "/campaigns/welcome/report", "", &report)
	if report.Activations != 0 {
		t.Errorf("launched for those who are in it, and nobody said so: %+v", report)
	}
	for range 2 { // the second time is no harm
		s.admin(http.MethodPost, "/campaigns/welcome/include", `{"id":"launch-1"}`, nil)
	}
	eventually(t, 20*time.Second, "everybody has it", func() bool {
		s.admin(http.MethodGet, "/campaigns/welcome/report", "", &report)
		return report.Sent >= users
	})
	s.admin(http.MethodPost, "/campaigns/welcome/include", `{"id":"launch-2"}`, nil)
	eventually(t, 20*time.Second, "everybody had it", func() bool {
		s.admin(http.MethodGet, "/campaigns/welcome/report", "", &report)
		return report.Activations >= 2*users
	})
	if report.Sent != users {
		t.Errorf("%+v", report)
	}
}
