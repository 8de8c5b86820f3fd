package email

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"heed/internal/channel"
	"heed/internal/definition"
	"heed/internal/documents"
)

// fixed hands out one set of definitions.
type fixed struct{ set *definition.Set }

func (f fixed) Current() *definition.Set { return f.set }

// transport answers requests without a network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

const hookSecret = "0123456789abcdef"

func hooked(t *testing.T) (*fixture, func(path, auth, body string) *httptest.ResponseRecorder) {
	t.Helper()
	set := &definition.Set{Channels: map[string]*definition.Channel{
		"news":  {Name: "news", Type: Type, Feedback: &definition.Feedback{From: "json", Secret: hookSecret}},
		"ses":   {Name: "ses", Type: Type, Feedback: &definition.Feedback{From: "ses", Secret: hookSecret, Topic: "arn:aws:sns:eu-west-1:123456789012:mail"}},
		"gun":   {Name: "gun", Type: Type, Feedback: &definition.Feedback{From: "mailgun", Secret: hookSecret}},
		"quiet": {Name: "quiet", Type: Type},
	}}
	f := newFixture(t, func(d *Deps) { d.Definitions = fixed{set} })
	mux := http.NewServeMux()
	f.Register(mux)
	return f, func(path, auth, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		if auth == "basic" {
			r.SetBasicAuth("heed", hookSecret)
		} else if auth != "" {
			r.Header.Set("Authorization", auth)
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w
	}
}

// What a provider reports is told once it is believed, by the delivery if it names
// one; what cannot be kept is to be brought again.
func TestHook(t *testing.T) {
	f, post := hooked(t)
	const bearer = "Bearer " + hookSecret
	body := fmt.Sprintf(`{"events":[{"id":"1","event":"bounced","hard":true,"address":"ann@shop.example"},{"id":"2","event":"complained","delivery":%q}]}`, idOf(7))
	status := func(path, auth, body string, want int) {
		t.Helper()
		if w := post(path, auth, body); w.Code != want {
			t.Errorf("%s %q: %d %s, want %d", path, auth, w.Code, w.Body, want)
		}
		if want != http.StatusNoContent && len(f.heard.take()) != 0 {
			t.Errorf("%s %q: it was told", path, auth)
		}
	}
	status("/hooks/email/quiet", bearer, body, http.StatusNotFound)
	status("/hooks/email/nobody", bearer, body, http.StatusNotFound)
	status("/hooks/email/news", "", body, http.StatusUnauthorized)
	status("/hooks/email/news", "Bearer 0123456789abcdeg", body, http.StatusForbidden)
	status("/hooks/email/news", bearer, `{"events":`, http.StatusBadRequest)
	status("/hooks/email/news", bearer, strings.Repeat(" ", maxReport+1), http.StatusRequestEntityTooLarge)
	f.heard.err = errors.New("the disk is full")
	status("/hooks/email/news", bearer, body, http.StatusServiceUnavailable)
	f.heard.err = nil
	status("/hooks/email/news", bearer, body, http.StatusNoContent)
	got := f.heard.take()
	if len(got) != 2 || got[0].Kind != channel.Bounced || !got[0].Hard || got[0].Address != "ann@shop.example" || got[0].ID != "json/1" || got[0].Channel != "news" ||
		got[1].Kind != channel.Complained || got[1].Delivery != idOf(7) {
		t.Errorf("%+v", got)
	}
}

// Mailgun's signature says nothing of the report: it is good for one, however often that
// is brought, and at a restart too.
func TestHookOfMailgun(t *testing.T) {
	f, post := hooked(t)
	call := func(what, token, event, address string, ago time.Duration, want, told int) {
		t.Helper()
		stamp := fmt.Sprint(time.UnixMicro(f.now.Load()).Add(-ago).Unix())
		m := hmac.New(sha256.New, []byte(hookSecret))
		m.Write([]byte(stamp + token))
		w := post("/hooks/email/gun", "", fmt.Sprintf(`{"signature":{"timestamp":%q,"token":%q,"signature":"%x"},"event-data":{"event":%q,"id":"e1","recipient":%q,"timestamp":1800000000}}`,
			stamp, token, m.Sum(nil), event, address))
		if got := f.heard.take(); w.Code != want || len(got) != told {
			t.Errorf("%s: %d %s, %d told; want %d and %d", what, w.Code, w.Body, len(got), want, told)
		}
	}
	call("a complaint", "t1", "complained", "ann@shop.example", 0, http.StatusNoContent, 1)
	call("brought again, and told again: the book knows it", "t1", "complained", "ann@shop.example", 0, http.StatusNoContent, 1)
	call("about somebody else", "t1", "complained", "bob@shop.example", 0, http.StatusForbidden, 0)
	call("another event", "t1", "unsubscribed", "ann@shop.example", 0, http.StatusForbidden, 0)
	call("of which nothing follows", "t2", "opened", "ann@shop.example", 0, http.StatusNoContent, 0)
	call("its signature for more", "t2", "complained", "bob@shop.example", 0, http.StatusForbidden, 0)
	call("tried again for long", "t3", "complained", "cy@shop.example", 8*time.Hour, http.StatusNoContent, 1)
	call("too old", "t4", "complained", "cy@shop.example", 10*time.Hour, http.StatusUnauthorized, 0)
	f.heard.err = errors.New("the disk is full")
	call("not kept", "t5", "complained", "di@shop.example", 0, http.StatusServiceUnavailable, 0)
	f.heard.err = nil
	call("kept in the end", "t5", "complained", "di@shop.example", 0, http.StatusNoContent, 1)
	// What is too old to be believed is forgotten.
	f.pass(30 * time.Hour)
	call("a day later", "t6", "complained", "ed@shop.example", 0, http.StatusNoContent, 1)
	if left, err := f.deps.Documents.List(t.Context(), documents.Query{Collection: collectionTokens}); err != nil || len(left) != 1 {
		t.Errorf("%d tokens are kept, %v", len(left), err)
	}
}

// Amazon SNS is asked for its password, and is told that it is welcome where it is at
// home, wherever it says that this is. The sender in the envelope names the delivery if
// it is one of ours.
func TestHookOfSNS(t *testing.T) {
	f, post := hooked(t)
	asked := ""
	answer := http.StatusInternalServerError
	f.outside = &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		asked = r.URL.String()
		return &http.Response{StatusCode: answer, Body: io.NopCloser(strings.NewReader(""))}, nil
	})}
	const subscribe = `{"Type":"SubscriptionConfirmation","TopicArn":"arn:aws:sns:eu-west-1:123456789012:mail","Token":"t0ken","SubscribeURL":"http://169.254.169.254/latest"}`
	if w := post("/hooks/email/ses", "", subscribe); w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") == "" || asked != "" {
		t.Errorf("%d %v, asked %q", w.Code, w.Header(), asked)
	}
	if w := post("/hooks/email/ses", "basic", subscribe); w.Code != http.StatusServiceUnavailable {
		t.Errorf("Amazon does not answer: %d", w.Code)
	}
	answer = http.StatusOK
	if w := post("/hooks/email/ses", "basic", subscribe); w.Code != http.StatusNoContent || !strings.HasPrefix(asked, "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t0ken&") {
		t.Errorf("%d, asked %q", w.Code, asked)
	}
	report := func(source string) channel.Feedback {
		t.Helper()
		message := fmt.Sprintf(`{\"eventType\":\"Bounce\",\"mail\":{\"source\":\"%s\"},\"bounce\":{\"bounceType\":\"Permanent\",\"feedbackId\":\"f\",\"bouncedRecipients\":[{\"emailAddress\":\"ann@shop.example\"}]}}`, source)
		w := post("/hooks/email/ses", "basic", `{"Type":"Notification","TopicArn":"arn:aws:sns:eu-west-1:123456789012:mail","Message":"`+message+`"}`)
		got := f.heard.take()
		if w.Code != http.StatusNoContent || len(got) != 1 {
			t.Fatalf("%d %s %+v", w.Code, w.Body, got)
		}
		return got[0]
	}
	if got := report(f.seal.returnPath(idOf(3)) + "@bounces.shop.example"); got.Delivery != idOf(3) || !got.Hard {
		t.Errorf("%+v", got)
	}
	if got := report("news@shop.example"); got.Delivery != "" || got.Address != "ann@shop.example" {
		t.Errorf("%+v", got)
	}
}
