package backtest_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"heed/internal/backtest"
	"heed/internal/decider"
	"heed/internal/definition"
	"heed/internal/demo"
	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/eventlog"
)

// A week of the sample shop, and the day before it.
const (
	daysLive = 8
	daysBack = 7
)

// history is what a live run leaves: the log's records in order of log time, and
// what fired.
type history struct {
	log     []record
	intents []event.Intent
	until   int64 // µs
	events  int   // of shoppers
}

// shipped are the shop's own definitions.
func shipped(t testing.TB) *defs {
	t.Helper()
	docs, problems := definition.LoadDir(demo.Definitions(), ".")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	set, problems := definition.NewSet(1, docs)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return &defs{sets: []*definition.Set{set}}
}

// eightDays lets the shop's crowd come and go for eight days, with the Decider at
// work on what they do as it happens, its ticks included. Time is the bubble's.
func eightDays(t *testing.T, d *defs) (h history) {
	synctest.Test(t, func(t *testing.T) {
		products, err := demo.Catalogue()
		if err != nil {
			t.Fatal(err)
		}
		db := memory.Open(memory.Config{})
		at, err := decider.New(decider.Config{}, decider.Deps{Log: db.Log(), State: db.UserState(), Definitions: d})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- at.Run(ctx) }()

		end := time.Now().Add(daysLive * 24 * time.Hour)
		put := func(batches []*eventlog.Batch) {
			if err := db.Log().Append(ctx, eventlog.Events, batches); err != nil {
				t.Error(err)
			}
		}
		for n := range db.Log().Partitions() {
			e := event.Event{Type: event.System, Name: event.NameRevision, Source: event.SourceHeed, Properties: []byte(`{"revision":1}`)}
			data := event.AppendEvent(nil, &e)
			put([]*eventlog.Batch{{Partition: n, Data: data, Ends: []int{len(data)}, Keys: []eventlog.Key{{}}, Own: true}})
		}
		var wg sync.WaitGroup
		people := make([]shopper, shoppers)
		for i := range people {
			people[i] = shopper{number: i, of: len(people), rng: rand.New(rand.NewPCG(uint64(i), 7)), products: products, send: func(events []event.Event) {
				put(laidOut(events, db.Log().Partitions()))
			}}
			wg.Go(func() { people[i].shop(end.Add(-3 * time.Hour)) })
		}
		wg.Wait()
		time.Sleep(time.Until(end))
		synctest.Wait()

		h.until = end.UnixMicro()
		h.log, h.intents = records(t, db.Log(), eventlog.Events), intents(t, db.Log())
		slices.SortStableFunc(h.log, func(a, b record) int { return cmp.Compare(a.Appended, b.Appended) })
		for _, s := range people {
			h.events += s.made
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// shopper is one of the crowd, with a life around it: visits, devices, an account
// perhaps, and a train that goes through a tunnel.
type shopper struct {
	number   int
	of       int // how many they are
	rng      *rand.Rand
	products []demo.Product
	send     func([]event.Event)
	made     int
	held     []event.Event // not sent yet
}

// Lengths of time that follow an exponential distribution with this mean, and
// its upper bound. Six steps offline stay below the age at which events are old.
const (
	betweenVisits, longestBreak = 9 * time.Hour, 3 * 24 * time.Hour
	betweenSteps, longestStep   = 12 * time.Second, 2 * time.Minute
)

func (s *shopper) pause(mean, most time.Duration) {
	time.Sleep(min(time.Duration(s.rng.ExpFloat64()*float64(mean)), most))
}

// shop visits the shop until then.
func (s *shopper) shop(until time.Time) {
	for {
		s.pause(betweenVisits, longestBreak)
		if !time.Now().Before(until) {
			return
		}
		s.visit()
	}
}

// visit is one visit, on one of three devices. Two in five shoppers have an
// account, and log in every other time; now and then somebody else does on their
// device.
func (s *shopper) visit() {
	walk := demo.Shopper{ID: fmt.Sprintf("crowd-%d-%d", s.number, s.rng.IntN(3))}
	steps := 5 + s.rng.IntN(45)
	user, login := "", -1
	if s.number%5 < 2 && s.rng.IntN(2) == 0 {
		login = s.rng.IntN(steps)
	}
	offline := 0
	for i := range steps {
		if i == login {
			user = "shopper-" + strconv.Itoa(s.number)
			if s.rng.IntN(25) == 0 {
				user = "shopper-" + strconv.Itoa((s.number+5)%s.of)
			}
			s.add(&event.Event{Type: event.Identify, Name: event.NameIdentify, UserID: user, AnonymousID: walk.ID, Traits: []byte(`{"plan":"plus"}`)})
		}
		s.step(walk.Next(s.rng, s.products), user)
		if offline--; offline < 0 || i == steps-1 {
			s.send(s.held)
			s.held = nil
			if s.rng.IntN(40) == 0 {
				offline = 1 + s.rng.IntN(5)
			}
		}
		s.pause(betweenSteps, longestStep)
	}
}

func (s *shopper) step(c demo.Call, user string) {
	e := event.Event{Type: event.Track, Name: c.Event, UserID: user, AnonymousID: c.AnonymousID}
	if c.Type == "page" {
		e.Type, e.Name = event.Page, event.NamePage
	}
	if e.Name == "purchase" {
		s.add(&event.Event{Type: event.Track, Name: "checkout_start", UserID: user, AnonymousID: c.AnonymousID})
	}
	if c.Properties != nil {
		e.Properties, _ = json.Marshal(c.Properties) // texts and numbers
	}
	s.add(&e)
}

func (s *shopper) add(e *event.Event) {
	s.made++
	e.MessageID, e.Source = fmt.Sprintf("%d-%d", s.number, s.made), "shop-crowd"
	e.Timestamp = time.Now().UnixMicro()
	e.Context.Page.URL = "https://hearth.example/shop/shelves/of/many/things"
	e.Context.UserAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	e.Context.Device, e.Context.OS, e.Context.Browser, e.Context.Locale = "desktop", "Linux", "Chrome", "en-GB"
	s.held = append(s.held, *e)
}

// load puts the records into an empty log, each at its time.
func (l *live) load(h *history) {
	l.t.Helper()
	for _, r := range h.log {
		b := &eventlog.Batch{Partition: r.partition}
		d := event.NewDecoder(r.Data)
		for range r.Count {
			var e event.Event
			if ok, err := d.Next(&e); err != nil || !ok {
				l.t.Fatal(ok, err)
			}
			key := eventlog.Key{}
			if e.MessageID != "" {
				key = event.KeyOf(e.Source, e.MessageID)
			}
			b.Data = event.AppendEvent(b.Data, &e)
			b.Ends, b.Keys = append(b.Ends, len(b.Data)), append(b.Keys, key)
		}
		l.now.Store(r.Appended)
		l.append(b)
	}
	l.now.Store(h.until)
}

// spent is what something took.
type spent struct{ wall, cpu time.Duration }

func measure(t testing.TB, do func()) spent {
	t.Helper()
	cpu := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	cpuBefore, before := cpu(), time.Now()
	do()
	return spent{time.Since(before), cpu() - cpuBefore}
}

// fire is a firing as both tell it.
type fire struct {
	User string
	At   int64
	ID   string
}

func inOrder(fires []fire) []fire {
	slices.SortFunc(fires, func(a, b fire) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.User, b.User), cmp.Compare(a.ID, b.ID))
	})
	return fires
}

// since are the firings of each trigger from a time on.
func since(intents []event.Intent, from int64) map[string][]fire {
	out := map[string][]fire{}
	for _, in := range intents {
		if in.At >= from {
			out[in.Trigger] = append(out[in.Trigger], fire{in.User, in.At, in.FireID})
		}
	}
	for _, fires := range out {
		inOrder(fires)
	}
	return out
}

// TestWeekSameAsLive: a backtest over seven days of the shop finds for each
// shipped trigger the firings that the live run gave, and leaves nothing behind.
// It tells how fast it is beside the Decider at its full speed.
func TestWeekSameAsLive(t *testing.T) {
	d := shipped(t)
	h := eightDays(t, d)
	from := h.until - daysBack*24*hour
	want := since(h.intents, from)

	// The same log on the real engine: a Decider at full speed decides the same.
	l := &live{t: t, fs: vfs.NewMem(), defs: d}
	l.open()
	t.Cleanup(l.end)
	l.load(&h)
	live := measure(t, func() { l.decide(); l.decided() })
	if diff := gocmp.Diff(want, since(intents(t, l.db.Log()), from)); diff != "" {
		t.Fatalf("-live +live again, from the log at full speed\n%s", diff)
	}
	speed := func(s spent) string {
		n := float64(h.events)
		return fmt.Sprintf("%.2f M events/s of wall time, %.2f M/s of CPU time", n/s.wall.Seconds()/1e6, n/s.cpu.Seconds()/1e6)
	}
	t.Logf("%d events, %d records in the log; decided at full speed: %s", h.events, len(h.log), speed(live))

	before := l.bounds()
	bt, err := backtest.New(backtest.Config{}, backtest.Deps{Log: l.db.Log(), State: l.db.UserState(), Definitions: d, Alone: true, Clock: l.clock})
	if err != nil {
		t.Fatal(err)
	}
	for name, trigger := range d.Current().Triggers {
		run := func(examples int) (res *backtest.Result) {
			var err error
			if res, err = bt.Run(t.Context(), backtest.Request{Trigger: trigger, Days: daysBack, Examples: examples}, quietly); err != nil {
				t.Fatal(err)
			}
			return res
		}
		res := run(1 << 20)
		got := make([]fire, 0, len(res.Examples))
		for _, e := range res.Examples {
			got = append(got, fire{e.User, e.At, fmt.Sprintf("%x", e.FireID)})
		}
		if diff := gocmp.Diff(want[name], inOrder(got), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: -live +backtest\n%s", name, diff)
		}
		enough := 50
		if name == "push-subscribed" {
			enough = 0 // the crowd has no browsers that could subscribe
		}
		if len(got) < enough || int64(len(got)) != res.Firings || !res.Exact() || res.Short || res.From != from {
			t.Errorf("%s: %d firings are shown, %+v", name, len(got), res)
		}
		took := measure(t, func() { run(20) })
		t.Logf("%s: %d firings; %s; %.1f times the Decider in CPU time, %.1f in wall time, %.0f times the pace of life", name, len(got), speed(took),
			live.cpu.Seconds()/took.cpu.Seconds(), live.wall.Seconds()/took.wall.Seconds(), daysBack*24*3600/took.wall.Seconds())
	}
	if after := l.bounds(); !slices.Equal(before, after) {
		t.Errorf("backtests wrote to the log: %v, then %v", before, after)
	}
}

// bounds are those of all partitions of both streams.
func (l *live) bounds() (out []eventlog.Bounds) {
	l.t.Helper()
	for _, s := range []eventlog.Stream{eventlog.Events, eventlog.Intents} {
		for n := range l.db.Log().Partitions() {
			b, err := l.db.Log().Bounds(l.t.Context(), s, n)
			if err != nil {
				l.t.Fatal(err)
			}
			out = append(out, b)
		}
	}
	return out
}
