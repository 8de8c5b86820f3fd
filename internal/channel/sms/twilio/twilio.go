// Package twilio owns the HTTP API of Twilio, which other providers offer too: it
// sends a message, and reads the signed reports about messages and the messages
// that people write back.
//
// It does not own what comes of them (sms) or when a send is tried again
// (engager). Its errors are *channel.Error.
package twilio

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the provider's choice
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"heed/internal/channel"
	"heed/internal/channel/outward"
	"heed/internal/clienttls"
	"heed/internal/definition"
)

// Bounds of one request.
const (
	timeout      = 10 * time.Second
	maxAnswer    = 64 << 10 // bytes that are read of an answer
	maxQuoted    = 200      // bytes of it in a reason
	refusedPause = time.Minute
)

// Client sends. It may be used concurrently.
type Client struct {
	clients      outward.Clients
	destinations outward.Destinations
	now          func() time.Time
}

// New makes the client.
func New(now func() time.Time) *Client {
	return &Client{now: now}
}

// Message is one to be sent.
type Message struct {
	To       string // E.164
	Body     string
	Key      string // the same in each attempt
	Callback string // where its fate is reported; "" for nowhere
}

// Rejection is why the provider did not take a message, as far as it says
// something about the number.
type Rejection struct {
	Code int
	text string
}

func (r *Rejection) Error() string { return r.text }

// Stopped tells whether the number's owner wants no messages from the sender.
func Stopped(code int) bool { return code == 21610 }

// Hard tells whether a code says that a number will never work: it does not
// exist, or cannot get text messages.
func Hard(code int) bool {
	switch code {
	case 21211, // invalid
		21614, 30006, // a landline
		30005: // unknown to its network
		return true
	}
	return false
}

// Outages are the accounts whose provider fails.
func (c *Client) Outages(now time.Time) []channel.Outage { return c.destinations.Outages(now) }

// Send hands a message over and gives the provider's id for it.
func (c *Client) Send(ctx context.Context, def *definition.Channel, m *Message) (sid string, err error) {
	leave, err := c.destinations.Enter(def.Name, def.Twilio.Base(), c.now())
	if err != nil {
		return "", err
	}
	sid, err = c.post(ctx, def, m)
	leave(c.now(), err)
	return sid, err
}

func (c *Client) post(ctx context.Context, def *definition.Channel, m *Message) (string, error) {
	t := def.Twilio
	form := url.Values{"To": {m.To}, "Body": {m.Body}}
	if t.From != "" {
		form.Set("From", t.From)
	} else {
		form.Set("MessagingServiceSid", t.MessagingService)
	}
	if m.Callback != "" {
		form.Set("StatusCallback", m.Callback)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var written atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { written.Store(true) }})
	address := t.Base() + "/2010-04-01/Accounts/" + url.PathEscape(t.AccountSID) + "/Messages.json"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", permanent(err)
	}
	req.SetBasicAuth(t.AccountSID, t.AuthToken)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "Heed")
	if t.Idempotent {
		// Only then: net/http itself repeats a request that has this header.
		req.Header.Set("Idempotency-Key", m.Key)
	}
	client, err := c.clients.Of(def, c.now())
	if err != nil {
		return "", unreached(err, false)
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", unreached(err, written.Load() && !t.Idempotent)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close() // what is left of it is not wanted
	if err != nil && resp.StatusCode/100 != 2 {
		answer = nil // the status says enough
	}
	return c.judge(resp, answer, t.Idempotent)
}

// judge says what an answer means.
func (c *Client) judge(resp *http.Response, answer []byte, idempotent bool) (string, error) {
	var said struct {
		SID     string `json:"sid"`
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	_ = json.Unmarshal(answer, &said) // what is no JSON says nothing
	status := resp.StatusCode
	if status/100 == 2 {
		return said.SID, nil
	}
	r := &Rejection{Code: said.Code, text: fmt.Sprintf("twilio: the answer was %s: %.*q", resp.Status, maxQuoted, answer)}
	if said.Message != "" {
		r.text = fmt.Sprintf("twilio: the answer was %s: %d %.*s", resp.Status, said.Code, maxQuoted, said.Message)
	}
	e := &channel.Error{Class: channel.Permanent, Err: r}
	switch {
	case status == http.StatusUnauthorized: // the message is well, and the account can be set right
		e.Class, e.After = channel.Temporary, refusedPause
	case (status == http.StatusBadGateway || status == http.StatusGatewayTimeout) && !idempotent:
		e.Class = channel.Uncertain // somebody between says it: the provider may have taken it
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status == http.StatusTooEarly, status >= 500:
		e.Class, e.After = channel.Temporary, outward.RetryAfter(resp.Header.Get("Retry-After"), c.now())
	}
	return "", e
}

func permanent(err error) error {
	return &channel.Error{Class: channel.Permanent, Err: fmt.Errorf("twilio: %w", err)}
}

// unreached classes an error of the transport.
func unreached(err error, uncertain bool) error {
	if errors.Is(err, outward.ErrPrivate) {
		return permanent(outward.ErrPrivate)
	}
	err = clienttls.Explain(err)
	e := &channel.Error{Class: channel.Temporary, Err: fmt.Errorf("twilio: %w", err)}
	if uncertain {
		e.Class = channel.Uncertain
		e.Err = fmt.Errorf("twilio: it was sent, and whether it was taken is not known: %w", err)
	}
	return e
}

// SignatureHeader carries the signature of a callback.
const SignatureHeader = "X-Twilio-Signature"

// Sign signs a callback: HMAC-SHA1 under the token of its address and, sorted,
// the names and values of its form.
func Sign(token, address string, form url.Values) string {
	m := hmac.New(sha1.New, []byte(token))
	m.Write([]byte(address))
	for _, name := range slices.Sorted(maps.Keys(form)) {
		values := slices.Clone(form[name])
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			m.Write([]byte(name + v))
		}
	}
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// Verify tells whether a callback is signed under the token.
func Verify(token, address string, form url.Values, signature string) bool {
	return token != "" && hmac.Equal([]byte(Sign(token, address, form)), []byte(signature))
}
