package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"heed/internal/channel/webhook"
)

// A campaign posts to somebody's server, signed and under one key whatever
// happens; another one writes into the pull store what a third one reads. What a
// broken destination gets holds nobody else up.
func TestWebhookAndPullChannel(t *testing.T) {
	var mu sync.Mutex
	got := map[string][]string{} // idempotency key -> users
	down := true
	crm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		var m struct {
			User string
			Body struct{ Won string }
		}
		var at int64
		if json.Unmarshal(body, &m) != nil || m.Body.Won != "a kettle" {
			t.Errorf("posted: %s", body)
		}
		stamp := r.Header.Get(webhook.SignatureHeader)
		if json.Unmarshal([]byte(stamp[2:strings.Index(stamp, ",")]), &at) != nil || stamp != webhook.Sign("crm-secret", time.Unix(at, 0), body) {
			t.Errorf("signature %q of %s", stamp, body)
		}
		key := r.Header.Get("Idempotency-Key")
		got[key] = append(got[key], m.User)
	}))
	defer crm.Close()
	hang := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer slow.Close()
	defer close(hang)

	dir := t.TempDir()
	s := start(t, dir)
	s.admin(http.MethodPost, "/definitions:apply", `
kind: source
name: site
writeKey: site-key
serverKey: server-key-0123456789
---
kind: collection
name: prizes
fields: {last: text}
---
kind: channel
name: crm
type: webhook
url: `+crm.URL+`
secret: crm-secret
allowPrivate: true
---
kind: channel
name: slow
type: webhook
url: `+slow.URL+`
allowPrivate: true
timeout: 1s
---
kind: channel
name: remember
type: pull
collection: prizes
---
kind: trigger
name: won
pattern: [{event: win}]
---
kind: trigger
name: left
pattern: [{event: leave}]
---
kind: template
name: to-crm
channel: crm
body: '{"won": {{ event.properties.prize | json }}}'
---
kind: template
name: to-slow
channel: slow
body: 'x'
---
kind: template
name: to-store
channel: remember
body: '{"last": {{ event.properties.prize | json }}}'
---
kind: template
name: goodbye
channel: outbox
body: 'Do not forget {{ pull.prizes.last }}'
---
{kind: campaign, name: crm, when: {trigger: won}, what: [{channel: crm, template: to-crm}], limits: {holdout: 0%}, status: live}
---
{kind: campaign, name: slow, when: {trigger: won}, what: [{channel: slow, template: to-slow}], limits: {holdout: 0%}, status: live}
---
{kind: campaign, name: store, when: {trigger: won}, what: [{channel: remember, template: to-store}], limits: {holdout: 0%}, status: live}
---
{kind: campaign, name: bye, when: {trigger: left}, what: [{channel: outbox, template: goodbye}], limits: {holdout: 0%}, status: live}
`, nil)
	if text := s.admin(http.MethodGet, "/definitions:export", "", nil); strings.Contains(text, "crm-secret") {
		t.Error("the secret of a channel is exported")
	}
	users := []string{"ann", "bob", "cid", "dan", "eve", "fay"}
	for _, u := range users {
		body := map[string]any{"writeKey": "site-key", "userId": u, "event": "win", "properties": map[string]any{"prize": "a kettle"}}
		if status, err := s.post("/v1/track", body, nil); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
	}
	sent := func(campaign string) (n int) {
		var r struct{ Sent int }
		s.admin(http.MethodGet, "/campaigns/"+campaign+"/report", "", &r)
		return r.Sent
	}
	// One destination is down and one hangs; the store is written nevertheless.
	eventually(t, 20*time.Second, "the prizes are in the store", func() bool { return sent("store") == len(users) })
	s.kill()
	mu.Lock()
	down = false
	mu.Unlock()
	s = start(t, dir)
	eventually(t, 40*time.Second, "the destination is back and has everything", func() bool { return sent("crm") == len(users) })
	mu.Lock()
	if len(got) != len(users) {
		t.Errorf("%d keys for %d messages", len(got), len(users))
	}
	mu.Unlock()
	if status, err := s.post("/v1/track?wait=2s", map[string]any{"writeKey": "site-key", "userId": "ann", "event": "leave"}, nil); err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	eventually(t, 10*time.Second, "what one campaign wrote is in the text of another", func() bool {
		return strings.Contains(s.admin(http.MethodGet, "/outbox", "", nil), "Do not forget a kettle")
	})
}
