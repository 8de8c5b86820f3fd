package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"heed/internal/definition"
	"heed/internal/device"
)

const (
	p256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
	auth   = "BTBZMqHH6r4Tts7J_aSIgg"
	// The private key of RFC 8291's example, and its other half.
	vapid       = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
	vapidPublic = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
	endpoint    = "https://fcm.googleapis.com/fcm/send/abc"
)

// newPushWorld has two channels of type push.
func newPushWorld(t *testing.T) *world {
	t.Helper()
	v := newWorld(t)
	v.set.Channels = map[string]*definition.Channel{}
	for _, name := range []string{"push", "alerts"} {
		v.set.Channels[name] = &definition.Channel{Name: name, Type: definition.ChannelPush, Push: &definition.Push{Subject: "mailto:ops@shop.example", PrivateKey: vapid}}
	}
	return v
}

func subscriptionOf(endpoint string) string {
	return fmt.Sprintf(`{"channel":"push","endpoint":%q,"expirationTime":null,"keys":{"p256dh":%q,"auth":%q}}`, endpoint, p256dh, auth)
}

func TestPushKey(t *testing.T) {
	v := newPushWorld(t)
	f := func(query string, status int, want string) {
		t.Helper()
		w := v.do(http.MethodGet, "/v1/push/key?"+query, "")
		if w.Code != status || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
	f("writeKey=open-key", 200, `{"channel":"alerts","publicKey":"`+vapidPublic+`"}`)
	f("writeKey=open-key&channel=push", 200, `{"channel":"push",`)
	f("writeKey=open-key&channel=mail", 404, "no such channel")
	f("writeKey=x", 401, "unknown write key")
	v.set.Channels = nil
	f("writeKey=open-key", 404, "no such channel")
}

// A device is somebody's known by proof only.
func TestSubscribe(t *testing.T) {
	v := newPushWorld(t)
	devices := device.New(v.db.Documents(), v.clock)
	signature := sign("s3cret", "ada")
	v.knows("ada")
	f := func(query string, status int, owner string, proven bool) {
		t.Helper()
		if w := v.do(http.MethodPost, "/v1/push/subscribe?"+query, subscriptionOf(endpoint), "Content-Type", "text/plain", "Origin", "https://shop.example"); w.Code != status {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
		if owner == "" {
			return
		}
		list, err := devices.List(t.Context(), owner)
		if err != nil || len(list) != 1 || list[0].Proven != proven || list[0].Endpoint != endpoint || list[0].P256dh != p256dh || list[0].Auth != auth || list[0].Channel != "push" {
			t.Errorf("%s: %s has %+v, %v", query, owner, list, err)
		}
	}
	f("writeKey=shop-key&anonymousId=a1", 204, "a1", false)
	f("writeKey=shop-key&anonymousId=a1&userId=ada", 204, "a1", false) // a claim
	f("writeKey=shop-key&userId=ada", 403, "", false)
	f("writeKey=shop-key&anonymousId=ada", 403, "", false) // it is no secret
	f("writeKey=shop-key&anonymousId=a1&userId=ada&signature="+signature, 204, "ada", true)
	f("writeKey=shop-key&anonymousId=a1&userId=ada&signature="+signature, 204, "ada", true) // again
	f("writeKey=open-key&userId=bob", 204, "bob", true)
	f("writeKey=shop-key&anonymousId=a2", 204, "a2", false) // after the logout
	f("writeKey=shop-key", 400, "", false)
	if w := v.do(http.MethodPost, "/v1/push/unsubscribe?writeKey=shop-key&anonymousId=a2", subscriptionOf(endpoint)); w.Code != 204 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if list, _ := devices.List(t.Context(), "a2"); len(list) != 0 {
		t.Errorf("%+v is left", list)
	}
	var got []string
	for _, e := range v.stored() {
		got = append(got, fmt.Sprint(e.Name, " ", e.User(), " ", e.Context.Verified, " ", e.Source, " ", string(e.Context.Consent)))
	}
	const consent = ` {"push":{"granted":true,"source":"browser"}}`
	want := []string{
		"push_subscribed a1 false shop" + consent, "push_subscribed ada true shop" + consent, "push_subscribed bob true open" + consent,
		"push_subscribed a2 false shop" + consent, "push_unsubscribed a2 false shop ",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the log has\n%s", strings.Join(got, "\n"))
	}
}

func TestBadSubscriptions(t *testing.T) {
	v := newPushWorld(t)
	f := func(body string, status int, want string) {
		t.Helper()
		w := v.do(http.MethodPost, "/v1/push/subscribe?writeKey=open-key&anonymousId=a1", body)
		if w.Code != status || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%.80s: %d %s", body, w.Code, w.Body)
		}
	}
	for _, to := range []string{"https://internal.example/x", "http://fcm.googleapis.com/x", "https://fcm.googleapis.com.evil.example/x", "https://u:p@fcm.googleapis.com/x", "https://169.254.169.254/", "ftp://x", "https://fcm.googleapis.com/" + strings.Repeat("x", 2000)} {
		f(subscriptionOf(to), 400, "endpoint")
	}
	f(subscriptionOf("https://x.push.apple.com/abc"), 204, "")
	f(strings.Replace(subscriptionOf(endpoint), p256dh, "AAAA", 1), 400, "p256dh")
	f(strings.Replace(subscriptionOf(endpoint), auth, "", 1), 400, "auth")
	f(strings.Replace(subscriptionOf(endpoint), "push", "mail", 1), 404, "no such channel")
	f(`{}`, 400, "the body is not")
	f(`[`, 400, "the body is not")
	f(`{"x":"`+strings.Repeat("x", maxSubscription)+`"}`, 400, "the body is not")
}

// What was not told to the log is told when the browser tries again.
func TestSubscribeAgainAfterFailure(t *testing.T) {
	v := newPushWorld(t)
	call := func() int {
		return v.do(http.MethodPost, "/v1/push/subscribe?writeKey=open-key&anonymousId=a1", subscriptionOf(endpoint)).Code
	}
	v.log.err = http.ErrServerClosed
	if code := call(); code != 503 {
		t.Errorf("without the log: %d", code)
	}
	v.log.err = nil
	v.pass(1e9)
	for range 2 {
		if code := call(); code != 204 {
			t.Errorf("again: %d", code)
		}
	}
	if e := v.one(); e.Name != nameSubscribed {
		t.Errorf("%s", e.Name)
	}
}

func TestPushScripts(t *testing.T) {
	scripts, err := loadScripts(fstest.MapFS{"heed.js": {Data: []byte("1")}, "heed-sw.js": {Data: []byte("2")}})
	if err != nil || len(scripts) != 2 || string(scripts["heed-sw.js"].plain) != "2" {
		t.Errorf("%v, %v", scripts, err)
	}
	if _, err := loadScripts(fstest.MapFS{"heed-sw.js": {}}); err == nil {
		t.Error("the tracker is missing")
	}
}
