package halt

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"heed/internal/documents"
	"heed/internal/driver/memory"
)

// store can be made to fail.
type store struct {
	documents.Store

	down atomic.Bool
}

func (s *store) Get(ctx context.Context, collection, key string) (documents.Document, error) {
	if s.down.Load() {
		return documents.Document{}, errors.New("down")
	}
	return s.Store.Get(ctx, collection, key)
}

func (s *store) Apply(ctx context.Context, d documents.Durability, writes ...documents.Write) error {
	if s.down.Load() {
		return errors.New("down")
	}
	return s.Store.Apply(ctx, d, writes...)
}

// What one process orders holds in all of them; until a process knows, nothing is
// sent; and a stop that cannot be kept holds where it was ordered.
func TestSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := memory.Open(memory.Config{Partitions: 1}).Documents()
		ctx, cancel := context.WithCancel(t.Context())
		var stores [2]*store
		var of [2]*Switch
		for i := range of {
			stores[i] = &store{Store: shared}
			of[i] = New(stores[i], slog.New(slog.DiscardHandler), func() int64 { return time.Now().UnixMicro() })
			if !of[i].Stopped() || of[i].Ordered() {
				t.Error("before it was read, nobody has ordered a stop and nothing is sent")
			}
		}
		expect := func(when string, first, second bool) {
			t.Helper()
			synctest.Wait()
			if a, b := of[0].Stopped(), of[1].Stopped(); a != first || b != second {
				t.Errorf("%s: stopped %v and %v, want %v and %v", when, a, b, first, second)
			}
		}
		stores[1].down.Store(true)
		done := make(chan struct{}, len(of))
		for _, s := range of {
			go func() { s.Follow(ctx); done <- struct{}{} }()
		}
		expect("while the second cannot read", false, true)
		stores[1].down.Store(false)
		time.Sleep(retry)
		expect("once it can", false, false)

		turn := func(i int, stop, fails bool) {
			t.Helper()
			s, err := of[i].SetSending(ctx, stop, "ada")
			if (err != nil) != fails || !fails && (s.Stopped != stop || s.By != "ada" || s.At == 0) {
				t.Errorf("stop %v answers %+v, %v", stop, s, err)
			}
		}
		turn(0, true, false)
		expect("stopped by the first", true, true)
		turn(1, false, false)
		expect("lifted by the second", false, false)

		stores[0].down.Store(true)
		turn(0, true, true)
		expect("stopped by the first, not kept", true, false)
		stores[0].down.Store(false)
		if err := of[0].Read(ctx); err != nil {
			t.Error(err)
		}
		expect("read again, and nothing new", true, false)
		time.Sleep(time.Second)
		turn(1, false, false)
		expect("lifted by the second since then", false, false)

		stores[0].down.Store(true)
		turn(0, true, true)
		turn(0, false, true)
		expect("lifted by the first, not kept", true, false)
		stores[0].down.Store(false)
		turn(0, false, false)
		expect("lifted by the first", false, false)
		cancel()
		for range of {
			<-done
		}
	})
}
