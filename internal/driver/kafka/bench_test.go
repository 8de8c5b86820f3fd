package kafka

import (
	"strings"
	"sync"
	"testing"

	"heed/internal/driver/kafka/kafkatest"
	"heed/internal/eventlog"
	"heed/internal/eventlog/eventlogtest"
)

// BenchmarkRead reads a partition from its beginning: 200,000 events of 604 bytes in
// records of 20. Appending is measured with the collector, in package gateway.
func BenchmarkRead(b *testing.B) {
	const appenders, batches, events = 64, 10_000, 20
	c := kafkatest.Start(b, 1)
	l := open(b, testConfig(b, c))
	bodies := make([]string, events)
	for i := range bodies {
		bodies[i] = strings.Repeat("0123456789abcdef", 38)[:604]
	}
	var wg sync.WaitGroup
	for range appenders {
		wg.Go(func() {
			for range batches / appenders {
				if err := l.Append(b.Context(), eventlog.Events, []*eventlog.Batch{eventlogtest.MakeBatch(0, bodies...)}); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	end, err := l.Bounds(b.Context(), eventlog.Events, 0)
	if err != nil {
		b.Fatal(err)
	}
	read := 0
	for b.Loop() {
		r, err := l.Read(b.Context(), eventlog.Events, 0, end.First)
		if err != nil {
			b.Fatal(err)
		}
		for next := end.First; next < end.Next; {
			chunk, err := r.Next(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			read += chunk.Count
			next = chunk.Next()
		}
		_ = r.Close()
	}
	b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "events/s")
}
