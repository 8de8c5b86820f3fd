package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const sessionDefinitions = `kind: source
name: site
writeKey: site-key
trustUserIds: true
---
kind: trigger
name: visit
pattern: [{event: session_start}, {event: page}]
within: 1m
---
kind: template
name: hello
channel: outbox
subject: hello
body: hello
---
kind: campaign
name: hellos
when: {trigger: visit}
what: [{channel: outbox, template: hello}]
limits: {holdout: 0%}
status: live
`

// TestSessionStarts: whoever comes has exactly one session_start, which stands in
// front of what began the session, with kill -9 in between and logins among them.
func TestSessionStarts(t *testing.T) {
	const users = 60
	dir, defs := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(defs, "all.yaml"), []byte(sessionDefinitions), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, "--definitions", defs)
	send := func(from, to int, make func(i int) map[string]any) {
		t.Helper()
		var batch []map[string]any
		for i := from; i < to; i++ {
			batch = append(batch, make(i))
		}
		var a answer
		status, err := s.post("/v1/batch", map[string]any{"writeKey": "site-key", "batch": batch}, &a)
		if err != nil || status != 200 || a.Accepted != len(batch) {
			t.Fatalf("batch: %d, %v, %+v", status, err, a)
		}
	}
	// A third never says who it is, a third logs in on the way, a third begins with
	// the login.
	user := func(i int) string { return fmt.Sprintf("user-%d", i) }
	browser := func(i int) string { return fmt.Sprintf("browser-%d", i) }
	first := func(i int) map[string]any {
		e := map[string]any{"type": "page", "messageId": fmt.Sprintf("first-%d", i), "anonymousId": browser(i), "context": map[string]any{"page": map[string]any{"path": "/landing"}}}
		if i%3 == 2 {
			e["type"], e["userId"] = "identify", user(i)
		}
		return e
	}
	next := func(i int) map[string]any {
		e := map[string]any{"type": "page", "messageId": fmt.Sprintf("next-%d", i), "anonymousId": browser(i)}
		switch i % 3 {
		case 1:
			e["type"], e["userId"] = "identify", user(i)
		case 2:
			e["userId"] = user(i)
		}
		return e
	}
	send(0, users/2, first)
	s.kill()
	s = start(t, dir, "--definitions", defs)
	send(0, users, first) // half of it once more
	send(0, users/2, next)
	s.kill()
	s = start(t, dir, "--definitions", defs)
	send(0, users, next)
	send(0, users, func(i int) map[string]any {
		e := next(i)
		e["type"], e["messageId"] = "page", fmt.Sprintf("last-%d", i)
		if i%3 == 1 {
			e["userId"] = user(i)
		}
		return e
	})

	began := func() (count map[string]int, last int) {
		count = map[string]int{}
		for line := range strings.Lines(s.admin("GET", "/events?internal=true&from=2020-01-01T00:00:00Z", "", nil)) {
			var e struct{ Event, Source, AnonymousID, MessageID string }
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			if e.Event == "session_start" && e.Source == "heed" {
				count[e.AnonymousID]++
			}
			if strings.HasPrefix(e.MessageID, "last-") {
				last++
			}
		}
		return count, last
	}
	eventually(t, 30*time.Second, "everybody's session has begun", func() bool {
		count, _ := began()
		return len(count) >= users
	})
	eventually(t, 30*time.Second, "everything is decided", func() bool {
		return s.metric("heed_decider_behind_seconds", "") == 0 && s.metric("heed_decider_sessions_pending", "") == 0
	})
	count, _ := began()
	for i := range users {
		if n := count[browser(i)]; n != 1 {
			t.Errorf("%s has %d session starts", browser(i), n)
		}
	}

	// One session each, of all ids together, for the measure and in SQL; each began
	// with its session_start, and was answered once.
	sql := func(query, want string) {
		t.Helper()
		eventually(t, 30*time.Second, query+" is "+want, func() bool {
			out := s.admin("POST", "/sql?format=csv", fmt.Sprintf(`{"query": %q}`, query), nil)
			_, got, _ := strings.Cut(strings.TrimSpace(out), "\n")
			return got == want
		})
	}
	sql("SELECT count(*), count(DISTINCT user_key), sum(events) FROM sessions", fmt.Sprintf("%d,%d,%d", users, users, 4*users))
	sql("SELECT count(*) FROM (SELECT user_key, arg_min(event, time) AS first FROM events WHERE NOT starts_with(event, 'heed.') GROUP BY 1) WHERE first = 'session_start'", fmt.Sprint(users))
	var measured struct {
		Sessions struct{ Sessions, Users, Events int }
	}
	s.admin("POST", "/measures:query", `{"sessions": {}}`, &measured)
	if m := measured.Sessions; m.Sessions != users || m.Users != users || m.Events != 4*users {
		t.Errorf("the measure counts %+v", m)
	}
	sql("SELECT count(*), count(DISTINCT user_key) FROM deliveries WHERE status = 'sent'", fmt.Sprintf("%d,%d", users, users))
}
