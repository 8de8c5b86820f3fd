package smpp

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"heed/internal/channel"
)

// patience is how long a test waits for what must happen.
const patience = 60 * time.Second

// peer is a message centre that says what the test tells it to.
type peer struct {
	t  *testing.T
	ln net.Listener
	net.Conn
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	return &peer{t: t, ln: ln}
}

// read takes the next request, which must be of a kind.
func (p *peer) read(want command) pdu {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	got, err := readPDU(p.Conn)
	if err != nil || got.command != want {
		p.t.Fatalf("%+v, %v; want %#x", got, err, uint32(want))
	}
	return got
}

func (p *peer) write(q pdu) {
	p.t.Helper()
	if _, err := p.Write(q.append(nil)); err != nil {
		p.t.Fatal(err)
	}
}

// bind accepts the next connection and its bind.
func (p *peer) bind() {
	p.t.Helper()
	conn, err := p.ln.Accept()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	p.Conn = conn
	b := p.read(bindTransceiver)
	p.write(pdu{command: bindTransceiver | answer, seq: b.seq, body: []byte("smsc\x00")})
}

func (p *peer) taken(of pdu, id string) {
	p.write(pdu{command: submitSM | answer, seq: of.seq, body: append([]byte(id), 0)})
}

type ignore struct{}

func (ignore) Message(context.Context, Message) error { return nil }
func (ignore) Receipt(context.Context, Receipt) error { return nil }

// client runs one against the peer until the test ends.
func (p *peer) client(change func(*Config)) *Client {
	p.t.Helper()
	addr, ok := p.ln.Addr().(*net.TCPAddr)
	if !ok {
		p.t.Fatal(p.ln.Addr())
	}
	cfg := Config{Host: "127.0.0.1", Port: addr.Port, SystemID: "heed", Window: 2, Pause: time.Millisecond}
	change(&cfg)
	c := New(cfg, ignore{}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Run(ctx)
	}()
	p.t.Cleanup(func() {
		cancel()
		if p.Conn != nil {
			_ = p.Close()
		}
		<-done
	})
	return c
}

type result struct {
	id  string
	err error
}

// submit submits in the background, again as long as nothing was tried.
func submit(c *Client, accepted func(string)) <-chan result {
	out := make(chan result, 1)
	go func() {
		for {
			id, err := c.Submit(context.Background(), &Submit{Sender: "Heed", To: "+4915112345678", Data: []byte("hi"), Accepted: accepted})
			if e, ok := errors.AsType[*channel.Error](err); !ok || !e.Untried {
				out <- result{id, err}
				return
			}
		}
	}()
	return out
}

func uncertain(t *testing.T, r result, why string) {
	t.Helper()
	if e, ok := errors.AsType[*channel.Error](r.err); !ok || e.Class != channel.Uncertain || !strings.Contains(r.err.Error(), why) {
		t.Errorf("%+v, want it to be uncertain: %s", r, why)
	}
}

// Answers come in any order, and belong to what they answer.
func TestAnswersInAnyOrder(t *testing.T) {
	p := newPeer(t)
	c := p.client(func(*Config) {})
	first := submit(c, nil)
	p.bind()
	one := p.read(submitSM)
	second := submit(c, nil)
	two := p.read(submitSM)
	p.taken(pdu{seq: 999}, "nobody's")
	p.taken(two, "b")
	if r := <-second; r.id != "b" || r.err != nil {
		t.Errorf("%+v", r)
	}
	p.taken(one, "a")
	if r := <-first; r.id != "a" || r.err != nil {
		t.Errorf("%+v", r)
	}
}

// A submit that is not answered in time is uncertain. Its answer still says what
// became of it; a message centre that answers none of a window is left.
func TestNoAnswerInTime(t *testing.T) {
	p := newPeer(t)
	c := p.client(func(cfg *Config) { cfg.Answer = 3 * time.Second })
	accepted := make(chan string, 1)
	late := submit(c, func(id string) { accepted <- id })
	p.bind()
	one := p.read(submitSM)
	uncertain(t, <-late, "no answer within 3s")
	p.taken(one, "late")
	if id := <-accepted; id != "late" {
		t.Errorf("accepted %q", id)
	}
	lost := []<-chan result{submit(c, nil), submit(c, nil)}
	for range lost {
		p.read(submitSM)
	}
	for _, r := range lost {
		uncertain(t, <-r, "")
	}
	p.bind() // it begins anew
	well := submit(c, nil)
	p.taken(p.read(submitSM), "x")
	if r := <-well; r.id != "x" {
		t.Errorf("%+v", r)
	}
}

// No more submits are under way than the window has room for.
func TestWindow(t *testing.T) {
	p := newPeer(t)
	c := p.client(func(cfg *Config) { cfg.Window = 1 })
	first := submit(c, nil)
	p.bind()
	one := p.read(submitSM)
	second := submit(c, nil)
	_ = p.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if got, err := readPDU(p.Conn); err == nil {
		t.Fatalf("%+v in a window of 1", got)
	}
	p.taken(one, "a")
	p.taken(p.read(submitSM), "b")
	if a, b := <-first, <-second; a.id != "a" || b.id != "b" {
		t.Errorf("%+v %+v", a, b)
	}
}

// A line on which nothing is answered any more is dead; requests of the message
// centre are answered, whatever they are.
func TestLine(t *testing.T) {
	p := newPeer(t)
	p.client(func(cfg *Config) { cfg.Answer, cfg.Enquire = 3*time.Second, 20*time.Millisecond })
	p.bind()
	e := p.read(enquireLink)
	p.write(pdu{command: enquireLink | answer, seq: e.seq})
	for what, f := range map[command]command{enquireLink: enquireLink | answer, 0x103: genericNack} {
		p.write(pdu{command: what, seq: 77})
		for {
			got, err := readPDU(p.Conn)
			if err != nil {
				t.Fatal(err)
			}
			if got.command == enquireLink {
				p.write(pdu{command: enquireLink | answer, seq: got.seq})
				continue
			}
			if got.command != f || got.seq != 77 {
				t.Errorf("%+v answers %#x", got, uint32(what))
			}
			break
		}
	}
	p.bind() // for nobody answers the enquiries
}

// With TLS the message centre must prove that it is the one.
func TestTLS(t *testing.T) {
	known := httptest.NewTLSServer(nil) // has a certificate for 127.0.0.1
	defer known.Close()
	file := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: known.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", file) // read once: nothing before it in this process uses TLS
	p := newPeer(t)
	p.ln = tls.NewListener(p.ln, &tls.Config{Certificates: known.TLS.Certificates, MinVersion: tls.VersionTLS12})
	c := p.client(func(cfg *Config) { cfg.TLS.Enabled = true })
	r := submit(c, nil)
	p.bind()
	p.taken(p.read(submitSM), "a")
	if r := <-r; r.id != "a" || r.err != nil {
		t.Errorf("%+v", r)
	}

	stranger := newPeer(t)
	stranger.ln = tls.NewListener(stranger.ln, &tls.Config{Certificates: known.TLS.Certificates, MinVersion: tls.VersionTLS12})
	c = stranger.client(func(cfg *Config) { cfg.TLS.Enabled, cfg.Host = true, "localhost" }) // not in its certificate
	conn, err := stranger.ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	stranger.Conn = conn
	if got, err := readPDU(conn); err == nil {
		t.Errorf("%+v was told to a stranger", got)
	}
	if _, err := c.ready(); err == nil {
		t.Error("a session with a stranger")
	}
}

// Who says nothing in TLS is told from who is not there.
func TestSilentInTLS(t *testing.T) {
	p := newPeer(t)
	c := p.client(func(cfg *Config) { cfg.TLS.Enabled, cfg.Answer = true, 200*time.Millisecond })
	conn, err := p.ln.Accept() // and it waits for a PDU
	if err != nil {
		t.Fatal(err)
	}
	p.Conn = conn
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if why := c.Figures().Why; strings.Contains(why, "not answered in TLS within 200ms") {
			break
		} else if time.Now().After(deadline) {
			t.Fatal(why)
		}
	}
}

// What is not understood does not end the session, but what breaks the stream does.
func TestBadPDUs(t *testing.T) {
	p := newPeer(t)
	p.client(func(*Config) {})
	p.bind()
	p.write(pdu{command: deliverSM, seq: 5, body: []byte("rubbish")})
	if got := p.read(deliverSM | answer); got.seq != 5 || got.status != unparsable {
		t.Errorf("%+v", got)
	}
	if _, err := p.Write([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1}); err != nil {
		t.Fatal(err)
	}
	p.bind()
}

// Which part of a text a message is stands in a header or in parameters; what makes no
// sense is no part, and what is left is the text.
func TestPartOf(t *testing.T) {
	f := func(header, data string, tlvs func([]byte) []byte, want Part, text string) {
		t.Helper()
		m := Submit{Sender: "+4915112345678", To: "12345", Data: []byte(header + data), Part: header != ""}
		b, err := m.body()
		if err != nil {
			t.Fatal(err)
		}
		if tlvs != nil {
			b = tlvs(b)
		}
		d, err := parseDeliver(b)
		if err != nil || d.message == nil || d.message.Part != want || Text(d.message.Coding, d.message.Data) != text {
			t.Errorf("%q: %+v, %v", header, d.message, err)
		}
	}
	sar := func(ref uint16, of, number byte) func([]byte) []byte {
		return func(b []byte) []byte {
			b = appendTLV(b, tagReference, []byte{byte(ref >> 8), byte(ref)})
			return appendTLV(appendTLV(b, tagParts, []byte{of}), tagPart, []byte{number})
		}
	}
	f("", "hi", nil, Part{}, "hi")
	f("\x05\x00\x03\x07\x03\x02", "hi", nil, Part{"8bit7", 2, 3}, "hi")
	f("\x06\x08\x04\x01\x07\x03\x02", "hi", nil, Part{"16bit263", 2, 3}, "hi")
	f("\x09\x24\x01\x01\x00\x03\x07\x03\x02\x00", "hi", nil, Part{"8bit7", 2, 3}, "hi") // behind another element
	f("", "hi", sar(263, 3, 2), Part{"sar263", 2, 3}, "hi")
	f("\x05\x00\x03\x07\x03\x02", "hi", sar(1, 2, 1), Part{"8bit7", 2, 3}, "hi")
	f("\x05\x00\x03\x07\x01\x01", "hi", nil, Part{}, "hi") // the only one
	f("\x05\x00\x03\x07\x03\x04", "hi", nil, Part{}, "hi")
	f("\x05\x00\x03\x07\x03\x00", "hi", nil, Part{}, "hi")
	f("\x05\x00\xff\x07\x03\x00", "hi", nil, Part{}, "hi")
	f("\x00", "hi", nil, Part{}, "hi")
	f("\xff", "hi", nil, Part{}, "")
	f("", "hi", sar(1, 1, 1), Part{}, "hi")
}

// Whatever a message centre does, the session is given up and begun anew: garbage, a byte
// at a time, silence, answers to what nobody asked.
func TestHostileCentre(t *testing.T) {
	p := newPeer(t)
	c := p.client(func(cfg *Config) { cfg.Answer, cfg.Enquire = 500*time.Millisecond, 20*time.Millisecond })
	p.bind()
	garbage := make([]byte, 64<<10)
	for i := range garbage {
		garbage[i] = byte(i*7 + i>>8)
	}
	_, _ = p.Write(garbage) // it may have hung up

	p.bind() // and then a byte at a time of a PDU that never ends
	for _, b := range append([]byte{0, 1, 0, 0, 0, 0, 0, 5}, garbage...) {
		if _, err := p.Write([]byte{b}); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}

	p.bind() // answers without questions, and more requests than anybody handles
	for i := range uint32(1000) {
		p.write(pdu{command: submitSM | answer, seq: i + 1000, body: []byte("x\x00")})
		if _, err := p.Write((&pdu{command: deliverSM, seq: i, body: []byte("rubbish")}).append(nil)); err != nil {
			break
		}
	}
	p.bind() // for enquiries were not answered
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		f := c.Figures()
		if f.Binds >= 4 && f.Breaks >= 3 && f.Unanswered >= 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", f)
		}
	}
}

func TestParseReceipt(t *testing.T) {
	f := func(text string, want Receipt) {
		t.Helper()
		if got := parseReceipt([]byte(text)); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
	f("id:0123456789 sub:001 dlvrd:001 submit date:0610191300 done date:0610191301 stat:DELIVRD err:000 text:Hello stat:UNDELIV", Receipt{ID: "0123456789", State: Delivered})
	f("ID:a-b-c STAT:undeliv ERR:00b", Receipt{ID: "a-b-c", State: Undeliverable, Error: "00b"})
	f("id:1 stat:ACCEPTD err:0", Receipt{ID: "1", State: Underway})
	f("stat:REJECTD", Receipt{State: Rejected})
	f("", Receipt{State: Underway})
	f("id:"+strings.Repeat("9", 1000), Receipt{ID: strings.Repeat("9", maxID), State: Underway})
}

func TestSenderOf(t *testing.T) {
	f := func(sender string, ton, npi byte, address string) {
		t.Helper()
		if gotTON, gotNPI, got := senderOf(sender); gotTON != ton || gotNPI != npi || got != address {
			t.Errorf("%s: %d %d %s", sender, gotTON, gotNPI, got)
		}
	}
	f("+4915112345678", 1, 1, "4915112345678")
	f("4915112345678", 1, 1, "4915112345678")
	f("12345", 3, 0, "12345")
	f("Heed Shop", 5, 0, "Heed Shop")
}

func FuzzReadPDU(f *testing.F) {
	f.Add((&pdu{command: submitSM, seq: 1, body: []byte("x")}).append(nil))
	f.Add([]byte{0, 0, 0, 15, 0, 0, 0, 5})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := readPDU(bytes.NewReader(data))
		if err == nil && !bytes.HasPrefix(data, p.append(nil)) {
			t.Errorf("%x was read as %+v", data, p)
		}
	})
}

func FuzzDeliver(f *testing.F) {
	m := Submit{Sender: "+4915112345678", To: "12345", Data: []byte("STOP")}
	b, err := m.body()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(appendTLV(b, tagReceiptedID, []byte("abc\x00")))
	f.Add(appendTLV(appendTLV(b, tagMessageState, []byte{2}), tagPayload, []byte("x")))
	f.Add(appendTLV(appendTLV(appendTLV(b, tagReference, []byte{1, 2}), tagParts, []byte{3}), tagPart, []byte{2}))
	m.Part, m.Data = true, []byte("\x05\x00\x03\x07\x03\x02STOP")
	long, err := m.body()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(long)
	f.Add([]byte("id:1 stat:DELIVRD"))
	f.Fuzz(func(t *testing.T, data []byte) {
		parseReceipt(data)
		d, err := parseDeliver(data)
		if err == nil && (d.message == nil) == (d.receipt == nil) {
			t.Errorf("%x is %+v", data, d)
		}
		if err == nil && d.message != nil {
			Text(d.message.Coding, d.message.Data)
			if p := d.message.Part; p != (Part{}) && (p.Reference == "" || p.Of < 2 || p.Number < 1 || p.Number > p.Of) {
				t.Errorf("%x is part %+v", data, p)
			}
		}
		if err == nil && d.receipt != nil && len(d.receipt.ID) > maxID {
			t.Errorf("%x has a long id", data)
		}
	})
}
