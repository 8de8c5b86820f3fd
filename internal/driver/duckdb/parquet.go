package duckdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"heed/internal/driver/duckdb/ask"
	"heed/internal/driver/duckdb/statement"
	"heed/internal/facts"
	"heed/internal/measure"
)

// exportFolder holds Parquet files for as long as it takes to open them.
const exportFolder = tempFolder + "/export"

// exportTimeout is how long a file without a limit of rows may take.
const exportTimeout = 30 * time.Minute

// Parquet writes the rows of one SELECT over the public views as a file.
func (s *Store) Parquet(ctx context.Context, text string, o facts.Options) (*os.File, error) {
	limit := s.cfg.QueryRows
	if o.Rows > 0 {
		limit = min(limit, o.Rows)
	}
	return s.export(ctx, o, true, func(q *running) (string, int, error) {
		if err := statement.Check(ctx, q.conn, text); err != nil {
			return "", 0, fmt.Errorf("%w: %w", facts.ErrStatement, err)
		}
		whole := fmt.Sprintf("SELECT * FROM query(%s)", quote(text))
		switch {
		case o.All:
			return whole, 0, nil
		case o.Rows > 0 && o.Rows <= limit:
			return fmt.Sprintf("%s LIMIT %d", whole, limit), 0, nil
		}
		return fmt.Sprintf("%s LIMIT %d", whole, limit+1), limit, nil // a file cannot say that it was cut
	})
}

// ParquetOf writes rows as a file.
func (s *Store) ParquetOf(ctx context.Context, head []measure.Column, rows [][]any) (*os.File, error) {
	return s.export(ctx, facts.Options{}, false, func(*running) (string, int, error) { return valuesOf(head, rows), 0, nil })
}

// export writes what a statement answers as a file that has no name any more:
// closing it, or the end of the process, removes it. most: with more rows than so
// many it fails; 0: it does not. foreign: the statement comes from outside.
func (s *Store) export(ctx context.Context, o facts.Options, foreign bool, statement func(q *running) (text string, most int, err error)) (_ *os.File, err error) {
	timeout := s.cfg.QueryTimeout
	switch {
	case o.All:
		timeout = exportTimeout
	case o.Timeout > 0:
		timeout = min(timeout, o.Timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	if foreign {
		var release func()
		ctx, release = s.guard.watch(ctx)
		defer release()
	}
	defer func() {
		if err != nil {
			err = s.explain(ctx, err, timeout)
		}
	}()
	q, err := s.queries.begin(ctx, foreign)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, q.end()) }()
	text, most, err := statement(q)
	if err != nil {
		return nil, err
	}
	if err := s.roomOnDisk(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.path(exportFolder), 0o700); err != nil {
		return nil, err
	}
	name := s.path(exportFolder + "/" + strconv.FormatUint(rand.Uint64(), 36) + ".parquet")
	defer func() {
		if gone := os.Remove(name); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}()
	writing, end := s.watchSize(ctx, name)
	defer end()
	done, err := q.conn.ExecContext(writing, fmt.Sprintf("COPY (%s) TO %s (FORMAT parquet, COMPRESSION zstd)", text, quote(name)))
	if err != nil {
		if cause := context.Cause(writing); errors.Is(cause, facts.ErrTooBig) {
			return nil, cause
		}
		return nil, s.judge(ctx, err)
	}
	if n, err := done.RowsAffected(); err != nil || most > 0 && n > int64(most) {
		return nil, errors.Join(err, fmt.Errorf("%w: more than %d rows: name a limit, or raise facts.query_rows", facts.ErrTooBig, most))
	}
	return os.Open(name)
}

// watchSize cancels when a file grows beyond what sorting may take of the disk, or
// into the disk's reserve.
func (s *Store) watchSize(ctx context.Context, name string) (_ context.Context, end func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if info, err := os.Stat(name); err == nil && info.Size() > s.cfg.TempBytes {
				cancel(fmt.Errorf("%w: the file has more than %d bytes (facts.temp_bytes)", facts.ErrTooBig, s.cfg.TempBytes))
			}
			if err := s.roomOnDisk(); err != nil {
				cancel(fmt.Errorf("%w: %w", facts.ErrTooBig, err))
			}
		}
	}()
	return ctx, func() { cancel(nil); <-watched }
}

// valuesOf is a SELECT of the rows themselves.
func valuesOf(head []measure.Column, rows [][]any) string {
	var b strings.Builder
	names := map[string]bool{}
	b.WriteString("SELECT ")
	for i, c := range head {
		name := c.Name
		for n := 2; names[strings.ToLower(name)]; n++ {
			name = fmt.Sprintf("%s %d", c.Name, n)
		}
		names[strings.ToLower(name)] = true
		typ := map[measure.CellType]string{measure.Text: "VARCHAR", measure.Whole: "BIGINT", measure.Real: "DOUBLE", measure.Time: "TIMESTAMPTZ"}[c.Type]
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "c%d::%s AS %s", i, typ, quoteName(name))
	}
	b.WriteString(" FROM (VALUES ")
	cell := func(v any) string {
		switch v := v.(type) {
		case string:
			return ask.Quote(v)
		case int64:
			return strconv.FormatInt(v, 10)
		case float64:
			return ask.Quote(strconv.FormatFloat(v, 'g', -1, 64))
		case time.Time:
			return fmt.Sprintf("make_timestamptz(%d)", v.UnixMicro())
		}
		return "NULL"
	}
	for i, r := range rows {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('(')
		for j, v := range r {
			if j > 0 {
				b.WriteString(", ")
			}
			b.WriteString(cell(v))
		}
		b.WriteByte(')')
	}
	if len(rows) == 0 {
		b.WriteString("(" + strings.TrimSuffix(strings.Repeat("NULL, ", len(head)), ", ") + ")")
	}
	b.WriteString(") t(")
	for i := range head {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "c%d", i)
	}
	b.WriteString(")")
	if len(rows) == 0 {
		b.WriteString(" LIMIT 0")
	}
	return b.String()
}
