// Package stream owns following other people's Kafka topics, as definitions of
// the kind stream say: what is written there becomes events in the log, each
// once. A position is committed, as one of a consumer group on their brokers,
// after the events are durable; what a crash between the two brings again has the
// ids that it had before, and the log's readers count an id once. Several
// processes divide the partitions of a topic among them, as the group does. It
// also shows samples of a topic, and how each stream fares.
//
// It does not own what a message means (message), nor how brokers are reached
// (kafkaconn).
package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/eventlog"
	"heed/internal/kafkaconn"
)

// Definitions tells which streams there are; *catalog.Catalog does.
type Definitions interface {
	Current() *definition.Set
	Changed() (wake <-chan struct{}, cancel func())
}

// Deps is what Streams work with.
type Deps struct {
	Log         eventlog.Log
	Documents   documents.Store
	Definitions Definitions
	// Refused records what was not taken. It may be called concurrently, and does
	// not wait.
	Refused func(source, reason string, raw []byte, now time.Time)
	// Installation tells this one's consumer groups from those of others.
	Installation string
	// Process is where this process is, as people know it; "" if there is no other.
	Process string
	// Alone: no other process follows the streams, so that one which was killed is
	// known again at once.
	Alone      bool
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Clock      func() time.Time
}

// Streams follows all streams that are not paused.
type Streams struct {
	deps     Deps
	messages *prometheus.CounterVec
	lag      *prometheus.GaugeVec
}

// New makes Streams. Nothing is read before Run.
func New(deps Deps) (*Streams, error) {
	s := &Streams{
		deps: deps,
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heed_stream_messages_total", Help: "Messages read from topics of others, by what became of them: taken, bad or empty.",
		}, []string{"stream", "outcome"}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "heed_stream_lag", Help: "Messages of a topic that no process of this installation has taken yet.",
		}, []string{"stream"}),
	}
	for _, c := range []prometheus.Collector{s.messages, s.lag} {
		if err := deps.Registerer.Register(c); err != nil {
			return nil, fmt.Errorf("stream: %w", err)
		}
	}
	return s, nil
}

// Run follows until ctx ends. A stream that cannot be read is tried again and
// again, and disturbs no other.
func (s *Streams) Run(ctx context.Context) error {
	wake, cancel := s.deps.Definitions.Changed()
	defer cancel()
	running := map[string]*reader{}
	for {
		s.settle(ctx, running)
		select {
		case <-ctx.Done():
			stop(running, func(*reader) bool { return true })
			return nil
		case <-wake:
		}
	}
}

// settle makes those run that should, as they are defined now.
func (s *Streams) settle(ctx context.Context, running map[string]*reader) {
	set := s.deps.Definitions.Current()
	stop(running, func(r *reader) bool {
		now := set.Streams[r.name]
		return now == nil || now.Paused || !reflect.DeepEqual(route(now), route(r.definition.Load()))
	})
	for name, now := range set.Streams {
		r := running[name]
		switch {
		case now.Paused:
		case r == nil:
			running[name] = s.start(ctx, now)
		case !reflect.DeepEqual(now, r.definition.Load()):
			r.definition.Store(now) // the next message is read by it
		}
	}
	s.forget(ctx, set)
}

// route is what of a stream says where it is read; the rest may change while it
// is read.
func route(d *definition.Stream) definition.Stream {
	return definition.Stream{Kafka: d.Kafka, Topic: d.Topic, Group: d.Group, Start: d.Start}
}

// errRedefined ends a reader that should not read on, though its process does.
var errRedefined = errors.New("stream: redefined")

// stop ends some of the readers, all at once.
func stop(running map[string]*reader, which func(*reader) bool) {
	var ending []*reader
	for name, r := range running {
		if which(r) {
			r.cancel(errRedefined)
			ending = append(ending, r)
			delete(running, name)
		}
	}
	for _, r := range ending {
		<-r.done
	}
}

// start begins to read a stream.
func (s *Streams) start(ctx context.Context, d *definition.Stream) *reader {
	r := &reader{s: s, name: d.Name, log: s.deps.Logger.With("stream", d.Name), done: make(chan struct{})}
	r.definition.Store(d)
	ctx, r.cancel = context.WithCancelCause(ctx)
	go func() {
		defer close(r.done)
		r.run(ctx)
	}()
	return r
}

// Ready is nil: other people's brokers are no condition of working.
func (s *Streams) Ready() error { return nil }

// group is the consumer group that keeps a stream's position.
func (s *Streams) group(d *definition.Stream) string {
	return groupOf(d, s.deps.Installation)
}

func groupOf(d *definition.Stream, installation string) string {
	if d.Group != "" {
		return d.Group
	}
	return "heed-" + installation + "-" + d.Name
}

// Check asks the brokers whether a stream's topic can be read; without the name of
// the installation the consumer group is asked for only if the stream names it.
func Check(ctx context.Context, d *definition.Stream, installation string) error {
	use := kafkaconn.Use{Topic: d.Topic, Group: d.Group}
	if installation != "" {
		use.Group = groupOf(d, installation)
	}
	return d.Kafka.Conn(askTimeout).Check(ctx, use)
}

// Pauses between attempts.
const (
	firstPause = time.Second
	lastPause  = 15 * time.Second
)

// reader reads one stream.
type reader struct {
	s          *Streams
	name       string
	log        *slog.Logger
	definition atomic.Pointer[definition.Stream]
	cancel     context.CancelCauseFunc
	done       chan struct{}
	tally      tally
}

// run reads until ctx ends.
func (r *reader) run(ctx context.Context) {
	reporting := make(chan struct{})
	go func() {
		defer close(reporting)
		r.report(ctx)
	}()
	defer func() {
		r.cancel(nil)
		<-reporting
	}()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := r.follow(ctx)
		if ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) {
			return
		}
		r.trouble(reading, err)
		if !wait(ctx, pause) {
			return
		}
	}
}

// wait is false if ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
