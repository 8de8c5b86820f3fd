package backtest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"heed/internal/condition"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/trigger"
)

// Step is an event that was one of those that led to a firing.
type Step struct {
	Offset uint64 // in the example's partition
	Record []byte // bare Avro form
}

// Bounds of looking for steps.
const (
	maxSteps   = 20
	stepEvents = 200_000 // that are read for the examples of one partition
)

// reads tells what events of a name are to a trigger: a step that has no
// condition, or one that has.
type reads struct {
	names map[string][]*condition.Program // nil entries: no condition
	by    map[string]*condition.Field     // nil: no correlation
}

func readsOf(d *trigger.Definition) reads {
	out := reads{names: map[string][]*condition.Program{}}
	add := func(name string, c *condition.Condition) {
		var where *condition.Program
		if c != nil && !asksIn(c, "traits.") && !asksIn(c, "pull.") { // what held at that moment is not at hand any more
			where, _ = condition.Compile(*c, condition.ForEvent) // the trigger was checked
		}
		out.names[name] = append(out.names[name], where)
	}
	for i := range d.Pattern {
		s := &d.Pattern[i]
		if s.Event != "" {
			add(s.Event, s.Where)
		}
		for j := range s.All {
			add(s.All[j].Event, s.All[j].Where)
		}
	}
	if d.By == nil {
		return out
	}
	out.by = map[string]*condition.Field{}
	for name := range out.names {
		field := d.By.Field
		if d.By.PerEvent != nil {
			field = d.By.PerEvent[name]
		}
		if f, err := condition.CompileField(field); err == nil { // as above
			out.by[name] = f
		}
	}
	return out
}

// step tells whether the event can have been a step of a row with that key.
func (r *reads) step(e *event.Event, key string) bool {
	facts := condition.Facts{Event: e}
	if f := r.by[e.Name]; f != nil && !slices.Contains(f.Texts(&facts, nil, 64), key) {
		return false
	}
	return slices.ContainsFunc(r.names[e.Name], func(where *condition.Program) bool {
		return where == nil || where.Eval(&facts)
	})
}

// steps finds the events that led to the examples: those of the user that were
// one of the trigger's steps in its window, up to the one that completed it.
func (r *run) steps(ctx context.Context, examples []Example) error {
	reads := readsOf(r.req.Trigger)
	for _, p := range r.parts {
		byUser := map[string][]*Example{}
		lo, hi, since := p.end, uint64(0), r.now
		for i := range examples {
			if e := &examples[i]; e.Partition == p.number {
				byUser[e.User] = append(byUser[e.User], e)
				hi, since = max(hi, e.Offset+1), min(since, e.Since)
			}
		}
		if len(byUser) == 0 {
			continue
		}
		log := r.b.deps.Log
		bounds, err := log.Bounds(ctx, eventlog.Events, p.number)
		if err == nil {
			lo, err = eventlog.OffsetAt(ctx, log, eventlog.Events, p.number, bounds, since)
		}
		if err != nil {
			return fmt.Errorf("backtest: find the steps of examples: %w", err)
		}
		lo = max(min(lo, hi-1), p.first)
		if hi-lo > stepEvents {
			lo = hi - stepEvents
		}
		p.first, p.end = lo, hi
		if err := r.stepsOf(ctx, p, &reads, byUser); err != nil {
			return err
		}
	}
	return nil
}

// stepsOf reads a part for the examples.
func (r *run) stepsOf(ctx context.Context, p part, reads *reads, byUser map[string][]*Example) (err error) {
	s, err := r.open(ctx, p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.reader.Close()) }()
	for s.more {
		if err := r.visit(s, func(_ *source, offset uint64, record []byte) { r.stepOf(offset, record, reads, byUser) }); err != nil {
			return err
		}
		if err := s.advance(); err != nil {
			return err
		}
	}
	return nil
}

// stepOf notes an event of the users of examples.
func (r *run) stepOf(offset uint64, record []byte, reads *reads, byUser map[string][]*Example) {
	h := &r.header
	if event.DecodeHeader(record, h) != nil {
		return
	}
	id := h.User()
	if l := r.moved[id]; l != nil {
		id = l.to
	}
	examples := byUser[id]
	if len(examples) == 0 || h.Type == event.System {
		return
	}
	decoded := false
	for _, x := range examples {
		if offset > x.Offset || h.Timestamp < x.Since || offset < x.Offset && len(reads.names[h.Name]) == 0 {
			continue
		}
		if !decoded && event.DecodeAvro(record, &r.event) != nil {
			return
		}
		decoded = true
		if offset < x.Offset && !reads.step(&r.event, x.Key) {
			continue
		}
		if len(x.Steps) == maxSteps {
			x.Steps = slices.Delete(x.Steps, 0, 1)
		}
		x.Steps = append(x.Steps, Step{Offset: offset, Record: slices.Clone(record)})
	}
}
