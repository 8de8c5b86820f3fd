// Package eventsout owns the Kafka topic on which other programs get every event of
// the log as a record of its own, in JSON or in Avro (docs/kafka.md): at least once,
// in the order of the log for each user. How far it has come is kept in the store of
// documents, for each topic.
//
// It does not own the schema (event), the log's own topics (driver/kafka), whose
// records hold many events each, nor the topic, which it never creates.
package eventsout

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/hamba/avro/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"heed/internal/clienttls"
	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/eventlog/sink"
	"heed/internal/kafkaconn"
)

// Formats of records.
const (
	JSON = "json" // as docs/format/event.md says
	Avro = "avro" // Avro's single-object encoding, of event.avsc
)

// Config is what an operator may set. Without brokers and topic nothing is written.
type Config struct {
	// Brokers are some of the cluster's, as host:port; the others are found.
	Brokers []string `yaml:"brokers"`
	// Topic is there already, with as many partitions as its readers like.
	Topic  string `yaml:"topic"`
	Format string `yaml:"format"` // json or avro
	// Timeout is how long a connection may take to be made.
	Timeout time.Duration    `yaml:"timeout"`
	TLS     clienttls.Config `yaml:"tls"`
	SASL    kafkaconn.SASL   `yaml:"sasl"`
}

// Off tells whether nothing was set.
func (c *Config) Off() bool { return len(c.Brokers) == 0 && c.Topic == "" }

// Defaults fills what is not set.
func (c *Config) Defaults() {
	if c.Format == "" {
		c.Format = JSON
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
}

var topics = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// Validate says what is wrong.
func (c *Config) Validate() error {
	switch {
	case c.Off():
		return nil
	case !topics.MatchString(c.Topic) || c.Topic == "." || c.Topic == "..":
		return fmt.Errorf("topic: %q is not made of 1 to 249 letters, digits, '.', '_' and '-'", c.Topic)
	case c.Format != JSON && c.Format != Avro:
		return fmt.Errorf("format: %q is neither json nor avro", c.Format)
	case c.Timeout < 100*time.Millisecond || c.Timeout > time.Minute:
		return fmt.Errorf("timeout: %s is not within 100 ms and 1 min", c.Timeout)
	}
	return c.conn().Validate()
}

func (c *Config) conn() kafkaconn.Config {
	return kafkaconn.Config{Brokers: c.Brokers, TLS: c.TLS, SASL: c.SASL, Timeout: c.Timeout}
}

// Check asks the brokers whether the topic can be written.
func Check(ctx context.Context, cfg Config) error {
	if cfg.Off() {
		return nil
	}
	cfg.Defaults()
	return cfg.conn().Check(ctx, kafkaconn.Use{Topic: cfg.Topic, Write: true})
}

func explain(topic string, err error) error {
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("there is no topic %s, or Heed may not see it: create it, Heed does not", topic)
	}
	if errors.Is(err, kerr.MessageTooLarge) { // of a batch: Heed was not told what the topic takes
		return fmt.Errorf("topic %s takes less than 1 MB at once: let Heed describe its configuration, or raise max.message.bytes: %w", topic, err)
	}
	return err
}

// Deps are what the role works with.
type Deps struct {
	Log        eventlog.Log
	Documents  documents.Store
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Sink is the role. Run it once.
type Sink struct {
	cfg     Config
	deps    Deps
	log     *slog.Logger
	source  *sink.Source
	headers []kgo.RecordHeader // of every record
	prefix  []byte             // of every value

	written, refused prometheus.Counter
}

// New checks the configuration. Nobody is asked.
func New(cfg Config, deps Deps) (*Sink, error) {
	cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("events_out: %w", err)
	}
	if cfg.Off() || deps.Log == nil || deps.Documents == nil {
		return nil, errors.New("events_out: a topic, a log and documents are needed")
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Sink{
		cfg: cfg, deps: deps, log: deps.Logger.With("topic", cfg.Topic),
		source:  sink.New(deps.Log, deps.Logger.With("topic", cfg.Topic), "the topic for others"),
		written: prometheus.NewCounter(prometheus.CounterOpts{Name: "heed_events_out_records_total", Help: "Events that brokers took as records for others."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "heed_events_out_refused_total", Help: "Events that are larger than the topic for others takes."}),
	}
	kind := "application/json"
	if cfg.Format == Avro {
		kind = "application/avro"
		schema, err := avro.Parse(event.Schema)
		if err != nil {
			return nil, fmt.Errorf("events_out: the schema of events: %w", err)
		}
		s.prefix = event.SingleObjectHeader(schema)
	}
	s.headers = []kgo.RecordHeader{{Key: "content-type", Value: []byte(kind)}}
	if deps.Registerer != nil {
		for _, m := range []prometheus.Collector{s.written, s.refused} {
			if err := deps.Registerer.Register(m); err != nil {
				return nil, fmt.Errorf("events_out: %w", err)
			}
		}
	}
	return s, nil
}

// Ready is nil: nobody waits for the topic.
func (s *Sink) Ready() error { return nil }

// Next is the first offset of each partition that the topic may not have yet.
func (s *Sink) Next(ctx context.Context) (map[int]uint64, error) { return s.source.Next(ctx) }

// Run writes until ctx ends. What fails is tried again from the kept position; it
// stops nobody else.
func (s *Sink) Run(ctx context.Context) error { return s.source.Run(ctx, s.session) }
