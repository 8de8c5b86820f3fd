package reach

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"

	"heed/internal/channel"
	"heed/internal/documents"
	"heed/internal/varint"
)

// ErrLink says that a link was not made here, or was changed on its way.
var ErrLink = errors.New("reach: this link is not ours")

// UnsubscribePath is where unsubscribe links lead, below the public address.
const UnsubscribePath = "/u/"

// maxToken bounds a token in bytes: names have at most 128 bytes.
const maxToken = 1 << 10

// Link is what an unsubscribe link says. It holds nothing that tells who it was
// sent to, and it never expires.
type Link struct {
	Type     string // of the channel
	Channel  string
	Campaign string
	Delivery string // may be unknown by the time at which it is followed
	hash     string // of the address
	asked    int64  // of a link to confirm: when it was asked, µs; 0 for one to unsubscribe
}

// Unsubscribe is the address of the page that ends messages like this one to an
// address.
func (b *Book) Unsubscribe(l Link, to string) string {
	l.hash = b.hash(l.Type, to)
	return strings.TrimSuffix(b.deps.PublicURL, "/") + UnsubscribePath + b.token(&l)
}

const linkVersion = 1

// token is the link's content behind its signature.
func (b *Book) token(l *Link) string {
	body := []byte{linkVersion}
	for _, s := range []string{l.Type, l.Channel, l.Campaign, l.Delivery, l.hash} {
		body = append(binary.AppendUvarint(body, uint64(len(s))), s...)
	}
	purpose := linkPurpose
	if l.asked != 0 {
		purpose, body = confirmPurpose, binary.AppendUvarint(body, uint64(l.asked))
	}
	return base64.RawURLEncoding.EncodeToString(append(b.mac(purpose, string(body)), body...))
}

// What a link is signed for: one to unsubscribe confirms nothing.
const (
	linkPurpose    = "link"
	confirmPurpose = "confirm"
)

// Open reads the token of a link to unsubscribe; ErrLink if it is not one of this
// installation's.
func (b *Book) Open(token string) (Link, error) { return b.open(linkPurpose, token) }

// OpenConfirm reads the token of a link to confirm, likewise.
func (b *Book) OpenConfirm(token string) (Link, error) { return b.open(confirmPurpose, token) }

func (b *Book) open(purpose, token string) (Link, error) {
	if len(token) > maxToken {
		return Link{}, ErrLink
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) < hashSize+1 {
		return Link{}, ErrLink
	}
	body := raw[hashSize:]
	if !hmac.Equal(raw[:hashSize], b.mac(purpose, string(body))) || body[0] != linkVersion {
		return Link{}, ErrLink
	}
	r := varint.NewReader(body[1:])
	l := Link{Type: r.String(), Channel: r.String(), Campaign: r.String(), Delivery: r.String(), hash: r.String()}
	if purpose == confirmPurpose {
		l.asked = int64(r.Uvarint())
	}
	if r.Bad() || len(r.Rest()) > 0 || !Addressed(l.Type) || len(l.hash) != hex.EncodedLen(hashSize) {
		return Link{}, ErrLink
	}
	return l, nil
}

// Choice is what the owner of an address wants.
type Choice string

// The choices.
const (
	All      Choice = "all"      // no marketing by this type of channel
	Campaign Choice = "campaign" // none like this message
	Back     Choice = "back"     // all of it again
)

// Standing is what holds for the address of a link.
type Standing struct {
	All      bool // nothing comes by this type of channel
	Campaign bool // nothing comes of the link's campaign, at least
	Final    bool // its owner cannot change that here: it bounced, or was taken out by hand
}

// Stands tells what holds for the address of a link.
func (b *Book) Stands(ctx context.Context, l Link) (Standing, error) {
	list, err := b.suppressions(ctx, l.Type, l.hash)
	if err != nil {
		return Standing{}, err
	}
	why := list.against("", "", "")
	return Standing{
		All: why != "", Campaign: list.against("", "", l.Campaign) != "", Final: why != "" && !why.byPerson(),
	}, nil
}

// Choose does what the owner of a link's address wants, durably, and tells the
// log.
func (b *Book) Choose(ctx context.Context, l Link, want Choice) error {
	f := channel.Feedback{Kind: channel.Unsubscribed, Delivery: l.Delivery, Type: l.Type, Channel: l.Channel, At: b.now()}
	var scope Suppression
	var err error
	c := Cause{At: f.At, Campaign: l.Campaign, Channel: l.Channel, Detail: "by the link in a message"}
	switch want {
	case Back:
		f.Kind = channel.Resubscribed
		err = b.resume(ctx, l.Type, l.hash, scope, f.At, all)
	case Campaign:
		scope.Campaign = l.Campaign
		err = b.suppress(ctx, documents.Durable, l.Type, l.hash, scope, Unsubscribed, c, false)
	case All:
		err = b.suppress(ctx, documents.Durable, l.Type, l.hash, scope, Unsubscribed, c, false)
	default:
		return errors.New("reach: nothing was chosen")
	}
	if err != nil {
		return err
	}
	r, err := b.record(ctx, CollectionDeliveries, l.Delivery)
	if err == nil && r == nil { // it is long ago
		r, err = b.record(ctx, CollectionAddressees, l.Type+"/"+l.hash)
	}
	if err != nil {
		return err
	}
	return b.tell(ctx, &f, r, l.hash, scope)
}
