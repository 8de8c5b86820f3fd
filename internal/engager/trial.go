package engager

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/policy"
)

// What somebody tries on themself is a trial: a campaign as it is drafted, for
// one user, kept for a while, and one intent that is marked as a test. It takes
// the way of every other message, but for the audience, the holdout and the caps,
// and it counts nowhere.

// CollectionTrials holds what is tried, by the id of the fire: Trial.
const CollectionTrials = "trials"

// trialKeep is how long a trial is kept: what was interrupted is finished until
// then.
const trialKeep = time.Hour

// Trial is what somebody tries. Times are µs since the Unix epoch.
type Trial struct {
	Campaign definition.Campaign `json:"campaign"`
	// Templates are drafts that stand in for what is defined under their names.
	Templates []definition.Template `json:"templates,omitempty"`
	User      string                `json:"user"`
	To        string                `json:"to,omitempty"` // stands in for the user's address
	// Event stands for the one that completes the trigger, as event.AppendJSON
	// writes it; nil: none.
	Event json.RawMessage `json:"event,omitempty"`
	At    int64           `json:"at"`
}

// Tried is how far a trial has come, and once a content was chosen, what it says.
type Tried struct {
	User, Campaign string
	Done           bool
	Status         Status
	Reason         policy.Reason
	Channel        string
	As             string // how web content is shown, as the template says
	Detail         string
	Subject, Body  string
	Missing        []string
}

// Try begins a trial, now, and gives its id.
func (e *Engager) Try(ctx context.Context, t *Trial) (id string, err error) {
	if t.User == "" || t.Campaign.Name == "" {
		return "", errors.New("engager: a trial is of a campaign, for a user")
	}
	t.At = e.now()
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	id = trialKey(t.At) + hex.EncodeToString(random[:])
	value, err := json.Marshal(t)
	if err == nil {
		err = e.deps.Documents.Apply(ctx, documents.Relaxed, documents.Write{Collection: CollectionTrials, Key: id, Value: value, Expect: documents.Absent})
	}
	if err != nil {
		return "", fmt.Errorf("engager: keep the trial: %w", err)
	}
	in := event.Intent{FireID: id, User: t.User, Campaign: t.Campaign.Name, At: t.At, Offset: event.NoOffset, Test: true}
	data := event.AppendIntent(nil, &in)
	b := &eventlog.Batch{Partition: eventlog.PartitionOf(in.User, e.deps.Log.Partitions()), Own: true, Data: data, Ends: []int{len(data)}}
	if err := e.deps.Log.Append(ctx, eventlog.Intents, []*eventlog.Batch{b}); err != nil {
		return "", fmt.Errorf("engager: append the trial: %w", err)
	}
	return id, nil
}

// trialKey begins the ids of the trials of a moment: they lie in order of time.
func trialKey(at int64) string { return fmt.Sprintf("%016x", at) }

// trial reads a trial; nil if there is none any more.
func (e *Engager) trial(ctx context.Context, id string) (*Trial, error) {
	d, err := e.deps.Documents.Get(ctx, CollectionTrials, id)
	if errors.Is(err, documents.ErrNotFound) {
		return nil, nil //nolint:nilnil // a trial that is over is no error
	}
	if err != nil {
		return nil, fmt.Errorf("read the trial: %w", err)
	}
	t := new(Trial)
	if err := json.Unmarshal(d.Value, t); err != nil {
		return nil, &corrupt{fmt.Errorf("decode the trial %s: %w", id, err)}
	}
	return t, nil
}

// Tried tells how far a trial has come; it is false if there is none of that id.
func (e *Engager) Tried(ctx context.Context, id string) (Tried, bool, error) {
	t, err := e.trial(ctx, id)
	if err != nil || t == nil {
		return Tried{}, false, err
	}
	entry, _, err := e.entry(ctx, LedgerKey(t.At, ActivationID(id, t.Campaign.Name)))
	if err != nil {
		return Tried{}, false, err
	}
	out := Tried{
		User: t.User, Campaign: t.Campaign.Name, Done: entry.ended(), Status: entry.Status, Reason: entry.Reason, Channel: entry.Channel, Detail: entry.Detail, Missing: entry.Missing,
	}
	template := t.over(e.deps.Definitions.Current()).TemplateOf(definition.Variant{Channel: entry.Channel, Template: entry.Template})
	if template == nil || !out.Done {
		return out, true, nil
	}
	ev, err := t.cause()
	if err != nil {
		return out, true, err
	}
	made, err := e.preview(ctx, template, t.Campaign.Name, t.User, entry.Locale, ev)
	if err != nil { // the outcome says why
		return out, true, nil //nolint:nilerr // it is told already
	}
	out.As, out.Subject, out.Body = template.As, made.Subject, made.Body
	return out, true, nil
}

// over is the definitions with the drafts in their places.
func (t *Trial) over(set *definition.Set) *definition.Set {
	out := *set
	out.Templates = maps.Clone(set.Templates)
	for i := range t.Templates {
		out.Templates[t.Templates[i].Name] = &t.Templates[i]
	}
	return &out
}

// cause is the event that stands for the one that completes the trigger.
func (t *Trial) cause() (*event.Event, error) {
	if len(t.Event) == 0 {
		return nil, nil //nolint:nilnil // none
	}
	ev := new(event.Event)
	if err := event.ParseJSON(t.Event, ev); err != nil {
		return nil, &corrupt{fmt.Errorf("decode the event of a trial: %w", err)}
	}
	return ev, nil
}

// tries puts the draft and the event of a trial in the place of what the intent
// would name otherwise.
func (a *activation) tries(ctx context.Context) error {
	t, err := a.worker.trial(ctx, a.intent.FireID)
	if err != nil || t == nil {
		a.c = nil
		return err
	}
	a.c = a.worker.campaign(t.over(a.worker.deps.Definitions.Current()), &t.Campaign)
	a.c.live, a.c.who, a.trialTo = true, nil, t.To
	if a.event, err = t.cause(); err != nil {
		return err
	}
	a.hasEvent = true
	return nil
}

// expireTrials removes those that are over.
func (e *Engager) expireTrials(ctx context.Context) error {
	docs, err := e.deps.Documents.List(ctx, documents.Query{
		Collection: CollectionTrials, Reverse: true, After: trialKey(e.deps.Clock().Add(-trialKeep).UnixMicro()),
	})
	if err != nil || len(docs) == 0 {
		return err
	}
	writes := make([]documents.Write, len(docs))
	for i, d := range docs {
		writes[i] = documents.Write{Collection: CollectionTrials, Key: d.Key, Expect: documents.Any}
	}
	return e.deps.Documents.Apply(ctx, documents.Relaxed, writes...)
}
