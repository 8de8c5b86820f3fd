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
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/event/ocf"
	"heed/internal/eventlog"
	"heed/internal/eventlog/sink"
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
	source  *sink.Source
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
		source:  sink.New(deps.Log, deps.Logger, "Avro files"),
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

// Next is the first offset of each partition that is in no file yet, the one in
// hand included.
func (s *Sink) Next(ctx context.Context) (map[int]uint64, error) { return s.source.Next(ctx) }

// Run writes until ctx ends, then finishes the file in hand. What fails (a full
// disk, say) is tried again from what is safely there; it stops nobody else.
func (s *Sink) Run(ctx context.Context) error { return s.source.Run(ctx, s.session) }

// session reads all partitions into one file after the other.
func (s *Sink) session(ctx context.Context) (moved bool, err error) {
	pos, err := s.folder.recover(s.deps.Log.Partitions())
	if err != nil {
		return false, err
	}
	w := &writing{s: s, pos: pos, roll: s.cfg.FirstRoll}
	if err := s.source.Follow(ctx, slices.Clone(pos.Next), w.loop); err != nil {
		w.discard()
		return w.finished, err
	}
	return w.finished, w.finish() // what is in the file is whole: it stays
}
