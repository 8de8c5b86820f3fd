// Package push owns the channel of notifications in users' browsers (web push):
// one encrypted message per device of the user, to the push service of its
// browser, and what the browsers tell back.
//
// It does not own which devices a user has (device), the form of a message
// (webpush), what is sent (render), whether (policy), or when it is tried again
// (engager).
package push

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"heed/internal/channel"
	"heed/internal/channel/outward"
	"heed/internal/definition"
	"heed/internal/device"
	"heed/internal/webpush"
)

// Type is the type of the channel.
const Type = definition.ChannelPush

// Bounds of one attempt.
const (
	timeout     = 5 * time.Second
	maxAnswer   = 4 << 10 // bytes that are read of an answer
	maxQuoted   = 200     // bytes of it in a reason
	maxInFlight = 128     // at one push service, which serves all users of a browser
)

// Deps is what the channel works with.
type Deps struct {
	Devices *device.Store
	// Known tells whether a profile id is a user id, which is no secret.
	Known   func(ctx context.Context, user string) (bool, error)
	Inbound channel.Inbound
	Now     func() time.Time
	Logger  *slog.Logger
}

// Channel implements channel.Channel, channel.Receiver and reach's Addresser.
type Channel struct {
	deps          Deps
	guarded, free *http.Client // by whether private addresses are refused
	services      outward.Destinations
	passes        passes
}

// New makes the channel.
func New(deps Deps) *Channel {
	return &Channel{
		deps: deps, guarded: outward.NewClient(true), free: outward.NewClient(false),
		services: outward.Destinations{InFlight: maxInFlight},
	}
}

// Type implements channel.Channel.
func (*Channel) Type() string { return Type }

// Idempotent implements channel.Channel: a message that was shown and put away
// would be shown again.
func (*Channel) Idempotent() bool { return false }

// Address tells a device of a user by its id, the one that was added last; "" if
// there is none. Which devices a message goes to, Send finds out.
func (c *Channel) Address(ctx context.Context, user string, _ []string) (string, error) {
	all, err := c.devices(ctx, user, "")
	if err != nil || len(all) == 0 {
		return "", err
	}
	return all[len(all)-1].ID(), nil
}

// devices are those of a user that are subscribed to a channel ("" for any). One
// that merely says the id of a known user is not that user's.
func (c *Channel) devices(ctx context.Context, user, name string) ([]device.Device, error) {
	all, err := c.deps.Devices.List(ctx, user)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	known, err := c.deps.Known(ctx, user)
	if err != nil {
		return nil, err
	}
	kept := all[:0]
	for _, d := range all {
		if (d.Proven || !known) && (name == "" || d.Channel == name) {
			kept = append(kept, d)
		}
	}
	return kept, nil
}

// message is what the service worker is told (web/tracker/src/worker.ts).
type message struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Body  string `json:"body"`
	Link  string `json:"link,omitempty"`
	Icon  string `json:"icon,omitempty"`
}

// Send implements channel.Channel. What one device took is sent, whatever the
// others said: an attempt for those would be a second one for it.
func (c *Channel) Send(ctx context.Context, d *channel.Delivery) (channel.Receipt, error) {
	def := d.Channel
	if def == nil || def.Push == nil {
		return channel.Receipt{}, permanent(errors.New("push: the channel is not defined"))
	}
	key, err := def.Push.Key()
	if err != nil {
		return channel.Receipt{}, permanent(fmt.Errorf("push: %w", err))
	}
	m := message{ID: d.ID, Title: d.Subject, Body: d.Body, Link: d.Link, Icon: def.Push.Icon}
	if m.Link == "" {
		m.Link = def.Push.Link
	} else if !definition.WebAddress(m.Link) {
		return channel.Receipt{}, permanent(fmt.Errorf("push: the link %.100q is no address of a page", m.Link))
	}
	if m.Title == "" {
		m.Title, m.Body = m.Body, ""
	}
	payload, err := json.Marshal(m)
	if err != nil {
		return channel.Receipt{}, permanent(fmt.Errorf("push: encode the message: %w", err))
	}
	if len(payload) > webpush.MaxPayload {
		return channel.Receipt{}, permanent(fmt.Errorf("push: title, text and links have %d bytes together, of at most %d", len(payload), webpush.MaxPayload))
	}
	devices, err := c.devices(ctx, d.User, def.Name)
	if err != nil {
		return channel.Receipt{}, &channel.Error{Class: channel.Temporary, Err: fmt.Errorf("push: %w", err), Untried: true}
	}
	if len(devices) == 0 {
		return channel.Receipt{}, permanent(errors.New("push: the user has no device that takes notifications of this channel"))
	}
	errs := make([]error, len(devices))
	var all sync.WaitGroup
	for i := range devices {
		all.Go(func() {
			errs[i] = c.toDevice(ctx, &attempt{Delivery: d, key: key, device: devices[i], payload: payload})
		})
	}
	all.Wait()
	return c.sum(d, errs)
}

// sum makes one outcome of those of the devices.
func (c *Channel) sum(d *channel.Delivery, errs []error) (channel.Receipt, error) {
	var worst *channel.Error
	taken := 0
	for _, err := range errs {
		if err == nil {
			taken++
			continue
		}
		e, ok := errors.AsType[*channel.Error](err)
		if !ok {
			e = &channel.Error{Class: channel.Uncertain, Err: err}
		}
		// Uncertain before Temporary before Permanent: what may have arrived must
		// not be repeated, what may still arrive is worth another attempt.
		if worst == nil || e.Class < worst.Class || e.Class == worst.Class && e.After > worst.After {
			worst = e
		}
	}
	if taken == 0 {
		return channel.Receipt{}, worst
	}
	if worst != nil {
		c.deps.Logger.Info("a notification did not get to all devices of a user", "delivery", d.ID, "taken", taken, "devices", len(errs), "error", worst)
	}
	return channel.Receipt{Fresh: true, Reference: fmt.Sprintf("%d of %d devices", taken, len(errs))}, nil
}

// attempt is a delivery to one device.
type attempt struct {
	*channel.Delivery
	key     webpush.Key
	device  device.Device
	payload []byte
}

// Outages implements channel.Watched.
func (c *Channel) Outages(now time.Time) []channel.Outage { return c.services.Outages(now) }

func (c *Channel) toDevice(ctx context.Context, a *attempt) error {
	to, err := a.Channel.Push.Endpoint(a.device.Endpoint)
	if err != nil {
		return permanent(fmt.Errorf("push: %w", err))
	}
	leave, err := c.services.Enter(a.Channel.Name, to.Host, c.deps.Now())
	if err != nil {
		return err
	}
	err = c.post(ctx, a, to)
	leave(c.deps.Now(), err)
	return err
}

func (c *Channel) post(ctx context.Context, a *attempt, to *url.URL) error {
	def := a.Channel.Push
	subscriber, err := webpush.ParseSubscriber(a.device.P256dh, a.device.Auth)
	if err != nil {
		return permanent(fmt.Errorf("push: the device's keys: %w", err))
	}
	var seed [webpush.Seed]byte
	_, _ = rand.Read(seed[:]) // never fails
	body, err := webpush.Encrypt(subscriber, a.payload, seed)
	if err != nil {
		return permanent(fmt.Errorf("push: %w", err))
	}
	now := c.deps.Now()
	pass, err := c.passes.of(a.key, to, def.Subject, now)
	if err != nil {
		return permanent(fmt.Errorf("push: %w", err))
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), bytes.NewReader(body))
	if err != nil {
		return permanent(fmt.Errorf("push: %w", err))
	}
	h := req.Header
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Encoding", "aes128gcm")
	h.Set("Authorization", pass)
	h.Set("TTL", strconv.FormatInt(ttl(a.Delivery, now), 10))
	h.Set("Urgency", def.Urgent())
	h.Set("Topic", topic(a.ID))
	h.Set("User-Agent", "Heed")
	client := c.guarded
	if def.AllowPrivate {
		client = c.free
	}
	resp, err := client.Do(req)
	switch {
	case errors.Is(err, outward.ErrPrivate):
		return permanent(fmt.Errorf("push: %w", outward.ErrPrivate))
	case err != nil && !connected.Load():
		return &channel.Error{Class: channel.Temporary, Err: fmt.Errorf("push: %w", bare(err))}
	case err != nil:
		return &channel.Error{Class: channel.Uncertain, Err: fmt.Errorf("push: %w", bare(err))}
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close() // it was only read
	if err != nil {
		answer = nil // the status says what matters
	}
	return c.judge(ctx, a, resp, answer)
}

// bare is an error of the transport without the address: an endpoint is a
// secret between the browser, its push service and us.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// judge says what an answer means.
func (c *Channel) judge(ctx context.Context, a *attempt, resp *http.Response, answer []byte) error {
	status := resp.StatusCode
	if status/100 == 2 {
		return nil
	}
	err := fmt.Errorf("push: the push service's answer was %s: %.*q", resp.Status, maxQuoted, answer)
	switch {
	case status == http.StatusNotFound, status == http.StatusGone:
		return c.gone(context.WithoutCancel(ctx), a, err)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		err = fmt.Errorf("%w (was the channel's key replaced since the browser subscribed?)", err)
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests, status >= 500:
		return &channel.Error{Class: channel.Temporary, Err: err, After: outward.RetryAfter(resp.Header.Get("Retry-After"), c.deps.Now())}
	}
	return permanent(err)
}

// gone forgets a device whose subscription has ended.
func (c *Channel) gone(ctx context.Context, a *attempt, cause error) error {
	if _, _, err := c.deps.Devices.Remove(ctx, a.device.Endpoint); err != nil {
		c.deps.Logger.Warn("a device that is gone could not be forgotten", "device", a.device.ID(), "error", err)
	}
	err := c.deps.Inbound(ctx, channel.Feedback{
		Kind: channel.Bounced, Hard: true, Delivery: a.ID, Type: Type, Channel: a.Channel.Name, Address: a.device.ID(),
		Detail: cause.Error(), ID: "gone." + a.device.ID(), At: c.deps.Now().UnixMicro(),
	})
	if err != nil {
		c.deps.Logger.Warn("a device that is gone could not be reported", "device", a.device.ID(), "error", err)
	}
	return permanent(fmt.Errorf("push: the subscription has ended, and the device was forgotten: %w", cause))
}

func permanent(err error) error { return &channel.Error{Class: channel.Permanent, Err: err} }

// ttl is how long the service shall keep the message, in seconds: never longer
// than the content is worth showing.
func ttl(d *channel.Delivery, now time.Time) int64 {
	keep := d.Channel.Push.Lasts()
	if d.Expires > 0 {
		keep = min(keep, time.UnixMicro(d.Expires).Sub(now))
	}
	return int64(max(keep, 0) / time.Second)
}

// topic lets an attempt replace an earlier one that the service still keeps. It
// has at most 32 letters.
func topic(id string) string {
	sum := sha256.Sum256([]byte(id))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
