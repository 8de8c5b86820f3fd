package journey_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"heed/internal/event"
	"heed/internal/journey"
	"heed/internal/measure"
	"heed/internal/period"
)

// The past that is measured: users 1 M, events 10 M, or 50 M with HEED_SOAK.
const benchUsers = 1_000_000

func benchEvents() int {
	if os.Getenv("HEED_SOAK") != "" {
		return 50_000_000
	}
	return 10_000_000
}

var benchNow = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC).UnixMicro()

// benchIndex is made once: 13 months in order of time. Some users are here
// every day, most seldom; they come in sessions.
var benchIndex = sync.OnceValue(func() *journey.Index {
	x, err := journey.New(journey.Config{})
	if err != nil {
		panic(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	ids := make([]string, benchUsers)
	for i := range ids {
		ids[i] = fmt.Sprintf("%08x-%04x-4000-a000-%012x", r.Uint32(), i&0xffff, i)
	}
	names := []string{"page", "page", "page", "product_view", "product_view", "scroll", "hover", "search", "click_event1", "click_event1", "custom_event2", "add_to_cart"}
	countries, devices := []string{"DE", "GB", "FR", "NL", "US", "ES", "IT", "BE", "PL", "SE"}, []string{"mobile", "desktop", "tablet"}
	events := benchEvents()
	length := int64(395 * 24 * time.Hour / time.Microsecond)
	const session = 6
	end := benchNow - session*4*60e6 // when the last session begins: nothing happens after now
	var before, m runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	for done := 0; done < events; {
		x.Write(func(w *journey.Writer) {
			for range min(events-done, 1000*session) / session {
				u := int(float64(benchUsers) * r.Float64() * r.Float64())
				at := end - length + int64(float64(length)*float64(done)/float64(events))
				for i := range session {
					e := event.Event{Name: names[r.IntN(len(names))], UserID: ids[u], Timestamp: at}
					if i == 0 {
						e.Name = "session_start"
					}
					e.Context.Country, e.Context.Device = countries[u%len(countries)], devices[u%len(devices)]
					w.Add(&e)
					at += 1 + r.Int64N(4*60e6)
				}
			}
		})
		done += 1000 * session
	}
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&m)
	s := x.Stats()
	fmt.Printf("index: %d users, %d events, %.0f MB by its own account, %.0f MB live heap in all (goal 1200), added in %.2f µs each; %.0f bytes allocated for each, %.0f MB from the system\n",
		s.Users, s.Events, float64(s.Bytes)/1e6, float64(m.HeapAlloc)/1e6, took.Seconds()*1e6/float64(s.Events), float64(m.TotalAlloc-before.TotalAlloc)/float64(s.Events), float64(m.Sys)/1e6)
	return x
})

func BenchmarkMeasures(b *testing.B) {
	hour := period.Period(time.Hour)
	steps := []measure.Step{{Event: "session_start"}, {Event: "click_event1"}, {Event: "custom_event2"}}
	engagement := measure.Engagement()
	did := func(name string, r measure.Range) *measure.Audience {
		return &measure.Audience{Did: &measure.Did{Event: name, During: r}}
	}
	week, quarter := measure.Range{Last: "7d"}, measure.Range{Last: "90d"}
	stuck := &measure.Audience{Funnel: &measure.InFunnel{Funnel: measure.Funnel{Steps: steps, Window: hour}, Level: 2, State: measure.Stuck}}
	medium := "medium-high"
	walk := &measure.Audience{All: []measure.Audience{{Is: &measure.Is{Dimension: engagement, Values: []*string{&medium}}}, *stuck}}
	for _, bench := range []struct {
		name string
		goal time.Duration
		q    measure.Query
	}{
		{"audience count, did in 7 days", 10 * time.Millisecond, measure.Query{Audience: did("custom_event2", week), Users: &measure.Users{}}},
		{"audience count, did ever", 10 * time.Millisecond, measure.Query{Audience: did("custom_event2", measure.Range{}), Users: &measure.Users{}}},
		{"audience ids, first 1000", 50 * time.Millisecond, measure.Query{Audience: did("custom_event2", week), Users: &measure.Users{Limit: 1000}}},
		{"audience of two and a place", 50 * time.Millisecond, measure.Query{Audience: &measure.Audience{All: []measure.Audience{*did("custom_event2", week), {Not: did("add_to_cart", week)}}}, Users: &measure.Users{Limit: 100}}},
		{"funnel, 3 steps, 1 h, all time", 150 * time.Millisecond, measure.Query{Funnel: &measure.Funnel{Steps: steps, Window: hour}}},
		{"funnel, 3 steps, 1 h, 90 days, by country", 150 * time.Millisecond, measure.Query{Range: quarter, Funnel: &measure.Funnel{Steps: steps, Window: hour, Top: 10, By: &measure.Dimension{Field: "user.country"}}}},
		{"stuck at level 2, ids", 150 * time.Millisecond, measure.Query{Audience: stuck, Users: &measure.Users{Limit: 1000}}},
		{"walk 1, its last count", 500 * time.Millisecond, measure.Query{Zone: "Europe/Berlin", Audience: walk, Users: &measure.Users{}}},
		{"users by engagement", 150 * time.Millisecond, measure.Query{Zone: "Europe/Berlin", Breakdown: &measure.Breakdown{Count: measure.CountUsers, By: []measure.Dimension{engagement}, Top: 10}}},
		{"users by acquisition month", 100 * time.Millisecond, measure.Query{Zone: "Europe/Berlin", Breakdown: &measure.Breakdown{Count: measure.CountUsers, By: []measure.Dimension{{Field: "acquisition.month"}}, Top: 20}}},
		{"distinct users by country", 100 * time.Millisecond, measure.Query{Breakdown: &measure.Breakdown{Of: &measure.Match{Event: "click_event1"}, Count: measure.CountUsers, By: []measure.Dimension{{Field: "user.country"}}, Top: 20}}},
		{"distinct users of all events by country", 100 * time.Millisecond, measure.Query{Breakdown: &measure.Breakdown{Of: &measure.Match{}, Count: measure.CountUsers, By: []measure.Dimension{{Field: "user.country"}}, Top: 20}}},
		{"the same, 90 days", 100 * time.Millisecond, measure.Query{Range: quarter, Breakdown: &measure.Breakdown{Of: &measure.Match{}, Count: measure.CountUsers, By: []measure.Dimension{{Field: "user.country"}}, Top: 20}}},
		{"one event by country", 100 * time.Millisecond, measure.Query{Range: quarter, Breakdown: &measure.Breakdown{Of: &measure.Match{Event: "click_event1"}, Count: measure.CountEvents, By: []measure.Dimension{{Field: "user.country"}}, Top: 20}}},
		{"retention, 12 weeks", 500 * time.Millisecond, measure.Query{Range: measure.Range{Last: "12w"}, Retention: &measure.Retention{Per: measure.Week, Periods: 12}}},
		{"paths, depth 5", 500 * time.Millisecond, measure.Query{Range: measure.Range{Last: "28d"}, Paths: &measure.Paths{From: measure.Match{Event: "session_start"}, Depth: 5, Window: hour, Top: 10}}},
		{"active users a day, 90 days", 500 * time.Millisecond, measure.Query{Range: quarter, Series: &measure.Series{Of: []measure.Match{{}}, Count: measure.CountUsers, Per: measure.Day}}},
		{"sessions, 7 days", 500 * time.Millisecond, measure.Query{Range: week, Sessions: &measure.Sessions{Per: measure.Day}}},
		{"sessions, all time", 500 * time.Millisecond, measure.Query{Sessions: &measure.Sessions{}}},
		{"live", 100 * time.Millisecond, measure.Query{Live: &measure.Live{Minutes: 30, Top: 10}}},
		{"sessions, 28 days", 500 * time.Millisecond, measure.Query{Range: measure.Range{Last: "28d"}, Sessions: &measure.Sessions{Per: measure.Day}}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			x := benchIndex()
			b.ReportAllocs()
			best, busy := time.Hour, cpu()
			for b.Loop() {
				began := time.Now()
				_, supported, err := x.Evaluate(context.Background(), &bench.q, benchNow)
				if err != nil || !supported {
					b.Fatal(supported, err)
				}
				best = min(best, time.Since(began))
			}
			b.ReportMetric(float64(bench.goal.Microseconds())/1000, "goal-ms")
			b.ReportMetric(float64(best.Microseconds())/1000, "best-ms")
			b.ReportMetric(float64((cpu()-busy).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	var snapshot bytes.Buffer
	b.Run("save", func(b *testing.B) {
		x, busy := benchIndex(), cpu()
		b.ReportAllocs()
		for b.Loop() {
			snapshot.Reset()
			if err := x.Save(context.Background(), &snapshot); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64((cpu()-busy).Milliseconds())/float64(b.N), "cpu-ms/op")
		b.ReportMetric(float64(snapshot.Len())/1e6, "MB")
	})
	b.Run("load", func(b *testing.B) {
		busy := cpu()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := journey.Load(context.Background(), journey.Config{}, bytes.NewReader(snapshot.Bytes()), nil); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64((cpu()-busy).Milliseconds())/float64(b.N), "cpu-ms/op")
	})
}

// cpu is what the process has used so far: on a busy machine, wall time says
// little.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkAdd(b *testing.B) {
	x, err := journey.New(journey.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		x.Write(func(w *journey.Writer) {
			w.Add(&event.Event{Name: "page", UserID: "user-" + strconv.Itoa(i*7919%100_000), Timestamp: benchNow + int64(i)*1000})
		})
		i++
	}
}
