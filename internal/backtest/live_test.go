package backtest_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"heed/internal/backtest"
	"heed/internal/decider"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/driver/pebble"
	"heed/internal/event"
	"heed/internal/eventlog"
)

const (
	second = int64(1_000_000)
	minute = 60 * second
	hour   = 60 * minute
	// epoch is when histories begin: 2026-11-21 00:00 UTC.
	epoch = 1_795_219_200 * second
)

// live is a Decider at work over a log, whose clock is set by hand.
type live struct {
	t     testing.TB
	fs    *vfs.MemFS
	now   atomic.Int64
	defs  *defs
	db    *pebble.DB
	d     *decider.Decider
	stop  context.CancelFunc
	ended chan error
	seq   int
}

// defs are the definitions by revision.
type defs struct {
	mu   sync.Mutex
	sets []*definition.Set // of revision 1, 2, ...
}

func (d *defs) At(_ context.Context, n int64) (*definition.Set, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n < 1 || int(n) > len(d.sets) {
		return nil, documents.ErrNotFound
	}
	return d.sets[n-1], nil
}

func (d *defs) Current() *definition.Set {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.sets) == 0 {
		return &definition.Set{}
	}
	return d.sets[len(d.sets)-1]
}

func newLive(t testing.TB) *live {
	l := &live{t: t, fs: vfs.NewCrashableMem(), defs: &defs{}}
	l.now.Store(epoch)
	l.open()
	l.decide()
	t.Cleanup(l.end)
	return l
}

func (l *live) clock() time.Time { return time.UnixMicro(l.now.Load()) }

// open opens the stores; nobody decides yet.
func (l *live) open() {
	l.t.Helper()
	cfg := pebble.Config{Dir: "data", Memory: 16 << 20, Reserve: 1}
	cfg.Defaults()
	var err error
	l.db, err = pebble.Open(cfg, pebble.Deps{
		FS: l.fs, Clock: l.clock, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { l.t.Error(err) },
		Free: func() (uint64, error) { return 1 << 40, nil },
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

// decide starts the Decider.
func (l *live) decide() {
	l.t.Helper()
	var err error
	l.d, err = decider.New(decider.Config{TickAfter: 1000 * time.Hour}, decider.Deps{
		Log: l.db.Log(), State: l.db.UserState(), Definitions: l.defs, Clock: l.clock,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background()) // it ends before the stores are closed
	l.stop, l.ended = cancel, make(chan error, 1)
	go func() { l.ended <- l.d.Run(ctx) }()
}

func (l *live) end() {
	l.t.Helper()
	if l.db == nil {
		return
	}
	l.stop()
	if err := errors.Join(<-l.ended, l.db.Close()); err != nil {
		l.t.Error(err)
	}
	l.db = nil
}

// crash loses what was not synced, some of it at least.
func (l *live) crash(r *rand.Rand) {
	l.t.Helper()
	cut := l.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[r.IntN(3)], RNG: r})
	l.end()
	l.fs = cut
	l.open()
	l.decide()
}

// define puts definitions in force.
func (l *live) define(yaml string) {
	l.t.Helper()
	l.defs.mu.Lock()
	revision := len(l.defs.sets) + 1
	l.defs.sets = append(l.defs.sets, parse(l.t, int64(revision), yaml))
	l.defs.mu.Unlock()
	l.control(event.NameRevision, fmt.Sprintf(`{"revision":%d}`, revision))
}

func parse(t testing.TB, revision int64, yaml string) *definition.Set {
	t.Helper()
	docs, problems := definition.Parse("test.yaml", []byte(yaml))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	set, problems := definition.NewSet(revision, docs)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return set
}

// control puts a control record into every partition.
func (l *live) control(name, properties string) {
	l.t.Helper()
	l.seq++
	var batches []*eventlog.Batch
	for n := range l.db.Log().Partitions() {
		data := event.AppendEvent(nil, &event.Event{
			MessageID: fmt.Sprintf("c%d", l.seq), Type: event.System, Name: name, Source: event.SourceHeed,
			Timestamp: l.now.Load(), ReceivedAt: l.now.Load(), Properties: []byte(properties),
		})
		batches = append(batches, &eventlog.Batch{Partition: n, Data: data, Ends: []int{len(data)}, Keys: []eventlog.Key{{}}, Own: true})
	}
	l.append(batches...)
}

func (l *live) append(batches ...*eventlog.Batch) {
	l.t.Helper()
	if err := l.db.Log().Append(l.t.Context(), eventlog.Events, batches); err != nil {
		l.t.Fatal(err)
	}
}

// send appends events as one request, at the clock's time.
func (l *live) send(events ...event.Event) {
	l.t.Helper()
	now := l.now.Load()
	for i := range events {
		e := &events[i]
		l.seq++
		if e.MessageID == "" {
			e.MessageID = "m" + strconv.Itoa(l.seq)
		}
		if e.Timestamp == 0 {
			e.Timestamp = now
		}
		e.Source, e.ReceivedAt = "test", now
	}
	l.append(laidOut(events, l.db.Log().Partitions())...)
}

// laidOut are the batches of a request, as the gateway makes them.
func laidOut(events []event.Event, partitions int) []*eventlog.Batch {
	byPart := make([]*eventlog.Batch, partitions)
	put := func(e *event.Event, key [16]byte) {
		p := eventlog.PartitionOf(e.User(), partitions)
		if byPart[p] == nil {
			byPart[p] = &eventlog.Batch{Partition: p}
		}
		b := byPart[p]
		b.Data = event.AppendEvent(b.Data, e)
		b.Ends = append(b.Ends, len(b.Data))
		b.Keys = append(b.Keys, key)
	}
	for i := range events {
		e := &events[i]
		put(e, event.KeyOf(e.Source, e.MessageID))
		if from, ok := e.Links(); ok {
			link, key := e.LinkRecord(from, false)
			put(&link, key)
		}
	}
	return slices.DeleteFunc(byPart, func(b *eventlog.Batch) bool { return b == nil })
}

// decided waits until everything in the log is decided.
func (l *live) decided() {
	l.t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	for {
		at, err := l.d.Consumed(l.t.Context())
		if err != nil {
			l.t.Fatal(err)
		}
		behind := l.d.Telling() > 0 // what follows is in the log afterwards
		for p, next := range at {
			b, err := l.db.Log().Bounds(l.t.Context(), eventlog.Events, p)
			if err != nil {
				l.t.Fatal(err)
			}
			behind = behind || next < b.Next
		}
		if !behind {
			return
		}
		select {
		case <-poll.C:
		case <-deadline.C:
			l.t.Fatal("the Decider does not get on")
		}
	}
}

// quiet lets time go on, with a tick every five minutes.
func (l *live) quiet(length int64) {
	l.t.Helper()
	for end := l.now.Load() + length; l.now.Load() < end; {
		l.now.Store(min(end, l.now.Load()+5*minute))
		l.control(event.NameTick, "")
	}
	l.decided()
}

// fires are the fire ids of the intents by trigger, sorted.
func (l *live) fires() map[string][]string {
	l.t.Helper()
	out := map[string][]string{}
	for _, in := range intents(l.t, l.db.Log()) {
		out[in.Trigger] = append(out[in.Trigger], in.FireID)
	}
	for _, ids := range out {
		slices.Sort(ids)
	}
	return out
}

// intents are those of all partitions.
func intents(t testing.TB, log eventlog.Log) []event.Intent {
	t.Helper()
	var out []event.Intent
	for _, c := range records(t, log, eventlog.Intents) {
		for data := c.Data; len(data) > 0; {
			var in event.Intent
			size, err := event.DecodeIntent(data, &in)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, in)
			data = data[size:]
		}
	}
	return out
}

// record is one of the log.
type record struct {
	eventlog.Chunk
	partition int
}

// records are those of all partitions, one partition after the other.
func records(t testing.TB, log eventlog.Log, s eventlog.Stream) []record {
	t.Helper()
	var out []record
	for n := range log.Partitions() {
		r, err := log.Read(t.Context(), s, n, 0)
		if err != nil {
			t.Fatal(err)
		}
		for {
			c, ok, err := r.TryNext()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			out = append(out, record{c, n})
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func (l *live) backtester(cfg backtest.Config) *backtest.Backtester {
	l.t.Helper()
	b, err := backtest.New(cfg, backtest.Deps{Log: l.db.Log(), State: l.db.UserState(), Definitions: l.defs, Clock: l.clock})
	if err != nil {
		l.t.Fatal(err)
	}
	return b
}

// backtest runs one over the whole history and returns the fire ids, sorted.
func (l *live) backtest(req backtest.Request) (*backtest.Result, []string) {
	l.t.Helper()
	if req.Days == 0 {
		req.Days = 30
	}
	req.Examples = 1_000_000
	res, err := l.backtester(backtest.Config{}).Run(l.t.Context(), req, func(backtest.Progress) {})
	if err != nil {
		l.t.Fatal(err)
	}
	var ids []string
	for _, e := range res.Examples {
		ids = append(ids, fmt.Sprintf("%x", e.FireID))
	}
	slices.Sort(ids)
	return res, ids
}

func soak(n int) int {
	if times, err := strconv.Atoi(os.Getenv("HEED_SOAK")); err == nil && times > 1 {
		return n * times
	}
	return n
}

const rules = `
{kind: audience, name: vip, where: {field: traits.plan, op: eq, value: gold}}
---
{kind: trigger, name: wins, pattern: [{event: win, times: 3, consecutive: true}], within: 10m, scope: [win, loss]}
---
{kind: trigger, name: relaxed, pattern: [{event: view}, {event: cart, without: [logout]}, {event: buy, gap: 2m}], within: 5m}
---
{kind: trigger, name: left, pattern: [{event: cart}, {absent: buy, for: 3m}], by: properties.product}
---
{kind: trigger, name: later, pattern: [{event: cart}], delay: 90s, cancel: [buy], reentry: {cooldown: 4m}}
---
{kind: trigger, name: gold, pattern: [{event: view}, {event: cart}], within: 4m, audience: vip, limit: {count: 2, per: 20m}}
---
{kind: trigger, name: trait, pattern: [{event: win, where: {field: traits.plan, op: eq, value: gold}}], reentry: once}
---
{kind: trigger, name: sorted, pattern: [{event: view}, {event: buy}], within: 3m, order: event, lateness: 30s, increasing: true}
---
{kind: trigger, name: visits, pattern: [{event: session_start}, {event: view, times: 2}], within: 4m}
---
{kind: trigger, name: visit, pattern: [{event: session_start}]}
---
{kind: trigger, name: keyed, pattern: [{event: view, times: 2}], within: 6m, by: properties.product, overlap: true}
`

const silence = `
---
{kind: trigger, name: silent, pattern: [{event: view}, {idle: 4m}], within: 1m}
`

// TestSameAsLive: the fire ids are those that the Decider gave, over random
// histories with crashes.
func TestSameAsLive(t *testing.T) {
	t.Parallel()
	fired := map[string]int{}
	for seed := range soak(12) {
		r := rand.New(rand.NewPCG(uint64(seed), 21))
		l := newLive(t)
		text := rules
		if seed%3 == 0 {
			text += silence
		}
		l.define(text)
		names := []string{"win", "win", "loss", "view", "view", "cart", "buy", "logout", "scroll", "heed.shown"}
		for range 120 {
			l.now.Add(r.Int64N(40 * second))
			if r.IntN(15) == 0 {
				l.quiet(r.Int64N(40 * minute)) // a silence, or almost
			}
			var events []event.Event
			for range 1 + r.IntN(4) {
				e := event.Event{
					Type: event.Track, Name: names[r.IntN(len(names))], UserID: "u" + strconv.Itoa(r.IntN(6)),
					Properties: fmt.Appendf(nil, `{"product":"p%d"}`, r.IntN(3)),
				}
				if r.IntN(4) == 0 {
					e.Timestamp = l.now.Load() - r.Int64N(minute)
				}
				if r.IntN(10) == 0 {
					e.Type, e.Name = event.Identify, event.NameIdentify
					e.Traits = fmt.Appendf(nil, `{"plan":%q}`, []string{"gold", "tin"}[r.IntN(2)])
				}
				events = append(events, e)
			}
			l.send(events...)
			if r.IntN(40) == 0 {
				l.crash(r)
			}
		}
		l.quiet(hour)
		want := l.fires()
		for name, d := range l.defs.Current().Triggers {
			res, got := l.backtest(backtest.Request{Trigger: d})
			if diff := cmp.Diff(want[name], got); diff != "" {
				t.Fatalf("seed %d, %s: -live +backtest\n%s", seed, name, diff)
			}
			if int64(len(got)) != res.Firings || !res.Exact() {
				t.Fatalf("seed %d, %s: %d ids, %+v", seed, name, len(got), res)
			}
			fired[name] += len(got)
		}
		l.end()
	}
	for _, name := range []string{"wins", "relaxed", "left", "later", "gold", "trait", "sorted", "keyed", "visit", "visits", "silent"} {
		if fired[name] < 5 {
			t.Errorf("%s fired %d times in all: the histories say little", name, fired[name])
		}
	}
}

// damage appends a record that nobody can read to the partition of a user.
func (l *live) damage(user string) {
	l.t.Helper()
	data := event.AppendEvent(nil, &event.Event{MessageID: "broken", Type: event.Track, Name: "win", UserID: user, Timestamp: l.now.Load()})
	data[len(data)-1] = 0xff // the length of the last field: it reaches behind the end
	p := eventlog.PartitionOf(user, l.db.Log().Partitions())
	l.append(&eventlog.Batch{Partition: p, Data: data, Ends: []int{len(data)}, Keys: []eventlog.Key{{}}})
}

// TestLoginSameAsLive: what anonymous ids do before and after a login counts for
// their users as it did live, wherever their partitions are.
func TestLoginSameAsLive(t *testing.T) {
	t.Parallel()
	fired := map[string]int{}
	for seed := range soak(8) {
		r := rand.New(rand.NewPCG(uint64(seed), 22))
		l := newLive(t)
		l.define(rules)
		names := []string{"win", "win", "loss", "view", "view", "cart", "buy"}
		for range 100 {
			l.now.Add(second + r.Int64N(30*second))
			if r.IntN(12) == 0 {
				l.quiet(r.Int64N(40 * minute)) // a silence, or almost
			}
			n := strconv.Itoa(r.IntN(8))
			e := event.Event{Type: event.Track, Name: names[r.IntN(len(names))], Properties: fmt.Appendf(nil, `{"product":"p%d"}`, r.IntN(2))}
			switch r.IntN(8) {
			case 0:
				e = event.Event{
					Type: event.Identify, Name: event.NameIdentify, UserID: "u" + n, AnonymousID: "a" + strconv.Itoa(r.IntN(12)),
					Traits: fmt.Appendf(nil, `{"plan":%q}`, []string{"gold", "tin"}[r.IntN(2)]),
				}
			case 1, 2, 3:
				e.UserID = "u" + n
			default:
				e.AnonymousID = "a" + strconv.Itoa(r.IntN(12))
			}
			l.send(e)
			l.decided() // a hand-over that takes longer than ten seconds of log time is not waited for
			if r.IntN(40) == 0 {
				l.crash(r)
			}
		}
		l.quiet(hour)
		want := l.fires()
		for name, d := range l.defs.Current().Triggers {
			_, got := l.backtest(backtest.Request{Trigger: d})
			if diff := cmp.Diff(want[name], got); diff != "" {
				t.Fatalf("seed %d, %s: -live +backtest\n%s", seed, name, diff)
			}
			fired[name] += len(got)
		}
		l.end()
	}
	t.Log(fired)
	for _, name := range []string{"visit", "visits"} {
		if fired[name] < 5 {
			t.Errorf("%s fired %d times in all: the histories say little", name, fired[name])
		}
	}
}
