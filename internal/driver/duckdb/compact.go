package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"heed/internal/driver/duckdb/rows"
	"heed/internal/facts"
)

const (
	// compactFiles is how many recent files there may be before they become one.
	compactFiles = 24
	// bigRows is a recent file that waits for the end of its day as it is.
	bigRows = 2_000_000
	// lookForDays is how often days are closed and old ones removed.
	lookForDays = time.Minute
	// scrubEvery is how often the checksums of all files are looked at.
	scrubEvery = 24 * time.Hour
	// scrubSoon is how long a scrub waits behind the start, if no query fails, or behind
	// the one before.
	scrubSoon = time.Minute
	// leastGroup and mostGroup bound the rows of a row group of a closed day: the
	// smallest part that a query can leave out.
	leastGroup, mostGroup = 8192, 61_440
)

// tend is the goroutine that keeps the files in good order. It has a thread of
// its own, whose priority is low where the system allows it.
func (s *Store) tend() {
	runtime.LockOSThread() // never unlocked: the thread ends with its priority
	lowerPriority()
	ctx := s.life
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var days time.Time
	scrubbed := s.deps.Clock()
	begun := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := s.deps.Clock()
		look := now.Sub(days) >= lookForDays
		if look {
			days = now
		}
		err := s.compactDue(ctx, now, look)
		if err == nil && look {
			err = s.forget(now)
		}
		since := now.Sub(scrubbed)
		soon := since >= scrubSoon || !begun && s.suspect.Load()
		if err == nil && (since >= scrubEvery || soon && (!begun || s.suspect.Load())) {
			scrubbed, begun = now, true
			s.suspect.Store(false)
			err = s.scrub(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.log.Error("facts could not be tidied up; it will be tried again", "error", err)
			days = now
			select {
			case <-ctx.Done():
				return
			case <-time.After(retryAfter):
			}
		}
	}
}

// openDay is the first day that is not closed.
func (s *Store) openDay(now time.Time) int64 {
	return dayOf(now.Add(-s.cfg.CloseAfter).UnixMicro())
}

// compactDue merges recent files when there are many of them and, if look is
// set, when a day has been closed.
func (s *Store) compactDue(ctx context.Context, now time.Time, look bool) error {
	s.tidying.Lock()
	defer s.tidying.Unlock()
	if err := s.roomOnDisk(); errors.Is(err, facts.ErrFull) {
		return nil // what is there can stay as it is
	}
	open := s.openDay(now)
	var small, closing []*file
	s.mu.Lock()
	for _, f := range s.files {
		if f.Closed {
			continue
		}
		if f.Rows < bigRows {
			small = append(small, f)
		}
		if dayOf(f.From) < open {
			closing = append(closing, f)
		}
	}
	s.mu.Unlock()
	switch {
	case len(small) >= compactFiles:
		return s.compact(ctx, small, open)
	case look && len(closing) > 0 && s.worth(closing, open):
		return s.compact(ctx, closing, open)
	}
	return nil
}

// worth tells whether closing days pays: what came late to days that have a
// file already waits until there is more of it, or the next day.
func (s *Store) worth(closing []*file, open int64) bool {
	has := map[int64]bool{}
	s.mu.Lock()
	for _, f := range s.files {
		if f.Closed {
			has[dayOf(f.From)] = true
		}
	}
	s.mu.Unlock()
	for _, f := range closing {
		for day := dayOf(f.From); day < open && day <= dayOf(f.To); day++ {
			if !has[day] {
				return true
			}
		}
	}
	return len(closing) >= compactFiles/2
}

// Compact closes every day that is over and merges the rest. The background
// does the same in its own time.
func (s *Store) Compact(ctx context.Context) error {
	if err := s.Flush(ctx); err != nil {
		return err
	}
	s.tidying.Lock()
	defer s.tidying.Unlock()
	open := s.openDay(s.deps.Clock())
	s.mu.Lock()
	var recent []*file
	for _, f := range s.files {
		if !f.Closed {
			recent = append(recent, f)
		}
	}
	s.mu.Unlock()
	if len(recent) == 0 {
		return nil
	}
	return s.compact(ctx, recent, open)
}

// compact replaces recent files: rows of closed days go to the file of their
// day, those of open days to one recent file. All of it is one commit. The lock
// of tidying is held.
func (s *Store) compact(ctx context.Context, recent []*file, open int64) (err error) {
	began := s.deps.Clock()
	engine, err := openEngine(ctx, limits{
		memory: max(192<<20, s.cfg.Memory/4), tempBytes: s.cfg.TempBytes, threads: 1, temp: s.path(tempFolder + "/compact"),
	}, s.env)
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, engine) }()

	// What is damaged may be readable all the same: with a new checksum it would pass
	// for what was written.
	if err := s.whole(ctx, recent); err != nil {
		return err
	}
	counts, err := daysOf(ctx, engine, s.list(recent))
	if err != nil {
		return s.blame(ctx, err, recent)
	}
	closed := map[int64]*file{}
	s.mu.Lock()
	seq, promoted := s.manifest.Seq, s.layout.Promoted
	for _, f := range s.files {
		if f.Closed {
			closed[dayOf(f.From)] = f
		}
	}
	s.mu.Unlock()
	var made []entry
	var replaced []string
	defer func() {
		if err != nil {
			for _, e := range made {
				_ = os.Remove(s.path(e.Name)) // the next start removes what this cannot
			}
		}
	}()
	for _, f := range recent {
		replaced = append(replaced, f.Name)
	}
	rest := dayCount{}
	for i, c := range counts {
		if c.day >= open {
			rest.add(c)
			continue
		}
		inputs := slices.Clone(recent)
		rows := c.rows
		if f := closed[c.day]; f != nil {
			if err := s.whole(ctx, []*file{f}); err != nil {
				return err
			}
			inputs, rows = append(inputs, f), rows+f.Rows
			replaced = append(replaced, f.Name)
		}
		where := fmt.Sprintf("time >= make_timestamp(%d) AND time < make_timestamp(%d)", c.day*dayMicros, (c.day+1)*dayMicros)
		e := entry{Name: fileName(daysFolder, dayName(c.day), seq+1), Closed: true}
		e.span(c, inputs, closed[c.day])
		if err := s.sortInto(ctx, engine, &e, inputs, promoted, where, rows); err != nil {
			return s.blame(ctx, err, inputs)
		}
		made = append(made, e)
		s.deps.At(fmt.Sprintf("day %d of %d written", i+1, len(counts)))
	}
	if rest.rows > 0 {
		e := entry{Name: fileName(recentFolder, "merged", seq+1)}
		e.span(rest, recent, nil)
		where := fmt.Sprintf("time >= make_timestamp(%d)", open*dayMicros)
		if err := s.sortInto(ctx, engine, &e, recent, promoted, where, rest.rows); err != nil {
			return s.blame(ctx, err, recent)
		}
		made = append(made, e)
	}
	s.commits.Lock()
	defer s.commits.Unlock()
	err = s.commit(func(m *manifest) {
		m.Files = slices.DeleteFunc(m.Files, func(e entry) bool { return slices.Contains(replaced, e.Name) })
		m.Files = append(m.Files, made...)
		slices.SortStableFunc(m.Files, func(a, b entry) int { return rank(&a) - rank(&b) })
	}, func() {})
	if err == nil {
		s.log.Info("facts were compacted", "files", len(replaced), "into", len(made), "took", s.deps.Clock().Sub(began).Round(time.Millisecond))
	}
	return err
}

// rank orders closed days before recent files.
func rank(e *entry) int {
	if e.Closed {
		return 0
	}
	return 1
}

// dayCount is the rows of a day.
type dayCount struct {
	day, rows int64
	from, to  int64
}

func (d *dayCount) add(o dayCount) {
	if d.rows == 0 {
		*d = o
		return
	}
	d.rows, d.from, d.to = d.rows+o.rows, min(d.from, o.from), max(d.to, o.to)
}

// daysOf counts the rows of each day.
func daysOf(ctx context.Context, e *engine, list string) (_ []dayCount, err error) {
	rows, err := e.db.QueryContext(ctx, `SELECT epoch_us(time) // `+fmt.Sprint(dayMicros)+` - (epoch_us(time) < 0)::BIGINT AS day, count(*), epoch_us(min(time)), epoch_us(max(time))
		FROM read_parquet(`+list+`) GROUP BY day ORDER BY day`)
	if err != nil {
		return nil, err
	}
	defer func() { err = joinClose(err, rows) }()
	var out []dayCount
	for rows.Next() {
		var c dayCount
		if err := rows.Scan(&c.day, &c.rows, &c.from, &c.to); err != nil {
			return nil, err
		}
		c.day = dayOf(c.from)
		out = append(out, c)
	}
	return out, rows.Err()
}

// span gives the entry its times and offsets; old is the file that it replaces.
func (e *entry) span(c dayCount, inputs []*file, old *file) {
	e.From, e.To = c.from, c.to
	if old != nil {
		e.From, e.To = min(e.From, old.From), max(e.To, old.To)
	}
	for _, f := range inputs {
		if e.Low == nil {
			e.Low, e.High = slices.Clone(f.Low), slices.Clone(f.High)
			continue
		}
		for p := range e.Low {
			e.Low[p], e.High[p] = min(e.Low[p], f.Low[p]), max(e.High[p], f.High[p])
		}
	}
}

// sortInto writes rows of the inputs as one sorted file.
func (s *Store) sortInto(ctx context.Context, engine *engine, e *entry, inputs []*file, promoted []rows.Property, where string, count int64) error {
	group := min(max(count/32, leastGroup), mostGroup)
	partial := s.path(e.Name + partialEnd)
	var sources []func(rows.Property) (bool, bool)
	for _, f := range inputs {
		sources = append(sources, f.has)
	}
	e.setColumns(promoted, sources)
	statement := fmt.Sprintf(`COPY (SELECT * FROM (%s) WHERE %s ORDER BY event, usr, time, part, pos) TO %s
		(FORMAT parquet, PARQUET_VERSION v2, COMPRESSION zstd, ROW_GROUP_SIZE %d)`, s.merged(inputs, promoted), where, quote(partial), group)
	result, err := engine.db.ExecContext(ctx, statement)
	if err != nil {
		return fmt.Errorf("write %s: %w", e.Name, err)
	}
	if e.Rows, err = result.RowsAffected(); err != nil {
		return err
	}
	if e.Flagged, err = flaggedIn(ctx, engine.db, "["+quote(partial)+"]", "true"); err != nil {
		return err
	}
	if e.Bytes, e.CRC, err = seal(partial); err != nil {
		return fmt.Errorf("write %s: %w", e.Name, err)
	}
	if err := os.Rename(partial, s.path(e.Name)); err != nil {
		return err
	}
	folder, _, _ := strings.Cut(e.Name, "/")
	return syncFolder(s.path(folder))
}

// flaggedIn counts in files.
func flaggedIn(ctx context.Context, db interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, list, where string,
) (f rows.Flagged, err error) {
	err = db.QueryRowContext(ctx, `SELECT count(*) FILTER (bot AND NOT internal), count(*) FILTER (internal AND NOT bot), count(*) FILTER (bot AND internal)
		FROM read_parquet(`+list+`) WHERE (bot OR internal) AND NOT starts_with(event, 'heed.') AND `+where).Scan(&f.Bots, &f.Internal, &f.Both)
	return f, err
}

// list is SQL's list of files.
func (s *Store) list(files []*file) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, f := range files {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(quote(s.path(f.Name)))
	}
	return b.String() + "]"
}

// forget removes days that are older than is kept.
func (s *Store) forget(now time.Time) error {
	before := dayOf(now.Add(-s.cfg.Keep.Duration()).UnixMicro()) * dayMicros
	old := func(e entry) bool { return e.Closed && e.To < before }
	oldLost := func(l lost) bool { return l.To < before }
	s.mu.Lock()
	due := slices.ContainsFunc(s.manifest.Files, old) || slices.ContainsFunc(s.manifest.Lost, oldLost)
	s.mu.Unlock()
	if !due {
		return nil
	}
	s.commits.Lock()
	defer s.commits.Unlock()
	return s.commit(func(m *manifest) {
		m.Files, m.Lost = slices.DeleteFunc(m.Files, old), slices.DeleteFunc(m.Lost, oldLost)
	}, func() {})
}

// scrub looks whether every file is still what was written.
func (s *Store) scrub(ctx context.Context) error {
	v := s.acquire()
	defer s.release(v)
	_, err := s.verify(ctx, v.files)
	return err
}

// whole is errDamaged if one of the files is damaged, and sets it aside.
func (s *Store) whole(ctx context.Context, files []*file) error {
	damaged, err := s.verify(ctx, files)
	if err == nil && damaged > 0 {
		err = fmt.Errorf("%w: %d of %d are set aside", errDamaged, damaged, len(files))
	}
	return err
}

// verify sets aside those of the files that are damaged.
func (s *Store) verify(ctx context.Context, files []*file) (damaged int, err error) {
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return damaged, err
		}
		if f.gone {
			continue
		}
		if err := f.verify(s.cfg.Dir); errors.Is(err, errDamaged) {
			if err := s.setAside(f.entry, err); err != nil {
				return damaged, err
			}
			damaged++
		} else if err != nil {
			return damaged, err
		}
	}
	return damaged, nil
}

// blame looks, after an error, whether a damaged file was its cause.
func (s *Store) blame(ctx context.Context, cause error, files []*file) error {
	if ctx.Err() != nil {
		return cause
	}
	if _, err := s.verify(ctx, files); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}
