package kafkaconn

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"heed/internal/clienttls"
)

func TestValidate(t *testing.T) {
	f := func(field, want string, change func(*Config)) {
		t.Helper()
		c := Config{Brokers: []string{"k1.example:9092", "[::1]:9092"}, Timeout: time.Second}
		change(&c)
		err := c.Validate()
		if field == "" {
			if err != nil {
				t.Error(err)
			}
			return
		}
		invalid, ok := errors.AsType[*InvalidError](err)
		if !ok || invalid.Field != field || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s: %s", err, field, want)
		}
		if _, optionsErr := c.Options(slog.New(slog.DiscardHandler)); optionsErr == nil {
			t.Errorf("%v, and there are options", err)
		}
	}
	secure := clienttls.Config{Enabled: true}
	f("", "", func(*Config) {})
	f("", "", func(c *Config) { c.TLS, c.SASL = secure, SASL{"plain", "u", "p"} })
	f("", "", func(c *Config) { c.SASL = SASL{"scram-sha-256", "u", "p"} })
	f("brokers", "none is named", func(c *Config) { c.Brokers = nil })
	f("brokers", "are enough", func(c *Config) { c.Brokers = make([]string, 101) })
	for _, b := range []string{"", "k1", "k1:", ":9092", "k1:0", "k1:x", "k1:70000", "kafka://k1:9092", "k1:9092,k2:9092"} {
		f("brokers", "is not host:port", func(c *Config) { c.Brokers = append(c.Brokers, b) })
	}
	f("tls", "not enabled", func(c *Config) { c.TLS.CA = "ca.pem" })
	f("tls", "cert and key", func(c *Config) { c.TLS = clienttls.Config{Enabled: true, Cert: "cert.pem"} })
	f("sasl", "in the clear", func(c *Config) { c.SASL = SASL{"plain", "u", "p"} })
	f("sasl", "user or password", func(c *Config) { c.SASL = SASL{Mechanism: "scram-sha-512", User: "u"} })
	f("sasl", "mechanism", func(c *Config) { c.SASL = SASL{"gssapi", "u", "p"} })
	f("sasl", "mechanism", func(c *Config) { c.SASL = SASL{User: "u", Password: "p"} })
}

func TestOptions(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	c := Config{
		Brokers: []string{"127.0.0.1:9092"}, Timeout: time.Second,
		TLS: clienttls.Config{Enabled: true}, SASL: SASL{"scram-sha-512", "u", "p"},
	}
	opts, err := c.Options(logger)
	if err != nil {
		t.Fatal(err)
	}
	if err := kgo.ValidateOpts(opts...); err != nil {
		t.Error(err)
	}
	c.TLS.CA = "no-such-file.pem"
	if _, err := c.Options(logger); err == nil || !strings.HasPrefix(err.Error(), "tls: ca: open no-such-file.pem") {
		t.Error(err)
	}
}
