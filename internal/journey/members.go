package journey

import (
	"context"
	"errors"

	"heed/internal/journey/bitset"
	"heed/internal/measure"
)

// Members are users of one Index, by its numbers, as the index was at some
// time. They stay as they are when the index changes.
type Members struct{ users bitset.Set }

// Len is how many they are.
func (m Members) Len() int { return m.users.Count() }

// Version grows with each change of the index. newest is the time of the latest event (µs since the
// Unix epoch), which an answer of an earlier time does not see.
func (x *Index) Version() (version uint64, newest int64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.version, x.maxTime
}

// Reads is what an answer depends on.
type Reads struct {
	All    bool     // everything
	Names  []string // events of these names
	People bool     // who exists, and what they are
}

// Changed tells whether something of it has changed since a version. Whose the
// ids are always counts.
func (x *Index) Changed(r *Reads, since uint64) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.joined > since || (r.All || x.lost) && x.version > since || r.People && x.people > since {
		return true
	}
	for _, name := range r.Names {
		if id, ok := x.names.find(name); ok && int(id) < len(x.touched) && x.touched[id] > since {
			return true
		}
	}
	return false
}

// Members answers who is in the audience of a resolved query, and lets a function
// read the index as it was then. If the index cannot answer it exactly, supported
// is false, and nothing is read.
func (x *Index) Members(ctx context.Context, q *measure.Query, now int64, read func(p People, m Members)) (supported bool, err error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	e := &query{x: x, q: q, ctx: ctx}
	if err = e.choose(now); err == nil {
		err = ctx.Err()
	}
	if errors.Is(err, errFacts) {
		return false, nil
	}
	if err == nil {
		read(People{x}, Members{e.users})
	}
	return true, err
}

// MembersSince is Members for those alone who have had an event since a version
// of the index, or have become somebody else; read is told who they are, too.
// Members of that version of whom neither is true are members still, but for what
// time has changed. Where old events were dropped since then, supported is false.
func (x *Index) MembersSince(ctx context.Context, q *measure.Query, now int64, since uint64, read func(p People, asked, in Members)) (supported bool, err error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.trimmed > since {
		return false, nil
	}
	e := &query{x: x, q: q, ctx: ctx, only: x.since(since)}
	if err = e.choose(now); err == nil {
		err = ctx.Err()
	}
	if errors.Is(err, errFacts) {
		return false, nil
	}
	if err == nil {
		read(People{x}, Members{e.only}, Members{e.users})
	}
	return true, err
}

// since is the users of whom something has changed since a version.
func (x *Index) since(version uint64) bitset.Set {
	out := bitset.New(len(x.ids))
	if n := uint64(len(x.recent)); x.version-version <= n {
		for version < x.version {
			version++
			out.Add(x.recent[version%n]) // where nobody changed, one more is asked about
		}
		return out
	}
	for u, changed := range x.changed {
		if changed > version {
			out.Add(uint32(u))
		}
	}
	return out
}

// But is the members, but for those who were asked about: of them, who is in.
func (m Members) But(asked, in Members) Members {
	out := make(bitset.Set, max(len(m.users), len(asked.users)))
	copy(out, m.users)
	out.AndNot(asked.users)
	out.Or(in.users)
	return Members{out}
}

// People reads the index by id, in one state of the whole. It is used by one
// goroutine, inside of the function that it is given to.
type People struct{ x *Index }

// Look lets one function read. The writer waits for it.
func (x *Index) Look(read func(p People)) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	read(People{x})
}

// Today is the id that the user of an id has today; ok is false if the index has
// no such user.
func (p People) Today(id string) (today string, ok bool) {
	u, ok := p.x.number(id)
	if !ok || p.x.ids[u] == "" {
		return "", false
	}
	return p.x.ids[u], true
}

// Has tells whether somebody whose id is that of today is among the members.
func (p People) Has(m Members, today string) bool {
	u, ok := p.x.number(today)
	return ok && m.users.Has(u)
}

// Put adds who has an id today to the members; false if it is nobody's id today.
func (p People) Put(m *Members, id string) bool {
	u, ok := p.x.number(id)
	if !ok || p.x.ids[u] != id {
		return false
	}
	m.users = m.users.Sized(u)
	m.users.Add(u)
	return true
}

// Follow is the members with those who have become somebody else in their place.
func (p People) Follow(m Members) Members {
	out := Members{bitset.New(len(p.x.ids))}
	m.users.Each(0, len(m.users), func(u uint32) {
		if p.x.ids[u] == "" {
			for to, moved := p.x.moved[u]; moved; to, moved = p.x.moved[u] {
				u = to
			}
			if p.x.ids[u] == "" {
				return
			}
		}
		out.users.Add(u)
	})
	return out
}

// Differ visits who is in a and not in b. An id that is nobody's any more is
// gone.
func (p People) Differ(a, b Members, visit func(id string, gone bool)) {
	for i, w := range a.users {
		if i < len(b.users) {
			w &^= b.users[i]
		}
		if w == 0 {
			continue
		}
		bitset.Set{w}.Each(0, 1, func(bit uint32) {
			u := uint32(i)<<6 + bit
			if id := p.x.ids[u]; id != "" {
				visit(id, false)
			} else if id := p.x.was[u]; id != "" {
				visit(id, true)
			}
		})
	}
}
