// Package userstate owns the contract of the Decider's state: per user the rows
// of triggers and the hot profile, per partition the timers, the offset that
// was consumed and the outbox of intents, all committed in one atomic step.
// Drivers implement it; every one of them runs the suite in userstatetest.
//
// It does not own what the bytes mean (trigger, profile, decider).
package userstate

import (
	"context"
	"errors"

	"heed/internal/event"
)

// Errors that callers decide on.
var (
	// ErrFenced: another owner has taken the partition, or the offset is not
	// the expected one. The owner must stop and drop what it has in memory.
	ErrFenced = errors.New("userstate: partition has another owner")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("userstate: closed")
)

// Kind tells a user's values apart.
type Kind byte

// The kinds.
const (
	Rows    Kind = 'r' // rows of triggers (encoded by the decider)
	Profile Kind = 'p' // hot part of the profile (encoded by profile)
	Members Kind = 'a' // audiences that the log says the user is in (encoded by the decider); of user "": of the partition
	Notes   Kind = 'n' // what became of the last chances to fire (encoded by the decider)
	Parked  Kind = 'k' // events that are kept back (encoded by the decider)

	// Sessions holds when the users of a partition were last active; of no user,
	// but of names that the decider gives.
	Sessions Kind = 's'
)

// Row is one value of one user. A nil Value removes it.
type Row struct {
	Kind  Kind
	User  string
	Value []byte
}

// Timer wakes a user once the partition's log time reaches Deadline (µs).
type Timer struct {
	Deadline int64
	User     string
}

// Commit is one step of a partition: all of it becomes visible, or nothing.
type Commit struct {
	Base, Next uint64 // events [Base, Next) were consumed; Base must be the partition's Next
	Rows       []Row
	Set, Clear []Timer
	Intents    []event.Intent
	Meta       []byte // the partition's own blob; nil leaves it
}

// Store opens partitions for their owner and answers readers. All methods may
// be called concurrently.
type Store interface {
	// Open takes a partition over; a former owner's next Commit gets ErrFenced.
	Open(ctx context.Context, partition int) (Partition, error)
	// Get reads a user's last committed value (nil if there is none), for
	// readers that do not own the partition.
	Get(ctx context.Context, partition int, kind Kind, user string) ([]byte, error)
	// Scan lists users with a value of that kind whose id starts with prefix,
	// in order of id, behind after, at most limit.
	Scan(ctx context.Context, partition int, kind Kind, prefix, after string, limit int) ([]Row, error)
	Close() error
}

// Partition is a partition in its owner's hands. It is used by one goroutine.
type Partition interface {
	// Next is the offset behind the last consumed event.
	Next() uint64
	// Meta is the blob of the last commit that had one.
	Meta() []byte
	// Load reads values of many users at once: out[i] is that of users[i], nil
	// if there is none, and is the caller's.
	Load(ctx context.Context, kind Kind, users []string) (out [][]byte, err error)
	// Due lists timers with Deadline <= until in order of (Deadline, User), at
	// most limit.
	Due(ctx context.Context, until int64, limit int) ([]Timer, error)
	// Commit applies the step. It need not survive power loss by itself (the
	// log is replayed), but no later commit survives without the earlier ones,
	// and none survives without the events it consumed. Intents become
	// readable on the stream of intents, keyed by the same partition.
	Commit(ctx context.Context, c *Commit) error
	Close() error
}
