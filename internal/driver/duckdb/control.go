package duckdb

import "heed/internal/event"

// control acts on a control record; the lock is held.
func (s *Store) control(e *event.Event) error {
	if e.Name != event.NameMerge {
		return nil
	}
	m, ok, err := s.merges.Read(e)
	if err != nil || !ok {
		return err
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
