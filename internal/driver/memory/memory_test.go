package memory_test

import (
	"testing"

	"go.uber.org/goleak"

	"heed/internal/documents"
	"heed/internal/documents/documentstest"
	"heed/internal/driver/memory"
	"heed/internal/eventlog"
	"heed/internal/eventlog/eventlogtest"
	"heed/internal/inbox"
	"heed/internal/inbox/inboxtest"
	"heed/internal/userstate/userstatetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run runs every suite against DBs of one temper.
func run(t *testing.T, hostile memory.Hostile) {
	open := func(t *testing.T, clock *eventlogtest.Clock) *memory.DB {
		t.Helper()
		db := memory.Open(memory.Config{Partitions: 4, Clock: clock.Now, Seed: 7})
		db.SetHostile(hostile)
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	t.Run("eventlog", func(t *testing.T) {
		eventlogtest.Run(t, func(t *testing.T, clock *eventlogtest.Clock) eventlogtest.Subject {
			db := open(t, clock)
			return eventlogtest.Subject{Log: db.Log(), Reopen: func(*testing.T) eventlog.Log {
				db = db.Reopen()
				return db.Log()
			}}
		})
	})
	t.Run("userstate", func(t *testing.T) {
		userstatetest.Run(t, func(t *testing.T) userstatetest.Subject {
			db := open(t, eventlogtest.NewClock())
			var subject func() userstatetest.Subject
			subject = func() userstatetest.Subject {
				return userstatetest.Subject{Store: db.UserState(), Log: db.Log(), Reopen: func(*testing.T) userstatetest.Subject {
					db = db.Reopen()
					return subject()
				}}
			}
			return subject()
		})
	})
	t.Run("inbox", func(t *testing.T) {
		inboxtest.Run(t, func(t *testing.T) inboxtest.Subject {
			db := open(t, eventlogtest.NewClock())
			return inboxtest.Subject{Inbox: db.Inbox(), Reopen: func(*testing.T) inbox.Inbox {
				db = db.Reopen()
				return db.Inbox()
			}}
		})
	})
	t.Run("documents", func(t *testing.T) {
		documentstest.Run(t, func(t *testing.T) documentstest.Subject {
			db := open(t, eventlogtest.NewClock())
			return documentstest.Subject{Store: db.Documents(), Reopen: func(*testing.T) documents.Store {
				db = db.Reopen()
				return db.Documents()
			}}
		})
	})
}

func TestBenign(t *testing.T) { run(t, memory.Hostile{}) }

func TestHostile(t *testing.T) { run(t, memory.AllHostile()) }
