package engager

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"heed/internal/consent"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/engager/content"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/policy"
	"heed/internal/reach"
	"heed/internal/render"
	"heed/internal/varint"
)

// What a person sends once, to a list of users, is an order: the list is kept,
// and each user of it becomes an intent of the campaign. An order's head is
// written behind its list, durably, and is what makes it one. An intent's id and
// time follow from the order, so what a crash makes the Engager append again is
// the same activation.

// Collections of orders.
const (
	CollectionOrders     = "orders"      // campaign, id -> Order
	CollectionOrderUsers = "order_users" // campaign, id, number -> user ids, each behind its length
)

// Bounds of orders.
const (
	MaxOrderUsers  = 5_000_000
	orderPage      = 512 << 10 // bytes of ids in one document
	orderIntents   = 1000      // of one append
	orderRetry     = time.Second
	maxOrderIDSize = 64
)

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

// SendOnce orders that a campaign goes to the users: one that is started once (When.Once
// names the order), or one that goes to who enters an audience, for those who are in it. Repeating it is no harm, whatever the users then:
// the first list counts. Campaign and users must not be empty.
func (e *Engager) SendOnce(ctx context.Context, campaign, id string, users []string) (Order, error) {
	switch {
	case campaign == "" || id == "" || len(id) > maxOrderIDSize:
		return Order{}, fmt.Errorf("engager: %q of campaign %q is no order", id, campaign)
	case len(users) == 0 || len(users) > MaxOrderUsers:
		return Order{}, fmt.Errorf("engager: an order is for 1 to %d users, not %d", MaxOrderUsers, len(users))
	case slices.Contains(users, ""):
		return Order{}, errors.New("engager: a user of the order has no id")
	}
	if o, err := e.Ordered(ctx, campaign, id); err != nil || o.ID != "" {
		return o, err
	}
	o := Order{Campaign: campaign, ID: id, At: e.now(), Users: len(users)}
	var page []byte
	put := func() error {
		w := documents.Write{Collection: CollectionOrderUsers, Key: o.page(o.Pages), Value: page, Expect: documents.Any}
		if err := e.deps.Documents.Apply(ctx, documents.Relaxed, w); err != nil {
			return fmt.Errorf("engager: write the list of %s: %w", campaign, err)
		}
		o.Pages++
		page = nil
		return nil
	}
	for _, u := range users {
		if len(page) > 0 && len(page)+len(u) >= orderPage {
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
		err = e.deps.Documents.Apply(ctx, documents.Durable, head)
	}
	if errors.Is(err, documents.ErrConflict) { // asked for twice at the same time
		return e.SendOnce(ctx, campaign, id, users)
	}
	if err != nil {
		return Order{}, fmt.Errorf("engager: order %s: %w", campaign, err)
	}
	return o, nil
}

// Ordered is an order as it stands; without an id if there is none.
func (e *Engager) Ordered(ctx context.Context, campaign, id string) (o Order, err error) {
	d, err := e.deps.Documents.Get(ctx, CollectionOrders, orderKey(campaign, id))
	if errors.Is(err, documents.ErrNotFound) {
		return Order{}, nil
	}
	if err == nil {
		err = json.Unmarshal(d.Value, &o)
	}
	if err != nil {
		return Order{}, fmt.Errorf("engager: read the order of %s: %w", campaign, err)
	}
	return o, nil
}

// Reachable asks, as the decision does, who of the users a campaign may write to by
// its first content's channel: those, and how many others by reason.
func (e *Engager) Reachable(ctx context.Context, c *definition.Campaign, users []string) ([]string, map[policy.Reason]int, error) {
	refused := map[policy.Reason]int{}
	def := e.deps.Definitions.Current().Channels[c.What[0].Channel]
	if def == nil {
		return nil, nil, fmt.Errorf("engager: channel %q does not exist", c.What[0].Channel)
	}
	left := make([]string, 0, len(users))
	for _, u := range users {
		user, p, err := reach.Whose(ctx, e.deps.Profiles, u)
		if err != nil {
			return nil, nil, err
		}
		a, err := e.deps.Book.Ask(ctx, &reach.Question{
			User: user, Profile: p, Purpose: cmp.Or(c.Purpose, consent.Marketing), Campaign: c.Name, Channel: def,
		})
		if err != nil {
			return nil, nil, err
		}
		if why := a.Refusal(); why != policy.None {
			refused[why]++
			continue
		}
		left = append(left, u)
	}
	return left, refused, nil
}

// Treated are those of the users whom a campaign of that name would not hold back,
// nor would all marketing.
func (e *Engager) Treated(campaign string, share float64, users []string) []string {
	global := e.current().global
	return slices.DeleteFunc(slices.Clone(users), func(u string) bool {
		return policy.HeldOut(e.salt, "", u, global) || policy.HeldOut(e.salt, campaign, u, share)
	})
}

// Languages tells which text of a template how many of the users would get.
func (e *Engager) Languages(ctx context.Context, t *definition.Template, users []string) ([]content.Readers, error) {
	tally := content.NewTally(t)
	for _, u := range users {
		_, p, err := reach.Whose(ctx, e.deps.Profiles, u)
		if err != nil {
			return nil, err
		}
		tally.Add(u, p)
	}
	return tally.Readers(), nil
}

func (o *Order) write(expect int64) (documents.Write, error) {
	value, err := json.Marshal(o)
	return documents.Write{Collection: CollectionOrders, Key: orderKey(o.Campaign, o.ID), Value: value, Expect: expect}, err
}

func orderKey(campaign, id string) string { return campaign + "\x00" + id }

// page is where a part of the list lies.
func (o *Order) page(number int) string {
	return fmt.Sprintf("%s\x00%08x", orderKey(o.Campaign, o.ID), number)
}

// fireID is that of one user's intent.
func (o *Order) fireID(user string) string {
	h := sha256.Sum256([]byte("order\x00" + orderKey(o.Campaign, o.ID) + "\x00" + user))
	return hex.EncodeToString(h[:16])
}

// orders turns orders into intents until ctx ends.
func (e *Engager) orders(ctx context.Context) {
	wake, cancel := e.deps.Documents.Watch(CollectionOrders)
	defer cancel()
	for {
		err := e.workOff(ctx)
		if ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) {
			return
		}
		if err != nil {
			e.metrics.storeErrors.Inc()
			e.log.Warn("engager tries again", "what", "orders", "error", err)
			if !wait(ctx, orderRetry) {
				return
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
func (e *Engager) workOff(ctx context.Context) error {
	for after := ""; ; {
		docs, err := e.deps.Documents.List(ctx, documents.Query{Collection: CollectionOrders, After: after})
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
				e.log.Error("an order is unreadable: it is passed over", "key", d.Key, "error", err)
				continue
			}
			for ; o.Next < o.Pages; d.Version++ {
				if err := e.orderIntents(ctx, &o, d.Version); err != nil {
					return fmt.Errorf("order of %s: %w", o.Campaign, err)
				}
			}
		}
	}
}

// orderIntents appends the intents of an order's next page, and moves on, unless
// another process has done so meanwhile: the pages that it passed are gone.
func (e *Engager) orderIntents(ctx context.Context, o *Order, version int64) error {
	key := o.page(o.Next)
	page, err := e.deps.Documents.Get(ctx, CollectionOrderUsers, key)
	if err != nil {
		return fmt.Errorf("read the list: %w", err)
	}
	n := e.deps.Log.Partitions()
	var all []string
	r := varint.NewReader(page.Value)
	for len(r.Rest()) > 0 {
		all = append(all, r.String())
	}
	if r.Bad() {
		return errors.New("the list is unreadable")
	}
	for users := range slices.Chunk(all, orderIntents) {
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
		if err := e.deps.Log.Append(ctx, eventlog.Intents, out); err != nil {
			return fmt.Errorf("append intents: %w", err)
		}
	}
	done := *o
	done.Next++
	head, err := done.write(version)
	if err == nil {
		err = e.deps.Documents.Apply(ctx, documents.Durable, head,
			documents.Write{Collection: CollectionOrderUsers, Key: key, Expect: documents.Any})
	}
	if err != nil {
		return fmt.Errorf("keep how far it came: %w", err)
	}
	*o = done
	return nil
}

// Preview renders what a campaign's template would say to a user, by what is
// known of the user now, and in the language of locale if it is not empty.
func (e *Engager) Preview(ctx context.Context, t *definition.Template, campaign, user, locale string) (content.Rendered, error) {
	return e.preview(ctx, t, campaign, user, locale, nil)
}

func (e *Engager) preview(ctx context.Context, t *definition.Template, campaign, user, locale string, ev *event.Event) (content.Rendered, error) {
	p, err := e.deps.Profiles.Profile(ctx, user)
	if err != nil {
		return content.Rendered{}, fmt.Errorf("read profile: %w", err)
	}
	mode := render.HTML
	if def := e.deps.Definitions.Current().Channels[t.Channel]; def != nil {
		mode = t.Mode(def)
	}
	made, err := content.New(e.cache, t, mode)
	if err != nil {
		return content.Rendered{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, e.cfg.RenderTimeout)
	defer cancel()
	in := e.input(ctx, user, campaign)
	in.Event, in.Profile, in.Unsubscribe, in.Confirm = ev, p, "#", "#" // a preview ends nothing
	return made.Render(ctx, in, locale)
}
