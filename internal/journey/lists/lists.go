// Package lists owns an array of words per user, and where it lies: those of 4,096
// users in blocks of their own, each with a little room, so that a query that walks
// users walks memory. An array that outgrows its room moves to the end of the
// blocks. When a sixteenth of them is left behind in that way, all of their arrays are
// packed into other blocks, and these are free for the next ones: so appending costs
// O(1) amortized, and leaves the garbage collector nothing.
//
// It does not own what a word means. One goroutine may change Lists, while nobody
// reads but from a Snapshot.
package lists

import "slices"

const (
	group = 4096 // users whose arrays lie together
	block = 4096 // words
	large = 1024 // words; an array of more is none of a block
)

// Lists is an array of words per user. The zero value has no users.
type Lists struct {
	of     [][]uint64
	groups []blocks
	free   [][]uint64 // blocks
	shared bool       // a snapshot is read: what it has stays as it is
}

// blocks hold the arrays of a group.
type blocks struct {
	all   [][]uint64
	rest  []uint64 // of the last one
	dead  int      // words that were left behind
	apart int      // words of arrays that lie by themselves
}

// Len is how many users there are.
func (l *Lists) Len() int { return len(l.of) }

// At is the array of a user. It must not be changed, nor read after the next change.
func (l *Lists) At(u uint32) []uint64 { return l.of[u] }

// Add makes one more user, who has no words.
func (l *Lists) Add() {
	if len(l.of)%group == 0 {
		l.groups = append(l.groups, blocks{})
	}
	l.of = append(l.of, nil)
}

// Grow makes room for so many more users.
func (l *Lists) Grow(users int) { l.of = slices.Grow(l.of, users) }

// Insert puts a word into the array of a user.
func (l *Lists) Insert(u uint32, at int, word uint64) {
	list := l.of[u]
	n := len(list)
	if n == cap(list) || at < n && l.shared {
		list = append(l.move(u, n+n/8+2), list...)
	}
	l.of[u] = slices.Insert(list, at, word)
	l.tidy(u)
}

// Put makes a copy of some words, which may be the user's own, the array of a user.
func (l *Lists) Put(u uint32, words []uint64) {
	var list []uint64
	if len(words) > 0 {
		list = append(l.move(u, room(len(words))), words...)
	} else {
		l.leave(u)
	}
	l.of[u] = list
	l.tidy(u)
}

// room is the capacity for n words that are packed.
func room(n int) int { return n + n/16 + 1 }

// move leaves a user's array behind for an empty one.
func (l *Lists) move(u uint32, room int) []uint64 {
	l.leave(u)
	return l.take(&l.groups[u/group], room)
}

func (l *Lists) leave(u uint32) {
	b := &l.groups[u/group]
	if n := cap(l.of[u]); n > large {
		b.apart -= n
	} else {
		b.dead += n
	}
}

// take makes an empty array.
func (l *Lists) take(b *blocks, room int) []uint64 {
	if room > large {
		b.apart += room
		return make([]uint64, 0, room)
	}
	if len(b.rest) < room {
		b.dead += len(b.rest)
		if n := len(l.free); n > 0 {
			b.rest, l.free[n-1] = l.free[n-1], nil
			l.free = l.free[:n-1]
		} else {
			b.rest = make([]uint64, block)
		}
		b.all = append(b.all, b.rest)
	}
	list := b.rest[:0:room]
	b.rest = b.rest[room:]
	return list
}

// tidy packs the arrays of a user's group, if it is time.
func (l *Lists) tidy(u uint32) {
	if b := &l.groups[u/group]; b.dead > block && b.dead > len(b.all)*block/16 {
		l.pack(int(u / group))
	}
}

func (l *Lists) pack(i int) {
	b := &l.groups[i]
	old := b.all
	*b = blocks{apart: b.apart}
	users := l.of[i*group : min((i+1)*group, len(l.of))]
	for u, list := range users {
		if n := len(list); n > 0 && cap(list) <= large {
			users[u] = append(l.take(b, min(room(n), large)), list...)
		}
	}
	b.dead = 0 // the ends of blocks, where an array had no room: packing again changes nothing
	if !l.shared {
		l.free = append(l.free, old...)
	}
}

// Pack packs everything, and frees what is left.
func (l *Lists) Pack() {
	for i := range l.groups {
		l.pack(i)
	}
	l.free = nil
}

// Bytes is how much memory it takes.
func (l *Lists) Bytes() int64 {
	words := len(l.free) * block
	for i := range l.groups {
		words += len(l.groups[i].all)*block + l.groups[i].apart
	}
	return int64(words)*8 + int64(cap(l.of))*24
}

// Snapshot is the lists as they are now, to be read while they change, until
// Release. One at a time.
func (l *Lists) Snapshot() Lists {
	l.shared = true
	return Lists{of: slices.Clone(l.of)}
}

// Release says that the snapshot is not read any more.
func (l *Lists) Release() { l.shared = false }
