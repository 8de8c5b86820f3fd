package duckdb

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"heed/internal/event"
	"heed/internal/facts"
	"heed/internal/facts/factstest"
)

// Statements that make texts of texts end with a message, and memory stays near the
// limit; others, and what the store does itself, go on.
func TestTextsOfTexts(t *testing.T) {
	if _, err := native(); err != nil {
		t.Skip(err)
	}
	s := open(t, Config{Dir: t.TempDir(), Memory: 64 << 20}, Deps{})
	var events []event.Event
	for i := range int64(3000) {
		events = append(events, factstest.Track("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "view", factstest.Noon+i))
	}
	factstest.Append(t, s, 0, factstest.Chunk(0, events...))
	began, err := native()
	if err != nil {
		t.Fatal(err)
	}
	var peak atomic.Int64
	done := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			if now, err := native(); err == nil && now > peak.Load() {
				peak.Store(now)
			}
		}
	}()
	const all = "WITH x AS (SELECT string_agg(user_id || properties, '') AS s FROM events) "
	for _, text := range []string{
		all + "SELECT length(replace(s, 'a', s)) FROM x",
		all + "SELECT length(regexp_replace(s, 'a', s, 'g')) FROM x",
		all + "SELECT sum(length(replace(user_id, 'a', s))) FROM events, x",
		all + "SELECT sum(length(user_id || s || properties)) FROM events, x",
		all + "SELECT length(array_to_string(list_transform(str_split(s, ''), c -> s), '')) FROM x",
		"WITH RECURSIVE t(s) AS (SELECT 'aaaaaaaaaaaaaaaa' UNION ALL SELECT s || s FROM t WHERE length(s) < 3000000000) SELECT max(length(s)) FROM t",
	} {
		rows, err := s.SQL(t.Context(), text, facts.Options{})
		if err == nil {
			for rows.Next() {
				t.Log(rows.Values()...)
			}
			err = rows.Err()
			if closing := rows.Close(); closing != nil {
				t.Error(closing)
			}
		}
		if !errors.Is(err, facts.ErrTooBig) {
			t.Errorf("%s: %v, want ErrTooBig", text, err)
		}
		if got := factstest.Rows(t, s, "SELECT count(*), max(length(replace(properties, 'a', 'bb'))) FROM events"); got != "3000 61\n" {
			t.Errorf("afterwards: %q", got)
		}
		factstest.Append(t, s, 0, factstest.Chunk(s.Status().Next[0], factstest.Merge("a", "b", factstest.Noon)))
		if err := s.Flush(t.Context()); err != nil {
			t.Error(err)
		}
	}
	close(done)
	<-watched
	grew := (peak.Load() - began) >> 20
	t.Logf("grew by %d MB at most", grew)
	if most := (s.guard.limit + 512<<20) >> 20; grew > most {
		t.Errorf("the process grew by %d MB, want at most %d", grew, most)
	}
}
