package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const crashDefinitions = `kind: source
name: site
writeKey: site-key
trustUserIds: true
---
kind: trigger
name: won
pattern: [{event: win}]
---
kind: trigger
name: third-win
pattern: [{event: win, times: 3}]
within: 1h
---
kind: template
name: letter
channel: outbox
subject: "won {{ event.properties.n }}"
body: "{{ event.properties.n }}"
---
kind: template
name: wow
channel: web
as: popup
expires: 1d
body: "<b>{{ event.properties.n }}</b>"
---
kind: campaign
name: letters
when: {trigger: won}
what: [{channel: outbox, template: letter}]
limits: {holdout: 0%}
status: live
---
kind: campaign
name: popups
when: {trigger: third-win}
what: [{channel: web, template: wow}]
limits: {holdout: 0%}
status: live
`

// rounds is how often the crash test kills: 20 times, in a long run HEED_SOAK
// times as often.
func rounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("HEED_SOAK")
	if text == "" {
		return 20
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("HEED_SOAK=%q: want a number of at least 1", text)
	}
	return 20 * n
}

// writer posts batches for users of its own until the server dies, and
// remembers what was acknowledged.
type writer struct {
	id, next int
	acked    map[string]string // message id -> user
	sent     map[string]string
}

func (w *writer) batch(rng *rand.Rand) (body map[string]any, ids, users []string) {
	var items []map[string]any
	for range 1 + rng.IntN(20) {
		user := fmt.Sprintf("user-%d-%d", w.id, rng.IntN(20))
		id := fmt.Sprintf("m-%d-%d", w.id, w.next)
		items = append(items, map[string]any{
			"type": "track", "event": "win", "userId": user, "messageId": id, "properties": map[string]any{"n": id},
		})
		w.next++
		ids, users = append(ids, id), append(users, user)
	}
	return map[string]any{"writeKey": "site-key", "batch": items}, ids, users
}

// TestKill kills heed at random moments under load. A checker outside compares
// what was acknowledged with what is in the log, and the activations with what
// lies in the outbox and the inboxes.
func TestKill(t *testing.T) {
	dir, defs := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(defs, "all.yaml"), []byte(crashDefinitions), 0o600); err != nil {
		t.Fatal(err)
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	writers := make([]*writer, 4)
	for i := range writers {
		writers[i] = &writer{id: i, acked: map[string]string{}, sent: map[string]string{}}
	}
	if _, err := binary(); err != nil { // built before anything is timed
		t.Fatal(err)
	}
	slowest := time.Duration(0)
	for range rounds(t) {
		begin := time.Now()
		s := start(t, dir, "--definitions", defs)
		slowest = max(slowest, time.Since(begin))
		var wg sync.WaitGroup
		for _, w := range writers {
			mine := rand.New(rand.NewPCG(rng.Uint64(), 2))
			wg.Go(func() {
				for {
					body, ids, users := w.batch(mine)
					for i, id := range ids {
						w.sent[id] = users[i]
					}
					status, err := s.post("/v1/batch", body, nil)
					if err != nil {
						return // killed
					}
					if status == 200 {
						for i, id := range ids {
							w.acked[id] = users[i]
						}
					}
				}
			})
		}
		time.Sleep(time.Duration(20+rng.IntN(400)) * time.Millisecond)
		s.kill()
		wg.Wait()
	}
	t.Logf("slowest start %v", slowest)
	if slowest > 5*time.Second {
		t.Errorf("a restart after a crash took %v, want less than 5 s", slowest)
	}

	acked, sent := map[string]string{}, map[string]string{}
	for _, w := range writers {
		maps.Copy(acked, w.acked)
		maps.Copy(sent, w.sent)
	}
	s := start(t, dir, "--definitions", defs)
	kept := loggedWins(t, dir)
	for id := range acked {
		if kept[id] != 1 {
			t.Errorf("acknowledged event %s is in the log %d times", id, kept[id])
		}
	}
	wins := map[string]int{}
	for id, n := range kept {
		if sent[id] == "" || n > 1 {
			t.Errorf("event %s is in the log %d times, sent: %t", id, n, sent[id] != "")
		}
		wins[sent[id]]++
	}
	popups := 0
	for _, n := range wins {
		popups += n / 3
	}
	t.Logf("%d events acknowledged, %d in the log, %d letters and %d pop-ups expected", len(acked), len(kept), len(kept), popups)

	eventually(t, time.Minute, "every activation has its outcome", func() bool {
		return len(outcomes(t, dir)) >= len(kept)+popups
	})
	letters := outbox(s)
	for id := range kept {
		if letters[id] != 1 {
			t.Errorf("event %s has %d letters in the outbox", id, letters[id])
		}
	}
	if len(letters) != len(kept) {
		t.Errorf("%d letters, want %d", len(letters), len(kept))
	}
	shown := map[string]int{}
	for user, n := range wins {
		for _, m := range pending(t, s, user, n/3) {
			shown[m]++
		}
	}
	if len(shown) != popups {
		t.Errorf("%d pop-ups in inboxes, want %d", len(shown), popups)
	}
	for id, n := range outcomes(t, dir) {
		if n != 1 {
			t.Errorf("activation %s has %d outcomes", id, n)
		}
	}
}

// exported reads the log as JSON lines.
func exported(t *testing.T, dir string, visit func(name, messageID string, properties map[string]any)) {
	t.Helper()
	sc := bufio.NewScanner(strings.NewReader(heed(t, dir, "export-events", "--format", "jsonl")))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var e struct {
			Event, MessageID string
			Properties       map[string]any
		}
		if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
			t.Fatalf("exported line %q: %v", sc.Text(), err)
		}
		visit(e.Event, e.MessageID, e.Properties)
	}
}

func loggedWins(t *testing.T, dir string) map[string]int {
	t.Helper()
	out := map[string]int{}
	exported(t, dir, func(name, id string, _ map[string]any) {
		if name == "win" {
			out[id]++
		}
	})
	return out
}

// outcomes counts the outcome events of each activation.
func outcomes(t *testing.T, dir string) map[string]int {
	t.Helper()
	out := map[string]int{}
	exported(t, dir, func(name, _ string, p map[string]any) {
		if name == "heed.delivery" {
			out[fmt.Sprint(p["activation"])]++
		}
	})
	return out
}

// outbox counts the letters by the event they tell of.
func outbox(s *server) map[string]int {
	out := map[string]int{}
	before := ""
	for {
		var page struct {
			Messages []struct{ Subject string }
			Next     string
		}
		s.admin("GET", "/outbox?limit=200&before="+url.QueryEscape(before), "", &page)
		for _, l := range page.Messages {
			out[strings.TrimPrefix(l.Subject, "won ")]++
		}
		if page.Next == "" {
			return out
		}
		before = page.Next
	}
}

// pending reads a user's stream until it has want messages.
func pending(t *testing.T, s *server, user string, want int) (ids []string) {
	t.Helper()
	if want == 0 {
		return nil
	}
	resp := s.get("/v1/messages/stream?writeKey=site-key&userId=" + user)
	defer func() { _ = resp.Body.Close() }()
	timeout := time.AfterFunc(10*time.Second, func() { _ = resp.Body.Close() })
	defer timeout.Stop()
	sc := bufio.NewScanner(resp.Body)
	sc.Buffer(nil, 1<<20)
	for len(ids) < want && sc.Scan() {
		if data, ok := strings.CutPrefix(sc.Text(), "data: "); ok {
			var m struct{ ID string }
			if err := json.Unmarshal([]byte(data), &m); err != nil {
				t.Fatal(err)
			}
			if m.ID != "" {
				ids = append(ids, m.ID)
			}
		}
	}
	if len(ids) < want {
		t.Errorf("user %s has %d messages waiting, want %s", user, len(ids), strconv.Itoa(want))
	}
	return ids
}
