package decider

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"math"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/decider/later"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/profile"
	"heed/internal/userstate"
)

// worker is the owner of one partition. Everything but shared belongs to the
// goroutine of run.
type worker struct {
	d       *Decider
	number  int
	logger  *slog.Logger
	metrics *metrics
	events  prometheus.Counter
	seed    maphash.Seed

	part     userstate.Partition
	reader   eventlog.Reader
	rules    *ruleset
	board    board // counts, including the batch in hand
	users    *users
	targets  targets
	epochs   profile.Memberships // of audiences that the log speaks of
	sessions sessions
	chunks   []eventlog.Chunk // read, not consumed
	held     int              // bytes of chunks
	next     uint64           // offset behind the last consumed event
	earliest int64            // no timer of the partition is due before; MaxInt64: there is none
	heard    int64            // clock at the latest record, µs
	poison   poison
	batch    batch
	trap     func(*event.Event) // tests make events panic with it

	shared shared
}

// poison is what panicked before: it is skipped. It need not survive a restart,
// since the same input panics again.
type poison struct {
	events map[uint64]phase
	wakes  map[wakeKey]bool
}

type wakeKey struct {
	deadline int64
	user     string
}

func newWorker(d *Decider, number int, cacheBytes int64, sessionUsers int) *worker {
	w := &worker{
		d: d, number: number,
		logger:  d.deps.Logger.With("partition", number),
		metrics: d.metrics,
		events:  d.metrics.events.WithLabelValues(strconv.Itoa(number)),
		seed:    maphash.MakeSeed(),
		users:   newUsers(cacheBytes),
		poison:  poison{events: make(map[uint64]phase), wakes: make(map[wakeKey]bool)},
	}
	w.sessions.users = sessionUsers
	w.sessions.starts = later.Queue{
		Partition: number, Kind: userstate.Sessions, Prefix: startsPrefix,
		Log: d.deps.Log, State: d.deps.State, Logger: w.logger, Corrupt: w.metrics.corrupt.Inc,
	}
	w.shared.err = errStarting
	w.batch.w = w
	w.batch.inAudience = w.batch.audience
	if d.deps.Pull != nil {
		w.batch.pull = w.batch.pulled
	}
	return w
}

func (w *worker) status() error {
	w.shared.mu.Lock()
	defer w.shared.mu.Unlock()
	return w.shared.err
}

// fail makes err the status.
func (w *worker) fail(err error) {
	w.shared.mu.Lock()
	defer w.shared.mu.Unlock()
	w.shared.err = err
}

// letGo leaves nothing in memory: when the partition comes back, others have
// moved it on.
func (w *worker) letGo() {
	w.users.clear()
	w.targets.forget()
	w.fail(errStopped)
}

// Waits before a partition is taken up again.
const (
	minBackoff = 10 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// run owns the partition until ctx ends or a store is closed.
func (w *worker) run(ctx context.Context) error {
	backoff := minBackoff
	for {
		before := w.next
		err := w.own(ctx)
		if ctx.Err() != nil {
			w.letGo()
			return nil //nolint:nilerr // the error is that of the end
		}
		w.fail(err)
		if errors.Is(err, userstate.ErrClosed) || errors.Is(err, eventlog.ErrClosed) {
			return fmt.Errorf("partition %d: %w", w.number, err)
		}
		if w.next != before {
			backoff = minBackoff
		}
		w.metrics.reopened.Inc()
		if errors.Is(err, userstate.ErrFenced) {
			w.logger.Warn("partition was taken over, opening it again", "error", err, "wait", backoff)
		} else {
			w.logger.Error("partition stopped, opening it again", "error", err, "wait", backoff)
		}
		wait := time.NewTimer(backoff)
		select {
		case <-ctx.Done():
			wait.Stop()
			w.letGo()
			return nil
		case <-wait.C:
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// own opens the partition and decides until an error or the end of ctx.
func (w *worker) own(ctx context.Context) (err error) {
	if err := w.open(ctx); err != nil {
		return err
	}
	defer func() {
		if w.reader != nil {
			err = errors.Join(err, w.reader.Close())
			w.reader = nil
		}
		err = errors.Join(err, w.part.Close())
		w.part = nil
	}()
	if err := w.read(ctx); err != nil {
		return err
	}
	w.publish()
	defer w.tellStarts(ctx)()
	for {
		if err := w.gather(ctx); err != nil {
			return err
		}
		// The batch in hand is finished even when ctx ends meanwhile.
		if err := w.step(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// open takes the partition and forgets everything that was in memory.
func (w *worker) open(ctx context.Context) error {
	part, err := w.d.deps.State.Open(ctx, w.number)
	if err != nil {
		return fmt.Errorf("open user state: %w", err)
	}
	w.part = part
	w.chunks, w.held = nil, 0
	w.targets.forget()
	w.next = part.Next()
	w.heard = w.d.deps.Clock().UnixMicro()
	err = w.openSessions(ctx)
	if err == nil {
		err = w.restore(ctx)
	}
	if err != nil {
		return errors.Join(err, part.Close())
	}
	return nil
}

// restore takes what was committed; nothing of a batch in hand is left.
func (w *worker) restore(ctx context.Context) error {
	w.users.clear()
	w.sessions.journal.Tracker.Rollback()
	b, err := decodeBoard(w.part.Meta())
	if err != nil {
		return err
	}
	rules, err := w.d.rules.at(ctx, b.revision)
	if err != nil {
		return err
	}
	if err := w.openMembers(ctx); err != nil {
		return err
	}
	b.adopt(rules)
	w.board, w.rules = b, rules
	return w.lookAhead(ctx)
}

// lookAhead finds the earliest timer.
func (w *worker) lookAhead(ctx context.Context) error {
	first, err := w.part.Due(ctx, math.MaxInt64, 1)
	if err != nil {
		return fmt.Errorf("find the earliest timer: %w", err)
	}
	w.earliest = math.MaxInt64
	if len(first) > 0 {
		w.earliest = first[0].Deadline
	}
	return nil
}

// read starts the reader where the last commit ended.
func (w *worker) read(ctx context.Context) error {
	log := w.d.deps.Log
	r, err := log.Read(ctx, eventlog.Events, w.number, w.next)
	if errors.Is(err, eventlog.ErrTrimmed) {
		bounds, berr := log.Bounds(ctx, eventlog.Events, w.number)
		if berr != nil {
			return fmt.Errorf("bounds of the log: %w", berr)
		}
		w.logger.Error("retention removed events that were not decided yet", "next", w.next, "first", bounds.First)
		w.metrics.lost.Add(math.Ceil(float64(bounds.First-w.next) / float64(eventlog.Spacing(log))))
		r, err = log.Read(ctx, eventlog.Events, w.number, bounds.First)
	}
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	w.reader = r
	return nil
}

// gather makes sure that there is a chunk in hand, and takes what else is
// there without waiting for more.
func (w *worker) gather(ctx context.Context) error {
	for {
		if err := w.fill(); err != nil || len(w.chunks) > 0 {
			return err
		}
		c, err := w.wait(ctx)
		if err != nil {
			return err
		}
		if err := w.take(c); err != nil {
			return err
		}
	}
}

// fill takes what is there, up to the bounds of a batch.
func (w *worker) fill() error {
	events := uint64(0)
	if n := len(w.chunks); n > 0 {
		events = w.chunks[n-1].Next() - w.next
	}
	for w.held < w.d.cfg.BatchBytes && events < uint64(w.d.cfg.BatchEvents) {
		c, ok, err := w.reader.TryNext()
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if !ok {
			return nil
		}
		if err := w.take(c); err != nil {
			return err
		}
		events += uint64(max(1, c.Count))
	}
	return nil
}

// take keeps a chunk unless it was seen before. A chunk that is behind the
// newest one in hand is a redelivery: what is new in it comes again in order.
func (w *worker) take(c eventlog.Chunk) error {
	seen := w.next
	if n := len(w.chunks); n > 0 {
		seen = w.chunks[n-1].Next()
	}
	if c.Next() <= seen {
		return nil
	}
	if c.Schema != eventlog.Schema(eventlog.Events) {
		return fmt.Errorf("record at %d was written with the unknown schema %x", c.Base, c.Schema)
	}
	w.chunks = append(w.chunks, c)
	w.held += len(c.Data)
	w.heard = w.d.deps.Clock().UnixMicro()
	return nil
}

// maxWait bounds a wait for a timer, since the wall clock may be set meanwhile.
const maxWait = 10 * time.Second

// wait waits for a record. While a timer is due by the clock and nobody moves
// the log time on, it appends ticks.
func (w *worker) wait(ctx context.Context) (eventlog.Chunk, error) {
	for {
		if w.earliest == math.MaxInt64 {
			c, err := w.reader.Next(ctx)
			if err != nil {
				return c, fmt.Errorf("read the log: %w", err)
			}
			return c, nil
		}
		at := max(w.heard+w.d.cfg.TickAfter.Microseconds(), w.earliest)
		now := w.d.deps.Clock().UnixMicro()
		if now >= at {
			if err := w.lookAhead(ctx); err != nil {
				return eventlog.Chunk{}, err
			}
			if w.earliest > now {
				continue // the timer was cleared
			}
			w.tick(ctx, now)
			w.heard = now
		}
		short, cancel := context.WithTimeout(ctx, min(time.Duration(max(at-now, 1))*time.Microsecond, maxWait))
		c, err := w.reader.Next(short)
		cancel()
		switch {
		case err == nil:
			return c, nil
		case ctx.Err() != nil:
			return c, ctx.Err()
		case !errors.Is(err, context.DeadlineExceeded):
			return c, fmt.Errorf("read the log: %w", err)
		}
	}
}

// tick appends a record that moves log time on. If it fails, the next silence
// tries again.
func (w *worker) tick(ctx context.Context, now int64) {
	e := event.Event{
		MessageID: "tick-" + strconv.Itoa(w.number) + "-" + strconv.FormatInt(now, 10),
		Type:      event.System, Name: event.NameTick, Source: event.SourceHeed,
		Timestamp: now, ReceivedAt: now,
	}
	data := event.AppendEvent(nil, &e)
	err := w.d.deps.Log.Append(ctx, eventlog.Events, []*eventlog.Batch{{
		Partition: w.number, Data: data, Ends: []int{len(data)}, Keys: []eventlog.Key{{}}, Own: true,
	}})
	if err != nil {
		w.logger.Warn("no tick could be appended", "error", err)
		return
	}
	w.metrics.ticks.Inc()
}

// step decides over what is in hand and commits it. What panics is skipped.
func (w *worker) step(ctx context.Context) error {
	for {
		done, err := w.attempt(ctx)
		if done || err != nil {
			return err
		}
		// The batch is begun again from what is committed.
		if err := w.restore(ctx); err != nil {
			return err
		}
	}
}

// attempt is one try at the batch; done is false if something panicked, which
// is now known as poison.
func (w *worker) attempt(ctx context.Context) (done bool, err error) {
	b := &w.batch
	defer func() {
		if r := recover(); r != nil {
			done, err = false, nil
			if !w.blame(r) {
				err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
			}
		}
	}()
	if err := b.prepare(ctx); err != nil {
		return false, err
	}
	b.decide()
	if err := b.commit(ctx); err != nil {
		return false, err
	}
	err = b.finish(ctx)
	w.publish()
	return true, err
}

// blame puts the event or the timer in hand on the list of poison. It is false
// if there was none in hand, or if that one is on the list already.
func (w *worker) blame(r any) bool {
	b := &w.batch
	w.metrics.poisoned.Inc()
	switch {
	case b.waking != (wakeKey{}):
		if w.poison.wakes[b.waking] {
			return false
		}
		w.poison.wakes[b.waking] = true
		w.logger.Error("a timer panicked: the rows of its user are dropped", "deadline", b.waking.deadline, "panic", r)
	case b.inHand != nothing:
		if w.poison.events[b.offset] != nothing {
			return false
		}
		w.poison.events[b.offset] = b.inHand
		w.logger.Error("an event panicked: it is skipped", "offset", b.offset, "panic", r)
	default:
		return false
	}
	return true
}

// publish shows readers what is committed.
func (w *worker) publish() {
	s := &w.shared
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err, s.rules, s.next = nil, w.rules, w.next
	w.board.clone(&s.board)
}
