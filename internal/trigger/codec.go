package trigger

import (
	"encoding/binary"
	"fmt"
	"math"
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
)

// Flags of a buffered event.
const (
	isReset = 1 << iota
	isStop
	isActive
	isEvery
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
		dst = append(dst, 0)
		dst = e.append(dst, p, st.last)
		size := len(dst) - start - 1
		if size < 0x80 {
			dst[start] = byte(size)
			continue
		}
		var room [binary.MaxVarintLen64]byte
		n := binary.PutUvarint(room[:], uint64(size))
		dst = slices.Insert(dst, start+1, room[1:n]...)
		dst[start] = room[0]
	}
	return dst
}

func (e *entry) append(dst []byte, p *Program, base int64) []byte {
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
	if e.floor != 0 {
		dst[flags] |= hasFloor
		dst = binary.AppendVarint(dst, base-e.floor)
	}
	if len(e.rows) > 0 {
		dst[flags] |= hasRows
		if p.keyed {
			dst = binary.AppendUvarint(dst, uint64(len(e.rows)))
		}
		for i := range e.rows {
			dst = e.rows[i].append(dst, p, base)
		}
	}
	if len(e.buffer) > 0 {
		dst[flags] |= hasBuffer
		dst = binary.AppendUvarint(dst, uint64(len(e.buffer)))
		for i := range e.buffer {
			dst = e.buffer[i].append(dst, base)
		}
	}
	return dst
}

func (r *row) append(dst []byte, p *Program, base int64) []byte {
	if p.keyed {
		dst = binary.AppendUvarint(dst, uint64(len(r.key)))
		dst = append(dst, r.key...)
	}
	// The mask of live steps, below them whether a timer pends.
	var mask uint64
	for i := range r.parts {
		if r.parts[i].live {
			mask |= 1 << i
		}
	}
	mask <<= 1
	if r.pending {
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
	if r.pending {
		dst = binary.AppendVarint(dst, r.due-base)
		dst = r.cause.append(dst)
	}
	return dst
}

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
	flags := flag(rd.reset, isReset) | flag(rd.stop, isStop) | flag(rd.active, isActive) | flag(rd.every, isEvery)
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(len(rd.keys)))
	for _, key := range rd.keys {
		dst = binary.AppendUvarint(dst, uint64(len(key)))
		dst = append(dst, key...)
	}
	return rd.cause.append(dst)
}

// Decode reads what Append wrote. Rows of triggers that are not in the set, or
// whose pattern is another one by now, are dropped; marks of re-entry and limit
// live as long as a trigger of that name is in the set. Empty input is the empty
// State. On an error, which wraps ErrCorrupt, the State is empty. The State does
// not alias b.
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
		p := s.programs[index]
		body.entry(e, p, st.last, tag == p.tag)
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

func (r *reader) entry(e *entry, p *Program, base int64, same bool) {
	flags := r.byte()
	if flags >= hasFloor<<1 {
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
	if !same || r.bad {
		return // the rest is laid out for another pattern
	}
	if flags&hasFloor != 0 {
		e.floor = r.time(base)
	}
	if flags&hasRows != 0 {
		n := 1
		if p.keyed {
			n = r.count(maxValues)
		}
		for range n {
			r.row(e, p, base)
		}
	}
	if flags&hasBuffer != 0 {
		for range r.count(maxBuffered) {
			e.buffer = append(e.buffer, r.reading(p, base))
		}
	}
	if len(r.rest) > 0 {
		r.fail()
	}
}

func (r *reader) row(e *entry, p *Program, base int64) {
	var key []byte
	if p.keyed {
		key = r.bytes(r.count(maxKey))
	}
	if r.bad || e.row(string(key)) >= 0 {
		r.fail()
		return
	}
	w := e.add(p, string(key))
	mask := r.uvarint()
	w.pending = mask&1 != 0
	mask >>= 1
	if mask>>len(w.parts) != 0 || mask == 0 && !w.pending || w.pending && p.final == atOnce {
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
	if w.pending {
		w.due = r.span(base, 1)
		w.cause = r.cause()
	}
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
	if p.n < 64 && (rd.match>>p.n != 0 || rd.kill>>p.n != 0) {
		r.fail()
	}
	for range r.count(maxFanout) {
		rd.keys = append(rd.keys, string(r.bytes(r.count(maxKey))))
	}
	rd.cause = r.cause()
	return rd
}
