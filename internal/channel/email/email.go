// Package email owns the channel that sends e-mail by SMTP: the message and its
// signature, sessions with servers, what their replies mean, and what comes back:
// mail that could not be delivered, complaints, openings and clicks.
//
// It does not own what is sent (render), whether and to whom (engager), how HTML
// becomes a letter (letter), or what is suppressed (channel.Inbound).
package email

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"heed/internal/channel"
	"heed/internal/channel/outward"
	"heed/internal/clienttls"
	"heed/internal/definition"
	"heed/internal/documents"
)

// Type is the type of the channel.
const Type = definition.ChannelEmail

// Config is the settings of the channel.
type Config struct {
	// BounceListen is where mail that comes back is taken; empty: nowhere.
	BounceListen string `yaml:"bounce_listen"`
	// BounceCert and BounceKey are the files of the certificate, in PEM, with which
	// STARTTLS is offered there; empty: it is not. They may be renewed at any time.
	BounceCert string `yaml:"bounce_cert"`
	BounceKey  string `yaml:"bounce_key"`
}

// Defaults sets what is not set.
func (*Config) Defaults() {}

// Validate tells what is wrong, without looking at files.
func (c *Config) Validate() error {
	switch {
	case (c.BounceCert == "") != (c.BounceKey == ""):
		return errors.New("bounce_cert and bounce_key belong together: set both, or neither")
	case c.BounceCert != "" && c.BounceListen == "":
		return errors.New("bounce_cert is set, and nothing listens: set bounce_listen")
	}
	return nil
}

// Check tells what is wrong with the files.
func (c *Config) Check(now time.Time) error {
	if c.BounceCert == "" {
		return nil
	}
	loaded, err := newKeyPair(c.BounceCert, c.BounceKey).load()
	if err == nil {
		err = clienttls.Valid(loaded.Leaf, now)
	}
	if err != nil {
		return fmt.Errorf("bounce_cert, bounce_key: %w", err)
	}
	return nil
}

// Deps is what the channel works with.
type Deps struct {
	Secret    []byte        // of the installation; signs what goes out and comes back
	Base      func() string // the address at which readers reach Heed, without a slash at its end
	Inbound   channel.Inbound
	Logger    *slog.Logger
	Now       func() time.Time
	Documents documents.Store // remembers the tokens of providers' reports
	// Local takes what channels send that are local; nil: there are none.
	Local channel.Channel
	// Definitions name the channels whose providers report; nil: none does.
	Definitions interface{ Current() *definition.Set }
}

// Channel implements channel.Channel, channel.Receiver and channel.Runner.
type Channel struct {
	cfg          Config
	deps         Deps
	seal         sealer
	keys         keys
	servers      servers
	destinations outward.Destinations
	pace         pace
	visits       visits
	outside      *http.Client // never to private addresses
}

// New makes the channel.
func New(cfg Config, deps Deps) *Channel {
	return &Channel{
		cfg: cfg, deps: deps, seal: newSealer(deps.Secret), destinations: outward.Destinations{InFlight: maxInFlight},
		pace: pace{lines: map[string]*line{}}, visits: visits{seen: map[string]*burst{}},
		outside: outward.NewClient(true),
	}
}

// Type implements channel.Channel.
func (*Channel) Type() string { return Type }

// Idempotent implements channel.Channel: SMTP has no keys, so a repeat may arrive
// twice. The Message-ID is the same in each attempt, by which some mailboxes tell.
func (*Channel) Idempotent() bool { return false }

// Outages implements channel.Watched.
func (c *Channel) Outages(now time.Time) []channel.Outage { return c.destinations.Outages(now) }

// Send implements channel.Channel.
func (c *Channel) Send(ctx context.Context, d *channel.Delivery) (channel.Receipt, error) {
	def := d.Channel
	if def != nil && def.Local {
		return c.keep(ctx, d)
	}
	if def == nil || def.SMTP == nil {
		return channel.Receipt{}, permanent(errors.New("email: the channel has no smtp"))
	}
	now := c.deps.Now()
	if wait := c.pace.wait(def.Name, def.SMTP.Rate, d.ID, now); wait > 0 {
		return channel.Receipt{}, &channel.Error{
			Class: channel.Temporary, After: wait, Untried: true, Err: fmt.Errorf("email: %d messages a second are sent", def.SMTP.Rate),
		}
	}
	m, err := c.compose(d)
	if err != nil {
		return channel.Receipt{}, permanent(fmt.Errorf("email: %w", err))
	}
	leave, err := c.destinations.Enter(def.Name, fmt.Sprintf("%s:%d", def.SMTP.Host, def.SMTP.PortOrUsual()), now)
	if err != nil {
		return channel.Receipt{}, fmt.Errorf("email: %w", err)
	}
	err = c.servers.send(ctx, accountOf(def), m, c.deps.Now)
	f, _ := errors.AsType[*failure](err)
	if f == nil {
		leave(c.deps.Now(), err)
		return channel.Receipt{Fresh: err == nil}, err
	}
	leave(c.deps.Now(), f.destination())
	if status, hard := f.bounced(); hard {
		if err := c.bounced(ctx, d, status, f.text); err != nil {
			return channel.Receipt{}, err
		}
	}
	return channel.Receipt{}, &channel.Error{Class: f.class(), Err: fmt.Errorf("email: %w", f)}
}

// keep puts what a local channel would send where people look at it.
func (c *Channel) keep(ctx context.Context, d *channel.Delivery) (channel.Receipt, error) {
	to, content, err := c.write(d)
	if err != nil {
		return channel.Receipt{}, permanent(fmt.Errorf("email: %w", err))
	}
	local := *d
	local.Kind, local.To, local.Body = Type, to, content.HTML
	return c.deps.Local.Send(ctx, &local)
}

// bounced tells of an address that the server knows to be dead. If that cannot be
// kept, the message is tried again, so that it is told then.
func (c *Channel) bounced(ctx context.Context, d *channel.Delivery, status, text string) error {
	err := c.deps.Inbound(ctx, channel.Feedback{
		Kind: channel.Bounced, Hard: true, Delivery: d.ID, Type: Type, Channel: d.Channel.Name, Address: d.To, Detail: text,
		ID: "smtp-" + d.ID + "-" + status, At: c.deps.Now().UnixMicro(),
	})
	if err != nil {
		return &channel.Error{Class: channel.Temporary, Err: fmt.Errorf("email: the address does not work, and that could not be kept: %w", err)}
	}
	return nil
}

func permanent(err error) error { return &channel.Error{Class: channel.Permanent, Err: err} }

// Run implements channel.Runner: it closes sessions that nobody uses, and takes
// the mail that comes back.
func (c *Channel) Run(ctx context.Context) error {
	defer c.servers.close()
	g, ctx := errgroup.WithContext(ctx)
	if c.cfg.BounceListen != "" {
		g.Go(func() error { return c.takeReturns(ctx) })
	}
	g.Go(func() error {
		tidy := time.NewTicker(idleFor / 3)
		defer tidy.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tidy.C:
				c.servers.tidy(c.deps.Now())
			}
		}
	})
	return g.Wait()
}
