package peer

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// header carries what a process says for a request of it: when (ms), what, and
// the proof that one of the installation's processes says so.
const header = "Heed-Peer"

const (
	maxSkew   = 5 * time.Minute // between the clocks of two processes, and how long a saying counts
	maxHeader = 8 << 10
	maxAnswer = 64 << 20 // of Ask
)

// ErrNotTrusted says that a request claims to be another process's, and is not.
var ErrNotTrusted = errors.New("this request is not one of the installation's processes, or the clocks of the two differ by more than 5 minutes")

// NobodyError says that no process with a role lives, other than this one.
type NobodyError struct{ Role string }

func (e *NobodyError) Error() string { return "no process with the role " + e.Role + " runs" }

// RefusedError is an answer that is no success.
type RefusedError struct {
	Status int
	Body   []byte // up to 64 KiB of it
}

func (e *RefusedError) Error() string { return fmt.Sprintf("another process answered %d", e.Status) }

// Saying is what a process says with a request.
type Saying struct {
	// For is on whose behalf it asks, in the words of who asks; nil: its own.
	For json.RawMessage `json:"for,omitempty"`
	// Own asks for what the asked process knows by itself: it asks nobody else.
	Own bool `json:"own,omitempty"`
}

type ownKey struct{}

// WithOwn marks a context in which nobody else is asked.
func WithOwn(ctx context.Context) context.Context { return context.WithValue(ctx, ownKey{}, true) }

// Own tells whether nobody else is to be asked.
func Own(ctx context.Context) bool { return ctx.Value(ownKey{}) != nil }

// Heard is what the process says that made the request; nil if it is nobody's of
// the installation. ErrNotTrusted: it claims to be, and is not.
func (d *Directory) Heard(r *http.Request) (*Saying, error) {
	text := r.Header.Get(header)
	if text == "" {
		return nil, nil //nolint:nilnil // a request like any other
	}
	parts := strings.Split(text, " ")
	if len(parts) != 3 || len(text) > maxHeader {
		return nil, ErrNotTrusted
	}
	proof, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || !hmac.Equal(proof, d.proof(r, parts[0], parts[1])) {
		return nil, ErrNotTrusted
	}
	at, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil || d.deps.Clock().Sub(time.UnixMilli(at)).Abs() > maxSkew {
		return nil, ErrNotTrusted
	}
	said, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, ErrNotTrusted
	}
	s := new(Saying)
	if err := json.Unmarshal(said, s); err != nil {
		return nil, fmt.Errorf("what another process says: %w", err)
	}
	return s, nil
}

// sign says something with a request. What is said counts for this request only,
// and the secret does not leave: who receives it cannot ask others with it.
func (d *Directory) sign(r *http.Request, s Saying) error {
	said, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("ask another process: %w", err)
	}
	at, text := strconv.FormatInt(d.deps.Clock().UnixMilli(), 10), base64.RawURLEncoding.EncodeToString(said)
	r.Header.Set(header, at+" "+text+" "+base64.RawURLEncoding.EncodeToString(d.proof(r, at, text)))
	return nil
}

func (d *Directory) proof(r *http.Request, at, said string) []byte {
	sum := hmac.New(sha256.New, d.key)
	sum.Write([]byte(strings.Join([]string{r.Method, r.URL.RequestURI(), at, said}, "\n")))
	return sum.Sum(nil)
}

func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 8, IdleConnTimeout: time.Minute,
		DisableCompression: true, // what is passed on stays as it is
	}
}

// trip sends a request to the first of some processes that takes it.
type trip struct {
	d    *Directory
	to   []Peer
	says Saying
}

// RoundTrip goes on to the next process if one cannot be reached at all, or if
// asking again does no harm.
func (t *trip) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	for _, p := range t.to {
		u, perr := url.Parse(p.URL)
		if perr != nil {
			err = fmt.Errorf("the address of another process: %w", perr)
			continue
		}
		out := r.Clone(r.Context())
		out.URL.Scheme, out.URL.Host, out.Host = u.Scheme, u.Host, ""
		if r.Body != nil {
			out.Body = io.NopCloser(r.Body) // a body that was not begun serves the next one
		}
		if err := t.d.sign(out, t.says); err != nil {
			return nil, err
		}
		if resp, err = t.d.client.RoundTrip(out); err == nil {
			return resp, nil
		}
		op, ok := errors.AsType[*net.OpError](err)
		unreached := ok && op.Op == "dial"
		if r.Context().Err() != nil || !unreached && r.Method != http.MethodGet {
			break
		}
	}
	return nil, fmt.Errorf("another process does not answer: %w", err)
}

// Forward has a request answered by a process with the role: as it comes, until
// either end is through. On an error nothing was answered yet.
func (d *Directory) Forward(w http.ResponseWriter, r *http.Request, role string, onBehalfOf json.RawMessage) (err error) {
	to := d.Others(role)
	if len(to) == 0 {
		return &NobodyError{role}
	}
	proxy := httputil.ReverseProxy{
		Transport:     &trip{d, to, Saying{For: onBehalfOf}},
		FlushInterval: -1,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.Header.Del("Cookie") // who asks is said
			p.Out.Header.Del("Authorization")
		},
		ModifyResponse: func(resp *http.Response) error {
			for name := range resp.Header { // its word counts, not both
				w.Header().Del(name)
			}
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, e error) { err = e },
	}
	proxy.ServeHTTP(w, r)
	return err
}

// Ask asks one process for what it knows itself. body and into are JSON; nil: none.
func (d *Directory) Ask(ctx context.Context, p Peer, method, path string, body, into any) error {
	return d.ask(ctx, []Peer{p}, method, path, body, into)
}

// AskRole asks the first process with the role that takes the question.
func (d *Directory) AskRole(ctx context.Context, role, method, path string, body, into any) error {
	to := d.Others(role)
	if len(to) == 0 {
		return &NobodyError{role}
	}
	return d.ask(ctx, to, method, path, body, into)
}

func (d *Directory) ask(ctx context.Context, to []Peer, method, path string, body, into any) error {
	var text io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("ask another process: %w", err)
		}
		text = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://peer"+path, text)
	if err != nil {
		return fmt.Errorf("ask another process: %w", err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := (&trip{d, to, Saying{Own: true}}).RoundTrip(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if resp.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // the status tells enough
		return &RefusedError{resp.StatusCode, b}
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("what another process answered: %w", err)
	}
	return nil
}
