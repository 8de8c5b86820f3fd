package ask

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"heed/internal/measure"
)

// walk is what a walk over users' events looks at.
type walk struct {
	from       string   // a relation of events
	predicates []string // events that meet none of them are passed over
	amount     string   // of an event, an expression; "": nothing is asked
	text       string   // of an event, likewise
	texts      *texts   // gathers what text says
}

// texts numbers what it has met, from 1.
type texts struct {
	numbers map[string]uint32
	by      []string // number; 0 is none
}

func newTexts() *texts { return &texts{numbers: map[string]uint32{}, by: []string{""}} }

func (t *texts) number(s string) uint32 {
	n := t.numbers[s]
	if n == 0 {
		n = uint32(len(t.by))
		t.numbers[s], t.by = n, append(t.by, s)
	}
	return n
}

// step is one event of a walk: its time, which of the predicates it meets, and
// what was asked of it.
type step struct {
	at     int64
	meet   uint64
	text   uint32 // its number; 0: it has none
	amount float64
}

func (s *step) meets(predicate int) bool { return s.meet>>predicate&1 == 1 }

// walks visits the users one after the other, each with the events that meet
// any of the predicates, in order. steps is reused.
func (a *asking) walks(ctx context.Context, w walk, visit func(user uint32, steps []step)) error {
	bits := make([]string, len(w.predicates))
	for i, p := range w.predicates {
		bits[i] = fmt.Sprintf("CASE WHEN %s THEN %d::BIGINT ELSE 0 END", p, int64(1)<<i)
	}
	meet := strings.Join(bits, " + ")
	columns, more := "u, t, meet", ""
	var text sql.NullString
	var u uint32
	var s step
	targets := []any{&u, &s.at, &s.meet}
	if w.text != "" {
		columns, more, targets = columns+", text", more+", "+w.text+" AS text", append(targets, &text)
	}
	if w.amount != "" {
		columns, more, targets = columns+", amount", more+", "+w.amount+" AS amount", append(targets, &s.amount)
	}
	statement := fmt.Sprintf("SELECT %s FROM (SELECT u, t, part, pos, %s AS meet%s FROM %s) WHERE meet <> 0 ORDER BY u, t, part, pos",
		columns, meet, more, w.from)
	var steps []step
	var user uint32
	err := a.each(ctx, statement, func(r *sql.Rows) error {
		if err := r.Scan(targets...); err != nil {
			return err
		}
		if s.text = 0; text.Valid {
			s.text = w.texts.number(text.String)
		}
		if u != user && len(steps) > 0 {
			visit(user, steps)
			steps = steps[:0]
		}
		user = u
		steps = append(steps, s)
		return nil
	})
	if err == nil && len(steps) > 0 {
		visit(user, steps)
	}
	return err
}

// walked is how far one user got in a funnel.
type walked struct {
	level     int
	open      bool
	converted bool
	took      int64
}

const never = int64(-1) << 62

// walkFunnel keeps, for each level, the latest start of the chains that stand there
// and that nothing forbidden has ended: none with an earlier start can get
// further than that one. best is scratch of steps+1 values.
func walkFunnel(steps []step, n int, window, asOf int64, in measure.Span, best []int64) (w walked) {
	for i := range best {
		best[i] = never
	}
	for _, s := range steps {
		for level := n - 1; level >= 1; level-- {
			reached := best[level] != never && s.meet>>level&1 == 1 && s.at-best[level] < window
			start := best[level]
			if s.meet>>(n+level)&1 == 1 { // forbidden on the way to this step
				best[level] = never
			}
			if !reached {
				continue
			}
			w.level = max(w.level, level+1)
			if level+1 < n {
				best[level+1] = max(best[level+1], start)
			} else if !w.converted {
				w.converted, w.took = true, s.at-start
			}
		}
		if s.meet&1 == 1 && in.Holds(s.at) {
			w.level = max(w.level, 1)
			if n > 1 {
				best[1] = max(best[1], s.at)
			} else if !w.converted {
				w.converted = true
			}
		}
	}
	for level := 1; level < n; level++ {
		w.open = w.open || best[level] != never && asOf-best[level] < window
	}
	return w
}

// funnelWalk is a walk for walkFunnel over the events of a relation that eventsOf
// makes.
func (a *asking) funnelWalk(f *measure.Funnel, in measure.Span, eventsOf eventsOf) (w walk, err error) {
	n := len(f.Steps)
	w.predicates = make([]string, 2*n)
	quiet := false
	for i := range f.Steps {
		p, q, err := a.match(f.Steps[i].Match())
		if err != nil {
			return w, err
		}
		w.predicates[i], w.predicates[n+i] = p, "false"
		quiet = quiet || q
		if f.Strict && i > 0 {
			w.predicates[n+i] = Activity
		}
		for _, m := range f.Steps[i].Without {
			p, q, err := a.match(m)
			if err != nil {
				return w, err
			}
			w.predicates[n+i] += " OR " + p
			quiet = quiet || q
		}
	}
	w.from, err = eventsOf(a.within(measure.Span{From: in.From, To: a.frame.AsOf}), quiet)
	return w, err
}

func (a *asking) funnel(ctx context.Context, f *measure.Funnel) (*measure.FunnelResult, error) {
	n := len(f.Steps)
	over, err := a.funnelWalk(f, a.span, a.events)
	if err != nil {
		return nil, err
	}
	values := map[uint32]*string{}
	if f.By != nil {
		if values, err = a.userValues(ctx, f.By); err != nil {
			return nil, err
		}
	}
	best := make([]int64, n+1)
	total := newFunnelCount(n)
	groups := map[string]*funnelCount{}
	err = a.walks(ctx, over, func(user uint32, steps []step) {
		w := walkFunnel(steps, n, f.Window.Micros(), a.frame.AsOf, a.span, best)
		if w.level == 0 {
			return
		}
		total.add(w)
		if f.By == nil {
			return
		}
		v := values[user]
		key := "-"
		if v != nil {
			key = "+" + *v
		}
		if groups[key] == nil {
			groups[key] = newFunnelCount(n)
			groups[key].value = v
		}
		groups[key].add(w)
	})
	if err != nil {
		return nil, err
	}
	out := &measure.FunnelResult{FunnelCount: total.result()}
	if f.By != nil {
		out.Groups = groupsOf(groups, n, f.Top)
	}
	return out, nil
}

// userValues is the value of each user.
func (a *asking) userValues(ctx context.Context, d *measure.Dimension) (map[uint32]*string, error) {
	relation, err := a.valuesOf(d)
	if err != nil {
		return nil, err
	}
	values := map[uint32]*string{}
	shared := map[string]*string{}
	err = a.each(ctx, "SELECT u, v FROM "+relation+" WHERE v IS NOT NULL", func(r *sql.Rows) error {
		var u uint32
		var v string
		if err := r.Scan(&u, &v); err != nil {
			return err
		}
		if shared[v] == nil {
			shared[v] = &v
		}
		values[u] = shared[v]
		return nil
	})
	return values, err
}

// funnelCount adds users up.
type funnelCount struct {
	value *string
	steps []measure.FunnelStep
	took  []int64
}

func newFunnelCount(n int) *funnelCount { return &funnelCount{steps: make([]measure.FunnelStep, n)} }

func (c *funnelCount) add(w walked) {
	for i := range w.level {
		c.steps[i].Reached++
	}
	switch {
	case w.converted:
		c.took = append(c.took, w.took)
	case w.open:
		c.steps[w.level-1].Progress++
	default:
		c.steps[w.level-1].Stuck++
	}
}

func (c *funnelCount) merge(o *funnelCount) {
	for i, s := range o.steps {
		c.steps[i].Reached += s.Reached
		c.steps[i].Stuck += s.Stuck
		c.steps[i].Progress += s.Progress
	}
	c.took = append(c.took, o.took...)
}

func (c *funnelCount) result() measure.FunnelCount {
	return measure.FunnelCount{Steps: c.steps, Convert: measure.PercentilesOf(c.took)}
}

func groupsOf(groups map[string]*funnelCount, n, top int) []measure.FunnelGroup {
	rows := make([]measure.Row, 0, len(groups))
	byValue := map[*string]*funnelCount{}
	for _, g := range groups {
		rows = append(rows, measure.Row{Values: []*string{g.value}, Count: float64(g.steps[0].Reached)})
		byValue[g.value] = g
	}
	measure.SortRows(rows)
	var out []measure.FunnelGroup
	rest := newFunnelCount(n)
	for i, r := range rows {
		g := byValue[r.Values[0]]
		if i < top {
			out = append(out, measure.FunnelGroup{Value: g.value, FunnelCount: g.result()})
		} else {
			rest.merge(g)
		}
	}
	if len(rows) > top {
		out = append(out, measure.FunnelGroup{Other: true, FunnelCount: rest.result()})
	}
	return out
}
