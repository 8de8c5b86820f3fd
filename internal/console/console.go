// Package console owns the admin API and the pages: who may sign in and do
// what, the answers to api/openapi.yaml, and serving the built pages.
//
// It does not own what it shows: definitions over time (catalog), the live feed
// (analytics), progress of triggers (decider) and content (engager) come in
// through interfaces.
package console

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/catalog"
	"heed/internal/console/analysis"
	"heed/internal/console/api"
	"heed/internal/console/explain"
	"heed/internal/console/pages"
	"heed/internal/console/reaching"
	"heed/internal/console/sending"
	"heed/internal/console/signin"
	"heed/internal/console/trial"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/eventlog"
	"heed/internal/peer"
	"heed/internal/userstate"
)

// Config is what an operator may set.
type Config struct {
	// AdminToken presets a token with all rights, for automation.
	AdminToken string `yaml:"-"`
	// SessionIdle ends a session that was not used for so long.
	SessionIdle time.Duration `yaml:"session_idle"`
	// SessionMax ends every session.
	SessionMax time.Duration `yaml:"session_max"`
	// ScanBudget bounds the time of one answer that searches the log or the
	// profiles.
	ScanBudget time.Duration `yaml:"scan_budget"`
	// TrustedProxies are the networks whose X-Forwarded-For and
	// X-Forwarded-Proto are believed.
	TrustedProxies []netip.Prefix `yaml:"-"`
}

// Defaults fills what is zero.
func (c *Config) Defaults() {
	if c.SessionIdle == 0 {
		c.SessionIdle = 24 * time.Hour
	}
	if c.SessionMax == 0 {
		c.SessionMax = 14 * 24 * time.Hour
	}
	if c.ScanBudget == 0 {
		c.ScanBudget = 2 * time.Second
	}
}

// minTokenBytes keeps a preset token from being guessed.
const minTokenBytes = 16

// Validate says what is wrong.
func (c *Config) Validate() error {
	switch {
	case c.AdminToken != "" && len(c.AdminToken) < minTokenBytes:
		return fmt.Errorf("admin_token has %d characters: at least %d", len(c.AdminToken), minTokenBytes)
	case c.SessionIdle < time.Minute:
		return fmt.Errorf("session_idle is %s: at least 1m", c.SessionIdle)
	case c.SessionMax < c.SessionIdle:
		return fmt.Errorf("session_max is %s: not below session_idle", c.SessionMax)
	case c.ScanBudget < 10*time.Millisecond || c.ScanBudget > 30*time.Second:
		return fmt.Errorf("scan_budget is %s: 10ms to 30s", c.ScanBudget)
	}
	return nil
}

// Definitions keeps what people define; *catalog.Catalog does.
type Definitions interface {
	Current() *definition.Set
	Get(ctx context.Context, k definition.Kind, name string) (catalog.Record, error)
	List(ctx context.Context, k definition.Kind) ([]catalog.Record, error)
	Versions(ctx context.Context, k definition.Kind, name string) ([]catalog.Record, error)
	Apply(ctx context.Context, docs []definition.Document, o catalog.Options) (catalog.Result, error)
	Export(ctx context.Context) ([]byte, error)
	Draft(ctx context.Context, d definition.Document) (any, error)
}

// Live tells what happens now. Events and Deliveries list, oldest first, what
// came behind the sequence number after; missed is how many of it were lost to
// the bounds of the feed. An empty user means all.
type Live interface {
	Stats() api.LiveStats
	Names() []api.NameCount
	// Fields lists what events of a name carried.
	Fields(name string) []api.EventField
	Events(after uint64, user string) (events []api.EventSummary, next uint64, missed int64)
	Deliveries(after uint64, user string) (deliveries []api.Delivery, next uint64, missed int64)
	// Watch keeps the user's events from being sampled away until cancel.
	Watch(user string) (cancel func())
	// Report counts the outcomes of a campaign.
	Report(campaign string) api.CampaignReport
}

// Progress tells how far the users are in triggers.
type Progress interface {
	Progress(ctx context.Context) ([]api.TriggerProgress, error)
	Explain(ctx context.Context, user string) ([]api.UserTrigger, error)
	ExplainTrigger(ctx context.Context, user, trigger string) (api.TriggerExplanation, error)
}

// BadEvents tells what the collector refused, newest first.
type BadEvents interface {
	BadEvents(ctx context.Context, limit int) ([]api.BadEvent, error)
}

// Health tells how the process fares.
type Health interface {
	Health(ctx context.Context) (api.Health, error)
}

// Demo drives the simulated shoppers.
type Demo interface {
	// Demo is the state of both; without a demo shop it is not enabled.
	Demo() api.Demo
	SetCrowd(ctx context.Context, running bool) error
	// LoadSample begins to load the history, if that is not done yet.
	LoadSample()
}

// Deps are what the console works with. Live, Progress, BadEvents, Health, Demo,
// Backtests, Facts, Measures, Traits, Audiences, Alerts, Sends, Sender and Tries may be nil: the answers then say
// what is missing.
type Deps struct {
	Log         eventlog.Log
	Documents   documents.Store
	State       userstate.Store
	Definitions Definitions
	Live        Live
	Progress    Progress
	BadEvents   BadEvents
	Health      Health
	Demo        Demo
	Backtests   Backtests
	Facts       analysis.Facts
	Measures    analysis.Measures
	Traits      analysis.Traits
	Audiences   analysis.Audiences
	Alerts      analysis.Alerts
	Sends       Sends
	Sender      explain.Sender
	// Sending is what steers sending: its Engager and Members, or nil.
	Sending sending.Deps
	Tries   trial.Tries
	// Reach is who may be written to: its Book and Profiles, and its Imports or nil.
	Reach reaching.Deps
	// Peers are the processes of the installation; nil: this is the only one.
	Peers *peer.Directory
	// Collector is where a gateway is, if that is not where the console is; nil, or "":
	// it is.
	Collector func() string
	// Inner answers the other processes only: nobody signs in here.
	Inner bool
	// Pages holds index.html and its assets.
	Pages fs.FS
	// LocalToken is the token in the data folder, for the command line.
	LocalToken string
	Version    string
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Clock      func() time.Time
	// Random fills b with unguessable bytes; nil: the system's.
	Random func(b []byte)
}

// Console is the role. Its methods may be called concurrently.
type Console struct {
	cfg        Config
	deps       Deps
	log        *slog.Logger
	now        func() time.Time
	passwords  *signin.Passwords
	throttle   *signin.Throttle
	crossOrig  *http.CrossOriginProtection
	setupToken string
	pages      *pages.Pages
	analysis   *analysis.Handlers
	needs      map[string]need
	logins     *prometheus.CounterVec
	streams    prometheus.Gauge
	stopping   chan struct{}
	open       atomic.Int64 // live views
}

// New checks the configuration and reads whether a first member exists.
func New(cfg Config, deps Deps) (*Console, error) {
	cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	if deps.Log == nil || deps.Documents == nil || deps.State == nil || deps.Definitions == nil {
		return nil, errors.New("console: log, documents, state and definitions are needed")
	}
	if deps.Reach.Book == nil || deps.Reach.Profiles == nil {
		return nil, errors.New("console: what knows who may be written to is needed")
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	if deps.Random == nil {
		deps.Random = func(b []byte) { _, _ = rand.Read(b) } // never fails
	}
	c := &Console{
		cfg: cfg, deps: deps, log: deps.Logger, now: deps.Clock,
		passwords: signin.NewPasswords(deps.Random),
		throttle:  signin.NewThrottle(),
		needs:     needs(),
		crossOrig: http.NewCrossOriginProtection(),
		stopping:  make(chan struct{}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heed_console_logins_total", Help: "Attempts to sign in, by outcome.",
		}, []string{"outcome"}),
		streams: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "heed_console_streams", Help: "Open live views.",
		}),
	}
	known := analysis.Deps{
		Definitions: deps.Definitions, Facts: deps.Facts, Measures: deps.Measures, Traits: deps.Traits, Audiences: deps.Audiences, Alerts: deps.Alerts,
		Summary: c.summaryOf, Logger: c.log, Clock: c.now,
	}
	if deps.Live != nil {
		known.Fields = deps.Live.Fields
	}
	c.analysis = analysis.New(known)
	c.setupToken = c.randomText(20)
	if deps.Pages != nil {
		p, err := pages.New(deps.Pages)
		if err != nil {
			return nil, fmt.Errorf("console: %w", err)
		}
		c.pages = p
	}
	if deps.Registerer != nil {
		for _, m := range []prometheus.Collector{c.logins, c.streams} {
			if err := deps.Registerer.Register(m); err != nil {
				return nil, fmt.Errorf("console: %w", err)
			}
		}
	}
	return c, nil
}

// SetupToken is the one-time token for the first administrator; "" if there is
// a member already.
func (c *Console) SetupToken(ctx context.Context) (string, error) {
	has, err := c.hasMembers(ctx)
	if err != nil || has {
		return "", err
	}
	return c.setupToken, nil
}

// Register adds the admin API and, as the fallback, the pages.
func (c *Console) Register(mux *http.ServeMux) {
	mux.Handle("/api/", c.handler())
	if c.pages != nil {
		mux.Handle("/", c.pages)
	}
}

// sweepEvery is how often ended sessions are removed.
const sweepEvery = time.Hour

// Run removes what has expired, until ctx ends; open live views end with it.
func (c *Console) Run(ctx context.Context) error {
	defer close(c.stopping)
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := c.sweep(ctx); err != nil && ctx.Err() == nil {
			c.log.Warn("could not remove ended sessions", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Ready is nil: the console needs nothing of its own.
func (c *Console) Ready() error { return nil }
