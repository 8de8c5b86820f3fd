package pebble

import (
	"encoding/binary"

	"heed/internal/eventlog"
	"heed/internal/userstate"
)

// The key space: one letter for what it is, then fixed-width or terminated
// parts. docs/format/pebble.md describes each.
const (
	keyInstallation = 'A' // installation record
	keyHead         = 'h' // h stream partition -> first, next, time
	keyRecord       = 'l' // l stream partition last(8) -> record
	keyOpen         = 'd' // d bucket(4) commit(8) -> keys of one commit
	keyBlock        = 'e' // e bucket(4) block(4) -> keys of a sealed bucket
	keyFilter       = 'f' // f bucket(4) part(4) -> part of its filter
	keyBucket       = 'g' // g bucket(4) -> what it holds
	keyOffset       = 's' // s partition -> next
	keyMeta         = 'm' // m partition -> the Decider's blob
	keyRow          = 'u' // u partition kind user -> value
	keyTimer        = 't' // t partition deadline(8) user -> nothing
	keySequence     = 'i' // i -> first seq of the inbox that is not reserved
	keyMessage      = 'j' // j user 0 0 seq(8) -> message
	keyMessageID    = 'k' // k id -> expires, seq, user
	keyExpiry       = 'x' // x expires(8) seq(8) -> id
	keyDocument     = 'z' // z collection 0 key -> version, value
)

// streamByte tells the streams apart in keys.
func streamByte(s eventlog.Stream) byte {
	if s == eventlog.Intents {
		return 'i'
	}
	return 'e'
}

func headKey(s eventlog.Stream, partition int) []byte {
	return []byte{keyHead, streamByte(s), byte(partition)}
}

// recordKeyLen is the length of a record's key.
const recordKeyLen = 11

// recordKey is the key of the record whose last offset is last: a seek to an
// offset lands on the record that holds it.
func recordKey(s eventlog.Stream, partition int, last uint64) []byte {
	k := make([]byte, recordKeyLen)
	putRecordKey(k, s, partition, last)
	return k
}

func putRecordKey(k []byte, s eventlog.Stream, partition int, last uint64) {
	k[0], k[1], k[2] = keyRecord, streamByte(s), byte(partition)
	binary.BigEndian.PutUint64(k[3:], last)
}

func bucketKey(kind byte, bucket uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{kind}, bucket)
}

func bucketPartKey(kind byte, bucket, part uint32) []byte {
	return binary.BigEndian.AppendUint32(bucketKey(kind, bucket), part)
}

func offsetKey(partition int) []byte { return []byte{keyOffset, byte(partition)} }

func metaKey(partition int) []byte { return []byte{keyMeta, byte(partition)} }

func appendRowKey(dst []byte, partition int, kind userstate.Kind, user string) []byte {
	return append(append(dst, keyRow, byte(partition), byte(kind)), user...)
}

// ordered maps a signed number to one that sorts as bytes do.
func ordered(n int64) uint64 { return uint64(n) ^ 1<<63 }

func unordered(n uint64) int64 { return int64(n ^ 1<<63) }

func appendTimerKey(dst []byte, partition int, t userstate.Timer) []byte {
	dst = append(dst, keyTimer, byte(partition))
	dst = binary.BigEndian.AppendUint64(dst, ordered(t.Deadline))
	return append(dst, t.User...)
}

// timerFloor is the lowest key of timers with that deadline.
func timerFloor(partition int, deadline int64) []byte {
	return appendTimerKey(nil, partition, userstate.Timer{Deadline: deadline})
}

// appendTerminated appends a string so that no string is a prefix of another:
// 0 becomes 0 1, and the end is 0 0.
func appendTerminated(dst []byte, s string) []byte {
	for i := range len(s) {
		dst = append(dst, s[i])
		if s[i] == 0 {
			dst = append(dst, 1)
		}
	}
	return append(dst, 0, 0)
}

func messagePrefix(user string) []byte {
	return appendTerminated(append(make([]byte, 0, len(user)+11), keyMessage), user)
}

func messageKey(user string, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(messagePrefix(user), seq)
}

func messageIDKey(id string) []byte { return append([]byte{keyMessageID}, id...) }

func expiryKey(expires int64, seq uint64) []byte {
	k := binary.BigEndian.AppendUint64([]byte{keyExpiry}, ordered(expires))
	return binary.BigEndian.AppendUint64(k, seq)
}

// collectionPrefix starts the keys of a collection, whose name holds no NUL.
func collectionPrefix(collection string) []byte {
	k := append(make([]byte, 0, len(collection)+66), keyDocument)
	return append(append(k, collection...), 0)
}

func documentKey(collection, key string) []byte {
	return append(collectionPrefix(collection), key...)
}

// successor is the lowest key above every key with the prefix; nil if there is
// none.
func successor(prefix []byte) []byte {
	out := append([]byte(nil), prefix...)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i] < 0xff {
			out[i]++
			return out[:i+1]
		}
	}
	return nil
}
