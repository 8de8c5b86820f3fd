package backtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sync/errgroup"

	"heed/internal/condition"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/profile"
	"heed/internal/replay"
	"heed/internal/trigger"
	"heed/internal/userstate"
)

const day = int64(24 * time.Hour / time.Microsecond)

// run is one backtest. What it says about the request is fixed before the
// partitions are read; beside that they share only atomics.
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
	parts      []*part
	share      float64 // of the events of the range that are read
	users      float64 // of the users of whom they are

	level   atomic.Int32 // users of lower levels are left out
	bytes   atomic.Int64 // of all rows
	events  atomic.Int64
	firings atomic.Int64
	total   int64
}

// part is one partition of a run.
type part struct {
	*run
	number    int
	first     uint64 // offsets [first, end)
	end       uint64
	level     int32
	rows      *replay.Users
	held      int64 // bytes that are counted in run.bytes
	swept     int   // users that the last sweep left
	logTime   int64
	tally     tally
	header    event.Header
	event     event.Event
	in        trigger.Input
	facts     condition.Facts
	sinceTurn int
	pace      pace
	counted   int64 // events that are counted in run.events
	ctx       context.Context
	err       error // of a read of a profile
}

func newRun(b *Backtester, req Request) (*run, error) {
	p, err := trigger.Compile(req.Trigger)
	if err != nil {
		return nil, fmt.Errorf("backtest: %w", err)
	}
	r := &run{b: b, req: req, prog: p, set: trigger.NewSet([]*trigger.Program{p}), now: b.deps.Clock().UnixMicro(), share: 1, users: 1}
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
		if r.req.User != "" && n != eventlog.PartitionOf(r.req.User, log.Partitions()) {
			continue
		}
		p := &part{run: r, number: n, first: b.First, end: b.Next, pace: pace{brisk: sample > 0 || r.b.deps.Alone}}
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
	p := r.parts[0]
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

// read reads the partitions, some at once, and reports meanwhile.
func (r *run) read(ctx context.Context, report func(Progress)) error {
	workers := r.b.cfg.Workers
	if workers == 0 {
		workers = min(2, max(1, runtime.GOMAXPROCS(0)-1))
	}
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	done := make(chan error, 1)
	go func() {
		for _, p := range r.parts {
			group.Go(func() error {
				if err := gctx.Err(); err != nil {
					return err
				}
				return p.read(gctx)
			})
		}
		done <- group.Wait()
	}()
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

// read reads one partition up to the end that it had when the run began, then
// lets time go on to that moment.
func (p *part) read(ctx context.Context) (err error) {
	p.ctx = ctx // for profiles that are read on the way
	p.tally = newTally()
	cfg := replay.UsersConfig{Set: p.set, Traits: p.profiles, Forget: true, InAudience: p.inAudience, Take: p.take}
	if p.profiles {
		cfg.Profile = p.known
	}
	p.rows = replay.NewUsers(cfg)
	defer func() {
		p.bytes.Add(p.tally.bytes - p.held)
		p.rows, p.held = nil, 0
	}()
	if err := p.scan(ctx, p.first, p.end, p.see); err != nil {
		return err
	}
	p.safely(func() { p.rows.Sweep(p.now, true) })
	p.events.Add(p.tally.counts.Events - p.counted)
	return p.err
}

// scan visits the records [first, end) of the partition, in order, each once.
// What is a record no more is counted as unreadable.
func (p *part) scan(ctx context.Context, first, end uint64, see func(offset uint64, record []byte)) (err error) {
	p.ctx = ctx
	log := p.b.deps.Log
	reader, err := log.Read(ctx, eventlog.Events, p.number, first)
	if errors.Is(err, eventlog.ErrTrimmed) { // meanwhile
		var b eventlog.Bounds
		if b, err = log.Bounds(ctx, eventlog.Events, p.number); err == nil {
			first = b.First
			reader, err = log.Read(ctx, eventlog.Events, p.number, first)
		}
	}
	if err != nil {
		return fmt.Errorf("backtest: read the log: %w", err)
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	if l, ok := reader.(eventlog.Lender); ok {
		l.Lend() // nothing of a record is kept behind see
	}
	for next := first; next < end; {
		c, ok, err := reader.TryNext()
		if err != nil {
			return fmt.Errorf("backtest: read the log: %w", err)
		}
		if !ok || c.Base >= end {
			return nil
		}
		if c.Next() <= next {
			continue // shown again
		}
		p.logTime = max(p.logTime, c.Appended)
		d := event.NewDecoder(c.Data)
		for i := range c.Count {
			record, ok, err := d.Raw()
			if err != nil || !ok {
				p.tally.counts.Unreadable += int64(c.Count - i)
				break
			}
			offset := c.Base + uint64(i)
			if offset < next || offset >= end {
				continue
			}
			see(offset, record)
			if p.sinceTurn++; p.sinceTurn >= turnEvery {
				if err := p.turn(); err != nil {
					return err
				}
			}
		}
		if p.err != nil {
			return p.err
		}
		next = c.Next()
	}
	return nil
}

// turnEvery is the number of events after which others get the processor.
const turnEvery = 256

// see looks at an event, and lets it act if it can matter.
func (p *part) see(offset uint64, record []byte) {
	p.tally.counts.Events++
	h := &p.header
	if err := event.DecodeHeader(record, h); err != nil {
		p.tally.counts.Unreadable++
		return
	}
	if h.Type == event.System {
		return
	}
	folds := p.profiles && h.Type == event.Identify
	if !p.clocks.Relevant(h.Name) && !folds {
		return
	}
	user := h.User()
	if user == "" || p.req.User != "" && user != p.req.User || levelOf(user) < p.level || h.Timestamp < p.warm && !folds {
		return
	}
	if err := event.DecodeAvro(record, &p.event); err != nil {
		p.tally.counts.Unreadable++
		return
	}
	p.act(offset, folds)
}

// act lets the event act on its user.
func (p *part) act(offset uint64, folds bool) {
	e := &p.event
	logTime := p.logTime
	age := e.ReceivedAt - e.Timestamp
	old := e.Context.Historical || age > p.prog.MaxAge()
	if old {
		// It came long after it happened: it counts as though it had come then.
		logTime = e.Timestamp
	}
	step := p.set.Relevant(e.Name) && e.Timestamp >= p.warm
	if step {
		p.tally.counts.Matched++
		if old {
			p.tally.counts.Old++
		}
	} else if !e.Context.Historical && age <= p.maxAge && p.clocks.Relevant(e.Name) {
		step = true // moves the clock
	}
	if !step && !folds {
		return
	}
	p.in = trigger.Input{Time: e.Timestamp, LogTime: logTime, Offset: offset, Key: event.KeyOf(e.Source, e.MessageID)}
	p.safely(func() { p.rows.Event(e, &p.in, step, old) })
}

// safely does something that may panic: what panics is skipped and counted, as
// the Decider does.
func (p *part) safely(do func()) {
	try := func() (again bool) {
		defer func() {
			if r := recover(); r != nil {
				p.tally.counts.Unreadable++
				p.b.deps.Logger.Warn("a backtest skips what panicked", "partition", p.number, "panic", r)
				again = p.rows.Recover()
			}
		}()
		do()
		return false
	}
	for try() {
	}
}

// turn lets others have the processor, and keeps to the bounds.
func (p *part) turn() error {
	p.sinceTurn = 0
	if err := p.ctx.Err(); err != nil {
		return err
	}
	if p.rows == nil { // the steps of examples are looked for
		p.pace.turn()
		return nil
	}
	p.events.Add(p.tally.counts.Events - p.counted)
	p.counted = p.tally.counts.Events
	if n := p.rows.Len(); n > 2*p.swept+4096 {
		p.safely(func() { p.rows.Sweep(p.logTime, false) })
		p.swept = p.rows.Len()
	}
	held := p.rows.Bytes() + p.tally.bytes
	if p.bytes.Add(held-p.held) > p.b.cfg.MemoryBytes && p.level == p.run.level.Load() && p.level < levels-1 {
		p.run.level.CompareAndSwap(p.level, p.level+1)
	}
	p.held = held
	if level := p.run.level.Load(); level != p.level {
		p.level = level
		p.rows.Keep(func(user string) bool { return levelOf(user) >= level })
		p.tally.keep(level)
		p.swept = p.rows.Len()
	}
	p.pace.turn()
	return nil
}

// pace keeps a backtest from being in the way of what is live: it works a
// moment, then pauses as long. A pause that ends late shows that others
// wait for a processor: then the next ones are longer.
type pace struct {
	brisk bool // it only lets others go first
	began time.Time
	times time.Duration // length of a pause over that of the work before it
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
	pause := p.times * min(worked, 20*workSpan)
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
func (p *part) known(user string) *profile.Profile {
	value, err := p.b.deps.State.Get(p.ctx, p.number, userstate.Profile, user)
	if err != nil {
		p.err = fmt.Errorf("backtest: read a profile: %w", err)
		return nil
	}
	if value == nil {
		return nil
	}
	now, err := profile.Decode(value)
	if err != nil {
		return nil // the Decider begins it anew, too
	}
	then := &profile.Profile{UserID: now.UserID, FirstSeen: now.FirstSeen}
	for _, t := range now.Traits {
		if t.At < p.begin {
			then.Traits = append(then.Traits, t)
		}
	}
	return then
}

func (p *part) inAudience(_, audience string, traits []byte) bool {
	c, ok := p.audiences[audience]
	p.facts = condition.Facts{Traits: traits}
	return ok && c.Eval(&p.facts)
}
