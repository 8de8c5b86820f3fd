package email

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/smtp"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"heed/internal/channel"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// trusting are settings that trust one certificate.
func trusting(pool *x509.CertPool) *tls.Config {
	return &tls.Config{RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

// secured sends a message over STARTTLS, and gives the certificate that was shown.
func secured(address string, pool *x509.CertPool, to, message string) (*x509.Certificate, error) {
	c, err := smtp.Dial(address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	if err := c.StartTLS(trusting(pool)); err != nil {
		return nil, err
	}
	state, _ := c.TLSConnectionState()
	if err := errors.Join(c.Mail(""), c.Rcpt(to)); err != nil {
		return nil, err
	}
	w, err := c.Data()
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(w, message); err != nil {
		return nil, err
	}
	return state.PeerCertificates[0], errors.Join(w.Close(), c.Quit())
}

// Mail comes back over STARTTLS, by a certificate that may be renewed at any time; also
// in the clear, as many servers bring it.
func TestReturnsOverTLS(t *testing.T) {
	f := newFixture(t)
	cert, key, pool, pair := certificate(t)
	f.cfg = Config{BounceCert: cert, BounceKey: key}
	secure, err := f.offerTLS()
	if err != nil {
		t.Fatal(err)
	}
	address := f.listen(t, secure)
	to, failed := f.seal.returnPath(idOf(7))+"@bounces.shop.example", example(t, "failed.eml")
	bounced := func(what string) {
		t.Helper()
		if heard := f.heard.take(); len(heard) != 1 || heard[0].Kind != channel.Bounced {
			t.Errorf("%s: heard %+v", what, heard)
		}
	}
	shown, err := secured(address, pool, to, failed)
	if err != nil || !shown.Equal(pair.Leaf) {
		t.Fatalf("%v: %v", shown, err)
	}
	bounced("over TLS")
	if err := smtp.SendMail(address, nil, "", []string{to}, []byte(failed)); err == nil {
		t.Error("a certificate that nobody trusts was taken") // by net/smtp, which uses what is offered
	}
	plain, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	talk(t, plain, "EHLO x", "MAIL FROM:<>", "RCPT TO:<"+to+">", "DATA", failed+"\r\n.", "QUIT")
	bounced("in the clear")

	// Renewed: first half of it, which must not be used, then all of it.
	otherCert, otherKey, otherPool, other := certificate(t)
	replace(t, otherCert, cert)
	if shown, err := secured(address, pool, to, failed); err != nil || !shown.Equal(pair.Leaf) {
		t.Errorf("with half of a new certificate: %v", err)
	}
	replace(t, otherKey, key)
	if shown, err := secured(address, otherPool, to, failed); err != nil || !shown.Equal(other.Leaf) {
		t.Errorf("with the new certificate: %v", err)
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	if _, err := secured(address, otherPool, to, failed); err != nil {
		t.Errorf("without the file: %v", err)
	}
	if len(f.heard.take()) != 3 {
		t.Error("a message is missing")
	}

	// What was said before the encryption is not heard after it.
	injected, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = injected.Close() }()
	in := bufio.NewReader(injected)
	say(t, injected, "EHLO x\r\nSTARTTLS\r\nMAIL FROM:<>\r\nRCPT TO:<"+to+">\r\n")
	for line := ""; !strings.HasPrefix(line, "220 2.0.0"); { // ready to start
		if line, err = in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	secret := tls.Client(injected, trusting(otherPool))
	say(t, secret, "EHLO x\r\nDATA\r\nQUIT\r\n")
	if said, err := io.ReadAll(secret); err != nil || strings.Contains(string(said), "354") {
		t.Errorf("%q: %v", said, err)
	}
}

func replace(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, append(b, '\n'), 0o600) // another size, whatever the clock of the files
	}
	if err != nil {
		t.Fatal(err)
	}
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

// talk says lines, one after each answer, and hears all of it.
func talk(t *testing.T, conn net.Conn, lines ...string) string {
	t.Helper()
	say(t, conn, strings.Join(lines, "\r\n")+"\r\n")
	said, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	return string(said)
}

func TestConfig(t *testing.T) {
	cert, key, _, pair := certificate(t)
	for want, c := range map[string]Config{
		"belong together": {BounceListen: ":25", BounceCert: cert},
		"nothing listens": {BounceCert: cert, BounceKey: key},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
	good := Config{BounceListen: ":25", BounceCert: cert, BounceKey: key}
	if err := errors.Join(good.Validate(), good.Check(time.Now()), new(Config).Check(time.Now())); err != nil {
		t.Error(err)
	}
	if err := good.Check(pair.Leaf.NotAfter.Add(time.Second)); err == nil || !strings.Contains(err.Error(), "bounce_cert, bounce_key: the certificate expired on") {
		t.Error(err)
	}
	good.BounceKey = cert
	if err := good.Check(time.Now()); err == nil {
		t.Error("a certificate was taken for its key")
	}
}

// Whatever strangers do to the listener, it hears who behaves: connections that say
// nothing, a byte at a time, garbage, lines and headers without an end.
func TestListenerUnderAttack(t *testing.T) {
	f := newFixture(t)
	address := f.listen(t, nil)
	to, failed := f.seal.returnPath(idOf(7))+"@bounces.shop.example", example(t, "failed.eml")
	garbage := make([]byte, 64<<10)
	_, _ = rand.Read(garbage) // never fails
	attacks := map[string]string{
		"garbage":        string(garbage),
		"a long line":    "EHLO " + strings.Repeat("x", 1<<20),
		"a binary hello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + string(garbage[:512]),
		"an HTTP client": "GET / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<>\r\n",
		"no end of recipients": "EHLO x\r\nMAIL FROM:<>\r\n" + strings.Repeat("RCPT TO:<"+to+">\r\n", 1000) +
			"QUIT\r\n",
		"a message without an end":        "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<" + to + ">\r\nDATA\r\n" + strings.Repeat("x: y\r\n", 100_000),
		"chunks":                          "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<" + to + ">\r\nBDAT 99999999999\r\n" + string(garbage),
		"dots of somebody else's message": "EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<" + to + ">\r\nDATA\r\nx: y\r\n\r\n\n.\nMAIL FROM:<>\r\n.\r\nQUIT\r\n",
	}
	var all sync.WaitGroup
	for what, bytes := range attacks {
		all.Go(func() {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Errorf("%s: %v", what, err)
				return
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(patience))
			_, _ = io.WriteString(conn, bytes) // the listener may have hung up
			if half, ok := conn.(*net.TCPConn); ok {
				_ = half.CloseWrite()
			}
			said, _ := io.ReadAll(io.LimitReader(conn, 1<<20)) // a reset is an answer, too
			if strings.Count(string(said), "\n250 2.0.0 OK: queued") > 1 {
				t.Errorf("%s: %s", what, said)
			}
		})
	}
	all.Wait()
	f.heard.take()

	// Thousands of connections of one host get a few places, and leave the others alone.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	inside, turned := 0, 0
	var open []net.Conn
	for range 2000 {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(patience))
		first := make([]byte, 3)
		if _, err := io.ReadFull(conn, first); err != nil {
			t.Fatalf("after %d inside and %d turned away: %v", inside, turned, err)
		}
		switch string(first) {
		case "220":
			inside++
			open = append(open, conn)
		case "421":
			turned++
			_ = conn.Close()
		default:
			t.Fatalf("%q", first)
		}
	}
	if inside != maxOfOneHost || turned != 2000-maxOfOneHost {
		t.Errorf("%d inside, %d turned away", inside, turned)
	}
	if len(open) > 0 {
		_ = open[0].Close()
	}
	// There is one place again: whoever behaves is heard at last.
	for deadline := time.Now().Add(patience); ; {
		err := smtp.SendMail(address, nil, "", []string{to}, []byte(failed))
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if heard := f.heard.take(); len(heard) != 1 {
		t.Errorf("%+v", heard)
	}
	for _, conn := range open {
		_ = conn.Close()
	}
}

// No session lasts for ever, however slowly it is kept alive.
func TestGuestsLeave(t *testing.T) {
	here, there := net.Pipe()
	defer func() { _ = there.Close() }()
	left := 0
	g := &guest{Conn: here, ends: time.Now().Add(-time.Second), leave: sync.OnceFunc(func() { left++ })}
	for _, until := range []time.Time{{}, time.Now().Add(time.Hour)} {
		if err := g.SetReadDeadline(until); err != nil {
			t.Fatal(err)
		}
		if _, err := g.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("until %v: %v", until, err)
		}
		if err := g.SetWriteDeadline(until); err != nil {
			t.Fatal(err)
		}
		if _, err := g.Write([]byte{1}); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("until %v: %v", until, err)
		}
	}
	_, _ = g.Close(), g.Close() // a session closes its connection more than once
	if left != 1 {
		t.Errorf("left %d times", left)
	}
	d := door{inside: map[string]int{}}
	for range maxOfOneHost {
		if !d.enter("a") {
			t.Fatal("there is room")
		}
	}
	if d.enter("a") || !d.enter("b") {
		t.Error("one host keeps others out, or is let in without end")
	}
	d.left("a")
	d.left("b")
	if !d.enter("a") || len(d.inside) != 1 {
		t.Errorf("%v", d.inside)
	}
}
