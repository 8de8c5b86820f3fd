package e2e

import (
	"bufio"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestApart: with each role in a process of its own, the console shows and steers
// what is in the others, and says which role is missing once one is gone.
func TestApart(t *testing.T) {
	i := found(t)
	defs := t.TempDir()
	if err := os.WriteFile(filepath.Join(defs, "flow.yaml"), []byte(flowDefinitions), 0o600); err != nil {
		t.Fatal(err)
	}
	gateway := i.start("gateway", "--definitions", defs)
	decider, engager, analytics := i.start("decider"), i.start("engager"), i.start("analytics")
	console := i.start("console")

	var health struct {
		Status    string
		Processes []struct{ URL string }
	}
	eventually(t, time.Minute, "all processes know each other and are well", func() bool {
		console.admin(http.MethodGet, "/health", "", &health)
		return health.Status == "ok" && len(health.Processes) == 5
	})

	live := console.stream("/api/v1/live")
	for range 2 {
		gateway.track("?wait=5s", win("trusting-key", "ada"))
	}
	eventually(t, time.Minute, "the event in the live view of another process", func() bool { return strings.Contains(live(), `"ada"`) })

	var progress struct {
		Triggers []struct {
			Trigger string
			Users   int
		}
	}
	eventually(t, time.Minute, "progress of the process that decides", func() bool {
		console.admin(http.MethodGet, "/triggers/progress", "", &progress)
		for _, p := range progress.Triggers {
			if p.Trigger == "three-wins" && p.Users == 1 {
				return true
			}
		}
		return false
	})
	if text := console.admin(http.MethodGet, "/users/ada/triggers/three-wins", "", nil); !strings.Contains(text, "win 2 of 3") {
		t.Errorf("where ada stands: %s", text)
	}
	var users struct{ Users struct{ Total int } }
	eventually(t, time.Minute, "both events in the facts", func() bool {
		console.admin(http.MethodPost, "/measures:query", `{"users": {}, "audience": {"did": {"event": "win", "min": 2}}}`, &users)
		return users.Users.Total == 1
	})
	// The Engager asks the facts whom a message would reach.
	var review struct{ Matched, Sending int }
	console.admin(http.MethodPost, "/sends:review", `{"name": "hello", "channel": "web", "as": "popup", "body": "Hello", "audience": {"did": {"event": "win"}}}`, &review)
	if review.Matched != 1 || review.Sending != 1 {
		t.Errorf("the message would reach %+v", review)
	}
	// A stop that was ordered at the console holds where messages are made.
	console.admin(http.MethodPut, "/sending", `{"stopped": true}`, nil)
	if a := gateway.track("?wait=3s", win("trusting-key", "ada")); len(a.Messages) != 0 {
		t.Errorf("while all sending is stopped, the answer is %+v", a)
	}
	console.admin(http.MethodPut, "/sending", `{"stopped": false}`, nil)
	eventually(t, time.Minute, "the message once the stop is lifted", func() bool {
		return strings.Contains(console.admin(http.MethodGet, "/users/ada/timeline", "", nil), `"status":"sent"`)
	})

	if status, text := decider.tryAdmin(http.MethodGet, "/triggers/progress", ""); status != http.StatusNotFound {
		t.Errorf("a process without a console answers a token with %d %s", status, text)
	}
	analytics.kill()
	if status, text := console.tryAdmin(http.MethodGet, "/alerts", ""); status != http.StatusServiceUnavailable {
		t.Errorf("without analytics: %d %s", status, text)
	}
	eventually(t, time.Minute, "the killed process is missed", func() bool {
		_, text := console.tryAdmin(http.MethodGet, "/alerts", "")
		console.admin(http.MethodGet, "/health", "", &health)
		return strings.Contains(text, "heed run --roles analytics") && len(health.Processes) == 4
	})
	engager.stop()
	eventually(t, 10*time.Second, "the stopped process is missed at once", func() bool {
		console.admin(http.MethodGet, "/health", "", &health)
		return len(health.Processes) == 3
	})
	for _, s := range []*server{console, decider, gateway} {
		s.stop()
	}
}

// stream opens a stream of the admin API, and gives all that came.
func (s *server) stream(path string) (came func() string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	resp, err := http.DefaultClient.Do(r) //nolint:bodyclose // closed when the test ends
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %v %+v", path, err, resp)
	}
	var all logBuffer
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = bufio.NewReader(resp.Body).WriteTo(&all)
	}()
	s.t.Cleanup(func() { _ = resp.Body.Close(); <-done })
	return all.String
}
