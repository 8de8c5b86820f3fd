package engager

import (
	"context"
	"fmt"
	"strings"
	"time"

	"heed/internal/documents"
	"heed/internal/policy"
)

// What a decision waits for, other than a delay, keeps its note apart from the
// open ones: under the time at which quiet hours end, or under the campaign while
// that is held back by a pause or a stop. A delay's note is parked among the open
// ones, like a retry's.
//
// What was waiting leaves at a rate, for many wait for the same moment, and is
// then decided on from the first question.

// waitPrefix is where the notes of a partition lie that wait for a time.
func waitPrefix(partition int) string { return fmt.Sprintf("%04x~t/", partition) }

// heldPrefix is where those lie that wait until somebody lifts something.
func heldPrefix(partition int) string { return fmt.Sprintf("%04x~h/", partition) }

func waitKey(partition int, until int64, ledgerKey string) string {
	return fmt.Sprintf("%s%016x/%s", waitPrefix(partition), uint64(max(until, 0)), ledgerKey)
}

func heldKey(partition int, campaign, ledgerKey string) string {
	return heldPrefix(partition) + campaign + "/" + ledgerKey
}

// waiting tells whether a note is one of those that wait apart.
func waiting(note string) bool { return len(note) > 4 && note[4] == '~' }

// barred says what keeps a campaign from sending at this moment.
func (e *Engager) barred(campaign string) policy.Wait {
	if e.halt.Ordered() {
		return policy.Stopped
	}
	if c := e.current().byName[campaign]; c != nil && c.paused {
		return policy.Paused
	}
	return ""
}

// barred says the same of an activation. A test is one of a draft: a pause is none
// of its business.
func (a *activation) barred() policy.Wait {
	what := a.worker.barred(a.name)
	if what == policy.Paused && a.intent.Test {
		return ""
	}
	return what
}

// wait puts the activation off until a time (0: until somebody lifts what keeps
// it). An attempt that may have arrived stays one.
func (a *activation) wait(ctx context.Context, what policy.Wait, until int64) error {
	w := a.worker
	if a.entry.State != Sending {
		a.entry.State = Pending
	}
	a.entry.Waits, a.entry.Until = what, until
	n := note{campaign: a.name, parked: true, why: what, intent: *a.intent}
	var next string
	switch {
	case until == 0:
		a.entry.Held = true
		next = heldKey(w.partition, a.name, a.key)
	case what == policy.Delay:
		next = openKey(w.partition, until, a.key)
	default:
		next = waitKey(w.partition, until, a.key)
	}
	if err := a.move(ctx, &n, next, a.pending); err != nil {
		return fmt.Errorf("put activation off: %w", err)
	}
	w.metrics.waits.WithLabelValues(string(what)).Inc()
	if what == policy.Delay {
		w.due(next)
	}
	return nil
}

// move writes the entry, and the note in the place of the one before.
func (a *activation) move(ctx context.Context, n *note, next string, more []documents.Write) error {
	entry, err := a.entry.write(a.key, a.version)
	if err != nil {
		return &corrupt{err}
	}
	writes := append(more, entry, documents.Write{Collection: CollectionOpen, Key: next, Value: n.append(nil), Expect: documents.Any})
	if a.note != "" && a.note != next {
		writes = append(writes, documents.Write{Collection: CollectionOpen, Key: a.note, Expect: documents.Any})
	}
	if err := a.worker.deps.Documents.Apply(ctx, documents.Relaxed, writes...); err != nil {
		return err
	}
	a.worker.forget(a.note)
	return nil
}

// releases lets go what has waited long enough, until ctx ends.
func (w *worker) releases(ctx context.Context, stop context.CancelCauseFunc) {
	t := time.NewTicker(w.cfg.Poll)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		// A stop that was just lifted, and a conversion that was just read, count.
		if w.halt.Ordered() || !w.goalsKnown.Load() {
			continue
		}
		err := w.releaseDue(ctx)
		if err == nil {
			err = w.releaseHeld(ctx)
		}
		if isCorrupt(err) {
			stop(err)
		}
	}
}

// releaseDue lets go what waited for a time that has come.
func (w *worker) releaseDue(ctx context.Context) error {
	prefix := waitPrefix(w.partition)
	for after := prefix; ; {
		docs, err := w.list(ctx, prefix, after, 200)
		if err != nil || len(docs) == 0 {
			return err
		}
		for _, d := range docs {
			after = d.Key
			if d.Key >= waitKey(w.partition, w.now()+1, "") || w.halt.Ordered() {
				return nil
			}
			if err := w.letGo(ctx, d); err != nil {
				return err
			}
		}
	}
}

// releaseHeld lets go what was held back with a campaign that is not any more.
func (w *worker) releaseHeld(ctx context.Context) error {
	prefix := heldPrefix(w.partition)
	for after := prefix; ; {
		docs, err := w.list(ctx, prefix, after, 200)
		if err != nil || len(docs) == 0 {
			return err
		}
		for _, d := range docs {
			campaign, _, _ := strings.Cut(d.Key[len(prefix):], "/")
			switch w.barred(campaign) {
			case policy.Stopped:
				return nil
			case policy.Paused:
				after = heldKey(w.partition, campaign, "\xff") // on to the next campaign
			default:
				after = d.Key
				if err := w.letGo(ctx, d); err != nil {
					return err
				}
				continue
			}
			break
		}
	}
}

// letGo hands a waiting activation to its lane when its turn has come.
func (w *worker) letGo(ctx context.Context, d documents.Document) error {
	n, err := decodeNote(d.Value)
	if err != nil {
		return &corrupt{fmt.Errorf("%s: %w", d.Key, err)}
	}
	if !w.take(d.Key) {
		return nil // it is on its way
	}
	if err := w.pace.Wait(ctx); err != nil || !w.dispatch(ctx, job{intent: n.intent, campaign: n.campaign, note: d.Key}) {
		w.forget(d.Key)
		return ctx.Err()
	}
	w.metrics.released.Inc()
	return nil
}
