package decider

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"heed/internal/condition"
	"heed/internal/event"
	"heed/internal/inbox"
	"heed/internal/profile"
	"heed/internal/session"
	"heed/internal/trigger"
	"heed/internal/userstate"
)

// batch is the work between two commits. Its memory is used again.
//
// prepare decodes the events, drops those that concern nobody, and loads every
// user of the others at once; decide runs timers and events in order and
// touches nothing outside, but reads the pull store where a condition asks for
// it; commit makes it true; finish tells the outside.
type batch struct {
	w *worker

	items []item  // events that something is to be done with
	times []int64 // log times of the records, rising
	due   wakes   // timers within the batch's log time
	until int64   // log time of the last record
	next  uint64  // offset behind the last event
	only  bool    // timers only: no event is consumed
	rules *ruleset

	needRows, needProfile []*user
	identity
	ids      []string
	slots    []*slot // users whose rows are decoded
	used     int
	profiles []*user // users whose profile is loaded
	decoder  event.Decoder

	in         trigger.Input
	out        trigger.Result
	facts      condition.Facts
	inAudience func(name string) bool
	pull       func(collection string) []byte // nil: there is no pull store
	clear      []userstate.Timer              // stale timers that were found
	intents    []event.Intent
	encoded    []byte
	touched    []*user // users with something to write
	changed    bool    // the board differs
	rows       []userstate.Row
	newMembers []*user // whose memberships are to be loaded
	rejoined   []*user // whose memberships have changed
	membership *event.Membership
	starts     [][]byte // rows of session_start events
	who        *user    // whose audiences are asked for
	noted      []noted
	noting     []*user // users of noted
	notes      notes
	com        userstate.Commit
	settled    map[string]inbox.Settlement
	counted    tally

	// What is in hand, should it panic.
	inHand phase
	offset uint64
	waking wakeKey
}

// phase is what is being done with the event in hand.
type phase uint8

const (
	nothing phase = iota
	decoding
	deciding
)

// item is one event with its user.
type item struct {
	event    event.Event
	user     *user
	offset   uint64
	time     int64 // log time
	relevant bool
	begins   bool     // a session, at the time start; asked of nobody whose profile is loaded
	start    int64    // event time, µs
	control  *control // nil: an event that stands in the log by itself
}

// slot is the decoded rows of a user within a batch.
type slot struct {
	state trigger.State
	user  *user
	dirty bool
}

// tally is what goes to the metrics once the batch is committed.
type tally struct {
	events, discarded, outside, poisoned, wakes, corrupt, sessions int
	counts                                                         trigger.Counts
	ids                                                            idTally
}

// reset begins the batch.
func (b *batch) reset() {
	b.items, b.times, b.due = b.items[:0], b.times[:0], b.due[:0]
	b.needRows, b.needProfile, b.profiles = b.needRows[:0], b.needProfile[:0], b.profiles[:0]
	b.used = 0
	b.clear, b.touched, b.rows = b.clear[:0], b.touched[:0], b.rows[:0]
	b.intents, b.encoded, b.noted = b.intents[:0], b.encoded[:0], b.noted[:0]
	b.rules, b.only, b.changed = nil, false, false
	b.membership, b.newMembers, b.rejoined, b.who = nil, b.newMembers[:0], b.rejoined[:0], nil
	clear(b.starts)
	b.starts = b.starts[:0]
	b.counted = tally{}
	clear(b.settled)
	b.out.Reset()
	b.inHand, b.waking = nothing, wakeKey{}
	b.next = b.w.next
	b.identity.reset()
}

// prepare makes everything ready that decide needs.
func (b *batch) prepare(ctx context.Context) error {
	b.reset()
	w := b.w
	w.target()
	b.until = w.chunks[len(w.chunks)-1].Appended
	var due []userstate.Timer
	if b.until >= w.earliest {
		var err error
		if due, err = w.part.Due(ctx, b.until, w.d.cfg.TimerPage); err != nil {
			return fmt.Errorf("look for due timers: %w", err)
		}
		if len(due) >= w.d.cfg.TimerPage {
			// There may be more: go no further than the first record, and while
			// the page does not reach that far, without any event.
			b.until = max(w.chunks[0].Appended, w.board.logTime)
			b.only = due[len(due)-1].Deadline <= b.until
			for n := len(due); n > 0 && due[n-1].Deadline > b.until; n-- {
				due = due[:n-1]
			}
		}
	}
	for _, t := range due {
		u := b.user(t.User)
		b.load(u, true)
		b.due.push(wake{deadline: t.Deadline, user: u, committed: true})
	}
	if b.only {
		b.times = append(b.times, b.until)
	} else if err := b.decode(ctx); err != nil {
		return err
	}
	b.until = b.times[len(b.times)-1]
	return b.read(ctx)
}

// decode goes over the records up to the log time until, and keeps the events
// that something is to be done with.
func (b *batch) decode(ctx context.Context) error {
	w := b.w
	logTime := w.board.logTime
	for _, c := range w.chunks {
		if c.Appended > b.until || b.counted.events >= w.d.cfg.BatchEvents {
			break
		}
		if logTime = max(logTime, c.Appended); len(b.times) == 0 || b.times[len(b.times)-1] < logTime {
			b.times = append(b.times, logTime)
		}
		b.decoder = event.NewDecoder(c.Data)
		for i := range c.Count {
			offset := c.Base + uint64(i)
			record, ok, err := b.decoder.Raw()
			if err != nil || !ok {
				w.logger.Error("a record of the log is unreadable: the rest of it is skipped", "offset", offset, "error", err)
				b.counted.poisoned += c.Count - i
				b.next = c.Next()
				break
			}
			if offset < b.next {
				continue // consumed before
			}
			if b.counted.events >= w.d.cfg.BatchEvents {
				return nil
			}
			b.next = offset + 1
			b.counted.events++
			n := len(b.items)
			if n == cap(b.items) {
				b.items = append(b.items, item{})
			}
			b.items = b.items[:n+1]
			b.inHand, b.offset = decoding, offset
			keep, last, err := b.admit(ctx, &b.items[n], record, offset, logTime)
			b.inHand = nothing
			if !keep {
				b.items = b.items[:n]
			}
			if last || err != nil {
				return err
			}
		}
		b.next = max(b.next, c.Next()) // it may have no events
	}
	return nil
}

// admit decodes one event into it. keep says that something is to be done with
// it, last that the batch must end behind it.
func (b *batch) admit(ctx context.Context, it *item, record []byte, offset uint64, logTime int64) (keep, last bool, err error) {
	w := b.w
	poisoned := w.poison.events[offset]
	if poisoned == decoding {
		b.counted.poisoned++
		return false, false, nil
	}
	e := &it.event
	if err := event.Peek(record, e); err != nil {
		b.unreadable(offset, err)
		return false, false, nil
	}
	if e.Name == event.NameSessionStart {
		if err := event.DecodeAvro(record, e); err != nil {
			b.unreadable(offset, err)
			return false, false, nil
		}
		if session.Made(e) {
			return false, false, nil // it is for others: here it was made
		}
	}
	relevant, counts, tells := e.Type == event.System || w.rules.set.Relevant(e.Name), profile.Counts(e), profile.Tells(e)
	id := e.User()
	u := w.users.find(id)
	it.begins = false
	// Of an event that no trigger reads, from which the profile learns nothing,
	// no more is decoded: that is nearly every event.
	idle := !relevant && u != nil && u.known && !u.reading && !u.glance.Apart() && u.glance.Full() && event.Plain(record) && u.glance.Unchanged(w.seed, e)
	seen := idle && counts
	if seen {
		it.start, it.begins = w.sees(u, e, logTime)
		idle = !it.begins
	}
	if !idle {
		if err := event.DecodeAvro(record, e); err != nil {
			b.unreadable(offset, err)
			return false, false, nil
		}
	}
	if e.ReplyTo != "" {
		b.settle(e.ReplyTo, inbox.Settlement{Events: 1})
	}
	if poisoned == deciding {
		b.counted.poisoned++
		return false, false, nil
	}
	it.offset, it.time, it.control = offset, logTime, nil
	if e.Type == event.System {
		if b.admitControl(it, record) {
			return true, false, nil
		}
		last, err = b.control(ctx, e)
		return false, last, err
	}
	if !relevant {
		b.counted.discarded++
	} else if b.outside(e, u, logTime) {
		relevant = false
	}
	if id == "" || idle || !relevant && !tells {
		return false, false, nil
	}
	unchanged := false
	if u == nil {
		u = w.users.add(id)
	} else {
		unchanged = u.known && !u.glance.Apart() && (!tells || u.glance.Unchanged(w.seed, e))
	}
	if !unchanged && !u.reading {
		u.reading = true
		b.needProfile = append(b.needProfile, u)
	}
	if !seen && counts && !u.reading { // nothing can come between the event and its user
		it.start, it.begins = w.sees(u, e, logTime)
	}
	if !relevant && !u.reading && !it.begins {
		return false, false, nil
	}
	steps := relevant
	if !steps && counts && w.rules.set.Relevant(event.NameSessionStart) {
		steps = it.begins || u.reading && w.sessions.journal.Tracker.Due(&u.session, e.Timestamp, logTime)
	}
	if _, links := e.Links(); steps || links {
		b.load(u, false)
		b.linking = b.linking || links
	}
	it.user, it.relevant = u, relevant
	return true, false, nil
}

func (b *batch) unreadable(offset uint64, err error) {
	b.w.logger.Error("an event is unreadable: it is skipped", "offset", offset, "error", err)
	b.counted.poisoned++
}

// control obeys a control record.
func (b *batch) control(ctx context.Context, e *event.Event) (last bool, err error) {
	w := b.w
	switch e.Name {
	case event.NameTick:
		// Its append time is all there is to it.
	case event.NameRevision:
		n, ok := revisionOf(e.Properties)
		if !ok || n <= w.rules.revision {
			return false, nil
		}
		rules, err := w.d.rules.at(ctx, n)
		if errors.Is(err, errNoRevision) {
			w.logger.Error("revision of the definitions is not there: it is skipped", "revision", n)
			b.counted.poisoned++
			return false, nil
		}
		if err != nil {
			return true, err
		}
		b.rules = rules
		return true, nil // what follows is decided by the new rules
	case event.NameMembership:
		return b.admitMembership(e), nil // what follows is decided by it
	case event.NameLink, event.NameHandOver, event.NameForward:
		b.counted.poisoned++ // it was unreadable
	case event.NameMerge:
		// It is for others.
	default:
		w.logger.Warn("unknown control record", "name", e.Name)
	}
	return false, nil
}

// user finds or makes the entry of a user.
func (b *batch) user(id string) *user {
	if u := b.w.users.find(id); u != nil {
		return u
	}
	return b.w.users.add(id)
}

// load asks for the rows of a user and, if wanted, for the profile unless it is
// known.
func (b *batch) load(u *user, withProfile bool) {
	if b.w.rules.recorded {
		b.needMembers(u)
	}
	if !u.hasRows && !u.fetching {
		u.fetching = true
		b.needRows = append(b.needRows, u)
	}
	if withProfile && (!u.known || u.glance.Apart()) && !u.reading {
		u.reading = true
		b.needProfile = append(b.needProfile, u)
	}
}

// read loads what was asked for.
func (b *batch) read(ctx context.Context) error {
	w := b.w
	values, err := b.values(ctx, userstate.Profile, b.needProfile)
	if err != nil {
		return err
	}
	for i, u := range b.needProfile {
		p, err := profile.Decode(values[i])
		if err != nil {
			w.logger.Error("the profile of a user is unreadable: it begins anew", "error", err)
			b.counted.corrupt++
			p = new(profile.Profile)
		}
		u.profile, u.touched, u.last = p, false, nil
		u.setTraits()
		b.profiles = append(b.profiles, u)
	}
	if err := b.readParked(ctx); err != nil {
		return err
	}
	if err := b.readMembers(ctx); err != nil {
		return err
	}
	if values, err = b.values(ctx, userstate.Rows, b.needRows); err != nil {
		return err
	}
	for i, u := range b.needRows {
		u.fetching = false
		if err := u.setRows(values[i]); err != nil {
			w.logger.Error("the rows of a user are unreadable: they are dropped", "error", err)
			b.counted.corrupt++
		}
		w.users.measure(u)
	}
	return nil
}

func (b *batch) values(ctx context.Context, kind userstate.Kind, of []*user) ([][]byte, error) {
	if len(of) == 0 {
		return nil, nil
	}
	b.ids = b.ids[:0]
	for _, u := range of {
		b.ids = append(b.ids, u.id)
	}
	values, err := b.w.part.Load(ctx, kind, b.ids)
	if err != nil {
		return nil, fmt.Errorf("load %d users: %w", len(of), err)
	}
	return values, nil
}

// setTraits keeps the traits for conditions.
func (u *user) setTraits() {
	if len(u.profile.Traits) == 0 {
		u.traits = nil
		return
	}
	u.traits = u.profile.AppendTraits(nil)
}

// decide runs timers and events in order.
func (b *batch) decide() {
	times := b.times
	for i := range b.items {
		it := &b.items[i]
		for len(times) > 0 && times[0] <= it.time {
			b.advance(times[0])
			times = times[1:]
		}
		b.inHand, b.offset = deciding, it.offset
		if it.user.profile == nil {
			b.apply(it)
		} else {
			b.deliver(it)
		}
		b.inHand = nothing
	}
	for _, t := range times {
		b.advance(t)
	}
}

// apply lets an event act on its user's profile and rows.
func (b *batch) apply(it *item) {
	if b.w.trap != nil {
		b.w.trap(&it.event)
	}
	u := it.user
	b.begin(it)
	if u.profile != nil {
		if u.profile.Apply(&it.event) {
			u.touched = true
			if it.event.Type == event.Identify {
				u.setTraits()
			}
		}
		u.last = &it.event
	}
	if it.relevant {
		b.advanceRows(it)
	}
}

// advance moves the log time on and wakes who is due.
func (b *batch) advance(logTime int64) {
	b.w.board.logTime = max(b.w.board.logTime, logTime)
	for len(b.due) > 0 && b.due[0].deadline <= logTime {
		d := b.due.pop()
		u := d.user
		s := b.rowsOf(u)
		switch {
		case d.deadline == u.wake:
		case d.committed && d.deadline != u.stored:
			// Left behind by an older revision: it wakes for nothing.
			b.clear = append(b.clear, userstate.Timer{Deadline: d.deadline, User: u.id})
		default:
			continue // moved since
		}
		u.wake = 0
		s.dirty = true
		b.waking = wakeKey{d.deadline, u.id}
		b.counted.wakes++
		switch {
		case b.w.poison.wakes[b.waking]:
			b.counted.poisoned++
			_ = b.w.rules.set.Decode(nil, &s.state) // nothing cannot be corrupt
			b.dropParked(u)
			b.collect(s, nil, logTime)
		case u.waits():
			b.overdue(u, logTime)
		default:
			b.wake(s, logTime, logTime)
		}
		b.waking = wakeKey{}
	}
}

// wake runs the timers of a user that are due by a log time. now is the log
// time of the batch.
func (b *batch) wake(s *slot, logTime, now int64) {
	u := s.user
	b.who = u
	b.in = trigger.Input{LogTime: logTime, Traits: u.traits, InAudience: b.inAudience, Pull: b.pull, Live: true}
	b.facts = condition.Facts{Traits: u.traits}
	b.w.rules.set.Wake(&s.state, u.id, &b.in, &b.out)
	b.collect(s, nil, now)
}

// advanceRows lets an event act on its user's rows.
func (b *batch) advanceRows(it *item) {
	offset, logTime := it.origin()
	b.stepRows(it.user, &it.event, offset, logTime)
}

// stepRows lets an event that stands at a place in the log act on a user's rows.
func (b *batch) stepRows(u *user, e *event.Event, offset uint64, logTime int64) {
	s := b.rowsOf(u)
	b.who = u
	b.in = trigger.Input{
		Event: e, Time: e.Timestamp, LogTime: logTime, Offset: offset,
		Key: event.KeyOf(e.Source, e.MessageID), Traits: u.traits, InAudience: b.inAudience, Pull: b.pull, Live: true,
	}
	b.facts = condition.Facts{Event: e, Traits: u.traits}
	b.w.rules.set.Step(&s.state, u.id, &b.in, &b.out)
	b.collect(s, e, b.w.board.logTime) // it.time is earlier if the event was kept back
}

// rowsOf decodes the rows of a user, once a batch.
func (b *batch) rowsOf(u *user) *slot {
	if u.slot != nil {
		return u.slot
	}
	if b.used == len(b.slots) {
		b.slots = append(b.slots, new(slot))
	}
	s := b.slots[b.used]
	b.used++
	s.user, s.dirty = u, false
	u.slot = s
	if err := b.w.rules.set.Decode(u.rows, &s.state); err != nil {
		b.w.logger.Error("the rows of a user are unreadable: they are dropped", "error", err)
		b.counted.corrupt++
		s.dirty = true
	}
	if u.derived {
		u.derived = false
		if next := s.state.NextDeadline(); next != math.MaxInt64 {
			u.wake, u.stored = next, next
		}
	}
	return s
}

// collect takes what Step or Wake did.
func (b *batch) collect(s *slot, e *event.Event, logTime int64) {
	u, out := s.user, &b.out
	for i := range out.Firings {
		b.fire(u, e, &out.Firings[i])
	}
	for i := range out.Refusals {
		r := &out.Refusals[i]
		b.noteRefusal(u, e, r)
		if p, ok := b.w.rules.index[r.Program]; ok && r.Reason > 0 && int(r.Reason) <= reasons {
			b.w.board.scores[p].refused[r.Reason-1]++
			b.changed = true
		}
	}
	for _, t := range out.Transitions {
		b.w.board.move(t)
		b.changed = true
	}
	b.counted.counts.Add(out.Counts)
	if out.Changed {
		s.dirty = true
	}
	if s.dirty {
		b.arm(s, logTime)
	}
	out.Reset()
}

// arm makes sure that the user is woken in time. A timer that has become later
// is left: it wakes early, for nothing, and is set again then.
func (b *batch) arm(s *slot, logTime int64) {
	u := s.user
	next := s.state.NextDeadline()
	if next == math.MaxInt64 || u.waits() || u == b.replaying {
		return
	}
	next = max(next, logTime+1) // what is due has run
	if u.wake != 0 && u.wake <= next {
		return
	}
	b.wakeAt(u, next)
}

func (b *batch) wakeAt(u *user, at int64) {
	u.wake = at
	if at <= b.until {
		b.due.push(wake{deadline: at, user: u})
	}
}

// fire makes an intent of a firing.
func (b *batch) fire(u *user, e *event.Event, f *trigger.Firing) {
	in := event.Intent{
		FireID: hex.EncodeToString(f.FireID[:]), User: u.id, Trigger: f.Program.Name, Key: f.Key,
		At: f.At, Offset: f.Offset, Depth: f.Depth,
	}
	if f.Timer || e != nil && f.CauseKey != b.in.Key {
		e = nil // it is not the event at hand that completed it
	}
	b.noteFiring(u, e, f)
	if e != nil {
		in.CauseID, in.ReplyTo = e.MessageID, e.ReplyTo
		if e.ReplyTo != "" {
			b.settle(e.ReplyTo, inbox.Settlement{Intents: 1})
		}
	}
	b.intents = append(b.intents, in)
	if p, ok := b.w.rules.index[f.Program]; ok {
		s := &b.w.board.scores[p]
		s.fired++
		s.last = max(s.last, f.At)
		b.changed = true
	}
}

func (b *batch) settle(token string, s inbox.Settlement) {
	if b.settled == nil {
		b.settled = make(map[string]inbox.Settlement)
	}
	sum := b.settled[token]
	sum.Events += s.Events
	sum.Intents += s.Intents
	b.settled[token] = sum
}

// commit writes the step.
func (b *batch) commit(ctx context.Context) error {
	w, c := b.w, &b.com
	*c = userstate.Commit{Base: w.next, Next: b.next, Set: c.Set[:0], Clear: append(c.Clear[:0], b.clear...), Intents: b.intents}
	if b.rules != nil {
		w.board.adopt(b.rules)
		b.changed = true
	}
	for _, s := range b.slots[:b.used] {
		if s.dirty {
			b.encodeRows(s)
		}
	}
	for _, u := range b.profiles {
		if u.touched {
			b.joins(u)
			n := len(b.encoded)
			b.encoded = u.profile.Append(b.encoded)
			b.rows = append(b.rows, userstate.Row{Kind: userstate.Profile, User: u.id, Value: b.encoded[n:]})
		}
		if u.queued {
			b.rows = append(b.rows, userstate.Row{Kind: userstate.Parked, User: u.id, Value: appendParked(u.queue)})
		}
	}
	b.encodeMembers()
	b.encodeSessions()
	if err := b.encodeNotes(ctx); err != nil {
		return err
	}
	if b.changed {
		n := len(b.encoded)
		b.encoded = w.board.append(b.encoded)
		c.Meta = b.encoded[n:]
	}
	// In order they are cheaper to insert.
	slices.SortFunc(b.rows, func(a, b userstate.Row) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(a.User, b.User))
	})
	c.Rows = b.rows
	if err := b.send(ctx); err != nil {
		return err
	}
	start := time.Now()
	if err := w.part.Commit(ctx, c); err != nil {
		return fmt.Errorf("commit [%d, %d): %w", c.Base, c.Next, err)
	}
	w.metrics.commit.Observe(time.Since(start).Seconds())
	return nil
}

// encodeRows writes a user's rows and timer.
func (b *batch) encodeRows(s *slot) {
	u, c := s.user, &b.com
	had := len(u.rows) > 0 || u.stored != 0
	next := s.state.NextDeadline()
	if next == math.MaxInt64 {
		next = 0
	}
	empty := s.state.Empty() && !u.waits()
	if empty {
		u.wake = 0
	}
	if u.wake != u.stored {
		if u.stored != 0 {
			c.Clear = append(c.Clear, userstate.Timer{Deadline: u.stored, User: u.id})
		}
		if u.wake != 0 {
			c.Set = append(c.Set, userstate.Timer{Deadline: u.wake, User: u.id})
		}
	}
	if empty {
		u.rows = u.rows[:0]
		if had {
			b.rows = append(b.rows, userstate.Row{Kind: userstate.Rows, User: u.id})
		}
		return
	}
	n := len(b.encoded)
	b.encoded = appendHead(b.encoded, u.wake, next)
	head := len(b.encoded)
	b.encoded = b.w.rules.set.Append(b.encoded, &s.state)
	u.rows = append(u.rows[:0], b.encoded[head:]...)
	b.rows = append(b.rows, userstate.Row{Kind: userstate.Rows, User: u.id, Value: b.encoded[n:]})
}

// finish takes the committed batch for granted and tells the outside.
func (b *batch) finish(ctx context.Context) error {
	w := b.w
	for _, s := range b.slots[:b.used] {
		s.user.slot = nil
		s.user.stored = s.user.wake
		w.users.measure(s.user)
		s.user = nil
	}
	for _, u := range b.profiles {
		u.glance, u.known = u.profile.GlanceAt(w.seed, u.last), true
		u.profile, u.last, u.touched, u.reading = nil, nil, false, false
		u.queue, u.queued = nil, false
		w.users.measure(u)
	}
	b.finishSessions()
	for _, t := range b.com.Set {
		w.earliest = min(w.earliest, t.Deadline)
	}
	if b.rules != nil {
		w.rules = b.rules
		w.logger.Info("definitions switched", "revision", w.rules.revision)
	}
	w.users.shrink()
	w.consume(b.next)
	if w.d.deps.Settler != nil {
		for token, s := range b.settled {
			if s != (inbox.Settlement{}) { // what is kept back is settled later
				w.d.deps.Settler.Settle(ctx, token, s)
			}
		}
	}
	b.report()
	if w.earliest <= w.board.logTime {
		return w.lookAhead(ctx)
	}
	return nil
}

// consume drops the chunks up to the offset.
func (w *worker) consume(next uint64) {
	w.next = next
	n := 0
	for n < len(w.chunks) && w.chunks[n].Next() <= next {
		w.held -= len(w.chunks[n].Data)
		n++
	}
	rest := copy(w.chunks, w.chunks[n:])
	clear(w.chunks[rest:])
	w.chunks = w.chunks[:rest]
	clear(w.poison.wakes)
	for offset := range w.poison.events {
		if offset < next {
			delete(w.poison.events, offset)
		}
	}
}
