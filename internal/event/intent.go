package event

// Intent is the Decider's word that a trigger fired for a user (or that a
// schedule or a person asked for a campaign): slim, on the stream of intents,
// read by the Engager. Times are µs since the Unix epoch.
type Intent struct {
	FireID  string // 32 hex digits; the same for every replay of the same log
	User    string // profile id
	Trigger string // name of the trigger, empty when Campaign is set
	// Campaign is set instead of Trigger for schedules and "send now".
	Campaign string
	Key      string // correlation value of the row that fired, if any
	At       int64  // logical time of the firing
	// Offset of the completing event (for timers: of the arming event) in this
	// user's partition of the stream of events; NoOffset if there is none. An
	// event of another id of the user names its own partition: see PlaceOf.
	Offset uint64
	// CauseID is the message id of the completing event; empty if a timer, or the
	// buffer of a trigger in event order, made it fire: Offset tells the event.
	CauseID string
	ReplyTo string // token of the request that waits for the answer
	Depth   int    // depth of the events that the outcome derives
	Test    bool   // a test: bypasses holdout and caps, never counted
}

// NoOffset says that an intent has no completing event.
const NoOffset = ^uint64(0)
