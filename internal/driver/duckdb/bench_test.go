package duckdb

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"heed/bench/history"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/facts"
)

func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// TestFigures prints what ingest and queries cost: HEED_FACTS_EVENTS=10000000.
func TestFigures(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("HEED_FACTS_EVENTS"))
	if n == 0 {
		t.Skip("HEED_FACTS_EVENTS says how many events to measure with")
	}
	dir := t.TempDir()
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	s := open(t, Config{Dir: dir, Memory: 1 << 30}, Deps{Partitions: 1, Clock: func() time.Time { return now }})
	g := history.New(history.Config{Seed: 1, Events: n, Users: max(1000, n/50), From: now.AddDate(0, 0, -30), Span: 30 * 24 * time.Hour})
	var e event.Event
	var chunks []eventlog.Chunk
	var pos uint64
	var ingest, wall time.Duration
	feed := func() {
		c0, t0 := cpu(), time.Now()
		for _, c := range chunks {
			if err := s.Append(t.Context(), 0, c); err != nil {
				t.Fatal(err)
			}
		}
		ingest += cpu() - c0
		wall += time.Since(t0)
		chunks = chunks[:0]
	}
	c := eventlog.Chunk{}
	for g.Next(&e) {
		c.Data = event.AppendEvent(c.Data, &e)
		if c.Count++; c.Count == 500 {
			chunks = append(chunks, c)
			pos += 500
			c = eventlog.Chunk{Base: pos}
			if len(chunks) == 1000 {
				feed()
			}
		}
	}
	feed()
	c0 := cpu()
	if err := s.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	ingest += cpu() - c0
	st := s.Status()
	fmt.Printf("ingest %.2f CPU s/M, %.0f events/s; %.1f bytes an event in %d files\n", ingest.Seconds()/float64(n)*1e6, float64(n)/wall.Seconds(), float64(st.Bytes)/float64(st.Rows), st.Files)
	c0 = cpu()
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	st = s.Status()
	fmt.Printf("compaction %.2f CPU s/M; %.1f bytes an event in %d files\n", (cpu()-c0).Seconds()/float64(n)*1e6, float64(st.Bytes)/float64(st.Rows), st.Files)
	for _, q := range []string{
		"SELECT count(*) FROM events",
		"SELECT country, count(*) FROM events WHERE event='purchase' GROUP BY 1",
		"SELECT country, count(DISTINCT user_key) FROM events GROUP BY 1",
		"SELECT country, count(DISTINCT user_key) FROM events WHERE event='purchase' GROUP BY 1",
		"SELECT date_trunc('day', time), count(*) FROM events WHERE event='product_view' GROUP BY 1",
		"SELECT sum((properties->>'revenue')::DOUBLE) FROM events WHERE event='purchase'",
		"SELECT * FROM events WHERE user_id='user-42' ORDER BY time",
		`WITH e AS (SELECT user_key, time, event FROM events WHERE event IN ('product_view','add_to_cart','purchase')),
		w AS (SELECT user_key, event, time, max(time) FILTER (event='product_view') OVER (PARTITION BY user_key ORDER BY time ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW) AS s1 FROM e),
		x AS (SELECT user_key, event, time, max(CASE WHEN event='add_to_cart' THEN s1 END) OVER (PARTITION BY user_key ORDER BY time ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW) AS s2 FROM w)
		SELECT count(DISTINCT user_key) FROM x WHERE event='purchase' AND time - s2 < INTERVAL 1 HOUR`,
	} {
		best := time.Hour
		for range 3 {
			t0 := time.Now()
			rows, err := s.SQL(t.Context(), q, facts.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for rows.Next() {
			}
			_ = rows.Close()
			best = min(best, time.Since(t0))
		}
		fmt.Printf("%8.1f ms  %.90s\n", best.Seconds()*1000, q)
	}
}
