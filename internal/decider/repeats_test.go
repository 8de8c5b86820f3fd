package decider

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"heed/internal/driver/memory"
	"heed/internal/eventlog"
	"heed/internal/eventlog/distinct"
)

// On a log that many processes write, where clients send again what they have sent.
func TestSameFiringsWithRepeats(t *testing.T) {
	ops := history(11, 12, 120)
	want := oracle(t, ops)
	for name, hostile := range map[string]memory.Hostile{"benign": {}, "hostile": memory.AllHostile()} {
		h := newHarness(t, 2, Config{BatchEvents: 16})
		db := memory.Open(memory.Config{Partitions: 2, Clock: h.clock.Time, Repeats: true})
		db.SetHostile(hostile)
		log, err := distinct.New(resent{db.Log(), rand.New(rand.NewPCG(1, 2))}, distinct.Config{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		h.stores = stores{log, db.UserState()}
		n := 0
		h.play(ops, func() {
			switch n++; {
			case n%20 == 0:
				h.crash()
			case n%3 == 0:
				h.pump()
			}
		})
		if diff := gocmp.Diff(want, fires(h.intents())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		for p, w := range h.decider().workers {
			if b, err := log.Bounds(t.Context(), eventlog.Events, p); err != nil || w.next != b.Next {
				t.Errorf("%s: partition %d was read up to %d, it ends at %d, %v", name, p, w.next, b.Next, err)
			}
		}
	}
}

// resent appends much of what has keys again.
type resent struct {
	eventlog.Log
	rand *rand.Rand
}

func (r resent) Append(ctx context.Context, s eventlog.Stream, batches []*eventlog.Batch) error {
	err := r.Log.Append(ctx, s, batches)
	for err == nil && s == eventlog.Events && r.rand.IntN(2) == 0 {
		var again []*eventlog.Batch
		for _, b := range batches {
			if !slices.Contains(b.Keys, eventlog.Key{}) {
				again = append(again, b)
			}
		}
		err = r.Log.Append(ctx, s, again)
	}
	return err
}
