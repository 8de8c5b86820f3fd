package app

import (
	"context"
	"net/http"
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
)

// channels makes the ways out: with the role engager, with what runs for them; with
// what they are called back by also where the gateway is, which is what people and
// providers reach. public is where their readers reach Heed.
func (n *node) channels(public string, mux *http.ServeMux, add func(name string, run func(context.Context) error, ready func() error)) []channel.Channel {
	all := []channel.Channel{
		channelweb.New(n.db.inbox),
		outbox.New(n.db.documents),
		webhook.New(time.Now),
		pullstore.New(n.pull, n.catalog),
		channelkafka.New(time.Now, n.log),
		sms.New(sms.Deps{
			Documents: n.db.documents, Definitions: n.catalog, Inbound: n.book.Inbound, Secret: n.secret,
			PublicURL: n.cfg.PublicURL, Now: time.Now, Logger: n.log,
		}),
		email.New(n.cfg.Email, email.Deps{
			Secret: n.secret, Base: func() string { return strings.TrimSuffix(public, "/") }, Inbound: n.book.Inbound, Logger: n.log, Now: time.Now, Documents: n.db.documents,
			Definitions: n.catalog,
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
