package documents

import "sync"

// Hub wakes the watchers of collections within one process. Drivers for one
// process are built on it. The zero Hub is ready; its methods may be called
// concurrently.
type Hub struct {
	mu       sync.RWMutex
	watchers map[string]map[chan struct{}]struct{} // by collection
}

// Watch implements Store.
func (h *Hub) Watch(collection string) (wake <-chan struct{}, cancel func()) {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers == nil {
		h.watchers = make(map[string]map[chan struct{}]struct{})
	}
	set := h.watchers[collection]
	if set == nil {
		set = make(map[chan struct{}]struct{}, 1)
		h.watchers[collection] = set
	}
	set[ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if set := h.watchers[collection]; set != nil {
			delete(set, ch)
			if len(set) == 0 {
				delete(h.watchers, collection)
			}
		}
	}
}

// Changed wakes the watchers of every collection that a transaction wrote.
func (h *Hub) Changed(writes []Write) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.watchers) == 0 {
		return
	}
	for i := range writes {
		for ch := range h.watchers[writes[i].Collection] {
			select {
			case ch <- struct{}{}:
			default:
			}
		}
	}
}

// Wake wakes everybody who watches.
func (h *Hub) Wake() {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, set := range h.watchers {
		for ch := range set {
			select {
			case ch <- struct{}{}:
			default:
			}
		}
	}
}
