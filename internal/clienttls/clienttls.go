// Package clienttls owns how an operator says that connections to a server are
// encrypted, and who vouches for whom: the settings that Kafka and Redis have in
// common.
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
	out := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CA != "" {
		pem, err := content(c.CA)
		if err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, errors.New("ca: holds no certificate in PEM")
		}
	}
	if c.Cert != "" {
		cert, err := content(c.Cert)
		if err != nil {
			return nil, fmt.Errorf("cert: %w", err)
		}
		key, err := content(c.Key)
		if err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("cert, key: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// content is PEM itself, or what is in the file.
func content(text string) ([]byte, error) {
	if strings.HasPrefix(strings.TrimSpace(text), "-----BEGIN ") {
		return []byte(text), nil
	}
	return os.ReadFile(text)
}
