package duckdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"heed/internal/eventlog"
	"heed/internal/facts"
)

// setAside takes a damaged file out of every query and keeps its bytes for
// somebody to look at. What it held is lost until Repair brings it back.
func (s *Store) setAside(e entry, cause error) error {
	if err := os.MkdirAll(s.path(asideFolder), 0o700); err != nil {
		return err
	}
	// A link, because queries may still be reading the file under its name.
	aside := filepath.Join(asideFolder, strings.ReplaceAll(e.Name, "/", "-"))
	if err := os.Link(s.path(e.Name), s.path(aside)); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set %s aside: %w", e.Name, err)
	}
	s.log.Error("a file of facts is damaged; it is set aside and will be rebuilt from the log", "file", e.Name, "aside", aside, "error", cause)
	s.commits.Lock()
	defer s.commits.Unlock()
	return s.commit(func(m *manifest) {
		n := len(m.Files)
		m.Files = slices.DeleteFunc(m.Files, func(f entry) bool { return f.Name == e.Name })
		if len(m.Files) < n {
			m.Lost = append(m.Lost, lost{entry: e})
		}
	}, func() {})
}

// repair is what is being brought back: events whose time lies within what a
// lost file held, and whose offsets no other file has.
type repair struct {
	lost        []lost
	low, high   []uint64 // offsets that are read
	have        []bitset // those of them that are here
	done, total uint64
}

// wants tells whether an offset that was taken in before is looked at again.
func (r *repair) wants(partition int, pos uint64) bool {
	return r != nil && pos >= r.low[partition] && pos < r.high[partition]
}

// lacks tells whether the event was in a lost file, and notes it as here.
func (r *repair) lacks(partition int, pos uint64, time int64) bool {
	if r == nil || !slices.ContainsFunc(r.lost, func(l lost) bool {
		return time >= l.From && time <= l.To && pos >= l.Low[partition] && pos < l.High[partition]
	}) {
		return false
	}
	return r.have[partition].add(pos - r.low[partition])
}

func (r *repair) progress() *facts.Progress {
	if r == nil {
		return nil
	}
	return &facts.Progress{Done: r.done, Total: r.total}
}

type bitset []uint64

// add sets a bit and tells whether it was not set.
func (b bitset) add(i uint64) bool {
	was := b[i/64] & (1 << (i % 64))
	b[i/64] |= 1 << (i % 64)
	return was == 0
}

// Repair brings back what is lost and not final.
func (s *Store) Repair(ctx context.Context, read facts.ReadLog) error {
	r, err := s.beginRepair(ctx)
	if err != nil || r == nil {
		return err
	}
	defer func() {
		s.mu.Lock()
		s.accept = nil
		s.mu.Unlock()
	}()
	first := make([]uint64, len(r.low))
	for p := range r.low {
		if r.low[p] >= r.high[p] {
			continue
		}
		at := r.low[p]
		first[p], err = read(ctx, p, r.low[p], r.high[p], func(c eventlog.Chunk) error {
			if err := s.Append(ctx, p, c); err != nil {
				return err
			}
			s.mu.Lock()
			r.done += max(at, c.Next()) - at // offsets, as the total: a log may have gaps
			s.mu.Unlock()
			at = max(at, c.Next())
			return nil
		})
		if err != nil {
			return fmt.Errorf("facts: read the log again: %w", err)
		}
	}
	// What came back must be on the disk before it stops being lost.
	if err := s.Flush(ctx); err != nil {
		return err
	}
	s.commits.Lock()
	defer s.commits.Unlock()
	return s.commit(func(m *manifest) {
		var rest []lost
		for _, l := range m.Lost {
			mine := slices.ContainsFunc(r.lost, func(o lost) bool { return o.Name == l.Name })
			if mine {
				for p := range l.Low {
					l.Final = l.Final || l.Low[p] < l.High[p] && l.Low[p] < first[p]
				}
			}
			if !mine || l.Final {
				rest = append(rest, l)
			}
		}
		m.Lost = rest
	}, func() {})
}

// beginRepair finds out what is lost and what of its offsets is here.
func (s *Store) beginRepair(ctx context.Context) (*repair, error) {
	if err := s.Flush(ctx); err != nil { // so that files and log are all there is
		return nil, err
	}
	s.mu.Lock()
	partitions := len(s.next)
	r := &repair{low: make([]uint64, partitions), high: make([]uint64, partitions), have: make([]bitset, partitions)}
	for _, l := range s.manifest.Lost {
		if l.Final {
			continue
		}
		r.lost = append(r.lost, l)
		for p := range l.Low {
			if l.Low[p] >= l.High[p] {
				continue
			}
			if r.high[p] == 0 {
				r.low[p] = l.Low[p]
			}
			r.low[p], r.high[p] = min(r.low[p], l.Low[p]), max(r.high[p], l.High[p])
		}
	}
	s.mu.Unlock()
	if len(r.lost) == 0 {
		return nil, nil //nolint:nilnil // nothing is lost
	}
	for p := range r.have {
		r.have[p] = make(bitset, (r.high[p]-r.low[p])/64+1)
		r.total += r.high[p] - r.low[p]
	}
	if err := s.markPresent(ctx, r); err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.accept = r
	s.mu.Unlock()
	return r, nil
}

func (s *Store) markPresent(ctx context.Context, r *repair) (err error) {
	q, err := s.queries.begin(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, q.end()) }()
	var spans []string
	for _, l := range r.lost {
		spans = append(spans, fmt.Sprintf("time BETWEEN make_timestamp(%d) AND make_timestamp(%d)", l.From, l.To))
	}
	rows, err := q.conn.QueryContext(ctx, "SELECT part, pos FROM facts WHERE "+strings.Join(spans, " OR "))
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, rows) }()
	for rows.Next() {
		var p int
		var pos uint64
		if err := rows.Scan(&p, &pos); err != nil {
			return err
		}
		if pos >= r.low[p] && pos < r.high[p] {
			r.have[p].add(pos - r.low[p])
		}
	}
	return rows.Err()
}
