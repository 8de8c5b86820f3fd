// Package inboxtest owns the conformance suite of inbox: what every driver must
// do. Wakes may come for nothing; they must not be missing.
package inboxtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heed/internal/inbox"
)

// wait bounds everything that should happen at once.
const wait = 30 * time.Second

// Subject is an inbox under test.
type Subject struct {
	Inbox inbox.Inbox
	// Reopen closes the inbox and opens it again, as after a restart. Nil
	// skips what needs it.
	Reopen func(t *testing.T) inbox.Inbox
}

// Run runs the suite. Each test opens a fresh, empty inbox.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	tests := []struct {
		name string
		run  func(*suite)
	}{
		{"PutAndPending", putAndPending},
		{"PutAgain", putAgain},
		{"Advance", advance},
		{"Expire", expire},
		{"OrderAcrossReopen", orderAcrossReopen},
		{"Subscribe", subscribe},
		{"Settle", settle},
		{"Concurrent", concurrent},
		{"Refusals", refusals},
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

func (s *suite) in() inbox.Inbox { return s.subject.Inbox }

func message(user, id string) inbox.Message {
	return inbox.Message{
		ID: id, User: user, Campaign: "winners", Template: "wow", Kind: "popup", Slot: "top",
		HTML: "<h2>+50 %</h2>", Created: 100, Expires: 1000, CauseID: "m-" + id, ReplyTo: "token",
		Personal: true, Depth: 2, Test: true,
	}
}

func (s *suite) put(m inbox.Message) bool {
	s.Helper()
	fresh, err := s.in().Put(s.ctx, m)
	if err != nil {
		s.Fatalf("put %s: %v", m.ID, err)
	}
	return fresh
}

func (s *suite) pending(user string, after uint64, now int64) []inbox.Message {
	s.Helper()
	got, err := s.in().Pending(s.ctx, user, after, now)
	if err != nil {
		s.Fatalf("pending of %s: %v", user, err)
	}
	for i := 1; i < len(got); i++ {
		if got[i].Seq <= got[i-1].Seq {
			s.Fatalf("seq %d follows %d", got[i].Seq, got[i-1].Seq)
		}
	}
	return got
}

func (s *suite) wantIDs(got []inbox.Message, want ...string) {
	s.Helper()
	var ids []string
	for _, m := range got {
		ids = append(ids, m.ID)
	}
	if diff := cmp.Diff(want, ids); diff != "" {
		s.Fatalf("messages (-want +got):\n%s", diff)
	}
}

func putAndPending(s *suite) {
	for i := range 3 {
		if !s.put(message("u1", fmt.Sprint("a", i))) {
			s.Fatal("a new message is not fresh")
		}
		s.put(message("u10", fmt.Sprint("b", i)))
	}
	got := s.pending("u1", 0, 500)
	s.wantIDs(got, "a0", "a1", "a2")
	want := message("u1", "a0")
	want.Seq = got[0].Seq
	if diff := cmp.Diff(want, got[0]); diff != "" {
		s.Fatalf("message (-want +got):\n%s", diff)
	}
	if got[0].Seq == 0 {
		s.Fatal("the first message has seq 0: a reader that saw nothing asks behind 0")
	}
	s.wantIDs(s.pending("u1", got[1].Seq, 500), "a2")
	s.wantIDs(s.pending("u1", got[2].Seq, 500))
	s.wantIDs(s.pending("u", 0, 500))
	s.wantIDs(s.pending("u1", 0, 1000)) // expired
	s.wantIDs(s.pending("u1", 0, 999), "a0", "a1", "a2")
}

func putAgain(s *suite) {
	s.put(message("u", "a"))
	other := message("u", "a")
	other.HTML = "changed"
	if s.put(other) {
		s.Fatal("a message put again is fresh")
	}
	got := s.pending("u", 0, 0)
	s.wantIDs(got, "a")
	if got[0].HTML != message("u", "a").HTML {
		s.Fatalf("putting again changed the content to %q", got[0].HTML)
	}
	if _, _, err := s.in().Advance(s.ctx, "a", inbox.Dismissed); err != nil {
		s.Fatal(err)
	}
	if s.put(other) {
		s.Fatal("a dismissed message put again is fresh")
	}
	s.wantIDs(s.pending("u", 0, 0))
}

func advance(s *suite) {
	s.put(message("u", "a"))
	s.put(message("u", "b"))
	step := func(id string, state, want inbox.State, changed bool) {
		s.Helper()
		m, c, err := s.in().Advance(s.ctx, id, state)
		if err != nil || c != changed || m.State != want || m.ID != id || m.User != "u" || m.Campaign != "winners" {
			s.Fatalf("advance %s to %d: %+v, changed %v, %v", id, state, m, c, err)
		}
	}
	step("a", inbox.Shown, inbox.Shown, true)
	step("a", inbox.Shown, inbox.Shown, false)
	s.wantIDs(s.pending("u", 0, 0), "a", "b")
	step("a", inbox.Clicked, inbox.Clicked, true)
	step("a", inbox.Shown, inbox.Clicked, false)
	s.wantIDs(s.pending("u", 0, 0), "b")
	step("a", inbox.Dismissed, inbox.Dismissed, true)
	step("b", inbox.Dismissed, inbox.Dismissed, true)
	s.wantIDs(s.pending("u", 0, 0))
	if _, _, err := s.in().Advance(s.ctx, "none", inbox.Shown); !errors.Is(err, inbox.ErrUnknown) {
		s.Fatalf("advance of an unknown message: %v", err)
	}
}

func expire(s *suite) {
	for i := range 10 {
		m := message("u", fmt.Sprint(i))
		m.Expires = int64(100 * (i + 1))
		s.put(m)
	}
	removed := func(now int64, limit, want int) {
		s.Helper()
		n, err := s.in().Expire(s.ctx, now, limit)
		if err != nil || n != want {
			s.Fatalf("expire until %d: %d, %v; want %d", now, n, err, want)
		}
	}
	removed(99, 100, 0)
	removed(450, 2, 2)
	removed(450, 100, 2)
	removed(450, 100, 0)
	s.wantIDs(s.pending("u", 0, 0), "4", "5", "6", "7", "8", "9")
	if _, _, err := s.in().Advance(s.ctx, "0", inbox.Shown); !errors.Is(err, inbox.ErrUnknown) {
		s.Fatalf("advance of an expired message: %v", err)
	}
	if s.subject.Reopen != nil {
		s.subject.Inbox = s.subject.Reopen(s.T)
	}
	removed(700, 100, 3)
	s.wantIDs(s.pending("u", 0, 0), "7", "8", "9")
}

func orderAcrossReopen(s *suite) {
	if s.subject.Reopen == nil {
		s.Skip("the driver cannot be reopened")
	}
	var after uint64
	for round := range 4 {
		id := fmt.Sprint(round)
		s.put(message("u", id))
		if round == 2 { // a state survives too
			if _, _, err := s.in().Advance(s.ctx, id, inbox.Shown); err != nil {
				s.Fatal(err)
			}
		}
		s.subject.Inbox = s.subject.Reopen(s.T)
		got := s.pending("u", after, 0)
		s.wantIDs(got, id)
		if round == 2 && got[0].State != inbox.Shown {
			s.Fatalf("state is %d after reopening", got[0].State)
		}
		after = got[0].Seq
		if round == 1 { // nothing is left, and the order goes on
			if _, err := s.in().Expire(s.ctx, 5000, 100); err != nil {
				s.Fatal(err)
			}
			s.wantIDs(s.pending("u", 0, 0))
		}
		if s.put(message("u", id)) && round != 1 {
			s.Fatal("a message put again after reopening is fresh")
		}
		if got := s.pending("u", after, 0); len(got) > 0 {
			after = got[len(got)-1].Seq
		}
	}
}

// woken waits for a wake.
func (s *suite) woken(wake <-chan struct{}) {
	s.Helper()
	select {
	case <-wake:
	case <-s.ctx.Done():
		s.Fatal("not woken")
	}
}

func subscribe(s *suite) {
	wake, cancel := s.in().Subscribe("u", "anon")
	other, cancelOther := s.in().Subscribe("u")
	s.put(message("u", "a"))
	s.woken(wake)
	s.woken(other)
	s.put(message("anon", "b"))
	s.woken(wake)
	cancelOther()
	s.put(message("u", "c"))
	s.put(message("u", "d")) // does not block on a full channel
	s.woken(wake)
	cancel()
	cancel()
	s.put(message("u", "e"))
}

func settle(s *suite) {
	settled, cancel := s.in().Watch("t")
	want := inbox.Settlement{Events: 20, Intents: 10, Done: 5}
	got := make(chan inbox.Settlement)
	go func() {
		var sum inbox.Settlement
		for sum != want {
			select {
			case x := <-settled:
				sum.Events += x.Events
				sum.Intents += x.Intents
				sum.Done += x.Done
			case <-s.ctx.Done():
				s.Errorf("settlements add up to %+v", sum)
				got <- sum
				return
			}
		}
		got <- sum
	}()
	for range 5 {
		s.in().Settle(s.ctx, "t", inbox.Settlement{Events: 4, Intents: 2})
		s.in().Settle(s.ctx, "t", inbox.Settlement{Done: 1})
		s.in().Settle(s.ctx, "other", inbox.Settlement{Events: 100})
	}
	<-got
	// Nobody takes them: it must neither block nor pile up.
	for range 10_000 {
		s.in().Settle(s.ctx, "t", inbox.Settlement{Events: 1})
	}
	cancel()
	s.in().Settle(s.ctx, "t", inbox.Settlement{Events: 1})
}

func concurrent(s *suite) {
	const workers, each = 8, 25
	var wg sync.WaitGroup
	var fresh atomic.Int64
	stop := make(chan struct{})
	reader := make(chan []string)
	wake, cancel := s.in().Subscribe("u")
	defer cancel()
	// A gateway: takes what is behind the last one that it saw. It must see all.
	go func() {
		var after uint64
		var seen []string
		for {
			last := false
			select {
			case <-wake:
			case <-stop:
				last = true
			}
			got, err := s.in().Pending(s.ctx, "u", after, 0)
			if err != nil {
				s.Errorf("pending: %v", err)
			}
			for _, m := range got {
				seen = append(seen, m.ID)
				after = m.Seq
			}
			if last {
				reader <- seen
				return
			}
		}
	}()
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				for _, id := range []string{fmt.Sprint("shared", i), fmt.Sprint(w, "/", i)} {
					ok, err := s.in().Put(s.ctx, message("u", id))
					if err != nil {
						s.Errorf("put: %v", err)
					}
					if ok {
						fresh.Add(1)
					}
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	seen := <-reader
	if n := fresh.Load(); n != each*(workers+1) || len(seen) != each*(workers+1) {
		s.Fatalf("%d were fresh and %d seen, want %d", n, len(seen), each*(workers+1))
	}
	var changes atomic.Int64
	for range workers {
		wg.Go(func() {
			for i := range each {
				_, changed, err := s.in().Advance(s.ctx, fmt.Sprint("shared", i), inbox.Clicked)
				if err != nil {
					s.Errorf("advance: %v", err)
				}
				if changed {
					changes.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := changes.Load(); n != each {
		s.Fatalf("%d clicks changed something, want %d", n, each)
	}
}

func refusals(s *suite) {
	for _, m := range []inbox.Message{
		message("u", ""),
		message("", "a"),
		{ID: "big", User: "u", HTML: string(make([]byte, inbox.MaxHTMLBytes+1))},
	} {
		if _, err := s.in().Put(s.ctx, m); err == nil {
			s.Errorf("message %.20q of %.20q was taken", m.ID, m.User)
		}
	}
}
