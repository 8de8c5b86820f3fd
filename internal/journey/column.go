package journey

import "strings"

// texts keeps copies of texts in pieces of many: a million by themselves would take
// more, and the garbage collector would look at each. What is kept stays as long as
// the others of its piece.
type texts struct{ piece strings.Builder }

func (t *texts) keep(text []byte) string {
	if t.piece.Cap()-t.piece.Len() < len(text) {
		t.piece.Reset()
		t.piece.Grow(max(len(text), 32<<10))
	}
	from := t.piece.Len()
	t.piece.Write(text)
	return t.piece.String()[from:]
}

// dictionary numbers texts from 1; 0 is none.
type dictionary struct {
	texts []string // texts[0] is unused
	ids   map[string]uint32
}

func (d *dictionary) find(s string) (uint32, bool) {
	id, ok := d.ids[s]
	return id, ok
}

// put numbers a text, of which it keeps a copy.
func (d *dictionary) put(s string) uint32 {
	if id, ok := d.ids[s]; ok {
		return id
	}
	if d.ids == nil {
		d.ids, d.texts = map[string]uint32{}, append(d.texts, "")
	}
	id := uint32(len(d.texts))
	s = string([]byte(s))
	d.texts = append(d.texts, s)
	d.ids[s] = id
	return id
}

// Bounds of a value in bytes.
const (
	maxValue = 256
	maxTouch = 3*maxValue + len("256 256 ")
)

// column holds a value per user: a number of its dictionary. With times, the
// last write by event time wins, and the later one among equal times. A column
// with too many distinct values, or too long ones, is wide: it is given up.
type column struct {
	dictionary

	limit   int
	longest int // bytes of a value
	timed   bool
	wide    bool
	vals    []uint32
	at      []int64
}

func newColumn(limit int, timed bool) column {
	return column{limit: limit, longest: maxValue, timed: timed}
}

func (c *column) get(u uint32) uint32 {
	if int(u) < len(c.vals) {
		return c.vals[u]
	}
	return 0
}

// set writes a value ("" is none) as of a time.
func (c *column) set(u uint32, value string, at int64) {
	if c.wide {
		return
	}
	id := uint32(0)
	if value != "" {
		if len(value) <= c.longest {
			id = c.put(value)
		}
		if id == 0 || len(c.texts) > c.limit+1 {
			*c = column{limit: c.limit, longest: c.longest, timed: c.timed, wide: true}
			return
		}
	}
	c.write(u, id, at)
}

func (c *column) write(u, id uint32, at int64) {
	if id == 0 && int(u) >= len(c.vals) && !c.timed {
		return
	}
	for int(u) >= len(c.vals) {
		c.vals = append(c.vals, 0)
		if c.timed {
			c.at = append(c.at, 0)
		}
	}
	if c.timed {
		if at < c.at[u] {
			return
		}
		c.at[u] = at
	}
	c.vals[u] = id
}

// move gives a user's value to another who has an older one, or none.
func (c *column) move(from, to uint32) {
	if c.wide || int(from) >= len(c.vals) {
		return
	}
	if c.timed && c.at[from] > 0 {
		c.write(to, c.vals[from], c.at[from])
		c.at[from] = 0
	}
	c.vals[from] = 0
}

// clear forgets what a user is.
func (c *column) clear(u uint32) {
	if int(u) < len(c.vals) {
		c.vals[u] = 0
	}
	if int(u) < len(c.at) {
		c.at[u] = 0
	}
}

func (c *column) bytes() int64 {
	n := int64(cap(c.vals))*4 + int64(cap(c.at))*8
	for _, s := range c.texts {
		n += int64(len(s)) + 64
	}
	return n
}

// columns are the columns of keys that clients choose: traits, consent.
type columns struct {
	max    int
	values int
	list   []namedColumn
	byKey  map[string]int
	full   bool // a key had no room
}

type namedColumn struct {
	key string
	column
}

func newColumns(most, values int) columns {
	return columns{max: most, values: values, byKey: map[string]int{}}
}

// find is the column of a key. If the index cannot know it, ok is false; if no
// user has it, the column is nil.
func (c *columns) find(key string) (col *column, ok bool) {
	i, found := c.byKey[key]
	switch {
	case !found:
		return nil, !c.full
	case c.list[i].wide:
		return nil, false
	}
	return &c.list[i].column, true
}

func (c *columns) enter(key string) *column {
	i, found := c.byKey[key]
	if !found {
		if len(c.list) == c.max {
			c.full = true
			return nil
		}
		key = string([]byte(key))
		i = len(c.list)
		c.list = append(c.list, namedColumn{key: key, column: newColumn(c.values, true)})
		c.byKey[key] = i
	}
	return &c.list[i].column
}
