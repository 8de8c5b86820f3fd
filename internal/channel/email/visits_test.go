package email

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"heed/internal/channel"
)

const (
	person = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Mobile/15E148 Safari/604.1"
	later  = time.Hour
)

// visit asks for a path as a program of that name.
func (f *fixture) visit(method, path, agent string, headers ...string) *httptest.ResponseRecorder {
	mux := http.NewServeMux()
	f.Register(mux)
	r := httptest.NewRequest(method, path, http.NoBody)
	r.Header.Set("User-Agent", agent)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w
}

func TestClick(t *testing.T) {
	f := newFixture(t)
	link := func(to string) string {
		return clickPath + f.seal.link(purposeClick, visit{delivery: idOf(1), channel: "news", sent: f.deps.Now(), to: to})
	}
	path := link("https://shop.example/?a=1&b=2#c")
	f.pass(later)
	w := f.visit("GET", path, person)
	if w.Code != http.StatusFound || w.Header().Get("Location") != "https://shop.example/?a=1&b=2#c" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	heard := f.heard.take()
	want := channel.Feedback{Kind: channel.Clicked, Delivery: idOf(1), Type: Type, Channel: "news", Link: "https://shop.example/?a=1&b=2#c", At: f.now.Load()}
	if len(heard) != 1 {
		t.Fatalf("%+v", heard)
	}
	want.ID = heard[0].ID
	if heard[0] != want || want.ID == "" {
		t.Errorf("%+v, want %+v", heard[0], want)
	}
	// Again within the hour it is the same click; later, or by a machine, another.
	f.visit("GET", path, person)
	f.pass(time.Hour)
	f.visit("GET", path, person)
	f.visit("HEAD", path, person)
	heard = f.heard.take()
	if len(heard) != 3 || heard[0].ID != want.ID || heard[1].ID == want.ID || heard[2].ID == heard[1].ID || !heard[2].Machine {
		t.Errorf("%+v", heard)
	}
	// Its reader goes on whether or not it is kept.
	f.heard.err = errors.New("the disk is full")
	if w := f.visit("GET", path, person); w.Code != http.StatusFound {
		t.Errorf("%d", w.Code)
	}
}

// A link leads where Heed wrote that it leads, and nowhere else.
func TestNoOpenRedirect(t *testing.T) {
	f := newFixture(t)
	v := visit{delivery: idOf(1), channel: "news", sent: f.deps.Now(), to: "https://shop.example/"}
	good := f.seal.link(purposeClick, v)
	f.pass(later)
	for _, token := range []string{
		"x", good[:len(good)-1], good + "A", strings.ToLower(good), good[:30] + "AAAA" + good[34:], strings.Repeat("A", 5000),
		f.seal.link(purposeOpen, v), other(t).link(purposeClick, v), "https:%2f%2fevil.example", base64Of([]byte("https://evil.example")),
	} {
		if w := f.visit("GET", clickPath+token, person); w.Code != http.StatusNotFound || w.Header().Get("Location") != "" {
			t.Errorf("%.40s leads to %q", token, w.Header().Get("Location"))
		}
	}
	if w := f.visit("GET", openPath+good, person); w.Code != http.StatusNotFound {
		t.Errorf("a click opens: %d", w.Code)
	}
	if w := f.visit("POST", clickPath+good, person); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
	if heard := f.heard.take(); len(heard) != 0 {
		t.Errorf("%+v", heard)
	}
}

func TestOpen(t *testing.T) {
	f := newFixture(t)
	path := openPath + f.seal.link(purposeOpen, visit{delivery: idOf(1), channel: "news", sent: f.deps.Now()})
	f.pass(later)
	w := f.visit("GET", path, person)
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "image/gif" || http.DetectContentType(w.Body.Bytes()) != "image/gif" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if heard := f.heard.take(); len(heard) != 1 || heard[0].Kind != channel.Opened || heard[0].Machine || heard[0].Delivery != idOf(1) {
		t.Errorf("%+v", heard)
	}
}

func TestMachines(t *testing.T) {
	f := newFixture(t)
	sent := f.deps.Now()
	f.pass(later)
	try := func(machine bool, method, agent string, headers ...string) {
		t.Helper()
		f.pass(time.Hour)
		f.visit(method, openPath+f.seal.link(purposeOpen, visit{delivery: idOf(1), sent: sent}), agent, headers...)
		if heard := f.heard.take(); len(heard) != 1 || heard[0].Machine != machine {
			t.Errorf("%s %q %v: %+v, want a machine: %t", method, agent, headers, heard, machine)
		}
	}
	try(false, "GET", person)
	try(false, "GET", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36")
	try(false, "GET", "Mozilla/5.0 (Linux; Android 13; CUBOT NOTE 40) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Mobile Safari/537.36")
	try(false, "GET", "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.14931; Pro)")
	try(false, "GET", "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Thunderbird/115.0")
	try(true, "HEAD", person)
	try(true, "GET", "Mozilla/5.0")
	try(true, "GET", "")
	try(true, "GET", "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)")
	try(true, "GET", "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html")
	try(true, "GET", "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")
	try(true, "GET", "Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/120.0")
	try(true, "GET", "Mozilla/5.0 (compatible; BarracudaCentral)")
	try(true, "GET", "python-requests/2.31")
	try(true, "GET", "curl/8.0")
	try(true, "GET", person, "Sec-Purpose", "prefetch;prerender")
	try(true, "GET", person, "X-Purpose", "preview")
}

// Who opens at once or follows every link is no person, whatever it calls itself.
func TestTooFast(t *testing.T) {
	f := newFixture(t)
	sent := f.deps.Now()
	click := func(to string) (machine bool) {
		t.Helper()
		f.visit("GET", clickPath+f.seal.link(purposeClick, visit{delivery: idOf(1), sent: sent, to: to}), person)
		heard := f.heard.take()
		if len(heard) != 1 {
			t.Fatalf("%+v", heard)
		}
		return heard[0].Machine
	}
	f.pass(tooSoon - time.Second)
	if !click("https://shop.example/1") {
		t.Error("a click right after the sending")
	}
	f.pass(later)
	for i, want := range []bool{false, false, true, true} {
		f.pass(100 * time.Millisecond)
		if got := click("https://shop.example/" + string(rune('1'+i))); got != want {
			t.Errorf("link %d: a machine: %t", i, got)
		}
	}
	f.pass(later)
	for range 4 { // the same one again and again is impatience
		if click("https://shop.example/1") {
			t.Error("one link, clicked again")
		}
	}
}

// What is remembered of visits does not grow for ever.
func TestVisitsAreForgotten(t *testing.T) {
	v := visits{seen: map[string]*burst{}}
	now := time.Unix(1_700_000_000, 0)
	for i := range 3 * maxBursts {
		v.burst(idOf(i), "https://shop.example", now)
	}
	if len(v.seen) > maxBursts {
		t.Errorf("%d are remembered", len(v.seen))
	}
}
