// Package ranks finds the exact percentiles of groups of values, of more values
// than it may hold, in passes over all of them. A pass holds what it is given if
// that is not too much. Otherwise it counts how many values lie in which cell, fine
// ones for small values and coarse ones for great values, and the next pass asks
// only about the cells in which a percentile lies. Cells shrink with each pass, so
// there is an end whatever the values are: mostly after the second pass.
//
// A Search belongs to one goroutine, and so does each of its Counters.
package ranks

import (
	"math/bits"

	"heed/internal/measure"
)

// Search looks for the percentiles of values, none of which is negative.
type Search struct {
	limit int
	total []int64    // values, by group
	found [][5]int64 // percentiles, by group
	spans []span     // in which percentiles lie, in order of group and of values
	first []int      // of a group's spans; one more than there are groups
	fine  int        // cells are of one value up to 1<<fine; then half as many for each doubling
	cells int        // of all spans
	sum   *Counter   // of the pass
	pass  int
}

// span is the values [from, from + 1<<bits) of a group.
type span struct {
	group  int
	from   int64
	bits   int
	below  int64 // values of the group that are less
	lo, hi int   // its percentiles, [lo, hi) of all
	cell   int   // its first one
}

// New searches groups. A counter holds so many values, or as many cells, but 64 cells
// for each percentile of a group at least.
func New(groups, limit int) *Search {
	s := &Search{limit: limit, total: make([]int64, groups), found: make([][5]int64, groups)}
	for g := range groups {
		s.spans = append(s.spans, span{group: g, bits: 63, hi: 5})
	}
	return s
}

// Next begins a pass: each value is to be added to one of the pass's counters, and
// each counter joined. False: nothing more is asked.
func (s *Search) Next() bool {
	if s.pass++; s.pass > 1 {
		s.narrow()
	}
	s.sum = nil
	s.lay()
	return len(s.spans) > 0
}

// lay gives the spans their cells, as fine as there is room.
func (s *Search) lay() {
	s.first = make([]int, len(s.total)+1)
	for i := range s.spans {
		s.first[s.spans[i].group+1] = i + 1
	}
	for g := range s.total {
		s.first[g+1] = max(s.first[g+1], s.first[g])
	}
	for s.fine = 10; ; s.fine-- {
		s.cells = 0
		for i := range s.spans {
			s.spans[i].cell = s.cells
			s.cells += s.size(s.spans[i].bits)
		}
		if s.cells <= s.limit || s.fine == 1 {
			return
		}
	}
}

// size is how many cells 1<<width values take.
func (s *Search) size(width int) int {
	if width <= s.fine {
		return 1 << width
	}
	return 1<<s.fine + (width-s.fine)<<(s.fine-1)
}

// cellOf is the cell of a value, counted from the start of its span.
func (s *Search) cellOf(offset uint64) int {
	shift := max(0, bits.Len64(offset)-s.fine)
	return shift<<(s.fine-1) + int(offset>>shift)
}

// valuesOf are those of a cell: [from, from + 1<<width), counted from the start of
// its span.
func (s *Search) valuesOf(cell int) (from int64, width int) {
	if cell < 1<<s.fine {
		return int64(cell), 0
	}
	width = cell>>(s.fine-1) - 1
	return int64(cell-width<<(s.fine-1)) << width, width
}

// Counter takes in values of one pass.
type Counter struct {
	s     *Search
	held  []value
	cells []int64 // nil: values are held
}

type value struct {
	span   int
	offset uint64 // from its start
}

// Counter begins one of the pass.
func (s *Search) Counter() *Counter { return &Counter{s: s} }

// Add takes in a value.
func (c *Counter) Add(group int, v int64) {
	s := c.s
	for i := s.first[group]; i < s.first[group+1]; i++ {
		in := &s.spans[i]
		offset := uint64(v - in.from)
		if offset>>in.bits != 0 {
			continue
		}
		if c.cells == nil {
			if len(c.held) < s.limit {
				c.held = append(c.held, value{i, offset})
				return
			}
			c.count()
		}
		c.cells[in.cell+s.cellOf(offset)]++
		return
	}
}

// count goes over from holding values to counting them.
func (c *Counter) count() {
	if c.cells != nil {
		return
	}
	c.cells = make([]int64, c.s.cells)
	for _, v := range c.held {
		c.cells[c.s.spans[v.span].cell+c.s.cellOf(v.offset)]++
	}
	c.held = nil
}

// Join takes over what a counter has.
func (s *Search) Join(c *Counter) {
	switch sum := s.sum; {
	case sum == nil:
		s.sum = c
	case sum.cells == nil && c.cells == nil && len(sum.held)+len(c.held) <= s.limit:
		sum.held = append(sum.held, c.held...)
	default:
		sum.count()
		c.count()
		for i, n := range c.cells {
			sum.cells[i] += n
		}
	}
}

// narrow finds out from a pass where the percentiles are.
func (s *Search) narrow() {
	if s.sum == nil {
		s.sum = s.Counter()
	}
	spans := s.spans
	s.spans = nil
	if s.sum.cells == nil {
		for i, offsets := range s.sum.bySpan(len(spans)) {
			s.pick(&spans[i], offsets)
		}
		return
	}
	for i := range spans {
		in := &spans[i]
		s.among(in, s.sum.cells[in.cell:in.cell+s.size(in.bits)])
	}
}

// bySpan sorts out what is held.
func (c *Counter) bySpan(spans int) [][]int64 {
	counts := make([]int, spans)
	for _, v := range c.held {
		counts[v.span]++
	}
	all, out := make([]int64, len(c.held)), make([][]int64, spans)
	for i, n := range counts {
		out[i], all = all[:0:n], all[n:]
	}
	for _, v := range c.held {
		out[v.span] = append(out[v.span], int64(v.offset))
	}
	return out
}

// ranks is where the percentiles of a span are, counted from its first value.
func (s *Search) ranks(in *span) (at []int) {
	percents := measure.Percents()
	for _, percent := range percents[in.lo:in.hi] {
		at = append(at, measure.Rank(int(s.total[in.group]), percent)-int(in.below))
	}
	return at
}

// pick finds the percentiles of a span of which all values are there.
func (s *Search) pick(in *span, offsets []int64) {
	if s.pass == 2 {
		s.total[in.group] = int64(len(offsets))
	}
	if len(offsets) == 0 {
		return
	}
	at := s.ranks(in)
	measure.Select(offsets, at)
	for i, k := range at {
		s.found[in.group][in.lo+i] = in.from + offsets[k]
	}
}

// among finds the cells of a span in which its percentiles lie.
func (s *Search) among(in *span, cells []int64) {
	if s.pass == 2 {
		for _, n := range cells {
			s.total[in.group] += n
		}
	}
	if s.total[in.group] == 0 {
		return
	}
	cell, below := 0, int64(0)
	for i, k := range s.ranks(in) {
		for below+cells[cell] <= int64(k) {
			below += cells[cell]
			cell++
		}
		which := in.lo + i
		from, width := s.valuesOf(cell)
		if width == 0 {
			s.found[in.group][which] = in.from + from
			continue
		}
		if n := len(s.spans); n > 0 && s.spans[n-1].group == in.group && s.spans[n-1].from == in.from+from {
			s.spans[n-1].hi++
			continue
		}
		s.spans = append(s.spans, span{group: in.group, from: in.from + from, bits: width, below: in.below + below, lo: which, hi: which + 1})
	}
}

// Percentiles are those of a group, once nothing more is asked; nil if it has no
// values.
func (s *Search) Percentiles(group int) *measure.Percentiles {
	if s.total[group] == 0 {
		return nil
	}
	return measure.PercentilesIn(s.found[group])
}
