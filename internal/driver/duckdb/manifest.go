package duckdb

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"heed/internal/driver/duckdb/rows"
)

// formatVersion of the folder.
const formatVersion = 1

// Names in the folder.
const (
	manifestFile = "manifest.json"
	manifestCopy = "manifest.copy.json"
	usersFile    = "users.dict"
	usersCopy    = "users.copy.dict"
	recentFolder = "recent"
	daysFolder   = "days"
	tempFolder   = "temp"
	asideFolder  = "aside"
	partialEnd   = ".partial"
	parquetEnd   = ".parquet"
)

const dayMicros = int64(24 * time.Hour / time.Microsecond)

// dayOf is the number of the day (UTC) since 1970 of a time in µs.
func dayOf(micros int64) int64 {
	d := micros / dayMicros
	if micros%dayMicros < 0 {
		d--
	}
	return d
}

func dayName(day int64) string { return time.UnixMicro(day * dayMicros).UTC().Format(time.DateOnly) }

// manifest says what is in the folder: replacing it is what commits. Everything
// that it does not name is left over and removed.
type manifest struct {
	Format int      `json:"format"`
	Seq    uint64   `json:"seq"`  // counts the commits; numbers the files
	Next   []uint64 `json:"next"` // offset behind the last one that is in the files
	Users  int64    `json:"users"`
	// Promoted are the properties whose columns new rows have.
	Promoted []rows.Property `json:"promoted,omitempty"`
	Files    []entry         `json:"files"`
	Lost     []lost          `json:"lost,omitempty"`
}

// entry describes a file of facts.
type entry struct {
	Name   string `json:"name"` // within the folder
	Closed bool   `json:"closed,omitempty"`
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
	CRC    uint32 `json:"crc32c"`
	From   int64  `json:"from"` // first and last time, µs
	To     int64  `json:"to"`
	rows.Flagged
	Low  []uint64 `json:"low"`  // offsets: those of partition p are in
	High []uint64 `json:"high"` // [low[p], high[p])
	// Columns are those of properties.
	Columns []propertyColumn `json:"columns,omitempty"`
}

// lost is a file that was found damaged, until what it held is back.
type lost struct {
	entry
	Final bool `json:"final,omitempty"`
}

func (m *manifest) clone() manifest {
	c := *m
	c.Next, c.Files, c.Lost = slices.Clone(m.Next), slices.Clone(m.Files), slices.Clone(m.Lost)
	return c
}

// write makes the manifest the one in force.
func (m *manifest) write(dir string) error {
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return err
	}
	content := append(fmt.Appendf(nil, "%08x\n", crc32.Checksum(text, castagnoli)), text...)
	for _, name := range []string{manifestFile, manifestCopy} {
		if err := replaceFile(filepath.Join(dir, name), content); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// readManifest reads the newest whole copy. The error is fs.ErrNotExist if
// there is none, errDamaged if none is whole.
func readManifest(dir string) (m manifest, err error) {
	found := fs.ErrNotExist
	for _, name := range []string{manifestFile, manifestCopy} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return m, fmt.Errorf("read %s: %w", name, err)
		}
		var c manifest
		sum, text, ok := bytes.Cut(content, []byte("\n"))
		if !ok || string(sum) != fmt.Sprintf("%08x", crc32.Checksum(text, castagnoli)) || json.Unmarshal(text, &c) != nil {
			if found != nil {
				found = fmt.Errorf("%w: %s", errDamaged, name)
			}
			continue
		}
		if c.Format != formatVersion {
			return m, fmt.Errorf("%s has format %d; this version reads %d", name, c.Format, formatVersion)
		}
		if found = nil; c.Seq >= m.Seq {
			m = c
		}
	}
	return m, found
}

// replaceFile writes a file durably, as a whole.
func replaceFile(path string, content []byte) error {
	partial := path + partialEnd
	f, err := os.OpenFile(partial, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(partial, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// seal makes a file that was written durable and tells its size and checksum.
func seal(path string) (size int64, sum uint32, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Sync(); err != nil {
		return 0, 0, fmt.Errorf("sync %s: %w", path, err)
	}
	return checksum(f)
}

func checksum(r io.Reader) (size int64, sum uint32, err error) {
	h := crc32.New(castagnoli)
	size, err = io.Copy(h, r)
	return size, h.Sum32(), err
}

// verify tells whether a file is what was written.
func (e *entry) verify(dir string) error {
	f, err := os.Open(filepath.Join(dir, e.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is missing", errDamaged, e.Name)
	}
	if err != nil {
		return err
	}
	size, sum, err := checksum(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read %s: %w", e.Name, err)
	}
	if size != e.Bytes || sum != e.CRC {
		return fmt.Errorf("%w: %s has %d bytes with checksum %08x, not %d with %08x", errDamaged, e.Name, size, sum, e.Bytes, e.CRC)
	}
	return nil
}
