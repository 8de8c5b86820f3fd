// Package pullstore owns the channel that writes into the pull store: what a
// campaign renders for a user becomes the user's document, for later campaigns
// and for whoever meets the user.
//
// It does not own the store (pull) or what may stand in a collection
// (definition).
package pullstore

import (
	"context"
	"errors"
	"fmt"

	"heed/internal/channel"
	"heed/internal/definition"
	"heed/internal/pull"
)

// Type is the type of the channel.
const Type = definition.ChannelPull

// Store is the part of the pull store that the channel uses.
type Store interface {
	Put(ctx context.Context, c *definition.Collection, key string, fields []byte) (pull.Document, error)
}

// Definitions gives the definitions in force.
type Definitions interface{ Current() *definition.Set }

// Channel implements channel.Channel.
type Channel struct {
	store       Store
	definitions Definitions
}

// New makes the channel.
func New(s Store, d Definitions) *Channel { return &Channel{s, d} }

// Type implements channel.Channel.
func (*Channel) Type() string { return Type }

// Idempotent implements channel.Channel: writing the same document again changes
// nothing but its time.
func (*Channel) Idempotent() bool { return true }

// Send implements channel.Channel.
func (c *Channel) Send(ctx context.Context, d *channel.Delivery) (channel.Receipt, error) {
	name := ""
	if d.Channel != nil {
		name = d.Channel.Collection
	}
	collection := c.definitions.Current().Collections[name]
	if collection == nil {
		return channel.Receipt{}, &channel.Error{Class: channel.Permanent, Err: fmt.Errorf("pull store: there is no collection %q", name)}
	}
	_, err := c.store.Put(ctx, collection, d.User, []byte(d.Body))
	if bad, ok := errors.AsType[*pull.InvalidError](err); ok {
		return channel.Receipt{}, &channel.Error{Class: channel.Permanent, Err: fmt.Errorf("pull store: %w", bad)}
	}
	if err != nil {
		return channel.Receipt{}, &channel.Error{Class: channel.Temporary, Err: err}
	}
	return channel.Receipt{Fresh: true}, nil
}
