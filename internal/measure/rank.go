package measure

import "slices"

// PercentilesOf are the percentiles of values, which it sorts; nil of none.
func PercentilesOf(values []int64) *Percentiles {
	n := len(values)
	if n == 0 {
		return nil
	}
	slices.Sort(values)
	rank := func(percent int) int64 { return values[(n*percent+99)/100-1] }
	return &Percentiles{P25: rank(25), P50: rank(50), P75: rank(75), P90: rank(90), P95: rank(95)}
}

// SortRows puts rows in the order of a breakdown: by count, greatest first,
// equal ones by values.
func SortRows(rows []Row) {
	slices.SortFunc(rows, func(a, b Row) int {
		switch {
		case a.Count > b.Count:
			return -1
		case a.Count < b.Count:
			return 1
		}
		return slices.CompareFunc(a.Values, b.Values, Compare)
	})
}
