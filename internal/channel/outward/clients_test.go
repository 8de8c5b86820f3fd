package outward

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"heed/internal/clienttls"
	"heed/internal/definition"
	"heed/internal/driver/servertest"
)

// secured serves with a certificate, to who shows one of the same authority.
func secured(t *testing.T, ca, keys string) *httptest.Server {
	t.Helper()
	c, err := clienttls.Config{Enabled: true, CA: ca, Cert: ca, Key: keys}.Client()
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.TLS = &tls.Config{Certificates: c.Certificates, ClientCAs: c.RootCAs, ClientAuth: tls.RequireAndVerifyClientCert}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A channel trusts whom it names, and proves who it is; files that are renewed are used
// after a minute, and half of them is not. Whom one channel trusts, others do not.
func TestClientsOfChannels(t *testing.T) {
	ca, keys := servertest.Certify(t)
	first := secured(t, ca, keys)
	newCA, newKeys := servertest.Certify(t)
	second := secured(t, newCA, newKeys)
	dir := t.TempDir()
	own := definition.TLS{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "ca.pem"), Key: filepath.Join(dir, "keys.pem")}
	copyFile(t, ca, own.CA)
	copyFile(t, keys, own.Key)

	var clients Clients
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	visit := func(srv *httptest.Server, def *definition.Channel) error {
		t.Helper()
		client, err := clients.Of(def, now)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return errors.Join(err, resp.Body.Close())
	}
	trusting := &definition.Channel{AllowPrivate: true, TLS: &own}
	refused := func(err error, why string) {
		t.Helper()
		if err == nil || !strings.Contains(clienttls.Explain(err).Error(), why) {
			t.Errorf("%v, want %q", err, why)
		}
	}
	if err := visit(first, trusting); err != nil {
		t.Error(err)
	}
	refused(visit(second, trusting), "not known here")
	refused(visit(first, &definition.Channel{AllowPrivate: true}), "not known here")
	refused(visit(first, &definition.Channel{AllowPrivate: true, TLS: &definition.TLS{CA: own.CA}}), "give tls.cert and tls.key")
	refused(visit(first, &definition.Channel{TLS: &own}), "not a public one") // whoever is trusted
	refused(visit(first, &definition.Channel{AllowPrivate: true, TLS: &definition.TLS{CA: "/nowhere.pem"}}), "tls.ca: open /nowhere.pem")

	copyFile(t, newCA, own.CA)
	now = now.Add(freshFor)
	if err := visit(first, trusting); err != nil {
		t.Errorf("half of the new files was used: %v", err)
	}
	copyFile(t, newKeys, own.Key)
	now = now.Add(freshFor)
	if err := visit(second, trusting); err != nil {
		t.Errorf("the new files are not used: %v", err)
	}
	refused(visit(first, trusting), "not known here")
	same, err := clients.Of(trusting, now)
	if again, err2 := clients.Of(trusting, now.Add(freshFor)); err != nil || err2 != nil || again != same {
		t.Errorf("connections are not kept while the files are the same: %v, %v", err, err2)
	}
	for i := range 2 * maxClients {
		if _, err := clients.Of(&definition.Channel{TLS: &definition.TLS{ServerName: strings.Repeat("x", i+1)}}, now); err != nil {
			t.Fatal(err)
		}
	}
	if len(clients.all) > maxClients {
		t.Errorf("%d clients are kept", len(clients.all))
	}
}
