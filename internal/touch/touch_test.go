package touch

import (
	"net/url"
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	f := func(source, referrer, page string, want Touch) {
		t.Helper()
		if got := Of(source, "", "", referrer, page, []string{"bank.example"}); got != want {
			t.Errorf("source %q, referrer %q on %q: %+v, want %+v", source, referrer, page, got, want)
		}
	}
	const page = "https://www.shop.example/cart"
	f("", "", page, Direct())
	f("letter", "", page, Touch{Source: "letter"})
	f("", "https://www.Search.example:8443/q?x=1", page, Touch{Source: "search.example", Medium: "referral"})
	f("letter", "https://search.example/", page, Touch{Source: "letter"})
	f("letter", "https://shop.example/", page, Direct())        // its own page, the tag still in the URL
	f("", "https://checkout.shop.example/done", page, Direct()) // below its own
	f("", "https://notshop.example/", page, Touch{Source: "notshop.example", Medium: "referral"})
	f("", "https://www.paypal.com/return", page, Direct())
	f("letter", "https://pay.google.com/", page, Direct())
	f("", "https://www.google.com/", page, Touch{Source: "google.com", Medium: "referral"})
	f("", "https://notpaypal.com/", page, Touch{Source: "notpaypal.com", Medium: "referral"})
	f("", "https://3ds.bank.example/", page, Direct())
	f("", "::not a url", page, Direct())
	f("", "android-app://com.example.mail/", page, Touch{Source: "com.example.mail", Medium: "referral"})
}

func FuzzText(f *testing.F) {
	f.Add("letter", "mail", "may", "3 ")
	f.Add("", "", "", "1 1 a")
	f.Add("a b", "\x00", "12 3", "9999999999999999999999 0 x")
	f.Fuzz(func(t *testing.T, source, medium, campaign, text string) {
		want := Touch{source, medium, campaign}
		if got := Parse(want.Text()); got != want {
			t.Errorf("%+v was read as %+v", want, got)
		}
		Parse(text) // does not panic
	})
}

// FuzzHost holds the quick reading of plain URLs against the library's.
func FuzzHost(f *testing.F) {
	for _, s := range []string{
		"https://www.shop.example/cart?x=1#y", "http://a.b.", "https://", "https:///x", "https://u:p@h.example/", "https://H.example", "http://h:8080/",
		"https://[::1]/", "//h.example/x", "https://h.example?q=http://other.example/", "https://h.example\\@other.example/", "https://%41.example/", "https://a\x00b/",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := Host(raw)
		if got != strings.ToLower(got) || strings.ContainsAny(got, "/?#@") {
			t.Errorf("%q is the host of %q", got, raw)
		}
		u, err := url.Parse(raw)
		if err != nil || len(raw) > maxURL {
			return
		}
		if want := strings.TrimPrefix(strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), "www."); got != want {
			t.Errorf("the host of %q is %q, and was read as %q", raw, want, got)
		}
	})
}
