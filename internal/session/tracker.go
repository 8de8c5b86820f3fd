package session

import (
	"encoding/binary"
	"errors"

	"github.com/cespare/xxhash/v2"
)

// Seen is the latest activity of a user.
type Seen struct {
	Last  int64  `json:"last"`  // event time, µs
	Heard uint32 `json:"heard"` // log time at which there was activity last, s
}

// User is whom a Tracker is asked about. It remembers where it was found.
type User struct {
	hash  uint64
	index uint32
}

// UserOf is the user with a profile id.
func UserOf(id string) User { return User{hash: xxhash.Sum64String(id)} }

// Tracker remembers when users were last active. Users are told apart by 64 bits
// of a hash. It is used by one goroutine.
//
// What it was told since Commit can be taken back.
type Tracker struct {
	limit   int
	at      map[uint64]uint32 // by hash: index in users
	users   []tracked
	hand    int      // where somebody to forget is looked for
	changes []change // since Commit
	round   uint32   // of Commits
	evicted int
}

type tracked struct {
	hash uint64
	Seen
	round uint32 // in which it was changed last
}

// change is what a user was before the round.
type change struct {
	tracked
	index uint32 // where the user is, unless others were removed since
	known bool
}

// NewTracker makes a Tracker of so many users at most.
func NewTracker(limit int) *Tracker {
	return &Tracker{limit: max(limit, 1), at: make(map[uint64]uint32), round: 1}
}

// See takes an activity of a user at an event time, which the log has at a log
// time (µs). begins says that a session begins with it, at that time: just in
// front of it, so that who sorts by time sees the start first, but where the
// silence is not over by then.
func (k *Tracker) See(user *User, t, logTime int64) (at int64, begins bool) {
	heard := seconds(logTime)
	u := k.find(user)
	if u == nil {
		k.insert(user.hash, Seen{t, heard})
		return t - 1, true
	}
	k.note(u, user.index)
	if u.expired(heard) {
		u.Seen = Seen{t, heard}
		return t - 1, true
	}
	if silence := t - u.Last; silence >= Gap {
		at, begins = max(t-1, u.Last+Gap), true
	}
	u.Last, u.Heard = max(u.Last, t), max(u.Heard, heard)
	return at, begins
}

// Due tells whether See would begin a session. It changes nothing.
func (k *Tracker) Due(user *User, t, logTime int64) bool {
	s, ok := k.Seen(user, logTime)
	return !ok || t-s.Last >= Gap
}

// Seen is what is remembered of a user at a log time (µs).
func (k *Tracker) Seen(user *User, logTime int64) (Seen, bool) {
	u := k.find(user)
	if u == nil || u.expired(seconds(logTime)) {
		return Seen{}, false
	}
	return u.Seen, true
}

// Merge gives a user the activity of an id that turned out to be the user's, as
// of a log time (µs).
func (k *Tracker) Merge(user *User, s Seen, logTime int64) {
	now := seconds(logTime)
	if s.expired(now) {
		return
	}
	u := k.find(user)
	if u == nil {
		k.insert(user.hash, s)
		return
	}
	k.note(u, user.index)
	if u.expired(now) {
		u.Seen = s
		return
	}
	u.Last, u.Heard = max(u.Last, s.Last), max(u.Heard, s.Heard)
}

// find is what is remembered of a user, until somebody is put in or removed; nil
// if nothing is.
func (k *Tracker) find(user *User) *tracked {
	if int(user.index) < len(k.users) && k.users[user.index].hash == user.hash {
		return &k.users[user.index]
	}
	i, ok := k.at[user.hash]
	if !ok {
		return nil
	}
	user.index = i
	return &k.users[i]
}

func seconds(micros int64) uint32 { return uint32(max(micros, 0) / 1e6) }

// expired tells whether the activity is forgotten, whether or not it still takes
// room: so it does not matter when the room is taken back.
func (s *Seen) expired(now uint32) bool { return now > s.Heard && now-s.Heard > uint32(Keep/1e6) }

// note remembers what a user was before the round.
func (k *Tracker) note(u *tracked, index uint32) {
	if u.round == k.round {
		return
	}
	k.changes = append(k.changes, change{*u, index, true})
	u.round = k.round
}

func (k *Tracker) insert(hash uint64, s Seen) {
	if len(k.users) >= k.limit {
		k.evict()
	}
	u := tracked{hash, s, k.round}
	k.changes = append(k.changes, change{tracked: u, index: uint32(len(k.users))})
	k.put(u)
}

func (k *Tracker) put(u tracked) {
	k.at[u.hash] = uint32(len(k.users))
	k.users = append(k.users, u)
}

// evict makes room: of the next few users it forgets the one that is silent for
// longest.
func (k *Tracker) evict() {
	const look = 16
	worst := -1
	for range min(look, len(k.users)) {
		if k.hand >= len(k.users) {
			k.hand = 0
		}
		if worst < 0 || k.users[k.hand].Heard < k.users[worst].Heard {
			worst = k.hand
		}
		k.hand++
	}
	k.evicted++
	k.changes = append(k.changes, change{k.users[worst], uint32(worst), true})
	k.remove(k.users[worst].hash)
}

func (k *Tracker) remove(hash uint64) {
	i, ok := k.at[hash]
	if !ok {
		return
	}
	last := len(k.users) - 1
	k.users[i] = k.users[last]
	k.at[k.users[i].hash] = i
	k.users = k.users[:last]
	delete(k.at, hash)
}

// Commit makes what was told since the last one stay.
func (k *Tracker) Commit() {
	k.changes = k.changes[:0]
	k.round++
}

// Rollback takes back what was told since the last Commit.
func (k *Tracker) Rollback() {
	for i := len(k.changes) - 1; i >= 0; i-- {
		c := &k.changes[i]
		k.remove(c.hash)
		if c.known {
			k.put(c.tracked)
		}
	}
	k.Commit()
}

// Sweep takes back the room of users who are forgotten by a log time (µs).
func (k *Tracker) Sweep(logTime int64) {
	now := seconds(logTime)
	k.drop(func(u *tracked) bool { return u.expired(now) })
}

// Keep forgets everybody of whom keep is false, by the xxhash64 of the profile id.
func (k *Tracker) Keep(keep func(hash uint64) bool) {
	k.drop(func(u *tracked) bool { return !keep(u.hash) })
}

func (k *Tracker) drop(gone func(u *tracked) bool) {
	for i := 0; i < len(k.users); {
		if u := &k.users[i]; gone(u) {
			k.remove(u.hash)
			continue
		}
		i++
	}
}

// Bytes is what the users take, about. A nil Tracker has none.
func (k *Tracker) Bytes() int64 {
	if k == nil {
		return 0
	}
	return 48 * int64(len(k.users))
}

// Evicted is how many users were forgotten for want of room.
func (k *Tracker) Evicted() int { return k.evicted }

// seenBytes is the length of a user's bytes (docs/format/state.md).
const seenBytes = 8 + 8 + 4

func (u *tracked) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, u.hash)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(u.Last))
	return binary.LittleEndian.AppendUint32(dst, u.Heard)
}

// Append writes everybody.
func (k *Tracker) Append(dst []byte) []byte {
	for i := range k.users {
		dst = k.users[i].append(dst)
	}
	return dst
}

// Changed tells whether AppendChanges has something to write.
func (k *Tracker) Changed() bool { return len(k.changes) > 0 }

// AppendChanges writes those who changed since the last Commit.
func (k *Tracker) AppendChanges(dst []byte) []byte {
	for i := range k.changes {
		c := &k.changes[i]
		if u := k.find(&User{c.hash, c.index}); u != nil {
			dst = u.append(dst)
		}
	}
	return dst
}

// ErrFormat: the bytes are none that Append has written.
var ErrFormat = errors.New("session: unreadable bytes")

// Read takes what Append or AppendChanges wrote; what comes later counts.
func (k *Tracker) Read(b []byte) error {
	if len(b)%seenBytes != 0 {
		return ErrFormat
	}
	for ; len(b) > 0; b = b[seenBytes:] {
		hash := binary.LittleEndian.Uint64(b)
		s := Seen{int64(binary.LittleEndian.Uint64(b[8:])), binary.LittleEndian.Uint32(b[16:])}
		if i, ok := k.at[hash]; ok {
			k.users[i].Seen = s
			continue
		}
		k.insert(hash, s)
	}
	k.Commit()
	return nil
}
