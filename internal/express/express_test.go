package express

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// world is an http.Server behind the listener; both use one handler, which says
// what it saw.
type world struct {
	t      *testing.T
	l      *Listener
	srv    *http.Server
	block  chan struct{} // what /slow waits for
	slow   chan struct{} // gets a value when /slow has begun
	served chan error
}

func (w *world) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	by := "net/http"
	if _, ok := rw.(*answer); ok {
		by = "express"
	}
	switch r.URL.Path {
	case "/panic":
		panic("as the test wants it")
	case "/slow":
		w.slow <- struct{}{}
		<-w.block
	case "/unread":
		rw.Header()["X-Bad"] = []string{"a\r\nb: c"}
		rw.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(rw, by+" unread")
		return
	case "/empty":
		rw.WriteHeader(http.StatusNoContent)
		return
	}
	body, err := io.ReadAll(r.Body)
	rw.Header()["Content-Type"] = []string{"text/plain"}
	_, _ = fmt.Fprintf(rw, "%s %s %s %s %v %s %v", by, r.Method, r.URL, r.Host, r.Header["Origin"], body, err)
}

func start(t *testing.T) *world {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, block: make(chan struct{}), slow: make(chan struct{}, 10), served: make(chan error, 1)}
	paths := map[string]http.Handler{}
	for _, p := range []string{"/a", "/slow", "/panic", "/unread", "/empty"} {
		paths[p] = w
	}
	w.l = Listen(ln, Config{Paths: paths, Headers: []string{"Origin", "User-Agent"}, Elsewhere: []string{"wait"}})
	w.srv = &http.Server{Handler: w, ReadHeaderTimeout: time.Minute}
	go func() { w.served <- w.srv.Serve(w.l) }()
	t.Cleanup(func() {
		_ = w.srv.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = w.l.Drain(ctx)
	})
	return w
}

// client is one connection.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func (w *world) dial() *client {
	c, err := new(net.Dialer).DialContext(w.t.Context(), "tcp", w.l.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return &client{w.t, c, bufio.NewReader(c)}
}

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// hears reads one answer.
func (c *client) hears(status int, body string) http.Header {
	c.t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != status || string(got) != body {
		c.t.Errorf("answer is %d %q, want %d %q", resp.StatusCode, got, status, body)
	}
	if resp.Close {
		resp.Header.Set("Connection", "close") // what was there, if net/http took it out
	}
	return resp.Header
}

func (c *client) hearsEnd() {
	c.t.Helper()
	if b, err := c.r.ReadByte(); err == nil {
		c.t.Errorf("got %q, want the end", b)
	}
}

func post(path, body string, headers ...string) string {
	text := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n", path, len(body))
	for _, h := range headers {
		text += h + "\r\n"
	}
	return text + "\r\n" + body
}

func TestServesPlainRequestsItself(t *testing.T) {
	c := start(t).dial()
	for range 3 {
		c.send(post("/a?x=1", "hello", "oRiGin: https://shop.example "))
		r := c.hears(200, "express POST /a?x=1 h [https://shop.example] hello <nil>")
		if _, err := http.ParseTime(r.Get("Date")); err != nil || r.Get("Content-Type") != "text/plain" {
			t.Errorf("headers are %v", r)
		}
	}
	c.send(post("/a", "")) // nothing of the request before is left
	c.hears(200, "express POST /a h []  <nil>")
	c.send(post("/empty", "x"))
	c.hears(204, "")
	c.send(post("/a", "1") + post("/a", "2") + post("/a", "3"))
	for _, body := range []string{"1", "2", "3"} {
		c.hears(200, "express POST /a h [] "+body+" <nil>")
	}
	long := strings.Repeat("x", 300_000)
	c.send(post("/a", long) + post("/a", "y"))
	c.hears(200, "express POST /a h [] "+long+" <nil>")
	c.hears(200, "express POST /a h [] y <nil>")
	for _, b := range []byte(post("/a", "byte by byte")) {
		c.send(string(b))
	}
	c.hears(200, "express POST /a h [] byte by byte <nil>")
}

func TestAnUnreadBodyIsNoRequest(t *testing.T) {
	c := start(t).dial()
	c.send(post("/unread", strings.Repeat(post("/a", "smuggled"), 1000)) + post("/a", "next"))
	if r := c.hears(401, "express unread"); len(r["X-Bad"])+len(r["B"]) > 0 {
		t.Errorf("a header ends its line: %v", r)
	}
	c.hears(200, "express POST /a h [] next <nil>")
}

func TestEverythingElseIsForNetHTTP(t *testing.T) {
	w := start(t)
	f := func(text string, status int, body string) {
		t.Helper()
		c := w.dial()
		c.send(post("/a", "first"))
		c.hears(200, "express POST /a h [] first <nil>")
		c.send(text)
		c.hears(status, body)
	}
	f("GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 200, "net/http GET /a h []  <nil>")
	f(post("/b", "x"), 200, "net/http POST /b h [] x <nil>")
	f(post("/a?wait=2s", "x"), 200, "net/http POST /a?wait=2s h [] x <nil>")
	f(post("/a/../a", "x"), 200, "net/http POST /a/../a h [] x <nil>")
	f("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, "net/http POST /a h [] abc <nil>")
	f(post("/a", "x", "Connection: close"), 200, "net/http POST /a h [] x <nil>")
	f(post("/a", "x", "X-Long: "+strings.Repeat("y", 5000)), 200, "net/http POST /a h [] x <nil>")
	f(post("/a", strings.Repeat("x", maxLength+1)), 200, "net/http POST /a h [] "+strings.Repeat("x", maxLength+1)+" <nil>")
	f("POST /a HTTP/1.0\r\nContent-Length: 1\r\n\r\nx", 200, "net/http POST /a  [] x <nil>")
	f("POST /a HTTP/1.1\nHost: h\nContent-Length: 1\n\nx", 200, "net/http POST /a h [] x <nil>")
	f("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", 400, "400 Bad Request")
	f("POST /a HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", 400, "400 Bad Request: missing required Host header")
	f(post("/a", "x", "Odd Name: y"), 400, "400 Bad Request: invalid header name")

	c := w.dial()
	c.send(post("/a", "x", "Expect: 100-continue"))
	if text, err := c.r.ReadString('\n'); err != nil || !strings.HasPrefix(text, "HTTP/1.1 100") {
		t.Errorf("expecting to continue: %q %v", text, err)
	}
	c = w.dial() // once there, it stays there
	c.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
	c.hears(200, "net/http GET /a h []  <nil>")
	c.send(post("/a", "x"))
	c.hears(200, "net/http POST /a h [] x <nil>")
}

func TestPanicEndsTheConnectionOnly(t *testing.T) {
	w := start(t)
	c := w.dial()
	c.send(post("/panic", "x"))
	c.hearsEnd()
	c = w.dial()
	c.send(post("/a", "x"))
	c.hears(200, "express POST /a h [] x <nil>")
}

func TestStopping(t *testing.T) {
	w := start(t)
	idle, fresh, under := w.dial(), w.dial(), w.dial()
	idle.send(post("/a", "x"))
	idle.hears(200, "express POST /a h [] x <nil>")
	under.send(post("/slow", "x"))
	<-w.slow
	stopped := make(chan error, 1)
	go func() {
		if err := w.srv.Shutdown(context.Background()); err != nil {
			stopped <- err
			return
		}
		stopped <- w.l.Drain(context.Background())
	}()
	idle.hearsEnd()
	fresh.hearsEnd()
	select {
	case err := <-stopped:
		t.Errorf("stopped before the request was answered: %v", err)
	default:
	}
	close(w.block)
	if r := under.hears(200, "express POST /slow h [] x <nil>"); r.Get("Connection") != "close" {
		t.Error("the answer does not say that it is the last")
	}
	under.hearsEnd()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if err := <-w.served; err != http.ErrServerClosed { //nolint:errorlint // as it is
		t.Errorf("serve: %v", err)
	}
}

func TestDrainCutsOffWhatTakesTooLong(t *testing.T) {
	w := start(t)
	c := w.dial()
	c.send(post("/slow", "x"))
	<-w.slow
	if err := w.l.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.l.Drain(ctx); err == nil {
		t.Error("drained, with a request under way")
	}
	c.hearsEnd()
	close(w.block)
}

// FuzzParse: what is served here means the same to net/http.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		post("/a?x=%20&y", "", "Origin: https://x", "User-Agent: a \tb", "Connection: keep-alive"),
		"POST / HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length:0007\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost:h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: h\r\ncontent-length: 1\r\n folded: 1\r\n\r\n",
		"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length : 1\r\n\r\n",
		"POST //a HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n",
	} {
		f.Add(text)
	}
	wanted := map[string]string{"origin": "Origin", "user-agent": "User-Agent"}
	f.Fuzz(func(t *testing.T, text string) {
		var h head
		if end([]byte(text)) != len(text) || !h.parse(text, wanted) {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text + strings.Repeat("x", max(0, h.length)))))
		if err != nil {
			t.Fatalf("net/http refuses: %v", err)
		}
		if r.Method != http.MethodPost || r.RequestURI != h.target || r.Host != h.host || r.ContentLength != int64(h.length) ||
			r.Close || len(r.TransferEncoding) > 0 || r.Proto != "HTTP/1.1" {
			t.Errorf("net/http reads %+v, here it is %+v", r, h)
		}
		path, query, _ := strings.Cut(h.target, "?")
		if r.URL.Path != path || r.URL.RawQuery != query || r.URL.Host != "" {
			t.Errorf("net/http reads %+v, here it is %q and %q", r.URL, path, query)
		}
		for _, name := range wanted {
			var got []string
			for _, l := range h.lines {
				if l.name == name {
					got = append(got, l.value)
				}
			}
			if diff := cmp.Diff(r.Header[name], got); diff != "" {
				t.Errorf("%s (-net/http +here):\n%s", name, diff)
			}
		}
	})
}

func TestAllocs(t *testing.T) {
	var h head
	wanted := map[string]string{"origin": "Origin", "user-agent": "User-Agent", "authorization": "Authorization"}
	text := post("/a?writeKey=k", "", "Origin: https://x", "User-Agent: Mozilla/5.0", "Accept: */*")
	if n := testing.AllocsPerRun(100, func() {
		if !h.parse(text, wanted) {
			t.Fatal("not plain")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if !slices.ContainsFunc(h.lines, func(l line) bool { return l.name == "Origin" }) {
		t.Errorf("%+v", h.lines)
	}
}
