package redis

import (
	"fmt"
	"strconv"
	"sync"
	"testing"

	"heed/internal/driver/memory"
	"heed/internal/driver/redis/redistest"
	"heed/internal/event"
	"heed/internal/userstate"
)

// batchOf is a commit of n users' rows of 64 bytes, each with a timer.
func batchOf(base uint64, first, n int) userstate.Commit {
	c := userstate.Commit{Base: base, Next: base + uint64(n)}
	for i := range n {
		user := fmt.Sprintf("customer-%08d", first+i)
		c.Rows = append(c.Rows, userstate.Row{Kind: userstate.Rows, User: user, Value: fmt.Appendf(nil, "%064d", i)})
		c.Set = append(c.Set, userstate.Timer{Deadline: int64(base) + int64(i), User: user})
	}
	return c
}

// BenchmarkCommit commits batches of 256 users on two partitions at once.
func BenchmarkCommit(b *testing.B) {
	const partitions, batch, known = 2, 256, 100_000
	for _, fsync := range []string{"everysec", "always"} {
		for _, intents := range []int{0, 8} {
			b.Run(fmt.Sprintf("%s/%d_intents", fsync, intents), func(b *testing.B) {
				server := redistest.Start(b, "--appendfsync", fsync)
				s := openState(b, testConfig(b, server.Addr()), memory.Open(memory.Config{Partitions: partitions}))
				var owners []*owner
				for p := range partitions {
					owners = append(owners, take(b, s, p))
				}
				before := ask(b, server, "used_cpu_user") + ask(b, server, "used_cpu_sys")
				b.ResetTimer()
				var working sync.WaitGroup
				for p, o := range owners {
					working.Go(func() {
						for n := range b.N {
							c := batchOf(o.Next(), (n*batch+p*known)%known, batch)
							for i := range intents {
								c.Intents = append(c.Intents, event.Intent{FireID: fmt.Sprint(n, i), User: c.Rows[i].User, Trigger: "three-wins"})
							}
							if err := o.Commit(b.Context(), &c); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				working.Wait()
				rows := float64(b.N * partitions * batch)
				b.ReportMetric(rows/b.Elapsed().Seconds(), "rows/s")
				used := ask(b, server, "used_cpu_user") + ask(b, server, "used_cpu_sys") - before
				b.ReportMetric(used/rows*1e6, "redis-CPU-s/M")
			})
		}
	}
}

// ask asks a server for a number of its INFO.
func ask(b *testing.B, server *redistest.Server, name string) float64 {
	b.Helper()
	said, err := infoOf(b.Context(), server.Client())
	var n float64
	if err == nil {
		n, err = strconv.ParseFloat(said[name], 64)
	}
	if err != nil {
		b.Fatalf("%s: %v", name, err)
	}
	return n
}

// BenchmarkLoad loads the rows of 256 users at once.
func BenchmarkLoad(b *testing.B) {
	const batch, known = 256, 100_000
	server := redistest.Start(b, "--appendfsync", "everysec")
	s := openState(b, testConfig(b, server.Addr()), memory.Open(memory.Config{Partitions: 1}))
	o := fill(b, s, known)
	users := make([]string, batch)
	n := 0
	for b.Loop() {
		for i := range users {
			users[i] = fmt.Sprintf("customer-%08d", (n*7919+i*31)%known)
		}
		n++
		if _, err := o.Load(b.Context(), userstate.Rows, users); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n*batch)/b.Elapsed().Seconds(), "rows/s")
}

func fill(b *testing.B, s *State, rows int) *owner {
	b.Helper()
	o := take(b, s, 0)
	for first := 0; first < rows; first += 1000 {
		c := batchOf(o.Next(), first, 1000)
		if err := o.Commit(b.Context(), &c); err != nil {
			b.Fatal(err)
		}
	}
	return o
}

// BenchmarkMemory tells the bytes of Redis's memory for an active row: 100,000 users
// with ids of 17 bytes, rows of 64 bytes and a timer each.
func BenchmarkMemory(b *testing.B) {
	const rows = 100_000
	for b.Loop() {
		server := redistest.Start(b, "--appendfsync", "everysec")
		s := openState(b, testConfig(b, server.Addr()), memory.Open(memory.Config{Partitions: 1}))
		before := ask(b, server, "used_memory")
		fill(b, s, rows)
		b.ReportMetric((ask(b, server, "used_memory")-before)/rows, "B/row-all")
		for name, key := range map[string]string{
			"values": s.keys[0].values(userstate.Rows), "users": s.keys[0].users(userstate.Rows), "timers": s.keys[0].timers,
		} {
			n, err := server.Client().MemoryUsage(b.Context(), key, 0).Result()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(n)/rows, "B/row-"+name)
		}
	}
}
