package journey

import (
	"encoding/binary"
	"hash/crc32"
	"slices"

	"heed/internal/journey/frames"
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
	out, table := []byte(magic), crc32.MakeTable(crc32.Castagnoli)
	frame := func(part []byte) {
		out = binary.LittleEndian.AppendUint32(out, uint32(len(part)))
		out = binary.LittleEndian.AppendUint32(out, crc32.Checksum(part, table))
		out = append(out, part...)
	}
	for part := range slices.Chunk(payload, frames.MaxFrame) {
		frame(part)
	}
	frame(nil)
	return out
}
