package email

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"heed/internal/channel"
	"heed/internal/definition"
)

func base64Of(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// python is the interpreter that has the modules of scripts/services.
func python(t *testing.T) string {
	t.Helper()
	const path = "/usr/bin/python3"
	if out, err := exec.CommandContext(t.Context(), path, "-c", "import aiosmtpd, dkim").CombinedOutput(); err != nil {
		if os.Getenv("HEED_REQUIRE_SERVICES") == "1" {
			t.Fatalf("a mail server of others: %v\n%s", err, out)
		}
		t.Skipf("COULD NOT RUN: needs %s with aiosmtpd and dkimpy (on Debian: apt-get install python3-aiosmtpd python3-dkim)", path)
	}
	return path
}

// taken is a message as the other server took it.
type taken struct {
	From string
	To   []string
	TLS  bool
	User string
	Data []byte
}

// mailbox runs a mail server that is none of ours.
// Of clients it wants certificates of an authority, if one is given.
func mailbox(t *testing.T, cert, key, user, password string, authority ...string) (address string, next func() taken) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), python(t), append([]string{"testdata/mailbox.py", cert, key, user, password}, authority...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	lines := bufio.NewReader(out)
	read := func() string {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the mail server has ended: %v\n%s", err, &complaints)
		}
		return strings.TrimSpace(line)
	}
	return "localhost:" + read(), func() (m taken) {
		t.Helper()
		if err := json.Unmarshal([]byte(read()), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
}

// parts are the bodies of a message by their type, as the standard library reads
// them.
func parts(t *testing.T, m *mail.Message) map[string]string {
	t.Helper()
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Fatalf("%q: %v", kind, err)
	}
	out := map[string]string{}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if p.Header.Get("Content-Transfer-Encoding") != "quoted-printable" {
			t.Errorf("%v", p.Header)
		}
		body, err := io.ReadAll(quotedprintable.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		kind, params, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil || !strings.EqualFold(params["charset"], "utf-8") {
			t.Errorf("%v: %v", p.Header, err)
		}
		out[kind] = string(body)
	}
}

// A message goes through a server of others, with STARTTLS and AUTH, and two
// strangers verify its signature.
func TestRealServer(t *testing.T) {
	cert, keyFile, _, _ := certificate(t)
	address, next := mailbox(t, cert, keyFile, "heed", "s3cret")
	key, record := dkimKey(t)
	f := newFixture(t)
	d := deliver(address, func(d *channel.Delivery) {
		d.Channel.SMTP.TLS, d.Channel.SMTP.User, d.Channel.SMTP.Password = "", "heed", "s3cret"
		d.Channel.DKIM, d.Channel.TLS = key, &definition.TLS{CA: cert}
		d.Body += strings.Repeat("<p>.\n..\nDöts and =signs and a long line "+strings.Repeat("x", 2000)+"</p>", 3)
	})
	if receipt, err := f.Send(t.Context(), d); err != nil || !receipt.Fresh {
		t.Fatalf("%+v, %v", receipt, err)
	}
	m := next()
	if m.From != f.seal.returnPath(d.ID)+"@bounces.shop.example" || len(m.To) != 1 || m.To[0] != "ada@shop.example" || !m.TLS || m.User != "heed" {
		t.Errorf("from %s to %s, TLS %t, as %q", m.From, m.To, m.TLS, m.User)
	}
	got, err := mail.ReadMessage(bytes.NewReader(m.Data))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(got.Header.Get("Subject"))
	if err != nil || subject != d.Subject {
		t.Errorf("subject %q: %v", subject, err)
	}
	from, err := mail.ParseAddress(got.Header.Get("From"))
	if err != nil || from.Name != "Shöp" || from.Address != "news@shop.example" {
		t.Errorf("from %v: %v", from, err)
	}
	for name, want := range map[string]string{
		"To": "<ada@shop.example>", "Reply-To": "<help@shop.example>", "Message-Id": "<" + d.ID + "@shop.example>", "Date": "Tue, 14 Nov 2023 22:13:20 +0000",
		"List-Unsubscribe": "<" + base + "/u/token>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click", "Mime-Version": "1.0",
	} {
		if got := got.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	bodies := parts(t, got)
	if text := bodies["text/plain"]; !strings.HasPrefix(text, "Hello Ada, buy (https://shop.example/?a=1&b=2) or unsubscribe ("+base+"/u/token)") || !strings.HasSuffix(strings.TrimSpace(text), "Shop Ltd, 1 High Street") {
		t.Errorf("%s", text)
	}
	if html := bodies["text/html"]; strings.Contains(html, "https://shop.example/?a") || !strings.Contains(html, base+clickPath) || !strings.Contains(html, base+openPath) ||
		!strings.Contains(html, `href="`+base+`/u/token"`) || !strings.Contains(html, "Döts and =signs") || strings.Count(html, "1 High Street") != 1 {
		t.Errorf("%s", html)
	}

	verify := exec.CommandContext(t.Context(), python(t), "testdata/verify.py", "heed._domainkey.shop.example", record)
	verify.Stdin = bytes.NewReader(m.Data)
	covered, err := verify.CombinedOutput()
	if err != nil {
		t.Fatalf("dkimpy: %v\n%s", err, covered)
	}
	for _, name := range signedHeaders() {
		if !slices.Contains(strings.Fields(string(covered)), strings.ToLower(name)) {
			t.Errorf("%s is not covered: %s", name, covered)
		}
	}
	found, err := dkim.VerifyWithOptions(bytes.NewReader(m.Data), &dkim.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		if name != "heed._domainkey.shop.example" {
			return nil, fmt.Errorf("%s does not exist", name)
		}
		return []string{record}, nil
	}})
	if err != nil || len(found) != 1 || found[0].Err != nil || found[0].Domain != "shop.example" {
		t.Errorf("%+v, %v", found, err)
	}
	// A link to unsubscribe that somebody adds breaks the signature.
	forged := slices.Concat([]byte("List-Unsubscribe: <https://evil.example>\r\nSubject: other\r\n"), m.Data)
	verify = exec.CommandContext(t.Context(), python(t), "testdata/verify.py", "heed._domainkey.shop.example", record)
	verify.Stdin = bytes.NewReader(forged)
	if out, err := verify.CombinedOutput(); err == nil {
		t.Errorf("a forged message was verified: %s", out)
	}

	// Another attempt is the same message, over the session that is open.
	d.Attempt = 2
	f.pass(time.Second)
	if _, err := f.Send(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	again, err := mail.ReadMessage(bytes.NewReader(next().Data))
	if err != nil || again.Header.Get("Message-Id") != got.Header.Get("Message-Id") || again.Header.Get("Date") != got.Header.Get("Date") {
		t.Errorf("%v, %v", again, err)
	}
	if heard := f.heard.take(); len(heard) != 0 {
		t.Errorf("%+v", heard)
	}
}

// What is wrong with the connection costs nobody a message: it is tried again, and the
// reason says what is wrong.
func TestRealServerRefuses(t *testing.T) {
	cert, keyFile, _, _ := certificate(t)
	strange, strangeKey, _, _ := certificate(t)
	address, _ := mailbox(t, cert, keyFile, "heed", "s3cret")
	strict, next := mailbox(t, cert, keyFile, "heed", "s3cret", cert)
	try := func(address, what, why string, change func(*definition.Channel)) {
		t.Helper()
		_, err := newFixture(t).Send(t.Context(), deliver(address, func(d *channel.Delivery) {
			d.Channel.SMTP.TLS, d.Channel.SMTP.User, d.Channel.SMTP.Password = "", "heed", "s3cret"
			d.Channel.TLS = &definition.TLS{CA: cert}
			change(d.Channel)
		}))
		if e := failureOf(t, err); e.Class != channel.Temporary || e.Untried || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", what, err, why)
		}
	}
	try(address, "a wrong password", "", func(ch *definition.Channel) { ch.SMTP.Password = "guess" })
	try(address, "no password", "", func(ch *definition.Channel) { ch.SMTP.User, ch.SMTP.Password = "", "" })
	try(address, "no TLS", "", func(ch *definition.Channel) {
		ch.SMTP.TLS, ch.SMTP.User, ch.SMTP.Password, ch.TLS = definition.NoTLS, "", "", nil
	})
	try(address, "TLS too early", "does not answer in TLS", func(ch *definition.Channel) { ch.SMTP.TLS = definition.ImplicitTLS })
	try(address, "a certificate that nobody trusts", "name its certificate in tls.ca", func(ch *definition.Channel) { ch.TLS = nil })
	try(address, "another authority", "name its certificate in tls.ca", func(ch *definition.Channel) { ch.TLS.CA = strange })
	try(address, "another name", "is for localhost, 127.0.0.1, and not for mail.example", func(ch *definition.Channel) { ch.TLS.ServerName = "mail.example" })
	try(address, "no such file", "tls.ca: open /nowhere.pem", func(ch *definition.Channel) { ch.TLS.CA = "/nowhere.pem" })
	// This server hangs up without a word.
	try(strict, "without a certificate", "", func(*definition.Channel) {})
	try(strict, "with a stranger's certificate", "", func(ch *definition.Channel) { ch.TLS.Cert, ch.TLS.Key = strange, strangeKey })

	if _, err := newFixture(t).Send(t.Context(), deliver(strict, func(d *channel.Delivery) {
		d.Channel.SMTP.TLS, d.Channel.SMTP.User, d.Channel.SMTP.Password = "", "heed", "s3cret"
		d.Channel.TLS = &definition.TLS{CA: cert, Cert: cert, Key: keyFile}
	})); err != nil || !next().TLS {
		t.Errorf("with the certificate that it wants: %v", err)
	}
}
