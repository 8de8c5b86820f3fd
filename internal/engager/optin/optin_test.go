package optin_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"heed/internal/definition"
	"heed/internal/driver/memory"
	"heed/internal/engager/optin"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/profile"
	"heed/internal/reach"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is an Asker on a store in memory; its profiles know as much of the log as
// Consumed says.
type world struct {
	t        *testing.T
	db       *memory.DB
	consumed atomic.Uint64
	no       atomic.Bool // everybody says so
	n        int
}

func (*world) Current() *definition.Set {
	return &definition.Set{
		Channels: map[string]*definition.Channel{"letters": {Name: "letters", Type: "email"}},
		Sending:  &definition.Sending{OptIn: &definition.OptIn{Email: &definition.Asking{Channel: "letters", Template: "confirm"}}},
	}
}

func (w *world) Profile(_ context.Context, user string) (*profile.Profile, error) {
	return &profile.Profile{
		FirstSeen: 1, Email: profile.Address{Value: user + "@shop.example"}, Consent: []profile.Entry{{Key: "email", Value: strconv.FormatBool(!w.no.Load()), At: 1}},
	}, nil
}

func (w *world) Consumed(context.Context) ([]uint64, error) {
	return []uint64{w.consumed.Load()}, nil
}

func (w *world) book() *reach.Book {
	w.t.Helper()
	book, err := reach.New(reach.Deps{Documents: w.db.Documents(), Log: w.db.Log(), Secret: []byte("0123456789abcdef"), Definitions: w, Clock: time.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	return book
}

func (w *world) run() (stop func()) {
	w.t.Helper()
	a := optin.New(optin.Deps{
		Log: w.db.Log(), Documents: w.db.Documents(), Definitions: w, Profiles: w, Book: w.book(), Consumed: w.Consumed, Logger: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
}

// begun waits until what is said is read.
func (w *world) begun() {
	w.t.Helper()
	for {
		if _, err := w.db.Documents().Get(w.t.Context(), "optin_position", "0"); err == nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// says appends an event of a user.
func (w *world) says(user string, change ...func(*event.Event)) {
	w.t.Helper()
	w.n++
	e := event.Event{
		MessageID: fmt.Sprintf("m%d", w.n), Type: event.Identify, Name: "identify", AnonymousID: user, Source: "site", Timestamp: time.Now().UnixMicro(), ReceivedAt: time.Now().UnixMicro(),
		Traits: []byte(`{"email":"` + user + `@shop.example"}`),
	}
	for _, f := range change {
		f(&e)
	}
	data := event.AppendEvent(nil, &e)
	err := w.db.Log().Append(w.t.Context(), eventlog.Events, []*eventlog.Batch{{Data: data, Ends: []int{len(data)}, Keys: []eventlog.Key{event.KeyOf(e.Source, e.MessageID)}}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// orders are the different intents so far, at least n of them; a restart may
// repeat one.
func (w *world) orders(n int) (out []event.Intent) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	r, err := w.db.Log().Read(ctx, eventlog.Intents, 0, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for len(out) < n {
		c, err := r.Next(ctx)
		if err != nil {
			w.t.Fatalf("%d of %d orders: %v", len(out), n, err)
		}
		for b := c.Data; len(b) > 0; {
			var in event.Intent
			used, err := event.DecodeIntent(b, &in)
			if err != nil {
				w.t.Fatal(err)
			}
			b = b[used:]
			if !slices.ContainsFunc(out, func(o event.Intent) bool { return o.FireID == in.FireID }) {
				out = append(out, in)
			}
		}
	}
	return out
}

// Who is to confirm is asked once the profile knows what was said, for what is new; what
// a restart repeats is the same order.
func TestAsk(t *testing.T) {
	w := &world{t: t, db: memory.Open(memory.Config{Partitions: 1})}
	w.consumed.Store(100)
	w.says("before") // the first start
	stop := w.run()
	w.begun()
	w.says("past", func(e *event.Event) { e.Context.Historical = true })
	w.says("walker", func(e *event.Event) { e.Type, e.Traits, e.Properties = event.Track, nil, []byte(`{"email":"x"}`) })
	w.says("visitor", func(e *event.Event) {
		e.Type, e.Traits, e.Context.Consent = event.Track, nil, []byte(`{"email":true}`)
	})
	first := w.orders(1)
	if len(first) != 1 || first[0].User != "visitor" || first[0].Campaign != "confirm:email" || first[0].CauseID != "m4" || first[0].Offset != 3 {
		t.Errorf("%+v", first)
	}
	w.says("visitor") // asked already
	w.says("ann")
	if got := w.orders(2); len(got) != 2 || got[1].User != "ann" {
		t.Errorf("%+v", got)
	}
	stop()
	w.consumed.Store(0)
	w.says("bob")
	stop = w.run()
	w.consumed.Store(100)
	if got := w.orders(3); got[2].User != "bob" {
		t.Errorf("%+v", got)
	}
	stop()
}

// A no voids what was confirmed, whichever way it comes: by a list, or to all marketing.
func TestNo(t *testing.T) {
	for _, no := range []func(*event.Event){
		func(e *event.Event) { e.Context.Historical = true },
		func(e *event.Event) {
			e.Type, e.Traits, e.Context.Consent = event.Track, nil, []byte(`{"marketing":false}`)
		},
	} {
		w := &world{t: t, db: memory.Open(memory.Config{Partitions: 1})}
		w.consumed.Store(100)
		book := w.book()
		p, err := w.Profile(t.Context(), "ann")
		if err != nil {
			t.Fatal(err)
		}
		q := &reach.Question{User: "ann", Profile: p, Channel: w.Current().Channels["letters"]}
		confirmed := func() bool {
			t.Helper()
			c, err := book.Proof(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			return c.At != 0
		}
		o, err := book.Await(t.Context(), q, time.Now().UnixMicro())
		if err != nil {
			t.Fatal(err)
		}
		_, token, _ := strings.Cut(book.ConfirmLink(reach.Link{Type: "email"}, "ann@shop.example", o.At), reach.ConfirmPath)
		l, err := book.OpenConfirm(token)
		if err == nil {
			_, err = book.Confirm(t.Context(), l)
		}
		if err != nil || !confirmed() {
			t.Fatal("it is not confirmed", err)
		}
		w.no.Store(true)
		stop := w.run()
		w.begun()
		w.says("ann", no)
		for deadline := time.Now().Add(10 * time.Second); confirmed(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Error("it stays confirmed")
				break
			}
		}
		stop()
	}
}
