package webhook

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"heed/internal/channel"
	"heed/internal/channel/outward"
	"heed/internal/definition"
	"heed/internal/period"
)

// How package outward treats a destination.
const (
	tolerated   = 5
	firstRest   = 5 * time.Second
	maxInFlight = 16
)

func delivery(url string, change ...func(*definition.Channel, *channel.Delivery)) *channel.Delivery {
	def := &definition.Channel{Name: "crm", Type: Type, URL: url, Secret: "s3cret", AllowPrivate: true, Timeout: period.Period(2 * time.Second)}
	d := &channel.Delivery{
		ID: "d1", Campaign: "winners", Template: "wow", User: "ada", At: 1_700_000_000_000_000, CauseID: "m1", Body: `{"plan": "pro"}`, Channel: def,
	}
	for _, f := range change {
		f(def, d)
	}
	return d
}

// failure is the class of an error, and how it says to go on.
func failure(t *testing.T, err error) (class channel.ErrorClass, after time.Duration, untried bool) {
	t.Helper()
	e, ok := errors.AsType[*channel.Error](err)
	if !ok {
		t.Fatalf("%v has no class", err)
	}
	return e.Class, e.After, e.Untried
}

func TestPost(t *testing.T) {
	now := time.Unix(1_700_000_001, 0)
	var got *http.Request
	var body []byte
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, body = r, nil
		body, _ = io.ReadAll(r.Body)
	}))
	defer srv.Close()
	c := New(func() time.Time { return now })
	receipt, err := c.Send(t.Context(), delivery(srv.URL+"/in?x=1"))
	if err != nil || !receipt.Fresh {
		t.Fatalf("%+v, %v", receipt, err)
	}
	if got.Method != http.MethodPost || got.URL.String() != "/in?x=1" || got.Header.Get("Idempotency-Key") != "d1" || got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %s %v", got.Method, got.URL, got.Header)
	}
	if want := Sign("s3cret", now, body); got.Header.Get(SignatureHeader) != want || !strings.HasPrefix(want, "t=1700000001,v1=") {
		t.Errorf("signature %q, want %q", got.Header.Get(SignatureHeader), want)
	}
	var m struct {
		ID, Campaign, User, Cause string
		At                        time.Time
		Body                      struct{ Plan string }
	}
	if err := json.Unmarshal(body, &m); err != nil || m.ID != "d1" || m.Campaign != "winners" || m.User != "ada" || m.Cause != "m1" || m.At.Unix() != 1_700_000_000 || m.Body.Plan != "pro" {
		t.Errorf("%s: %+v, %v", body, m, err)
	}
	// What is no JSON is a text, whatever is in it.
	if _, err := c.Send(t.Context(), delivery(srv.URL, func(_ *definition.Channel, d *channel.Delivery) { d.Body = "Hello \"Ada\"\n</script>" })); err != nil {
		t.Fatal(err)
	}
	var text struct{ Body string }
	if err := json.Unmarshal(body, &text); err != nil || text.Body != "Hello \"Ada\"\n</script>" {
		t.Errorf("%s: %v", body, err)
	}
}

func TestAnswers(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f := func(status int, headers map[string]string, class channel.ErrorClass, after time.Duration) {
		t.Helper()
		visited := atomic.Int32{}
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			visited.Add(1)
			for k, v := range headers {
				w.Header().Set(k, v)
			}
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "no, because")
		}))
		defer srv.Close()
		_, err := New(func() time.Time { return now }).Send(t.Context(), delivery(srv.URL))
		gotClass, gotAfter, untried := failure(t, err)
		if gotClass != class || gotAfter != after || untried || visited.Load() != 1 {
			t.Errorf("%d %v: %v after %v, untried %t, %d visits", status, headers, gotClass, gotAfter, untried, visited.Load())
		}
	}
	f(400, nil, channel.Permanent, 0)
	f(404, nil, channel.Permanent, 0)
	f(410, nil, channel.Permanent, 0)
	f(302, map[string]string{"Location": "http://127.0.0.1:1/"}, channel.Permanent, 0)
	f(408, nil, channel.Temporary, 0)
	f(429, map[string]string{"Retry-After": "7"}, channel.Temporary, 7*time.Second)
	f(503, map[string]string{"Retry-After": now.Add(time.Minute).Format(http.TimeFormat)}, channel.Temporary, time.Minute)
	f(503, map[string]string{"Retry-After": "-5"}, channel.Temporary, 0)
	f(503, map[string]string{"Retry-After": "99999999999"}, channel.Temporary, time.Hour)
	f(503, map[string]string{"Retry-After": "900000"}, channel.Temporary, time.Hour)
	f(500, nil, channel.Temporary, 0)
}

// A destination that hangs, answers without an end or is not there costs its
// timeout and no more.
func TestBadDestinations(t *testing.T) {
	stop := make(chan struct{})
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	}))
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}))
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	defer endless.Close()
	defer hang.Close()
	defer close(stop)
	soon := func(def *definition.Channel, _ *channel.Delivery) { def.Timeout = period.Period(50 * time.Millisecond) }
	c := New(time.Now)
	_, err := c.Send(t.Context(), delivery(hang.URL, soon))
	if class, _, _ := failure(t, err); class != channel.Temporary {
		t.Errorf("hanging: %v", err)
	}
	if _, err := c.Send(t.Context(), delivery(endless.URL)); err != nil { // 200 is 200
		t.Errorf("endless: %v", err)
	}
	_, err = c.Send(t.Context(), delivery(gone.URL))
	if class, _, _ := failure(t, err); class != channel.Temporary {
		t.Errorf("not there: %v", err)
	}
}

func TestPrivateAddresses(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was reached") }))
	defer srv.Close()
	port := srv.URL[strings.LastIndex(srv.URL, ":"):]
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1"} {
		_, err := New(time.Now).Send(t.Context(), delivery("http://"+host+port, func(def *definition.Channel, _ *channel.Delivery) { def.AllowPrivate = false }))
		if err == nil {
			t.Errorf("%s was reached", host)
		}
	}
}

// Redirects lead nowhere, wherever they point: what is asked for is in the address alone.
func TestRedirectsAreNotFollowed(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was reached") }))
	defer inside.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		front := httptest.NewServer(http.RedirectHandler(inside.URL, status))
		_, err := New(time.Now).Send(t.Context(), delivery(front.URL))
		if class, _, _ := failure(t, err); class != channel.Permanent || !strings.Contains(err.Error(), "redirects are not followed") {
			t.Errorf("%d: %v", status, err)
		}
		front.Close()
	}
}

// A certificate that nobody vouches for is told in words, and of a private authority it is
// trusted.
func TestPrivateAuthority(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	_, err := New(time.Now).Send(t.Context(), delivery(srv.URL))
	if class, _, _ := failure(t, err); class != channel.Temporary || !strings.Contains(err.Error(), "name its certificate in tls.ca") {
		t.Error(err)
	}
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	if _, err := New(time.Now).Send(t.Context(), delivery(srv.URL, func(def *definition.Channel, _ *channel.Delivery) { def.TLS = &definition.TLS{CA: ca} })); err != nil {
		t.Error(err)
	}
}

// A destination that fails is left alone, others are not; one attempt finds out
// whether it is back.
func TestFailingDestinationIsLeftAlone(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var status, visits atomic.Int32
	status.Store(500)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		visits.Add(1)
		w.WriteHeader(int(status.Load()))
	}))
	defer srv.Close()
	c := New(func() time.Time { return now })
	send := func() error {
		_, err := c.Send(t.Context(), delivery(srv.URL))
		return err
	}
	for range outward.Tolerated {
		if _, _, untried := failure(t, send()); untried {
			t.Fatal("it was left alone too early")
		}
	}
	if _, after, untried := failure(t, send()); !untried || after != outward.FirstRest {
		t.Errorf("after %v, untried %t", after, untried)
	}
	if _, err := c.Send(t.Context(), delivery(srv.URL, func(def *definition.Channel, _ *channel.Delivery) { def.Name = "other" })); err == nil || visits.Load() != outward.Tolerated+1 {
		t.Errorf("another channel: %v, %d visits", err, visits.Load())
	}
	now = now.Add(outward.FirstRest)
	if _, _, untried := failure(t, send()); untried {
		t.Error("nobody found out whether it is back")
	}
	if _, after, untried := failure(t, send()); !untried || after != 2*outward.FirstRest {
		t.Errorf("after %v, untried %t", after, untried)
	}
	now = now.Add(2 * outward.FirstRest)
	status.Store(204)
	for range 3 {
		if err := send(); err != nil {
			t.Errorf("it is back: %v", err)
		}
	}
}

func TestAttemptsAtOnce(t *testing.T) {
	release := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Add(maxInFlight)
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		waiting.Done()
		<-release
	}))
	defer srv.Close()
	c := New(time.Now)
	var sent sync.WaitGroup
	for range maxInFlight {
		sent.Go(func() {
			if _, err := c.Send(context.WithoutCancel(t.Context()), delivery(srv.URL)); err != nil {
				t.Error(err)
			}
		})
	}
	waiting.Wait()
	_, err := c.Send(t.Context(), delivery(srv.URL))
	if _, _, untried := failure(t, err); !untried {
		t.Errorf("one more than %d: %v", maxInFlight, err)
	}
	close(release)
	sent.Wait()
}
