package gateway

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"heed/internal/definition"
	"heed/internal/inbox"
)

// What was put before its campaign was paused, or before all sending was stopped, is
// shown by nothing until that ends; others go on, once, and what was held back comes
// in the end, also to a client that comes again.
func TestHeldBack(t *testing.T) {
	f := func(what string, hold func(v *world, on bool), othersGo bool) {
		t.Helper()
		v := newWorld(t)
		s := v.server()
		v.put(inbox.Message{ID: "slot", User: "a1", Kind: kindSlot, Slot: "hero"})
		v.put(inbox.Message{ID: "test", User: "a1", Test: true})
		slot := func(want int) {
			t.Helper()
			if w := v.do(http.MethodGet, "/v1/slots/hero?writeKey=open-key&anonymousId=a1", ""); w.Code != want {
				t.Errorf("%s: the slot: %d, want %d", what, w.Code, want)
			}
		}
		slot(http.StatusOK)
		hold(v, true)
		slot(http.StatusNoContent)
		c := v.open(s, "writeKey=open-key&anonymousId=a1", "")
		if othersGo {
			if c.want("test"); c.last != "0" {
				t.Errorf("%s: behind what is held back the position is %s", what, c.last)
			}
		}
		hold(v, false)
		slot(http.StatusOK)
		c.want("slot")
		if !othersGo {
			c.want("test")
		}
		v.put(inbox.Message{ID: "last", User: "a1"})
		c.want("last") // and nothing twice
	}
	f("paused", func(v *world, on bool) {
		set := &definition.Set{Sources: v.Current().Sources}
		if on {
			set.Campaigns = map[string]*definition.Campaign{"winners": {Name: "winners", Status: definition.Paused}}
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		v.set = set
	}, true)
	var stopped atomic.Bool
	f("stopped", func(v *world, on bool) {
		stopped.Store(on)
		if v.g.deps.Stopped == nil {
			v.g.deps.Stopped = stopped.Load
		}
	}, false)
}

// counted counts how often it is looked for messages.
type counted struct {
	inbox.Inbox
	looked atomic.Int64
}

func (c *counted) Pending(ctx context.Context, user string, after uint64, now int64) ([]inbox.Message, error) {
	c.looked.Add(1)
	return c.Inbox.Pending(ctx, user, after, now)
}

// Streams whose messages are held back do not read them again and again: they wait for
// what holds them back.
func TestHeldStreamsRest(t *testing.T) {
	const streams = 200
	v := newWorld(t, func(c *Config) { c.MaxAddressStreams = streams })
	c := &counted{Inbox: v.db.Inbox()}
	v.g.deps.Inbox = c
	var stopped atomic.Bool
	stopped.Store(true)
	v.g.deps.Stopped = stopped.Load
	s := v.server()
	all := make([]*client, streams)
	for i := range all {
		user := fmt.Sprint("a", i)
		v.put(inbox.Message{ID: "m" + user, User: user})
		all[i] = v.open(s, "writeKey=open-key&anonymousId="+user, "")
	}
	for c.looked.Load() < streams {
		time.Sleep(time.Millisecond)
	}
	begun, before := c.looked.Load(), cpu()
	time.Sleep(4 * lookAgain)
	t.Logf("%d streams read %d times in %s, for %s of processor time", streams, c.looked.Load()-begun, 4*lookAgain, cpu()-before)
	if n := c.looked.Load() - begun; n > 0 {
		t.Errorf("%d streams read %d times while nothing changed", streams, n)
	}
	stopped.Store(false)
	for i, c := range all {
		c.want(fmt.Sprint("ma", i))
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // it is only told
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
