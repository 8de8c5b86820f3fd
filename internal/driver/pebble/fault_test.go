package pebble

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	crdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"heed/internal/documents"
	"heed/internal/eventlog"
	"heed/internal/eventlog/eventlogtest"
	"heed/internal/inbox"
	"heed/internal/userstate"
)

// TestSyncFails: no acknowledgement, one call of Fatal, nothing works any more,
// and a restart recovers what was acknowledged.
func TestSyncFails(t *testing.T) {
	disk := vfs.NewCrashableMem()
	var broken atomic.Bool
	fs := errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && strings.HasSuffix(op.Path, ".log") &&
			(op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo) {
			return syscall.EIO
		}
		return nil
	}))
	var fatal atomic.Int64
	deps := testDeps(t, fs)
	deps.Logger = nil
	deps.Fatal = func(error) { fatal.Add(1) }
	db, err := Open(testConfig(), deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	put := func(db *DB, body string) error {
		return db.Log().Append(ctx, eventlog.Events, []*eventlog.Batch{eventlogtest.MakeBatch(0, body)})
	}
	if err := put(db, "acknowledged"); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	if err := put(db, "lost"); !errors.Is(err, eventlog.ErrUnavailable) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("append with a broken disk: %v", err)
	}
	broken.Store(false) // and it stays so: fsync is not tried again
	for range 3 {
		if err := put(db, "later"); !errors.Is(err, eventlog.ErrUnavailable) {
			t.Fatalf("append behind a failed sync: %v", err)
		}
	}
	if err := db.Documents().Apply(ctx, documents.Durable, documents.Write{Collection: "c", Key: "k", Value: []byte("v")}); err == nil {
		t.Error("documents go on")
	}
	if _, err := db.Inbox().Put(ctx, inbox.Message{ID: "a", User: "u"}); err == nil {
		t.Error("inbox goes on")
	}
	if p, err := db.UserState().Open(ctx, 0); err != nil {
		t.Error(err)
	} else if err := p.Commit(ctx, &userstate.Commit{Base: 0, Next: 1}); err == nil {
		t.Error("user state goes on")
	}
	if n := fatal.Load(); n != 1 {
		t.Errorf("Fatal was called %d times", n)
	}
	cut := disk.CrashClone(vfs.CrashCloneCfg{})
	engine := db.engine
	if err := db.Close(); err == nil {
		t.Error("close says nothing")
	}
	defer func() { // the process would exit; here its goroutines must end
		defer func() { _ = recover() }()
		_ = engine.Close()
	}()
	again, err := Open(testConfig(), testDeps(t, cut))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	bodies, err := recovered(ctx, again, 0)
	if err != nil || len(bodies) != 1 || bodies[0] != "acknowledged" {
		t.Fatalf("recovered %q, %v", bodies, err)
	}
	if err := put(again, "lost"); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedRecord: a record that is not what was written stops the reader
// with partition and offset, and is not skipped.
func TestDamagedRecord(t *testing.T) {
	for name, damage := range map[string]func(*testing.T, *crdb.DB, []byte){
		"a bit flips": func(t *testing.T, e *crdb.DB, key []byte) {
			t.Helper()
			value, closer, err := e.Get(key)
			if err != nil {
				t.Fatal(err)
			}
			changed := bytes.Clone(value)
			changed[len(changed)-2] ^= 4
			if err := errors.Join(closer.Close(), e.Set(key, changed, nil)); err != nil {
				t.Fatal(err)
			}
		},
		"a record is gone": func(t *testing.T, e *crdb.DB, key []byte) {
			t.Helper()
			if err := e.Delete(key, nil); err != nil {
				t.Fatal(err)
			}
		},
		"a record stands under another's key": func(t *testing.T, e *crdb.DB, key []byte) {
			t.Helper()
			value, closer, err := e.Get(recordKey(eventlog.Events, 2, 3))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(e.Set(key, value, nil), closer.Close()); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSubject(t, nil)
			for i := range 10 {
				b := eventlogtest.MakeBatch(2, fmt.Sprint("a", i), fmt.Sprint("b", i))
				if err := s.db.Log().Append(t.Context(), eventlog.Events, []*eventlog.Batch{b}); err != nil {
					t.Fatal(err)
				}
			}
			damage(t, s.db.engine, recordKey(eventlog.Events, 2, 9))
			r, err := s.db.Log().Read(t.Context(), eventlog.Events, 2, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.Close() }()
			next := uint64(0)
			for range 12 {
				c, err := r.Next(t.Context())
				if err != nil {
					if !strings.Contains(err.Error(), "events/2 at offset 8") || !errors.Is(err, errCorrupt) {
						t.Fatalf("error %q", err)
					}
					return
				}
				if c.Base != next || next >= 8 {
					t.Fatalf("read [%d, %d) behind %d", c.Base, c.Next(), next)
				}
				next = c.Next()
			}
			t.Fatal("the reader went on")
		})
	}
}

// TestDamagedLog flips each of many bits of the write-ahead log after a crash:
// what was acknowledged is there, or opening or reading fails; never are some
// events silently missing in front of others.
func TestDamagedLog(t *testing.T) {
	disk := vfs.NewCrashableMem()
	db, err := Open(testConfig(), testDeps(t, disk))
	if err != nil {
		t.Fatal(err)
	}
	const n = 60
	for i := range n {
		b := eventlogtest.MakeBatch(0, fmt.Sprintf("%d/%s", i, strings.Repeat("x", 700)))
		if err := db.Log().Append(t.Context(), eventlog.Events, []*eventlog.Batch{b}); err != nil {
			t.Fatal(err)
		}
	}
	// Within the fifth of a second behind an append the mark is not written yet.
	db.writeMark()
	crashed := func() *vfs.MemFS {
		return disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
	}
	size := len(walOf(t, crashed()).data)
	loud, cut := 0, 0
	for at := 100; at < size-100; at += 997 {
		fs := crashed()
		w := walOf(t, fs)
		w.data[at] ^= 0x10
		w.write(t, fs)
		again, err := Open(testConfig(), testDeps(t, fs))
		if err != nil {
			loud++
			continue
		}
		bodies, err := recovered(t.Context(), again, 0)
		switch {
		case err != nil:
			loud++
		case len(bodies) < n:
			cut++
		}
		for i, body := range bodies {
			if !strings.HasPrefix(body, fmt.Sprint(i, "/")) {
				t.Errorf("byte %d: event %d is %.10q", at, i, body)
			}
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d stops, %d cuts", loud, cut)
	if loud == 0 {
		t.Error("no damage stopped anything")
	}
	if cut > 0 {
		t.Errorf("%d times synced events were cut off silently", cut)
	}
}

type wal struct {
	name string
	data []byte
}

// walOf is the write-ahead log that was written last.
func walOf(t *testing.T, fs vfs.FS) wal {
	t.Helper()
	names, err := fs.List("db")
	if err != nil {
		t.Fatal(err)
	}
	var w wal
	for _, name := range names {
		if strings.HasSuffix(name, ".log") && name > w.name {
			w.name = name
		}
	}
	f, err := fs.Open(fs.PathJoin("db", w.name))
	if err != nil {
		t.Fatal(err)
	}
	if w.data, err = io.ReadAll(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w wal) write(t *testing.T, fs vfs.FS) {
	t.Helper()
	f, err := fs.Create(fs.PathJoin("db", w.name), vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(w.data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestTornTail cuts the write-ahead log at random lengths behind what was
// synced: what is left is a prefix.
func TestTornTail(t *testing.T) {
	disk := vfs.NewCrashableMem()
	db, err := Open(testConfig(), testDeps(t, disk))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		b := eventlogtest.MakeBatch(0, fmt.Sprintf("%d/%s", i, strings.Repeat("x", 700)))
		if err := db.Log().Append(t.Context(), eventlog.Events, []*eventlog.Batch{b}); err != nil {
			t.Fatal(err)
		}
	}
	whole := disk.CrashClone(vfs.CrashCloneCfg{})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_ = whole
	for keep := 200; keep < 15_000; keep += 1999 {
		fs := whole.CrashClone(vfs.CrashCloneCfg{})
		w := walOf(t, fs)
		w.data = w.data[:min(keep, len(w.data))]
		w.write(t, fs)
		again, err := Open(testConfig(), testDeps(t, fs))
		if err != nil {
			t.Fatalf("cut at %d: %v", keep, err)
		}
		bodies, err := recovered(t.Context(), again, 0)
		if err != nil {
			t.Fatalf("cut at %d: %v", keep, err)
		}
		for i, body := range bodies {
			if !strings.HasPrefix(body, fmt.Sprint(i, "/")) {
				t.Fatalf("cut at %d: event %d is %.10q", keep, i, body)
			}
		}
		b := eventlogtest.MakeBatch(0, "new")
		if err := again.Log().Append(t.Context(), eventlog.Events, []*eventlog.Batch{b}); err != nil || b.Base != uint64(len(bodies)) {
			t.Fatalf("cut at %d: append at %d behind %d events: %v", keep, b.Base, len(bodies), err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskReallyFull fills a small file system.
func TestDiskReallyFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT RUN: a small file system can only be mounted as root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128m"); err != nil {
		t.Skipf("NOT RUN: mount a small file system: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	cfg := testConfig()
	cfg.Dir = dir + "/db"
	cfg.Reserve = 24 << 20
	deps := testDeps(t, vfs.Default)
	deps.Free = nil
	deps.Logger = nil
	db, err := Open(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	// What somebody else leaves on the disk.
	ballast := dir + "/ballast"
	if err := os.WriteFile(ballast, make([]byte, 48<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	acked := 0
	for i := range 2000 {
		body := fmt.Sprintf("%d/%s", i, noise(64<<10, i))
		err := db.Log().Append(t.Context(), eventlog.Events, []*eventlog.Batch{eventlogtest.MakeBatch(0, body)})
		if errors.Is(err, eventlog.ErrDiskFull) {
			break
		}
		if err != nil {
			t.Fatalf("append %d: %v", i, err)
		}
		acked++
		if acked%16 == 0 {
			db.disk.check()
		}
	}
	if acked == 0 || acked == 2000 {
		t.Fatalf("%d events were taken", acked)
	}
	if err := db.Documents().Apply(t.Context(), documents.Durable, documents.Write{Collection: "c", Key: "k", Value: []byte("v")}); err != nil {
		t.Fatalf("documents on a full disk: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	db.disk.check()
	if err := db.Log().Append(t.Context(), eventlog.Events, []*eventlog.Batch{eventlogtest.MakeBatch(0, "again")}); err != nil {
		t.Fatalf("append with room again: %v", err)
	}
	bodies, err := recovered(t.Context(), db, 0)
	if err != nil || len(bodies) != acked+1 {
		t.Fatalf("%d events of %d, %v", len(bodies), acked+1, err)
	}
}

// noise does not compress.
func noise(n, seed int) string {
	var b strings.Builder
	x := uint64(seed) + 88172645463325252
	for b.Len() < n {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b.WriteByte(byte(x))
	}
	return b.String()
}
