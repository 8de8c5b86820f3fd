package engager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/eventlog"
)

// report is an outcome on its way into the log.
type report struct {
	worker *worker
	event  event.Event
	open   string // note to remove once the outcome is durable
}

// delivery is the properties of event.NameDelivery.
type delivery struct {
	Status     Status   `json:"status"`
	Reason     string   `json:"reason,omitempty"`
	Campaign   string   `json:"campaign"`
	Variant    int      `json:"variant"`
	Template   string   `json:"template,omitempty"`
	Locale     string   `json:"locale,omitempty"` // of the template's text
	Channel    string   `json:"channel,omitempty"`
	Delivery   string   `json:"delivery"`
	Activation string   `json:"activation"`
	Fire       string   `json:"fire"`
	Trigger    string   `json:"trigger,omitempty"`
	Cause      string   `json:"cause,omitempty"`
	Attempts   int      `json:"attempts,omitempty"`
	Detail     string   `json:"detail,omitempty"`
	Missing    []string `json:"missing,omitempty"`
	Test       bool     `json:"test,omitempty"`
}

// outcome makes the one event that an activation ends in. Its message id and
// times follow from the activation, so that a repeat is dropped by the log.
func (e *Engager) outcome(in *event.Intent, entry *Entry, userID, anonymousID string) (event.Event, error) {
	id := ActivationID(in.FireID, entry.Campaign)
	properties, err := json.Marshal(delivery{
		Status: entry.Status, Reason: string(entry.Reason), Campaign: entry.Campaign, Variant: entry.Variant,
		Template: entry.Template, Locale: entry.Locale, Channel: entry.Channel, Delivery: DeliveryID(e.deps.Secret, id), Activation: id,
		Fire: in.FireID, Trigger: in.Trigger, Cause: in.CauseID, Attempts: entry.Attempt, Detail: entry.Detail,
		Missing: entry.Missing, Test: in.Test,
	})
	if err != nil {
		return event.Event{}, &corrupt{fmt.Errorf("encode outcome of activation %s: %w", id, err)}
	}
	return event.Event{
		MessageID: outcomeID(id), Type: event.Track, Name: event.NameDelivery, UserID: userID, AnonymousID: anonymousID,
		Timestamp: entry.Finished, ReceivedAt: entry.Finished, Source: event.SourceHeed, Depth: in.Depth + 1,
		Properties: properties,
	}, nil
}

// reporter writes outcomes to the log, many at a time, until the channel is
// closed. Nothing waits for it but a channel that is full.
func (e *Engager) reporter(ctx context.Context) {
	batch := make([]report, 0, e.cfg.ReportBatch)
	for r := range e.reports {
		batch = append(batch[:0], r)
		linger := time.NewTimer(e.cfg.ReportLinger)
	collect:
		for len(batch) < e.cfg.ReportBatch {
			select {
			case r, open := <-e.reports:
				if !open {
					break collect
				}
				batch = append(batch, r)
			case <-linger.C:
				break collect
			}
		}
		linger.Stop()
		e.flush(ctx, batch)
	}
}

// flush appends the outcomes and removes their notes. Both are repeated until
// they succeed or ctx ends; a restart repeats what is left.
func (e *Engager) flush(ctx context.Context, batch []report) {
	e.metrics.reportBatch.Observe(float64(len(batch)))
	if !e.insist(ctx, "append outcomes", func() error {
		return e.deps.Log.Append(ctx, eventlog.Events, batches(batch))
	}) {
		return
	}
	writes := make([]documents.Write, len(batch))
	for i, r := range batch {
		writes[i] = documents.Write{Collection: CollectionOpen, Key: r.open, Expect: documents.Any}
	}
	if !e.insist(ctx, "close activations", func() error {
		return e.deps.Documents.Apply(ctx, documents.Relaxed, writes...)
	}) {
		return
	}
	for _, r := range batch {
		r.worker.forget(r.open)
	}
}

// insist repeats an operation until it succeeds; it is false if ctx ended first.
func (e *Engager) insist(ctx context.Context, what string, do func() error) bool {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := do()
		if err == nil {
			return true
		}
		if ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) {
			return false
		}
		e.metrics.storeErrors.Inc()
		e.log.Warn("engager tries again", "what", what, "error", err)
		if !wait(ctx, pause) {
			return false
		}
	}
}

// batches makes one batch per partition.
func batches(reports []report) []*eventlog.Batch {
	byPartition := map[int]*eventlog.Batch{}
	var out []*eventlog.Batch
	for i := range reports {
		r := &reports[i]
		b := byPartition[r.worker.partition]
		if b == nil {
			b = &eventlog.Batch{Partition: r.worker.partition, Own: true}
			byPartition[b.Partition] = b
			out = append(out, b)
		}
		b.Data = event.AppendEvent(b.Data, &r.event)
		b.Ends = append(b.Ends, len(b.Data))
		b.Keys = append(b.Keys, eventlog.Key(event.KeyOf(r.event.Source, r.event.MessageID)))
	}
	return out
}
