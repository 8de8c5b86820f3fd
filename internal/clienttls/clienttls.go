// Package clienttls owns how an operator says that connections to a server are
// encrypted, and who vouches for whom: the settings that Kafka, Redis and the
// servers of channels have in common; and what is wrong with a certificate, in words.
//
// It does not own the connections, nor TLS of what Heed serves itself.
package clienttls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Config is what an operator may set. CA, Cert and Key are the paths of files in
// PEM, or their content itself.
type Config struct {
	Enabled bool   `yaml:"enabled"`
	CA      string `yaml:"ca"` // empty: the system's
	// With Cert and Key the client proves who it is.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	// ServerName is the name in the servers' certificates; empty: their address.
	ServerName string `yaml:"server_name"`
}

// Validate tells what is wrong, without looking at files.
func (c Config) Validate() error {
	switch {
	case !c.Enabled && c != Config{}:
		return errors.New("is set up and not enabled: say enabled: true, or leave the rest out")
	case (c.Cert == "") != (c.Key == ""):
		return errors.New("cert and key belong together: set both, or neither")
	}
	return nil
}

// Client is what connections are made with; nil if they are not encrypted. It
// reads the files.
func (c Config) Client() (*tls.Config, error) {
	if !c.Enabled {
		return nil, nil //nolint:nilnil // no encryption, no mistake
	}
	read, err := c.Read()
	if err != nil {
		return nil, err
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if read.CA != "" {
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM([]byte(read.CA)) {
			return nil, errors.New("ca: holds no certificate in PEM")
		}
	}
	if read.Cert != "" {
		pair, err := tls.X509KeyPair([]byte(read.Cert), []byte(read.Key))
		if err != nil {
			return nil, fmt.Errorf("cert, key: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// Read is the same with what is in the files in place of their paths: what tells
// whether they were renewed.
func (c Config) Read() (Config, error) {
	for _, f := range []struct {
		name string
		text *string
	}{{"ca", &c.CA}, {"cert", &c.Cert}, {"key", &c.Key}} {
		if *f.text == "" || strings.HasPrefix(strings.TrimSpace(*f.text), "-----BEGIN ") {
			continue
		}
		content, err := os.ReadFile(*f.text)
		if err != nil {
			return Config{}, fmt.Errorf("%s: %w", f.name, err)
		}
		*f.text = string(content)
	}
	return c, nil
}

// Check tells what is wrong with the files at a time, also that a certificate has
// expired by then, or is not valid yet.
func (c Config) Check(now time.Time) error {
	made, err := c.Client()
	if err != nil || made == nil {
		return err
	}
	for _, pair := range made.Certificates {
		if err := Valid(pair.Leaf, now); err != nil {
			return fmt.Errorf("cert: %w", err)
		}
	}
	return nil
}

// Valid tells whether a certificate is by its dates.
func Valid(c *x509.Certificate, now time.Time) error {
	switch {
	case now.After(c.NotAfter):
		return fmt.Errorf("the certificate expired on %s", c.NotAfter.UTC().Format(time.DateTime))
	case now.Before(c.NotBefore):
		return fmt.Errorf("the certificate is valid from %s on", c.NotBefore.UTC().Format(time.DateTime))
	}
	return nil
}
