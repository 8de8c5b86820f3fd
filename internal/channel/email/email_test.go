package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"heed/internal/channel"
	"heed/internal/channel/outbox"
	"heed/internal/channel/outward"
	"heed/internal/definition"
	"heed/internal/driver/memory"
)

func TestReplies(t *testing.T) {
	f := func(verb, answer string, class channel.ErrorClass, hard bool) {
		t.Helper()
		s := serve(t, func(v string, _ int) string {
			if v == verb {
				return answer
			}
			return ""
		})
		fx := newFixture(t)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if answer == hang {
			ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		}
		defer cancel()
		_, err := fx.Send(ctx, deliver(s.address))
		if e := failureOf(t, err); e.Class != class || e.Untried {
			t.Errorf("%q on %q: %v, want %v", answer, verb, err, class)
		}
		heard := fx.heard.take()
		if hard != (len(heard) == 1) || hard && (heard[0].Kind != channel.Bounced || !heard[0].Hard || heard[0].Address != "ada@shop.example" || heard[0].Delivery != idOf(1) || heard[0].Channel != "news") {
			t.Errorf("%q on %q: heard %+v", answer, verb, heard)
		}
		if s.sessions.Load() != 1 {
			t.Errorf("%q on %q: %d sessions", answer, verb, s.sessions.Load())
		}
	}
	f("", "421 4.3.2 not now", channel.Temporary, false)
	f("", "554 5.7.1 go away", channel.Temporary, false) // the server minds us, not this message
	f("", "garbage", channel.Temporary, false)
	f("", drop, channel.Temporary, false)
	f("", hang, channel.Temporary, false)
	f("", strings.Repeat("x", 2*maxReplies), channel.Temporary, false)
	f("MAIL", "451 4.3.0 later", channel.Temporary, false)
	f("MAIL", "550 5.1.1 who are you", channel.Permanent, false) // about the sender
	f("RCPT", "450 4.2.1 greylisted", channel.Temporary, false)
	f("RCPT", "421 4.7.0 too many", channel.Temporary, false)
	f("RCPT", "550 5.1.1 no such user", channel.Permanent, true)
	f("RCPT", "550-5.2.1 closed\r\n550 5.2.1 for good", channel.Permanent, true)
	f("RCPT", "552 5.2.2 mailbox full", channel.Permanent, false)
	f("RCPT", "550 5.7.1 relaying denied", channel.Permanent, false)
	f("RCPT", "550 no", channel.Permanent, false)
	f("RCPT", "\x00\xff\xfe", channel.Temporary, false)
	f("DATA", "452 4.3.1 no space", channel.Temporary, false)
	f("DATA", "554 5.7.1 spam", channel.Permanent, false)
	f("DATA", "250 what", channel.Temporary, false)
	f("DATA", drop, channel.Temporary, false)
	f(".", "451 4.7.1 later", channel.Temporary, false)
	f(".", "421 4.3.2 shutting down", channel.Temporary, false)
	f(".", "554 5.7.1 spam", channel.Permanent, false)
	f(".", "550 5.1.1 no such user", channel.Permanent, true)
	f(".", drop, channel.Uncertain, false)
	f(".", hang, channel.Uncertain, false)
	f(".", "garbage", channel.Uncertain, false)
	f(".", "354 more", channel.Uncertain, false)
}

// A dead address that cannot be kept is no end: the next attempt tells again.
func TestBounceThatCannotBeKept(t *testing.T) {
	s := serve(t, func(v string, _ int) string {
		if v == "RCPT" {
			return "550 5.1.1 no such user"
		}
		return ""
	})
	f := newFixture(t)
	f.heard.err = errors.New("the disk is full")
	_, err := f.Send(t.Context(), deliver(s.address))
	if e := failureOf(t, err); e.Class != channel.Temporary {
		t.Errorf("%v", err)
	}
}

func TestWhatIsNotSent(t *testing.T) {
	s := serve(t, func(string, int) string { return "" })
	f := func(what string, change func(*channel.Delivery)) {
		t.Helper()
		_, err := newFixture(t).Send(t.Context(), deliver(s.address, change))
		if e := failureOf(t, err); e.Class != channel.Permanent {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, to := range []string{
		"", "ada", "ada@", "@shop.example", "ada@shop.example\r\nBcc: eve@evil.example", "ada@shop.example\nDATA", "ada\x00@shop.example", "a b@shop.example",
		"ada@shop.example, eve@evil.example", "<ada@shop.example> SIZE=1", "ada@shop.example>\r\nRCPT TO:<eve@evil.example", `"a\"b"@shop.example`, "ädа@shop.example",
		strings.Repeat("a", 250) + "@shop.example", "ada@sh op.example", "ada@-.example",
	} {
		f(fmt.Sprintf("to %q", to), func(d *channel.Delivery) { d.To = to })
	}
	for _, subject := range []string{"Hi\r\nBcc: eve@evil.example", "Hi\nX: y", "Hi\rX: y", "Hi\x00", "\xff", strings.Repeat("x", 2000)} {
		f(fmt.Sprintf("subject %.20q", subject), func(d *channel.Delivery) { d.Subject = subject })
	}
	f("a link to unsubscribe with a header", func(d *channel.Delivery) { d.Unsubscribe = "https://x>\r\nBcc: eve@evil.example" })
	f("too much", func(d *channel.Delivery) {
		d.Body = "<style>" + strings.Repeat("p b i{color:red}", 3000) + "</style>" + strings.Repeat("<p><b><i>x", 1000)
	})
	f("no server", func(d *channel.Delivery) { d.Channel.SMTP = nil })
	f("a sender that is none", func(d *channel.Delivery) { d.Channel.SMTP.From = "x\r\nY: z" })
	if n := s.sessions.Load(); n != 0 {
		t.Errorf("the server was asked %d times", n)
	}
	f("a message that the server finds too long", func(d *channel.Delivery) {
		small := serve(t, func(v string, _ int) string {
			if v == "EHLO" {
				return "250-mailbox\r\n250 SIZE 100"
			}
			return ""
		})
		_, d.Channel.SMTP.Port = split(small.address)
	})
}

// What has a header in it is no header on the wire.
func TestAddresses(t *testing.T) {
	s := serve(t, func(string, int) string { return "" })
	f := newFixture(t)
	if _, err := f.Send(t.Context(), deliver(s.address, func(d *channel.Delivery) { d.To = "Ada <o'hara+x@BÜCHER.example>"; d.Channel.Bounces = "" })); err != nil {
		t.Fatal(err)
	}
	want := "MAIL FROM:<news@shop.example>\nRCPT TO:<o'hara+x@xn--bcher-kva.example>\n"
	if got := s.envelope.Load(); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestSessionsAreReused(t *testing.T) {
	s := serve(t, func(string, int) string { return "" })
	f := newFixture(t)
	send := func(change ...func(*channel.Delivery)) {
		t.Helper()
		if _, err := f.Send(t.Context(), deliver(s.address, change...)); err != nil {
			t.Fatal(err)
		}
	}
	sessions := func(want int32) {
		t.Helper()
		if got := s.sessions.Load(); got != want {
			t.Errorf("%d sessions, want %d", got, want)
		}
	}
	send()
	send()
	sessions(1)
	f.pass(idleFor) // the server may have gone since
	send()
	sessions(2)
	send(func(d *channel.Delivery) { d.Channel.SMTP.AllowPlain = true }) // other settings, another session
	sessions(3)
	for range maxUses {
		send()
	}
	sessions(4)
	f.pass(idleFor)
	f.servers.tidy(f.deps.Now())
	if n := len(f.servers.idle); n != 0 {
		t.Errorf("%d servers are kept", n)
	}
}

// A session that the server has ended meanwhile is replaced, without a repeat.
func TestSessionThatHasEnded(t *testing.T) {
	s := serve(t, func(v string, session int) string {
		if v == "RSET" && session == 1 {
			return "421 4.4.2 you were idle"
		}
		return ""
	})
	f := newFixture(t)
	for range 2 {
		if _, err := f.Send(t.Context(), deliver(s.address)); err != nil {
			t.Fatal(err)
		}
	}
	if s.sessions.Load() != 2 || s.mail.Load() != 2 {
		t.Errorf("%d sessions, %d messages", s.sessions.Load(), s.mail.Load())
	}
}

func TestAttemptsAtOnce(t *testing.T) {
	release := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Add(maxInFlight)
	s := serve(t, func(v string, _ int) string {
		if v == "." {
			waiting.Done()
			<-release
		}
		return ""
	})
	f := newFixture(t)
	var sent sync.WaitGroup
	for i := range maxInFlight {
		sent.Go(func() {
			if _, err := f.Send(t.Context(), deliver(s.address, func(d *channel.Delivery) { d.ID = idOf(i) })); err != nil {
				t.Error(err)
			}
		})
	}
	waiting.Wait()
	_, err := f.Send(t.Context(), deliver(s.address, func(d *channel.Delivery) { d.ID = idOf(99) }))
	if e := failureOf(t, err); !e.Untried {
		t.Errorf("one more than %d: %v", maxInFlight, err)
	}
	close(release)
	sent.Wait()
	if s.mail.Load() != maxInFlight || s.sessions.Load() != maxInFlight {
		t.Errorf("%d messages in %d sessions", s.mail.Load(), s.sessions.Load())
	}
}

// A server that fails is left alone; one that minds single messages is not.
func TestFailingServer(t *testing.T) {
	down := serve(t, func(string, int) string { return "421 4.3.2 not now" })
	picky := serve(t, func(v string, _ int) string {
		if v == "RCPT" {
			return "450 4.2.1 greylisted"
		}
		return ""
	})
	f := newFixture(t)
	try := func(s *wireServer) *channel.Error {
		t.Helper()
		_, err := f.Send(t.Context(), deliver(s.address))
		return failureOf(t, err)
	}
	for range 2 * outward.Tolerated {
		if e := try(picky); e.Untried {
			t.Fatalf("the picky one: %v", e)
		}
	}
	for range outward.Tolerated {
		if e := try(down); e.Untried {
			t.Fatalf("too early: %v", e)
		}
	}
	if e := try(down); !e.Untried || e.After != outward.FirstRest || int(down.sessions.Load()) != outward.Tolerated {
		t.Errorf("%v after %v, %d sessions", e, e.After, down.sessions.Load())
	}
	f.pass(outward.FirstRest)
	if e := try(down); e.Untried {
		t.Errorf("nobody found out whether it is back: %v", e)
	}
}

func TestPace(t *testing.T) {
	s := serve(t, func(string, int) string { return "" })
	f := newFixture(t)
	send := func(n int) time.Duration {
		t.Helper()
		_, err := f.Send(t.Context(), deliver(s.address, func(d *channel.Delivery) { d.ID, d.Channel.SMTP.Rate = idOf(n), 10 }))
		if err == nil {
			return 0
		}
		e := failureOf(t, err)
		if !e.Untried {
			t.Fatal(err)
		}
		return e.After
	}
	// Ten go at once; the others get a moment each.
	for i := range 20 {
		want := time.Duration(max(i-9, 0)) * 100 * time.Millisecond
		if got := send(i); got != want {
			t.Errorf("message %d waits %v, want %v", i, got, want)
		}
	}
	if got := send(15); got != 600*time.Millisecond {
		t.Errorf("who asks again waits %v", got)
	}
	f.pass(time.Second)
	for i := 10; i < 20; i++ {
		if got := send(i); got != 0 {
			t.Errorf("message %d waits %v in its moment", i, got)
		}
	}
	if s.mail.Load() != 20 {
		t.Errorf("%d were sent", s.mail.Load())
	}
}

// In the clear goes only what stays on the machine.
func TestPlainOnlyHere(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "10.0.0.1:1": false, "93.184.216.34:1": false} {
		a, err := net.ResolveTCPAddr("tcp", address)
		if err != nil || loopback(a) != want {
			t.Errorf("%s: %t, %v", address, loopback(a), err)
		}
	}
}

// A server with TLS from the first byte, and the other mechanism of AUTH.
func TestImplicitTLS(t *testing.T) {
	cert, _, _, pair := certificate(t)
	got := make(chan string, 1)
	srv := gosmtp.NewServer(gosmtp.BackendFunc(func(c *gosmtp.Conn) (gosmtp.Session, error) {
		_, secure := c.TLSConnectionState()
		return plainSession{secure, got}, nil
	}))
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() { _ = srv.Serve(l) })
	defer done.Wait()
	defer func() { _ = srv.Close() }()
	f := newFixture(t)
	if _, err := f.Send(t.Context(), deliver(l.Addr().String(), func(d *channel.Delivery) {
		d.Channel.SMTP.TLS, d.Channel.TLS = definition.ImplicitTLS, &definition.TLS{CA: cert}
	})); err != nil {
		t.Fatal(err)
	}
	if body := <-got; !strings.Contains(body, "Message-ID: <"+idOf(1)) {
		t.Error(body)
	}
}

type plainSession struct {
	secure bool
	got    chan string
}

func (plainSession) Reset()        {}
func (plainSession) Logout() error { return nil }
func (p plainSession) Mail(string, *gosmtp.MailOptions) error {
	if !p.secure {
		return errors.New("it is not protected")
	}
	return nil
}
func (plainSession) Rcpt(string, *gosmtp.RcptOptions) error { return nil }
func (p plainSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	p.got <- string(b)
	return err
}

// What a local channel sends goes to the Outbox as its reader would see it, but tells of
// nobody who looks at it there.
func TestLocal(t *testing.T) {
	store := memory.Open(memory.Config{}).Documents()
	f := newFixture(t, func(d *Deps) { d.Local = outbox.New(store) })
	local := func(d *channel.Delivery) {
		d.Channel = &definition.Channel{Name: "local-email", Type: Type, Local: true, Address: "Shop Ltd, 1 High Street"}
	}
	if r, err := f.Send(t.Context(), deliver("localhost:1", local)); err != nil || !r.Fresh {
		t.Fatalf("%+v, %v", r, err)
	}
	caught, err := outbox.List(t.Context(), store, "", 10)
	if err != nil || len(caught) != 1 {
		t.Fatalf("%+v, %v", caught, err)
	}
	m := caught[0]
	if m.To != "ada@shop.example" || m.As != Type || m.Channel != "local-email" || m.Subject != "Grüße, Ada" ||
		!strings.Contains(m.Body, "1 High Street") || !strings.Contains(m.Body, base+clickPath) || strings.Contains(m.Body, base+openPath) {
		t.Errorf("%+v", m)
	}
	_, err = f.Send(t.Context(), deliver("localhost:1", local, func(d *channel.Delivery) { d.To = "ada@shop.example\r\nBcc: eve@evil.example" }))
	if failureOf(t, err).Class != channel.Permanent {
		t.Error(err)
	}
}
