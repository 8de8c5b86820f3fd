package documents

import (
	"errors"
	"fmt"
	"strings"
)

// Limits of a document, in bytes, and of a list.
const (
	MaxKeyBytes   = 1 << 10
	MaxValueBytes = 1 << 20
	MaxList       = 1000 // unless the query says more
)

// ErrClosed: the store was closed.
var ErrClosed = errors.New("documents: closed")

// CheckWrites tells whether the writes can be one transaction: within the
// limits, and no document twice. Drivers call it before anything is written.
func CheckWrites(writes []Write) error {
	for _, w := range writes {
		switch {
		case w.Collection == "" || len(w.Collection) > MaxKeyBytes || strings.IndexByte(w.Collection, 0) >= 0:
			return fmt.Errorf("documents: collection %.40q is not a name", w.Collection)
		case len(w.Key) > MaxKeyBytes:
			return fmt.Errorf("documents: key of %d bytes in %s", len(w.Key), w.Collection)
		case len(w.Value) > MaxValueBytes:
			return fmt.Errorf("documents: value of %d bytes for %s/%.40q", len(w.Value), w.Collection, w.Key)
		case w.Expect < Any:
			return fmt.Errorf("documents: expectation %d for %s/%.40q", w.Expect, w.Collection, w.Key)
		}
	}
	if len(writes) < 2 {
		return nil
	}
	type name struct{ collection, key string }
	seen := make(map[name]struct{}, len(writes))
	for _, w := range writes {
		k := name{w.Collection, w.Key}
		if _, ok := seen[k]; ok {
			return fmt.Errorf("documents: %s/%.40q twice in one transaction", w.Collection, w.Key)
		}
		seen[k] = struct{}{}
	}
	return nil
}

// Most is how many documents the query may return.
func (q Query) Most() int {
	if q.Limit <= 0 {
		return MaxList
	}
	return q.Limit
}
