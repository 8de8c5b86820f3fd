package journey

import (
	"cmp"
	"slices"

	"heed/internal/measure"
)

// Trait is what is known of one trait over all users that exist.
type Trait struct {
	Key string
	// Wide: it has too many values, or too long ones, to be known here. Only the
	// key is set then.
	Wide     bool
	Users    int64 // that have it
	Distinct int   // values that somebody has
	// Kinds are the kinds of JSON values, by their first byte: '"' is text, '0' a
	// number, 't' true or false, '[' a list, '{' an object.
	Kinds []byte
	// Least and Greatest are of the numbers; nil: there are none.
	Least, Greatest *float64
	Values          []TraitValue // the most frequent ones
}

// TraitValue is a value as JSON and how many users have it.
type TraitValue struct {
	JSON  string
	Users int64
}

// Traits lists what is known of users' traits, in order of key, each with its top
// most frequent values. Complete is false if keys had no room.
func (x *Index) Traits(top int) (traits []Trait, users int64, complete bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for i := range x.traits.list {
		c := &x.traits.list[i]
		if c.wide {
			traits = append(traits, Trait{Key: c.key, Wide: true})
		} else if t := x.trait(&c.column, top); t.Users > 0 {
			t.Key = c.key
			traits = append(traits, t)
		}
	}
	slices.SortFunc(traits, func(a, b Trait) int { return cmp.Compare(a.Key, b.Key) })
	return traits, int64(x.alive.Count()), !x.traits.full
}

func (x *Index) trait(c *column, top int) Trait {
	counts := make([]int64, len(c.texts)+1)
	alive := x.alive.Clone(len(x.ids))
	for u, id := range c.vals {
		if id != 0 && alive.Has(uint32(u)) {
			counts[id]++
		}
	}
	var t Trait
	for id := 1; id < len(c.texts); id++ {
		n, text := counts[id], c.texts[id]
		if n == 0 {
			continue
		}
		t.Users += n
		t.Distinct++
		t.Values = append(t.Values, TraitValue{text, n})
		kind := text[0]
		switch {
		case kind == 'f':
			kind = 't'
		case kind == '-' || kind >= '0' && kind <= '9':
			kind = '0'
			if v, ok := measure.ParseNumber(text); ok {
				if t.Least == nil || v < *t.Least {
					t.Least = &v
				}
				if t.Greatest == nil || v > *t.Greatest {
					t.Greatest = &v
				}
			}
		}
		if !slices.Contains(t.Kinds, kind) {
			t.Kinds = append(t.Kinds, kind)
		}
	}
	slices.SortFunc(t.Values, func(a, b TraitValue) int {
		return cmp.Or(-cmp.Compare(a.Users, b.Users), cmp.Compare(a.JSON, b.JSON))
	})
	t.Values = slices.Clip(t.Values[:min(top, len(t.Values))])
	slices.Sort(t.Kinds)
	return t
}
