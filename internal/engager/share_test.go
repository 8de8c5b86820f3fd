package engager_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"heed/internal/channel"
	"heed/internal/eventlog"
)

// held is a driver whose log does not do one thing with intents until the gate is
// open, as for a process that was paused.
type held struct {
	stores
	reads, appends chan struct{} // nil: no gate
}

func (h held) Log() eventlog.Log { return heldLog{h.stores.Log(), h} }

type heldLog struct {
	eventlog.Log
	held held
}

func pass(ctx context.Context, s eventlog.Stream, gate chan struct{}) {
	if s != eventlog.Intents || gate == nil {
		return
	}
	select {
	case <-gate:
	case <-ctx.Done():
	}
}

func (l heldLog) Read(ctx context.Context, s eventlog.Stream, partition int, from uint64) (eventlog.Reader, error) {
	pass(ctx, s, l.held.reads)
	return l.Log.Read(ctx, s, partition, from)
}

func (l heldLog) Append(ctx context.Context, s eventlog.Stream, b []*eventlog.Batch) error {
	pass(ctx, s, l.held.appends)
	return l.Log.Append(ctx, s, b)
}

// TestParkedByAnother: what a process parks after its partition went to another one
// is sent by that one.
func TestParkedByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := newEnv(t)
		old.cfg.Backoff, old.cfg.MaxBackoff = time.Minute, time.Minute
		old.campaign("c", "sms", "Hello")
		old.users["u"] = texter("u")
		old.sms.answers = []error{&channel.Error{Class: channel.Temporary, Err: errors.New("down")}}
		gate := make(chan struct{})
		next := *old
		next.t, next.db = t, held{stores: old.db, reads: gate}
		next.start() // has looked for what is open, and reads intents later
		time.Sleep(time.Second)
		if err := next.e.Ready(); err != nil {
			t.Fatal(err)
		}
		old.start()
		old.fire("u")
		time.Sleep(time.Second)
		old.stop()
		close(gate)
		time.Sleep(10 * time.Minute)
		if got := next.outcomes("u", 1)[0]; got.Status != "sent" || got.Attempts != 2 || len(old.sms.seen) != 2 {
			t.Errorf("%+v after %d attempts", got, len(old.sms.seen))
		}
		next.stop()
	})
}

// TestOrderOfTwo: a process that was paused while it worked an order off does not put
// it back to pages that another one has passed.
func TestOrderOfTwo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := newEnv(t)
		next.campaign("letter", "outbox", "Hello", once("o1"))
		gate := make(chan struct{})
		open := sync.OnceFunc(func() { close(gate) })
		defer open()
		old := *next
		old.db = held{stores: next.db, appends: gate}
		old.start()
		var users []string
		for _, c := range "abcd" { // a page each
			users = append(users, strings.Repeat(string(c), 300<<10))
		}
		if _, err := old.e.SendOnce(t.Context(), "letter", "o1", users); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second) // it is about to append the first page
		next.start()
		time.Sleep(time.Minute)
		done := func(when string) {
			t.Helper()
			if o, err := next.e.Ordered(t.Context(), "letter", "o1"); err != nil || o.Pages != len(users) || o.Next != o.Pages {
				t.Errorf("%s: %d of %d pages, %v", when, o.Next, o.Pages, err)
			}
		}
		done("the other one took over")
		open()
		time.Sleep(time.Minute)
		done("it woke up")
		old.stop()
		next.stop()
		if n := len(next.letters()); n != len(users) {
			t.Errorf("%d letters to %d users", n, len(users))
		}
	})
}
