// Package reach owns whom Heed may write to, and at which address: the addresses
// of users, the list of addresses that must not be written to, the links by
// which people take themselves off it, and what comes back about messages
// (channel.Inbound).
//
// It does not own what people said (consent), the decision (policy), or sending
// (engager, channel). The Engager and whoever counts who can be reached ask the
// same Book.
package reach

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"heed/internal/channel"
	"heed/internal/consent"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/eventlog"
	"heed/internal/policy"
	"heed/internal/profile"
)

// Deps is what a Book works with.
type Deps struct {
	Documents documents.Store
	Log       eventlog.Log
	// Secret of the installation: addresses are kept as HMACs under it, and links
	// are signed with it.
	Secret []byte
	// PublicURL is where people reach Heed: "https://heed.shop.example".
	PublicURL string
	// Definitions say whether a yes must be confirmed; nil: none must.
	Definitions interface{ Current() *definition.Set }
	Logger      *slog.Logger
	Clock       func() time.Time
}

// Book answers who can be reached. It may be used concurrently.
type Book struct {
	deps Deps
	own  map[string]channel.Addresser
}

// New makes a Book.
func New(deps Deps) (*Book, error) {
	if deps.Documents == nil || deps.Log == nil || deps.Clock == nil {
		return nil, errors.New("reach: a store or the clock is missing")
	}
	if len(deps.Secret) < 16 {
		return nil, errors.New("reach: the installation's secret must have at least 16 bytes")
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	return &Book{deps: deps, own: map[string]channel.Addresser{}}, nil
}

// Keep tells which channels know the addresses of their users themselves. It is
// called before the Book is asked.
func (b *Book) Keep(channels []channel.Channel) {
	for _, c := range channels {
		if a, ok := c.(channel.Addresser); ok {
			b.own[c.Type()] = a
		}
	}
}

// Profiles reads what the Decider knows of a user; nil if nothing is known.
type Profiles interface {
	Profile(ctx context.Context, user string) (*profile.Profile, error)
}

// Whose follows an id to the user that it has turned out to be.
func Whose(ctx context.Context, from Profiles, user string) (string, *profile.Profile, error) {
	p, err := from.Profile(ctx, user)
	if err == nil && p != nil && p.Moved.To != "" {
		user = p.Moved.To
		p, err = from.Profile(ctx, user)
	}
	if err != nil {
		return "", nil, fmt.Errorf("reach: read a profile: %w", err)
	}
	return user, p, nil
}

// Question is who is to be written to, what for and by what.
type Question struct {
	User     string           // profile id
	Profile  *profile.Profile // nil: nothing is known
	Purpose  consent.Purpose
	Campaign string // "" for any
	Channel  *definition.Channel
	// To stands in for the user's address: whoever tries a message gives their own.
	To string
	// Asked is when it was ordered (Await) to ask this user to confirm a yes, if the
	// message is what asks; 0 for every other one.
	Asked int64
}

// Answer is what is known about a Question.
type Answer struct {
	policy.Reach
	To     string // "" if the channel needs no address, or none that it may use is known
	Detail string // of a refusal, for people
	// Claimed: To is of somebody who claims to be this known user, and no server, signed
	// call or import has vouched for that. It is no place for what is known of the user.
	Claimed bool
}

// Ask answers a question. Of an address that must not be written to the answer
// is right from the moment in which that was acknowledged.
func (b *Book) Ask(ctx context.Context, q *Question) (Answer, error) {
	p := q.Profile
	if p == nil {
		p = &profile.Profile{}
	}
	if q.Asked != 0 {
		return b.asks(ctx, q, p)
	}
	said := consent.Ask(q.Purpose, q.Channel.Type, p.ConsentAt)
	a := Answer{Reach: policy.Reach{Transactional: q.Purpose == consent.Transactional, Consent: said.State}}
	if !a.Transactional && !said.Allows() {
		if said.Key != "" {
			a.Detail = "consent." + said.Key
		}
		return a, nil // nothing else can change the answer
	}
	if !Addressed(q.Channel.Type) {
		return a, nil
	}
	to, state, err := b.address(ctx, q, p)
	if err != nil {
		return a, err
	}
	a.Address = state
	if !a.Transactional && state != policy.AddressMissing && b.needed(q.Channel.Type) {
		if value, _ := p.ConsentAt(q.Channel.Type); !consent.Read(value).Confirmed {
			a.Consent = consent.Pending
		}
	}
	if err := b.opted(ctx, q, p, &a, to); err != nil || a.Address != policy.AddressVerified || a.Consent == consent.Pending {
		return a, err
	}
	a.To = to
	list, err := b.suppressions(ctx, q.Channel.Type, b.hash(q.Channel.Type, to))
	if err != nil {
		return a, err
	}
	if why := list.against(q.Purpose, senderOf(q.Channel.Sender()), q.Campaign); why != "" {
		a.Suppressed, a.Detail, a.To = true, string(why), ""
	}
	return a, nil
}

// address is where the channel would send to.
func (b *Book) address(ctx context.Context, q *Question, p *profile.Profile) (string, policy.Address, error) {
	kept, country := p.Email, ""
	switch own := b.own[q.Channel.Type]; {
	case q.To != "":
		kept = profile.Address{Value: q.To, Verified: true}
	case own != nil:
		to, err := own.Address(ctx, q.User, p.AnonymousIDs)
		if err != nil {
			return "", 0, fmt.Errorf("reach: address for %s: %w", q.Channel.Type, err)
		}
		kept = profile.Address{Value: to, Verified: true}
	case q.Channel.Type == definition.ChannelSMS:
		kept, country = p.Phone, q.Channel.Country()
	case q.Channel.Type == definition.ChannelPush:
		return "", policy.AddressMissing, nil // no device without the channel that keeps it
	}
	to, ok := normal(q.Channel.Type, kept.Value, country)
	switch {
	case !ok:
		return "", policy.AddressMissing, nil
	case !kept.Verified:
		return to, policy.AddressUnverified, nil
	}
	return to, policy.AddressVerified, nil
}

func (b *Book) now() int64 { return b.deps.Clock().UnixMicro() }
