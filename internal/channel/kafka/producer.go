package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"heed/internal/definition"
)

const (
	// idleAfter so long without a record a producer is closed.
	idleAfter = 5 * time.Minute
	// endTimeout bounds how long records are waited for when a producer ends.
	endTimeout = 10 * time.Second
	// maxFates bounds what a producer remembers: records that are on their way, and
	// those that arrived behind the end of their attempt.
	maxFates = 1000
)

// errEnding: nothing was attempted, as the process ends.
var errEnding = errors.New("the process ends")

// What an attempt without an answer comes to: the record is on its way, and nobody
// has said whether it arrived; or it was never sent.
var (
	errUnknownFate = errors.New("the brokers have not said in time whether they took the record")
	errNotTaken    = errors.New("no broker took the record in time")
)

// producers are the connections of the channels, one each. Their methods may be
// called concurrently.
type producers struct {
	now func() time.Time
	log *slog.Logger

	mu     sync.Mutex
	all    map[string]*producer // by the channel's name
	closed bool
	ending sync.WaitGroup // of those that are let go
}

// producer writes for one channel, as it was defined when it was made.
type producer struct {
	client *kgo.Client
	reach  string    // how brokers are reached: another needs another producer
	used   time.Time // under the lock of producers

	alone     sync.RWMutex // held for writing by who shares no batch
	mu        sync.Mutex
	fates     map[string]*fate // by delivery
	unreached error            // why the last connection could not be made; nil if it was
}

// fate is what became of a record.
type fate struct {
	record *kgo.Record
	known  chan struct{} // closed when err and the record's place are final
	err    error
}

// of gives the producer of a channel.
func (ps *producers) of(def *definition.Channel, timeout time.Duration) (*producer, error) {
	b, err := json.Marshal(struct {
		Kafka   *definition.Kafka
		Timeout time.Duration
	}{def.Kafka, timeout})
	if err != nil {
		return nil, err
	}
	reach := string(b)
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.closed {
		return nil, errEnding
	}
	p := ps.all[def.Name]
	if p == nil || p.reach != reach {
		if p != nil {
			ps.ending.Go(p.end)
		}
		if p, err = open(def, timeout, ps.log); err != nil {
			delete(ps.all, def.Name)
			return nil, err
		}
		p.reach, ps.all[def.Name] = reach, p
	}
	p.used = ps.now()
	return p, nil
}

func open(def *definition.Channel, timeout time.Duration, log *slog.Logger) (*producer, error) {
	opts, err := def.Kafka.Conn(timeout).Options(log.With("channel", def.Name))
	if err != nil {
		return nil, err
	}
	// Idempotent, acknowledged by all replicas in sync: the client's defaults, said
	// because everything depends on them. A record that may have been sent is not
	// given up, so that it cannot come twice.
	p := &producer{fates: map[string]*fate{}}
	p.client, err = kgo.NewClient(append(
		opts, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(maxFates), kgo.WithHooks(p))...)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	return p, nil
}

// sweep ends those that were not used of late.
func (ps *producers) sweep() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for name, p := range ps.all {
		if ps.now().Sub(p.used) >= idleAfter && p.idle() {
			delete(ps.all, name)
			ps.ending.Go(p.end)
		}
	}
}

// close ends all of them, and waits for that; nobody gets one any more.
func (ps *producers) close() {
	ps.mu.Lock()
	ps.closed = true
	for name, p := range ps.all {
		delete(ps.all, name)
		ps.ending.Go(p.end)
	}
	ps.mu.Unlock()
	ps.ending.Wait()
}

// end closes the connections, once it is known what became of the records that are on
// their way, or after a while.
func (p *producer) end() {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	_ = p.client.Flush(ctx) // what is not known then never will be
	p.client.Close()
}

// write writes a delivery's record, or waits for the one that an earlier attempt has
// left on its way. It answers with the one that was written.
func (p *producer) write(ctx context.Context, id string, record *kgo.Record) (*kgo.Record, error) {
	p.alone.RLock()
	written, err := p.attempt(ctx, id, record)
	p.alone.RUnlock()
	if errors.Is(err, kerr.MessageTooLarge) {
		// Brokers mean the batch, which others may have shared. By itself it will show.
		p.alone.Lock()
		defer p.alone.Unlock()
		return p.attempt(ctx, id, record)
	}
	return written, err
}

func (p *producer) attempt(ctx context.Context, id string, record *kgo.Record) (*kgo.Record, error) {
	f, sent, err := p.fateOf(id, record)
	if err != nil {
		return nil, err
	}
	if !sent {
		p.client.TryProduce(ctx, record, func(_ *kgo.Record, err error) { p.learn(id, f, err) })
	}
	select {
	case <-f.known:
	case <-ctx.Done():
		return nil, p.explain(errUnknownFate)
	}
	if errors.Is(f.err, context.DeadlineExceeded) || errors.Is(f.err, context.Canceled) { // given up before it was sent
		return nil, p.explain(errNotTaken)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fates[id] == f {
		delete(p.fates, id)
	}
	return f.record, f.err
}

// fateOf is the fate of a delivery's record, which may have been sent already.
func (p *producer) fateOf(id string, record *kgo.Record) (f *fate, sent bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.fates[id]; f != nil {
		return f, true, nil
	}
	if !p.room() {
		return nil, false, fmt.Errorf("%d records wait for the brokers", maxFates)
	}
	f = &fate{record: record, known: make(chan struct{})}
	p.fates[id] = f
	return f, false, nil
}

// learn takes what became of a record. One that failed is forgotten: the next attempt
// writes it anew. Any other waits until it is asked for.
func (p *producer) learn(id string, f *fate, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.err = err
	close(f.known)
	if err != nil {
		delete(p.fates, id)
	}
}

// room makes room for another fate: nobody may have asked for the known ones. The
// caller holds the lock.
func (p *producer) room() bool {
	if len(p.fates) < maxFates {
		return true
	}
	for id, f := range p.fates {
		select {
		case <-f.known:
			delete(p.fates, id)
		default:
		}
	}
	return len(p.fates) < maxFates
}

// idle tells whether there is nothing to remember.
func (p *producer) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.fates) == 0
}

// OnBrokerConnect implements kgo.HookBrokerConnect: it keeps why brokers cannot be
// reached.
func (p *producer) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unreached = err
}

// explain adds why the last connection could not be made.
func (p *producer) explain(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unreached != nil {
		return fmt.Errorf("%w: %w", err, p.unreached)
	}
	return err
}
