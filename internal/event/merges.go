package event

import (
	"encoding/json"
	"fmt"
	"maps"
	"time"
)

// Merge is what a NameMerge record says: From belongs to To from now on, or, if both
// are the same, is its own again.
type Merge struct {
	From string    `json:"from"`
	To   string    `json:"to"`
	At   time.Time `json:"at"`
}

// Bounds of what a Merges remembers.
const (
	maxParted  = 10_000
	keepParted = time.Hour
)

// Merges reads the NameMerge records of all partitions. That an id is its own again
// stands in another partition than that it was linked, and may even be written
// first, so their times tell which of the two holds. The zero Merges is ready. It is not safe
// for concurrent use.
type Merges struct {
	parted map[string]time.Time // when ids became their own again
}

// Read is what a record says; ok is false if it does not hold.
func (m *Merges) Read(e *Event) (said Merge, ok bool, err error) {
	if err := json.Unmarshal(e.Properties, &said); err != nil {
		return said, false, fmt.Errorf("%w: a merge record: %w", ErrCorrupt, err)
	}
	if said.From == "" || said.To == "" {
		return said, false, nil
	}
	if said.From == said.To {
		if m.parted == nil {
			m.parted = map[string]time.Time{}
		}
		m.parted[said.From] = said.At
		if len(m.parted) > maxParted {
			maps.DeleteFunc(m.parted, func(_ string, at time.Time) bool { return said.At.Sub(at) > keepParted })
		}
		return said, true, nil
	}
	parted, found := m.parted[said.From]
	return said, !found || said.At.After(parted), nil
}
