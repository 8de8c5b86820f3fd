// Package memory is the driver that keeps everything in memory: for tests, and
// with its hostile modes switched on for showing that what is built on the
// contracts does not lean on the habits of the embedded engine. It implements
// the contracts of eventlog, userstate, inbox and documents.
//
// It is not a mode to run Heed in: nothing survives the process.
package memory

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"heed/internal/documents"
	"heed/internal/eventlog"
	"heed/internal/inbox"
	"heed/internal/userstate"
)

// Config is how a DB is made.
type Config struct {
	Partitions int              // 0: 8
	Clock      func() time.Time // nil: time.Now
	Seed       uint64           // of the hostile modes
	Repeats    bool             // many processes write: repeats stay in the log, with the keys of all events
	Spacing    uint64           // how many offsets a record takes, as eventlog.Spaced says; 0: as many as it has events
}

// Hostile says which habits of the embedded engine a DB must not have. Each
// number is a probability; the zero Hostile is benign.
type Hostile struct {
	// Gap leaves unused offsets in front of a record.
	Gap float64
	// Redeliver makes a reader go back and show records again.
	Redeliver float64
	// Reassign takes the partition away at a commit, which gets ErrFenced and
	// applies nothing.
	Reassign float64
	// LostAck makes an append that was written fail with ErrUnavailable.
	LostAck float64
	// LostSettlement drops a settlement, which is only a hint.
	LostSettlement float64
	// SpuriousWake wakes subscribers and watchers for nothing.
	SpuriousWake float64
}

// AllHostile is every mode at a rate that a test meets often and survives.
func AllHostile() Hostile {
	return Hostile{Gap: 0.2, Redeliver: 0.1, Reassign: 0.02, LostAck: 0.02, SpuriousWake: 0.2}
}

// DB holds the four stores. All methods may be called concurrently.
type DB struct {
	cfg     Config
	data    *data
	log     *log
	state   *stateStore
	inbox   *inboxStore
	docs    *documentStore
	hostile atomic.Pointer[Hostile]

	randMu sync.Mutex
	rand   *rand.Rand
}

// data is what survives a Reopen.
type data struct {
	events, intents []*partition
	dedupMu         sync.Mutex
	dedup           map[eventlog.Key]struct{}
	states          []*statePartition
	inbox           inboxData
	docs            documentData
}

// Open makes an empty DB.
func Open(cfg Config) *DB {
	if cfg.Partitions == 0 {
		cfg.Partitions = 8
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	d := &data{dedup: make(map[eventlog.Key]struct{})}
	for range cfg.Partitions {
		d.events = append(d.events, newPartition())
		d.intents = append(d.intents, newPartition())
		d.states = append(d.states, newStatePartition())
	}
	d.inbox.init()
	d.docs.init()
	return open(cfg, d, Hostile{})
}

func open(cfg Config, d *data, h Hostile) *DB {
	db := &DB{cfg: cfg, data: d, rand: rand.New(rand.NewPCG(cfg.Seed, 1))}
	db.hostile.Store(&h)
	db.log = &log{db: db, closed: make(chan struct{})}
	db.state = &stateStore{db: db}
	db.inbox = &inboxStore{db: db}
	db.docs = &documentStore{db: db}
	return db
}

// Reopen closes the DB and returns one that holds the same, as after a restart.
func (db *DB) Reopen() *DB {
	_ = db.Close()
	cfg := db.cfg
	cfg.Seed++
	return open(cfg, db.data, *db.hostile.Load())
}

// SetHostile switches the hostile modes.
func (db *DB) SetHostile(h Hostile) { db.hostile.Store(&h) }

// Log is the stream store.
func (db *DB) Log() eventlog.Log { return db.log }

// UserState is the store of the Decider's state.
func (db *DB) UserState() userstate.Store { return db.state }

// Inbox is the store of waiting messages.
func (db *DB) Inbox() inbox.Inbox { return db.inbox }

// Documents is the document store.
func (db *DB) Documents() documents.Store { return db.docs }

// Close closes the stores.
func (db *DB) Close() error {
	_ = db.log.Close()
	_ = db.state.Close()
	return db.docs.Close()
}

// chance is true with probability p.
func (db *DB) chance(p float64) bool {
	if p <= 0 {
		return false
	}
	db.randMu.Lock()
	defer db.randMu.Unlock()
	return db.rand.Float64() < p
}

// upTo is a number in [1, n].
func (db *DB) upTo(n int) int {
	db.randMu.Lock()
	defer db.randMu.Unlock()
	return 1 + db.rand.IntN(n)
}
