package engager

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

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

// Waiting is an activation that has not ended. Times are µs since the Unix epoch.
type Waiting struct {
	Campaign string
	Why      policy.Wait
	At       int64 // when it fired
	Due      int64 // when it is looked after again; 0: when somebody lifts what holds it back
	Attempts int
	Detail   string // of the last attempt
}

// Bounds of looking through what is open.
const (
	maxOpen     = 100_000                // notes of a partition for one user, or of all for the backlog
	backlogKeep = 500 * time.Millisecond // how old a backlog may be
)

// Waiting lists the activations of a person, under any of the ids, that have not ended,
// the next one due first. Behind many others of the same partition it may miss some.
func (e *Engager) Waiting(ctx context.Context, ids []string) ([]Waiting, error) {
	var out []Waiting
	partitions := map[int]bool{}
	for _, id := range ids {
		partitions[eventlog.PartitionOf(id, e.deps.Log.Partitions())] = true
	}
	for p := range partitions {
		_, err := e.eachOpen(ctx, fmt.Sprintf("%04x", p), func(key string, n *note) error {
			if !slices.Contains(ids, n.intent.User) {
				return nil
			}
			entry, version, err := e.entry(ctx, key[strings.LastIndexByte(key, '/')+1:])
			if err != nil || version == 0 || entry.ended() { // it is only to be reported
				return err
			}
			out = append(out, Waiting{
				Campaign: n.campaign, Why: cmp.Or(entry.Waits, n.why), At: n.intent.At, Due: dueOf(key), Attempts: entry.Attempt, Detail: entry.Detail,
			})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b Waiting) int { return cmp.Compare(a.Due, b.Due) })
	return out, nil
}

// dueOf is when the note under a key is looked after; 0: it does not say.
func dueOf(key string) int64 {
	parts := strings.Split(key, "/")
	if strings.HasSuffix(parts[0], "~h") || len(parts) < 3 {
		return 0
	}
	due, _ := strconv.ParseInt(parts[1], 16, 64) // 0 if it is not of this version
	return due
}

// Backlog is how many activations of each campaign have begun and have not ended in an
// outcome, by what they wait for. Tests are not counted.
type Backlog struct {
	Of       map[string]map[policy.Wait]int64
	Complete bool // false: there are more than are counted
	at       time.Time
}

// Backlog counts what is open, or has counted it a moment ago.
func (e *Engager) Backlog(ctx context.Context) (Backlog, error) {
	e.backlogMu.Lock()
	defer e.backlogMu.Unlock()
	if !e.backlog.at.IsZero() && time.Since(e.backlog.at) < backlogKeep {
		return e.backlog, nil
	}
	b := Backlog{Of: map[string]map[policy.Wait]int64{}, at: time.Now()}
	var err error
	b.Complete, err = e.eachOpen(ctx, "", func(_ string, n *note) error {
		if n.intent.Test {
			return nil
		}
		of := b.Of[n.campaign]
		if of == nil {
			of = map[policy.Wait]int64{}
			b.Of[n.campaign] = of
		}
		of[n.why]++
		return nil
	})
	if err == nil {
		e.backlog = b
	}
	return b, err
}

// eachOpen goes through the notes of open activations, and tells whether it saw all.
// What is unreadable stops the Engager, not this.
func (e *Engager) eachOpen(ctx context.Context, prefix string, do func(key string, n *note) error) (all bool, err error) {
	for seen, after := 0, prefix; seen < maxOpen; {
		docs, err := e.deps.Documents.List(ctx, documents.Query{Collection: CollectionOpen, Prefix: prefix, After: after, Limit: 500})
		if err != nil {
			return false, fmt.Errorf("engager: list open activations: %w", err)
		}
		if len(docs) == 0 {
			return true, nil
		}
		seen += len(docs)
		for _, d := range docs {
			after = d.Key
			n, err := decodeNote(d.Value)
			if err != nil {
				continue
			}
			if err := do(d.Key, &n); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}
