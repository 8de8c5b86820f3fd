package pebble

import (
	"fmt"
	"sync/atomic"
	"time"

	"heed/internal/eventlog"
)

const (
	// diskInterval is how often free space is looked at, at least.
	diskInterval = time.Second
	// diskBytes is after how many appended bytes it is looked at, at the latest.
	diskBytes = 32 << 20
)

// disk keeps a reserve of free space: below it appends are refused while the
// pipeline drains, and it opens again by itself.
type disk struct {
	db       *DB
	free     atomic.Uint64
	full     atomic.Bool // below the reserve
	empty    atomic.Bool // below a quarter of it, or the disk said so
	appended atomic.Int64
	look     chan struct{}
}

func newDisk(db *DB) *disk { return &disk{db: db, look: make(chan struct{}, 1)} }

// admit tells whether an append may begin.
func (d *disk) admit(size int, own bool) error {
	if d.full.Load() && (!own || d.empty.Load()) {
		return fmt.Errorf("%w: %d bytes are free, %d are kept", eventlog.ErrDiskFull, d.free.Load(), d.db.cfg.Reserve)
	}
	if d.appended.Add(int64(size)) > diskBytes {
		d.appended.Store(0)
		d.poke()
	}
	return nil
}

func (d *disk) poke() {
	select {
	case d.look <- struct{}{}:
	default:
	}
}

// exhausted is called by the file system when a write found no space; the write
// is then tried once more.
func (d *disk) exhausted() {
	d.full.Store(true)
	d.empty.Store(true)
	d.poke()
}

// loop looks at the free space until the database closes.
func (d *disk) loop() {
	tick := time.NewTicker(diskInterval)
	defer tick.Stop()
	for {
		select {
		case <-d.db.stop:
			return
		case <-tick.C:
		case <-d.look:
		}
		d.check()
	}
}

// check looks at the free space. It opens again only a quarter above the
// reserve, so that it does not flap.
func (d *disk) check() {
	free, err := d.measure()
	if err != nil {
		d.db.deps.Logger.Warn("free disk space is unknown", "error", err)
		return
	}
	d.free.Store(free)
	reserve := uint64(d.db.cfg.Reserve)
	switch {
	case free < reserve:
		if !d.full.Swap(true) {
			d.db.deps.Logger.Error("disk reserve reached: new events are refused until space is free", "free", free, "reserve", reserve)
		}
	case free >= reserve+reserve/4:
		if d.full.Swap(false) {
			d.db.deps.Logger.Info("disk space is free again: new events are accepted", "free", free, "reserve", reserve)
		}
	}
	d.empty.Store(free < reserve/4)
}

func (d *disk) measure() (uint64, error) {
	if d.db.deps.Free != nil {
		return d.db.deps.Free()
	}
	usage, err := d.db.deps.FS.GetDiskUsage(d.db.cfg.Dir)
	if err != nil {
		return 0, fmt.Errorf("disk usage of %s: %w", d.db.cfg.Dir, err)
	}
	if usage.TotalBytes == 0 { // a file system in memory
		return ^uint64(0), nil
	}
	return usage.AvailBytes, nil
}
