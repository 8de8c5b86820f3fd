package reach

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"heed/internal/channel"
	"heed/internal/consent"
	"heed/internal/documents"
	"heed/internal/policy"
	"heed/internal/profile"
)

// Double opt-in: a yes counts once the owner of the address has confirmed it. That is
// kept with the address, like a suppression: a yes for it that anybody can write is
// none, and another address of the same person needs its own.

// CollectionConfirmations holds who was asked and who has confirmed: channel type,
// hash of the address -> Confirmation.
const CollectionConfirmations = "confirmations"

// ConfirmPath is where links to confirm lead, below the public address.
const ConfirmPath = "/confirm/"

// How people are asked: for how long an answer counts, how far apart and how often an
// address is written to. Anybody may enter anybody's address, so it is not often.
const (
	ConfirmWithin = 7 * 24 * time.Hour
	askEvery      = 24 * time.Hour
	askCount      = 3
	askWithin     = 30 * 24 * time.Hour
)

// Confirmation is what is kept of an address, the proof included. Times are µs since
// the Unix epoch.
type Confirmation struct {
	Asked []Asked `json:"asked,omitempty"` // of late, the newest last

	At     int64 `json:"at,omitempty"` // when it was confirmed; 0: it is not
	Agreed       // what was confirmed
	// Users are those for whom it was: it vouches that the address is theirs, and not
	// somebody else's who enters it later.
	Users    []string `json:"users,omitempty"`
	Delivery string   `json:"delivery,omitempty"` // the message that was answered
	How      string   `json:"how,omitempty"`      // by the link, or by a reply

	// Refused is when its owner last said no: what was asked before is void.
	Refused int64 `json:"refused,omitempty"`
}

// Agreed is what somebody agreed to, and since when.
type Agreed struct {
	Source  string `json:"source,omitempty"`
	Wording string `json:"wording,omitempty"`
	Said    int64  `json:"said,omitempty"`
}

// Asked is that somebody was asked, and whether they stand by what they had agreed to
// then. It is kept with the question: whoever enters the address next may write
// anything.
type Asked struct {
	At     int64  `json:"at"`
	User   string `json:"user"`             // profile id
	Known  bool   `json:"known,omitempty"`  // User is a user id, and no anonymous one
	Sender string `json:"sender,omitempty"` // of SMS: what a reply goes to
	Agreed
	Void bool `json:"void,omitempty"` // the user said no since
}

// maxConfirmers bounds Confirmation.Users: the newest are kept.
const maxConfirmers = 20

func (c *Confirmation) asked(at int64) (Asked, bool) {
	i := slices.IndexFunc(c.Asked, func(a Asked) bool { return a.At == at })
	if i < 0 {
		return Asked{}, false
	}
	return c.Asked[i], true
}

// ids are those of a user.
func ids(user string, anonymousIDs []string) func(id string) bool {
	return func(id string) bool { return id == user || slices.Contains(anonymousIDs, id) }
}

// by tells whether it was confirmed for a user, under any of the ids.
func (c *Confirmation) by(user string, anonymousIDs []string) bool {
	return slices.ContainsFunc(c.Users, ids(user, anonymousIDs))
}

// unconfirm makes it unconfirmed.
func (c *Confirmation) unconfirm() {
	c.At, c.Agreed, c.Users, c.Delivery, c.How = 0, Agreed{}, nil, "", ""
}

// leave voids what a user was asked, and what was confirmed for the user.
func (c *Confirmation) leave(mine func(id string) bool) (changed bool) {
	for i := range c.Asked {
		if a := &c.Asked[i]; mine(a.User) && !a.Void {
			a.Void, changed = true, true
		}
	}
	if !slices.ContainsFunc(c.Users, mine) {
		return changed
	}
	if c.Users = slices.DeleteFunc(c.Users, mine); len(c.Users) == 0 {
		c.unconfirm()
	}
	return true
}

func confirmationKey(channelType, hash string) string { return channelType + "/" + hash }

// confirmation is what is kept of an address; the zero one: nothing.
func (b *Book) confirmation(ctx context.Context, key string) (c Confirmation, version int64, err error) {
	d, err := b.deps.Documents.Get(ctx, CollectionConfirmations, key)
	if errors.Is(err, documents.ErrNotFound) {
		return c, 0, nil
	}
	if err == nil {
		err = json.Unmarshal(d.Value, &c)
	}
	if err != nil {
		return c, 0, fmt.Errorf("reach: read who has confirmed: %w", err)
	}
	return c, d.Version, nil
}

// confirm reads, changes and writes what is kept of an address, durably. do is false
// if there is nothing to write.
func (b *Book) confirm(ctx context.Context, key string, do func(c *Confirmation) bool) error {
	for {
		c, version, err := b.confirmation(ctx, key)
		if err != nil {
			return err
		}
		if !do(&c) {
			return nil
		}
		value, err := json.Marshal(&c)
		if err == nil {
			err = b.deps.Documents.Apply(ctx, documents.Durable, documents.Write{Collection: CollectionConfirmations, Key: key, Value: value, Expect: version})
		}
		if errors.Is(err, documents.ErrConflict) {
			continue // somebody else changed it: look again
		}
		if err != nil {
			return fmt.Errorf("reach: keep who has confirmed: %w", err)
		}
		return nil
	}
}

// needed tells whether a yes to marketing by a type of channel must be confirmed.
func (b *Book) needed(channelType string) bool {
	return b.deps.Definitions != nil && b.deps.Definitions.Current().DoubleOptIn(channelType) != nil
}

// opted brings an answer forward by what the owner of the address has confirmed: that
// vouches for the address too. Of a known user it vouches for marketing only: anybody
// may claim to be them and confirm an address of their own, and receipts would go there.
func (b *Book) opted(ctx context.Context, q *Question, p *profile.Profile, a *Answer, to string) error {
	if a.Address == policy.AddressMissing || a.Address == policy.AddressVerified && a.Consent != consent.Pending || !b.needed(q.Channel.Type) {
		return nil
	}
	if a.Transactional && p.UserID != "" {
		return nil
	}
	c, _, err := b.confirmation(ctx, confirmationKey(q.Channel.Type, b.hash(q.Channel.Type, to)))
	if err != nil || c.At == 0 || a.Address != policy.AddressVerified && !c.by(q.User, p.AnonymousIDs) {
		return err
	}
	a.Claimed = a.Address != policy.AddressVerified && p.UserID != ""
	a.Address = policy.AddressVerified
	if a.Consent == consent.Pending {
		a.Consent = consent.Granted
	}
	return nil
}

// Order is that somebody is to be asked to confirm.
type Order struct {
	ID string // the same each time that it is given
	At int64  // µs since the Unix epoch
}

// Await notes that somebody is to be asked now to confirm what q.Profile says of
// marketing by q.Channel. It is nil if there is nothing to ask, or if the address was
// asked too often of late. Given again with the same time, as after a crash, the order
// is the same. A no of whom the address is voids what was asked and confirmed before,
// and of whom it may be, what was of them.
func (b *Book) Await(ctx context.Context, q *Question, now int64) (*Order, error) {
	if q.Profile == nil {
		return nil, nil //nolint:nilnil // nothing to ask
	}
	channelType := q.Channel.Type
	to, state, err := b.address(ctx, q, q.Profile)
	if err != nil || state == policy.AddressMissing {
		return nil, err
	}
	hash := b.hash(channelType, to)
	key := confirmationKey(channelType, hash)
	verified := state == policy.AddressVerified
	said := consent.Ask(consent.Marketing, channelType, q.Profile.ConsentAt)
	value, at := q.Profile.ConsentAt(channelType)
	statement := consent.Read(value)
	mine := ids(q.User, q.Profile.AnonymousIDs)
	switch {
	case said.State == consent.Refused:
		return nil, b.confirm(ctx, key, func(c *Confirmation) bool {
			if !verified {
				return c.leave(mine)
			}
			if n := len(c.Asked); n == 0 || c.At == 0 && c.Asked[n-1].At <= c.Refused {
				return false // nothing is there to be voided
			}
			c.unconfirm()
			c.Refused = now
			return true
		})
	case said.State != consent.Granted || statement.Confirmed && verified:
		return nil, nil //nolint:nilnil // nothing to ask
	}
	var out *Order
	err = b.confirm(ctx, key, func(c *Confirmation) bool {
		out = nil
		if c.At != 0 && (verified || c.by(q.User, q.Profile.AnonymousIDs)) {
			return false
		}
		order := &Order{ID: fmt.Sprintf("%x", b.mac("ask", channelType, hash, fmt.Sprint(now))), At: now}
		if a, again := c.asked(now); again {
			if mine(a.User) && !a.Void { // others who came at the same moment are not asked
				out = order
			}
			return false
		}
		c.Asked = slices.DeleteFunc(c.Asked, func(a Asked) bool { return now-a.At >= askWithin.Microseconds() })
		n := len(c.Asked)
		if n >= askCount || n > 0 && now-c.Asked[n-1].At < askEvery.Microseconds() {
			return false
		}
		c.Asked = append(c.Asked, Asked{
			At: now, User: q.User, Known: q.User == q.Profile.UserID, Sender: senderOf(q.Channel.Sender()), Agreed: Agreed{statement.Source, statement.Wording, at},
		})
		out = order
		return true
	})
	return out, err
}

// ConfirmLink is the address of the page on which the owner of an address confirms
// what was asked at a time.
func (b *Book) ConfirmLink(l Link, to string, at int64) string {
	l.hash, l.asked = b.hash(l.Type, to), at
	return strings.TrimSuffix(b.deps.PublicURL, "/") + ConfirmPath + b.token(&l)
}

// Confirmed is how a link to confirm stands.
type Confirmed struct {
	Done    bool // it is confirmed
	Void    bool // it is not, and cannot be by this link: it is too old, or a no came after it
	Wording string
}

func (c *Confirmation) stands(asked, now int64) Confirmed {
	ask, known := c.asked(asked)
	out := Confirmed{Done: c.At != 0 && (!known || c.by(ask.User, nil)), Wording: cmp.Or(ask.Wording, c.Wording)}
	out.Void = !out.Done && (!known || ask.Void || now-asked >= ConfirmWithin.Microseconds() || asked <= c.Refused)
	return out
}

// Proof is what is kept of the address that a channel would send to: whether and how it
// was confirmed.
func (b *Book) Proof(ctx context.Context, q *Question) (c Confirmation, err error) {
	if q.Profile == nil || !b.needed(q.Channel.Type) {
		return c, nil
	}
	to, state, err := b.address(ctx, q, q.Profile)
	if err != nil || state == policy.AddressMissing {
		return c, err
	}
	c, _, err = b.confirmation(ctx, confirmationKey(q.Channel.Type, b.hash(q.Channel.Type, to)))
	if state != policy.AddressVerified && !c.by(q.User, q.Profile.AnonymousIDs) {
		c.At = 0 // it was somebody else
	}
	return c, err
}

// answered is when what a reply answers was asked, 0 if it answers nothing: people say
// yes to other senders too.
func (c *Confirmation) answered(f *channel.Feedback) int64 {
	for _, a := range slices.Backward(c.Asked) {
		if f.Sender == "" || f.Sender == a.Sender {
			return a.At
		}
	}
	return 0
}

// Confirmation tells how a link to confirm stands, and changes nothing.
func (b *Book) Confirmation(ctx context.Context, l Link) (Confirmed, error) {
	c, _, err := b.confirmation(ctx, confirmationKey(l.Type, l.hash))
	return c.stands(l.asked, b.now()), err
}

// Confirm is what the owner of the address wants who follows a link: it is kept,
// durably, and what the owner said against messages before is taken back.
func (b *Book) Confirm(ctx context.Context, l Link) (Confirmed, error) {
	return b.confirmed(ctx, &channel.Feedback{
		Kind: channel.Confirmed, Type: l.Type, Channel: l.Channel, Delivery: l.Delivery, At: b.now(), Detail: "by the link in a message",
	}, l.hash, l.asked)
}

// confirmed keeps that what was asked at a time (0: what a reply answers) is confirmed,
// and tells the log. Again it changes nothing.
func (b *Book) confirmed(ctx context.Context, f *channel.Feedback, hash string, asked int64) (out Confirmed, err error) {
	var kept Confirmation
	var ask Asked
	err = b.confirm(ctx, confirmationKey(f.Type, hash), func(c *Confirmation) bool {
		at := asked
		if at == 0 {
			if at = c.answered(f); at == 0 {
				return false
			}
		}
		ask, _ = c.asked(at)
		out = c.stands(at, f.At)
		fresh := !out.Done && !out.Void
		if fresh {
			c.At, c.Agreed, c.Delivery, c.How = f.At, ask.Agreed, f.Delivery, cut(f.Detail)
			c.Users = append(c.Users[max(0, len(c.Users)+1-maxConfirmers):], ask.User)
			out.Done = true
		}
		kept = *c
		return fresh
	})
	if err != nil || !out.Done {
		return out, err
	}
	if kept.At != f.At { // it was confirmed a moment ago, perhaps, and is not synced yet
		if err := b.deps.Documents.Apply(ctx, documents.Durable); err != nil {
			return out, fmt.Errorf("reach: keep who has confirmed: %w", err)
		}
	}
	if err := b.resumeBefore(ctx, f.Type, hash, kept.At); err != nil {
		return out, err
	}
	r, err := b.record(ctx, CollectionDeliveries, f.Delivery)
	if err == nil && r == nil {
		r, err = b.record(ctx, CollectionAddressees, f.Type+"/"+hash)
		if r != nil && ask.User != "" { // others may have been written to since
			r.User, r.Known = ask.User, ask.Known
		}
	}
	if err != nil {
		return out, err
	}
	told := *f
	told.At, told.ID, told.Detail = kept.At, fmt.Sprint("confirmed-", kept.At), kept.Wording
	return out, b.tell(ctx, &told, r, hash, Suppression{})
}

// resumeBefore takes back what the owner of an address said against messages before a
// time, unless something was said since, so that a confirmation told again undoes
// nothing; only START takes back a STOP.
func (b *Book) resumeBefore(ctx context.Context, channelType, hash string, at int64) error {
	list, err := b.suppressions(ctx, channelType, hash)
	if err != nil {
		return err
	}
	before := false
	for i := range list {
		for w, c := range list[i].Reasons {
			if w == Stop || w.byPerson() && c.At > at {
				return nil
			}
			before = before || w.byPerson()
		}
	}
	if !before {
		return nil
	}
	return b.resume(ctx, channelType, hash, Suppression{}, at, func(w Why, c Cause) bool { return w != Stop && c.At <= at })
}

// asks answers whether somebody may be asked to confirm: if that was ordered, of this
// address, and is still open. An address that is only claimed will do.
func (b *Book) asks(ctx context.Context, q *Question, p *profile.Profile) (Answer, error) {
	to, state, err := b.address(ctx, q, p)
	if err != nil || state == policy.AddressMissing {
		return Answer{Reach: policy.Reach{Transactional: true, Address: state}}, err
	}
	hash := b.hash(q.Channel.Type, to)
	c, _, err := b.confirmation(ctx, confirmationKey(q.Channel.Type, hash))
	if err != nil {
		return Answer{}, err
	}
	said := consent.Ask(consent.Marketing, q.Channel.Type, p.ConsentAt)
	if now := c.stands(q.Asked, b.now()); now.Done || now.Void || said.State != consent.Granted {
		return Answer{Reach: policy.Reach{Consent: consent.Refused}, Detail: "nothing is to be confirmed any more"}, nil
	}
	a := Answer{
		Reach: policy.Reach{Transactional: true, Address: policy.AddressVerified}, To: to,
		Claimed: state != policy.AddressVerified && p.UserID != "",
	}
	list, err := b.suppressions(ctx, q.Channel.Type, hash)
	if err != nil {
		return a, err
	}
	if why := list.against(consent.Transactional, senderOf(q.Channel.Sender()), q.Campaign); why != "" {
		a.Suppressed, a.Detail, a.To = true, string(why), ""
	}
	return a, nil
}
