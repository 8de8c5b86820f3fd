package kafkaconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Use is what is meant to be done with a topic.
type Use struct {
	Topic string
	Write bool   // else it is read
	Group string // by this consumer group; "": by none
}

// Check asks the brokers whether a topic can be used so, without reading or writing
// it, and says in words what is wrong. Brokers that do not tell what a client may do
// are believed.
func (c Config) Check(ctx context.Context, u Use) error {
	opts, err := c.Options(slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	dials := new(dials)
	client, err := kgo.NewClient(append(opts, kgo.WithHooks(dials), kgo.RetryTimeout(c.Timeout))...)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 3*c.Timeout)
	defer cancel()
	if err := check(ctx, client, u); err != nil {
		return fmt.Errorf("topic %s at %v: %w", u.Topic, c.Brokers, dials.inWords(u.Topic, err))
	}
	return nil
}

func check(ctx context.Context, client *kgo.Client, u Use) error {
	req := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = new(u.Topic)
	req.Topics, req.IncludeTopicAuthorizedOperations = append(req.Topics, topic), true
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	if len(resp.Topics) != 1 {
		return fmt.Errorf("the brokers answer for %d topics", len(resp.Topics))
	}
	found := &resp.Topics[0]
	if err := kerr.ErrorForCode(found.ErrorCode); err != nil {
		return err
	}
	for _, p := range found.Partitions {
		if p.Leader < 0 {
			return fmt.Errorf("partition %d has no leader: the brokers that keep it are down", p.Partition)
		}
	}
	if u.Write {
		if !may(found.AuthorizedOperations, kmsg.ACLOperationWrite) {
			return errors.New("the brokers do not let this user write to it: grant Write")
		}
		return inSync(ctx, client, found)
	}
	if !may(found.AuthorizedOperations, kmsg.ACLOperationRead) {
		return errors.New("the brokers do not let this user read it: grant Read on the topic")
	}
	if u.Group == "" {
		return nil
	}
	return member(ctx, client, u.Group)
}

// may tells whether an operation is among those that brokers say are allowed.
func may(operations int32, op kmsg.ACLOperation) bool {
	const unknown = -1 << 31
	return operations == unknown || operations&(1<<op) != 0
}

// inSync tells whether enough replicas are there to acknowledge a record.
func inSync(ctx context.Context, client *kgo.Client, found *kmsg.MetadataResponseTopic) error {
	configs, err := kadm.NewClient(client).DescribeTopicConfigs(ctx, *found.Topic)
	if err != nil {
		return nil //nolint:nilerr // who may write need not be let see this
	}
	for _, c := range configs {
		for _, set := range c.Configs {
			least, bad := strconv.Atoi(set.MaybeValue())
			if set.Key != "min.insync.replicas" || bad != nil {
				continue
			}
			for _, p := range found.Partitions {
				if len(p.ISR) < least {
					return fmt.Errorf("partition %d has %d replicas in sync of %d, and min.insync.replicas asks for %d: it takes no records", p.Partition, len(p.ISR), len(p.Replicas), least)
				}
			}
		}
	}
	return nil
}

// member tells whether the client may read as a group. The first group ever has to
// wait until the brokers have made where groups are kept.
func member(ctx context.Context, client *kgo.Client, group string) error {
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		err := describe(ctx, client, group)
		if !errors.Is(err, kerr.CoordinatorNotAvailable) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-again.C:
		}
	}
}

func describe(ctx context.Context, client *kgo.Client, group string) error {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups, req.IncludeAuthorizedOperations = []string{group}, true
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, g := range resp.Groups {
		err := kerr.ErrorForCode(g.ErrorCode)
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // it is made when it is joined
			return err
		}
		if !may(g.AuthorizedOperations, kmsg.ACLOperationRead) {
			return fmt.Errorf("the brokers do not let this user be in the consumer group %s: grant Read on the group", group)
		}
	}
	return nil
}

// dials keeps why the last connection could not be made.
type dials struct {
	mu  sync.Mutex
	err error
}

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (d *dials) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

// inWords says what an error means, and what to do.
func (d *dials) inWords(topic string, err error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, said := errors.AsType[*kerr.Error](err); !said && d.err != nil {
		err = d.err
	}
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	_, garbled := errors.AsType[tls.RecordHeaderError](err)
	_, cut := errors.AsType[*kgo.ErrFirstReadEOF](err)
	_, network := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return fmt.Errorf("there is no topic %s, or Heed may not see it: create it, Heed does not", topic)
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return errors.New("the brokers do not let this user see it: grant Describe")
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return errors.New("the brokers do not let this user be in its consumer group: grant Read and Describe on the group")
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return fmt.Errorf("the brokers do not take this user and password: %w", err)
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return fmt.Errorf("the brokers do not offer this SASL mechanism: %w", err)
	case untrusted:
		return fmt.Errorf("the brokers' certificate is not trusted (tls.ca, tls.server_name): %w", err)
	case garbled:
		return fmt.Errorf("the brokers do not speak TLS at this port: %w", err)
	case cut: // which says whether TLS or SASL is missing
		return err
	case network, errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no broker can be reached: %w", err)
	}
	return err
}
