package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"heed/internal/eventlog"
)

// What is asked for instead of the first record at or after a time.
const (
	oldest = -2
	newest = -1
)

// seek asks for the first record at or after a time (ms), or for the bounds. It is
// -1 if there is none.
func (l *Log) seek(ctx context.Context, p *partition, at int64) (record int64, err error) {
	req := kmsg.NewPtrListOffsetsRequest()
	rt := kmsg.NewListOffsetsRequestTopic()
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rt.Topic, rp.Partition, rp.Timestamp = p.topic.name, p.number, at
	rt.Partitions = append(rt.Partitions, rp)
	req.ReplicaID = -1
	req.Topics = append(req.Topics, rt)
	resp, err := req.RequestWith(ctx, l.client)
	if err != nil {
		return 0, fmt.Errorf("bounds of %s: %w", p, err)
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return 0, fmt.Errorf("bounds of %s: the broker answers for %d topics", p, len(resp.Topics))
	}
	got := &resp.Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
		return 0, fmt.Errorf("bounds of %s: %w", p, err)
	}
	return got.Offset, nil
}

// fetch reads the records from one on that are there, about size bytes of them: at
// least one, unless the partition ends there.
func (l *Log) fetch(ctx context.Context, p *partition, from int64, size int32) ([]*kgo.Record, error) {
	broker, id, ok := p.leader()
	if !ok {
		return nil, fmt.Errorf("read %s: %w", p, kerr.LeaderNotAvailable)
	}
	req := kmsg.NewPtrFetchRequest()
	rt := kmsg.NewFetchRequestTopic()
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = p.number, from, size
	rt.Topic, rt.TopicID = p.topic.name, id
	rt.Partitions = append(rt.Partitions, rp)
	req.MaxBytes = size
	req.Topics = append(req.Topics, rt)
	answer, err := l.client.Broker(int(broker)).Request(ctx, req)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", p, err)
	}
	resp, ok := answer.(*kmsg.FetchResponse)
	if !ok || kerr.ErrorForCode(resp.ErrorCode) == nil && (len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1) {
		return nil, fmt.Errorf("read %s: the broker answers something else", p)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, fmt.Errorf("read %s: %w", p, err)
	}
	opts := kgo.ProcessFetchPartitionOpts{Topic: p.topic.name, Partition: p.number, Offset: from}
	got, _ := kgo.ProcessFetchPartition(opts, &resp.Topics[0].Partitions[0], kgo.DefaultDecompressor(), nil)
	switch _, said := errors.AsType[*kerr.Error](got.Err); {
	case got.Err == nil:
		return got.Records, nil
	case errors.Is(got.Err, kerr.OffsetOutOfRange):
		return nil, l.outside(ctx, p, from)
	case said:
		return nil, fmt.Errorf("read %s at record %d: %w", p, from, got.Err)
	default:
		return nil, fmt.Errorf("read %s at record %d: %w: %w", p, from, errDamaged, got.Err)
	}
}

// outside says why a record is not there.
func (l *Log) outside(ctx context.Context, p *partition, record int64) error {
	first, err := l.seek(ctx, p, oldest)
	if err != nil {
		return err
	}
	if record < first {
		return trimmed(p, record, first)
	}
	return fmt.Errorf("eventlog: %s ends in front of record %d, which was there: the topic is another one, or lost records: %w", p, record, errDamaged)
}

func trimmed(p *partition, record, first int64) error {
	return fmt.Errorf("eventlog: read %s at record %d, the first is %d: %w", p, record, first, eventlog.ErrTrimmed)
}

// logTime is the log time (ms) at a record, whose own time is at: the running
// maximum of the times that brokers gave. It asks whether an earlier record has a
// later time, which is so only where brokers' clocks differ; then it searches for
// the latest.
func (l *Log) logTime(ctx context.Context, p *partition, record, at int64) (int64, error) {
	earlier := func(at int64) (bool, error) {
		first, err := l.seek(ctx, p, at)
		return first >= 0 && first < record, err
	}
	step := int64(1)
	for {
		later, err := earlier(at + step)
		if err != nil {
			return 0, err
		}
		if !later {
			break
		}
		at += step
		step *= 2
	}
	for low, high := at, at+step; high-low > 1; { // low is reached, high is not
		mid := low + (high-low)/2
		later, err := earlier(mid)
		if err != nil {
			return 0, err
		}
		if later {
			low, at = mid, mid
		} else {
			high = mid
		}
	}
	return at, nil
}

// Bounds implements eventlog.Log.
func (l *Log) Bounds(ctx context.Context, s eventlog.Stream, n int) (b eventlog.Bounds, err error) {
	if err := l.err(ctx); err != nil {
		return b, err
	}
	p, err := l.partition(s, n)
	if err != nil {
		return b, err
	}
	err = l.try(ctx, func(ctx context.Context) error {
		e, err := l.findEnd(ctx, p)
		if err != nil {
			return err
		}
		first, err := l.seek(ctx, p, oldest)
		b = eventlog.Bounds{First: uint64(first) << recordShift, Next: e.next, Time: 1000 * e.time}
		b.Next = max(b.First, b.Next)
		return err
	})
	return b, err
}

// findEnd finds where a partition ends. What it holds is behind the last record's
// events, so that record is read, unless nothing changed.
func (l *Log) findEnd(ctx context.Context, p *partition) (end, error) {
	p.mu.Lock()
	e := p.end
	p.mu.Unlock()
	record, err := l.seek(ctx, p, newest)
	if err != nil || record == e.record {
		return e, err
	}
	e = end{record: record, next: uint64(record) << recordShift, time: e.time}
	records, err := l.fetch(ctx, p, record-1, minFetch)
	switch {
	case errors.Is(err, eventlog.ErrTrimmed): // nothing is left
		return e, nil
	case err != nil:
		return e, err
	case len(records) == 0 || records[0].Offset != record-1:
		return e, fmt.Errorf("read the end of %s: %w", p, kerr.OffsetNotAvailable) // of another leader
	}
	c, err := decode(records[0])
	if err != nil {
		return e, err
	}
	e.next = c.Next()
	if e.time, err = l.logTime(ctx, p, record-1, records[0].Timestamp.UnixMilli()); err != nil {
		return e, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.end.record < e.record {
		p.end = e
	}
	return e, nil
}

// Spacing implements eventlog.Spaced.
func (l *Log) Spacing() uint64 { return maxEvents }

// OffsetAt implements eventlog.Seeker.
func (l *Log) OffsetAt(ctx context.Context, s eventlog.Stream, n int, t int64) (offset uint64, err error) {
	if err := l.err(ctx); err != nil {
		return 0, err
	}
	p, err := l.partition(s, n)
	if err != nil {
		return 0, err
	}
	err = l.try(ctx, func(ctx context.Context) error {
		record, err := l.seek(ctx, p, ceilMilli(t))
		if record >= 0 || err != nil {
			offset = uint64(record) << recordShift
			return err
		}
		e, err := l.findEnd(ctx, p)
		offset = e.next
		return err
	})
	return offset, err
}

// ceilMilli is the first millisecond at or after a time in µs, and none of those
// that mean something else.
func ceilMilli(t int64) int64 {
	if t <= 0 {
		return 0
	}
	return (t-1)/1000 + 1
}

// Trim implements eventlog.Log. The newest record of a partition stays: the log
// time is kept in it.
func (l *Log) Trim(ctx context.Context, s eventlog.Stream, before time.Time, keep []uint64) error {
	if err := l.err(ctx); err != nil {
		return err
	}
	t := l.topics[s]
	if t == nil {
		return fmt.Errorf("eventlog: unknown stream %q", s)
	}
	var cuts kadm.Offsets
	for n, p := range t.partitions {
		err := l.try(ctx, func(ctx context.Context) error {
			last, err := l.seek(ctx, p, newest)
			if err != nil {
				return err
			}
			cut, err := l.seek(ctx, p, ceilMilli(before.UnixMicro()))
			if err != nil {
				return err
			}
			if cut < 0 {
				cut = last
			}
			if n < len(keep) {
				cut = min(cut, int64(keep[n]>>recordShift))
			}
			if cut = min(cut, last-1); cut > 0 {
				cuts.AddOffset(t.name, p.number, cut, -1)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("trim %s: %w", p, err)
		}
	}
	err := l.try(ctx, func(ctx context.Context) error {
		resp, err := l.admin.DeleteRecords(ctx, cuts)
		return errors.Join(err, resp.Error())
	})
	if err != nil {
		return fmt.Errorf("trim %s: %w", t.name, err)
	}
	return nil
}
