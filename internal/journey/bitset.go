package journey

import "math/bits"

// bitset is a dense set of user numbers.
type bitset []uint64

func newBitset(users int) bitset { return make(bitset, (users+63)/64) }

func (b bitset) has(u uint32) bool {
	i := int(u >> 6)
	return i < len(b) && b[i]>>(u&63)&1 == 1
}

func (b bitset) add(u uint32) { b[u>>6] |= 1 << (u & 63) }

func (b bitset) remove(u uint32) { b[u>>6] &^= 1 << (u & 63) }

// sized is b as large as needed for u.
func (b bitset) sized(u uint32) bitset {
	for int(u>>6) >= len(b) {
		b = append(b, 0)
	}
	return b
}

func (b bitset) count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

func (b bitset) clone(users int) bitset {
	out := newBitset(users)
	copy(out, b)
	return out
}

func (b bitset) or(o bitset) {
	for i := range b {
		b[i] |= o[i]
	}
}

func (b bitset) and(o bitset) {
	for i := range b {
		b[i] &= o[i]
	}
}

func (b bitset) andNot(o bitset) {
	for i := range b {
		b[i] &^= o[i]
	}
}

// each visits the members of words [from, to).
func (b bitset) each(from, to int, visit func(u uint32)) {
	for i := from; i < to; i++ {
		for w := b[i]; w != 0; w &= w - 1 {
			visit(uint32(i<<6 + bits.TrailingZeros64(w)))
		}
	}
}
