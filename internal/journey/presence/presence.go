// Package presence owns who did what, and on which day: a roaring bitmap of users
// for each name of events, and for each name and day. Users and names are numbers;
// days are those of UTC, since the Unix epoch.
//
// One goroutine may change a Map, while nobody reads it.
package presence

import (
	"maps"

	"github.com/RoaringBitmap/roaring/v2"

	"heed/internal/journey/bitset"
)

// Map is who did what.
type Map struct {
	ever map[uint32]*roaring.Bitmap
	days map[nameDay]*roaring.Bitmap
}

type nameDay struct {
	name uint32
	day  int32
}

// New is a map of nobody.
func New() *Map {
	return &Map{ever: map[uint32]*roaring.Bitmap{}, days: map[nameDay]*roaring.Bitmap{}}
}

// Add says that a user did something on a day.
func (m *Map) Add(u, name uint32, day int32) {
	if ever, on := m.of(name, day); on.CheckedAdd(u) {
		ever.Add(u)
	}
}

func (m *Map) of(name uint32, day int32) (ever, on *roaring.Bitmap) {
	key := nameDay{name, day}
	if on = m.days[key]; on == nil {
		on = roaring.New()
		m.days[key] = on
		// What grows has room to grow. The day before yesterday hardly does any more.
		if over := m.days[nameDay{name, day - 2}]; over != nil {
			*over = *over.Clone()
		}
	}
	if ever = m.ever[name]; ever == nil {
		ever = roaring.New()
		m.ever[name] = ever
	}
	return ever, on
}

// Remove takes a user away from a day, and from those who ever did it: whoever did
// it on another day is to be added again.
func (m *Map) Remove(u, name uint32, day int32) {
	if on := m.days[nameDay{name, day}]; on != nil {
		on.Remove(u)
		m.ever[name].Remove(u)
	}
}

// Trim forgets the days before one.
func (m *Map) Trim(before int32) {
	maps.DeleteFunc(m.days, func(d nameDay, _ *roaring.Bitmap) bool { return d.day < before })
}

// Bytes is how much memory it takes, about.
func (m *Map) Bytes() (n int64) {
	for _, b := range m.ever {
		n += int64(b.GetSizeInBytes())
	}
	for _, b := range m.days {
		n += int64(b.GetSizeInBytes())
	}
	return n
}

// Group gathers bitmaps.
type Group []*roaring.Bitmap

// Ever puts in who ever did something.
func (g *Group) Ever(m *Map, name uint32) { g.put(m.ever[name]) }

// On puts in who did it on a day.
func (g *Group) On(m *Map, name uint32, day int32) { g.put(m.days[nameDay{name, day}]) }

func (g *Group) put(b *roaring.Bitmap) {
	if b != nil {
		*g = append(*g, b)
	}
}

// Union is who, of so many users, is in any of the bitmaps.
func (g Group) Union(users int) bitset.Set {
	out := bitset.New(users)
	roaring.FastOr(g...).WriteDenseTo(out)
	return out
}
