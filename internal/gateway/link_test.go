package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"heed/internal/definition"
	"heed/internal/inbox"
)

// An identify or alias of two ids stands in the user's partition, and once
// beside it a link record in that of the other id.
func TestLinkRecords(t *testing.T) {
	f := func(path, body, from string) {
		t.Helper()
		v := newWorld(t)
		for range 2 { // the repeat is dropped, both of it
			if res := v.result(v.post(path, body), http.StatusOK); res.Accepted != 1 {
				t.Errorf("%s: %+v", body, res)
			}
		}
		if e := v.one(); e.UserID != "ann" {
			t.Errorf("%s: %+v", body, e)
		}
		links := v.links()
		switch {
		case from == "" && len(links) == 0:
		case from == "" || len(links) != 1:
			t.Errorf("%s: %d link records", body, len(links))
		case links[0].AnonymousID != from || links[0].User() != from || string(links[0].Properties) != `{"to":"ann","trusted":false}`:
			t.Errorf("%s: %+v, %s", body, links[0], links[0].Properties)
		}
	}
	f("/v1/identify", `{"messageId":"1","userId":"ann","anonymousId":"a1"}`, "a1")
	f("/v1/alias", `{"messageId":"1","userId":"ann","previousId":"old"}`, "old")
	f("/v1/alias", `{"messageId":"1","userId":"ann","previousId":"old","anonymousId":"a1"}`, "old")
	f("/v1/identify", `{"messageId":"1","userId":"ann"}`, "")
	f("/v1/identify", `{"messageId":"1","userId":"ann","anonymousId":"ann"}`, "")
	f("/v1/track", `{"messageId":"1","userId":"ann","anonymousId":"a1","event":"x"}`, "")
}

func TestLinkWithoutMessageID(t *testing.T) {
	v := newWorld(t)
	for range 2 {
		v.result(v.post("/v1/identify", `{"userId":"ann","anonymousId":"a1"}`), http.StatusOK)
	}
	if n, m := len(v.stored()), len(v.links()); n != 2 || m != 2 {
		t.Errorf("%d events, %d links", n, m)
	}
}

// Only a server key, or the signatures of both ids, may unite known users; that
// a source trusts user ids is not enough.
func TestWhoMayUniteUsers(t *testing.T) {
	f := func(trusted bool, key, more string) {
		t.Helper()
		v := newWorld(t)
		v.define(
			&definition.Source{Name: "open", WriteKey: "open-key", ServerKey: "server-key", TrustUserIDs: true},
			&definition.Source{Name: "signed", WriteKey: "signed-key", Secret: "s"},
		)
		v.result(v.do(http.MethodPost, "/v1/alias?writeKey="+key, `{"userId":"ann","previousId":"bob"`+more+`}`), http.StatusOK)
		links := v.links()
		if len(links) != 1 {
			t.Fatalf("%d links", len(links))
		}
		if got := strings.Contains(string(links[0].Properties), `"trusted":true`); got != trusted {
			t.Errorf("%s%s: trusted %t", key, more, got)
		}
	}
	ann, bob := sign("s", "ann"), sign("s", "bob")
	f(true, "server-key", "")
	f(false, "open-key", "")
	f(false, "signed-key", "")
	f(false, "signed-key", fmt.Sprintf(`,"signature":%q`, ann))
	f(false, "signed-key", fmt.Sprintf(`,"previousSignature":%q`, bob))
	f(false, "signed-key", fmt.Sprintf(`,"signature":%q,"previousSignature":%q`, bob, ann))
	f(true, "signed-key", fmt.Sprintf(`,"signature":%q,"previousSignature":%q`, ann, bob))
}

// A waiting call waits for its events, not for the link records beside them.
func TestWaitDoesNotCountLinks(t *testing.T) {
	v := newWorld(t)
	done := make(chan result, 1)
	began := time.Now()
	go func() {
		done <- v.result(v.post("/v1/identify?wait=2s", `{"messageId":"1","userId":"ann","anonymousId":"a1"}`), http.StatusOK)
	}()
	var token string
	for token == "" {
		for _, e := range v.stored() {
			token = e.ReplyTo
		}
	}
	for _, link := range v.links() {
		if link.ReplyTo != "" {
			t.Error("a link record settles nothing")
		}
	}
	v.db.Inbox().Settle(t.Context(), token, inbox.Settlement{Events: 1})
	if res := <-done; res.Accepted != 1 {
		t.Errorf("%+v", res)
	}
	if time.Since(began) >= maxWait {
		t.Error("it waited for something else, too")
	}
	// The same once more: the repeat has nothing to wait for.
	if res := v.result(v.post("/v1/identify?wait=2s", `{"messageId":"1","userId":"ann","anonymousId":"a1"}`), http.StatusOK); res.Accepted != 1 {
		t.Errorf("%+v", res)
	}
}
