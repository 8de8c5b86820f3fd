package backtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"heed/internal/condition"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/profile"
	"heed/internal/replay"
	"heed/internal/trigger"
	"heed/internal/userstate"
)

const day = int64(24 * time.Hour / time.Microsecond)

// run is one backtest. Events are read in order of log time over all partitions,
// so that who logs in takes along what the anonymous id has done elsewhere. It
// is used by one goroutine, but for its atomics.
type run struct {
	b    *Backtester
	req  Request
	set  *trigger.Set
	prog *trigger.Program
	// clocks holds the triggers in force: live, what they read moves the users'
	// clocks, to which later events of an earlier time are clamped.
	clocks    *trigger.Set
	maxAge    int64
	audiences map[string]*condition.Program
	profiles  bool

	now, asked int64 // the range
	from       int64 // firings count from here; behind asked if a sample has not the whole range
	warm       int64 // nothing that happened before it is matched
	begin      int64 // what happened before it was not read
	logFrom    int64 // log time of the oldest record, 0: there is none
	short      bool
	parts      []part
	share      float64 // of the events of the range that are read
	users      float64 // of the users of whom they are

	ids     []string        // nil: those of all users
	ctx     context.Context // of the work, for profiles that are read on the way
	rows    *replay.Users
	moved   map[string]*link // what the Decider made of linked ids
	tally   tally
	logTime int64 // of the record in hand
	level   int32 // users of lower levels are left out
	swept   int   // users that the last sweep left
	unseen  int   // events since the last turn
	pace    pace
	header  event.Header
	event   event.Event
	outer   event.Event // of a forwarded one
	tied    bool        // records of several partitions have the log time in hand
	later   []later     // of them
	in      trigger.Input
	facts   condition.Facts
	err     error // of a read of a profile
	events  atomic.Int64
	firings atomic.Int64
	total   int64
}

// part is what is read of a partition: offsets [first, end).
type part struct {
	number     int
	first, end uint64
}

func newRun(b *Backtester, req Request) (*run, error) {
	p, err := trigger.Compile(req.Trigger)
	if err != nil {
		return nil, fmt.Errorf("backtest: %w", err)
	}
	r := &run{b: b, req: req, prog: p, set: trigger.NewSet([]*trigger.Program{p}), now: b.deps.Clock().UnixMicro(), share: 1, users: 1, moved: map[string]*link{}}
	defs := b.deps.Definitions.Current()
	programs := []*trigger.Program{}
	for _, d := range defs.Triggers {
		if other, err := trigger.Compile(d); err == nil { // the Decider leaves out what does not compile, too
			programs = append(programs, other)
		}
	}
	r.clocks = trigger.NewSet(append(programs, p))
	r.maxAge = r.clocks.MaxAge()
	r.profiles = req.Trigger.Audience != "" || asks(req.Trigger, "traits.")
	if req.Campaign != nil && len(req.Campaign.Who) > 0 {
		r.profiles = true
	}
	r.audiences = map[string]*condition.Program{}
	for name, a := range defs.Audiences {
		if c, err := a.Program(); err == nil {
			r.audiences[name] = c
		}
	}
	return r, nil
}

// plan finds what to read: the asked days, and before them what can still
// matter at their beginning.
func (r *run) plan(ctx context.Context, sample int) error {
	log := r.b.deps.Log
	r.ctx = ctx
	if r.req.User != "" {
		r.ids = []string{r.req.User}
		if p := r.profile(r.req.User); p != nil {
			r.ids = append(r.ids, p.AnonymousIDs...)
		}
	}
	r.asked = r.now - int64(r.req.Days)*day
	r.from = r.asked
	back, whole := r.prog.Reach()
	if c := r.req.Campaign; c != nil && c.Cap != nil {
		back += c.Cap.Per.Micros()
	}
	if r.warm = r.from - back; whole {
		r.warm = math.MinInt64
	}
	// The age at which events may still count live is added in reading alone:
	// log time is never before the time of the event.
	for n := range log.Partitions() {
		b, err := log.Bounds(ctx, eventlog.Events, n)
		if err != nil {
			return fmt.Errorf("backtest: bounds of the log: %w", err)
		}
		if b.First >= b.Next {
			continue
		}
		oldest, ok, err := eventlog.ChunkAt(ctx, log, eventlog.Events, n, b.First)
		if err != nil {
			return fmt.Errorf("backtest: begin of the log: %w", err)
		}
		if ok && (r.logFrom == 0 || oldest.Appended < r.logFrom) {
			r.logFrom = oldest.Appended
		}
		if r.ids != nil && !slices.ContainsFunc(r.ids, func(id string) bool { return eventlog.PartitionOf(id, log.Partitions()) == n }) {
			continue
		}
		p := part{number: n, first: b.First, end: b.Next}
		if ok && oldest.Appended < r.warm {
			if p.first, err = eventlog.OffsetAt(ctx, log, eventlog.Events, n, b, r.warm); err != nil {
				return fmt.Errorf("backtest: begin of the range: %w", err)
			}
		}
		if p.first < p.end {
			r.parts = append(r.parts, p)
			r.total += int64(p.end - p.first)
		}
	}
	r.short = r.logFrom == 0 || !whole && r.logFrom > r.warm || whole && r.logFrom > r.from
	if r.begin = max(r.warm, r.logFrom); r.logFrom == 0 {
		r.begin = r.from
	}
	r.pace.brisk = sample > 0 || r.b.deps.Alone
	if sample > 0 && r.total > int64(sample) {
		return r.sample(ctx, int64(sample))
	}
	return nil
}

// sample keeps the partitions that fit into so many events; if not even one
// does, the newest events of one. A user's partition is a hash of the id.
func (r *run) sample(ctx context.Context, limit int64) error {
	kept, read := 0, int64(0)
	for _, p := range r.parts {
		n := int64(p.end - p.first)
		if kept > 0 && read+n > limit {
			break
		}
		read += n
		kept++
	}
	r.share = float64(read) / float64(r.total)
	if r.users = r.share; r.req.User != "" {
		r.users = 1
	}
	r.parts, r.total = r.parts[:kept], read
	if read <= limit {
		return nil
	}
	p := &r.parts[0]
	p.first, r.total = p.end-uint64(limit), limit
	var marks [2]int64 // log times where reading begins, and half way
	for i, offset := range [...]uint64{p.first, p.end - uint64(limit/2)} {
		c, ok, err := eventlog.ChunkAt(ctx, r.b.deps.Log, eventlog.Events, p.number, offset)
		if err != nil {
			return fmt.Errorf("backtest: begin of a sample: %w", err)
		}
		if marks[i] = r.now; ok {
			marks[i] = min(c.Appended, r.now)
		}
	}
	// The warm-up takes at most half of what is read.
	back := r.from - max(r.warm, r.from-400*day)
	from := max(r.from, min(marks[0]+back, marks[1]))
	counted := float64(limit) / 2
	if span := marks[1] - marks[0]; span > 0 {
		counted += counted * float64(max(0, marks[1]-from)) / float64(span)
	}
	r.share *= counted / float64(read)
	r.from, r.begin = from, marks[0]
	r.warm = max(r.warm, r.from-back)
	return nil
}

// read does the work, and reports meanwhile.
func (r *run) read(ctx context.Context, report func(Progress)) error {
	done := make(chan error, 1)
	go func() { done <- r.fold(ctx) }()
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			report(r.progress())
		}
	}
}

func (r *run) progress() Progress {
	p := Progress{Events: r.events.Load(), Firings: r.firings.Load()}
	if r.total > 0 {
		p.Share = min(1, float64(p.Events)/float64(r.total))
	}
	return p
}

// fold reads the partitions up to the ends that they had when the run began,
// then lets time go on to that moment.
func (r *run) fold(ctx context.Context) (err error) {
	r.ctx, r.tally = ctx, newTally()
	cfg := replay.UsersConfig{Set: r.set, Traits: r.profiles, Forget: true, InAudience: r.inAudience, Take: r.take}
	if r.profiles {
		cfg.Profile = r.known
	}
	r.rows = replay.NewUsers(cfg)
	defer func() { r.rows = nil }()
	sources := make([]*source, 0, len(r.parts))
	defer func() {
		for _, s := range sources {
			err = errors.Join(err, s.reader.Close())
		}
	}()
	for _, p := range r.parts {
		s, err := r.open(ctx, p)
		if err != nil {
			return err
		}
		sources = append(sources, s)
	}
	var together []*source // with the earliest log time
	for {
		together = together[:0]
		for _, s := range sources {
			if !s.more || len(together) > 0 && s.chunk.Appended > together[0].chunk.Appended {
				continue
			}
			if len(together) > 0 && s.chunk.Appended < together[0].chunk.Appended {
				together = together[:0]
			}
			together = append(together, s)
		}
		if len(together) == 0 {
			break
		}
		if err := r.instant(together); err != nil {
			return err
		}
	}
	r.safely(func() { r.rows.Sweep(r.now, true) })
	r.events.Store(r.tally.counts.Events)
	return r.err
}

// instant lets the records of one log time act. They may be of one request, in
// which an id did something before it was linked to a known user: so what known
// users did comes after what others did.
func (r *run) instant(together []*source) error {
	r.logTime, r.tied = together[0].chunk.Appended, len(together) > 1
	for _, s := range together {
		if err := r.visit(s, r.see); err != nil {
			return err
		}
	}
	for _, l := range r.later {
		if err := event.DecodeHeader(l.record, &r.header); err != nil {
			return fmt.Errorf("backtest: read a record again: %w", err)
		}
		r.consider(l.source, l.offset, l.record)
	}
	r.later = r.later[:0]
	for _, s := range together {
		if err := s.advance(); err != nil {
			return err
		}
	}
	return r.err
}

// later is an event that waits for others of its log time.
type later struct {
	source *source
	offset uint64
	record []byte
}

// source is a partition that is being read.
type source struct {
	part
	reader eventlog.Reader
	chunk  eventlog.Chunk // the next one, if there is more
	more   bool
}

// open begins to read a partition, at what is left of it.
func (r *run) open(ctx context.Context, p part) (*source, error) {
	log := r.b.deps.Log
	reader, err := log.Read(ctx, eventlog.Events, p.number, p.first)
	if errors.Is(err, eventlog.ErrTrimmed) { // meanwhile
		var b eventlog.Bounds
		if b, err = log.Bounds(ctx, eventlog.Events, p.number); err == nil {
			p.first = b.First
			reader, err = log.Read(ctx, eventlog.Events, p.number, p.first)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("backtest: read the log: %w", err)
	}
	if l, ok := reader.(eventlog.Lender); ok {
		l.Lend() // nothing of a record is kept behind visit
	}
	s := &source{part: p, reader: reader}
	if err := s.fill(); err != nil {
		return nil, errors.Join(err, reader.Close())
	}
	return s, nil
}

// advance goes on to the next record.
func (s *source) advance() error {
	s.first = s.chunk.Next()
	return s.fill()
}

// fill reads the next record.
func (s *source) fill() error {
	for s.more = false; s.first < s.end; {
		c, ok, err := s.reader.TryNext()
		if err != nil {
			return fmt.Errorf("backtest: read the log: %w", err)
		}
		if !ok || c.Base >= s.end {
			return nil
		}
		if c.Next() > s.first { // not shown again
			s.chunk, s.more = c, true
			return nil
		}
	}
	return nil
}

// visit goes over the events of the record in hand. What is an event no more is
// counted as unreadable.
func (r *run) visit(s *source, see func(s *source, offset uint64, record []byte)) error {
	c := &s.chunk
	d := event.NewDecoder(c.Data)
	for i := range c.Count {
		record, ok, err := d.Raw()
		if err != nil || !ok {
			r.tally.counts.Unreadable += int64(c.Count - i)
			break
		}
		offset := c.Base + uint64(i)
		if offset < s.first || offset >= s.end {
			continue
		}
		see(s, offset, record)
		if r.unseen++; r.unseen >= turnEvery {
			if err := r.turn(); err != nil {
				return err
			}
		}
	}
	return r.err
}

// turnEvery is the number of events after which others get the processor.
const turnEvery = 256

// see looks at an event.
func (r *run) see(s *source, offset uint64, record []byte) {
	r.tally.counts.Events++
	h := &r.header
	if err := event.DecodeHeader(record, h); err != nil {
		r.tally.counts.Unreadable++
		return
	}
	if r.tied && h.UserID != "" {
		r.later = append(r.later, later{s, offset, record})
		return
	}
	r.consider(s, offset, record)
}

// consider lets the event act whose header is in hand, if it can matter.
func (r *run) consider(s *source, offset uint64, record []byte) {
	h := &r.header
	if h.Type == event.System {
		r.control(s, record)
		return
	}
	tells := h.Type == event.Identify || h.Type == event.Alias
	if !r.clocks.Relevant(h.Name) && !tells {
		return
	}
	user := h.User()
	if user == "" || h.Timestamp < r.warm && !tells || r.ids != nil && !slices.Contains(r.ids, user) {
		return
	}
	if err := event.DecodeAvro(record, &r.event); err != nil {
		r.tally.counts.Unreadable++
		return
	}
	r.safely(func() { r.act(s, offset) })
}

// act lets the event act on its user.
func (r *run) act(s *source, offset uint64) {
	e := &r.event
	if user := r.whose(e, s.chunk.Appended); user != "" {
		r.step(user, e, event.OffsetIn(s.number, offset), s.chunk.Appended)
	}
}

// control heeds what the Decider wrote down about linked ids.
func (r *run) control(s *source, record []byte) {
	h := &r.header
	switch h.Name {
	case event.NameLink:
		if m := r.moves(h.AnonymousID); m.To != "" && m.At <= s.chunk.Appended {
			r.linked(h.AnonymousID, m.To).left = true
		}
	case event.NameForward:
		if r.ids != nil && !slices.Contains(r.ids, h.UserID) || r.gone(h.UserID) {
			return
		}
		var f event.Forwarded
		if event.DecodeAvro(record, &r.outer) != nil || json.Unmarshal(r.outer.Properties, &f) != nil || event.DecodeAvro(f.Event, &r.event) != nil {
			r.tally.counts.Unreadable++
			return
		}
		r.safely(func() {
			r.rows.Wake(r.outer.UserID, s.chunk.Appended)
			r.step(r.outer.UserID, &r.event, event.OffsetIn(f.Partition, f.Offset), f.Time)
		})
	}
}

// step lets an event act that stood at a place in the log at a log time.
func (r *run) step(user string, e *event.Event, place uint64, logTime int64) {
	age := e.ReceivedAt - e.Timestamp
	old := e.Context.Historical || age > r.prog.MaxAge()
	if old {
		// It came long after it happened: it counts as though it had come then.
		logTime = e.Timestamp
	}
	if r.req.User != "" && user != r.req.User || levelOf(user) < r.level {
		return
	}
	step := r.set.Relevant(e.Name) && e.Timestamp >= r.warm
	if step {
		r.tally.counts.Matched++
		if old {
			r.tally.counts.Old++
		}
	} else if !e.Context.Historical && age <= r.maxAge && r.clocks.Relevant(e.Name) {
		step = true // moves the clock
	}
	if !step && (!r.profiles || e.Type != event.Identify) {
		return
	}
	r.in = trigger.Input{Time: e.Timestamp, LogTime: logTime, Offset: place, Key: event.KeyOf(e.Source, e.MessageID)}
	r.rows.EventOf(user, e, &r.in, step, old)
}

// link is what the Decider made of an id that it has linked.
type link struct {
	to     string
	merged bool // its rows are its user's
	left   bool // what it does from here on comes to its user as a forwarded event
}

// linked is the link of an id, which is made if there is none.
func (r *run) linked(id, to string) *link {
	l := r.moved[id]
	if l == nil {
		l = &link{to: strings.Clone(to)}
		r.moved[strings.Clone(id)] = l
	}
	return l
}

// gone tells whether what an id does comes to another one as a forwarded event.
func (r *run) gone(id string) bool {
	if l := r.moved[id]; l != nil {
		return l.left
	}
	if r.rows.Has(id) {
		return false
	}
	m := r.moves(id)
	if m.To == "" || m.At >= r.begin {
		return false
	}
	r.linked(id, m.To).left = true // before reading began
	return true
}

// whose is the user whom an event counts for; "" if it comes again, forwarded. An
// identify or alias that links an id unites it with its user, if the Decider has
// linked them.
func (r *run) whose(e *event.Event, logTime int64) string {
	id := e.User()
	if from, links := e.Links(); links && r.moves(from).To == id {
		if l := r.linked(from, id); !l.merged {
			l.merged = true
			r.rows.Link(from, id, logTime)
		}
	}
	switch l := r.moved[id]; {
	case l != nil && l.left:
		return ""
	case e.UserID != "":
		return id
	case l != nil && l.merged:
		return l.to
	case r.gone(id):
		return ""
	}
	return id
}

// moves tells to whom the Decider has linked an id.
func (r *run) moves(id string) profile.Move {
	p := r.profile(id)
	if p == nil {
		return profile.Move{}
	}
	return p.Moved
}

// safely does something that may panic: what panics is skipped and counted, as
// the Decider does.
func (r *run) safely(do func()) {
	try := func() (again bool) {
		defer func() {
			if cause := recover(); cause != nil {
				r.tally.counts.Unreadable++
				r.b.deps.Logger.Warn("a backtest skips what panicked", "panic", cause)
				again = r.rows.Recover()
			}
		}()
		do()
		return false
	}
	for try() {
	}
}

// turn lets others have the processor, and keeps to the bounds.
func (r *run) turn() error {
	r.unseen = 0
	if err := r.ctx.Err(); err != nil {
		return err
	}
	r.events.Store(r.tally.counts.Events)
	if r.rows != nil { // else the steps of examples are looked for
		r.shrink()
	}
	r.pace.turn()
	return nil
}

// shrink keeps to the bound of memory.
func (r *run) shrink() {
	if r.rows.Len() > 2*r.swept+4096 {
		r.safely(func() { r.rows.Sweep(r.logTime, false) })
		r.swept = r.rows.Len()
	}
	for r.rows.Bytes()+r.tally.bytes+movedBytes*int64(len(r.moved)) > r.b.cfg.MemoryBytes && r.level < levels-1 {
		r.level++
		r.rows.Keep(func(user string) bool { return levelOf(user) >= r.level })
		r.tally.keep(r.level)
		r.swept = r.rows.Len()
	}
}

// movedBytes is what a linked id costs, about.
const movedBytes = 100

// pace keeps a backtest from being in the way of what is live: it works a
// moment, then pauses as long. A pause that ends late shows that others
// wait for a processor: then the next ones are longer.
type pace struct {
	brisk bool // it only lets others go first
	began time.Time
	times int64 // length of a pause over that of the work before it
}

const (
	workSpan  = 500 * time.Microsecond
	lateAfter = 250 * time.Microsecond
	maxTimes  = 16
)

func (p *pace) turn() {
	if p.brisk {
		runtime.Gosched()
		return
	}
	now := time.Now()
	if p.began.IsZero() {
		p.began, p.times = now, 1
	}
	worked := now.Sub(p.began)
	if worked < workSpan {
		return
	}
	pause := time.Duration(p.times) * min(worked, 20*workSpan)
	time.Sleep(pause)
	p.began = time.Now()
	if p.began.Sub(now) > pause+lateAfter {
		p.times = min(2*p.times, maxTimes)
	} else {
		p.times = max(p.times/2, 1)
	}
}

// levels bounds how often the users are halved.
const levels = 16

// levelOf sorts users by a hash: half of them are at level 0, half of the others
// at 1, and so on. It is independent of their partition.
func levelOf(user string) int32 {
	h := xxhash.Sum64String(user)
	level := int32(0)
	for ; level < levels-1 && h&(1<<63) == 0; level++ {
		h <<= 1
	}
	return level
}

// known is what was known of a user where reading began: of the traits that are
// known now, those that were last written before.
func (r *run) known(user string) *profile.Profile {
	now := r.profile(user)
	if now == nil {
		return nil
	}
	then := &profile.Profile{UserID: now.UserID, FirstSeen: now.FirstSeen}
	for _, t := range now.Traits {
		if t.At < r.begin {
			then.Traits = append(then.Traits, t)
		}
	}
	return then
}

// profile is what the Decider knows of a user; nil if it knows nothing.
func (r *run) profile(user string) *profile.Profile {
	value, err := r.b.deps.State.Get(r.ctx, eventlog.PartitionOf(user, r.b.deps.Log.Partitions()), userstate.Profile, user)
	if err != nil {
		r.err = fmt.Errorf("backtest: read a profile: %w", err)
		return nil
	}
	if value == nil {
		return nil
	}
	p, err := profile.Decode(value)
	if err != nil {
		return nil // the Decider begins it anew, too
	}
	return p
}

// inAudience tells whether a user is in an audience: of one by behavior, today.
func (r *run) inAudience(user, audience string, traits []byte) bool {
	if c, ok := r.audiences[audience]; ok {
		r.facts = condition.Facts{Traits: traits}
		return c.Eval(&r.facts)
	}
	partition := eventlog.PartitionOf(user, r.b.deps.Log.Partitions())
	names, err := profile.RecordedAudiences(user, func(of string) ([]byte, error) {
		return r.b.deps.State.Get(r.ctx, partition, userstate.Members, of)
	})
	if err != nil {
		r.err = fmt.Errorf("backtest: read %w", err)
	}
	return slices.Contains(names, audience)
}
