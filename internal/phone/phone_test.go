package phone_test

import (
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the machine's own may lack zones

	"github.com/nyaruka/phonenumbers"

	"heed/internal/phone"
)

func TestParse(t *testing.T) {
	f := func(text, country, e164, of string) {
		t.Helper()
		n, err := phone.Parse(text, country)
		if err != nil || n.E164 != e164 || n.Country != of {
			t.Errorf("%q in %q: %+v, %v; want %s of %q", text, country, n, err, e164, of)
		}
	}
	f("+49 151 12345678", "", "+4915112345678", "DE")
	f("0151/123-456-78", "DE", "+4915112345678", "DE")
	f("0049 151 12345678", "DE", "+4915112345678", "DE")
	f("0049 151 12345678", "", "+4915112345678", "DE")
	f("(650) 253-0000", "US", "+16502530000", "US")
	f("+1 604 669 1000", "US", "+16046691000", "CA")
	f("+1 555 010 0123", "", "+15550100123", "US") // not in use
	f(" +43 664 1234567\n", "DE", "+436641234567", "AT")
	f("+44 7700 900123", "", "+447700900123", "GB")
	f("+39 312 345 6789", "", "+393123456789", "IT")
	f("+882 16 12345678", "", "+8821612345678", "") // a satellite's, of no country

	refused := func(text, country, why string) {
		t.Helper()
		if n, err := phone.Parse(text, country); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q in %q: %+v, %v; want an error that says %q", text, country, n, err, why)
		}
	}
	refused("", "DE", "no number")
	refused("  ", "DE", "no number")
	refused("0151 12345678", "", "no country is set")
	refused("ada@example.com", "DE", "not a number")
	refused("+49 1", "DE", "not a number")
	refused("12", "DE", "form")
	refused("+1 555", "", "form")
	refused("+1 650 253 0000 0000", "", "form")
	refused("+999 151 12345678", "", "not a number")
	refused(strings.Repeat("1", 200), "DE", "too long")
}

func TestZones(t *testing.T) {
	f := func(number string, want ...string) {
		t.Helper()
		if got := phone.Zones(number); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", number, got, want)
		}
	}
	f("+4915112345678", "Europe/Berlin")
	f("+436641234567", "Europe/Vienna")
	f("+34612345678", "Europe/Madrid", "Atlantic/Canary")
	f("") // none
	f("0151 12345678")
	f("+8821612345678")
	f("+" + strings.Repeat("9", 100))
	for number, zone := range map[string]string{
		"+12125550123": "Pacific/Honolulu", "+61412345678": "Australia/Perth", "+79161234567": "Asia/Kamchatka", "+15550100123": "America/New_York",
	} {
		if got := phone.Zones(number); !slices.Contains(got, zone) {
			t.Errorf("%s: %q lacks %s", number, got, zone)
		}
	}
}

// Every country's numbers have zones that exist, and no country that is not known
// to have several has some that differ.
func TestZonesOfAllCountries(t *testing.T) {
	clocks := func(zones []string) map[[2]int]bool {
		out := map[[2]int]bool{}
		for _, z := range zones {
			l, err := time.LoadLocation(z)
			if err != nil {
				t.Fatal(err)
			}
			_, january := time.Date(2026, 1, 15, 12, 0, 0, 0, l).Zone()
			_, july := time.Date(2026, 7, 15, 12, 0, 0, 0, l).Zone()
			out[[2]int{january, july}] = true
		}
		return out
	}
	for country := range phonenumbers.GetSupportedRegions() {
		example := phonenumbers.GetExampleNumberForType(country, phonenumbers.MOBILE)
		if example == nil {
			continue
		}
		number := phonenumbers.Format(example, phonenumbers.E164)
		zones := phone.Zones(number)
		if len(zones) == 0 && country != "TA" {
			t.Errorf("%s has no zone: %s", country, number)
		}
		if n := len(clocks(zones)); n != len(zones) && n != 1 {
			t.Errorf("%s: %d clocks in the zones %q: some are the same", country, n, zones)
		}
		if found, err := phonenumbers.GetTimezonesForNumber(example); err != nil || len(clocks(found)) > 1 && len(zones) < 2 {
			t.Errorf("%s: %q, but the number's zones are %q, %v", country, zones, found, err)
		}
	}
}

func TestIsCountry(t *testing.T) {
	for code, want := range map[string]bool{"DE": true, "AT": true, "XX": false, "de": false, "": false, "001": false} {
		if got := phone.IsCountry(code); got != want {
			t.Errorf("%q: %t", code, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("+49 151 12345678", "DE")
	f.Add("0151;ext=5", "")
	f.Add("tel:+1-800-FLOWERS", "US")
	f.Fuzz(func(t *testing.T, text, country string) {
		n, err := phone.Parse(text, country)
		if err != nil {
			return
		}
		again, err := phone.Parse(n.E164, "")
		if err != nil || again != n || len(n.E164) > 16 {
			t.Errorf("%q in %q: %+v, then %+v, %v", text, country, n, again, err)
		}
		phone.Zones(n.E164)
	})
}
