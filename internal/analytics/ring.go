package analytics

import (
	"sync"

	"heed/internal/console/api"
)

type seenEvent = api.EventSummary

type seenDelivery = api.Delivery

// ring keeps the newest values, numbered from 1.
type ring[T any] struct {
	mu     sync.Mutex
	values []T
	next   uint64 // number of the next value
}

func newRing[T any](size int) *ring[T] { return &ring[T]{values: make([]T, size), next: 1} }

func (r *ring[T]) add(v T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.values[r.next%uint64(len(r.values))] = v
	r.next++
}

// since lists what came behind the number after, oldest first, with the number
// to ask with next and how many are gone already.
func (r *ring[T]) since(after uint64, keep func(*T) bool) (out []T, next uint64, missed int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := uint64(1)
	if n := uint64(len(r.values)); r.next > n {
		first = r.next - n
	}
	from := after + 1
	if from < first {
		missed = int64(first - from)
		from = first
	}
	for n := from; n < r.next; n++ {
		if v := &r.values[n%uint64(len(r.values))]; keep(v) {
			out = append(out, *v)
		}
	}
	return out, r.next - 1, missed
}

// Events lists the newest events behind a sequence number; see console.Live.
func (a *Analytics) Events(after uint64, user string) (events []api.EventSummary, next uint64, missed int64) {
	return a.events.since(after, func(e *seenEvent) bool { return user == "" || e.User == user })
}

// Deliveries lists the newest outcomes behind a sequence number.
func (a *Analytics) Deliveries(after uint64, user string) (deliveries []api.Delivery, next uint64, missed int64) {
	return a.deliveries.since(after, func(d *seenDelivery) bool { return user == "" || d.User == user })
}
