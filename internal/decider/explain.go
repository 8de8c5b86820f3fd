package decider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"heed/internal/trigger"
	"heed/internal/userstate"
)

// TriggerExplanation is what is known of a user and a trigger. Times are µs.
type TriggerExplanation struct {
	trigger.Standing        // its Program is nil if it is known from notes only
	Trigger          string // its name
	Notes            []Note // newest first
	Firings          int64  // of this user, as far as is remembered
}

// Explanation is what is known of a user.
type Explanation struct {
	LogTime  int64                // of the user's partition, µs: timers have run up to it
	Triggers []TriggerExplanation // those that something is known of, in order of name
}

// Trigger is the explanation of one trigger, empty if nothing is known.
func (x *Explanation) Trigger(name string) TriggerExplanation {
	for i := range x.Triggers {
		if x.Triggers[i].Trigger == name {
			return x.Triggers[i]
		}
	}
	return TriggerExplanation{Trigger: name}
}

// Load shows readers what is committed without deciding anything: for a process
// in which Run is not called.
func (d *Decider) Load(ctx context.Context) error {
	d.share.All()
	for _, w := range d.workers {
		if err := w.open(ctx); err != nil {
			return fmt.Errorf("decider: partition %d: %w", w.number, err)
		}
		w.publish()
		if err := w.part.Close(); err != nil {
			return fmt.Errorf("decider: partition %d: %w", w.number, err)
		}
	}
	return nil
}

// Explain tells where a user stands with every trigger, from committed state.
func (d *Decider) Explain(ctx context.Context, id string) (Explanation, error) {
	fail := func(err error) (Explanation, error) {
		return Explanation{}, fmt.Errorf("explain %q: %w", id, err)
	}
	w := d.workerOf(id)
	if !d.share.Has(w.number) {
		return fail(fmt.Errorf("partition %d %w", w.number, errNotOurs))
	}
	w.shared.mu.Lock()
	rules, logTime, known := w.shared.rules, w.shared.board.logTime, w.shared.known()
	w.shared.mu.Unlock()
	if !known {
		return fail(fmt.Errorf("partition %d: %w", w.number, errStarting))
	}
	rows, err := d.deps.State.Get(ctx, w.number, userstate.Rows, id)
	if err != nil {
		return fail(err)
	}
	kept, err := d.deps.State.Get(ctx, w.number, userstate.Notes, id)
	if err != nil {
		return fail(err)
	}
	var u user
	var state trigger.State
	if err := errors.Join(u.setRows(rows), rules.set.Decode(u.rows, &state)); err != nil {
		return fail(err)
	}
	ns, err := decodeNotes(kept, nil)
	if err != nil {
		return fail(err)
	}
	byName := make(map[string]*TriggerExplanation)
	of := func(name string) *TriggerExplanation {
		if byName[name] == nil {
			byName[name] = &TriggerExplanation{Trigger: name}
		}
		return byName[name]
	}
	for _, at := range rules.set.Explain(&state, logTime) {
		of(at.Program.Name).Standing = at
	}
	for i := range slices.Backward(ns) {
		t := of(ns[i].trigger)
		t.Notes = append(t.Notes, ns[i].public())
		if ns[i].reason == 0 {
			t.Firings = max(t.Firings, int64(ns[i].count))
		}
	}
	out := Explanation{LogTime: logTime}
	for _, t := range byName {
		slices.SortStableFunc(t.Rows, func(a, b trigger.Progress) int { return strings.Compare(a.Key, b.Key) })
		out.Triggers = append(out.Triggers, *t)
	}
	slices.SortFunc(out.Triggers, func(a, b TriggerExplanation) int { return cmp.Compare(a.Trigger, b.Trigger) })
	return out, nil
}
