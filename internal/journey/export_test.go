package journey

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
)

// Payload is what the frames of a snapshot hold, and Framed is its opposite.
func Payload(snapshot []byte) (out []byte) {
	for at := snapshot[len(magic):]; len(at) > 8; {
		n := binary.LittleEndian.Uint32(at)
		out, at = append(out, at[8:8+n]...), at[8+n:]
	}
	return out
}

// Framed puts a payload into frames.
func Framed(payload []byte) []byte {
	var b bytes.Buffer
	b.WriteString(magic)
	w := &encoder{ctx: context.Background(), out: &b, table: castagnoli()}
	for part := range slices.Chunk(payload, frameMax) {
		w.frame(part)
	}
	w.frame(nil)
	return b.Bytes()
}
