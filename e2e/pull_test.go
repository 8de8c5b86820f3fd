package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// What a server wrote into the pull store decides who gets a message and what it
// says, at once, and survives a kill.
func TestPull(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.admin(http.MethodPost, "/definitions:apply", `
kind: source
name: site
writeKey: site-key
serverKey: server-key-0123456789
---
kind: collection
name: scores
ttl: 30d
fields: {churn: number, next_best: text}
---
kind: trigger
name: leaving
pattern: [{event: cancel_view, where: {field: pull.scores.churn, op: gt, value: 0.5}}]
---
kind: template
name: stay
channel: outbox
body: "Stay: {{ pull.scores.next_best | default: 'a gift' }}"
---
kind: campaign
name: stay
when: {trigger: leaving}
what: [{channel: outbox, template: stay}]
limits: {holdout: 0%}
status: live
`, nil)
	put := func(user, doc string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.url+"/v1/pull/scores/"+user, strings.NewReader(doc))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer server-key-0123456789")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusNoContent {
			t.Fatalf("put %s: %s %s %v", user, resp.Status, text, err)
		}
	}
	look := func(users ...string) {
		t.Helper()
		for _, user := range users {
			body := map[string]any{"writeKey": "site-key", "userId": user, "event": "cancel_view"}
			if status, err := s.post("/v1/track?wait=2s", body, nil); err != nil || status != http.StatusOK {
				t.Fatal(status, err)
			}
		}
	}
	letters := func() (out []string) {
		t.Helper()
		var page struct {
			Messages []struct{ User, Text, Html string }
		}
		if err := json.NewDecoder(bytes.NewReader([]byte(s.admin(http.MethodGet, "/outbox", "", nil)))).Decode(&page); err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Messages {
			out = append(out, m.User+": "+m.Text+m.Html)
		}
		slices.Sort(out)
		return out
	}

	put("ann", `{"churn": 0.9, "next_best": "a kettle"}`)
	put("bob", `{"churn": 0.1, "next_best": "a lamp"}`)
	put("cid", `{"churn": 0.8}`)
	look("ann", "bob", "cid", "dan")
	want := []string{"ann: Stay: a kettle", "cid: Stay: a gift"}
	eventually(t, 10*time.Second, "two letters", func() bool { return slices.Equal(letters(), want) })

	s.kill()
	s = start(t, dir)
	put("bob", `{"churn": 0.7, "next_best": "a rug"}`)
	look("ann", "bob", "dan")
	want = []string{"ann: Stay: a kettle", "ann: Stay: a kettle", "bob: Stay: a rug", "cid: Stay: a gift"}
	eventually(t, 10*time.Second, "four letters", func() bool { return slices.Equal(letters(), want) })

	for _, dangling := range []string{
		"kind: trigger\nname: x\npattern: [{event: a, where: {field: pull.score.churn, op: gt, value: 1}}]\n",
		"kind: template\nname: x\nchannel: outbox\nbody: '{{ pull.score.next_best }}'\n",
	} {
		if status, text := s.ask("/definitions:apply", dangling); status != http.StatusUnprocessableEntity || !strings.Contains(text, "did you mean scores") {
			t.Errorf("%s: %d %s", dangling, status, text)
		}
	}
	if status, text := s.tryAdmin(http.MethodDelete, "/definitions/collection/scores", ""); status != http.StatusUnprocessableEntity || !strings.Contains(text, "scores") {
		t.Errorf("a collection that is read was deleted: %d %s", status, text)
	}
}
