package audiences

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"heed/internal/console/api"
	"heed/internal/event"
	"heed/internal/eventlog"
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

// shop is a world of 200,000 users (or a million, with HEED_SOAK) with 20 audiences, and
// two that only probes change; everybody was asked about all of them. act lets some users do something.
func shop(b *testing.B) (w *world, act func(n int), id func(i int) string) {
	w = newWorld(b, 8)
	r := rand.New(rand.NewPCG(1, 1))
	users := 200_000
	if os.Getenv("HEED_SOAK") != "" {
		users = 1_000_000
	}
	names := []string{"page", "page", "page", "view", "cart", "purchase"}
	id = func(i int) string { return fmt.Sprintf("%08x-4000-a000-%012x", uint32(i)*2654435761, i) }
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
	rules.WriteString("kind: audience\nname: probed\ndid: {event: probe}\n---\nkind: audience\nname: spared\nall: [{did: {event: page}}, {did: {event: probe, max: 0}}]\n")
	w.define(rules.String())
	w.settle()
	return w, func(n int) {
		w.index.Write(func(to *journey.Writer) {
			for range n {
				e := event.Event{Name: names[r.IntN(len(names))], UserID: id(r.IntN(users)), Timestamp: w.clock().UnixMicro() - 1}
				to.Add(&e)
			}
		})
	}, id
}

// cycle lets so much time pass (µs) before each round.
func cycle(b *testing.B, step int64) {
	w, act, _ := shop(b)
	var looks, work time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		b.StopTimer()
		w.now += step
		act(100)
		b.StartTimer()
		began, used := time.Now(), cpu(b)
		w.settle()
		looks += time.Since(began)
		work += cpu(b) - used
	}
	b.ReportMetric(looks.Seconds()*1e3/float64(b.N)/float64(len(w.k.kept)), "ms/audience")
	b.ReportMetric(work.Seconds()*1e3/float64(b.N)/float64(len(w.k.kept)), "cpu-ms/audience")
	members := int64(0)
	for _, a := range w.k.kept {
		members += a.head.Size
	}
	b.ReportMetric(float64(members)/float64(len(w.k.kept)), "members/audience")
}

// BenchmarkTold is how long it takes from an event in the index until the log says that
// its user has entered an audience and left another one, while all are kept by the clock and
// a thousand users a second do what they ask for. Seconds of the slowest are what counts.
func BenchmarkTold(b *testing.B) {
	w, act, id := shop(b)
	told := make(chan string, 1000)
	for p := range w.db.Log().Partitions() {
		go func() { w.listen(b.Context(), p, told) }()
	}
	defer w.run()()
	started := time.Now()
	for ready := false; !ready; time.Sleep(100 * time.Millisecond) { // all were looked at
		list, err := w.k.Audiences(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		ready = !slices.ContainsFunc(list, func(a api.Audience) bool { return a.AsOf.Before(started) })
	}
	b.ReportMetric(time.Since(started).Seconds(), "s-start")
	go func() {
		for b.Context().Err() == nil {
			act(100)
			time.Sleep(100 * time.Millisecond)
		}
	}()
	var took []int64 // µs
	for i := 0; b.Loop(); i++ {
		time.Sleep(time.Duration(i%10) * 20 * time.Millisecond) // at any time of a look
		began := time.Now()
		w.index.Write(func(to *journey.Writer) {
			to.Add(&event.Event{Name: "probe", UserID: id(i), Timestamp: began.UnixMicro()})
		})
		for left := 2; left > 0; {
			if what := <-told; strings.HasSuffix(what, id(i)) {
				left--
			}
		}
		took = append(took, time.Since(began).Microseconds())
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e6, "s-p50")
	b.ReportMetric(float64(took[len(took)*99/100])/1e6, "s-p99")
	b.ReportMetric(float64(took[len(took)-1])/1e6, "s-slowest")
}

// listen tells who entered "probed" and who left "spared", as the log has it.
func (w *world) listen(ctx context.Context, partition int, told chan<- string) {
	bounds, err := w.db.Log().Bounds(ctx, eventlog.Events, partition)
	if err != nil {
		return
	}
	r, err := w.db.Log().Read(ctx, eventlog.Events, partition, bounds.Next)
	if err != nil {
		return
	}
	for c, err := r.Next(ctx); err == nil; c, err = r.Next(ctx) {
		d, e := event.NewDecoder(c.Data), event.Event{}
		for ok, err := d.Next(&e); ok && err == nil; ok, err = d.Next(&e) {
			what := e.Name + string(e.Properties)
			if strings.HasPrefix(what, event.NameAudienceEntered) && strings.Contains(what, "probed") ||
				strings.HasPrefix(what, event.NameAudienceLeft) && strings.Contains(what, "spared") {
				told <- what + e.User()
			}
		}
	}
}
