package trigger

// Reach is how far back (µs) events can matter to what the trigger does now;
// whole says that all of the past can, since a mark of once never ends.
func (p *Program) Reach() (back int64, whole bool) {
	return p.within + p.wait + p.delay + p.lateness + max(p.cooldown, p.per), p.once
}

// MaxAge is the largest max_age of the set, µs: live, an event received later
// than this after its time moves nothing.
func (s *Set) MaxAge() int64 { return s.maxAge }

// MaxAge is the trigger's max_age, µs.
func (p *Program) MaxAge() int64 { return p.maxAge }
