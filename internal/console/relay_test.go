package console_test

import (
	"bufio"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"heed/internal/console"
	"heed/internal/console/api"
	"heed/internal/documents"
	"heed/internal/driver/memory"
	"heed/internal/peer"
)

// process makes a directory of processes in which a world stands, by an address
// that is known later, and runs it until the test or stop ends.
func process(t *testing.T, docs documents.Store, url func() string, roles ...string) (d *peer.Directory, run func() (stop func())) {
	t.Helper()
	d = peer.New(peer.Deps{
		Documents: docs, Secret: []byte("the secret of the installation"), Logger: slog.New(slog.DiscardHandler), Clock: time.Now,
		Self: func() peer.Peer { return peer.Peer{URL: url(), Roles: roles, Started: time.Now()} },
	})
	return d, func() func() {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		stopped := false
		stop := func() {
			if stopped {
				return
			}
			stopped = true
			cancel()
			if err := <-done; err != nil {
				t.Errorf("directory: %v", err)
			}
		}
		t.Cleanup(stop)
		return stop
	}
}

// apart are two processes: one with the console, one with what it shows.
type apart struct {
	front, back *world
	deps        console.Deps // of front
	stopBack    func()       // the others know that it is gone
}

func newApart(t *testing.T) *apart {
	t.Helper()
	docs := memory.Open(memory.Config{Partitions: 1}).Documents()
	a := &apart{}
	url := func(w **world) func() string {
		return func() string {
			if *w == nil {
				return "" // asked for its roles only
			}
			return (*w).server.URL
		}
	}
	back, runBack := process(t, docs, url(&a.back), "analytics", "demo")
	a.back = newWorld(t, func(_ *console.Config, d *console.Deps) { d.Peers, d.Inner = back, true })
	front, runFront := process(t, docs, url(&a.front), "console")
	a.front = newWorld(t, func(_ *console.Config, d *console.Deps) {
		d.Peers, d.Live, d.Demo, d.Progress = front, nil, nil, nil
		a.deps = *d
	})
	a.stopBack = runBack()
	runFront()
	eventually(t, "the other process", func() bool { return len(front.Others("analytics")) == 1 })
	// Somebody else claims that the process behind can send.
	alias := func() string { return strings.Replace(a.back.server.URL, "127.0.0.1", "localhost", 1) }
	claims, runClaims := process(t, docs, alias, "engager")
	runClaims()
	eventually(t, "the claim", func() bool { return len(claims.Others("console")) == 1 && len(front.Others("engager")) == 1 })
	return a
}

// What only another process can answer comes from there, for those who may ask.
func TestElsewhere(t *testing.T) {
	a := newApart(t)
	a.back.add(win("u1", 1))
	c := a.front.as(adminToken)
	eventually(t, "the event of the other process", func() bool {
		names := ok[api.EventNameList](c.get("/event-names")).Names
		return len(names) == 1 && names[0].Name == "win"
	})
	snippet := ok[api.Home](c.get("/home")).Source.Snippet
	if host := strings.TrimPrefix(a.front.server.URL, "http://"); snippet != "" && !strings.Contains(snippet, host) {
		t.Errorf("the snippet leads elsewhere: %s", snippet)
	}

	browser := a.front.browser()
	a.front.setup(browser)
	if res := browser.send("POST", "/api/v1/demo/crowd", `{"running": true}`); res.status != 200 {
		t.Fatalf("the crowd: %d %s", res.status, res.body)
	}
	entries := ok[api.AuditList](c.get("/audit")).Entries
	if len(entries) == 0 {
		t.Error("nobody has noted who did what")
	}
	audit, err := a.back.db.Documents().List(t.Context(), documents.Query{Collection: "audit"})
	if err != nil || len(audit) != 1 || !strings.Contains(string(audit[0].Value), "@") || !strings.Contains(string(audit[0].Value), "127.0.0.1") {
		t.Errorf("the other process has noted %+v, %v", audit, err)
	}

	a.front.browser().get("/live").fails(http.StatusUnauthorized, "not_signed_in")
	c.get("/schedules").fails(http.StatusServiceUnavailable, "unavailable") // it was sent on once, not in circles

	next, end := a.front.lines("/live")
	defer end()
	for line := next(); !strings.Contains(line, `"u1"`); line = next() {
		if line == "" && next() == "" {
			t.Fatal("the live view ended without the event")
		}
	}
}

// A process without a console answers other processes only.
func TestInner(t *testing.T) {
	a := newApart(t)
	f := func(c *client, status int, code string) {
		t.Helper()
		c.get("/event-names").fails(status, code)
	}
	f(a.back.as(adminToken), http.StatusNotFound, "not_found")
	f(a.back.as(localToken), http.StatusNotFound, "not_found")
	f(a.back.browser(), http.StatusNotFound, "not_found")
	f(a.back.browser().with("Heed-Peer", "1 e30 AAAA"), http.StatusUnauthorized, "not_signed_in")
	f(a.front.as(adminToken).with("Heed-Peer", "1 e30 AAAA"), http.StatusUnauthorized, "not_signed_in")
	if res := a.back.browser().send("POST", "/api/v1/setup", `{"token":"x","email":"a@example.com","password":"long enough"}`); res.status != http.StatusNotFound {
		t.Errorf("set up: %d %s", res.status, res.body)
	}
}

// Who asks for what nobody here can answer is told which role is missing; what can
// be answered in part, is.
func TestNobodyElse(t *testing.T) {
	a := newApart(t)
	a.stopBack()
	c := a.front.as(adminToken)
	eventually(t, "the other process to be gone", func() bool { return c.get("/live").status == http.StatusServiceUnavailable })
	if e := c.get("/live").fails(http.StatusServiceUnavailable, "unavailable"); !strings.Contains(e.Message, "analytics") || !strings.Contains(e.Hint, "heed run --roles analytics") {
		t.Errorf("%+v", e)
	}
	if res := c.get("/home"); res.status != 200 {
		t.Errorf("home: %d %s", res.status, res.body)
	}
}

// A process that does not answer any more, and nobody knows yet.
func TestSilent(t *testing.T) {
	a := newApart(t)
	a.back.server.CloseClientConnections()
	if err := a.back.server.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	c := a.front.as(adminToken)
	if e := c.get("/live").fails(http.StatusServiceUnavailable, "unavailable"); !strings.Contains(e.Message, "does not answer") {
		t.Errorf("%+v", e)
	}
	if res := c.get("/home"); res.status != 200 {
		t.Errorf("home: %d %s", res.status, res.body)
	}
}

// Open live views of another process end when the console stops.
func TestRelayedStreamsEnd(t *testing.T) {
	a := newApart(t)
	ctx, cancel := context.WithCancel(t.Context())
	front, err := console.New(console.Config{AdminToken: adminToken}, a.deps)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- front.Run(ctx) }()
	mux := http.NewServeMux()
	front.Register(mux)
	a.front.server.Config.Handler = mux
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.front.server.URL+"/api/v1/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	resp, err := a.front.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() {
		t.Fatal("the live view did not begin")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for lines.Scan() { // until it ends
	}
}
