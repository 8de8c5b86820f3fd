// Package kafka is the driver of eventlog on Apache Kafka: two topics, one per
// stream, with one Kafka record for what a request appends to a partition. It owns
// the form of these records (docs/format/kafka.md), how their places become offsets
// of events, and what the topics must be like.
//
// It does not own what the bytes of events mean, and it drops no repeats: many
// processes append at once, and only who reads a partition sees all of them.
package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"heed/internal/eventlog"
)

// A Kafka record holds at most 1<<recordShift events. The offset of an event is the
// record's, shifted, and its place therein: known without asking anybody, and
// below 2^48 for 10^12 records of a partition.
const (
	recordShift = 8
	maxEvents   = 1 << recordShift
)

// errDamaged: what was read cannot be what was written. Reading stops there.
var errDamaged = errors.New("kafka: the log is damaged")

// Log is both streams on a Kafka cluster. All methods may be called concurrently.
type Log struct {
	cfg    Config
	logger *slog.Logger
	// client appends, asks and reads what lies back; follower waits for what is
	// new. A broker answers in order, so waiting needs connections of its own.
	client, follower *kgo.Client
	admin            *kadm.Client
	topics           map[eventlog.Stream]*topic
	partitions       int
	metrics          *metrics

	following sync.Mutex // who begins and ends to follow partitions
	polling   sync.WaitGroup
	once      sync.Once
	closed    chan struct{}
	shut      atomic.Bool
}

// Open connects to the cluster, and creates the topics or checks that they are as
// they must be.
func Open(ctx context.Context, cfg Config, deps Deps) (*Log, error) {
	cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Log{cfg: cfg, logger: deps.Logger, closed: make(chan struct{})}
	if err := l.connect(); err != nil {
		return nil, fmt.Errorf("kafka: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := l.prepare(ctx); err != nil {
		l.disconnect()
		return nil, fmt.Errorf("kafka: brokers %v: %w", cfg.Brokers, err)
	}
	l.metrics = newMetrics(l.client)
	if err := l.metrics.register(deps.Registerer); err != nil {
		l.disconnect()
		return nil, fmt.Errorf("kafka: %w", err)
	}
	l.polling.Go(l.poll)
	return l, nil
}

// startTimeout is how long the cluster may take to answer at the start.
const startTimeout = 30 * time.Second

// What the follower holds at most of one fetch, and how long it waits for one: also
// how long it takes at most until a partition that is new to it is followed.
const (
	followBytes          = 8 << 20
	followPartitionBytes = 1 << 20
	followWait           = 250 * time.Millisecond
)

func (l *Log) connect() error {
	common, err := l.cfg.conn().Options(l.logger)
	if err != nil {
		return err
	}
	compression, err := l.cfg.compression()
	if err != nil {
		return err
	}
	// Idempotent, acknowledged by all replicas in sync: the client's defaults, and
	// said here because everything depends on them. Records that may have been sent
	// are never given up (AllowIdempotentProduceCancellation would): the ones behind
	// them could get lost, or come twice.
	l.client, err = kgo.NewClient(append([]kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(compression), kgo.ProducerLinger(l.cfg.Linger), kgo.ProducerBatchMaxBytes(maxMessage),
		kgo.MaxBufferedRecords(int(l.cfg.Memory / 64)), kgo.MaxBufferedBytes(int(l.cfg.Memory)),
		kgo.UnknownTopicRetries(-1), // a topic that is not known is one that a broker has not heard of yet
	}, common...)...)
	if err != nil {
		return err
	}
	l.follower, err = kgo.NewClient(append([]kgo.Opt{
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxWait(followWait),
		kgo.FetchMaxBytes(followBytes), kgo.FetchMaxPartitionBytes(followPartitionBytes),
	}, common...)...)
	if err != nil {
		l.client.Close()
		return err
	}
	l.admin = kadm.NewClient(l.client)
	return nil
}

func (l *Log) disconnect() {
	l.follower.Close()
	l.client.Close()
}

// Partitions implements eventlog.Log.
func (l *Log) Partitions() int { return l.partitions }

// Close implements eventlog.Log. Appends that are under way fail.
func (l *Log) Close() error {
	l.once.Do(func() {
		l.shut.Store(true)
		close(l.closed)
		l.disconnect()
		l.polling.Wait()
		l.metrics.unregister()
	})
	return nil
}

// Ping tells whether any broker answers.
func (l *Log) Ping(ctx context.Context) error {
	if err := l.client.Ping(ctx); err != nil {
		return fmt.Errorf("brokers %v: %w", l.cfg.Brokers, err)
	}
	return nil
}

// err tells whether the log still works.
func (l *Log) err(ctx context.Context) error {
	if l.shut.Load() {
		return eventlog.ErrClosed
	}
	return ctx.Err()
}

// partition finds a partition of a stream.
func (l *Log) partition(s eventlog.Stream, n int) (*partition, error) {
	t := l.topics[s]
	switch {
	case t == nil:
		return nil, fmt.Errorf("eventlog: unknown stream %q", s)
	case n < 0 || n >= len(t.partitions):
		return nil, fmt.Errorf("eventlog: partition %d of %d", n, len(t.partitions))
	}
	return t.partitions[n], nil
}

// Waits before a broker is asked again.
const (
	minBackoff = 20 * time.Millisecond
	maxBackoff = time.Second
)

// try asks until there is an answer, for the configured time at most.
func (l *Log) try(ctx context.Context, ask func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	return l.explain(ctx, l.insist(bounded, ask))
}

// insist asks until there is an answer or ctx ends.
func (l *Log) insist(ctx context.Context, ask func(context.Context) error) error {
	for backoff := minBackoff; ; backoff = min(2*backoff, maxBackoff) {
		err := ask(ctx)
		if err == nil || !temporary(err) {
			return err
		}
		wait := time.NewTimer(backoff)
		select {
		case <-wait.C:
		case <-ctx.Done():
		case <-l.closed:
		}
		wait.Stop()
		if ctx.Err() != nil || l.shut.Load() {
			return err
		}
		l.refresh(ctx)
	}
}

// temporary tells whether it makes sense to ask again.
func temporary(err error) bool {
	for _, lost := range []error{kerr.OutOfOrderSequenceNumber, kerr.UnknownProducerID, kerr.InvalidProducerEpoch} {
		if errors.Is(err, lost) { // the client begins anew, under another producer id
			return true
		}
	}
	if said, ok := errors.AsType[*kerr.Error](err); ok {
		return said.Retriable
	}
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		return false
	}
	for _, final := range []error{eventlog.ErrTrimmed, eventlog.ErrClosed, errDamaged, kgo.ErrClientClosed} {
		if errors.Is(err, final) {
			return false
		}
	}
	return true
}

// explain makes an error one that callers decide on.
func (l *Log) explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case l.shut.Load():
		return eventlog.ErrClosed
	case ctx.Err() != nil:
		return ctx.Err()
	case temporary(err):
		return fmt.Errorf("%w: %w", eventlog.ErrUnavailable, err)
	}
	return err
}

// metrics are the few numbers that an operator needs of the way to Kafka.
type metrics struct {
	appended, failed prometheus.Counter
	acks             prometheus.Histogram
	buffered         prometheus.GaugeFunc
	registerer       prometheus.Registerer
}

func newMetrics(client *kgo.Client) *metrics {
	return &metrics{
		appended: prometheus.NewCounter(prometheus.CounterOpts{Name: "heed_log_appended_events_total", Help: "Events appended to the log."}),
		failed:   prometheus.NewCounter(prometheus.CounterOpts{Name: "heed_log_failed_appends_total", Help: "Appends that were not acknowledged."}),
		acks: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "heed_log_ack_seconds", Help: "Time until the replicas in sync had what was appended.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		buffered: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "heed_log_buffered_bytes", Help: "What waits for brokers."},
			func() float64 { return float64(client.BufferedProduceBytes()) }),
	}
}

func (m *metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.appended, m.failed, m.acks, m.buffered}
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	m.registerer = r
	for _, c := range m.collectors() {
		if err := r.Register(c); err != nil {
			m.unregister()
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

func (m *metrics) unregister() {
	if m.registerer == nil {
		return
	}
	for _, c := range m.collectors() {
		m.registerer.Unregister(c)
	}
}
