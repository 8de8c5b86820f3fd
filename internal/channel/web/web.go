// Package web owns the channel of in-page messages: pop-ups, banners, slots and
// inline content. It puts them into the user's inbox, from where whichever
// gateway holds the user's connection shows them.
//
// It does not own the inbox (inbox), the connection (gateway) or how a page
// shows a message (web/tracker).
package web

import (
	"context"
	"fmt"

	"heed/internal/channel"
	"heed/internal/inbox"
)

// Type is the type of the channel.
const Type = "web"

// Inbox is the part of the inbox that the channel uses.
type Inbox interface {
	Put(ctx context.Context, m inbox.Message) (fresh bool, err error)
}

// Channel implements channel.Channel.
type Channel struct{ inbox Inbox }

// New makes the channel.
func New(i Inbox) *Channel { return &Channel{inbox: i} }

// Type implements channel.Channel.
func (*Channel) Type() string { return Type }

// Idempotent implements channel.Channel: the inbox takes an id once.
func (*Channel) Idempotent() bool { return true }

// Send implements channel.Channel.
func (c *Channel) Send(ctx context.Context, d *channel.Delivery) (channel.Receipt, error) {
	fresh, err := c.inbox.Put(ctx, inbox.Message{
		ID: d.ID, User: d.User, Campaign: d.Campaign, Template: d.Template, Kind: d.Kind, Slot: d.Slot,
		HTML: d.Body, Created: d.Created, Expires: d.Expires, CauseID: d.CauseID, ReplyTo: d.ReplyTo,
		Personal: d.Personal, Depth: d.Depth, Test: d.Test,
	})
	if err != nil {
		// Whether it was stored is unknown; putting it again is safe.
		return channel.Receipt{}, fmt.Errorf("web: put message %s: %w", d.ID, err)
	}
	return channel.Receipt{Fresh: fresh}, nil
}
