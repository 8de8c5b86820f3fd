// Package gateway owns the public HTTP side: collecting events by write key and
// answering only once they are durable, the limits and rules of what is taken,
// and bringing a user's messages to the page (reply, stream, slots) and their
// acknowledgements back.
//
// It does not own what events mean (decider) nor which messages there are
// (engager): it never decides and never renders.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/eventlog"
	"heed/internal/express"
	"heed/internal/inbox"
	"heed/internal/profile"
)

// Definitions hands out the definitions in force.
type Definitions interface{ Current() *definition.Set }

// Profiles reads the Decider's profiles; nil if nothing is known of a user.
type Profiles interface {
	Profile(ctx context.Context, user string) (*profile.Profile, error)
}

// Deps is what the gateway works with.
type Deps struct {
	Log         eventlog.Log
	Inbox       inbox.Inbox
	Documents   documents.Store // of the bad events
	Definitions Definitions
	// Profiles tells known users from anonymous ones: both have ids of the
	// same kind, and only for known users is an id no key to their messages.
	Profiles Profiles
	Pull     Pull
	Devices  Devices
	Tracker  fs.FS        // holds heed.js, heed-push.js and heed-sw.js
	Ready    func() error // of the whole process, for /readyz; nil: this role's
	// Stopped tells whether all sending is stopped; nil: it never is.
	Stopped func() bool

	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: no metrics
	Clock      func() time.Time      // nil: time.Now
}

// Gateway is the role. Its handlers may be called concurrently; Run once.
type Gateway struct {
	cfg      Config
	deps     Deps
	log      *slog.Logger
	clock    func() time.Time
	kept     queryList
	ring     atomic.Pointer[keyring]
	ringMu   sync.Mutex // one rebuild at a time
	requests sync.Pool  // *request
	outgoing sync.Pool  // *outgoing
	meters   meters
	agents   agents
	streams  streams
	bad      badEvents
	scripts  map[string]script
	metrics  *metrics

	partitions int
	stopping   chan struct{} // closed when streams must end
	stopOnce   sync.Once
}

// New checks the configuration and prepares what is served.
func New(cfg Config, deps Deps) (*Gateway, error) {
	cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if deps.Log == nil || deps.Inbox == nil || deps.Documents == nil || deps.Definitions == nil || deps.Profiles == nil || deps.Pull == nil || deps.Devices == nil || deps.Tracker == nil {
		return nil, errors.New("gateway: a dependency is missing")
	}
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{
		cfg: cfg, deps: deps, log: deps.Logger, clock: deps.Clock, kept: newQueryList(cfg.QueryParameters),
		partitions: deps.Log.Partitions(), stopping: make(chan struct{}),
	}
	var err error
	if g.scripts, err = loadScripts(deps.Tracker); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if g.metrics, err = newMetrics(deps.Registerer, g); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	g.streams.init()
	g.bad.init()
	g.keys()
	return g, nil
}

// Register adds the public endpoints to a mux.
func (g *Gateway) Register(mux *http.ServeMux) {
	// Each method by itself, so that no pattern meets one like "GET /" of others;
	// also those that the handlers refuse, rather than a page of the console.
	methods := []string{http.MethodGet, http.MethodPost, http.MethodOptions, http.MethodPut, http.MethodPatch, http.MethodDelete}
	handle := func(path string, h http.Handler) {
		for _, method := range methods {
			mux.Handle(method+" "+path, h)
			mux.Handle(method+" "+path+"/{$}", h)
		}
	}
	for _, c := range calls {
		handle("/v1/"+c.path, collector{g, c})
		handle("/v1/"+c.short, collector{g, c})
	}
	handle("/v1/messages/stream", http.HandlerFunc(g.serveStream))
	handle("/v1/messages/{id}/{state}", http.HandlerFunc(g.serveAdvance))
	handle("/v1/slots/{slot}", http.HandlerFunc(g.serveSlot))
	handle("/v1/pull/{collection}/{key}", http.HandlerFunc(g.servePull))
	handle("/v1/push/key", http.HandlerFunc(g.servePushKey))
	handle("/v1/push/subscribe", http.HandlerFunc(g.serveSubscribe))
	handle("/v1/push/unsubscribe", http.HandlerFunc(g.serveUnsubscribe))
	for _, method := range methods {
		mux.HandleFunc(method+" /v1/", func(w http.ResponseWriter, _ *http.Request) {
			g.refuse(w, http.StatusNotFound, "there is no such call")
		})
	}
	for name, s := range g.scripts {
		mux.HandleFunc("GET /"+name, s.serve)
	}
	mux.HandleFunc("GET /test", g.serveTest)
	g.RegisterHealth(mux)
}

// Express says how collecting is served without net/http: the calls that
// neither wait for an answer nor ask for more than the headers that are read.
func (g *Gateway) Express() express.Config {
	paths := map[string]http.Handler{}
	for _, c := range calls {
		paths["/v1/"+c.path] = collector{g, c}
		paths["/v1/"+c.short] = collector{g, c}
	}
	return express.Config{
		Paths:     paths,
		Headers:   []string{"Authorization", "Content-Encoding", "Origin", "User-Agent", "Sec-Gpc", "X-Forwarded-For"},
		Elsewhere: []string{"wait"},
		Logger:    g.log,
	}
}

// RegisterHealth adds /healthz and /readyz, for a process without this role.
func (g *Gateway) RegisterHealth(mux *http.ServeMux) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		ready := g.deps.Ready
		if ready == nil {
			ready = g.Ready
		}
		if err := ready(); err != nil {
			w.Header().Set("Retry-After", "1")
			plain(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		plain(w, http.StatusOK, "ready")
	})
}

func plain(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h["Content-Type"] = contentText
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // a client that went away is no matter
}

// Header values that every answer shares.
//
//nolint:gochecknoglobals // constants that Go has no form for; setting them as they are saves an allocation
var (
	contentJSON = []string{"application/json"}
	contentText = []string{"text/plain; charset=utf-8"}
	noStore     = []string{"no-store"}
	noSniff     = []string{"nosniff"}
)

// Ready tells whether events can be taken.
func (g *Gateway) Ready() error {
	select {
	case <-g.stopping:
		return errors.New("stopping")
	default:
	}
	if len(g.keys().sources) == 0 {
		return errors.New("there is no source yet")
	}
	return nil
}

// Run writes the record of bad events until ctx ends; then streams end, calls
// wait no longer, and what is left of the record is written.
func (g *Gateway) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { g.stopOnce.Do(func() { close(g.stopping) }) })
	defer stop()
	g.bad.run(ctx, g)
	if !g.streams.drained(2 * time.Second) {
		g.log.Info("streams are left to be cut off: their clients do not read", "streams", g.streams.count())
	}
	return nil
}
