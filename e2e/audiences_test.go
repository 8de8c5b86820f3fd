package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

type audience struct {
	Size       int64
	State      string
	Stale      bool
	Entered24h int64
	UsedBy     []struct{ Kind, Name string }
	Reachable  []struct {
		Channel string
		Users   int64
	}
}

// TestAudienceByBehavior: a campaign for those who bought twice, and one for
// those who come to be such, over kill -9 while they do.
func TestAudienceByBehavior(t *testing.T) {
	const users = 60
	dir := t.TempDir()
	defs := definitions(t, site+`kind: audience
name: twice
did: {event: purchase, min: 2}
---
kind: trigger
name: visit
pattern: [{event: visit}]
---
kind: campaign
name: loyal
when: {trigger: visit}
who: [twice]
what: [{channel: outbox, template: letter}]
limits: {holdout: 0%}
status: live
---
kind: campaign
name: welcome
when: {audience: twice, on: enter}
what: [{channel: outbox, template: greeting}]
limits: {holdout: 0%}
status: live
---
kind: template
name: greeting
channel: outbox
body: Welcome
`)
	s := start(t, dir, "--definitions", defs)
	user := func(i int) string { return fmt.Sprintf("user-%02d", i) }
	sent := 0
	send := func(event string, from, to int) {
		t.Helper()
		var batch []map[string]any
		for i := from; i < to; i++ {
			sent++
			batch = append(batch, map[string]any{
				"type": "track", "event": event, "userId": user(i), "messageId": fmt.Sprintf("m%d", sent), "properties": map[string]any{"n": i},
			})
		}
		var a answer
		if status, err := s.post("/v1/batch", map[string]any{"writeKey": "site-key", "batch": batch}, &a); err != nil || status != 200 || a.Accepted != len(batch) {
			t.Fatalf("batch: %d, %v, %+v", status, err, a)
		}
	}
	size := func(want int64) {
		t.Helper()
		var a audience
		eventually(t, 15*time.Second, fmt.Sprintf("the audience has %d members", want), func() bool {
			a = audience{}
			s.admin("GET", "/audiences/twice", "", &a)
			return a.State == "ready" && a.Size == want
		})
		if a.Stale || len(a.UsedBy) != 2 || len(a.Reachable) != 2 || a.Reachable[0].Users != want {
			t.Errorf("%+v", a)
		}
	}
	// Five are members from the beginning, and are not welcomed.
	send("purchase", 0, 5)
	send("purchase", 0, 5)
	size(5)
	send("purchase", 5, users)
	began := time.Now()
	send("purchase", 5, 6)
	size(6)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a purchase made a member after %s", took)
	}
	// The others' second purchase falls into kills.
	for at := 6; at < users-10; at += 11 {
		send("purchase", at, at+11)
		time.Sleep(time.Duration(at*7%200) * time.Millisecond) // any moment will do
		s.kill()
		s = start(t, dir, "--definitions", defs)
	}
	members := int64(users - 10)
	size(members)
	send("visit", 0, users)
	count := func(status, campaign string) (n int) {
		var out struct{ Deliveries []struct{ User string } }
		s.admin("GET", "/deliveries?limit=1000&status="+status+"&campaign="+campaign, "", &out)
		return len(out.Deliveries)
	}
	eventually(t, 10*time.Second, "every visit has come to its end", func() bool {
		return count("sent", "loyal")+count("refused", "loyal") == users
	})
	if sent, refused := count("sent", "loyal"), count("refused", "loyal"); int64(sent) != members || refused != 10 {
		t.Errorf("%d letters and %d refusals, want %d and 10", sent, refused, members)
	}
	eventually(t, 10*time.Second, "all who came are welcomed", func() bool { return int64(count("sent", "welcome")) >= members-5 })
	if n := count("sent", "welcome"); int64(n) != members-5 {
		t.Errorf("%d welcomes, want %d", n, members-5)
	}
	// Somebody who logs in stays a member, and is welcomed once.
	call := func(kind string, ids map[string]any) {
		t.Helper()
		sent++
		ids["writeKey"], ids["messageId"] = "site-key", fmt.Sprintf("m%d", sent)
		if status, err := s.post("/v1/"+kind, ids, nil); err != nil || status != 200 {
			t.Fatalf("%s: %d, %v", kind, status, err)
		}
	}
	for range 2 {
		call("track", map[string]any{"event": "purchase", "anonymousId": "browser"})
	}
	size(members + 1)
	call("identify", map[string]any{"anonymousId": "browser", "userId": "customer"})
	call("track", map[string]any{"event": "visit", "userId": "customer", "properties": map[string]any{"n": 99}})
	members++
	eventually(t, 10*time.Second, "the customer's visit has come to its end", func() bool { return int64(count("sent", "loyal")) == members })
	eventually(t, 10*time.Second, "the customer is welcomed", func() bool { return int64(count("sent", "welcome")) == members-5 })
	var changes struct {
		Changes []struct{ User, Change string }
	}
	s.admin("GET", "/audiences/twice/changes", "", &changes)
	if int64(len(changes.Changes)) != members-5 || changes.Changes[len(changes.Changes)-1].User != user(5) {
		t.Errorf("changes: %+v", changes)
	}
	var preview struct {
		Size   int64
		Sample []string
	}
	s.admin("POST", "/audiences:preview", `{"all": [{"audience": "twice"}, {"users": ["user-00", "user-59"]}]}`, &preview)
	if preview.Size != 1 || !slices.Equal(preview.Sample, []string{"user-00"}) {
		t.Errorf("preview: %+v", preview)
	}
	var why struct {
		InForce bool
		Firings int
	}
	s.admin("GET", "/users/user-05/triggers/audience:twice:enter", "", &why)
	if !why.InForce || why.Firings != 1 {
		t.Errorf("explained: %+v", why)
	}
	s.stop()

	entered := map[string]int{}
	for line := range strings.Lines(heed(t, dir, "events")) {
		var e struct {
			Event, UserID string
			Properties    struct{ Audience string }
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Event == "heed.audience_entered" && e.Properties.Audience == "twice" {
			entered[e.UserID]++
		}
	}
	for i := range users {
		want := 0
		if i >= 5 && i < users-10 {
			want = 1
		}
		if entered[user(i)] != want {
			t.Errorf("%s entered %d times, want %d", user(i), entered[user(i)], want)
		}
	}

	// Without analysis, the last members known count, and that they are old is said.
	s = start(t, dir, "--definitions", defs, "--roles", "gateway,decider,engager,console")
	send("visit", 0, 1)
	send("visit", users-1, users)
	eventually(t, 10*time.Second, "two more visits have come to their end", func() bool {
		return int64(count("sent", "loyal")) == members+1 && count("refused", "loyal") == 11
	})
	var a audience
	s.admin("GET", "/audiences/twice", "", &a)
	if a.Size != members || a.Entered24h != members-5 {
		t.Errorf("without analysis: %+v", a)
	}
}
