package duckdb

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"heed/internal/driver/duckdb/rows"
	"heed/internal/event"
	"heed/internal/facts"
)

// Past is facts.Past's. It goes day by day, so that putting them in order needs
// little room, and it takes a query's place until it is done.
func (s *Store) Past(ctx context.Context, from int64, until []uint64, merged func(from, to string) error, take func(*event.Event) error) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	q, err := s.queries.begin(ctx, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.end()) }()
	for n := range s.users.count.Load() {
		if to := s.users.root(n); to != n {
			if err := merged(s.users.id(n), s.users.id(to)); err != nil {
				return err
			}
		}
	}
	for at := dayOf(max(from, q.version.from)) * dayMicros; at <= q.version.to; at += dayMicros {
		where := fmt.Sprintf("time >= make_timestamp(%d) AND time < make_timestamp(%d)", max(at, from), at+dayMicros)
		if err := s.pastWhere(ctx, q, where, until, take); err != nil {
			return fmt.Errorf("facts of %s: %w", time.UnixMicro(at).UTC().Format(time.DateOnly), err)
		}
	}
	return nil
}

// PastOf is facts.Past's.
func (s *Store) PastOf(ctx context.Context, ids []string, from int64, until []uint64, take func(*event.Event) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.QueryTimeout)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	q, err := s.queries.begin(ctx, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.end()) }()
	numbers := s.users.allOf(s.rootsOf(ids))
	if len(numbers) == 0 {
		return nil
	}
	list := strings.Trim(strings.ReplaceAll(fmt.Sprint(numbers), " ", ", "), "[]")
	return s.pastWhere(ctx, q, fmt.Sprintf("time >= make_timestamp(%d) AND usr IN (%s)", from, list), until, take)
}

// rootsOf is the numbers of the users whose ids these are today.
func (s *Store) rootsOf(ids []string) map[uint32]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	roots := map[uint32]bool{}
	for _, id := range ids {
		if n, ok := s.users.find(id); ok {
			roots[s.users.root(n)] = true
		}
	}
	return roots
}

// pastWhere hands over the events that meet a condition.
func (s *Store) pastWhere(ctx context.Context, q *running, where string, until []uint64, take func(*event.Event) error) (err error) {
	ends := make([]string, len(until))
	for p, next := range until {
		ends[p] = strconv.FormatUint(next, 10)
	}
	found, err := q.conn.QueryContext(ctx, fmt.Sprintf(
		"SELECT %s FROM facts WHERE %s AND pos < [%s][part + 1] ORDER BY time, part, pos",
		strings.Join(rows.Names(), ", "), where, strings.Join(ends, ", ")))
	if err != nil {
		return s.judgePast(ctx, err)
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	var r rows.Past
	targets := r.Targets()
	for found.Next() {
		if err := found.Scan(targets...); err != nil {
			return err
		}
		if err := take(r.Event(s.users.id)); err != nil {
			return err
		}
	}
	if err := found.Err(); err != nil {
		return s.judgePast(ctx, err)
	}
	return nil
}

func (s *Store) judgePast(ctx context.Context, err error) error {
	if s.life.Err() != nil {
		return facts.ErrClosed
	}
	return s.judge(ctx, err)
}
