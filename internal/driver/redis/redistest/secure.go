package redistest

import (
	"net"
	"testing"

	"heed/internal/driver/servertest"
)

// Secure is how a server is reached with TLS.
type Secure struct {
	Addr string
	CA   string // file of the certificate that the server's one can be checked with
}

// StartSecure starts a server that speaks TLS on a port of its own.
func StartSecure(t testing.TB, settings ...string) (*Server, Secure) {
	t.Helper()
	ca, keys := servertest.Certify(t)
	addr := servertest.Free(t)
	_, port, _ := net.SplitHostPort(addr)
	s := Start(t, append([]string{
		"--tls-port", port, "--tls-cert-file", ca, "--tls-key-file", keys, "--tls-ca-cert-file", ca, "--tls-auth-clients", "no",
	}, settings...)...)
	return s, Secure{Addr: addr, CA: ca}
}
