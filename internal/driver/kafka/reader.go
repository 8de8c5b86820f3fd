package kafka

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"

	"heed/internal/eventlog"
)

// What a reader asks a broker for, in bytes: little at first, for who wants one
// record, and more and more.
const (
	minFetch = 64 << 10
	maxFetch = 1 << 20
)

type reader struct {
	log       *Log
	p         *partition
	from      uint64        // what ends at or below it is left out
	record    int64         // the next of Kafka's to be given out
	time      int64         // ms, log time of the one before; -1: not known
	ahead     []*kgo.Record // read, not yet given out
	size      int32         // of the next fetch
	following bool
	closed    bool
}

// Read implements eventlog.Log.
func (l *Log) Read(ctx context.Context, s eventlog.Stream, n int, from uint64) (eventlog.Reader, error) {
	if err := l.err(ctx); err != nil {
		return nil, err
	}
	p, err := l.partition(s, n)
	if err != nil {
		return nil, err
	}
	r := &reader{log: l, p: p, from: from, record: int64(from >> recordShift), time: -1, size: minFetch}
	err = l.try(ctx, func(ctx context.Context) error {
		first, err := l.seek(ctx, p, oldest)
		if err == nil && r.record < first {
			err = trimmed(p, r.record, first)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// TryNext implements eventlog.Reader. What was acknowledged before the call is
// found, so it may have to ask a broker, for the configured time at most.
func (r *reader) TryNext() (c eventlog.Chunk, ok bool, err error) {
	ctx := context.Background()
	err = r.log.try(ctx, func(ctx context.Context) error {
		c, ok, err = r.look(ctx, false)
		return err
	})
	return c, ok, err
}

// Next implements eventlog.Reader. It waits also while no broker answers.
func (r *reader) Next(ctx context.Context) (c eventlog.Chunk, err error) {
	for {
		if err := r.log.err(ctx); err != nil {
			return c, err
		}
		var ok bool
		err := r.log.insist(ctx, func(ctx context.Context) (err error) {
			c, ok, err = r.look(ctx, true)
			return err
		})
		if ok || err != nil {
			return c, r.log.explain(ctx, err)
		}
		if err := r.wait(ctx); err != nil {
			return c, err
		}
	}
}

// wait returns when there may be more.
func (r *reader) wait(ctx context.Context) error {
	more := 1
	if r.following {
		more = 0
	}
	r.following = true
	r.log.follow(r.p, more, r.record)
	records, wake := r.p.tail.after(r.record)
	if len(records) > 0 || wake == nil {
		return nil
	}
	select {
	case <-wake:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.log.closed:
		return eventlog.ErrClosed
	}
}

// look gives the next chunk that is there. A waiting reader that follows the
// partition believes the tail that there is none.
func (r *reader) look(ctx context.Context, waiting bool) (c eventlog.Chunk, ok bool, err error) {
	if r.closed || r.log.shut.Load() {
		return c, false, eventlog.ErrClosed
	}
	for {
		for len(r.ahead) > 0 {
			if c, err = r.give(ctx); err != nil || c.Next() > r.from {
				return c, err == nil, err
			}
		}
		records, wake := r.p.tail.after(r.record)
		if len(records) == 0 {
			if waiting && r.following && wake != nil {
				return c, false, nil
			}
			if records, err = r.log.fetch(ctx, r.p, r.record, r.size); err != nil || len(records) == 0 {
				return c, false, err
			}
			r.size = min(2*r.size, maxFetch)
		}
		r.ahead = records
	}
}

// give takes the next record out of those read.
func (r *reader) give(ctx context.Context) (eventlog.Chunk, error) {
	next := r.ahead[0]
	c, err := decode(next)
	if err != nil {
		return c, err
	}
	at := max(next.Timestamp.UnixMilli(), r.time)
	if r.time < 0 {
		if at, err = r.log.logTime(ctx, r.p, next.Offset, at); err != nil {
			return c, err
		}
	}
	r.time, r.record = at, next.Offset+1
	r.ahead[0] = nil
	r.ahead = r.ahead[1:]
	c.Appended = 1000 * at
	return c, nil
}

// Close implements eventlog.Reader.
func (r *reader) Close() error {
	if r.closed {
		return nil
	}
	r.closed, r.ahead = true, nil
	if r.following {
		r.log.unfollow(r.p)
	}
	return nil
}
