package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	crdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

// DefaultPartitions is the number of partitions of a new installation.
const DefaultPartitions = 8

// maxPartitions fit in a key's byte.
const maxPartitions = 256

// Config is what an operator may set.
type Config struct {
	// Dir is the folder of the database.
	Dir string `yaml:"-"`
	// Partitions is fixed when the installation is created; 0 takes what is
	// there, or DefaultPartitions.
	Partitions int `yaml:"partitions"`
	// Memory bounds caches and write buffers, in bytes.
	Memory int64 `yaml:"memory"`
	// Reserve is the free disk space, in bytes, below which appends are refused.
	Reserve int64 `yaml:"reserve"`
	// DedupIDs is how many event ids are remembered at most; DedupHorizon for
	// how long at most.
	DedupIDs     int           `yaml:"dedup_ids"`
	DedupHorizon time.Duration `yaml:"dedup_horizon"`
}

// Defaults fills what is not set.
func (c *Config) Defaults() {
	if c.Memory == 0 {
		c.Memory = 128 << 20
	}
	if c.Reserve == 0 {
		c.Reserve = 512 << 20
	}
	if c.DedupIDs == 0 {
		c.DedupIDs = 10_000_000
	}
	if c.DedupHorizon == 0 {
		c.DedupHorizon = 7 * 24 * time.Hour
	}
}

// Validate tells what is wrong.
func (c *Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("dir: is empty")
	case c.Partitions < 0 || c.Partitions > maxPartitions:
		return fmt.Errorf("partitions: %d is not within 1 and %d", c.Partitions, maxPartitions)
	case c.Memory < 8<<20:
		return fmt.Errorf("memory: %d bytes, at least 8 MiB are needed", c.Memory)
	case c.Reserve < 0:
		return fmt.Errorf("reserve: %d is negative", c.Reserve)
	case c.DedupIDs < 1000:
		return fmt.Errorf("dedup_ids: %d, at least 1,000 are needed", c.DedupIDs)
	case c.DedupHorizon < time.Minute:
		return fmt.Errorf("dedup_horizon: %s, at least a minute is needed", c.DedupHorizon)
	}
	return nil
}

// Deps are what a DB needs from its surroundings. Nil fields get a default.
type Deps struct {
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Clock      func() time.Time
	FS         vfs.FS
	// Free tells the free disk space in bytes.
	Free func() (uint64, error)
	// Fatal is called once when the database can no longer be trusted: a write
	// or fsync failed. The process must exit; a restart recovers what was
	// acknowledged.
	Fatal func(error)
}

// writeBuffers is how many there are at most.
const writeBuffers = 3

// memTableSize is the largest write buffer for a memory budget.
func memTableSize(memory int64) int64 { return min(max(memory/4, 2<<20), 64<<20) }

// cacheSize is a quarter of the budget, and what the write buffers take: the
// engine counts those against the cache, which would shrink to nothing.
func cacheSize(memory int64) int64 { return memory/4 + writeBuffers*memTableSize(memory) }

// options tunes the engine. Records are large and written once in order of
// offset, rows are small and overwritten: big files in L0 keep the former from
// being rewritten, filters keep reads of absent users cheap.
func options(cfg Config, deps Deps, logger crdb.Logger) *crdb.Options {
	o := &crdb.Options{
		FS:                          deps.FS,
		Logger:                      logger,
		FormatMajorVersion:          crdb.FormatNewest,
		CacheSize:                   cacheSize(cfg.Memory),
		MemTableSize:                uint64(memTableSize(cfg.Memory)),
		MemTableStopWritesThreshold: writeBuffers,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       32,
		LBaseMaxBytes:               256 << 20,
		MaxOpenFiles:                1000,
		BytesPerSync:                1 << 20,
		WALBytesPerSync:             0, // every append syncs anyway
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
	}
	o.TargetFileSizes[0] = 64 << 20
	o.Experimental.ValueSeparationPolicy = separation
	o.Experimental.SpanPolicyFunc = spans
	for i := range o.Levels {
		o.Levels[i] = crdb.LevelOptions{
			BlockSize:    8 << 10,
			FilterPolicy: bloom.FilterPolicy(10),
			FilterType:   crdb.TableFilter,
			Compression:  func() *sstable.CompressionProfile { return sstable.SnappyCompression },
		}
	}
	// What a flush writes is mostly records, once and for good. Compressing them
	// doubles the CPU time of an append (docs/format/pebble.md has figures).
	o.Levels[0].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	return o
}

// separation keeps the data of records out of the tables: it is written once by
// a flush and not again by compactions. It is removed with the records, so
// nothing is gained by rewriting files that hold some garbage.
func separation() crdb.ValueSeparationPolicy {
	return crdb.ValueSeparationPolicy{
		Enabled: true, MinimumSize: 1 << 10, MaxBlobReferenceDepth: 200, TargetGarbageRatio: 1,
	}
}

// spans says that only records are separated: everything else is small, or
// overwritten, or read at random.
func spans(start []byte) (crdb.SpanPolicy, []byte, error) {
	inline := crdb.SpanPolicy{ValueStoragePolicy: crdb.ValueStorageLowReadLatency}
	switch {
	case len(start) == 0 || start[0] < keyRecord:
		return inline, []byte{keyRecord}, nil
	case start[0] == keyRecord:
		return crdb.SpanPolicy{DisableValueSeparationBySuffix: true}, []byte{keyRecord + 1}, nil
	}
	return inline, nil, nil
}

// engineLogger passes the engine's words on: what it says in passing at debug
// level, and what it cannot survive to fail.
type engineLogger struct {
	slog *slog.Logger
	fail func(error)
}

func (l engineLogger) Infof(format string, args ...any) {
	l.slog.Debug("storage engine", "said", fmt.Sprintf(format, args...))
}

func (l engineLogger) Errorf(format string, args ...any) {
	l.slog.Error("storage engine", "said", fmt.Sprintf(format, args...))
}

// Fatalf must not return to the engine.
func (l engineLogger) Fatalf(format string, args ...any) {
	err := error(fatalError{fmt.Sprintf(format, args...), nil})
	for _, a := range args {
		if cause, ok := a.(error); ok {
			err = fatalError{fmt.Sprintf(format, args...), cause}
		}
	}
	l.fail(err)
	panic(err)
}

// fatalError is what the engine cannot survive, in its words.
type fatalError struct {
	said  string
	cause error
}

func (e fatalError) Error() string { return e.said }
func (e fatalError) Unwrap() error { return e.cause }
