package decider

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"heed/internal/driver/pebble"
	"heed/internal/event"
)

func (h *harness) onDisk() {
	h.t.Helper()
	db, err := pebble.Open(pebble.Config{Dir: h.t.TempDir(), Partitions: h.stores.log.Partitions()}, pebble.Deps{Clock: h.clock.Time})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		if err := db.Close(); err != nil {
			h.t.Error(err)
		}
	})
	h.stores = stores{db.Log(), db.UserState()}
}

// The cache decides nothing: without one, rows come from the disk each time.
func TestSameFiringsWithoutACache(t *testing.T) {
	for seed := range uint64(2) {
		ops := history(seed+300, 40, 400)
		want := oracle(t, ops)
		for _, cache := range []int64{1, 40 << 10, 1 << 30} {
			h := newHarness(t, 2, Config{CacheBytes: cache})
			h.onDisk()
			h.play(ops, h.pump)
			if diff := gocmp.Diff(want, fires(h.intents())); diff != "" {
				t.Errorf("seed %d, cache of %d bytes (-want +got):\n%s", seed, cache, diff)
			}
			for _, w := range h.d.workers {
				if w.users.size > max(cache/2, 0) {
					t.Errorf("cache of %d bytes holds %d", cache/2, w.users.size)
				}
			}
		}
	}
}

// Many users under way do not grow what is held in memory. With the race detector
// the database keeps its write buffers, up to 64 MB, on Go's heap in every other
// run, to have them watched: there the heap says nothing, so the allocation tests
// without the detector run this, too.
func TestManyUsersAllocLittle(t *testing.T) {
	const users = 60_000
	h := newHarness(t, 1, Config{CacheBytes: 1 << 20})
	h.onDisk()
	h.define(1, "kind: trigger\nname: wins\npattern: [{event: win, times: 3}]\nwithin: 1d\n")
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	round := func() {
		for first := 0; first < users; first += 2000 {
			var events []event.Event
			for i := range 2000 {
				events = append(events, track(fmt.Sprintf("user-%06d", first+i), "win"))
			}
			h.append(events...)
			h.pump()
		}
	}
	round()
	before := heap()
	round()
	if grown := heap() - before; grown > 16<<20 && !underRace { // the database's own buffers breathe
		t.Errorf("60,000 users more took %d MB", grown>>20)
	}
	if n := h.d.workers[0].users.size; n > 1<<20 {
		t.Errorf("the cache holds %d bytes", n)
	}
	round()
	if n := len(h.intents()); n != users {
		t.Errorf("%d fired, want %d", n, users)
	}
}

// thousand are definitions of 1,000 triggers, of which each name concerns three.
func thousand() string {
	var out strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&out, "kind: trigger\nname: t%d\npattern: [{event: e%d, where: {field: properties.stake, op: gte, value: %d}}, {event: e%d}, {event: e%d}]\nwithin: 10m\n---\n",
			i, i, i%30, (i+1)%1000, (i+2)%1000)
	}
	return strings.TrimSuffix(out.String(), "---\n")
}

// A thousand triggers are live at once, and each decides for itself.
func TestThousandTriggers(t *testing.T) {
	h := newHarness(t, 2, Config{})
	began := time.Now()
	h.define(1, thousand())
	h.pump()
	t.Logf("parsed, checked and compiled in %v", time.Since(began))
	if n := len(h.d.workers[0].rules.set.Programs()); n != 1000 {
		t.Fatalf("%d triggers are in force", n)
	}
	for u := range 20 {
		for i := range 30 {
			e := track(fmt.Sprint("u", u), fmt.Sprintf("e%d", (u*50+i)%1000))
			e.Properties = []byte(`{"stake":29}`)
			h.append(e)
		}
	}
	h.pump()
	got := map[string]int{}
	for _, in := range h.intents() {
		got[in.User]++
	}
	for u := range 20 {
		if n := got[fmt.Sprint("u", u)]; n != 28 { // each run of three events completes one
			t.Errorf("u%d: %d triggers fired, want 28", u, n)
		}
	}
}

// A user who floods a partition does not make others wait: an event of somebody
// else that comes behind 100,000 of them is decided once they are, and that is
// soon; and batches stay bounded.
func TestFloodOfOneUser(t *testing.T) {
	h := newHarness(t, 1, Config{})
	h.define(1, "kind: trigger\nname: wins\npattern: [{event: win, times: 3}]\nwithin: 10m\n---\nkind: trigger\nname: once\npattern: [{event: visit}]\n")
	h.pump()
	const flood = 100_000
	for range flood / 1000 {
		var events []event.Event
		for range 1000 {
			events = append(events, track("flooder", "win"))
		}
		h.append(events...)
	}
	h.append(track("other", "visit"))
	w := h.decider().workers[0]
	batches, slowest := 0, time.Duration(0)
	began := time.Now()
	for {
		one := time.Now()
		if !h.once(w) {
			break
		}
		slowest = max(slowest, time.Since(one))
		batches++
	}
	t.Logf("%d batches, the slowest took %v; the other user waited %v", batches, slowest, time.Since(began))
	if batches < flood/h.d.cfg.BatchEvents {
		t.Errorf("only %d batches: they are not bounded", batches)
	}
	got := map[string]int{}
	for _, in := range h.intents() {
		got[in.User]++
	}
	if got["flooder"] != flood/3 || got["other"] != 1 {
		t.Errorf("fired: %v", got)
	}
}

// What one user has done is decided in order, however the batches fall.
func TestFloodKeepsOrder(t *testing.T) {
	var want []string
	for _, size := range []int{1, 7, 4096} {
		h := newHarness(t, 1, Config{BatchEvents: size})
		h.define(1, "kind: trigger\nname: wins\npattern: [{event: win, times: 2, consecutive: true}]\nwithin: 10m\nscope: [win, loss]\n")
		for i := range 2000 {
			h.append(track("u", []string{"win", "win", "loss"}[i%3]), track(fmt.Sprint("v", i%5), "win"))
		}
		h.pump()
		got := fires(h.intents())
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) || len(got) < 600 {
			t.Errorf("batches of %d: %d firings, want the same %d", size, len(got), len(want))
		}
	}
}
