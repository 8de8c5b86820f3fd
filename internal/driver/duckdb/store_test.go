package duckdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/facts"
	"heed/internal/facts/factstest"
)

func open(t *testing.T, cfg Config, deps Deps) *Store {
	t.Helper()
	if deps.Partitions == 0 {
		deps.Partitions = factstest.Partitions
	}
	s, err := Open(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// The suite runs with rows in memory, and with nearly every row in a file.
func TestConformance(t *testing.T) {
	for name, cfg := range map[string]Config{"hot": {}, "files": {FlushRows: 1}} {
		t.Run(name, func(t *testing.T) {
			factstest.Run(t, func(t *testing.T, dir string) facts.Driver {
				cfg := cfg
				cfg.Dir = dir
				return open(t, cfg, Deps{})
			})
		})
	}
}

// journal is a log of events over several days for tests of files.
func journal() []eventlog.Chunk {
	var out []eventlog.Chunk
	const day = dayMicros
	at := dayOf(factstest.Noon)*day + day/2
	next := uint64(0)
	add := func(events ...event.Event) {
		out = append(out, factstest.Chunk(next, events...))
		next += uint64(len(events))
	}
	for d := range int64(3) {
		for i := range int64(20) {
			add(factstest.Track("u"+string(rune('a'+i%5)), []string{"view", "buy"}[i%2], at+d*day+i*1_000_000), factstest.Track("somebody else", "view", at+d*day+i))
		}
	}
	add(factstest.Track("late", "view", at), factstest.Merge("ua", "somebody", at))
	return out
}

const everything = "SELECT message_id, user_id, event, time, received, place, properties FROM events ORDER BY place"

// feed takes in what the store lacks of the log.
func feed(t *testing.T, s *Store, log []eventlog.Chunk) {
	t.Helper()
	next := s.Status().Next[0]
	for _, c := range log {
		if c.Next() > next {
			factstest.Append(t, s, 0, c)
		}
	}
}

// wanted is what a store that never wrote anything answers.
func wanted(t *testing.T) string {
	s := open(t, Config{Dir: t.TempDir()}, Deps{})
	feed(t, s, journal())
	return factstest.Rows(t, s, everything)
}

func readJournal(first uint64) facts.ReadLog {
	return func(_ context.Context, p int, from, to uint64, take func(eventlog.Chunk) error) (uint64, error) {
		if p != 0 {
			return 0, nil
		}
		for _, c := range journal() {
			if c.Base >= first && c.Next() > from && c.Base < to {
				if err := take(c); err != nil {
					return 0, err
				}
			}
		}
		return first, nil
	}
}

func TestDaysAreClosed(t *testing.T) {
	want := wanted(t)
	now := time.UnixMicro(factstest.Noon).Add(10 * 24 * time.Hour)
	dir := t.TempDir()
	s := open(t, Config{Dir: dir}, Deps{Clock: func() time.Time { return now }})
	log := journal()
	feed(t, s, log[:45])
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list, err := os.ReadDir(filepath.Join(dir, daysFolder)); err != nil || len(list) != 3 {
		t.Fatalf("%d closed days (%v), want 3", len(list), err)
	}
	feed(t, s, log[45:]) // the last of it is late for the first day
	if got := factstest.Rows(t, s, everything); got != want {
		t.Errorf("with a late event: got\n%swant\n%s", got, want)
	}
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := factstest.Rows(t, s, everything); got != want {
		t.Errorf("compacted again: got\n%swant\n%s", got, want)
	}
	if list, err := os.ReadDir(filepath.Join(dir, daysFolder)); err != nil || len(list) != 3 {
		t.Errorf("%d closed days (%v), want 3", len(list), err)
	}
	if err := s.forget(now.Add(421 * 24 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); st.Files != 2 {
		t.Errorf("%d files after the first day grew too old, want 2", st.Files)
	}
}

// A process that is killed between two writes leaves a folder as it is at that
// point: the test copies it there and goes on from the copy.
func TestKilledAnywhere(t *testing.T) {
	want := wanted(t)
	log := journal()
	now := time.UnixMicro(factstest.Noon).Add(48 * time.Hour)
	dir := t.TempDir()
	var copies []string
	var points []string
	deps := Deps{Clock: func() time.Time { return now }}
	var mu sync.Mutex // the store writes and tidies at the same time
	deps.At = func(point string) {
		mu.Lock()
		defer mu.Unlock()
		to := t.TempDir()
		if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
			t.Error(err)
		}
		copies, points = append(copies, to), append(points, point)
	}
	s := open(t, Config{Dir: dir, FlushEvery: time.Hour}, deps)
	for i, c := range log {
		factstest.Append(t, s, 0, c)
		if i%20 == 19 {
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(copies) < 15 {
		t.Fatalf("only %d points were passed: %v", len(copies), points)
	}
	for i, at := range copies {
		again := open(t, Config{Dir: at}, Deps{Clock: deps.Clock})
		feed(t, again, log)
		if got := factstest.Rows(t, again, everything); got != want {
			t.Errorf("killed at %q: got\n%swant\n%s", points[i], got, want)
		}
		if err := again.Compact(t.Context()); err != nil {
			t.Errorf("killed at %q: %v", points[i], err)
		}
		if got := factstest.Rows(t, again, everything); got != want {
			t.Errorf("killed at %q, then compacted: got\n%swant\n%s", points[i], got, want)
		}
	}
}

// flip damages a byte in the middle of a file.
func flip(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 0x10
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Others stop at their own pace, and ask meanwhile.
func TestStatusAfterClose(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()}, Deps{})
	feed(t, s, journal())
	if st := s.Status(); st.Hot == 0 {
		t.Fatal("nothing is in memory")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); st.Hot != 0 {
		t.Errorf("%d rows in memory after closing", st.Hot)
	}
}

func TestDamagedFileIsrebuilt(t *testing.T) {
	want := wanted(t)
	now := time.UnixMicro(factstest.Noon).Add(10 * 24 * time.Hour)
	build := func(t *testing.T, damage func(dir, file string)) *Store {
		dir := t.TempDir()
		s := open(t, Config{Dir: dir}, Deps{Clock: func() time.Time { return now }})
		feed(t, s, journal()[:45])
		if err := s.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		feed(t, s, journal())
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		damage(dir, s.manifest.Files[1].Name)
		return open(t, Config{Dir: dir}, Deps{Clock: func() time.Time { return now }})
	}
	repaired := func(t *testing.T, s *Store) {
		t.Helper()
		if err := s.scrub(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := s.Status(); len(st.Lost) != 1 || st.Lost[0].Rows == 0 {
			t.Fatalf("lost: %+v, want one file", st.Lost)
		}
		if got := factstest.Rows(t, s, everything); got == want || got == "" {
			t.Error("a damaged file is still in queries, or all of them are gone")
		}
		if err := s.Repair(t.Context(), readJournal(0)); err != nil {
			t.Fatal(err)
		}
		if st := s.Status(); len(st.Lost) != 0 || st.Repair != nil {
			t.Errorf("after the repair: %+v", st)
		}
		if got := factstest.Rows(t, s, everything); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
	t.Run("a bit", func(t *testing.T) {
		s := build(t, func(dir, file string) { flip(t, filepath.Join(dir, file)) })
		repaired(t, s)
		list, err := os.ReadDir(filepath.Join(s.cfg.Dir, asideFolder))
		if err != nil || len(list) != 1 {
			t.Errorf("set aside: %v, %v; want one file", list, err)
		}
	})
	t.Run("gone", func(t *testing.T) {
		repaired(t, build(t, func(dir, file string) {
			if err := os.Remove(filepath.Join(dir, file)); err != nil {
				t.Fatal(err)
			}
		}))
	})
	t.Run("readable all the same", func(t *testing.T) {
		s := build(t, func(dir, _ string) {
			recent, err := filepath.Glob(filepath.Join(dir, recentFolder, "*"))
			if err != nil || len(recent) != 1 {
				t.Fatalf("recent files: %v, %v", recent, err)
			}
			b, err := os.ReadFile(recent[0])
			if err != nil {
				t.Fatal(err)
			}
			changed := bytes.ReplaceAll(b, []byte("a long name"), []byte("a LONG name"))
			if bytes.Equal(b, changed) {
				t.Fatal("the text does not stand in the file")
			}
			if err := os.WriteFile(recent[0], changed, 0o600); err != nil {
				t.Fatal(err)
			}
		})
		if got := factstest.Rows(t, s, everything); got == want {
			t.Fatal("the damage is not to be seen")
		}
		if err := s.Compact(t.Context()); !errors.Is(err, errDamaged) {
			t.Errorf("a damaged file became part of others: %v", err)
		}
		repaired(t, s)
	})
	t.Run("a query fails", func(t *testing.T) {
		s := build(t, func(dir, file string) {
			name := filepath.Join(dir, file)
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			clear(b[4:200]) // the first pages
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		})
		if rows, err := s.SQL(t.Context(), everything, facts.Options{}); err == nil {
			for rows.Next() {
			}
			if err = errors.Join(rows.Err(), rows.Close()); err == nil {
				t.Fatal("the damaged file can be read")
			}
		}
		// The file is looked for at once, and not a minute behind the start.
		for deadline := time.Now().Add(scrubSoon / 2); len(s.Status().Lost) == 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("nobody looks for what is damaged")
			}
		}
		repaired(t, s)
	})
	t.Run("the log has forgotten", func(t *testing.T) {
		s := build(t, func(dir, file string) { flip(t, filepath.Join(dir, file)) })
		if err := s.scrub(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Repair(t.Context(), readJournal(50)); err != nil {
			t.Fatal(err)
		}
		if st := s.Status(); len(st.Lost) != 1 || !st.Lost[0].Final {
			t.Errorf("lost: %+v, want one that is final", st.Lost)
		}
		again := rebuilt(t, s)
		if got := factstest.Rows(t, s, everything); got != again {
			t.Errorf("got\n%swant\n%s", got, again)
		}
	})
	t.Run("one copy of users and manifest", func(t *testing.T) {
		s := build(t, func(dir, _ string) {
			flip(t, filepath.Join(dir, usersFile))
			flip(t, filepath.Join(dir, manifestFile))
		})
		if got := factstest.Rows(t, s, everything); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	})
	t.Run("all copies", func(t *testing.T) {
		s := build(t, func(dir, _ string) {
			flip(t, filepath.Join(dir, usersFile))
			flip(t, filepath.Join(dir, usersCopy))
		})
		if st := s.Status(); st.Rows != 0 || st.Next[0] != 0 {
			t.Fatalf("status %+v, want an empty store", st)
		}
		feed(t, s, journal())
		if got := factstest.Rows(t, s, everything); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	})
}

// rebuilt is what a store answers that took in only what the log still has,
// and the days whose files are whole.
func rebuilt(t *testing.T, s *Store) string {
	t.Helper()
	lost := s.manifest.Lost[0]
	full := open(t, Config{Dir: t.TempDir()}, Deps{})
	feed(t, full, journal())
	where := " WHERE NOT (split_part(place, '-', 2)::BIGINT < 50 AND epoch_us(time) BETWEEN " +
		strings.Join([]string{fmt.Sprint(lost.From), fmt.Sprint(lost.To)}, " AND ") + ") ORDER BY"
	return factstest.Rows(t, full, strings.Replace(everything, " ORDER BY", where, 1))
}

func TestWrongPartitions(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir}, Deps{Partitions: 3})
	factstest.Append(t, s, 2, factstest.Chunk(0, factstest.Track("a", "b", factstest.Noon)))
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err := Open(Config{Dir: dir}, Deps{Partitions: 2}); err == nil {
		_ = s.Close()
		t.Error("facts of a log with other partitions were opened")
	}
}

func TestConfigRefuses(t *testing.T) {
	for want, cfg := range map[string]Config{
		"memory": {Memory: 1}, "threads": {Threads: -1}, "queries": {Queries: 100}, "flush_rows": {FlushRows: -1}, "keep": {Keep: 1},
	} {
		cfg.Dir = t.TempDir()
		s, err := Open(cfg, Deps{Partitions: 1})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
		if err == nil {
			_ = s.Close()
		}
	}
}

// A disk without room stops nothing but the writing: events are in queries, and the
// store says why they are not on the disk.
func TestDiskReserve(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir(), Reserve: 1 << 62}, Deps{})
	feed(t, s, journal())
	if err := s.Flush(t.Context()); !errors.Is(err, facts.ErrFull) {
		t.Fatalf("got %v, want facts.ErrFull", err)
	}
	st := s.Status()
	if !errors.Is(st.Err, facts.ErrFull) || st.Hot != st.Rows || st.Files != 0 {
		t.Errorf("status %+v", st)
	}
	if got := factstest.Rows(t, s, everything); got != wanted(t) {
		t.Errorf("got\n%s", got)
	}
	s.cfg.Reserve = 0
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); st.Err != nil || st.Hot != 0 {
		t.Errorf("status %+v", st)
	}
}

// The least memory is enough to write and to close a large day.
func TestLeastMemory(t *testing.T) {
	now := time.UnixMicro(factstest.Noon).Add(72 * time.Hour)
	s := open(t, Config{Dir: t.TempDir(), Memory: 64 << 20}, Deps{Clock: func() time.Time { return now }})
	e := factstest.Track("somebody with a long id", "view", 0)
	e.Context.Page.URL = "https://shop.example/a/page/with/a/long/address?utm_source=somewhere"
	const rows = 400_000
	for pos := uint64(0); pos < rows; pos += 500 {
		c := eventlog.Chunk{Base: pos, Count: 500}
		for i := range uint64(500) {
			e.MessageID, e.AnonymousID = fmt.Sprintf("message-%032d", (pos+i)*7919), fmt.Sprintf("user-%020d", (pos+i)%50_000)
			e.Timestamp = factstest.Noon + int64(pos+i)
			e.Properties = fmt.Appendf(nil, `{"product_id": "p-%d", "price": %d, "text": "%064d"}`, i, pos, pos*i)
			c.Data = event.AppendEvent(c.Data, &e)
		}
		factstest.Append(t, s, 0, c)
	}
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); st.Err != nil || st.Hot != 0 || st.Rows != rows || st.Files != 1 {
		t.Errorf("status %+v", st)
	}
}

// TestOwnFunctionsAreNotForQueries: they trust their arguments, and a wrong one would
// end the process.
func TestOwnFunctionsAreNotForQueries(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()}, Deps{})
	for _, text := range []string{
		"FROM heed_hot_rows(NULL)", "FROM main.HEED_hot_rows(0)", `FROM "heed_hot_rows"(0)`, "SELECT heed_holds(1, 'x')",
		"FROM (SELECT heed_text(1))", "SELECT 1 WHERE EXISTS (FROM heed_hot_rows(NULL))", "WITH x AS (FROM heed_hot_rows(NULL)) FROM x",
		"SELECT list_transform([1], x -> heed_number(x))", "SELECT 1 ORDER BY heed_user_id(7)", "FROM range(3), LATERAL (FROM heed_hot_rows(NULL))",
	} {
		rows, err := s.SQL(t.Context(), text, facts.Options{})
		if err == nil {
			err = rows.Close()
		}
		if !errors.Is(err, facts.ErrStatement) || !strings.Contains(err.Error(), "not possible here") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
