package avrofiles

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hamba/avro/v2/ocf"

	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/eventlog"
)

// add appends one event per id, over the partitions in turn.
func add(t *testing.T, log eventlog.Log, name string, ids ...string) {
	t.Helper()
	for i, id := range ids {
		e := event.Event{MessageID: id, Name: name, UserID: "u", Timestamp: 1, ReceivedAt: 1, Source: "shop"}
		if name == event.NameTick {
			e.Type = event.System
		}
		b := &eventlog.Batch{Partition: i % log.Partitions(), Data: event.AppendEvent(nil, &e)}
		b.Ends = []int{len(b.Data)}
		for {
			err := log.Append(t.Context(), eventlog.Events, []*eventlog.Batch{b})
			if err == nil {
				break
			}
			t.Fatal(err)
		}
	}
}

// stored reads the ids in the finished files, sorted.
func stored(t *testing.T, dir string) (ids []string) {
	t.Helper()
	for _, name := range finished(t, dir) {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		d, err := ocf.NewDecoder(f)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for d.HasNext() {
			var v map[string]any
			if err := d.Decode(&v); err != nil {
				t.Fatal(err)
			}
			id, _ := v["messageId"].(string)
			ids = append(ids, id)
		}
		if err := errors.Join(d.Error(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(ids)
	return ids
}

func finished(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) {
			names = append(names, e.Name())
		}
	}
	return names
}

func numbered(from, to int) (out []string) {
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf("m%04d", i))
	}
	return out
}

// start runs a sink in the bubble; stop ends it.
func start(t *testing.T, log eventlog.Log, dir string, cfg Config) (stop func()) {
	t.Helper()
	s, err := New(cfg, Deps{Log: log, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

func expect(t *testing.T, dir string, want []string) {
	t.Helper()
	if d := cmp.Diff(want, stored(t, dir)); d != "" {
		t.Errorf("in the files: -want +got\n%s", d)
	}
}

func TestRolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, dir := memory.Open(memory.Config{}), t.TempDir()
		defer func() { _ = db.Close() }()
		stop := start(t, db.Log(), dir, Config{})
		add(t, db.Log(), "win", numbered(0, 20)...)
		time.Sleep(3 * time.Second)
		expect(t, dir, nil) // still a partial
		time.Sleep(8 * time.Second)
		expect(t, dir, numbered(0, 20)) // silence
		files := len(finished(t, dir))

		// Without silence the file is finished by its age.
		for i := range 20 {
			add(t, db.Log(), "win", numbered(20+i, 21+i)...)
			time.Sleep(2 * time.Second)
		}
		if n := len(finished(t, dir)) - files; n != 1 {
			t.Errorf("%d files were finished by age in 40 s, want 1 (30 s, then 60 s)", n)
		}
		stop()
		expect(t, dir, numbered(0, 40))
	})
}

func TestTicksAndIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, dir := memory.Open(memory.Config{}), t.TempDir()
		defer func() { _ = db.Close() }()
		stop := start(t, db.Log(), dir, Config{})
		add(t, db.Log(), event.NameTick, numbered(0, 20)...)
		time.Sleep(time.Minute)
		if names := finished(t, dir); len(names) != 0 {
			t.Errorf("ticks alone made %v", names)
		}
		stop()
		add(t, db.Log(), "win", "a")
		stop = start(t, db.Log(), dir, Config{})
		time.Sleep(time.Minute)
		stop()
		expect(t, dir, []string{"a"})
	})
}

func TestRestartsNeitherLoseNorDouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, dir := memory.Open(memory.Config{Seed: 5}), t.TempDir()
		h := memory.AllHostile()
		h.LostAck = 0 // the test could not tell what it wrote
		db.SetHostile(h)
		defer func() { _ = db.Close() }()
		for round := range 8 {
			stop := start(t, db.Log(), dir, Config{RollBytes: 2 << 10, Codec: "null"})
			add(t, db.Log(), "win", numbered(round*50, round*50+50)...)
			if round%2 == 0 {
				time.Sleep(time.Duration(round) * 3 * time.Second)
			}
			stop()
		}
		stop := start(t, db.Log(), dir, Config{})
		time.Sleep(time.Minute)
		stop()
		expect(t, dir, numbered(0, 400))
	})
}

// A crash at each step of finishing a file.
func TestCrashWhileFinishing(t *testing.T) {
	f := func(name string, crash func(dir string), want []string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			db, dir := memory.Open(memory.Config{}), t.TempDir()
			defer func() { _ = db.Close() }()
			stop := start(t, db.Log(), dir, Config{})
			add(t, db.Log(), "win", "a", "b")
			time.Sleep(time.Minute)
			stop()
			crash(dir)
			stop = start(t, db.Log(), dir, Config{})
			time.Sleep(time.Minute)
			stop()
			if d := cmp.Diff(want, stored(t, dir)); d != "" {
				t.Errorf("%s: -want +got\n%s", name, d)
			}
			if entries, _ := filepath.Glob(filepath.Join(dir, "*"+partialEnd)); len(entries) != 0 {
				t.Errorf("%s: left behind %v", name, entries)
			}
		})
	}
	move := func(dir, from, to string) {
		if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	both := []string{"a", "b"}
	f("nothing", func(string) {}, both)
	f("before the file has its name", func(dir string) {
		move(dir, posName, nextName)
		name := finished(t, dir)[0]
		move(dir, name, strings.TrimSuffix(name, suffix)+partialEnd)
	}, both)
	f("before the position has its name", func(dir string) { move(dir, posName, nextName) }, both)
	f("half of the next position", func(dir string) {
		if err := os.WriteFile(filepath.Join(dir, nextName), []byte(`{"next":[1,`), 0o600); err != nil {
			t.Fatal(err)
		}
	}, both)
}

func TestRetention(t *testing.T) {
	dir := t.TempDir()
	fo := &folder{dir: dir}
	now := time.Unix(1e9, 0)
	for i := range 5 {
		name := filepath.Join(dir, fmt.Sprintf("events-%d.avro", i))
		if err := os.WriteFile(name, make([]byte, 100), 0o600); err != nil {
			t.Fatal(err)
		}
		at := now.Add(-time.Duration(5-i) * 24 * time.Hour)
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	f := func(days int, bytes int64, want int) {
		t.Helper()
		if _, err := fo.retain(now, days, bytes); err != nil {
			t.Fatal(err)
		}
		if got := len(finished(t, dir)); got != want {
			t.Errorf("retain(%d days, %d bytes) leaves %d files, want %d", days, bytes, got, want)
		}
	}
	f(0, 0, 5)
	f(4, 0, 4)
	f(0, 250, 2)
	f(1, 1, 1) // the newest stays
}

func TestConfig(t *testing.T) {
	var c Config
	c.Defaults()
	if c.Off || c.Validate() != nil {
		t.Errorf("defaults: %+v: %v", c, c.Validate())
	}
	c.Codec = "lz4"
	if c.Validate() == nil {
		t.Error("an unknown codec passed")
	}
}
