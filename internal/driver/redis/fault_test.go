package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"heed/internal/driver/memory"
	"heed/internal/driver/redis/redistest"
	"heed/internal/driver/servertest"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/inbox"
	"heed/internal/userstate"
)

// patience bounds what should happen soon, on a slow machine.
const patience = 2 * time.Minute

// faultTimeout is short: calls are refused soon.
const faultTimeout = 1500 * time.Millisecond

// until waits for something that the load brings about.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) || t.Failed() {
			t.Fatalf("not that %s", what)
		}
	}
}

// deciders own partitions and count: event n of a partition adds one to a row, sets
// a timer and removes the one before, and fires. What is not done once shows.
type deciders struct {
	t        testing.TB
	log      eventlog.Log
	stopping atomic.Bool
	working  sync.WaitGroup

	mu       sync.Mutex
	acked    map[int]uint64 // by partition: the offset of the last acknowledged commit
	commits  atomic.Int64
	refused  atomic.Int64
	fenced   atomic.Int64
	backward atomic.Int64 // how often a partition was found further back than acknowledged
}

// users is how many users a partition has.
const users = 7

func startDeciders(t testing.TB, s *State, partitions ...int) *deciders {
	d := &deciders{t: t, log: s.log, acked: make(map[int]uint64)}
	for _, p := range partitions {
		d.add(s, p)
	}
	t.Cleanup(d.stop)
	return d
}

func (d *deciders) add(s *State, partition int) {
	d.working.Go(func() {
		for !d.stopping.Load() {
			err := d.own(s, partition)
			switch {
			case errors.Is(err, userstate.ErrFenced):
				d.fenced.Add(1)
			case err != nil:
				d.refused.Add(1)
			}
		}
	})
}

func (d *deciders) stop() {
	d.stopping.Store(true)
	d.working.Wait()
}

func (d *deciders) own(s *State, partition int) error {
	ctx := context.Background()
	d.mu.Lock()
	acked := d.acked[partition] // before it is asked: another owner may go on meanwhile
	d.mu.Unlock()
	p, err := s.Open(ctx, partition)
	if err != nil {
		return err
	}
	if p.Next() < acked {
		d.backward.Add(1)
	}
	for !d.stopping.Load() {
		n := p.Next()
		user := fmt.Sprint("u", n%users)
		values, err := p.Load(ctx, userstate.Rows, []string{user})
		if err != nil {
			return err
		}
		count, _ := strconv.Atoi(string(values[0])) // 0 if there is none
		c := userstate.Commit{
			Base: n, Next: n + 1, Rows: []userstate.Row{value(user, strconv.Itoa(count+1))},
			Set:     []userstate.Timer{{Deadline: int64(n), User: user}},
			Clear:   []userstate.Timer{{Deadline: int64(n) - users, User: user}},
			Intents: []event.Intent{{FireID: fmt.Sprint(n), User: user}},
		}
		if err := p.Commit(ctx, &c); err != nil {
			return err
		}
		d.mu.Lock()
		d.acked[partition] = n + 1
		d.mu.Unlock()
		d.commits.Add(1)
	}
	return nil
}

func (d *deciders) goOn(n int64) {
	d.t.Helper()
	n += d.commits.Load()
	until(d.t, "commits go on", func() bool { return d.commits.Load() >= n })
}

func (d *deciders) refuse(n int64) {
	d.t.Helper()
	n += d.refused.Load()
	until(d.t, "commits are refused", func() bool { return d.refused.Load() >= n })
}

// check holds that nothing is doubled or lost.
func (d *deciders) check(s *State, partitions ...int) {
	d.t.Helper()
	if doubled, lost := d.compare(s, partitions...); doubled > 0 || lost > 0 {
		d.t.Error("doubled and lost must be 0")
	}
}

// compare compares rows, timers and intents with the offset.
func (d *deciders) compare(s *State, partitions ...int) (doubled, lost int) {
	d.t.Helper()
	d.stop()
	ctx := d.t.Context()
	written, present, repeats, timers := 0, 0, 0, 0
	for _, partition := range partitions {
		p := take(d.t, s, partition)
		if p.Next() < d.acked[partition] {
			lost += int(d.acked[partition] - p.Next())
		}
		written += int(p.Next())
		rows, err := s.Scan(ctx, partition, userstate.Rows, "", "", 100)
		if err != nil {
			d.t.Fatal(err)
		}
		sum := 0
		for _, r := range rows {
			count, _ := strconv.Atoi(string(r.Value))
			sum += count
		}
		present += sum
		doubled += max(0, sum-int(p.Next()))
		lost += max(0, int(p.Next())-sum)
		due, err := p.Due(ctx, 1<<60, 100)
		if err != nil {
			d.t.Fatal(err)
		}
		timers += len(due) - min(users, int(p.Next()))
		intents := intentsOf(d.t, d.log, partition)
		for n := range p.Next() {
			times := intents[fmt.Sprint(n)]
			if times == 0 {
				lost++
			}
			repeats += max(0, times-1)
		}
		if extra := len(intents) - int(p.Next()); extra > 0 {
			doubled += extra
		}
	}
	d.t.Logf("written %d, present %d, doubled %d, lost %d, timers too many %d; refused %d, fenced %d, offset found further back %d times, intents repeated with the same id %d",
		written, present, doubled, lost, timers, d.refused.Load(), d.fenced.Load(), d.backward.Load(), repeats)
	return doubled + max(0, timers), lost + max(0, -timers)
}

// TestKilled kills a server that syncs always, and lets it stand still for longer
// than anybody waits: nothing acknowledged is lost.
func TestKilled(t *testing.T) {
	t.Parallel() // it waits most of the time
	server := redistest.Start(t)
	cfg := testConfig(t, server.Addr())
	cfg.Timeout = faultTimeout
	s := openState(t, cfg, memory.Open(memory.Config{Partitions: 4}))
	d := startDeciders(t, s, 0, 1, 2, 3)
	d.goOn(200)
	for range 3 {
		server.Kill()
		d.refuse(4)
		server.Restart()
		d.goOn(200)
	}
	server.Kill()
	server.Restart() // before anybody is refused
	d.goOn(200)
	server.Pause()
	d.refuse(8)
	server.Resume()
	d.goOn(200)
	d.check(s, 0, 1, 2, 3)
	if n := d.backward.Load(); n > 0 {
		t.Errorf("an acknowledged commit was missing %d times", n)
	}
}

// TestFlushed takes everything from the server, and gives it back an older copy: the
// offset goes back, and the log is decided again with the same ids.
func TestFlushed(t *testing.T) {
	server := redistest.Start(t)
	cfg := testConfig(t, server.Addr())
	cfg.Timeout = faultTimeout
	s := openState(t, cfg, memory.Open(memory.Config{Partitions: 2}))
	d := startDeciders(t, s, 0, 1)
	d.goOn(200)
	older := snapshot(t, server)
	d.goOn(200)
	if err := server.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	until(t, "both partitions are found further back", func() bool { return d.backward.Load() >= 2 })
	d.goOn(1000)
	older()
	until(t, "both are again", func() bool { return d.backward.Load() >= 4 })
	d.goOn(1000)
	d.check(s, 0, 1)
}

// snapshot copies what the server holds, at one instant; restore gives it back.
func snapshot(t *testing.T, server *redistest.Server) (restore func()) {
	t.Helper()
	keys, err := server.Client().Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	pipe := server.Client().TxPipeline()
	for _, k := range keys {
		pipe.Dump(t.Context(), k)
	}
	dumped, err := pipe.Exec(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		pipe := server.Client().TxPipeline()
		pipe.FlushAll(t.Context())
		for i, cmd := range dumped {
			pipe.Restore(t.Context(), keys[i], 0, cmd.(interface{ Val() string }).Val())
		}
		if _, err := pipe.Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOlderData: an owner does not believe rows from before its own last commit.
func TestOlderData(t *testing.T) {
	server := redistest.Start(t)
	s := openState(t, testConfig(t, server.Addr()), memory.Open(memory.Config{Partitions: 1}))
	for _, read := range []func(userstate.Partition) error{
		func(p userstate.Partition) error {
			_, err := p.Load(t.Context(), userstate.Rows, []string{"u"})
			return err
		},
		func(p userstate.Partition) error {
			_, err := p.Due(t.Context(), 1<<60, 10)
			return err
		},
	} {
		p := take(t, s, 0)
		commit := func() {
			t.Helper()
			n := p.Next()
			if err := p.Commit(t.Context(), &userstate.Commit{Base: n, Next: n + 1, Rows: []userstate.Row{value("u", fmt.Sprint(n))}}); err != nil {
				t.Fatal(err)
			}
		}
		commit()
		older := snapshot(t, server)
		commit()
		if err := read(p); err != nil {
			t.Fatal(err)
		}
		older()
		if err := read(p); !errors.Is(err, userstate.ErrFenced) {
			t.Errorf("read from older data: %v", err)
		}
	}
}

// TestTwoOwners lets two processes fight for the same partitions.
func TestTwoOwners(t *testing.T) {
	server := redistest.Start(t)
	cfg := testConfig(t, server.Addr())
	db := memory.Open(memory.Config{Partitions: 2})
	one, other := openState(t, cfg, db), openState(t, cfg, db)
	d := startDeciders(t, one, 0, 1)
	d.goOn(20)
	d.add(other, 0)
	d.add(other, 1)
	until(t, "both were fenced many times", func() bool { return d.fenced.Load() >= 200 })
	d.goOn(200)
	d.check(openState(t, cfg, db), 0, 1)
}

// TestTwoOwnersUnchecked: the fight is one that a script without its checks loses.
func TestTwoOwnersUnchecked(t *testing.T) {
	server := redistest.Start(t)
	cfg := testConfig(t, server.Addr())
	db := memory.Open(memory.Config{Partitions: 1})
	one, other := openState(t, cfg, db), openState(t, cfg, db)
	const check = "if owner ~= ARGV[1] or tonumber(seq) + 1 ~= tonumber(ARGV[2]) or at ~= ARGV[3] then"
	if !strings.Contains(commitSource, check) {
		t.Fatal("the script has another check")
	}
	for _, s := range []*State{one, other} {
		s.commit = redis.NewScript(strings.Replace(commitSource, check, "if false then", 1))
	}
	d := startDeciders(t, one, 0)
	d.add(other, 0)
	d.goOn(500)
	if doubled, lost := d.compare(one, 0); doubled+lost == 0 {
		t.Error("nobody noticed")
	}
}

// lose throws answers away for a moment, and then cuts every connection: the server
// has done what nobody was told.
func lose(p *servertest.Proxy, d time.Duration) {
	p.Deafen()
	time.Sleep(d)
	p.Cut()
	p.Mend()
}

// TestNetworkCut loses answers, again and again, and then the whole way.
func TestNetworkCut(t *testing.T) {
	t.Parallel() // it waits most of the time
	server := redistest.Start(t)
	p := servertest.NewProxy(t, server.Addr())
	cfg := testConfig(t, p.Addr())
	cfg.Timeout = faultTimeout
	db := memory.Open(memory.Config{Partitions: 4})
	s := openState(t, cfg, db)
	d := startDeciders(t, s, 0, 1, 2, 3)
	r := rand.New(rand.NewPCG(3, 4))
	for range 40 {
		d.goOn(int64(1 + r.IntN(30)))
		lose(p, time.Duration(r.IntN(20))*time.Millisecond)
	}
	d.goOn(100)
	p.Cut()
	d.refuse(8)
	p.Mend()
	d.goOn(100)
	p.Deafen() // what is sent is done, and never answered
	d.refuse(8)
	p.Mend()
	d.goOn(100)
	d.check(openState(t, testConfig(t, server.Addr()), db), 0, 1, 2, 3)
}

// testSlotMoves moves a partition, and a shard of the inbox that somebody listens to,
// from node to node while they are used.
func testSlotMoves(t *testing.T, cfg Config, nodes []*redistest.Server) {
	s := openState(t, cfg, memory.Open(memory.Config{Partitions: 1}))
	gateway, engager := openInbox(t, cfg), openInbox(t, cfg)
	d := startDeciders(t, s, 0)
	d.goOn(50)
	wake, leave := gateway.Subscribe("u")
	defer leave()
	for i, to := range []*redistest.Server{nodes[0], nodes[1], nodes[2], nodes[0]} {
		redistest.MoveSlot(nodes, s.keys[0].head, to)
		redistest.MoveSlot(nodes, engager.seq(shardOf("u")), to)
		d.goOn(50)
		if fresh, err := engager.Put(t.Context(), inbox.Message{ID: fmt.Sprint(i), User: "u", Expires: 1}); err != nil || !fresh {
			t.Fatalf("put: %v, %v", fresh, err)
		}
		heard := time.NewTimer(patience)
		for seen := 0; seen <= i; {
			select {
			case <-wake:
			case <-heard.C:
				t.Fatal("not woken")
			}
			got, err := gateway.Pending(t.Context(), "u", 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			seen = len(got)
		}
		heard.Stop()
	}
	d.check(s, 0)
	if n := d.backward.Load(); n > 0 {
		t.Errorf("an acknowledged commit was missing %d times", n)
	}
}

// testNodeRestarts kills a node of the cluster: the partitions on the others go on.
func testNodeRestarts(t *testing.T, cfg Config, nodes []*redistest.Server) {
	cfg.Timeout = faultTimeout
	var all []int
	for p := range 8 {
		all = append(all, p)
	}
	s := openState(t, cfg, memory.Open(memory.Config{Partitions: 8}))
	d := startDeciders(t, s, all...)
	d.goOn(200)
	nodes[1].Kill()
	d.refuse(8)
	nodes[1].Restart()
	for _, n := range nodes {
		n.AwaitCluster(3)
	}
	d.goOn(200)
	d.check(s, all...)
	if n := d.backward.Load(); n > 0 {
		t.Errorf("an acknowledged commit was missing %d times", n)
	}
	for _, n := range nodes {
		if keys, err := n.Client().DBSize(t.Context()).Result(); err != nil || keys == 0 {
			t.Errorf("%d keys on %s, %v: every node should have some", keys, n.Addr(), err)
		}
	}
}

// TestReplicas: with replicas asked for, intents are not passed on before they have
// the commit.
func TestReplicas(t *testing.T) {
	t.Parallel() // it waits most of the time
	server := redistest.Start(t, "--appendfsync", "everysec")
	replica := server.Follow()
	cfg := testConfig(t, server.Addr())
	cfg.Replicas, cfg.Timeout = 1, faultTimeout
	db := memory.Open(memory.Config{Partitions: 1})
	s := openState(t, cfg, db)
	in := openInbox(t, cfg)
	d := startDeciders(t, s, 0)
	d.goOn(100)
	replica.Pause()
	d.refuse(2)
	before := len(intentsOf(t, db.Log(), 0))
	d.refuse(2)
	if got := len(intentsOf(t, db.Log(), 0)); got != before {
		t.Errorf("%d intents became known without a replica that has their commits", got-before)
	}
	if _, err := in.Put(t.Context(), inbox.Message{ID: "id", User: "u", Expires: 1}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("put without a replica: %v", err)
	}
	replica.Resume()
	d.goOn(100)
	if fresh, err := in.Put(t.Context(), inbox.Message{ID: "id", User: "u", Expires: 1}); err != nil || fresh {
		t.Errorf("put again: %v, %v: it was there", fresh, err)
	}
	d.check(s, 0)
}

// TestInboxFaults puts messages, again after errors, while the server is killed,
// stands still and loses answers: each acknowledged one is there, once.
func TestInboxFaults(t *testing.T) {
	t.Parallel() // it waits most of the time
	const writers = 4
	server := redistest.Start(t)
	p := servertest.NewProxy(t, server.Addr())
	cfg := testConfig(t, p.Addr())
	cfg.Timeout = faultTimeout
	engager, gateway := openInbox(t, cfg), openInbox(t, cfg)
	var acked, refused, fresh atomic.Int64
	var stopping atomic.Bool
	var working sync.WaitGroup
	user := func(w int) string { return fmt.Sprint("user", w) }
	puts := make([]int, writers)
	for w := range writers {
		working.Go(func() {
			for ; !stopping.Load(); puts[w]++ {
				m := inbox.Message{ID: fmt.Sprint(w, "/", puts[w]), User: user(w), HTML: "<b>x</b>", Expires: 1 << 60}
				for {
					ok, err := engager.Put(t.Context(), m)
					if ok {
						fresh.Add(1)
					}
					if err == nil {
						break
					}
					refused.Add(1)
				}
				acked.Add(1)
			}
		})
	}
	// The gateway looks only when it is woken.
	ctx, leave := context.WithCancel(t.Context())
	seen := make([]int, writers)
	var seenAll atomic.Int64
	var reading sync.WaitGroup
	for w := range writers {
		wake, cancel := gateway.Subscribe(user(w))
		reading.Go(func() {
			defer cancel()
			var after uint64
			for {
				select {
				case <-wake:
				case <-ctx.Done():
					return
				}
				got, err := gateway.Pending(ctx, user(w), after, 0)
				for err != nil && ctx.Err() == nil {
					got, err = gateway.Pending(ctx, user(w), after, 0)
				}
				for _, m := range got {
					if want := fmt.Sprint(w, "/", seen[w]); m.ID != want {
						t.Errorf("%s comes where %s is due", m.ID, want)
					}
					seen[w]++
					seenAll.Add(1)
					after = m.Seq
				}
			}
		})
	}
	stop := func() {
		stopping.Store(true)
		working.Wait()
		leave()
		reading.Wait()
	}
	t.Cleanup(stop)
	goOn := func(n int64) {
		n += acked.Load()
		until(t, "puts go on", func() bool { return acked.Load() >= n })
	}
	refuse := func(n int64) {
		n += refused.Load()
		until(t, "puts are refused", func() bool { return refused.Load() >= n })
	}
	goOn(100)
	server.Kill()
	refuse(writers)
	server.Restart()
	goOn(100)
	server.Pause()
	refuse(2 * writers)
	server.Resume()
	for range 10 {
		goOn(20)
		lose(p, 5*time.Millisecond)
	}
	goOn(100)
	stopping.Store(true)
	working.Wait()
	until(t, "the gateway sees all", func() bool { return seenAll.Load() >= acked.Load() })
	stop()
	lost, doubled := 0, 0
	for w, n := range puts {
		lost += max(0, n-seen[w])
		doubled += max(0, seen[w]-n)
	}
	doubled += int(max(0, fresh.Load()-acked.Load()))
	t.Logf("written %d, present %d, doubled %d, lost %d; refused %d, said to be new %d", acked.Load(), seenAll.Load(), doubled, lost, refused.Load(), fresh.Load())
	if lost > 0 || doubled > 0 {
		t.Error("doubled and lost must be 0")
	}
}
