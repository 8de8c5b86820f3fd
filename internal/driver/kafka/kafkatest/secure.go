package kafkatest

import (
	"testing"

	"heed/internal/driver/servertest"
)

// Secure is how brokers are reached with TLS and SASL.
type Secure struct {
	Addrs          []string
	CA             string // file of the certificate that the brokers' one can be checked with
	User, Password string // for PLAIN and SCRAM-SHA-512

	keys string // file of the brokers' key and certificate
}

func newSecure(t testing.TB) *Secure {
	t.Helper()
	s := &Secure{User: "heed", Password: "a-secret-of-the-tests"}
	s.CA, s.keys = servertest.Certify(t)
	return s
}

func (s *Secure) settings() []string {
	return []string{
		"ssl.keystore.type=PEM", "ssl.keystore.location=" + s.keys,
		"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512",
		`listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_` +
			s.User + `="` + s.Password + `";`,
		`listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;`,
	}
}
