package presence

import "github.com/RoaringBitmap/roaring/v2"

// Loader adds users to a Map in order of their numbers, many at once: that takes a
// fifth of adding each. What it was told is in the map when it is closed.
type Loader struct {
	m    *Map
	from int32         // the first day that is gathered
	ever []*gathered   // by name
	days [][]*gathered // by name, then by day
}

// span is how many days are gathered, around the first one that comes.
const span = 2048

// gathered is users who are not in a bitmap yet, in order.
type gathered struct {
	in    *roaring.Bitmap
	users []uint32
}

// Load begins to add users, who do things of so many names.
func (m *Map) Load(names int) *Loader {
	return &Loader{m: m, ever: make([]*gathered, names), days: make([][]*gathered, names)}
}

// Add says that a user, none of a lower number than the one before, did something on
// a day.
func (l *Loader) Add(u, name uint32, day int32) {
	if l.from == 0 {
		l.from = max(1, day-span/2)
	}
	at := int(day - l.from)
	if at < 0 || at >= span {
		l.m.Add(u, name, day)
		return
	}
	days := &l.days[name]
	for at >= len(*days) {
		*days = append(*days, nil)
	}
	on := (*days)[at]
	if on == nil {
		ever, bitmap := l.m.of(name, day)
		on = &gathered{in: bitmap}
		(*days)[at] = on
		if l.ever[name] == nil {
			l.ever[name] = &gathered{in: ever}
		}
	}
	if on.add(u) {
		l.ever[name].add(u)
	}
}

func (g *gathered) add(u uint32) (isNew bool) {
	n := len(g.users)
	if n > 0 && g.users[n-1] == u {
		return false
	}
	if n == 64 {
		g.in.AddMany(g.users)
		g.users = g.users[:0]
	}
	g.users = append(g.users, u)
	return true
}

// Close adds the rest, and takes back the room that bitmaps had to grow.
func (l *Loader) Close() {
	for _, all := range append(l.days, l.ever) {
		for _, g := range all {
			if g != nil {
				g.in.AddMany(g.users)
			}
		}
	}
	for _, on := range l.m.days {
		*on = *on.Clone()
	}
}
