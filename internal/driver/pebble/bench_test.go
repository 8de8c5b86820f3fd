package pebble

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"heed/internal/eventlog"
	"heed/internal/userstate"
)

// cpuSeconds is what the process has used.
func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// report reports per event what b.N batches of n events cost.
func report(b *testing.B, began float64, n int) {
	b.Helper()
	events := float64(b.N) * float64(n)
	b.ReportMetric((cpuSeconds(b)-began)/events*1e6, "cpu-s/Mevents")
	b.ReportMetric(events/b.Elapsed().Seconds(), "events/s")
}

const (
	benchAppenders = 64
	benchBatch     = 20
	benchEvent     = 604
)

// benchBody is a batch's bytes: half of it does not compress, like ids and
// times do not.
func benchBody(r *rand.Rand) []byte {
	body := make([]byte, benchBatch*benchEvent)
	for i := range body {
		body[i] = "context.page.url https://shop.example/products/"[i%47]
		if i%8 < 3 {
			body[i] = byte(r.Uint32())
		}
	}
	return body
}

// appenders shares b.N batches among the appenders.
func appenders(b *testing.B, run func(worker int, next func() bool)) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	for w := range benchAppenders {
		wg.Go(func() { run(w, func() bool { return left.Add(-1) >= 0 }) })
	}
	wg.Wait()
}

// BenchmarkAppendFloor is the least that durable appends can cost: a plain file
// and one fdatasync per group.
func BenchmarkAppendFloor(b *testing.B) {
	f, err := os.Create(filepath.Join(benchDir(b), "floor"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var mu sync.Mutex
	var queue [][]byte
	var done []chan error
	wake := make(chan struct{}, 1)
	stop := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		var group []byte
		for {
			select {
			case <-wake:
			case <-stop:
				return
			}
			mu.Lock()
			q, d := queue, done
			queue, done = nil, nil
			mu.Unlock()
			group = group[:0]
			for _, data := range q {
				group = append(group, data...)
			}
			_, err := f.Write(group)
			if err == nil {
				err = syscall.Fdatasync(int(f.Fd()))
			}
			for _, c := range d {
				c <- err
			}
		}
	}()
	b.ReportAllocs()
	b.ResetTimer()
	began := cpuSeconds(b)
	appenders(b, func(w int, next func() bool) {
		body := benchBody(rand.New(rand.NewPCG(1, uint64(w))))
		c := make(chan error, 1)
		for next() {
			mu.Lock()
			queue, done = append(queue, body), append(done, c)
			mu.Unlock()
			select {
			case wake <- struct{}{}:
			default:
			}
			if err := <-c; err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	report(b, began, benchBatch)
	close(stop)
	<-stopped
}

// benchDir is on the disk that HEED_BENCH_DIR names: a temporary folder may be
// in memory.
func benchDir(b *testing.B) string {
	b.Helper()
	parent := os.Getenv("HEED_BENCH_DIR")
	if parent == "" {
		return b.TempDir()
	}
	b.Setenv("TMPDIR", parent)
	return b.TempDir()
}

func benchDB(b *testing.B, memory int64) *DB {
	b.Helper()
	db, err := Open(Config{Dir: benchDir(b), Memory: memory, Reserve: 1}, Deps{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return db
}

// remember fills dedup with ids that nobody will send again.
func remember(b *testing.B, db *DB, ids int) {
	b.Helper()
	var n uint64
	batch := &eventlog.Batch{Partition: 0, Data: make([]byte, 1000)}
	for i := range 1000 {
		batch.Ends = append(batch.Ends, i+1)
	}
	batch.Keys = make([]eventlog.Key, 1000)
	for range ids / 1000 {
		for i := range batch.Keys {
			n++
			batch.Keys[i] = benchKey(1<<40 + n)
		}
		if err := db.log.Append(context.Background(), eventlog.Events, []*eventlog.Batch{batch}); err != nil {
			b.Fatal(err)
		}
	}
	for { // until what is full is sealed
		if known, _ := db.log.dedup.stats(); known+maxBucketIDs > ids {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// benchKey spreads like a hash does.
func benchKey(n uint64) (k eventlog.Key) {
	x := (n + 1) * 0x9e3779b97f4a7c15
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 32
	binary.LittleEndian.PutUint64(k[:], x)
	binary.LittleEndian.PutUint64(k[8:], n)
	return k
}

// BenchmarkAppend is the same as the floor, through sequencer, dedup and engine.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		name   string
		keys   bool
		ids    int
		follow bool
	}{
		{"plain", false, 0, false},
		{"dedup", true, 0, false},
		{"dedup+stored", true, benchIDs(b), false},
		{"dedup+followed", true, 0, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			db := benchDB(b, 256<<20)
			remember(b, db, c.ids)
			ctx, cancel := context.WithCancel(context.Background())
			var followers sync.WaitGroup
			if c.follow {
				for p := range db.Log().Partitions() {
					followers.Go(func() { drain(ctx, b, db, p) })
				}
			}
			var id atomic.Uint64
			b.ReportAllocs()
			b.ResetTimer()
			began := cpuSeconds(b)
			appenders(b, func(w int, next func() bool) {
				batch := &eventlog.Batch{Partition: w % 8, Data: benchBody(rand.New(rand.NewPCG(1, uint64(w))))}
				for i := range benchBatch {
					batch.Ends = append(batch.Ends, (i+1)*benchEvent)
				}
				if c.keys {
					batch.Keys = make([]eventlog.Key, benchBatch)
				}
				batches := []*eventlog.Batch{batch}
				for next() {
					first := id.Add(benchBatch)
					for i := range batch.Keys {
						batch.Keys[i] = benchKey(first + uint64(i))
					}
					if err := db.Log().Append(ctx, eventlog.Events, batches); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.StopTimer()
			report(b, began, benchBatch)
			cancel()
			followers.Wait()
		})
	}
}

// benchIDs is how many stored ids there are: a million, or what
// HEED_BENCH_IDS says.
func benchIDs(b *testing.B) int {
	b.Helper()
	if s := os.Getenv("HEED_BENCH_IDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	return 1_000_000
}

func drain(ctx context.Context, b *testing.B, db *DB, partition int) {
	r, err := db.Log().Read(ctx, eventlog.Events, partition, 0)
	if err != nil {
		b.Error(err)
		return
	}
	defer func() { _ = r.Close() }()
	for {
		if _, err := r.Next(ctx); err != nil {
			return
		}
	}
}

// BenchmarkDedup is the cost of one key, without the engine's.
func BenchmarkDedup(b *testing.B) {
	for _, ids := range []int{0, benchIDs(b)} {
		b.Run(fmt.Sprint("ids=", ids), func(b *testing.B) {
			db := benchDB(b, 256<<20)
			remember(b, db, ids)
			batch := &eventlog.Batch{Keys: make([]eventlog.Key, benchBatch), Ends: make([]int, benchBatch)}
			var keys []byte
			var id uint64
			b.ReportAllocs()
			for b.Loop() {
				if id%500_000 == 0 { // not all of it one ever growing set
					db.log.dedup.open.set = newKeySet()
				}
				for i := range batch.Keys {
					id++
					batch.Keys[i] = benchKey(id)
				}
				var err error
				if keys, err = db.log.dedup.filter(batch, keys[:0]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*benchBatch), "ns/key")
		})
	}
}

// BenchmarkCommit is a Decider's step: rows of 64 users, a few timers.
func BenchmarkCommit(b *testing.B) {
	db := benchDB(b, 256<<20)
	ctx := b.Context()
	p, err := db.UserState().Open(ctx, 0)
	if err != nil {
		b.Fatal(err)
	}
	const users = 64
	var c userstate.Commit
	value := make([]byte, 48)
	for i := range users {
		c.Rows = append(c.Rows, userstate.Row{Kind: userstate.Rows, User: fmt.Sprint("user-", i), Value: value})
	}
	b.ReportAllocs()
	b.ResetTimer()
	began := cpuSeconds(b)
	n := 0
	for i := range b.N {
		for j := range c.Rows {
			n++
			c.Rows[j].User = strconv.Itoa(n * 7919 % 1_000_003)
		}
		c.Base, c.Next = uint64(i*users), uint64((i+1)*users)
		if err := p.Commit(ctx, &c); err != nil {
			b.Fatal(err)
		}
	}
	report(b, began, users)
}

// BenchmarkLoad reads rows of users, of whom half are absent.
func BenchmarkLoad(b *testing.B) {
	db := benchDB(b, 256<<20)
	ctx := b.Context()
	p, err := db.UserState().Open(ctx, 0)
	if err != nil {
		b.Fatal(err)
	}
	const stored, users = 200_000, 64
	for i := 0; i < stored; i += 1000 {
		c := userstate.Commit{Base: uint64(i), Next: uint64(i + 1000)}
		for j := range 1000 {
			c.Rows = append(c.Rows, userstate.Row{Kind: userstate.Rows, User: fmt.Sprint("user-", 2*(i+j)), Value: make([]byte, 48)})
		}
		if err := p.Commit(ctx, &c); err != nil {
			b.Fatal(err)
		}
	}
	if err := db.engine.Flush(); err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	names := make([]string, users)
	b.ReportAllocs()
	b.ResetTimer()
	began := cpuSeconds(b)
	for range b.N {
		for i := range names {
			names[i] = "user-" + strconv.Itoa(r.IntN(2*stored))
		}
		if _, err := p.Load(ctx, userstate.Rows, names); err != nil {
			b.Fatal(err)
		}
	}
	report(b, began, users)
}

// BenchmarkOpen is a restart with many stored ids.
func BenchmarkOpen(b *testing.B) {
	fs := vfs.Default
	cfg := Config{Dir: benchDir(b), Memory: 256 << 20, Reserve: 1}
	db, err := Open(cfg, Deps{FS: fs})
	if err != nil {
		b.Fatal(err)
	}
	remember(b, db, benchIDs(b))
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		db, err := Open(cfg, Deps{FS: fs})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}
