// Package demo owns the demo shop that --demo serves below /shop/: its
// catalogue and stock, orders with payment and invoices, the support chat, the
// definitions that ship with it, and the crowd of simulated shoppers.
//
// It does not own the shop's pages (web/shop), and it knows Heed only from the
// outside: pages and crowd send events to the collector like any other site.
package demo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/documents"
)

// Config is what can be set.
type Config struct {
	// Quiet keeps the simulated shoppers out until somebody lets them in.
	Quiet bool `yaml:"quiet"`
	// Empty keeps the sample history out until somebody asks for it.
	Empty bool `yaml:"empty"`
	// SampleUsers is how many people the sample history is of.
	SampleUsers int `yaml:"sample_users"`
	// CrowdRate is how many events a second they send together.
	CrowdRate float64 `yaml:"crowd_rate"`
	// CrowdSize is how many they are.
	CrowdSize int `yaml:"crowd_size"`
	// CrowdSeed makes what they do repeatable.
	CrowdSeed uint64 `yaml:"crowd_seed"`
}

// Defaults fills what is not set: a gentle crowd.
func (c *Config) Defaults() {
	if c.SampleUsers == 0 {
		c.SampleUsers = 8000
	}
	if c.CrowdRate == 0 {
		c.CrowdRate = 8
	}
	if c.CrowdSize == 0 {
		c.CrowdSize = 80
	}
	if c.CrowdSeed == 0 {
		c.CrowdSeed = 1
	}
}

// Validate refuses what would not be gentle.
func (c *Config) Validate() error {
	if c.SampleUsers < 1 || c.SampleUsers > 1_000_000 {
		return fmt.Errorf("sample_users %d: between 1 and 1000000 people", c.SampleUsers)
	}
	if c.CrowdRate <= 0 || c.CrowdRate > 1000 {
		return fmt.Errorf("crowd_rate %v: events a second, above 0 and at most 1000", c.CrowdRate)
	}
	if c.CrowdSize < 1 || c.CrowdSize > 100_000 {
		return fmt.Errorf("crowd_size %d: between 1 and 100000 shoppers", c.CrowdSize)
	}
	return nil
}

// Deps is what the shop needs from its surroundings.
type Deps struct {
	Documents documents.Store
	Files     fs.FS // the built pages: index.html and assets
	// Collector is the base address of the server that the crowd sends to; ""
	// while it does not listen yet. Nil: there is no crowd.
	Collector func() string
	Client    *http.Client // nil: one with sensible limits
	Now       func() time.Time
	Log       *slog.Logger
	Metrics   prometheus.Registerer // nil: none
}

// Shop is the demo shop. Its methods may be called concurrently.
type Shop struct {
	cfg     Config
	deps    Deps
	catalog map[string]Product
	order   []string // product ids as listed
	page    []byte   // index.html
	crowd   *Crowd

	mu      sync.Mutex
	closing chan struct{} // closed once Run ends: streams end with it
	closed  bool
	lastMsg int64 // the newest support message's time in its key
}

// New makes a shop; it does nothing before Register and Run.
func New(cfg Config, deps Deps) (*Shop, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	products, err := Catalogue()
	if err != nil {
		return nil, err
	}
	page, err := fs.ReadFile(deps.Files, "index.html")
	if err != nil {
		return nil, fmt.Errorf("demo: the shop's page: %w", err)
	}
	s := &Shop{
		cfg: cfg, deps: deps, page: page,
		catalog: make(map[string]Product, len(products)), closing: make(chan struct{}),
	}
	for _, p := range products {
		s.catalog[p.ID] = p
		s.order = append(s.order, p.ID)
	}
	if s.crowd, err = newCrowd(cfg, deps, products); err != nil {
		return nil, err
	}
	return s, nil
}

// Crowd is the crowd of simulated shoppers.
func (s *Shop) Crowd() *Crowd { return s.crowd }

// Run lets the crowd in, until ctx ends.
func (s *Shop) Run(ctx context.Context) error {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			s.closed = true
			close(s.closing)
		}
	}()
	return s.crowd.Run(ctx)
}

// Ready always is: the shop has nothing to wait for.
func (s *Shop) Ready() error { return nil }

// Register adds the shop's pages and its API below /shop/.
func (s *Shop) Register(mux *http.ServeMux) {
	api := http.NewServeMux()
	api.HandleFunc("GET /shop/api/products", s.products)
	api.HandleFunc("GET /shop/api/products/{id}", s.product)
	api.HandleFunc("POST /shop/api/orders", s.placeOrder)
	api.HandleFunc("GET /shop/api/orders", s.orders)
	api.HandleFunc("GET /shop/api/invoices/{number}", s.invoice)
	api.HandleFunc("GET /shop/api/support/messages", s.chat)
	api.HandleFunc("POST /shop/api/support/messages", s.ask)
	api.HandleFunc("GET /shop/api/support/stream", s.chatStream)
	api.HandleFunc("GET /shop/api/support/desk", s.desk)
	api.HandleFunc("GET /shop/api/support/desk/stream", s.deskStream)
	api.HandleFunc("GET /shop/api/support/desk/{shopper}", s.deskChat)
	api.HandleFunc("POST /shop/api/support/desk/{shopper}", s.answer)
	api.HandleFunc("GET /shop/api/crowd", s.crowdState)
	api.HandleFunc("POST /shop/api/crowd", s.setCrowd)
	api.HandleFunc("/shop/api/", func(w http.ResponseWriter, _ *http.Request) {
		fail(w, http.StatusNotFound, "not_found", "there is no such address")
	})
	// another site's page must not order, write or stop the crowd
	guarded := http.NewCrossOriginProtection().Handler(api)
	// with their methods, so that they sit beside a "GET /" of the console
	mux.Handle("GET /shop/api/", guarded)
	mux.Handle("POST /shop/api/", guarded)
	mux.HandleFunc("GET /shop/", s.pages)
	mux.Handle("GET /shop", http.RedirectHandler("/shop/", http.StatusFound))
}

// Limits of a request.
const (
	maxBody    = 16 << 10
	maxRetries = 50
)

// problem is the body of every refusal.
type problem struct {
	Error   string `json:"error"` // a word for programs
	Message string `json:"message"`
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone: nobody to tell
}

func fail(w http.ResponseWriter, status int, code, message string) {
	reply(w, status, problem{code, message})
}

// broken answers what is not the client's fault.
func (s *Shop) broken(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return
	}
	s.deps.Log.ErrorContext(r.Context(), "demo shop", "path", r.URL.Path, "err", err)
	w.Header().Set("Retry-After", "1")
	fail(w, http.StatusServiceUnavailable, "unavailable", "the shop cannot do that right now; try again")
}

// read decodes a request's body; it has answered already if ok is false.
func read(w http.ResponseWriter, r *http.Request, v any) (ok bool) {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		fail(w, http.StatusRequestEntityTooLarge, "too_large", "at most 16 KB, please")
	case err != nil || d.More():
		fail(w, http.StatusBadRequest, "bad_request", "the body must be one JSON object of the known fields")
	default:
		return true
	}
	return false
}

const shopperCookie = "heed_shopper"

// shopper tells whose cart this is: a random id in a cookie that only the
// shop's server reads. Given make, who has none gets one.
func shopper(w http.ResponseWriter, r *http.Request, create bool) string {
	if c, err := r.Cookie(shopperCookie); err == nil && validShopper(c.Value) {
		return c.Value
	}
	if !create {
		return ""
	}
	id := rand.Text()
	http.SetCookie(w, &http.Cookie{
		Name: shopperCookie, Value: id, Path: "/shop/", MaxAge: 90 * 24 * 3600,
		HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode,
	})
	return id
}

// validShopper keeps foreign bytes out of document keys: rand.Text is 26
// letters and digits.
func validShopper(id string) bool {
	if len(id) != 26 {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}
