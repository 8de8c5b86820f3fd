package intake_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"heed/internal/console/api"
	"heed/internal/documents"
	"heed/internal/driver/memory"
	"heed/internal/eventlog"
	"heed/internal/intake"
	"heed/internal/reach"
)

// stuck is a log that a process does not get through to any more once it has
// appended so many batches of rows, as if the process were stopped.
type stuck struct {
	eventlog.Log
	appended *atomic.Int64
	after    int64
	woken    chan struct{} // closed: it gets through again
}

func (s *stuck) Append(ctx context.Context, stream eventlog.Stream, batches []*eventlog.Batch) error {
	if s.after >= 0 && s.appended.Load() >= s.after {
		<-s.woken
	}
	s.appended.Add(1)
	return s.Log.Append(ctx, stream, batches)
}

// TestTwoImporters: of two processes one works at an import, the other one shows how
// far it is, takes over when the first one falls silent, and leaves the first one
// nothing to do when that wakes up.
func TestTwoImporters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := memory.Open(memory.Config{})
		book, err := reach.New(reach.Deps{Documents: db.Documents(), Log: db.Log(), Secret: []byte("0123456789abcdef"), Clock: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		seed := byte(0)
		process := func(after int64) (*intake.Importer, *stuck) {
			log := &stuck{Log: db.Log(), appended: new(atomic.Int64), after: after, woken: make(chan struct{})}
			m, err := intake.Open(t.Context(), intake.Deps{
				Log: log, Documents: db.Documents(), Book: book, Logger: slog.New(slog.DiscardHandler), Clock: time.Now,
				Random: func(b []byte) { seed++; b[0] = seed },
			})
			if err != nil {
				t.Fatal(err)
			}
			return m, log
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 2)
		run := func(m *intake.Importer) { go func() { done <- m.Run(ctx) }() }
		state := func(m *intake.Importer, id string) api.Import {
			t.Helper()
			synctest.Wait()
			got, err := m.Import(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}

		first, stopped := process(2)
		second, other := process(-1)
		up, err := first.Upload(t.Context(), "crm.csv", strings.NewReader(many(2600)))
		if err != nil {
			t.Fatal(err)
		}
		plan := api.ImportPlan{Kind: api.ImportUsers, Columns: map[string]string{"id": "userId", "name": "trait:name"}, DryRun: true}
		run(first)
		if _, err := first.Start(t.Context(), up.Id, &plan); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := state(first, up.Id); got.State != api.ImportChecked {
			t.Fatalf("the dry run: %+v", got)
		}
		plan.DryRun = false
		if _, err := first.Start(t.Context(), up.Id, &plan); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		run(second)
		time.Sleep(10 * time.Second)
		if got := state(second, up.Id); got.State != api.ImportRunning || got.Imported != 1000 || other.appended.Load() != 0 {
			t.Fatalf("while the first one is silent for a moment: %+v, and the second one has appended %d times", got, other.appended.Load())
		}
		time.Sleep(10 * time.Second)
		if got := state(first, up.Id); got.State != api.ImportDone || got.Imported != 2600 {
			t.Fatalf("behind the silence: %+v", got)
		}
		by := other.appended.Load()
		close(stopped.woken)
		time.Sleep(time.Minute)
		if got := state(first, up.Id); got.State != api.ImportDone || got.Imported != 2600 || stopped.appended.Load() != 3 || other.appended.Load() != by {
			t.Errorf("woken, the first one has appended %d times, the second %d instead of %d: %+v", stopped.appended.Load(), other.appended.Load(), by, got)
		}
		if n := len((&shop{t: t, db: db}).events()); n != 2600 {
			t.Errorf("%d events in the log", n)
		}
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// TestGivenBack: a process that ends in order leaves its import to another one at once.
func TestGivenBack(t *testing.T) {
	s := newShop(t)
	s.shared = true
	s.build()
	f := &flaky{Log: s.db.Log(), failed: make(chan struct{}, 1)}
	plan := api.ImportPlan{Kind: api.ImportUsers, Columns: map[string]string{"id": "userId"}}
	dry := plan
	dry.DryRun = true
	s.log = f
	s.build()
	stop := s.run()
	id := s.upload(many(2600)).Id
	s.start(id, dry)
	f.left.Store(2)
	f.fail.Store(true)
	if _, err := s.m.Start(t.Context(), id, &plan); err != nil {
		t.Fatal(err)
	}
	<-f.failed
	stop()
	f.fail.Store(false)
	s.build() // another process, whose clock stands still
	s.run()
	if got := s.ended(id); got.State != api.ImportDone || got.Imported != 2600 {
		t.Errorf("%+v", got)
	}
}

// TestSweptUploads: what an upload has left that was cut off is removed, unless it
// may be another process's that goes on.
func TestSweptUploads(t *testing.T) {
	s := newShop(t)
	s.shared = true
	s.build()
	left := func() int {
		t.Helper()
		parts, err := s.db.Documents().List(t.Context(), documents.Query{Collection: "import_bytes"})
		if err != nil {
			t.Fatal(err)
		}
		return len(parts)
	}
	w := documents.Write{Collection: "import_bytes", Key: fmt.Sprintf("%010xff/00000000", s.clock().Unix()), Value: []byte("id\n"), Expect: documents.Any}
	if err := s.db.Documents().Apply(t.Context(), documents.Durable, w); err != nil {
		t.Fatal(err)
	}
	s.build()
	if left() != 1 {
		t.Error("the start of another process has removed a part of an upload")
	}
	s.now.Add((25 * time.Hour).Microseconds())
	s.build()
	if left() != 0 {
		t.Errorf("%d parts are left a day later", left())
	}
}
