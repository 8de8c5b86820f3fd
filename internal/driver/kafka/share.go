package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"heed/internal/eventlog"
)

// Deal implements share.Dealer by a consumer group for each role, which is used for
// nothing but the dealing: what is read, and from where, is for the work to know.
// A process that is silent for Config.Session loses its share; one that ends gives
// it back at once. Assignments are sticky and cooperative: what stays goes on
// meanwhile.
func (l *Log) Deal(ctx context.Context, role string, own func(partitions []int)) error {
	opts, err := l.cfg.conn().Options(l.logger)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	var mu sync.Mutex
	mine := make(map[int32]bool)
	change := func(there bool, partitions []int32) {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range partitions {
			if there {
				mine[p] = true
			} else {
				delete(mine, p)
			}
		}
		all := make([]int, 0, len(mine))
		for _, p := range slices.Sorted(maps.Keys(mine)) {
			all = append(all, int(p))
		}
		own(all)
	}
	topic := l.topics[eventlog.Events].name
	client, err := kgo.NewClient(append(opts,
		kgo.ConsumerGroup(l.cfg.Prefix+role), kgo.ConsumeTopics(topic), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(l.cfg.Session), kgo.HeartbeatInterval(l.cfg.Session/5), kgo.RebalanceTimeout(max(l.cfg.Session, 30*time.Second)),
		kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { change(true, p[topic]) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { change(false, p[topic]) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { change(false, p[topic]) }),
	)...)
	if err != nil {
		return fmt.Errorf("kafka: join the group of %s: %w", role, err)
	}
	client.PauseFetchTopics(topic)
	select {
	case <-ctx.Done():
	case <-l.closed:
	}
	client.Close() // gives back what is ours
	if ctx.Err() == nil {
		return eventlog.ErrClosed
	}
	return nil
}
