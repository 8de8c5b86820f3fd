package gateway

import (
	"net/http"
	"sync/atomic"
	"testing"

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
