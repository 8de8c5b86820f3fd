package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"heed/internal/catalog"
	"heed/internal/driver/memory"
	"heed/internal/eventlog"
)

// ailing is a log that takes nothing for a while.
type ailing struct {
	eventlog.Log
	err   atomic.Pointer[error]
	tries atomic.Int32
}

func (a *ailing) Append(ctx context.Context, s eventlog.Stream, batches []*eventlog.Batch) error {
	a.tries.Add(1)
	if err := a.err.Load(); err != nil {
		return *err
	}
	return a.Log.Append(ctx, s, batches)
}

// A log that takes nothing at the first start does not keep Heed from starting: the
// definitions are announced when it does again, and until then it is said.
func TestDefinitionsAreAnnouncedLater(t *testing.T) {
	for _, cause := range []error{eventlog.ErrDiskFull, fmt.Errorf("%w: no broker answers", eventlog.ErrUnavailable)} {
		synctest.Test(t, func(t *testing.T) {
			db := memory.Open(memory.Config{Partitions: 2})
			log := &ailing{Log: db.Log()}
			log.err.Store(&cause)
			n := &node{db: &engines{log: log, documents: db.Documents()}, log: slog.New(slog.DiscardHandler)}
			var err error
			n.catalog, err = catalog.Open(t.Context(), catalog.Config{
				Store: db.Documents(), Key: make([]byte, 32), Now: time.Now, Log: n.log, Random: randomBytes, OnRevision: n.announceRevision,
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := n.define(t.Context()); err != nil || log.tries.Load() != 1 {
				t.Fatalf("the start fails, or waits more than once (%d times): %v", log.tries.Load(), err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- n.follow(ctx) }()
			time.Sleep(time.Minute)
			if err := n.announced(); !errors.Is(err, cause) {
				t.Errorf("while the log takes nothing: %v", err)
			}
			log.err.Store(nil)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if err := n.announced(); err != nil {
				t.Errorf("when it takes something again: %v", err)
			}
			for p := range 2 {
				if b, err := db.Log().Bounds(t.Context(), eventlog.Events, p); err != nil || b.Next != 1 {
					t.Errorf("partition %d: %+v, %v", p, b, err)
				}
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
