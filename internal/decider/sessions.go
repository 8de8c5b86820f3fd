package decider

import (
	"context"
	"fmt"

	"heed/internal/decider/later"
	"heed/internal/event"
	"heed/internal/session"
	"heed/internal/userstate"
)

// How sessions begin (docs/adr/0012-sessions.md):
//
// A partition remembers when its users were last active. The first event behind
// a silence makes a session_start, on which triggers act at once, in front of the
// event. Everybody else reads it in the log, where it is appended in the
// background: until it is there it is a row of the commit that made it. Its id is
// made of its cause's, so that the log drops what is appended again after a
// crash. What the partition remembers is in the commits too.

// sessions is what a worker keeps of its users' sessions.
type sessions struct {
	users   int // who are remembered at most
	journal *session.Journal
	starts  later.Queue
	evicted int // as of the last report
}

// startsPrefix begins the names of the rows of session_start events, behind
// those of a session.Journal.
const startsPrefix = "s"

// sessionsPage is how many rows are read at once.
const sessionsPage = 16

// openSessions takes what was committed.
func (w *worker) openSessions(ctx context.Context) error {
	s := &w.sessions
	s.journal = session.NewJournal(s.users)
	s.starts.Forget()
	for after, more := "", true; more; {
		rows, err := w.d.deps.State.Scan(ctx, w.number, userstate.Sessions, "", after, sessionsPage)
		if err != nil {
			return fmt.Errorf("load the sessions: %w", err)
		}
		for _, r := range rows {
			after = r.User
			known, err := s.journal.Read(r.User, r.Value)
			if err != nil || !known && !s.starts.Found(r.User) {
				w.logger.Error("sessions are unreadable: some begin anew", "row", r.User, "error", err)
				w.metrics.corrupt.Inc()
			}
		}
		more = len(rows) == sessionsPage
	}
	s.evicted = s.journal.Tracker.Evicted()
	return nil
}

// tellStarts begins to append in the background; what it returns ends it.
func (w *worker) tellStarts(ctx context.Context) (end func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.sessions.starts.Run(ctx)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// sees lets the tracker see an event of a user that the log has at a log time.
func (w *worker) sees(u *user, e *event.Event, logTime int64) (at int64, begins bool) {
	return w.sessions.journal.Tracker.See(&u.session, e.Timestamp, logTime)
}

// begin tells of the session that an item begins, if it does. It is called in
// front of the event.
func (b *batch) begin(it *item) {
	e, u, w := &it.event, it.user, b.w
	offset, logTime := it.origin()
	at, begins := it.start, it.begins
	if u.profile != nil && session.Activity(e) {
		at, begins = w.sees(u, e, logTime)
	}
	if !begins || e.Name == event.NameSessionStart {
		return
	}
	start := session.Start(u.id, e, event.KeyOf(e.Source, e.MessageID), at)
	if w.rules.set.Relevant(start.Name) && u.hasRows {
		b.stepRows(u, &start, offset, logTime)
	}
	start.ReplyTo = "" // who waits is answered by what it did above
	b.starts = later.Add(b.starts, &start)
	b.counted.sessions++
}

// encodeSessions adds what changed to the commit.
func (b *batch) encodeSessions() {
	write := func(name string, value []byte) {
		b.rows = append(b.rows, userstate.Row{Kind: userstate.Sessions, User: name, Value: value})
	}
	s := &b.w.sessions
	s.journal.Rows(b.until, write)
	s.starts.Rows(b.starts, write)
}

// finishSessions takes the committed batch for granted.
func (b *batch) finishSessions() {
	s := &b.w.sessions
	s.journal.Tracker.Commit()
	s.starts.Committed(b.starts)
}
