// Package kafkaconn owns how a Kafka is reached: which brokers, whether encrypted,
// and how a client proves who it is. It is the same for the brokers that Heed
// stands on and for those of others.
//
// It does not own the connections, what is read or written by them, nor whether
// brokers may be at private addresses: who sets this up may name any.
package kafkaconn

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"heed/internal/clienttls"
)

// Config is how brokers are reached.
type Config struct {
	// Brokers are some of the cluster's, as host:port; the others are found.
	Brokers []string
	TLS     clienttls.Config
	SASL    SASL
	// Timeout is how long a connection may take to be made.
	Timeout time.Duration
}

// SASL is how the client proves who it is with a password.
type SASL struct {
	Mechanism string `yaml:"mechanism"` // plain, scram-sha-256, scram-sha-512; empty: none
	User      string `yaml:"user"`
	Password  string `yaml:"password"`
}

// maxBrokers are named at most: a few are enough to find all.
const maxBrokers = 100

// InvalidError is a setting that cannot be.
type InvalidError struct {
	Field string // brokers, tls, sasl
	Err   error  // what is wrong with it, and what to do
}

func (e *InvalidError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap gives the error itself.
func (e *InvalidError) Unwrap() error { return e.Err }

// Validate tells what is wrong, as an InvalidError, without looking at files or
// asking anybody.
func (c Config) Validate() error {
	if err := validBrokers(c.Brokers); err != nil {
		return &InvalidError{"brokers", err}
	}
	if err := c.TLS.Validate(); err != nil {
		return &InvalidError{"tls", err}
	}
	if c.SASL.Mechanism == "plain" && !c.TLS.Enabled {
		return &InvalidError{"sasl", errors.New("plain would send the password in the clear: enable tls, or use scram-sha-512")}
	}
	if _, err := c.SASL.client(); err != nil {
		return &InvalidError{"sasl", err}
	}
	return nil
}

func validBrokers(brokers []string) error {
	if len(brokers) == 0 {
		return errors.New("none is named: name some of the cluster's, as host:port")
	}
	if len(brokers) > maxBrokers {
		return fmt.Errorf("%d are named: %d of them are enough to find all", len(brokers), maxBrokers)
	}
	for _, b := range brokers {
		host, port, err := net.SplitHostPort(b)
		if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || host == "" || n == 0 {
			return fmt.Errorf("%q is not host:port", b)
		}
	}
	return nil
}

// client is nil without SASL.
func (s SASL) client() (sasl.Mechanism, error) {
	if s == (SASL{}) {
		return nil, nil //nolint:nilnil // no mechanism, no mistake
	}
	if s.User == "" || s.Password == "" {
		return nil, errors.New("user or password is empty: set both")
	}
	switch s.Mechanism {
	case "plain":
		return plain.Auth{User: s.User, Pass: s.Password}.AsMechanism(), nil
	case "scram-sha-256":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha256Mechanism(), nil
	case "scram-sha-512":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("mechanism %q is none of plain, scram-sha-256, scram-sha-512", s.Mechanism)
}

// Options are what a client of these brokers begins with. They read the files that
// TLS names.
func (c Config) Options(logger *slog.Logger) ([]kgo.Opt, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...), kgo.ClientID("heed"), kgo.WithLogger(clientLogger{logger}),
		kgo.MetadataMinAge(250 * time.Millisecond), // a leader that moved is found soon
		kgo.DialTimeout(c.Timeout), kgo.DisableClientMetrics(),
	}
	encrypted, err := c.TLS.Client()
	if err != nil {
		return nil, &InvalidError{"tls", err}
	}
	if encrypted != nil {
		opts = append(opts, kgo.DialTLSConfig(encrypted))
	}
	mechanism, err := c.SASL.client()
	if err != nil {
		return nil, &InvalidError{"sasl", err}
	}
	if mechanism != nil {
		opts = append(opts, kgo.SASL(mechanism))
	}
	return opts, nil
}

// clientLogger passes on what the client says of moment; all of it is worked
// around or comes back as an error.
type clientLogger struct{ slog *slog.Logger }

// Level implements kgo.Logger.
func (l clientLogger) Level() kgo.LogLevel { return kgo.LogLevelWarn }

// Log implements kgo.Logger.
func (l clientLogger) Log(_ kgo.LogLevel, msg string, keyvals ...any) {
	l.slog.Info("kafka client: "+msg, keyvals...)
}
