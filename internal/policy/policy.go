// Package policy owns the decision whether a campaign's content goes to a user:
// one function, one order of questions, one verdict with one reason. It is
// pure: what it needs to know is passed in, time included.
//
// It does not own how the facts are found (engager), who is in an audience
// (condition), or what happens after the decision.
package policy

import (
	"math"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"heed/internal/consent"
)

// Reason says why an activation did not end in a message that was sent. The
// list is closed: reports, explain and metrics know all of them.
type Reason string

// The reasons. None is the reason of what was sent.
const (
	None Reason = ""

	// Refused because the user must not, or cannot, be written to.
	NoConsent  Reason = "no_consent"
	Declined   Reason = "declined"
	NoAddress  Reason = "no_address"
	Unverified Reason = "unverified"
	Suppressed Reason = "suppressed"

	// Refused by the decision.
	NotLive  Reason = "not_live"
	Expired  Reason = "expired"
	Audience Reason = "audience"
	Holdout  Reason = "holdout"
	Cap      Reason = "cap"
	NoChoice Reason = "no_variant"

	// Refused or failed on the way from the decision to the channel.
	Definition  Reason = "definition"
	Render      Reason = "render"
	Empty       Reason = "empty"
	Rejected    Reason = "rejected"
	Unavailable Reason = "unavailable"
	Unknown     Reason = "unknown"
)

// Reasons lists all of them, in the order of the decision.
func Reasons() []Reason {
	return []Reason{
		NotLive, NoConsent, Declined, NoAddress, Unverified, Suppressed, Expired, Audience, Holdout, Cap, NoChoice,
		Definition, Render, Empty, Rejected, Unavailable, Unknown,
	}
}

// Sentence says a reason to people.
func (r Reason) Sentence() string {
	switch r {
	case None:
		return "It was sent."
	case NotLive:
		return "The campaign was not live any more."
	case NoConsent:
		return "The user has not agreed to marketing by this channel."
	case Declined:
		return "The user does not want marketing by this channel, or the browser says so (Global Privacy Control)."
	case NoAddress:
		return "No address of the user is known that this channel could send to."
	case Unverified:
		return "The user's address is only claimed: no server, signed call, import or confirmation has vouched for it."
	case Suppressed:
		return "The user's address must not be written to: somebody unsubscribed or complained, it bounced, or it was taken out by hand."
	case Expired:
		return "The moment had passed: the message had expired before it could be sent."
	case Audience:
		return "The user was in none of the campaign's audiences at that time."
	case Holdout:
		return "The user is in the group that is held back to measure what the campaign achieves."
	case Cap:
		return "The user had already received this campaign as often as its cap allows."
	case NoChoice:
		return "No content of the campaign has a weight above zero."
	case Definition:
		return "The campaign's template, channel or audience could not be used as it is defined."
	case Render:
		return "The template failed or did too much while it was rendered."
	case Empty:
		return "The template rendered nothing for this user."
	case Rejected:
		return "The channel refused the message for good."
	case Unavailable:
		return "The channel could not be reached, and no attempt was left."
	case Unknown:
		return "It is unknown whether an interrupted attempt arrived, and the channel must not repeat it."
	}
	return "The reason is not known to this version."
}

// Case is everything a decision depends on. Times are µs since the Unix epoch.
type Case struct {
	User, Campaign string
	Salt           string // of the installation: other installations hold back other users
	Test           bool   // bypasses holdout and cap

	Reach // by the channel of the content that Choose picks

	Now     int64
	At      int64         // when the trigger fired
	Expires time.Duration // how long the content is worth sending; 0: for ever

	Live       bool    // the campaign is live
	InAudience bool    // in one of its audiences, or it has none
	Holdout    float64 // share of users held back, 0 to 1

	CapCount int           // at most so many ...
	CapPer   time.Duration // ... in any period of this length; 0: no cap
	Sent     []int64       // when the user received this campaign, in any order

	Weights []int // of the contents to choose from
}

// Verdict is the outcome of a decision: either Send is true and Variant is the
// content to send, or Reason says why not.
type Verdict struct {
	Send    bool
	Reason  Reason
	Variant int
}

// Address says whether there is something to send to.
type Address uint8

// What an address can be.
const (
	AddressUnneeded Address = iota // the channel knows its users itself
	AddressMissing
	AddressUnverified // somebody claims it to be the user's
	AddressVerified
)

// Reach is what decides whether a user may be written to by a channel, whatever
// the campaign.
type Reach struct {
	// Transactional messages need no consent, are not held back and not capped.
	Transactional bool
	Consent       consent.State // to this channel, as far as it is needed
	Address       Address
	Suppressed    bool // the address, for messages of this kind
}

// Refusal says why the user must not or cannot be written to; None if nothing
// stands in the way. The counts of who can be reached ask it too.
func (r *Reach) Refusal() Reason {
	switch {
	case !r.Transactional && r.Consent == consent.Unknown:
		return NoConsent
	case !r.Transactional && r.Consent == consent.Refused:
		return Declined
	case r.Address == AddressMissing:
		return NoAddress
	case r.Address == AddressUnverified:
		return Unverified
	case r.Suppressed:
		return Suppressed
	}
	return None
}

// Decide asks the questions in their one order: whether the campaign is live,
// whether the user may be written to, and whether this message is for the user
// now. Those of other caps, quiet hours and conversion come behind this
// campaign's cap.
//
// Everything that does not depend on the group is asked before the holdout, so
// that it is missing from both groups of a comparison alike.
func Decide(c *Case) Verdict {
	if !c.Live {
		return refuse(NotLive)
	}
	if r := c.Refusal(); r != None {
		return refuse(r)
	}
	switch {
	case c.Expires > 0 && c.Now-c.At > c.Expires.Microseconds():
		return refuse(Expired)
	case !c.InAudience:
		return refuse(Audience)
	case !c.Test && !c.Transactional && HeldOut(c.Salt, c.Campaign, c.User, c.Holdout):
		return refuse(Holdout)
	case !c.Test && !c.Transactional && c.capped():
		return refuse(Cap)
	}
	v := Choose(c.Salt, c.Campaign, c.User, c.Weights)
	if v < 0 {
		return refuse(NoChoice)
	}
	return Verdict{Send: true, Variant: v}
}

func refuse(r Reason) Verdict { return Verdict{Reason: r, Variant: -1} }

func (c *Case) capped() bool {
	if c.CapCount <= 0 || c.CapPer <= 0 {
		return false
	}
	return len(Counted(c.Sent, c.Now, c.CapPer)) >= c.CapCount
}

// Counted is the sends that a cap over the period still counts at now: one made
// exactly a period ago no longer does. Sends of the future (a clock went back)
// count.
func Counted(sent []int64, now int64, per time.Duration) []int64 {
	return slices.DeleteFunc(slices.Clone(sent), func(t int64) bool { return now-t >= per.Microseconds() })
}

// HeldOut tells whether a user belongs to the share of users that a campaign
// holds back. The answer stays the same; a larger share holds back the same
// users and more.
func HeldOut(salt, campaign, user string, share float64) bool {
	return share > 0 && fraction("holdout", salt, campaign, user) < share
}

// Choose picks one of the weights for a user, by weight, the same each time as
// long as the weights stay. It is independent of HeldOut. It is -1 if all
// weights are zero.
func Choose(salt, campaign, user string, weights []int) int {
	total := 0
	for _, w := range weights {
		total += max(w, 0)
	}
	if total == 0 {
		return -1
	}
	at := int(fraction("variant", salt, campaign, user) * float64(total))
	for i, w := range weights {
		if at -= max(w, 0); at < 0 {
			return i
		}
	}
	return len(weights) - 1
}

// fraction is a number in [0, 1) that depends on all of the texts.
func fraction(purpose, salt, campaign, user string) float64 {
	var d xxhash.Digest
	d.Reset()
	for _, s := range [...]string{purpose, salt, campaign, user} {
		_, _ = d.WriteString(s) // never fails
		_, _ = d.WriteString("\x00")
	}
	return math.Ldexp(float64(d.Sum64()>>11), -53)
}
