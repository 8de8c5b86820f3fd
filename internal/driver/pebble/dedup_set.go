package pebble

import (
	"encoding/binary"
	"math/bits"

	"heed/internal/eventlog"
)

// hasher spreads keys over tables with numbers that nobody outside knows, so
// that ids cannot be chosen to fall into one place.
type hasher [4]uint64

// sum gives two hashes of a key.
func (h *hasher) sum(k *eventlog.Key) (a, b uint64) {
	x, y := binary.LittleEndian.Uint64(k[:8]), binary.LittleEndian.Uint64(k[8:])
	hi, lo := bits.Mul64(x^h[0], y^h[1])
	a = hi ^ lo
	hi, lo = bits.Mul64(y^h[2], x^h[3])
	return a, hi ^ lo
}

// keySet is an exact set of keys: open addressing, at most 3/4 full. The zero
// key is the mark of a free place and is never put in.
type keySet struct {
	table []eventlog.Key
	count int
	limit int // count from which it grows
}

func newKeySet() *keySet {
	s := &keySet{}
	s.resize(1 << 10)
	return s
}

func (s *keySet) resize(n int) {
	s.table = make([]eventlog.Key, n)
	s.limit = n / 4 * 3
}

// has tells whether a key with the hash is there.
func (s *keySet) has(k *eventlog.Key, hash uint64) bool {
	mask := uint64(len(s.table) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		switch s.table[i] {
		case *k:
			return true
		case eventlog.Key{}:
			return false
		}
	}
}

// add puts a key in and tells whether it is new.
func (s *keySet) add(k *eventlog.Key, hash uint64, h *hasher) bool {
	if s.count >= s.limit {
		s.grow(h)
	}
	mask := uint64(len(s.table) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		switch s.table[i] {
		case *k:
			return false
		case eventlog.Key{}:
			s.table[i] = *k
			s.count++
			return true
		}
	}
}

func (s *keySet) grow(h *hasher) {
	old := s.table
	s.resize(2 * len(old))
	mask := uint64(len(s.table) - 1)
	for j := range old {
		if old[j] == (eventlog.Key{}) {
			continue
		}
		hash, _ := h.sum(&old[j])
		i := hash & mask
		for s.table[i] != (eventlog.Key{}) {
			i = (i + 1) & mask
		}
		s.table[i] = old[j]
	}
}

// filter is a blocked Bloom filter: a key sets four bits in each of the two
// words of one 16-byte block, so that a test costs one cache line and no
// branch. With 24 bits a key about one test in 5,000 passes wrongly; a dozen
// filters are asked for each key, and each wrong pass costs a read.
type filter struct {
	words []uint64 // two a block
}

// filterBits is the size of a filter per key.
const filterBits = 24

func newFilter(keys int) filter {
	return filter{words: make([]uint64, 2*max(1, (keys*filterBits+127)/128))}
}

// masks are the bits of a key in the words of its block.
func masks(b uint64) (m, n uint64) {
	m = 1<<(b&63) | 1<<(b>>6&63) | 1<<(b>>12&63) | 1<<(b>>18&63)
	n = 1<<(b>>24&63) | 1<<(b>>30&63) | 1<<(b>>36&63) | 1<<(b>>42&63)
	return m, n
}

// block is where a key's block begins.
func (f filter) block(a uint64) int {
	hi, _ := bits.Mul64(a, uint64(len(f.words)/2))
	return int(hi) * 2
}

func (f filter) add(a, b uint64) {
	m, n := masks(b)
	i := f.block(a)
	f.words[i] |= m
	f.words[i+1] |= n
}

// may tells whether the key may be there.
func (f filter) may(a, m, n uint64) bool {
	i := f.block(a)
	w := f.words[i : i+2 : i+2]
	return (m&^w[0])|(n&^w[1]) == 0
}

// encode is the filter as bytes.
func (f filter) encode() []byte {
	out := make([]byte, 0, 8*len(f.words))
	for _, w := range f.words {
		out = binary.LittleEndian.AppendUint64(out, w)
	}
	return out
}

func decodeFilter(b []byte) filter {
	f := filter{words: make([]uint64, len(b)/8)}
	for i := range f.words {
		f.words[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return f
}
