package duckdb

import (
	"errors"
	"os"

	"heed/internal/driver/duckdb/rows"
)

// version is what one query sees: the files and the hot rows of one moment.
type version struct {
	files   []*file
	layout  *rows.Layout // of the columns that its hot rows show
	fileGen uint64
	groups  []*group
	blocks  []blockRead
	from    int64 // times of all its events lie from here
	to      int64 // to here
	refs    int   // guarded by the store's lock
}

// pin takes the version of now; the store's lock is held.
func (s *Store) pin() *version {
	v := &version{files: s.files, fileGen: s.fileGen, layout: s.layout, from: s.oldest, to: s.newest, refs: 1}
	for _, f := range v.files {
		f.refs++
	}
	for _, g := range []*group{s.sealed, s.hot} {
		if g == nil || g.rows == 0 {
			continue
		}
		g.refs++
		v.groups = append(v.groups, g)
		for _, b := range g.blocks {
			v.blocks = append(v.blocks, blockRead{b, b.Rows})
		}
	}
	return v
}

// acquire pins the version of now.
func (s *Store) acquire() *version {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pin()
}

// release gives a version back. What nobody reads any more is removed.
func (s *Store) release(v *version) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.refs--; v.refs > 0 {
		return
	}
	var errs []error
	for _, f := range v.files {
		errs = append(errs, s.dropFile(f))
	}
	for _, g := range v.groups {
		errs = append(errs, s.dropGroup(g))
	}
	if err := errors.Join(errs...); err != nil {
		s.log.Warn("facts that are not needed any more are left behind", "error", err)
	}
}

// dropFile counts one reader less; the lock is held.
func (s *Store) dropFile(f *file) error {
	if f.refs--; f.refs > 0 || !f.gone {
		return nil
	}
	return os.Remove(s.path(f.Name))
}

// dropGroup counts one reader less; the lock is held.
func (s *Store) dropGroup(g *group) error {
	if g.refs--; g.refs > 0 {
		return nil
	}
	var errs []error
	for _, b := range g.blocks {
		errs = append(errs, b.Free())
	}
	g.blocks, g.rows = nil, 0 // Status may still be asked
	return errors.Join(errs...)
}

// layoutOf is environment.layout.
func (s *Store) layoutOf(argument int64) *rows.Layout {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.scans[argument]; v != nil {
		return v.layout
	}
	return nil
}

// pinHot is environment.hot: queries have the number of their place in the
// pool, others have one of their own.
func (s *Store) pinHot(argument int64) (blocks []blockRead, release func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.scans[argument]
	if v == nil {
		return nil, nil, false
	}
	v.refs++
	return v.blocks, func() { s.release(v) }, true
}
