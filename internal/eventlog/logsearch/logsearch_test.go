package logsearch_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/eventlog/logsearch"
)

// counting counts how often the log is begun to be read.
type counting struct {
	eventlog.Log
	spacing uint64
	reads   int
}

func (c *counting) Spacing() uint64 { return c.spacing }

func (c *counting) Read(ctx context.Context, s eventlog.Stream, p int, from uint64) (eventlog.Reader, error) {
	c.reads++
	return c.Log.Read(ctx, s, p, from)
}

// A log in which each record takes many offsets is not read in pieces of a few
// records: what is far back is found in few reads, newest first.
func TestBlocksOfALogWithGaps(t *testing.T) {
	const events = 3000
	for _, spacing := range []uint64{1, 256} {
		db := memory.Open(memory.Config{Partitions: 1, Spacing: spacing})
		for i := range events {
			data := event.AppendEvent(nil, &event.Event{MessageID: fmt.Sprint(i), Name: fmt.Sprint("e", i), AnonymousID: "u"})
			if err := db.Log().Append(t.Context(), eventlog.Events, []*eventlog.Batch{{Data: data, Ends: []int{len(data)}}}); err != nil {
				t.Fatal(err)
			}
		}
		log := &counting{Log: db.Log(), spacing: spacing}
		search := &logsearch.Search{
			Log: log, Now: time.Now, Budget: time.Hour, Want: 2,
			Match: func(h *event.Header) bool { return h.Name == "e0" || h.Name == "e1" },
			Take:  func(_ int, _ uint64, e *event.Event) (any, bool) { return e.Name, true },
		}
		found, err := search.Run(t.Context(), []int{0}, "")
		if err != nil || len(found.Hits) != 2 || found.Hits[0].Item != "e1" || !found.Complete {
			t.Errorf("spacing %d: %+v, %v", spacing, found, err)
		}
		if log.reads > 12 {
			t.Errorf("spacing %d: %d reads of %d events", spacing, log.reads, events)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}
