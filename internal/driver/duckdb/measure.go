package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"heed/internal/driver/duckdb/ask"
	"heed/internal/measure"
)

// Query answers a measure.
func (s *Store) Query(ctx context.Context, q *measure.Query, now int64) (out measure.Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.QueryTimeout)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	m := &moment{}
	if m.running, err = s.queries.begin(ctx); err != nil {
		return out, s.explain(ctx, err, s.cfg.QueryTimeout)
	}
	defer func() { err = errors.Join(err, m.end()) }()
	if out, err = ask.Answer(ctx, m, q, now); err != nil {
		return measure.Result{}, s.explain(ctx, err, s.cfg.QueryTimeout)
	}
	return out, nil
}

// moment is the ask.Database of one query.
type moment struct {
	*running
	calls []int64
}

func (m *moment) end() error {
	m.pool.s.env.calls.remove(m.calls)
	return m.running.end()
}

func (m *moment) Query(ctx context.Context, text string) (*sql.Rows, error) {
	return m.conn.QueryContext(ctx, text)
}

func (m *moment) Call(c *ask.Call) int64 {
	n := m.pool.s.env.calls.add(c)
	m.calls = append(m.calls, n)
	return n
}

func (m *moment) User(id string) (number uint32, today string, ok bool) {
	s := m.pool.s
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.users.find(id)
	if !ok {
		return 0, "", false
	}
	n = s.users.root(n)
	return n, strings.Clone(s.users.id(n)), true
}

func (m *moment) Numbers(user uint32) []uint32 { return m.pool.s.users.all(user) }

func (m *moment) Times() (from, to int64) { return m.version.from, m.version.to }
