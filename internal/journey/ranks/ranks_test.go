package ranks_test

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heed/internal/journey/ranks"
	"heed/internal/measure"
)

// Percentiles are those of the sorted values, whatever the values are and however
// little may be held.
func TestPercentilesAreThoseOfTheSortedValues(t *testing.T) {
	passes := map[int]int{}
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		groups := make([][]int64, 1+r.IntN(4))
		n := r.IntN(2000)
		around, width := r.Int64N(1<<(1+r.IntN(61))), 1+r.Int64N(1<<(1+r.IntN(61)))
		for range n {
			v := around
			switch r.IntN(4) {
			case 0:
			case 1:
				v = r.Int64N(1 << (1 + r.IntN(62)))
			default:
				v += r.Int64N(width)
			}
			g := r.IntN(len(groups))
			groups[g] = append(groups[g], v)
		}
		limit := 1 << r.IntN(14)
		s := ranks.New(len(groups), limit)
		pass := 0
		for ; s.Next(); pass++ {
			counters := make([]*ranks.Counter, 1+r.IntN(3))
			for i := range counters {
				counters[i] = s.Counter()
			}
			for g, values := range groups {
				for _, v := range values {
					counters[r.IntN(len(counters))].Add(g, v)
				}
			}
			for _, c := range counters {
				s.Join(c)
			}
		}
		passes[pass]++
		if pass > 1 && n <= limit || pass > 64 {
			t.Fatalf("seed %d: %d passes over %d values, of which %d may be held", seed, pass, n, limit)
		}
		for g, values := range groups {
			if diff := cmp.Diff(measure.PercentilesOf(values), s.Percentiles(g)); diff != "" {
				t.Fatalf("seed %d, group %d of %d values, limit %d, %d passes:\n%s", seed, g, len(values), limit, pass, diff)
			}
		}
	}
	if passes[1] == 0 || passes[2] == 0 || passes[3] == 0 {
		t.Errorf("searches by their passes: %v", passes)
	}
}

// Of many values that differ, the second pass holds what is asked.
func TestTwoPasses(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	values := make([]int64, 200_000)
	for i := range values {
		values[i] = r.Int64N(3600e6)
	}
	s, passes := ranks.New(1, 30_000), 0
	for ; s.Next(); passes++ {
		c := s.Counter()
		for _, v := range values {
			c.Add(0, v)
		}
		s.Join(c)
	}
	if diff := cmp.Diff(measure.PercentilesOf(values), s.Percentiles(0)); diff != "" || passes != 2 {
		t.Errorf("%d passes\n%s", passes, diff)
	}
}
