// Package redis is the driver of userstate and inbox on Redis: one server, one that
// sentinels choose, or a cluster. It owns the keys there (docs/format/redis.md), the scripts that make a
// commit one step, and what a server must be like to be trusted with it.
//
// A partition's keys share a hash tag, so a script finds them on one node. Every
// script may run twice with the effect of once: who gets no answer asks again and
// is told what happened, nothing is assumed.
//
// It does not own what the bytes mean, and not the log: intents wait in an outbox
// until the partition's owner has appended them to an eventlog.Log.
package redis

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrUnavailable: there was no answer in time, or the server cannot write now. What
// was asked may have been done. Who asks for the same again does no harm; an owner
// of a partition opens it again and sees.
var ErrUnavailable = errors.New("redis: unavailable")

// conn is the way to the server that leads, or to a cluster. Its methods may be
// called concurrently.
type conn struct {
	cfg     Config
	opts    *redis.UniversalOptions
	logger  *slog.Logger
	client  redis.UniversalClient
	cluster *redis.ClusterClient // nil: one server
	closed  atomic.Bool
}

// connect finds out whether it is a cluster, and checks that it keeps what is
// written, in so far as the demand says.
func connect(ctx context.Context, cfg Config, deps Deps, d demand) (*conn, error) {
	cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	quiet()
	opts, err := cfg.options()
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	c := &conn{cfg: cfg, opts: opts, logger: deps.Logger}
	if err := c.dial(ctx); err != nil {
		return nil, fmt.Errorf("redis: servers %s: %w", cfg.servers(), err)
	}
	if err := c.check(ctx, d); err != nil {
		_ = c.close()
		return nil, fmt.Errorf("redis: servers %s: %w", cfg.servers(), err)
	}
	if cfg.Password != "" && !cfg.TLS.Enabled {
		c.logger.Warn("the password of Redis goes over the network in the clear: enable tls, or trust the network", "servers", cfg.servers())
	}
	return c, nil
}

// quiet keeps the library from printing, past the logs, what comes back as errors.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silence{}) }) //nolint:gochecknoglobals // the library's logger is one a process

type silence struct{}

// Printf implements the library's logger.
func (silence) Printf(context.Context, string, ...any) {}

func (c *conn) dial(ctx context.Context) error {
	if c.cfg.Sentinel.set() {
		c.client = redis.NewFailoverClient(c.opts.Failover()) // check finds out whether they answer
		return nil
	}
	var errs error
	for _, addr := range c.cfg.Addrs {
		simple := c.opts.Simple()
		simple.Addr = addr
		one := redis.NewClient(simple)
		c.client = one
		var said info
		err := c.try(ctx, func(ctx context.Context) (err error) {
			said, err = infoOf(ctx, one)
			return err
		})
		switch {
		case err != nil:
			_ = one.Close()
			errs = errors.Join(errs, fmt.Errorf("%s: %w", addr, err))
			continue
		case said["cluster_enabled"] == "1":
			_ = one.Close()
			c.cluster = redis.NewClusterClient(c.opts.Cluster())
			c.client = c.cluster
			return nil
		case len(c.cfg.Addrs) > 1:
			_ = one.Close()
			return fmt.Errorf("addrs: %s is no node of a cluster: name this server alone, or nodes of a cluster", addr)
		}
		return nil
	}
	return errs
}

// Ping tells whether the server answers.
func (c *conn) Ping(ctx context.Context) error {
	if err := c.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("servers %s: %w", c.cfg.servers(), err)
	}
	return nil
}

func (c *conn) close() error {
	if c.closed.Swap(true) {
		return nil
	}
	return c.client.Close()
}

// Waits before a server is asked again.
const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = 500 * time.Millisecond
)

// errForgotten: no sentinel could tell which server leads.
var errForgotten = errors.New("the sentinels do not know the master any more")

// try asks until there is an answer, for the configured time at most.
func (c *conn) try(ctx context.Context, ask func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	for backoff := minBackoff; ; backoff = min(2*backoff, maxBackoff) {
		err := ask(bounded)
		if errors.Is(err, redis.Nil) && err != redis.Nil { //nolint:errorlint // alone it is an answer, "nothing"
			err = errForgotten
		}
		switch {
		case err == nil || errors.Is(err, redis.Nil):
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !temporary(err):
			return advise(err)
		}
		wait := time.NewTimer(backoff)
		select {
		case <-wait.C:
		case <-bounded.Done():
		}
		wait.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if bounded.Err() != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, advise(err))
		}
		if c.cluster != nil {
			c.cluster.ReloadState(bounded)
		}
	}
}

// run runs a script whose keys share a hash tag.
func (c *conn) run(ctx context.Context, s *redis.Script, keys []string, args ...any) (answer any, err error) {
	err = c.try(ctx, func(ctx context.Context) (err error) {
		answer, err = s.Run(ctx, c.client, keys, args...).Result()
		return err
	})
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	return answer, err
}

// errReplicas: too few replicas have what was written.
var errReplicas = errors.New("too few replicas have it")

// runReplicated is run, and waits until the configured number of replicas have what
// the script wrote. The script must write, also when it has been run before: the
// server waits for what this connection wrote.
func (c *conn) runReplicated(ctx context.Context, s *redis.Script, keys []string, args ...any) (answer any, err error) {
	if c.cfg.Replicas == 0 {
		return c.run(ctx, s, keys, args...)
	}
	err = c.try(ctx, func(ctx context.Context) (err error) {
		node, _ := c.client.(*redis.Client)
		if c.cluster != nil {
			if node, err = c.cluster.MasterForKey(ctx, keys[0]); err != nil {
				return err
			}
		}
		one := node.Conn()
		defer func() { _ = one.Close() }() // goes back to the others
		if answer, err = s.Run(ctx, one, keys, args...).Result(); err != nil {
			return err
		}
		have, err := one.Wait(ctx, c.cfg.Replicas, c.cfg.Timeout/tries).Result()
		if err == nil && have < int64(c.cfg.Replicas) {
			err = fmt.Errorf("%w: %d of %d", errReplicas, have, c.cfg.Replicas)
		}
		return err
	})
	return answer, err
}

// temporary tells whether it makes sense to ask again.
func temporary(err error) bool {
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		return false
	}
	if errors.Is(err, redis.ErrClosed) {
		return false
	}
	if _, said := errors.AsType[redis.Error](err); !said {
		return true // the network's, or ours
	}
	for _, code := range []string{
		"LOADING", "READONLY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "MOVED", "ASK", "BUSY", "MISCONF", "OOM", "NOREPLICAS",
		"max number of clients",
	} {
		if redis.HasErrorPrefix(err, code) {
			return true
		}
	}
	return false
}

// advise says what to do about an answer.
func advise(err error) error {
	for code, todo := range map[string]string{
		"OOM":        "Redis is at its maxmemory: raise it, or spread the partitions over more nodes",
		"MISCONF":    "Redis cannot write to its disk: see its log",
		"NOAUTH":     "it asks for a password: set user and password",
		"WRONGPASS":  "user or password is wrong",
		"NOPERM":     "the user may not do it: docs/format/redis.md lists what is used",
		"READONLY":   "it is a replica: name the server that it follows",
		"NOREPLICAS": "its own min-replicas-to-write is not reached",
		"WRONGTYPE":  "another program uses the same keys: set another prefix",

		"No such master": "the sentinels watch over no such master: name it as `sentinel monitor` in their configuration does",
	} {
		if redis.HasErrorPrefix(err, code) {
			return fmt.Errorf("%s: %w", todo, err)
		}
	}
	return err
}

// token is a name that nobody else has.
func token() string { return rand.Text() }
