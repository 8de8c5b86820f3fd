// Package webhook owns the channel that posts to somebody's server: a signed JSON
// document per delivery, under an idempotency key, with bounds on where it may
// go, how long it may take and how much it may answer. A destination that fails
// is left alone for a while, so that it holds nobody else up.
//
// It does not own what is sent (render), whether (policy), or when it is tried
// again (engager).
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"heed/internal/channel"
	"heed/internal/channel/outward"
	"heed/internal/clienttls"
	"heed/internal/definition"
)

// Type is the type of the channel.
const Type = definition.ChannelWebhook

// Bounds of one attempt.
const (
	defaultTimeout = 5 * time.Second
	maxAnswer      = 64 << 10 // bytes that are read of an answer
	maxQuoted      = 200      // bytes of it in a reason
)

// Channel implements channel.Channel.
type Channel struct {
	now          func() time.Time
	clients      outward.Clients
	destinations outward.Destinations
}

// New makes the channel.
func New(now func() time.Time) *Channel {
	return &Channel{now: now}
}

// Type implements channel.Channel.
func (*Channel) Type() string { return Type }

// Idempotent implements channel.Channel: each attempt has the same key, by which
// the receiver tells a repeat.
func (*Channel) Idempotent() bool { return true }

// Outages implements channel.Watched.
func (c *Channel) Outages(now time.Time) []channel.Outage { return c.destinations.Outages(now) }

// message is what is posted (docs/webhooks.md).
type message struct {
	ID       string          `json:"id"`
	Campaign string          `json:"campaign"`
	Template string          `json:"template"`
	User     string          `json:"user"`
	At       time.Time       `json:"at"`
	Cause    string          `json:"cause,omitempty"`
	Subject  string          `json:"subject,omitempty"`
	Body     json.RawMessage `json:"body"`
	Test     bool            `json:"test,omitempty"`
}

// bodyOf is the content as the JSON that it is, or as a text.
func bodyOf(content string) (json.RawMessage, error) {
	if json.Valid([]byte(content)) {
		return json.RawMessage(content), nil
	}
	return json.Marshal(content)
}

// Send implements channel.Channel.
func (c *Channel) Send(ctx context.Context, d *channel.Delivery) (channel.Receipt, error) {
	def := d.Channel
	if def == nil || def.URL == "" {
		return channel.Receipt{}, permanent(errors.New("webhook: the channel has no url"))
	}
	leave, err := c.destinations.Enter(def.Name, def.URL, c.now())
	if err != nil {
		return channel.Receipt{}, fmt.Errorf("webhook: %w", err)
	}
	receipt, err := c.post(ctx, def, d)
	leave(c.now(), err)
	return receipt, err
}

func (c *Channel) post(ctx context.Context, def *definition.Channel, d *channel.Delivery) (channel.Receipt, error) {
	content, err := bodyOf(d.Body)
	if err != nil {
		return channel.Receipt{}, permanent(fmt.Errorf("webhook: encode the content: %w", err))
	}
	body, err := json.Marshal(message{
		ID: d.ID, Campaign: d.Campaign, Template: d.Template, User: d.User, At: time.UnixMicro(d.At).UTC(),
		Cause: d.CauseID, Subject: d.Subject, Body: content, Test: d.Test,
	})
	if err != nil {
		return channel.Receipt{}, permanent(fmt.Errorf("webhook: encode the message: %w", err))
	}
	timeout := defaultTimeout
	if def.Timeout > 0 {
		timeout = def.Timeout.Duration()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, def.URL, bytes.NewReader(body))
	if err != nil {
		return channel.Receipt{}, permanent(fmt.Errorf("webhook: %w", err))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Heed")
	req.Header.Set("Idempotency-Key", d.ID)
	if def.Secret != "" {
		req.Header.Set(SignatureHeader, Sign(def.Secret, c.now(), body))
	}
	client, err := c.clients.Of(def, c.now())
	if err != nil {
		return channel.Receipt{}, unreached(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return channel.Receipt{}, unreached(err)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close() // what is left of it is not wanted
	if err != nil && resp.StatusCode/100 == 2 {
		err = nil // it was taken; what else it would have said does not matter
	}
	if err != nil {
		return channel.Receipt{}, &channel.Error{Class: channel.Temporary, Err: fmt.Errorf("webhook: read the answer: %w", err)}
	}
	return c.judge(resp, answer)
}

// judge says what an answer means.
func (c *Channel) judge(resp *http.Response, answer []byte) (channel.Receipt, error) {
	status := resp.StatusCode
	if status/100 == 2 {
		return channel.Receipt{Fresh: true}, nil
	}
	err := fmt.Errorf("webhook: the answer was %s: %.*q", resp.Status, maxQuoted, answer)
	switch {
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests, status >= 500:
		return channel.Receipt{}, &channel.Error{Class: channel.Temporary, Err: err, After: outward.RetryAfter(resp.Header.Get("Retry-After"), c.now())}
	case status/100 == 3:
		err = fmt.Errorf("webhook: the answer was %s, and redirects are not followed: give the address that it leads to", resp.Status)
	}
	return channel.Receipt{}, permanent(err)
}

func permanent(err error) error { return &channel.Error{Class: channel.Permanent, Err: err} }

// unreached classes an error of the transport. The key makes a repeat harmless,
// so that nothing is lost by trying again.
func unreached(err error) error {
	if errors.Is(err, outward.ErrPrivate) {
		return permanent(fmt.Errorf("webhook: %w", outward.ErrPrivate))
	}
	return &channel.Error{Class: channel.Temporary, Err: fmt.Errorf("webhook: %w", clienttls.Explain(err))}
}

// SignatureHeader carries the time and the signature of a message.
const SignatureHeader = "Heed-Signature"

// Sign signs a body as "t=<seconds>,v1=<hex>": HMAC-SHA256 under the secret of
// the time, a dot and the body. The receiver refuses old times, so that a
// message that was overheard cannot be played again.
func Sign(secret string, now time.Time, body []byte) string {
	t := strconv.FormatInt(now.Unix(), 10)
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(t + "."))
	m.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(m.Sum(nil))
}
