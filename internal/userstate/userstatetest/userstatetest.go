// Package userstatetest owns the conformance suite of userstate: what every
// driver must do. A commit may be fenced at any time, as after a reassignment;
// then nothing of it was applied.
package userstatetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/userstate"
)

// wait bounds everything that should happen at once.
const wait = 30 * time.Second

// Subject is a store under test, and the log that its intents go to.
type Subject struct {
	Store userstate.Store
	Log   eventlog.Log
	// Reopen closes the store and opens it again, as after a restart. Nil
	// skips what needs it.
	Reopen func(t *testing.T) Subject
}

// Run runs the suite. Each test opens a fresh, empty store.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	tests := []struct {
		name string
		run  func(*suite)
	}{
		{"Commit", commit},
		{"Fence", fence},
		{"WrongOffset", wrongOffset},
		{"Timers", timers},
		{"Intents", intents},
		{"IntentsBesideAppend", intentsBesideAppend},
		{"Scan", scan},
		{"Load", load},
		{"Ownership", ownership},
		{"Model", model},
		{"Close", closing},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			test.run(&suite{T: t, ctx: ctx, subject: open(t)})
		})
	}
}

type suite struct {
	*testing.T
	ctx     context.Context // one test's deadline
	subject Subject
}

func (s *suite) open(partition int) userstate.Partition {
	s.Helper()
	p, err := s.subject.Store.Open(s.ctx, partition)
	if err != nil {
		s.Fatalf("open %d: %v", partition, err)
	}
	return p
}

func (s *suite) reopen() {
	s.Helper()
	if s.subject.Reopen != nil {
		s.subject = s.subject.Reopen(s.T)
	}
}

// owned is a partition that is taken again whenever it is fenced.
type owned struct {
	*suite
	number int
	p      userstate.Partition
	next   uint64
}

func (s *suite) own(partition int) *owned {
	p := s.open(partition)
	return &owned{suite: s, number: partition, p: p, next: p.Next()}
}

// commit consumes one more event; c's offsets are filled in.
func (o *owned) commit(c userstate.Commit) {
	o.Helper()
	c.Base, c.Next = o.next, o.next+1
	for {
		err := o.p.Commit(o.ctx, &c)
		if err == nil {
			break
		}
		if !errors.Is(err, userstate.ErrFenced) {
			o.Fatalf("commit at %d: %v", c.Base, err)
		}
		o.p = o.open(o.number)
		if n := o.p.Next(); n != c.Base {
			o.Fatalf("a fenced commit moved the offset from %d to %d", c.Base, n)
		}
	}
	o.next = c.Next
	if n := o.p.Next(); n != o.next {
		o.Fatalf("next is %d after a commit to %d", n, o.next)
	}
}

func (s *suite) get(partition int, kind userstate.Kind, user, want string) {
	s.Helper()
	got, err := s.subject.Store.Get(s.ctx, partition, kind, user)
	if err != nil {
		s.Fatalf("get %c/%q: %v", kind, user, err)
	}
	if want == "" && got != nil || string(got) != want {
		s.Fatalf("get %c/%q: %q, want %q", kind, user, got, want)
	}
}

func row(kind userstate.Kind, user, value string) userstate.Row {
	return userstate.Row{Kind: kind, User: user, Value: []byte(value)}
}

func commit(s *suite) {
	o := s.own(1)
	if o.next != 0 || o.p.Meta() != nil {
		s.Fatalf("a new partition is at %d with meta %q", o.next, o.p.Meta())
	}
	o.commit(userstate.Commit{
		Rows: []userstate.Row{row(userstate.Rows, "u", "rows"), row(userstate.Profile, "u", "profile"), row(userstate.Rows, "v", "other")},
		Meta: []byte("meta"),
	})
	check := func() {
		s.Helper()
		s.get(1, userstate.Rows, "u", "rows")
		s.get(1, userstate.Profile, "u", "profile")
		s.get(1, userstate.Profile, "v", "")
		s.get(2, userstate.Rows, "u", "")
		if p := s.open(1); p.Next() != 1 || string(p.Meta()) != "meta" {
			s.Fatalf("next %d, meta %q", p.Next(), p.Meta())
		}
		if p := s.open(2); p.Next() != 0 || p.Meta() != nil {
			s.Fatalf("partition 2: next %d, meta %q", p.Next(), p.Meta())
		}
	}
	check()
	s.reopen()
	check()
	o = s.own(1)
	o.commit(userstate.Commit{Rows: []userstate.Row{{Kind: userstate.Rows, User: "u"}}})
	s.get(1, userstate.Rows, "u", "")
	if string(o.p.Meta()) != "meta" {
		s.Fatalf("a commit without meta left %q", o.p.Meta())
	}
	// A step may skip offsets that the log does not use.
	c := userstate.Commit{Base: 2, Next: 17, Rows: []userstate.Row{row(userstate.Rows, "u", "later")}}
	for errors.Is(o.p.Commit(s.ctx, &c), userstate.ErrFenced) {
		o.p = s.open(1)
	}
	if n := o.p.Next(); n != 17 {
		s.Fatalf("next is %d", n)
	}
}

func fence(s *suite) {
	first := s.open(0)
	second := s.own(0)
	err := first.Commit(s.ctx, &userstate.Commit{Base: 0, Next: 1, Rows: []userstate.Row{row(userstate.Rows, "u", "zombie")}})
	if !errors.Is(err, userstate.ErrFenced) {
		s.Fatalf("commit of a former owner: %v", err)
	}
	s.get(0, userstate.Rows, "u", "")
	second.commit(userstate.Commit{Rows: []userstate.Row{row(userstate.Rows, "u", "owner")}})
	err = first.Commit(s.ctx, &userstate.Commit{Base: 1, Next: 2, Rows: []userstate.Row{row(userstate.Rows, "u", "zombie")}})
	if !errors.Is(err, userstate.ErrFenced) {
		s.Fatalf("commit of a former owner: %v", err)
	}
	s.get(0, userstate.Rows, "u", "owner")
}

func wrongOffset(s *suite) {
	o := s.own(0)
	o.commit(userstate.Commit{})
	for _, c := range []userstate.Commit{{Base: 0, Next: 1}, {Base: 2, Next: 3}, {Base: 1, Next: 0}} {
		c.Rows = []userstate.Row{row(userstate.Rows, "u", "wrong")}
		c.Intents = []event.Intent{{FireID: "f", User: "u", Trigger: "t"}}
		if err := o.p.Commit(s.ctx, &c); !errors.Is(err, userstate.ErrFenced) {
			s.Fatalf("commit [%d, %d) at 1: %v", c.Base, c.Next, err)
		}
	}
	s.get(0, userstate.Rows, "u", "")
	if got := s.intents(0); len(got) != 0 {
		s.Fatalf("refused commits left intents %+v", got)
	}
}

func (o *owned) due(until int64, limit int) []userstate.Timer {
	o.Helper()
	got, err := o.p.Due(o.ctx, until, limit)
	for errors.Is(err, userstate.ErrFenced) {
		o.p = o.open(o.number)
		got, err = o.p.Due(o.ctx, until, limit)
	}
	if err != nil {
		o.Fatalf("due: %v", err)
	}
	return got
}

func timers(s *suite) {
	o := s.own(0)
	other := s.own(1)
	other.commit(userstate.Commit{Set: []userstate.Timer{{Deadline: 1, User: "elsewhere"}}})
	due := func(until int64, limit int, want ...userstate.Timer) {
		s.Helper()
		if diff := cmp.Diff(want, o.due(until, limit), cmpopts.EquateEmpty()); diff != "" {
			s.Fatalf("due until %d (-want +got):\n%s", until, diff)
		}
	}
	t := func(deadline int64, user string) userstate.Timer {
		return userstate.Timer{Deadline: deadline, User: user}
	}
	due(1<<60, 10)
	o.commit(userstate.Commit{Set: []userstate.Timer{t(300, "a"), t(200, "b"), t(200, "a"), t(100, "c"), t(70_000, "a")}})
	due(99, 10)
	due(100, 10, t(100, "c"))
	due(300, 10, t(100, "c"), t(200, "a"), t(200, "b"), t(300, "a"))
	due(300, 2, t(100, "c"), t(200, "a"))
	o.commit(userstate.Commit{Clear: []userstate.Timer{t(100, "c"), t(200, "a"), t(999, "none")}})
	due(300, 10, t(200, "b"), t(300, "a"))
	o.commit(userstate.Commit{Set: []userstate.Timer{t(50, "early"), t(200, "b")}})
	due(300, 10, t(50, "early"), t(200, "b"), t(300, "a"))
	o.commit(userstate.Commit{Clear: []userstate.Timer{t(50, "early"), t(200, "b"), t(300, "a")}})
	due(1000, 10)
	o.commit(userstate.Commit{Set: []userstate.Timer{t(400, "again")}})
	due(1000, 10, t(400, "again"))
	o.commit(userstate.Commit{Clear: []userstate.Timer{t(400, "again")}, Set: []userstate.Timer{t(500, "again"), t(-5, "before the epoch")}})
	due(1000, 10, t(-5, "before the epoch"), t(500, "again"))
	s.reopen()
	o = s.own(0)
	due(1000, 10, t(-5, "before the epoch"), t(500, "again"))
	due(1<<60, 10, t(-5, "before the epoch"), t(500, "again"), t(70_000, "a"))
}

// intents reads the stream of intents as far as it goes.
func (s *suite) intents(partition int) []event.Intent {
	s.Helper()
	b, err := s.subject.Log.Bounds(s.ctx, eventlog.Intents, partition)
	if err != nil {
		s.Fatal(err)
	}
	r, err := s.subject.Log.Read(s.ctx, eventlog.Intents, partition, b.First)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	var out []event.Intent
	for next := b.First; next < b.Next; {
		c, err := r.Next(s.ctx)
		if err != nil {
			s.Fatalf("intents at %d: %v", next, err)
		}
		if c.Next() <= next {
			continue
		}
		next = c.Next()
		data := c.Data
		for range c.Count {
			var in event.Intent
			n, err := event.DecodeIntent(data, &in)
			if err != nil {
				s.Fatalf("intent at %d: %v", c.Base, err)
			}
			data = data[n:]
			out = append(out, in)
		}
		if len(data) > 0 {
			s.Fatalf("%d bytes behind the intents at %d", len(data), c.Base)
		}
	}
	return out
}

func intent(user string, n int) event.Intent {
	return event.Intent{
		FireID: fmt.Sprintf("%032x", n), User: user, Trigger: "three-wins", Key: "k", At: int64(n),
		Offset: uint64(n), CauseID: fmt.Sprint("m", n), ReplyTo: "token", Depth: 1,
	}
}

func intents(s *suite) {
	r, err := s.subject.Log.Read(s.ctx, eventlog.Intents, 3, 0)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	woken := make(chan error)
	go func() {
		_, err := r.Next(s.ctx)
		woken <- err
	}()
	o := s.own(3)
	var want []event.Intent
	for i := range 20 {
		var c userstate.Commit
		for j := range i % 3 {
			c.Intents = append(c.Intents, intent("u", 3*i+j))
		}
		want = append(want, c.Intents...)
		o.commit(c)
	}
	if err := <-woken; err != nil {
		s.Fatalf("a waiting reader gets %v", err)
	}
	if diff := cmp.Diff(want, s.intents(3)); diff != "" {
		s.Fatalf("intents (-want +got):\n%s", diff)
	}
	if got := s.intents(0); len(got) != 0 {
		s.Fatalf("intents in another partition: %+v", got)
	}
	s.reopen()
	if diff := cmp.Diff(want, s.intents(3)); diff != "" {
		s.Fatalf("intents after reopening (-want +got):\n%s", diff)
	}
}

// intentsBesideAppend lets schedules append while the Decider commits.
func intentsBesideAppend(s *suite) {
	const n = 100
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range n {
			in := intent("scheduled", i)
			b := &eventlog.Batch{Partition: 0, Data: event.AppendIntent(nil, &in)}
			b.Ends = []int{len(b.Data)}
			for {
				err := s.subject.Log.Append(s.ctx, eventlog.Intents, []*eventlog.Batch{b})
				if err == nil {
					break
				}
				if !errors.Is(err, eventlog.ErrUnavailable) {
					s.Errorf("append: %v", err)
					return
				}
			}
		}
	}()
	o := s.own(0)
	for i := range n {
		o.commit(userstate.Commit{Intents: []event.Intent{intent("decided", i)}})
	}
	<-done
	at := make(map[string]int64)
	for _, in := range s.intents(0) {
		if in.At > at[in.User] || in.At < at[in.User]-1 { // an append may be seen twice: it was not acknowledged
			s.Fatalf("intent %d of %s comes when %d was due", in.At, in.User, at[in.User])
		}
		at[in.User] = in.At + 1
	}
	if at["scheduled"] != n || at["decided"] != n {
		s.Fatalf("intents %v", at)
	}
}

func scan(s *suite) {
	o := s.own(0)
	var c userstate.Commit
	for _, user := range []string{"b", "a2", "a1", "a", "ab", "c", "a\xff"} {
		c.Rows = append(c.Rows, row(userstate.Profile, user, "p"+user), row(userstate.Rows, "r"+user, "r"))
	}
	o.commit(c)
	s.own(1).commit(userstate.Commit{Rows: []userstate.Row{row(userstate.Profile, "a3", "x")}})
	check := func(prefix, after string, limit int, want ...string) {
		s.Helper()
		rows, err := s.subject.Store.Scan(s.ctx, 0, userstate.Profile, prefix, after, limit)
		if err != nil {
			s.Fatal(err)
		}
		var got []string
		for _, r := range rows {
			if string(r.Value) != "p"+r.User || r.Kind != userstate.Profile {
				s.Fatalf("row %+v", r)
			}
			got = append(got, r.User)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			s.Fatalf("scan %q behind %q (-want +got):\n%s", prefix, after, diff)
		}
	}
	check("", "", 100, "a", "a1", "a2", "ab", "a\xff", "b", "c")
	check("a", "", 100, "a", "a1", "a2", "ab", "a\xff")
	check("a", "a1", 2, "a2", "ab")
	check("a\xff", "", 100, "a\xff")
	check("", "b", 100, "c")
	check("z", "", 100)
}

func load(s *suite) {
	o := s.own(0)
	var c userstate.Commit
	var users []string
	for i := range 500 {
		user := fmt.Sprint("user", i*7919%500)
		users = append(users, user)
		if i%3 != 0 {
			c.Rows = append(c.Rows, row(userstate.Rows, user, "value of "+user))
		}
	}
	o.commit(c)
	s.reopen()
	o = s.own(0)
	users = append(users, users[1], "nobody", "") // twice, and absent
	got, err := o.p.Load(s.ctx, userstate.Rows, users)
	if err != nil || len(got) != len(users) {
		s.Fatalf("load: %d of %d, %v", len(got), len(users), err)
	}
	for i, user := range users {
		want := "value of " + user
		if i < 500 && i%3 == 0 || i > 500 {
			want = ""
		}
		if string(got[i]) != want || want == "" && got[i] != nil {
			s.Fatalf("load %s: %q", user, got[i])
		}
	}
	if got, err := o.p.Load(s.ctx, userstate.Profile, users[:3]); err != nil || got[1] != nil {
		s.Fatalf("load of another kind: %q, %v", got, err)
	}
	if got, err := o.p.Load(s.ctx, userstate.Rows, nil); err != nil || len(got) != 0 {
		s.Fatalf("load of nobody: %q, %v", got, err)
	}
}

func ownership(s *suite) {
	o := s.own(0)
	value, meta := []byte("before"), []byte("before")
	o.commit(userstate.Commit{Rows: []userstate.Row{{Kind: userstate.Rows, User: "u", Value: value}}, Meta: meta})
	copy(value, "XXXXXX")
	copy(meta, "XXXXXX")
	s.get(0, userstate.Rows, "u", "before")
	if string(o.p.Meta()) != "before" {
		s.Fatalf("meta %q", o.p.Meta())
	}
	got, err := o.p.Load(s.ctx, userstate.Rows, []string{"u"})
	if err != nil {
		s.Fatal(err)
	}
	copy(got[0], "XXXXXX")
	s.get(0, userstate.Rows, "u", "before")
}

// model compares a random history with maps.
func model(s *suite) {
	r := rand.New(rand.NewPCG(1, 2))
	o := s.own(0)
	rows := make(map[string]string)
	set := make(map[userstate.Timer]bool)
	for step := range 300 {
		var c userstate.Commit
		touched := make(map[string]bool)
		for range r.IntN(6) {
			user := fmt.Sprint("u", r.IntN(40))
			if touched[user] {
				continue
			}
			touched[user] = true
			if r.IntN(4) == 0 {
				delete(rows, user)
				c.Rows = append(c.Rows, userstate.Row{Kind: userstate.Rows, User: user})
			} else {
				rows[user] = fmt.Sprint(step)
				c.Rows = append(c.Rows, row(userstate.Rows, user, rows[user]))
			}
			t := userstate.Timer{Deadline: int64(step + r.IntN(50)), User: user}
			if !set[t] {
				set[t] = true
				c.Set = append(c.Set, t)
			}
		}
		due := o.due(int64(step), 3)
		for _, t := range due {
			if !set[t] {
				s.Fatalf("step %d: timer %+v is due and was never set, or cleared", step, t)
			}
			if !slices.Contains(c.Set, t) {
				delete(set, t)
				c.Clear = append(c.Clear, t)
			}
		}
		o.commit(c)
		if step%60 == 59 {
			s.reopen()
			o = s.own(0)
		}
	}
	for i := range 40 {
		user := fmt.Sprint("u", i)
		s.get(0, userstate.Rows, user, rows[user])
	}
	var want []userstate.Timer
	for t := range set {
		want = append(want, t)
	}
	slices.SortFunc(want, func(a, b userstate.Timer) int {
		if a.Deadline != b.Deadline {
			return int(a.Deadline - b.Deadline)
		}
		return strings.Compare(a.User, b.User)
	})
	if diff := cmp.Diff(want, o.due(1<<50, 1<<20)); diff != "" {
		s.Fatalf("timers (-want +got):\n%s", diff)
	}
}

func closing(s *suite) {
	o := s.open(0)
	if err := s.subject.Store.Close(); err != nil {
		s.Fatal(err)
	}
	if _, err := s.subject.Store.Open(s.ctx, 0); !errors.Is(err, userstate.ErrClosed) {
		s.Errorf("open after close: %v", err)
	}
	if err := o.Commit(s.ctx, &userstate.Commit{Base: 0, Next: 1}); !errors.Is(err, userstate.ErrClosed) {
		s.Errorf("commit after close: %v", err)
	}
	if err := s.subject.Store.Close(); err != nil {
		s.Errorf("close again: %v", err)
	}
}
