package duckdb

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"heed/internal/driver/duckdb/rows"
	"heed/internal/facts"
	"heed/internal/measure"
)

// Pace of what goes on in the background.
const (
	lookEvery  = 250 * time.Millisecond
	retryAfter = 2 * time.Second
)

// write is the goroutine that brings hot rows to the disk.
func (s *Store) write() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var retry time.Time
	for {
		select {
		case <-s.life.Done():
			return
		case <-s.wake:
		case <-tick.C:
		}
		now := s.deps.Clock()
		if now.Before(retry) || !s.due(now) {
			continue
		}
		if err := s.Flush(s.life); err != nil {
			retry = s.deps.Clock().Add(retryAfter)
			s.log.Error("facts could not be written; it will be tried again", "error", err)
		}
	}
}

func (s *Store) due(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sealed != nil || s.hot.rows >= s.cfg.FlushRows || s.hot.rows > 0 && now.Sub(s.hotSince) >= s.cfg.FlushEvery
}

// Flush writes the hot rows as a file and commits it.
func (s *Store) Flush(ctx context.Context) error {
	s.commits.Lock()
	defer s.commits.Unlock()
	s.mu.Lock()
	if s.sealed == nil {
		if s.hot.rows == 0 {
			s.mu.Unlock()
			return nil
		}
		g := s.hot
		g.next, g.users, g.merges = slices.Clone(s.next), s.users.count.Load(), slices.Clone(s.users.pending)
		s.users.pending = nil
		s.sealed, s.hot = g, s.newGroup()
		s.hotSince = s.deps.Clock()
	}
	g := s.sealed
	seq := s.manifest.Seq + 1
	s.mu.Unlock()

	err := s.writeGroup(ctx, g, seq)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = err
	return err
}

// roomOnDisk is facts.ErrFull when the disk's reserve is reached.
func (s *Store) roomOnDisk() error {
	if s.cfg.Reserve == 0 {
		return nil
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(s.cfg.Dir, &fs); err != nil {
		return fmt.Errorf("free space of %s: %w", s.cfg.Dir, err)
	}
	if int64(fs.Bavail)*fs.Bsize < s.cfg.Reserve {
		return facts.ErrFull
	}
	return nil
}

// writeGroup writes a sealed group as file number seq and commits it.
func (s *Store) writeGroup(ctx context.Context, g *group, seq uint64) error {
	if err := s.roomOnDisk(); err != nil {
		return err
	}
	block := s.users.block(g.users, g.merges)
	at := s.users.bytes
	for _, name := range []string{usersFile, usersCopy} {
		if err := writeAt(s.path(name), block, at); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	s.deps.At("users written")
	e := entry{Name: fileName(recentFolder, "", seq), Low: g.low, High: g.next}
	e.From, e.To = g.span()
	var sources []func(rows.Property) (bool, bool)
	for _, b := range g.blocks {
		sources = append(sources, b.Has)
		e.Add(b.Flagged(b.Rows, measure.Span{From: e.From, To: e.To + 1}))
	}
	s.mu.Lock()
	promoted := s.layout.Promoted
	next := s.census.Choose(promoted, s.held())
	s.mu.Unlock()
	e.setColumns(promoted, sources)
	scan, release := s.exposeGroup(g)
	defer release()
	query := fmt.Sprintf("SELECT * FROM %s(%d)", hotFunction, scan)
	if err := s.writeFile(ctx, &e, query, "COMPRESSION lz4_raw, ROW_GROUP_SIZE 20480"); err != nil {
		return err
	}
	return s.commit(func(m *manifest) {
		m.Files = append(m.Files, e)
		m.Next, m.Users, m.Promoted = g.next, at+int64(len(block)), next
	}, func() {
		if !slices.Equal(next, promoted) {
			s.layout = rows.NewLayout(next)
		}
		s.users.bytes, s.users.saved = at+int64(len(block)), g.users
		s.sealed = nil
		if err := s.dropGroup(g); err != nil {
			s.log.Warn("memory of facts could not be given back", "error", err)
		}
		close(s.room)
		s.room = make(chan struct{})
	})
}

// held are the properties that have a column now or in a file, as Census.Choose
// wants them; the lock is held.
func (s *Store) held() map[string]rows.Property {
	out := map[string]rows.Property{}
	for _, p := range properties(s.layout, s.files) {
		out[strings.ToLower(p.Key)] = p
	}
	return out
}

// span is the first and last time of a group's rows.
func (g *group) span() (from, to int64) {
	from, to = g.blocks[0].Time(0), g.blocks[0].Time(0)
	for _, b := range g.blocks {
		for row := range b.Rows {
			t := b.Time(row)
			from, to = min(from, t), max(to, t)
		}
	}
	return from, to
}

// exposeGroup lets a statement scan a sealed group.
func (s *Store) exposeGroup(g *group) (argument int64, release func()) {
	v := &version{groups: []*group{g}, refs: 1}
	s.mu.Lock()
	defer s.mu.Unlock()
	v.layout = s.layout
	g.refs++
	for _, b := range g.blocks {
		v.blocks = append(v.blocks, blockRead{b, b.Rows})
	}
	s.lastScan--
	argument = s.lastScan // those of queries are not negative
	s.scans[argument] = v
	return argument, func() {
		s.mu.Lock()
		delete(s.scans, argument)
		s.mu.Unlock()
		s.release(v)
	}
}

// writeFile writes the rows of a query as a durable Parquet file.
func (s *Store) writeFile(ctx context.Context, e *entry, query, options string) error {
	conn, err := s.writerConn(ctx)
	if err != nil {
		return err
	}
	partial := s.path(e.Name + partialEnd)
	statement := fmt.Sprintf("COPY (%s) TO %s (FORMAT parquet, PARQUET_VERSION v2, %s)", query, quote(partial), options)
	result, err := conn.ExecContext(ctx, statement)
	if err == nil {
		e.Rows, err = result.RowsAffected()
	}
	if err = joinClose(err, conn); err != nil {
		return fmt.Errorf("write %s: %w", e.Name, err)
	}
	s.deps.At("file written")
	if e.Bytes, e.CRC, err = seal(partial); err != nil {
		return fmt.Errorf("write %s: %w", e.Name, err)
	}
	if err := os.Rename(partial, s.path(e.Name)); err != nil {
		return err
	}
	folder, _, _ := strings.Cut(e.Name, "/")
	return syncFolder(s.path(folder))
}

// writerConn is a connection to the engine that writes.
func (s *Store) writerConn(ctx context.Context) (*sql.Conn, error) {
	if s.writer == nil {
		w, err := openEngine(ctx, limits{
			memory: max(128<<20, s.cfg.Memory/8), tempBytes: s.cfg.TempBytes, threads: 1, temp: s.path(tempFolder + "/write"),
		}, s.env)
		if err != nil {
			return nil, err
		}
		s.writer = w
	}
	return s.writer.db.Conn(ctx)
}

// commit puts a changed manifest in force: on the disk, then, by applied, for
// queries. The lock of commits is held.
func (s *Store) commit(change func(*manifest), applied func()) error {
	s.deps.At("before commit")
	s.mu.Lock()
	m := s.manifest.clone()
	s.mu.Unlock()
	change(&m)
	m.Seq++
	if err := m.write(s.cfg.Dir); err != nil {
		return err
	}
	s.deps.At("after commit")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manifest = m
	kept := map[string]*file{}
	for _, f := range s.files {
		kept[f.Name] = f
	}
	files := make([]*file, len(m.Files))
	for i, e := range m.Files {
		if f := kept[e.Name]; f != nil {
			files[i] = f
			delete(kept, e.Name)
		} else {
			files[i] = &file{entry: e, refs: 1}
		}
	}
	s.files = files
	s.fileGen++
	for _, f := range kept {
		f.gone = true
		if err := s.dropFile(f); err != nil {
			s.log.Warn("a file of facts is left behind", "file", f.Name, "error", err)
		}
	}
	applied()
	return nil
}

// writeAt writes durably behind what a file has.
func writeAt(path string, block []byte, at int64) error {
	if len(block) == 0 {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(block, at)
	if err == nil {
		err = f.Sync()
	}
	return joinClose(err, f)
}
