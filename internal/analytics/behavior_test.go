package analytics

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"heed/internal/definition"
	"heed/internal/driver/duckdb"
	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/eventlog/distinct"
	"heed/internal/facts/factstest"
	"heed/internal/measure"
	"heed/internal/measure/measuretest"
	"heed/internal/period"
)

// follow runs the feeding of the index until stop.
func follow(t *testing.T, db *memory.DB, file string, cfg BehaviorConfig) (b *Behavior, stop func()) {
	t.Helper()
	return followLog(t, db.Log(), file, cfg)
}

func followLog(t *testing.T, log eventlog.Log, file string, cfg BehaviorConfig) (b *Behavior, stop func()) {
	t.Helper()
	cfg.Promote = measuretest.Promoted()
	b, err := NewBehavior(cfg, BehaviorDeps{Log: log, File: file})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	synctest.Wait()
	return b, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// put appends to the log as the gateway and the Decider would.
func put(t *testing.T, db *memory.DB, events ...event.Event) {
	t.Helper()
	for _, e := range events {
		e.ReceivedAt = max(e.ReceivedAt, 1)
		add(t, db, e)
	}
}

// TestIndexEndsWithARepeat: the index has all that the log held, also where the last
// of it is not read again.
func TestIndexEndsWithARepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, err := distinct.New(memory.Open(memory.Config{Partitions: 1, Repeats: true}).Log(), distinct.Config{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		e := track("ann", "view")
		data := event.AppendEvent(nil, &e)
		for range 2 {
			b := &eventlog.Batch{Data: data, Ends: []int{len(data)}, Keys: []eventlog.Key{event.KeyOf(e.Source, e.MessageID)}}
			if err := log.Append(t.Context(), eventlog.Events, []*eventlog.Batch{b}); err != nil {
				t.Fatal(err)
			}
		}
		b, err := NewBehavior(BehaviorConfig{Promote: measuretest.Promoted()}, BehaviorDeps{Log: log, File: filepath.Join(t.TempDir(), "index")})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()
		synctest.Wait()
		if x, loading := b.Index(); loading || x.Stats().Events != 1 {
			t.Errorf("loading: %v, %d events, want 1", loading, x.Stats().Events)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestIndexFollowsTheLog(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 6))
			h, now := measuretest.Random(r)
			for i := range h.Events {
				// The log fills in the source, and times that are missing.
				h.Events[i].Source, h.Events[i].Timestamp = "shop", max(h.Events[i].Timestamp, 1)
			}
			db := memory.Open(memory.Config{Partitions: 3})
			file := filepath.Join(t.TempDir(), "index")
			n := len(h.Events) / 2
			put(t, db, h.Events[:n]...)
			b, stop := follow(t, db, file, BehaviorConfig{})
			check := func(h *measuretest.History) {
				t.Helper()
				for range 5 {
					q := measuretest.Ask(r, now)
					want, err := h.Answer(q, now)
					if err != nil {
						t.Fatal(err)
					}
					got, ok, err := b.Query(t.Context(), q, now)
					if err != nil || !ok {
						t.Fatalf("not answered: %t, %v", ok, err)
					}
					if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
						t.Fatalf("seed %d (-oracle +index):\n%s", seed, diff)
					}
				}
			}
			check(&measuretest.History{Events: h.Events[:n]})
			if s := b.Status(); s.State != BehaviorReady || s.Events == 0 || s.Of != 0 {
				t.Errorf("status: %+v", s)
			}
			for _, m := range h.Merges {
				put(t, db, event.Event{
					Type: event.System, Name: event.NameMerge, UserID: m.To, AnonymousID: m.From, Timestamp: now,
					Properties: []byte(`{"from":"` + m.From + `","to":"` + m.To + `","at":"2026-01-01T00:00:00Z"}`),
				})
				synctest.Wait() // partitions agree on the order of merges by the log of one user
			}
			synctest.Wait()
			check(&measuretest.History{Events: h.Events[:n], Merges: h.Merges})
			stop()
			// The next start has the snapshot, and what came meanwhile.
			put(t, db, h.Events[n:]...)
			b, stop = follow(t, db, file, BehaviorConfig{})
			check(h)
			stop()
			// A damaged snapshot only costs reading the log.
			if err := os.WriteFile(file, []byte("heed.journey.001 is not what this is"), 0o600); err != nil {
				t.Fatal(err)
			}
			b, stop = follow(t, db, file, BehaviorConfig{})
			check(h)
			stop()
		})
	}
}

func TestIndexSavesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{})
		file := filepath.Join(t.TempDir(), "index")
		_, stop := follow(t, db, file, BehaviorConfig{SaveEvery: time.Minute})
		defer stop()
		put(t, db, track("ada", "a"))
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if _, err := os.Stat(file); err != nil {
			t.Error(err)
		}
	})
}

// Without a beginning, or without room, there is no index, and nothing else stops.
func TestIndexIsGivenUp(t *testing.T) {
	q := &measure.Query{Users: &measure.Users{}}
	f := func(name string, cfg BehaviorConfig, make func(t *testing.T, db *memory.DB)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				db := memory.Open(memory.Config{Partitions: 1})
				make(t, db)
				b, stop := follow(t, db, filepath.Join(t.TempDir(), "index"), cfg)
				defer stop()
				time.Sleep(time.Minute)
				synctest.Wait()
				if _, ok, err := b.Query(t.Context(), q, time.Now().UnixMicro()); ok || err != nil {
					t.Errorf("answered: %t, %v", ok, err)
				}
				if s := b.Status(); s.State != BehaviorGivenUp || s.Err == nil {
					t.Errorf("status: %+v", s)
				}
			})
		})
	}
	f("trimmed", BehaviorConfig{}, func(t *testing.T, db *memory.DB) {
		put(t, db, track("ada", "a"), track("ada", "b"))
		time.Sleep(time.Hour)
		put(t, db, track("ada", "c"))
		if err := db.Log().Trim(t.Context(), "events", time.Now().Add(-time.Minute), nil); err != nil {
			t.Fatal(err)
		}
	})
	f("too large", BehaviorConfig{Memory: 1 << 20}, func(t *testing.T, db *memory.DB) {
		for i := range 6000 {
			e := track("ada", "a")
			e.AnonymousID = string(rune('a'+i%26)) + time.Duration(i).String() + string(make([]byte, 100))
			e.Context.Country = e.AnonymousID
			put(t, db, e)
		}
	})
}

// ailing is a log that does not answer, or not of its last partition, for a while.
type ailing struct {
	eventlog.Log
	silent atomic.Bool
	stuck  bool
}

func (a *ailing) Bounds(ctx context.Context, s eventlog.Stream, p int) (eventlog.Bounds, error) {
	if a.silent.Load() {
		return eventlog.Bounds{}, eventlog.ErrUnavailable
	}
	return a.Log.Bounds(ctx, s, p)
}

func (a *ailing) Read(ctx context.Context, s eventlog.Stream, p int, from uint64) (eventlog.Reader, error) {
	if a.stuck && p == a.Partitions()-1 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return a.Log.Read(ctx, s, p, from)
}

// A log that does not answer while the index starts is waited for, and said so.
func TestIndexWaitsForTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{Partitions: 2})
		put(t, db, track("ada", "a"), track("bob", "a"))
		log := &ailing{Log: db.Log()}
		log.silent.Store(true)
		b, stop := followLog(t, log, filepath.Join(t.TempDir(), "index"), BehaviorConfig{})
		defer stop()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if s := b.Status(); s.State != BehaviorLoading || !errors.Is(s.Err, eventlog.ErrUnavailable) {
			t.Errorf("status while the log is silent: %+v", s)
		}
		log.silent.Store(false)
		time.Sleep(longestPause)
		synctest.Wait()
		if s := b.Status(); s.State != BehaviorReady || s.Err != nil || s.Events != 2 {
			t.Errorf("status when the log answers: %+v", s)
		}
	})
}

// What retention takes away from under the index is no reason to do without it.
func TestIndexIsLoadedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{Partitions: 1})
		put(t, db, track("ada", "a"))
		log := &trimming{Log: db.Log()}
		b, stop := followLog(t, log, filepath.Join(t.TempDir(), "index"), BehaviorConfig{})
		defer stop()
		time.Sleep(time.Second)
		synctest.Wait()
		if s := b.Status(); s.State != BehaviorReady || s.Events != 1 || log.reads != 2 {
			t.Errorf("after %d reads: %+v", log.reads, s)
		}
	})
}

// trimming is a log of which the first reader finds nothing any more.
type trimming struct {
	eventlog.Log
	reads int
}

func (l *trimming) Read(ctx context.Context, s eventlog.Stream, p int, from uint64) (eventlog.Reader, error) {
	if l.reads++; l.reads == 1 {
		return nil, eventlog.ErrTrimmed
	}
	return l.Log.Read(ctx, s, p, from)
}

// A snapshot is written while the log is still read.
func TestIndexIsSavedWhileItLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{Partitions: 2})
		for i := range 20 {
			put(t, db, track(fmt.Sprint("u", i), "a"))
		}
		file := filepath.Join(t.TempDir(), "index")
		b, stop := followLog(t, &ailing{Log: db.Log(), stuck: true}, file, BehaviorConfig{SaveEvery: time.Minute})
		defer stop()
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if _, err := os.Stat(file); err != nil || b.Status().State != BehaviorLoading {
			t.Errorf("%v, %+v", err, b.Status())
		}
	})
}

// answering is a facts store that says who was asked.
type answering struct{ asked int }

func (a *answering) Query(context.Context, *measure.Query, int64) (measure.Result, error) {
	a.asked++
	return measure.Result{Zone: "facts"}, nil
}

func TestFactsAnswerWhatTheIndexCannot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{})
		put(t, db, track("ada", "a"))
		b, stop := follow(t, db, filepath.Join(t.TempDir(), "index"), BehaviorConfig{})
		defer stop()
		facts := &answering{}
		m := Measures{Behavior: b, Facts: facts}
		f := func(q measure.Query, zone string) {
			t.Helper()
			res, err := m.Answer(t.Context(), &q, &definition.Set{}, time.Now().Add(time.Hour).UnixMicro())
			if err != nil || res.Zone != zone {
				t.Errorf("%+v, %v, want an answer of %s", res, err, zone)
			}
		}
		engagement := &measure.Breakdown{By: []measure.Dimension{{Dimension: "engagement"}}}
		f(measure.Query{Breakdown: engagement}, "UTC")
		f(measure.Query{Breakdown: engagement, Bots: true}, "facts")
		f(measure.Query{Timeline: &measure.Timeline{User: "ada"}}, "facts")
		m.Zone = "Europe/Berlin"
		f(measure.Query{Breakdown: engagement}, "Europe/Berlin")
		f(measure.Query{Breakdown: engagement, Zone: "Asia/Tokyo"}, "Asia/Tokyo")
		m.Behavior = nil
		f(measure.Query{Breakdown: engagement}, "facts")
		if _, err := m.Answer(t.Context(), &measure.Query{Breakdown: &measure.Breakdown{By: []measure.Dimension{{Dimension: "nothing"}}}}, &definition.Set{}, 1); err == nil {
			t.Error("a dimension that does not exist was answered")
		}
	})
}

// What the log no longer has comes from the facts: the index is the same.
func TestIndexIsBuiltFromTheFacts(t *testing.T) {
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 7))
		h, now := measuretest.Random(r)
		for i := range h.Events {
			h.Events[i].Source, h.Events[i].Timestamp = "shop", max(h.Events[i].Timestamp, 1)
		}
		db := memory.Open(memory.Config{Partitions: 3})
		n := len(h.Events) / 2
		put(t, db, h.Events[:n]...)
		for _, m := range h.Merges {
			put(t, db, event.Event{
				Type: event.System, Name: event.NameMerge, UserID: m.To, AnonymousID: m.From, Timestamp: now,
				Properties: []byte(`{"from":"` + m.From + `","to":"` + m.To + `"}`),
			})
		}
		store, err := duckdb.Open(duckdb.Config{Dir: t.TempDir(), FlushRows: 40}, duckdb.Deps{Partitions: 3})
		if err != nil {
			t.Fatal(err)
		}
		fold, err := NewFold(FoldDeps{Log: db.Log(), Facts: store})
		if err != nil {
			t.Fatal(err)
		}
		if err := fold.CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := db.Log().Trim(t.Context(), "events", time.Now().Add(time.Hour), nil); err != nil {
			t.Fatal(err)
		}
		put(t, db, h.Events[n:]...)
		keep := period.Period(100 * 365 * 24 * time.Hour) // the histories are of some time
		b, err := NewBehavior(BehaviorConfig{Promote: measuretest.Promoted(), Keep: keep}, BehaviorDeps{Log: db.Log(), File: filepath.Join(t.TempDir(), "index"), Facts: store})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- b.Run(ctx) }()
		for b.Status().State == BehaviorLoading {
			runtime.Gosched()
		}
		for range 20 {
			q := measuretest.Ask(r, now)
			want, err := h.Answer(q, now)
			if err != nil {
				t.Fatal(err)
			}
			got, ok, err := b.Query(t.Context(), q, now)
			if err != nil || !ok {
				t.Fatalf("not answered: %t, %v, %+v", ok, err, b.Status())
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("seed %d (-oracle +index):\n%s", seed, diff)
			}
		}
		cancel()
		if err := errors.Join(<-done, store.Close()); err != nil {
			t.Error(err)
		}
	}
}

// An id that was claimed for somebody, with the public key, and turns out to be
// another user's belongs to nobody else: neither from then on nor, as soon as the facts
// were asked, before.
func TestIDsThatAreTheirOwnAgain(t *testing.T) {
	const at = int64(1_795_132_800_000_000)
	db := memory.Open(memory.Config{Partitions: 1})
	store, err := duckdb.Open(duckdb.Config{Dir: t.TempDir()}, duckdb.Deps{Partitions: 1})
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewBehavior(BehaviorConfig{SaveEvery: time.Second, Keep: period.Period(100 * 365 * 24 * time.Hour)},
		BehaviorDeps{Log: db.Log(), File: filepath.Join(t.TempDir(), "index"), Facts: store})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	bought, country := &measure.Behavior{Event: "buy"}, measure.Dimension{Field: "user.country"}
	q, err := measure.Resolve(&measure.Query{Breakdown: &measure.Breakdown{By: []measure.Dimension{country, {Events: bought}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	// expect waits until each country's user has bought so often.
	expect := func(want string) {
		t.Helper()
		got := ""
		for deadline := time.Now().Add(30 * time.Second); got != want; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("the index has %q, want %q", got, want)
			}
			res, ok, err := b.Query(t.Context(), q, at+3600e6)
			if err != nil {
				t.Fatal(err)
			}
			if got = ""; ok {
				for _, row := range res.Breakdown.Rows {
					got += *row.Values[0] + *row.Values[1] + " "
				}
			}
		}
	}
	n := int64(0)
	buy := func(id, country string) {
		n++
		put(t, db, event.Event{
			Type: event.Track, Name: "buy", UserID: id, Source: "shop", MessageID: strconv.FormatInt(n, 10), Timestamp: at + n, ReceivedAt: at + n,
			Context: event.Context{Country: country, Bot: n == 2},
		})
	}
	buy("alice", "A")
	buy("alice", "A") // a bot's
	buy("bob", "B")
	put(t, db, factstest.Merge("bob", "alice", at+n))
	buy("bob", "B")
	expect("B3 ")
	put(t, db, factstest.Merge("bob", "bob", at+n+1))
	buy("alice", "A")
	buy("bob", "B")
	expect("A4 B1 ")
	fold, err := NewFold(FoldDeps{Log: db.Log(), Facts: store})
	if err != nil {
		t.Fatal(err)
	}
	if err := fold.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	expect("A2 B3 ")
	res, _, err := b.Query(t.Context(), q, at+3600e6)
	if s := b.Status(); err != nil || s.Events != 5 || s.Users != 2 || res.Excluded.Bots != 1 {
		t.Errorf("%+v, left out: %+v, %v", s, res.Excluded, err)
	}
	cancel()
	if err := errors.Join(<-done, store.Close()); err != nil {
		t.Error(err)
	}
}
