package clienttls_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"heed/internal/clienttls"
	"heed/internal/driver/servertest"
)

func TestValidate(t *testing.T) {
	f := func(want string, c clienttls.Config) {
		t.Helper()
		err := c.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	f("", clienttls.Config{})
	f("", clienttls.Config{Enabled: true, Cert: "cert.pem", Key: "key.pem"})
	f("is set up and not enabled", clienttls.Config{CA: "ca.pem"})
	f("cert and key belong together", clienttls.Config{Enabled: true, Cert: "cert.pem"})
	f("cert and key belong together", clienttls.Config{Enabled: true, Key: "key.pem"})
}

// TestClient has both sides prove who they are, with files and with their content.
func TestClient(t *testing.T) {
	ca, keys := servertest.Certify(t)
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	files := clienttls.Config{Enabled: true, CA: ca, Cert: ca, Key: keys}
	texts := clienttls.Config{Enabled: true, CA: read(ca), Cert: "\n" + read(ca), Key: read(keys)}
	for name, c := range map[string]clienttls.Config{"files": files, "texts": texts} {
		t.Run(name, func(t *testing.T) {
			client, err := c.Client()
			if err != nil {
				t.Fatal(err)
			}
			server := &tls.Config{Certificates: client.Certificates, ClientCAs: client.RootCAs, ClientAuth: tls.RequireAndVerifyClientCert}
			if err := greet(t, server, client); err != nil {
				t.Error(err)
			}
			stranger := client.Clone()
			stranger.Certificates = nil
			if err := greet(t, server, stranger); err == nil {
				t.Error("the server took a client that did not prove who it is")
			}
		})
	}

	if c, err := (clienttls.Config{}).Client(); c != nil || err != nil {
		t.Errorf("not enabled: %v, %v", c, err)
	}
	f := func(want string, change func(*clienttls.Config)) {
		t.Helper()
		c := files
		change(&c)
		if _, err := c.Client(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	missing := filepath.Join(t.TempDir(), "missing.pem")
	f("ca: open "+missing, func(c *clienttls.Config) { c.CA = missing })
	f("ca: holds no certificate", func(c *clienttls.Config) { c.CA = "-----BEGIN NOTHING-----" })
	f("cert: open "+missing, func(c *clienttls.Config) { c.Cert = missing })
	f("key: open "+missing, func(c *clienttls.Config) { c.Key = missing })
	f("cert, key: ", func(c *clienttls.Config) { c.Key = ca })
}

// TestExplain lets connections fail for every reason that certificates give.
func TestExplain(t *testing.T) {
	ca, keys := servertest.Certify(t)
	strangeCA, strangeKeys := servertest.Certify(t)
	ours, err := (clienttls.Config{Enabled: true, CA: ca, Cert: ca, Key: keys}).Client()
	if err != nil {
		t.Fatal(err)
	}
	server := &tls.Config{Certificates: ours.Certificates}
	strict := &tls.Config{Certificates: ours.Certificates, ClientCAs: ours.RootCAs, ClientAuth: tls.RequireAndVerifyClientCert}
	f := func(want string, server *tls.Config, c clienttls.Config, change ...func(*tls.Config)) {
		t.Helper()
		c.Enabled = true
		client, err := c.Client()
		if err != nil {
			t.Fatal(err)
		}
		for _, do := range change {
			do(client)
		}
		err = greet(t, server, client)
		told := clienttls.Explain(err)
		if err == nil || !strings.HasPrefix(told.Error(), want) || !errors.Is(told, err) {
			t.Errorf("%v, want %q", told, want)
		}
	}
	f("the server's certificate is of an authority that is not known here", server, clienttls.Config{})
	f("the server's certificate is of an authority that is not known here", server, clienttls.Config{CA: strangeCA})
	f("the server's certificate is for ", server, clienttls.Config{CA: ca, ServerName: "other.example"})
	f("the server's certificate has expired, or is not valid yet", server, clienttls.Config{CA: ca}, func(c *tls.Config) {
		c.Time = func() time.Time { return time.Now().AddDate(100, 0, 0) }
	})
	f("the server wants to see a certificate of ours", strict, clienttls.Config{CA: ca})
	f("the server does not accept our certificate", strict, clienttls.Config{CA: ca, Cert: strangeCA, Key: strangeKeys})

	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if conn, err := l.Accept(); err == nil {
			_, _ = io.WriteString(conn, "220 mail.example ESMTP\r\n")
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}
	}()
	_, err = tls.Dial("tcp", l.Addr().String(), &tls.Config{})
	if told := clienttls.Explain(err); err == nil || !strings.HasPrefix(told.Error(), "the server does not answer in TLS") || !strings.Contains(told.Error(), `It says "220 m"`) {
		t.Errorf("%v", told)
	}
	_ = l.Close()

	other := errors.New("connection refused")
	if told := clienttls.Explain(other); told.Error() != other.Error() {
		t.Errorf("%v", told)
	}
	if told := clienttls.Explain(nil); told != nil {
		t.Errorf("%v", told)
	}
}

func TestCheck(t *testing.T) {
	ca, keys := servertest.Certify(t)
	c := clienttls.Config{Enabled: true, CA: ca, Cert: ca, Key: keys}
	if err := errors.Join(c.Check(time.Now()), clienttls.Config{}.Check(time.Now())); err != nil {
		t.Error(err)
	}
	if err := c.Check(time.Now().AddDate(100, 0, 0)); err == nil || !strings.HasPrefix(err.Error(), "cert: the certificate expired on") {
		t.Error(err)
	}
	if err := c.Check(time.Now().AddDate(-1, 0, 0)); err == nil || !strings.HasPrefix(err.Error(), "cert: the certificate is valid from") {
		t.Error(err)
	}
}

// greet has a client say a word to a server, which says it back.
func greet(t *testing.T, server, client *tls.Config) error {
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.CopyN(conn, conn, 1)
		_ = conn.Close()
	}()
	conn, err := (&tls.Dialer{NetDialer: &net.Dialer{}, Config: client}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err == nil {
		_, err = conn.Write([]byte{1})
		if _, readErr := io.ReadFull(conn, make([]byte, 1)); readErr != nil {
			err = readErr // says more than that the line was cut off
		}
		_ = conn.Close()
	}
	_ = l.Close()
	<-served
	return err
}
