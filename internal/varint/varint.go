// Package varint reads the values that are written with
// encoding/binary.AppendUvarint and AppendVarint, bytes and texts among them,
// and does not trust them. It does not own any format.
package varint

import "encoding/binary"

// Reader takes values off bytes. After the first that is wrong it is bad, yields
// zeros, and has nothing left. It is used by one goroutine.
type Reader struct {
	rest []byte
	bad  bool
}

// NewReader reads b, which it does not copy.
func NewReader(b []byte) Reader { return Reader{rest: b} }

// Bad tells whether a value was wrong.
func (r *Reader) Bad() bool { return r.bad }

// Rest is what was not read yet.
func (r *Reader) Rest() []byte { return r.rest }

// Fail makes it bad: a value was read that cannot be.
func (r *Reader) Fail() { r.rest, r.bad = nil, true }

// skip passes over n bytes; n <= 0 says that a value was wrong.
func (r *Reader) skip(n int) bool {
	if n <= 0 {
		r.Fail()
		return false
	}
	r.rest = r.rest[n:]
	return true
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.rest) == 0 {
		r.Fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// Bytes reads n bytes, which alias the input.
func (r *Reader) Bytes(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.Fail()
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// Uvarint reads an unsigned number.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if !r.skip(n) {
		return 0
	}
	return v
}

// Varint reads a signed number.
func (r *Reader) Varint() int64 {
	v, n := binary.Varint(r.rest)
	if !r.skip(n) {
		return 0
	}
	return v
}

// Count reads a number of things of at least size bytes each that must follow.
func (r *Reader) Count(size int) int {
	n := r.Uvarint()
	if n > uint64(len(r.rest)/size) {
		r.Fail()
		return 0
	}
	return int(n)
}

// Text reads bytes behind their length; they alias the input.
func (r *Reader) Text() []byte { return r.Bytes(r.Count(1)) }

// String is a copy of Text.
func (r *Reader) String() string { return string(r.Text()) }
