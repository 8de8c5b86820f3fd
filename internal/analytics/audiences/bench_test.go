package audiences

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"heed/internal/event"
	"heed/internal/journey"
)

// cpu is the processor time that the process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCycle looks at 20 audiences of 200,000 users (or a million, with
// HEED_SOAK) once each, after 100 of the users did something.
func BenchmarkCycle(b *testing.B) {
	b.Run("everybody", func(b *testing.B) { cycle(b, 60e6) })
	b.Run("who did something", func(b *testing.B) { cycle(b, 1e5) })
}

// cycle lets so much time pass (µs) before each round.
func cycle(b *testing.B, step int64) {
	w := newWorld(b, 8)
	r := rand.New(rand.NewPCG(1, 1))
	users := 200_000
	if os.Getenv("HEED_SOAK") != "" {
		users = 1_000_000
	}
	names := []string{"page", "page", "page", "view", "cart", "purchase"}
	id := func(i int) string { return fmt.Sprintf("%08x-4000-a000-%012x", uint32(i)*2654435761, i) }
	w.index.Write(func(to *journey.Writer) {
		for range 10 * users {
			e := event.Event{Name: names[r.IntN(len(names))], UserID: id(r.IntN(users)), Timestamp: begin - r.Int64N(90*day)}
			e.Context.Country = []string{"DE", "FR", "US"}[r.IntN(3)]
			to.Add(&e)
		}
	})
	var rules strings.Builder
	for i := range 5 {
		fmt.Fprintf(&rules, "kind: audience\nname: often%d\ndid: {event: purchase, min: %d}\n---\n", i, i+1)
		fmt.Fprintf(&rules, "kind: audience\nname: lately%d\ndid: {event: view, during: {last: %dd}}\n---\n", i, 7*(i+1))
		fmt.Fprintf(&rules, "kind: audience\nname: away%d\nall: [{did: {event: purchase}}, {did: {event: purchase, max: 0, during: {last: %dd}}}]\n---\n", i, 10*(i+1))
		fmt.Fprintf(&rules, "kind: audience\nname: stuck%d\nfunnel: {funnel: {steps: [{event: view}, {event: cart}, {event: purchase}], window: %dh}, level: 2, state: stuck, during: {last: 30d}}\n---\n", i, i+1)
	}
	w.define(rules.String())
	w.settle()
	var looks, work time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		b.StopTimer()
		w.now += step
		w.index.Write(func(to *journey.Writer) {
			for range 100 {
				e := event.Event{Name: names[r.IntN(len(names))], UserID: id(r.IntN(users)), Timestamp: w.now - 1}
				to.Add(&e)
			}
		})
		b.StartTimer()
		began, used := time.Now(), cpu(b)
		w.settle()
		looks += time.Since(began)
		work += cpu(b) - used
	}
	b.ReportMetric(looks.Seconds()*1e3/float64(b.N)/20, "ms/audience")
	b.ReportMetric(work.Seconds()*1e3/float64(b.N)/20, "cpu-ms/audience")
	members := int64(0)
	for _, a := range w.k.kept {
		members += a.head.Size
	}
	b.ReportMetric(float64(members)/20, "members/audience")
}
