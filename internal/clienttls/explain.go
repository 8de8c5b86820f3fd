package clienttls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
)

// Explain says what is wrong with an encrypted connection in words, and what to do
// about it, if certificates are the reason that it failed; else the error stays as it
// is. The error itself remains inside.
func Explain(err error) error {
	if why := reason(err); why != "" {
		return fmt.Errorf("%s (%w)", why, err)
	}
	return err
}

func reason(err error) string {
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the server's certificate is of an authority that is not known here" + by(e.Cert) + ": name its certificate in tls.ca"
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("the server's certificate is for %s, and not for %s: correct the address, or give the name in tls.serverName", names(e.Certificate), e.Host)
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return "the server's certificate has expired, or is not valid yet: " + e.Detail
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Sprintf("the server's certificate cannot be trusted: %v", e.Err)
	}
	if e, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the server does not answer in TLS: is it the right port, and is encryption wanted there?" + spoke(e.RecordHeader[:])
	}
	// What the other side says is of a type that crypto/tls keeps for itself.
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" {
		switch said := e.Err.Error(); {
		case strings.Contains(said, "certificate required"):
			return "the server wants to see a certificate of ours: give tls.cert and tls.key"
		case strings.Contains(said, "certificate"), strings.Contains(said, "access denied"):
			return "the server does not accept our certificate: look at tls.cert, and at whom the server trusts"
		}
	}
	return ""
}

func by(c *x509.Certificate) string {
	if c == nil || c.Issuer.String() == "" {
		return ""
	}
	return fmt.Sprintf(", %q", cut(c.Issuer.String()))
}

func names(c *x509.Certificate) string {
	all := c.DNSNames
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "no host"
	}
	return cut(strings.Join(all, ", "))
}

// spoke is what a server said instead, if that can be read.
func spoke(header []byte) string {
	for _, b := range header {
		if b < ' ' || b > '~' {
			return ""
		}
	}
	return fmt.Sprintf(" It says %q…", header)
}

const maxQuoted = 200 // bytes of what a certificate says

func cut(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxQuoted)], "") }
