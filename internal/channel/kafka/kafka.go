// Package kafka owns the channel that writes to somebody's Kafka topic: one record
// per delivery, idempotent and acknowledged by all replicas in sync, with the id of
// its activation in a header (docs/kafka.md). Brokers that fail are left alone for
// a while, so that they hold nobody else up.
//
// While the process lives an activation is written once, however often it is tried:
// a record whose fate is not known is waited for, not repeated. Behind a crash it
// may come twice, with the same id.
//
// It does not own what is written (render), whether (policy), or when it is tried
// again (engager); nor topics, which it never creates.
package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"heed/internal/channel"
	"heed/internal/channel/outward"
	"heed/internal/definition"
	"heed/internal/kafkaconn"
)

// Type is the type of the channel.
const Type = definition.ChannelKafka

// The headers that each record has, beside those of the channel's definition.
const (
	HeaderActivation = definition.KafkaHeaders + "activation" // the same in each attempt: by it a repeat is told
	HeaderCampaign   = definition.KafkaHeaders + "campaign"
	HeaderTest       = definition.KafkaHeaders + "test" // "true" if somebody tries the channel; else absent
)

// defaultTimeout bounds an attempt.
const defaultTimeout = 5 * time.Second

// Channel implements channel.Channel, channel.Watched and channel.Runner.
type Channel struct {
	now          func() time.Time
	producers    producers
	destinations outward.Destinations
}

// New makes the channel. Connections are made when something is sent.
func New(now func() time.Time, logger *slog.Logger) *Channel {
	return &Channel{now: now, producers: producers{now: now, log: logger, all: map[string]*producer{}}}
}

// Type implements channel.Channel.
func (*Channel) Type() string { return Type }

// Idempotent implements channel.Channel: each attempt has the same id, by which
// consumers tell a repeat.
func (*Channel) Idempotent() bool { return true }

// Outages implements channel.Watched.
func (c *Channel) Outages(now time.Time) []channel.Outage { return c.destinations.Outages(now) }

// Run implements channel.Runner: it closes connections that nobody uses any more.
// When it ends, attempts that are under way get their answer, and no more begin.
func (c *Channel) Run(ctx context.Context) error {
	tick := time.NewTicker(idleAfter / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.producers.sweep()
		case <-ctx.Done():
			c.producers.close()
			return nil
		}
	}
}

// Send implements channel.Channel.
func (c *Channel) Send(ctx context.Context, d *channel.Delivery) (channel.Receipt, error) {
	def := d.Channel
	if def == nil || def.Kafka == nil {
		return channel.Receipt{}, permanent(errors.New("kafka: the channel has no brokers"))
	}
	record, err := recordOf(def, d)
	if err != nil {
		return channel.Receipt{}, permanent(fmt.Errorf("kafka: %w", err))
	}
	leave, err := c.destinations.Enter(def.Name, fmt.Sprintf("topic %s at %s", def.Topic, strings.Join(def.Kafka.Brokers, ", ")), c.now())
	if err != nil {
		return channel.Receipt{}, fmt.Errorf("kafka: %w", err)
	}
	written, err := c.write(ctx, def, d.ID, record)
	leave(c.now(), err)
	if err != nil {
		return channel.Receipt{}, err
	}
	return channel.Receipt{Fresh: true, Reference: fmt.Sprintf("%s/%d/%d", written.Topic, written.Partition, written.Offset)}, nil
}

// Check asks the brokers of a channel whether its topic can be written.
func Check(ctx context.Context, def *definition.Channel) error {
	return def.Kafka.Conn(timeoutOf(def)).Check(ctx, kafkaconn.Use{Topic: def.Topic, Write: true})
}

func timeoutOf(def *definition.Channel) time.Duration {
	if def.Timeout > 0 {
		return def.Timeout.Duration()
	}
	return defaultTimeout
}

func (c *Channel) write(ctx context.Context, def *definition.Channel, id string, record *kgo.Record) (*kgo.Record, error) {
	timeout := timeoutOf(def)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p, err := c.producers.of(def, timeout)
	if err != nil {
		return nil, &channel.Error{Class: channel.Temporary, Err: fmt.Errorf("kafka: %w", err), Untried: errors.Is(err, errEnding)}
	}
	written, err := p.write(ctx, id, record)
	if err != nil {
		return nil, classed(def, err)
	}
	return written, nil
}

// recordOf is the record of a delivery.
func recordOf(def *definition.Channel, d *channel.Delivery) (*kgo.Record, error) {
	body := strings.TrimSpace(d.Body)
	if !json.Valid([]byte(body)) {
		var v any
		return nil, fmt.Errorf("what the template rendered is not JSON: %w", json.Unmarshal([]byte(body), &v))
	}
	key, err := keyOf(def, d, body)
	if err != nil {
		return nil, err
	}
	r := &kgo.Record{Topic: def.Topic, Key: key, Value: []byte(body)}
	header := func(name, value string) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	header(HeaderActivation, d.ActivationID)
	header(HeaderCampaign, d.Campaign)
	if d.Test {
		header(HeaderTest, "true")
	}
	for _, name := range slices.Sorted(maps.Keys(def.Headers)) {
		header(name, def.Headers[name])
	}
	return r, nil
}

// keyOf is the key of a record: nil for none.
func keyOf(def *definition.Channel, d *channel.Delivery, body string) ([]byte, error) {
	switch def.Key {
	case "", definition.KeyByUser:
		return []byte(d.User), nil
	case definition.KeyByActivation:
		return []byte(d.ActivationID), nil
	case definition.KeyByCampaign:
		return []byte(d.Campaign), nil
	case definition.KeyByNothing:
		return nil, nil
	}
	at := json.RawMessage(body)
	for step := range strings.SplitSeq(strings.TrimPrefix(def.Key, definition.KeyByValue), ".") {
		var object map[string]json.RawMessage
		if json.Unmarshal(at, &object) != nil || object[step] == nil {
			return nil, fmt.Errorf("the value has no %s to make the key of", def.Key)
		}
		at = object[step]
	}
	var text string
	switch at[0] {
	case '"':
		if err := json.Unmarshal(at, &text); err != nil {
			return nil, fmt.Errorf("%s: %w", def.Key, err)
		}
	case '{', '[', 'n':
		return nil, fmt.Errorf("%s is neither a text nor a number nor a boolean, and cannot be the key", def.Key)
	default:
		text = string(at)
	}
	return []byte(text), nil
}

func permanent(err error) error { return &channel.Error{Class: channel.Permanent, Err: err} }

// classed says what an error means for the delivery. What is wrong with brokers, a
// topic or a password is no fault of the record, and can be put right.
func classed(def *definition.Channel, err error) error {
	class := channel.Temporary
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		err = fmt.Errorf("the topic %s does not exist on these brokers, or Heed may not see it: create it, Heed does not", def.Topic)
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		err = fmt.Errorf("the brokers do not let this user write to the topic %s: %w", def.Topic, err)
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		err = fmt.Errorf("the brokers do not take this user and password: %w", err)
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		class, err = channel.Permanent, fmt.Errorf("the record is larger than the topic %s takes (max.message.bytes): %w", def.Topic, err)
	case errors.Is(err, kerr.InvalidRecord):
		class, err = channel.Permanent, fmt.Errorf("the topic %s does not take such a record (a topic that is compacted needs keys): %w", def.Topic, err)
	case errors.Is(err, errUnknownFate):
		class = channel.Uncertain
	}
	return &channel.Error{Class: class, Err: fmt.Errorf("kafka: %w", err)}
}
