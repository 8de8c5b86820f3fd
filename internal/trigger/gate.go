package trigger

import "heed/internal/condition"

// gated tells whether only members of the audience can begin anything: for
// others, as long as nothing is known of them, events mean nothing.
func (p *Program) gated() bool {
	return p.audience != "" && !p.buffered && len(p.stages) > 0 && (p.hold || p.alone())
}

// alone tells whether one event is all there is to the pattern: of somebody
// outside the audience it is a refusal and nothing else.
func (p *Program) alone() bool { return p.units == 1 && p.final == atOnce && p.delay == 0 && !p.keyed }

// shut tells whether a trigger that knows nothing of the user begins nothing,
// and notes a refusal if the event at hand would have fired it. Such an event
// does not move the user's clock: it may be discarded unseen.
func (x *stepper) shut(r *route) bool {
	p := r.prog
	if r.role == nil || !p.gated() || x.in.InAudience == nil || x.in.InAudience(p.audience) {
		return false
	}
	if p.alone() && r.role.match != 0 && x.holds(p.bits[0].where) {
		x.out.Counts.Outside++
		x.refuse(p, nil, min(x.in.Time, x.in.LogTime), Outside)
	}
	return true
}

// Audience is the one that users have to be in; "" if they need not.
func (p *Program) Audience() string { return p.audience }

// Gate is a trigger that means nothing to users outside its audience of whom it
// knows nothing yet.
type Gate struct {
	Program  *Program
	Audience string
	refuses  bool
	where    *condition.Program
}

// Refuses tells whether the event of somebody outside counts as a refusal.
func (g *Gate) Refuses(f *condition.Facts) bool { return g.refuses && g.where.Eval(f) }

// Gates are those of each event name that is read by triggers with a gate only:
// such events of users outside may be discarded.
func (s *Set) Gates() map[string][]Gate {
	out := make(map[string][]Gate)
names:
	for name, routes := range s.routes {
		var gates []Gate
		for _, r := range routes {
			p := r.prog
			if r.role == nil || !p.gated() { // without a role only the version before the last edit reads it
				continue names
			}
			g := Gate{Program: p, Audience: p.audience}
			if p.alone() && r.role.match != 0 {
				g.refuses, g.where = true, p.bits[0].where
			}
			gates = append(gates, g)
		}
		if len(gates) > 0 {
			out[name] = gates
		}
	}
	return out
}

// Knows visits the triggers that know something of the user.
func (st *State) Knows(visit func(p *Program)) {
	for i := range st.ents {
		visit(st.set.programs[st.ents[i].index])
	}
}
