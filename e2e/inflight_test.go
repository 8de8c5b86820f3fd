package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
)

// slowMail is a mail server that keeps all messages, and answers those of the first
// seconds only when it is told to: until then nobody knows that it took them.
type slowMail struct {
	mu     sync.Mutex
	got    map[string][]string // recipient -> the Message-IDs
	answer chan struct{}
}

func (m *slowMail) NewSession(*gosmtp.Conn) (gosmtp.Session, error) {
	return &slowSession{server: m}, nil
}

func (m *slowMail) count() (messages, doubled int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, ids := range m.got {
		messages += len(ids)
		doubled += len(ids) - 1
	}
	return messages, doubled
}

type slowSession struct {
	mailSession
	server *slowMail
}

func (s *slowSession) Data(r io.Reader) error {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, m.Body); err != nil {
		return err
	}
	s.server.mu.Lock()
	s.server.got[s.to] = append(s.server.got[s.to], m.Header.Get("Message-ID"))
	s.server.mu.Unlock()
	<-s.server.answer
	return nil
}

// mailer starts a mail server, and gives its port.
func mailer(t *testing.T, of gosmtp.Backend) (port string) {
	t.Helper()
	srv := gosmtp.NewServer(of)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := srv.Serve(l); err != nil && !errors.Is(err, gosmtp.ErrServerClosed) {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { _ = srv.Close() })
	_, port, err = net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// letters are the definitions of a campaign that answers wins by e-mail.
func letters(port, channel string) string {
	return `
kind: source
name: site
writeKey: site-key
serverKey: server-key-0123456789
---
kind: channel
name: news
type: email
smtp: {host: 127.0.0.1, port: ` + port + `, tls: none, from: Shop <news@shop.example>}
` + channel + `
---
kind: trigger
name: won
pattern: [{event: win}]
---
kind: template
name: wow
channel: news
subject: You won
body: '<p>Hello.</p>'
---
kind: campaign
name: winners
purpose: transactional
when: {trigger: won}
what: [{channel: news, template: wow}]
status: live
`
}

// knows tells of users with an address each.
func (s *server) knows(users []string) {
	s.t.Helper()
	for _, user := range users {
		status, err := s.post("/v1/identify", map[string]any{
			"writeKey": "server-key-0123456789", "userId": user, "traits": map[string]any{"email": user + "@mail.example"},
		}, nil)
		if err != nil || status != http.StatusOK {
			s.t.Fatalf("identify: %d, %v", status, err)
		}
	}
}

type report struct {
	Activations, Sent, Delivered, UnknownArrived int
	Outcomes                                     []struct {
		Status, Reason string
		Count          int
	}
	Waiting []struct {
		Reason string
		Count  int
	}
}

func (r *report) of(status, reason string) int {
	for _, o := range r.Outcomes {
		if o.Status == status && o.Reason == reason {
			return o.Count
		}
	}
	return 0
}

func (s *server) report() (r report) {
	s.t.Helper()
	s.admin(http.MethodGet, "/campaigns/winners/report", "", &r)
	return r
}

// Messages that a mail server has taken and not answered when Heed is killed: what is
// held is seen once and says so, until a receipt settles it; what is repeated is seen
// twice, with one Message-ID, and nothing else is.
func TestKillInFlight(t *testing.T) {
	var users []string
	for i := range 12 {
		users = append(users, fmt.Sprint("user-", i))
	}
	for _, mode := range []string{"hold", "retry"} {
		mails := &slowMail{got: map[string][]string{}, answer: make(chan struct{})}
		dir := t.TempDir()
		s := start(t, dir)
		s.admin(http.MethodPost, "/definitions:apply", letters(mailer(t, mails), "onUnknown: "+mode+"\nfeedback: {from: json, secret: 0123456789abcdef}"), nil)
		s.knows(users)
		for _, user := range users {
			s.track("", map[string]any{"writeKey": "site-key", "userId": user, "event": "win"})
		}
		eventually(t, 20*time.Second, "messages in flight", func() bool { n, _ := mails.count(); return n >= 4 })
		s.kill()
		inFlight, _ := mails.count()
		close(mails.answer)
		s = start(t, dir)
		var r report
		eventually(t, 60*time.Second, "all outcomes", func() bool { r = s.report(); return len(r.Waiting) == 0 && r.Activations == len(users) })
		messages, doubled := mails.count()
		held := r.of("held", "unknown")
		t.Logf("%s: %d in flight at the kill; %d activations = %d sent + %d held; %d messages, %d of them doubled", mode, inFlight, r.Activations, r.Sent, held, messages, doubled)
		// More than the server had seen by then may have been on its way to it.
		switch mode {
		case "hold":
			if held < inFlight || r.Sent+held != len(users) || doubled != 0 {
				t.Error("hold: not at most once, or not said")
			}
		case "retry":
			if doubled < inFlight || r.Sent != len(users) || messages-doubled != len(users) {
				t.Error("retry: not at least once, or not said")
			}
		}
		for to, ids := range mails.got {
			if len(ids) > 2 || ids[0] != ids[len(ids)-1] {
				t.Errorf("%s got %q", to, ids)
			}
		}
		if mode == "hold" {
			s.settles(users)
		}
		s.stop()
	}
}

// settles reports one of the held messages as delivered.
func (s *server) settles(users []string) {
	s.t.Helper()
	var all struct {
		Deliveries []struct{ User, Delivery, Status string }
	}
	s.admin(http.MethodGet, "/deliveries?campaign=winners&status=held", "", &all)
	if len(all.Deliveries) == 0 {
		s.t.Fatal("no delivery is held")
	}
	d := all.Deliveries[0]
	if status := s.reports(fmt.Sprintf(`{"id":"r1","event":"delivered","delivery":%q}`, d.Delivery)); status != http.StatusNoContent {
		s.t.Fatalf("the report: %d", status)
	}
	eventually(s.t, 20*time.Second, "the report settles it", func() bool { return s.report().UnknownArrived == 1 })
	if r := s.report(); r.Activations != len(users) || r.Delivered != 1 {
		s.t.Errorf("%+v", r)
	}
	eventually(s.t, 20*time.Second, "the explanation", func() bool {
		return strings.Contains(s.admin(http.MethodGet, "/users/"+d.User+"/campaigns/winners", "", nil), "Until then it was unknown whether it had arrived.")
	})
}

// reports brings what a provider reports; 0: it was not answered.
func (s *server) reports(events string) (status int) {
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+"/hooks/email/news", bytes.NewReader([]byte(`{"events":[`+events+`]}`)))
	if err != nil {
		return 0
	}
	req.Header.Set("Authorization", "Bearer 0123456789abcdef")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// What a provider reported and Heed answered with 2xx survives a kill, once, and keeps
// the next message back; what was not answered is brought again.
func TestKillProviderReports(t *testing.T) {
	mails := &slowMail{got: map[string][]string{}, answer: make(chan struct{})}
	close(mails.answer)
	dir := t.TempDir()
	s := start(t, dir)
	s.admin(http.MethodPost, "/definitions:apply", letters(mailer(t, mails), "feedback: {from: json, secret: 0123456789abcdef}"), nil)
	kinds := []string{`"event":"bounced","hard":true`, `"event":"unsubscribed"`, `"event":"delivered"`}
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	kills, acked, again := 0, 0, 0
	const perRound, perReport = 24, 3
	for round := range rounds(t) / 4 {
		var users []string
		for i := range perRound {
			users = append(users, fmt.Sprintf("user-%d-%d", round, i))
		}
		s.knows(users)
		win := func() {
			for _, user := range users {
				s.track("", map[string]any{"writeKey": "site-key", "userId": user, "event": "win"})
			}
		}
		win()
		eventually(t, 30*time.Second, "the outcomes", func() bool {
			r := s.report()
			return len(r.Waiting) == 0 && r.Activations == (2*round+1)*perRound
		})
		call := func(i int) string {
			var events []string
			for k, user := range users[i : i+perReport] {
				events = append(events, fmt.Sprintf(`{"id":%q,%s,"address":%q}`, user, kinds[k], user+"@mail.example"))
			}
			return strings.Join(events, ",")
		}
		// Four at a time, until the process is gone.
		var wg sync.WaitGroup
		var mu sync.Mutex
		answered := map[int]bool{}
		next := make(chan int)
		for range 4 {
			wg.Go(func() {
				for i := range next {
					if s.reports(call(i)) == http.StatusNoContent {
						mu.Lock()
						answered[i] = true
						mu.Unlock()
					}
				}
			})
		}
		after := rng.IntN(perRound/perReport - 1)
		for i := 0; i < perRound; i += perReport {
			next <- i
			if i/perReport == after {
				time.Sleep(time.Duration(rng.IntN(3000)) * time.Microsecond) // anywhere in what is under way
				s.kill()
				kills++
			}
		}
		close(next)
		wg.Wait()
		s = start(t, dir)
		acked += len(answered)
		before := map[string]int{}
		for to, ids := range mails.got {
			before[to] = len(ids)
		}
		for i := 0; i < perRound; i += perReport {
			if answered[i] {
				continue
			}
			again++
			if status := s.reports(call(i)); status != http.StatusNoContent {
				t.Fatalf("brought again: %d", status)
			}
		}
		win()
		eventually(t, 30*time.Second, "the outcomes of the next one", func() bool {
			r := s.report()
			return len(r.Waiting) == 0 && r.Activations == (2*round+2)*perRound
		})
		for i, user := range users {
			to, want := user+"@mail.example", []string{"heed.bounced", "heed.unsubscribed", "heed.delivered"}[i%perReport]
			if more := len(mails.got[to]) - before[to]; more > 0 && want == "heed.bounced" {
				t.Errorf("%s, which bounced, got %d more", to, more)
			}
			if n := strings.Count(heed(t, dir, "events", "--user", user), `"`+want+`"`); n != 1 {
				t.Errorf("%s: the log tells of %s %d times", user, want, n)
			}
		}
	}
	t.Logf("%d kills; %d reports answered before them, all kept; %d brought again", kills, acked, again)
}
