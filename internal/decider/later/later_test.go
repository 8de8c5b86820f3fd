package later

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/userstate"
)

// refusing is a log that takes nothing while it is told so.
type refusing struct {
	eventlog.Log
	mu    sync.Mutex
	err   error
	tried int
}

// refuse makes it answer with an error from now on, or take everything (nil). It
// tells how often it was tried.
func (r *refusing) refuse(err error) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	return r.tried
}

func (r *refusing) Append(ctx context.Context, s eventlog.Stream, b []*eventlog.Batch) error {
	r.mu.Lock()
	r.tried++
	err := r.err
	r.mu.Unlock()
	if err != nil {
		return err
	}
	return r.Log.Append(ctx, s, b)
}

// owner commits rows as a Decider does.
type owner struct {
	t       *testing.T
	log     *refusing
	state   userstate.Store
	part    userstate.Partition
	q       *Queue
	corrupt int
}

func newOwner(t *testing.T) *owner {
	db := memory.Open(memory.Config{Partitions: 1, Seed: 1})
	o := &owner{t: t, log: &refusing{Log: db.Log()}, state: db.UserState()}
	o.open()
	return o
}

// open takes the partition, as after a crash.
func (o *owner) open() {
	o.t.Helper()
	var err error
	if o.part, err = o.state.Open(o.t.Context(), 0); err != nil {
		o.t.Fatal(err)
	}
	o.q = &Queue{
		Kind: userstate.Sessions, Prefix: "s", Log: o.log, State: o.state, Logger: slog.New(slog.DiscardHandler),
		Corrupt: func() { o.corrupt++ },
	}
	o.q.Forget()
	for _, r := range o.stored() {
		if !o.q.Found(r.User) {
			o.t.Fatalf("row %q is not known", r.User)
		}
	}
}

func (o *owner) stored() []userstate.Row {
	o.t.Helper()
	rows, err := o.state.Scan(o.t.Context(), 0, userstate.Sessions, "", "", 1000)
	if err != nil {
		o.t.Fatal(err)
	}
	return rows
}

func (o *owner) commit(rows [][]byte) {
	o.t.Helper()
	c := &userstate.Commit{Base: o.part.Next(), Next: o.part.Next()}
	o.q.Rows(rows, func(name string, value []byte) {
		c.Rows = append(c.Rows, userstate.Row{Kind: userstate.Sessions, User: name, Value: value})
	})
	if err := o.part.Commit(o.t.Context(), c); err != nil {
		o.t.Fatal(err)
	}
	o.q.Committed(rows)
}

func rowsOf(from, to, size int) (rows [][]byte) {
	for i := from; i < to; i++ {
		rows = Add(rows, &event.Event{
			MessageID: fmt.Sprintf("m%d", i), Type: event.Track, Name: "a", UserID: "ann", Source: event.SourceHeed,
			Context: event.Context{UserAgent: strings.Repeat("x", size)},
		})
	}
	return rows
}

// appended are the message ids in the log.
func (o *owner) appended() (ids []string) {
	o.t.Helper()
	r, err := o.log.Read(o.t.Context(), eventlog.Events, 0, 0)
	if err != nil {
		o.t.Fatal(err)
	}
	for {
		c, ok, err := r.TryNext()
		if err != nil {
			o.t.Fatal(err)
		}
		if !ok {
			return ids
		}
		d := event.NewDecoder(c.Data)
		var e event.Event
		for range c.Count {
			if _, err := d.Next(&e); err != nil {
				o.t.Fatal(err)
			}
			ids = append(ids, e.MessageID)
		}
	}
}

func (o *owner) wantInOrder(n int) {
	o.t.Helper()
	ids := o.appended()
	if len(ids) != n {
		o.t.Fatalf("%d events are in the log, want %d", len(ids), n)
	}
	for i, id := range ids {
		if id != fmt.Sprintf("m%d", i) {
			o.t.Fatalf("event %d is %s", i, id)
		}
	}
}

func TestAppendedOnceAndForgotten(t *testing.T) {
	o := newOwner(t)
	o.commit(rowsOf(0, 3, 0))
	o.commit(nil)
	o.commit(rowsOf(3, 5, 0))
	if n := len(o.stored()); n != 2 || o.q.Pending() != 2 {
		t.Fatalf("%d rows are stored, %d wait", n, o.q.Pending())
	}
	if err := o.q.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.wantInOrder(5)
	o.open() // a crash before the rows are removed
	if err := o.q.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.wantInOrder(5)
	o.commit(rowsOf(5, 6, 0))
	if n := len(o.stored()); n != 1 {
		t.Errorf("%d rows are stored", n)
	}
	o.open() // a crash before anything of it was appended
	if err := o.q.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.wantInOrder(6)
	o.commit(nil)
	if n := len(o.stored()); n != 0 || o.q.Pending() != 0 {
		t.Errorf("%d rows are stored, %d wait", n, o.q.Pending())
	}
}

// What does not fit in memory waits in the store.
func TestMemoryIsBounded(t *testing.T) {
	o := newOwner(t)
	o.log.refuse(eventlog.ErrDiskFull)
	n := 0
	for range 40 {
		rows := rowsOf(n, n+1000, 250)
		if len(rows) < 4 {
			t.Fatalf("%d rows", len(rows))
		}
		n += 1000
		o.commit(rows)
		if err := o.q.Flush(t.Context()); !errors.Is(err, eventlog.ErrDiskFull) {
			t.Fatal(err)
		}
	}
	held := 0
	for _, r := range o.q.rows {
		held += len(r.data)
	}
	if held > maxHeld || held != o.q.held || n*250 < 2*maxHeld {
		t.Errorf("%d bytes in memory, counted as %d", held, o.q.held)
	}
	o.log.refuse(nil)
	if err := o.q.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.wantInOrder(n)
	if o.q.held != 0 {
		t.Errorf("%d bytes are counted as held", o.q.held)
	}
}

func TestUnreadableRowsAreSkipped(t *testing.T) {
	o := newOwner(t)
	good := rowsOf(0, 1, 0)
	cut := rowsOf(7, 8, 0)
	cut[0] = cut[0][:len(cut[0])-3]
	o.commit(good)
	o.commit([][]byte{{9, 9}})
	o.commit(cut)
	o.commit(rowsOf(1, 2, 0))
	if err := o.q.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.wantInOrder(2)
	if o.corrupt != 2 {
		t.Errorf("%d were counted", o.corrupt)
	}
}

// A log that refuses is tried again, less and less often, and commits go on.
func TestRunTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner(t)
		o.log.refuse(eventlog.ErrUnavailable)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			o.q.Run(ctx)
		}()
		o.commit(rowsOf(0, 2, 0))
		time.Sleep(time.Minute)
		synctest.Wait()
		o.commit(rowsOf(2, 4, 0))
		if tried := o.log.refuse(nil); tried < 5 || tried > 40 {
			t.Errorf("tried %d times in a minute", tried)
		}
		time.Sleep(2 * maxBackoff)
		synctest.Wait()
		o.wantInOrder(4)
		o.commit(rowsOf(4, 5, 0))
		synctest.Wait()
		o.wantInOrder(5)
		cancel()
		<-ended
	})
}
