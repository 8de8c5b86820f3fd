package decider

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"heed/internal/event"
	"heed/internal/trigger"
	"heed/internal/userstate"
	"heed/internal/varint"
)

// notesVersion is the first byte of a user's notes (docs/format/state.md).
const notesVersion = 1

// Bounds of a user's notes.
const (
	maxNotes       = 16 // of a user
	maxFiringNotes = 3  // of a trigger; of refusals one of each reason
)

// errNotes: the notes cannot be read, or are of a later version.
var errNotes = errors.New("unreadable notes")

// note is what became of one chance to fire: for people who ask why. Nothing is
// decided by it.
type note struct {
	trigger string
	reason  trigger.Reason // 0: it fired
	at      int64          // logical time
	key     string
	fire    [16]byte
	event   string // name and message id of the event that completed it;
	message string // empty if a timer did
	count   uint64 // how often it came to this, this time included
}

// notes are a user's, oldest first.
type notes []note

// add appends a note within the bounds. What a trigger was refused for again
// takes the place of the note before.
func (ns notes) add(n note) notes {
	n.count = 1
	same, last := 0, -1
	for i := range ns {
		if ns[i].trigger == n.trigger && ns[i].reason == n.reason {
			if same == 0 {
				last = i
			}
			same++
			n.count = max(n.count, ns[i].count+1)
		}
	}
	switch {
	case last >= 0 && (n.reason != 0 || same >= maxFiringNotes):
		ns = slices.Delete(ns, last, last+1)
	case len(ns) >= maxNotes:
		ns = slices.Delete(ns, 0, 1)
	}
	return append(ns, n)
}

// append writes the notes.
func (ns notes) append(dst []byte) []byte {
	text := func(s string) {
		dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
	dst = append(dst, notesVersion)
	dst = binary.AppendUvarint(dst, uint64(len(ns)))
	for i := range ns {
		n := &ns[i]
		text(n.trigger)
		dst = append(dst, byte(n.reason))
		dst = binary.AppendVarint(dst, n.at)
		dst = binary.AppendUvarint(dst, n.count)
		text(n.key)
		text(n.event)
		text(n.message)
		if n.reason == 0 {
			dst = append(dst, n.fire[:]...)
		}
	}
	return dst
}

// decodeNotes reads what append wrote behind ns; no bytes at all are none. The
// notes do not alias b.
func decodeNotes(b []byte, ns notes) (notes, error) {
	if len(b) == 0 {
		return ns, nil
	}
	if b[0] != notesVersion {
		return ns, fmt.Errorf("%w: version %d", errNotes, b[0])
	}
	before := len(ns)
	r := varint.NewReader(b[1:])
	for range r.Count(8) {
		n := note{trigger: r.String(), reason: trigger.Reason(r.Byte()), at: r.Varint(), count: r.Uvarint()}
		n.key, n.event, n.message = r.String(), r.String(), r.String()
		if n.reason == 0 {
			copy(n.fire[:], r.Bytes(len(n.fire)))
		}
		ns = append(ns, n)
	}
	if r.Bad() || len(r.Rest()) > 0 {
		return ns[:before], fmt.Errorf("%w: cut short", errNotes)
	}
	return ns, nil
}

// noted is a note within a batch.
type noted struct {
	user *user
	note note
}

// noteFiring remembers a firing; e completed it (nil: a timer did).
func (b *batch) noteFiring(u *user, e *event.Event, f *trigger.Firing) {
	n := note{trigger: f.Program.Name, at: f.At, key: f.Key, fire: f.FireID}
	if e != nil {
		n.event, n.message = e.Name, e.MessageID
	}
	b.noted = append(b.noted, noted{u, n})
}

// noteRefusal remembers a refusal; e is the event at hand, if there is one.
func (b *batch) noteRefusal(u *user, e *event.Event, r *trigger.Refusal) {
	n := note{trigger: r.Program.Name, reason: r.Reason, at: r.At, key: r.Key}
	if e != nil && r.Reason != trigger.Overdue && r.Reason != trigger.Expired {
		n.event, n.message = e.Name, e.MessageID
	}
	b.noted = append(b.noted, noted{u, n})
}

// encodeNotes adds the batch's notes to those that are stored.
func (b *batch) encodeNotes(ctx context.Context) error {
	if len(b.noted) == 0 {
		return nil
	}
	slices.SortStableFunc(b.noted, func(x, y noted) int { return strings.Compare(x.user.id, y.user.id) })
	b.noting = b.noting[:0]
	for i := range b.noted {
		if u := b.noted[i].user; !u.hasNotes && (i == 0 || u != b.noted[i-1].user) {
			b.noting = append(b.noting, u)
		}
	}
	values, err := b.values(ctx, userstate.Notes, b.noting)
	if err != nil {
		return err
	}
	for i, u := range b.noting {
		u.notes, u.hasNotes = values[i], true
	}
	for rest := b.noted; len(rest) > 0; {
		u := rest[0].user
		if b.notes, err = decodeNotes(u.notes, b.notes[:0]); err != nil {
			b.w.logger.Error("the notes of a user are unreadable: they begin anew", "error", err)
			b.counted.corrupt++
		}
		for ; len(rest) > 0 && rest[0].user == u; rest = rest[1:] {
			b.notes = b.notes.add(rest[0].note)
		}
		n := len(b.encoded)
		b.encoded = b.notes.append(b.encoded)
		u.notes = append(u.notes[:0], b.encoded[n:]...)
		b.w.users.measure(u)
		b.rows = append(b.rows, userstate.Row{Kind: userstate.Notes, User: u.id, Value: b.encoded[n:]})
	}
	return nil
}

// Note is what became of one of a user's chances with a trigger.
type Note struct {
	Outcome string // "fired", or the text of a trigger.Reason
	At      int64  // logical time, µs
	Key     string // correlation value
	FireID  string // if it fired
	// Event and MessageID are of the event that completed or wasted it; empty
	// if a timer was the end.
	Event, MessageID string
	// Count is how often it came to this with the trigger, as far as is
	// remembered.
	Count int64
}

// outcomeFired is the Outcome of a firing.
const outcomeFired = "fired"

func (n *note) public() Note {
	out := Note{
		Outcome: outcomeFired, At: n.at, Key: n.key, Event: n.event, MessageID: n.message, Count: int64(n.count),
	}
	if n.reason == 0 {
		out.FireID = hex.EncodeToString(n.fire[:])
	} else {
		out.Outcome = n.reason.String()
	}
	return out
}
