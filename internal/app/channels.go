package app

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"heed/internal/channel"
	"heed/internal/channel/email"
	channelkafka "heed/internal/channel/kafka"
	"heed/internal/channel/outbox"
	"heed/internal/channel/pullstore"
	"heed/internal/channel/push"
	"heed/internal/channel/sms"
	channelweb "heed/internal/channel/web"
	"heed/internal/channel/webhook"
	"heed/internal/console/api"
	"heed/internal/definition"
)

// channels makes the ways out: with the role engager, with what runs for them; with
// what they are called back by also where the gateway is, which is what people and
// providers reach. public is where their readers reach Heed.
func (n *node) channels(public string, mux *http.ServeMux, add func(name string, run func(context.Context) error, ready func() error)) []channel.Channel {
	local := outbox.New(n.db.documents)
	all := []channel.Channel{
		channelweb.New(n.db.inbox),
		local,
		webhook.New(time.Now),
		pullstore.New(n.pull, n.catalog),
		channelkafka.New(time.Now, n.log),
		sms.New(sms.Deps{
			Documents: n.db.documents, Definitions: n.catalog, Inbound: n.book.Inbound, Secret: n.secret,
			PublicURL: n.cfg.PublicURL, Local: local, Now: time.Now, Logger: n.log, Registerer: n.registry,
		}),
		email.New(n.cfg.Email, email.Deps{
			Secret: n.secret, Base: func() string { return strings.TrimSuffix(public, "/") }, Inbound: n.book.Inbound, Local: local, Logger: n.log, Now: time.Now,
			Documents: n.db.documents, Definitions: n.catalog,
		}),
		push.New(push.Deps{Devices: n.devices(), Known: n.profiles().known, Inbound: n.book.Inbound, Now: time.Now, Logger: n.log}),
	}
	for _, c := range all {
		if r, ok := c.(channel.Receiver); ok && (n.cfg.has(RoleEngager) || n.cfg.has(RoleGateway)) {
			r.Register(mux)
		}
		if r, ok := c.(channel.Runner); ok && n.cfg.has(RoleEngager) {
			add("channel "+c.Type(), r.Run, alwaysReady)
		}
	}
	return all
}

// sessionsHealth tells how the sessions of channels with their providers are. One that
// is down is for people to see, and no reason why this process should not be ready: what
// is to be sent waits, and everything else goes on.
func (n *node) sessionsHealth(out *api.Health) {
	for _, s := range channel.Sessions(n.sending) {
		row := api.ChannelSession{
			Channel: s.Channel, Destination: s.Destination, Bound: s.Bound, Since: s.Since.UTC(), Reason: s.Reason,
			Window: s.Window, InFlight: s.InFlight, Waiting: s.Waiting, Throttled: s.Throttled,
		}
		where := ""
		if n.peers != nil {
			row.Process = n.peers.Self().URL
			where = " from " + row.Process
		}
		out.Sessions = append(out.Sessions, row)
		if !s.Bound && !s.Since.IsZero() {
			out.Status = api.HealthDegraded
			out.Notes = append(out.Notes, fmt.Sprintf("Channel %s has no session with %s%s: %s. What is to be sent by it waits.", s.Channel, s.Destination, where, s.Reason))
		}
	}
}

// CheckCertificates tells what is wrong with the files of certificates that channels
// name.
func CheckCertificates(set *definition.Set, now time.Time) error {
	for _, name := range slices.Sorted(maps.Keys(set.Channels)) {
		t := set.Channels[name].TLS
		if t == nil || slices.ContainsFunc([]string{t.CA, t.Cert, t.Key}, func(s string) bool { return strings.HasPrefix(s, "${") }) {
			continue // the server knows what stands there
		}
		if err := set.Channels[name].Encryption(true).Check(now); err != nil {
			return fmt.Errorf("channel %s: tls.%w", name, err)
		}
	}
	return nil
}
