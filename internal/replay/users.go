package replay

import (
	"math"
	"strings"

	"heed/internal/event"
	"heed/internal/profile"
	"heed/internal/trigger"
)

// UsersConfig says how Users work.
type UsersConfig struct {
	Set *trigger.Set
	// Traits says that conditions or audiences ask about the profile, so that
	// identify calls have to be folded into it.
	Traits bool
	// Profile is what is known of a user before the first event; nil, or a nil
	// answer: nothing.
	Profile func(user string) *profile.Profile
	// InAudience tells whether a user with these traits is in an audience; nil:
	// everybody is in all of them.
	InAudience func(user, audience string, traits []byte) bool
	// Forget drops what no event that still counts live can need, at the log
	// time at which the Decider would. Without it everything is kept.
	Forget bool
	// Take gets what an event (nil: a timer) did, before it is emptied.
	Take func(user string, e *event.Event, traits []byte, out *trigger.Result)
}

// Users are the rows of many users in their stored form, on which events act as
// they do in the Decider, without a commit. They are used by one goroutine.
//
// Nothing that a user does depends on another one, so a user's timers need not
// run when log time passes them: they run before the user's next event, or in
// Sweep. What fires then is the same, at the same logical time.
type Users struct {
	cfg   UsersConfig
	byID  map[string]*held
	bytes int64

	// The user in hand.
	id     string
	traits []byte
	ask    func(audience string) bool
	state  trigger.State
	from   trigger.State // of a link
	in     trigger.Input
	out    trigger.Result
	room   []byte
	waking bool
}

// held is a user between two events.
type held struct {
	rows    []byte // of trigger.Set.Append
	next    int64  // when Wake has something to do; math.MaxInt64: never
	profile []byte // of profile.Append; nil: nothing is known
	folded  bool   // the profile holds what the log said
	asked   bool   // Profile was asked
	past    bool   // time is not as far for this user as for others
}

// heldBytes is what a user costs beside id, rows and profile.
const heldBytes = 160

func (h *held) size(id string) int64 {
	return int64(heldBytes + len(id) + cap(h.rows) + cap(h.profile))
}

// NewUsers makes Users that have seen nothing.
func NewUsers(cfg UsersConfig) *Users {
	u := &Users{cfg: cfg, byID: make(map[string]*held)}
	if cfg.InAudience != nil {
		u.ask = func(audience string) bool { return cfg.InAudience(u.id, audience, u.traits) }
	}
	return u
}

// Has tells whether something is kept of a user.
func (u *Users) Has(id string) bool { return u.byID[id] != nil }

// Len is how many users are kept, Bytes what they cost.
func (u *Users) Len() int { return len(u.byID) }

// Bytes is what the users cost in memory, about.
func (u *Users) Bytes() int64 { return u.bytes }

// Event lets an event act on its user: timers that are due by the log time,
// then the profile, then, if step is set, the rows. An event that the Set does not
// read moves no more than the user's clock then. Of in it reads Time, LogTime,
// Offset and Key. The event may be used again afterwards.
//
// past says that the user's next event may have an earlier log time than others
// have had by then, as imported events have: Sweep leaves the user alone.
func (u *Users) Event(e *event.Event, in *trigger.Input, step, past bool) {
	u.EventOf(e.User(), e, in, step, past)
}

// EventOf is Event for a user whom the event names by another id.
func (u *Users) EventOf(id string, e *event.Event, in *trigger.Input, step, past bool) {
	h := u.open(id)
	h.past = past
	u.load(id, h)
	u.wake(h, in.LogTime)
	if u.cfg.Traits && e.Type == event.Identify {
		u.fold(h, e)
	}
	if step {
		u.in = *in
		u.in.Event, u.in.Traits, u.in.InAudience = e, u.traits, u.ask
		u.cfg.Set.Step(&u.state, u.id, &u.in, &u.out)
		u.take(e)
	}
	u.store(h)
}

// Wake runs the timers of a user that are due by the log time.
func (u *Users) Wake(id string, logTime int64) {
	h := u.byID[id]
	if h == nil || h.next > logTime {
		return
	}
	u.load(id, h)
	u.wake(h, logTime)
	u.store(h)
}

// open finds or makes a user.
func (u *Users) open(id string) *held {
	h := u.byID[id]
	if h == nil {
		h = &held{next: math.MaxInt64}
		u.byID[strings.Clone(id)] = h
		u.bytes += h.size(id)
	}
	return h
}

// Link unites a user with the one that it turned out to be, as of a log time,
// and forgets it.
func (u *Users) Link(from, to string, logTime int64) {
	src := u.byID[from]
	if src == nil {
		return
	}
	u.load(from, src)
	u.wake(src, logTime)
	rows, known := u.cfg.Set.Append(nil, &u.state), src.profile
	u.Drop(from)
	dst := u.open(to)
	u.load(to, dst)
	u.wake(dst, logTime)
	_ = u.cfg.Set.Decode(rows, &u.from) // this Set has written them
	u.cfg.Set.Merge(&u.state, &u.from, logTime, &u.out)
	u.take(nil)
	if other, err := profile.Decode(known); err == nil && known != nil { // written by keep
		p, err := profile.Decode(dst.profile)
		if err == nil {
			p.Merge(other)
			dst.folded = true
			u.keep(dst, p)
		}
	}
	u.store(dst)
}

// load takes a user in hand.
func (u *Users) load(id string, h *held) {
	u.id, u.waking = id, false
	u.out.Reset()
	_ = u.cfg.Set.Decode(h.rows, &u.state) // this Set has written them
	if !u.cfg.Traits {
		return
	}
	if !h.asked {
		h.asked = true
		if u.cfg.Profile != nil {
			if p := u.cfg.Profile(id); p != nil {
				u.keep(h, p)
			}
		}
	}
	u.traits = u.traits[:0]
	if h.profile != nil {
		if p, err := profile.Decode(h.profile); err == nil { // written by keep
			u.traits = p.AppendTraits(u.traits)
		}
	}
}

func (u *Users) keep(h *held, p *profile.Profile) {
	before := h.size(u.id)
	h.profile = p.Append(nil)
	u.bytes += h.size(u.id) - before
}

func (u *Users) fold(h *held, e *event.Event) {
	p := new(profile.Profile)
	if h.profile != nil {
		if known, err := profile.Decode(h.profile); err == nil { // written by keep
			p = known
		}
	}
	if p.Apply(e) {
		h.folded = true
		u.keep(h, p)
		u.traits = p.AppendTraits(u.traits[:0])
	}
}

// wake runs the timers of the user in hand and forgets what has expired.
func (u *Users) wake(h *held, logTime int64) {
	if h.next > logTime {
		return
	}
	u.waking = true
	set := u.cfg.Set
	if u.state.NextTimer() <= logTime {
		u.in = trigger.Input{LogTime: logTime, Traits: u.traits, InAudience: u.ask}
		set.Wake(&u.state, u.id, &u.in, &u.out)
		u.take(nil)
	}
	if u.cfg.Forget && u.state.NextDeadline() <= logTime {
		u.in = trigger.Input{LogTime: logTime, Live: true}
		set.Wake(&u.state, u.id, &u.in, &u.out)
		u.take(nil)
	}
	u.waking = false
}

func (u *Users) take(e *event.Event) {
	if len(u.out.Firings) > 0 || len(u.out.Refusals) > 0 || u.out.Counts != (trigger.Counts{}) {
		u.cfg.Take(u.id, e, u.traits, &u.out)
	}
	u.out.Reset()
}

// store puts the user in hand back.
func (u *Users) store(h *held) {
	before := h.size(u.id)
	u.room = u.cfg.Set.Append(u.room[:0], &u.state)
	h.next = u.state.NextTimer()
	if u.cfg.Forget {
		h.next = u.state.NextDeadline()
	}
	if len(u.room) > cap(h.rows) {
		h.rows = make([]byte, 0, (len(u.room)+15)&^15)
	}
	h.rows = append(h.rows[:0], u.room...)
	u.bytes += h.size(u.id) - before
	if len(h.rows) == 0 && !h.folded {
		u.Drop(u.id)
	}
}

// Drop forgets a user.
func (u *Users) Drop(id string) {
	if h := u.byID[id]; h != nil {
		u.bytes -= h.size(id)
		delete(u.byID, id)
	}
}

// Recover is to be called after a panic of Event or Sweep. Rows whose timer
// panicked are dropped, as the Decider does, and the event may be given again
// (again is true); otherwise the event is at fault, and the user is as before.
func (u *Users) Recover() (again bool) {
	if !u.waking {
		return false
	}
	u.Drop(u.id)
	return true
}

// Sweep runs every timer that is due by the log time and forgets what has
// expired. At the end, when no event is to come, it includes the users of whom
// the last event was past.
func (u *Users) Sweep(logTime int64, end bool) {
	for id, h := range u.byID {
		if h.next > logTime || h.past && !end {
			continue
		}
		u.load(id, h)
		u.wake(h, logTime)
		u.store(h)
	}
}

// Keep drops every user of whom keep is false.
func (u *Users) Keep(keep func(user string) bool) {
	for id := range u.byID {
		if !keep(id) {
			u.Drop(id)
		}
	}
}
