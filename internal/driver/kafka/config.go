package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// DefaultPartitions is the number of partitions of a new installation.
const DefaultPartitions = 16

// maxPartitions is what ids of events leave room for.
const maxPartitions = 1 << 15

// maxRecord is the size of a Kafka record, in bytes, that a batch is divided at.
// Only an event that is larger by itself makes a larger one.
const maxRecord = 512 << 10

// maxMessage is what the topics must take in one piece.
const maxMessage = 1 << 20

// Config is what an operator may set.
type Config struct {
	// Brokers are some of the cluster's, as host:port; the others are found.
	Brokers []string `yaml:"brokers"`
	// Prefix begins the names of the two topics.
	Prefix string `yaml:"prefix"`
	// Partitions is fixed when the installation is created; 0 takes what is
	// there, or DefaultPartitions.
	Partitions int `yaml:"partitions"`
	// Replication is how many brokers keep a record, MinInsync how many must
	// have it before it is acknowledged.
	Replication int `yaml:"replication"`
	MinInsync   int `yaml:"min_insync"`
	// Retention is how long the topics must keep records at least. New topics
	// keep them until Trim removes them.
	Retention time.Duration `yaml:"retention"`
	// Compression is none, lz4, snappy or zstd.
	Compression string `yaml:"compression"`
	// Linger is how long a record waits for others that share its way.
	Linger time.Duration `yaml:"linger"`
	// Timeout is how long appends and questions wait for brokers that do not
	// answer, before the caller is told to come again.
	Timeout time.Duration `yaml:"timeout"`
	// Session is how long a process that shares work may be silent before others
	// get what was its own. The brokers allow 6 s to 30 min unless set.
	Session time.Duration `yaml:"session"`
	// Memory bounds what waits for brokers, in bytes. More is refused.
	Memory int64 `yaml:"memory"`
	TLS    TLS   `yaml:"tls"`
	SASL   SASL  `yaml:"sasl"`
}

// TLS is how connections are encrypted.
type TLS struct {
	Enabled bool   `yaml:"enabled"`
	CA      string `yaml:"ca"` // file; empty: the system's
	// Cert and Key are files with which the client proves who it is.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	// ServerName is the name in the brokers' certificates; empty: their address.
	ServerName string `yaml:"server_name"`
}

// SASL is how the client proves who it is with a password.
type SASL struct {
	Mechanism string `yaml:"mechanism"` // plain, scram-sha-256, scram-sha-512; empty: none
	User      string `yaml:"user"`
	Password  string `yaml:"password"`
}

// Defaults fills what is not set.
func (c *Config) Defaults() {
	if c.Prefix == "" {
		c.Prefix = "heed."
	}
	if c.Replication == 0 {
		c.Replication = 3
	}
	if c.MinInsync == 0 {
		c.MinInsync = min(2, c.Replication)
	}
	if c.Retention == 0 {
		c.Retention = 31 * 24 * time.Hour
	}
	if c.Compression == "" {
		c.Compression = "lz4"
	}
	if c.Linger == 0 {
		c.Linger = 2 * time.Millisecond
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Session == 0 {
		c.Session = 10 * time.Second
	}
	if c.Memory == 0 {
		c.Memory = 64 << 20
	}
}

// prefixes are names of topics that leave room for the stream's.
var prefixes = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,200}$`)

// Validate tells what is wrong.
func (c *Config) Validate() error {
	switch {
	case len(c.Brokers) == 0:
		return errors.New("brokers: none is named")
	case !prefixes.MatchString(c.Prefix):
		return fmt.Errorf("prefix: %q is not made of letters, digits, '.', '_' and '-'", c.Prefix)
	case c.Partitions < 0 || c.Partitions > maxPartitions:
		return fmt.Errorf("partitions: %d is not within 1 and %d", c.Partitions, maxPartitions)
	case c.Replication < 1 || c.Replication > 100:
		return fmt.Errorf("replication: %d is not within 1 and 100", c.Replication)
	case c.MinInsync < 1 || c.MinInsync > c.Replication:
		return fmt.Errorf("min_insync: %d is not within 1 and the replication of %d", c.MinInsync, c.Replication)
	case c.Retention < time.Hour:
		return fmt.Errorf("retention: %s, at least an hour is needed", c.Retention)
	case c.Linger < 0 || c.Linger > time.Second:
		return fmt.Errorf("linger: %s is not within 0 and 1 s", c.Linger)
	case c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute:
		return fmt.Errorf("timeout: %s is not within 100 ms and 1 min", c.Timeout)
	case c.Session < time.Second || c.Session > 30*time.Minute:
		return fmt.Errorf("session: %s is not within 1 s and 30 min", c.Session)
	case c.Memory < 2*maxMessage:
		return fmt.Errorf("memory: %d bytes, at least 2 MiB are needed", c.Memory)
	case !c.TLS.Enabled && c.TLS != TLS{}:
		return errors.New("tls: is set up and not enabled")
	case (c.TLS.Cert == "") != (c.TLS.Key == ""):
		return errors.New("tls: cert and key belong together")
	case c.SASL.Mechanism == "plain" && !c.TLS.Enabled:
		return errors.New("sasl: plain would send the password in the clear: enable tls, or use scram-sha-512")
	}
	if _, err := c.compression(); err != nil {
		return err
	}
	_, err := c.mechanism()
	return err
}

func (c *Config) compression() (kgo.CompressionCodec, error) {
	switch c.Compression {
	case "none":
		return kgo.NoCompression(), nil
	case "lz4":
		return kgo.Lz4Compression(), nil
	case "snappy":
		return kgo.SnappyCompression(), nil
	case "zstd":
		return kgo.ZstdCompression(), nil
	}
	return kgo.CompressionCodec{}, fmt.Errorf("compression: %q is none of none, lz4, snappy, zstd", c.Compression)
}

// mechanism is nil without SASL.
func (c *Config) mechanism() (sasl.Mechanism, error) {
	s := c.SASL
	if s == (SASL{}) {
		return nil, nil //nolint:nilnil // no mechanism, no mistake
	}
	if s.User == "" || s.Password == "" {
		return nil, errors.New("sasl: user or password is empty")
	}
	switch s.Mechanism {
	case "plain":
		return plain.Auth{User: s.User, Pass: s.Password}.AsMechanism(), nil
	case "scram-sha-256":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha256Mechanism(), nil
	case "scram-sha-512":
		return scram.Auth{User: s.User, Pass: s.Password}.AsSha512Mechanism(), nil
	}
	return nil, fmt.Errorf("sasl: mechanism %q is none of plain, scram-sha-256, scram-sha-512", s.Mechanism)
}

func (t *TLS) config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("tls: ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls: ca: no certificate in %s", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("tls: cert, key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// options are what every connection has in common.
func (c *Config) options(logger *slog.Logger) ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...), kgo.ClientID("heed"), kgo.WithLogger(clientLogger{logger}),
		kgo.MetadataMinAge(250 * time.Millisecond), // a leader that moved is found soon
		kgo.DialTimeout(c.Timeout), kgo.DisableClientMetrics(),
	}
	if c.TLS.Enabled {
		encrypted, err := c.TLS.config()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(encrypted))
	}
	mechanism, err := c.mechanism()
	if err != nil {
		return nil, err
	}
	if mechanism != nil {
		opts = append(opts, kgo.SASL(mechanism))
	}
	return opts, nil
}

// Deps are what a Log needs from its surroundings. Nil fields get a default.
type Deps struct {
	Logger     *slog.Logger
	Registerer prometheus.Registerer
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
