package app

import (
	"cmp"
	"maps"
	"net"
	"net/url"
	"slices"

	"heed/internal/definition"
	"heed/internal/reach"
)

// Unreachable says that the links in messages lead nowhere for those who get
// them; "" if there are no such messages, or the links lead somewhere.
func Unreachable(cfg Config, set *definition.Set) string {
	for _, name := range slices.Sorted(maps.Keys(set.Channels)) {
		if ch := set.Channels[name]; reach.Addressed(ch.Type) && !ch.Local && loopback(cmp.Or(cfg.PublicURL, "http://"+cfg.Listen)) {
			return "channel " + name + " sends links that only this machine can follow, also those to unsubscribe: set public_url (HEED_PUBLIC_URL)"
		}
	}
	return ""
}

// loopback tells whether an address leads to the machine itself, or nowhere.
func loopback(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || u.Hostname() == "" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified())
}
