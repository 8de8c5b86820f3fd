package trigger

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// The stored form of a State: a version, the newest
// event time, then for each trigger its name's and pattern's hashes, the length
// of its body and the body. Times are varints relative to the newest event
// time, so that a row of three steps with a timer takes some 50 bytes.
const version = 1

// Parts of a body.
const (
	hasOnce = 1 << iota
	hasFree
	hasStamps
	hasRows
	hasBuffer
	hasFloor
	hasOld
)

// Flags of a buffered event.
const (
	isReset = 1 << iota
	isStop
	isActive
	isEvery
	isCancel
	isLater
)

// Append writes the rows compactly. An empty State appends nothing.
func (s *Set) Append(dst []byte, st *State) []byte {
	if st.Empty() {
		return dst
	}
	dst = append(dst, version)
	dst = binary.AppendVarint(dst, st.last)
	for i := range st.ents {
		e := &st.ents[i]
		p := s.programs[e.index]
		dst = append(dst, p.id[:]...)
		dst = append(dst, p.tag[:]...)
		start := len(dst)
		dst = e.append(append(dst, 0), p, s.olds[e.index], st.last)
		dst = measure(dst, start)
	}
	return dst
}

// measure writes the length of what follows dst[start] there.
func measure(dst []byte, start int) []byte {
	size := len(dst) - start - 1
	if size < 0x80 {
		dst[start] = byte(size)
		return dst
	}
	var room [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(room[:], uint64(size))
	dst = slices.Insert(dst, start+1, room[1:n]...)
	dst[start] = room[0]
	return dst
}

func (e *entry) append(dst []byte, p, old *Program, base int64) []byte {
	flags := len(dst)
	dst = append(dst, 0)
	if e.once {
		dst[flags] |= hasOnce
	}
	if e.free != 0 {
		dst[flags] |= hasFree
		dst = binary.AppendVarint(dst, base-e.free)
	}
	if len(e.stamps) > 0 {
		dst[flags] |= hasStamps
		dst = binary.AppendUvarint(dst, uint64(len(e.stamps)))
		for _, s := range e.stamps {
			dst = binary.AppendVarint(dst, base-s)
		}
	}
	if old != nil && !e.old.empty() {
		dst[flags] |= hasOld
		dst = append(dst, old.tag[:]...)
		start := len(dst)
		dst = append(dst, 0, 0)
		has, more := e.old.append(dst, old, base)
		more[start+1] = has
		dst = measure(more, start)
	}
	has, dst := e.strand.append(dst, p, base)
	dst[flags] |= has
	return dst
}

// append writes the strand and tells which parts it has.
func (s *strand) append(dst []byte, p *Program, base int64) (flags byte, _ []byte) {
	if s.floor != 0 {
		flags |= hasFloor
		dst = binary.AppendVarint(dst, base-s.floor)
	}
	if len(s.rows) > 0 {
		flags |= hasRows
		if p.keyed {
			dst = binary.AppendUvarint(dst, uint64(len(s.rows)))
		}
		for i := range s.rows {
			dst = s.rows[i].append(dst, p, base)
		}
	}
	if len(s.buffer) > 0 {
		flags |= hasBuffer
		dst = binary.AppendUvarint(dst, uint64(len(s.buffer)))
		for i := range s.buffer {
			dst = s.buffer[i].append(dst, base)
		}
	}
	return flags, dst
}

func (r *row) append(dst []byte, p *Program, base int64) []byte {
	if p.keyed {
		dst = binary.AppendUvarint(dst, uint64(len(r.key)))
		dst = append(dst, r.key...)
	}
	// The mask of live steps, below them which timers run: of most programs there
	// is one only.
	var mask uint64
	for i := range r.parts {
		if r.parts[i].live {
			mask |= 1 << i
		}
	}
	mask <<= 1
	if p.twoTimers() {
		mask <<= 1
		if r.answer.on {
			mask |= 2
		}
	}
	if r.count.on || !p.twoTimers() && r.answer.on {
		mask |= 1
	}
	dst = binary.AppendUvarint(dst, mask)
	for i := range r.parts {
		q := &r.parts[i]
		if !q.live {
			continue
		}
		dst = binary.AppendVarint(dst, base-q.start)
		if !p.lasts {
			continue
		}
		dst = binary.AppendVarint(dst, q.last-q.start)
		if !p.increasing {
			continue
		}
		if !q.earlier {
			dst = append(dst, 0)
			continue
		}
		dst = append(dst, 1)
		dst = binary.AppendVarint(dst, base-q.earlierStart)
		dst = binary.AppendVarint(dst, q.earlierEnd-q.earlierStart)
	}
	if p.stamped {
		dst = binary.AppendUvarint(dst, uint64(len(r.stamps)))
		for i := range r.stamps {
			m := &r.stamps[i]
			dst = append(dst, byte(m.bit))
			if p.distinct&(1<<m.bit) != 0 {
				dst = binary.LittleEndian.AppendUint64(dst, m.value)
			}
			dst = binary.AppendVarint(dst, base-m.start)
		}
	}
	for _, t := range [...]*timer{&r.count, &r.answer} {
		if t.on {
			dst = binary.AppendVarint(dst, t.due-base)
			dst = t.cause.append(dst)
		}
	}
	return dst
}

// twoTimers tells whether a row may have a countdown and an answer at once.
func (p *Program) twoTimers() bool { return p.counts() && p.delay > 0 }

func (c *cause) append(dst []byte) []byte {
	dst = append(dst, c.key[:]...)
	dst = binary.AppendUvarint(dst, c.offset)
	return binary.AppendUvarint(dst, uint64(c.depth))
}

func flag(on bool, bit byte) byte {
	if on {
		return bit
	}
	return 0
}

func (rd *reading) append(dst []byte, base int64) []byte {
	dst = binary.AppendVarint(dst, base-rd.t)
	dst = binary.AppendUvarint(dst, rd.match)
	dst = binary.AppendUvarint(dst, rd.kill)
	flags := flag(rd.reset, isReset) | flag(rd.stop, isStop) | flag(rd.active, isActive) | flag(rd.every, isEvery) |
		flag(rd.cancel, isCancel) | flag(rd.later, isLater)
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(len(rd.keys)))
	for _, key := range rd.keys {
		dst = binary.AppendUvarint(dst, uint64(len(key)))
		dst = append(dst, key...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(rd.values)))
	for _, v := range rd.values {
		dst = binary.LittleEndian.AppendUint64(dst, v)
	}
	return rd.cause.append(dst)
}

// Decode reads what Append wrote. Rows of triggers that are not in the set, or
// whose pattern is neither the one in force nor the one before the last edit, are
// dropped; marks of re-entry and limit live as long as a trigger of that name is
// in the set. Empty input is the empty State. On an error, which wraps
// ErrCorrupt, the State is empty. The State does not alias b.
func (s *Set) Decode(b []byte, st *State) error {
	st.reset()
	st.set = s
	if len(b) == 0 {
		return nil
	}
	r := reader{rest: b}
	if v := r.byte(); v != version {
		return fmt.Errorf("%w: version %d", ErrCorrupt, v)
	}
	st.last = r.span(0, 1)
	before := -1
	for len(r.rest) > 0 && !r.bad {
		var id ident
		var tag [4]byte
		copy(id[:], r.bytes(len(id)))
		copy(tag[:], r.bytes(len(tag)))
		body := reader{rest: r.bytes(r.count(math.MaxInt32))}
		if r.bad {
			break
		}
		index, known := s.byName[id]
		if !known {
			continue
		}
		if index == before || st.find(index) != nil {
			r.bad = true
			break
		}
		before = index
		e := st.open(index)
		st.dropped += body.entry(e, s.programs[index], s.olds[index], st.last, tag)
		r.bad = r.bad || body.bad
	}
	if r.bad {
		st.reset()
		return fmt.Errorf("%w: %d bytes", ErrCorrupt, len(b))
	}
	for i := len(st.ents) - 1; i >= 0; i-- {
		if st.ents[i].empty() {
			st.drop(i)
		}
	}
	st.plan()
	return nil
}

// reader takes values off bytes; after the first that is wrong it is bad and
// yields zeros.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) fail() { r.rest, r.bad = nil, true }

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.rest) {
		r.fail()
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// count is a number of things, at most limit.
func (r *reader) count(limit int) int {
	v := r.uvarint()
	if v > uint64(limit) {
		r.fail()
		return 0
	}
	return int(v)
}

// farthest bounds times, so that sums of them cannot overflow.
const farthest = int64(1) << 60

// time is base - what was written: most times are older than the base.
func (r *reader) time(base int64) int64 { return r.span(base, -1) }

// span is base + sign x what was written, within bounds.
func (r *reader) span(base, sign int64) int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 || v > farthest || v < -farthest {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	if v = base + sign*v; v > farthest || v < -farthest {
		r.fail()
		return 0
	}
	return v
}

// entry reads the body of a trigger and tells how many strands it had to drop.
func (r *reader) entry(e *entry, p, old *Program, base int64, tag [4]byte) (dropped int) {
	flags := r.byte()
	if flags >= hasOld<<1 {
		r.fail()
	}
	e.once = flags&hasOnce != 0
	if flags&hasFree != 0 {
		e.free = r.time(base)
	}
	if flags&hasStamps != 0 {
		for range r.count(maxLimit) {
			e.stamps = append(e.stamps, r.time(base))
		}
	}
	if flags&hasOld != 0 {
		var was [4]byte
		copy(was[:], r.bytes(len(was)))
		rest := reader{rest: r.bytes(r.count(math.MaxInt32))}
		if r.bad || was == tag {
			r.fail()
			return 0
		}
		switch {
		case old != nil && was == old.tag:
			rest.strand(rest.byte(), &e.old, old, base)
		case was == p.tag: // the edit was taken back
			rest.strand(rest.byte(), &e.strand, p, base)
		default:
			dropped++
		}
		r.bad = r.bad || rest.bad
	}
	if r.bad {
		return dropped
	}
	flags &= hasFloor | hasRows | hasBuffer
	switch {
	case tag == p.tag:
		r.strand(flags, &e.strand, p, base)
	case old != nil && tag == old.tag:
		r.strand(flags, &e.old, old, base)
	case flags&(hasRows|hasBuffer) != 0:
		dropped++ // the rest is laid out for another pattern
	}
	return dropped
}

// strand reads all that is left.
func (r *reader) strand(flags byte, s *strand, p *Program, base int64) {
	if flags&hasFloor != 0 {
		s.floor = r.time(base)
	}
	if flags&hasRows != 0 {
		n := 1
		if p.keyed {
			n = r.count(maxValues)
		}
		for range n {
			r.row(s, p, base)
		}
	}
	if flags&hasBuffer != 0 {
		for range r.count(maxBuffered) {
			s.buffer = append(s.buffer, r.reading(p, base))
		}
	}
	if len(r.rest) > 0 || flags&^(hasFloor|hasRows|hasBuffer) != 0 {
		r.fail()
	}
}

func (r *reader) row(s *strand, p *Program, base int64) {
	var key []byte
	if p.keyed {
		key = r.bytes(r.count(maxKey))
	}
	if r.bad || s.row(string(key)) >= 0 {
		r.fail()
		return
	}
	w := s.add(p, string(key))
	mask := r.uvarint()
	on := mask&1 != 0
	mask >>= 1
	switch {
	case p.twoTimers():
		w.count.on, w.answer.on = on, mask&1 != 0
		mask >>= 1
	case p.counts():
		w.count.on = on
	default:
		w.answer.on = on
	}
	if mask>>len(w.parts) != 0 || w.answer.on && p.delay == 0 {
		r.fail()
		return
	}
	for i := range w.parts {
		if mask&(1<<i) == 0 {
			continue
		}
		q := &w.parts[i]
		q.live, q.start = true, r.time(base)
		if !p.lasts {
			continue
		}
		q.last = r.span(q.start, 1)
		if p.increasing {
			if q.earlier = r.byte() != 0; q.earlier {
				q.earlierStart = r.time(base)
				q.earlierEnd = r.span(q.earlierStart, 1)
			}
		}
	}
	if p.stamped {
		for range r.count(maxSteps) {
			r.stamp(w, p, base)
		}
	}
	for _, t := range [...]*timer{&w.count, &w.answer} {
		if t.on {
			t.due = r.span(base, 1)
			t.cause = r.cause()
		}
	}
	if w.empty() {
		r.fail()
	}
}

func (r *reader) stamp(w *row, p *Program, base int64) {
	m := stamp{bit: int(r.byte())}
	if m.bit >= len(p.bits) || p.stages[p.bits[m.bit].stage].kind == single {
		r.fail()
		return
	}
	if p.distinct&(1<<m.bit) != 0 {
		if b := r.bytes(8); b != nil {
			m.value = binary.LittleEndian.Uint64(b)
		}
	}
	m.start = r.time(base)
	if slices.ContainsFunc(w.stamps, func(s stamp) bool { return s.bit == m.bit && s.value == m.value }) {
		r.fail()
	}
	w.stamps = append(w.stamps, m)
}

func (r *reader) cause() cause {
	var c cause
	copy(c.key[:], r.bytes(len(c.key)))
	c.offset = r.uvarint()
	c.depth = r.count(math.MaxInt32)
	return c
}

func (r *reader) reading(p *Program, base int64) reading {
	rd := reading{t: r.time(base), match: r.uvarint(), kill: r.uvarint()}
	flags := r.byte()
	rd.reset, rd.stop = flags&isReset != 0, flags&isStop != 0
	rd.active, rd.every = flags&isActive != 0, flags&isEvery != 0
	rd.cancel, rd.later = flags&isCancel != 0, flags&isLater != 0
	if n := len(p.bits); n < 64 && (rd.match>>n != 0 || rd.kill>>n != 0) {
		r.fail()
	}
	for range r.count(maxFanout) {
		rd.keys = append(rd.keys, string(r.bytes(r.count(maxKey))))
	}
	for range r.count(maxSteps) {
		if b := r.bytes(8); b != nil {
			rd.values = append(rd.values, binary.LittleEndian.Uint64(b))
		}
	}
	if len(rd.values) != bits.OnesCount64(rd.match&p.distinct) {
		r.fail()
	}
	rd.cause = r.cause()
	return rd
}
