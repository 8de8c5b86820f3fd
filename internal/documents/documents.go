// Package documents owns the contract of the store of small documents:
// definitions with their versions, cold profiles, the pull store, the sent
// ledger, the outbox, accounts. Drivers run the suite in documentstest.
package documents

import (
	"context"
	"errors"
)

// Errors that callers decide on.
var (
	// ErrNotFound: no document has that key.
	ErrNotFound = errors.New("documents: not found")
	// ErrConflict: a document's version is not the expected one; nothing of the
	// transaction was applied.
	ErrConflict = errors.New("documents: version conflict")
	// ErrRefused: the engine cannot keep such a value; nothing was applied.
	ErrRefused = errors.New("documents: the value cannot be kept")
)

// Document is a value with its version, which starts at 1 and grows by one with
// each write. A document that was removed and written again starts over.
type Document struct {
	Key     string
	Version int64
	Value   []byte
}

// Expectations of a Write besides a version number.
const (
	Any    int64 = -1 // whatever is there
	Absent int64 = 0  // no document must be there
)

// Write puts a value, or removes the document if Value is nil.
type Write struct {
	Collection string
	Key        string
	Value      []byte
	Expect     int64 // Any, Absent or the version that must be there
}

// Durability says what a transaction survives once Apply has returned.
type Durability bool

// The durabilities.
const (
	// Relaxed: a crash may take the newest ones, of a fraction of a second,
	// never an older one and not a newer one.
	Relaxed Durability = false
	// Durable survives power loss, with everything that was applied before it.
	Durable Durability = true
)

// Query selects documents of one collection in order of key.
type Query struct {
	Collection string
	Prefix     string
	After      string // exclusive; for Reverse: below this key ("" from the end)
	Reverse    bool
	Limit      int // 0: at most 1,000
}

// Store keeps documents. All methods may be called concurrently. Keys are at
// most 1 KiB, values at most 1 MiB, and may hold any bytes.
type Store interface {
	// Get returns ErrNotFound if there is no such document.
	Get(ctx context.Context, collection, key string) (Document, error)
	// Apply makes all writes or, on ErrConflict, none.
	Apply(ctx context.Context, d Durability, writes ...Write) error
	// List answers a query.
	List(ctx context.Context, q Query) ([]Document, error)
	// Watch wakes the channel (capacity 1) after a change in the collection, by
	// whichever process.
	Watch(collection string) (wake <-chan struct{}, cancel func())
	Close() error
}
