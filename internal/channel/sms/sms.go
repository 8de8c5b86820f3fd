// Package sms owns the channel of text messages: the form of numbers, what a
// channel may cost, the segments, and what comes back: receipts, and people who
// write STOP, START or HELP, each answered once. SMPP (smpp) or an HTTP API
// (twilio) carries the messages.
//
// It does not own what is sent (render), whether (policy, reach), or when it is
// tried again (engager). Only the answers to those words it sends by itself.
package sms

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/channel"
	"heed/internal/channel/sms/segment"
	"heed/internal/channel/sms/smpp"
	"heed/internal/channel/sms/twilio"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/phone"
)

// Type is the type of the channel.
const Type = definition.ChannelSMS

// MaxSegments of a message: what is longer is a mistake, and an expensive one.
const MaxSegments = 10

// Definitions gives the definitions in force.
type Definitions interface {
	Current() *definition.Set
	Changed() (wake <-chan struct{}, cancel func())
}

// Deps is what the channel works with.
type Deps struct {
	Documents   documents.Store
	Definitions Definitions
	Inbound     channel.Inbound
	Secret      []byte // numbers are kept as hashes under it
	// PublicURL is where providers reach Heed; "" if they do not, and then nothing
	// comes back over HTTP.
	PublicURL string
	// Local takes what channels send that are local; nil: there are none.
	Local      channel.Channel
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer // nil: nothing is counted
}

// Channel implements channel.Channel, channel.Receiver and channel.Runner.
type Channel struct {
	deps     Deps
	http     *twilio.Client
	sessions sessions
	sent     sent
	limits   limits
	replies  chan reply
	long     atomic.Int64             // texts of which parts are waited for, about
	answered *prometheus.HistogramVec // nil: nothing is counted
}

// New makes the channel.
func New(d Deps) *Channel {
	c := &Channel{
		deps: d, http: twilio.New(d.Now), sent: sent{store: d.Documents, now: d.Now, fresh: map[string]part{}},
		limits: limits{store: d.Documents, now: d.Now}, replies: make(chan reply, maxReplies),
	}
	c.watch(d.Registerer)
	return c
}

// Type implements channel.Channel.
func (*Channel) Type() string { return Type }

// Idempotent implements channel.Channel: a message centre takes the same message
// twice.
func (*Channel) Idempotent() bool { return false }

// Outages implements channel.Watched.
func (c *Channel) Outages(now time.Time) []channel.Outage {
	return append(c.http.Outages(now), c.sessions.outages()...)
}

// text is a message on its way.
type text struct {
	id   string // the same in each attempt
	to   string // E.164
	body string
	// delivery that receipts are about; "" for an answer, which has none.
	delivery string
}

// Send implements channel.Channel.
func (c *Channel) Send(ctx context.Context, d *channel.Delivery) (channel.Receipt, error) {
	def := d.Channel
	if def == nil || def.SMPP == nil && def.Twilio == nil && !def.Local {
		return channel.Receipt{}, permanent(errors.New("sms: the channel has no provider"))
	}
	to, err := phone.Parse(d.To, def.Country())
	if err != nil {
		return channel.Receipt{}, permanent(fmt.Errorf("sms: %w", err))
	}
	if allowed := settings(def).Limits.Countries; len(allowed) > 0 && !slices.Contains(allowed, to.Country) {
		return channel.Receipt{}, permanent(fmt.Errorf("sms: the channel sends to %s only, and the number is one of %q", strings.Join(allowed, ", "), to.Country))
	}
	n := segment.Of(d.Body).Segments
	if n == 0 || n > MaxSegments {
		return channel.Receipt{}, permanent(fmt.Errorf("sms: the text takes %d segments, and 1 to %d are sent", n, MaxSegments))
	}
	if err := c.limits.take(ctx, def, c.hash(def, to.E164), n); err != nil {
		return channel.Receipt{}, err
	}
	if def.Local {
		local := *d
		local.Kind, local.To = Type, to.E164
		return c.deps.Local.Send(ctx, &local)
	}
	reference, taken, err := c.carry(ctx, def, &text{id: d.ID, to: to.E164, body: d.Body, delivery: d.ID})
	if err == nil {
		return channel.Receipt{Fresh: true, Reference: reference}, nil
	}
	if taken == 0 && channel.Class(err) != channel.Uncertain {
		c.limits.giveBack(context.WithoutCancel(ctx), def, c.hash(def, to.E164), n)
	}
	if r, ok := errors.AsType[*twilio.Rejection](err); ok {
		if err := c.rejected(ctx, def, d.ID, to.E164, r.Code, r.Error()); err != nil {
			c.deps.Logger.Error("what a provider said of a number was not kept", "channel", def.Name, "error", err)
		}
	}
	return channel.Receipt{}, err
}

// settings are what a channel says whoever carries its messages.
func settings(def *definition.Channel) definition.SMS {
	if def.SMS == nil {
		return definition.SMS{}
	}
	return *def.SMS
}

// carry hands a message to the provider and gives its id for it. taken is how
// many segments were taken before an error.
func (c *Channel) carry(ctx context.Context, def *definition.Channel, t *text) (reference string, taken int, err error) {
	if def.Twilio == nil {
		return c.submit(ctx, def, t)
	}
	m := &twilio.Message{To: t.to, Body: t.body, Key: t.id}
	if t.delivery != "" && c.deps.PublicURL != "" {
		m.Callback = c.public("/hooks/sms/" + url.PathEscape(def.Name) + "/status?delivery=" + url.QueryEscape(t.delivery))
	}
	reference, err = c.http.Send(ctx, def, m)
	return reference, 0, err
}

// submit hands the segments of a message to the message centre, one after the
// other. Once one was taken, the others follow or it is not known what arrived.
func (c *Channel) submit(ctx context.Context, def *definition.Channel, t *text) (reference string, taken int, err error) {
	client := c.sessions.of(def)
	if client == nil {
		return "", 0, &channel.Error{Class: channel.Temporary, Err: errors.New("sms: there is no session for the channel as it is defined"), After: time.Second, Untried: true}
	}
	list := c.segments(def, t)
	for i := range list {
		id, err := client.Submit(ctx, &list[i])
		for i > 0 && channel.Class(err) == channel.Temporary && rest(ctx, err) {
			id, err = client.Submit(ctx, &list[i])
		}
		switch {
		case err != nil && i > 0 && channel.Class(err) == channel.Temporary:
			return "", i, &channel.Error{Class: channel.Uncertain, Err: fmt.Errorf("sms: %d of %d segments were taken: %w", i, len(list), err)}
		case err != nil:
			return "", i, err
		}
		reference = id
		if t.delivery != "" {
			c.keep(ctx, def, id)
		}
	}
	return reference, len(list), nil
}

// keep remembers what receipts will name. A receipt that is lost by an error is no
// reason to send again.
func (c *Channel) keep(ctx context.Context, def *definition.Channel, id string) {
	if err := c.sent.keep(context.WithoutCancel(ctx), def.Name, id); err != nil {
		c.deps.Logger.Warn("the receipt of a message will not be known", "channel", def.Name, "error", err)
	}
}

// rest waits as long as an error says; false if there is no time for it.
func rest(ctx context.Context, err error) bool {
	pause := 200 * time.Millisecond
	if e, ok := errors.AsType[*channel.Error](err); ok {
		pause = max(pause, e.After)
	}
	select {
	case <-time.After(pause):
		return true
	case <-ctx.Done():
		return false
	}
}

// segments are what is submitted for a message.
func (c *Channel) segments(def *definition.Channel, t *text) []smpp.Submit {
	e, parts := segment.Split(t.body)
	long := len(parts) > 1
	payload := long && def.SMPP.Long == definition.LongPayload
	if payload {
		_, whole := segment.Encode(t.body)
		parts = [][]byte{whole}
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(t.id)) // never fails
	out := make([]smpp.Submit, len(parts))
	for i, data := range parts {
		m := smpp.Submit{Sender: def.SMPP.Sender, To: t.to, Data: data, Payload: payload}
		if e == segment.UCS2 {
			m.Coding = smpp.UCS2
		}
		if long && !payload {
			// Concatenation with a reference of one byte: the same in each attempt, so
			// that what comes twice is put together once.
			m.Part = true
			m.Data = append([]byte{5, 0, 3, byte(h.Sum32()), byte(len(parts)), byte(i + 1)}, data...)
		}
		if t.delivery != "" {
			last := i == len(parts)-1
			m.Receipt = smpp.OnFailure
			if last {
				m.Receipt = smpp.Always
			}
			m.Accepted = func(id string) { c.sent.accepted(def.Name, id, part{Delivery: t.delivery, Last: last}) }
		}
		out[i] = m
	}
	return out
}

// public is the address of a path as providers reach it.
func (c *Channel) public(path string) string {
	return strings.TrimSuffix(c.deps.PublicURL, "/") + path
}

func permanent(err error) error { return &channel.Error{Class: channel.Permanent, Err: err} }
