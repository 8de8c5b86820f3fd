package decider

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"heed/internal/driver/memory"
	"heed/internal/driver/pebble"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/userstate"
)

// loop is a log whose one partition repeats the same records for ever, each
// time with new offsets.
type loop struct {
	chunks []eventlog.Chunk
	next   uint64
	left   int // records until TryNext says that the reader has caught up
	i      int
}

func (l *loop) Partitions() int { return 1 }
func (l *loop) Append(context.Context, eventlog.Stream, []*eventlog.Batch) error {
	return nil
}

func (l *loop) Read(context.Context, eventlog.Stream, int, uint64) (eventlog.Reader, error) {
	return l, nil
}

func (l *loop) Bounds(context.Context, eventlog.Stream, int) (eventlog.Bounds, error) {
	return eventlog.Bounds{Next: l.next}, nil
}

func (l *loop) Trim(context.Context, eventlog.Stream, time.Time, []uint64) error { return nil }
func (l *loop) Close() error                                                     { return nil }
func (l *loop) Next(context.Context) (eventlog.Chunk, error)                     { panic("never waits") }

func (l *loop) TryNext() (eventlog.Chunk, bool, error) {
	if l.left == 0 {
		return eventlog.Chunk{}, false, nil
	}
	l.left--
	c := l.chunks[l.i%len(l.chunks)]
	l.i++
	c.Base = l.next
	l.next = c.Next()
	return c, true, nil
}

// record makes a request of n events of users of about 600 bytes each.
func record(r *rand.Rand, n, users int, names ...string) eventlog.Chunk {
	c := eventlog.Chunk{Count: n, Appended: epoch, Schema: eventlog.Schema(eventlog.Events)}
	for range n {
		e := track(fmt.Sprintf("user-%08d", r.IntN(users)), names[r.IntN(len(names))])
		e.MessageID = fmt.Sprintf("%016x-%016x", r.Uint64(), r.Uint64())
		e.Source, e.Timestamp, e.ReceivedAt = "shop", epoch, epoch
		e.SessionID = "01890a5d-ac96-774b-bcce-b302099a8057"
		e.Properties = []byte(`{"product_id":"p-1234","stake":25.5,"currency":"EUR","category":"shoes","variant":"blue","position":3}`)
		e.Context.Page = event.PageContext{
			URL: "https://shop.example/products/p-1234?ref=home", Path: "/products/p-1234",
			Referrer: "https://shop.example/", Title: "Blue shoes",
		}
		e.Context.UserAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"
		e.Context.Locale, e.Context.Timezone, e.Context.Country = "de-DE", "Europe/Berlin", "DE"
		e.Context.Device, e.Context.OS, e.Context.Browser, e.Context.Screen = "desktop", "Linux", "Chrome", "1920x1080"
		c.Data = event.AppendEvent(c.Data, &e)
	}
	return c
}

// benchRules have three triggers that read each of the relevant names.
const benchRules = `
kind: trigger
name: wins
pattern: [{event: win, times: 3, consecutive: true, where: {field: properties.stake, op: gte, value: 10}}]
within: 10m
scope: [win, loss]
---
kind: trigger
name: pair
pattern: [{event: win}, {event: loss}, {event: never}]
within: 5m
---
kind: trigger
name: cart
pattern: [{event: loss}, {event: win}, {absent: purchase, for: 60s}]
within: 5m
`

func benchState(b *testing.B, driver string) userstate.Store {
	b.Helper()
	if driver == "memory" {
		return memory.Open(memory.Config{Partitions: 1, Seed: 1}).UserState()
	}
	db, err := pebble.Open(pebble.Config{Dir: b.TempDir(), Partitions: 1}, pebble.Deps{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	return db.UserState()
}

// BenchmarkDecide goes from records of the log to the committed state; an
// operation is an event.
func BenchmarkDecide(b *testing.B) {
	for _, driver := range []string{"memory", "pebble"} {
		for _, mix := range []struct {
			name  string
			users int
			names []string
		}{
			{"relevant/users=20000", 20_000, []string{"win", "loss"}},
			{"relevant/users=500", 500, []string{"win", "loss"}},
			{"irrelevant/users=20000", 20_000, []string{"page", "scroll"}},
			{"5%/users=20000", 20_000, append(strings.Split(strings.Repeat("page,", 19), ",")[:19], "win")},
		} {
			b.Run(driver+"/"+mix.name, func(b *testing.B) { benchDecide(b, driver, mix.users, mix.names) })
		}
	}
}

// BenchmarkThousand has 1,000 triggers in force, of which three read each name.
func BenchmarkThousand(b *testing.B) {
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("e%d", i))
	}
	benchRulesOver(b, "pebble", thousand(), 5000, names)
}

// BenchmarkOutsiders discards events that triggers read, of users whom none of
// them is for.
func BenchmarkOutsiders(b *testing.B) {
	benchRulesOver(b, "pebble", gatedRules, 20_000, []string{"deal", "close"})
}

func benchDecide(b *testing.B, driver string, users int, names []string) {
	benchRulesOver(b, driver, benchRules, users, names)
}

func benchRulesOver(b *testing.B, driver, rules string, users int, names []string) {
	r := rand.New(rand.NewPCG(1, 1))
	l := &loop{}
	for range 2000 {
		l.chunks = append(l.chunks, record(r, 20, users, names...))
	}
	h := &harness{t: b, clock: &clock{now: epoch}, stores: stores{l, benchState(b, driver)}, defs: &revisions{}, settler: &settler{}}
	h.defs.add(b, 1, rules)
	e := event.Event{Type: event.System, Name: event.NameRevision, Source: event.SourceHeed, Properties: []byte(`{"revision":1}`)}
	first := eventlog.Chunk{Count: 1, Appended: epoch, Schema: eventlog.Schema(eventlog.Events), Data: event.AppendEvent(nil, &e)}
	chunks := l.chunks
	l.chunks, l.left = []eventlog.Chunk{first}, 1
	h.pump()
	l.chunks, l.left = chunks, len(chunks) // warm the cache
	h.pump()
	h.survey()
	l.left = 1 // takes the survey
	h.pump()
	w := h.d.workers[0]
	b.ReportAllocs()
	b.ResetTimer()
	l.left = (b.N + 19) / 20
	before := cpu(b)
	for h.once(w) {
	}
	// CPU of all threads, those of the driver included.
	b.ReportMetric((cpu(b)-before).Seconds()/float64(b.N)*1e6, "cpu-s/Mevent")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLatency decides over single events of random users, each to its
// commit, with a row under way for each of many users: HEED_BENCH_ROWS, else a
// million. An operation is a decision.
func BenchmarkLatency(b *testing.B) {
	rows := 1_000_000
	if text := os.Getenv("HEED_BENCH_ROWS"); text != "" {
		var err error
		if rows, err = strconv.Atoi(text); err != nil {
			b.Fatalf("HEED_BENCH_ROWS=%q: %v", text, err)
		}
	}
	l := &loop{}
	dir := b.TempDir()
	db, err := pebble.Open(pebble.Config{Dir: dir, Partitions: 1}, pebble.Deps{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	}()
	h := &harness{t: b, clock: &clock{now: epoch}, stores: stores{l, db.UserState()}, defs: &revisions{}, settler: &settler{}}
	h.defs.add(b, 1, benchRules)
	r := rand.New(rand.NewPCG(1, 2))
	e := event.Event{Type: event.System, Name: event.NameRevision, Source: event.SourceHeed, Properties: []byte(`{"revision":1}`)}
	l.chunks = []eventlog.Chunk{{Count: 1, Appended: epoch, Schema: eventlog.Schema(eventlog.Events), Data: event.AppendEvent(nil, &e)}, record(r, 1, 1, "win")}
	l.left = 2
	h.pump()
	bytes := fillRows(b, h, db, rows)
	settle(b)

	probes := make([]eventlog.Chunk, 20_000)
	for i := range probes {
		probes[i] = record(r, 1, rows, "win", "loss")
	}
	h.crash()
	l.chunks, l.i = probes, 0
	w := h.decider().workers[0]
	times := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for range b.N {
		l.left = 1
		began := time.Now()
		if !h.once(w) {
			b.Fatal("nothing to decide")
		}
		times = append(times, time.Since(began))
	}
	b.StopTimer()
	slices.Sort(times)
	b.ReportMetric(bytes, "disk-B/user")
	b.ReportMetric(float64(times[len(times)/2])/1e3, "p50-us")
	b.ReportMetric(float64(times[len(times)*99/100])/1e3, "p99-us")
}

// settle waits until nothing is at work behind the benchmark, such as the
// compaction of what was just filled: it is over in no time where nothing is.
func settle(b *testing.B) {
	b.Helper()
	const look = 250 * time.Millisecond
	for end := time.Now().Add(3 * time.Minute); time.Now().Before(end); {
		before := cpu(b)
		time.Sleep(look)
		if cpu(b)-before < look/20 {
			return
		}
	}
	b.Log("the store was still at work when the benchmark began")
}

// fillRows gives every user the rows, profile and timer of the first, and tells
// what a user takes on the disk.
func fillRows(b *testing.B, h *harness, db *pebble.DB, rows int) (bytes float64) {
	b.Helper()
	ctx := b.Context()
	state := h.stores.state
	first := fmt.Sprintf("user-%08d", 0)
	value, err := state.Get(ctx, 0, userstate.Rows, first)
	if err != nil || value == nil {
		b.Fatal("the first user has no rows", err)
	}
	about, err := state.Get(ctx, 0, userstate.Profile, first)
	if err != nil {
		b.Fatal(err)
	}
	before, err := db.DiskUsage()
	if err != nil {
		b.Fatal(err)
	}
	part, err := state.Open(ctx, 0)
	if err != nil {
		b.Fatal(err)
	}
	deadline := h.d.workers[0].users.find(first).wake
	const page = 10_000
	for from := 0; from < rows; from += page {
		c := userstate.Commit{Base: part.Next(), Next: part.Next()}
		for i := range min(page, rows-from) {
			user := fmt.Sprintf("user-%08d", from+i)
			c.Rows = append(c.Rows, userstate.Row{Kind: userstate.Rows, User: user, Value: value}, userstate.Row{Kind: userstate.Profile, User: user, Value: about})
			c.Set = append(c.Set, userstate.Timer{Deadline: deadline, User: user})
		}
		slices.SortFunc(c.Rows, func(a, b userstate.Row) int {
			return cmp.Or(cmp.Compare(a.Kind, b.Kind), strings.Compare(a.User, b.User))
		})
		if err := part.Commit(ctx, &c); err != nil {
			b.Fatal(err)
		}
	}
	if err := part.Close(); err != nil {
		b.Fatal(err)
	}
	after, err := db.DiskUsage()
	if err != nil {
		b.Fatal(err)
	}
	return float64(after-before) / float64(rows)
}
