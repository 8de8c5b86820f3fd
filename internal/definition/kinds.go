// Package definition owns what people define: the kinds, their strict parsing
// with file, line and a hint, the references among them, revisions, and handing
// the set in force to the roles.
//
// It does not own the meaning of a trigger (trigger) or a condition
// (condition), nor where documents are stored (documents).
package definition

import (
	"cmp"
	"errors"
	"fmt"

	"heed/internal/condition"
	"heed/internal/consent"
	"heed/internal/event"
	"heed/internal/measure"
	"heed/internal/period"
	"heed/internal/trigger"
)

// Kind names a kind of definition.
type Kind string

// The kinds.
const (
	KindEvent     Kind = "event"
	KindTrigger   Kind = "trigger"
	KindAudience  Kind = "audience"
	KindDimension Kind = "dimension"
	KindTemplate  Kind = "template"
	KindCampaign  Kind = "campaign"
	KindChannel   Kind = "channel"
	KindSource    Kind = "source"
	// KindCollection is a collection of the pull store.
	KindCollection Kind = "collection"
	KindStream     Kind = "stream"
	// KindSettings is what holds for all campaigns; the only one is SendingSettings.
	KindSettings Kind = "settings"
	KindFunnel   Kind = "funnel"
	KindBoard    Kind = "board"
)

// Source is where events come from: one write key.
type Source struct {
	Name      string   `yaml:"name" json:"name"`
	WriteKey  string   `yaml:"writeKey,omitempty" json:"writeKey,omitempty"`   // public; made if absent
	ServerKey string   `yaml:"serverKey,omitempty" json:"serverKey,omitempty"` // secret: for servers; its calls are verified
	Secret    string   `yaml:"secret,omitempty" json:"secret,omitempty"`       // signs user ids: hex(HMAC-SHA256(secret, userId))
	Origins   []string `yaml:"origins,omitempty" json:"origins,omitempty"`     // empty: any
	// TrustUserIDs accepts unsigned user ids for personal content.
	TrustUserIDs bool `yaml:"trustUserIds,omitempty" json:"trustUserIds,omitempty"`
}

// Event declares an event that people refer to.
type Event struct {
	Name        string `yaml:"name" json:"name"`
	Description string `yaml:"description,omitempty" json:"description,omitempty"`
	Key         bool   `yaml:"key,omitempty" json:"key,omitempty"`
}

// Audience is a set of users, by what they are and what they did. Its tree
// stands beside its name: an audience by a condition on traits is just where.
type Audience struct {
	Name        string `yaml:"name" json:"name"`
	Description string `yaml:"description,omitempty" json:"description,omitempty"`
	// Zone and WeekStart are those of its days when it is asked by itself; inside
	// of a query they are the query's.
	Zone      string `yaml:"zone,omitempty" json:"zone,omitempty"`
	WeekStart string `yaml:"weekStart,omitempty" json:"weekStart,omitempty"`
	// Frozen is an RFC 3339 time: the members are those of then. Empty: dynamic.
	Frozen string `yaml:"frozen,omitempty" json:"frozen,omitempty"`

	measure.Audience `yaml:",inline"`
}

// ErrBehavior says that an audience needs more than the profile: the log says
// who is in (event.NameMembership).
var ErrBehavior = errors.New("asks what users did")

// Program compiles an audience that is decided by the profile alone; for others
// the error is ErrBehavior.
func (a *Audience) Program() (*condition.Program, error) {
	c, ok := a.Profile()
	if !ok || a.Frozen != "" {
		return nil, fmt.Errorf("audience %q %w", a.Name, ErrBehavior)
	}
	return condition.Compile(c, condition.ForProfile)
}

// Query asks for the audience by itself.
func (a *Audience) Query() *measure.Query {
	tree := a.Audience
	return &measure.Query{Zone: a.Zone, WeekStart: a.WeekStart, AsOf: a.Frozen, Audience: &tree, Users: &measure.Users{}}
}

// Template is content for one channel, written in Liquid: a text for everybody, and
// others for readers of some languages.
type Template struct {
	Name        string        `yaml:"name" json:"name"`
	Description string        `yaml:"description,omitempty" json:"description,omitempty"`
	Channel     string        `yaml:"channel" json:"channel"`
	As          string        `yaml:"as,omitempty" json:"as,omitempty"`           // web: popup | banner | slot:<name> | inline; outbox: what it stands for, email | sms | push
	Expires     period.Period `yaml:"expires,omitempty" json:"expires,omitempty"` // web: default 5m
	Locale      string        `yaml:"locale,omitempty" json:"locale,omitempty"`   // of the text that follows

	Text `yaml:",inline"`
	// Locales are the texts in other languages, by BCP 47 tag; see Template.In.
	Locales map[string]Text `yaml:"locales,omitempty" json:"locales,omitempty"`
}

// Text is what a template says in one language.
type Text struct {
	Subject  string `yaml:"subject,omitempty" json:"subject,omitempty"`
	Link     string `yaml:"link,omitempty" json:"link,omitempty"` // push: what a click opens
	Body     string `yaml:"body,omitempty" json:"body,omitempty"`
	BodyFile string `yaml:"bodyFile,omitempty" json:"bodyFile,omitempty"` // read when applied, beside the YAML file
}

// Campaign is trigger or schedule + audience + channel + template + limits.
type Campaign struct {
	Name        string `yaml:"name" json:"name"`
	Description string `yaml:"description,omitempty" json:"description,omitempty"`
	// Purpose is marketing (default) or transactional: what a user needs, wanted
	// or not.
	Purpose consent.Purpose `yaml:"purpose,omitempty" json:"purpose,omitempty"`
	When    When            `yaml:"when" json:"when"`
	Who     []string        `yaml:"who,omitempty" json:"who,omitempty"`
	What    []Variant       `yaml:"what" json:"what"`
	Limits  CampaignLimits  `yaml:"limits,omitempty" json:"limits,omitzero"`
	// Delay is how long after it was started the campaign decides and sends.
	Delay  period.Period `yaml:"delay,omitempty" json:"delay,omitempty"`
	Goal   *Goal         `yaml:"goal,omitempty" json:"goal,omitempty"`
	Status Status        `yaml:"status" json:"status"`
}

// When says what starts a campaign: a trigger, a message of a stream, that a user
// enters or leaves an audience, the clock, or a person.
type When struct {
	Trigger string `yaml:"trigger,omitempty" json:"trigger,omitempty"`
	Stream  string `yaml:"stream,omitempty" json:"stream,omitempty"`
	// Event is which events of the stream, where messages say their name.
	Event    string `yaml:"event,omitempty" json:"event,omitempty"`
	Audience string `yaml:"audience,omitempty" json:"audience,omitempty"`
	On       string `yaml:"on,omitempty" json:"on,omitempty"` // enter (default) | leave
	// Once is the id of the order by which a person sends it to the users that
	// were in its audiences at that moment. Without that order nothing starts it.
	Once string `yaml:"once,omitempty" json:"once,omitempty"`
	// Schedule is a cron expression: five fields, by the clock of Zone (the
	// installation's, if it is empty). Its audiences are asked at each run.
	Schedule string `yaml:"schedule,omitempty" json:"schedule,omitempty"`
	Zone     string `yaml:"zone,omitempty" json:"zone,omitempty"`
}

// What When.On may say.
const (
	Enter = "enter"
	Leave = "leave"
)

// Starts is the name of the trigger that starts the campaign: of one that was
// defined, or of one that Set.AllTriggers adds. No defined one has a colon.
func (w When) Starts() string {
	switch {
	case w.Audience != "":
		return "audience:" + w.Audience + ":" + cmp.Or(w.On, Enter)
	case w.Stream != "":
		return "stream:" + w.Stream + ":" + w.Event
	default:
		return w.Trigger
	}
}

// implied is the trigger on the event that tells of an audience's coming or
// going, or on those of a stream.
func (w When) implied(s *Set) *trigger.Definition {
	if w.Stream != "" {
		name := w.Event
		if name == "" {
			name = s.Streams[w.Stream].Event
		}
		return &trigger.Definition{Name: w.Starts(), Pattern: []trigger.Step{{
			Event: name, Where: &condition.Condition{Field: "event.source", Op: condition.Eq, Value: w.Stream},
		}}}
	}
	name := event.NameAudienceEntered
	if w.On == Leave {
		name = event.NameAudienceLeft
	}
	return &trigger.Definition{Name: w.Starts(), Pattern: []trigger.Step{{
		Event: name, Where: &condition.Condition{Field: "properties.audience", Op: condition.Eq, Value: w.Audience},
	}}}
}

// Variant is one of the contents a campaign chooses from, by weight.
type Variant struct {
	Channel  string `yaml:"channel" json:"channel"`
	Template string `yaml:"template,omitempty" json:"template"`       // "": what the channel says without one
	Weight   int    `yaml:"weight,omitempty" json:"weight,omitempty"` // default 1
}

// CampaignLimits bound what a user gets from a campaign.
type CampaignLimits struct {
	Cap     *Cap   `yaml:"cap,omitempty" json:"cap,omitempty"`
	Holdout string `yaml:"holdout,omitempty" json:"holdout,omitempty"` // "10%" (default), "0%"
	// Once: it goes to each user once. Unset, that holds for campaigns on a schedule
	// or an audience; see Campaign.OncePerUser.
	Once *bool `yaml:"once,omitempty" json:"once,omitempty"`
	// Quiet are its own quiet hours, instead of those of the settings.
	Quiet *Quiet `yaml:"quiet,omitempty" json:"quiet,omitempty"`
}

// Cap is a rolling frequency cap per user.
type Cap struct {
	Count int           `yaml:"count" json:"count"`
	Per   period.Period `yaml:"per" json:"per"`
}

// Goal is what a campaign wants to happen.
type Goal struct {
	Event  string        `yaml:"event" json:"event"`
	Within period.Period `yaml:"within" json:"within"`
	Value  string        `yaml:"value,omitempty" json:"value,omitempty"`
}

// Status is where a campaign stands.
type Status string

// The statuses.
const (
	Draft  Status = "draft"
	Live   Status = "live"
	Paused Status = "paused"
	Ended  Status = "ended"
)

// Set is all definitions of one revision, checked against each other. It is
// immutable and may be read concurrently.
type Set struct {
	Revision  int64
	Sources   map[string]*Source
	Events    map[string]*Event
	Triggers  map[string]*trigger.Definition
	Audiences map[string]*Audience
	// Dimensions are those that were defined; see DimensionNamed.
	Dimensions map[string]*measure.Dimension
	Templates  map[string]*Template
	Channels   map[string]*Channel
	Campaigns  map[string]*Campaign
	// Collections are those of the pull store.
	Collections map[string]*Collection
	Streams     map[string]*Stream
	// Sending is what holds for all campaigns; nil: nothing was said.
	Sending *Sending
	Funnels map[string]*Funnel
	Boards  map[string]*Board

	// Previous is what some of the triggers were before their pattern was last
	// edited: what users had begun by then may finish. Only the catalog knows it.
	Previous map[string]*trigger.Definition
}
