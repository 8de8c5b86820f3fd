package e2e

import (
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
)

// Somebody signs up on a page, with the public key: nothing but the question is sent
// until the owner of the address has confirmed, which a scanner cannot, and which
// outlives a kill.
func TestDoubleOptIn(t *testing.T) {
	mails := &mailServer{got: map[string][]letter{}}
	srv := gosmtp.NewServer(mails)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := srv.Serve(l); err != nil && !errors.Is(err, gosmtp.ErrServerClosed) {
			t.Error(err)
		}
	}()
	defer func() { _ = srv.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := start(t, dir)
	s.admin(http.MethodPost, "/definitions:apply", `
kind: source
name: site
writeKey: site-key
---
kind: channel
name: news
type: email
address: Shop Ltd, 1 High Street
smtp: {host: 127.0.0.1, port: `+port+`, tls: none, from: Shop <news@shop.example>}
tracking: none
---
kind: settings
name: sending
optIn: {email: {channel: news, template: confirm}}
---
kind: trigger
name: won
pattern: [{event: win}]
---
kind: template
name: confirm
channel: news
subject: Please confirm
body: '<p><a href="{{ confirm_url }}">Confirm</a></p>'
---
kind: template
name: wow
channel: news
subject: You won
body: '<p>Hello. <a href="{{ unsubscribe_url }}">Unsubscribe</a></p>'
---
kind: campaign
name: winners
when: {trigger: won}
what: [{channel: news, template: wow}]
limits: {holdout: 0%}
status: live
`, nil)

	const to = "ada@mail.example"
	ended := 0
	wins := func(want string) {
		t.Helper()
		ended++
		s.track("", map[string]any{"writeKey": "site-key", "anonymousId": "a1", "event": "win"})
		got := ""
		eventually(t, 20*time.Second, "the outcome of a win", func() bool {
			all := regexp.MustCompile(`"campaign":"winners"[^\n]*|[^\n]*"campaign":"winners"`).FindAllString(outcomesOf(t, dir, "a1"), -1)
			if len(all) < ended {
				return false
			}
			got = all[len(all)-1]
			return true
		})
		if !strings.Contains(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
	letters := func(n int) letter {
		t.Helper()
		eventually(t, 20*time.Second, "a letter", func() bool { return len(mails.letters(to)) >= n })
		all := mails.letters(to)
		if len(all) != n {
			t.Fatalf("%d letters, want %d", len(all), n)
		}
		return all[n-1]
	}
	signUp := func(granted bool) {
		t.Helper()
		status, err := s.post("/v1/identify", map[string]any{
			"writeKey": "site-key", "anonymousId": "a1", "traits": map[string]any{"email": to},
			"context": map[string]any{"consent": map[string]any{"email": map[string]any{"granted": granted, "source": "footer", "wording": "Yes, news & offers."}}},
		}, nil)
		if err != nil || status != http.StatusOK {
			t.Fatalf("identify: %d, %v", status, err)
		}
	}

	signUp(true)
	question := string(letters(1).data)
	if !strings.Contains(question, "Please confirm") || strings.Contains(question, "List-Unsubscribe") {
		t.Errorf("%s", question)
	}
	signUp(true) // asked again a day later at the earliest
	wins(`"reason":"pending"`)
	s.kill() // the question is not forgotten, nor asked again
	s = start(t, dir)

	text := strings.NewReplacer("=\r\n", "", "=3D", "=").Replace(question)
	path := regexp.MustCompile(`/confirm/[\w-]+`).FindString(text)
	do := func(method string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	for range 3 {
		if status, page := do(http.MethodGet); status != http.StatusOK || !strings.Contains(page, "Do you want our e-mails?") || !strings.Contains(page, "Yes, news &amp; offers.") {
			t.Errorf("a scanner looks: %d %s", status, page)
		}
	}
	wins(`"reason":"pending"`)
	if status, page := do(http.MethodPost); status != http.StatusOK || !strings.Contains(page, "You are subscribed") {
		t.Errorf("%d %s", status, page)
	}
	s.kill()
	s = start(t, dir)
	wins(`"status":"sent"`)
	letters(2)
	if status, page := do(http.MethodGet); status != http.StatusOK || !strings.Contains(page, "You are subscribed") {
		t.Errorf("once more: %d %s", status, page)
	}
	if events := heed(t, dir, "events", "--user", "a1"); strings.Count(events, `"heed.confirmed"`) != 1 || !strings.Contains(events, `Yes, news`) {
		t.Errorf("%s", events)
	}
	signUp(false)
	wins(`"reason":"declined"`)
	letters(2)
}
