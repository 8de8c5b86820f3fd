package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A message is sent once to everybody who did one thing and not another: whom
// the review names gets it, once, though the server is killed right after the
// order, and asked again.
func TestSendOnce(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	s.admin(http.MethodPost, "/definitions:apply", "kind: source\nname: site\nwriteKey: site-key\nserverKey: server-key-0123456789\n", nil)
	const users = 1500
	var batch []map[string]any
	for i := range users {
		batch = append(batch, map[string]any{"event": "cart_add", "userId": fmt.Sprint("u", i)})
		if i%3 == 0 {
			batch = append(batch, map[string]any{"event": "purchase", "userId": fmt.Sprint("u", i)})
		}
	}
	if status, err := s.post("/v1/batch", map[string]any{"writeKey": "site-key", "batch": batch}, nil); err != nil || status != http.StatusOK {
		t.Fatal(status, err)
	}
	const tree = `{"all":[{"did":{"event":"cart_add"}},{"did":{"event":"purchase","max":0}}]}`
	draft := func(change ...string) string {
		return strings.NewReplacer(change...).Replace(`{"name":"nearly","audience":` + tree + `,"channel":"outbox","subject":"Your cart","body":"Still there, {{ profile.traits.name | default: 'friend' }}","holdout":"10%"}`)
	}
	var review struct {
		Matched, Sending int
		Excluded         []struct {
			Reason string
			Users  int
		}
		Preview struct{ Subject, Body string }
	}
	eventually(t, 10*time.Second, "everybody is counted", func() bool {
		s.admin(http.MethodPost, "/sends:review", draft(), &review)
		return review.Matched == users*2/3
	})
	held := review.Excluded[0].Users
	if len(review.Excluded) != 1 || review.Excluded[0].Reason != "holdout" || held < 50 || review.Sending+held != review.Matched {
		t.Errorf("review: %+v", review)
	}
	if review.Preview.Subject != "Your cart" || review.Preview.Body != "Still there, friend" {
		t.Errorf("preview: %+v", review.Preview)
	}

	order := func(matched int) string {
		return strings.Replace(draft(), "{", fmt.Sprintf(`{"id":"order-00000001","matched":%d,`, matched), 1)
	}
	f := func(what, path, body string, status int, code string) {
		t.Helper()
		if got, text := s.ask(path, body); got != status || !strings.Contains(text, code) {
			t.Errorf("%s: %d %s, want %d %s", what, got, text, status, code)
		}
	}
	f("a broken template", "/sends:review", draft("{{ profile", "{{ profle"), http.StatusUnprocessableEntity, "profle")
	f("an unknown channel", "/sends:review", draft(`"outbox"`, `"pigeon"`), http.StatusUnprocessableEntity, "pigeon")
	f("a broken tree", "/sends:review", draft(`"max":0`, `"mx":0`), http.StatusBadRequest, "mx")
	f("a bad name", "/sends:review", draft(`"nearly"`, `"near ly"`), http.StatusNotFound, "near ly")
	f("a number that was not reviewed", "/sends", order(1), http.StatusConflict, "drifted")
	if got := s.admin(http.MethodGet, "/definitions/campaign", "", nil); strings.Contains(got, "nearly") {
		t.Errorf("a refused order left something behind: %s", got)
	}

	s.admin(http.MethodPost, "/sends", order(review.Matched), nil)
	s.kill()
	s = start(t, dir)
	s.admin(http.MethodPost, "/sends", order(review.Matched), nil) // whoever saw no answer asks again
	f("the name is taken", "/sends:review", draft(), http.StatusConflict, "nearly")

	var report struct{ Activations, Sent int }
	eventually(t, 20*time.Second, "everything is decided", func() bool {
		s.admin(http.MethodGet, "/campaigns/nearly/report", "", &report)
		return report.Activations >= review.Matched
	})
	if report.Activations != review.Matched || report.Sent != review.Sending {
		t.Errorf("%+v, reviewed were %d of %d", report, review.Sending, review.Matched)
	}
	got := map[string]int{}
	for next := ""; ; {
		var page struct {
			Messages []struct{ User, Campaign string }
			Next     string
		}
		if err := json.Unmarshal([]byte(s.admin(http.MethodGet, "/outbox?limit=200&before="+next, "", nil)), &page); err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Messages {
			got[m.User]++
		}
		if next = page.Next; next == "" {
			break
		}
	}
	for i := range users {
		user := fmt.Sprint("u", i)
		if n := got[user]; n > 1 || n == 1 && i%3 == 0 {
			t.Errorf("%s got %d letters", user, n)
		}
	}
	if len(got) != review.Sending {
		t.Errorf("%d users got letters, reviewed were %d", len(got), review.Sending)
	}
}

// A message that is kept on being sent reaches who is in the audience and whoever
// enters it, however soon after the order, each once.
func TestKeepSending(t *testing.T) {
	s := start(t, t.TempDir())
	s.admin(http.MethodPost, "/definitions:apply", "kind: source\nname: site\nwriteKey: site-key\nserverKey: server-key-0123456789\n", nil)
	buys := func(from, to int) {
		t.Helper()
		var batch []map[string]any
		for i := from; i < to; i++ {
			batch = append(batch, map[string]any{"event": "purchase", "userId": fmt.Sprint("u", i)})
		}
		if status, err := s.post("/v1/batch", map[string]any{"writeKey": "site-key", "batch": batch}, nil); err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
	}
	const first, users = 50, 80
	buys(0, first)
	draft := `{"name":"thanks","audience":{"did":{"event":"purchase"}},"channel":"outbox","body":"Thanks","keep":true}`
	eventually(t, 10*time.Second, "everybody is counted", func() bool {
		var review struct{ Matched int }
		s.admin(http.MethodPost, "/sends:review", draft, &review)
		return review.Matched == first
	})
	s.admin(http.MethodPost, "/sends", strings.Replace(draft, "{", fmt.Sprintf(`{"id":"order-00000001","matched":%d,`, first), 1), nil)
	buys(first, users)
	got := map[string]int{}
	eventually(t, 30*time.Second, "everybody has a letter", func() bool {
		var page struct{ Messages []struct{ User string } }
		s.admin(http.MethodGet, "/outbox?limit=200", "", &page)
		clear(got)
		for _, m := range page.Messages {
			got[m.User]++
		}
		return len(got) == users
	})
	for user, n := range got {
		if n != 1 {
			t.Errorf("%s got %d letters", user, n)
		}
	}
}
