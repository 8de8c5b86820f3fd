// Package duckdb owns the facts store on one machine: hot rows in memory, files
// of columns on the disk, and DuckDB, which computes over both. The layout is
// described in docs/format/facts.md, the reasons in docs/adr/0007.
//
// It does not own what a measure means (measure) nor the reading of the log
// (analytics).
package duckdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"heed/internal/driver/duckdb/rows"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/facts"
)

// Deps are what the store works with.
type Deps struct {
	Partitions int // of the log
	Logger     *slog.Logger
	Clock      func() time.Time
	// At is called at the named points between writes, for tests of crashes.
	At func(point string)
}

// Store is the facts store. See facts.Driver for who may call what.
type Store struct {
	cfg   Config
	deps  Deps
	log   *slog.Logger
	users *users
	env   *environment

	queries queryPool
	guard   guard
	writer  *engine         // flushes and compacts; made when first needed
	wake    chan struct{}   // there is something to write
	life    context.Context //nolint:containedctx // it ends with the store
	stop    context.CancelFunc
	stopped sync.WaitGroup
	tidying sync.Mutex // one compaction at a time; taken before commits
	commits sync.Mutex // one commit at a time; taken before mu

	suspect atomic.Bool // a query failed as if a file were damaged

	mu       sync.Mutex
	closed   bool
	room     chan struct{} // closed when there may be room for more hot rows
	manifest manifest      // what is committed
	files    []*file       // as in the manifest
	fileGen  uint64        // counts the changes of files
	next     []uint64
	oldest   int64 // no event is earlier than this
	newest   int64 // or later than this; µs
	hot      *group
	layout   *rows.Layout // of new blocks
	census   rows.Census
	sealed   *group // being written
	hotSince time.Time
	accept   *repair // what is being brought back
	failure  error   // of the last attempt to write
	event    event.Event
	merges   event.Merges
	scans    map[int64]*version // arguments of scans that are not by a query
	lastScan int64
}

// file is a file of facts with the number of those that read it.
type file struct {
	entry
	refs int
	gone bool // remove it when nobody reads it
}

// group is a run of hot rows that is written as one file.
type group struct {
	blocks []*rows.Block
	rows   int
	refs   int
	next   []uint64 // when it was sealed
	low    []uint64
	users  uint32
	merges []merge
}

var _ facts.Driver = (*Store)(nil)

// Open opens the folder or makes it. What is damaged beyond its copies is set
// aside, to be brought back by Repair. DuckDB itself starts with the first
// query or write.
func Open(cfg Config, deps Deps) (_ *Store, err error) {
	cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("facts: %w", err)
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	if deps.At == nil {
		deps.At = func(string) {}
	}
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, fmt.Errorf("facts: %w", err)
	}
	s := &Store{
		cfg: cfg, deps: deps, log: deps.Logger, users: newUsers(),
		wake: make(chan struct{}, 1), room: make(chan struct{}), scans: map[int64]*version{},
	}
	s.life, s.stop = context.WithCancel(context.Background())
	s.env = &environment{layout: s.layoutOf, users: s.users, hot: s.pinHot}
	s.guard.limit = cfg.Memory + guardSlack
	s.queries.open(s)
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("open facts in %s: %w", cfg.Dir, err)
	}
	s.hot = s.newGroup()
	s.stopped.Go(s.write)
	s.stopped.Go(s.tend)
	return s, nil
}

func (s *Store) path(name string) string { return filepath.Join(s.cfg.Dir, name) }

// load reads what the folder holds and removes what is left over.
func (s *Store) load() error {
	for _, dir := range []string{recentFolder, daysFolder, tempFolder} {
		if err := os.MkdirAll(s.path(dir), 0o700); err != nil {
			return err
		}
	}
	m, err := readManifest(s.cfg.Dir)
	if err == nil {
		err = s.users.load(m.Users, []string{s.path(usersFile), s.path(usersCopy)})
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		m = manifest{Format: formatVersion}
	case errors.Is(err, errDamaged):
		aside, moveErr := s.setFolderAside()
		if moveErr != nil {
			return errors.Join(err, moveErr)
		}
		s.log.Error("facts cannot be read; they are set aside and rebuilt from the log", "error", err, "aside", aside)
		s.users = newUsers()
		s.env.users = s.users
		m = manifest{Format: formatVersion}
	case err != nil:
		return err
	}
	for len(m.Next) < s.deps.Partitions {
		m.Next = append(m.Next, 0)
	}
	if len(m.Next) > s.deps.Partitions {
		return fmt.Errorf("they are of a log with %d partitions, not %d", len(m.Next), s.deps.Partitions)
	}
	s.manifest, s.next = m, slices.Clone(m.Next)
	s.layout = rows.NewLayout(m.Promoted)
	s.oldest, s.newest = math.MaxInt64, math.MinInt64
	known := map[string]bool{}
	for _, e := range m.Files {
		s.files = append(s.files, &file{entry: e, refs: 1})
		known[e.Name] = true
		s.oldest, s.newest = min(s.oldest, e.From), max(s.newest, e.To)
	}
	for _, dir := range []string{recentFolder, daysFolder, tempFolder} {
		list, err := os.ReadDir(s.path(dir))
		if err != nil {
			return err
		}
		for _, f := range list {
			if name := dir + "/" + f.Name(); !known[name] {
				if err := os.RemoveAll(s.path(name)); err != nil {
					return err
				}
			}
		}
	}
	for _, e := range m.Files {
		if info, err := os.Stat(s.path(e.Name)); err != nil || info.Size() != e.Bytes {
			if err := s.setAside(e, fmt.Errorf("%w: %s has not its %d bytes", errDamaged, e.Name, e.Bytes)); err != nil {
				return err
			}
		}
	}
	return nil
}

// setFolderAside moves everything away, so that a rebuild can begin.
func (s *Store) setFolderAside() (string, error) {
	aside := filepath.Join(asideFolder, s.deps.Clock().UTC().Format("20060102T150405.000000Z"))
	if err := os.MkdirAll(s.path(aside), 0o700); err != nil {
		return "", err
	}
	list, err := os.ReadDir(s.cfg.Dir)
	if err != nil {
		return "", err
	}
	for _, f := range list {
		if f.Name() == asideFolder {
			continue
		}
		if err := os.Rename(s.path(f.Name()), s.path(filepath.Join(aside, f.Name()))); err != nil {
			return "", err
		}
	}
	for _, dir := range []string{recentFolder, daysFolder, tempFolder} {
		if err := os.MkdirAll(s.path(dir), 0o700); err != nil {
			return "", err
		}
	}
	return aside, nil
}

func (s *Store) newGroup() *group {
	low := slices.Clone(s.next)
	return &group{refs: 1, low: low}
}

// Append takes in a record.
func (s *Store) Append(ctx context.Context, partition int, c eventlog.Chunk) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return facts.ErrClosed
	}
	if partition < 0 || partition >= len(s.next) {
		return fmt.Errorf("facts: partition %d of %d", partition, len(s.next))
	}
	d := event.NewDecoder(c.Data)
	for pos := c.Base; ; pos++ {
		raw, ok, err := d.Raw()
		if err != nil {
			return fmt.Errorf("facts: offset %d of partition %d: %w", pos, partition, err)
		}
		if !ok {
			s.next[partition] = max(s.next[partition], c.Next()) // it may have no events
			return nil
		}
		fresh := pos >= s.next[partition]
		if !fresh && !s.accept.wants(partition, pos) {
			continue
		}
		if err := s.waitForRoom(ctx); err != nil {
			return err
		}
		if err := s.take(raw, partition, pos, fresh); err != nil {
			return fmt.Errorf("facts: offset %d of partition %d: %w", pos, partition, err)
		}
	}
}

// waitForRoom waits until hot rows may be added; the lock is held before and
// after.
func (s *Store) waitForRoom(ctx context.Context) error {
	for !s.closed && s.hot.rows >= 2*s.cfg.FlushRows {
		s.poke()
		room := s.room
		s.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
		}
		s.mu.Lock()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if s.closed {
		return facts.ErrClosed
	}
	return nil
}

// take adds one event; the lock is held.
func (s *Store) take(raw []byte, partition int, pos uint64, fresh bool) error {
	e := &s.event
	if err := event.DecodeAvro(raw, e); err != nil {
		return err
	}
	switch {
	case e.Type == event.System:
		if fresh {
			if err := s.control(e); err != nil {
				return err
			}
		}
	case fresh || s.accept.lacks(partition, pos, e.Timestamp):
		if err := s.add(e, partition, pos); err != nil {
			return err
		}
	}
	if fresh {
		s.next[partition] = pos + 1
	}
	return nil
}

func (s *Store) add(e *event.Event, partition int, pos uint64) error {
	user, err := s.users.number(e.User())
	if err != nil {
		return err
	}
	anonymous := rows.None
	if e.UserID != "" && e.AnonymousID != "" && e.AnonymousID != e.UserID {
		if anonymous, err = s.users.number(e.AnonymousID); err != nil {
			return err
		}
	}
	g := s.hot
	if n := len(g.blocks); n == 0 || g.blocks[n-1].Full() {
		b, err := rows.NewBlock(s.layout)
		if err != nil {
			return err
		}
		g.blocks = append(g.blocks, b)
	}
	g.blocks[len(g.blocks)-1].Put(e, partition, pos, user, anonymous)
	s.census.Add(e.Properties)
	s.oldest, s.newest = min(s.oldest, e.Timestamp), max(s.newest, e.Timestamp)
	g.low[partition] = min(g.low[partition], pos)
	if g.rows++; g.rows == 1 {
		s.hotSince = s.deps.Clock()
	}
	if g.rows%s.cfg.FlushRows == 0 {
		s.poke()
	}
	return nil
}

// poke wakes up the writer.
func (s *Store) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Status tells how the store stands.
func (s *Store) Status() facts.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := facts.Status{
		Next: slices.Clone(s.next), Files: len(s.files), Users: int64(s.users.count.Load()), Err: s.failure,
		Bytes: 2 * s.users.bytes, Repair: s.accept.progress(),
	}
	oldest := int64(0)
	for _, f := range s.files {
		out.Rows += f.Rows
		out.Bytes += f.Bytes
		if oldest == 0 || f.From < oldest {
			oldest = f.From
		}
	}
	for _, g := range []*group{s.hot, s.sealed} {
		if g != nil {
			out.Hot += int64(g.rows)
		}
	}
	out.Rows += out.Hot
	if oldest == 0 && s.hot.rows > 0 {
		oldest = s.hot.blocks[0].Time(0)
	}
	if oldest != 0 {
		out.Oldest = time.UnixMicro(dayOf(oldest) * dayMicros).UTC()
	}
	for _, l := range s.manifest.Lost {
		out.Lost = append(out.Lost, facts.Lost{
			File: l.Name, From: time.UnixMicro(l.From).UTC(), To: time.UnixMicro(l.To).UTC(), Rows: l.Rows, Final: l.Final,
		})
	}
	return out
}

// Close stops what runs and closes the store.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.room)
	s.room = make(chan struct{})
	s.mu.Unlock()
	s.stop()
	s.stopped.Wait()
	errs := []error{s.queries.close()}
	if s.writer != nil {
		errs = append(errs, s.writer.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range []*group{s.hot, s.sealed} {
		if g != nil {
			errs = append(errs, s.dropGroup(g))
		}
	}
	return errors.Join(append(errs, s.users.free())...)
}

// fileName numbers a file: no name is used twice.
func fileName(folder, prefix string, seq uint64) string {
	return folder + "/" + strings.TrimPrefix(fmt.Sprintf("%s-%09d", prefix, seq), "-") + parquetEnd
}
