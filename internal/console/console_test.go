package console_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"heed/internal/analytics"
	"heed/internal/catalog"
	"heed/internal/channel/outbox"
	"heed/internal/console"
	"heed/internal/console/api"
	"heed/internal/console/reaching"
	"heed/internal/documents"
	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/intake"
	"heed/internal/profile"
	"heed/internal/reach"
	"heed/internal/userstate"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

const (
	adminToken = "an-admin-token-of-the-tests"
	localToken = "the-token-in-the-data-folder"
	password   = "correct horse battery"
)

type progress struct{}

func (progress) Progress(context.Context) (api.TriggerProgressList, error) {
	three := api.TriggerProgress{Trigger: "three-wins", Users: 2, Firings: 1, Steps: []api.StepProgress{{Step: 1, Label: "win", Users: 2}}}
	return api.TriggerProgressList{Triggers: []api.TriggerProgress{three}, Partitions: 1, Of: 1}, nil
}

func (progress) ExplainTrigger(_ context.Context, user, name string) (api.TriggerExplanation, error) {
	return api.TriggerExplanation{User: user, Trigger: name, InForce: name == "t"}, nil
}

func (progress) Explain(context.Context, string) ([]api.UserTrigger, error) {
	return []api.UserTrigger{{Trigger: "three-wins", Step: 2, Of: 3, Label: "win"}}, nil
}

type crowd struct{ running atomic.Bool }

func (c *crowd) Demo() api.Demo {
	return api.Demo{Enabled: true, Crowd: api.Crowd{Running: c.running.Load()}, Tour: []api.TourLink{{Title: "Live", Href: "/live"}}}
}

func (c *crowd) LoadSample() {}

func (c *crowd) SetCrowd(_ context.Context, running bool) error {
	c.running.Store(running)
	return nil
}

type bad struct{}

func (bad) BadEvents(context.Context, int) ([]api.BadEvent, error) {
	return []api.BadEvent{{Source: "shop", Reason: "no event name"}}, nil
}

// world is a console over the memory driver.
type world struct {
	t       *testing.T
	db      *memory.DB
	catalog *catalog.Catalog
	console *console.Console
	server  *httptest.Server
	shift   atomic.Int64 // added to the clock
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.shift.Load())) }

func pages() fstest.MapFS {
	return fstest.MapFS{
		"index.html":          {Data: []byte("<!doctype html><title>Heed</title>" + strings.Repeat(" ", 2000))},
		"assets/app-1234.js":  {Data: []byte(strings.Repeat("console.log(1);", 500))},
		"favicon.svg":         {Data: []byte("<svg/>")},
		".keep":               {},
		"assets/f-1234.woff2": {Data: bytes.Repeat([]byte{1}, 5000)},
	}
}

func newWorld(t *testing.T, change ...func(*console.Config, *console.Deps)) *world {
	t.Helper()
	w := &world{t: t, db: memory.Open(memory.Config{Partitions: 4})}
	ctx, cancel := context.WithCancel(t.Context())
	var err error
	w.catalog, err = catalog.Open(ctx, catalog.Config{
		Store: w.db.Documents(), Key: bytes.Repeat([]byte{7}, 32), Now: w.now, Log: nil,
		Random: func(b []byte) {
			_, _ = io.ReadFull(strings.NewReader(strings.Repeat(fmt.Sprint(time.Now().UnixNano()), 10)), b)
		},
		Getenv:   func(string) (string, bool) { return "", false },
		ReadFile: func(string) ([]byte, error) { return nil, io.EOF },
	})
	if err != nil {
		t.Fatal(err)
	}
	feed, err := analytics.New(analytics.Config{}, analytics.Deps{Log: w.db.Log(), Documents: w.db.Documents()})
	if err != nil {
		t.Fatal(err)
	}
	book, err := reach.New(reach.Deps{Documents: w.db.Documents(), Log: w.db.Log(), Secret: bytes.Repeat([]byte{7}, 32), Clock: w.now})
	if err != nil {
		t.Fatal(err)
	}
	imports, err := intake.Open(ctx, intake.Deps{Documents: w.db.Documents(), Log: w.db.Log(), Book: book, Clock: w.now, Logger: slog.New(slog.DiscardHandler), Random: func(b []byte) { _, _ = rand.Read(b) }})
	if err != nil {
		t.Fatal(err)
	}
	cfg := console.Config{AdminToken: adminToken, ScanBudget: 30 * time.Second}
	deps := console.Deps{
		Log: w.db.Log(), Documents: w.db.Documents(), State: w.db.UserState(), Definitions: w.catalog, Live: feed,
		Reach:    reaching.Deps{Book: book, Imports: imports, Profiles: w},
		Progress: progress{}, BadEvents: bad{}, Demo: &crowd{}, Pages: pages(), LocalToken: localToken, Version: "test", Clock: w.now,
	}
	for _, f := range change {
		f(&cfg, &deps)
	}
	if w.console, err = console.New(cfg, deps); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 2)
	go func() { done <- feed.Run(ctx) }()
	go func() { done <- w.console.Run(ctx) }()
	eventually(t, "the live feed", func() bool { return feed.Ready() == nil })
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/", http.NotFound)
	mux.HandleFunc("GET /healthz", http.NotFound)
	w.console.Register(mux)
	w.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
		w.server.Close()
		_ = w.db.Close()
	})
	return w
}

// Profile is what the store keeps of a user.
func (w *world) Profile(ctx context.Context, user string) (*profile.Profile, error) {
	value, err := w.db.UserState().Get(ctx, eventlog.PartitionOf(user, w.db.Log().Partitions()), userstate.Profile, user)
	if err != nil || value == nil {
		return nil, err
	}
	return profile.Decode(value)
}

// client sends requests as somebody.
type client struct {
	w     *world
	token string
	http  *http.Client
	head  map[string]string
}

func (w *world) as(token string) *client {
	return &client{w: w, token: token, http: &http.Client{Transport: w.server.Client().Transport}}
}

// browser keeps cookies.
func (w *world) browser() *client {
	c := w.as("")
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	c.http.Jar = jar
	return c
}

func (c *client) with(name, value string) *client {
	d := *c
	d.head = map[string]string{name: value}
	maps.Copy(d.head, c.head)
	return &d
}

type answer struct {
	t      *testing.T
	what   string
	status int
	head   http.Header
	body   []byte
}

func (c *client) send(method, path string, body any) answer {
	c.w.t.Helper()
	var r io.Reader
	media := "application/json"
	switch v := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(v)
		media = "text/yaml"
		if strings.HasPrefix(v, "{") || strings.HasPrefix(v, "[") {
			media = "application/json"
		}
	default:
		b, err := json.Marshal(v)
		if err != nil {
			c.w.t.Fatal(err)
		}
		r = bytes.NewReader(b)
	}
	if strings.HasPrefix(path, "/") {
		path = c.w.server.URL + path
	}
	req, err := http.NewRequestWithContext(c.w.t.Context(), method, path, r)
	if err != nil {
		c.w.t.Fatal(err)
	}
	if r != nil {
		req.Header.Set("Content-Type", media)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for k, v := range c.head {
		req.Header.Set(k, v)
		if k == "Host" {
			req.Host = v
		}
	}
	res, err := c.http.Do(req)
	if err != nil {
		c.w.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.w.t.Fatal(err)
	}
	return answer{c.w.t, method + " " + path, res.StatusCode, res.Header, b}
}

func (c *client) get(path string) answer { c.w.t.Helper(); return c.send("GET", "/api/v1"+path, nil) }

// ok reads an answer that must have succeeded.
func ok[T any](a answer) T {
	a.t.Helper()
	var v T
	if a.status >= 300 {
		a.t.Fatalf("%s: %d %s", a.what, a.status, a.body)
	}
	if err := json.Unmarshal(a.body, &v); err != nil {
		a.t.Fatalf("%s: %v in %s", a.what, err, a.body)
	}
	return v
}

// fails checks a failure's shape.
func (a answer) fails(status int, code string) api.Error {
	a.t.Helper()
	var v api.ErrorReply
	if err := json.Unmarshal(a.body, &v); err != nil {
		a.t.Errorf("%s: %d is not in the one shape: %s", a.what, a.status, a.body)
	}
	if a.status != status || v.Error.Code != code || v.Error.Message == "" {
		a.t.Errorf("%s: %d %s, want %d %s", a.what, a.status, a.body, status, code)
	}
	return v.Error
}

// setup makes the first administrator.
func (w *world) setup(c *client) {
	w.t.Helper()
	token, err := w.console.SetupToken(w.t.Context())
	if err != nil || token == "" {
		w.t.Fatalf("setup token: %q, %v", token, err)
	}
	ok[api.Me](c.send("POST", "/api/v1/setup", api.SetupRequest{Token: token, Email: "Ann@Example.com", Password: password, Name: "Ann"}))
}

// add appends events to their users' partitions.
func (w *world) add(events ...event.Event) {
	w.t.Helper()
	log := w.db.Log()
	for _, e := range events {
		if e.Timestamp == 0 {
			e.Timestamp = time.Now().UnixMicro()
		}
		e.ReceivedAt = time.Now().UnixMicro()
		if e.Source == "" {
			e.Source = "shop"
		}
		b := &eventlog.Batch{Partition: eventlog.PartitionOf(e.User(), log.Partitions()), Data: event.AppendEvent(nil, &e)}
		b.Ends = []int{len(b.Data)}
		if err := log.Append(w.t.Context(), eventlog.Events, []*eventlog.Batch{b}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// user stores a profile as the Decider does.
func (w *world) user(id string, e event.Event) {
	w.t.Helper()
	if e.Timestamp == 0 {
		e.Timestamp = time.Now().UnixMicro()
	}
	var p profile.Profile
	p.Apply(&e)
	p.Link(e.AnonymousID)
	w.profile(id, &p)
}

// profile stores one as it is.
func (w *world) profile(id string, p *profile.Profile) {
	w.t.Helper()
	n := eventlog.PartitionOf(id, w.db.Log().Partitions())
	part, err := w.db.UserState().Open(w.t.Context(), n)
	if err != nil {
		w.t.Fatal(err)
	}
	err = part.Commit(w.t.Context(), &userstate.Commit{
		Base: part.Next(), Next: part.Next(), Rows: []userstate.Row{{Kind: userstate.Profile, User: id, Value: p.Append(nil)}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// message puts a message into the outbox.
func (w *world) message(i int, as ...string) string {
	w.t.Helper()
	m := outbox.Message{ID: fmt.Sprint("d", i), User: "u1", Campaign: "winners", Template: "wow", Body: "<b>hi</b>", At: int64(i + 1)}
	for _, as := range as {
		m.As = as
	}
	b, err := json.Marshal(&m)
	if err != nil {
		w.t.Fatal(err)
	}
	key := outbox.Key(int64(i+1), fmt.Sprint("d", i))
	if err := w.db.Documents().Apply(w.t.Context(), documents.Durable, documents.Write{Collection: outbox.Collection, Key: key, Value: b}); err != nil {
		w.t.Fatal(err)
	}
	return key
}

// eventually waits for a condition that other goroutines bring about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// hostile has gaps and repeats, but loses nothing that the test wrote.
func hostile() memory.Hostile {
	h := memory.AllHostile()
	h.LostAck, h.Reassign = 0, 0
	return h
}

// steps is a clock that moves at each look.
func steps(d time.Duration) func() time.Time {
	var n atomic.Int64
	start := time.Now()
	return func() time.Time { return start.Add(time.Duration(n.Add(int64(d)))) }
}
