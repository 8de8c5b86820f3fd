package definition

import (
	"fmt"
	"maps"
	"time"

	"heed/internal/consent"
	"heed/internal/schedule"
)

// SendingSettings is the name of the settings that hold for all campaigns.
const SendingSettings = "sending"

// Sending is the settings that hold for all campaigns together.
type Sending struct {
	Name string `yaml:"name" json:"name"` // SendingSettings
	// Holdout is the share of users that no marketing goes to, "5%"; unset: none.
	Holdout string `yaml:"holdout,omitempty" json:"holdout,omitempty"`
	// Cap bounds the marketing that a user gets from all campaigns together.
	Cap *Cap `yaml:"cap,omitempty" json:"cap,omitempty"`
	// Quiet are the hours, by the user's clock, in which no marketing is sent.
	Quiet *Quiet `yaml:"quiet,omitempty" json:"quiet,omitempty"`
	// Release is how many deliveries a second leave at most when quiet hours, a
	// pause or a stop end; 0: DefaultRelease.
	Release int `yaml:"release,omitempty" json:"release,omitempty"`
	// OptIn is double opt-in, by type of channel; unset: a yes counts as it is.
	OptIn *OptIn `yaml:"optIn,omitempty" json:"optIn,omitempty"`
}

// OptIn says by which types of channels marketing needs a yes that the owner of the
// address has confirmed.
type OptIn struct {
	Email *Asking `yaml:"email,omitempty" json:"email,omitempty"`
	SMS   *Asking `yaml:"sms,omitempty" json:"sms,omitempty"`
}

// Asking is how an owner of an address is asked to confirm.
type Asking struct {
	Channel  string `yaml:"channel" json:"channel"`
	Template string `yaml:"template" json:"template"`
}

// DoubleOptIn is how a yes to marketing by a type of channel is confirmed; nil: it
// need not be.
func (s *Set) DoubleOptIn(channelType string) *Asking {
	if s == nil || s.Sending == nil || s.Sending.OptIn == nil {
		return nil
	}
	switch channelType {
	case ChannelEmail:
		return s.Sending.OptIn.Email
	case ChannelSMS:
		return s.Sending.OptIn.SMS
	}
	return nil
}

// ConfirmationPrefix begins the names of campaigns that ask to confirm; the type of
// channel follows. No defined one has a colon.
const ConfirmationPrefix = "confirm:"

// Confirmations are the campaigns that double opt-in stands for: nothing but an order
// starts them.
func (s *Set) Confirmations() []*Campaign {
	var out []*Campaign
	for _, typ := range []string{ChannelEmail, ChannelSMS} {
		if a := s.DoubleOptIn(typ); a != nil {
			out = append(out, &Campaign{
				Name: ConfirmationPrefix + typ, Purpose: consent.Transactional, Status: Live, Limits: CampaignLimits{Holdout: "0%"},
				What: []Variant{{Channel: a.Channel, Template: a.Template}},
			})
		}
	}
	return out
}

// Quiet is quiet hours by the user's clock: {from: "21:00", to: "08:00"}, or none.
type Quiet struct {
	From string `yaml:"from,omitempty" json:"from,omitempty"`
	To   string `yaml:"to,omitempty" json:"to,omitempty"`
	Off  bool   `yaml:"off,omitempty" json:"off,omitempty"`
}

// Bounds of the settings.
const (
	DefaultRelease = 100    // deliveries a second
	maxRelease     = 10_000 // deliveries a second
	maxDelay       = 30 * 24 * time.Hour
)

// Hours is the quiet hours; none if q is nil or off.
func (q *Quiet) Hours() (schedule.Quiet, error) {
	switch {
	case q == nil:
		return schedule.Quiet{}, nil
	case q.Off && (q.From != "" || q.To != ""):
		return schedule.Quiet{}, fmt.Errorf("it is off, and has hours")
	case q.Off:
		return schedule.Quiet{}, nil
	}
	return schedule.ParseQuiet(q.From, q.To)
}

// HoldoutShare is the share of users that no marketing goes to, 0 to 1.
func (s *Sending) HoldoutShare() (float64, error) {
	if s == nil || s.Holdout == "" {
		return 0, nil
	}
	return share(s.Holdout)
}

// OncePerUser tells whether the campaign goes to each user once.
func (k *Campaign) OncePerUser() bool {
	if k.Limits.Once != nil {
		return *k.Limits.Once
	}
	return k.When.Schedule != "" || k.When.Audience != ""
}

// QuietHours are those that hold for the campaign: its own, or for marketing those
// of the settings.
func (s *Set) QuietHours(k *Campaign) (schedule.Quiet, error) {
	switch {
	case k.Limits.Quiet != nil:
		return k.Limits.Quiet.Hours()
	case k.Purpose == consent.Transactional || s.Sending == nil:
		return schedule.Quiet{}, nil
	}
	return s.Sending.Quiet.Hours()
}

// Plan is when the campaign runs by the clock; nil if it does not. zone is that of
// the installation.
func (w When) Plan(zone *time.Location) (*schedule.Schedule, error) {
	if w.Schedule == "" {
		return nil, nil //nolint:nilnil // no schedule is no error
	}
	if w.Zone != "" {
		var err error
		if zone, err = time.LoadLocation(w.Zone); err != nil {
			return nil, fmt.Errorf("zone %q is not known", w.Zone)
		}
	}
	return schedule.Parse(w.Schedule, zone)
}

func (c *checker) sending(s *Sending) {
	if s.Name != SendingSettings {
		c.fail("name", SendingSettings, "there are no settings of the name %q", s.Name)
	}
	if _, err := s.HoldoutShare(); err != nil {
		c.fail("holdout", "5%", "%v", err)
	}
	c.cap("cap", s.Cap)
	c.quiet("quiet", s.Quiet)
	if s.Release < 0 || s.Release > maxRelease {
		c.fail("release", fmt.Sprintf("deliveries a second, 1 to %d; unset is %d", maxRelease, DefaultRelease), "%d is no rate", s.Release)
	}
	if s.OptIn != nil {
		c.asking("optIn.email", ChannelEmail, s.OptIn.Email)
		c.asking("optIn.sms", ChannelSMS, s.OptIn.SMS)
	}
}

// asking checks that who must confirm can be asked, and has a way to.
func (c *checker) asking(path, typ string, a *Asking) {
	if a == nil {
		return
	}
	c.refer(path+".channel", KindChannel, a.Channel, maps.Keys(c.set.Channels))
	c.refer(path+".template", KindTemplate, a.Template, maps.Keys(c.set.Templates))
	ch, t := c.set.Channels[a.Channel], c.set.Templates[a.Template]
	if ch == nil || t == nil {
		return
	}
	if ch.Type != typ {
		c.fail(path+".channel", "", "channel %s is of the type %s, and %s is asked for", a.Channel, ch.Type, typ)
		return
	}
	if t.Channel != a.Channel {
		c.fail(path+".template", "", "template %s is for channel %s", a.Template, t.Channel)
	}
	if typ != ChannelEmail { // a text message is answered by YES
		return
	}
	for _, where := range t.without(FieldConfirm, ch) {
		c.fail(path+".template", `<a href="{{ `+FieldConfirm+` }}">Confirm</a>`, "template %s has no link to confirm%s", a.Template, where)
	}
}

func (c *checker) cap(path string, k *Cap) {
	if k != nil && (k.Count < 1 || k.Count > 1000 || k.Per <= 0) {
		c.fail(path, "cap: {count: 1, per: 24h}", "needs a count from 1 to 1000 and a period")
	}
}

func (c *checker) quiet(path string, q *Quiet) {
	if _, err := q.Hours(); err != nil {
		c.fail(path, `quiet: {from: "21:00", to: "08:00"}, or {off: true}`, "%v", err)
	}
}

func (c *checker) schedule(w *When) {
	if w.Zone != "" && w.Schedule == "" {
		c.fail("when.zone", `when: {schedule: "0 9 * * *", zone: Europe/Berlin}`, "needs a schedule")
	}
	if _, err := w.Plan(time.UTC); err != nil {
		c.fail("when.schedule", `when: {schedule: "0 9 * * *", zone: Europe/Berlin}`, "%v", err)
	}
}
