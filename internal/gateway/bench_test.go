package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"heed/internal/definition"
	"heed/internal/device"
	"heed/internal/driver/memory"
	"heed/internal/eventlog"
	"heed/internal/profile"
	"heed/internal/pull"
)

// nullLog takes everything and keeps nothing.
type nullLog struct{ eventlog.Log }

func (nullLog) Partitions() int { return 8 }

func (nullLog) Append(context.Context, eventlog.Stream, []*eventlog.Batch) error { return nil }

type fixed struct{ set *definition.Set }

func (f fixed) Current() *definition.Set { return f.set }

func (fixed) Profile(context.Context, string) (*profile.Profile, error) { return nil, nil } //nolint:nilnil // as in the app

func benchGateway(tb testing.TB, log eventlog.Log) *Gateway {
	tb.Helper()
	db := memory.Open(memory.Config{})
	tb.Cleanup(func() { _ = db.Close() })
	defs := fixed{&definition.Set{Sources: map[string]*definition.Source{"shop": {Name: "shop", WriteKey: "k"}}}}
	g, err := New(Config{UserRate: 1 << 30, KeyRate: 1 << 40, AddressRate: 1 << 30}, Deps{
		Log: log, Inbox: db.Inbox(), Documents: db.Documents(), Definitions: defs, Profiles: defs, Pull: pull.New(db.Documents(), time.Now), Devices: device.New(db.Documents(), time.Now),
		Tracker: fstest.MapFS{"heed.js": {Data: []byte("x")}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// benchBody has events of 604 bytes.
func benchBody(n int) []byte {
	var b bytes.Buffer
	if n > 1 {
		b.WriteString(`{"batch":[`)
	}
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		begin := b.Len()
		fmt.Fprintf(&b, `{"type":"track","event":"product_seen","messageId":"m%015d","userId":"u%015d","timestamp":"2026-01-02T03:04:05.678Z","context":{"page":{"url":"https://shop.example/products/42?utm_source=letter","path":"/products/42","referrer":"https://search.example/","title":"A fine product"},"locale":"en-GB","timezone":"Europe/Berlin","userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"},"properties":{"product_id":"sku-4711","price":19.95,"currency":"EUR","position":7,"category":"garden","pad":"`, i, i)
		for b.Len()-begin < 604-3 {
			b.WriteByte('x')
		}
		b.WriteString(`"}}`)
	}
	if n > 1 {
		b.WriteString(`]}`)
	}
	return b.Bytes()
}

// sink is a ResponseWriter that keeps the status.
type sink struct {
	header http.Header
	status int
	body   []byte
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) WriteHeader(status int) { s.status = status }

func (s *sink) Write(b []byte) (int, error) {
	s.body = append(s.body[:0], b...)
	return len(b), nil
}

type body struct{ bytes.Reader }

func (*body) Close() error { return nil }

// caller calls a handler again and again with one request, allocating nothing.
func repeat(h http.Handler, path string, payload []byte) (do func(), s *sink) {
	s = &sink{header: http.Header{}}
	b := &body{}
	r := (&http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: path, RawQuery: "writeKey=k"}, Body: io.NopCloser(nil), ContentLength: int64(len(payload)),
		RemoteAddr: "203.0.113.7:4711", Header: http.Header{"User-Agent": {"Mozilla/5.0"}, "Content-Type": {"application/json"}},
	}).WithContext(context.Background())
	r.Body = b
	return func() {
		b.Reset(payload)
		s.status = http.StatusOK
		clear(s.header)
		h.ServeHTTP(s, r)
	}, s
}

func TestCollectingDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	g := benchGateway(t, nullLog{})
	f := func(n int, c call) {
		t.Helper()
		do, s := repeat(collector{g, c}, "/v1/"+c.path, benchBody(n))
		do()
		if s.status != http.StatusOK || !strings.Contains(string(s.body), fmt.Sprintf(`"accepted":%d`, n)) {
			t.Fatalf("%d %s", s.status, s.body)
		}
		if got := testing.AllocsPerRun(200, do); got > 2 {
			t.Errorf("%d events: %v allocations a request", n, got)
		}
	}
	f(20, call{"batch", "b", true, 0})
	f(1, call{"track", "t", false, 0})
}

func benchmarkCollect(b *testing.B, n int, c call) {
	do, _ := repeat(collector{benchGateway(b, nullLog{}), c}, "/v1/"+c.path, benchBody(n))
	b.ReportAllocs()
	for b.Loop() {
		do()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/event")
}

func BenchmarkBatchOf20(b *testing.B) { benchmarkCollect(b, 20, call{"batch", "b", true, 0}) }

func BenchmarkSingle(b *testing.B) { benchmarkCollect(b, 1, call{"track", "t", false, 0}) }

// BenchmarkFloor is a handler that reads and answers 204.
func BenchmarkFloor(b *testing.B) {
	buf := make([]byte, 64<<10)
	do, _ := repeat(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadFull(r.Body, buf[:r.ContentLength])
		w.WriteHeader(http.StatusNoContent)
	}), "/", benchBody(20))
	b.ReportAllocs()
	for b.Loop() {
		do()
	}
}
