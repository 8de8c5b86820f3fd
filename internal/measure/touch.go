package measure

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"heed/internal/period"
)

// Touch is what brought a visit.
type Touch struct{ Source, Medium, Campaign string }

// Direct is the touch of a visit that nothing is known to have brought.
func Direct() Touch { return Touch{Source: "direct"} }

// TouchOf is the touch of an event: its campaign's source, medium and name if
// it has a source; else the referrer's host (without www.) as source and
// "referral" as medium; else direct. Both are ignored where the referrer is on
// the page's own host, above or below it, or in one of the domains of returns
// or Providers: coming back from there starts nothing.
func TouchOf(source, medium, campaign, referrer, page string, returns []string) Touch {
	from := Host(referrer)
	if from != "" {
		if own := Host(page); within(from, own) || within(own, from) {
			return Direct()
		}
		if slices.ContainsFunc(returns, func(d string) bool { return within(from, d) }) ||
			slices.ContainsFunc(Providers(), func(d string) bool { return within(from, d) }) {
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

// Part is one part of a touch.
func (t Touch) Part(p TouchPart) string {
	switch p {
	case ByMedium:
		return t.Medium
	case ByCampaign:
		return t.Campaign
	case BySource:
	}
	return t.Source
}

// Providers are the domains of payment providers that customers come back from.
func Providers() []string {
	return []string{
		"paypal.com", "stripe.com", "klarna.com", "adyen.com", "mollie.com", "worldpay.com", "checkout.com",
		"braintreegateway.com", "authorize.net", "sofort.com", "giropay.de", "paydirekt.de", "ideal.nl", "przelewy24.pl",
		"payu.com", "razorpay.com", "squareup.com", "2checkout.com", "sagepay.com", "wirecard.com", "computop-paygate.com",
		"afterpay.com", "affirm.com", "pay.amazon.com", "pay.google.com", "trustly.com",
	}
}

// Host is the lower-case host of a URL without www. and port, "" if it has none.
func Host(raw string) string {
	if raw == "" || len(raw) > maxText {
		return ""
	}
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), "www.")
}

// within tells whether a host is a domain or below it.
func within(host, domain string) bool {
	return domain != "" && (host == domain || strings.HasSuffix(host, "."+domain))
}

// DefaultLookback is how far back attribution looks.
const DefaultLookback = period.Period(30 * 24 * time.Hour)
