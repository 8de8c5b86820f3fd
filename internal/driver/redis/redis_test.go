package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"heed/internal/driver/memory"
	"heed/internal/driver/redis/redistest"
	"heed/internal/inbox"
	"heed/internal/inbox/inboxtest"
	"heed/internal/userstate"
	"heed/internal/userstate/userstatetest"
)

// The library's dialing looks once a second whether its pool was closed.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// testConfig is for keys of the test's own.
func testConfig(t testing.TB, addrs ...string) Config {
	t.Helper()
	return Config{Addrs: addrs, Prefix: strings.NewReplacer("#", "-").Replace(t.Name()) + ":"}
}

func testDeps(t testing.TB) Deps {
	return Deps{Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
}

func openState(t testing.TB, cfg Config, db *memory.DB) *State {
	t.Helper()
	s, err := OpenState(t.Context(), cfg, db.Log(), testDeps(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func openInbox(t testing.TB, cfg Config) *Inbox {
	t.Helper()
	s, err := OpenInbox(t.Context(), cfg, testDeps(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func testUserstate(t *testing.T, cfg func(testing.TB) Config) {
	userstatetest.Run(t, func(t *testing.T) userstatetest.Subject {
		cfg := cfg(t)
		db := memory.Open(memory.Config{})
		t.Cleanup(func() { _ = db.Close() })
		var subject func() userstatetest.Subject
		subject = func() userstatetest.Subject {
			s := openState(t, cfg, db)
			return userstatetest.Subject{Store: s, Log: db.Log(), Reopen: func(t *testing.T) userstatetest.Subject {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				return subject()
			}}
		}
		return subject()
	})
}

func testInbox(t *testing.T, cfg func(testing.TB) Config) {
	inboxtest.Run(t, func(t *testing.T) inboxtest.Subject {
		cfg := cfg(t)
		s := openInbox(t, cfg)
		return inboxtest.Subject{Inbox: s, Reopen: func(t *testing.T) inbox.Inbox {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openInbox(t, cfg)
			return s
		}}
	})
}

// TestOneServer holds what needs one server: they share it.
func TestOneServer(t *testing.T) {
	server := redistest.Start(t)
	cfg := func(t testing.TB) Config { return testConfig(t, server.Addr()) }
	t.Run("Userstate", func(t *testing.T) { testUserstate(t, cfg) })
	t.Run("Inbox", func(t *testing.T) { testInbox(t, cfg) })
	t.Run("OtherProcess", func(t *testing.T) { testOtherProcess(t, cfg(t)) })
	t.Run("Partitions", func(t *testing.T) { testPartitions(t, cfg(t)) })
	t.Run("ManyRows", func(t *testing.T) { testManyRows(t, cfg(t)) })
	t.Run("AskedTwice", func(t *testing.T) { testAskedTwice(t, cfg(t)) })
	t.Run("AllOrNothing", func(t *testing.T) { testAllOrNothing(t, cfg(t), server) })
	t.Run("Outbox", func(t *testing.T) { testOutbox(t, cfg(t)) })
	t.Run("TakenByAnother", func(t *testing.T) { testTakenByAnother(t, cfg(t)) })
}

// TestCluster runs the suites on three nodes: a script that touched keys of two
// slots would be refused.
func TestCluster(t *testing.T) {
	nodes := redistest.StartCluster(t, 3)
	cfg := func(t testing.TB) Config { return testConfig(t, nodes[0].Addr(), nodes[2].Addr()) }
	t.Run("Userstate", func(t *testing.T) { testUserstate(t, cfg) })
	t.Run("Inbox", func(t *testing.T) { testInbox(t, cfg) })
	t.Run("OtherProcess", func(t *testing.T) { testOtherProcess(t, cfg(t)) })
	t.Run("SlotMoves", func(t *testing.T) { testSlotMoves(t, cfg(t), nodes) })
	t.Run("NodeRestarts", func(t *testing.T) { testNodeRestarts(t, cfg(t), nodes) })
}

// testOtherProcess: an inbox hears what is put and settled through another one.
func testOtherProcess(t *testing.T, cfg Config) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	gateway, engager := openInbox(t, cfg), openInbox(t, cfg)
	for i := range 50 { // on all shards
		user := fmt.Sprint("u", i)
		wake, leave := gateway.Subscribe(user, user+"-anonymous")
		want := inbox.Settlement{Events: 3, Intents: 2, Done: 1}
		settled, done := gateway.Watch(user)
		engager.Settle(ctx, user, want)
		select {
		case got := <-settled:
			if got != want {
				t.Fatalf("settled %+v, want %+v", got, want)
			}
		case <-ctx.Done():
			t.Fatalf("%s: not settled", user)
		}
		done()
		m := inbox.Message{ID: "id" + user, User: user, Expires: 1000}
		if fresh, err := engager.Put(ctx, m); err != nil || !fresh {
			t.Fatalf("put: %v, %v", fresh, err)
		}
		for {
			select {
			case <-wake:
			case <-ctx.Done():
				t.Fatalf("%s: not woken", user)
			}
			got, err := gateway.Pending(ctx, user, 0, 0)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) == 1 {
				break
			}
		}
		leave()
	}
}

func testPartitions(t *testing.T, cfg Config) {
	openState(t, cfg, memory.Open(memory.Config{Partitions: 4}))
	_, err := OpenState(t.Context(), cfg, memory.Open(memory.Config{Partitions: 8}).Log(), testDeps(t))
	if err == nil || !strings.Contains(err.Error(), `are "1 4", not "1 8"`) {
		t.Errorf("other partitions: %v", err)
	}
}

// testManyRows: a commit of more rows than one call of a script's command takes.
func testManyRows(t *testing.T, cfg Config) {
	const n = 25_000
	s := openState(t, cfg, memory.Open(memory.Config{Partitions: 1}))
	p, err := s.Open(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	c := userstate.Commit{Next: 1}
	var users []string
	for i := range n {
		user := fmt.Sprintf("u%05d", i)
		users = append(users, user)
		c.Rows = append(c.Rows, userstate.Row{Kind: userstate.Rows, User: user, Value: []byte(user)})
		c.Set = append(c.Set, userstate.Timer{Deadline: int64(i), User: user})
	}
	if err := p.Commit(t.Context(), &c); err != nil {
		t.Fatal(err)
	}
	check := func(want int) {
		t.Helper()
		due, err := p.Due(t.Context(), 1<<60, n)
		rows, err2 := s.Scan(t.Context(), 0, userstate.Rows, "", "", n)
		values, err3 := p.Load(t.Context(), userstate.Rows, users)
		if err := errors.Join(err, err2, err3); err != nil || len(due) != want || len(rows) != want {
			t.Fatalf("%d timers, %d rows, %v; want %d", len(due), len(rows), err, want)
		}
		for i, v := range values {
			if has := i >= n-want; has != (string(v) == users[i]) || !has && v != nil {
				t.Fatalf("value of %s: %q", users[i], v)
			}
		}
	}
	check(n)
	next := userstate.Commit{Base: 1, Next: 2, Clear: c.Set[:n-10]}
	for _, user := range users[:n-10] {
		next.Rows = append(next.Rows, userstate.Row{Kind: userstate.Rows, User: user})
	}
	next.Rows = append(next.Rows, // of the same user twice: the last counts
		userstate.Row{Kind: userstate.Rows, User: users[n-1]}, userstate.Row{Kind: userstate.Rows, User: users[n-1], Value: []byte(users[n-1])})
	if err := p.Commit(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	check(10)
	huge := userstate.Commit{Base: 2, Next: 3, Meta: make([]byte, maxCommitBytes+1)}
	if err := p.Commit(t.Context(), &huge); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a commit that would block the server: %v", err)
	}
}
