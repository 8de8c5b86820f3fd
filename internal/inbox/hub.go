package inbox

import "sync"

// Hub is the part of an Inbox that lives within one process: who subscribes to
// which user, and who waits for which token. Drivers for one process are built
// on it. The zero Hub is ready; its methods may be called concurrently.
type Hub struct {
	mu          sync.RWMutex
	subscribers map[string]map[chan struct{}]struct{} // by user
	watchers    map[string]map[chan Settlement]struct{}
}

// Subscribe implements Inbox.
func (h *Hub) Subscribe(users ...string) (wake <-chan struct{}, cancel func()) {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subscribers == nil {
		h.subscribers = make(map[string]map[chan struct{}]struct{})
	}
	for _, u := range users {
		set := h.subscribers[u]
		if set == nil {
			set = make(map[chan struct{}]struct{}, 1)
			h.subscribers[u] = set
		}
		set[ch] = struct{}{}
	}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, u := range users {
			if set := h.subscribers[u]; set != nil {
				delete(set, ch)
				if len(set) == 0 {
					delete(h.subscribers, u)
				}
			}
		}
	}
}

// Wake wakes the subscribers of a user.
func (h *Hub) Wake(user string) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for ch := range h.subscribers[user] {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// Watch implements Inbox.
func (h *Hub) Watch(token string) (settled <-chan Settlement, cancel func()) {
	ch := make(chan Settlement, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.watchers == nil {
		h.watchers = make(map[string]map[chan Settlement]struct{})
	}
	set := h.watchers[token]
	if set == nil {
		set = make(map[chan Settlement]struct{}, 1)
		h.watchers[token] = set
	}
	set[ch] = struct{}{}
	return ch, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if set := h.watchers[token]; set != nil {
			delete(set, ch)
			if len(set) == 0 {
				delete(h.watchers, token)
			}
		}
	}
}

// Report hands a settlement to who watches the token. What a slow watcher has
// not taken yet is added up, so nothing is lost and nothing piles up.
func (h *Hub) Report(token string, s Settlement) {
	h.mu.RLock()
	none := len(h.watchers[token]) == 0
	h.mu.RUnlock()
	if none {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for ch := range h.watchers[token] {
		sum := s
		select {
		case old := <-ch:
			sum.Events += old.Events
			sum.Intents += old.Intents
			sum.Done += old.Done
		default:
		}
		ch <- sum // has room: only Report sends, and it holds the lock
	}
}
