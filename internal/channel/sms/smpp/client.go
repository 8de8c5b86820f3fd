// Package smpp owns a session with a message centre that speaks SMPP 3.4: it binds
// as a transceiver, keeps the line alive, binds again after a break, submits
// segments within a window and a rate, and hands on what comes back.
//
// It does not own how a text becomes segments (segment), what comes of receipts
// and messages (sms), or when a send is tried again (engager). Its errors are
// *channel.Error: a submit that was written and not answered is Uncertain.
package smpp

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"heed/internal/channel"
	"heed/internal/clienttls"
)

// Config is an account at a message centre. Zero durations mean the defaults.
type Config struct {
	Host       string
	Port       int
	TLS        clienttls.Config
	SystemID   string
	Password   string
	SystemType string
	Window     int // submits that wait for their answer
	PerSecond  int // submits; 0: no limit

	Answer  time.Duration // how long an answer may take; default 10 s
	Enquire time.Duration // between looks whether the line is alive; default 30 s
	Pause   time.Duration // before the first attempt to bind again, doubled with each; default 1 s, at most a minute
}

const (
	defaultAnswer  = 10 * time.Second
	defaultEnquire = 30 * time.Second
	defaultPause   = time.Second
	longestPause   = time.Minute
	// A rate that lets nothing through for longer than this does not hold its
	// caller: it is told when to come again.
	longestWait = time.Second
	// A message centre that throttles is left alone so long, doubled each time.
	throttlePause   = time.Second
	longestThrottle = 30 * time.Second
)

// Handler takes what the message centre brings. An error means that it was not
// kept: the message centre is told to bring it again. What concerns one number
// comes in order, the rest concurrently.
type Handler interface {
	Message(ctx context.Context, m Message) error
	Receipt(ctx context.Context, r Receipt) error
}

// Client keeps a session. All methods may be called concurrently.
type Client struct {
	// Answered is told how long each submit waited for its answer; set it before
	// Run. It must not block. May be nil.
	Answered func(time.Duration)

	cfg     Config
	handler Handler
	log     *slog.Logger
	limit   *rate.Limiter
	counts  counts

	mu        sync.Mutex
	session   *session  // nil: there is none
	why       error     // that there is none
	begun     time.Time // of the session
	since     time.Time // of the first of the attempts in a row that failed
	failures  int
	nextBind  time.Time
	throttled time.Time // nothing is submitted until then
	throttle  time.Duration
}

// counts are what a client has seen since it was made.
type counts struct {
	waiting                             atomic.Int64
	binds, breaks, unanswered, throttle atomic.Uint64
}

// Figures are how a session fares. The totals are since the client was made.
type Figures struct {
	Bound bool
	Since time.Time // it is bound, or fails; zero if neither: it is being begun
	Why   string    // it is not bound; "" if it is

	Window   int  // places in it
	InFlight int  // submits that wait for their answer
	Waiting  int  // submits that wait for a place, or for the rate
	Throttle bool // the message centre has asked for a pause

	Binds      uint64
	Breaks     uint64 // sessions that broke, and attempts that came to none
	Unanswered uint64 // enquiries
	Throttled  uint64 // submits that were refused for being too many
}

// Figures tells how the session fares.
func (c *Client) Figures() Figures {
	f := Figures{
		Window: c.cfg.Window, Waiting: int(c.counts.waiting.Load()),
		Binds: c.counts.binds.Load(), Breaks: c.counts.breaks.Load(), Unanswered: c.counts.unanswered.Load(), Throttled: c.counts.throttle.Load(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f.Throttle = time.Now().Before(c.throttled)
	if c.session == nil {
		f.Since, f.Why = c.since, c.why.Error()
		return f
	}
	f.Bound, f.Since, f.InFlight = true, c.begun, len(c.session.window)
	return f
}

// New makes the client; Run keeps its session.
func New(cfg Config, h Handler, log *slog.Logger) *Client {
	for _, d := range []struct {
		of       *time.Duration
		fallback time.Duration
	}{{&cfg.Answer, defaultAnswer}, {&cfg.Enquire, defaultEnquire}, {&cfg.Pause, defaultPause}} {
		if *d.of <= 0 {
			*d.of = d.fallback
		}
	}
	cfg.Window = max(cfg.Window, 1)
	limit := rate.Inf
	if cfg.PerSecond > 0 {
		limit = rate.Limit(cfg.PerSecond)
	}
	return &Client{
		cfg: cfg, handler: h, log: log, limit: rate.NewLimiter(limit, max(cfg.PerSecond/10, 1)),
		why: errors.New("it has not been begun yet"), throttle: throttlePause,
	}
}

// Run keeps a session until ctx ends; then what is under way is waited for, within
// bounds, and the session is ended politely.
func (c *Client) Run(ctx context.Context) {
	pause := c.cfg.Pause
	for ctx.Err() == nil {
		began := time.Now()
		err := c.serve(ctx)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > longestPause {
			pause = c.cfg.Pause // it had been well
		}
		wait := pause + rand.N(pause/4+1)
		c.counts.breaks.Add(1)
		c.mu.Lock()
		c.session, c.why, c.nextBind = nil, err, time.Now().Add(wait)
		if c.failures == 0 {
			c.since = time.Now()
		}
		c.failures++
		c.mu.Unlock()
		c.log.Warn("no session with the message centre", "host", c.cfg.Host, "error", err, "again", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		pause = min(2*pause, longestPause)
	}
	c.mu.Lock()
	c.session, c.why = nil, errors.New("it was ended")
	c.mu.Unlock()
}

// serve binds, and holds the session until it breaks.
func (c *Client) serve(ctx context.Context) error {
	conn, err := c.dial(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", clienttls.Explain(err))
	}
	s := newSession(c, conn)
	defer s.close(errors.New("it was ended"))
	return clienttls.Explain(s.run(ctx)) // some refuse a certificate only once they are spoken to
}

func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Answer)
	defer cancel()
	address := net.JoinHostPort(c.cfg.Host, strconv.Itoa(c.cfg.Port))
	secure, err := c.cfg.TLS.Client() // read anew each time: files are renewed
	if err != nil {
		return nil, fmt.Errorf("tls.%w", err)
	}
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil || secure == nil {
		return raw, err
	}
	secure.ServerName = cmp.Or(secure.ServerName, c.cfg.Host)
	conn := tls.Client(raw, secure)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // nothing was said
		if ctx.Err() != nil {
			err = fmt.Errorf("it has not answered in TLS within %v: is it the right port? (%w)", c.cfg.Answer, err)
		}
		return nil, err
	}
	return conn, nil
}

// bound tells that a session can be used.
func (c *Client) bound(s *session) {
	c.counts.binds.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session, c.why, c.failures, c.since, c.begun = s, nil, 0, time.Time{}, time.Now()
}

// Outage tells whether the message centre cannot be reached: one that is lost
// once is usually back with the first attempt.
func (c *Client) Outage() (o channel.Outage, failing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failures < 2 {
		return channel.Outage{}, false
	}
	return channel.Outage{Destination: c.cfg.Host, Since: c.since, Failures: c.failures, Reason: c.why.Error()}, true
}

// ready gives the session, or says when to come again: nothing was tried then.
func (c *Client) ready() (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch {
	case c.session == nil:
		return nil, untried(fmt.Errorf("smpp: no session with %s: %w", c.cfg.Host, c.why), max(c.nextBind.Sub(now), 0)+time.Second)
	case now.Before(c.throttled):
		return nil, untried(errors.New("smpp: the message centre throttles"), c.throttled.Sub(now))
	}
	return c.session, nil
}

// answered keeps how a submit was answered: a message centre that throttles is
// left alone for a while.
func (c *Client) answered(s Status) (pause time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s != throttled && s != queueFull {
		c.throttle = throttlePause
		return 0
	}
	c.counts.throttle.Add(1)
	now := time.Now()
	if now.Before(c.throttled) { // said of a submit that was under way already
		return c.throttled.Sub(now)
	}
	pause = c.throttle
	c.throttled, c.throttle = now.Add(pause), min(2*pause, longestThrottle)
	return pause
}

func untried(err error, after time.Duration) error {
	return &channel.Error{Class: channel.Temporary, Err: err, After: after, Untried: true}
}

// Submit hands over a segment and gives the message centre's id for it.
func (c *Client) Submit(ctx context.Context, m *Submit) (id string, err error) {
	body, err := m.body()
	if err != nil {
		return "", &channel.Error{Class: channel.Permanent, Err: fmt.Errorf("smpp: %w", err)}
	}
	s, err := c.ready()
	if err != nil {
		return "", err
	}
	c.counts.waiting.Add(1)
	err = c.await(ctx)
	if err == nil {
		err = s.enter(ctx)
	}
	c.counts.waiting.Add(-1)
	if err != nil {
		return "", err
	}
	return s.submit(ctx, body, m.Accepted)
}

// await keeps the rate.
func (c *Client) await(ctx context.Context) error {
	r := c.limit.Reserve()
	delay := r.Delay()
	if delay == 0 {
		return nil
	}
	if delay > longestWait {
		r.Cancel()
		return untried(fmt.Errorf("smpp: more than %d a second", c.cfg.PerSecond), delay)
	}
	select {
	case <-time.After(delay):
		return nil
	case <-ctx.Done():
		r.Cancel()
		return untried(fmt.Errorf("smpp: %w", ctx.Err()), time.Second)
	}
}
