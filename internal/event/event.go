// Package event owns the Event: the one record that every client's call, every
// outcome of a delivery and every control record becomes, with its ids, its
// published Avro schema and the codec of the bytes in the log.
//
// It does not own how events are collected (gateway), stored (eventlog) or what
// they mean (trigger, profile). It does no I/O.
package event

// Type says which call of the collection API an event came from.
type Type uint8

// The types, in the order of the Avro enum: their numbers are part of the wire
// format and never change.
const (
	Track Type = iota
	Page
	Screen
	Identify
	Group
	Alias
	// System marks control records (tick, hand-over, merge, definition
	// revision, membership) and Heed's own facts. Clients cannot send it.
	System
)

// Names that Heed itself gives. The page event has the same name whichever
// client sent it.
const (
	NamePage     = "page"
	NameScreen   = "screen"
	NameIdentify = "identify"
	NameGroup    = "group"
	NameAlias    = "alias"

	// NameSessionStart says that a session of the user begins. Clients may send it
	// too; where they do not, Heed makes it.
	NameSessionStart = "session_start"

	// ReservedPrefix starts the names that clients may not send.
	ReservedPrefix = "heed."

	// NameTick moves a partition's log time while a timer is pending (System).
	NameTick = "heed.tick"
	// NameRevision puts a revision of the definitions in force (System);
	// properties: {"revision": n}.
	NameRevision = "heed.revision"
	// NameMembership says who is in an audience (System); properties: Membership.
	NameMembership = "heed.membership"
	// NameAudienceEntered and NameAudienceLeft tell that a user has entered or left
	// an audience (Track); properties: audience. They are for triggers that name
	// them; membership itself is what NameMembership says.
	NameAudienceEntered = "heed.audience_entered"
	NameAudienceLeft    = "heed.audience_left"
	// NameDelivery is the one outcome of an activation (Track); properties:
	// status, reason, campaign, template, channel, delivery, activation, fire.
	NameDelivery = "heed.delivery"
	// NameShown, NameClicked and NameDismissed follow a delivery (Track);
	// properties: delivery, campaign, channel.
	NameShown     = "heed.shown"
	NameClicked   = "heed.clicked"
	NameDismissed = "heed.dismissed"
	// What came back about a delivery that went to an address, or about the
	// address (Track); properties: delivery, campaign, channel, and what is said.
	NameDelivered    = "heed.delivered"
	NameBounced      = "heed.bounced"
	NameComplained   = "heed.complained"
	NameOpened       = "heed.opened"
	NameUnsubscribed = "heed.unsubscribed"
	NameResubscribed = "heed.resubscribed"
	NameConfirmed    = "heed.confirmed"
)

// Claimed marks, as a key of Context.Extra, an identify whose user id is trusted
// and was not proven: its addresses are only claims. ClaimedHead is the key as
// Reader.With takes it.
const (
	Claimed     = "claimed"
	ClaimedHead = `"` + Claimed + `":`
)

// SourceHeed is the source of events that Heed makes itself.
const SourceHeed = "heed"

// MaxDepth is the deepest derivation that triggers still match: an event
// derived from another carries that one's depth + 1.
const MaxDepth = 4

// Limits of a single event, in bytes unless said otherwise.
const (
	MaxEventBytes = 32 << 10
	MaxNameBytes  = 128
	MaxIDBytes    = 128
	MaxJSONBytes  = 32 << 10
	MaxJSONDepth  = 32
	MaxJSONKeys   = 256
)

// Event is one thing that happened. Times are µs since the Unix epoch.
// Properties, Traits, Context.Consent and Context.Extra are JSON objects as
// bytes, nil when absent, and are parsed only by who needs them.
//
// A decoded Event aliases the bytes it was decoded from: they must not change
// while the Event is in use. An Event is not safe for concurrent writing.
type Event struct {
	MessageID   string // unique with Source within the dedup horizon
	Type        Type
	Name        string // never empty; NamePage etc. for calls that have no name
	UserID      string
	AnonymousID string
	GroupID     string // group calls
	PreviousID  string // alias calls
	Timestamp   int64  // event time
	ReceivedAt  int64
	Source      string // name of the source definition
	SessionID   string
	Depth       int    // 0 for what clients send
	ReplyTo     string // token of a request that waits for the answer; "" if none
	Context     Context
	Properties  []byte
	Traits      []byte
}

// Context is what surrounded the event.
type Context struct {
	Page     PageContext
	Campaign CampaignContext

	Device, OS, Browser, Screen string
	Locale, Timezone, Country   string
	UserAgent                   string // cut to 256 bytes
	IP                          string // cut to /24 or /48 before it gets here

	Bot        bool
	Historical bool // imports and old offline queues: never fires live
	Verified   bool // the user id was signed, came by a server key, or the source trusts user ids

	Consent []byte // JSON object: consent as the client stated it
	Extra   []byte // JSON object: every other key of the client's context
}

// PageContext is the page the event happened on.
type PageContext struct{ URL, Path, Referrer, Title string }

// CampaignContext is the marketing campaign that brought the visit.
type CampaignContext struct{ Source, Medium, Name, Term, Content string }

// User is the profile id that keys partitions and rows: the user id if known,
// else the anonymous id.
func (e *Event) User() string {
	if e.UserID != "" {
		return e.UserID
	}
	return e.AnonymousID
}
