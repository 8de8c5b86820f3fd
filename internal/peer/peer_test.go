package peer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"heed/internal/documents"
	"heed/internal/driver/memory"
)

// store can be made unreachable.
type store struct {
	documents.Store

	down atomic.Bool
}

func (s *store) List(ctx context.Context, q documents.Query) ([]documents.Document, error) {
	if s.down.Load() {
		return nil, errors.New("down")
	}
	return s.Store.List(ctx, q)
}

func (s *store) Apply(ctx context.Context, d documents.Durability, writes ...documents.Write) error {
	if s.down.Load() {
		return errors.New("down")
	}
	return s.Store.Apply(ctx, d, writes...)
}

func secret(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

func directory(docs documents.Store, url string, clock func() time.Time, roles ...string) *Directory {
	start := clock()
	return New(Deps{
		Documents: docs, Secret: secret(1), Logger: slog.New(slog.DiscardHandler), Clock: clock,
		Self: func() Peer { return Peer{URL: url, Roles: roles, Started: start} },
	})
}

func names(ps []Peer) (out string) {
	for _, p := range ps {
		out += p.URL + " "
	}
	return strings.TrimSpace(out)
}

// A process is known to the others as long as it lives, by their own clocks, and
// also if nobody could read that it does.
func TestWhoLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{Partitions: 1})
		shared := db.Documents()
		run := func(d *Directory) (end func()) {
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- d.Run(ctx) }()
			synctest.Wait()
			return func() {
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
				synctest.Wait()
			}
		}
		expect := func(d *Directory, role, want string) {
			t.Helper()
			synctest.Wait()
			if got := names(d.Others(role)); got != want {
				t.Errorf("with the role %q are %q, want %q", role, got, want)
			}
		}
		late := func() time.Time { return time.Now().Add(-time.Hour) }
		mine, crashing := &store{Store: shared}, &store{Store: shared}
		a := directory(mine, "a", time.Now, "console")
		b := directory(crashing, "b", late, "decider", "engager")
		c := directory(shared, "c", time.Now, "decider")
		if a.Here("decider") || !a.Here("console") {
			t.Error("a process does not know its own roles")
		}
		stopA, stopB := run(a), run(b)
		time.Sleep(time.Second)
		stopC := run(c)
		expect(a, "", "b c")
		expect(a, "engager", "b")
		expect(a, "console", "")
		expect(b, "console", "a")

		stopC()
		expect(a, "decider", "b")

		crashing.down.Store(true)
		time.Sleep((missed - 1) * beat)
		expect(a, "decider", "b")
		time.Sleep(2 * beat)
		expect(a, "decider", "")
		if docs, err := shared.List(t.Context(), documents.Query{Collection: Collection}); err != nil || len(docs) != 2 {
			t.Errorf("%d documents, %v: who is silent may come back", len(docs), err)
		}
		time.Sleep(forget)
		synctest.Wait()
		if docs, err := shared.List(t.Context(), documents.Query{Collection: Collection}); err != nil || len(docs) != 1 {
			t.Errorf("%d documents, %v: who is gone for long is not removed", len(docs), err)
		}

		crashing.down.Store(false)
		time.Sleep(beat)
		expect(a, "decider", "b")
		mine.down.Store(true)
		time.Sleep(time.Hour)
		expect(a, "decider", "b")
		mine.down.Store(false)
		time.Sleep(beat)
		expect(a, "decider", "b")

		crashing.down.Store(true)
		stopB() // killed, as far as the others can tell
		again := directory(shared, "b", time.Now, "decider")
		stopAgain := run(again)
		expect(a, "decider", "b") // once: at an address there is one process
		stopAgain()
		stopA()
	})
}

// What gets ready is told before the next beat.
func TestReadiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := memory.Open(memory.Config{Partitions: 1}).Documents()
		var ready atomic.Bool
		b := New(Deps{
			Documents: shared, Secret: secret(1), Logger: slog.New(slog.DiscardHandler), Clock: time.Now,
			Self: func() Peer { return Peer{URL: "b", Parts: []Part{{Name: "decider", Ready: ready.Load()}}} },
		})
		a := directory(shared, "a", time.Now)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 2)
		for _, d := range []*Directory{a, b} {
			go func() { done <- d.Run(ctx) }()
		}
		synctest.Wait()
		ready.Store(true)
		time.Sleep(beat / 5)
		synctest.Wait()
		if of := a.Others(""); len(of) != 1 || !of[0].Parts[0].Ready {
			t.Errorf("others are %+v", of)
		}
		cancel()
		if err := errors.Join(<-done, <-done); err != nil {
			t.Error(err)
		}
	})
}

// What a process says counts for the request that it was said with, from a process
// of the installation, for a while.
func TestHeard(t *testing.T) {
	var shift time.Duration
	clock := func() time.Time { return time.Now().Add(shift) }
	docs := memory.Open(memory.Config{Partitions: 1}).Documents()
	d := directory(docs, "a", clock)
	says := Saying{For: json.RawMessage(`{"who":"ada"}`), Own: true}
	said := func() *http.Request {
		r := httptest.NewRequest(http.MethodGet, "/api/v1/users/a%2Fb?limit=3", nil)
		if err := d.sign(r, says); err != nil {
			t.Fatal(err)
		}
		return r
	}
	if s, err := d.Heard(said()); err != nil || string(s.For) != `{"who":"ada"}` || !s.Own {
		t.Errorf("heard %+v, %v", s, err)
	}
	if s, err := d.Heard(httptest.NewRequest(http.MethodGet, "/", nil)); err != nil || s != nil {
		t.Errorf("of a stranger is heard %+v, %v", s, err)
	}
	for name, change := range map[string]func(*http.Request){
		"method":   func(r *http.Request) { r.Method = http.MethodPost },
		"path":     func(r *http.Request) { r.URL.Path, r.URL.RawPath = "/api/v1/sql", "" },
		"query":    func(r *http.Request) { r.URL.RawQuery = "limit=4" },
		"nonsense": func(r *http.Request) { r.Header.Set(header, "let me in") },
		"bare":     func(r *http.Request) { r.Header.Set(header, "0 e30 ") },
		"long":     func(r *http.Request) { r.Header.Set(header, r.Header.Get(header)+strings.Repeat("A", maxHeader)) },
		"said": func(r *http.Request) {
			parts := strings.Split(r.Header.Get(header), " ")
			r.Header.Set(header, parts[0]+" e30 "+parts[2])
		},
		"time": func(r *http.Request) {
			parts := strings.Split(r.Header.Get(header), " ")
			r.Header.Set(header, fmt.Sprint(time.Now().Add(time.Second).UnixMilli())+" "+parts[1]+" "+parts[2])
		},
	} {
		r := said()
		change(r)
		if s, err := d.Heard(r); !errors.Is(err, ErrNotTrusted) {
			t.Errorf("%s: heard %+v, %v", name, s, err)
		}
	}
	r := said()
	for _, late := range []time.Duration{2 * maxSkew, -2 * maxSkew} {
		shift = late
		if s, err := d.Heard(r); !errors.Is(err, ErrNotTrusted) {
			t.Errorf("with clocks %s apart is heard %+v, %v", late, s, err)
		}
	}
	shift = 0
	stranger := New(Deps{Documents: docs, Secret: secret(2), Self: d.deps.Self, Clock: clock})
	if s, err := stranger.Heard(said()); !errors.Is(err, ErrNotTrusted) {
		t.Errorf("another installation has heard %+v, %v", s, err)
	}
}

// knowing is a directory that knows of processes without their telling.
func knowing(t *testing.T, urls ...string) *Directory {
	t.Helper()
	d := directory(memory.Open(memory.Config{Partitions: 1}).Documents(), "me", time.Now, "console")
	for i, u := range urls {
		id := fmt.Sprint(i)
		d.others[id] = &sighting{Peer: Peer{ID: id, URL: u, Roles: []string{"decider"}}}
	}
	t.Cleanup(d.client.CloseIdleConnections)
	return d
}

// gone is an address at which nobody listens.
func gone(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(nil)
	defer s.Close()
	return s.URL
}

// A request is answered by a process that can be reached, whole, and without what
// only this one may know.
func TestForward(t *testing.T) {
	var d *Directory
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := d.Heard(r)
		if err != nil || s == nil {
			t.Errorf("heard %+v, %v", s, err)
			return
		}
		for _, name := range []string{"Cookie", "Authorization"} {
			if v := r.Header.Get(name); v != "" {
				t.Errorf("%s %q was passed on", name, v)
			}
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusTeapot)
		_, _ = fmt.Fprintf(w, "%s %s %s for %s", r.Method, r.URL.RequestURI(), body, s.For)
	}))
	defer there.Close()
	d = knowing(t, gone(t), there.URL)
	here := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if err := d.Forward(w, r, "decider", json.RawMessage(`"ada"`)); err != nil {
			t.Error(err)
		}
	}))
	defer here.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, here.URL+"/a%2Fb?x=%20;y", strings.NewReader("the body"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", "heed=session")
	r.Header.Set("Authorization", "Bearer secret")
	resp, err := here.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if want := `POST /a%2Fb the body for "ada"`; err != nil || string(text) != want || resp.StatusCode != http.StatusTeapot {
		t.Errorf("%d %q, %v, want %q", resp.StatusCode, text, err, want)
	}
	if got := resp.Header.Values("Cache-Control"); len(got) != 1 {
		t.Errorf("Cache-Control is %q", got)
	}

	w := httptest.NewRecorder()
	var nobody *NobodyError
	if err := d.Forward(w, httptest.NewRequest(http.MethodGet, "/", nil), "engager", nil); !errors.As(err, &nobody) || nobody.Role != "engager" {
		t.Errorf("without a process: %v", err)
	}
	d = knowing(t, gone(t))
	if err := d.Forward(w, httptest.NewRequest(http.MethodGet, "/", nil), "decider", nil); err == nil || w.Body.Len() > 0 {
		t.Errorf("with a process that is gone: %v, answered %q", err, w.Body)
	}
}

// A stream arrives piece by piece, and ends at both ends once its reader goes.
func TestForwardStream(t *testing.T) {
	ended := make(chan struct{})
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		_, _ = io.WriteString(w, "first\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer there.Close()
	d := knowing(t, there.URL)
	here := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = d.Forward(w, r, "decider", nil)
	}))
	defer here.Close()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, here.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := here.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	first := make([]byte, len("first\n"))
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "first\n" {
		t.Errorf("%q, %v", first, err)
	}
	cancel()
	<-ended
}

// A question goes to the next process if one is gone, and a refusal comes back.
func TestAsk(t *testing.T) {
	var d *Directory
	there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, err := d.Heard(r)
		if err != nil || s == nil || !s.Own || s.For != nil {
			t.Errorf("heard %+v, %v", s, err)
		}
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, "because")
			return
		}
		_, _ = io.Copy(w, r.Body)
	}))
	defer there.Close()
	d = knowing(t, gone(t), there.URL)
	var got []int
	if err := d.AskRole(t.Context(), "decider", http.MethodPost, "/echo", []int{1, 2}, &got); err != nil || len(got) != 2 {
		t.Errorf("%v, %v", got, err)
	}
	var refused *RefusedError
	if err := d.AskRole(t.Context(), "decider", http.MethodGet, "/no", nil, &got); !errors.As(err, &refused) || refused.Status != http.StatusConflict || string(refused.Body) != "because" {
		t.Errorf("a refusal is %v", err)
	}
	var nobody *NobodyError
	if err := d.AskRole(t.Context(), "engager", http.MethodGet, "/", nil, &got); !errors.As(err, &nobody) {
		t.Errorf("without a process: %v", err)
	}
	if Own(t.Context()) || !Own(WithOwn(t.Context())) {
		t.Error("a context does not tell whether others are asked")
	}
}

// Who lives shows it; what somebody has left behind who was killed does not.
func TestLiving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		docs := memory.Open(memory.Config{Partitions: 1}).Documents()
		f := func(want string) {
			t.Helper()
			began := time.Now()
			got := ""
			p, err := Living(t.Context(), docs)
			if p != nil {
				got = p.URL
			}
			if err != nil || got != want || time.Since(began) > missed*beat {
				t.Errorf("%q, %v after %s, want %q", got, err, time.Since(began), want)
			}
		}
		f("")
		killed := directory(docs, "http://killed", time.Now, "decider")
		me := killed.Self()
		if err := killed.announce(t.Context(), &me); err != nil {
			t.Fatal(err)
		}
		f("")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- directory(docs, "http://alive", time.Now, "decider").Run(ctx) }()
		time.Sleep(beat / 2)
		f("http://alive")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		f("")
	})
}
