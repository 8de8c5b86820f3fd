package decider

import (
	"encoding/binary"
	"errors"
	"fmt"

	"heed/internal/varint"
)

// parked is a record that is kept back, as it stands in the user's partition.
type parked struct {
	record []byte // bare Avro form
	offset uint64
	time   int64 // log time
	// Of a barrier: the id whose hand-over it waits for, log time until which
	// it does, and the hand-over, if it has come.
	from     string
	deadline int64
	answer   []byte
	answered uint64 // offset of the answer
}

// parkedVersion is the first byte of a value (docs/format/state.md).
const parkedVersion = 1

var errParked = errors.New("unreadable parked events")

// appendParked writes a value; nil if nothing is kept back.
func appendParked(queue []parked) []byte {
	if len(queue) == 0 {
		return nil
	}
	dst := binary.AppendUvarint([]byte{parkedVersion}, uint64(len(queue)))
	text := func(b []byte) {
		dst = append(binary.AppendUvarint(dst, uint64(len(b))), b...)
	}
	for i := range queue {
		k := &queue[i]
		text(k.record)
		dst = binary.AppendVarint(binary.AppendUvarint(dst, k.offset), k.time)
		text([]byte(k.from))
		if k.from != "" {
			dst = binary.AppendVarint(dst, k.deadline)
			text(k.answer)
			dst = binary.AppendUvarint(dst, k.answered)
		}
	}
	return dst
}

// decodeParked reads what appendParked wrote; records alias the value.
func decodeParked(value []byte) ([]parked, error) {
	if len(value) == 0 {
		return nil, nil
	}
	if value[0] != parkedVersion {
		return nil, fmt.Errorf("%w: version %d", errParked, value[0])
	}
	r := varint.NewReader(value[1:])
	queue := make([]parked, r.Count(4))
	for i := range queue {
		k := &queue[i]
		k.record = r.Bytes(r.Count(1))
		k.offset, k.time = r.Uvarint(), r.Varint()
		if k.from = r.String(); k.from != "" {
			k.deadline = r.Varint()
			if k.answer = r.Bytes(r.Count(1)); len(k.answer) == 0 {
				k.answer = nil
			}
			k.answered = r.Uvarint()
		}
	}
	if r.Bad() {
		return nil, fmt.Errorf("%w: cut short", errParked)
	}
	return queue, nil
}
