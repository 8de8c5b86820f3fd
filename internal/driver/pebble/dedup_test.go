package pebble

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/eventlog/eventlogtest"
)

// TestDedupModel compares random appends, with sealing, restarts and a moving
// clock, with a map. Within the horizon nothing is there twice; outside of it
// nothing that is new is refused.
func TestDedupModel(t *testing.T) {
	const ids, bucket = 2000, 100
	clock := eventlogtest.NewClock()
	fs := vfs.NewMem()
	cfg := testConfig()
	cfg.DedupIDs = 1000
	cfg.DedupHorizon = 8 * time.Hour
	reopen := func() *DB {
		deps := testDeps(t, fs)
		deps.Clock = clock.Now
		db, err := open(cfg, deps, hooks{bucketIDs: bucket})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := reopen()
	defer func() { _ = db.Close() }()
	r := rand.New(rand.NewPCG(3, 4))
	type appended struct{ number, at int64 }
	last := map[string]appended{}
	var number int64
	repeats, taken := 0, 0
	for step := range 3000 {
		var bodies []string
		for range 1 + r.IntN(5) {
			// Mostly recent ids, so that repeats are common.
			bodies = append(bodies, fmt.Sprint("id", step/4+r.IntN(ids/4)))
		}
		b := eventlogtest.MakeBatch(r.IntN(4), bodies...)
		if err := db.Log().Append(t.Context(), eventlog.Events, []*eventlog.Batch{b}); err != nil {
			t.Fatal(err)
		}
		now := clock.Now().UnixMicro()
		for i, body := range bodies {
			before, known := last[body]
			known = known && now-before.at < (7*time.Hour).Microseconds() && number-before.number < int64(cfg.DedupIDs-bucket)
			duplicate := b.Duplicate != nil && b.Duplicate[i]
			if known && !duplicate {
				t.Fatalf("step %d: %s was taken twice", step, body)
			}
			if _, ever := last[body]; !ever && duplicate {
				t.Fatalf("step %d: %s is new and was refused", step, body)
			}
			if duplicate {
				repeats++
			} else {
				taken++
				number++
				last[body] = appended{number, now}
			}
		}
		switch {
		case step%400 == 399:
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = reopen()
		case step%50 == 0:
			clock.Move(time.Duration(r.IntN(int(20 * time.Minute))))
		case step%777 == 0:
			clock.Move(-time.Hour)
		}
	}
	if repeats < 1000 || taken < 1000 {
		t.Fatalf("%d repeats and %d new: the test does not test", repeats, taken)
	}
	if n, _ := db.log.dedup.stats(); n < 500 || n > cfg.DedupIDs+2*bucket {
		t.Fatalf("%d sealed ids", n)
	}
}

// TestHorizonMetric sees that the true horizon follows what is forgotten.
func TestHorizonMetric(t *testing.T) {
	clock := eventlogtest.NewClock()
	deps := testDeps(t, vfs.NewMem())
	deps.Clock = clock.Now
	cfg := testConfig()
	cfg.DedupIDs = 1000
	cfg.DedupHorizon = 8 * time.Hour
	db, err := open(cfg, deps, hooks{bucketIDs: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for i := range 100 {
		if err := db.Log().Append(t.Context(), eventlog.Events, []*eventlog.Batch{eventlogtest.MakeBatch(0, fmt.Sprint(i))}); err != nil {
			t.Fatal(err)
		}
		clock.Move(30 * time.Minute)
	}
	// Sealing runs beside.
	deadline := time.Now().Add(10 * time.Second)
	for {
		got := db.log.dedup.horizon(clock.Now())
		if got >= 7*time.Hour && got <= 11*time.Hour {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("horizon is %s", got)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestKeySet(t *testing.T) {
	h := hasher{1, 2, 3, 4}
	s := newKeySet()
	model := map[eventlog.Key]bool{}
	r := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		var k eventlog.Key
		binary.LittleEndian.PutUint64(k[:], 1+uint64(r.IntN(8000)))
		a, _ := h.sum(&k)
		if got := s.has(&k, a); got != model[k] {
			t.Fatalf("has %x: %v", k, got)
		}
		if fresh := s.add(&k, a, &h); fresh == model[k] {
			t.Fatalf("add %x: fresh %v", k, fresh)
		}
		model[k] = true
	}
	if s.count != len(model) {
		t.Fatalf("%d keys, want %d", s.count, len(model))
	}
}

func TestFilter(t *testing.T) {
	const n = 400_000 // so many that chance does not decide
	h := hasher{rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64()}
	f := newFilter(n)
	// As real keys are: hashes. Counted up they are so alike that some seeds
	// spread them badly.
	key := func(i int) eventlog.Key { return eventlog.Key(event.KeyOf("shop", strconv.Itoa(i))) }
	for i := range n {
		k := key(i)
		f.add(h.sum(&k))
	}
	stored := decodeFilter(f.encode())
	if !slices.Equal(stored.words, f.words) {
		t.Fatal("a stored filter differs")
	}
	wrong := 0
	defer func() { t.Logf("%d of %d tests pass wrongly", wrong, n) }()
	for i := range 2 * n {
		k := key(i)
		a, b := h.sum(&k)
		m, x := masks(b)
		may := stored.may(a, m, x)
		if i < n && !may {
			t.Fatalf("key %d is missing", i)
		}
		if i >= n && may {
			wrong++
		}
	}
	if rate := float64(wrong) / n; rate > 0.0005 {
		t.Fatalf("%.5f of the tests pass wrongly", rate)
	}
}
