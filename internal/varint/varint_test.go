package varint_test

import (
	"encoding/binary"
	"testing"

	"heed/internal/varint"
)

func written() []byte {
	b := []byte{7}
	b = binary.AppendUvarint(b, 1<<40)
	b = binary.AppendVarint(b, -300)
	b = append(binary.AppendUvarint(b, 3), "abc"...)
	b = append(binary.AppendUvarint(b, 2), 1, 2)
	return append(b, 9)
}

func read(r *varint.Reader) (ok bool) {
	return r.Byte() == 7 && r.Uvarint() == 1<<40 && r.Varint() == -300 && r.String() == "abc" &&
		r.Count(1) == 2 && string(r.Bytes(2)) == "\x01\x02" && !r.Bad()
}

func TestReadsBack(t *testing.T) {
	r := varint.NewReader(written())
	if !read(&r) || string(r.Rest()) != "\x09" {
		t.Errorf("bad: %t, rest %x", r.Bad(), r.Rest())
	}
}

// Cut short anywhere, it is bad and yields nothing.
func TestCutShort(t *testing.T) {
	b := written()
	b = b[:len(b)-1]
	for n := range b {
		r := varint.NewReader(b[:n])
		if read(&r) || !r.Bad() || len(r.Rest()) > 0 || r.Uvarint() != 0 || r.Varint() != 0 || r.Byte() != 0 || r.String() != "" {
			t.Errorf("of %d bytes: bad is %t, rest %x", n, r.Bad(), r.Rest())
		}
	}
}

// A count of more than can follow is wrong: it must not lead to allocations.
func TestCountIsBounded(t *testing.T) {
	r := varint.NewReader(append(binary.AppendUvarint(nil, 3), 1, 2, 3, 4, 5))
	if n := r.Count(2); n != 0 || !r.Bad() {
		t.Errorf("count %d, bad %t", n, r.Bad())
	}
	r = varint.NewReader([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	if r.Uvarint(); !r.Bad() {
		t.Error("a number of more than 64 bits was read")
	}
}
