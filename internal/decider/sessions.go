package decider

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/session"
	"heed/internal/userstate"
)

// How sessions begin (docs/adr/0012-sessions.md):
//
// A partition remembers when its users were last active. The first event behind
// a silence makes a session_start, on which triggers act at once, in front of the
// event. Everybody else reads it in the log, where it is appended in the
// background: it is a row of the commit that made it until it is there. Its id is
// made of its cause's, so that the log drops what is appended again after a
// crash. What the partition remembers is in the commits too: the users of each
// batch, and now and then all of them.

// Rows of userstate.Sessions, by name.
const (
	rowEverybody = "a"     // those who were remembered at a time
	rowChanges   = "c%08x" // who was active since, in the order of the numbers
	rowStarts    = "s%016x"
)

const (
	sessionsVersion = 1        // the first byte of the rows (docs/format/state.md)
	changesBytes    = 2 << 10  // from which on a row of changes is not written again
	minChanges      = 64 << 10 // of changes, until everybody is written
	startsBytes     = 64 << 10 // of a row of starts
	maxHeldStarts   = 4 << 20  // of starts in memory; more wait in the store
	sessionsPage    = 16       // rows that are read at once
)

// sessions is what a worker keeps of its users' sessions.
type sessions struct {
	tracker *session.Tracker
	changes []byte // the row of changes in hand
	number  uint32 // of it
	name    string // of it
	size    int    // bytes of changes since everybody was written
	all     int    // bytes of everybody then
	starts  starts
	evicted int // as of the last report
}

// openSessions takes what was committed.
func (w *worker) openSessions(ctx context.Context) error {
	s := &w.sessions
	s.tracker = session.NewTracker(w.sessionUsers)
	s.changes, s.number, s.name, s.size, s.all, s.evicted = s.changes[:0], 0, "", 0, 0, 0
	s.starts.reset()
	for after := ""; ; {
		rows, err := w.d.deps.State.Scan(ctx, w.number, userstate.Sessions, "", after, sessionsPage)
		if err != nil {
			return fmt.Errorf("load the sessions: %w", err)
		}
		for _, r := range rows {
			if err := s.take(r); err != nil {
				return err
			}
			after = r.User
		}
		if len(rows) < sessionsPage {
			break
		}
	}
	s.evicted = s.tracker.Evicted()
	return nil
}

func (s *sessions) take(r userstate.Row) error {
	var number uint64
	if len(r.Value) == 0 || r.Value[0] != sessionsVersion {
		return fmt.Errorf("row %q of the sessions is unreadable, or of a later version", r.User)
	}
	switch {
	case r.User == rowEverybody:
		s.all = len(r.Value)
	case scan(r.User, rowChanges, &number):
		s.number = uint32(number) + 1
		s.size += len(r.Value)
	case scan(r.User, rowStarts, &number):
		s.starts.wait(number)
		return nil
	default:
		return fmt.Errorf("the sessions have an unknown row %q", r.User)
	}
	if err := s.tracker.Read(r.Value[1:]); err != nil {
		return fmt.Errorf("row %q of the sessions: %w", r.User, err)
	}
	return nil
}

func scan(name, form string, number *uint64) bool {
	n, err := fmt.Sscanf(name, form, number)
	return n == 1 && err == nil
}

// begin tells of the session that an item begins, if it does. It is called in
// front of the event.
func (b *batch) begin(it *item) {
	e, u, w := &it.event, it.user, b.w
	offset, logTime := it.origin()
	at, begins := it.start, it.begins
	if u.profile != nil && session.Activity(e) {
		at, begins = w.sessions.tracker.See(&u.session, e.Timestamp, logTime)
	}
	if !begins || e.Name == event.NameSessionStart {
		return
	}
	start := session.Start(u.id, e, event.KeyOf(e.Source, e.MessageID), at)
	if w.rules.set.Relevant(start.Name) && u.hasRows {
		b.stepRows(u, &start, offset, logTime)
	}
	start.ReplyTo = ""
	last := len(b.starts) - 1
	if last < 0 || len(b.starts[last]) > startsBytes {
		b.starts = append(b.starts, []byte{sessionsVersion})
		last++
	}
	b.starts[last] = event.AppendEvent(b.starts[last], &start)
	b.counted.sessions++
}

// encodeSessions adds what changed to the commit.
func (b *batch) encodeSessions() {
	s := &b.w.sessions
	row := func(name string, value []byte) {
		b.rows = append(b.rows, userstate.Row{Kind: userstate.Sessions, User: name, Value: value})
	}
	first := s.starts.next
	for i, data := range b.starts {
		row(fmt.Sprintf(rowStarts, first+uint64(i)), data)
	}
	for _, n := range s.starts.settled() {
		row(fmt.Sprintf(rowStarts, n), nil)
	}
	if !s.tracker.Changed() {
		return
	}
	if len(s.changes) >= changesBytes {
		s.changes, s.name = s.changes[:0], ""
		s.number++
	}
	before := len(s.changes)
	if before == 0 {
		s.changes = append(s.changes, sessionsVersion)
	}
	s.changes = s.tracker.AppendChanges(s.changes)
	if s.size += len(s.changes) - before; s.size <= max(minChanges, s.all) {
		if s.name == "" {
			s.name = fmt.Sprintf(rowChanges, s.number)
		}
		row(s.name, s.changes)
		return
	}
	s.tracker.Sweep(b.until)
	n := len(b.encoded)
	b.encoded = s.tracker.Append(append(b.encoded, sessionsVersion))
	row(rowEverybody, b.encoded[n:])
	s.all, s.size = len(b.encoded)-n, 0
	for i := range s.number + 1 {
		row(fmt.Sprintf(rowChanges, i), nil) // the last one may not be there
	}
	s.changes, s.number, s.name = s.changes[:0], 0, ""
}

// finishSessions takes the committed batch for granted.
func (b *batch) finishSessions() {
	s := &b.w.sessions
	s.tracker.Commit()
	for _, data := range b.starts {
		s.starts.add(data)
	}
}

// starts are the session_start events of a partition that are on their way into
// the log. Rows that were committed are appended in order. next belongs to the
// worker, everything else is for both it and who appends.
type starts struct {
	next uint64 // number of the next row

	mu   sync.Mutex
	rows []startsRow
	held int      // bytes of rows
	done []uint64 // in the log, and still in the store
	bell chan struct{}
}

type startsRow struct {
	number uint64
	data   []byte // nil: it is to be read from the store
}

func (s *starts) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next, s.rows, s.held, s.done = 0, nil, 0, nil
	if s.bell == nil {
		s.bell = make(chan struct{}, 1)
	}
}

// wait takes a row that is in the store only.
func (s *starts) wait(number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = append(s.rows, startsRow{number: number})
	s.next = number + 1
}

// add takes a row that was committed.
func (s *starts) add(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := startsRow{number: s.next}
	if s.held+len(data) <= maxHeldStarts {
		r.data = data
		s.held += len(data)
	}
	s.rows = append(s.rows, r)
	s.next++
	select {
	case s.bell <- struct{}{}:
	default:
	}
}

func (s *starts) first() (startsRow, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rows) == 0 {
		return startsRow{}, false
	}
	return s.rows[0], true
}

// drop removes the first row, which is in the log.
func (s *starts) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held -= len(s.rows[0].data)
	s.done = append(s.done, s.rows[0].number)
	s.rows[0].data = nil
	s.rows = s.rows[1:]
}

// settled are the rows to remove from the store, which are forgotten.
func (s *starts) settled() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := s.done
	s.done = nil
	return done
}

// pending is how many rows wait.
func (s *starts) pending() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.rows)
}

// tellStarts begins to append in the background; what it returns ends it.
func (w *worker) tellStarts(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.appendStarts(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// appendStarts appends the session_start events that are committed until ctx
// ends. While the log refuses, they wait in the store.
func (w *worker) appendStarts(ctx context.Context) {
	backoff := minBackoff
	for {
		err := w.flushStarts(ctx)
		switch {
		case ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) || errors.Is(err, userstate.ErrClosed):
			return // they are appended by the next owner
		case err != nil:
			w.logger.Warn("no session_start could be appended", "error", err, "wait", backoff)
			again := time.NewTimer(backoff)
			select {
			case <-ctx.Done():
				again.Stop()
				return
			case <-again.C:
			}
			backoff = min(2*backoff, maxBackoff)
		default:
			backoff = minBackoff
			select {
			case <-ctx.Done():
				return
			case <-w.sessions.starts.bell:
			}
		}
	}
}

// flushStarts appends what waits.
func (w *worker) flushStarts(ctx context.Context) error {
	s := &w.sessions.starts
	for {
		row, ok := s.first()
		if !ok {
			return nil
		}
		data := row.data
		if data == nil {
			var err error
			name := fmt.Sprintf(rowStarts, row.number)
			if data, err = w.d.deps.State.Get(ctx, w.number, userstate.Sessions, name); err != nil {
				return fmt.Errorf("read the starts of sessions: %w", err)
			}
		}
		if out := w.batchOf(data); len(out.Ends) > 0 {
			if err := w.d.deps.Log.Append(ctx, eventlog.Events, []*eventlog.Batch{out}); err != nil {
				return fmt.Errorf("append the starts of sessions: %w", err)
			}
		}
		s.drop()
	}
}

// batchOf makes a batch of a row of starts.
func (w *worker) batchOf(row []byte) *eventlog.Batch {
	out := &eventlog.Batch{Partition: w.number, Own: true}
	if len(row) == 0 || row[0] != sessionsVersion {
		w.logger.Error("the starts of sessions are unreadable: they are skipped", "bytes", len(row))
		w.metrics.corrupt.Inc()
		return out
	}
	d := event.NewDecoder(row[1:])
	var e event.Event
	for {
		ok, err := d.Next(&e)
		if err != nil {
			w.logger.Error("the start of a session is unreadable: it is skipped, with what follows", "error", err)
			w.metrics.corrupt.Inc()
		}
		if !ok {
			return out
		}
		out.Data = event.AppendEvent(out.Data, &e)
		out.Ends = append(out.Ends, len(out.Data))
		out.Keys = append(out.Keys, event.KeyOf(e.Source, e.MessageID))
	}
}
