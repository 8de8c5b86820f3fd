package duckdb

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"heed/internal/event"
	"heed/internal/facts"
	"heed/internal/facts/factstest"
	"heed/internal/measure"
	"heed/internal/measure/measuretest"
)

func soak(n int) int {
	if by, err := strconv.Atoi(os.Getenv("HEED_SOAK")); err == nil && by > 0 {
		return n * by
	}
	return n
}

// Random histories, in hot rows and in files of every kind, answer random queries as
// the oracle does.
func TestAnswersAsTheOracle(t *testing.T) {
	answered := map[measure.Kind]int{}
	for seed := range uint64(soak(6)) {
		r := rand.New(rand.NewPCG(seed, 7))
		h, now := measuretest.Random(r)
		s := open(t, Config{Dir: t.TempDir()}, Deps{Partitions: 1})
		for i := range h.Events {
			if h.Events[i].User() == "" || h.Events[i].Type == event.System {
				continue
			}
			factstest.Append(t, s, 0, factstest.Chunk(uint64(i), h.Events[i]))
			if i == len(h.Events)/3 {
				if err := s.Compact(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if i == len(h.Events)/2 {
				if err := s.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, m := range h.Merges {
			factstest.Append(t, s, 0, factstest.Chunk(uint64(len(h.Events)+i), factstest.Merge(m.From, m.To, now)))
		}
		for range 25 {
			q := measuretest.AskFacts(r, now)
			want, err := h.Answer(q, now)
			if err != nil {
				t.Fatal(err)
			}
			text, _ := json.Marshal(q)
			got, err := s.Query(t.Context(), q, now)
			if err != nil {
				t.Fatalf("seed %d: %s: %v", seed, text, err)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("seed %d: %s at %d (-oracle +facts):\n%s", seed, text, now, diff)
			}
			answered[q.Kind()]++
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []measure.Kind{
		measure.KindSeries, measure.KindBreakdown, measure.KindFunnel, measure.KindRetention, measure.KindPaths, measure.KindLive,
		measure.KindUsers, measure.KindSessions, measure.KindAttribution, measure.KindReturn,
	} {
		if answered[k] == 0 {
			t.Errorf("no %s was answered: %v", k, answered)
		}
	}
}

// The view of sessions holds what the measure counts.
func TestSessionsView(t *testing.T) {
	sessions := int64(0)
	for seed := range uint64(soak(10)) {
		r := rand.New(rand.NewPCG(seed, 8))
		h, now := measuretest.Random(r)
		s := open(t, Config{Dir: t.TempDir()}, Deps{Partitions: 1})
		for i := range h.Events {
			if e := &h.Events[i]; e.User() == "" || e.Type == event.System || e.Timestamp >= now {
				continue
			}
			factstest.Append(t, s, 0, factstest.Chunk(uint64(i), h.Events[i]))
			if i == len(h.Events)/2 {
				if err := s.Compact(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, m := range h.Merges {
			factstest.Append(t, s, 0, factstest.Chunk(uint64(len(h.Events)+i), factstest.Merge(m.From, m.To, now)))
		}
		want, err := h.Answer(&measure.Query{Sessions: &measure.Sessions{}, Bots: true, Internal: true}, now)
		if err != nil {
			t.Fatal(err)
		}
		row := one(t, s, `SELECT count(*), count(DISTINCT user_key), coalesce(sum(events), 0)::BIGINT,
			coalesce(quantile_disc(epoch_us("end") - epoch_us(start), 0.75), -1)::BIGINT FROM sessions`)
		p75 := int64(-1)
		if d := want.Sessions.Duration; d != nil {
			p75 = d.P75
		}
		if diff := cmp.Diff([]any{want.Sessions.Sessions, want.Sessions.Users, want.Sessions.Events, p75}, row); diff != "" {
			t.Errorf("seed %d (-measure +view):\n%s", seed, diff)
		}
		sessions += want.Sessions.Sessions
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if sessions < 100 {
		t.Errorf("%d sessions say little", sessions)
	}
}

// one is the only row of an answer.
func one(t *testing.T, s *Store, text string) []any {
	t.Helper()
	rows, err := s.SQL(t.Context(), text, facts.Options{Rows: 10})
	if err != nil {
		t.Fatal(err)
	}
	if !rows.Next() {
		t.Fatal("no row")
	}
	row := slices.Clone(rows.Values())
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	return row
}

func TestTimeline(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	h, now := measuretest.Random(r)
	s := open(t, Config{Dir: t.TempDir()}, Deps{Partitions: 1})
	for i := range h.Events {
		if h.Events[i].Type != event.System {
			factstest.Append(t, s, 0, factstest.Chunk(uint64(i), h.Events[i]))
		}
	}
	for i, m := range h.Merges {
		factstest.Append(t, s, 0, factstest.Chunk(uint64(len(h.Events)+i), factstest.Merge(m.From, m.To, now)))
	}
	users := []string{"nobody"}
	for i := range h.Events {
		if u := h.Events[i].User(); !slices.Contains(users, u) {
			users = append(users, u)
		}
	}
	for _, u := range users {
		for _, offset := range []int{0, 2} {
			q := &measure.Query{Timeline: &measure.Timeline{User: u, Limit: 5, Offset: offset}}
			want, err := h.Answer(q, now)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Query(t.Context(), q, now)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-oracle +facts):\n%s", u, diff)
			}
		}
	}
}

func TestImports(t *testing.T) {
	measuretest.CheckImports(t, func(h *measuretest.History, q *measure.Query, now int64) (measure.Result, error) {
		s := open(t, Config{Dir: t.TempDir()}, Deps{Partitions: 1})
		for i, e := range h.Events {
			factstest.Append(t, s, 0, factstest.Chunk(uint64(i), e))
		}
		res, err := s.Query(t.Context(), q, now)
		return res, errors.Join(err, s.Close())
	})
}
