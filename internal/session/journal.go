package session

import (
	"fmt"
	"strings"
)

// Names of a Journal's rows.
const (
	rowEverybody = "a" // those who were remembered at a time
	rowChanges   = "c" // with a number: who was active since, in order
)

const (
	version      = 1        // the first byte of a row (docs/format/state.md)
	changesBytes = 2 << 10  // from which on a row of changes is not written again
	minChanges   = 64 << 10 // of changes, until everybody is written
	maxChanges   = 3        // times the bytes of everybody
)

// Journal keeps what a Tracker remembers as named rows: who changed with each
// commit and, when that has come to much more, everybody.
type Journal struct {
	Tracker *Tracker

	changes []byte // the row in hand
	number  int    // of it
	name    string // of it, "" until it is written
	size    int    // bytes of changes since everybody was written
	all     int    // bytes of everybody then
}

// NewJournal makes a Journal of an empty Tracker.
func NewJournal(limit int) *Journal { return &Journal{Tracker: NewTracker(limit)} }

// Read takes the rows that are stored, in order of name; known is false if the
// name is of none.
func (j *Journal) Read(name string, row []byte) (known bool, err error) {
	changes := strings.HasPrefix(name, rowChanges)
	if name != rowEverybody && !changes {
		return false, nil
	}
	if len(row) == 0 || row[0] != version {
		return true, fmt.Errorf("%w: version", ErrFormat)
	}
	if changes {
		j.number++
		j.size += len(row)
	} else {
		j.all = len(row)
	}
	return true, j.Tracker.Read(row[1:])
}

// Rows visits the rows that the next commit is to write at a log time (µs); nil
// removes one. They hold until the call after it.
func (j *Journal) Rows(logTime int64, write func(name string, row []byte)) {
	if !j.Tracker.Changed() {
		return
	}
	if len(j.changes) >= changesBytes {
		j.next()
	}
	before := len(j.changes)
	if before == 0 {
		j.changes = append(j.changes, version)
	}
	j.changes = j.Tracker.AppendChanges(j.changes, logTime)
	j.size += len(j.changes) - before
	if j.size <= max(minChanges, maxChanges*j.all) {
		if j.name == "" {
			j.name = changesName(j.number)
		}
		write(j.name, j.changes)
		return
	}
	j.Tracker.Sweep(logTime)
	for i := range j.number + 1 {
		write(changesName(i), nil) // the last one may not be there
	}
	j.changes = j.Tracker.Append(append(j.changes[:0], version), logTime)
	write(rowEverybody, j.changes)
	j.all, j.size = len(j.changes), 0
	j.next()
	j.number = 0
}

// next begins a row of changes.
func (j *Journal) next() {
	j.changes, j.name = j.changes[:0], ""
	j.number++
}

func changesName(n int) string { return fmt.Sprintf("%s%08x", rowChanges, n) }
