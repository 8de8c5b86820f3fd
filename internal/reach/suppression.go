package reach

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"heed/internal/consent"
	"heed/internal/documents"
	"heed/internal/policy"
)

// CollectionSuppressions holds what must not be written to: channel type, hash
// of the address and scope -> Suppression.
const CollectionSuppressions = "suppressions"

// Why says why an address must not be written to.
type Why string

// The reasons.
const (
	Unsubscribed Why = "unsubscribed" // its owner wants no marketing
	Stop         Why = "stop"         // its owner wants nothing at all
	HardBounce   Why = "hard_bounce"  // it does not work
	Complaint    Why = "complaint"    // its owner called a message spam
	Manual       Why = "manual"       // an operator says so
)

// Whys lists the reasons, the weightiest first.
func Whys() []Why { return []Why{Manual, HardBounce, Stop, Complaint, Unsubscribed} }

// stops tells whether the reason keeps messages of a purpose back: somebody who
// wants no marketing still gets the receipt.
func (w Why) stops(p consent.Purpose) bool {
	return p != consent.Transactional || w == HardBounce || w == Stop || w == Manual
}

// byPerson tells whether the owner of the address may take it back.
func (w Why) byPerson() bool { return w == Unsubscribed || w == Stop || w == Complaint }

// Cause is when and by what a reason came about.
type Cause struct {
	At       int64  `json:"at"` // µs since the Unix epoch
	Campaign string `json:"campaign,omitempty"`
	Channel  string `json:"channel,omitempty"`
	Detail   string `json:"detail,omitempty"`
}

// Suppression is what keeps messages from an address, within a scope: nothing is
// known of the address but its hash.
type Suppression struct {
	Sender   string        `json:"sender,omitempty"`   // the scope: only what is sent as this,
	Campaign string        `json:"campaign,omitempty"` // only this campaign, or ("", "") everything
	Reasons  map[Why]Cause `json:"reasons,omitempty"`
	// Resumed is when the owner wanted messages again: what the owner said before
	// does not hold in this scope, also if it was said of all messages.
	Resumed int64 `json:"resumed,omitempty"`
}

// suppressionKey is where a scope of an address lies.
func suppressionKey(channelType, hash, sender, campaign string) string {
	scope := ""
	switch {
	case sender != "":
		scope = "s:" + sender
	case campaign != "":
		scope = "c:" + campaign
	}
	return channelType + "/" + hash + "/" + scope
}

// suppressions are all scopes of one address.
type suppressions []Suppression

func (b *Book) suppressions(ctx context.Context, channelType, hash string) (suppressions, error) {
	docs, err := b.deps.Documents.List(ctx, documents.Query{
		Collection: CollectionSuppressions, Prefix: suppressionKey(channelType, hash, "", ""), Limit: maxScopes,
	})
	if err != nil {
		return nil, fmt.Errorf("reach: read what is suppressed: %w", err)
	}
	out := make(suppressions, len(docs))
	for i, d := range docs {
		if err := json.Unmarshal(d.Value, &out[i]); err != nil {
			return nil, fmt.Errorf("reach: suppression %q: %w", d.Key, err)
		}
	}
	return out, nil
}

// maxScopes bounds the scopes of one address: campaigns and senders are the
// operator's.
const maxScopes = 100_000

// against is the weightiest reason that keeps a message back, "" if none does. A
// sender that is not known counts as each of those that were answered.
func (l suppressions) against(p consent.Purpose, sender, campaign string) Why {
	resumed := int64(0)
	for i := range l {
		if s := &l[i]; s.Sender != "" && s.Sender == sender || s.Campaign != "" && s.Campaign == campaign {
			resumed = max(resumed, s.Resumed)
		}
	}
	for _, w := range Whys() {
		if !w.stops(p) {
			continue
		}
		for i := range l {
			s := &l[i]
			c, ok := s.Reasons[w]
			switch {
			case !ok:
			case s.Sender != "":
				if sender == "" || s.Sender == sender {
					return w
				}
			case s.Campaign != "":
				if s.Campaign == campaign {
					return w
				}
			case !w.byPerson() || c.At > resumed:
				return w
			}
		}
	}
	return ""
}

// change reads, changes and writes a scope of an address; once it has returned,
// every decision sees it. do is false if there is nothing to write.
func (b *Book) change(ctx context.Context, as documents.Durability, key string, do func(s *Suppression) bool) error {
	for {
		d, err := b.deps.Documents.Get(ctx, CollectionSuppressions, key)
		if err != nil && !errors.Is(err, documents.ErrNotFound) {
			return fmt.Errorf("reach: read what is suppressed: %w", err)
		}
		var s Suppression
		if err == nil {
			if err := json.Unmarshal(d.Value, &s); err != nil {
				return fmt.Errorf("reach: suppression %q: %w", key, err)
			}
		}
		if !do(&s) {
			// It may be there since a moment ago, and not be synced yet.
			if d.Version == 0 {
				return nil
			}
			return b.deps.Documents.Apply(ctx, as)
		}
		w := documents.Write{Collection: CollectionSuppressions, Key: key, Expect: d.Version}
		if len(s.Reasons) > 0 || s.Resumed != 0 {
			if w.Value, err = json.Marshal(&s); err != nil {
				return fmt.Errorf("reach: encode suppression: %w", err)
			}
		} else if d.Version == 0 {
			return nil
		}
		err = b.deps.Documents.Apply(ctx, as, w)
		if errors.Is(err, documents.ErrConflict) {
			continue // somebody else changed it: look again
		}
		if err != nil {
			return fmt.Errorf("reach: suppress: %w", err)
		}
		return nil
	}
}

// suppress adds a reason to a scope of an address. What is only heard (a list) of
// what its owner said does not count if the owner has wanted messages again since;
// what comes from the owner now always does, whatever the clocks say.
func (b *Book) suppress(ctx context.Context, as documents.Durability, channelType, hash string, scope Suppression, why Why, c Cause, heard bool) error {
	return b.change(ctx, as, suppressionKey(channelType, hash, scope.Sender, scope.Campaign), func(s *Suppression) bool {
		if why.byPerson() && c.At <= s.Resumed {
			if heard {
				return false
			}
			c.At = s.Resumed + 1
		}
		if have, there := s.Reasons[why]; there && c.At <= have.At {
			return false
		}
		if s.Reasons == nil {
			s.Reasons = map[Why]Cause{}
		}
		s.Sender, s.Campaign = scope.Sender, scope.Campaign
		c.Detail = cut(c.Detail)
		s.Reasons[why] = c
		return true
	})
}

// resume takes back what the owner of an address said, within a scope; the widest
// one holds all. What others know of the address (it bounces) stays. Once there is
// something that may not be taken back, nothing more is: it was said meanwhile.
func (b *Book) resume(ctx context.Context, channelType, hash string, within Suppression, at int64, may func(w Why, c Cause) bool) error {
	scopes := []Suppression{within}
	if within.Sender == "" && within.Campaign == "" {
		list, err := b.suppressions(ctx, channelType, hash)
		if err != nil {
			return err
		}
		scopes = append(scopes, slices.DeleteFunc(list, func(s Suppression) bool { return s.Sender == "" && s.Campaign == "" })...)
	}
	for _, scope := range scopes {
		stays := false
		err := b.change(ctx, documents.Durable, suppressionKey(channelType, hash, scope.Sender, scope.Campaign), func(s *Suppression) bool {
			stays = false
			for w, c := range s.Reasons {
				stays = stays || w.byPerson() && !may(w, c)
			}
			if stays {
				return false
			}
			s.Sender, s.Campaign, s.Resumed = scope.Sender, scope.Campaign, max(at, s.Resumed+1)
			for w, c := range s.Reasons {
				if w.byPerson() {
					delete(s.Reasons, w)
					s.Resumed = max(s.Resumed, c.At)
				}
			}
			return true
		})
		if err != nil || stays {
			return err
		}
	}
	return nil
}

// all lets everything be taken back.
func all(Why, Cause) bool { return true }

// Suppressed is a line of what is shown about an address.
type Suppressed struct {
	Why      Why
	Sender   string // "" for all
	Campaign string // "" for all
	Cause    Cause
}

// Lookup lists what keeps messages from an address, the weightiest first.
func (b *Book) Lookup(ctx context.Context, channelType, address string) ([]Suppressed, error) {
	to, ok := Normal(channelType, address)
	if !ok || !Addressed(channelType) {
		return nil, &BadAddress{channelType, address}
	}
	return b.keeps(ctx, channelType, to)
}

// Keeps lists what keeps messages from the address that a channel would send to;
// nothing of a user without one.
func (b *Book) Keeps(ctx context.Context, q *Question) ([]Suppressed, error) {
	if !Addressed(q.Channel.Type) || q.Profile == nil {
		return nil, nil
	}
	to, state, err := b.address(ctx, q, q.Profile)
	if err != nil || state == policy.AddressMissing {
		return nil, err
	}
	return b.keeps(ctx, q.Channel.Type, to)
}

func (b *Book) keeps(ctx context.Context, channelType, to string) ([]Suppressed, error) {
	list, err := b.suppressions(ctx, channelType, b.hash(channelType, to))
	if err != nil {
		return nil, err
	}
	out := []Suppressed{}
	for _, s := range list {
		for w, c := range s.Reasons {
			out = append(out, Suppressed{w, s.Sender, s.Campaign, c})
		}
	}
	slices.SortFunc(out, func(x, y Suppressed) int {
		return cmp.Or(cmp.Compare(slices.Index(Whys(), x.Why), slices.Index(Whys(), y.Why)), cmp.Compare(x.Sender, y.Sender), cmp.Compare(x.Campaign, y.Campaign))
	})
	return out, nil
}

// BadAddress says that a text is no address of a type of channel.
type BadAddress struct{ Type, Address string }

func (e *BadAddress) Error() string {
	hint := "an e-mail address like ann@shop.example"
	if e.Type == "sms" {
		hint = "a number with its country code, like +49 151 2345678"
	}
	return fmt.Sprintf("%.80q is not %s", e.Address, hint)
}

// Suppress adds a reason to an address, for all that is sent to it.
func (b *Book) Suppress(ctx context.Context, channelType, address string, why Why, c Cause) error {
	to, ok := Normal(channelType, address)
	if !ok || !Addressed(channelType) {
		return &BadAddress{channelType, address}
	}
	if !slices.Contains(Whys(), why) {
		return fmt.Errorf("reach: %q is no reason to suppress an address", why)
	}
	return b.Hear(ctx, []Heard{{channelType, to, why, c}})
}

// Unsuppress takes back what was done by hand; nothing else can be taken back by
// an operator. It tells whether there was anything.
func (b *Book) Unsuppress(ctx context.Context, channelType, address string) (found bool, err error) {
	to, ok := Normal(channelType, address)
	if !ok || !Addressed(channelType) {
		return false, &BadAddress{channelType, address}
	}
	err = b.change(ctx, documents.Durable, suppressionKey(channelType, b.hash(channelType, to), "", ""), func(s *Suppression) bool {
		_, found = s.Reasons[Manual]
		delete(s.Reasons, Manual)
		return found
	})
	return found, err
}

// Count is how many addresses of a type of channel are suppressed for a reason.
type Count struct {
	Type      string
	Why       Why
	Addresses int64
}

// Counts counts the suppressed addresses.
func (b *Book) Counts(ctx context.Context) ([]Count, error) {
	type key struct {
		channelType string
		why         Why
	}
	sum := map[key]int64{}
	last := map[key]string{} // the scopes of an address lie together
	for after := ""; ; {
		docs, err := b.deps.Documents.List(ctx, documents.Query{Collection: CollectionSuppressions, After: after})
		if err != nil {
			return nil, fmt.Errorf("reach: count what is suppressed: %w", err)
		}
		if len(docs) == 0 {
			break
		}
		for _, d := range docs {
			after = d.Key
			var s Suppression
			if err := json.Unmarshal(d.Value, &s); err != nil {
				return nil, fmt.Errorf("reach: suppression %q: %w", d.Key, err)
			}
			channelType, rest, _ := strings.Cut(d.Key, "/")
			hash, _, _ := strings.Cut(rest, "/")
			for w := range s.Reasons {
				if k := (key{channelType, w}); last[k] != hash {
					last[k] = hash
					sum[k]++
				}
			}
		}
	}
	out := []Count{}
	for k, n := range sum {
		out = append(out, Count{k.channelType, k.why, n})
	}
	slices.SortFunc(out, func(x, y Count) int { return cmp.Or(cmp.Compare(x.Type, y.Type), cmp.Compare(x.Why, y.Why)) })
	return out, nil
}

// maxDetail bounds what is kept of what others say, in bytes.
const maxDetail = 300

func cut(s string) string {
	if len(s) > maxDetail {
		s = s[:maxDetail]
	}
	return strings.ToValidUTF8(s, "")
}

// Heard is an address that a list names.
type Heard struct {
	Type, Address string // Normal made the address
	Why           Why
	Cause         Cause
}

// Hear takes addresses of a list onto the list of what is suppressed, durably and
// for all that is sent to them.
func (b *Book) Hear(ctx context.Context, list []Heard) error {
	for _, h := range list {
		err := b.suppress(ctx, documents.Relaxed, h.Type, b.hash(h.Type, h.Address), Suppression{}, h.Why, h.Cause, h.Why != Manual)
		if err != nil {
			return err
		}
	}
	return b.deps.Documents.Apply(ctx, documents.Durable) // all of them at once
}
