// Package express serves the requests that a collector lives on, short POSTs
// in their plainest form, with a third of what net/http spends on them: one
// read, one write, no goroutine beside the connection's, no timer each.
//
// It owns the connections until something else comes over them: any other
// path, method, header or form, right or wrong. Such a connection is handed over
// to net/http with every byte, for good. So nothing is decided here that
// net/http would decide otherwise, and everything unusual is its matter. It does not
// own what requests mean.
package express

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of time. They are looked at when they may have passed: a request that
// has arrived whole costs no timer.
const (
	idleTimeout = 2 * time.Minute  // between requests
	idleSlack   = 10 * time.Second // by which it may be shorter
	headTimeout = 10 * time.Second // for the rest of a head
	bodyTimeout = time.Minute      // for the rest of a body

	// For what is written at once, be it here or by net/http, by which the client
	// must have taken enough of what was sent before. It may be half of it.
	writeTimeout = 2 * time.Minute
)

// keepBytes is how much room a connection keeps for its answers.
const keepBytes = 64 << 10

// Config says what is served here.
type Config struct {
	// Paths are the handlers, by exact path. A handler must not keep the
	// request or the headers when it returns. Its request's context ends only
	// when the listener does, not with the connection.
	Paths map[string]http.Handler
	// Headers are those that the handlers read, in canonical form; a request has
	// no others.
	Headers []string
	// Elsewhere are query parameters whose requests net/http serves.
	Elsewhere []string
	Logger    *slog.Logger     // nil: none
	Clock     func() time.Time // nil: time.Now
}

// Listener serves what it can and accepts the connections that are for
// http.Server. Its methods may be called concurrently.
type Listener struct {
	net.Listener
	cfg    Config
	wanted map[string]string // by lower case
	out    chan net.Conn     // handed over
	ctx    context.Context
	cancel context.CancelFunc
	failed chan struct{} // closed when Accept of the inner listener failed
	err    error
	date   atomic.Pointer[date]

	mu     sync.Mutex // held when closed is set
	conns  map[*conn]struct{}
	closed atomic.Bool
	served sync.WaitGroup
}

// date is the Date header of one second.
type date struct {
	second int64
	text   string
}

// Listen begins to serve on a listener.
func Listen(inner net.Listener, cfg Config) *Listener {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	l := &Listener{
		Listener: inner, cfg: cfg, wanted: map[string]string{},
		out: make(chan net.Conn), failed: make(chan struct{}), conns: map[*conn]struct{}{},
	}
	for _, name := range cfg.Headers {
		l.wanted[strings.ToLower(name)] = name
	}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	go l.accept()
	return l
}

func (l *Listener) accept() {
	defer close(l.failed)
	for pause := 5 * time.Millisecond; ; {
		inner, err := l.Listener.Accept()
		if ne, ok := err.(net.Error); ok && ne.Temporary() { //nolint:staticcheck,errorlint // as net/http does: out of file descriptors
			time.Sleep(pause)
			pause = min(2*pause, time.Second)
			continue
		}
		if err != nil {
			l.err = err
			return
		}
		pause = 5 * time.Millisecond
		c := &conn{conn: &timed{Conn: inner, clock: l.cfg.Clock}, l: l}
		if l.enter(c) {
			go c.serve()
		} else {
			_ = inner.Close() // nobody was told that it is open
		}
	}
}

// Accept returns the next connection that net/http must serve.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.out:
		return c, nil
	case <-l.failed:
		return nil, l.err
	}
}

// Close stops listening, and ends the connections that wait for a request.
// Requests under way are finished: Drain waits for them.
func (l *Listener) Close() error {
	err := l.Listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed.Store(true)
	for c := range l.conns {
		if !c.busy.Load() {
			_ = c.conn.SetReadDeadline(time.Unix(1, 0)) // it is gone if that fails
		}
	}
	return err
}

// Drain waits until all requests are answered or ctx ends; then it cuts off the rest.
func (l *Listener) Drain(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		l.served.Wait()
		close(done)
	}()
	defer l.cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	l.cancel()
	l.mu.Lock()
	for c := range l.conns {
		_ = c.conn.Close() // that is what it is for
	}
	l.mu.Unlock()
	return ctx.Err()
}

func (l *Listener) enter(c *conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() {
		return false
	}
	l.conns[c] = struct{}{}
	l.served.Add(1)
	return true
}

func (l *Listener) leave(c *conn) {
	l.mu.Lock()
	delete(l.conns, c)
	l.mu.Unlock()
	l.served.Done()
}

// now is the time and its Date header.
func (l *Listener) now() (time.Time, string) {
	t := l.cfg.Clock()
	d := l.date.Load()
	if d == nil || d.second != t.Unix() {
		d = &date{t.Unix(), t.UTC().Format(http.TimeFormat)}
		l.date.Store(d)
	}
	return t, d.text
}

// conn is one connection and the state of its request, which serves the next
// one, too.
type conn struct {
	conn *timed
	l    *Listener
	busy atomic.Bool // a request has begun to arrive

	room     []byte // begin:end has arrived and is not used
	from, to int
	deadline time.Time // of reading
	phase    phase     // what deadline is for
	answered bool      // one request at least

	head    head
	request *http.Request
	url     url.URL
	header  http.Header
	values  [maxLines + 1]string
	body    body
	answer  answer
}

// phase is what a connection waits for.
type phase int

const (
	between phase = iota // the next request
	inHead
	inBody
)

// serve answers plain requests until another one comes, or the end.
func (c *conn) serve() {
	defer c.l.leave(c)
	defer func() {
		if r := recover(); r != nil {
			c.l.cfg.Logger.Error("a handler panicked", "panic", r, "stack", string(debug.Stack()))
			_ = c.conn.Close() // like net/http: the client shall not take it for an answer
		}
	}()
	c.room = make([]byte, maxHead)
	c.header = http.Header{}
	c.answer.header = http.Header{}
	c.request = (&http.Request{
		Method: http.MethodPost, URL: &c.url, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: c.header, Body: &c.body, RemoteAddr: c.conn.RemoteAddr().String(),
	}).WithContext(c.l.ctx)
	if err := c.until(c.l.cfg.Clock().Add(headTimeout), inHead); err != nil {
		_ = c.conn.Close() // it is gone
		return
	}
	for {
		h, ok, err := c.next()
		if err != nil {
			_ = c.conn.Close() // it is at its end
			return
		}
		if !ok {
			c.handOver()
			return
		}
		if !c.handle(h) {
			_ = c.conn.Close() // what could be sent was
			return
		}
		c.answered = true
		if c.phase != between {
			c.phase, c.deadline = between, time.Time{} // it was of the request that is over
		}
		c.busy.Store(false)
	}
}

// next waits for a request. ok is false if it is for net/http; then nothing of
// it is taken.
func (c *conn) next() (h http.Handler, ok bool, err error) {
	for {
		if n := end(c.room[c.from:c.to]); n >= 0 {
			c.busy.Store(true)
			h, ok := c.plain(string(c.room[c.from : c.from+n]))
			if ok {
				c.from += n
			}
			return h, ok, nil
		}
		if c.to-c.from == len(c.room) || bareNewline(c.room[c.from:c.to]) {
			return nil, false, nil
		}
		if c.from > 0 {
			c.to = copy(c.room, c.room[c.from:c.to])
			c.from = 0
		}
		if err := c.patience(); err != nil {
			return nil, false, err
		}
		n, err := c.conn.Read(c.room[c.to:])
		c.to += n
		if n == 0 && err != nil {
			return nil, false, err
		}
	}
}

// patience sets the deadline of the next read in front of a body.
func (c *conn) patience() error {
	now := c.l.cfg.Clock()
	if c.to > 0 { // a head is arriving
		c.busy.Store(true)
		if c.phase != inHead {
			return c.until(now.Add(headTimeout), inHead)
		}
		return nil
	}
	if c.answered && c.deadline.Sub(now) < idleTimeout-idleSlack {
		if err := c.until(now.Add(idleTimeout), between); err != nil {
			return err
		}
	}
	// Close may have come between the last request and this pause.
	if c.l.closed.Load() {
		return net.ErrClosed
	}
	return nil
}

func (c *conn) until(t time.Time, p phase) error {
	c.deadline, c.phase = t, p
	return c.conn.SetReadDeadline(t)
}

// plain reads a head and prepares the request.
func (c *conn) plain(text string) (http.Handler, bool) {
	if !c.head.parse(text, c.l.wanted) {
		return nil, false
	}
	path, query, _ := strings.Cut(c.head.target, "?")
	h, ok := c.l.cfg.Paths[path]
	if !ok {
		return nil, false
	}
	if query != "" {
		for _, name := range c.l.cfg.Elsewhere {
			if strings.Contains(query, name) {
				return nil, false
			}
		}
	}
	clear(c.header)
	for i, line := range c.head.lines {
		c.values[i] = line.value
		if have := c.header[line.name]; have != nil {
			c.header[line.name] = append(have, line.value)
		} else {
			c.header[line.name] = c.values[i : i+1 : i+1]
		}
	}
	r := c.request
	c.url = url.URL{Path: path, RawQuery: query, ForceQuery: query == "" && strings.HasSuffix(c.head.target, "?")}
	r.Host, r.RequestURI, r.ContentLength = c.head.host, c.head.target, int64(c.head.length)
	c.body = body{c, c.head.length}
	return h, true
}

// handle answers one request; false: the connection ends.
func (c *conn) handle(h http.Handler) bool {
	a := &c.answer
	clear(a.header)
	a.status, a.body = 0, a.body[:0]
	h.ServeHTTP(a, c.request)
	if a.status == 0 {
		a.status = http.StatusOK
	}
	last := len(a.header["Connection"]) > 0 || c.l.closed.Load()
	if last {
		a.header.Set("Connection", "close")
	}
	_, date := c.l.now()
	a.out = appendResponse(a.out[:0], a.status, date, a.header, len(a.body))
	a.out = append(a.out, a.body...)
	if _, err := c.conn.Write(a.out); err != nil {
		return false
	}
	if cap(a.out) > keepBytes {
		a.out, a.body = nil, nil
	}
	// A body that is left would be taken for the next request.
	if c.body.left > 0 {
		if _, err := io.Copy(io.Discard, &c.body); err != nil {
			return false
		}
	}
	return !last
}

// handOver gives the connection to net/http, with what has arrived.
func (c *conn) handOver() {
	if err := c.conn.SetReadDeadline(time.Time{}); err != nil {
		_ = c.conn.Close() // it is gone
		return
	}
	rest := &handed{timed: c.conn, front: append([]byte(nil), c.room[c.from:c.to]...)}
	select {
	case c.l.out <- rest:
	case <-c.l.failed: // nobody accepts any more
		_ = c.conn.Close()
	}
}

// timed is a connection whose writes end in time, unless the handler has set a
// deadline of its own. So a client that does not read its answers holds nothing for ever.
type timed struct {
	net.Conn
	clock func() time.Time
	own   atomic.Bool  // the deadline is a handler's
	until atomic.Int64 // unix ns
}

func (t *timed) Write(p []byte) (int, error) {
	now := t.clock()
	if !t.own.Load() && t.until.Load()-now.UnixNano() < int64(writeTimeout/2) {
		until := now.Add(writeTimeout)
		if err := t.Conn.SetWriteDeadline(until); err != nil {
			return 0, err
		}
		t.until.Store(until.UnixNano())
	}
	return t.Conn.Write(p)
}

func (t *timed) SetWriteDeadline(until time.Time) error {
	t.own.Store(!until.IsZero())
	t.until.Store(0)
	return t.Conn.SetWriteDeadline(until)
}

func (t *timed) SetDeadline(until time.Time) error {
	return errors.Join(t.SetReadDeadline(until), t.SetWriteDeadline(until))
}

// CloseWrite lets net/http end an answer before the request has arrived whole.
func (t *timed) CloseWrite() error {
	if c, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

// handed is a connection of which something was read already.
type handed struct {
	*timed
	front []byte
}

func (h *handed) Read(p []byte) (int, error) {
	if len(h.front) > 0 {
		n := copy(p, h.front)
		h.front = h.front[n:]
		return n, nil
	}
	return h.timed.Read(p)
}

// body reads what belongs to the request.
type body struct {
	c    *conn
	left int
}

func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(len(p), b.left)]
	c := b.c
	if c.to > c.from {
		n := copy(p, c.room[c.from:c.to])
		c.from += n
		b.left -= n
		return n, nil
	}
	if c.phase != inBody {
		if err := c.until(c.l.cfg.Clock().Add(bodyTimeout), inBody); err != nil {
			return 0, err
		}
	}
	n, err := c.conn.Read(p)
	b.left -= n
	if err == io.EOF && b.left > 0 { //nolint:errorlint // a connection says EOF itself
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *body) Close() error { return nil }

// answer is the http.ResponseWriter; what is written goes out at the end.
type answer struct {
	header http.Header
	status int
	body   []byte
	out    []byte
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	a.body = append(a.body, p...)
	return len(p), nil
}

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }
