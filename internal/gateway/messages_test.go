package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"heed/internal/definition"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/inbox"
)

// put stores a message that waits for a user.
func (v *world) put(m inbox.Message) {
	v.t.Helper()
	if m.Kind == "" {
		m.Kind = "popup"
	}
	if m.HTML == "" {
		m.HTML = "<p>" + m.ID + "</p>"
	}
	m.Campaign = "winners"
	m.Created = v.clock().UnixMicro()
	if m.Expires == 0 {
		m.Expires = v.clock().Add(5 * time.Minute).UnixMicro()
	}
	if _, err := v.db.Inbox().Put(v.t.Context(), m); err != nil {
		v.t.Fatal(err)
	}
}

// decide stands for Decider and Engager: each event of the log that waits for a
// reply gives a message to its user, id "for-<message id>".
func (v *world) decide(ctx context.Context) {
	for p := range v.db.Log().Partitions() {
		go func() {
			r, err := v.db.Log().Read(ctx, eventlog.Events, p, 0)
			if err != nil {
				return
			}
			defer func() { _ = r.Close() }()
			for {
				c, err := r.Next(ctx)
				if err != nil {
					return
				}
				d := event.NewDecoder(c.Data)
				var e event.Event
				for ok, _ := d.Next(&e); ok; ok, _ = d.Next(&e) {
					if e.ReplyTo == "" {
						continue
					}
					box := v.db.Inbox()
					if e.Name == "silent" {
						box.Settle(ctx, e.ReplyTo, inbox.Settlement{Events: 1})
						continue
					}
					box.Settle(ctx, e.ReplyTo, inbox.Settlement{Events: 1, Intents: 1})
					_, _ = box.Put(ctx, inbox.Message{
						ID: "for-" + e.MessageID, User: e.User(), Kind: "popup", HTML: "<b>", Campaign: "winners", ReplyTo: e.ReplyTo,
						CauseID: e.MessageID, Expires: v.clock().Add(time.Minute).UnixMicro(),
					})
					box.Settle(ctx, e.ReplyTo, inbox.Settlement{Done: 1})
				}
			}
		}()
	}
}

func ids(messages []message) string {
	var out []string
	for _, m := range messages {
		out = append(out, m.ID)
	}
	return strings.Join(out, " ")
}

func TestWait(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	f := func(what, body, query, want string) {
		t.Helper()
		v := newWorld(t)
		v.knows("u1")
		v.put(inbox.Message{ID: "older", User: "u1"})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		v.decide(ctx)
		w := v.do(http.MethodPost, "/v1/batch?"+query, body)
		res := v.result(w, http.StatusOK)
		if got := ids(res.Messages); got != want {
			t.Errorf("%s: messages %q, want %q", what, got, want)
		}
		if !strings.Contains(w.Body.String(), `"messages":[`) {
			t.Errorf("%s: %s", what, w.Body)
		}
	}
	one := func(fields string) string {
		return `{"batch":[{"messageId":"m1","event":"win",` + fields + `}]}`
	}
	signed := `,"signature":"` + sign("s3cret", "u1") + `"`
	const long = "wait=2000" // far beyond what it takes
	f("trusted user", one(`"userId":"u1"`), "writeKey=open-key&"+long, "for-m1")
	f("anonymous", one(`"anonymousId":"a1"`), "writeKey=shop-key&"+long, "for-m1")
	f("signed user", one(`"userId":"u1"`+signed), "writeKey=shop-key&"+long, "for-m1")
	f("unsigned user", one(`"userId":"u1","anonymousId":"a1"`), "writeKey=shop-key&"+long, "")
	f("a known user's id as the anonymous one", one(`"anonymousId":"u1"`), "writeKey=shop-key&"+long, "")
	f("wrongly signed", one(`"userId":"u2"`+signed), "writeKey=shop-key&"+long, "")
	f("two users", `{"batch":[{"messageId":"m1","event":"x","userId":"u1"},{"messageId":"m2","event":"x","anonymousId":"a1"},{"messageId":"m3","event":"silent","userId":"u1"}]}`,
		"writeKey=open-key&wait=2s", "for-m1 for-m2")
	f("nothing comes of it", `{"batch":[{"event":"silent","userId":"u1"}]}`, "writeKey=open-key&"+long, "")
	f("a server asks", one(`"userId":"u1"`), "writeKey=shop-server&"+long, "for-m1")
}

// What settles at once is answered at once; what never settles after the wait;
// a repeat, of which nothing comes, does not wait.
func TestWaitEnds(t *testing.T) {
	v := newWorld(t)
	body := `{"messageId":"m1","userId":"u1","event":"x"}`
	begin := time.Now()
	v.result(v.post("/v1/track?wait=30ms", body), http.StatusOK)
	if took := time.Since(begin); took < 30*time.Millisecond {
		t.Errorf("nobody settled, answered after %v", took)
	}
	begin = time.Now()
	v.result(v.post("/v1/track?wait=2s", body), http.StatusOK)
	if took := time.Since(begin); took >= maxWait {
		t.Errorf("a repeat waited %v", took)
	}
	for _, bad := range []string{"x", "-5", "1y"} {
		if w := v.post("/v1/track?wait="+bad, body); w.Code != http.StatusBadRequest {
			t.Errorf("wait=%s: %d", bad, w.Code)
		}
	}
}

func TestWaitOf(t *testing.T) {
	f := func(query string, want time.Duration) {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/?"+query, nil)
		if got, err := waitOf(r); got != want || err != nil {
			t.Errorf("%s: %v %v, want %v", query, got, err, want)
		}
	}
	f("", 0)
	f("writeKey=x", 0)
	f("wait=0", 0)
	f("wait=200", 200*time.Millisecond)
	f("wait=200ms", 200*time.Millisecond)
	f("wait=1.5s", 1500*time.Millisecond)
	f("wait=1h", 2*time.Second)
}

// server is the gateway behind a real listener.
func (v *world) server() *httptest.Server {
	v.t.Helper()
	s := httptest.NewServer(v.mux)
	v.t.Cleanup(s.Close)
	return s
}

// client is a connection to a stream.
type client struct {
	t      *testing.T
	r      *bufio.Reader
	cancel context.CancelFunc
	last   string // id of the last message
}

func (v *world) open(s *httptest.Server, query, lastID string) *client {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), 20*time.Second)
	v.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/v1/messages/stream?"+query, nil)
	if err != nil {
		v.t.Fatal(err)
	}
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	res, err := s.Client().Do(r)
	if err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { _ = res.Body.Close() })
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		v.t.Fatalf("stream: %d %v", res.StatusCode, res.Header)
	}
	return &client{t: v.t, r: bufio.NewReader(res.Body), cancel: cancel}
}

// next reads the next message; io.EOF-like errors end the test unless ended.
func (c *client) next() message {
	c.t.Helper()
	name := ""
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("stream: %v", err)
		}
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "id: "):
			c.last = line[len("id: "):]
		case strings.HasPrefix(line, "event: "):
			name = line[len("event: "):]
		case strings.HasPrefix(line, "data: "):
			if name != "message" {
				c.t.Fatalf("event %q", name)
			}
			var m message
			if err := json.Unmarshal([]byte(line[len("data: "):]), &m); err != nil {
				c.t.Fatal(err)
			}
			return m
		}
	}
}

func (c *client) want(id string) {
	c.t.Helper()
	if m := c.next(); m.ID != id {
		c.t.Errorf("message %q, want %q", m.ID, id)
	}
}

func TestStream(t *testing.T) {
	v := newWorld(t)
	s := v.server()
	v.put(inbox.Message{ID: "m1", User: "u1", HTML: "<h2>a\nb</h2>", CauseID: "cause"})
	c := v.open(s, "writeKey=open-key&userId=u1", "")
	m := c.next()
	want := message{ID: "m1", Campaign: "winners", Kind: "popup", HTML: "<h2>a\nb</h2>", Expires: "2026-01-02T03:09:05.000Z", Cause: "cause"}
	if m != want {
		t.Errorf("got %+v, want %+v", m, want)
	}
	v.put(inbox.Message{ID: "m2", User: "u1"})
	c.want("m2")
	afterTwo := c.last
	v.put(inbox.Message{ID: "other", User: "u2"})
	v.put(inbox.Message{ID: "m3", User: "u1"})
	c.want("m3")
	c.cancel()

	// What was never acknowledged comes again to a new connection; one that
	// goes on gets what it lacks.
	again := v.open(s, "writeKey=open-key&userId=u1", "")
	for _, id := range []string{"m1", "m2", "m3"} {
		again.want(id)
	}
	v.open(s, "writeKey=open-key&userId=u1", afterTwo).want("m3")
	v.open(s, "writeKey=open-key&userId=u1", "nonsense").want("m1")
	if w := v.do(http.MethodPost, "/v1/messages/m1/dismissed?writeKey=open-key", ""); w.Code != http.StatusNoContent {
		t.Fatalf("dismiss: %d %s", w.Code, w.Body)
	}
	v.open(s, "writeKey=open-key&userId=u1", "").want("m2")
}

// A browser that knows who it is reads both what waits for the user and what
// came while it was anonymous.
func TestStreamOfUserAndAnonymousID(t *testing.T) {
	v := newWorld(t)
	s := v.server()
	v.knows("u1")
	v.put(inbox.Message{ID: "of-user", User: "u1"})
	v.put(inbox.Message{ID: "of-anonymous", User: "a1"})
	both := url.Values{"writeKey": {"shop-key"}, "userId": {"u1"}, "anonymousId": {"a1"}, "signature": {sign("s3cret", "u1")}}
	c := v.open(s, both.Encode(), "")
	c.want("of-user")
	c.want("of-anonymous")
	v.put(inbox.Message{ID: "more", User: "a1"})
	c.want("more")
	v.put(inbox.Message{ID: "late", User: "u1"})
	v.open(s, both.Encode(), c.last).want("late")

	// Unsigned, the user's stay where they are.
	both.Del("signature")
	c = v.open(s, both.Encode(), "")
	c.want("of-anonymous")
	c.want("more")
	v.put(inbox.Message{ID: "secret", User: "u1"})
	v.put(inbox.Message{ID: "last", User: "a1"})
	c.want("last")
}

func TestStreamRefuses(t *testing.T) {
	v := newWorld(t)
	f := func(query string, status int) {
		t.Helper()
		for _, path := range []string{"/v1/messages/stream", "/v1/slots/hero"} {
			if w := v.do(http.MethodGet, path+"?"+query, "", "Origin", "https://shop.example"); w.Code != status {
				t.Errorf("%s?%s: %d, want %d", path, query, w.Code, status)
			}
		}
	}
	f("anonymousId=a1", 401)
	f("writeKey=nope&anonymousId=a1", 401)
	f("writeKey=shop-key", 400)
	f("writeKey=shop-key&anonymousId=null", 400)
	f("writeKey=shop-key&anonymousId="+strings.Repeat("x", 129), 400)
	f("writeKey=shop-key&userId=u1", 403)
	f("writeKey=shop-key&userId=u1&signature="+sign("s3cret", "u2"), 403)
	f("writeKey=shop-key&userId=u1&signature="+sign("", "u1"), 403)
	if w := v.do(http.MethodGet, "/v1/messages/stream?writeKey=shop-key&anonymousId=a", "", "Origin", "https://evil.example"); w.Code != http.StatusForbidden {
		t.Errorf("foreign origin: %d", w.Code)
	}
	// A source without a secret trusts no signature at all.
	v.define(&definition.Source{Name: "bare", WriteKey: "bare"})
	f("writeKey=bare&userId=u1&signature="+sign("", "u1"), 403)
}

// Whoever names a known user's id as an anonymous one gets nothing, also when
// the id becomes known while the stream is open.
func TestKnownUserIDsAreNoAnonymousIDs(t *testing.T) {
	v := newWorld(t, func(c *Config) { c.Heartbeat = 5_000_000 })
	s := v.server()
	c := v.open(s, "writeKey=shop-key&anonymousId=u1", "")
	v.put(inbox.Message{ID: "while-anonymous", User: "u1", Kind: "slot", Slot: "hero"})
	c.want("while-anonymous")
	v.knows("u1")
	v.put(inbox.Message{ID: "secret", User: "u1", Kind: "slot", Slot: "hero"})
	if w := v.do(http.MethodGet, "/v1/slots/hero?writeKey=shop-key&anonymousId=u1", ""); w.Code != http.StatusNoContent {
		t.Errorf("slot: %d %s", w.Code, w.Body)
	}
	for beats := 0; beats < 3; { // the stream has looked since
		line, err := c.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(line, "secret") {
			t.Fatalf("the stream says %q", line)
		}
		if line == ":\n" {
			beats++
		}
	}
}

func TestStreamHeartbeat(t *testing.T) {
	v := newWorld(t, func(c *Config) { c.Heartbeat = 5_000_000 })
	c := v.open(v.server(), "writeKey=open-key&anonymousId=a1", "")
	var lines []string
	for len(lines) < 5 {
		line, err := c.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.TrimRight(line, "\n"))
	}
	if got, want := strings.Join(lines, "|"), "retry: 2000||:||:"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStreamLimits(t *testing.T) {
	f := func(what string, change func(*Config), first, second string) {
		t.Helper()
		v := newWorld(t, change)
		s := v.server()
		c := v.open(s, "writeKey=open-key&anonymousId="+first, "")
		v.put(inbox.Message{ID: "m", User: first})
		c.want("m") // is in place
		w := v.do(http.MethodGet, "/v1/messages/stream?writeKey=open-key&anonymousId="+second, "")
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d", what, w.Code)
		}
	}
	f("all", func(c *Config) { c.MaxStreams = 1 }, "a1", "a2")
	f("user", func(c *Config) { c.MaxUserStreams = 1 }, "a1", "a1")
	s := streams{}
	s.init()
	cfg := Config{MaxStreams: 10, MaxUserStreams: 10, MaxAddressStreams: 1}
	leave, ok := s.enter(&cfg, "a", "203.0.113.0")
	if !ok {
		t.Fatal("refused the first")
	}
	if _, ok := s.enter(&cfg, "b", "203.0.113.0"); ok {
		t.Error("took a second of the network")
	}
	leave()
	if _, ok := s.enter(&cfg, "b", "203.0.113.0"); !ok || s.count() != 1 || len(s.users) != 1 {
		t.Errorf("the place is not free again: %+v", s.users)
	}
}

// A client that does not read is dropped, and what it missed waits on.
func TestSlowStreamIsDropped(t *testing.T) {
	v := newWorld(t, func(c *Config) { c.WriteTimeout = 50_000_000 })
	s := v.server()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintf(conn, "GET /v1/messages/stream?writeKey=open-key&anonymousId=a1 HTTP/1.1\r\nHost: x\r\n\r\n")
	for i := range 40 {
		v.put(inbox.Message{ID: fmt.Sprintf("m%d", i), User: "a1", HTML: strings.Repeat("x", 512<<10)})
	}
	deadline := time.Now().Add(10 * time.Second)
	for v.g.streams.count() != 0 || testCounter(t, v, "heed_gateway_slow_streams_total") == 0 {
		if time.Now().After(deadline) {
			t.Fatal("the stream is still open")
		}
		time.Sleep(5 * time.Millisecond)
	}
	pending, err := v.db.Inbox().Pending(t.Context(), "a1", 0, v.clock().UnixMicro())
	if err != nil || len(pending) != 40 {
		t.Errorf("%d messages wait, %v", len(pending), err)
	}
}

// testCounter is the value of a counter.
func testCounter(t *testing.T, v *world, name string) float64 {
	t.Helper()
	families, err := v.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return 0
}

func TestRunEndsStreams(t *testing.T) {
	v := newWorld(t)
	s := v.server()
	c := v.open(s, "writeKey=open-key&anonymousId=a1", "")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- v.g.Run(ctx) }()
	v.put(inbox.Message{ID: "m", User: "a1"})
	c.want("m")
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := io.ReadAll(c.r); err != nil {
		t.Errorf("the stream was cut: %v", err)
	}
	if v.g.Ready() == nil {
		t.Error("ready after the end")
	}
}

func TestSlots(t *testing.T) {
	v := newWorld(t)
	get := func(query string) (int, message) {
		t.Helper()
		w := v.do(http.MethodGet, "/v1/slots/hero?"+query, "")
		var m message
		if w.Code == http.StatusOK {
			if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil {
				t.Fatal(err)
			}
		}
		return w.Code, m
	}
	if code, _ := get("writeKey=shop-key&anonymousId=a1"); code != http.StatusNoContent {
		t.Errorf("empty: %d", code)
	}
	v.put(inbox.Message{ID: "s1", User: "a1", Kind: "slot", Slot: "hero"})
	v.pass(time.Second)
	v.put(inbox.Message{ID: "s2", User: "a1", Kind: "slot", Slot: "hero"})
	v.put(inbox.Message{ID: "s3", User: "a1", Kind: "slot", Slot: "foot"})
	v.put(inbox.Message{ID: "p", User: "a1"})
	v.knows("u1")
	v.put(inbox.Message{ID: "secret", User: "u1", Kind: "slot", Slot: "hero"})
	if code, m := get("writeKey=shop-key&anonymousId=a1&userId=u1"); code != http.StatusOK || m.ID != "s2" || m.Slot != "hero" {
		t.Errorf("%d %+v", code, m)
	}
	if code, m := get("writeKey=shop-key&userId=u1&signature=" + sign("s3cret", "u1")); code != http.StatusOK || m.ID != "secret" {
		t.Errorf("%d %+v", code, m)
	}
	v.pass(time.Hour)
	if code, _ := get("writeKey=shop-key&anonymousId=a1"); code != http.StatusNoContent {
		t.Errorf("expired: %d", code)
	}
}

func TestAdvance(t *testing.T) {
	v := newWorld(t)
	v.put(inbox.Message{ID: "m1", User: "a1", Depth: 2, Template: "wow"})
	v.knows("u1")
	v.put(inbox.Message{ID: "m2", User: "u1"})
	f := func(path string, status int) {
		t.Helper()
		if w := v.do(http.MethodPost, path+"?writeKey=shop-key", "anything", "Origin", "https://shop.example"); w.Code != status || w.Header().Get("Access-Control-Allow-Origin") == "" {
			t.Errorf("%s: %d, want %d: %s", path, w.Code, status, w.Body)
		}
	}
	f("/v1/messages/m1/shown", 204)
	f("/v1/messages/m1/shown/", 204)
	f("/v1/messages/m1/clicked", 204)
	f("/v1/messages/m1/shown", 204)
	f("/v1/messages/m2/dismissed", 204)
	f("/v1/messages/none/shown", 404)
	f("/v1/messages/m1/eaten", 404)
	if w := v.do(http.MethodPost, "/v1/messages/m1/shown", ""); w.Code != http.StatusUnauthorized {
		t.Errorf("without a key: %d", w.Code)
	}
	if w := v.do(http.MethodOptions, "/v1/messages/m1/shown?writeKey=shop-key", "", "Origin", "https://shop.example"); w.Code != http.StatusNoContent {
		t.Errorf("preflight: %d", w.Code)
	}
	got := map[string]event.Event{}
	for _, e := range v.stored() {
		got[e.MessageID] = e
	}
	if len(got) != 3 || len(v.stored()) != 3 {
		t.Fatalf("%d events are stored: %+v", len(v.stored()), got)
	}
	e := got["m1.shown"]
	if e.Name != event.NameShown || e.Source != event.SourceHeed || e.AnonymousID != "a1" || e.UserID != "" || e.Depth != 2 || e.Type != event.Track {
		t.Errorf("%+v", e)
	}
	if want := `{"delivery":"m1","campaign":"winners","template":"wow","channel":"web","kind":"popup"}`; string(e.Properties) != want {
		t.Errorf("properties %s, want %s", e.Properties, want)
	}
	if got["m1.clicked"].Name != event.NameClicked || got["m2.dismissed"].UserID != "u1" || got["m2.dismissed"].AnonymousID != "" {
		t.Errorf("%+v", got)
	}
}

// An outcome whose event was lost behind the state is made up for by the next
// call.
func TestAdvanceAfterAFault(t *testing.T) {
	v := newWorld(t)
	v.put(inbox.Message{ID: "m1", User: "a1"})
	v.log.err = eventlog.ErrUnavailable
	if w := v.do(http.MethodPost, "/v1/messages/m1/shown?writeKey=shop-key", ""); w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d", w.Code)
	}
	v.log.err = nil
	for range 2 {
		if w := v.do(http.MethodPost, "/v1/messages/m1/shown?writeKey=shop-key", ""); w.Code != http.StatusNoContent {
			t.Errorf("%d", w.Code)
		}
	}
	if e := v.one(); e.Name != event.NameShown {
		t.Errorf("%+v", e)
	}
}

func TestScript(t *testing.T) {
	v := newWorld(t)
	w := v.do(http.MethodGet, "/heed.js", "")
	if w.Code != 200 || !strings.HasPrefix(w.Body.String(), "'tracker'") || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/javascript") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	etag := w.Header().Get("ETag")
	packed := v.do(http.MethodGet, "/heed.js", "", "Accept-Encoding", "br, gzip")
	if packed.Header().Get("Content-Encoding") != "gzip" || packed.Body.Len() >= w.Body.Len() {
		t.Errorf("%v, %d bytes", packed.Header(), packed.Body.Len())
	}
	if w := v.do(http.MethodGet, "/heed.js", "", "If-None-Match", "W/"+etag); w.Code != http.StatusNotModified || w.Body.Len() != 0 {
		t.Errorf("%d", w.Code)
	}
}

func TestPages(t *testing.T) {
	v := newWorld(t)
	w := v.do(http.MethodGet, "/test", "")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `value="open-key"`) || strings.Contains(w.Body.String(), "{{") {
		t.Errorf("%d %.300s", w.Code, w.Body)
	}
	for _, kind := range []string{"track", "page", "screen", "identify", "group", "alias", "batch"} {
		if !strings.Contains(w.Body.String(), `data-type="`+kind+`"`) {
			t.Errorf("no button for %s", kind)
		}
	}
	if w := v.do(http.MethodGet, "/healthz", ""); w.Code != 200 {
		t.Errorf("healthz %d", w.Code)
	}
	if w := v.do(http.MethodGet, "/readyz", ""); w.Code != 200 {
		t.Errorf("readyz %d", w.Code)
	}
	v.define()
	if w := v.do(http.MethodGet, "/readyz", ""); w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("readyz %d", w.Code)
	}
}

func TestConfig(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		var c Config
		c.Defaults()
		change(&c)
		if err := c.Validate(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f(func(*Config) {}, "")
	f(func(c *Config) { c.MaxBody = 1 }, "max_body")
	f(func(c *Config) { c.MaxBatch = -1 }, "max_batch")
	f(func(c *Config) { c.UserRate = -1 }, "user_rate")
	f(func(c *Config) { c.MaxStreams = -1 }, "max_streams")
	f(func(c *Config) { c.Heartbeat = -1 }, "heartbeat")
	if _, err := New(Config{}, Deps{}); err == nil {
		t.Error("made a gateway of nothing")
	}
}

// A client that does not read its stream is no failure of a stop.
func TestStopWithStuckStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newWorld(t)
		leave, ok := v.g.streams.enter(&v.g.cfg, "u", "a")
		if !ok {
			t.Fatal("no place")
		}
		defer leave()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		if err := v.g.Run(ctx); err != nil || time.Since(began) > 3*time.Second {
			t.Errorf("run: %v after %v", err, time.Since(began))
		}
	})
}
