package email

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"heed/internal/channel"
	"heed/internal/definition"
	"heed/internal/driver/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const base = "https://heed.shop.example"

// heard are the things that the channel told.
type heard struct {
	mu  sync.Mutex
	all []channel.Feedback
	err error
}

func (h *heard) inbound(_ context.Context, f channel.Feedback) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return h.err
	}
	h.all = append(h.all, f)
	return nil
}

func (h *heard) take() []channel.Feedback {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.all
	h.all = nil
	return out
}

// fixture is a channel whose clock stands still unless it is moved.
type fixture struct {
	*Channel
	heard heard
	now   atomic.Int64 // µs
}

func newFixture(t *testing.T, change ...func(*Deps)) *fixture {
	t.Helper()
	f := &fixture{}
	f.now.Store(1_700_000_000_000_000)
	deps := Deps{
		Secret: []byte("0123456789abcdef0123456789abcdef"), Base: func() string { return base }, Inbound: f.heard.inbound,
		Documents: memory.Open(memory.Config{}).Documents(),
		Logger:    slog.New(slog.DiscardHandler), Now: func() time.Time { return time.UnixMicro(f.now.Load()) },
	}
	for _, do := range change {
		do(&deps)
	}
	f.Channel = New(Config{}, deps)
	t.Cleanup(f.servers.close)
	return f
}

func (f *fixture) pass(d time.Duration) { f.now.Add(d.Microseconds()) }

// idOf is a delivery's id as the Engager makes them.
func idOf(n int) string { return hex.EncodeToString(fmt.Appendf(nil, "delivery-%07d", n)) }

// deliver is a delivery to a server on this machine, without TLS.
func deliver(address string, change ...func(*channel.Delivery)) *channel.Delivery {
	host, port := split(address)
	d := &channel.Delivery{
		ID: idOf(1), ActivationID: "a1", User: "ada", To: "ada@shop.example", Campaign: "winners", Template: "wow",
		Unsubscribe: base + "/u/token", Subject: "Grüße, Ada", Created: 1_700_000_000_000_000,
		Body: `<p>Hello <b>Ada</b>, <a href="https://shop.example/?a=1&amp;b=2">buy</a> or <a href="` + base + `/u/token">unsubscribe</a></p>`,
		Channel: &definition.Channel{
			Name: "news", Type: Type, Address: "Shop Ltd, 1 High Street", Bounces: "bounces.shop.example",
			SMTP: &definition.SMTP{Host: host, Port: port, TLS: definition.NoTLS, From: "Shöp <news@shop.example>", ReplyTo: "help@shop.example"},
		},
	}
	for _, do := range change {
		do(d)
	}
	return d
}

func split(address string) (host string, port int) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		panic(err)
	}
	if _, err := fmt.Sscan(text, &port); err != nil {
		panic(err)
	}
	return host, port
}

// failureOf is how an error says to go on.
func failureOf(t *testing.T, err error) *channel.Error {
	t.Helper()
	e, ok := errors.AsType[*channel.Error](err)
	if !ok {
		t.Fatalf("%v has no class", err)
	}
	return e
}

// What a wire may do instead of answering.
const (
	hang = "hang"
	drop = "drop"
)

// wireServer answers what is asked as told, by the verb: "" is the greeting and
// "." the end of the content. What is not told is answered well.
type wireServer struct {
	address  string
	sessions atomic.Int32
	mail     atomic.Int32 // contents that were ended
	envelope atomic.Value // of the last one: string
}

func serve(t *testing.T, answer func(verb string, session int) string) *wireServer {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &wireServer{address: l.Addr().String()}
	var open sync.WaitGroup
	stop := make(chan struct{})
	t.Cleanup(func() {
		close(stop)
		_ = l.Close()
		open.Wait()
	})
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := int(s.sessions.Add(1))
			open.Go(func() {
				defer func() { _ = c.Close() }()
				done := make(chan struct{})
				defer close(done)
				open.Go(func() { // so that a hanging session ends with the test
					select {
					case <-stop:
						_ = c.Close()
					case <-done:
					}
				})
				s.session(c, n, answer, stop)
			})
		}
	})
	return s
}

func (s *wireServer) session(c net.Conn, n int, answer func(string, int) string, stop chan struct{}) {
	usual := map[string]string{
		"": "220 ready", "EHLO": "250-mailbox\r\n250-ENHANCEDSTATUSCODES\r\n250 SIZE 3000000", "DATA": "354 go on", ".": "250 2.0.0 taken", "QUIT": "221 bye",
	}
	in := bufio.NewReader(c)
	say := func(verb string) bool {
		text := answer(verb, n)
		switch text {
		case hang:
			<-stop
			return false
		case drop:
			return false
		case "":
			if text = usual[verb]; text == "" {
				text = "250 2.0.0 fine"
			}
		}
		_, err := c.Write([]byte(text + "\r\n"))
		return err == nil
	}
	if !say("") {
		return
	}
	envelope := ""
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		verb := strings.ToUpper(line[:min(4, len(line))])
		if verb == "MAIL" || verb == "RCPT" {
			envelope += line + "\n"
		}
		if !say(verb) || verb == "QUIT" {
			return
		}
		if verb != "DATA" || answer("DATA", n) != "" && !strings.HasPrefix(answer("DATA", n), "354") {
			continue
		}
		for line != "." {
			if line, err = in.ReadString('\n'); err != nil {
				return
			}
			line = strings.TrimRight(line, "\r\n")
		}
		s.mail.Add(1)
		s.envelope.Store(envelope)
		envelope = ""
		if !say(".") {
			return
		}
	}
}

// certificate is one for localhost, and the pool that trusts it.
func certificate(t *testing.T) (certFile, keyFile string, pool *x509.CertPool, pair tls.Certificate) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	write := func(file, kind string, der []byte) {
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(certFile, "CERTIFICATE", der)
	write(keyFile, "PRIVATE KEY", pkcs8(t, key))
	if pair, err = tls.LoadX509KeyPair(certFile, keyFile); err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return certFile, keyFile, pool, pair
}

func pkcs8(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// dkimKey is a key and its record in the DNS.
func dkimKey(t *testing.T) (key *definition.DKIM, record string) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return &definition.DKIM{
		Domain: "shop.example", Selector: "heed", Key: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8(t, private)})),
	}, "v=DKIM1; k=rsa; p=" + base64Of(public)
}
