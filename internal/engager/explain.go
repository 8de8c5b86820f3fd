package engager

import (
	"context"
	"fmt"
	"strconv"

	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/policy"
)

// Prospect is what would be decided about a user and a campaign now.
type Prospect struct {
	policy.Verdict
	Template, Channel string // of the content that would be sent
	Detail            string // of what is wrong with the campaign
}

// Prospect asks the questions of the decision without answering to anybody:
// nothing is counted, kept or sent.
func (e *Engager) Prospect(ctx context.Context, user, campaign string) (Prospect, error) {
	now := e.now()
	c := e.current().byName[campaign]
	switch {
	case c == nil:
		return refused(policy.NotLive, nil), nil
	case c.err != nil && c.live:
		return refused(policy.Definition, c.err), nil
	}
	in := &event.Intent{User: user, Campaign: campaign, At: now, Offset: event.NoOffset}
	w := newWorker(e, eventlog.PartitionOf(user, e.deps.Log.Partitions()))
	a := &activation{moment: &moment{worker: w, intent: in}, name: campaign, c: c}
	verdict, err := a.verdict(ctx, now)
	if err != nil {
		return Prospect{}, fmt.Errorf("engager: prospect of %s: %w", campaign, err)
	}
	if !verdict.Send {
		return Prospect{Verdict: verdict, Detail: a.entry.Detail}, nil
	}
	v := &c.variants[verdict.Variant]
	if v.err != nil {
		return refused(policy.Definition, v.err), nil //nolint:nilerr // it is the answer
	}
	return Prospect{Verdict: verdict, Template: v.template, Channel: v.channelName}, nil
}

func refused(r policy.Reason, err error) Prospect {
	p := Prospect{Verdict: policy.Verdict{Reason: r, Variant: -1}}
	if err != nil {
		p.Detail = cutDetail(err.Error())
	}
	return p
}

// Waiting is an activation that has not ended.
type Waiting struct {
	Campaign string
	At       int64 // when it fired, µs
	Due      int64 // when it is looked after again, µs
	Attempts int
	Detail   string // why it waits
}

// maxOpen bounds how many open activations of a partition are looked through.
const maxOpen = 10_000

// Waiting lists a user's activations that have not ended, the next one due first.
// Behind many others of the same partition it may miss some.
func (e *Engager) Waiting(ctx context.Context, user string) ([]Waiting, error) {
	prefix := openPrefix(eventlog.PartitionOf(user, e.deps.Log.Partitions()))
	var out []Waiting
	for seen, after := 0, prefix; seen < maxOpen; {
		docs, err := e.deps.Documents.List(ctx, documents.Query{Collection: CollectionOpen, Prefix: prefix, After: after, Limit: 500})
		if err != nil {
			return nil, fmt.Errorf("engager: list open activations: %w", err)
		}
		if len(docs) == 0 {
			break
		}
		seen += len(docs)
		for _, d := range docs {
			after = d.Key
			n, err := decodeNote(d.Value)
			if err != nil || n.intent.User != user {
				continue // what is unreadable stops the Engager, not this
			}
			w, err := e.waiting(ctx, d.Key[len(prefix):], &n)
			if err != nil {
				return nil, err
			}
			if w != nil {
				out = append(out, *w)
			}
		}
	}
	return out, nil
}

// waiting reads one; key is that of the note without its prefix. nil: it has
// ended, and is only to be reported.
func (e *Engager) waiting(ctx context.Context, key string, n *note) (*Waiting, error) {
	const digits = 16
	due, err := strconv.ParseInt(key[:min(digits, len(key))], 16, 64)
	if err != nil || len(key) <= digits {
		return nil, nil //nolint:nilerr,nilnil // not a note of this version
	}
	entry, version, err := e.entry(ctx, key[digits+1:])
	if err != nil {
		return nil, err
	}
	if version == 0 || entry.ended() {
		return nil, nil //nolint:nilnil // see above
	}
	return &Waiting{Campaign: n.campaign, At: n.intent.At, Due: due, Attempts: entry.Attempt, Detail: entry.Detail}, nil
}
