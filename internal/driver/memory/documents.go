package memory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"heed/internal/documents"
)

type documentKey struct{ collection, key string }

type documentData struct {
	mu sync.Mutex
	by map[string]map[string]documents.Document
}

func (d *documentData) init() { d.by = make(map[string]map[string]documents.Document) }

type documentStore struct {
	db     *DB
	hub    documents.Hub
	closed atomic.Bool
}

func (s *documentStore) err(ctx context.Context) error {
	if s.closed.Load() {
		return documents.ErrClosed
	}
	return ctx.Err()
}

func copyDocument(d documents.Document) documents.Document {
	d.Value = append(make([]byte, 0, len(d.Value)), d.Value...)
	return d
}

func (s *documentStore) Get(ctx context.Context, collection, key string) (documents.Document, error) {
	if err := s.err(ctx); err != nil {
		return documents.Document{}, err
	}
	d := &s.db.data.docs
	d.mu.Lock()
	defer d.mu.Unlock()
	doc, ok := d.by[collection][key]
	if !ok {
		return documents.Document{}, fmt.Errorf("documents: get %s/%q: %w", collection, key, documents.ErrNotFound)
	}
	return copyDocument(doc), nil
}

func (s *documentStore) Apply(ctx context.Context, _ documents.Durability, writes ...documents.Write) error {
	if err := s.err(ctx); err != nil {
		return err
	}
	if err := documents.CheckWrites(writes); err != nil {
		return err
	}
	d := &s.db.data.docs
	d.mu.Lock()
	versions := make(map[documentKey]int64, len(writes))
	for _, w := range writes {
		k := documentKey{w.Collection, w.Key}
		have := d.by[w.Collection][w.Key].Version
		if w.Expect != documents.Any && w.Expect != have {
			d.mu.Unlock()
			return fmt.Errorf("documents: %s/%q has version %d, not %d: %w", w.Collection, w.Key, have, w.Expect, documents.ErrConflict)
		}
		versions[k] = have
	}
	for _, w := range writes {
		if w.Value == nil {
			delete(d.by[w.Collection], w.Key)
			continue
		}
		if d.by[w.Collection] == nil {
			d.by[w.Collection] = make(map[string]documents.Document)
		}
		version := versions[documentKey{w.Collection, w.Key}] + 1
		d.by[w.Collection][w.Key] = copyDocument(documents.Document{Key: w.Key, Version: version, Value: w.Value})
	}
	d.mu.Unlock()
	s.hub.Changed(writes)
	return nil
}

func (s *documentStore) List(ctx context.Context, q documents.Query) ([]documents.Document, error) {
	if err := s.err(ctx); err != nil {
		return nil, err
	}
	d := &s.db.data.docs
	d.mu.Lock()
	defer d.mu.Unlock()
	var keys []string
	for key := range d.by[q.Collection] {
		if !strings.HasPrefix(key, q.Prefix) {
			continue
		}
		if q.After != "" && (key == q.After || (key < q.After) != q.Reverse) {
			continue
		}
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if q.Reverse {
		slices.Reverse(keys)
	}
	keys = keys[:min(len(keys), q.Most())]
	out := make([]documents.Document, len(keys))
	for i, key := range keys {
		out[i] = copyDocument(d.by[q.Collection][key])
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
