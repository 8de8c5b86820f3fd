// Package order owns what a person, or a schedule, sends once to a list of users:
// the list is kept, and each user of it becomes an intent of the campaign. An order's
// head is written behind its list, durably, and is what makes it one. An intent's id
// and time follow from the order, so what a crash makes a Desk append again is the
// same activation.
//
// It does not own who is on a list (console, engager), or what becomes of an intent
// (engager).
package order

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/varint"
)

// Collections of orders.
const (
	Collection      = "orders"      // campaign, id -> Order
	CollectionUsers = "order_users" // campaign, id, number -> user ids, each behind its length
)

// Bounds of orders.
const (
	MaxUsers  = 5_000_000
	pageSize  = 512 << 10 // bytes of ids in one document
	perAppend = 1000      // intents
	retry     = time.Second
	maxIDSize = 64
)

// Desk takes orders, and works them off. All methods may be called concurrently; Run is
// to run once in the installation, and does no harm if it runs twice for a while.
type Desk struct {
	log    eventlog.Log
	store  documents.Store
	logger *slog.Logger
	now    func() int64 // µs
	failed func(error)  // what is tried again
}

// New makes a desk. failed hears of what Run tries again.
func New(log eventlog.Log, store documents.Store, logger *slog.Logger, now func() int64, failed func(error)) *Desk {
	return &Desk{log: log, store: store, logger: logger, now: now, failed: failed}
}

// Order is how far the sending to a list has come. Times are µs since the Unix
// epoch.
type Order struct {
	Campaign string `json:"campaign"`
	ID       string `json:"id"`
	At       int64  `json:"at"`
	Users    int    `json:"users"`
	Pages    int    `json:"pages"`
	Next     int    `json:"next"` // pages below it have become intents; Pages: all have
}

// Place orders that a campaign goes to the users: one that is started once
// (When.Once names the order), or one that goes to who enters an audience, for
// those who are in it. Repeating it is no harm, whatever the users then: the
// first list counts. Campaign and users must not be empty.
func (k *Desk) Place(ctx context.Context, campaign, id string, users []string) (Order, error) {
	switch {
	case campaign == "" || id == "" || len(id) > maxIDSize:
		return Order{}, fmt.Errorf("%q of campaign %q is no order", id, campaign)
	case len(users) == 0 || len(users) > MaxUsers:
		return Order{}, fmt.Errorf("an order is for 1 to %d users, not %d", MaxUsers, len(users))
	case slices.Contains(users, ""):
		return Order{}, errors.New("a user of the order has no id")
	}
	if o, err := k.Find(ctx, campaign, id); err != nil || o.ID != "" {
		return o, err
	}
	o := Order{Campaign: campaign, ID: id, At: k.now(), Users: len(users)}
	var page []byte
	put := func() error {
		w := documents.Write{Collection: CollectionUsers, Key: o.page(o.Pages), Value: page, Expect: documents.Any}
		if err := k.store.Apply(ctx, documents.Relaxed, w); err != nil {
			return fmt.Errorf("write the list of %s: %w", campaign, err)
		}
		o.Pages++
		page = nil
		return nil
	}
	for _, u := range users {
		if len(page) > 0 && len(page)+len(u) >= pageSize {
			if err := put(); err != nil {
				return Order{}, err
			}
		}
		page = append(binary.AppendUvarint(page, uint64(len(u))), u...)
	}
	if err := put(); err != nil {
		return Order{}, err
	}
	head, err := o.write(documents.Absent)
	if err == nil {
		err = k.store.Apply(ctx, documents.Durable, head)
	}
	if errors.Is(err, documents.ErrConflict) { // asked for twice at the same time
		return k.Place(ctx, campaign, id, users)
	}
	if err != nil {
		return Order{}, fmt.Errorf("order %s: %w", campaign, err)
	}
	return o, nil
}

// Find gives an order as it stands; without an id if there is none.
func (k *Desk) Find(ctx context.Context, campaign, id string) (o Order, err error) {
	d, err := k.store.Get(ctx, Collection, key(campaign, id))
	if errors.Is(err, documents.ErrNotFound) {
		return Order{}, nil
	}
	if err == nil {
		err = json.Unmarshal(d.Value, &o)
	}
	if err != nil {
		return Order{}, fmt.Errorf("read the order of %s: %w", campaign, err)
	}
	return o, nil
}

func (o *Order) write(expect int64) (documents.Write, error) {
	value, err := json.Marshal(o)
	return documents.Write{Collection: Collection, Key: key(o.Campaign, o.ID), Value: value, Expect: expect}, err
}

// Gone is the write that forgets an order.
func Gone(campaign, id string) documents.Write {
	return documents.Write{Collection: Collection, Key: key(campaign, id), Expect: documents.Any}
}

func key(campaign, id string) string { return campaign + "\x00" + id }

// page is where a part of the list lies.
func (o *Order) page(number int) string {
	return fmt.Sprintf("%s\x00%08x", key(o.Campaign, o.ID), number)
}

// fireID is that of one user's intent.
func (o *Order) fireID(user string) string {
	h := sha256.Sum256([]byte("order\x00" + key(o.Campaign, o.ID) + "\x00" + user))
	return hex.EncodeToString(h[:16])
}

// Run turns orders into intents until ctx ends.
func (k *Desk) Run(ctx context.Context) {
	wake, cancel := k.store.Watch(Collection)
	defer cancel()
	for {
		err := k.workOff(ctx)
		if ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) {
			return
		}
		if err != nil {
			k.failed(err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(retry):
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-wake:
		}
	}
}

// workOff appends the intents of all orders that are open.
func (k *Desk) workOff(ctx context.Context) error {
	for after := ""; ; {
		docs, err := k.store.List(ctx, documents.Query{Collection: Collection, After: after})
		if err != nil {
			return fmt.Errorf("list orders: %w", err)
		}
		if len(docs) == 0 {
			return nil
		}
		for _, d := range docs {
			after = d.Key
			var o Order
			if err := json.Unmarshal(d.Value, &o); err != nil {
				k.logger.Error("an order is unreadable: it is passed over", "key", d.Key, "error", err)
				continue
			}
			for ; o.Next < o.Pages; d.Version++ {
				if err := k.appendPage(ctx, &o, d.Version); err != nil {
					return fmt.Errorf("order of %s: %w", o.Campaign, err)
				}
			}
		}
	}
}

// appendPage appends the intents of an order's next page, and moves on, unless
// another process has done so meanwhile: the pages that it passed are gone.
func (k *Desk) appendPage(ctx context.Context, o *Order, version int64) error {
	at := o.page(o.Next)
	page, err := k.store.Get(ctx, CollectionUsers, at)
	if err != nil {
		return fmt.Errorf("read the list: %w", err)
	}
	n := k.log.Partitions()
	var all []string
	r := varint.NewReader(page.Value)
	for len(r.Rest()) > 0 {
		all = append(all, r.String())
	}
	if r.Bad() {
		return errors.New("the list is unreadable")
	}
	for users := range slices.Chunk(all, perAppend) {
		byPartition := make([]*eventlog.Batch, n)
		var out []*eventlog.Batch
		for _, id := range users {
			in := event.Intent{
				FireID: o.fireID(id), User: id, Campaign: o.Campaign, At: o.At, Offset: event.NoOffset,
			}
			p := eventlog.PartitionOf(in.User, n)
			b := byPartition[p]
			if b == nil {
				b = &eventlog.Batch{Partition: p, Own: true}
				byPartition[p] = b
				out = append(out, b)
			}
			b.Data = event.AppendIntent(b.Data, &in)
			b.Ends = append(b.Ends, len(b.Data))
		}
		if err := k.log.Append(ctx, eventlog.Intents, out); err != nil {
			return fmt.Errorf("append intents: %w", err)
		}
	}
	done := *o
	done.Next++
	head, err := done.write(version)
	if err == nil {
		err = k.store.Apply(ctx, documents.Durable, head,
			documents.Write{Collection: CollectionUsers, Key: at, Expect: documents.Any})
	}
	if err != nil {
		return fmt.Errorf("keep how far it came: %w", err)
	}
	*o = done
	return nil
}
