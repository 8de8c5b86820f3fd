package definition

import (
	"errors"
	"time"

	"heed/internal/kafkaconn"
)

// Kafka is how brokers of others are reached.
type Kafka struct {
	Brokers []string   `yaml:"brokers" json:"brokers"` // some of them, as host:port
	TLS     *TLS       `yaml:"tls,omitempty" json:"tls,omitempty"`
	SASL    *KafkaSASL `yaml:"sasl,omitempty" json:"sasl,omitempty"`
}

// KafkaSASL is how Heed proves to brokers who it is.
type KafkaSASL struct {
	Mechanism string `yaml:"mechanism" json:"mechanism"` // plain | scram-sha-256 | scram-sha-512
	User      string `yaml:"user" json:"user"`
	Password  string `yaml:"password" json:"password"`
}

// Conn is what connects; timeout is how long that may take.
func (k *Kafka) Conn(timeout time.Duration) kafkaconn.Config {
	c := kafkaconn.Config{Brokers: k.Brokers, Timeout: timeout}
	if k.TLS != nil {
		c.TLS = k.TLS.client()
	}
	if s := k.SASL; s != nil {
		c.SASL = kafkaconn.SASL{Mechanism: s.Mechanism, User: s.User, Password: s.Password}
	}
	return c
}

func (c *checker) kafka(path string, k *Kafka) {
	err := k.Conn(time.Second).Validate()
	if err == nil {
		return
	}
	if wrong, ok := errors.AsType[*kafkaconn.InvalidError](err); ok {
		path, err = path+"."+wrong.Field, wrong.Err
	}
	c.fail(path, `kafka: {brokers: ["kafka-1.example:9093"], tls: {}, sasl: {mechanism: scram-sha-512, user: heed, password: …}}`, "%v", err)
}
