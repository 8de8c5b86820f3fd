// Package avrofiles owns the folder of Avro files that an installation without
// any configuration writes: every event of the log, in object container files
// that other tools read, each event exactly once over all files.
//
// It does not own the schema (event) or the form of a file (event/ocf).
package avrofiles

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"heed/internal/event"
	"heed/internal/event/ocf"
	"heed/internal/eventlog"
)

// Config is what an operator may set.
type Config struct {
	// Off: whoever puts the roles together leaves this one out.
	Off bool `yaml:"off"`
	// Codec compresses the files: deflate or null.
	Codec ocf.Codec `yaml:"codec"`
	// FirstRoll is how long the first file of a run grows; each further one
	// may grow twice as long, up to RollEvery.
	FirstRoll time.Duration `yaml:"first_roll"`
	RollEvery time.Duration `yaml:"roll_every"`
	// RollSilence finishes a file after so long without an event.
	RollSilence time.Duration `yaml:"roll_silence"`
	// RollBytes finishes a file of that size.
	RollBytes int64 `yaml:"roll_bytes"`
	// FlushEvery writes what is there as a whole block.
	FlushEvery time.Duration `yaml:"flush_every"`
	// KeepDays removes finished files that are older; 0 keeps them.
	KeepDays int `yaml:"keep_days"`
	// KeepBytes removes the oldest finished files beyond the sum; 0 keeps them.
	KeepBytes int64 `yaml:"keep_bytes"`
}

// Defaults fills what is zero.
func (c *Config) Defaults() {
	if c.Codec == "" {
		c.Codec = ocf.Deflate
	}
	if c.FirstRoll == 0 {
		c.FirstRoll = 15 * time.Second
	}
	if c.RollEvery == 0 {
		c.RollEvery = time.Hour
	}
	if c.RollSilence == 0 {
		c.RollSilence = 10 * time.Second
	}
	if c.RollBytes == 0 {
		c.RollBytes = 256 << 20
	}
	if c.FlushEvery == 0 {
		c.FlushEvery = 2 * time.Second
	}
}

// Validate says what is wrong.
func (c *Config) Validate() error {
	switch {
	case c.Codec != ocf.Deflate && c.Codec != ocf.Null:
		return fmt.Errorf("codec is %q: deflate or null", c.Codec)
	case c.FirstRoll < 10*time.Millisecond || c.RollEvery < c.FirstRoll:
		return fmt.Errorf("first_roll is %s and roll_every %s: from 10ms, and the second not below the first", c.FirstRoll, c.RollEvery)
	case c.RollSilence < 10*time.Millisecond || c.FlushEvery < 10*time.Millisecond:
		return errors.New("roll_silence and flush_every: from 10ms")
	case c.RollBytes < 1<<10:
		return fmt.Errorf("roll_bytes is %d: at least 1024", c.RollBytes)
	case c.KeepDays < 0 || c.KeepBytes < 0:
		return errors.New("keep_days and keep_bytes: not negative")
	}
	return nil
}

// Deps are what the role works with.
type Deps struct {
	Log        eventlog.Log
	Dir        string // made if absent
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Clock      func() time.Time
	Random     func(b []byte)
}

// Sink is the role. Run it once.
type Sink struct {
	cfg     Config
	deps    Deps
	log     *slog.Logger
	now     func() time.Time
	folder  *folder
	written prometheus.Counter
	files   prometheus.Counter
}

// New checks the configuration and makes the folder.
func New(cfg Config, deps Deps) (*Sink, error) {
	cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("avro: %w", err)
	}
	if deps.Log == nil || deps.Dir == "" {
		return nil, errors.New("avro: a log and a folder are needed")
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	if deps.Random == nil {
		deps.Random = func(b []byte) { _, _ = rand.Read(b) } // never fails
	}
	s := &Sink{
		cfg: cfg, deps: deps, log: deps.Logger, now: deps.Clock, folder: &folder{dir: deps.Dir},
		written: prometheus.NewCounter(prometheus.CounterOpts{Name: "heed_avro_events_total", Help: "Events written to Avro files."}),
		files:   prometheus.NewCounter(prometheus.CounterOpts{Name: "heed_avro_files_total", Help: "Avro files finished."}),
	}
	if deps.Registerer != nil {
		for _, m := range []prometheus.Collector{s.written, s.files} {
			if err := deps.Registerer.Register(m); err != nil {
				return nil, fmt.Errorf("avro: %w", err)
			}
		}
	}
	if err := os.MkdirAll(deps.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("avro: make the folder: %w", err)
	}
	return s, nil
}

// Ready is nil: nobody waits for the files.
func (s *Sink) Ready() error { return nil }

// Run writes until ctx ends, then finishes the file in hand. What fails (a full
// disk, say) is tried again from what is safely there; it stops nobody else.
func (s *Sink) Run(ctx context.Context) error {
	for pause := time.Second; ; pause = min(2*pause, time.Minute) {
		began := s.now()
		err := s.session(ctx)
		if ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) {
			if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, eventlog.ErrClosed) {
				s.log.Warn("the last Avro file is not finished; it will be written anew", "error", err)
			}
			return nil
		}
		if errors.Is(err, event.ErrCorrupt) {
			return fmt.Errorf("avro: %w", err)
		}
		if s.now().Sub(began) > time.Minute {
			pause = time.Second
		}
		s.log.Warn("Avro files cannot be written; it will be tried again", "error", err, "after", pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// arrival is a record of a partition.
type arrival struct {
	partition int
	chunk     eventlog.Chunk
}

// session reads all partitions into one file after the other.
func (s *Sink) session(ctx context.Context) error {
	pos, err := s.folder.recover(s.deps.Log.Partitions())
	if err != nil {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	group, inner := errgroup.WithContext(inner)
	arrivals := make(chan arrival, s.deps.Log.Partitions())
	for p := range s.deps.Log.Partitions() {
		group.Go(func() error { return s.tail(inner, p, pos.Next[p], arrivals) })
	}
	w := &writing{s: s, pos: pos, roll: s.cfg.FirstRoll}
	err = w.loop(inner, arrivals)
	cancel()
	tailErr := group.Wait()
	if err == nil && ctx.Err() != nil {
		// What is in the file is whole: it stays.
		return w.finish()
	}
	w.discard()
	if err == nil {
		err = tailErr
	}
	return err
}

// tail passes a partition's records on.
func (s *Sink) tail(ctx context.Context, partition int, from uint64, out chan<- arrival) error {
	bounds, err := s.deps.Log.Bounds(ctx, eventlog.Events, partition)
	if err != nil {
		return fmt.Errorf("read partition %d: %w", partition, err)
	}
	if from < bounds.First {
		if from > 0 {
			s.log.Warn("retention has removed events that no Avro file holds", "partition", partition, "from", from, "to", bounds.First)
		}
		from = bounds.First
	}
	reader, err := s.deps.Log.Read(ctx, eventlog.Events, partition, from)
	if err != nil {
		return fmt.Errorf("read partition %d: %w", partition, err)
	}
	defer func() { _ = reader.Close() }() // nothing was written
	for {
		chunk, err := reader.Next(ctx)
		if err != nil {
			return fmt.Errorf("read partition %d: %w", partition, err)
		}
		select {
		case out <- arrival{partition, chunk}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
