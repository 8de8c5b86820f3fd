// Package outbox owns the channel that needs no provider: a local mailbox in
// the store of documents, which the console shows. It stands in for e-mail and
// text messages until one is connected; channels of these types that are local
// hand over to it what they would have sent.
//
// It does not own the store (documents) or the page (console), which shows an
// author's HTML only inside a sandboxed frame.
package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"heed/internal/channel"
	"heed/internal/documents"
)

// Type is the type of the channel.
const Type = "outbox"

// Collection holds the messages.
const Collection = "outbox"

// Message is one message of the mailbox. Times are µs since the Unix epoch.
type Message struct {
	Key        string `json:"-"` // in order of time
	ID         string `json:"id"`
	Activation string `json:"activation"`
	User       string `json:"user"`
	To         string `json:"to,omitempty"`      // the address, of a channel that sends to addresses
	Channel    string `json:"channel,omitempty"` // that it came by; "" for the outbox itself
	Campaign   string `json:"campaign"`
	Template   string `json:"template"`
	As         string `json:"as,omitempty"` // what it stands for: email | sms | push
	Subject    string `json:"subject,omitempty"`
	Body       string `json:"body"`
	At         int64  `json:"at"`
	Created    int64  `json:"created"`
	Cause      string `json:"cause,omitempty"`
	Test       bool   `json:"test,omitempty"`
}

// Channel implements channel.Channel.
type Channel struct{ store documents.Store }

// New makes the channel.
func New(s documents.Store) *Channel { return &Channel{store: s} }

// Type implements channel.Channel.
func (*Channel) Type() string { return Type }

// Idempotent implements channel.Channel: the key follows from the delivery.
func (*Channel) Idempotent() bool { return true }

// Key is where a delivery's message lies: in order of the time of its trigger,
// which is the same in each attempt.
func Key(at int64, id string) string { return fmt.Sprintf("%016x-%s", uint64(max(at, 0)), id) }

// Send implements channel.Channel.
func (c *Channel) Send(ctx context.Context, d *channel.Delivery) (channel.Receipt, error) {
	m := Message{
		ID: d.ID, Activation: d.ActivationID, User: d.User, To: d.To, Campaign: d.Campaign, Template: d.Template, As: d.Kind,
		Subject: d.Subject, Body: d.Body, At: d.At, Created: d.Created, Cause: d.CauseID, Test: d.Test,
	}
	if d.Channel != nil && d.Channel.Local {
		m.Channel = d.Channel.Name
	}
	value, err := json.Marshal(m)
	if err != nil {
		return channel.Receipt{}, &channel.Error{Class: channel.Permanent, Err: fmt.Errorf("outbox: encode message %s: %w", d.ID, err)}
	}
	err = c.store.Apply(ctx, documents.Durable, documents.Write{
		Collection: Collection, Key: Key(d.At, d.ID), Value: value, Expect: documents.Absent,
	})
	switch {
	case err == nil:
		return channel.Receipt{Fresh: true}, nil
	case errors.Is(err, documents.ErrConflict):
		return channel.Receipt{}, nil
	}
	return channel.Receipt{}, fmt.Errorf("outbox: store message %s: %w", d.ID, err)
}

// List reads the mailbox, newest first, from below the key before ("" for the
// newest), at most limit messages.
func List(ctx context.Context, s documents.Store, before string, limit int) ([]Message, error) {
	docs, err := s.List(ctx, documents.Query{Collection: Collection, After: before, Reverse: true, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("outbox: list: %w", err)
	}
	out := make([]Message, len(docs))
	for i, d := range docs {
		if err := json.Unmarshal(d.Value, &out[i]); err != nil {
			return nil, fmt.Errorf("outbox: decode message %q: %w", d.Key, err)
		}
		out[i].Key = d.Key
	}
	return out, nil
}
