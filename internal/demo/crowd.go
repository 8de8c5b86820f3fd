package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Crowd is the simulated shoppers. They are users crowd-1, crowd-2, ... of the
// source shop-crowd, and every event of theirs says context.crowd, so that
// nobody takes them for people. Start and Stop may be called concurrently.
type Crowd struct {
	cfg      Config
	deps     Deps
	client   *http.Client
	products []Product

	mu      sync.Mutex
	running bool
	changed chan struct{} // closed when running changes
	sent    uint64

	events *prometheus.CounterVec
}

func newCrowd(cfg Config, deps Deps, products []Product) (*Crowd, error) {
	c := &Crowd{
		cfg: cfg, deps: deps, client: deps.Client, products: products,
		running: !cfg.Quiet && deps.Collector != nil, changed: make(chan struct{}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heed_demo_crowd_events_total",
			Help: "Events of simulated shoppers, by how the collector answered.",
		}, []string{"result"}),
	}
	if c.client == nil {
		c.client = &http.Client{Timeout: 10 * time.Second}
	}
	if deps.Metrics != nil {
		if err := deps.Metrics.Register(c.events); err != nil {
			return nil, fmt.Errorf("demo: %w", err)
		}
	}
	return c, nil
}

// Start lets the shoppers in; Stop sends them home.
func (c *Crowd) Start() { c.set(true) }

// Stop sends them home until Start.
func (c *Crowd) Stop() { c.set(false) }

func (c *Crowd) set(running bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if running == c.running || c.deps.Collector == nil {
		return
	}
	c.running = running
	close(c.changed)
	c.changed = make(chan struct{})
}

// Running tells whether shoppers are about, and how many events they sent.
func (c *Crowd) Running() (running bool, sent uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running, c.sent
}

func (c *Crowd) state() (running bool, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running, c.changed
}

// Longest pauses.
const (
	maxBackoff = 30 * time.Second
	maxPause   = 5 * time.Second // between events
)

// Run sends events at the configured rate while started, until ctx ends.
func (c *Crowd) Run(ctx context.Context) error {
	rng := rand.New(rand.NewPCG(c.cfg.CrowdSeed, 0))
	people := make([]Shopper, c.cfg.CrowdSize)
	for i := range people {
		people[i] = Shopper{ID: "crowd-" + strconv.Itoa(i+1)}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	backoff := time.Duration(0)
	for {
		running, changed := c.state()
		due := timer.C
		if !running {
			due = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			continue
		case <-due:
		}
		// gaps of a Poisson stream: irregular, like people
		pause := min(time.Duration(rng.ExpFloat64()/c.cfg.CrowdRate*float64(time.Second)), maxPause)
		if base := c.deps.Collector(); base != "" {
			v := &people[rng.IntN(len(people))]
			if err := c.post(ctx, base, v.Next(rng, c.products)); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				if backoff == 0 {
					c.deps.Log.WarnContext(ctx, "the demo's crowd cannot send", "err", err)
				}
				backoff = min(max(2*backoff, time.Second), maxBackoff)
				pause = backoff
			} else {
				backoff = 0
			}
		}
		timer.Reset(pause)
	}
}

// Call is an event as the collector takes it.
type Call struct {
	Type        string         `json:"type"`
	Event       string         `json:"event,omitempty"`
	AnonymousID string         `json:"anonymousId"`
	Timestamp   time.Time      `json:"timestamp"`
	Properties  map[string]any `json:"properties,omitempty"`
	Context     map[string]any `json:"context"`
}

// post sends one event, as a browser would.
func (c *Crowd) post(ctx context.Context, base string, e Call) error {
	e.Timestamp = c.deps.Now().UTC()
	body, err := json.Marshal(map[string]any{"writeKey": CrowdWriteKey, "batch": []Call{e}})
	if err != nil {
		return fmt.Errorf("crowd: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/batch", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("crowd: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(req)
	if err != nil {
		c.events.WithLabelValues("error").Inc()
		return fmt.Errorf("crowd: %w", err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // only to use the connection again
	if err := resp.Body.Close(); err != nil {
		return fmt.Errorf("crowd: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		c.events.WithLabelValues("refused").Inc()
		return fmt.Errorf("crowd: the collector answered %s", resp.Status)
	}
	c.events.WithLabelValues("accepted").Inc()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent++
	return nil
}

// Shopper is one simulated shopper: where they are on their way.
type Shopper struct {
	ID      string // the anonymous id of their calls
	viewing *Product
	cart    []*Product
	orders  int
}

// Next is what the shopper does next: they look around, come back to a product,
// put it in the cart, buy or forget it, and play. When, the caller says.
func (s *Shopper) Next(rng *rand.Rand, products []Product) Call {
	track := func(event string, properties map[string]any) Call {
		return s.call("track", event, properties)
	}
	switch p := rng.Float64(); {
	case len(s.cart) > 0 && p < 0.18:
		return s.buy(rng)
	case s.viewing != nil && p < 0.35:
		s.cart = append(s.cart, s.viewing)
		bought := s.viewing
		s.viewing = nil
		return track("cart_add", map[string]any{"product_id": bought.ID, "name": bought.Name, "price": money(bought.Cents)})
	case p < 0.62:
		if s.viewing == nil || rng.IntN(3) > 0 {
			s.viewing = &products[rng.IntN(len(products))]
		}
		return track("product_view", map[string]any{"product_id": s.viewing.ID, "name": s.viewing.Name, "price": money(s.viewing.Cents)})
	case p < 0.78:
		if rng.Float64() < 0.4 {
			return track("win", map[string]any{"game": "spin", "prize": 5 * (1 + rng.IntN(4))})
		}
		return track("loss", map[string]any{"game": "spin"})
	default:
		pages := []string{"/shop/", "/shop/cart", "/shop/spin", "/shop/support"}
		where := pages[rng.IntN(len(pages))]
		c := s.call("page", "", nil)
		c.Context["page"] = map[string]any{"path": where, "title": "Hearth & Home (simulated)"}
		return c
	}
}

func (s *Shopper) buy(rng *rand.Rand) Call {
	if rng.Float64() < 0.1 {
		return s.call("track", "payment_failed", map[string]any{"reason": "declined"})
	}
	var revenue int64
	lines := make([]map[string]any, 0, len(s.cart))
	for _, p := range s.cart {
		revenue += p.Cents
		lines = append(lines, map[string]any{"product_id": p.ID, "price": money(p.Cents), "quantity": 1})
	}
	s.orders++
	s.cart = nil
	return s.call("track", "purchase", map[string]any{
		"order_id": s.ID + "-" + strconv.Itoa(s.orders), "revenue": money(revenue), "products": lines,
	})
}

func (s *Shopper) call(kind, event string, properties map[string]any) Call {
	return Call{
		Type: kind, Event: event, AnonymousID: s.ID, Properties: properties,
		Context: map[string]any{"crowd": true, "userAgent": "heed-shop-crowd"},
	}
}

func money(cents int64) float64 { return float64(cents) / 100 }

// crowdInfo is what the shop's footer shows and sets.
type crowdInfo struct {
	Running bool    `json:"running"`
	Rate    float64 `json:"rate"`
	Sent    uint64  `json:"sent"`
}

func (s *Shop) crowdState(w http.ResponseWriter, _ *http.Request) {
	running, sent := s.crowd.Running()
	reply(w, http.StatusOK, crowdInfo{running, s.cfg.CrowdRate, sent})
}

func (s *Shop) setCrowd(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Running *bool `json:"running"`
	}
	if !read(w, r, &req) {
		return
	}
	if req.Running == nil {
		fail(w, http.StatusUnprocessableEntity, "running", "say running: true or false")
		return
	}
	s.crowd.set(*req.Running)
	s.crowdState(w, r)
}
