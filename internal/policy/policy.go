// Package policy owns the decision whether a campaign's content goes to a user:
// one function, one order of questions, one verdict with one reason. It is
// pure: what it needs to know is passed in, time included.
//
// It does not own how the facts are found (engager), who is in an audience
// (condition), or what happens after the decision.
package policy

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"heed/internal/consent"
	"heed/internal/schedule"
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
	Pending    Reason = "pending"
	NoAddress  Reason = "no_address"
	Unverified Reason = "unverified"
	Suppressed Reason = "suppressed"

	// Refused by the decision.
	NotLive       Reason = "not_live"
	Expired       Reason = "expired"
	Audience      Reason = "audience"
	Holdout       Reason = "holdout"
	GlobalHoldout Reason = "global_holdout"
	Once          Reason = "once"
	Cap           Reason = "cap"
	CapAll        Reason = "cap_all"
	CapChannel    Reason = "cap_channel"
	Converted     Reason = "converted"
	NoChoice      Reason = "no_variant"

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
		NotLive, NoConsent, Declined, Pending, NoAddress, Unverified, Suppressed, Expired, Audience, GlobalHoldout, Holdout, Once, Cap, CapAll, CapChannel, Converted, NoChoice,
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
	case Pending:
		return "The user has agreed, and has not confirmed it yet (double opt-in)."
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
	case GlobalHoldout:
		return "The user is in the group that no marketing goes to, to measure what all of it achieves."
	case Once:
		return "The user had already received this campaign, which goes to each user once."
	case CapAll:
		return "The user had already received as many messages, of all campaigns together, as the cap allows."
	case CapChannel:
		return "The user had already received as many messages by this channel as its cap allows."
	case Converted:
		return "The user had reached the campaign's goal before the message could be sent."
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
	Test           bool   // bypasses delay, holdouts, caps and quiet hours

	Reach // by the channel of the content that Choose picks

	Now     int64
	At      int64         // when the trigger fired
	Due     int64         // when it is to be decided: At, or later by the campaign's delay
	Expires time.Duration // how long after Due the content is worth sending; 0: for ever

	Stopped    bool // all sending is stopped
	Paused     bool // the campaign is paused
	Live       bool // the campaign is live
	InAudience bool // in one of its audiences, or it has none

	Global  Group // stays out of all marketing
	Holdout Group // stays out of this campaign

	Once     bool // the campaign goes to each user once ...
	Received bool // ... and this one had it
	Caps     []Limit

	Quiet  schedule.Quiet   // hours in which nothing is sent, by the user's clock
	Zones  []*time.Location // in which the user may be: it is quiet if it is in any
	InPage bool             // the content is shown where the user is, and disturbs nobody

	Converted int64 // when the user last reached the campaign's goal; 0: never

	Weights []int // of the contents to choose from
	Given   int   // the one that the user was given before, counted from 1; 0: none
}

// Limit is a cap: at most Count messages in any period of the length Per.
type Limit struct {
	Reason Reason
	Count  int
	Per    time.Duration
	Sent   []int64 // when the user received what it counts, in any order
}

// Verdict is the outcome of a decision. Either Send is true and Variant is the
// content to send; or Wait says what keeps it from being decided, until Until or,
// if that is 0, until somebody lifts it; or Reason says why not.
type Verdict struct {
	Send    bool
	Wait    Wait
	Until   int64
	Reason  Reason
	Variant int
}

// Wait says what a decision waits for: that is no outcome.
type Wait string

// What there is to wait for.
const (
	Stopped    Wait = "stopped"
	Paused     Wait = "paused"
	Delay      Wait = "delay"
	QuietHours Wait = "quiet_hours"

	// Behind the decision: on the way through the channel.
	Retry    Wait = "retry"
	Channel  Wait = "channel"
	UnderWay Wait = "under_way" // for nothing but its turn
)

// Waits lists all of them. Their numbers are kept: new ones come last.
func Waits() []Wait { return []Wait{UnderWay, Stopped, Paused, Delay, QuietHours, Retry, Channel} }

// Sentence says to people what is waited for.
func (w Wait) Sentence() string {
	switch w {
	case Stopped:
		return "All sending is stopped."
	case Paused:
		return "The campaign is paused."
	case Delay:
		return "The campaign waits a while before it sends."
	case QuietHours:
		return "It is quiet hours where the user is."
	case Retry:
		return "An attempt failed, and there will be another one."
	case Channel:
		return "The channel takes nothing at the moment: it is left alone after failures, or has sent as much as its rate allows."
	case UnderWay:
		return "It is under way."
	}
	return "What it waits for is not known to this version."
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
	case !r.Transactional && r.Consent == consent.Pending:
		return Pending
	case r.Address == AddressMissing:
		return NoAddress
	case r.Address == AddressUnverified:
		return Unverified
	case r.Suppressed:
		return Suppressed
	}
	return None
}

// Decide asks the questions in their one order: whether anything is to be sent
// now at all, whether the user may be written to, whether this message is for the
// user, and whether the moment is right. What waits is decided from the first
// question on when its time has come.
//
// Everything that does not depend on the group is asked before the holdout, so
// that it is missing from both groups of a comparison alike.
func Decide(c *Case) Verdict {
	if v := Moment(c); v.Wait != "" || v.Reason != None {
		return v
	}
	if r := c.Refusal(); r != None {
		return refuse(r)
	}
	switch {
	case c.Expires > 0 && c.Now-c.Due > c.Expires.Microseconds():
		return refuse(Expired)
	case !c.InAudience:
		return refuse(Audience)
	}
	if !c.Test {
		if v := c.limits(); v.Wait != "" || v.Reason != None {
			return v
		}
	}
	v := c.Choose()
	if v < 0 {
		return refuse(NoChoice)
	}
	return Verdict{Send: true, Variant: v}
}

// Moment asks the first questions, which need nothing to be known of the user:
// whether anything is to be sent now at all. The zero Verdict says yes.
func Moment(c *Case) Verdict {
	switch {
	case c.Stopped:
		return wait(Stopped, 0)
	case c.Paused:
		return wait(Paused, 0)
	case !c.Live:
		return refuse(NotLive)
	case !c.Test && c.Due > c.At && c.Now < c.Due:
		return wait(Delay, c.Due)
	}
	return Verdict{}
}

// limits asks what a test is spared.
func (c *Case) limits() Verdict {
	if !c.Transactional {
		switch {
		case c.Global.holds(c.Salt, "", c.User):
			return refuse(GlobalHoldout)
		case c.Holdout.holds(c.Salt, c.Campaign, c.User):
			return refuse(Holdout)
		}
	}
	if c.Once && c.Received {
		return refuse(Once)
	}
	if !c.Transactional {
		for i := range c.Caps {
			if l := &c.Caps[i]; l.reached(c.Now) {
				return refuse(l.Reason)
			}
		}
	}
	if end := c.quietUntil(); !c.InPage && !end.IsZero() {
		return wait(QuietHours, end.UnixMicro())
	}
	if c.Converted > c.At {
		return refuse(Converted)
	}
	return Verdict{}
}

// quietUntil is when the last of the clocks that may be the user's leaves the
// quiet hours; zero if it is quiet by none.
func (c *Case) quietUntil() (last time.Time) {
	for _, z := range c.Zones {
		if end := c.Quiet.Until(time.UnixMicro(c.Now).In(z)); end.After(last) {
			last = end
		}
	}
	return last
}

func refuse(r Reason) Verdict { return Verdict{Reason: r, Variant: -1} }

func wait(w Wait, until int64) Verdict { return Verdict{Wait: w, Until: until, Variant: -1} }

func (l *Limit) reached(now int64) bool {
	return l.Count > 0 && l.Per > 0 && len(Counted(l.Sent, now, l.Per)) >= l.Count
}

// Counted is the sends that a cap over the period still counts at now: one made
// exactly a period ago no longer does. Sends of the future (a clock went back)
// count.
func Counted(sent []int64, now int64, per time.Duration) []int64 {
	return slices.DeleteFunc(slices.Clone(sent), func(t int64) bool { return now-t >= per.Microseconds() })
}

// Arm is the side of a comparison that a user is on.
type Arm string

// The arms.
const (
	Unassigned Arm = ""
	Exposed    Arm = "exposed"
	HeldBack   Arm = "held_back"
)

// Meet is the arm of a user who turns out to be two: who may have received
// something cannot be one who did not.
func (a Arm) Meet(b Arm) Arm {
	if a == Exposed || b == Exposed {
		return Exposed
	}
	return cmp.Or(a, b)
}

// Group is a share of users that is held back, 0 to 1, and the arm that the user
// was given when it was first asked.
type Group struct {
	Share float64
	Arm   Arm
}

// ArmOf is the user's arm: the one that was given, or else by the share. Without
// a share there is nothing to compare.
func (g Group) ArmOf(salt, campaign, user string) Arm {
	switch {
	case g.Share <= 0 || g.Arm != Unassigned:
		return g.Arm
	case HeldOut(salt, campaign, user, g.Share):
		return HeldBack
	}
	return Exposed
}

func (g Group) holds(salt, campaign, user string) bool {
	return g.Share > 0 && g.ArmOf(salt, campaign, user) == HeldBack
}

// HeldOut tells whether a user belongs to the share of users that a campaign
// holds back. The answer stays the same; a larger share holds back the same
// users and more. The global holdout is that of the campaign without a name.
func HeldOut(salt, campaign, user string, share float64) bool {
	return share > 0 && fraction("holdout", salt, campaign, user) < share
}

// Choose picks the content: the one that the user was given before, unless it has lost
// its weight; else one by weight. It is -1 if all weights are zero.
func (c *Case) Choose() int {
	if i := c.Given - 1; i >= 0 && i < len(c.Weights) && c.Weights[i] > 0 {
		return i
	}
	return Choose(c.Salt, c.Campaign, c.User, c.Weights)
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
