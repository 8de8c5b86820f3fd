package presence_test

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heed/internal/journey/bitset"
	"heed/internal/journey/presence"
)

// What is loaded is what is added one by one, on days near and far; what is removed
// and trimmed is gone.
func TestMap(t *testing.T) {
	const users, names = 3000, 4
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		one, loaded := presence.New(), presence.New()
		load := loaded.Load(names)
		start := int32(r.IntN(25_000))
		want := map[[2]int32]bitset.Set{} // by name and day; -1: ever
		put := func(name, day int32, u uint32) {
			key := [2]int32{name, day}
			if want[key] == nil {
				want[key] = bitset.New(users)
			}
			want[key].Add(u)
		}
		for u := range uint32(users) {
			for range r.IntN(20) {
				name, day := uint32(r.IntN(names)), start+int32(r.IntN(30))
				if r.IntN(50) == 0 {
					day = int32(r.IntN(26_000))
				}
				one.Add(u, name, day)
				load.Add(u, name, day)
				put(int32(name), day, u)
				put(int32(name), -1, u)
			}
		}
		load.Close()
		check := func() {
			t.Helper()
			for key, set := range want {
				for _, m := range []*presence.Map{one, loaded} {
					var g presence.Group
					if key[1] < 0 {
						g.Ever(m, uint32(key[0]))
					} else {
						g.On(m, uint32(key[0]), key[1])
					}
					if diff := cmp.Diff(set, g.Union(users)); diff != "" {
						t.Fatalf("seed %d: %v:\n%s", seed, key, diff)
					}
				}
			}
		}
		check()
		for _, m := range []*presence.Map{one, loaded} {
			for key, set := range want {
				if key[1] >= 0 && set.Has(7) {
					m.Remove(7, uint32(key[0]), key[1])
				}
			}
			m.Trim(start + 5)
		}
		for key, set := range want {
			if set.Has(7) {
				set.Remove(7)
			}
			if key[1] >= 0 && key[1] < start+5 {
				clear(set)
			}
		}
		check()
	}
}

func TestUnionOfNobody(t *testing.T) {
	var g presence.Group
	g.Ever(presence.New(), 1)
	g.On(presence.New(), 1, 2)
	if got := g.Union(100); got.Count() != 0 || len(got) != 2 {
		t.Errorf("%v", got)
	}
}
