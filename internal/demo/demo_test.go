package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"heed/internal/definition"
	"heed/internal/demo/sample"
	"heed/internal/driver/memory"
	"heed/internal/render"
)

type site struct {
	*httptest.Server
	shop *Shop
}

func open(t *testing.T, change func(*Config, *Deps)) site {
	t.Helper()
	db := memory.Open(memory.Config{})
	var cfg Config
	cfg.Defaults()
	deps := Deps{
		Documents: db.Documents(), Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Files: fstest.MapFS{
			"index.html":    {Data: []byte(`<script nonce="__NONCE__"></script>`)},
			"assets/app.js": {Data: []byte("app")},
		},
	}
	if change != nil {
		change(&cfg, &deps)
	}
	shop, err := New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	shop.Register(mux)
	srv := httptest.NewServer(mux)
	t.Cleanup(func() {
		srv.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return site{srv, shop}
}

// browser is a client with cookies of its own.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, Timeout: 10 * time.Second}
}

// send does a request and decodes the answer into v, if that is not nil.
func (s site) send(t *testing.T, c *http.Client, method, path, body string, v any) (status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	if cerr := resp.Body.Close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	if v != nil {
		if err := json.Unmarshal(data, v); err != nil {
			t.Fatalf("%s %s: %d %s: %v", method, path, resp.StatusCode, data, err)
		}
	}
	return resp.StatusCode
}

func (s site) stock(t *testing.T, id string) int {
	t.Helper()
	var p Product
	if status := s.send(t, s.Client(), "GET", "/shop/api/products/"+id, "", &p); status != 200 {
		t.Fatalf("product %s: %d", id, status)
	}
	return p.Stock
}

func orderOf(id string, quantity int, card, code string) string {
	return fmt.Sprintf(`{"items":[{"product_id":%q,"quantity":%d}],"name":"Ada","email":"ada@example.com","card":%q,"code":%q}`, id, quantity, card, code)
}

const goodCard = "4242 4242 4242 4242"

func TestShippedDefinitionsHoldTogether(t *testing.T) {
	docs, problems := definition.LoadDir(Definitions(), ".")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	set, problems := definition.NewSet(1, docs)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if len(set.Triggers) != 5 || len(set.Campaigns) != 6 || len(set.Templates) != 6 {
		t.Fatalf("%d triggers, %d campaigns, %d templates; want 5, 6, 6", len(set.Triggers), len(set.Campaigns), len(set.Templates))
	}
	keys := map[string]string{"shop": ShopWriteKey, "shop-crowd": CrowdWriteKey}
	for name, key := range keys {
		if s := set.Sources[name]; s == nil || s.WriteKey != key {
			t.Errorf("source %s: %+v; want the write key %s", name, s, key)
		}
	}
	for name, c := range set.Campaigns {
		status, held := definition.Live, 0.0
		if name == sample.Campaign {
			status, held = definition.Ended, 0.1
		}
		if c.Status != status {
			t.Errorf("campaign %s is %s", name, c.Status)
		}
		if share, err := c.HoldoutShare(); err != nil || share != held {
			t.Errorf("campaign %s holds back %v, %v", name, share, err)
		}
	}
	for name, tpl := range set.Templates {
		if tpl.Body == "" || set.Channels[tpl.Channel].Mode() == render.HTML && !strings.Contains(tpl.Body, "<style>") {
			t.Errorf("template %s has no body", name)
		}
	}
}

func TestOrderLowersTheStock(t *testing.T) {
	s, ada := open(t, nil), browser(t)
	before := s.stock(t, "mug")
	var o Order
	if status := s.send(t, ada, "POST", "/shop/api/orders", orderOf("mug", 2, goodCard, "boost50"), &o); status != 201 {
		t.Fatal(status)
	}
	if got := s.stock(t, "mug"); got != before-2 {
		t.Fatalf("stock %d after two of %d", got, before)
	}
	if o.Subtotal != 2900 || o.Discount != 1450 || o.Shipping != 490 || o.Total != 1940 || o.Tax != 323 || o.Card != "4242" {
		t.Fatalf("%+v", o)
	}
	var again Order
	if status := s.send(t, ada, "GET", "/shop/api/invoices/"+o.Number, "", &again); status != 200 || again.Total != o.Total {
		t.Fatalf("invoice: %d %+v", status, again)
	}
	var list struct{ Orders []Order }
	s.send(t, ada, "GET", "/shop/api/orders", "", &list)
	if len(list.Orders) != 1 || list.Orders[0].Number != o.Number {
		t.Fatalf("%+v", list)
	}
	// nobody else sees it
	bob := browser(t)
	if status := s.send(t, bob, "GET", "/shop/api/invoices/"+o.Number, "", nil); status != 404 {
		t.Fatalf("somebody else's invoice: %d", status)
	}
	s.send(t, bob, "POST", "/shop/api/support/messages", `{"text":"hello"}`, nil)
	if status := s.send(t, bob, "GET", "/shop/api/invoices/"+o.Number, "", nil); status != 404 {
		t.Fatalf("somebody else's invoice, with a cookie: %d", status)
	}
}

func TestDeclinedPaymentBooksNothing(t *testing.T) {
	s, ada := open(t, nil), browser(t)
	before := s.stock(t, "lamp")
	var p problem
	if status := s.send(t, ada, "POST", "/shop/api/orders", orderOf("lamp", 1, "4000 0000 0000 0000", ""), &p); status != 402 || p.Error != "declined" {
		t.Fatalf("%d %+v", status, p)
	}
	if got := s.stock(t, "lamp"); got != before {
		t.Fatalf("stock %d, was %d", got, before)
	}
	if status := s.send(t, ada, "POST", "/shop/api/orders", orderOf("lamp", 1, goodCard, ""), nil); status != 201 {
		t.Fatalf("second try: %d", status)
	}
}

// However many want the last three, three get one, and invoice numbers have no gap.
func TestStockNeverGoesBelowZero(t *testing.T) {
	s := open(t, nil)
	const wanted = 30
	start := s.stock(t, "teapot")
	var mu sync.Mutex
	status := map[int]int{}
	numbers := map[string]bool{}
	var wg sync.WaitGroup
	for range wanted {
		c := browser(t)
		wg.Go(func() {
			var o Order
			code := s.send(t, c, "POST", "/shop/api/orders", orderOf("teapot", 1, goodCard, ""), &o)
			mu.Lock()
			defer mu.Unlock()
			status[code]++
			if code == 201 {
				numbers[o.Number] = true
			}
		})
	}
	wg.Wait()
	if status[201] != start || status[409] != wanted-start {
		t.Fatalf("%v with %d in stock", status, start)
	}
	if got := s.stock(t, "teapot"); got != 0 {
		t.Fatalf("stock %d", got)
	}
	for i := range start {
		if n := fmt.Sprintf("H-%06d", 1001+i); !numbers[n] {
			t.Errorf("no invoice %s in %v", n, numbers)
		}
	}
}

func TestBadRequests(t *testing.T) {
	s := open(t, nil)
	f := func(path, body string, want int) {
		t.Helper()
		if got := s.send(t, s.Client(), "POST", path, body, nil); got != want {
			t.Errorf("POST %s %.60q: %d, want %d", path, body, got, want)
		}
	}
	f("/shop/api/orders", `{`, 400)
	f("/shop/api/orders", `{} {}`, 400)
	f("/shop/api/orders", `{"total":1}`, 400)
	f("/shop/api/orders", strings.Repeat(" ", 20<<10)+"{}", 413)
	f("/shop/api/orders", orderOf("mug", 0, goodCard, ""), 422)
	f("/shop/api/orders", orderOf("mug", -5, goodCard, ""), 422)
	f("/shop/api/orders", orderOf("mug", 100, goodCard, ""), 422)
	f("/shop/api/orders", orderOf("nothing", 1, goodCard, ""), 422)
	f("/shop/api/orders", orderOf("mug", 1, "12", ""), 422)
	f("/shop/api/orders", orderOf("mug", 1, goodCard, "FREE"), 422)
	f("/shop/api/support/messages", `{"text":" "}`, 422)
	f("/shop/api/support/messages", `{"text":"`+strings.Repeat("ä", 1001)+`"}`, 422)
	f("/shop/api/support/desk/nobody", `{"text":"hi"}`, 404)
	f("/shop/api/support/desk/ABCDEFGHIJKLMNOPQRSTUVWXYZ", `{"text":"hi"}`, 404)
	f("/shop/api/crowd", `{}`, 422)
	f("/shop/api/nowhere", `{}`, 404)

	req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/shop/api/crowd", strings.NewReader(`{"running":false}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("from another site: %d", resp.StatusCode)
	}
}

// What a shopper asks, the desk sees; what the desk answers, the shopper's
// stream carries.
func TestSupportIsAnsweredFromTheOtherSide(t *testing.T) {
	s, ada := open(t, nil), browser(t)
	if status := s.send(t, ada, "POST", "/shop/api/support/messages", `{"text":"Is it dishwasher safe?"}`, nil); status != 201 {
		t.Fatal(status)
	}
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/shop/api/support/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := ada.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	next := func() (m Message) {
		t.Helper()
		for lines.Scan() {
			if data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: ")); ok {
				if err := json.Unmarshal(data, &m); err != nil {
					t.Fatal(err)
				}
				return m
			}
		}
		t.Fatal("the stream ended", lines.Err())
		return m
	}
	if m := next(); m.From != fromShopper || m.Text != "Is it dishwasher safe?" {
		t.Fatalf("%+v", m)
	}

	desk := browser(t)
	var list struct{ Chats []Chat }
	s.send(t, desk, "GET", "/shop/api/support/desk", "", &list)
	if len(list.Chats) != 1 || !list.Chats[0].Waiting {
		t.Fatalf("%+v", list)
	}
	if status := s.send(t, desk, "POST", "/shop/api/support/desk/"+list.Chats[0].Shopper, `{"text":"It is."}`, nil); status != 201 {
		t.Fatal(status)
	}
	if m := next(); m.From != fromDesk || m.Text != "It is." {
		t.Fatalf("%+v", m)
	}
	var bob struct{ Messages []Message }
	s.send(t, browser(t), "GET", "/shop/api/support/messages", "", &bob)
	if len(bob.Messages) != 0 {
		t.Fatalf("somebody else reads %+v", bob)
	}
}

func TestPages(t *testing.T) {
	s := open(t, nil)
	f := func(path string, wantStatus int, wantBody string) http.Header {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if cerr := resp.Body.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
		if resp.StatusCode != wantStatus || !strings.Contains(string(body), wantBody) {
			t.Errorf("%s: %d %q; want %d, %q", path, resp.StatusCode, body, wantStatus, wantBody)
		}
		if strings.Contains(string(body), nonceMark) {
			t.Errorf("%s: the nonce was not filled in", path)
		}
		return resp.Header
	}
	a, b := f("/shop/", 200, "<script nonce="), f("/shop/product/mug", 200, "<script nonce=")
	if csp := a.Get("Content-Security-Policy"); csp == "" || csp == b.Get("Content-Security-Policy") {
		t.Errorf("the policies must differ by their nonce: %q", csp)
	}
	f("/shop", 200, "<script nonce=")
	f("/shop/index.html", 200, "<script nonce=")
	f("/shop/assets/app.js", 200, "app")
	f("/shop/assets/none.js", 404, "")
}

// roundTrip is a collector without a network, so that time can be a test's own.
type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r), nil }

func TestCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type batch struct {
			WriteKey string `json:"writeKey"`
			Batch    []Call `json:"batch"`
		}
		var mu sync.Mutex
		var got []batch
		all := func() []batch {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(got)
		}
		var status atomic.Int64
		status.Store(http.StatusOK)
		collector := roundTrip(func(r *http.Request) *http.Response {
			var b batch
			if err := json.NewDecoder(r.Body).Decode(&b); err != nil || r.URL.String() != "http://collector/v1/batch" {
				t.Errorf("%s: %v", r.URL, err)
			}
			mu.Lock()
			defer mu.Unlock()
			got = append(got, b)
			return &http.Response{StatusCode: int(status.Load()), Body: http.NoBody}
		})
		var cfg Config
		cfg.Defaults()
		products, err := Catalogue()
		if err != nil {
			t.Fatal(err)
		}
		c, err := newCrowd(cfg, Deps{
			Collector: func() string { return "http://collector" },
			Client:    &http.Client{Transport: collector},
			Now:       time.Now, Log: slog.New(slog.DiscardHandler),
		}, products)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()

		time.Sleep(time.Minute)
		synctest.Wait()
		if rate := float64(len(all())) / 60; rate < 0.7*cfg.CrowdRate || rate > 1.3*cfg.CrowdRate {
			t.Errorf("%.1f events a second, want about %v", rate, cfg.CrowdRate)
		}
		names := map[string]bool{}
		for _, b := range all() {
			e := b.Batch[0]
			if b.WriteKey != CrowdWriteKey || !strings.HasPrefix(e.AnonymousID, "crowd-") || e.Context["crowd"] != true {
				t.Fatalf("%+v", b)
			}
			names[e.Type+e.Event] = true
		}
		for _, want := range []string{"page", "trackproduct_view", "trackcart_add", "trackwin", "trackloss", "trackpurchase"} {
			if !names[want] {
				t.Errorf("no %s among %v", want, names)
			}
		}

		quiet := func(why string, most int) {
			t.Helper()
			synctest.Wait()
			n := len(all())
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if more := len(all()) - n; more > most {
				t.Errorf("%s: %d events in ten minutes", why, more)
			}
		}
		c.Stop()
		quiet("stopped", 0)
		status.Store(http.StatusServiceUnavailable)
		c.Start()
		quiet("backing off", 30)
		status.Store(http.StatusOK)
		time.Sleep(time.Minute)
		synctest.Wait()
		if running, sent := c.Running(); !running || sent <= uint64(60) {
			t.Errorf("after the outage: running %v, %d sent", running, sent)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
