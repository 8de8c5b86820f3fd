package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"heed/internal/eventlog"
)

// Headers of a Kafka record.
const (
	headerSchema = "heed-schema" // 8 bytes, big-endian: fingerprint of the schema
	headerCount  = "heed-count"  // uvarint: how many events
	headerKeys   = "heed-keys"   // 16 bytes for each event: its key, zeros where it has none
)

// headersOf are the headers of a stream's records, by the number of their events.
func headersOf(s eventlog.Stream) [][]kgo.RecordHeader {
	schema := kgo.RecordHeader{Key: headerSchema, Value: binary.BigEndian.AppendUint64(nil, eventlog.Schema(s))}
	out := make([][]kgo.RecordHeader, maxEvents+1)
	for n := range out {
		out[n] = []kgo.RecordHeader{schema, {Key: headerCount, Value: binary.AppendUvarint(nil, uint64(n))}}
	}
	return out
}

// acks waits for the acknowledgement of every record of an append.
type acks struct {
	left atomic.Int64
	err  atomic.Pointer[error] // the first
	done chan struct{}
}

// promise is called by the client, once per record.
func (a *acks) promise(_ *kgo.Record, err error) {
	if err != nil {
		a.err.CompareAndSwap(nil, &err)
	}
	if a.left.Add(-1) == 0 {
		close(a.done)
	}
}

// Append implements eventlog.Log. The caller's ctx and the configured timeout bound
// how long it waits; records that were not sent by then are dropped, others may
// still arrive. It repeats nothing by itself: Duplicate stays nil.
func (l *Log) Append(ctx context.Context, s eventlog.Stream, batches []*eventlog.Batch) error {
	if err := l.err(ctx); err != nil {
		return err
	}
	for _, b := range batches {
		if err := b.Check(s, l.partitions); err != nil {
			return err
		}
	}
	var records []*kgo.Record
	firsts := make([]*kgo.Record, len(batches)) // of each batch
	for i, b := range batches {
		n := len(records)
		records = l.topics[s].cut(records, b)
		firsts[i] = records[n]
	}
	if len(records) == 0 {
		return nil
	}
	began := time.Now()
	err := l.explain(ctx, l.produce(ctx, records))
	if err != nil {
		l.metrics.failed.Inc()
		return fmt.Errorf("append to %s: %w", s, err)
	}
	l.metrics.acks.Observe(time.Since(began).Seconds())
	for i, b := range batches {
		b.Base, b.Duplicate = uint64(firsts[i].Offset)<<recordShift, nil
		l.metrics.appended.Add(float64(len(b.Ends)))
	}
	return nil
}

func (l *Log) produce(ctx context.Context, records []*kgo.Record) error {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	a := &acks{done: make(chan struct{})}
	a.left.Store(int64(len(records)))
	for _, r := range records {
		l.client.TryProduce(ctx, r, a.promise) // what waits is bounded: never wait for room
	}
	select {
	case <-a.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := a.err.Load(); err != nil {
		return *err
	}
	return nil
}

// cut appends the records of a batch: one, or several in a row if it is too large.
// They are copies: the client may send them again behind the end of the append.
func (t *topic) cut(records []*kgo.Record, b *eventlog.Batch) []*kgo.Record {
	data := append([]byte(nil), b.Data...)
	begin, count := 0, 0
	for i, end := range b.Ends {
		count++
		if i+1 < len(b.Ends) && count < maxEvents && b.Ends[i+1]-begin <= maxRecord {
			continue
		}
		records = append(records, &kgo.Record{
			Topic: t.name, Partition: int32(b.Partition), Headers: t.headersOf(b.Keys, i+1-count, i+1), Value: data[begin:end:end],
		})
		begin, count = end, 0
	}
	return records
}

// headersOf are those of a record with the events [first, last) of a batch.
func (t *topic) headersOf(keys []eventlog.Key, first, last int) []kgo.RecordHeader {
	common := t.headers[last-first]
	var all []byte
	if len(keys) > 0 {
		for _, k := range keys[first:last] {
			all = append(all, k[:]...)
		}
	}
	if len(bytes.Trim(all, "\x00")) == 0 {
		return common
	}
	return append(slices.Clip(common), kgo.RecordHeader{Key: headerKeys, Value: all})
}

// decode takes a Kafka record apart; Appended is not filled.
func decode(r *kgo.Record) (eventlog.Chunk, error) {
	c := eventlog.Chunk{Base: uint64(r.Offset) << recordShift, Data: r.Value}
	var keys []byte
	for _, h := range r.Headers {
		switch h.Key {
		case headerSchema:
			if len(h.Value) == 8 {
				c.Schema = binary.BigEndian.Uint64(h.Value)
			}
		case headerCount:
			if n, w := binary.Uvarint(h.Value); w == len(h.Value) && n <= maxEvents {
				c.Count = int(n)
			}
		case headerKeys:
			keys = h.Value
		}
	}
	if len(keys) > 0 {
		if len(keys) != c.Count*len(eventlog.Key{}) {
			return c, fmt.Errorf("%s/%d, record %d: %d bytes of keys of %d events: %w", r.Topic, r.Partition, r.Offset, len(keys), c.Count, errDamaged)
		}
		c.Keys = make([]eventlog.Key, c.Count)
		for i := range c.Keys {
			copy(c.Keys[i][:], keys[i*len(eventlog.Key{}):])
		}
	}
	if c.Count == 0 || c.Schema == 0 || len(c.Data) == 0 {
		return c, fmt.Errorf("%s/%d, record %d: not one of Heed, headers or data are missing: %w", r.Topic, r.Partition, r.Offset, errDamaged)
	}
	return c, nil
}
