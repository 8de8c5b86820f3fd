package redis

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"heed/internal/driver/memory"
	"heed/internal/driver/redis/redistest"
	"heed/internal/inbox"
)

// watchedConfig is for keys of the test's own, on servers that sentinels watch over.
func watchedConfig(t testing.TB, w *redistest.Watched) Config {
	cfg := testConfig(t)
	cfg.Sentinel = Sentinel{Master: redistest.MasterName, Addrs: w.Sentinels()}
	cfg.Timeout = faultTimeout
	return cfg
}

// TestFailedOver loses the server that leads: with all that it had, without its last
// writes, and so that it comes back and goes on as if it led. What was lost is decided
// again.
func TestFailedOver(t *testing.T) {
	t.Parallel() // it waits most of the time
	w := redistest.StartWatched(t, 1)
	all := []int{0, 1, 2, 3}
	s := openState(t, watchedConfig(t, w), memory.Open(memory.Config{Partitions: len(all)}))
	d := startDeciders(t, s, all...)
	d.goOn(200)

	first := w.Leader()
	first.Kill()
	w.AwaitOther(first)
	d.goOn(200)
	w.Rejoin(first)

	second := w.Leader()
	mend := w.Deafen()
	before := d.backward.Load()
	d.goOn(200) // these the other one will not have
	second.Kill()
	w.AwaitOther(second)
	mend()
	until(t, "partitions are found further back", func() bool { return d.backward.Load() > before })
	d.goOn(200)
	w.Rejoin(second)

	third := w.Leader()
	third.Pause()
	w.AwaitOther(third)
	d.goOn(200)
	third.Resume() // what was on its way to it is written there, by nobody's leave
	third.AwaitFollowing()
	d.goOn(200)
	d.check(s, all...)
}

// TestFailedOverInbox: with a replica waited for, no message that was put is lost with
// the server that leads.
func TestFailedOverInbox(t *testing.T) {
	t.Parallel() // it waits most of the time
	const writers = 4
	w := redistest.StartWatched(t, 2)
	cfg := watchedConfig(t, w)
	cfg.Replicas = 1
	engager, gateway := openInbox(t, cfg), openInbox(t, cfg)
	var acked atomic.Int64
	var stopping atomic.Bool
	var working sync.WaitGroup
	t.Cleanup(func() {
		stopping.Store(true)
		working.Wait()
	})
	puts := make([]int, writers)
	for i := range writers {
		working.Go(func() {
			for ; !stopping.Load(); puts[i]++ {
				m := inbox.Message{ID: fmt.Sprint(i, "/", puts[i]), User: fmt.Sprint("u", i), Expires: 1 << 60}
				for {
					if _, err := engager.Put(t.Context(), m); err == nil {
						break
					}
					if stopping.Load() {
						return
					}
				}
				acked.Add(1)
			}
		})
	}
	goOn := func(n int64) {
		t.Helper()
		n += acked.Load()
		until(t, "puts go on", func() bool { return acked.Load() >= n })
	}
	wake, leave := gateway.Subscribe("u0")
	defer leave()
	goOn(100)
	leader := w.Leader()
	leader.Kill()
	w.AwaitOther(leader)
	goOn(100)
	for len(wake) > 0 {
		<-wake
	}
	until(t, "the gateway hears of messages again", func() bool { return len(wake) > 0 })
	stopping.Store(true)
	working.Wait()
	present, lost, doubled := 0, 0, 0
	for i, n := range puts {
		got, err := gateway.Pending(t.Context(), fmt.Sprint("u", i), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		for _, m := range got {
			seen[m.ID]++
			doubled += min(1, seen[m.ID]-1)
		}
		for k := range n {
			lost += 1 - min(1, seen[fmt.Sprint(i, "/", k)])
		}
		present += len(seen)
	}
	t.Logf("acknowledged %d, present %d, doubled %d, lost %d", acked.Load(), present, doubled, lost)
	if lost > 0 || doubled > 0 {
		t.Error("doubled and lost must be 0")
	}
}

// sentinelCommands are what docs/format/redis.md tells an operator to allow.
var sentinelCommands = []any{
	"allchannels", "-@all", "+auth", "+hello", "+ping", "+client|setname", "+subscribe", "+sentinel|get-master-addr-by-name",
	"+sentinel|master", "+sentinel|replicas", "+sentinel|sentinels", "+sentinel|ckquorum",
}

// TestSentinels: what is wrong with them is said, and taken for no answer.
func TestSentinels(t *testing.T) {
	t.Parallel() // it waits most of the time
	w := redistest.StartWatched(t, 1)
	cfg := watchedConfig(t, w)
	w.SentinelsDo(append([]any{"acl", "setuser", "heed", "on", ">secret"}, sentinelCommands...)...)
	cfg.Sentinel.User, cfg.Sentinel.Password = "heed", "secret"
	in := openInbox(t, cfg)
	if fresh, err := in.Put(t.Context(), inbox.Message{ID: "id", User: "u", Expires: 1}); !fresh || err != nil {
		t.Fatalf("put: %v, %v", fresh, err)
	}

	other := cfg
	other.Sentinel.Master = "somebody"
	refused(t, tryInbox(t, other), "watch over no such master")
	other = cfg
	other.Sentinel.Password = "wrong"
	refused(t, tryInbox(t, other), "user or password is wrong")
	other = cfg
	other.Sentinel.Addrs = []string{"127.0.0.1:1"}
	refused(t, tryInbox(t, other), "sentinel 127.0.0.1:1", "connection refused")
	other.Sentinel.Addrs = append(other.Sentinel.Addrs, w.Sentinels()[0])
	if err := tryInbox(t, other); err != nil {
		t.Errorf("one of two sentinels answers: %v", err)
	}
	leader := w.Leader()
	leader.Set("maxmemory-policy", "allkeys-lru")
	refused(t, tryInbox(t, cfg), leader.Addr()+": maxmemory-policy")
	leader.Set("maxmemory-policy", "noeviction")

	// Nobody knows who leads: "no such key" would be a lie.
	w.SentinelsDo("sentinel", "remove", redistest.MasterName)
	leader.Kill()
	if fresh, err := in.Put(t.Context(), inbox.Message{ID: "another", User: "u", Expires: 1}); fresh || !errors.Is(err, ErrUnavailable) {
		t.Errorf("put: %v, %v, and nobody knows who leads", fresh, err)
	}
	if got, err := in.Pending(t.Context(), "u", 0, 0); !errors.Is(err, ErrUnavailable) {
		t.Errorf("pending: %v, %v, and nobody knows who leads", got, err)
	}
}
