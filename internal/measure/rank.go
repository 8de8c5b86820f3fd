package measure

import (
	"cmp"
	"slices"
)

// Percents are the percentiles that Percentiles holds, in its order.
func Percents() [5]int { return [...]int{25, 50, 75, 90, 95} }

// PercentilesIn are percentiles in the order of Percents.
func PercentilesIn(p [5]int64) *Percentiles {
	return &Percentiles{P25: p[0], P50: p[1], P75: p[2], P90: p[3], P95: p[4]}
}

// Rank is the index of a percentile among n values in order.
func Rank(n, percent int) int { return (n*percent+99)/100 - 1 }

// PercentilesOf are the percentiles of values, whose order it changes; nil of
// none.
func PercentilesOf(values []int64) *Percentiles {
	if len(values) == 0 {
		return nil
	}
	var at [5]int
	for i, percent := range Percents() {
		at[i] = Rank(len(values), percent)
	}
	Select(values, at[:])
	var out [5]int64
	for i, k := range at {
		out[i] = values[k]
	}
	return PercentilesIn(out)
}

// Select puts those values that order would have at some indexes, which do not
// descend, there.
func Select(values []int64, at []int) {
	done := 0 // all before it are in their places
	for _, k := range at {
		if k >= done {
			place(values[done:], k-done)
			done = k
		}
	}
}

// place puts the k-th smallest value at index k, smaller ones before it and
// greater ones behind it. Hoare's selection, with the middle of three as pivot.
func place(values []int64, k int) {
	for len(values) > 64 {
		n := len(values)
		a, b, c := values[0], values[n/2], values[n-1]
		pivot := max(min(a, b), min(max(a, b), c))
		i, j := 0, n-1
		for i <= j {
			for values[i] < pivot {
				i++
			}
			for values[j] > pivot {
				j--
			}
			if i <= j {
				values[i], values[j] = values[j], values[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			values = values[:j+1]
		case k >= i:
			values, k = values[i:], k-i
		default:
			return
		}
	}
	slices.Sort(values)
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

// PathNodes orders the names of a depth, which users and texts have by number, and
// says where each of them is found. Number 0 is the end.
func PathNodes(users map[uint32]int64, texts []string, top int) ([]PathNode, map[uint32]int) {
	var names []uint32
	for n := range users {
		if n != 0 {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(users[b], users[a]), cmp.Compare(texts[a], texts[b]))
	})
	var nodes []PathNode
	place := map[uint32]int{}
	for i, n := range names {
		switch {
		case i < top:
			nodes = append(nodes, PathNode{Event: texts[n], Users: users[n]})
		case i == top:
			nodes = append(nodes, PathNode{Other: true, Users: users[n]})
		default:
			nodes[top].Users += users[n]
		}
		place[n] = min(i, top)
	}
	if n := users[0]; n > 0 {
		place[0] = len(nodes)
		nodes = append(nodes, PathNode{End: true, Users: n})
	}
	return nodes, place
}

// PathLinks puts links, counted under their places, in order.
func PathLinks(users map[PathLink]int64) []PathLink {
	var links []PathLink
	for l, n := range users {
		l.Users = n
		links = append(links, l)
	}
	slices.SortFunc(links, func(a, b PathLink) int {
		return cmp.Or(cmp.Compare(a.Depth, b.Depth), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return links
}
