// Package distinct drops the repeats of a log that may hold them, so that every
// reader of events sees each one once (ADR 0027).
//
// An event is a repeat if its key is among those of the events before it in its
// partition: the last Config.IDs, and not longer ago than Config.Horizon of log
// time, whether these were dropped themselves or not. So what is dropped depends
// on the log alone: every process, a restart and a replay drop the same events.
// What was dropped is a gap between offsets; where it is the end of a record, an empty
// chunk says that the record was read.
//
// It owns the windows of keys, which the readers of a partition share. It does not
// own what a key is (event.KeyOf), and drops nothing from other streams.
package distinct

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/eventlog"
)

// Config is what an operator may set.
type Config struct {
	// IDs is how many ids of events are remembered, all partitions together;
	// each takes 24 to 32 bytes.
	IDs int `yaml:"ids"`
	// Horizon is for how long at most.
	Horizon time.Duration `yaml:"horizon"`
}

// Defaults fills what is not set.
func (c *Config) Defaults() {
	if c.IDs == 0 {
		c.IDs = 1_000_000
	}
	if c.Horizon == 0 {
		c.Horizon = 7 * 24 * time.Hour
	}
}

// Validate tells what is wrong.
func (c *Config) Validate() error {
	switch {
	case c.IDs < 1 || c.IDs > 1<<30:
		return fmt.Errorf("ids: %d is not within 1 and %d", c.IDs, 1<<30)
	case c.Horizon < time.Second || c.Horizon > 31*24*time.Hour:
		return fmt.Errorf("horizon: %s is not within 1s and 744h", c.Horizon)
	}
	return nil
}

// Log is a log without repeats. Its methods may be called concurrently.
type Log struct {
	eventlog.Log
	ids     int   // of a partition
	horizon int64 // µs
	parts   []*partition
	dropped prometheus.Counter
}

// New makes readers of the log drop repeats. The registerer may be nil.
func New(log eventlog.Log, cfg Config, registerer prometheus.Registerer) (*Log, error) {
	cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("distinct: %w", err)
	}
	n := log.Partitions()
	l := &Log{
		Log: log, ids: (cfg.IDs + n - 1) / n, horizon: cfg.Horizon.Microseconds(),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "heed_distinct_repeats_total", Help: "Events that were in the log before and are not read again; counted by the reader in front.",
		}),
	}
	for range n {
		l.parts = append(l.parts, &partition{})
	}
	if registerer == nil {
		return l, nil
	}
	horizon := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "heed_distinct_horizon_seconds", Help: "How far back repeats are recognised now: the least of the partitions that are read.",
	}, l.reach)
	ids := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "heed_distinct_ids", Help: "Ids of events that are remembered; readers far apart remember for themselves.",
	}, l.remembered)
	for _, c := range []prometheus.Collector{l.dropped, horizon, ids} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("distinct: %w", err)
		}
	}
	return l, nil
}

// reach is the horizon in seconds; 0 if nothing is read.
func (l *Log) reach() float64 {
	least := int64(-1)
	l.each(func(s *scan) {
		if r := s.window.reach(); !s.idle() && (least < 0 || r < least) {
			least = r
		}
	})
	return float64(max(0, least)) / 1e6
}

// remembered is how many ids all windows hold.
func (l *Log) remembered() float64 {
	n := 0
	l.each(func(s *scan) { n += s.window.held() })
	return float64(n)
}

func (l *Log) each(visit func(*scan)) {
	for _, p := range l.parts {
		p.mu.Lock()
		for _, s := range p.scans {
			visit(s)
		}
		p.mu.Unlock()
	}
}

// Read implements eventlog.Log. It reads what is remembered at the offset first,
// unless another reader has come by it already.
func (l *Log) Read(ctx context.Context, s eventlog.Stream, n int, from uint64) (eventlog.Reader, error) {
	inner, err := l.Log.Read(ctx, s, n, from)
	if err != nil || s != eventlog.Events {
		return inner, err
	}
	r := &reader{Reader: inner, part: l.parts[n], dropped: l.dropped}
	if !r.part.join(r, from) {
		w, err := l.past(ctx, n, from)
		if err != nil {
			return nil, errors.Join(err, inner.Close())
		}
		r.part.add(r, w, from)
	}
	return r, nil
}

// Peek implements eventlog.Peeker.
func (l *Log) Peek(ctx context.Context, s eventlog.Stream, n int, from uint64) (eventlog.Reader, error) {
	return l.Log.Read(ctx, s, n, from)
}

// Spacing implements eventlog.Spaced.
func (l *Log) Spacing() uint64 { return eventlog.Spacing(l.Log) }

// OffsetAt implements eventlog.Seeker.
func (l *Log) OffsetAt(ctx context.Context, s eventlog.Stream, n int, t int64) (uint64, error) {
	if seeker, ok := l.Log.(eventlog.Seeker); ok {
		return seeker.OffsetAt(ctx, s, n, t)
	}
	b, err := l.Bounds(ctx, s, n)
	if err != nil {
		return 0, err
	}
	return eventlog.OffsetAt(ctx, l.Log, s, n, b, t)
}

// firstPiece is how many offsets in front of a reader's first are read at first;
// each further piece is twice as long.
const firstPiece = 4096

// past is the window of who begins to read at an offset. It is read backwards in
// pieces, since nobody knows how many offsets hold so many keys.
func (l *Log) past(ctx context.Context, n int, from uint64) (*window, error) {
	b, err := l.Bounds(ctx, eventlog.Events, n)
	if err != nil {
		return nil, err
	}
	var pieces []piece // the newest first, each with a record at least
	have := 0
	for hi, size := min(from, b.Next), uint64(firstPiece); hi > b.First && have < l.ids; size *= 2 {
		lo := b.First
		if hi-lo > size {
			lo = hi - size
		}
		p, err := l.piece(ctx, n, lo, hi)
		if errors.Is(err, eventlog.ErrTrimmed) { // retention was faster: what is left is read
			now, failed := l.Bounds(ctx, eventlog.Events, n)
			if failed == nil && now.First > b.First {
				b = now
				continue
			}
			err = cmp.Or(failed, eventlog.ErrUnavailable) // what begins at from is not gone
		}
		if err != nil {
			return nil, fmt.Errorf("read which events came before: %w", err)
		}
		hi = lo
		if !p.any {
			continue
		}
		pieces = append(pieces, p)
		have += len(p.keys)
		if pieces[0].last-p.first > l.horizon {
			break
		}
	}
	w := newWindow(l.ids, l.horizon)
	for _, p := range slices.Backward(pieces) {
		for _, k := range p.keys {
			w.see(k.print, k.at)
		}
	}
	return w, nil
}

// piece is what a range of offsets holds.
type piece struct {
	keys        []seen
	any         bool  // there is a record
	first, last int64 // log time of the first and last record, µs
}

// piece reads the keys of the events with offsets in [lo, hi), behind which the log
// does not end.
func (l *Log) piece(ctx context.Context, n int, lo, hi uint64) (p piece, err error) {
	r, err := l.Log.Read(ctx, eventlog.Events, n, lo)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for at := lo; at < hi; {
		c, ok, err := r.TryNext()
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && !ok { // a broker that lags; half a window would be another rule
			err = fmt.Errorf("nothing behind %d, but there was something up to %d: %w", at, hi, eventlog.ErrUnavailable)
		}
		if err != nil {
			return p, err
		}
		if c.Base >= hi {
			break
		}
		if !p.any {
			p.any, p.first = true, c.Appended
		}
		p.last = c.Appended
		for i, key := range c.Keys {
			if offset := c.Base + uint64(i); offset >= at && offset < hi && key != (eventlog.Key{}) {
				p.keys = append(p.keys, seen{printOf(key), c.Appended})
			}
		}
		at = max(at, c.Next())
	}
	return p, nil
}

// partition is what the readers of a partition share.
type partition struct {
	mu    sync.Mutex
	scans []*scan // the oldest first
}

// scan is how far a partition was looked at, by whichever reader is in front.
type scan struct {
	window  *window
	lo, hi  uint64             // offsets [lo, hi) were looked at
	repeats []uint64           // ascending: those among them
	tidy    int                // more of them than that are tidied up
	readers map[*reader]uint64 // where each of them is
}

// minTidy is how many repeats may lie about.
const minTidy = 1 << 12

// join gives a reader that begins at the offset the oldest scan that has been
// there; false: none has.
func (p *partition) join(r *reader, from uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.scans {
		if s.covers(from) {
			r.scan = s
			s.readers[r] = from
			return true
		}
	}
	return false
}

// add gives the reader a scan of its own, which begins with it.
func (p *partition) add(r *reader, w *window, from uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.scan = &scan{window: w, lo: from, hi: from, tidy: minTidy, readers: map[*reader]uint64{r: from}}
	p.scans = append(slices.DeleteFunc(p.scans, (*scan).idle), r.scan)
}

// leave takes the reader's scan away. The last one of a partition stays for who
// comes again, as after a failure.
func (p *partition) leave(r *reader) {
	delete(r.scan.readers, r)
	if len(p.scans) > 1 {
		p.scans = slices.DeleteFunc(p.scans, (*scan).idle)
	}
}

// look tells which offsets of the chunk hold repeats. A reader that has caught up
// with an older scan goes over to it, so that in the end all share one.
func (p *partition) look(r *reader, c *eventlog.Chunk, dropped prometheus.Counter) []uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, older := range p.scans {
		if older == r.scan {
			break
		}
		if older.covers(c.Base) {
			p.leave(r)
			r.scan = older
			break
		}
	}
	s := r.scan
	s.readers[r] = max(s.readers[r], c.Base) // it may be shown records again
	dropped.Add(float64(s.advance(c)))
	return within(s.repeats, c.Base, c.Next())
}

func (s *scan) idle() bool { return len(s.readers) == 0 }

func (s *scan) covers(offset uint64) bool { return s.lo <= offset && offset <= s.hi }

// advance looks at what no reader has come by yet, and tells how many repeats it
// holds.
func (s *scan) advance(c *eventlog.Chunk) (found int) {
	for i, key := range c.Keys {
		offset := c.Base + uint64(i)
		if offset >= s.hi && key != (eventlog.Key{}) && s.window.see(printOf(key), c.Appended) {
			s.repeats = append(s.repeats, offset)
			found++
		}
	}
	s.hi = max(s.hi, c.Next())
	if len(s.repeats) > s.tidy { // what all readers are past is of no use any more
		s.lo = s.hi
		for _, at := range s.readers {
			s.lo = min(s.lo, at)
		}
		i, _ := slices.BinarySearch(s.repeats, s.lo)
		s.repeats = slices.Delete(s.repeats, 0, i)
		s.tidy = max(minTidy, 2*len(s.repeats))
	}
	return found
}
