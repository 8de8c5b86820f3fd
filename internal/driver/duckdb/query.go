package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	"heed/internal/driver/duckdb/rows"
	"heed/internal/driver/duckdb/statement"
	"heed/internal/facts"
)

// queryPool bounds what runs at the same time. Each place has a connection
// whose views are made anew when the files have changed.
type queryPool struct {
	s       *Store
	free    chan *place
	waiting chan struct{} // a token for each query that waits
	foreign chan struct{} // one for each place that a statement from outside has: it may hold it while nobody reads
	mu      sync.Mutex
	engine  *engine
	places  []*place
}

type place struct {
	number int64
	conn   *sql.Conn
	gen    uint64 // of the files that its views have
	// properties have a column in its views.
	properties []rows.Property
	made       bool
}

func (p *queryPool) open(s *Store) {
	p.s = s
	p.free = make(chan *place, s.cfg.Queries)
	p.waiting = make(chan struct{}, s.cfg.Waiting+s.cfg.Queries)
	p.foreign = make(chan struct{}, max(1, s.cfg.Queries-1))
	for i := range s.cfg.Queries {
		pl := &place{number: int64(i)}
		p.places = append(p.places, pl)
		p.free <- pl
	}
}

// close waits for running queries and closes the engine.
func (p *queryPool) close() error {
	for range p.places {
		<-p.free
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.engine == nil {
		return nil
	}
	var errs []error
	for _, pl := range p.places {
		if pl.conn != nil {
			errs = append(errs, pl.conn.Close())
		}
	}
	return errors.Join(append(errs, p.engine.Close())...)
}

// running is a query with its place and its version.
type running struct {
	pool    *queryPool
	place   *place
	conn    *sql.Conn
	version *version
	foreign bool
}

// begin waits for a place and pins the version of now. foreign: for a statement from
// outside; those leave one place to others.
func (p *queryPool) begin(ctx context.Context, foreign bool) (_ *running, err error) {
	select {
	case p.waiting <- struct{}{}:
	default:
		return nil, fmt.Errorf("%w: %d are waiting", facts.ErrBusy, p.s.cfg.Waiting)
	}
	defer func() { <-p.waiting }()
	if foreign {
		select {
		case p.foreign <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-p.s.life.Done():
			return nil, facts.ErrClosed
		}
	}
	q := &running{pool: p, foreign: foreign}
	defer func() {
		if err != nil {
			err = errors.Join(err, q.end())
		}
	}()
	select {
	case q.place = <-p.free:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.s.life.Done():
		return nil, facts.ErrClosed
	}
	if err := q.prepare(ctx); err != nil {
		return nil, err
	}
	return q, nil
}

// prepare makes the connection see the version.
func (q *running) prepare(ctx context.Context) (err error) {
	s, pl := q.pool.s, q.place
	if pl.conn == nil {
		if pl.conn, err = q.pool.connect(ctx); err != nil {
			return err
		}
	}
	q.conn = pl.conn
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return facts.ErrClosed
	}
	q.version = s.pin()
	s.scans[pl.number] = q.version
	s.mu.Unlock()
	if pl.made && pl.gen == q.version.fileGen {
		return nil
	}
	pl.made = false
	pl.properties = properties(q.version.layout, q.version.files)
	if err := s.makeViews(ctx, pl, q.version); err != nil {
		s.suspect.Store(true)
		return err
	}
	pl.made, pl.gen = true, q.version.fileGen
	return nil
}

func (p *queryPool) connect(ctx context.Context) (*sql.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.engine == nil {
		c := &p.s.cfg
		e, err := openEngine(ctx, limits{
			memory: max(64<<20, c.Memory*5/8), tempBytes: c.TempBytes, threads: c.Threads, temp: p.s.path(tempFolder + "/query"), only: c.Dir,
		}, p.s.env)
		if err != nil {
			return nil, err
		}
		p.engine = e
	}
	return p.engine.db.Conn(ctx)
}

// end gives the place and the version back.
func (q *running) end() error {
	if q.version != nil {
		s := q.pool.s
		s.mu.Lock()
		delete(s.scans, q.place.number)
		s.mu.Unlock()
		s.release(q.version)
	}
	if q.place != nil {
		q.pool.free <- q.place
	}
	if q.foreign {
		<-q.pool.foreign
	}
	return nil
}

// SQL runs one SELECT over the public views.
func (s *Store) SQL(ctx context.Context, text string, o facts.Options) (facts.Rows, error) {
	return s.query(ctx, text, o, true)
}

// query runs a SELECT; foreign: it comes from outside and is checked.
func (s *Store) query(ctx context.Context, text string, o facts.Options, foreign bool) (_ facts.Rows, err error) {
	timeout := s.cfg.QueryTimeout
	if o.Timeout > 0 {
		timeout = min(timeout, o.Timeout)
	}
	limit := s.cfg.QueryRows
	if o.Rows > 0 {
		limit = min(limit, o.Rows)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	unhook := context.AfterFunc(s.life, cancel)
	release := func() {}
	if foreign {
		ctx, release = s.guard.watch(ctx)
	}
	end := func() { release(); unhook(); cancel() }
	defer func() {
		if err != nil {
			err = s.explain(ctx, err, timeout)
			end()
		}
	}()
	q, err := s.queries.begin(ctx, foreign)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, q.end())
		}
	}()
	if foreign {
		if err := statement.Check(ctx, q.conn, text); err != nil {
			return nil, fmt.Errorf("%w: %w", facts.ErrStatement, err)
		}
		text = fmt.Sprintf("SELECT * FROM query(%s) LIMIT %d", quote(text), limit+1)
	}
	rows, err := q.conn.QueryContext(ctx, text) //nolint:rowserrcheck // result looks at it
	if err != nil {
		return nil, s.judge(ctx, err)
	}
	out := &result{rows: rows, q: q, cancel: end, left: limit, ctx: ctx, timeout: timeout}
	if err := out.describe(); err != nil {
		return nil, errors.Join(err, rows.Close()) //nolint:sqlclosecheck // result closes them otherwise
	}
	return out, nil
}

// explain gives errors of DuckDB the name that callers know.
func (s *Store) explain(ctx context.Context, err error, timeout time.Duration) error {
	native, ok := errors.AsType[*duckdb.Error](err)
	switch {
	case s.life.Err() != nil:
		return facts.ErrClosed
	case errors.Is(context.Cause(ctx), facts.ErrTooBig):
		return context.Cause(ctx)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%w: more than %s", facts.ErrTimeout, timeout)
	case ctx.Err() != nil:
		return ctx.Err()
	case ok && native.Type == duckdb.ErrorTypeOutOfMemory:
		return fmt.Errorf("%w: %w", facts.ErrTooBig, err)
	}
	return err
}

// judge tells errors that the statement is to blame for from others, of which a
// damaged file may be the cause.
func (s *Store) judge(ctx context.Context, err error) error {
	native, ok := errors.AsType[*duckdb.Error](err)
	if ctx.Err() != nil || ok && native.Type == duckdb.ErrorTypeOutOfMemory {
		return err
	}
	if !ok {
		return err
	}
	switch native.Type {
	case duckdb.ErrorTypeIO, duckdb.ErrorTypeInternal, duckdb.ErrorTypeFatal, duckdb.ErrorTypeSerialization:
		s.suspect.Store(true)
		return err
	case duckdb.ErrorTypeInvalidInput, duckdb.ErrorTypeInvalid: // it may be either
		s.suspect.Store(true)
	default:
	}
	return fmt.Errorf("%w: %w", facts.ErrStatement, err)
}

// result is a facts.Rows.
type result struct {
	rows    *sql.Rows
	q       *running
	ctx     context.Context //nolint:containedctx // it is the query's, which lives as long as its rows
	cancel  func()
	timeout time.Duration
	columns []facts.Column
	values  []any
	targets []any
	left    int
	more    bool
	err     error
	closed  bool
}

func (r *result) describe() error {
	types, err := r.rows.ColumnTypes()
	if err != nil {
		return err
	}
	for _, t := range types {
		r.columns = append(r.columns, facts.Column{Name: t.Name(), Type: t.DatabaseTypeName()})
	}
	r.values, r.targets = make([]any, len(types)), make([]any, len(types))
	for i := range r.values {
		r.targets[i] = &r.values[i]
	}
	return nil
}

func (r *result) Columns() []facts.Column { return r.columns }
func (r *result) Values() []any           { return r.values }
func (r *result) More() bool              { return r.more }
func (r *result) Err() error              { return r.err }

func (r *result) Next() bool {
	if r.err != nil || r.closed || !r.rows.Next() {
		if r.err == nil {
			if r.err = r.rows.Err(); r.err != nil {
				r.err = r.q.pool.s.explain(r.ctx, r.err, r.timeout)
			}
		}
		return false
	}
	if r.left == 0 {
		r.more = true
		return false
	}
	r.left--
	if r.err = r.rows.Scan(r.targets...); r.err != nil {
		return false
	}
	for i, v := range r.values {
		r.values[i] = plain(v)
	}
	return true
}

func (r *result) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	err := errors.Join(r.rows.Close(), r.q.end())
	r.cancel()
	return err
}

// plain makes one of the types that facts.Rows promises of a value.
func plain(v any) any {
	switch v := v.(type) {
	case nil, bool, int64, uint64, float64, string, time.Time:
		return v
	case int8:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case int:
		return int64(v)
	case uint8:
		return uint64(v)
	case uint16:
		return uint64(v)
	case uint32:
		return uint64(v)
	case float32:
		return float64(v)
	case []byte:
		return string(v)
	case *big.Int:
		if v.IsInt64() {
			return v.Int64()
		}
		return v.String()
	case duckdb.Decimal:
		return v.Float64()
	case duckdb.UUID:
		return v.String()
	case duckdb.Interval:
		return fmt.Sprintf("%d months %d days %d µs", v.Months, v.Days, v.Micros)
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
		return v
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
		return v
	case duckdb.OrderedMap:
		out := make(map[string]any, v.Len())
		values := v.Values()
		for i, k := range v.Keys() {
			out[fmt.Sprint(k)] = plain(values[i])
		}
		return out
	case duckdb.Map:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[fmt.Sprint(k)] = plain(e)
		}
		return out
	default:
		return fmt.Sprint(v)
	}
}
