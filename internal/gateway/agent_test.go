package gateway

import (
	"fmt"
	"testing"
	"unicode/utf8"
)

func TestAgents(t *testing.T) {
	f := func(text string, want agent) {
		t.Helper()
		if got := readAgent(text); got != want {
			t.Errorf("%s\n got %+v\nwant %+v", text, got, want)
		}
	}
	f("", agent{})
	f("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
		agent{device: "desktop", os: "Windows", browser: "Chrome"})
	f("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0",
		agent{device: "desktop", os: "Windows", browser: "Edge"})
	f("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
		agent{device: "desktop", os: "macOS", browser: "Safari"})
	f("Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
		agent{device: "desktop", os: "Linux", browser: "Firefox"})
	f("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
		agent{device: "mobile", os: "iOS", browser: "Safari"})
	f("Mozilla/5.0 (iPad; CPU OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1",
		agent{device: "tablet", os: "iOS", browser: "Safari"})
	f("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
		agent{device: "mobile", os: "Android", browser: "Chrome"})
	f("Mozilla/5.0 (Linux; Android 14; SM-X710 Tablet) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
		agent{device: "tablet", os: "Android", browser: "Chrome"})
	f("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", agent{browser: "Googlebot", bot: true})
	f("SomeCrawler/1.0", agent{browser: "SomeCrawler", bot: true})
	f("Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/99.0.0.0 Mobile Safari/537.36",
		agent{device: "mobile", os: "Android", browser: "Chrome"})
	f("curl/8.5.0", agent{browser: "curl"})
	f("my own words", agent{})
}

// However many user agents come, few are kept.
func TestAgentsAreBounded(t *testing.T) {
	var a agents
	for i := range 3 * keptAgents {
		a.read(fmt.Sprintf("curl/%d", i))
	}
	if len(a.known) > keptAgents {
		t.Errorf("%d user agents are kept, at most %d", len(a.known), keptAgents)
	}
}

func FuzzAgent(f *testing.F) {
	f.Add("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36")
	f.Add("((;;//) Android; Build/ Version/")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > maxAgent {
			t.Skip()
		}
		a := readAgent(text)
		for _, s := range []string{a.device, a.os, a.browser} {
			if utf8.ValidString(text) && !utf8.ValidString(s) || len(s) > maxAgent {
				t.Errorf("%q reads as %q", text, s)
			}
		}
	})
}
