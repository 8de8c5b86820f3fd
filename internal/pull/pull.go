// Package pull owns the pull store: small documents about users that somebody
// prepared (scores, segments, the next best product), kept by collection and
// user, and read at the moment of a decision. It checks what is written against
// the collection's definition and lets it expire.
//
// It does not own who may write (gateway), what a decision makes of a document
// (condition, render), or where documents are stored (documents).
package pull

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/jsonscan"
)

// Bounds of a document: those of an event's properties.
const (
	MaxBytes = 32 << 10
	maxDepth = 32
	maxKeys  = 256
)

// CollectionPrefix and the name of a collection are a collection of documents
// (docs/format/pull.md).
const CollectionPrefix = "pull."

// ErrNotFound says that there is no document, or none any more.
var ErrNotFound = errors.New("pull: there is no such document")

// InvalidError says why a document or its key is not taken.
type InvalidError struct{ Message string }

func (e *InvalidError) Error() string { return e.Message }

func invalid(format string, args ...any) error { return &InvalidError{fmt.Sprintf(format, args...)} }

// Document is what is known of a user in a collection.
type Document struct {
	Fields  []byte    // a JSON object
	Written time.Time // zero: by another program, nobody knows when
	Expires time.Time // zero: never
}

// Store is the pull store. Its methods may be called concurrently.
type Store struct {
	docs documents.Store
	now  func() time.Time
}

// New makes the store over documents.
func New(docs documents.Store, now func() time.Time) *Store { return &Store{docs, now} }

// Get reads a document; ErrNotFound if there is none.
func (s *Store) Get(ctx context.Context, collection, key string) (Document, error) {
	d, err := s.docs.Get(ctx, CollectionPrefix+collection, key)
	if errors.Is(err, documents.ErrNotFound) {
		return Document{}, ErrNotFound
	}
	if err != nil {
		return Document{}, fmt.Errorf("pull: read %s of %s: %w", key, collection, err)
	}
	out, err := Decode(d.Value)
	if err != nil {
		return Document{}, fmt.Errorf("pull: %s of %s: %w", key, collection, err)
	}
	if out.expired(s.now()) {
		return Document{}, ErrNotFound
	}
	return out, nil
}

// Fields is what conditions and templates read: the object, or nil if there is
// no document.
func (s *Store) Fields(ctx context.Context, collection, user string) ([]byte, error) {
	d, err := s.Get(ctx, collection, user)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return d.Fields, err
}

// Put replaces a document. It survives power loss when Put returns. What the
// definition does not allow is an *InvalidError.
func (s *Store) Put(ctx context.Context, c *definition.Collection, key string, fields []byte) (Document, error) {
	if err := check(c, key, fields); err != nil {
		return Document{}, err
	}
	d := Document{Fields: fields, Written: s.now()}
	if c.TTL > 0 {
		d.Expires = d.Written.Add(c.TTL.Duration())
	}
	err := s.docs.Apply(ctx, documents.Durable, documents.Write{
		Collection: CollectionPrefix + c.Name, Key: key, Value: Encode(d), Expect: documents.Any,
	})
	if errors.Is(err, documents.ErrRefused) {
		return Document{}, invalid("%v", err)
	}
	if err != nil {
		return Document{}, fmt.Errorf("pull: write %s of %s: %w", key, c.Name, err)
	}
	return d, nil
}

// Delete removes a document, if there is one.
func (s *Store) Delete(ctx context.Context, collection, key string) error {
	err := s.docs.Apply(ctx, documents.Durable, documents.Write{Collection: CollectionPrefix + collection, Key: key, Expect: documents.Any})
	if err != nil {
		return fmt.Errorf("pull: remove %s of %s: %w", key, collection, err)
	}
	return nil
}

// Expire removes the documents of a collection that nobody sees any more, and
// tells how many.
func (s *Store) Expire(ctx context.Context, collection string) (removed int, err error) {
	for after := ""; ; {
		page, err := s.docs.List(ctx, documents.Query{Collection: CollectionPrefix + collection, After: after, Limit: 500})
		if err != nil {
			return removed, fmt.Errorf("pull: list %s: %w", collection, err)
		}
		if len(page) == 0 {
			return removed, nil
		}
		for _, d := range page {
			after = d.Key
			if doc, err := Decode(d.Value); err != nil || !doc.expired(s.now()) {
				continue
			}
			err := s.docs.Apply(ctx, documents.Relaxed, documents.Write{Collection: CollectionPrefix + collection, Key: d.Key, Expect: d.Version})
			if errors.Is(err, documents.ErrConflict) {
				continue // it was written anew
			}
			if err != nil {
				return removed, fmt.Errorf("pull: remove what expired of %s: %w", collection, err)
			}
			removed++
		}
	}
}

func (d *Document) expired(now time.Time) bool { return !d.Expires.IsZero() && !now.Before(d.Expires) }

// A stored document is a version, when it was written and when it expires (µs,
// little endian; 0: never), and the object.
const (
	version    = 1
	headLength = 1 + 8 + 8
)

// Encode writes a document as it is stored.
func Encode(d Document) []byte {
	dst := make([]byte, 0, headLength+len(d.Fields))
	dst = binary.LittleEndian.AppendUint64(append(dst, version), uint64(d.Written.UnixMicro()))
	expires := int64(0)
	if !d.Expires.IsZero() {
		expires = d.Expires.UnixMicro()
	}
	return append(binary.LittleEndian.AppendUint64(dst, uint64(expires)), d.Fields...)
}

// Decode reads what Encode wrote; the fields stay part of it.
func Decode(b []byte) (Document, error) {
	if len(b) < headLength || b[0] != version {
		return Document{}, errors.New("the stored document is unreadable")
	}
	d := Document{Written: time.UnixMicro(int64(binary.LittleEndian.Uint64(b[1:]))), Fields: b[headLength:]}
	if expires := int64(binary.LittleEndian.Uint64(b[9:])); expires != 0 {
		d.Expires = time.UnixMicro(expires)
	}
	return d, nil
}

// check tells whether the collection takes a document.
func check(c *definition.Collection, key string, fields []byte) error {
	switch {
	case key == "" || len(key) > event.MaxIDBytes:
		return invalid("the key has %d bytes: 1 to %d are a user's id", len(key), event.MaxIDBytes)
	case len(fields) > MaxBytes:
		return invalid("the document has %d bytes, at most %d are allowed", len(fields), MaxBytes)
	}
	s := jsonscan.Scanner{MaxDepth: maxDepth, MaxKeys: maxKeys}
	s.Reset(fields)
	if s.Kind() != jsonscan.Object {
		return invalid("the document is not a JSON object")
	}
	s.Value()
	if err := s.End(); err != nil {
		return invalid("the document is %v", err)
	}
	if fault := s.TakeFault(); fault != jsonscan.NoFault {
		return invalid("the document has a fault: %s", fault)
	}
	if len(c.Fields) == 0 {
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(fields, &members); err != nil {
		return invalid("the document is not valid JSON")
	}
	for name, value := range members {
		typ, known := c.Fields[name]
		if !known {
			return invalid("the collection %s has no field %q", c.Name, name)
		}
		if !typ.Holds(value) {
			return invalid("the field %q is not %s", name, typ)
		}
	}
	return nil
}
