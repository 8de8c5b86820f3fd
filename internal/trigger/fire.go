package trigger

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
)

// fire settles a match: it fires, or is refused and consumed all the same.
func (x *stepper) fire(p *Program, e *entry, key []byte, at int64, c cause, timer bool) {
	x.touched = true
	if old := x.set.olds[e.index]; old != nil {
		x.restart(p, old, e, key, at, c, timer)
	}
	if !x.allowed(p, e, key, at) {
		return
	}
	x.out.Firings = append(x.out.Firings, Firing{
		Program: p.shown(), Key: string(key), At: at, FireID: fireID(x.user, p, key, at, c, timer),
		Offset: c.offset, CauseKey: c.key, Depth: c.depth, Timer: timer,
	})
	if p.limit > 0 {
		if len(e.stamps) >= p.limit {
			copy(e.stamps, e.stamps[len(e.stamps)-p.limit+1:])
			e.stamps = e.stamps[:p.limit-1]
		}
		e.stamps = append(e.stamps, at)
		for i := len(e.stamps) - 1; i > 0 && e.stamps[i] < e.stamps[i-1]; i-- {
			e.stamps[i], e.stamps[i-1] = e.stamps[i-1], e.stamps[i]
		}
	}
	if !p.once && p.cooldown == 0 {
		return
	}
	e.once = p.once
	if p.cooldown > 0 {
		e.free = max(e.free, at+p.cooldown)
	}
	// Nothing from before lives through a cooldown.
	x.forget(p.shown(), e)
	e.old.rows = e.old.rows[:0]
}

// forget removes all rows of the pattern in force.
func (x *stepper) forget(p *Program, e *entry) {
	for i := range e.rows {
		x.moved(p, e.index, e.rows[i].level(p), 0)
	}
	e.rows = e.rows[:0]
}

// restart makes both versions of an edited pattern begin anew when one of them
// was completed, as if neither had seen anything up to there.
func (x *stepper) restart(p, old *Program, e *entry, key []byte, at int64, c cause, timer bool) {
	alike := old.by == p.shown().by
	other := &e.strand
	if p.heir == nil {
		other = &e.old
	} else if i := e.old.row(string(key)); i >= 0 {
		r := &e.old.rows[i] // removed by who fires
		r.clear()
		r.count.on, r.answer.on = false, false
	}
	upTo := c.offset
	if timer {
		upTo = 0
	}
	other.consume(string(key), !alike || !p.keyed, at, upTo)
	switch {
	case p.heir == nil && !alike:
		e.old.rows = e.old.rows[:0]
	case p.heir == nil:
		if i := e.old.row(string(key)); i >= 0 {
			e.old.remove(i)
		}
	case !alike:
		x.forget(p.heir, e)
	default:
		if i := e.row(string(key)); i >= 0 {
			x.moved(p.heir, e.index, e.rows[i].level(p.heir), 0)
			e.remove(i)
		}
	}
	if timer || p.heir == nil {
		return
	}
	if x.used.cause != c || !x.used.any {
		x.used = used{any: true, cause: c}
	}
	x.used.every = x.used.every || !alike
	x.used.keys = append(x.used.keys, string(key))
}

// consume takes what waits up to a time out of the buffer: of a tie what arrived
// up to an offset.
func (s *strand) consume(key string, every bool, at int64, upTo uint64) {
	for i := 0; i < len(s.buffer) && s.buffer[i].t <= at; {
		rd := &s.buffer[i]
		switch {
		case rd.t == at && rd.cause.offset > upTo:
		case every:
			s.buffer = slices.Delete(s.buffer, i, i+1)
			continue
		default:
			rd.keys = slices.DeleteFunc(slices.Clone(rd.keys), func(k string) bool { return k == key })
		}
		i++
	}
}

// allowed asks the audience and the limit, and notes a refusal.
func (x *stepper) allowed(p *Program, e *entry, key []byte, at int64) bool {
	if p.audience != "" && x.in.InAudience != nil && !x.in.InAudience(p.audience) {
		x.out.Counts.Outside++
		x.refuse(p, key, at, Outside)
		return false
	}
	if p.limit > 0 {
		recent := 0
		for _, s := range e.stamps {
			if at-s < p.per {
				recent++
			}
		}
		if recent >= p.limit {
			x.out.Counts.Limited++
			x.refuse(p, key, at, Limited)
			return false
		}
	}
	return true
}

func (x *stepper) refuse(p *Program, key []byte, at int64, why Reason) {
	x.out.Refusals = append(x.out.Refusals, Refusal{p.shown(), string(key), at, why})
}

// fireID names a firing: the same for every replay of the same log, whatever
// the partitions, restarts or batches.
func fireID(user string, p *Program, key []byte, at int64, c cause, timer bool) [16]byte {
	var room [512]byte
	b := room[:0]
	for _, s := range [...]string{user, p.Name} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = append(b, p.Pattern[:]...)
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = append(b, key...)
	if timer {
		b = append(b, 't')
		b = binary.BigEndian.AppendUint64(b, uint64(at))
	} else {
		b = append(b, 'e')
	}
	b = append(b, c.key[:]...)
	sum := sha256.Sum256(b)
	return [16]byte(sum[:16])
}

// addKeys appends values of by; very long ones are hashed.
func addKeys(dst, texts []string) []string {
	for _, s := range texts {
		if len(s) > maxKey {
			sum := sha256.Sum256([]byte(s))
			s = hex.EncodeToString(sum[:])
		}
		dst = append(dst, s)
	}
	return dst
}
