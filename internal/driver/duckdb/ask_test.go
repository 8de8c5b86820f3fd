package duckdb

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"heed/internal/event"
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
