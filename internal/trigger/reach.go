package trigger

// Reach is how far back (µs) events can matter to what the trigger does now;
// whole says that all of the past can, since a mark of once never ends.
func (p *Program) Reach() (back int64, whole bool) {
	return p.within + p.wait + p.lateness + max(p.cooldown, p.per), p.once
}

// Audience is the audience that is asked when the trigger fires; "" if none is.
func (p *Program) Audience() string { return p.audience }

// MaxAge is the largest max_age of the set, µs: live, an event received later
// than this after its time moves nothing.
func (s *Set) MaxAge() int64 { return s.maxAge }
