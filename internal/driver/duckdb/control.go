package duckdb

import (
	"encoding/json"
	"fmt"

	"heed/internal/event"
)

// control acts on a control record; the lock is held.
func (s *Store) control(e *event.Event) error {
	if e.Name != event.NameMerge {
		return nil
	}
	var m struct{ From, To string }
	if err := json.Unmarshal(e.Properties, &m); err != nil {
		return fmt.Errorf("%w: a merge record: %w", event.ErrCorrupt, err)
	}
	if m.From == "" || m.To == "" {
		return nil
	}
	from, err := s.users.number(m.From)
	if err != nil {
		return err
	}
	to, err := s.users.number(m.To)
	if err != nil {
		return err
	}
	s.users.merge(from, to)
	return nil
}
