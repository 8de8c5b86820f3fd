package analytics

import (
	"context"
	"fmt"
	"testing"
	"time"

	"heed/internal/driver/duckdb"
	"heed/internal/driver/memory"
	"heed/internal/eventlog"
	"heed/internal/facts/factstest"
)

// The fold takes in what is there and what comes, over a restart, and says how
// far it is behind.
func TestFold(t *testing.T) {
	db := memory.Open(memory.Config{})
	defer func() { _ = db.Close() }()
	db.SetHostile(memory.Hostile{Gap: 0.2, Redeliver: 0.2})
	dir := t.TempDir()
	const count = "SELECT count(*), count(DISTINCT message_id) FROM events"
	sent := 0
	send := func() {
		for range 50 {
			add(t, db, track(fmt.Sprint("user-", sent), "view"))
			sent++
		}
	}
	for round := range 2 {
		store, err := duckdb.Open(duckdb.Config{Dir: dir, FlushRows: 40}, duckdb.Deps{Partitions: db.Log().Partitions()})
		if err != nil {
			t.Fatal(err)
		}
		fold, err := NewFold(FoldDeps{Log: db.Log(), Facts: store})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		send()
		go func() { done <- fold.Run(ctx) }()
		send()
		want := fmt.Sprintln(sent, sent)
		for deadline := time.Now().Add(20 * time.Second); factstest.Rows(t, store, count) != want; {
			if time.Now().After(deadline) {
				t.Fatalf("round %d: facts hold %q, want %q", round, factstest.Rows(t, store, count), want)
			}
		}
		next, err := fold.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for p, n := range next {
			if b, err := db.Log().Bounds(t.Context(), eventlog.Events, p); err != nil || n != b.Next {
				t.Errorf("partition %d is in up to %d of %d, %v", p, n, b.Next, err)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if fold.Behind() > time.Minute {
			t.Errorf("behind by %s", fold.Behind())
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	store, err := duckdb.Open(duckdb.Config{Dir: t.TempDir()}, duckdb.Deps{Partitions: db.Log().Partitions()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	fold, err := NewFold(FoldDeps{Log: db.Log(), Facts: store})
	if err != nil {
		t.Fatal(err)
	}
	if err := fold.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, want := factstest.Rows(t, store, count), fmt.Sprintln(sent, sent); got != want {
		t.Errorf("caught up: %q, want %q", got, want)
	}
}
