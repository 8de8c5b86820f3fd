package outward

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

// ErrPrivate says that a destination is not out in the world.
var ErrPrivate = errors.New("the destination's address is not a public one; if it is yours, say allowPrivate: true")

// refusePrivate looks at the address that a connection is about to be made to,
// after its name was resolved: a name that leads elsewhere the second time it is
// asked gains nothing.
func refusePrivate(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("address %q: %w", address, err)
	}
	if !public(to.Addr()) {
		return ErrPrivate
	}
	return nil
}

// public tells addresses of the world from those of a host, a network or a
// cloud's own services.
func public(a netip.Addr) bool {
	a = a.Unmap().WithZone("") // no network contains an address with a zone
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsLoopback() {
		return false
	}
	for _, p := range reserved() {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// reserved are further networks of RFC 6890, and those that carry an IPv4 address
// of their choice.
func reserved() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("192.88.99.0/24"),
		netip.MustParsePrefix("::/96"), netip.MustParsePrefix("100::/64"), netip.MustParsePrefix("3fff::/20"), netip.MustParsePrefix("5f00::/16"),
		netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2001::/23"),
		netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("fec0::/10"),
	}
}
