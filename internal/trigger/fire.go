package trigger

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// fire settles a match: it fires, or is refused and consumed all the same.
func (x *stepper) fire(p *Program, e *entry, key []byte, at int64, c cause, timer bool) {
	x.touched = true
	if old := x.set.olds[e.index]; old != nil {
		x.restart(p, old, e, key, c, timer)
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
// was completed: the chance that the older one had is used.
func (x *stepper) restart(p, old *Program, e *entry, key []byte, c cause, timer bool) {
	alike := old.by == p.shown().by
	if i := e.old.row(string(key)); !alike && p.heir == nil {
		e.old.rows = e.old.rows[:0]
	} else if i >= 0 {
		r := &e.old.rows[i]
		r.clear()
		r.count.on, r.answer.on = false, false
		if p.heir == nil {
			e.old.remove(i)
		}
	}
	if p.heir == nil {
		return
	}
	if !alike {
		x.forget(p.heir, e)
	} else if i := e.row(string(key)); i >= 0 {
		x.moved(p.heir, e.index, e.rows[i].level(p.heir), 0)
		e.remove(i)
	}
	if timer {
		return // no event was used
	}
	if x.used.cause != c || !x.used.any {
		x.used = used{any: true, cause: c}
	}
	x.used.every = x.used.every || !alike
	x.used.keys = append(x.used.keys, string(key))
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
