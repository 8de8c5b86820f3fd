package session

import (
	"encoding/binary"
	"errors"

	"github.com/cespare/xxhash/v2"

	"heed/internal/varint"
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

// change is who was at a place before the round.
type change struct {
	hash  uint64
	Seen         // Heard is nobody if there was none
	index uint32 // the place
}

// nobody is no log time.
const nobody = ^uint32(0)

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
		user.index = k.insert(user.hash, Seen{t, heard})
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
	k.changes = append(k.changes, change{u.hash, u.Seen, index})
	u.round = k.round
}

// insert puts a user in who is not there, and tells where.
func (k *Tracker) insert(hash uint64, s Seen) (index uint32) {
	index, was := k.put(hash, s)
	k.changes = append(k.changes, change{was.hash, was.Seen, index})
	return index
}

// put is insert for good. was is who had the place; Heard is nobody if none had.
func (k *Tracker) put(hash uint64, s Seen) (index uint32, was tracked) {
	u := tracked{hash, s, k.round}
	if len(k.users) >= k.limit {
		index = k.evict()
		was, k.users[index] = k.users[index], u
		delete(k.at, was.hash)
	} else {
		index, was = uint32(len(k.users)), tracked{hash: hash, Seen: Seen{Heard: nobody}}
		k.users = append(k.users, u)
	}
	k.at[hash] = index
	return index, was
}

// evict says whose place is taken: of the next few users, of the one that is
// silent for longest.
func (k *Tracker) evict() uint32 {
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
	return uint32(worst)
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
		delete(k.at, k.users[c.index].hash)
		if c.Heard == nobody { // it was the last place then, too
			k.users = k.users[:c.index]
			continue
		}
		k.users[c.index] = tracked{hash: c.hash, Seen: c.Seen}
		k.at[c.hash] = c.index
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

// append writes a user relative to a log time in s (docs/format/state.md).
func (u *tracked) append(dst []byte, base int64) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, u.hash)
	dst = binary.AppendVarint(dst, base*1e6-u.Last)
	return binary.AppendVarint(dst, base-int64(u.Heard))
}

// Append writes everybody as of a log time (µs).
func (k *Tracker) Append(dst []byte, logTime int64) []byte {
	base := int64(seconds(logTime))
	dst = binary.AppendUvarint(binary.AppendVarint(dst, base), uint64(len(k.users)))
	for i := range k.users {
		dst = k.users[i].append(dst, base)
	}
	return dst
}

// Changed tells whether AppendChanges has something to write.
func (k *Tracker) Changed() bool { return len(k.changes) > 0 }

// AppendChanges writes those who changed since the last Commit as of a log time
// (µs).
func (k *Tracker) AppendChanges(dst []byte, logTime int64) []byte {
	base := int64(seconds(logTime))
	dst = binary.AppendUvarint(binary.AppendVarint(dst, base), uint64(len(k.changes)))
	for i := range k.changes {
		dst = k.users[k.changes[i].index].append(dst, base)
	}
	return dst
}

// ErrFormat: the bytes are none that Append has written.
var ErrFormat = errors.New("session: unreadable bytes")

// Read takes what Append and AppendChanges wrote, one behind the other; what comes
// later counts.
func (k *Tracker) Read(b []byte) error {
	r := varint.NewReader(b)
	for len(r.Rest()) > 0 && !r.Bad() {
		base := r.Varint()
		n := r.Count(8 + 1 + 1)
		if room := min(n, k.limit); len(k.users) == 0 && room > 0 {
			k.users, k.at = make([]tracked, 0, room), make(map[uint64]uint32, room)
		}
		for range n {
			hash := r.Bytes(8)
			last, heard := base*1e6-r.Varint(), base-r.Varint()
			if r.Bad() || heard < 0 || heard >= int64(nobody) {
				return ErrFormat
			}
			u := User{hash: binary.LittleEndian.Uint64(hash)}
			s := Seen{last, uint32(heard)}
			if known := k.find(&u); known != nil {
				known.Seen = s
			} else {
				k.put(u.hash, s)
			}
		}
	}
	k.Commit()
	if r.Bad() {
		return ErrFormat
	}
	return nil
}
