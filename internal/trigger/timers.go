package trigger

import "math"

// wake runs what is due of every trigger.
func (x *stepper) wake() {
	for i := range x.st.ents {
		x.catchUp(&x.st.ents[i])
	}
	x.touched = true
}

// catchUp runs the timers of an entry that are due, and takes the events that
// have waited long enough, in order of their logical time. At a tie the timer
// comes first, then the event that arrived first, then the version before the
// edit.
func (x *stepper) catchUp(e *entry) {
	p, old := x.set.programs[e.index], x.set.olds[e.index]
	for {
		q, s, h := p, &e.strand, e.next()
		if h.at > x.in.LogTime-p.lateness {
			h.at = math.MaxInt64
		}
		if old != nil {
			if was := e.old.next(); was.at <= x.in.LogTime-old.lateness && e.old.before(was, s, h) {
				q, s, h = old, &e.old, was
			}
		}
		switch {
		case h.at == math.MaxInt64:
			return
		case h.row < 0:
			x.release(q, e, s)
		default:
			x.expire(q, e, s, h, x.in.LogTime-q.lateness)
		}
	}
}

// before tells whether what happens next in s comes before what does in t.
func (s *strand) before(h happening, t *strand, other happening) bool {
	switch {
	case h.at != other.at:
		return h.at < other.at
	case h.row >= 0 || other.row >= 0:
		return h.row >= 0
	}
	return s.buffer[0].cause.offset <= t.buffer[0].cause.offset
}

// advanceTo runs the timers of a strand up to an event time.
func (x *stepper) advanceTo(p *Program, e *entry, s *strand, t int64) {
	for h := s.next(); h.row >= 0 && h.at <= t; h = s.next() {
		x.expire(p, e, s, h, h.at)
	}
}

// release applies the oldest event of the buffer.
func (x *stepper) release(p *Program, e *entry, s *strand) {
	rd := &x.st.released
	*rd = s.buffer[0]
	copy(s.buffer, s.buffer[1:])
	s.buffer[len(s.buffer)-1] = reading{}
	s.buffer = s.buffer[:len(s.buffer)-1]
	s.floor = max(s.floor, rd.t)
	x.apply(p, e, s, rd, nil)
	x.touched = true
}

// expire runs a timer that is over.
func (x *stepper) expire(p *Program, e *entry, s *strand, h happening, clock int64) {
	r := &s.rows[h.row]
	before := r.level(p)
	over := &r.count
	if h.answer {
		over = &r.answer
	}
	due, cause := over.due, over.cause
	over.on = false
	if !h.answer && !p.overlap {
		r.clear()
	}
	stale := x.in.Live && clock-due > p.maxStale
	delays := !h.answer && p.delay > 0 && !stale
	if delays && !r.answer.on && x.allowed(p, e, r.key, due) {
		r.answer = timer{true, due + p.delay, cause}
	}
	x.moved(p, e.index, before, r.level(p))
	switch {
	case stale:
		x.out.Counts.Stale++
		x.refuse(p, r.key, due, Overdue)
	case !delays:
		x.fire(p, e, r.key, due, cause, true)
	}
	// A firing may have forgotten every row.
	if h.row < len(s.rows) && s.rows[h.row].empty() {
		s.remove(h.row)
	}
	x.touched = true
}

// expired removes rows whose window has passed at time t.
func (x *stepper) expired(p *Program, e *entry, s *strand, t int64) {
	for i := len(s.rows) - 1; i >= 0; i-- {
		r := &s.rows[i]
		if start, ok := r.newest(); !r.pending() && (!ok || t-start >= p.within) {
			if r.level(p) > 1 {
				x.refuse(p, r.key, r.since(p)+p.within, Expired)
			}
			x.moved(p, e.index, r.level(p), 0)
			s.remove(i)
			x.touched = true
		}
	}
}

// prune forgets what no event that may still come live can need.
func (x *stepper) prune() {
	st := x.st
	for i := range st.ents {
		e := &st.ents[i]
		p, old := x.set.programs[e.index], x.set.olds[e.index]
		now := x.in.LogTime - p.keep(old)
		x.expired(p, e, &e.strand, now)
		if old != nil {
			x.expired(old, e, &e.old, now)
		}
		if e.free <= now {
			e.free = 0
		}
		if e.floor <= now {
			e.floor = 0
		}
		if e.old.floor <= now {
			e.old.floor = 0
		}
		if n := len(e.stamps); n > 0 && e.stamps[n-1]+p.per <= now {
			e.stamps = e.stamps[:0]
		}
	}
	if st.last != 0 && st.last+x.set.maxAge+slack <= x.in.LogTime {
		st.last = 0
	}
	x.touched = true
}
