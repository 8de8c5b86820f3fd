package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"heed/internal/driver/kafka/kafkatest"
	"heed/internal/eventlog"
	"heed/internal/eventlog/eventlogtest"
)

// patience bounds what should happen soon, on a slow machine.
const patience = 2 * time.Minute

// load is clients that append events with ids of their own, and again what was not
// acknowledged, and readers that follow.
type load struct {
	t        *testing.T
	log      *Log
	stopping atomic.Bool
	clients  sync.WaitGroup
	readers  sync.WaitGroup
	leave    context.CancelFunc // for the readers

	acked, refused atomic.Int64
	mu             sync.Mutex
	acks           []string
	seen           map[string]int // by readers
}

const loadClients = 8

func startLoad(t *testing.T, l *Log) *load {
	ctx, cancel := context.WithCancel(t.Context())
	w := &load{t: t, log: l, leave: cancel, seen: make(map[string]int)}
	for i := range loadClients {
		w.clients.Go(func() { w.client(i) })
	}
	for p := range l.Partitions() {
		w.readers.Go(func() { w.reader(ctx, p) })
	}
	t.Cleanup(func() {
		w.stopping.Store(true)
		w.clients.Wait()
		cancel()
		w.readers.Wait()
	})
	return w
}

func (w *load) client(number int) {
	for i := 0; !w.stopping.Load(); i++ {
		var ids []string
		for n := range 1 + i%7 {
			ids = append(ids, fmt.Sprintf("%d/%d/%d", number, i, n))
		}
		batch := eventlogtest.MakeBatch((number+i)%w.log.Partitions(), ids...)
		for {
			err := w.log.Append(w.t.Context(), eventlog.Events, []*eventlog.Batch{batch})
			if err == nil {
				break
			}
			if !errors.Is(err, eventlog.ErrUnavailable) {
				w.t.Errorf("append: %v", err)
				return
			}
			w.refused.Add(1)
			if w.stopping.Load() {
				return
			}
		}
		w.mu.Lock()
		w.acks = append(w.acks, ids...)
		w.mu.Unlock()
		w.acked.Add(int64(len(ids)))
	}
}

func (w *load) reader(ctx context.Context, partition int) {
	r, err := w.log.Read(ctx, eventlog.Events, partition, 0)
	if err != nil {
		w.t.Errorf("read: %v", err)
		return
	}
	defer func() { _ = r.Close() }()
	var next uint64
	for {
		c, err := r.Next(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.t.Errorf("next at %d: %v", next, err)
			return
		}
		if c.Base < next {
			w.t.Errorf("partition %d: [%d, %d) comes behind %d", partition, c.Base, c.Next(), next)
		}
		next = c.Next()
		ids, err := eventlogtest.Bodies(c.Data)
		if err != nil || len(ids) != c.Count {
			w.t.Errorf("%d events of %d, %v", len(ids), c.Count, err)
		}
		w.mu.Lock()
		for _, id := range ids {
			w.seen[id]++
		}
		w.mu.Unlock()
	}
}

// until waits for something that the load brings about.
func (w *load) until(what string, done func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) || w.t.Failed() {
			w.t.Fatalf("%s: not after %d acknowledged, %d refused", what, w.acked.Load(), w.refused.Load())
		}
	}
}

// untilAcked waits until n more events were acknowledged.
func (w *load) untilAcked(n int64) {
	w.t.Helper()
	n += w.acked.Load()
	w.until("appends go on", func() bool { return w.acked.Load() >= n })
}

// untilRefused waits until n more appends were refused.
func (w *load) untilRefused(n int64) {
	w.t.Helper()
	n += w.refused.Load()
	w.until("appends are refused", func() bool { return w.refused.Load() >= n })
}

// finish stops the load and compares what was acknowledged with what is in the
// log, as a client that knows nothing of the driver reads it.
func (w *load) finish() {
	w.t.Helper()
	w.stopping.Store(true)
	w.clients.Wait()
	present := contents(w.t, w.log.cfg.Brokers, w.log.topics[eventlog.Events].name)
	repeats, lost, unseen := 0, 0, 0
	for _, n := range present {
		repeats += n - 1
	}
	w.until("readers see what is in the log", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.seen) >= len(present)
	})
	w.leave()
	w.readers.Wait()
	for _, id := range w.acks {
		if present[id] == 0 {
			lost++
		}
		if w.seen[id] == 0 {
			unseen++
		}
	}
	for id, n := range present {
		if w.seen[id] != n {
			w.t.Errorf("%s is %d times in the log, readers saw it %d times", id, n, w.seen[id])
		}
	}
	w.t.Logf("acknowledged %d, present %d, repeats %d, appends refused %d, lost %d, unseen %d",
		len(w.acks), len(present), repeats, w.refused.Load(), lost, unseen)
	if lost > 0 || unseen > 0 {
		w.t.Errorf("%d acknowledged events are lost, %d were not seen", lost, unseen)
	}
}

// contents counts the events of a topic by their ids.
func contents(t *testing.T, brokers []string, topic string) map[string]int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	out := make(map[string]int)
	for left > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			left--
			ids, err := eventlogtest.Bodies(r.Value)
			if err != nil {
				t.Errorf("record %d of %d: %v", r.Offset, r.Partition, err)
			}
			for _, id := range ids {
				out[id]++
			}
		})
	}
	return out
}

// testRestarts kills the only broker and starts it again, and lets it stand still.
func testRestarts(t *testing.T, c *kafkatest.Cluster) {
	cfg := testConfig(t, c)
	cfg.Timeout = time.Second // refuse soon
	w := startLoad(t, open(t, cfg))
	w.untilAcked(2000)
	c.Kill(0)
	w.untilRefused(2 * loadClients)
	c.Restart(0)
	w.untilAcked(2000)
	c.Kill(0)
	c.Restart(0)
	w.untilAcked(2000)
	c.Pause(0)
	w.untilRefused(2 * loadClients)
	c.Resume(0)
	w.untilAcked(2000)
	w.finish()
}

// TestThreeBrokers kills leaders: the others go on with what was acknowledged. With
// too few in sync nothing is.
func TestThreeBrokers(t *testing.T) {
	c := kafkatest.Start(t, 3)
	cfg := testConfig(t, c)
	cfg.Replication, cfg.Timeout = 3, time.Second
	l := open(t, cfg)
	w := startLoad(t, l)
	leader := func() int {
		t.Helper()
		var at int32
		w.until("partition 0 has a leader, all are in sync", func() bool {
			meta, err := l.admin.Metadata(t.Context(), l.topics[eventlog.Events].name)
			if err != nil {
				return false
			}
			inSync := true
			for _, p := range meta.Topics[l.topics[eventlog.Events].name].Partitions {
				inSync = inSync && len(p.ISR) == 3 && p.Leader > 0
				if p.Partition == 0 {
					at = p.Leader
				}
			}
			return inSync
		})
		return int(at) - 1
	}
	w.untilAcked(2000)
	killed := leader()
	c.Kill(killed)
	w.until("another one leads partition 0", func() bool {
		l.refresh(t.Context())
		broker, _, ok := l.topics[eventlog.Events].partitions[0].leader()
		return ok && int(broker)-1 != killed
	})
	w.untilAcked(2000)
	c.Restart(killed)
	first := leader()
	second := (first + 1) % 3
	c.Kill(first)
	c.Kill(second)
	w.untilRefused(3 * loadClients) // what was under way has its answer
	before := w.acked.Load()
	w.untilRefused(2 * loadClients)
	if got := w.acked.Load(); got != before {
		t.Errorf("%d events were acknowledged by one broker of three", got-before)
	}
	// Both at once: one alone has no majority of controllers to come back to.
	c.Restart(first, second)
	w.untilAcked(2000)
	w.finish()
}
