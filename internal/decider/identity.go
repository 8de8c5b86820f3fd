package decider

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/inbox"
	"heed/internal/profile"
	"heed/internal/trigger"
	"heed/internal/userstate"
)

// How two ids become one user (docs/adr/0006-identity.md):
//
// An identify or alias that links id A to user U stands in U's partition, where
// it is a barrier: U's events from there on are parked. With it, in the same
// append, a link record stands in A's partition. A's owner answers it with a
// hand-over of A's rows and profile, through the log, and marks A as moved; what
// comes for A later is forwarded. The hand-over ends the wait: A's rows are
// merged into U's as of the barrier, and the parked events follow.
//
// What an owner sends is appended before the batch that sends it is committed,
// with ids made of the place of the record that it answers. So it is sent again
// after a crash, and the log drops it if it had got there.

// Bounds of waiting for a hand-over.
const (
	// patience is how much log time a barrier waits, counted from the end of
	// the partition as the barrier is met, so that a backlog is no delay.
	patience       = int64(10 * time.Second / time.Microsecond)
	maxParked      = 256     // events behind the first barrier of a user
	maxParkedBytes = 1 << 20 // of the same
	// maxHops bounds how often a record is sent on from id to id.
	maxHops = 8
)

// Why a link is refused.
const (
	refusedOtherUser = "other_user" // the id belongs to another user already
	refusedKnownUser = "known_user" // the id is a known user's, and nobody trusted says so
	refusedLimit     = "limit"      // the user has as many ids as it can have
	refusedLoop      = "loop"       // the user is linked to the id
)

// Why a wait is given up.
const (
	overflowEvents = "events"
	overflowBytes  = "bytes"
	overflowTime   = "time"
)

// idTally is what goes to the metrics of identity.
type idTally struct {
	parked, handedOver, forwarded, merged int
	refused, overflow                     map[string]int
}

func count(m *map[string]int, reason string) {
	if *m == nil {
		*m = make(map[string]int)
	}
	(*m)[reason]++
}

// identity is the part of a batch that deals with ids that belong together.
type identity struct {
	linking    bool              // an event links
	end        int64             // log time at the end of the partition, if linking
	outgoing   []*eventlog.Batch // by partition, nil for those without
	replaying  *user             // whose parked events are under way
	needParked []*user
	from       trigger.State // of a merge
}

func (i *identity) reset() {
	i.linking, i.replaying = false, nil
	clear(i.outgoing)
	i.outgoing = i.outgoing[:0]
}

// control is a control record about an id.
type control struct {
	kind   string // name of the record
	record []byte // as it stands in the log
	from   string // the id that is linked
	body
}

// body is the properties of a control record, in its log form.
type body struct {
	// Of a link.
	To      string `json:"to,omitempty"`
	Trusted bool   `json:"trusted,omitempty"`
	// Of a hand-over.
	Refused string `json:"refused,omitempty"` // the link does not hold: there is nothing to hand over
	Rows    []byte `json:"rows,omitempty"`
	Profile []byte `json:"profile,omitempty"`
	// Audiences are those that membership records have put the id into.
	Audiences []string `json:"audiences,omitempty"`
	event.Forwarded

	Hops int `json:"hops,omitempty"`
}

// admitControl makes an item of a control record about ids; false: it is none,
// or unreadable.
func (b *batch) admitControl(it *item, record []byte) bool {
	e := &it.event
	if !it.open(record) {
		return false
	}
	id := it.control.from
	if it.control.kind != event.NameLink {
		id = it.control.To
	}
	if it.control.kind == event.NameForward && e.ReplyTo != "" {
		b.settle(e.ReplyTo, inbox.Settlement{Events: 1})
	}
	it.user = b.user(id)
	it.relevant = b.w.rules.set.Relevant(e.Name)
	b.load(it.user, false)
	b.needMembers(it.user)
	if !it.user.reading {
		it.user.reading = true
		b.needProfile = append(b.needProfile, it.user)
	}
	return true
}

// open reads the control record that an item is, if it is one about ids; behind
// it, the event of a forward is the item's.
func (it *item) open(record []byte) bool {
	e := &it.event
	switch e.Name {
	case event.NameLink, event.NameHandOver, event.NameForward:
	default:
		return false
	}
	c := &control{kind: e.Name, record: record, from: e.AnonymousID}
	if json.Unmarshal(e.Properties, &c.body) != nil || c.from == "" {
		return false
	}
	if c.kind != event.NameLink {
		c.To = e.UserID
	}
	if c.To == "" || c.kind == event.NameForward && event.DecodeAvro(c.Event, e) != nil {
		return false
	}
	it.control = c
	return true
}

// origin is the place and log time of the event itself.
func (it *item) origin() (offset uint64, logTime int64) {
	if c := it.control; c != nil {
		return event.OffsetIn(c.Partition, c.Offset), c.Time
	}
	return it.offset, it.time
}

// waits tells whether events of the user are being parked. The profile of
// everybody who waits is loaded.
func (u *user) waits() bool { return u.profile != nil && u.profile.Waiting }

// barrier is the id whose hand-over has to come before the event counts; "" if
// there is none.
func (u *user) barrier(it *item) (from string) {
	from, links := it.event.Links()
	if !links || it.control != nil || u.profile.Has(from) || u.profile.Full() {
		return ""
	}
	return from
}

// deliver brings an item to its user, whose profile is loaded.
func (b *batch) deliver(it *item) {
	u := it.user
	p := u.profile
	switch {
	case p.Waiting:
		if !b.answer(it) {
			b.park(it)
		}
	case it.control == nil && p.Moved.To == "":
		if from := u.barrier(it); from != "" {
			p.Waiting, u.touched = true, true
			b.park(it)
			b.await(u)
			return
		}
		b.apply(it)
	case it.control == nil && it.event.UserID == u.id && !p.Moved.Trusted:
		// The id turns out to be a known user's: it is nobody else's.
		p.Moved, u.touched = profile.Move{}, true
		b.tellMerge(it, u.id)
		b.deliver(it)
	case it.control == nil || it.control.kind == event.NameForward:
		if p.Moved.To != "" {
			b.forward(it)
			return
		}
		b.apply(it)
	case it.control.kind == event.NameLink:
		b.handOver(it)
	default:
		b.receive(it)
	}
}

// await sets the timer of the user's first barrier.
func (b *batch) await(u *user) {
	b.rowsOf(u).dirty = true // they carry the timer
	b.wakeAt(u, u.queue[0].deadline)
}

// park keeps an item back.
func (b *batch) park(it *item) {
	u := it.user
	if token := it.event.ReplyTo; token != "" {
		b.settle(token, inbox.Settlement{Events: -1})
	}
	kept := parked{offset: it.offset, time: it.time, from: u.barrier(it)}
	if it.control != nil {
		kept.record = it.control.record
	} else {
		kept.record = event.AppendAvro(nil, &it.event)
	}
	if kept.from != "" {
		kept.deadline = max(it.time, b.end) + patience
	}
	u.queue, u.queued = append(u.queue, kept), true
	if len(u.queue) == 1 {
		return
	}
	b.counted.ids.parked++
	size := 0
	for i := range u.queue[1:] {
		size += len(u.queue[1+i].record) + len(u.queue[1+i].answer)
	}
	switch {
	case len(u.queue)-1 > maxParked:
		b.giveUp(u, overflowEvents)
	case size > maxParkedBytes:
		b.giveUp(u, overflowBytes)
	}
}

// overdue is called when the timer of somebody who waits is due.
func (b *batch) overdue(u *user, logTime int64) {
	if len(u.queue) > 0 && u.queue[0].deadline > logTime {
		b.await(u)
		return
	}
	b.giveUp(u, overflowTime)
}

// giveUp lets the first barrier pass as if its id had nothing to hand over. If
// the hand-over comes after all, it is merged then.
func (b *batch) giveUp(u *user, reason string) {
	count(&b.counted.ids.overflow, reason)
	b.release(u)
}

// answer takes an item that ends a wait; false: it is none.
func (b *batch) answer(it *item) bool {
	c, u := it.control, it.user
	if c == nil || c.kind != event.NameHandOver {
		return false
	}
	for i := range u.queue {
		kept := &u.queue[i]
		if kept.from != c.from || kept.answer != nil {
			continue
		}
		kept.answer, kept.answered = c.record, it.offset
		u.queued = true
		if i == 0 {
			b.release(u)
		}
		return true
	}
	return false
}

// release goes over what is parked, as if it happened now but at the log times
// at which it did, up to the next barrier that is not answered.
func (b *batch) release(u *user) {
	p, now := u.profile, b.w.board.logTime
	queue := u.queue
	u.queue, u.queued = nil, true
	p.Waiting, u.touched = false, true
	u.wake = 0
	b.replaying = u
	s := b.rowsOf(u)
	s.dirty = true
	for i := range queue {
		kept := &queue[i]
		it := b.unpark(u, kept)
		if it == nil {
			continue
		}
		if i > 0 && kept.answer == nil && p.Moved.To == "" && u.barrier(it) != "" {
			u.queue, p.Waiting = queue[i:], true
			break
		}
		b.catchUp(s, kept.time, now)
		if token := it.event.ReplyTo; token != "" {
			b.settle(token, inbox.Settlement{Events: 1})
		}
		if kept.answer != nil {
			if answer := b.unpark(u, &parked{record: kept.answer, offset: kept.answered, time: kept.time}); answer != nil {
				b.receive(answer)
			}
		}
		if (i == 0 || kept.answer != nil) && p.Moved.To == "" {
			b.apply(it) // nothing to wait for any more
		} else {
			b.deliver(it)
		}
	}
	b.replaying = nil
	if p.Waiting {
		b.await(u)
		return
	}
	b.catchUp(s, now, now)
	b.arm(s, now)
}

// catchUp runs the timers that are due by a log time that has passed.
func (b *batch) catchUp(s *slot, logTime, now int64) {
	if s.state.NextDeadline() <= logTime {
		b.wake(s, logTime, now)
	}
}

// unpark makes an item of what was kept back; nil if it is unreadable.
func (b *batch) unpark(u *user, kept *parked) *item {
	it := &item{user: u, offset: kept.offset, time: kept.time}
	err := event.DecodeAvro(kept.record, &it.event)
	if err != nil || it.event.Type == event.System && !it.open(kept.record) {
		b.w.logger.Error("a parked record is unreadable: it is skipped", "offset", kept.offset, "error", err)
		b.counted.poisoned++
		return nil
	}
	it.relevant = b.w.rules.set.Relevant(it.event.Name)
	return it
}

// handOver answers a link: the item's user is the id that is linked.
func (b *batch) handOver(it *item) {
	u, c := it.user, it.control
	p := u.profile
	var out body
	switch {
	case p.Moved.To == c.To:
		return // done by an earlier link
	case p.Moved.To != "":
		out.Refused = refusedOtherUser
	case p.UserID == u.id && !c.Trusted:
		out.Refused = refusedKnownUser
	}
	if out.Refused != "" {
		count(&b.counted.ids.refused, out.Refused)
		b.emit(it, event.NameHandOver, c.To, out)
		return
	}
	s := b.rowsOf(u)
	s.state.Relocate(func(offset uint64) uint64 { return event.OffsetIn(b.w.number, offset) })
	out.Rows = b.w.rules.set.Append(nil, &s.state)
	b.w.rules.set.Forget(&s.state, &b.out)
	s.dirty = true
	b.collect(s, nil, b.w.board.logTime)
	if p.Known() {
		out.Profile = p.Append(nil)
	}
	out.Audiences = b.yieldMembers(u)
	p.Moved, u.touched = profile.Move{To: c.To, At: it.time, Trusted: c.Trusted}, true
	b.counted.ids.handedOver++
	b.emit(it, event.NameHandOver, c.To, out)
}

// receive takes a hand-over that nothing waits for.
func (b *batch) receive(it *item) {
	u, c := it.user, it.control
	p := u.profile
	switch {
	case c.from == u.id:
		// It could not be linked: the id is itself again.
		p.Moved, u.touched = profile.Move{}, true
		b.take(it)
	case p.Moved.To != "":
		if c.Refused != "" {
			return
		}
		if p.Moved.To == c.from {
			count(&b.counted.ids.refused, refusedLoop)
		}
		b.sendOn(it, p.Moved.To)
	default:
		b.unite(it)
	}
}

// sendOn gives a record to whom its user has moved to.
func (b *batch) sendOn(it *item, to string) {
	out := it.control.body
	if out.Hops++; out.Hops > maxHops {
		b.w.logger.Error("ids are linked in a circle: a record is dropped", "offset", it.offset)
		count(&b.counted.ids.refused, refusedLoop)
		return
	}
	b.emit(it, it.control.kind, to, out)
}

// unite merges what was handed over into the item's user; it was decided by its
// own owner whether that may be.
func (b *batch) unite(it *item) {
	if it.control.Refused != "" {
		return
	}
	u, c := it.user, it.control
	p := u.profile
	if p.Full() && !p.Has(c.from) {
		count(&b.counted.ids.refused, refusedLimit)
		b.sendOn(it, c.from)
		return
	}
	b.take(it)
	p.Link(c.from)
	b.counted.ids.merged++
	b.tellMerge(it, c.from)
}

// tellMerge tells others that an id belongs to the item's user from now on.
func (b *batch) tellMerge(it *item, from string) {
	b.emit(it, event.NameMerge, it.user.id, struct {
		From string `json:"from"`
		To   string `json:"to"`
		At   string `json:"at"`
	}{from, it.user.id, time.UnixMicro(it.time).UTC().Format(time.RFC3339Nano)})
}

// take merges rows, profile and memberships of a hand-over, as of the item's
// time.
func (b *batch) take(it *item) {
	u, c, w := it.user, it.control, b.w
	s := b.rowsOf(u)
	if err := w.rules.set.Decode(c.Rows, &b.from); err != nil {
		w.logger.Error("the rows of a hand-over are unreadable: they are dropped", "offset", it.offset, "error", err)
		b.counted.corrupt++
	} else {
		w.rules.set.Merge(&s.state, &b.from, it.time, &b.out)
		w.targets.joinAll(w.rules, u.id)
		s.dirty = true
		b.collect(s, nil, w.board.logTime)
	}
	for _, name := range c.Audiences {
		b.setMember(u, name, true)
	}
	from, err := profile.Decode(c.Profile)
	if err != nil {
		w.logger.Error("the profile of a hand-over is unreadable: it is dropped", "offset", it.offset, "error", err)
		b.counted.corrupt++
		return
	}
	u.profile.Merge(from)
	u.touched = true
	u.setTraits()
}

// forward gives an event of an id that has moved to its user.
func (b *batch) forward(it *item) {
	if token := it.event.ReplyTo; token != "" {
		b.settle(token, inbox.Settlement{Events: -1})
	}
	b.counted.ids.forwarded++
	to := it.user.profile.Moved.To
	if it.control != nil {
		b.sendOn(it, to)
		return
	}
	b.emit(it, event.NameForward, to, body{Forwarded: event.Forwarded{
		Event: event.AppendAvro(nil, &it.event), Partition: b.w.number, Offset: it.offset, Time: it.time,
	}})
}

// emit puts a control record into the batch for a user's partition. Its id is
// made of the place of the record that caused it, which causes one of a kind.
func (b *batch) emit(cause *item, name, to string, properties any) {
	from := cause.user.id
	if cause.control != nil {
		from = cause.control.from
	}
	data, err := json.Marshal(properties)
	if err != nil {
		panic("decider: a control record has no JSON form: " + err.Error())
	}
	e := event.Event{
		MessageID: name[len(event.ReservedPrefix):] + "-" + strconv.Itoa(b.w.number) + "-" + strconv.FormatUint(cause.offset, 10),
		Type:      event.System, Name: name, Source: event.SourceHeed, UserID: to, AnonymousID: from,
		Timestamp: cause.time, ReceivedAt: cause.time, Properties: data,
	}
	n := eventlog.PartitionOf(to, len(b.w.d.workers))
	for len(b.outgoing) <= n {
		b.outgoing = append(b.outgoing, nil)
	}
	if b.outgoing[n] == nil {
		b.outgoing[n] = &eventlog.Batch{Partition: n, Own: true}
	}
	out := b.outgoing[n]
	out.Data = event.AppendEvent(out.Data, &e)
	out.Ends = append(out.Ends, len(out.Data))
	out.Keys = append(out.Keys, event.KeyOf(e.Source, e.MessageID))
}

// send makes the control records durable. It is called in front of the commit
// that they belong to.
func (b *batch) send(ctx context.Context) error {
	var batches []*eventlog.Batch
	for _, out := range b.outgoing {
		if out != nil {
			batches = append(batches, out)
		}
	}
	if len(batches) == 0 {
		return nil
	}
	if err := b.w.d.deps.Log.Append(ctx, eventlog.Events, batches); err != nil {
		return fmt.Errorf("append control records: %w", err)
	}
	return nil
}

// readParked loads what is kept back of the users of the batch.
func (b *batch) readParked(ctx context.Context) error {
	if b.linking {
		bounds, err := b.w.d.deps.Log.Bounds(ctx, eventlog.Events, b.w.number)
		if err != nil {
			return fmt.Errorf("bounds of the log: %w", err)
		}
		b.end = bounds.Time
	}
	b.needParked = b.needParked[:0]
	for _, u := range b.profiles {
		if u.profile.Waiting {
			b.load(u, false)
			b.needMembers(u)
			b.needParked = append(b.needParked, u)
		}
	}
	values, err := b.values(ctx, userstate.Parked, b.needParked)
	if err != nil {
		return err
	}
	for i, u := range b.needParked {
		if u.queue, err = decodeParked(values[i]); err != nil || len(u.queue) == 0 {
			b.w.logger.Error("the parked events of a user are unreadable: they are dropped", "error", err)
			b.counted.corrupt++
			b.dropParked(u)
		}
	}
	return nil
}

// dropParked ends a wait without a trace.
func (b *batch) dropParked(u *user) {
	if u.waits() {
		u.profile.Waiting, u.touched = false, true
		u.queue, u.queued = nil, true
	}
}
