package sink_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/eventlog/sink"
)

func appendEvents(t *testing.T, log eventlog.Log, p int, events ...event.Event) {
	t.Helper()
	b := &eventlog.Batch{Partition: p}
	for i := range events {
		b.Data = event.AppendEvent(b.Data, &events[i])
		b.Ends = append(b.Ends, len(b.Data))
		b.Keys = append(b.Keys, eventlog.Key{})
	}
	if err := log.Append(t.Context(), eventlog.Events, []*eventlog.Batch{b}); err != nil {
		t.Fatal(err)
	}
}

func named(names ...string) (out []event.Event) {
	for _, n := range names {
		out = append(out, event.Event{MessageID: n, Type: event.Track, Name: n, UserID: "ada"})
	}
	return out
}

// TestSource: each event is visited once over attempts that fail, in the order of its
// partition, and where the sink stands is told.
func TestSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{Partitions: 2})
		defer func() { _ = db.Close() }()
		db.SetHostile(memory.Hostile{Gap: 0.5, Redeliver: 0.5})
		s := sink.New(db.Log(), slog.New(slog.DiscardHandler), "the test")
		if next, err := s.Next(t.Context()); err != nil || len(next) != 0 {
			t.Errorf("before the first attempt it stands at %v, %v", next, err)
		}
		next := []uint64{0, 0}
		var got []string
		attempts, broken := 0, errors.New("the disk is full")
		attempt := func(ctx context.Context) (moved bool, err error) {
			attempts++
			return true, s.Follow(ctx, slices.Clone(next), func(ctx context.Context, arrivals <-chan sink.Arrival) error {
				for {
					select {
					case <-ctx.Done():
						return nil
					case a := <-arrivals:
						to, err := a.Each(next[a.Partition], func(raw []byte) error {
							var e event.Event
							if err := event.DecodeAvro(raw, &e); err != nil {
								return err
							}
							if len(got) == 2 && attempts == 1 {
								return broken
							}
							got = append(got, e.Name)
							return nil
						})
						if err != nil {
							return err
						}
						next[a.Partition] = to
						s.Done(next)
					}
				}
			})
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		appendEvents(t, db.Log(), 0, named("a")...)
		go func() { done <- s.Run(ctx, attempt) }()
		synctest.Wait()
		tick := event.Event{MessageID: "t", Type: event.System, Name: event.NameTick}
		appendEvents(t, db.Log(), 0, append(named("b"), tick)...)
		synctest.Wait()
		appendEvents(t, db.Log(), 0, named("c", "d")...)
		time.Sleep(time.Minute)
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if want := []string{"a", "b", "c", "d"}; !slices.Equal(got, want) || attempts != 2 {
			t.Errorf("%d attempts have visited %v, want %v in 2", attempts, got, want)
		}
		for p := range 2 {
			b, err := db.Log().Bounds(t.Context(), eventlog.Events, p)
			if at, _ := s.Next(t.Context()); err != nil || at[p] != b.Next {
				t.Errorf("partition %d is written up to %d of %d, %v", p, at[p], b.Next, err)
			}
		}
	})
}

// TestEnds: a damaged record ends the sink, a reader that fails the attempt.
func TestEnds(t *testing.T) {
	db := memory.Open(memory.Config{Partitions: 1})
	s := sink.New(db.Log(), slog.New(slog.DiscardHandler), "the test")
	err := s.Run(t.Context(), func(context.Context) (bool, error) { return false, fmt.Errorf("partition 0: %w", event.ErrCorrupt) })
	if !errors.Is(err, event.ErrCorrupt) {
		t.Errorf("%v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	err = s.Run(t.Context(), func(ctx context.Context) (bool, error) {
		return false, s.Follow(ctx, []uint64{0}, func(ctx context.Context, _ <-chan sink.Arrival) error {
			<-ctx.Done()
			return nil
		})
	})
	if err != nil {
		t.Errorf("a log that was closed: %v", err)
	}
}
