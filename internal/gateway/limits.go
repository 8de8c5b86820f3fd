package gateway

import (
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
)

// window is the length in seconds of the windows that rates are counted over.
const window = 10

// meters count by address and by user.
type meters struct {
	addresses, users meter
}

// meter counts events per window for any number of names in bounded room: names
// whose hashes share a slot share its budget, which is rare and errs on the
// side of refusing. All methods may be called concurrently.
type meter struct {
	slots [1 << 14]atomic.Uint64 // window number << 32 | count
}

// allow counts n events of a name and tells whether they are within the most
// per window.
func (m *meter) allow(hash uint64, n, most int, now time.Time) bool {
	slot := &m.slots[hash%uint64(len(m.slots))]
	current := uint64(now.Unix()/window) & 0xffffffff
	for {
		old := slot.Load()
		count := old & 0xffffffff
		if old>>32 != current {
			count = 0
		}
		if count+uint64(n) > uint64(most) && count > 0 {
			return false
		}
		if slot.CompareAndSwap(old, current<<32|(count+uint64(n))) {
			return true
		}
	}
}

// retryAfter is the time until the next window, in whole seconds.
func retryAfter(now time.Time) int { return window - int(now.Unix()%window) }

// allowUser counts one event of a user.
func (g *Gateway) allowUser(user string, now time.Time) bool {
	return g.meters.users.allow(xxhash.Sum64String(user), 1, g.cfg.UserRate*window, now)
}

// address is who calls: the peer, or behind trusted proxies whom they name.
func (g *Gateway) address(remote string, forwarded []string) netip.Addr {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	if len(g.cfg.TrustedProxies) == 0 || len(forwarded) == 0 || !g.isProxy(addr) {
		return addr
	}
	// From the right: each entry was written by the one behind it.
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for _, text := range slices.Backward(hops) {
		text = strings.TrimSpace(text)
		hop, err := netip.ParseAddr(text)
		if err != nil {
			port, perr := netip.ParseAddrPort(text)
			if perr != nil {
				return addr // what a trusted proxy did not write is worth nothing
			}
			hop = port.Addr()
		}
		addr = hop.Unmap()
		if !g.isProxy(addr) {
			break
		}
	}
	return addr
}

func (g *Gateway) isProxy(a netip.Addr) bool {
	for _, p := range g.cfg.TrustedProxies {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// cutAddress is the network of an address: /24, or /48 for IPv6. The rest of
// it is never stored.
func cutAddress(a netip.Addr) netip.Addr {
	if !a.IsValid() {
		return a
	}
	a = a.Unmap().WithZone("")
	bits := 24
	if a.Is6() {
		bits = 48
	}
	p, err := a.Prefix(bits)
	if err != nil { // only for bits out of range
		return netip.Addr{}
	}
	return p.Addr()
}

// hashAddress is the meter's name of a network.
func hashAddress(a netip.Addr) uint64 {
	b := a.As16()
	return xxhash.Sum64(b[:])
}
