package distinct

import (
	"encoding/binary"
	"math/bits"

	"heed/internal/eventlog"
)

// printOf is the part of a key that is remembered: 64 bits of a cryptographic
// hash. That two different events among a million share it happens once in 10^7
// windows; nobody can bring it about without 2^32 tries for one source.
func printOf(k eventlog.Key) uint64 { return binary.LittleEndian.Uint64(k[:8]) }

// seen is a key in the order of the log.
type seen struct {
	print uint64
	at    int64 // log time, µs
}

// window holds the last keys of a partition: a ring in the order of the log, one
// longer than what it remembers, and an open-addressing table of places in it.
type window struct {
	horizon int64
	ring    []seen
	n       uint64   // keys so far; key i is at ring[i%len(ring)]
	table   []uint32 // place in the ring + 1; 0: empty
	mask    uint64
}

func newWindow(ids int, horizon int64) *window {
	size := uint64(1) << bits.Len(uint(2*ids)) // at most half full
	return &window{horizon: horizon, ring: make([]seen, ids+1), table: make([]uint32, size), mask: size - 1}
}

// see adds a key and tells whether it was there.
func (w *window) see(print uint64, at int64) (repeat bool) {
	place := uint32(w.n % uint64(len(w.ring)))
	if w.n >= uint64(len(w.ring)) {
		w.forget(place)
	}
	w.n++
	slot := print & w.mask
	for ; w.table[slot] != 0; slot = (slot + 1) & w.mask {
		if before := &w.ring[w.table[slot]-1]; before.print == print {
			repeat = at-before.at <= w.horizon
			break
		}
	}
	w.table[slot] = place + 1 // the newest place counts
	w.ring[place] = seen{print, at}
	return repeat
}

// forget takes the key of a place out of the table, unless it came again since.
func (w *window) forget(place uint32) {
	slot := w.ring[place].print & w.mask
	for ; ; slot = (slot + 1) & w.mask {
		switch w.table[slot] {
		case 0:
			return
		case place + 1:
			w.clear(slot)
			return
		}
	}
}

// clear empties a slot and moves up those that had to go past it (Knuth, TAOCP 3,
// 6.4, algorithm R).
func (w *window) clear(slot uint64) {
	for next := (slot + 1) & w.mask; w.table[next] != 0; next = (next + 1) & w.mask {
		home := w.ring[w.table[next]-1].print & w.mask
		if (next-home)&w.mask >= (next-slot)&w.mask {
			w.table[slot] = w.table[next]
			slot = next
		}
	}
	w.table[slot] = 0
}

// reach is for how long keys are remembered now, in µs.
func (w *window) reach() int64 {
	if w.n < uint64(len(w.ring)) {
		return w.horizon // none was forgotten yet
	}
	newest, oldest := w.ring[(w.n-1)%uint64(len(w.ring))], w.ring[w.n%uint64(len(w.ring))]
	return min(w.horizon, newest.at-oldest.at)
}
