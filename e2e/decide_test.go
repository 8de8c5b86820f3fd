package e2e

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// definitions writes a folder with one file.
func definitions(t *testing.T, yaml string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "all.yaml"), []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// metric sums the values of a metric, of all label values or of those that hold
// the text.
func (s *server) metric(name, holding string) float64 {
	s.t.Helper()
	resp := s.get("/metrics")
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		s.t.Fatal(err)
	}
	sum := 0.0
	for line := range strings.Lines(string(text)) {
		labels, number, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || labels != name && !strings.HasPrefix(labels, name+"{") || !strings.Contains(labels, holding) {
			continue
		}
		v, err := strconv.ParseFloat(number, 64)
		if err != nil {
			s.t.Fatalf("metric %q: %v", line, err)
		}
		sum += v
	}
	return sum
}

const site = `kind: source
name: site
writeKey: site-key
trustUserIds: true
---
kind: template
name: letter
channel: outbox
subject: "won {{ event.properties.n }}"
body: "{{ event.properties.n }}"
---
`

// TestKillWithTimers kills heed while timers are pending. A checker outside
// compares what was put into carts, says the log, with the letters: one for each
// cart that was not bought, none for the others.
func TestKillWithTimers(t *testing.T) {
	dir := t.TempDir()
	defs := definitions(t, site+`kind: trigger
name: forgotten
pattern: [{event: cart}, {absent: buy, for: 1s}]
---
kind: campaign
name: reminder
when: {trigger: forgotten}
what: [{channel: outbox, template: letter}]
limits: {holdout: 0%}
status: live
`)
	if _, err := binary(); err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 3))
	var mu sync.Mutex
	acked := map[string]bool{}
	next := 0
	for range max(rounds(t)/3, 6) {
		s := start(t, dir, "--definitions", defs)
		var writers sync.WaitGroup
		for range 3 {
			writers.Go(func() {
				for {
					var items []map[string]any
					var ids []string
					mu.Lock()
					for range 10 {
						id := fmt.Sprint(next)
						next++
						items = append(items, map[string]any{
							"type": "track", "event": "cart", "userId": "u" + id, "messageId": id, "properties": map[string]any{"n": id},
						})
						if next%4 == 0 {
							items = append(items, map[string]any{"type": "track", "event": "buy", "userId": "u" + id, "messageId": "b" + id})
						}
						ids = append(ids, id)
					}
					mu.Unlock()
					status, err := s.post("/v1/batch", map[string]any{"writeKey": "site-key", "batch": items}, nil)
					if err != nil {
						return // killed
					}
					if status == 200 {
						mu.Lock()
						for _, id := range ids {
							acked[id] = true
						}
						mu.Unlock()
					}
					time.Sleep(20 * time.Millisecond) // a load, not a flood
				}
			})
		}
		time.Sleep(time.Duration(600+rng.IntN(1200)) * time.Millisecond)
		s.kill()
		writers.Wait()
	}
	s := start(t, dir, "--definitions", defs)
	carts, bought := map[string]int{}, map[string]bool{}
	exported(t, dir, func(name, id string, _ map[string]any) {
		switch name {
		case "cart":
			carts[id]++
		case "buy":
			bought[strings.TrimPrefix(id, "b")] = true
		}
	})
	for id := range acked {
		if carts[id] != 1 {
			t.Errorf("acknowledged cart %s is in the log %d times", id, carts[id])
		}
	}
	want := maps.Clone(carts)
	for id := range bought {
		delete(want, id)
	}
	eventually(t, time.Minute, "every forgotten cart has its letter", func() bool { return len(outbox(s)) >= len(want) })
	letters := outbox(s)
	t.Logf("%d carts, %d of them bought, %d letters", len(carts), len(bought), len(letters))
	for id := range want {
		if letters[id] != 1 {
			t.Errorf("cart %s has %d letters", id, letters[id])
		}
	}
	for id := range letters {
		if want[id] == 0 {
			t.Errorf("a letter for %s, which was bought or never there", id)
		}
	}
	for id, n := range outcomes(t, dir) {
		if n != 1 {
			t.Errorf("activation %s has %d outcomes", id, n)
		}
	}
}

// TestLoop: two campaigns whose triggers read each other's outcomes come to an
// end by themselves, and it is counted.
func TestLoop(t *testing.T) {
	dir := t.TempDir()
	yaml := site
	for _, c := range []struct{ name, pattern string }{
		{"ping", "[{event: go}]"},
		{"pong", "[{event: heed.delivery, where: {any: [{field: properties.campaign, op: eq, value: ping}, {field: properties.campaign, op: eq, value: back}]}}]"},
		{"back", "[{event: heed.delivery, where: {field: properties.campaign, op: eq, value: pong}}]"},
	} {
		yaml += fmt.Sprintf("kind: trigger\nname: %s\npattern: %s\n---\nkind: campaign\nname: %s\nwhen: {trigger: %s}\nwhat: [{channel: outbox, template: letter}]\nlimits: {holdout: 0%%}\nstatus: live\n---\n",
			c.name, c.pattern, c.name, c.name)
	}
	s := start(t, dir, "--definitions", definitions(t, strings.TrimSuffix(yaml, "---\n")))
	s.track("?wait=2s", map[string]any{"writeKey": "site-key", "userId": "u", "event": "go", "properties": map[string]any{"n": 1}})
	eventually(t, 20*time.Second, "the loop is cut", func() bool { return s.metric("heed_decider_unmatched_total", `"depth"`) >= 1 })
	// The event, and what was derived from it up to depth 4.
	if n := s.metric("heed_decider_firings_total", ""); n != 5 {
		t.Errorf("%g firings, want 5", n)
	}
	eventually(t, 10*time.Second, "each has its outcome", func() bool { return len(outcomes(t, dir)) == 5 })
	before := s.metric("heed_decider_events_total", "")
	s.track("?wait=2s", map[string]any{"writeKey": "site-key", "userId": "other", "event": "noise"})
	eventually(t, 10*time.Second, "one more event is decided", func() bool { return s.metric("heed_decider_events_total", "") > before })
	if n := s.metric("heed_decider_firings_total", ""); n != 5 {
		t.Errorf("it went on: %g firings", n)
	}
}

// TestImport: a year of orders, imported under live campaigns, sends nothing.
func TestImport(t *testing.T) {
	const orders, batch = 100_000, 2000
	s := start(t, t.TempDir(), "--definitions", definitions(t, site+`kind: trigger
name: ordered
pattern: [{event: order}]
---
kind: trigger
name: forgotten
pattern: [{event: order}, {absent: review, for: 1s}]
---
kind: campaign
name: thanks
when: {trigger: ordered}
what: [{channel: outbox, template: letter}]
limits: {holdout: 0%}
status: live
---
kind: campaign
name: review
when: {trigger: forgotten}
what: [{channel: outbox, template: letter}]
limits: {holdout: 0%}
status: live
`))
	began := time.Now()
	for first := 0; first < orders; first += batch {
		items := make([]map[string]any, batch)
		for i := range items {
			n := first + i
			items[i] = map[string]any{"type": "track", "event": "order", "userId": fmt.Sprint("u", n%40_000), "messageId": fmt.Sprint("o", n)}
			if n%2 == 0 {
				items[i]["timestamp"] = began.AddDate(-1, 0, 0).Add(time.Duration(n) * time.Second).UTC().Format(time.RFC3339)
			} else {
				items[i]["context"] = map[string]any{"historical": true}
			}
		}
		var a answer
		if status, err := s.post("/v1/batch", map[string]any{"writeKey": "site-key", "batch": items}, &a); err != nil || status != 200 || a.Accepted != batch {
			t.Fatalf("batch at %d: %d %v, %d accepted", first, status, err, a.Accepted)
		}
	}
	collected := time.Since(began)
	eventually(t, 2*time.Minute, "each is counted as too old, for two triggers", func() bool {
		return s.metric("heed_decider_unmatched_total", `"stale"`) >= 2*orders
	})
	t.Logf("collected in %v, decided after %v: %.0f orders/s", collected, time.Since(began), orders/time.Since(began).Seconds())
	// A fresh one still counts, and nothing else does.
	s.track("?wait=2s", map[string]any{"writeKey": "site-key", "userId": "fresh", "event": "order", "properties": map[string]any{"n": "fresh"}})
	eventually(t, 20*time.Second, "both letters of the fresh order", func() bool { return outbox(s)["fresh"] >= 2 })
	if letters := outbox(s); len(letters) != 1 || letters["fresh"] != 2 {
		t.Errorf("letters: %v", letters)
	}
	if n := s.metric("heed_decider_firings_total", ""); n != 2 {
		t.Errorf("%g firings, want 2", n)
	}
	if text := heed(t, s.dir, "explain", "--user", "u1", "--trigger", "ordered"); !strings.Contains(text, "is marked as historical, which never fires live") {
		t.Errorf("explained:\n%s", text)
	}
}
