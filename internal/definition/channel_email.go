package definition

import (
	"cmp"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"strings"
)

// SMTP is how a channel of type email sends.
type SMTP struct {
	Host string `yaml:"host" json:"host"`
	Port int    `yaml:"port,omitempty" json:"port,omitempty"` // 0: the usual one, by TLS
	// TLS says how the connection is protected: starttls (default), implicit or
	// none. Without protection a server must be on the same machine, unless
	// AllowPlain says otherwise.
	TLS        string `yaml:"tls,omitempty" json:"tls,omitempty"`
	AllowPlain bool   `yaml:"allowPlain,omitempty" json:"allowPlain,omitempty"`
	User       string `yaml:"user,omitempty" json:"user,omitempty"` // empty: without AUTH
	Password   string `yaml:"password,omitempty" json:"password,omitempty"`
	From       string `yaml:"from" json:"from"` // Shop <news@shop.example>
	ReplyTo    string `yaml:"replyTo,omitempty" json:"replyTo,omitempty"`
	Rate       int    `yaml:"rate,omitempty" json:"rate,omitempty"` // messages a second; 0: no limit
}

// What SMTP.TLS may say.
const (
	StartTLS    = "starttls"
	ImplicitTLS = "implicit"
	NoTLS       = "none"
)

// PortOrUsual is the port that is dialled.
func (s *SMTP) PortOrUsual() int {
	usual := 587
	switch s.TLS {
	case ImplicitTLS:
		usual = 465
	case NoTLS:
		usual = 25
	}
	return cmp.Or(s.Port, usual)
}

// DKIM is the key that signs a channel's e-mails. Its public half stands in the
// DNS, at <selector>._domainkey.<domain>.
type DKIM struct {
	Domain   string `yaml:"domain" json:"domain"`
	Selector string `yaml:"selector" json:"selector"`
	Key      string `yaml:"key" json:"key"` // PEM: RSA of at least 1024 bits, or Ed25519
}

// Signer is the key, ready for use.
func (d *DKIM) Signer() (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(d.Key))
	if block == nil {
		return nil, errors.New("is not a private key in PEM")
	}
	var key any
	var err error
	if block.Type == "RSA PRIVATE KEY" {
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	} else {
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, errors.New("is not a private key as PKCS #1 or PKCS #8 write it")
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if key.N.BitLen() < 1024 {
			return nil, fmt.Errorf("has %d bits, and mailboxes take no fewer than 1024", key.N.BitLen())
		}
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, errors.New("is neither RSA nor Ed25519")
}

// What Channel.Tracking may say.
const (
	TrackAll    = "all"
	TrackClicks = "clicks"
	TrackNone   = "none"
)

const maxPostal = 300 // bytes

// FieldUnsubscribe is what a template prints as the link by which its reader
// ends messages like it.
const FieldUnsubscribe = "unsubscribe_url"

// FieldConfirm is what a template prints as the link by which its reader confirms to
// want messages (double opt-in).
const FieldConfirm = "confirm_url"

func (c *checker) email(ch *Channel) {
	if len(ch.Address) > maxPostal || strings.ContainsFunc(ch.Address, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		c.fail("address", "Shop Ltd, 1 High Street, Anytown", "is not a postal address on one line of at most %d bytes", maxPostal)
	}
	switch ch.Tracking {
	case "", TrackAll, TrackClicks, TrackNone:
	default:
		c.fail("tracking", "all, clicks or none", "%q is not a way to track", ch.Tracking)
	}
	s := ch.SMTP
	if ch.Local {
		if s != nil || ch.DKIM != nil || ch.Feedback != nil || ch.Bounces != "" {
			c.fail("local", "leave smtp, dkim, feedback and bounces out", "what a local channel sends goes nowhere, and there is a server for it")
		}
		return
	}
	if s == nil {
		c.fail("smtp", "smtp: {host: smtp.example, from: Shop <news@shop.example>}, or local: true", "is missing")
		return
	}
	if _, err := netip.ParseAddr(s.Host); err != nil && !validDomain(s.Host) {
		c.fail("smtp.host", "smtp.example; the port stands beside it", "%q is not the name of a server", s.Host)
	}
	if s.Port < 0 || s.Port > 65535 {
		c.fail("smtp.port", "587", "%d is not a port", s.Port)
	}
	if s.TLS != "" && s.TLS != StartTLS && s.TLS != ImplicitTLS && s.TLS != NoTLS {
		c.fail("smtp.tls", "starttls, implicit or none", "%q is no way to protect a connection", s.TLS)
	}
	if s.TLS == NoTLS && s.AllowPlain && s.Password != "" {
		c.fail("smtp.allowPlain", "leave tls out: it is starttls then", "a password must not cross a network in the clear")
	}
	if (s.User == "") != (s.Password == "") {
		c.fail("smtp.user", "", "user and password go together")
	}
	if s.Rate < 0 || s.Rate > 10_000 {
		c.fail("smtp.rate", "messages a second; 0 for no limit", "%d is not from 0 to 10000", s.Rate)
	}
	from, err := mail.ParseAddress(s.From)
	if err != nil {
		c.fail("smtp.from", "Shop <news@shop.example>", "%q is not an address", s.From)
	}
	if _, err := mail.ParseAddress(s.ReplyTo); s.ReplyTo != "" && err != nil {
		c.fail("smtp.replyTo", "help@shop.example", "%q is not an address", s.ReplyTo)
	}
	if ch.Bounces != "" && !validDomain(ch.Bounces) {
		c.fail("bounces", "bounces.shop.example", "%q is not a domain", ch.Bounces)
	}
	if ch.Feedback != nil {
		c.feedback(ch.Feedback)
	}
	if ch.DKIM != nil && from != nil {
		c.dkim(ch.DKIM, from.Address)
	}
}

func (c *checker) dkim(d *DKIM, from string) {
	for _, part := range []struct{ path, value string }{{"dkim.domain", d.Domain}, {"dkim.selector", d.Selector}} {
		if !validDomain(part.value) {
			c.fail(part.path, "dkim: {domain: shop.example, selector: heed, key: ${file:/etc/heed/dkim.pem}}", "%q is not a name in the DNS", part.value)
		}
	}
	_, of, _ := strings.Cut(from, "@")
	if of, domain := strings.ToLower(of), strings.ToLower(d.Domain); of != domain && !strings.HasSuffix(of, "."+domain) {
		c.fail("dkim.domain", "the domain of smtp.from, or one above it", "a signature of %s says nothing for mail from %s", d.Domain, of)
	}
	if d.Key == Masked || strings.HasPrefix(d.Key, "${") { // it says nothing about the key
		return
	}
	if _, err := d.Signer(); err != nil {
		c.fail("dkim.key", "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out dkim.pem", "%v", err)
	}
}

// validDomain tells names of the DNS in ASCII.
func validDomain(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
		}) {
			return false
		}
	}
	return true
}

// endable checks that marketing by e-mail has what it must not be launched
// without: a link that ends it, and where its sender can be found.
func (c *checker) endable(at string, v Variant) {
	ch, t := c.set.Channels[v.Channel], c.set.Templates[v.Template]
	if ch == nil || t == nil || ch.Type != ChannelEmail {
		return
	}
	for _, where := range t.without(FieldUnsubscribe, ch) {
		c.fail(at+".template", `<a href="{{ `+FieldUnsubscribe+` }}">Unsubscribe</a>`, "marketing by e-mail needs a link to unsubscribe, and template %s has none%s", v.Template, where)
	}
	if ch.Address == "" {
		c.fail(at+".channel", "address: Shop Ltd, 1 High Street, Anytown", "marketing by e-mail needs a postal address, and channel %s has none", v.Channel)
	}
}
