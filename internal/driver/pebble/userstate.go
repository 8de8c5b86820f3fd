package pebble

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	crdb "github.com/cockroachdb/pebble/v2"

	"heed/internal/event"
	"heed/internal/userstate"
)

// statePartition is what all owners of a partition share. Fencing needs no more
// than memory: the lock of the database keeps other processes out.
type statePartition struct {
	mu    sync.Mutex
	epoch uint64
	next  uint64
	meta  []byte
}

type stateStore struct {
	db         *DB
	partitions []*statePartition
	closed     atomic.Bool
}

func openState(db *DB) (*stateStore, error) {
	s := &stateStore{db: db}
	for i := range db.made.Partitions {
		p := &statePartition{}
		next, err := db.get(offsetKey(i))
		if err != nil {
			return nil, fmt.Errorf("offset of partition %d: %w", i, err)
		}
		if next != nil {
			if len(next) != 8 {
				return nil, fmt.Errorf("offset of partition %d: %w: %d bytes", i, errCorrupt, len(next))
			}
			p.next = binary.LittleEndian.Uint64(next)
		}
		if p.meta, err = db.get(metaKey(i)); err != nil {
			return nil, fmt.Errorf("meta of partition %d: %w", i, err)
		}
		s.partitions = append(s.partitions, p)
	}
	return s, nil
}

// enter checks a call; leave must follow if there is no error.
func (s *stateStore) enter(ctx context.Context, partition int) error {
	if s.closed.Load() {
		return userstate.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if partition < 0 || partition >= len(s.partitions) {
		return fmt.Errorf("userstate: partition %d of %d", partition, len(s.partitions))
	}
	if s.db.enter() != nil {
		return userstate.ErrClosed
	}
	return nil
}

func (s *stateStore) Open(ctx context.Context, partition int) (userstate.Partition, error) {
	if err := s.enter(ctx, partition); err != nil {
		return nil, err
	}
	defer s.db.leave()
	p := s.partitions[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch++
	return &owner{
		store: s, number: partition, p: p, epoch: p.epoch, next: p.next,
		meta: clone(p.meta), floor: math.MinInt64,
	}, nil
}

// clone copies a value; nil stays nil and empty stays empty.
func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}

func (s *stateStore) Get(ctx context.Context, partition int, kind userstate.Kind, user string) ([]byte, error) {
	if err := s.enter(ctx, partition); err != nil {
		return nil, err
	}
	defer s.db.leave()
	var room [128]byte
	value, err := s.db.get(appendRowKey(room[:0], partition, kind, user))
	if err != nil {
		return nil, fmt.Errorf("userstate: %w", err)
	}
	return value, nil
}

func (s *stateStore) Scan(ctx context.Context, partition int, kind userstate.Kind, prefix, after string, limit int) ([]userstate.Row, error) {
	if err := s.enter(ctx, partition); err != nil {
		return nil, err
	}
	defer s.db.leave()
	lower := appendRowKey(nil, partition, kind, prefix)
	upper := successor(lower)
	if after != "" && after >= prefix {
		lower = append(appendRowKey(nil, partition, kind, after), 0)
	}
	var out []userstate.Row
	if limit <= 0 {
		return nil, nil
	}
	err := s.db.iterate(ctx, lower, upper, func(key, value []byte) (bool, error) {
		out = append(out, userstate.Row{Kind: kind, User: string(key[3:]), Value: clone(value)})
		return len(out) < limit, nil
	})
	if err != nil {
		return nil, fmt.Errorf("userstate: scan partition %d: %w", partition, err)
	}
	return out, nil
}

func (s *stateStore) Close() error {
	s.closed.Store(true)
	return nil
}

// owner is a partition in one owner's hands.
type owner struct {
	store  *stateStore
	number int
	p      *statePartition
	epoch  uint64
	next   uint64
	meta   []byte
	floor  int64 // no timer has an earlier deadline: seeks pass what was deleted

	batch   *crdb.Batch
	key     []byte
	order   []int // of the users of a Load
	intents []byte
}

func (o *owner) Next() uint64 { return o.next }
func (o *owner) Meta() []byte { return o.meta }

func (o *owner) Load(ctx context.Context, kind userstate.Kind, users []string) ([][]byte, error) {
	if err := o.store.enter(ctx, o.number); err != nil {
		return nil, err
	}
	defer o.store.db.leave()
	out, err := o.load(ctx, kind, users)
	if err != nil {
		return nil, fmt.Errorf("userstate: load from partition %d: %w", o.number, err)
	}
	return out, nil
}

// load asks in the order of the keys, so that each look-up begins where the one
// before ended.
func (o *owner) load(ctx context.Context, kind userstate.Kind, users []string) (_ [][]byte, err error) {
	out := make([][]byte, len(users))
	o.order = o.order[:0]
	for i := range users {
		o.order = append(o.order, i)
	}
	slices.SortFunc(o.order, func(a, b int) int { return strings.Compare(users[a], users[b]) })
	it, err := o.store.db.engine.NewIterWithContext(ctx, &crdb.IterOptions{})
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	defer func() { err = errors.Join(err, closeIterator(it)) }()
	for _, i := range o.order {
		o.key = appendRowKey(o.key[:0], o.number, kind, users[i])
		if !it.SeekPrefixGE(o.key) {
			if err := it.Error(); err != nil {
				return nil, fmt.Errorf("read: %w", err)
			}
			continue
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
		out[i] = append(make([]byte, 0, len(value)), value...)
	}
	return out, nil
}

func (o *owner) Due(ctx context.Context, until int64, limit int) ([]userstate.Timer, error) {
	if err := o.store.enter(ctx, o.number); err != nil {
		return nil, err
	}
	defer o.store.db.leave()
	if until < o.floor || limit <= 0 {
		return nil, nil
	}
	upper := successor([]byte{keyTimer, byte(o.number)})
	if until < math.MaxInt64 {
		upper = timerFloor(o.number, until+1)
	}
	var out []userstate.Timer
	err := o.store.db.iterate(ctx, timerFloor(o.number, o.floor), upper, func(key, _ []byte) (bool, error) {
		out = append(out, userstate.Timer{
			Deadline: unordered(binary.BigEndian.Uint64(key[2:])),
			User:     string(key[10:]),
		})
		return len(out) < limit, nil
	})
	if err != nil {
		return nil, fmt.Errorf("userstate: timers of partition %d: %w", o.number, err)
	}
	switch {
	case len(out) > 0:
		o.floor = out[0].Deadline
	case until < math.MaxInt64:
		o.floor = until + 1
	}
	return out, nil
}

func (o *owner) Commit(ctx context.Context, c *userstate.Commit) error {
	if err := o.store.enter(ctx, o.number); err != nil {
		return err
	}
	defer o.store.db.leave()
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	if o.p.epoch != o.epoch {
		return fmt.Errorf("userstate: partition %d, epoch %d is now %d: %w", o.number, o.epoch, o.p.epoch, userstate.ErrFenced)
	}
	if c.Base != o.p.next || c.Next < c.Base {
		return fmt.Errorf("userstate: commit [%d, %d) to partition %d at %d: %w", c.Base, c.Next, o.number, o.p.next, userstate.ErrFenced)
	}
	if err := o.apply(c); err != nil {
		return fmt.Errorf("userstate: commit [%d, %d) to partition %d: %w", c.Base, c.Next, o.number, err)
	}
	o.p.next, o.next = c.Next, c.Next
	if c.Meta != nil {
		o.p.meta = clone(c.Meta)
		o.meta = clone(c.Meta)
	}
	for i := range c.Set {
		o.floor = min(o.floor, c.Set[i].Deadline)
	}
	return nil
}

// apply writes the step in one batch; the partition's lock is held.
func (o *owner) apply(c *userstate.Commit) error {
	db := o.store.db
	if o.batch == nil {
		o.batch = db.engine.NewBatch(crdb.WithMaxRetainedSizeBytes(4 << 20))
	}
	b := o.batch
	b.Reset()
	if err := o.fill(b, c); err != nil {
		return err
	}
	if db.hooks.splitCommit { // what a test must notice
		if err := db.commit(b, false); err != nil {
			return err
		}
		b = db.engine.NewBatch()
		defer func() { _ = b.Close() }()
	}
	var offset [8]byte
	binary.LittleEndian.PutUint64(offset[:], c.Next)
	if err := b.Set(offsetKey(o.number), offset[:], nil); err != nil {
		return fmt.Errorf("batch: %w", err)
	}
	if len(c.Intents) == 0 {
		return db.commit(b, false)
	}
	o.intents = o.intents[:0]
	for i := range c.Intents {
		o.intents = event.AppendIntent(o.intents, &c.Intents[i])
	}
	p := db.log.intents[o.number]
	p.writing.Lock()
	defer p.writing.Unlock()
	chunk, err := db.log.addIntents(b, p, len(c.Intents), o.intents)
	if err != nil {
		return err
	}
	if err := db.commit(b, false); err != nil {
		return err
	}
	p.publish(chunk)
	return nil
}

// fill adds rows, timers and meta to a batch.
func (o *owner) fill(b *crdb.Batch, c *userstate.Commit) error {
	var errs error
	note := func(err error) {
		if err != nil {
			errs = errors.Join(errs, fmt.Errorf("batch: %w", err))
		}
	}
	for i := range c.Rows {
		r := &c.Rows[i]
		o.key = appendRowKey(o.key[:0], o.number, r.Kind, r.User)
		if r.Value == nil {
			note(b.Delete(o.key, nil))
		} else {
			note(b.Set(o.key, r.Value, nil))
		}
	}
	for i := range c.Clear { // in front of what is set: the same timer may be in both
		o.key = appendTimerKey(o.key[:0], o.number, c.Clear[i])
		note(b.Delete(o.key, nil))
	}
	for i := range c.Set {
		o.key = appendTimerKey(o.key[:0], o.number, c.Set[i])
		note(b.Set(o.key, nil, nil))
	}
	if c.Meta != nil {
		note(b.Set(metaKey(o.number), c.Meta, nil))
	}
	return errs
}

func (o *owner) Close() error {
	if o.batch == nil {
		return nil
	}
	if o.store.db.enter() != nil {
		return nil
	}
	defer o.store.db.leave()
	err := o.batch.Close()
	o.batch = nil
	return err
}
