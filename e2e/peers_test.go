package e2e

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
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

// TestTwoOfEach: with two deciders and two engagers, each with a part of the users,
// the console tells of every user and adds up over all; it says what is missing while
// one of them is gone, and an import that a console had begun which was killed is
// finished by the other one.
func TestTwoOfEach(t *testing.T) {
	i := found(t)
	defs := t.TempDir()
	if err := os.WriteFile(filepath.Join(defs, "flow.yaml"), []byte(flowDefinitions), 0o600); err != nil {
		t.Fatal(err)
	}
	gateway := i.start("gateway", "--definitions", defs)
	i.start("analytics")
	deciders := []*server{i.start("decider"), i.start("decider")}
	engagers := []*server{i.start("engager"), i.start("engager")}
	consoles := []*server{i.start("console"), i.start("console")}
	console := consoles[1]

	const users = 24
	name := func(n int) string { return fmt.Sprint("user-", n) }
	for range 2 {
		for n := range users {
			gateway.track("", win("trusting-key", name(n)))
		}
	}
	type progress struct {
		Triggers []struct {
			Trigger string
			Users   int
		}
		Partitions, Of int
	}
	underWay := func() (n int, p progress) {
		console.admin(http.MethodGet, "/triggers/progress", "", &p)
		for _, t := range p.Triggers {
			if t.Trigger == "three-wins" {
				n = t.Users
			}
		}
		return n, p
	}
	eventually(t, time.Minute, "everybody's progress, of all partitions", func() bool {
		n, p := underWay()
		return n == users && p.Partitions == 16 && p.Of == 16
	})
	for k, d := range deciders {
		if own := d.partitions(); own == 0 || own == 16 {
			t.Errorf("decider %d has %d partitions: the test shows nothing", k, own)
		}
	}
	live := console.stream("/api/v1/live")
	eventually(t, time.Minute, "the sum in the live view", func() bool {
		return strings.Contains(live(), fmt.Sprintf(`"trigger":"three-wins","users":%d`, users))
	})
	type user struct {
		Triggers []struct {
			Trigger string
			Step    int
		}
		TriggersUnknown string
	}
	stands := func(n int) (u user) {
		console.admin(http.MethodGet, "/users/"+name(n), "", &u)
		return u
	}
	for n := range users {
		if u := stands(n); u.TriggersUnknown != "" || len(u.Triggers) == 0 || u.Triggers[0].Step != 2 {
			t.Errorf("%s stands at %+v", name(n), u)
		}
		if text := console.admin(http.MethodGet, "/users/"+name(n)+"/triggers/three-wins", "", nil); !strings.Contains(text, "win 2 of 3") {
			t.Errorf("where %s stands: %s", name(n), text)
		}
	}
	type lag struct {
		Role string
		Ms   int
	}
	eventually(t, time.Minute, "nobody is behind on any partition", func() bool {
		var health struct{ Lags []lag }
		console.admin(http.MethodGet, "/health", "", &health)
		parts := map[string]int{}
		for _, l := range health.Lags {
			if l.Ms == 0 {
				parts[l.Role]++
			}
		}
		return parts["decider"] == 16 && parts["engager"] == 16 && parts["facts"] == 16 && parts["avro files"] == 16 && len(health.Lags) == 4*16
	})

	deciders[0].kill()
	missing := false
	eventually(t, time.Minute, "all partitions are in the other decider's hand", func() bool {
		n, p := underWay()
		missing = missing || p.Partitions < p.Of
		if p.Partitions == p.Of && n != users && deciders[1].partitions() == 16 {
			t.Fatalf("%d users are told of all partitions", n)
		}
		for n := range users { // the page of nobody fails
			if u := stands(n); u.TriggersUnknown == "" && len(u.Triggers) == 0 {
				t.Fatalf("%s stands nowhere, and nothing is said", name(n))
			}
		}
		return p.Partitions == p.Of && n == users && deciders[1].partitions() == 16
	})
	if !missing {
		t.Error("a decider was gone, and nobody has said that its figures are missing")
	}
	engagers[0].kill()
	for n := range users {
		gateway.track("", win("trusting-key", name(n)))
	}
	for n := range users {
		eventually(t, time.Minute, "the outcome of "+name(n), func() bool {
			status, text := console.tryAdmin(http.MethodGet, "/users/"+name(n)+"/campaigns/winners", "")
			return status == http.StatusOK && strings.Count(text, `"status":"sent"`) == 1
		})
	}
	// A process with another idea of what is a repeat is told which one has the other.
	stranger := exec.Command(must(binary()), "run", "--config", i.config, "--roles", "decider")
	stranger.Env = append(os.Environ(), "HEED_DATA_DIR="+t.TempDir(), "HEED_LISTEN=127.0.0.1:0", "HEED_DEDUP_IDS=5")
	if out, err := stranger.CombinedOutput(); err == nil || !strings.Contains(string(out), "dedup.ids is 5 here and 1000000 in the process at http://") {
		t.Errorf("a process with other settings of dedup: %v\n%s", err, out)
	}
	i.imports(consoles)
}

// imports has two consoles work at an import each, kills one of them, and has the
// other one finish both.
func (i *installation) imports(consoles []*server) {
	t := i.t
	t.Helper()
	const rows = 60_000
	type state struct {
		ID        string
		State     string
		DoneBytes int
		Imported  int
		Wrong     int
	}
	var ids []string
	for file := range 2 {
		var text strings.Builder
		text.WriteString("id,plan\n")
		for n := range rows {
			fmt.Fprintf(&text, "crm-%d-%d,gold\n", file, n)
		}
		var up state
		consoles[0].adminAs("text/csv", http.MethodPost, fmt.Sprintf("/imports?name=%d.csv", file), text.String(), &up)
		ids = append(ids, up.ID)
	}
	order := func(id string, dry bool) {
		consoles[0].admin(http.MethodPost, "/imports/"+id, fmt.Sprintf(`{"dryRun": %t, "kind": "users", "columns": {"id": "userId", "plan": "trait:plan"}}`, dry), nil)
	}
	// Progress is asked for where nothing was uploaded.
	all := func(want func(state) bool) func() bool {
		return func() bool {
			for _, id := range ids {
				var s state
				consoles[1].admin(http.MethodGet, "/imports/"+id, "", &s)
				if !want(s) {
					return false
				}
			}
			return true
		}
	}
	for _, id := range ids {
		order(id, true)
	}
	eventually(t, 3*time.Minute, "both dry runs", all(func(s state) bool { return s.State == "checked" && s.Imported == rows }))
	for _, id := range ids {
		order(id, false)
	}
	eventually(t, time.Minute, "both imports at work, one at each console", all(func(s state) bool { return s.State == "importing" && s.DoneBytes > 0 }))
	consoles[0].kill()
	eventually(t, 3*time.Minute, "both imports, finished by the other console", all(func(s state) bool {
		return s.State == "done" && s.Imported == rows && s.Wrong == 0
	}))
	count := fmt.Sprintf(`{"query": %q}`, "SELECT count(*) AS events, count(DISTINCT user_key) AS users FROM events WHERE source = 'import'")
	want := fmt.Sprintf("%d,%d", 2*rows, 2*rows)
	eventually(t, 2*time.Minute, "each row once in the facts", func() bool {
		_, text := consoles[1].tryAdmin(http.MethodPost, "/sql?format=csv", count)
		return strings.Contains(text, want)
	})
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
