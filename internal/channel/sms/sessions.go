package sms

import (
	"context"
	"sync"
	"time"

	"heed/internal/channel"
	"heed/internal/channel/sms/smpp"
	"heed/internal/definition"
)

// sessions are those with message centres, one per channel that is defined.
type sessions struct {
	mu     sync.Mutex
	byName map[string]*running
	ended  sync.WaitGroup
}

type running struct {
	config smpp.Config
	client *smpp.Client
	stop   context.CancelFunc
}

func configOf(def *definition.Channel) smpp.Config {
	s := def.SMPP
	host, port := s.Address()
	window := s.Window
	if window == 0 {
		window = 10
	}
	return smpp.Config{
		Host: host, Port: port, TLS: def.Encryption(s.TLS), SystemID: s.SystemID, Password: s.Password, SystemType: s.SystemType,
		Window: window, PerSecond: s.PerSecond,
	}
}

// of gives the client of a channel as it is defined; nil if there is none.
func (s *sessions) of(def *definition.Channel) *smpp.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.byName[def.Name]; r != nil && r.config == configOf(def) {
		return r.client
	}
	return nil
}

func (s *sessions) outages() []channel.Outage {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []channel.Outage
	for name, r := range s.byName {
		if o, failing := r.client.Outage(); failing {
			o.Channel = name
			out = append(out, o)
		}
	}
	return out
}

// follow begins and ends sessions until they are those of the channels.
func (c *Channel) follow(ctx context.Context, channels map[string]*definition.Channel) {
	s := &c.sessions
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, r := range s.byName {
		if def := channels[name]; def == nil || def.SMPP == nil || configOf(def) != r.config {
			r.stop()
			delete(s.byName, name)
		}
	}
	for name, def := range channels {
		if def.SMPP == nil || s.byName[name] != nil {
			continue
		}
		ctx, stop := context.WithCancel(ctx)
		r := &running{config: configOf(def), stop: stop}
		r.client = smpp.New(r.config, &listener{c, name}, c.deps.Logger.With("channel", name))
		if c.answered != nil {
			answered := c.answered.WithLabelValues(name)
			r.client.Answered = func(d time.Duration) { answered.Observe(d.Seconds()) }
		}
		s.byName[name] = r
		s.ended.Go(func() { r.client.Run(ctx) })
	}
}

// Run implements channel.Runner: it keeps the sessions and sends answers.
func (c *Channel) Run(ctx context.Context) error {
	c.sessions.mu.Lock()
	c.sessions.byName = make(map[string]*running)
	c.sessions.mu.Unlock()
	defer c.sessions.ended.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for range repliers {
		c.sessions.ended.Go(func() { c.reply(ctx) })
	}
	changed, cancel := c.deps.Definitions.Changed()
	defer cancel()
	hourly := time.NewTicker(time.Hour)
	defer hourly.Stop()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		c.follow(ctx, c.deps.Definitions.Current().Channels)
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-hourly.C:
			c.prune(ctx)
		case <-sweep.C:
			c.sweep(ctx)
		}
	}
}

func (c *Channel) prune(ctx context.Context) {
	now := c.deps.Now()
	for collection, before := range map[string]time.Time{collectionSent: now.Add(-keepSent), collectionCounts: now.Add(-24 * time.Hour)} {
		if err := prune(ctx, c.deps.Documents, collection, before); err != nil && ctx.Err() == nil {
			c.deps.Logger.Warn("old records of text messages were not removed", "error", err)
		}
	}
}
