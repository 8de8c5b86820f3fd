package app

import (
	"context"
	"net/http"
	"time"

	"heed/internal/channel"
	"heed/internal/channel/outbox"
	"heed/internal/channel/pullstore"
	"heed/internal/channel/push"
	channelweb "heed/internal/channel/web"
	"heed/internal/channel/webhook"
)

// channels makes the ways out, with what they are called back by.
func (n *node) channels(mux *http.ServeMux, add func(name string, run func(context.Context) error, ready func() error)) []channel.Channel {
	all := []channel.Channel{
		channelweb.New(n.db.Inbox()),
		outbox.New(n.db.Documents()),
		webhook.New(time.Now),
		pullstore.New(n.pull, n.catalog),
		push.New(push.Deps{Devices: n.devices(), Known: n.profiles().known, Inbound: n.book.Inbound, Now: time.Now, Logger: n.log}),
	}
	for _, c := range all {
		if r, ok := c.(channel.Receiver); ok {
			r.Register(mux)
		}
		if r, ok := c.(channel.Runner); ok {
			add("channel "+c.Type(), r.Run, alwaysReady)
		}
	}
	return all
}
