package engager

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/policy"
	"heed/internal/reach"
)

// Collections of documents.
const (
	CollectionLedger   = "ledger"           // LedgerKey -> Entry
	CollectionOpen     = "engager_open"     // openKey -> note
	CollectionPosition = "engager_position" // partition -> next offset of intents
	CollectionCaps     = "caps"             // capKey -> times of sends
	CollectionStanding = "standing"         // campaign, user -> standing
	CollectionGoals    = "goals"            // event, user -> when it was last done
)

// State is where an activation stands.
type State string

// The states. Done, Failed and Unsure end it.
const (
	Pending State = "pending" // not sent; a later attempt is planned
	Sending State = "sending" // an attempt has begun
	Done    State = "done"    // sent or refused
	Failed  State = "failed"
	Unsure  State = "unknown" // held: an attempt was interrupted and must not be repeated
)

// Status is the outcome of an activation.
type Status string

// The statuses.
const (
	StatusSent    Status = "sent"
	StatusFailed  Status = "failed"
	StatusHeld    Status = "held"
	StatusRefused Status = "refused"
)

// Entry is the ledger's word on an activation. Times are µs since the Unix
// epoch.
type Entry struct {
	State    State         `json:"state"`
	Status   Status        `json:"status,omitempty"`
	Reason   policy.Reason `json:"reason,omitempty"`
	User     string        `json:"user"`
	Campaign string        `json:"campaign"`
	Variant  int           `json:"variant"`
	Template string        `json:"template,omitempty"`
	Locale   string        `json:"locale,omitempty"` // of the text that was chosen
	Channel  string        `json:"channel,omitempty"`
	Attempt  int           `json:"attempt,omitempty"`
	Created  int64         `json:"created"`
	Began    int64         `json:"began,omitempty"` // when it last stopped waiting; 0: it never waited
	Finished int64         `json:"finished,omitempty"`
	Detail   string        `json:"detail,omitempty"`
	Missing  []string      `json:"missing,omitempty"`

	// What it waits for and until when, 0 for until somebody lifts it; and whether
	// that was ever a pause or a stop.
	Waits policy.Wait `json:"waits,omitempty"`
	Until int64       `json:"until,omitempty"`
	Held  bool        `json:"held,omitempty"`
}

func (e *Entry) ended() bool { return e.State == Done || e.State == Failed || e.State == Unsure }

// begin ends a wait.
func (e *Entry) begin(now int64) {
	if e.Waits != "" {
		e.Waits, e.Until, e.Began = "", 0, now
	}
}

// end closes the entry.
func (e *Entry) end(s Status, r policy.Reason, detail string, now int64) {
	e.Status, e.Reason, e.Finished = s, r, now
	e.Waits, e.Until = "", 0
	e.Detail = cutDetail(detail)
	switch s {
	case StatusFailed:
		e.State = Failed
	case StatusHeld:
		e.State = Unsure
	case StatusSent, StatusRefused:
		e.State = Done
	}
}

func (e *Entry) write(key string, expect int64) (documents.Write, error) {
	value, err := json.Marshal(e)
	if err != nil {
		return documents.Write{}, fmt.Errorf("encode ledger entry %s: %w", key, err)
	}
	return documents.Write{Collection: CollectionLedger, Key: key, Value: value, Expect: expect}, nil
}

// entry reads a ledger entry; version 0 means that there is none.
func (e *Engager) entry(ctx context.Context, key string) (Entry, int64, error) {
	var out Entry
	d, err := e.deps.Documents.Get(ctx, CollectionLedger, key)
	if errors.Is(err, documents.ErrNotFound) {
		return out, 0, nil
	}
	if err != nil {
		return out, 0, fmt.Errorf("read ledger entry %s: %w", key, err)
	}
	if err := json.Unmarshal(d.Value, &out); err != nil {
		return out, 0, &corrupt{fmt.Errorf("decode ledger entry %s: %w", key, err)}
	}
	return out, d.Version, nil
}

// corrupt is an error that no repetition cures: the Engager stops.
type corrupt struct{ err error }

func (c *corrupt) Error() string { return c.err.Error() }
func (c *corrupt) Unwrap() error { return c.err }

func isCorrupt(err error) bool {
	_, ok := errors.AsType[*corrupt](err)
	return ok
}

// caps are the times at which a user received what a cap counts.
func (e *Engager) caps(ctx context.Context, key string) (sent []int64, version int64, err error) {
	d, err := e.deps.Documents.Get(ctx, CollectionCaps, key)
	if errors.Is(err, documents.ErrNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read cap: %w", err)
	}
	if err := json.Unmarshal(d.Value, &sent); err != nil {
		return nil, 0, &corrupt{fmt.Errorf("decode cap: %w", err)}
	}
	return sent, d.Version, nil
}

// note is what is kept of an open activation besides its entry: enough to
// finish it without the stream.
type note struct {
	campaign string
	parked   bool // look after it when it is due, not before
	why      policy.Wait
	intent   event.Intent
}

func (n *note) append(dst []byte) []byte {
	flags := byte(max(slices.Index(policy.Waits(), n.why), 0)) << 1
	if n.parked {
		flags |= 1
	}
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(len(n.campaign)))
	dst = append(dst, n.campaign...)
	return event.AppendIntent(dst, &n.intent)
}

func decodeNote(b []byte) (note, error) {
	if len(b) < 2 {
		return note{}, errors.New("note of an open activation is too short")
	}
	n := note{parked: b[0]&1 == 1, why: policy.UnderWay}
	if why := int(b[0] >> 1); why < len(policy.Waits()) {
		n.why = policy.Waits()[why]
	}
	size, k := binary.Uvarint(b[1:])
	if k <= 0 || size > uint64(len(b)-1-k) {
		return note{}, errors.New("note of an open activation is cut off")
	}
	b = b[1+k:]
	n.campaign = string(b[:size])
	if _, err := event.DecodeIntent(b[size:], &n.intent); err != nil {
		return note{}, fmt.Errorf("note of an open activation: %w", err)
	}
	return n, nil
}

// ExpireLedger removes entries of activations that fired before the time and
// have ended; it tells how many.
func (e *Engager) ExpireLedger(ctx context.Context, before time.Time) (int, error) {
	end := LedgerKey(before.UnixMicro(), "")
	removed, after := 0, ""
	for {
		docs, err := e.deps.Documents.List(ctx, documents.Query{Collection: CollectionLedger, After: after, Limit: 500})
		if err != nil {
			return removed, fmt.Errorf("engager: list old ledger entries: %w", err)
		}
		var writes []documents.Write
		old := 0
		for _, d := range docs {
			after = d.Key
			if d.Key >= end {
				break
			}
			var entry Entry
			if json.Unmarshal(d.Value, &entry) == nil && !entry.ended() {
				continue
			}
			old++
			writes = append(writes, documents.Write{Collection: CollectionLedger, Key: d.Key, Expect: documents.Any})
			if _, id, ok := strings.Cut(d.Key, "-"); ok {
				writes = append(writes, documents.Write{Collection: reach.CollectionDeliveries, Key: DeliveryID(e.deps.Secret, id), Expect: documents.Any})
			}
		}
		if len(writes) > 0 {
			if err := e.deps.Documents.Apply(ctx, documents.Relaxed, writes...); err != nil {
				return removed, fmt.Errorf("engager: remove old ledger entries: %w", err)
			}
			removed += old
		}
		if len(docs) == 0 || after >= end {
			return removed, nil
		}
	}
}

// ExpireCaps removes the counts of users who received nothing since before; it
// tells how many.
func (e *Engager) ExpireCaps(ctx context.Context, before time.Time) (int, error) {
	removed, after := 0, ""
	for {
		docs, err := e.deps.Documents.List(ctx, documents.Query{Collection: CollectionCaps, After: after, Limit: 500})
		if err != nil {
			return removed, fmt.Errorf("engager: list old caps: %w", err)
		}
		if len(docs) == 0 {
			return removed, nil
		}
		for _, d := range docs {
			after = d.Key
			var sent []int64
			if err := json.Unmarshal(d.Value, &sent); err != nil {
				return removed, fmt.Errorf("engager: decode cap: %w", err)
			}
			if len(sent) > 0 && sent[len(sent)-1] >= before.UnixMicro() {
				continue
			}
			err := e.deps.Documents.Apply(ctx, documents.Relaxed, documents.Write{Collection: CollectionCaps, Key: d.Key, Expect: d.Version})
			if errors.Is(err, documents.ErrConflict) {
				continue // something was sent just now
			}
			if err != nil {
				return removed, fmt.Errorf("engager: remove old caps: %w", err)
			}
			removed++
		}
	}
}
