package gateway

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"heed/internal/driver/kafka"
	"heed/internal/driver/kafka/kafkatest"
	"heed/internal/driver/pebble"
	"heed/internal/eventlog"
)

// BenchmarkCollectInto is the whole way of an event into a log, without the network
// to the client: what the process uses per million events, with calls of 20 events
// at a time. A Kafka broker's own work is not in it.
func BenchmarkCollectInto(b *testing.B) {
	b.Run("null", func(b *testing.B) { benchmarkInto(b, nullLog{}) })
	b.Run("pebble", func(b *testing.B) {
		db, err := pebble.Open(pebble.Config{Dir: b.TempDir()}, pebble.Deps{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = db.Close() })
		benchmarkInto(b, db.Log())
	})
	for _, compression := range []string{"none", "lz4", "zstd"} {
		b.Run("kafka-"+compression, func(b *testing.B) {
			c := kafkatest.Start(b, 1)
			log, err := kafka.Open(b.Context(), kafka.Config{
				Brokers: c.Addrs(), Partitions: 8, Replication: 1, Compression: compression,
			}, kafka.Deps{})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = log.Close() })
			benchmarkInto(b, log)
		})
	}
}

func benchmarkInto(b *testing.B, log eventlog.Log) {
	const clients, events = 64, 20
	g := benchGateway(b, log)
	var calls, failed atomic.Int64
	var wg sync.WaitGroup
	began := cpuSeconds(b)
	b.ResetTimer()
	for range clients {
		wg.Go(func() {
			payload := benchBody(events)
			do, s := repeat(collector{g, call{"batch", "b", true, 0}}, "/v1/batch", payload)
			for {
				n := calls.Add(1)
				if n > int64(b.N) {
					return
				}
				freshen(payload, n, events)
				if do(); s.status != http.StatusOK {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	if n := failed.Load(); n > 0 {
		b.Fatalf("%d of %d calls failed", n, b.N)
	}
	total := float64(b.N * events)
	b.ReportMetric((cpuSeconds(b)-began)/total*1e6, "cpu-s/Mevents")
	b.ReportMetric(total/b.Elapsed().Seconds(), "events/s")
}

// freshen gives the events of a payload of benchBody ids and users of their own.
func freshen(payload []byte, call int64, events int) {
	const idAt, userAt = len(`{"type":"track","event":"product_seen","messageId":"m`), len(`","userId":"u`) + 15
	for i := range events {
		at := len(`{"batch":[`) + i*(604+1) + idAt
		number := fmt.Appendf(nil, "%015d", call*int64(events)+int64(i))
		copy(payload[at:], number)
		copy(payload[at+userAt:], number)
	}
}

// cpuSeconds is what the process has used.
func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
