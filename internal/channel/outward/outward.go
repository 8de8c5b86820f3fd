// Package outward owns how channels reach other people's servers over HTTP: a
// client that goes only out into the world and only where it was told to, the
// care for destinations that fail, and the reading of Retry-After.
//
// It does not own what is said to them, or what their answers mean.
package outward

import (
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Bounds of one request.
const (
	dialTimeout   = 5 * time.Second
	maxHeader     = 64 << 10 // bytes of an answer's
	idleConns     = 16       // to one host
	maxRetryAfter = time.Hour
)

// NewClient makes a client that never follows redirects and uses no proxy: where
// a request goes is what its address says. A guarded one connects to public
// addresses only, else the error is ErrPrivate.
func NewClient(guarded bool) *http.Client { return newClient(guarded, nil) }

func newClient(guarded bool, secure *tls.Config) *http.Client {
	d := &net.Dialer{Timeout: dialTimeout}
	if guarded {
		d.Control = refusePrivate
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: d.DialContext, TLSClientConfig: secure, ForceAttemptHTTP2: true, TLSHandshakeTimeout: dialTimeout, MaxResponseHeaderBytes: maxHeader,
			MaxIdleConnsPerHost: idleConns, IdleConnTimeout: time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// RetryAfter reads the header, in seconds or as a time: at most an hour.
func RetryAfter(text string, now time.Time) time.Duration {
	if text == "" {
		return 0
	}
	wait := time.Duration(0)
	if n, err := strconv.Atoi(text); err == nil {
		wait = time.Duration(min(max(n, 0), 1<<20)) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}
