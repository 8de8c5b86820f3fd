package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"heed/internal/driver/duckdb/ask"
	"heed/internal/driver/duckdb/rows"
	"heed/internal/measure"
)

// Query answers a measure.
func (s *Store) Query(ctx context.Context, q *measure.Query, now int64) (out measure.Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.QueryTimeout)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	m := &moment{}
	if m.running, err = s.queries.begin(ctx, false); err != nil {
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

// Promoted tells of a property that the views have a column for.
func (m *moment) Promoted(key string) (out ask.Promoted, ok bool) {
	for _, p := range m.place.properties {
		if p.Key == key {
			out.Column = quoteName(p.Column())
			switch p.Type {
			case rows.Double:
				out.Type = ask.ColumnNumber
			case rows.Boolean:
				out.Type = ask.ColumnFlag
			default:
			}
			return out, true
		}
	}
	return ask.Promoted{}, false
}

func (m *moment) Numbers(user uint32) []uint32 { return m.pool.s.users.all(user) }

func (m *moment) Times() (from, to int64) { return m.version.from, m.version.to }

// Flagged counts what is known of whole files, and looks at the others.
func (m *moment) Flagged(ctx context.Context, in measure.Span) (bots, internal, both int64, err error) {
	var f rows.Flagged
	var partly []*file
	for _, file := range m.version.files {
		switch {
		case !in.Holds(file.From) && !in.Holds(file.To) && (in.To <= file.From || in.From > file.To):
		case in.Holds(file.From) && in.Holds(file.To):
			f.Add(file.Flagged)
		case file.Flagged != rows.Flagged{}:
			partly = append(partly, file)
		}
	}
	for _, b := range m.version.blocks {
		f.Add(b.block.Flagged(b.rows, in))
	}
	if partly != nil {
		where := fmt.Sprintf("time >= make_timestamp(%d) AND time < make_timestamp(%d)", in.From, in.To)
		more, err := flaggedIn(ctx, m.conn, m.pool.s.list(partly), where)
		if err != nil {
			return 0, 0, 0, err
		}
		f.Add(more)
	}
	return f.Bots, f.Internal, f.Both, nil
}
