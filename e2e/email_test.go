package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/mail"
	"net/smtp"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
)

// mailServer keeps the newest message for each recipient. It knows nobody who is
// called dead.
type mailServer struct {
	mu  sync.Mutex
	got map[string][]letter
}

type letter struct {
	from string
	data []byte
}

func (m *mailServer) NewSession(*gosmtp.Conn) (gosmtp.Session, error) {
	return &mailSession{server: m}, nil
}

func (m *mailServer) letters(to string) []letter {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.got[to]
}

type mailSession struct {
	server   *mailServer
	from, to string
}

func (*mailSession) Reset()        {}
func (*mailSession) Logout() error { return nil }

func (s *mailSession) Mail(from string, _ *gosmtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *mailSession) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	if strings.HasPrefix(to, "dead") {
		return &gosmtp.SMTPError{Code: 550, EnhancedCode: gosmtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	}
	s.to = to
	return nil
}

func (s *mailSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.got[s.to] = append(s.server.got[s.to], letter{s.from, b})
	return err
}

// A campaign sends e-mail. A click is counted and leads on; unsubscribing, a dead
// address, mail that comes back and a complaint each end it, also behind a kill.
func TestEmail(t *testing.T) {
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
	returns := free(t)
	t.Setenv("HEED_EMAIL_BOUNCE_LISTEN", returns)

	dir := t.TempDir()
	s := start(t, dir)
	s.admin(http.MethodPost, "/definitions:apply", `
kind: source
name: site
writeKey: site-key
serverKey: server-key-0123456789
---
kind: channel
name: news
type: email
address: Shop Ltd, 1 High Street
bounces: bounces.shop.example
smtp: {host: 127.0.0.1, port: `+port+`, tls: none, from: Shop <news@shop.example>}
---
kind: trigger
name: won
pattern: [{event: win}]
---
kind: template
name: wow
channel: news
subject: "{{ profile.traits.firstName | default: 'You' }} won"
body: '<p>Hello. <a href="https://shop.example/prize?id=1&amp;x=2">Prize</a> <a href="{{ unsubscribe_url }}">Unsubscribe</a></p>'
---
kind: campaign
name: winners
when: {trigger: won}
what: [{channel: news, template: wow}]
limits: {holdout: 0%}
status: live
`, nil)

	wins := func(user string) {
		t.Helper()
		s.track("", map[string]any{"writeKey": "site-key", "userId": user, "event": "win"})
	}
	// ends waits until a win of the user has ended, and gives what it ended in.
	ended := map[string]int{}
	ends := func(user string) (last string) {
		t.Helper()
		ended[user]++
		eventually(t, 20*time.Second, "the outcome for "+user, func() bool {
			all := regexp.MustCompile(`"status":"(\w+)"(?:[^\n]*"reason":"(\w+)")?`).FindAllStringSubmatch(outcomesOf(t, dir, user), -1)
			if len(all) < ended[user] {
				return false
			}
			m := all[len(all)-1]
			last = strings.TrimSuffix(m[1]+": "+m[2], ": ")
			return true
		})
		return last
	}
	users := []string{"ada", "bob", "cy", "dead"}
	for _, user := range users {
		status, err := s.post("/v1/identify", map[string]any{
			"writeKey": "server-key-0123456789", "userId": user, "traits": map[string]any{"email": user + "@mail.example", "firstName": strings.ToUpper(user)},
			"context": map[string]any{"consent": map[string]any{"email": true}},
		}, nil)
		if err != nil || status != http.StatusOK {
			t.Fatalf("identify: %d, %v", status, err)
		}
		wins(user)
		want := "sent"
		if user == "dead" {
			want = "failed: rejected"
		}
		if got := ends(user); got != want {
			t.Errorf("%s: %s, want %s", user, got, want)
		}
	}

	link := func(user, pattern string) string {
		t.Helper()
		body := string(mails.letters(user + "@mail.example")[0].data)
		body = strings.ReplaceAll(body, "=\r\n", "")
		body = strings.ReplaceAll(body, "=3D", "=")
		m := regexp.MustCompile(pattern).FindString(body)
		if m == "" {
			t.Fatalf("no %s in %s", pattern, body)
		}
		u, err := url.Parse(m)
		if err != nil {
			t.Fatal(err)
		}
		return u.Path
	}
	m, err := mail.ReadMessage(bytes.NewReader(mails.letters("ada@mail.example")[0].data))
	if err != nil || m.Header.Get("Subject") != "ADA won" || !strings.HasPrefix(m.Header.Get("List-Unsubscribe"), "<"+s.url+"/u/") {
		t.Errorf("%v, %v", m.Header, err)
	}

	// Ada clicks, and takes herself off with one click; a scanner had only looked.
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	do := func(method, path, body string) (status int, location string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body != "" {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode, resp.Header.Get("Location")
	}
	if status, to := do(http.MethodGet, link("ada", s.url+`/c/[\w-]+`), ""); status != http.StatusFound || to != "https://shop.example/prize?id=1&x=2" {
		t.Errorf("%d to %s", status, to)
	}
	eventually(t, 10*time.Second, "the click in the log", func() bool {
		return strings.Contains(heed(t, dir, "events", "--user", "ada"), "heed.clicked")
	})
	off := link("ada", s.url+`/u/[\w-]+`)
	do(http.MethodGet, off, "")
	wins("ada")
	if got := ends("ada"); got != "sent" {
		t.Errorf("after a scanner has looked: %s", got)
	}
	if status, _ := do(http.MethodPost, off, "List-Unsubscribe=One-Click"); status/100 != 2 {
		t.Errorf("one click: %d", status)
	}

	// Bob's mail comes back; Cy calls it spam.
	report := func(file, to string, edit ...string) {
		t.Helper()
		b, err := os.ReadFile("../internal/channel/email/report/testdata/" + file)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.NewReplacer(append(edit, "\n", "\r\n")...).Replace(string(b))
		if err := smtp.SendMail(returns, nil, "", []string{to}, []byte(text)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	report("failed.eml", mails.letters("bob@mail.example")[0].from)
	report("complaint.eml", "complaints@bounces.shop.example", "<b-abc@bounces.shop.example>", "<"+mails.letters("cy@mail.example")[0].from+">")

	s.kill()
	s = start(t, dir)
	for _, user := range users {
		wins(user)
		if got := ends(user); !strings.HasPrefix(got, "refused: ") {
			t.Errorf("%s, who must not be written to any more: %s", user, got)
		}
	}
	for user, want := range map[string]int{"ada": 2, "bob": 1, "cy": 1, "dead": 0} {
		if got := len(mails.letters(user + "@mail.example")); got != want {
			t.Errorf("%s has %d letters, want %d", user, got, want)
		}
	}
}

// outcomesOf are the outcomes for a user, a line each.
func outcomesOf(t *testing.T, dir, user string) string {
	t.Helper()
	var out strings.Builder
	for line := range strings.Lines(heed(t, dir, "events", "--user", user)) {
		if strings.Contains(line, `"heed.delivery"`) {
			out.WriteString(line)
		}
	}
	return out.String()
}

// free is an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return fmt.Sprint(l.Addr())
}
