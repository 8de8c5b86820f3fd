// Package touch owns what brings a visit: the one rule by which first touch, last
// touch and attribution give credit. It does not own which of a user's touches
// counts. It is pure.
package touch

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Touch is what brought a visit.
type Touch struct{ Source, Medium, Campaign string }

// Text is the touch in one text, which Parse reads.
func (t Touch) Text() string {
	return strconv.Itoa(len(t.Source)) + " " + strconv.Itoa(len(t.Medium)) + " " + t.Source + t.Medium + t.Campaign
}

// Parse reads what Text wrote; whatever else is direct.
func Parse(text string) Touch {
	first, rest, _ := strings.Cut(text, " ")
	second, all, ok := strings.Cut(rest, " ")
	source, err := strconv.Atoi(first)
	medium, err2 := strconv.Atoi(second)
	if !ok || err != nil || err2 != nil || source < 0 || medium < 0 || source > len(all) || medium > len(all)-source {
		return Direct()
	}
	return Touch{Source: all[:source], Medium: all[source : source+medium], Campaign: all[source+medium:]}
}

// Direct is the touch of a visit that nothing is known to have brought.
func Direct() Touch { return Touch{Source: "direct"} }

// Of is the touch of an event: its campaign's source, medium and name if
// it has a source; else the referrer's host (without www.) as source and
// "referral" as medium; else direct. Both are ignored where the referrer is on
// the page's own host, above or below it, or in one of the domains of returns
// or Providers: coming back from there starts nothing. The texts may be parts of
// what is given.
func Of(source, medium, campaign, referrer, page string, returns []string) Touch {
	if source == "" && referrer == "" {
		return Direct()
	}
	from := Host(referrer)
	if from != "" {
		if own := Host(page); within(from, own) || within(own, from) {
			return Direct()
		}
		if slices.ContainsFunc(returns, func(d string) bool { return within(from, d) }) || provider(from) {
			return Direct()
		}
	}
	switch {
	case source != "":
		return Touch{Source: source, Medium: medium, Campaign: campaign}
	case from != "":
		return Touch{Source: from, Medium: "referral"}
	}
	return Direct()
}

// provider tells whether a host is a payment provider's that customers come back
// from, or below it.
func provider(host string) bool {
	for {
		switch host {
		case "paypal.com", "stripe.com", "klarna.com", "adyen.com", "mollie.com", "worldpay.com", "checkout.com",
			"braintreegateway.com", "authorize.net", "sofort.com", "giropay.de", "paydirekt.de", "ideal.nl", "przelewy24.pl",
			"payu.com", "razorpay.com", "squareup.com", "2checkout.com", "sagepay.com", "wirecard.com", "computop-paygate.com",
			"afterpay.com", "affirm.com", "pay.amazon.com", "pay.google.com", "trustly.com":
			return true
		}
		_, above, more := strings.Cut(host, ".")
		if !more {
			return false
		}
		host = above
	}
}

// maxURL bounds what is looked at of a URL, in bytes.
const maxURL = 4 << 10

// Host is the lower-case host of a URL without www. and port, "" if it has none.
func Host(raw string) string {
	if raw == "" || len(raw) > maxURL {
		return ""
	}
	host, plain := plainHost(raw)
	if !plain {
		u, err := url.Parse(raw)
		if err != nil {
			return ""
		}
		host = strings.ToLower(u.Hostname())
	}
	return strings.TrimPrefix(strings.TrimSuffix(host, "."), "www.")
}

// plainHost reads the host of a URL as nearly all are, without making anything:
// it is asked of every event.
func plainHost(raw string) (host string, ok bool) {
	rest, ok := strings.CutPrefix(raw, "https://")
	if !ok {
		if rest, ok = strings.CutPrefix(raw, "http://"); !ok {
			return "", false
		}
	}
	for i := range len(rest) {
		switch c := rest[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '.':
		case c == '/', c == '?', c == '#':
			return rest[:i], true
		default:
			return "", false
		}
	}
	return rest, true
}

// within tells whether a host is a domain or below it.
func within(host, domain string) bool {
	return domain != "" && strings.HasSuffix(host, domain) && (len(host) == len(domain) || host[len(host)-len(domain)-1] == '.')
}
