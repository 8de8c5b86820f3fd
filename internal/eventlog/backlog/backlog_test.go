package backlog_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"heed/internal/driver/memory"
	"heed/internal/eventlog"
	"heed/internal/eventlog/backlog"
	"heed/internal/eventlog/eventlogtest"
)

// TestBehind: what counts is how long the oldest record waits, however the log
// numbers events.
func TestBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{Partitions: 3})
		defer func() { _ = db.Close() }()
		db.SetHostile(memory.Hostile{Gap: 1}) // offsets are no numbers of events
		next := map[int]uint64{}
		r := &backlog.Reader{
			Log: db.Log(), Stream: eventlog.Events, Clock: time.Now,
			Next: func(context.Context) (map[int]uint64, error) { return next, nil },
		}
		f := func(want map[int]time.Duration) {
			t.Helper()
			got, err := r.Behind(t.Context())
			for p := range got { // log time may run ahead of the clock by some µs
				got[p] = got[p].Round(time.Second)
			}
			if err != nil || !maps.Equal(got, want) {
				t.Errorf("%v, %v, want %v", got, err, want)
			}
		}
		add := func(p int, name string) uint64 {
			t.Helper()
			b := eventlogtest.MakeBatch(p, name)
			if err := db.Log().Append(t.Context(), eventlog.Events, []*eventlog.Batch{b}); err != nil {
				t.Fatal(err)
			}
			return b.Base
		}
		f(map[int]time.Duration{})
		next[0], next[1] = 0, 0 // partition 2 is another process's
		f(map[int]time.Duration{0: 0, 1: 0})
		add(0, "a")
		time.Sleep(10 * time.Second)
		second := add(0, "b")
		add(1, "c")
		add(2, "d")
		time.Sleep(20 * time.Second)
		f(map[int]time.Duration{0: 30 * time.Second, 1: 20 * time.Second})
		next[0] = second
		f(map[int]time.Duration{0: 20 * time.Second, 1: 20 * time.Second})
		bounds, err := db.Log().Bounds(t.Context(), eventlog.Events, 0)
		if err != nil {
			t.Fatal(err)
		}
		next[0] = bounds.Next
		f(map[int]time.Duration{0: 0, 1: 20 * time.Second})

		// A record whose time is in the future by this clock waits nevertheless.
		r.Clock = func() time.Time { return time.Now().Add(-time.Hour) }
		if got, err := r.Behind(t.Context()); err != nil || got[0] != 0 || got[1] <= 0 {
			t.Errorf("by a slow clock: %v, %v", got, err)
		}
		r.Next = func(context.Context) (map[int]uint64, error) { return nil, errors.New("the store is away") }
		if got, err := r.Behind(t.Context()); err == nil || !strings.Contains(err.Error(), "the store is away") || len(got) != 0 {
			t.Errorf("%v, %v", got, err)
		}
	})
}

// A log that does not answer holds nobody up, and what is known is told.
func TestUnavailable(t *testing.T) {
	db := memory.Open(memory.Config{Partitions: 2})
	defer func() { _ = db.Close() }()
	r := &backlog.Reader{
		Log: halfLog{db.Log()}, Stream: eventlog.Events, Clock: time.Now,
		Next: func(context.Context) (map[int]uint64, error) { return map[int]uint64{0: 0, 1: 0}, nil },
	}
	got, err := r.Behind(t.Context())
	if !errors.Is(err, eventlog.ErrUnavailable) || !maps.Equal(got, map[int]time.Duration{0: 0}) {
		t.Errorf("%v, %v", got, err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(r.Metric("somebody"))
	all, err := registry.Gather()
	if err != nil || len(all) != 1 || all[0].GetName() != "heed_somebody_behind_seconds" || len(all[0].GetMetric()) != 1 || label(all[0]) != "0" {
		t.Errorf("%v, %v", all, err)
	}
}

func label(f *dto.MetricFamily) string { return f.GetMetric()[0].GetLabel()[0].GetValue() }

// halfLog does not answer for partition 1.
type halfLog struct{ eventlog.Log }

func (h halfLog) Bounds(ctx context.Context, s eventlog.Stream, p int) (eventlog.Bounds, error) {
	if p == 1 {
		return eventlog.Bounds{}, eventlog.ErrUnavailable
	}
	return h.Log.Bounds(ctx, s, p)
}
