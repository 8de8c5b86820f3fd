// Package phone owns telephone numbers: their one form (E.164), the country they
// belong to, and the time zones their owner may be in.
//
// It owns no channel and no quiet hours; both ask it. Everything is a pure
// function of the metadata that is compiled in, safe to call concurrently.
package phone

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Number is a number that can be dialled.
type Number struct {
	E164    string // +4915112345678
	Country string // ISO 3166 code in capitals; "" if the number is of no country, such as +883 …
}

// Bounds: of the text that is looked at, in bytes, and of the digits of a number
// with its country code. Some countries name no least or greatest length themselves.
const (
	maxText   = 64
	minDigits = 7
	maxDigits = 15
)

// Parse reads a number as people write it. A number without "+" or "00" is one
// of the country, an ISO 3166 code; with none it is refused. What counts is
// whether a number has the form of its country: whether it is in use is the
// provider's to know, whose lists are newer.
func Parse(text, country string) (Number, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return Number{}, errors.New("there is no number")
	case len(text) > maxText:
		return Number{}, fmt.Errorf("%.20q… is too long for a number", text)
	}
	if rest, ok := strings.CutPrefix(text, "00"); ok && country == "" {
		text = "+" + rest
	}
	n, err := phonenumbers.Parse(text, country)
	switch {
	case errors.Is(err, phonenumbers.ErrInvalidCountryCode) && country == "" && !strings.HasPrefix(text, "+"):
		return Number{}, fmt.Errorf("%q does not begin with + and a country code, and no country is set for such numbers", text)
	case err != nil:
		return Number{}, fmt.Errorf("%q is not a number: %w", text, err)
	}
	e164 := phonenumbers.Format(n, phonenumbers.E164)
	// Of some texts the library takes more away than of the number that is left: what
	// counts is the number by itself.
	again, err := phonenumbers.Parse(e164, "")
	if err != nil || !phonenumbers.IsPossibleNumber(again) || phonenumbers.Format(again, phonenumbers.E164) != e164 || len(e164) <= minDigits || len(e164) > maxDigits+1 {
		return Number{}, fmt.Errorf("%q has not the form of a number of its country", text)
	}
	return Number{E164: e164, Country: countryOf(again)}, nil
}

func countryOf(n *phonenumbers.PhoneNumber) string {
	region := phonenumbers.GetRegionCodeForNumber(n)
	if region == "" || region == "ZZ" { // of a range that is not in use: the largest country with its code
		region = phonenumbers.GetRegionCodeForCountryCode(int(n.GetCountryCode()))
	}
	if len(region) != 2 || region == "ZZ" {
		return ""
	}
	return region
}

// IsCountry tells whether a code is one of a country that has numbers.
func IsCountry(code string) bool { return phonenumbers.GetSupportedRegions()[code] }
