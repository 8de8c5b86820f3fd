package avrofiles

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Names in the folder.
const (
	suffix     = ".avro"
	partialEnd = ".avro.partial"
	posName    = "position.json"
	nextName   = "position.next.json"
)

// position says what the finished files hold.
type position struct {
	// Next is the offset behind the last event, by partition.
	Next []uint64 `json:"next"`
	// File is the newest finished file; Seq is its number.
	File string `json:"file"`
	Seq  int64  `json:"seq"`
}

// folder changes the files and the position as one: position.next.json says
// which file is about to be finished; the rename of that file is the moment
// that counts; then position.next.json becomes position.json. A crash in
// between is settled by looking whether the file has its final name.
type folder struct{ dir string }

func (f *folder) path(name string) string { return filepath.Join(f.dir, name) }

// recover settles what a crash has left, and removes unfinished files.
func (f *folder) recover(partitions int) (position, error) {
	var next position
	err := readJSON(f.path(nextName), &next)
	switch {
	case err == nil && f.exists(next.File):
		if err := f.rename(nextName, posName); err != nil {
			return position{}, err
		}
	case err == nil || !errors.Is(err, fs.ErrNotExist): // not finished, or half written
		if err := os.Remove(f.path(nextName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return position{}, fmt.Errorf("recover the Avro files: %w", err)
		}
	}
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return position{}, fmt.Errorf("recover the Avro files: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), partialEnd) {
			if err := os.Remove(f.path(e.Name())); err != nil {
				return position{}, fmt.Errorf("recover the Avro files: %w", err)
			}
		}
	}
	var pos position
	if err := readJSON(f.path(posName), &pos); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return position{}, fmt.Errorf("the position of the Avro files cannot be read; remove %s to write everything again: %w", f.path(posName), err)
	}
	if pos.Next == nil {
		pos.Next = make([]uint64, partitions)
	}
	if len(pos.Next) != partitions {
		return position{}, fmt.Errorf("%s is of a log with %d partitions, not %d", f.path(posName), len(pos.Next), partitions)
	}
	return pos, nil
}

func (f *folder) exists(name string) bool {
	if name == "" {
		return false
	}
	_, err := os.Stat(f.path(name))
	return err == nil
}

// finish gives the partial file its name, together with the position. The
// file's bytes are durable already.
func (f *folder) finish(name string, pos position) error {
	b, err := json.Marshal(pos)
	if err != nil {
		return fmt.Errorf("finish %s: %w", name, err)
	}
	if err := writeDurable(f.path(nextName), b); err != nil {
		return fmt.Errorf("finish %s: %w", name, err)
	}
	if err := f.rename(strings.TrimSuffix(name, suffix)+partialEnd, name); err != nil {
		return err
	}
	return f.rename(nextName, posName)
}

// advance writes a position that no file belongs to (only ticks and the like were read).
func (f *folder) advance(pos position) error {
	b, err := json.Marshal(pos)
	if err != nil {
		return fmt.Errorf("write the position: %w", err)
	}
	tmp := f.path(posName + ".tmp")
	if err := writeDurable(tmp, b); err != nil {
		return fmt.Errorf("write the position: %w", err)
	}
	return f.rename(posName+".tmp", posName)
}

func (f *folder) rename(from, to string) error {
	if err := os.Rename(f.path(from), f.path(to)); err != nil {
		return fmt.Errorf("rename to %s: %w", to, err)
	}
	d, err := os.Open(f.dir)
	if err != nil {
		return fmt.Errorf("rename to %s: %w", to, err)
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}

// retain removes the oldest finished files beyond the limits; the newest stays.
func (f *folder) retain(now time.Time, days int, bytes int64) (removed int, err error) {
	if days == 0 && bytes == 0 {
		return 0, nil
	}
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return 0, fmt.Errorf("look through the Avro files: %w", err)
	}
	type file struct {
		name string
		size int64
		at   time.Time
	}
	var files []file
	var total int64
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		files = append(files, file{e.Name(), info.Size(), info.ModTime()})
		total += info.Size()
	}
	slices.SortFunc(files, func(a, b file) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.name, b.name)) })
	for _, old := range files[:max(0, len(files)-1)] {
		aged := days > 0 && now.Sub(old.at) > time.Duration(days)*24*time.Hour
		if !aged && (bytes == 0 || total <= bytes) {
			break
		}
		if err := os.Remove(f.path(old.name)); err != nil {
			return removed, fmt.Errorf("remove an old Avro file: %w", err)
		}
		total -= old.size
		removed++
	}
	return removed, nil
}

func readJSON(name string, v any) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

func writeDurable(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
