// Package bitset owns dense sets of small numbers, such as those of users. It is
// pure; a set must not be read while it is changed.
package bitset

import "math/bits"

// Set is a dense set of user numbers.
type Set []uint64

// New has room for so many users.
func New(users int) Set { return make(Set, (users+63)/64) }

// Has tells whether u is in the set.
func (b Set) Has(u uint32) bool {
	i := int(u >> 6)
	return i < len(b) && b[i]>>(u&63)&1 == 1
}

// Add puts u in; there must be room.
func (b Set) Add(u uint32) { b[u>>6] |= 1 << (u & 63) }

// Remove takes u out; there must be room.
func (b Set) Remove(u uint32) { b[u>>6] &^= 1 << (u & 63) }

// Sized is b as large as needed for u.
func (b Set) Sized(u uint32) Set {
	for int(u>>6) >= len(b) {
		b = append(b, 0)
	}
	return b
}

// Count is how many are in it.
func (b Set) Count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// Clone is a copy with room for so many users.
func (b Set) Clone(users int) Set {
	out := New(users)
	copy(out, b)
	return out
}

// Or puts in what is in o.
func (b Set) Or(o Set) {
	for i := range b {
		b[i] |= o[i]
	}
}

// And leaves what is in o, too.
func (b Set) And(o Set) {
	for i := range b {
		b[i] &= o[i]
	}
}

// AndNot takes out what is in o.
func (b Set) AndNot(o Set) {
	for i := range b {
		b[i] &^= o[i]
	}
}

// Each visits the members of words [from, to).
func (b Set) Each(from, to int, visit func(u uint32)) {
	for i := from; i < to; i++ {
		for w := b[i]; w != 0; w &= w - 1 {
			visit(uint32(i<<6 + bits.TrailingZeros64(w)))
		}
	}
}
