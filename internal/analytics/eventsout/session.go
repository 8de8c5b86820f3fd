package eventsout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"heed/internal/documents"
	"heed/internal/event"
	"heed/internal/eventlog/sink"
)

// collection holds the positions: for each topic and partition of the log the
// offset, in decimal, of the first event that others may not have.
const collection = "eventsout"

const (
	// keepEvery is how often the position is kept, and so how much may come twice
	// behind a crash; keepEvents bounds it under load.
	keepEvery  = time.Second
	keepEvents = 50_000
	// endTimeout bounds how long the brokers are waited for at the end.
	endTimeout = 5 * time.Second
	// maxBytes of records wait for the brokers.
	maxBytes = 16 << 20
	// Batches are at most so large, and need not be smaller than that.
	maxBatch = 1_000_000
	minBatch = 1 << 10
	// room of a batch is for its own header, and for lengths.
	room = 256
)

// session reads all partitions and writes until something fails; moved tells
// whether it came further.
func (s *Sink) session(ctx context.Context) (moved bool, err error) {
	next, err := s.positions(ctx)
	if err != nil {
		return false, err
	}
	s.source.Done(next)
	opts, err := s.cfg.conn().Options(s.log)
	if err != nil {
		return false, err
	}
	// The client's idempotent producer repeats by itself what brokers did not
	// acknowledge, in order and without doubling it.
	limit, err := s.limit(ctx, opts)
	if err != nil {
		return false, err
	}
	client, err := kgo.NewClient(append(
		opts, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.MaxBufferedBytes(maxBytes), kgo.ProducerBatchCompression(kgo.Lz4Compression()),
		kgo.ProducerBatchMaxBytes(limit))...)
	if err != nil {
		return false, fmt.Errorf("make a client: %w", err)
	}
	defer client.Close()
	w := &writing{s: s, client: client, limit: int(limit), next: next, kept: slices.Clone(next)}
	err = s.source.Follow(ctx, w.kept, w.loop)
	return w.moved, err
}

// limit is how large a batch may be, in bytes: what the topic takes, if Heed may
// know.
func (s *Sink) limit(ctx context.Context, opts []kgo.Opt) (int32, error) {
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return 0, fmt.Errorf("make a client: %w", err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*s.cfg.Timeout)
	defer cancel()
	found, err := kadm.NewClient(client).DescribeTopicConfigs(ctx, s.cfg.Topic)
	if err == nil {
		var topic kadm.ResourceConfig
		if topic, err = found.On(s.cfg.Topic, nil); err == nil {
			err = topic.Err
		}
		for _, c := range topic.Configs {
			if n, bad := strconv.ParseInt(c.MaybeValue(), 10, 32); c.Key == "max.message.bytes" && bad == nil {
				return int32(max(minBatch, min(n, maxBatch))), nil
			}
		}
	}
	if err != nil && !errors.Is(err, kerr.TopicAuthorizationFailed) {
		return 0, explain(s.cfg.Topic, err)
	}
	return maxBatch, nil
}

// positions are where each partition goes on: at the beginning of the log if the
// topic is new.
func (s *Sink) positions(ctx context.Context) ([]uint64, error) {
	next := make([]uint64, s.deps.Log.Partitions())
	for p := range next {
		d, err := s.deps.Documents.Get(ctx, collection, s.key(p))
		if errors.Is(err, documents.ErrNotFound) {
			continue
		}
		if err == nil {
			next[p], err = strconv.ParseUint(string(d.Value), 10, 64)
		}
		if err != nil {
			return nil, fmt.Errorf("position of partition %d: %w", p, err)
		}
	}
	return next, nil
}

func (s *Sink) key(partition int) string { return s.cfg.Topic + "/" + strconv.Itoa(partition) }

// writing is what was handed to the client, and how far the topic surely has it.
type writing struct {
	s          *Sink
	client     *kgo.Client
	limit      int      // bytes of a batch
	next, kept []uint64 // by partition of the log
	events     int      // since the position was kept
	moved      bool

	mu  sync.Mutex
	err error // the first that a record met with
}

// loop takes records in until ctx ends or something fails.
func (w *writing) loop(ctx context.Context, arrivals <-chan sink.Arrival) error {
	timer := time.NewTimer(keepEvery)
	timer.Stop()
	defer timer.Stop()
	armed := false
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
			defer cancel()
			return w.keep(last) // what it cannot keep comes again
		case a := <-arrivals:
			if err := w.take(ctx, a); err != nil {
				return err
			}
			if w.events < keepEvents {
				if !armed {
					timer.Reset(keepEvery)
					armed = true
				}
				continue
			}
		case <-timer.C:
		}
		timer.Stop()
		armed = false
		if err := w.keep(ctx); err != nil {
			return err
		}
	}
}

// take hands the events of a record that are new to the client. It waits while
// much waits for the brokers.
func (w *writing) take(ctx context.Context, a sink.Arrival) error {
	next, err := a.Each(w.next[a.Partition], func(raw []byte) error {
		var e event.Event
		if err := event.DecodeAvro(raw, &e); err != nil {
			return fmt.Errorf("an event of partition %d: %w", a.Partition, err)
		}
		w.events++
		w.client.Produce(ctx, w.s.record(raw, &e), w.promise)
		return nil
	})
	if err != nil {
		return err
	}
	w.next[a.Partition] = next
	return w.failure()
}

// record is what others get of an event.
func (s *Sink) record(raw []byte, e *event.Event) *kgo.Record {
	r := &kgo.Record{Topic: s.cfg.Topic, Headers: append(slices.Clip(s.headers),
		kgo.RecordHeader{Key: "heed-source", Value: []byte(e.Source)},
		kgo.RecordHeader{Key: "heed-message-id", Value: []byte(e.MessageID)},
		kgo.RecordHeader{Key: "heed-event", Value: []byte(e.Name)},
	)}
	if user := e.User(); user != "" {
		r.Key = []byte(user)
	}
	if s.cfg.Format == Avro {
		r.Value = append(slices.Clip(s.prefix), raw...)
	} else {
		r.Value = event.AppendJSON(nil, e)
	}
	return r
}

// promise takes what became of a record. One that is too large can never be
// written: it holds up nothing behind it.
func (w *writing) promise(r *kgo.Record, err error) {
	switch {
	case err == nil:
		w.s.written.Inc()
	case errors.Is(err, kerr.MessageTooLarge) && size(r) > w.limit-room:
		w.s.refused.Inc()
		w.s.log.Warn("an event is larger than the topic for others takes, and is left out", "bytes", size(r), "messageId", string(r.Headers[2].Value))
	default:
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.err == nil {
			w.err = explain(r.Topic, err)
		}
	}
}

// size is that of a record, in bytes, but for lengths.
func size(r *kgo.Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}

func (w *writing) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// keep waits until the brokers have everything, and keeps the position then.
func (w *writing) keep(ctx context.Context) error {
	if err := w.client.Flush(ctx); err != nil {
		return err
	}
	if err := w.failure(); err != nil {
		return err
	}
	var writes []documents.Write
	for p, next := range w.next {
		if next != w.kept[p] {
			writes = append(writes, documents.Write{
				Collection: collection, Key: w.s.key(p), Value: strconv.AppendUint(nil, next, 10), Expect: documents.Any,
			})
		}
	}
	if len(writes) == 0 {
		return nil
	}
	if err := w.s.deps.Documents.Apply(ctx, documents.Relaxed, writes...); err != nil {
		return fmt.Errorf("keep the position: %w", err)
	}
	copy(w.kept, w.next)
	w.s.source.Done(w.kept)
	w.events, w.moved = 0, true
	return nil
}
