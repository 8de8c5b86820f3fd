package pebble

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"heed/internal/documents"
	"heed/internal/documents/documentstest"
	"heed/internal/eventlog"
	"heed/internal/eventlog/eventlogtest"
	"heed/internal/inbox"
	"heed/internal/inbox/inboxtest"
	"heed/internal/userstate/userstatetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testConfig is small, so that buffers fill in tests too.
func testConfig() Config {
	return Config{Dir: "db", Partitions: 4, Memory: 8 << 20, Reserve: 1 << 20}
}

// testDeps keep everything in memory.
func testDeps(t *testing.T, fs vfs.FS) Deps {
	t.Helper()
	return Deps{
		FS:     fs,
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Free:   func() (uint64, error) { return 1 << 40, nil },
	}
}

// subject is a database that can be closed and opened again.
type subject struct {
	db   *DB
	open func(*testing.T) *DB
}

func newSubject(t *testing.T, clock func() time.Time) *subject {
	t.Helper()
	fs := vfs.NewMem()
	s := &subject{open: func(t *testing.T) *DB {
		t.Helper()
		deps := testDeps(t, fs)
		deps.Clock = clock
		db, err := Open(testConfig(), deps)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}}
	s.db = s.open(t)
	t.Cleanup(func() {
		if err := s.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *subject) reopen(t *testing.T) *DB {
	t.Helper()
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	s.db = s.open(t)
	return s.db
}

func TestEventlog(t *testing.T) {
	eventlogtest.Run(t, func(t *testing.T, clock *eventlogtest.Clock) eventlogtest.Subject {
		s := newSubject(t, clock.Now)
		return eventlogtest.Subject{Log: s.db.Log(), Reopen: func(t *testing.T) eventlog.Log { return s.reopen(t).Log() }}
	})
}

func TestUserstate(t *testing.T) {
	userstatetest.Run(t, func(t *testing.T) userstatetest.Subject {
		s := newSubject(t, nil)
		var make func() userstatetest.Subject
		make = func() userstatetest.Subject {
			return userstatetest.Subject{Store: s.db.UserState(), Log: s.db.Log(), Reopen: func(t *testing.T) userstatetest.Subject {
				s.reopen(t)
				return make()
			}}
		}
		return make()
	})
}

func TestInbox(t *testing.T) {
	inboxtest.Run(t, func(t *testing.T) inboxtest.Subject {
		s := newSubject(t, nil)
		return inboxtest.Subject{Inbox: s.db.Inbox(), Reopen: func(t *testing.T) inbox.Inbox { return s.reopen(t).Inbox() }}
	})
}

func TestDocuments(t *testing.T) {
	documentstest.Run(t, func(t *testing.T) documentstest.Subject {
		s := newSubject(t, nil)
		return documentstest.Subject{Store: s.db.Documents(), Reopen: func(t *testing.T) documents.Store { return s.reopen(t).Documents() }}
	})
}

func TestPartitionsAreFixed(t *testing.T) {
	fs := vfs.NewMem()
	open := func(partitions int) (*DB, error) {
		cfg := testConfig()
		cfg.Partitions = partitions
		return Open(cfg, testDeps(t, fs))
	}
	db, err := open(0)
	if err != nil {
		t.Fatal(err)
	}
	if n := db.Log().Partitions(); n != DefaultPartitions {
		t.Fatalf("%d partitions", n)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(16); err == nil || !strings.Contains(err.Error(), "set partitions to 8") {
		t.Fatalf("another number of partitions: %v", err)
	}
	db, err = open(8)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatalf("close again: %v", err)
	}
}

func TestSecondProcess(t *testing.T) {
	cfg := testConfig()
	cfg.Dir = t.TempDir()
	deps := testDeps(t, vfs.Default)
	db, err := Open(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := Open(cfg, deps); !errors.Is(err, ErrLocked) {
		t.Fatalf("second open: %v", err)
	}
}

func TestNewerFormat(t *testing.T) {
	fs := vfs.NewMem()
	db, err := Open(testConfig(), testDeps(t, fs))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.engine.Set([]byte{keyInstallation}, []byte(`{"format":2,"partitions":4}`), nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(testConfig(), testDeps(t, fs)); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Fatalf("open of a newer format: %v", err)
	}
}

func TestDiskReserve(t *testing.T) {
	free := make(chan uint64, 1)
	free <- 1 << 40
	deps := testDeps(t, vfs.NewMem())
	deps.Free = func() (uint64, error) {
		n := <-free
		free <- n
		return n, nil
	}
	set := func(db *DB, n uint64) {
		<-free
		free <- n
		db.disk.check()
	}
	cfg := testConfig()
	cfg.Reserve = 1 << 20
	db, err := Open(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	ctx := t.Context()
	n := 0
	try := func(own bool) error {
		n++
		b := eventlogtest.MakeBatch(0, strings.Repeat("x", n))
		b.Own = own
		return db.Log().Append(ctx, eventlog.Events, []*eventlog.Batch{b})
	}
	want := func(own bool, want error) {
		t.Helper()
		if err := try(own); !errors.Is(err, want) {
			t.Fatalf("append: %v, want %v", err, want)
		}
	}
	want(false, nil)
	set(db, 1<<20-1)
	want(false, eventlog.ErrDiskFull)
	want(true, nil) // what drains the pipeline goes on
	if err := db.Documents().Apply(ctx, documents.Durable, documents.Write{Collection: "c", Key: "k", Value: []byte("v")}); err != nil {
		t.Fatalf("documents on a full disk: %v", err)
	}
	if _, err := db.Inbox().Put(ctx, inbox.Message{ID: "a", User: "u"}); err != nil {
		t.Fatalf("inbox on a full disk: %v", err)
	}
	set(db, 1<<17)
	want(true, eventlog.ErrDiskFull)
	set(db, 1<<20+1) // not enough to open again
	want(false, eventlog.ErrDiskFull)
	set(db, 1<<21)
	want(false, nil)
	db.disk.exhausted()
	db.disk.check() // the measure decides
	want(false, nil)
}

func TestCancelledAppend(t *testing.T) {
	s := newSubject(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.db.Log().Append(ctx, eventlog.Events, []*eventlog.Batch{eventlogtest.MakeBatch(0, "a")})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func TestCutForSize(t *testing.T) {
	clock := eventlogtest.NewClock()
	s := newSubject(t, clock.Now)
	for i := range 200 {
		b := eventlogtest.MakeBatch(i%4, noise(16<<10, i))
		if err := s.db.Log().Append(t.Context(), eventlog.Events, []*eventlog.Batch{b}); err != nil {
			t.Fatal(err)
		}
		clock.Move(time.Minute)
	}
	if err := s.db.engine.Flush(); err != nil {
		t.Fatal(err)
	}
	used, err := s.db.StreamUsage(eventlog.Events)
	if err != nil || used < 3<<20 {
		t.Fatalf("%d bytes used, %v", used, err)
	}
	if _, ok, err := s.db.CutForSize(t.Context(), eventlog.Events, used); ok || err != nil {
		t.Fatalf("a cut for what fits: %v, %v", ok, err)
	}
	before, ok, err := s.db.CutForSize(t.Context(), eventlog.Events, used/4)
	if !ok || err != nil {
		t.Fatalf("no cut: %v", err)
	}
	if err := s.db.Log().Trim(t.Context(), eventlog.Events, before, nil); err != nil {
		t.Fatal(err)
	}
	left := uint64(0)
	for p := range 4 {
		b, err := s.db.Log().Bounds(t.Context(), eventlog.Events, p)
		if err != nil {
			t.Fatal(err)
		}
		left += b.Next - b.First
	}
	if left < 40 || left > 60 {
		t.Fatalf("%d of 200 records are left for a quarter of the size", left)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	fs := vfs.NewMem()
	for range 2 { // a second opening may register again
		deps := testDeps(t, fs)
		deps.Registerer = registry
		db, err := Open(testConfig(), deps)
		if err != nil {
			t.Fatal(err)
		}
		b := eventlogtest.MakeBatch(0, "a", "a", "b")
		if err := db.Log().Append(t.Context(), eventlog.Events, []*eventlog.Batch{b}); err != nil {
			t.Fatal(err)
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			m := f.GetMetric()[0]
			got[f.GetName()] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
		if n := got["heed_log_appended_events_total"] + got["heed_log_duplicate_events_total"]; n != 3 {
			t.Errorf("%v events were counted", n)
		}
		if got["heed_store_disk_bytes"] <= 0 {
			t.Errorf("metrics %v", got)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
