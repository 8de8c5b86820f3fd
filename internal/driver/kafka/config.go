package kafka

import (
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"heed/internal/clienttls"
	"heed/internal/kafkaconn"
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
	Memory int64            `yaml:"memory"`
	TLS    clienttls.Config `yaml:"tls"`
	SASL   kafkaconn.SASL   `yaml:"sasl"`
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
	}
	if _, err := c.compression(); err != nil {
		return err
	}
	return c.conn().Validate()
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

// conn is how the brokers are reached.
func (c *Config) conn() kafkaconn.Config {
	return kafkaconn.Config{Brokers: c.Brokers, TLS: c.TLS, SASL: c.SASL, Timeout: c.Timeout}
}

// Deps are what a Log needs from its surroundings. Nil fields get a default.
type Deps struct {
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}
