package reach

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"heed/internal/channel"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/eventlog"
)

// Bounds of feedback, in bytes: it comes from outside.
const (
	maxDeliveryID = 64
	maxLink       = 2 << 10
	maxSender     = 64
)

// nameOf is the event that feedback becomes.
func nameOf(k channel.FeedbackKind) string {
	switch k {
	case channel.Delivered:
		return event.NameDelivered
	case channel.Bounced:
		return event.NameBounced
	case channel.Complained:
		return event.NameComplained
	case channel.Opened:
		return event.NameOpened
	case channel.Shown:
		return event.NameShown
	case channel.Clicked:
		return event.NameClicked
	case channel.Unsubscribed:
		return event.NameUnsubscribed
	case channel.Resubscribed:
		return event.NameResubscribed
	case channel.Confirmed:
		return event.NameConfirmed
	}
	return ""
}

// Inbound implements channel.Inbound: it suppresses what the feedback asks for,
// durably, and then tells the log, as an event of the user. Feedback about a
// message or an address that nobody knows suppresses if it can, and tells
// nothing.
func (b *Book) Inbound(ctx context.Context, f channel.Feedback) error {
	if nameOf(f.Kind) == "" {
		return fmt.Errorf("reach: %.40q is no kind of feedback", f.Kind)
	}
	if len(f.Delivery) > maxDeliveryID {
		return fmt.Errorf("reach: %.40q... is no delivery", f.Delivery)
	}
	if f.At <= 0 || f.At > b.now() {
		f.At = b.now()
	}
	f.Sender = senderOf(event.Cut(f.Sender, maxSender))
	r, hash, err := b.subject(ctx, &f)
	if err != nil {
		return err
	}
	if f.Kind == channel.Confirmed {
		if hash == "" || f.Machine {
			return nil
		}
		_, err := b.confirmed(ctx, &f, hash, 0)
		return err
	}
	scope := Suppression{Sender: f.Sender}
	if err := b.act(ctx, &f, hash, scope); err != nil {
		return err
	}
	return b.tell(ctx, &f, r, hash, scope)
}

// subject is whose the feedback is: the record of the message, and the hash of
// the address, as far as they are known.
func (b *Book) subject(ctx context.Context, f *channel.Feedback) (r *Record, hash string, err error) {
	if f.Delivery != "" {
		if r, err = b.record(ctx, CollectionDeliveries, f.Delivery); err != nil {
			return nil, "", err
		}
	}
	if r != nil {
		f.Type = r.Type
		hash = r.Hash
	}
	if f.Address == "" || !Addressed(f.Type) {
		return r, hash, nil
	}
	// The address that was written to, not the one it was forwarded to, if both
	// are known: hence the record first.
	if to, ok := Normal(f.Type, f.Address); ok && r == nil {
		hash = b.hash(f.Type, to)
		r, err = b.record(ctx, CollectionAddressees, f.Type+"/"+hash)
	}
	return r, hash, err
}

// act suppresses, or takes it back.
func (b *Book) act(ctx context.Context, f *channel.Feedback, hash string, scope Suppression) error {
	if hash == "" || f.Machine { // a scanner says nothing for its owner
		return nil
	}
	c := Cause{At: f.At, Channel: f.Channel, Detail: f.Detail}
	switch {
	case f.Kind == channel.Bounced && f.Hard:
		return b.suppress(ctx, documents.Durable, f.Type, hash, Suppression{}, HardBounce, c, false)
	case f.Kind == channel.Complained:
		return b.suppress(ctx, documents.Durable, f.Type, hash, Suppression{}, Complaint, c, f.Reported)
	case f.Kind == channel.Unsubscribed && f.Type == definition.ChannelSMS:
		return b.suppress(ctx, documents.Durable, f.Type, hash, scope, Stop, c, false)
	case f.Kind == channel.Unsubscribed:
		return b.suppress(ctx, documents.Durable, f.Type, hash, scope, Unsubscribed, c, f.Reported)
	case f.Kind == channel.Resubscribed:
		return b.resume(ctx, f.Type, hash, scope, f.At, all)
	}
	return nil
}

// feedback is the properties of an event.
type feedback struct {
	Delivery string `json:"delivery,omitempty"`
	Campaign string `json:"campaign,omitempty"`
	Channel  string `json:"channel,omitempty"`
	Type     string `json:"type"`
	Template string `json:"template,omitempty"`
	Variant  int    `json:"variant"`
	Scope    string `json:"scope,omitempty"` // of unsubscribing: the campaign or the sender that it is about; "" for all
	Hard     bool   `json:"hard,omitempty"`
	Machine  bool   `json:"machine,omitempty"`
	Link     string `json:"link,omitempty"`
	Detail   string `json:"detail,omitempty"`
	Test     bool   `json:"test,omitempty"`
	Settles  bool   `json:"settles,omitempty"` // the outcome was that nobody knew whether it arrived
}

// tell appends the event; the log drops a repeat.
func (b *Book) tell(ctx context.Context, f *channel.Feedback, r *Record, hash string, scope Suppression) error {
	if r == nil {
		return nil
	}
	p := feedback{
		Delivery: r.Delivery, Campaign: r.Campaign, Channel: r.Channel, Type: r.Type, Template: r.Template, Variant: r.Variant,
		Scope: scope.Campaign + scope.Sender, Hard: f.Hard, Machine: f.Machine, Link: event.Cut(strings.ToValidUTF8(f.Link, ""), maxLink),
		Detail: cut(f.Detail), Test: r.Test, Settles: r.Unsure && f.Delivery != "",
	}
	if f.Delivery == "" {
		p.Delivery = "" // it is about the address; the message only says whose that is
	}
	properties, err := json.Marshal(&p)
	if err != nil {
		return fmt.Errorf("reach: encode feedback on %s: %w", r.Delivery, err)
	}
	id := f.ID
	if id == "" {
		// Told twice it is the same; but people may change their minds twice.
		id = fmt.Sprint(f.Hard, f.Machine, f.Link, scope.Campaign)
		if f.Kind == channel.Unsubscribed || f.Kind == channel.Resubscribed {
			id += strconv.FormatInt(f.At, 10)
		}
	}
	id = "f-" + hex.EncodeToString(b.mac("feedback", string(f.Kind), f.Delivery, f.Type, hash, f.Sender, id))
	e := event.Event{
		MessageID: id, Type: event.Track, Name: nameOf(f.Kind), Timestamp: f.At, ReceivedAt: b.now(),
		Source: event.SourceHeed, Depth: r.Depth + 1, Properties: properties,
	}
	if e.AnonymousID = r.User; r.Known {
		e.UserID, e.AnonymousID = r.User, ""
	}
	return b.append(ctx, &e)
}

// append puts an event of Heed's own into its user's partition, durably.
func (b *Book) append(ctx context.Context, e *event.Event) error {
	data := event.AppendEvent(nil, e)
	err := b.deps.Log.Append(ctx, eventlog.Events, []*eventlog.Batch{{
		Partition: eventlog.PartitionOf(e.User(), b.deps.Log.Partitions()), Data: data, Ends: []int{len(data)},
		Keys: []eventlog.Key{event.KeyOf(e.Source, e.MessageID)}, Own: true,
	}})
	if err != nil {
		return fmt.Errorf("reach: append %s: %w", e.Name, err)
	}
	return nil
}
