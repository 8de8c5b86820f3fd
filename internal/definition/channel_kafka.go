package definition

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// What Channel.Key may say besides a place in the value (value.customer.id).
const (
	KeyByUser       = "user"
	KeyByActivation = "activation"
	KeyByCampaign   = "campaign"
	KeyByNothing    = "none"

	// KeyByValue begins a place in the value.
	KeyByValue = "value."
)

// KafkaHeaders begin the names of headers that are Heed's own.
const KafkaHeaders = "heed-"

// Bounds of what a channel of type kafka says.
const (
	maxKafkaHeaders = 32
	maxKafkaHeader  = 1 << 10 // bytes of a name or value
	maxKeyDepth     = 16
)

// kafkaTopics are the names that Kafka takes.
var kafkaTopics = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// kafkaDocument is what a channel of type kafka writes without a template
// (docs/kafka.md).
const kafkaDocument = `{"activation": {{ activation.id | json }}, "at": {{ activation.at | json }}, "campaign": {{ campaign.name | json }}, "user": {{ profile.id | json }}, ` +
	`"event": {% if event %}{"id": {{ event.messageId | json }}, "name": {{ event.name | json }}, "time": {{ event.timestamp | json }}, ` +
	`"properties": {{ event.properties | json }}}{% else %}null{% endif %}}`

// TemplateOf is the template of a content: the one that it names, or what its
// channel says without one; nil if there is neither.
func (s *Set) TemplateOf(v Variant) *Template {
	if ch := s.Channels[v.Channel]; v.Template == "" && ch != nil && ch.Type == ChannelKafka {
		return &Template{Channel: v.Channel, Text: Text{Body: kafkaDocument}}
	}
	return s.Templates[v.Template]
}

func (c *checker) kafkaChannel(ch *Channel) {
	if ch.Kafka == nil {
		c.fail("kafka", "kafka: {brokers: [kafka-1.example:9092]}", "is missing")
	} else {
		c.kafka("kafka", ch.Kafka)
	}
	if !kafkaTopics.MatchString(ch.Topic) || ch.Topic == "." || ch.Topic == ".." {
		c.fail("topic", "1 to 249 letters, digits, '.', '_' and '-'", "%q is no name of a topic", ch.Topic)
	}
	switch ch.Key {
	case "", KeyByUser, KeyByActivation, KeyByCampaign, KeyByNothing:
	default:
		path, ok := strings.CutPrefix(ch.Key, KeyByValue)
		if steps := strings.Split(path, "."); !ok || slices.Contains(steps, "") || len(steps) > maxKeyDepth {
			c.fail("key", "user, activation, campaign, none, or a place in the value such as value.customer.id", "%q is nothing to make keys of", ch.Key)
		}
	}
	if len(ch.Headers) > maxKafkaHeaders {
		c.fail("headers", "", "are %d, at most %d are allowed", len(ch.Headers), maxKafkaHeaders)
	}
	for _, name := range slices.Sorted(maps.Keys(ch.Headers)) {
		switch value := ch.Headers[name]; {
		case name == "" || len(name) > maxKafkaHeader || len(value) > maxKafkaHeader:
			c.fail("headers", "", "%q: names and values have 1 to %d bytes", name, maxKafkaHeader)
		case strings.HasPrefix(strings.ToLower(name), KafkaHeaders):
			c.fail("headers", "", "%q: names beginning with %s are Heed's own", name, KafkaHeaders)
		}
	}
	if ch.Timeout < 0 || ch.Timeout > maxTimeout || ch.Timeout > 0 && ch.Timeout.Duration() < 100*time.Millisecond {
		c.fail("timeout", "5s", "%s is not from 100ms to %s", ch.Timeout, maxTimeout)
	}
}
