package gateway

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/definition"
	"heed/internal/device"
	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/profile"
	"heed/internal/pull"
)

// world is a gateway on the in-memory engine, with the parts that stand around
// it.
type world struct {
	t    *testing.T
	g    *Gateway
	db   *memory.DB
	log  *faultyLog
	mux  *http.ServeMux
	reg  *prometheus.Registry
	mu   sync.Mutex
	now  time.Time
	set  *definition.Set
	know map[string]bool // known users
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	v := &world{t: t, now: start, know: map[string]bool{}, reg: prometheus.NewRegistry()}
	v.db = memory.Open(memory.Config{Partitions: 8, Clock: v.clock})
	t.Cleanup(func() { _ = v.db.Close() })
	v.log = &faultyLog{Log: v.db.Log()}
	v.define(
		&definition.Source{Name: "shop", WriteKey: "shop-key", ServerKey: "shop-server", Secret: "s3cret", Origins: []string{"https://shop.example"}},
		&definition.Source{Name: "open", WriteKey: "open-key", TrustUserIDs: true},
	)
	var cfg Config
	for _, f := range change {
		f(&cfg)
	}
	var err error
	v.g, err = New(cfg, Deps{
		Log: v.log, Inbox: v.db.Inbox(), Documents: v.db.Documents(), Definitions: v, Profiles: v, Pull: pull.New(v.db.Documents(), v.clock), Devices: device.New(v.db.Documents(), v.clock),
		Tracker: fstest.MapFS{"heed.js": {Data: []byte("'tracker'" + strings.Repeat(" ", 500))}}, Registerer: v.reg, Clock: v.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	v.mux = http.NewServeMux()
	v.g.Register(v.mux)
	return v
}

func (v *world) clock() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now
}

func (v *world) pass(d time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.now = v.now.Add(d)
}

// Current implements Definitions.
func (v *world) Current() *definition.Set {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.set
}

func (v *world) define(sources ...*definition.Source) {
	set := &definition.Set{Sources: map[string]*definition.Source{}}
	for _, s := range sources {
		set.Sources[s.Name] = s
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.set = set
}

// Profile implements Profiles.
func (v *world) Profile(_ context.Context, user string) (*profile.Profile, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.know[user] {
		return &profile.Profile{UserID: user, FirstSeen: 1}, nil
	}
	return nil, nil //nolint:nilnil // as in the app
}

func (v *world) knows(user string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.know[user] = true
}

// faultyLog fails on demand.
type faultyLog struct {
	eventlog.Log
	err error
}

func (l *faultyLog) Append(ctx context.Context, s eventlog.Stream, b []*eventlog.Batch) error {
	if l.err != nil {
		return l.err
	}
	return l.Log.Append(ctx, s, b)
}

// do sends a request; headers are name, value, ...
func (v *world) do(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	v.t.Helper()
	r := httptest.NewRequestWithContext(v.t.Context(), method, target, strings.NewReader(body))
	r.RemoteAddr = "203.0.113.77:1234"
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	v.mux.ServeHTTP(w, r)
	return w
}

// post sends JSON with the key of the source that trusts user ids.
func (v *world) post(path, body string, headers ...string) *httptest.ResponseRecorder {
	v.t.Helper()
	sep := "?"
	if strings.Contains(path, "?") {
		sep = "&"
	}
	return v.do(http.MethodPost, path+sep+"writeKey=open-key", body, headers...)
}

// result is the answer of the collector.
type result struct {
	Accepted int
	Rejected []struct {
		Index  int
		Reason string
	}
	Messages []message
	Error    string
}

func (v *world) result(w *httptest.ResponseRecorder, status int) result {
	v.t.Helper()
	var res result
	d := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	d.DisallowUnknownFields()
	if err := d.Decode(&res); err != nil {
		v.t.Fatalf("answer %d %q: %v", w.Code, w.Body, err)
	}
	if w.Code != status {
		v.t.Errorf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	return res
}

// stored is what clients' calls stored.
func (v *world) stored() []event.Event {
	v.t.Helper()
	return slices.DeleteFunc(v.all(), func(e event.Event) bool { return e.Type == event.System })
}

// links are the control records beside it.
func (v *world) links() []event.Event {
	v.t.Helper()
	return slices.DeleteFunc(v.all(), func(e event.Event) bool { return e.Type != event.System })
}

// all reads the whole stream of events.
func (v *world) all() []event.Event {
	v.t.Helper()
	var out []event.Event
	for p := range v.db.Log().Partitions() {
		r, err := v.db.Log().Read(v.t.Context(), eventlog.Events, p, 0)
		if err != nil {
			v.t.Fatal(err)
		}
		for {
			c, ok, err := r.TryNext()
			if err != nil {
				v.t.Fatal(err)
			}
			if !ok {
				break
			}
			d := event.NewDecoder(c.Data)
			for {
				var e event.Event
				ok, err := d.Next(&e)
				if err != nil {
					v.t.Fatal(err)
				}
				if !ok {
					break
				}
				if eventlog.PartitionOf(e.User(), 8) != p {
					v.t.Errorf("%s lies in partition %d", e.User(), p)
				}
				out = append(out, e)
			}
		}
		_ = r.Close()
	}
	return out
}

// one is the only event that is stored.
func (v *world) one() event.Event {
	v.t.Helper()
	all := v.stored()
	if len(all) != 1 {
		v.t.Fatalf("%d events are stored, want 1", len(all))
	}
	return all[0]
}

func sign(secret, user string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = io.WriteString(mac, user)
	return hex.EncodeToString(mac.Sum(nil))
}
