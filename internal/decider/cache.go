package decider

import (
	"encoding/binary"
	"fmt"
	"strings"

	"heed/internal/event"
	"heed/internal/profile"
)

// user is a hot user: what was last read or committed, and within a batch what
// it became.
type user struct {
	id  string
	hot bool // used since the clock hand last passed

	// Rows of triggers. rows is the encoded value without its head.
	hasRows  bool // rows, wake and stored are those of the partition
	rows     []byte
	derived  bool  // wake is the next deadline of rows, not looked at yet
	wake     int64 // the outstanding timer, 0 if there is none
	stored   int64 // the one that the partition holds
	slot     *slot // decoded, within a batch
	fetching bool  // rows are loaded with this batch

	refused int64 // log time when a refusal for being outside an audience was noted

	hasMembers bool // members are those of the partition
	members    profile.Memberships
	rejoined   bool // they have changed within the batch

	// Notes, as encoded.
	hasNotes bool // notes are those of the partition
	notes    []byte

	// Profile.
	known   bool // glance and traits are those of the partition
	glance  profile.Glance
	traits  []byte           // JSON, nil if there are none
	reading bool             // the profile is loaded with this batch
	profile *profile.Profile // within a batch
	touched bool             // it differs from what the partition holds
	last    *event.Event     // latest event that was applied to it

	// Events that are kept back, within a batch.
	queue  []parked
	queued bool // they differ from what the partition holds

	size int64 // as counted by users
}

// userBytes is what an entry costs beside its texts.
const userBytes = 384

// head of an encoded value of rows.
const (
	headDerived  = 0 // the outstanding timer is the next deadline of the rows
	headExplicit = 1 // uvarint: the outstanding timer, µs (0: none)
)

// appendHead writes the head of a value of rows.
func appendHead(dst []byte, wake, next int64) []byte {
	if wake == next {
		return append(dst, headDerived)
	}
	return binary.AppendUvarint(append(dst, headExplicit), uint64(wake))
}

// setRows takes a value that was read from the partition.
func (u *user) setRows(value []byte) error {
	u.hasRows, u.derived, u.wake, u.stored = true, false, 0, 0
	u.rows = u.rows[:0]
	if len(value) == 0 {
		return nil
	}
	switch value[0] {
	case headDerived:
		u.derived = true
		u.rows = append(u.rows, value[1:]...)
		return nil
	case headExplicit:
		wake, n := binary.Uvarint(value[1:])
		if n <= 0 {
			break
		}
		u.wake, u.stored = int64(wake), int64(wake)
		u.rows = append(u.rows, value[1+n:]...)
		return nil
	}
	return fmt.Errorf("rows of a user begin with %d", value[0])
}

// users is a bounded cache of hot users: the clock algorithm over a ring.
type users struct {
	limit int64
	size  int64
	byID  map[string]*user
	ring  []*user
	hand  int
	free  []*user
}

func newUsers(limit int64) *users { return &users{limit: limit, byID: make(map[string]*user)} }

// find returns a user that is in the cache, or nil. The id may alias a chunk.
func (c *users) find(id string) *user {
	u := c.byID[id]
	if u != nil {
		u.hot = true
	}
	return u
}

// add puts a user in that find did not have.
func (c *users) add(id string) *user {
	var u *user
	if n := len(c.free); n > 0 {
		u, c.free = c.free[n-1], c.free[:n-1]
		*u = user{rows: u.rows[:0]}
	} else {
		u = new(user)
	}
	u.id, u.hot = strings.Clone(id), true
	c.ring = append(c.ring, u)
	c.byID[u.id] = u
	c.measure(u)
	return u
}

// measure counts a user's bytes anew.
func (c *users) measure(u *user) {
	size := int64(userBytes + len(u.id) + cap(u.rows) + cap(u.traits) + cap(u.notes))
	c.size += size - u.size
	u.size = size
}

// shrink forgets users until the cache is within its bound. It is called
// between batches: nobody holds a user then.
func (c *users) shrink() {
	for c.size > c.limit && len(c.ring) > 0 {
		if c.hand >= len(c.ring) {
			c.hand = 0
		}
		u := c.ring[c.hand]
		if u.hot {
			u.hot = false
			c.hand++
			continue
		}
		last := len(c.ring) - 1
		c.ring[c.hand] = c.ring[last]
		c.ring[last] = nil
		c.ring = c.ring[:last]
		delete(c.byID, u.id)
		c.size -= u.size
		u.size = 0
		if len(c.free) < 1024 && cap(u.rows) <= 1024 {
			c.free = append(c.free, u)
		}
	}
}

// clear forgets everybody.
func (c *users) clear() {
	clear(c.byID)
	clear(c.ring)
	c.ring, c.free, c.size, c.hand = c.ring[:0], nil, 0, 0
}
