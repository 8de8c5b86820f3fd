package pebble

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	crdb "github.com/cockroachdb/pebble/v2"

	"heed/internal/documents"
)

// stripes are locks by hash of a name: who holds a name's stripe may read and
// then write it.
type stripes struct {
	seed  maphash.Seed
	locks [256]sync.Mutex
}

func newStripes() stripes { return stripes{seed: maphash.MakeSeed()} }

// of is the stripe of a name.
func (s *stripes) of(name []byte) int { return int(maphash.Bytes(s.seed, name) % uint64(len(s.locks))) }

// documentStore is the store of documents.
type documentStore struct {
	db      *DB
	hub     documents.Hub
	stripes stripes
	closed  atomic.Bool
}

func (s *documentStore) enter(ctx context.Context) error {
	if s.closed.Load() {
		return documents.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.db.enter() != nil {
		return documents.ErrClosed
	}
	return nil
}

// A stored document is its version as an unsigned varint, then the value.
func parseDocument(stored []byte) (version int64, value []byte, err error) {
	n, w := binary.Uvarint(stored)
	if w <= 0 || n == 0 || int64(n) < 0 {
		return 0, nil, fmt.Errorf("%w: document of %d bytes", errCorrupt, len(stored))
	}
	return int64(n), stored[w:], nil
}

func (s *documentStore) Get(ctx context.Context, collection, key string) (documents.Document, error) {
	if err := s.enter(ctx); err != nil {
		return documents.Document{}, err
	}
	defer s.db.leave()
	stored, err := s.db.get(documentKey(collection, key))
	if err != nil {
		return documents.Document{}, fmt.Errorf("documents: get %s/%q: %w", collection, key, err)
	}
	if stored == nil {
		return documents.Document{}, fmt.Errorf("documents: get %s/%q: %w", collection, key, documents.ErrNotFound)
	}
	version, value, err := parseDocument(stored)
	if err != nil {
		return documents.Document{}, fmt.Errorf("documents: get %s/%q: %w", collection, key, err)
	}
	return documents.Document{Key: key, Version: version, Value: value}, nil
}

// version reads the version of a document, 0 if there is none.
func (s *documentStore) version(key []byte) (version int64, err error) {
	stored, closer, err := s.db.engine.Get(key)
	if errors.Is(err, crdb.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read: %w", err)
	}
	version, _, err = parseDocument(stored)
	return version, errors.Join(err, closer.Close())
}

func (s *documentStore) Apply(ctx context.Context, d documents.Durability, writes ...documents.Write) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.db.leave()
	if err := documents.CheckWrites(writes); err != nil {
		return err
	}
	if len(writes) > 0 {
		if err := s.apply(writes); err != nil {
			return err
		}
	}
	if d == documents.Durable {
		// Outside of the locks: many wait for one sync.
		if err := s.db.barrier(); err != nil {
			return fmt.Errorf("documents: apply: %w", err)
		}
	}
	s.hub.Changed(writes)
	return nil
}

// apply checks and writes under the locks of all keys, taken in order.
func (s *documentStore) apply(writes []documents.Write) error {
	keys := make([][]byte, len(writes))
	locks := make([]int, len(writes))
	size := 64
	for i, w := range writes {
		keys[i] = documentKey(w.Collection, w.Key)
		locks[i] = s.stripes.of(keys[i])
		size += len(keys[i]) + len(w.Value) + 32
	}
	slices.Sort(locks)
	locks = slices.Compact(locks)
	for _, i := range locks {
		s.stripes.locks[i].Lock()
		defer s.stripes.locks[i].Unlock()
	}
	b := s.db.engine.NewBatchWithSize(size)
	defer func() { _ = b.Close() }()
	for i, w := range writes {
		have, err := s.version(keys[i])
		if err != nil {
			return fmt.Errorf("documents: apply %s/%q: %w", w.Collection, w.Key, err)
		}
		if w.Expect != documents.Any && w.Expect != have {
			return fmt.Errorf("documents: %s/%q has version %d, not %d: %w", w.Collection, w.Key, have, w.Expect, documents.ErrConflict)
		}
		if w.Value == nil {
			err = b.Delete(keys[i], nil)
		} else {
			value := binary.AppendUvarint(make([]byte, 0, len(w.Value)+binary.MaxVarintLen64), uint64(have)+1)
			err = b.Set(keys[i], append(value, w.Value...), nil)
		}
		if err != nil {
			return fmt.Errorf("documents: apply %s/%q: %w", w.Collection, w.Key, err)
		}
	}
	if err := s.db.commit(b, false); err != nil {
		return fmt.Errorf("documents: apply: %w", err)
	}
	return nil
}

func (s *documentStore) List(ctx context.Context, q documents.Query) (out []documents.Document, err error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.db.leave()
	prefix := collectionPrefix(q.Collection)
	lower := append(slices.Clone(prefix), q.Prefix...)
	upper := successor(lower)
	if q.After != "" {
		after := append(slices.Clone(prefix), q.After...)
		switch {
		case q.Reverse && bytes.Compare(after, upper) < 0:
			upper = after
		case !q.Reverse && bytes.Compare(after, lower) >= 0:
			lower = append(after, 0)
		}
	}
	if bytes.Compare(lower, upper) >= 0 {
		return nil, nil
	}
	it, err := s.db.engine.NewIterWithContext(ctx, &crdb.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, fmt.Errorf("documents: list %s: %w", q.Collection, err)
	}
	defer func() { err = errors.Join(err, closeIterator(it)) }()
	step, first := it.Next, it.First
	if q.Reverse {
		step, first = it.Prev, it.Last
	}
	for ok := first(); ok && len(out) < q.Most(); ok = step() {
		stored, err := it.ValueAndErr()
		if err != nil {
			return nil, fmt.Errorf("documents: list %s: %w", q.Collection, err)
		}
		version, value, err := parseDocument(stored)
		if err != nil {
			return nil, fmt.Errorf("documents: list %s, key %q: %w", q.Collection, it.Key(), err)
		}
		out = append(out, documents.Document{Key: string(it.Key()[len(prefix):]), Version: version, Value: clone(value)})
	}
	return out, nil
}

func (s *documentStore) Watch(collection string) (<-chan struct{}, func()) {
	return s.hub.Watch(collection)
}

func (s *documentStore) Close() error {
	s.closed.Store(true)
	return nil
}
