package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// markName is the file that says how far the log was durable.
//
// The engine takes damage in its newest write-ahead log for a torn tail and
// silently drops what follows. The mark is written outside of it, after the
// sync and a few times a second: recovery must reach it. It is never synced, so
// it costs next to nothing; after a power cut it may be old or missing, which
// only means that less is checked.
const markName = "HEED-MARK"

const markMagic = "heedmrk1"

// errLost: recovery ends in front of what was acknowledged.
var errLost = errors.New("acknowledged events are missing")

// mark is the open file and what it says.
type mark struct {
	file vfs.File
	said []byte
}

// encodeMark is magic, count, the partitions' ends, checksum.
func encodeMark(dst []byte, next []uint64) []byte {
	dst = append(dst, markMagic...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(next)))
	for _, n := range next {
		dst = binary.LittleEndian.AppendUint64(dst, n)
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst, castagnoli))
}

// decodeMark is nil for what is not a whole mark.
func decodeMark(b []byte) []uint64 {
	head := len(markMagic) + 4
	if len(b) < head+4 || string(b[:len(markMagic)]) != markMagic {
		return nil
	}
	n := int(binary.LittleEndian.Uint32(b[len(markMagic):]))
	if n > maxPartitions || len(b) != head+8*n+4 ||
		binary.LittleEndian.Uint32(b[len(b)-4:]) != crc32.Checksum(b[:len(b)-4], castagnoli) {
		return nil
	}
	next := make([]uint64, n)
	for i := range next {
		next[i] = binary.LittleEndian.Uint64(b[head+8*i:])
	}
	return next
}

// openMark compares what was recovered with the mark.
func (db *DB) openMark(fs vfs.FS) (err error) {
	path := fs.PathJoin(db.cfg.Dir, markName)
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	db.mark.file = f
	b, err := io.ReadAll(io.LimitReader(f, 16+9*maxPartitions))
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	next := decodeMark(b)
	if next == nil && len(b) > 0 {
		db.deps.Logger.Warn("the mark of the log is damaged and not compared", "file", path, "bytes", len(b))
	}
	for i, n := range next {
		if i >= len(db.log.events) {
			break
		}
		if have := db.log.events[i].next; have < n {
			return fmt.Errorf("%w: partition %d ends at offset %d, it was durable up to %d: the newest .log file is damaged; restore a backup, or remove %s to go on without the %d events",
				errLost, i, have, n, path, n-have)
		}
	}
	return nil
}

// writeMark notes how far the log is durable.
func (db *DB) writeMark() {
	if db.mark.file == nil || db.hooks.skipSync {
		return
	}
	next := make([]uint64, len(db.log.events))
	for i, p := range db.log.events {
		next[i] = p.bounds().Next
	}
	b := encodeMark(nil, next)
	if slices.Equal(b, db.mark.said) {
		return
	}
	if _, err := db.mark.file.WriteAt(b, 0); err != nil {
		db.deps.Logger.Warn("the mark of the log was not written", "error", err)
		return
	}
	db.mark.said = b
}

func (db *DB) closeMark() error {
	if db.mark.file == nil {
		return nil
	}
	if db.Err() == nil && db.log != nil {
		db.writeMark()
	}
	err := db.mark.file.Close()
	db.mark.file = nil
	if err != nil {
		return fmt.Errorf("close the mark: %w", err)
	}
	return nil
}
