package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"heed/internal/driver/memory"
	"heed/internal/driver/redis/redistest"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/userstate"
)

func take(t testing.TB, s *State, partition int) *owner {
	t.Helper()
	p, err := s.Open(t.Context(), partition)
	if err != nil {
		t.Fatal(err)
	}
	return p.(*owner)
}

func value(user, value string) userstate.Row {
	return userstate.Row{Kind: userstate.Rows, User: user, Value: []byte(value)}
}

func wantValue(t testing.TB, s *State, user, want string) {
	t.Helper()
	got, err := s.Get(t.Context(), 0, userstate.Rows, user)
	if err != nil || string(got) != want || (got == nil) != (want == "") {
		t.Errorf("%s has %q, %v; want %q", user, got, err, want)
	}
}

// testAskedTwice: a commit whose answer got lost is sent again.
func testAskedTwice(t *testing.T, cfg Config) {
	db := memory.Open(memory.Config{Partitions: 1})
	s := openState(t, cfg, db)
	o := take(t, s, 0)
	first := userstate.Commit{Next: 7, Rows: []userstate.Row{value("u", "first")}, Intents: []event.Intent{{FireID: "f", User: "u"}}}
	intents := event.AppendIntent(nil, &first.Intents[0])
	keys, args, _ := o.step(&first, intents)
	send := func(keys []string, args []any, want int64) {
		t.Helper()
		answer, err := s.run(t.Context(), s.commit, keys, args...)
		if said, ok := answer.([]any); err != nil || !ok || said[0] != want {
			t.Fatalf("answer %v, %v; want %d", answer, err, want)
		}
	}
	send(keys, args, 1)
	send(keys, args, 2)
	if n, err := s.client.XLen(t.Context(), o.keys.out).Result(); n != 1 || err != nil {
		t.Errorf("%d entries in the outbox, %v: one step was applied", n, err)
	}
	if err := o.Commit(t.Context(), &first); err != nil { // the owner knows of none
		t.Fatal(err)
	}
	if o.Next() != 7 {
		t.Errorf("next is %d", o.Next())
	}
	// A step that moves no offset is told apart as well.
	still := userstate.Commit{Base: 7, Next: 7, Rows: []userstate.Row{value("u", "second")}}
	keys, args, _ = o.step(&still, nil)
	send(keys, args, 1)
	send(keys, args, 2)
	if err := o.Commit(t.Context(), &still); err != nil {
		t.Fatal(err)
	}
	if err := o.Commit(t.Context(), &userstate.Commit{Base: 7, Next: 8, Rows: []userstate.Row{value("u", "third")}}); err != nil {
		t.Fatal(err)
	}
	send(keys, args, 0) // it was long under way
	wantValue(t, s, "u", "third")
	if n := intentsOf(t, db.Log(), 0); len(n) != 1 || n["f"] != 1 {
		t.Errorf("intents %v", n)
	}
}

// testAllOrNothing: readers see whole steps only, and a server without memory
// refuses whole ones.
func testAllOrNothing(t *testing.T, cfg Config, server *redistest.Server) {
	s := openState(t, cfg, memory.Open(memory.Config{Partitions: 1}))
	o := take(t, s, 0)
	both := func(n int) userstate.Commit {
		return userstate.Commit{Base: uint64(n), Next: uint64(n) + 1, Rows: []userstate.Row{value("a", fmt.Sprint(n)), value("b", fmt.Sprint(n))}}
	}
	done := make(chan error)
	go func() {
		for n := range 500 {
			c := both(n)
			if err := o.Commit(t.Context(), &c); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for seen, going := 0, true; going; seen++ {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			going = false
		default:
		}
		rows, err := s.Scan(t.Context(), 0, userstate.Rows, "", "", 10)
		if err != nil || len(rows) != 0 && (len(rows) != 2 || string(rows[0].Value) != string(rows[1].Value)) {
			t.Fatalf("rows %q, %v", rows, err)
		}
	}

	cfg.Timeout = faultTimeout
	s = openState(t, cfg, memory.Open(memory.Config{Partitions: 1}))
	o = take(t, s, 0)
	server.Set("maxmemory", "1")
	c := both(500)
	err := o.Commit(t.Context(), &c)
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "maxmemory: raise it") {
		t.Errorf("commit without memory: %v", err)
	}
	if again := o.Commit(t.Context(), &c); again == nil {
		t.Error("an owner that does not know how far it came goes on")
	}
	wantValue(t, s, "a", "499")
	wantValue(t, s, "b", "499")
	server.Set("maxmemory", "0")
	o = take(t, s, 0)
	if o.Next() != 500 {
		t.Errorf("next is %d", o.Next())
	}
	if err := o.Commit(t.Context(), &c); err != nil {
		t.Error(err)
	}
}

// flakyLog refuses appends for a while; lossy ones it has written before.
type flakyLog struct {
	eventlog.Log
	refuses, lossy atomic.Bool
}

func (l *flakyLog) Append(ctx context.Context, s eventlog.Stream, batches []*eventlog.Batch) error {
	if l.refuses.Load() {
		return eventlog.ErrUnavailable
	}
	err := l.Log.Append(ctx, s, batches)
	if l.lossy.Load() {
		return eventlog.ErrUnavailable
	}
	return err
}

// intentsOf counts the intents of a partition by fire id.
func intentsOf(t testing.TB, log eventlog.Log, partition int) map[string]int {
	t.Helper()
	out := make(map[string]int)
	r, err := log.Read(t.Context(), eventlog.Intents, partition, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	for {
		c, ok, err := r.TryNext()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return out
		}
		for data := c.Data; len(data) > 0; {
			var in event.Intent
			n, err := event.DecodeIntent(data, &in)
			if err != nil {
				t.Fatal(err)
			}
			out[strings.Clone(in.FireID)]++
			data = data[n:]
		}
	}
}

// testOutbox: intents of a commit outlive a log that does not take them.
func testOutbox(t *testing.T, cfg Config) {
	db := memory.Open(memory.Config{Partitions: 1})
	log := &flakyLog{Log: db.Log()}
	s, err := OpenState(t.Context(), cfg, log, testDeps(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	commit := func(n int) error {
		o := take(t, s, 0)
		return o.Commit(t.Context(), &userstate.Commit{
			Base: uint64(n), Next: uint64(n) + 1,
			Intents: []event.Intent{{FireID: fmt.Sprint(n, "a"), User: "u"}, {FireID: fmt.Sprint(n, "b"), User: "u"}},
		})
	}
	if err := commit(0); err != nil {
		t.Fatal(err)
	}
	log.refuses.Store(true)
	if err := commit(1); !errors.Is(err, eventlog.ErrUnavailable) {
		t.Fatalf("commit without a log: %v", err)
	}
	if _, err := s.Open(t.Context(), 0); !errors.Is(err, eventlog.ErrUnavailable) {
		t.Fatalf("open without a log: %v", err)
	}
	log.refuses.Store(false)
	log.lossy.Store(true)
	if _, err := s.Open(t.Context(), 0); !errors.Is(err, eventlog.ErrUnavailable) {
		t.Fatalf("open with a log that does not acknowledge: %v", err)
	}
	log.lossy.Store(false)
	if o := take(t, s, 0); o.Next() != 2 {
		t.Fatalf("next is %d: the commit was applied", o.Next())
	}
	if err := commit(2); err != nil {
		t.Fatal(err)
	}
	got := intentsOf(t, db.Log(), 0)
	if len(got) != 6 || got["0a"] != 1 || got["1a"] != 2 || got["1b"] != 2 || got["2b"] != 1 {
		t.Errorf("intents %v: all are there, and only the unacknowledged come twice", got)
	}
	if n, err := s.client.XLen(t.Context(), s.keys[0].out).Result(); n != 0 || err != nil {
		t.Errorf("%d entries are left in the outbox, %v", n, err)
	}
}

// testTakenByAnother: a former owner, in another process, is told so by whatever it does.
func testTakenByAnother(t *testing.T, cfg Config) {
	db := memory.Open(memory.Config{Partitions: 1})
	zombies := openState(t, cfg, db)
	s := openState(t, cfg, db)
	for name, act := range map[string]func(userstate.Partition) error{
		"load": func(p userstate.Partition) error {
			_, err := p.Load(t.Context(), userstate.Rows, []string{"u"})
			return err
		},
		"due": func(p userstate.Partition) error {
			_, err := p.Due(t.Context(), 1, 1)
			return err
		},
		"commit": func(p userstate.Partition) error {
			return p.Commit(t.Context(), &userstate.Commit{Base: p.Next(), Next: p.Next() + 1, Rows: []userstate.Row{value("u", "zombie")}})
		},
	} {
		zombie := take(t, zombies, 0)
		o := take(t, s, 0)
		if o.epoch <= zombie.epoch {
			t.Errorf("epoch %s follows %s", o.epoch, zombie.epoch)
		}
		if err := act(zombie); !errors.Is(err, userstate.ErrFenced) {
			t.Errorf("%s of a former owner: %v", name, err)
		}
		if err := o.Commit(t.Context(), &userstate.Commit{Base: o.Next(), Next: o.Next() + 1, Rows: []userstate.Row{value("u", "owner")}}); err != nil {
			t.Error(err)
		}
	}
	wantValue(t, s, "u", "owner")
}
