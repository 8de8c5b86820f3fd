package memory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"heed/internal/userstate"
)

// statePartition is what the store holds of one partition.
type statePartition struct {
	mu     sync.Mutex
	epoch  uint64
	next   uint64
	meta   []byte
	rows   map[userstate.Kind]map[string][]byte
	timers []userstate.Timer // in order of (Deadline, User)
}

func newStatePartition() *statePartition {
	return &statePartition{rows: make(map[userstate.Kind]map[string][]byte)}
}

func compareTimers(a, b userstate.Timer) int {
	switch {
	case a.Deadline < b.Deadline:
		return -1
	case a.Deadline > b.Deadline:
		return 1
	}
	return strings.Compare(a.User, b.User)
}

type stateStore struct {
	db     *DB
	closed atomic.Bool
}

func (s *stateStore) partition(ctx context.Context, n int) (*statePartition, error) {
	if s.closed.Load() {
		return nil, userstate.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if n < 0 || n >= len(s.db.data.states) {
		return nil, fmt.Errorf("userstate: partition %d of %d", n, len(s.db.data.states))
	}
	return s.db.data.states[n], nil
}

func (s *stateStore) Open(ctx context.Context, partition int) (userstate.Partition, error) {
	p, err := s.partition(ctx, partition)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.epoch++
	return &owner{store: s, number: partition, p: p, epoch: p.epoch, next: p.next, meta: slices.Clone(p.meta)}, nil
}

func (s *stateStore) Get(ctx context.Context, partition int, kind userstate.Kind, user string) ([]byte, error) {
	p, err := s.partition(ctx, partition)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.rows[kind][user]), nil
}

func (s *stateStore) Scan(ctx context.Context, partition int, kind userstate.Kind, prefix, after string, limit int) ([]userstate.Row, error) {
	p, err := s.partition(ctx, partition)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []userstate.Row
	for user, value := range p.rows[kind] {
		if strings.HasPrefix(user, prefix) && user > after {
			out = append(out, userstate.Row{Kind: kind, User: user, Value: slices.Clone(value)})
		}
	}
	slices.SortFunc(out, func(a, b userstate.Row) int { return strings.Compare(a.User, b.User) })
	return out[:min(len(out), limit)], nil
}

func (s *stateStore) Close() error {
	s.closed.Store(true)
	return nil
}

type owner struct {
	store  *stateStore
	number int
	p      *statePartition
	epoch  uint64
	next   uint64
	meta   []byte
}

func (o *owner) Next() uint64 { return o.next }
func (o *owner) Meta() []byte { return o.meta }

// check tells whether the partition is still ours; its lock is held.
func (o *owner) check(ctx context.Context) error {
	if o.store.closed.Load() {
		return userstate.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if o.p.epoch != o.epoch {
		return fmt.Errorf("userstate: partition %d, epoch %d is now %d: %w", o.number, o.epoch, o.p.epoch, userstate.ErrFenced)
	}
	return nil
}

func (o *owner) Load(ctx context.Context, kind userstate.Kind, users []string) ([][]byte, error) {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	if err := o.check(ctx); err != nil {
		return nil, err
	}
	out := make([][]byte, len(users))
	for i, u := range users {
		out[i] = slices.Clone(o.p.rows[kind][u])
	}
	return out, nil
}

func (o *owner) Due(ctx context.Context, until int64, limit int) ([]userstate.Timer, error) {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	if err := o.check(ctx); err != nil {
		return nil, err
	}
	n := 0
	for n < len(o.p.timers) && n < limit && o.p.timers[n].Deadline <= until {
		n++
	}
	return slices.Clone(o.p.timers[:n]), nil
}

func (o *owner) Commit(ctx context.Context, c *userstate.Commit) error {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	db := o.store.db
	if db.chance(db.hostile.Load().Reassign) {
		o.p.epoch++
	}
	if err := o.check(ctx); err != nil {
		return err
	}
	if c.Base != o.p.next || c.Next < c.Base {
		return fmt.Errorf("userstate: commit [%d, %d) to partition %d at %d: %w", c.Base, c.Next, o.number, o.p.next, userstate.ErrFenced)
	}
	p := o.p
	for _, r := range c.Rows {
		if p.rows[r.Kind] == nil {
			p.rows[r.Kind] = make(map[string][]byte)
		}
		if r.Value == nil {
			delete(p.rows[r.Kind], r.User)
		} else {
			p.rows[r.Kind][r.User] = append(make([]byte, 0, len(r.Value)), r.Value...)
		}
	}
	for _, t := range c.Clear {
		if i, ok := slices.BinarySearchFunc(p.timers, t, compareTimers); ok {
			p.timers = slices.Delete(p.timers, i, i+1)
		}
	}
	for _, t := range c.Set {
		if i, ok := slices.BinarySearchFunc(p.timers, t, compareTimers); !ok {
			p.timers = slices.Insert(p.timers, i, t)
		}
	}
	if c.Meta != nil {
		p.meta = append(make([]byte, 0, len(c.Meta)), c.Meta...)
		o.meta = slices.Clone(p.meta)
	}
	p.next, o.next = c.Next, c.Next
	db.log.appendIntents(o.number, c.Intents)
	return nil
}

func (o *owner) Close() error { return nil }
