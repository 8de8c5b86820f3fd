package lists_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"heed/internal/journey/lists"
)

// The arrays are those of a plain slice of slices, whatever is done to them, and so
// is a snapshot that is read later.
func TestLists(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		var l, then lists.Lists
		var want, before [][]uint64
		same := func(l *lists.Lists, want [][]uint64, what string) {
			t.Helper()
			for u := range want {
				if got := l.At(uint32(u)); !slices.Equal(got, want[u]) {
					t.Fatalf("seed %d: %s: user %d of %d has %d words, want %d", seed, what, u, len(want), len(got), len(want[u]))
				}
			}
		}
		shared := false
		users := 1 + r.IntN(5000)
		for range 25_000 {
			if len(want) < users && r.IntN(4) == 0 {
				l.Add()
				want = append(want, nil)
			}
			if len(want) == 0 {
				continue
			}
			// Some have much more than others.
			u := int(float64(len(want)) * r.Float64() * r.Float64() * r.Float64())
			n := len(want[u])
			switch at := r.IntN(2000); {
			case at == 0 && !shared:
				then, before, shared = l.Snapshot(), nil, true
				for _, list := range want {
					before = append(before, slices.Clone(list))
				}
			case at == 1 && shared:
				same(&then, before, "snapshot")
				l.Release()
				shared = false
			case at == 2:
				l.Pack()
			case at < 40:
				part := l.At(uint32(u))[n/2:]
				want[u] = slices.Clone(part)
				l.Put(uint32(u), part)
			case at < 60:
				words := make([]uint64, r.IntN(1500))
				for i := range words {
					words[i] = r.Uint64()
				}
				want[u] = words
				l.Put(uint32(u), words)
			default:
				i := n
				if r.IntN(5) == 0 {
					i = r.IntN(n + 1)
				}
				w := r.Uint64()
				want[u] = slices.Insert(want[u], i, w)
				l.Insert(uint32(u), i, w)
			}
		}
		same(&l, want, "lists")
		if shared {
			same(&then, before, "snapshot")
		}
		if l.Len() != len(want) {
			t.Errorf("seed %d: %d users, want %d", seed, l.Len(), len(want))
		}
	}
}

// Arrays of many users who grow take little more than their words, and leave little
// behind.
func TestMemory(t *testing.T) {
	const users, each = 50_000, 30
	var l lists.Lists
	for range users {
		l.Add()
	}
	r := rand.New(rand.NewPCG(1, 1))
	grow := func() {
		for range users * each {
			u := uint32(float64(users) * r.Float64() * r.Float64())
			l.Insert(u, len(l.At(u)), 1)
		}
	}
	grow()
	words, headers := int64(users*each*8), int64(users*24*5/4)
	if got := l.Bytes() - headers; got > words*14/10 {
		t.Errorf("%d bytes for %d of words", got, words)
	}
	const blocks = users * each / 4096
	if got := testing.AllocsPerRun(1, grow); got > 6*blocks {
		t.Errorf("%.0f allocations for words that fill %d blocks", got, blocks)
	}
}
