package journey

import (
	"slices"

	"heed/internal/journey/bitset"
	"heed/internal/journey/presence"
	"heed/internal/measure"
)

// maxMaps bounds the bitmaps that are looked at to leave users out: of more, a
// walk takes less.
const maxMaps = 20_000

// candidates is the users of a set who may have an event of some kinds in a span,
// and those among them who surely have.
func (e *query) candidates(takes []bool, in measure.Span, among bitset.Set) (may, sure bitset.Set) {
	x := e.x
	none := make(bitset.Set, len(among))
	from, to := max(in.From, x.minTime), min(in.To, x.maxTime+1)
	if from >= to {
		return slices.Clone(none), none
	}
	first, last := dayOf(from), dayOf(to-1)
	some, every := e.namesOf(takes)
	always := in.From <= x.minTime && in.To > x.maxTime
	// Walking the few takes less than making sets.
	if among.Count() < max(4, len(x.ids)/64) || !always && len(some)*int(last-first+1) > maxMaps {
		return slices.Clone(among), none
	}
	var possible, certain presence.Group
	for i, name := range some {
		into := &possible
		if every[i] {
			into = &certain
		}
		if always {
			into.Ever(x.did, name)
			continue
		}
		for day := first; day <= last; day++ {
			// Of a day that the span has not all of, who was there may have been there in the rest.
			if int64(day)*dayMicros < in.From || (int64(day)+1)*dayMicros > in.To {
				possible.On(x.did, name, day)
			} else {
				into.On(x.did, name, day)
			}
		}
	}
	may, sure = possible.Union(len(x.ids)), certain.Union(len(x.ids))
	sure.And(among)
	may.And(among)
	may.Or(sure)
	return may, sure
}

// namesOf is the names of which there are kinds that a table takes; every tells if it takes all of a
// name.
func (e *query) namesOf(takes []bool) (some []uint32, every []bool) {
	taken, all := make([]int, len(e.x.names.texts)), make([]int, len(e.x.names.texts))
	for code := 1; code < len(takes); code++ {
		name := e.x.kinds[code].name
		all[name]++
		if takes[code] {
			taken[name]++
		}
	}
	for name, n := range taken {
		if n > 0 {
			some, every = append(some, uint32(name)), append(every, n == all[name])
		}
	}
	return some, every
}
