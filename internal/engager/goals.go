package engager

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/eventlog"
)

// Whether a user reached a campaign's goal while a delivery waited must be known
// without asking analysis. So each worker follows its partition of the events and
// keeps, for the events that are goals, when each user last did them.

const (
	goalsBehind = time.Second      // what fired less long ago was not converted meanwhile
	goalsSave   = 10 * time.Second // how often the position is kept when no goal was reached
)

func goalKey(name, user string) string { return name + "\x00" + user }

func goalsPosition(partition int) string { return "goals-" + strconv.Itoa(partition) }

// goals follows the events until ctx ends.
func (w *worker) goals(ctx context.Context) {
	for ctx.Err() == nil {
		err := w.followGoals(ctx)
		if ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) {
			return
		}
		w.metrics.storeErrors.Inc()
		w.log.Warn("engager reads events again", "partition", w.partition, "error", err)
		wait(ctx, 100*time.Millisecond)
	}
}

func (w *worker) followGoals(ctx context.Context) error {
	bounds, err := w.deps.Log.Bounds(ctx, eventlog.Events, w.partition)
	if err != nil {
		return err
	}
	next := bounds.Next // nothing waits for what happened before the first start
	d, err := w.deps.Documents.Get(ctx, CollectionPosition, goalsPosition(w.partition))
	if err == nil {
		if next, err = strconv.ParseUint(string(d.Value), 10, 64); err != nil {
			return fmt.Errorf("position of goals: %w", err)
		}
	} else if !errors.Is(err, documents.ErrNotFound) {
		return err
	} else if err := w.keepGoals(ctx, next, nil); err != nil {
		return err
	}
	next = max(next, bounds.First)
	r, err := w.deps.Log.Read(ctx, eventlog.Events, w.partition, next)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // it was only read
	kept := time.Now()
	for {
		if next >= bounds.Next {
			w.goalsKnown.Store(true)
		}
		c, err := r.Next(ctx)
		if err != nil {
			return err
		}
		reached := map[string]int64{}
		if names := w.current().goals; len(names) > 0 {
			if err := goalsIn(c, next, names, reached); err != nil {
				return err
			}
		}
		next = max(next, c.Next())
		if len(reached) > 0 || time.Since(kept) > goalsSave {
			if err := w.keepGoals(ctx, next, reached); err != nil {
				return err
			}
			kept = time.Now()
		}
	}
}

// goalsIn collects when users did what is a goal.
func goalsIn(c eventlog.Chunk, from uint64, names map[string]struct{}, reached map[string]int64) error {
	d := event.NewDecoder(c.Data)
	for i := range uint64(c.Count) {
		var h event.Header
		record, ok, err := d.Raw()
		if err == nil && ok {
			err = event.DecodeHeader(record, &h)
		}
		if err != nil || !ok {
			return fmt.Errorf("decode event at offset %d: %w", c.Base+i, err)
		}
		if _, isGoal := names[h.Name]; isGoal && c.Base+i >= from && h.Type != event.System {
			key := goalKey(h.Name, h.User())
			reached[key] = max(reached[key], h.Timestamp)
		}
	}
	return nil
}

// keepGoals writes what was read, with how far.
func (w *worker) keepGoals(ctx context.Context, next uint64, reached map[string]int64) error {
	writes := []documents.Write{{
		Collection: CollectionPosition, Key: goalsPosition(w.partition), Value: strconv.AppendUint(nil, next, 10), Expect: documents.Any,
	}}
	for key, at := range reached {
		if d, err := w.deps.Documents.Get(ctx, CollectionGoals, key); err == nil {
			if before, err := strconv.ParseInt(string(d.Value), 10, 64); err == nil && before > at {
				continue // what came late happened earlier
			}
		} else if !errors.Is(err, documents.ErrNotFound) {
			return err
		}
		writes = append(writes, documents.Write{Collection: CollectionGoals, Key: key, Value: strconv.AppendInt(nil, at, 10), Expect: documents.Any})
	}
	return w.deps.Documents.Apply(ctx, documents.Relaxed, writes...)
}

// ExpireGoals forgets goals that were last reached before; it tells how many.
func (e *Engager) ExpireGoals(ctx context.Context, before time.Time) (int, error) {
	removed := 0
	for after := ""; ; {
		docs, err := e.deps.Documents.List(ctx, documents.Query{Collection: CollectionGoals, After: after, Limit: 500})
		if err != nil {
			return removed, fmt.Errorf("engager: list goals: %w", err)
		}
		if len(docs) == 0 {
			return removed, nil
		}
		var writes []documents.Write
		for _, d := range docs {
			after = d.Key
			if at, err := strconv.ParseInt(string(d.Value), 10, 64); err != nil || at < before.UnixMicro() {
				writes = append(writes, documents.Write{Collection: CollectionGoals, Key: d.Key, Expect: documents.Any})
			}
		}
		if err := e.deps.Documents.Apply(ctx, documents.Relaxed, writes...); err != nil {
			return removed, fmt.Errorf("engager: remove goals: %w", err)
		}
		removed += len(writes)
	}
}
