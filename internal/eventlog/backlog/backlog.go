// Package backlog owns how far a reader of the log is behind: for how long the
// oldest record that it has not handled has waited. Offsets do not tell that, nor
// how many events wait: they have gaps where many events share a record.
//
// It does not own where readers stand, nor from when on one is too far behind.
package backlog

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"heed/internal/eventlog"
)

// Reader is a reader of the log as others see it.
type Reader struct {
	Log    eventlog.Log
	Stream eventlog.Stream
	// Next is the first offset of each partition that is not handled. Partitions
	// that are another process's, and those of which it is not known yet, are left out.
	Next  func(ctx context.Context) (map[int]uint64, error)
	Clock func() time.Time
}

// atOnce is how many partitions are asked for at the same time.
const atOnce = 16

// Behind tells for each partition how long its oldest record that is not handled
// has waited, by this machine's clock; 0: none waits. Beside an error it tells what
// it knows. It may be called concurrently; ctx bounds how long the log is asked.
func (r *Reader) Behind(ctx context.Context) (map[int]time.Duration, error) {
	next, err := r.Next(ctx)
	if err != nil {
		return nil, fmt.Errorf("how far %s was read: %w", r.Stream, err)
	}
	var (
		mu    sync.Mutex
		out   = make(map[int]time.Duration, len(next))
		group errgroup.Group
	)
	group.SetLimit(atOnce)
	var first error
	for p, offset := range next {
		group.Go(func() error {
			behind, err := r.partition(ctx, p, offset)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				if first == nil {
					first = err
				}
				return nil // the others are told of
			}
			out[p] = behind
			return nil
		})
	}
	_ = group.Wait() // always nil
	if first != nil {
		first = fmt.Errorf("how far %d of %d partitions of %s were read: %w", len(next)-len(out), len(next), r.Stream, first)
	}
	return out, first
}

func (r *Reader) partition(ctx context.Context, p int, next uint64) (time.Duration, error) {
	bounds, err := r.Log.Bounds(ctx, r.Stream, p)
	if err != nil || next >= bounds.Next {
		return 0, err
	}
	reader, err := eventlog.Peek(ctx, r.Log, r.Stream, p, max(next, bounds.First))
	if err != nil {
		return 0, err
	}
	defer func() { _ = reader.Close() }() // nothing was written
	oldest, err := reader.Next(ctx)
	if err != nil {
		return 0, err
	}
	// Clocks that differ must not make it look as if nothing waits.
	return max(time.Microsecond, time.Duration(r.Clock().UnixMicro()-oldest.Appended)*time.Microsecond), nil
}

// Metric is heed_<name>_behind_seconds{partition}. Partitions of which it is not
// known are left out.
func (r *Reader) Metric(name string) prometheus.Collector {
	return &metric{r, prometheus.NewDesc("heed_"+name+"_behind_seconds",
		"How long the oldest record of a partition of the log that is not handled yet has waited.", []string{"partition"}, nil)}
}

// metric is read when it is asked for.
type metric struct {
	r    *Reader
	desc *prometheus.Desc
}

// askTimeout bounds what a scrape may wait for the log.
const askTimeout = 5 * time.Second

// Describe implements prometheus.Collector.
func (m *metric) Describe(ch chan<- *prometheus.Desc) { ch <- m.desc }

// Collect implements prometheus.Collector.
func (m *metric) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	behind, _ := m.r.Behind(ctx) // the other metrics stand
	for p, d := range behind {
		ch <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, d.Seconds(), strconv.Itoa(p))
	}
}
