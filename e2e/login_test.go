package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestLogin: what somebody did before a login counts after it, in whatever
// partitions the two ids are, with kill -9 in the middle; and it counts once.
func TestLogin(t *testing.T) {
	const users = 24
	dir := t.TempDir()
	s := startFlow(t, dir)
	event := func(i int, kind, id string, anonymous, known bool) map[string]any {
		e := map[string]any{"type": kind, "messageId": fmt.Sprintf("%s-%d", id, i)}
		if kind == "track" {
			e["event"] = "win"
		}
		if anonymous {
			e["anonymousId"] = fmt.Sprintf("browser-%d", i)
		}
		if known {
			e["userId"] = fmt.Sprintf("user-%d", i)
		}
		return e
	}
	send := func(events ...map[string]any) {
		t.Helper()
		var a answer
		if status, err := s.post("/v1/batch", map[string]any{"writeKey": "trusting-key", "batch": events}, &a); err != nil || status != 200 || a.Accepted != len(events) {
			t.Fatalf("batch: %d, %v, %+v", status, err, a)
		}
	}
	before := func(i int) (out []map[string]any) {
		return []map[string]any{event(i, "track", "w1", true, false), event(i, "track", "w2", true, false)}
	}

	// The answer to the win behind the login comes on the same request.
	send(before(0)...)
	send(event(0, "identify", "login", true, true))
	third := event(0, "track", "w3", true, true)
	third["writeKey"] = "trusting-key"
	if a := s.track("?wait=2s", third); len(a.Messages) != 1 || a.Messages[0].Campaign != "winners" {
		t.Fatalf("the win after the login answered %+v", a)
	}

	var first, login, after []map[string]any
	for i := 1; i < users; i++ {
		first = append(first, before(i)...)
		login = append(login, event(i, "identify", "login", true, true))
		after = append(after, event(i, "track", "w3", true, true))
	}
	send(first...)
	send(login...) // killed while ids are handed over
	s.kill()
	s = startFlow(t, dir)
	send(after[:users/2]...)
	s.kill()
	s = startFlow(t, dir)
	send(after...) // half of it once more
	send(login...)

	deliveries := func() map[string]int {
		count := map[string]int{}
		var page struct {
			Deliveries []struct{ Campaign, User string }
			Next       string
		}
		for more := true; more; more = page.Next != "" {
			before := page.Next
			page.Next, page.Deliveries = "", nil
			s.admin("GET", "/deliveries?limit=200&before="+before, "", &page)
			for _, d := range page.Deliveries {
				count[d.User+" "+d.Campaign]++
			}
		}
		return count
	}
	eventually(t, 30*time.Second, "everybody has won", func() bool { return len(deliveries()) >= users })
	for i := range users {
		if n := deliveries()[fmt.Sprintf("user-%d winners", i)]; n != 1 {
			t.Errorf("user-%d has %d deliveries", i, n)
		}
	}

	// The browser leads to its user, who shows what it did.
	var browser struct{ MovedTo string }
	s.admin("GET", "/users/browser-5", "", &browser)
	if browser.MovedTo != "user-5" {
		t.Errorf("browser-5 has moved to %q", browser.MovedTo)
	}
	var user struct{ AnonymousIds []string }
	s.admin("GET", "/users/user-5", "", &user)
	if len(user.AnonymousIds) != 1 || user.AnonymousIds[0] != "browser-5" {
		t.Errorf("user-5 has the ids %v", user.AnonymousIds)
	}
	var timeline struct {
		Items []struct{ Event struct{ MessageID string } }
	}
	s.admin("GET", "/users/user-5/timeline?limit=50", "", &timeline)
	seen := map[string]bool{}
	for _, item := range timeline.Items {
		seen[item.Event.MessageID] = true
	}
	for _, id := range []string{"w1-5", "w2-5", "login-5", "w3-5"} {
		if !seen[id] {
			t.Errorf("the timeline of user-5 lacks %s: %v", id, seen)
		}
	}

	// Every event is in the log once, and every merge.
	count := map[string]int{}
	for line := range strings.Lines(s.admin("GET", "/events?internal=true&from=2020-01-01T00:00:00Z", "", nil)) {
		var e struct{ Type, Event, MessageID string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		switch {
		case e.Type != "system":
			count[e.MessageID]++
		case e.Event == "heed.merge":
			count["merges"]++
		}
	}
	for i := range users {
		for _, id := range []string{"w1", "w2", "login", "w3"} {
			if n := count[fmt.Sprintf("%s-%d", id, i)]; n != 1 {
				t.Errorf("%s-%d is in the log %d times", id, i, n)
			}
		}
	}
	if count["merges"] != users {
		t.Errorf("%d merge records of %d logins", count["merges"], users)
	}
}

// TestForgedLogin: who claims with the public key to be somebody gets nothing of
// theirs, neither on the stream of the browser nor on the same request; and takes
// nobody over.
func TestForgedLogin(t *testing.T) {
	s := startFlow(t, t.TempDir())
	sign := func(user string) string {
		mac := hmac.New(sha256.New, []byte("site-secret"))
		mac.Write([]byte(user))
		return hex.EncodeToString(mac.Sum(nil))
	}
	identify := func(e map[string]any) {
		t.Helper()
		e["writeKey"] = "site-key"
		if status, err := s.post("/v1/identify?wait=2s", e, nil); err != nil || status != 200 {
			t.Fatalf("identify: %d, %v", status, err)
		}
	}
	anonymous := map[string]any{"writeKey": "site-key", "anonymousId": "spy", "event": "win"}
	s.track("", anonymous)
	s.track("", anonymous)
	identify(map[string]any{"anonymousId": "spy", "userId": "victim"})
	// Under either id, the third win is the victim's.
	if a := s.track("?wait=2s", anonymous); len(a.Messages) != 0 {
		t.Errorf("the anonymous id was answered %+v", a)
	}
	if got := s.streamed("anonymousId=spy"); len(got) != 0 {
		t.Errorf("the stream of the anonymous id brought %+v", got)
	}
	if got := s.streamed("userId=victim&signature=" + sign("victim")); len(got) != 1 {
		t.Errorf("the stream of the user brought %+v", got)
	}
	// The victim is known now: neither by name nor with a signature of one's own.
	identify(map[string]any{"anonymousId": "victim", "userId": "thief"})
	identify(map[string]any{"anonymousId": "victim", "userId": "thief", "signature": sign("thief")})
	var user struct {
		MovedTo      string
		AnonymousIds []string
	}
	s.admin("GET", "/users/victim", "", &user)
	if user.MovedTo != "" || len(user.AnonymousIds) != 1 {
		t.Errorf("the victim is %+v", user)
	}
	identify(map[string]any{"anonymousId": "victim", "userId": "heir", "signature": sign("heir"), "previousSignature": sign("victim")})
	eventually(t, 10*time.Second, "with both signatures the victim is the heir", func() bool {
		s.admin("GET", "/users/victim", "", &user)
		return user.MovedTo == "heir"
	})
}
