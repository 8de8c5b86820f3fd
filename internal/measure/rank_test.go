package measure_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"heed/internal/measure"
)

func TestPercentilesAreThoseOfTheSortedValues(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		values := make([]int64, 1+r.IntN(2000))
		for i := range values {
			values[i] = r.Int64N(1 + r.Int64N(1000))
		}
		if seed%5 == 0 {
			slices.Sort(values)
		}
		sorted := slices.Sorted(slices.Values(values))
		rank := func(percent int) int64 { return sorted[(len(sorted)*percent+99)/100-1] }
		want := measure.Percentiles{P25: rank(25), P50: rank(50), P75: rank(75), P90: rank(90), P95: rank(95)}
		if got := measure.PercentilesOf(values); *got != want {
			t.Fatalf("seed %d: got %+v, want %+v", seed, *got, want)
		}
	}
	if measure.PercentilesOf(nil) != nil {
		t.Error("percentiles of nothing")
	}
}
