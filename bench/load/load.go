// Package load drives a running collector over HTTP with events of 604 bytes,
// the size that PERFORMANCE.md speaks of. It writes raw HTTP/1.1 over
// keep-alive connections, so that it costs little beside the server.
package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// EventBytes is the size of one event as JSON.
const EventBytes = 604

// Config says what to send.
type Config struct {
	URL        string        // of the server
	Key        string        // write key
	Rate       int           // events per second over all connections; 0: as fast as answered
	Batch      int           // events a request; 1 uses /v1/track
	Conns      int           // connections, one request in flight each
	Duration   time.Duration // how long
	Users      int           // users that the events are spread over
	Irrelevant float64       // share of events that no trigger reads, 0 to 1
}

// Result is what came of it.
type Result struct {
	Acked    int           // events answered with 200
	Refused  int           // events of requests that were answered otherwise
	Requests int           // requests answered with 200
	Elapsed  time.Duration // wall time
	P50, P99 time.Duration // of requests
	Worst    time.Duration
}

// Run sends until the duration is over or ctx ends.
func Run(ctx context.Context, cfg Config) (Result, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return Result{}, fmt.Errorf("load: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Duration)
	defer cancel()
	conns := make([]*conn, cfg.Conns)
	begin := time.Now()
	var wg sync.WaitGroup
	for i := range conns {
		c := &conn{cfg: cfg, host: u.Host, id: i, begin: begin}
		c.build()
		conns[i] = c
		wg.Go(func() { c.err = c.run(ctx) })
	}
	wg.Wait()
	res := Result{Elapsed: time.Since(begin)}
	var all []time.Duration
	for _, c := range conns {
		res.Acked += c.acked
		res.Refused += c.refused
		res.Requests += len(c.latencies)
		all = append(all, c.latencies...)
		err = errors.Join(err, c.err)
	}
	slices.Sort(all)
	if n := len(all); n > 0 {
		res.P50, res.P99, res.Worst = all[n/2], all[n*99/100], all[n-1]
	}
	return res, err
}

// conn is one connection with one request that it patches and sends again.
type conn struct {
	cfg       Config
	host      string
	id        int
	begin     time.Time
	request   []byte
	ids       [][]byte // places of message ids in request
	users     [][]byte // places of user ids
	n         int
	acked     int
	refused   int
	latencies []time.Duration
	err       error
}

const digits = 16

// build lays out the request once; only ids change afterwards.
func (c *conn) build() {
	var body bytes.Buffer
	type place struct{ id, user int }
	var places []place
	path := "/v1/track"
	if c.cfg.Batch > 1 {
		path = "/v1/batch"
		body.WriteString(`{"batch":[`)
	}
	for i := range c.cfg.Batch {
		if i > 0 {
			body.WriteByte(',')
		}
		name := "product_seen"
		if float64(i%20) >= c.cfg.Irrelevant*20 {
			name = "product_view"
		}
		begin := body.Len()
		body.WriteString(`{"type":"track","event":"` + name + `","messageId":"`)
		p := place{id: body.Len()}
		fmt.Fprintf(&body, "%016d", 0)
		body.WriteString(`","userId":"u`)
		p.user = body.Len()
		fmt.Fprintf(&body, "%016d", 0)
		body.WriteString(`","timestamp":"2026-01-02T03:04:05.678Z","context":{"page":{"url":"https://shop.example/products/42?utm_source=letter","path":"/products/42","referrer":"https://search.example/","title":"A fine product"},"locale":"en-GB","timezone":"Europe/Berlin","userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"},"properties":{"product_id":"sku-4711","price":19.95,"currency":"EUR","position":7,"category":"garden","pad":"`)
		const closing = `"}}`
		for body.Len()-begin < EventBytes-len(closing) {
			body.WriteByte('x')
		}
		body.WriteString(closing)
		places = append(places, p)
	}
	if c.cfg.Batch > 1 {
		body.WriteString(`]}`)
	}
	head := fmt.Sprintf("POST %s?writeKey=%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		path, url.QueryEscape(c.cfg.Key), c.host, body.Len())
	c.request = append([]byte(head), body.Bytes()...)
	for _, p := range places {
		c.ids = append(c.ids, c.request[len(head)+p.id:][:digits])
		c.users = append(c.users, c.request[len(head)+p.user:][:digits])
	}
}

func (c *conn) run(ctx context.Context) error {
	nc, err := new(net.Dialer).DialContext(ctx, "tcp", c.host)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	defer func() { _ = nc.Close() }() // nothing is buffered
	r := bufio.NewReaderSize(nc, 4<<10)
	// Message ids must not repeat those of an earlier run against the same log.
	base := time.Now().UnixNano() / 1000 % 1e9 * 1e6
	for ctx.Err() == nil {
		if c.cfg.Rate > 0 {
			due := c.begin.Add(time.Duration(float64(c.n*c.cfg.Conns+c.id*c.cfg.Batch) / float64(c.cfg.Rate) * float64(time.Second)))
			select {
			case <-time.After(time.Until(due)):
			case <-ctx.Done():
				return nil
			}
		}
		for i := range c.ids {
			put(c.ids[i], base+int64(c.n)*int64(c.cfg.Conns)+int64(c.id))
			put(c.users[i], int64((c.n*7919+c.id*104729)%max(c.cfg.Users, 1)))
			c.n++
		}
		sent := time.Now()
		if _, err := nc.Write(c.request); err != nil {
			return fmt.Errorf("load: %w", err)
		}
		status, err := readAnswer(r)
		if err != nil {
			return fmt.Errorf("load: %w", err)
		}
		if status == 200 || status == 204 {
			c.acked += c.cfg.Batch
			c.latencies = append(c.latencies, time.Since(sent))
		} else {
			c.refused += c.cfg.Batch
		}
	}
	return nil
}

// put writes a number with leading zeros.
func put(dst []byte, n int64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte('0' + n%10)
		n /= 10
	}
}

// readAnswer reads one answer and drops its body.
func readAnswer(r *bufio.Reader) (status int, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 12 {
		return 0, fmt.Errorf("answer begins with %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, fmt.Errorf("answer begins with %q", line)
	}
	length := 0
	for {
		line, err = r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && bytes.EqualFold(name, []byte("Content-Length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, err
			}
		}
	}
	_, err = io.CopyN(io.Discard, r, int64(length))
	return status, err
}
