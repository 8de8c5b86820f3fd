package journey

import (
	"maps"
	"slices"

	"heed/internal/event"
)

// Part makes an id that was merged its own again: who comes under it from now on is
// another user. What the two did before stays joined until Renew.
func (w *Writer) Part(id string) {
	x := w.x
	u, known := x.number(id)
	if !known || x.ids[u] == id {
		return
	}
	delete(x.odd, id)
	x.change(u)
	x.change(x.enter(id))
	x.joined = x.version
	x.mixed[id], x.mixed[x.ids[u]] = true, true
}

// Mixed is the ids that were one user for a while; next is what of the log is in.
func (x *Index) Mixed() (ids []string, next map[int]int64, version uint64) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Sorted(maps.Keys(x.mixed)), maps.Clone(x.next), x.version
}

// Renew takes in anew all that the users of these ids did up to a version. Whoever did
// something since then stays as they are, and mixed.
func (w *Writer) Renew(ids []string, version uint64, events []event.Event) {
	x, renewed := w.x, map[uint32]bool{}
	for _, id := range ids {
		u, ok := x.number(id)
		if ok && x.changed[u] > version {
			continue
		}
		if delete(x.mixed, id); ok {
			x.empty(u)
			x.change(u)
			renewed[u] = true
		}
	}
	x.joined, x.people = x.version, x.version
	for i := range events {
		e := &events[i] // bots' and internal ones are nobody's, and are counted
		if u, ok := x.number(e.User()); ok && renewed[u] && !e.Context.Bot && !Internal(e) {
			w.Add(e)
		}
	}
}
