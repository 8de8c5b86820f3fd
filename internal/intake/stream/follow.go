package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"heed/internal/definition"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/intake/message"
)

// Bounds of reading.
const (
	pollRecords  = 1000
	fetchBytes   = 8 << 20 // of one answer of a broker, and one is read ahead
	batchBytes   = 1 << 20 // of events that are appended together
	unpackBytes  = 64 << 20
	refusedShown = 20 // of one poll: a broken writer does not fill the record
	askTimeout   = 5 * time.Second
	commitEvery  = time.Second
	sessionEnds  = 10 * time.Second // without a sign of life
	againAfter   = time.Second
)

// follow reads the topic from the group's position on.
func (r *reader) follow(ctx context.Context) error {
	d := r.definition.Load()
	group := r.s.group(d)
	opts, err := d.Kafka.Conn(askTimeout).Options(r.log)
	if err != nil {
		return err
	}
	if err := r.place(ctx, d, group); err != nil {
		return err
	}
	opts = append(opts,
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(d.Topic),
		// The group has its place; a partition without one is new.
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.AutoCommitMarks(), kgo.AutoCommitInterval(commitEvery),
		kgo.SessionTimeout(sessionEnds), kgo.HeartbeatInterval(sessionEnds/4), kgo.RebalanceTimeout(2*sessionEnds),
		kgo.FetchMaxBytes(fetchBytes), kgo.MaxDecompressBatchBytes(unpackBytes),
		kgo.MetadataMaxAge(10*time.Second), // new partitions are found soon
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { r.trouble(reading, nil) }),
	)
	instance := "heed-" + r.s.deps.Installation
	if r.s.deps.Alone {
		opts = append(opts, kgo.InstanceID(instance))
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitEvery)
		defer cancel()
		if err := client.CommitMarkedOffsets(last); err != nil {
			r.log.Info("the last position was not committed; what is read again is known", "error", err)
		}
		// Where leaving fails, the brokers miss it soon. A process that ends keeps its
		// place for a moment, if it has one: it may come back.
		_ = client.LeaveGroupContext(last)
		if r.s.deps.Alone && errors.Is(context.Cause(ctx), errRedefined) {
			_, _ = kadm.NewClient(client).LeaveGroup(last, kadm.LeaveGroup(group).InstanceIDs(instance))
		}
		client.Close()
	}()
	b := newBatch(r.s.deps.Log.Partitions())
	var m mapping
	for {
		fetched := client.PollRecords(ctx, pollRecords)
		if err := ctx.Err(); err != nil {
			return err
		}
		failed := fetched.Errors()
		for _, f := range failed {
			if errors.Is(f.Err, kgo.ErrClientClosed) {
				return f.Err
			}
			r.trouble(reading, f.Err)
		}
		if fetched.Empty() {
			if !wait(ctx, againAfter/4) {
				return ctx.Err()
			}
			continue
		}
		if len(failed) == 0 {
			r.trouble(reading, nil)
		}
		if err := r.take(ctx, client, &m, b, fetched.Records()); err != nil {
			return err
		}
	}
}

// place gives a group without a position one, so that what comes before its
// first commit is not lost to a restart.
func (r *reader) place(ctx context.Context, d *definition.Stream, group string) error {
	client, err := ask(&d.Kafka, r.log)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*askTimeout)
	defer cancel()
	admin := kadm.NewClient(client)
	placed := func() (bool, error) {
		at, err := admin.FetchOffsets(ctx, group)
		if err != nil {
			return false, fmt.Errorf("the position of group %q: %w", group, err)
		}
		return len(at[d.Topic]) > 0, nil
	}
	if ok, err := placed(); ok || err != nil {
		return err
	}
	var offsets kadm.ListedOffsets
	since, byTime := d.Since()
	switch {
	case byTime:
		offsets, err = admin.ListOffsetsAfterMilli(ctx, since.UnixMilli(), d.Topic)
	case d.Start == definition.StartEarliest:
		offsets, err = admin.ListStartOffsets(ctx, d.Topic)
	default:
		offsets, err = admin.ListEndOffsets(ctx, d.Topic)
	}
	if err == nil {
		err = offsets.Error()
	}
	if err != nil {
		return fmt.Errorf("topic %q: %w", d.Topic, err)
	}
	if err := admin.CommitAllOffsets(ctx, group, offsets.Offsets()); err != nil {
		if ok, _ := placed(); ok { // another process was quicker
			return nil
		}
		return fmt.Errorf("place group %q: %w", group, err)
	}
	return nil
}

// ask makes a client for questions, which fail soon.
func ask(k *definition.Kafka, log *slog.Logger) (*kgo.Client, error) {
	opts, err := k.Conn(askTimeout).Options(log)
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts, kgo.RequestRetries(1))...)
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	return client, nil
}

// mapping is that of a definition.
type mapping struct {
	of *definition.Stream
	*message.Mapping
}

// mapping is that of the newest definition.
func (r *reader) mapping(m *mapping) error {
	d := r.definition.Load()
	if m.of == d {
		return nil
	}
	made, err := message.New(d, schemasOf(d))
	if err != nil {
		return err
	}
	*m = mapping{d, made}
	return nil
}

// take makes events of records, and marks those whose events are durable. It
// waits as long as they cannot be kept: nothing more is read meanwhile.
func (r *reader) take(ctx context.Context, client *kgo.Client, m *mapping, b *batch, records []*kgo.Record) error {
	r.tally.read(records)
	kept := 0
	keep := func(n int) error {
		if err := r.append(ctx, b); err != nil {
			return err
		}
		client.MarkCommitRecords(records[kept:n]...)
		kept = n
		return nil
	}
	shown := 0
	for i := 0; i < len(records); {
		now := r.s.deps.Clock()
		msg := messageOf(records[i])
		var events []event.Event
		err := r.mapping(m)
		if err == nil {
			events, err = m.Events(ctx, &msg, now.UnixMicro())
		}
		why, bad := errors.AsType[event.Refusal](err)
		switch {
		case err == nil:
			for k := range events {
				b.add(&events[k])
			}
			r.count(taken)
		case errors.Is(err, message.ErrEmpty):
			r.count(empty)
		case bad:
			r.count(refused)
			if shown++; shown <= refusedShown {
				r.s.deps.Refused(r.name, string(why), m.Shown(ctx, &msg), now)
			}
		default: // its schema cannot be had at the moment: those before it need not wait
			if err := keep(i); err != nil {
				return err
			}
			r.trouble(working, err)
			if !wait(ctx, againAfter) {
				return ctx.Err()
			}
			continue
		}
		if i++; i == len(records) || b.bytes >= batchBytes {
			if err := keep(i); err != nil {
				return err
			}
			r.trouble(working, nil)
		}
	}
	return nil
}

// append makes the events of the batch durable, however long it takes.
func (r *reader) append(ctx context.Context, b *batch) error {
	defer b.reset()
	for !b.empty() {
		err := r.s.deps.Log.Append(ctx, eventlog.Events, b.fresh())
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) {
			return err
		}
		r.trouble(working, fmt.Errorf("events cannot be stored at the moment: %w", err))
		if !wait(ctx, againAfter) {
			return ctx.Err()
		}
	}
	return nil
}

func messageOf(r *kgo.Record) message.Message {
	m := message.Message{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Time: r.Timestamp.UnixMicro(), Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, message.Header{Name: h.Key, Value: h.Value})
	}
	return m
}

// inWords says of an error of brokers what it means for a stream.
func inWords(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no broker answers: " + err.Error()
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return "the topic does not exist: " + err.Error()
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return "the brokers do not let this user read the topic: " + err.Error()
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return "the brokers do not let this user be in the consumer group: " + err.Error()
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return "the brokers do not know this user and password: " + err.Error()
	}
	return err.Error()
}
