package push

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"heed/internal/channel"
	"heed/internal/definition"
	"heed/internal/device"
	"heed/internal/driver/memory"
	"heed/internal/webpush"
)

// browser is a subscribed browser's half of the encryption.
type browser struct {
	key  *ecdh.PrivateKey
	auth []byte
}

// open undoes the encryption as RFC 8291 tells the browser to.
func (b *browser) open(t *testing.T, body []byte) string {
	t.Helper()
	salt, sender, sealed := body[:16], body[21:86], body[86:]
	public, err := ecdh.P256().NewPublicKey(sender)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := b.key.ECDH(public)
	if err != nil {
		t.Fatal(err)
	}
	derive := func(secret, salt []byte, info string, n int) []byte {
		out, err := hkdf.Key(sha256.New, secret, salt, info, n)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	input := derive(shared, b.auth, "WebPush: info\x00"+string(b.key.PublicKey().Bytes())+string(sender), 32)
	block, err := aes.NewCipher(derive(input, salt, "Content-Encoding: aes128gcm\x00", 16))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gcm.Open(nil, derive(input, salt, "Content-Encoding: nonce\x00", 12), sealed, nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimRight(plain, "\x02"))
}

// world is the channel, and a push service at wire level.
type world struct {
	*Channel
	t       *testing.T
	service *httptest.Server
	def     *definition.Channel

	mu       sync.Mutex
	now      time.Time
	status   map[string]int // by path; 201 otherwise
	headers  http.Header    // of answers that are not 201
	requests map[string][]*http.Request
	bodies   map[string][]byte
	told     []channel.Feedback
	known    map[string]bool
	keys     map[string]*browser // by path
}

func open(t *testing.T) *world {
	t.Helper()
	db := memory.Open(memory.Config{})
	t.Cleanup(func() { _ = db.Close() })
	w := &world{
		t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), status: map[string]int{}, requests: map[string][]*http.Request{},
		bodies: map[string][]byte{}, known: map[string]bool{}, keys: map[string]*browser{},
	}
	w.service = httptest.NewServer(w)
	t.Cleanup(w.service.Close)
	w.def = &definition.Channel{Name: "push", Type: Type, Push: &definition.Push{
		Subject: "mailto:ops@shop.example", PrivateKey: webpush.NewKey(func(b []byte) { _, _ = rand.Read(b) }),
		Icon: "/icon.png", Link: "/start", Services: []string{"127.0.0.1"}, AllowPrivate: true,
	}}
	w.Channel = New(Deps{
		Devices: device.New(db.Documents(), w.clock), Now: w.clock, Logger: slog.New(slog.DiscardHandler),
		Known: func(_ context.Context, user string) (bool, error) { return w.known[user], nil },
		Inbound: func(_ context.Context, f channel.Feedback) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.told = append(w.told, f)
			return nil
		},
	})
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// ServeHTTP is the push service.
func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.t.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	path := r.URL.Path
	w.requests[path] = append(w.requests[path], r)
	w.bodies[path] = body
	if status := w.status[path]; status != 0 {
		maps.Copy(rw.Header(), w.headers)
		rw.WriteHeader(status)
		_, _ = io.WriteString(rw, "because")
		return
	}
	rw.WriteHeader(http.StatusCreated)
}

// subscribe adds a device of a user.
func (w *world) subscribe(user, path string, proven bool) {
	w.t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	b := &browser{key, make([]byte, 16)}
	_, _ = rand.Read(b.auth)
	w.keys[path] = b
	encode := base64.RawURLEncoding.EncodeToString
	_, err = w.deps.Devices.Put(w.t.Context(), device.Device{
		User: user, Proven: proven, Channel: "push", Endpoint: w.service.URL + path, P256dh: encode(key.PublicKey().Bytes()), Auth: encode(b.auth),
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) send(user string, change ...func(*channel.Delivery)) (channel.Receipt, error) {
	w.t.Helper()
	d := &channel.Delivery{
		ID: "delivery1", User: user, Campaign: "winners", Subject: "Hello", Body: "Ada \u00e4\U0001F600", Link: "/cart?x=1", At: w.clock().UnixMicro(), Channel: w.def,
	}
	for _, f := range change {
		f(d)
	}
	return w.Send(w.t.Context(), d)
}

// failure is the class of an error, and how it says to go on.
func failure(t *testing.T, err error) *channel.Error {
	t.Helper()
	e, ok := errors.AsType[*channel.Error](err)
	if !ok {
		t.Fatalf("%v has no class", err)
	}
	return e
}

func TestSendToAllDevices(t *testing.T) {
	w := open(t)
	w.subscribe("ada", "/phone", true)
	w.subscribe("ada", "/desk", true)
	w.subscribe("bob", "/bob", true)
	w.def.Push.TTL, w.def.Push.Urgency = 0, "high"
	receipt, err := w.send("ada", func(d *channel.Delivery) { d.Expires = w.now.Add(90 * time.Second).UnixMicro() })
	if err != nil || !receipt.Fresh || receipt.Reference != "2 of 2 devices" {
		t.Fatalf("%+v, %v", receipt, err)
	}
	if len(w.requests["/bob"]) != 0 {
		t.Error("somebody else got it")
	}
	for _, path := range []string{"/phone", "/desk"} {
		var m message
		if err := json.Unmarshal([]byte(w.keys[path].open(t, w.bodies[path])), &m); err != nil {
			t.Fatal(err)
		}
		if want := (message{ID: "delivery1", Title: "Hello", Body: "Ada \u00e4\U0001F600", Link: "/cart?x=1", Icon: "/icon.png"}); m != want {
			t.Errorf("%s was told %+v", path, m)
		}
		r := w.requests[path][0]
		for name, want := range map[string]string{"Ttl": "90", "Urgency": "high", "Content-Encoding": "aes128gcm", "Topic": topic("delivery1")} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		key, _ := w.def.Push.Key()
		if auth := r.Header.Get("Authorization"); !strings.HasPrefix(auth, "vapid t=") || !strings.HasSuffix(auth, ", k="+key.Public()) {
			t.Errorf("Authorization: %s", auth)
		}
	}
	if bytes.Equal(w.bodies["/phone"][:16], w.bodies["/desk"][:16]) {
		t.Error("two messages have one salt")
	}
	if n := len(topic("x")); n > 32 {
		t.Errorf("a topic has %d letters", n)
	}
	// Without a link and a subject, the channel's link and the text stand in.
	if _, err := w.send("ada", func(d *channel.Delivery) { d.Link, d.Subject = "", "" }); err != nil {
		t.Fatal(err)
	}
	if got := w.keys["/desk"].open(t, w.bodies["/desk"]); got != `{"id":"delivery1","title":"Ada `+"\u00e4\U0001F600"+`","body":"","link":"/start","icon":"/icon.png"}` {
		t.Errorf("it was told %s", got)
	}
}

func TestAnswers(t *testing.T) {
	f := func(status int, header string, class channel.ErrorClass, after time.Duration) {
		t.Helper()
		w := open(t)
		w.subscribe("ada", "/x", true)
		w.status["/x"], w.headers = status, http.Header{"Retry-After": {header}}
		_, err := w.send("ada")
		if e := failure(t, err); e.Class != class || e.After != after || e.Untried {
			t.Errorf("%d: %v after %v, untried %t", status, err, e.After, e.Untried)
		}
		if strings.Contains(err.Error(), "/x") {
			t.Errorf("the error tells the endpoint: %v", err)
		}
		if left, _ := w.deps.Devices.List(t.Context(), "ada"); len(left) != 1 || len(w.told) != 0 {
			t.Errorf("%d: %d devices are left, %+v was told", status, len(left), w.told)
		}
	}
	f(429, "120", channel.Temporary, 2*time.Minute)
	f(503, "", channel.Temporary, 0)
	f(500, "7", channel.Temporary, 7*time.Second)
	f(400, "", channel.Permanent, 0)
	f(403, "", channel.Permanent, 0)
	f(413, "", channel.Permanent, 0)
	f(301, "", channel.Permanent, 0)
}

func TestEndedSubscription(t *testing.T) {
	for _, status := range []int{404, 410} {
		w := open(t)
		w.subscribe("ada", "/old", true)
		w.subscribe("ada", "/new", true)
		w.status["/old"] = status
		if receipt, err := w.send("ada"); err != nil || receipt.Reference != "1 of 2 devices" {
			t.Fatalf("%+v, %v", receipt, err)
		}
		left, err := w.deps.Devices.List(t.Context(), "ada")
		if err != nil || len(left) != 1 || !strings.HasSuffix(left[0].Endpoint, "/new") {
			t.Errorf("%d: %+v are left, %v", status, left, err)
		}
		if len(w.told) != 1 || w.told[0].Kind != channel.Bounced || !w.told[0].Hard || w.told[0].Delivery != "delivery1" || w.told[0].Type != Type || w.told[0].Channel != "push" {
			t.Errorf("%d: %+v was told", status, w.told)
		}
		if _, err := w.send("ada"); err != nil || len(w.requests["/old"]) != 1 {
			t.Errorf("%d: it was tried again: %v", status, err)
		}
	}
}

// What may have arrived somewhere is not repeated for the sake of another device.
func TestSeveralOutcomes(t *testing.T) {
	f := func(a, b int, class channel.ErrorClass, sent bool) {
		t.Helper()
		w := open(t)
		w.subscribe("ada", "/a", true)
		w.subscribe("ada", "/b", true)
		w.status["/a"], w.status["/b"] = a, b
		_, err := w.send("ada")
		if sent != (err == nil) || err != nil && failure(t, err).Class != class {
			t.Errorf("%d and %d: %v", a, b, err)
		}
	}
	f(503, 0, 0, true)
	f(410, 0, 0, true)
	f(410, 503, channel.Temporary, false)
	f(410, 400, channel.Permanent, false)
}

func TestNobodyToSendTo(t *testing.T) {
	w := open(t)
	f := func(user string, change func(*channel.Delivery)) {
		t.Helper()
		_, err := w.send(user, change)
		if e := failure(t, err); e.Class != channel.Permanent {
			t.Error(err)
		}
	}
	f("nobody", func(*channel.Delivery) {})
	w.subscribe("ada", "/a", false) // an id that anybody can say
	w.known["ada"] = true
	f("ada", func(*channel.Delivery) {})
	if to, err := w.Address(t.Context(), "ada", nil); to != "" || err != nil {
		t.Errorf("address %q, %v", to, err)
	}
	w.known["ada"] = false // an anonymous id: only its browser knows it
	if to, err := w.Address(t.Context(), "ada", nil); to == "" || strings.Contains(to, "127") || err != nil {
		t.Errorf("address %q, %v", to, err)
	}
	if _, err := w.send("ada"); err != nil {
		t.Error(err)
	}
	f("ada", func(d *channel.Delivery) { d.Body = strings.Repeat("x", 5000) })
	f("ada", func(d *channel.Delivery) { d.Link = "javascript:alert(1)" })
	f("ada", func(d *channel.Delivery) {
		other := *w.def
		other.Name = "other"
		d.Channel = &other
	})
	f("ada", func(d *channel.Delivery) { // the definition has changed since
		other := *w.def
		strict := *w.def.Push
		strict.AllowPrivate = false
		other.Push = &strict
		d.Channel = &other
	})
}

// Also an endpoint that calls itself a push service must be out in the world.
func TestPrivateAddresses(t *testing.T) {
	w := open(t)
	w.subscribe("ada", "/a", true)
	w.def.Push.AllowPrivate = false
	all, _ := w.deps.Devices.List(t.Context(), "ada")
	d := &channel.Delivery{ID: "d", Channel: w.def}
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:7f00:1]"} {
		w.def.Push.Services = []string{strings.Trim(host, "[]")}
		all[0].Endpoint = "https://" + host + ":1/x"
		err := w.toDevice(t.Context(), &attempt{Delivery: d, key: must(w.def.Push.Key()), device: all[0], payload: []byte("{}")})
		if e := failure(t, err); e.Class != channel.Permanent || !strings.Contains(err.Error(), "not a public one") {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A push service that hangs up after it was told may have passed it on; one that
// is not there has not.
func TestUncertain(t *testing.T) {
	w := open(t)
	hangUp := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(rw).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}))
	defer hangUp.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	for url, want := range map[string]channel.ErrorClass{hangUp.URL: channel.Uncertain, gone.URL: channel.Temporary} {
		w.subscribe("ada", "/x", true)
		all, _ := w.deps.Devices.List(t.Context(), "ada")
		all[0].Endpoint = url + "/x"
		err := w.toDevice(t.Context(), &attempt{Delivery: &channel.Delivery{ID: "d", Channel: w.def}, key: must(w.def.Push.Key()), device: all[0], payload: []byte("{}")})
		if e := failure(t, err); e.Class != want || strings.Contains(err.Error(), url) {
			t.Errorf("%v, want %v", err, want)
		}
	}
}

func TestPasses(t *testing.T) {
	w := open(t)
	w.subscribe("ada", "/a", true)
	for range 2 {
		if _, err := w.send("ada"); err != nil {
			t.Fatal(err)
		}
	}
	w.mu.Lock()
	w.now = w.now.Add(passUse)
	w.mu.Unlock()
	if _, err := w.send("ada"); err != nil {
		t.Fatal(err)
	}
	var seen []string
	for _, r := range w.requests["/a"] {
		seen = append(seen, r.Header.Get("Authorization"))
	}
	if seen[0] != seen[1] || seen[1] == seen[2] {
		t.Error("a pass is used for an hour")
	}
}

func TestReports(t *testing.T) {
	w := open(t)
	mux := http.NewServeMux()
	w.Register(mux)
	f := func(path string, status int) {
		t.Helper()
		rec := httptest.NewRecorder()
		mux.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/push/messages/"+path, http.NoBody))
		if rec.Code != status {
			t.Errorf("%s: %d", path, rec.Code)
		}
	}
	f("d1/shown", http.StatusNoContent)
	f("d1/clicked", http.StatusNoContent)
	f("d1/eaten", http.StatusNotFound)
	f(strings.Repeat("d", maxID+1)+"/shown", http.StatusNotFound)
	var got []string
	for _, f := range w.told {
		got = append(got, fmt.Sprint(f.Kind, " ", f.Delivery, " ", f.Type))
	}
	if !slices.Equal(got, []string{"shown d1 push", "clicked d1 push"}) {
		t.Errorf("told %v", got)
	}
}
