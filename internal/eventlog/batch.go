package eventlog

import (
	"fmt"

	"heed/internal/event"
)

// Schema is the fingerprint of the schema that records of the stream are
// written with.
func Schema(s Stream) uint64 {
	if s == Intents {
		return event.IntentFingerprint
	}
	return event.Fingerprint
}

// Check tells whether a batch can be appended to a log of so many partitions.
// Drivers call it before anything is written.
func (b *Batch) Check(s Stream, partitions int) error {
	if s != Events && s != Intents {
		return fmt.Errorf("eventlog: append to unknown stream %q", s)
	}
	if b.Partition < 0 || b.Partition >= partitions {
		return fmt.Errorf("eventlog: append to partition %d of %d", b.Partition, partitions)
	}
	if len(b.Ends) == 0 {
		return fmt.Errorf("eventlog: append of an empty batch to partition %d", b.Partition)
	}
	if len(b.Keys) != 0 && (s != Events || len(b.Keys) != len(b.Ends)) {
		return fmt.Errorf("eventlog: %d keys for %d records of stream %s", len(b.Keys), len(b.Ends), s)
	}
	start := 0
	for i, end := range b.Ends {
		if end <= start || end > len(b.Data) {
			return fmt.Errorf("eventlog: record %d ends at %d, starts at %d, of %d bytes", i, end, start, len(b.Data))
		}
		start = end
	}
	if start != len(b.Data) {
		return fmt.Errorf("eventlog: records end at %d of %d bytes", start, len(b.Data))
	}
	return nil
}

// Kept is how many records of the batch are not duplicates.
func (b *Batch) Kept() int {
	n := len(b.Ends)
	for _, d := range b.Duplicate {
		if d {
			n--
		}
	}
	return n
}

// AppendKept appends the data of the records that are not duplicates.
func (b *Batch) AppendKept(dst []byte) []byte {
	if b.Duplicate == nil {
		return append(dst, b.Data...)
	}
	start := 0
	for i, end := range b.Ends {
		if !b.Duplicate[i] {
			dst = append(dst, b.Data[start:end]...)
		}
		start = end
	}
	return dst
}
