// Package pebble is the driver for one machine: the contracts of eventlog,
// userstate, inbox and documents on one Pebble database, whose single
// write-ahead log orders everything that they write. It owns the key space and
// the format of what is stored (docs/format/pebble.md), the sequencer and dedup.
//
// It does not own what the bytes of events, rows and documents mean.
package pebble

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	crdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"heed/internal/documents"
	"heed/internal/eventlog"
	"heed/internal/inbox"
	"heed/internal/userstate"
)

// formatVersion is the version of the key space and of what is stored.
const formatVersion = 1

// syncInterval bounds how long a write that nobody waits for stays unsynced.
const syncInterval = 200 * time.Millisecond

// ErrLocked: another process has the database open.
var ErrLocked = errors.New("pebble: database is in use by another process")

// DB is one open database. All methods may be called concurrently.
type DB struct {
	cfg    Config
	deps   Deps
	hooks  hooks
	engine *crdb.DB
	lock   *crdb.Lock
	made   installation

	log     *log
	state   *stateStore
	inbox   *inboxStore
	docs    *documentStore
	disk    *disk
	metrics *metrics
	mark    mark // syncLoop's

	// life is held for reading while the engine is used, so that Close waits.
	life   sync.RWMutex
	closed bool

	failure  atomic.Pointer[error] // why nothing works any more
	failed   chan struct{}         // closed then
	unsynced atomic.Bool           // something was written that nobody waited for

	stop       chan struct{}
	background sync.WaitGroup
}

// hooks break the driver on purpose: its crash tests must notice.
type hooks struct {
	splitCommit bool // state and offset in two writes
	skipSync    bool // acknowledge before the sync
	bucketIDs   int  // not broken, but small: dedup buckets are sealed often
}

// installation is written when the database is created.
type installation struct {
	Format     int       `json:"format"`
	Partitions int       `json:"partitions"`
	Seed       [4]uint64 `json:"seed"` // of the dedup hash, so that ids cannot be chosen to collide
	Created    int64     `json:"created"`
}

// Open opens the database in cfg.Dir, or creates it.
func Open(cfg Config, deps Deps) (*DB, error) { return open(cfg, deps, hooks{}) }

func open(cfg Config, deps Deps, h hooks) (*DB, error) {
	cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("pebble: %w", err)
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	if deps.FS == nil {
		deps.FS = vfs.Default
	}
	db := &DB{
		cfg: cfg, deps: deps, hooks: h,
		failed: make(chan struct{}), stop: make(chan struct{}),
	}
	if err := db.open(); err != nil {
		return nil, fmt.Errorf("pebble: open %s: %w", cfg.Dir, errors.Join(err, db.abandon()))
	}
	return db, nil
}

func (db *DB) open() error {
	db.disk = newDisk(db)
	fs := vfs.OnDiskFull(db.deps.FS, db.disk.exhausted)
	if err := fs.MkdirAll(db.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("make the folder: %w", err)
	}
	var err error
	if db.lock, err = crdb.LockDirectory(db.cfg.Dir, fs); err != nil {
		db.lock = nil
		return fmt.Errorf("%w (%w)", ErrLocked, err)
	}
	deps := db.deps
	deps.FS = fs
	o := options(db.cfg, deps, engineLogger{db.deps.Logger, db.fail})
	o.Lock = db.lock
	cache := crdb.NewCache(o.CacheSize)
	defer cache.Unref()
	o.Cache = cache
	compactions := newCompactions()
	o.Experimental.CompactionScheduler = compactions
	db.metrics = newMetrics()
	if db.engine, err = openEngine(db.cfg.Dir, o); err != nil {
		return err
	}
	if err := db.install(); err != nil {
		return err
	}
	if db.log, err = openLog(db); err != nil {
		return err
	}
	if err := db.openMark(fs); err != nil {
		return err
	}
	if db.state, err = openState(db); err != nil {
		return err
	}
	if db.inbox, err = openInbox(db); err != nil {
		return err
	}
	db.docs = &documentStore{db: db, stripes: newStripes()}
	if err := db.metrics.register(db); err != nil {
		return err
	}
	db.disk.check()
	compactions.begin()
	db.background.Go(db.syncLoop)
	db.background.Go(db.disk.loop)
	db.background.Go(db.log.sequence)
	return nil
}

// openEngine turns the engine's panic on a fatal error into an error.
func openEngine(dir string, o *crdb.Options) (engine *crdb.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			engine, err = nil, fmt.Errorf("engine: %v", r)
		}
	}()
	return crdb.Open(dir, o)
}

// install reads or writes the installation record.
func (db *DB) install() error {
	value, err := db.get([]byte{keyInstallation})
	if err != nil {
		return fmt.Errorf("read the installation record: %w", err)
	}
	if value == nil {
		db.made = installation{
			Format: formatVersion, Partitions: db.cfg.Partitions,
			Seed:    [4]uint64{rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64()},
			Created: db.deps.Clock().UnixMicro(),
		}
		if db.made.Partitions == 0 {
			db.made.Partitions = DefaultPartitions
		}
		if value, err = json.Marshal(db.made); err != nil {
			return fmt.Errorf("installation record: %w", err)
		}
		return db.write(func(b *crdb.Batch) error { return b.Set([]byte{keyInstallation}, value, nil) }, true)
	}
	if err := json.Unmarshal(value, &db.made); err != nil {
		return fmt.Errorf("installation record %.100q: %w", value, err)
	}
	if db.made.Format != formatVersion {
		return fmt.Errorf("the database has format %d, this version of heed reads %d: use the version that wrote it, or export there and import here",
			db.made.Format, formatVersion)
	}
	if db.made.Partitions < 1 || db.made.Partitions > maxPartitions {
		return fmt.Errorf("installation record says %d partitions", db.made.Partitions)
	}
	if db.cfg.Partitions != 0 && db.cfg.Partitions != db.made.Partitions {
		return fmt.Errorf("the database was created with %d partitions, the configuration says %d: the number is fixed at creation; set partitions to %d (or leave it out), or start a new data folder and import into it",
			db.made.Partitions, db.cfg.Partitions, db.made.Partitions)
	}
	return nil
}

// Log is the stream store.
func (db *DB) Log() eventlog.Log { return db.log }

// UserState is the store of the Decider's state.
func (db *DB) UserState() userstate.Store { return db.state }

// Inbox is the store of waiting messages.
func (db *DB) Inbox() inbox.Inbox { return db.inbox }

// Documents is the document store.
func (db *DB) Documents() documents.Store { return db.docs }

// Err tells why the database no longer works, nil if it does.
func (db *DB) Err() error {
	if p := db.failure.Load(); p != nil {
		return *p
	}
	return nil
}

// Close finishes what was begun and closes the database. After a fatal error it
// leaves the engine as it is and returns that error.
func (db *DB) Close() error {
	db.life.Lock()
	if db.closed {
		db.life.Unlock()
		return nil
	}
	db.closed = true
	db.life.Unlock()
	_ = db.state.Close()
	_ = db.docs.Close()
	_ = db.log.Close()
	close(db.stop)
	db.background.Wait()
	db.metrics.unregister(db)
	if err := db.Err(); err != nil {
		return errors.Join(err, db.closeMark(), db.lock.Close())
	}
	// Nobody enters any more; wait for who is within.
	db.life.Lock()
	defer db.life.Unlock()
	return db.abandon()
}

// abandon closes what is open.
func (db *DB) abandon() error {
	if db.log != nil {
		db.log.dedup.close()
	}
	errs := []error{db.closeMark()}
	if db.engine != nil {
		errs = append(errs, db.engine.Close())
		db.engine = nil
	}
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
		db.lock = nil
	}
	return errors.Join(errs...)
}

// fail notes the first fatal error and tells the application.
func (db *DB) fail(err error) {
	err = fmt.Errorf("storage failed, nothing is acknowledged any more: %w", err)
	if !db.failure.CompareAndSwap(nil, &err) {
		return
	}
	close(db.failed)
	db.deps.Logger.Error("storage failed; exiting is the only safe thing to do", "error", err)
	if db.deps.Fatal != nil {
		db.deps.Fatal(err)
	}
}

// errClosed is what enter returns; each contract has its own word for it.
var errClosed = errors.New("closed")

// enter must be called before the engine is used, and leave afterwards.
func (db *DB) enter() error {
	db.life.RLock()
	if db.closed {
		db.life.RUnlock()
		return errClosed
	}
	return nil
}

func (db *DB) leave() { db.life.RUnlock() }

// commit applies a batch; with sync it returns when it survives power loss.
// After an error nothing works any more: fsync is not tried again.
func (db *DB) commit(b *crdb.Batch, sync bool) (err error) {
	if err := db.Err(); err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil {
			db.fail(fmt.Errorf("commit: %v", r))
			err = db.Err()
		}
	}()
	if sync && !db.hooks.skipSync {
		err = db.engine.Apply(b, crdb.Sync)
	} else {
		err = db.engine.Apply(b, crdb.NoSync)
		db.unsynced.Store(true)
	}
	if err != nil {
		db.fail(fmt.Errorf("commit: %w", err))
	}
	return db.Err()
}

// barrier returns when everything that was committed survives power loss.
func (db *DB) barrier() (err error) {
	if err := db.Err(); err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil {
			db.fail(fmt.Errorf("sync: %v", r))
			err = db.Err()
		}
	}()
	if db.hooks.skipSync {
		return nil
	}
	if err := db.engine.LogData(nil, crdb.Sync); err != nil {
		db.fail(fmt.Errorf("sync: %w", err))
	}
	return db.Err()
}

// write commits what fill puts into a batch.
func (db *DB) write(fill func(*crdb.Batch) error, sync bool) error {
	b := db.engine.NewBatch()
	defer func() { _ = b.Close() }()
	if err := fill(b); err != nil {
		return err
	}
	return db.commit(b, sync)
}

// get reads a value, nil if there is none.
func (db *DB) get(key []byte) ([]byte, error) {
	value, closer, err := db.engine.Get(key)
	if errors.Is(err, crdb.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	out := append(make([]byte, 0, len(value)), value...)
	return out, closer.Close()
}

// iterate walks [lower, upper) until visit says stop.
func (db *DB) iterate(ctx context.Context, lower, upper []byte, visit func(key, value []byte) (more bool, err error)) (err error) {
	it, err := db.engine.NewIterWithContext(ctx, &crdb.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	defer func() { err = errors.Join(err, closeIterator(it)) }()
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		more, err := visit(it.Key(), value)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

// closeIterator returns what went wrong while iterating, too.
func closeIterator(it io.Closer) error {
	if err := it.Close(); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	return nil
}

// syncLoop syncs what nobody waits for.
func (db *DB) syncLoop() {
	tick := time.NewTicker(syncInterval)
	defer tick.Stop()
	for {
		select {
		case <-db.stop:
			return
		case <-db.failed:
			return
		case <-tick.C:
			if db.unsynced.Swap(false) && db.barrier() != nil {
				return
			}
			db.writeMark()
		}
	}
}
