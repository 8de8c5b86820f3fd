package rows

import (
	"cmp"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"heed/internal/condition"
)

// MaxProperties have a column of their own.
const MaxProperties = 16

const (
	censusKeys = 512  // that are counted; others wait until one of these is seen no more
	censusFew  = 64   // events that say nothing yet
	censusMany = 8192 // events after which older ones count half
	sampled    = 16   // one event of so many is looked at

	// promoteAt and demoteAt are one event of so many: where a column begins to pay,
	// and where one that is there no longer does.
	promoteAt = 50
	demoteAt  = 200
)

// Census counts, over recent events, which properties they have and of what type.
// One goroutine uses it.
type Census struct {
	all    int
	events int // looked at
	keys   map[string]*tally
}

// tally is what was seen of a key.
type tally struct {
	by       map[Type]int
	repeated int          // values that were seen a short time before
	recent   [1024]uint16 // of a value's hash, by its last bits
}

// Add counts an event.
func (c *Census) Add(properties []byte) {
	if c.all++; c.all%sampled != 0 {
		return
	}
	c.events++
	condition.Members(properties, func(key string, v condition.Scalar) {
		t := c.keys[key]
		if t == nil {
			if len(c.keys) == censusKeys || !simpleKey(key) {
				return
			}
			if c.keys == nil {
				c.keys = map[string]*tally{}
			}
			t = &tally{by: map[Type]int{}}
			c.keys[strings.Clone(key)] = t
		}
		typ := typeOf(v)
		if typ == "" {
			return
		}
		t.by[typ]++
		h := xxhash.Sum64String(v.Text)
		slot, mark := &t.recent[h%1024], uint16(h>>48)
		if *slot == mark {
			t.repeated++
		}
		*slot = mark
	})
}

// Choose says which properties are to have columns from now on. now is those that
// have them. held is those that have one now or in any file, by the lower case of
// their keys: DuckDB tells no case, and a column has one type everywhere. It forgets
// a part of what it counted.
func (c *Census) Choose(now []Property, held map[string]Property) []Property {
	if c.events < censusFew {
		return now
	}
	type candidate struct {
		Property
		count int
	}
	var all []candidate
	names := map[string]bool{}
	offer := func(p Property, atLeast int) {
		count, lower := c.keys[p.Key].by[p.Type], strings.ToLower(p.Key)
		if count*atLeast >= c.events && !names[lower] {
			names[lower] = true
			all = append(all, candidate{p, count})
		}
	}
	for _, p := range now {
		if c.keys[p.Key] != nil {
			offer(p, demoteAt)
		}
	}
	mine := len(all)
	for _, key := range sorted(c.keys) {
		t := c.keys[key]
		p := Property{key, t.most()}
		if h, ok := held[strings.ToLower(key)]; ok {
			if h.Key != key {
				continue
			}
			p = h
		}
		// Values of which each is another cost room, and little is asked by them.
		if t.repeated*64 >= t.by[p.Type] {
			offer(p, promoteAt)
		}
	}
	// Who is there goes only for what is twice as frequent.
	weight := func(i int) int {
		if i < mine {
			return 2 * all[i].count
		}
		return all[i].count
	}
	order := make([]int, len(all))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(weight(j), weight(i)) })
	order = order[:min(len(order), MaxProperties)]
	slices.Sort(order)
	out := make([]Property, len(order))
	for i, at := range order {
		out[i] = all[at].Property
	}
	c.forget()
	return out
}

// most is the type that most values had.
func (t *tally) most() Type {
	most := Varchar
	for _, typ := range []Type{Double, Boolean} {
		if t.by[typ] > t.by[most] {
			most = typ
		}
	}
	return most
}

// forget halves what was counted when it is much, and drops keys that are gone.
func (c *Census) forget() {
	if c.events < censusMany {
		return
	}
	c.events /= 2
	for key, t := range c.keys {
		left := 0
		for typ := range t.by {
			t.by[typ] /= 2
			left += t.by[typ]
		}
		if t.repeated /= 2; left == 0 {
			delete(c.keys, key)
		}
	}
}

func sorted(keys map[string]*tally) []string {
	out := make([]string, 0, len(keys))
	for k := range keys {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
