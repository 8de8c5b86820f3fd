package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// batch sends events of a server, which must all be taken.
func (s *server) batch(events ...map[string]any) {
	s.t.Helper()
	var a answer
	if status, err := s.post("/v1/batch", map[string]any{"writeKey": "site-key", "batch": events}, &a); err != nil || status != http.StatusOK || a.Accepted != len(events) {
		s.t.Fatalf("batch: %d, %v, %+v", status, err, a)
	}
}

func trackAt(user, name string, at time.Time) map[string]any {
	return map[string]any{"event": name, "userId": user, "timestamp": at.UTC().Format(time.RFC3339Nano)}
}

// TestTimeAlone: somebody who has not bought for 30 days comes into the audience of
// such people although nothing happens, and is written to.
func TestTimeAlone(t *testing.T) {
	defs := definitions(t, site+`kind: audience
name: gone-quiet
all:
- did: {event: purchase}
- did: {event: purchase, max: 0, during: {last: 720h}}
---
kind: template
name: miss-you
channel: outbox
body: Come back
---
kind: campaign
name: come-back
when: {audience: gone-quiet, on: enter}
what: [{channel: outbox, template: miss-you}]
limits: {holdout: 0%}
status: live
`)
	s := start(t, t.TempDir(), "--definitions", defs)
	due := time.Now().Add(20 * time.Second)
	bought := trackAt("ada", "purchase", due.Add(-720*time.Hour))
	s.batch(bought, trackAt("grace", "purchase", time.Now()))
	var a audience
	eventually(t, 15*time.Second, "the audience is known", func() bool {
		s.admin("GET", "/audiences/gone-quiet", "", &a)
		return a.State == "ready"
	})
	if a.Size != 0 && time.Now().Before(due) {
		t.Fatalf("somebody came too early: %+v", a)
	}
	eventually(t, time.Until(due)+time.Minute, "who bought 30 days ago is in it", func() bool {
		s.admin("GET", "/audiences/gone-quiet", "", &a)
		return a.Size == 1
	})
	if early := time.Until(due); early > 0 {
		t.Errorf("she came %s too early", early)
	}
	t.Logf("she came %s after it was true", time.Since(due))
	var out struct{ Deliveries []struct{ User string } }
	eventually(t, 30*time.Second, "she is written to", func() bool {
		s.admin("GET", "/deliveries?campaign=come-back&status=sent", "", &out)
		return len(out.Deliveries) > 0
	})
	if len(out.Deliveries) != 1 || out.Deliveries[0].User != "ada" {
		t.Errorf("%+v", out)
	}
}

// TestEveryMeasureCountsAtOnce: what was acknowledged is in the answer of every
// measure, while dashboards ask all the time. How soon is measured by make bench.
func TestEveryMeasureCountsAtOnce(t *testing.T) {
	s := start(t, t.TempDir())
	s.admin(http.MethodPost, "/definitions:apply", "kind: source\nname: site\nwriteKey: site-key\ntrustUserIds: true\n", nil)
	const step = `{"event":"probe"}`
	// what is asked of everybody, and what the answer holds once it counts one user's event
	measures := map[string]struct{ query, want string }{
		"series":      {`{"series":{"of":[` + step + `],"count":"users","per":"day"},"range":{"last":"24h"}}`, "Z,probe,,1\n"},
		"breakdown":   {`{"breakdown":{"of":` + step + `,"by":[{"field":"event.event"}]}}`, "\nprobe,1\n"},
		"funnel":      {`{"funnel":{"steps":[` + step + `],"window":"1h"}}`, "\n,1,probe,1,"},
		"retention":   {`{"retention":{"first":` + step + `,"return":` + step + `,"per":"day","periods":3},"range":{"last":"7d"}}`, "Z,0,1\n"},
		"paths":       {`{"paths":{"from":` + step + `,"depth":3,"window":"1h"}}`, "\n1,(end),1\n"},
		"users":       {`{"audience":{"did":` + step + `},"users":{"limit":100}}`, "fresh-"},
		"sessions":    {`{"sessions":{}}`, "\n(all),1,1,"},
		"attribution": {`{"attribution":{"goal":` + step + `}}`, "\ndirect,1,1,"},
	}
	ctx, stop := context.WithCancel(t.Context())
	var asked atomic.Int64
	var dashboards sync.WaitGroup
	defer dashboards.Wait()
	defer stop()
	dashboards.Go(func() {
		for ctx.Err() == nil {
			for _, m := range measures {
				if status, _ := s.ask("/measures:query?format=csv", m.query); status == http.StatusOK {
					asked.Add(1)
				}
			}
		}
	})
	var took []time.Duration
	for n := range 12 {
		user := fmt.Sprint("fresh-", n)
		s.batch(trackAt(user, "probe", time.Now()))
		began := time.Now()
		for name, m := range measures {
			// of this user alone, so that the answer says whether the event is in it
			var of map[string]any
			if err := json.Unmarshal([]byte(m.query), &of); err != nil {
				t.Fatal(err)
			}
			mine := map[string]any{"users": []string{user}}
			if name == "users" {
				mine = map[string]any{"all": []any{of["audience"], mine}}
			}
			of["audience"] = mine
			only, err := json.Marshal(of)
			if err != nil {
				t.Fatal(err)
			}
			eventually(t, 20*time.Second, name+" counts the event", func() bool {
				status, body := s.ask("/measures:query?format=csv", string(only))
				if status == http.StatusServiceUnavailable { // the index is not there yet
					return false
				}
				if status != http.StatusOK {
					t.Fatalf("%s: %d %s", name, status, body)
				}
				return strings.Contains(body, m.want)
			})
		}
		took = append(took, time.Since(began))
	}
	stop()
	dashboards.Wait()
	if asked.Load() == 0 {
		t.Error("the dashboards got no answer")
	}
	slices.Sort(took)
	t.Logf("in the answers of all %d measures, which were asked one after the other: median %s, slowest %s", len(measures), took[len(took)/2], took[len(took)-1])
}

// TestWithoutFacts: with the store of facts unusable, triggers fire, audiences that
// were computed hold, pop-ups come, and what is missing is said.
func TestWithoutFacts(t *testing.T) {
	dir := t.TempDir()
	defs := definitions(t, site+`kind: audience
name: buyers
did: {event: purchase}
---
kind: trigger
name: visit
pattern: [{event: visit}]
---
kind: template
name: hello
channel: web
as: popup
body: Hello
---
kind: campaign
name: greet
when: {trigger: visit}
who: [buyers]
what: [{channel: web, template: hello}]
limits: {holdout: 0%}
status: live
`)
	s := start(t, dir, "--definitions", defs)
	s.batch(trackAt("ada", "purchase", time.Now()))
	var a audience
	eventually(t, 20*time.Second, "the buyer is known", func() bool {
		s.admin("GET", "/audiences/buyers", "", &a)
		return a.State == "ready" && a.Size == 1
	})
	s.stop()
	facts := filepath.Join(dir, "facts")
	if err := os.Rename(facts, facts+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(facts, []byte("no folder"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = start(t, dir, "--definitions", defs)
	s.batch(trackAt("ada", "visit", time.Now()))
	if ids := pending(t, s, "ada", 1); len(ids) != 1 {
		t.Errorf("pop-ups: %v", ids)
	}
	s.admin("GET", "/audiences/buyers", "", &a)
	if a.Size != 1 {
		t.Errorf("without facts: %+v", a)
	}
	if status, body := s.ask("/sql", `{"query": "SELECT 1"}`); status != http.StatusServiceUnavailable || !strings.Contains(body, "facts") {
		t.Errorf("SQL: %d %s", status, body)
	}
	if health := s.admin("GET", "/health", "", nil); !strings.Contains(health, "facts") {
		t.Errorf("health says nothing of it: %s", health)
	}
}

// TestDamagedFactsComeBack: files that are damaged while heed is down are set aside
// and rebuilt from the log.
func TestDamagedFactsComeBack(t *testing.T) {
	t.Setenv("HEED_FACTS_FLUSH_ROWS", "50")
	t.Setenv("HEED_FACTS_FLUSH_EVERY", "20ms")
	dir := t.TempDir()
	defs := definitions(t, site)
	s := start(t, dir, "--definitions", defs)
	const all = 2000
	for n := 0; n < all; n += 100 {
		var events []map[string]any
		for i := range 100 {
			events = append(events, trackAt(fmt.Sprint("u", (n+i)%50), "seen", time.Now()))
		}
		s.batch(events...)
	}
	count := func() string {
		_, body := s.ask("/sql?format=csv", `{"query": "SELECT count(*) AS n FROM events WHERE event = 'seen'"}`)
		return body
	}
	want := fmt.Sprintf("n\n%d\n", all)
	eventually(t, 30*time.Second, "all are counted", func() bool { return count() == want })
	s.stop()
	files, err := filepath.Glob(filepath.Join(dir, "facts", "*", "*.parquet"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files of facts: %v", err)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(file, info.Size()/2); err != nil {
			t.Fatal(err)
		}
	}
	s = start(t, dir, "--definitions", defs)
	eventually(t, 60*time.Second, "all are counted again", func() bool {
		var h struct {
			Facts struct{ Lost []json.RawMessage }
		}
		s.admin("GET", "/health", "", &h)
		return len(h.Facts.Lost) == 0 && count() == want
	})
	if !strings.Contains(s.logs.String(), "it is set aside and will be rebuilt from the log") {
		t.Error("nobody noticed that the files were damaged")
	}
}
