// Package optin owns asking people to confirm what they agreed to (double opt-in): it
// follows the events, and orders a message for each yes that waits for the owner of
// its address.
//
// It does not own what waits, how often an address is asked, or what confirms it
// (reach), nor the sending (engager).
package optin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"heed/internal/consent"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/reach"
)

// collectionPosition holds how far the events were read: partition -> offset.
const collectionPosition = "optin_position"

const (
	keepEvery = 10 * time.Second      // how often the position is kept when nobody was asked
	retry     = time.Second           // after an error
	look      = 20 * time.Millisecond // how often it is looked how far the Decider has come
)

// Book knows who is to be asked: a reach.Book.
type Book interface {
	Await(ctx context.Context, q *reach.Question, now int64) (*reach.Order, error)
}

// Deps is what an Asker works with.
type Deps struct {
	Log         eventlog.Log
	Documents   documents.Store
	Definitions interface{ Current() *definition.Set }
	Profiles    reach.Profiles
	Book        Book
	// Consumed is how far profiles have come, partition by partition: an event is
	// looked at once its profile knows it. 0: another process works on the partition,
	// and asks, or nobody has begun.
	Consumed func(ctx context.Context) ([]uint64, error)
	Logger   *slog.Logger
}

// Asker asks. Run it once.
type Asker struct{ deps Deps }

// New makes an Asker.
func New(deps Deps) *Asker { return &Asker{deps} }

// Run follows the events until ctx ends. What is said while double opt-in is off is
// never asked about, unless it is said again.
func (a *Asker) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for p := range a.deps.Log.Partitions() {
		g.Go(func() error {
			for ctx.Err() == nil {
				err := a.follow(ctx, p)
				if ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) {
					return nil //nolint:nilerr // it was told to end
				}
				if err != nil && !errors.Is(err, errNotOurs) {
					a.deps.Logger.Warn("who is to confirm is read again", "partition", p, "error", err)
				}
				pause(ctx, retry)
			}
			return nil
		})
	}
	return g.Wait()
}

// follow reads a partition, also while double opt-in is off: so it misses nothing that
// is said once it is on.
func (a *Asker) follow(ctx context.Context, partition int) error {
	bounds, err := a.deps.Log.Bounds(ctx, eventlog.Events, partition)
	if err != nil {
		return err
	}
	if _, err = a.position(ctx, partition); errors.Is(err, documents.ErrNotFound) {
		err = a.keep(ctx, partition, bounds.Next)
	}
	if err != nil {
		return err
	}
	if err := a.reached(ctx, partition, 0); err != nil {
		return err
	}
	next, err := a.position(ctx, partition) // as far as the process has come that had the partition before
	if err != nil {
		return err
	}
	next = max(next, bounds.First)
	r, err := a.deps.Log.Read(ctx, eventlog.Events, partition, next)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // it was only read
	kept := time.Now()
	for {
		c, err := r.Next(ctx)
		if err != nil {
			return err
		}
		asked := false
		if len(a.deps.Definitions.Current().Confirmations()) > 0 {
			if asked, err = a.chunk(ctx, partition, c, next); err != nil {
				return err
			}
		}
		next = max(next, c.Next())
		if asked || time.Since(kept) > keepEvery {
			if err := a.keep(ctx, partition, next); err != nil {
				return err
			}
			kept = time.Now()
		}
	}
}

// chunk looks at the events of a record from an offset on.
func (a *Asker) chunk(ctx context.Context, partition int, c eventlog.Chunk, from uint64) (asked bool, err error) {
	d := event.NewDecoder(c.Data)
	for offset := c.Base; ; offset++ {
		record, ok, err := d.Raw()
		if err != nil {
			return asked, fmt.Errorf("decode event at offset %d: %w", offset, err)
		}
		if !ok {
			return asked, nil
		}
		if offset < from {
			continue
		}
		e, at, err := said(record, offset)
		if err != nil {
			return asked, fmt.Errorf("decode event at offset %d: %w", offset, err)
		}
		if e == nil {
			continue
		}
		if err := a.reached(ctx, partition, offset); err != nil {
			return asked, err
		}
		if err := a.ask(ctx, e, at); err != nil {
			return asked, err
		}
		asked = true
	}
}

// said is an event that may say something about addresses or consents, as one of its
// user, and where it stands; nil: it says nothing. What another id of the user did
// comes within a control record.
func said(record []byte, offset uint64) (*event.Event, uint64, error) {
	var h event.Header
	if err := event.DecodeHeader(record, &h); err != nil {
		return nil, 0, err
	}
	forwarded := h.Type == event.System && h.Name == event.NameForward
	if !forwarded && (h.Type == event.System || !speaks(record)) {
		return nil, 0, nil
	}
	e := new(event.Event)
	if err := event.DecodeAvro(record, e); err != nil {
		return nil, 0, err
	}
	if forwarded {
		var f event.Forwarded
		if err := json.Unmarshal(e.Properties, &f); err != nil {
			return nil, 0, err
		}
		if !speaks(f.Event) {
			return nil, 0, nil
		}
		if err := event.DecodeAvro(f.Event, e); err != nil {
			return nil, 0, err
		}
		e.UserID, offset = h.UserID, event.OffsetIn(f.Partition, f.Offset)
	}
	if e.Type != event.Identify && len(e.Context.Consent) == 0 {
		return nil, 0, nil
	}
	return e, offset, nil
}

// speaks tells whether a record may name an address or a consent, without decoding it.
func speaks(record []byte) bool {
	for _, key := range []string{`"email"`, `"sms"`, `"phone"`, `"` + consent.KeyMarketing + `"`} {
		if bytes.Contains(record, []byte(key)) {
			return true
		}
	}
	return false
}

// errNotOurs: another process works on the partition.
var errNotOurs = errors.New("optin: the partition is another process's")

// reached waits until the profiles know an event.
func (a *Asker) reached(ctx context.Context, partition int, offset uint64) error {
	for {
		consumed, err := a.deps.Consumed(ctx)
		if err != nil {
			return fmt.Errorf("how far profiles have come: %w", err)
		}
		switch at := consumed[partition]; {
		case at > offset:
			return nil
		case at == 0:
			return errNotOurs
		}
		if !pause(ctx, look) {
			return ctx.Err()
		}
	}
}

// ask orders the messages that an event gives rise to. Again it orders the same. Nobody
// is asked because of the past, but a no counts.
func (a *Asker) ask(ctx context.Context, e *event.Event, offset uint64) error {
	user, p, err := reach.Whose(ctx, a.deps.Profiles, e.User())
	if err != nil {
		return err
	}
	if user != e.User() {
		offset = event.NoOffset
	}
	set := a.deps.Definitions.Current()
	for _, k := range set.Confirmations() {
		q := &reach.Question{User: user, Profile: p, Channel: set.Channels[k.What[0].Channel]}
		if e.Context.Historical && (p == nil || consent.Ask(consent.Marketing, q.Channel.Type, p.ConsentAt).State != consent.Refused) {
			continue
		}
		o, err := a.deps.Book.Await(ctx, q, e.ReceivedAt)
		if err != nil {
			return err
		}
		if o == nil {
			continue
		}
		in := event.Intent{FireID: o.ID, User: user, Campaign: k.Name, At: o.At, Offset: offset, CauseID: e.MessageID, Depth: e.Depth}
		data := event.AppendIntent(nil, &in)
		err = a.deps.Log.Append(ctx, eventlog.Intents, []*eventlog.Batch{{
			Partition: eventlog.PartitionOf(user, a.deps.Log.Partitions()), Own: true, Data: data, Ends: []int{len(data)},
		}})
		if err != nil {
			return fmt.Errorf("order that somebody is asked to confirm: %w", err)
		}
	}
	return nil
}

func (a *Asker) position(ctx context.Context, partition int) (uint64, error) {
	d, err := a.deps.Documents.Get(ctx, collectionPosition, strconv.Itoa(partition))
	if err != nil {
		return 0, fmt.Errorf("read the position: %w", err)
	}
	return strconv.ParseUint(string(d.Value), 10, 64)
}

func (a *Asker) keep(ctx context.Context, partition int, next uint64) error {
	return a.deps.Documents.Apply(ctx, documents.Relaxed, documents.Write{
		Collection: collectionPosition, Key: strconv.Itoa(partition), Value: strconv.AppendUint(nil, next, 10), Expect: documents.Any,
	})
}

// pause waits; it is false once ctx is over.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
