package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"heed/internal/eventlog"
)

// A record is
//
//	format(1) schema(8) count(4) time(8) checksum(4) data
//
// in little-endian order. The checksum (CRC32C) covers the key, the fields in
// front of it and the data, so a record under another's key is seen too.
const (
	recordFormat   = 1
	checksumOffset = 21
	headerLen      = 25
)

// errCorrupt says that a stored record is not what was written.
var errCorrupt = errors.New("record is damaged")

// castagnoli is a table, set once.
var castagnoli = crc32.MakeTable(crc32.Castagnoli) //nolint:gochecknoglobals // constant table

// putHeader fills the header in front of the data that is in value already.
func putHeader(key, value []byte, schema uint64, count int, appended int64) {
	value[0] = recordFormat
	binary.LittleEndian.PutUint64(value[1:], schema)
	binary.LittleEndian.PutUint32(value[9:], uint32(count))
	binary.LittleEndian.PutUint64(value[13:], uint64(appended))
	binary.LittleEndian.PutUint32(value[checksumOffset:], checksum(key, value))
}

func checksum(key, value []byte) uint32 {
	sum := crc32.Update(0, castagnoli, key)
	sum = crc32.Update(sum, castagnoli, value[:checksumOffset])
	return crc32.Update(sum, castagnoli, value[headerLen:])
}

// parseRecord checks a stored record; the chunk's data aliases value.
func parseRecord(key, value []byte) (eventlog.Chunk, error) {
	if len(key) != recordKeyLen || len(value) <= headerLen {
		return eventlog.Chunk{}, fmt.Errorf("%w: key of %d and value of %d bytes", errCorrupt, len(key), len(value))
	}
	if want, got := binary.LittleEndian.Uint32(value[checksumOffset:]), checksum(key, value); want != got {
		return eventlog.Chunk{}, fmt.Errorf("%w: checksum is %08x, should be %08x", errCorrupt, got, want)
	}
	if value[0] != recordFormat {
		return eventlog.Chunk{}, fmt.Errorf("record has format %d, this version reads %d: it was written by a newer version", value[0], recordFormat)
	}
	last := binary.BigEndian.Uint64(key[3:])
	count := binary.LittleEndian.Uint32(value[9:])
	if count == 0 || uint64(count) > last+1 {
		return eventlog.Chunk{}, fmt.Errorf("%w: %d events end at %d", errCorrupt, count, last)
	}
	return eventlog.Chunk{
		Base:     last + 1 - uint64(count),
		Count:    int(count),
		Appended: int64(binary.LittleEndian.Uint64(value[13:])),
		Schema:   binary.LittleEndian.Uint64(value[1:]),
		Data:     value[headerLen:],
	}, nil
}
