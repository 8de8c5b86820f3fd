// Package app owns the putting together: the configuration tree, the data
// folder, which engine stands behind each contract, the graph of roles with
// their order of starting and stopping, and the HTTP listener.
//
// It owns no behaviour of a role.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"heed/internal/analytics"
	"heed/internal/analytics/audiences"
	"heed/internal/analytics/avrofiles"
	"heed/internal/analytics/eventsout"
	"heed/internal/backtest"
	"heed/internal/channel/email"
	"heed/internal/console"
	"heed/internal/decider"
	"heed/internal/demo"
	"heed/internal/driver/duckdb"
	"heed/internal/driver/kafka"
	"heed/internal/driver/mongo"
	"heed/internal/driver/pebble"
	"heed/internal/driver/redis"
	"heed/internal/engager"
	"heed/internal/eventlog/distinct"
	"heed/internal/express"
	"heed/internal/gateway"
	"heed/internal/measure"
	"heed/internal/period"
)

// The roles.
const (
	RoleGateway   = "gateway"
	RoleDecider   = "decider"
	RoleEngager   = "engager"
	RoleAnalytics = "analytics"
	RoleConsole   = "console"
)

// Roles lists what `--roles` takes.
func Roles() []string {
	return []string{RoleGateway, RoleDecider, RoleEngager, RoleAnalytics, RoleConsole}
}

// Config is the whole configuration. The YAML file has these keys; a variable
// HEED_GATEWAY_MAX_STREAMS is gateway.max_streams.
type Config struct {
	DataDir        string    `yaml:"data_dir"`
	Shape          string    `yaml:"shape"`  // embedded | distributed: the engines
	Secret         string    `yaml:"secret"` // of the installation, 64 hexadecimal digits; empty: the data folder's
	Listen         string    `yaml:"listen"`
	Advertise      string    `yaml:"advertise"`       // where the installation's other processes reach this one; empty: where it listens
	PublicURL      string    `yaml:"public_url"`      // where people reach Heed from outside: links in messages; empty: where it listens
	Roles          []string  `yaml:"roles"`           // empty: all
	Definitions    string    `yaml:"definitions"`     // folder loaded at start, read-only elsewhere
	Demo           bool      `yaml:"demo"`            // shop, its campaigns and its crowd
	AdminToken     string    `yaml:"admin_token"`     // presets a token of the admin API
	TrustedProxies []string  `yaml:"trusted_proxies"` // networks whose X-Forwarded-For is believed
	Memory         Bytes     `yaml:"memory"`          // split among rows, caches and buffers
	Zone           string    `yaml:"zone"`            // of days, weeks and months where a question names none
	WeekStart      string    `yaml:"week_start"`      // likewise
	LogFormat      string    `yaml:"log_format"`      // text | json
	LogLevel       string    `yaml:"log_level"`       // debug | info | warn | error
	Retention      Retention `yaml:"retention"`

	Store     pebble.Config            `yaml:"store"` // embedded only
	Kafka     kafka.Config             `yaml:"kafka"` // these three: distributed only
	Redis     redis.Config             `yaml:"redis"`
	Mongo     mongo.Config             `yaml:"mongo"`
	Dedup     distinct.Config          `yaml:"dedup"` // likewise
	Gateway   gateway.Config           `yaml:"gateway"`
	Decider   decider.Config           `yaml:"decider"`
	Engager   engager.Config           `yaml:"engager"`
	Email     email.Config             `yaml:"email"`
	Analytics analytics.Config         `yaml:"analytics"`
	Console   console.Config           `yaml:"console"`
	Backtest  backtest.Config          `yaml:"backtest"`
	Avro      avrofiles.Config         `yaml:"avro"`
	EventsOut eventsout.Config         `yaml:"events_out"`
	Facts     duckdb.Config            `yaml:"facts"`
	Behavior  analytics.BehaviorConfig `yaml:"behavior"`
	Audiences audiences.Config         `yaml:"audiences"`
	Shop      demo.Config              `yaml:"shop"`
}

// Defaults is what an empty configuration means.
func Defaults() Config {
	return Config{
		DataDir:   "heed-data",
		Shape:     Embedded,
		Listen:    "127.0.0.1:8080",
		Memory:    1 << 30,
		LogFormat: "text",
		LogLevel:  "info",
		Retention: Retention{Log: period.Period(31 * 24 * time.Hour), LogBytes: 32 << 30},
	}
}

// finish puts the shared settings where they belong and checks all of it.
func (c *Config) finish() error {
	for _, r := range c.Roles {
		if !slices.Contains(Roles(), r) {
			return fmt.Errorf("roles: %q is not one of %s", r, strings.Join(Roles(), ", "))
		}
	}
	if len(c.Roles) == 0 {
		c.Roles = Roles()
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("listen: %q is not like 127.0.0.1:8080", c.Listen)
	}
	if err := c.finishShape(); err != nil {
		return err
	}
	if u, err := url.Parse(c.PublicURL); c.PublicURL != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		return fmt.Errorf("public_url: %q is not like https://heed.shop.example", c.PublicURL)
	}
	if u, err := url.Parse(c.Advertise); c.Advertise != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "") {
		return fmt.Errorf("advertise: %q is not like http://heed-3.internal:8080", c.Advertise)
	}
	if c.Memory < 256<<20 {
		return errors.New("memory: at least 256MB are needed")
	}
	if _, err := (&measure.Query{Zone: c.Zone, WeekStart: c.WeekStart}).Frame(0); err != nil {
		return fmt.Errorf("zone or week_start: %w", err)
	}
	if c.Retention.Log.Duration() < time.Hour {
		return errors.New("retention.log: at least 1h is needed")
	}
	if c.Retention.LogBytes != 0 && c.Retention.LogBytes < 64<<20 {
		return errors.New("retention.log_bytes: at least 64MB are needed, or 0 for no cap")
	}
	if c.AdminToken != "" && len(c.AdminToken) < 32 {
		return errors.New("admin_token: at least 32 characters are needed (openssl rand -hex 32)")
	}
	if err := new(slog.LevelVar).UnmarshalText([]byte(c.LogLevel)); err != nil {
		return fmt.Errorf("log_level: %w", err)
	}
	if c.LogFormat != "text" && c.LogFormat != "json" {
		return fmt.Errorf("log_format: %q is not text or json", c.LogFormat)
	}

	c.Store.Dir = filepath.Join(c.DataDir, dbFolder)
	c.Console.AdminToken = c.AdminToken
	proxies, err := networks(c.TrustedProxies)
	if err != nil {
		return fmt.Errorf("trusted_proxies: %w", err)
	}
	c.Gateway.TrustedProxies, c.Console.TrustedProxies = proxies, proxies
	if c.Store.Memory == 0 {
		c.Store.Memory = min(int64(c.Memory)/8, 512<<20)
	}
	c.Facts.Dir = filepath.Join(c.DataDir, factsFolder)
	if c.Facts.Memory == 0 {
		c.Facts.Memory = int64(c.Memory) / 4
	}
	if c.Behavior.Memory == 0 {
		c.Behavior.Memory = int64(c.Memory) / 5
	}
	if c.Decider.CacheBytes == 0 {
		c.Decider.CacheBytes = int64(c.Memory) / 5
	}
	if c.Backtest.MemoryBytes == 0 {
		c.Backtest.MemoryBytes = min(int64(c.Memory)/8, 256<<20)
	}
	for _, part := range []struct {
		name string
		cfg  interface {
			Defaults()
			Validate() error
		}
	}{{"store", &c.Store}, {"gateway", &c.Gateway}, {"decider", &c.Decider}, {"engager", &c.Engager}, {"analytics", &c.Analytics}, {"console", &c.Console}, {"backtest", &c.Backtest}, {"avro", &c.Avro}, {"events_out", &c.EventsOut}, {"facts", &c.Facts}, {"behavior", &c.Behavior}, {"audiences", &c.Audiences}, {"email", &c.Email}, {"shop", &c.Shop}} {
		part.cfg.Defaults()
		if err := part.cfg.Validate(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

func (c *Config) has(role string) bool { return slices.Contains(c.Roles, role) }

// Process is what a run gets from the command line.
type Process struct {
	Version  string
	Out, Err io.Writer
}

// role is a part of the process with a life of its own.
type role struct {
	name  string
	run   func(context.Context) error
	ready func() error
	aside bool // without it the process is ready all the same
	later bool // it begins when the process is ready
}

// Run serves until ctx ends, then stops in order. Settings, definitions and
// data that cannot be used are an error before anything is served.
func Run(ctx context.Context, cfg Config, p Process) (err error) {
	if err := cfg.finish(); err != nil {
		return err
	}
	log := logger(cfg, p.Err)
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	ctx, die := context.WithCancelCause(ctx)
	defer die(nil)
	go keepMemory(ctx, int64(cfg.Memory))
	n, err := openNode(ctx, cfg, log, registry, die)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.close()) }()
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w (HEED_LISTEN or --listen chooses another address)", err)
	}
	base := baseURL(ln.Addr())
	if err := n.define(ctx); err != nil {
		return errors.Join(err, ln.Close())
	}
	mux, err := n.build(ctx, p.Version, base)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	withdraw, err := n.folder.announce(base, n.localToken)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	defer func() { err = errors.Join(err, withdraw()) }()
	n.greet(p.Out, base)
	return n.serve(ctx, ln, mux)
}

// stopTimeout bounds the stop of each role.
const stopTimeout = 15 * time.Second

// serve runs the roles and the listener. Roles end in order, from the gateway
// down the flow, so that what was accepted is still worked off. The listener
// closes last: until then /readyz says that the process is stopping, and what
// still comes is durable and waits for the next start.
func (n *node) serve(ctx context.Context, ln net.Listener, handler http.Handler) error {
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
	}
	lane := express.Listen(ln, n.express)
	g, gctx := errgroup.WithContext(ctx)
	ready := make(chan struct{})
	g.Go(func() error {
		defer close(ready)
		n.awaitReady(gctx)
		return nil
	})
	stops := make([]context.CancelFunc, len(n.roles))
	ended := make([]chan struct{}, len(n.roles))
	for i, r := range n.roles {
		rctx, stop := context.WithCancel(context.WithoutCancel(ctx))
		stops[i], ended[i] = stop, make(chan struct{})
		g.Go(func() error {
			defer close(ended[i])
			if r.later {
				select {
				case <-ready:
				case <-rctx.Done(): // it still has to close what is open
				}
			}
			if err := r.run(rctx); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			if gctx.Err() == nil {
				return fmt.Errorf("%s: ended by itself", r.name)
			}
			return nil
		})
	}
	g.Go(func() error {
		if err := srv.Serve(lane); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	stuck := make(chan error, 1)
	g.Go(func() error {
		<-gctx.Done()
		n.log.Info("stopping")
		for i := range n.roles { // the gateway ends its streams first, or Shutdown would wait for them
			stops[i]()
			select {
			case <-ended[i]:
			case <-time.After(stopTimeout):
				err := fmt.Errorf("%s did not stop within %s; the next start goes on where it was", n.roles[i].name, stopTimeout)
				stuck <- err
				return err
			}
		}
		sctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		if err := errors.Join(srv.Shutdown(sctx), lane.Drain(sctx)); err != nil {
			n.log.Info("connections that did not end in time are cut off", "err", err)
			return srv.Close()
		}
		return nil
	})
	done := make(chan error, 1)
	go func() { done <- g.Wait() }()
	var err error
	select {
	case err = <-done:
	case err = <-stuck: // what hangs is left to the end of the process
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return err
}

// startTimeout is when what begins later begins though the process is not ready.
const startTimeout = 10 * time.Second

// awaitReady waits until the process is ready, but not for what may never come.
func (n *node) awaitReady(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for n.readiness() != nil {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
}

func logger(cfg Config, w io.Writer) *slog.Logger {
	var level slog.LevelVar
	_ = level.UnmarshalText([]byte(cfg.LogLevel)) // checked by finish
	opts := &slog.HandlerOptions{Level: &level}
	if cfg.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// baseURL is the address to open; a listener on every address is reached by
// the loopback one.
func baseURL(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "http://" + addr.String()
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}
