package ask

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"heed/internal/condition"
	"heed/internal/consent"
	"heed/internal/event"
	"heed/internal/measure"
)

// members is a set of users by number.
type members []uint64

func (m *members) add(u uint32) {
	for int(u/64) >= len(*m) {
		*m = append(*m, 0)
	}
	(*m)[u/64] |= 1 << (u % 64)
}

func (m members) has(u uint32) bool { return int(u/64) < len(m) && m[u/64]>>(u%64)&1 == 1 }

// membersOf is those users that exist and are in a set, as a relation of u.
func (a *asking) membersOf(set members) string {
	n := a.db.Call(&Call{Holds: func(_ any, args []string) bool {
		u, err := parseUser(args[0])
		return err == nil && set.has(u)
	}})
	return fmt.Sprintf("(SELECT u FROM %s WHERE %s(%d, u::VARCHAR))", a.alive(), HoldsFunction, n)
}

// seen is the time of a node, and makes the relations of base that the node's
// own Where lets pass.
func (a *asking) seen(during measure.Range, c condition.Condition) (measure.Span, eventsOf, error) {
	span, err := a.frame.Span(during)
	if err != nil {
		return span, nil, err
	}
	where, err := a.holds(c)
	return span, func(predicate string, _ bool) (string, error) {
		return fmt.Sprintf("(SELECT * FROM %s WHERE %s AND %s)", a.base(), predicate, where), nil
	}, err
}

// keep is the users whose steps of a walk are as holds wants them.
func (a *asking) keep(w walk, holds func(steps []step) bool) (string, error) {
	var set members
	err := a.walks(a.ctx, w, func(user uint32, steps []step) {
		if holds(steps) {
			set.add(user)
		}
	})
	return a.membersOf(set), err
}

func (a *asking) inFunnel(in *measure.InFunnel) (string, error) {
	span, seen, err := a.seen(in.During, in.Where)
	if err != nil {
		return "", err
	}
	over, err := a.funnelWalk(&in.Funnel, span, seen)
	if err != nil {
		return "", err
	}
	n := len(in.Funnel.Steps)
	best := make([]int64, n+1)
	return a.keep(over, func(steps []step) bool {
		w := walkFunnel(steps, n, in.Funnel.Window.Micros(), a.frame.AsOf, span, best)
		open := w.open && w.level < n
		switch in.State {
		case measure.Stuck:
			return w.level == in.Level && w.level < n && !open
		case measure.Progress:
			return w.level == in.Level && open
		case measure.Reached:
		}
		return w.level >= in.Level
	})
}

func (a *asking) inRetention(in *measure.InRetention) (string, error) {
	span, seen, err := a.seen(in.During, in.Where)
	if err != nil {
		return "", err
	}
	cohort, err := a.frame.Span(measure.Range{From: in.Cohort})
	if err != nil {
		return "", err
	}
	r := &in.Retention
	over, err := a.retentionWalk(r, span, seen)
	if err != nil {
		return "", err
	}
	start := a.frame.Floor(cohort.From, r.Per)
	back := measure.Span{From: a.frame.Add(start, r.Per, in.Period), To: a.frame.AsOf}
	if !r.Unbounded {
		back.To = min(back.To, a.frame.Add(start, r.Per, in.Period+1))
	}
	return a.keep(over, func(steps []step) bool {
		at, ok := entered(r, steps, span)
		if !ok || a.frame.Floor(steps[at].at, r.Per) != start {
			return false
		}
		returned := in.Period == 0 || slices.ContainsFunc(steps, func(s step) bool { return s.meets(1) && back.Holds(s.at) })
		return returned != in.Lost
	})
}

func (a *asking) inPath(in *measure.InPath) (string, error) {
	span, seen, err := a.seen(in.During, in.Where)
	if err != nil {
		return "", err
	}
	over, err := a.pathWalk(&in.Paths, span, seen)
	if err != nil {
		return "", err
	}
	has := func(list []*string, names []uint32, depth int) bool {
		return slices.ContainsFunc(list, func(want *string) bool {
			if want == nil {
				return len(names) == depth-1
			}
			return len(names) >= depth && over.texts.by[names[depth-1]] == *want
		})
	}
	return a.keep(over, func(steps []step) bool {
		names, ok := follow(&in.Paths, steps, span)
		if !ok || in.Depth == 0 || len(names) < in.Depth-1 {
			return ok && in.Depth == 0
		}
		if in.Not && len(names) < in.Depth || has(in.Events, names, in.Depth) == in.Not {
			return false
		}
		return in.Depth < 2 || len(in.Previous) == 0 || has(in.Previous, names, in.Depth-1) != in.NotPrevious
	})
}

func (a *asking) inSession(in *measure.InSession) (string, error) {
	span, seen, err := a.seen(in.During, in.Where)
	if err != nil {
		return "", err
	}
	over, err := a.sessionWalk(measure.Span{From: span.From, To: min(span.To, a.frame.AsOf)}, seen)
	if err != nil {
		return "", err
	}
	return a.keep(over, func(steps []step) bool {
		found := false
		cut(steps, func(start, _, _ int64) { found = found || span.Holds(start) })
		return found
	})
}

// known visits the users that said something of themselves, each with what is
// known today: the traits, or the consent.
func (a *asking) known(what string, visit func(user uint32, doc []byte) error) error {
	columns, where := "traits, NULL", "type = 'identify' AND traits IS NOT NULL"
	if what == "consent" {
		columns, where = "CASE WHEN type = 'identify' THEN traits END, consent", "(type = 'identify' AND contains(traits, 'consent') OR consent IS NOT NULL)"
	}
	var user uint32
	doc := map[string]json.RawMessage{}
	end := func() error {
		if len(doc) == 0 {
			return nil
		}
		text, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		clear(doc)
		return visit(user, text)
	}
	statement := fmt.Sprintf("SELECT u, %s FROM %s WHERE %s AND %s ORDER BY u, t, part, pos", columns, a.ever(), tells, where)
	err := a.each(a.ctx, statement, func(r *sql.Rows) error {
		var u uint32
		var traits, consent sql.NullString
		if err := r.Scan(&u, &traits, &consent); err != nil {
			return err
		}
		if u != user {
			if err := end(); err != nil {
				return err
			}
			user = u
		}
		if what != "consent" {
			return put(doc, []byte(traits.String))
		}
		if err := put(doc, []byte(consent.String)); err != nil || !traits.Valid {
			return err
		}
		var said struct{ Consent json.RawMessage }
		if err := json.Unmarshal([]byte(traits.String), &said); err != nil {
			return err
		}
		return put(doc, said.Consent)
	})
	if err != nil {
		return err
	}
	return end()
}

// put writes an object's values over those of another; null removes one.
func put(into map[string]json.RawMessage, doc []byte) error {
	if len(doc) == 0 || doc[0] != '{' {
		return nil
	}
	var said map[string]json.RawMessage
	if err := json.Unmarshal(doc, &said); err != nil {
		return err
	}
	for k, v := range said {
		if string(v) == "null" {
			delete(into, k)
		} else {
			into[k] = v
		}
	}
	return nil
}

// byTraits is the users whose traits meet a condition.
func (a *asking) byTraits(c condition.Condition) (string, error) {
	p, err := condition.Compile(c, condition.ForProfile)
	if err != nil {
		return "", err
	}
	if p.Eval(&condition.Facts{Event: &event.Event{}}) {
		// It holds for those of whom nothing is known: look for the others.
		var set members
		err := a.known("traits", func(u uint32, doc []byte) error {
			if !p.Eval(&condition.Facts{Traits: doc}) {
				set.add(u)
			}
			return nil
		})
		return "(FROM " + a.alive() + " EXCEPT FROM " + a.membersOf(set) + ")", err
	}
	var set members
	err = a.known("traits", func(u uint32, doc []byte) error {
		if p.Eval(&condition.Facts{Traits: doc}) {
			set.add(u)
		}
		return nil
	})
	return a.membersOf(set), err
}

// consenting is the users who gave a consent.
func (a *asking) consenting(channel string) (string, error) {
	var set members
	err := a.known("consent", func(u uint32, doc []byte) error {
		var gave map[string]json.RawMessage
		if err := json.Unmarshal(doc, &gave); err != nil {
			return err
		}
		if consent.Read(string(gave[channel])).State == consent.Granted {
			set.add(u)
		}
		return nil
	})
	return a.membersOf(set), err
}

// said is the value of a field of traits.* or consent.*, as a relation of u and
// v of all users that exist.
func (a *asking) said(d *measure.Dimension, what, name string) (string, error) {
	f, err := condition.CompileField("traits." + name)
	if err != nil {
		return "", err
	}
	values := map[uint32]string{}
	shared := map[string]string{}
	err = a.known(what, func(u uint32, doc []byte) error {
		got := f.Texts(&condition.Facts{Traits: doc}, nil, 1)
		if len(got) == 0 {
			return nil
		}
		if v := d.Bucket(&got[0]); v != nil {
			if _, ok := shared[*v]; !ok {
				shared[*v] = *v
			}
			values[u] = shared[*v]
		}
		return nil
	})
	n := a.db.Call(&Call{Text: func(_ any, args []string) (string, bool) {
		u, err := parseUser(args[0])
		v, ok := values[u]
		return v, ok && err == nil
	}})
	return fmt.Sprintf("(SELECT u, %s(%d, u::VARCHAR) AS v FROM %s)", TextFunction, n, a.alive()), err
}
