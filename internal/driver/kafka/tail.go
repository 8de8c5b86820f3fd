package kafka

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Bounds of a partition's recent records in memory: of the bytes of values, and of
// how many a reader takes at a time.
const (
	tailBytes   = 1 << 20
	tailRecords = 512
	takeRecords = 64
)

// tail is what comes in at the end of a partition, shared by all readers of this
// process that wait there.
type tail struct {
	mu        sync.Mutex
	followers int
	recent    []*kgo.Record // without a hole: the records [start, next)
	size      int
	next      int64         // the record that is due; -1: nothing is followed
	wake      chan struct{} // closed and replaced when something changes
}

func (t *tail) init() { t.next, t.wake = -1, make(chan struct{}) }

// after returns recent records from one on. If there is none yet because it is due,
// wake is closed when it may be there.
func (t *tail) after(record int64) (records []*kgo.Record, wake <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.next < 0:
		return nil, nil
	case record >= t.next:
		return nil, t.wake
	case len(t.recent) == 0 || record < t.recent[0].Offset:
		return nil, nil // it lies back
	}
	i := int(record - t.recent[0].Offset)
	return slices.Clone(t.recent[i:min(i+takeRecords, len(t.recent))]), nil
}

// publish adds what came in; it is false if that is not what was due.
func (t *tail) publish(records []*kgo.Record) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range records {
		if r.Offset < t.next || t.next < 0 {
			continue // of an earlier following
		}
		if r.Offset != t.next {
			return false
		}
		t.recent = append(t.recent, r)
		t.size += len(r.Value)
		t.next++
	}
	drop := 0
	for t.size > tailBytes && drop < len(t.recent)-1 || len(t.recent)-drop > tailRecords {
		t.size -= len(t.recent[drop].Value)
		t.recent[drop] = nil
		drop++
	}
	t.recent = t.recent[drop:]
	t.stir()
	return true
}

// stir wakes who waits; the lock is held.
func (t *tail) stir() {
	close(t.wake)
	t.wake = make(chan struct{})
}

// aim says what is due from now on, -1 for nothing.
func (t *tail) aim(record int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recent, t.size, t.next = nil, 0, record
	t.stir()
}

func (t *tail) due() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.next
}

// follow has a partition followed for one more reader if it does not wait there
// yet, from the record on that the reader found to be the end.
func (l *Log) follow(p *partition, more int, record int64) {
	l.following.Lock()
	defer l.following.Unlock()
	p.tail.followers += more
	if p.tail.due() < 0 {
		p.tail.aim(record)
		l.follower.AddConsumePartitions(map[string]map[int32]kgo.Offset{p.topic.name: {p.number: kgo.NewOffset().At(record)}})
	}
}

// unfollow ends a reader's waiting.
func (l *Log) unfollow(p *partition) {
	l.following.Lock()
	defer l.following.Unlock()
	if p.tail.followers--; p.tail.followers == 0 {
		l.leave(p)
	}
}

// leave lets go of a partition; following is held.
func (l *Log) leave(p *partition) {
	l.follower.RemoveConsumePartitions(map[string][]int32{p.topic.name: {p.number}})
	p.tail.aim(-1)
}

// poll passes on what the follower brings until the log is closed. Where something
// is wrong with a partition it lets go of it: readers look for themselves, say what
// is wrong, or begin to follow again.
func (l *Log) poll() {
	partitions := make(map[string][]*partition)
	for _, t := range l.topics {
		partitions[t.name] = t.partitions
	}
	for {
		fetches := l.follower.PollFetches(context.Background()) // Close ends it
		if fetches.IsClientClosed() {
			return
		}
		wrong := false
		fetches.EachPartition(func(got kgo.FetchTopicPartition) {
			all := partitions[got.Topic]
			if int(got.Partition) >= len(all) {
				return
			}
			p := all[got.Partition]
			if got.Err == nil && p.tail.publish(got.Records) {
				return
			}
			wrong = true
			l.logger.Warn("following the log is interrupted", "partition", p.String(), "error", got.Err)
			l.following.Lock()
			defer l.following.Unlock()
			l.leave(p)
		})
		if wrong {
			pause := time.NewTimer(minBackoff)
			select {
			case <-pause.C:
			case <-l.closed:
			}
			pause.Stop()
		}
	}
}
