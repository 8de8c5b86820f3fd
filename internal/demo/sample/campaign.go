package sample

import (
	"cmp"
	"container/heap"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"heed/internal/event"
)

// Campaign is the one that the past knows the end of: two hours after somebody
// left a cart a letter went to the outbox. Its definition ships with the demo
// (internal/demo/definitions); so do those of its trigger and template.
const (
	Campaign = "forgotten-carts"
	trigger  = "cart-abandoned"
	template = "cart-letter"
)

// The campaign ran for six weeks and ended before what is shown as recent, so
// that nobody's engagement is due to it.
const (
	day       = 24 * time.Hour
	launched  = 77 * day // before the end of the past
	ended     = 35 * day
	delay     = 2*time.Hour + time.Minute // of the trigger and the campaign
	capWindow = 7 * day                   // one letter in it
	heldBack  = 0.1
)

// letters is the campaign as the history is made: what it sent, to whom not and
// why, and who came back because of it.
type letters struct {
	past Past
	due  dues
	sent map[int]int64 // µs of the latest one, by person
	e    *event.Event
}

// due is something that happens because of the campaign, at a time in µs.
type due struct {
	at int64
	do func(yield func(*event.Event) bool) bool
}

type dues []due

func (d dues) Len() int           { return len(d) }
func (d dues) Less(i, j int) bool { return d[i].at < d[j].at }
func (d dues) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *dues) Push(x any)        { *d = append(*d, x.(due)) } //nolint:forcetypeassert // container/heap, ours
func (d *dues) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
}

// until yields what is due before a time; false: no more is wanted.
func (l *letters) until(at int64, yield func(*event.Event) bool) bool {
	for len(l.due) > 0 && l.due[0].at < at {
		next, _ := heap.Pop(&l.due).(due)
		if !next.do(yield) {
			return false
		}
	}
	return true
}

// after looks at a visit that has been made. A letter and what follows from it
// lie before the person's next visit, or there is none: so each user's events
// are in order of time.
func (l *letters) after(w *walk, v visit) {
	at := w.leftAt + delay.Microseconds()
	end := l.past.Until.UnixMicro()
	if len(w.left) == 0 || at < end-launched.Microseconds() || at > end-ended.Microseconds() || at > v.next {
		return
	}
	rng := rand.New(rand.NewPCG(l.past.Seed, uint64(v.person)<<20|uint64(v.number)|1<<61)) //nolint:gosec // no secret
	status, reason := "sent", ""
	arm := rand.New(rand.NewPCG(l.past.Seed, uint64(v.person)|1<<60)) //nolint:gosec // no secret
	before, had := l.sent[v.person]
	switch {
	case arm.Float64() < heldBack:
		status, reason = "refused", "holdout"
	case had && at-before < capWindow.Microseconds():
		status, reason = "refused", "cap"
	default:
		l.sent[v.person] = at
	}
	who, id := w.who, fmt.Sprintf("sample-%d-%d-letter", v.person, v.number)
	l.tell(who, at, event.NameDelivery, id, status, reason)
	if status != "sent" || rng.Float64() > 0.5 {
		return
	}
	opened := at + int64(float64(time.Hour.Microseconds())*(0.05+3*rng.ExpFloat64()))
	if opened > v.next {
		return
	}
	l.tell(who, opened, event.NameOpened, id, "", "")
	clicked := opened + time.Minute.Microseconds()
	if rng.Float64() > 0.12+0.2*who.keen || clicked+time.Hour.Microseconds() > v.next {
		return
	}
	l.tell(who, clicked, event.NameClicked, id, "", "")
	// Back in the shop, where the cart still is.
	back := &walk{
		rng: rng, who: who, products: w.products, at: clicked + 3e6, e: l.e,
		id: fmt.Sprintf("sample-%d-%d-back-", v.person, v.number), order: fmt.Sprintf("%s-%d-back", who.id, v.number),
	}
	cart := w.left
	heap.Push(&l.due, due{back.at, func(yield func(*event.Event) bool) bool {
		back.yield = yield
		back.page("/shop/cart", "Your cart", false)
		if rng.Float64() < 0.75 {
			back.buy(cart)
		}
		return !back.stopped
	}})
}

// tell makes an outcome, or what followed one, as the Engager and the channels
// write them.
func (l *letters) tell(who *person, at int64, name, id, status, reason string) {
	heap.Push(&l.due, due{at, func(yield func(*event.Event) bool) bool {
		properties, err := json.Marshal(struct {
			Status     string `json:"status,omitempty"`
			Reason     string `json:"reason,omitempty"`
			Campaign   string `json:"campaign"`
			Variant    int    `json:"variant"`
			Template   string `json:"template"`
			Channel    string `json:"channel"`
			Delivery   string `json:"delivery"`
			Activation string `json:"activation"`
			Fire       string `json:"fire"`
			Trigger    string `json:"trigger"`
		}{status, reason, Campaign, 0, template, "outbox", id, id, id, trigger})
		if err != nil {
			return true // texts of our own
		}
		*l.e = event.Event{
			MessageID: id + "-" + cmp.Or(status, name), Type: event.Track, Name: name, Source: Source, Timestamp: at, ReceivedAt: at,
			Properties: properties, Context: event.Context{Historical: true, Verified: true},
		}
		who.sign(l.e)
		return yield(l.e)
	}})
}
