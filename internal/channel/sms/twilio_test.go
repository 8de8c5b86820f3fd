package sms_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"heed/internal/channel"
	"heed/internal/channel/sms"
	"heed/internal/channel/sms/twilio"
	"heed/internal/definition"
)

const public = "https://heed.shop.example"

func overHTTP(p *provider, change ...func(*definition.Channel)) *definition.Channel {
	def := &definition.Channel{
		Name: "texts", Type: sms.Type, AllowPrivate: true, SMS: &definition.SMS{Country: "DE"},
		Twilio: &definition.Twilio{URL: p.URL, AccountSID: "AC1", AuthToken: "t0ken", From: "+4915100000000"},
	}
	for _, f := range change {
		f(def)
	}
	return def
}

func TestSendOverHTTP(t *testing.T) {
	p := startProvider(t)
	def := overHTTP(p)
	w := newWorld(t, public, def)
	r, err := w.send(def, "d/1", "0151 12345678", "Grüße & mehr")
	if err != nil || !r.Fresh || r.Reference != "SM1" {
		t.Fatalf("%+v, %v", r, err)
	}
	got := p.requests()[0]
	user, password, _ := got.BasicAuth()
	if got.Method != http.MethodPost || got.URL.Path != "/2010-04-01/Accounts/AC1/Messages.json" || user != "AC1" || password != "t0ken" {
		t.Errorf("%s %s as %s:%s", got.Method, got.URL, user, password)
	}
	want := url.Values{
		"To": {ada}, "From": {"+4915100000000"}, "Body": {"Grüße & mehr"},
		"StatusCallback": {public + "/hooks/sms/texts/status?delivery=d%2F1"},
	}
	if got.PostForm.Encode() != want.Encode() {
		t.Errorf("form %v, want %v", got.PostForm, want)
	}
	if got.Header.Get("Idempotency-Key") != "" {
		t.Error("a key for a provider that is not known to honour it: net/http would repeat by itself")
	}
	service := overHTTP(p, func(d *definition.Channel) {
		d.Twilio.From, d.Twilio.MessagingService, d.Twilio.Idempotent = "", "MG1", true
	})
	if _, err := w.send(service, "d2", ada, "Hello"); err != nil {
		t.Fatal(err)
	}
	got = p.requests()[1]
	if got.PostForm.Get("MessagingServiceSid") != "MG1" || got.PostForm.Has("From") || got.Header.Get("Idempotency-Key") != "d2" {
		t.Errorf("%v %v", got.PostForm, got.Header)
	}
}

func TestAnswersOverHTTP(t *testing.T) {
	f := func(status int, body string, headers map[string]string, class channel.ErrorClass, after time.Duration, said string) {
		t.Helper()
		p := startProvider(t)
		p.answer = func(w http.ResponseWriter) {
			for k, v := range headers {
				w.Header().Set(k, v)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
		def := overHTTP(p)
		w := newWorld(t, public, def)
		_, err := w.send(def, "d1", ada, "Hello")
		if e := failure(t, err); e.Class != class || e.After != after || e.Untried {
			t.Errorf("%d %s: %+v", status, body, e)
		}
		if n := len(p.requests()); n != 1 {
			t.Errorf("%d %s: %d requests", status, body, n)
		}
		got := ""
		select {
		case f := <-w.feedback:
			got = string(f.Kind)
			if f.Hard {
				got += " hard"
			}
			if f.Delivery != "d1" || f.Address != ada || f.Kind == channel.Unsubscribed && f.Sender != def.Twilio.From {
				t.Errorf("%+v", f)
			}
		default:
		}
		if got != said {
			t.Errorf("%d %s: feedback %q, want %q", status, body, got, said)
		}
	}
	f(400, `{"code": 21610, "message": "unsubscribed recipient"}`, nil, channel.Permanent, 0, "unsubscribed")
	f(400, `{"code": 21211, "message": "invalid"}`, nil, channel.Permanent, 0, "bounced hard")
	f(400, `{"code": 21614, "message": "not a mobile number"}`, nil, channel.Permanent, 0, "bounced hard")
	f(400, `{"code": 21408, "message": "no permission for the region"}`, nil, channel.Permanent, 0, "")
	f(404, `<html>`, nil, channel.Permanent, 0, "")
	f(302, ``, map[string]string{"Location": "http://127.0.0.1:1/"}, channel.Permanent, 0, "")
	f(401, `{"code": 20003}`, nil, channel.Temporary, time.Minute, "")
	f(429, `{"code": 20429}`, map[string]string{"Retry-After": "7"}, channel.Temporary, 7*time.Second, "")
	f(503, ``, map[string]string{"Retry-After": "3"}, channel.Temporary, 3*time.Second, "")
	f(500, ``, nil, channel.Temporary, 0, "")
	f(502, ``, nil, channel.Uncertain, 0, "")
	f(504, ``, nil, channel.Uncertain, 0, "")
}

// What was written and not answered may have arrived; what never left has not.
func TestBrokenProvider(t *testing.T) {
	p := startProvider(t)
	p.answer = func(http.ResponseWriter) { panic(http.ErrAbortHandler) } // cuts the connection
	def := overHTTP(p)
	w := newWorld(t, "", def)
	_, err := w.send(def, "d1", ada, "Hello")
	if failure(t, err).Class != channel.Uncertain || len(p.requests()) != 1 {
		t.Errorf("cut: %v after %d requests", err, len(p.requests()))
	}
	honours := overHTTP(p, func(d *definition.Channel) { d.Twilio.Idempotent = true })
	_, err = w.send(honours, "d1", ada, "Hello")
	if failure(t, err).Class != channel.Temporary {
		t.Errorf("cut, with a key: %v", err)
	}
	entered, hang := make(chan struct{}), make(chan struct{})
	defer close(hang)
	p.mu.Lock()
	p.answer = func(http.ResponseWriter) { close(entered); <-hang }
	p.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := w.Send(ctx, &channel.Delivery{ID: "d2", To: ada, Body: "Hello", Channel: def})
		done <- err
	}()
	<-entered
	cancel()
	if err := <-done; failure(t, err).Class != channel.Uncertain {
		t.Errorf("hanging: %v", err)
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	_, err = w.send(overHTTP(p, func(d *definition.Channel) { d.Twilio.URL = gone.URL }), "d1", ada, "Hello")
	if failure(t, err).Class != channel.Temporary {
		t.Errorf("not there: %v", err)
	}
	_, err = w.send(overHTTP(p, func(d *definition.Channel) { d.AllowPrivate = false }), "d1", ada, "Hello")
	if failure(t, err).Class != channel.Permanent {
		t.Errorf("a private address: %v", err)
	}
}

// callback posts what a provider reports, signed under a token.
func callback(t *testing.T, w *world, path, token string, form url.Values) int {
	t.Helper()
	mux := http.NewServeMux()
	w.Register(mux)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set(twilio.SignatureHeader, twilio.Sign(token, public+path, form))
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, r)
	return rec.Code
}

func TestStatusCallbacks(t *testing.T) {
	def := overHTTP(startProvider(t))
	w := newWorld(t, public, def)
	f := func(status, code string, want channel.Feedback) {
		t.Helper()
		form := url.Values{"MessageSid": {"SM1"}, "MessageStatus": {status}, "ErrorCode": {code}, "To": {ada}}
		if got := callback(t, w, "/hooks/sms/texts/status?delivery=d1", "t0ken", form); got != http.StatusNoContent {
			t.Errorf("%s: status %d", status, got)
		}
		if want.Kind == "" {
			w.silent()
			return
		}
		got := w.said()
		if got.Kind != want.Kind || got.Hard != want.Hard || got.Sender != want.Sender || got.Delivery != "d1" || got.Address != ada || got.Channel != "texts" {
			t.Errorf("%s %s: %+v, want %+v", status, code, got, want)
		}
	}
	f("queued", "", channel.Feedback{})
	f("sent", "", channel.Feedback{})
	f("delivered", "", channel.Feedback{Kind: channel.Delivered})
	f("undelivered", "30003", channel.Feedback{Kind: channel.Bounced})
	f("undelivered", "30005", channel.Feedback{Kind: channel.Bounced, Hard: true})
	f("failed", "21610", channel.Feedback{Kind: channel.Unsubscribed, Sender: "+4915100000000"})

	form := url.Values{"MessageSid": {"SM1"}, "MessageStatus": {"delivered"}, "To": {ada}}
	refused := func(what, path, token string, want int) {
		t.Helper()
		if got := callback(t, w, path, token, form); got != want {
			t.Errorf("%s: status %d, want %d", what, got, want)
		}
		w.silent()
	}
	refused("another token", "/hooks/sms/texts/status?delivery=d1", "other", http.StatusForbidden)
	refused("no token", "/hooks/sms/texts/status?delivery=d1", "", http.StatusForbidden)
	refused("another channel", "/hooks/sms/other/status?delivery=d1", "t0ken", http.StatusNotFound)
	w.inbound(errors.New("the disk is full"))
	refused("not kept", "/hooks/sms/texts/status?delivery=d1", "t0ken", http.StatusServiceUnavailable)
	form.Set("Body", strings.Repeat("a", 100<<10))
	refused("too long", "/hooks/sms/texts/status?delivery=d1", "t0ken", http.StatusBadRequest)
	w.Channel = w.open("") // nobody knows what was signed
	refused("no address", "/hooks/sms/texts/status?delivery=d1", "t0ken", http.StatusNotFound)
}

// The example of the provider's own documentation.
func TestSignature(t *testing.T) {
	form := url.Values{"CallSid": {"CA1234567890ABCDE"}, "Caller": {"+14158675309"}, "Digits": {"1234"}, "From": {"+14158675309"}, "To": {"+18005551212"}}
	const address = "https://mycompany.com/myapp.php?foo=1&bar=2"
	if got := twilio.Sign("12345", address, form); got != "RSOYDt4T1cUTdK1PDd93/VVr8B8=" {
		t.Errorf("signature %s", got)
	}
	if !twilio.Verify("12345", address, form, "RSOYDt4T1cUTdK1PDd93/VVr8B8=") || twilio.Verify("", address, form, twilio.Sign("", address, form)) {
		t.Error("verified wrongly")
	}
}

func TestStopOverHTTP(t *testing.T) {
	p := startProvider(t)
	sent := make(chan struct{}, 100)
	p.answer = func(w http.ResponseWriter) {
		w.WriteHeader(http.StatusCreated)
		sent <- struct{}{}
	}
	def := overHTTP(p)
	w := newWorld(t, public, def)
	w.run()
	write := func(sid, text, optOut string) {
		t.Helper()
		form := url.Values{"MessageSid": {sid}, "From": {ada}, "To": {def.Twilio.From}, "Body": {text}}
		if optOut != "" {
			form.Set("OptOutType", optOut)
		}
		if got := callback(t, w, "/hooks/sms/texts/inbound", "t0ken", form); got != http.StatusOK {
			t.Errorf("%s: status %d", text, got)
		}
	}
	answered := func(n int, with string) {
		t.Helper()
		select {
		case <-sent:
		case <-time.After(patience):
			t.Fatalf("%q was not sent", with)
		}
		list := p.requests()
		if got := list[len(list)-1].PostForm; len(list) != n || !strings.Contains(got.Get("Body"), with) || got.Get("To") != ada || got.Has("StatusCallback") {
			t.Errorf("answer %d: %v, want %q", len(list), got, with)
		}
	}
	write("SM1", "STOP", "")
	if f := w.said(); f.Kind != channel.Unsubscribed || f.Address != ada || f.Sender != def.Twilio.From {
		t.Errorf("%+v", f)
	}
	answered(1, "unsubscribed")
	write("SM1", "STOP", "") // it comes again
	w.said()
	write("SM2", "HELP", "")
	answered(2, "Reply STOP")
	write("SM2", "HELP", "")
	write("SM3", "START", "START") // which the provider answers itself
	if f := w.said(); f.Kind != channel.Resubscribed {
		t.Errorf("%+v", f)
	}
	write("SM4", "stop", "")
	w.said()
	answered(3, "unsubscribed")
	w.silent()
}
