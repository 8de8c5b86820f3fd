// Package documentstest owns the conformance suite of documents: what every
// driver must do.
package documentstest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heed/internal/documents"
)

// wait bounds everything that should happen at once.
const wait = 30 * time.Second

// Subject is a store under test.
type Subject struct {
	Store documents.Store
	// Reopen closes the store and opens it again, as after a restart. Nil
	// skips what needs it.
	Reopen func(t *testing.T) documents.Store
}

// Run runs the suite. Each test opens a fresh, empty store.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	tests := []struct {
		name string
		run  func(*suite)
	}{
		{"GetAndApply", getAndApply},
		{"Versions", versions},
		{"Transaction", transaction},
		{"List", list},
		{"AnyBytes", anyBytes},
		{"Ownership", ownership},
		{"Watch", watch},
		{"Counter", counter},
		{"Transfer", transfer},
		{"Refusals", refusals},
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

func (s *suite) store() documents.Store { return s.subject.Store }

func (s *suite) reopen() {
	s.Helper()
	if s.subject.Reopen != nil {
		s.subject.Store = s.subject.Reopen(s.T)
	}
}

func (s *suite) apply(writes ...documents.Write) {
	s.Helper()
	if err := s.store().Apply(s.ctx, documents.Durable, writes...); err != nil {
		s.Fatalf("apply: %v", err)
	}
}

func (s *suite) conflict(writes ...documents.Write) {
	s.Helper()
	if err := s.store().Apply(s.ctx, documents.Relaxed, writes...); !errors.Is(err, documents.ErrConflict) {
		s.Fatalf("apply: %v, want a conflict", err)
	}
}

func (s *suite) want(collection, key, value string, version int64) {
	s.Helper()
	got, err := s.store().Get(s.ctx, collection, key)
	if err != nil {
		s.Fatalf("get %s/%q: %v", collection, key, err)
	}
	if diff := cmp.Diff(documents.Document{Key: key, Version: version, Value: []byte(value)}, got); diff != "" {
		s.Fatalf("%s/%q (-want +got):\n%s", collection, key, diff)
	}
}

func (s *suite) missing(collection, key string) {
	s.Helper()
	if got, err := s.store().Get(s.ctx, collection, key); !errors.Is(err, documents.ErrNotFound) {
		s.Fatalf("get %s/%q: %+v, %v", collection, key, got, err)
	}
}

func write(collection, key, value string, expect int64) documents.Write {
	return documents.Write{Collection: collection, Key: key, Value: []byte(value), Expect: expect}
}

func remove(collection, key string, expect int64) documents.Write {
	return documents.Write{Collection: collection, Key: key, Expect: expect}
}

func getAndApply(s *suite) {
	s.missing("c", "k")
	s.apply(write("c", "k", "one", documents.Any))
	s.want("c", "k", "one", 1)
	s.missing("c", "k2")
	s.missing("d", "k")
	s.apply(write("c", "k", "", documents.Any)) // an empty value is a value
	s.want("c", "k", "", 2)
	s.apply(remove("c", "k", documents.Any))
	s.missing("c", "k")
	s.apply(remove("c", "k", documents.Any)) // removing nothing is no error
	s.apply(write("c", "k", "anew", documents.Any))
	s.want("c", "k", "anew", 1)
	s.apply()
	s.reopen()
	s.want("c", "k", "anew", 1)
}

func versions(s *suite) {
	s.conflict(write("c", "k", "x", 1))
	s.apply(write("c", "k", "one", documents.Absent))
	s.conflict(write("c", "k", "x", documents.Absent))
	s.apply(write("c", "k", "two", 1))
	s.conflict(write("c", "k", "x", 1))
	s.conflict(remove("c", "k", 1))
	s.conflict(remove("c", "k", documents.Absent))
	s.want("c", "k", "two", 2)
	s.reopen()
	s.apply(remove("c", "k", 2))
	s.conflict(write("c", "k", "x", 2))
	s.apply(write("c", "k", "anew", documents.Absent))
	s.want("c", "k", "anew", 1)
}

func transaction(s *suite) {
	s.apply(write("a", "1", "x", documents.Absent), write("b", "1", "y", documents.Absent))
	s.conflict(write("a", "1", "z", 1), write("b", "1", "z", 7), write("c", "1", "z", documents.Any))
	s.want("a", "1", "x", 1)
	s.want("b", "1", "y", 1)
	s.missing("c", "1")
	s.apply(remove("a", "1", 1), write("b", "1", "w", 1), write("c", "1", "v", documents.Absent))
	s.missing("a", "1")
	s.want("b", "1", "w", 2)
	s.want("c", "1", "v", 1)
}

func (s *suite) keys(q documents.Query, want ...string) {
	s.Helper()
	docs, err := s.store().List(s.ctx, q)
	if err != nil {
		s.Fatalf("list %+v: %v", q, err)
	}
	var got []string
	for _, d := range docs {
		got = append(got, d.Key)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		s.Fatalf("list %+v (-want +got):\n%s", q, diff)
	}
}

func list(s *suite) {
	s.keys(documents.Query{Collection: "c"})
	for _, key := range []string{"b", "a2", "a1", "a", "", "a\xff", "a\xff\xff", "c"} {
		s.apply(write("c", key, "value of "+key, documents.Any))
	}
	s.apply(write("b", "z", "", documents.Any), write("cc", "0", "", documents.Any), write("d", "0", "", documents.Any))
	q := documents.Query{Collection: "c"}
	s.keys(q, "", "a", "a1", "a2", "a\xff", "a\xff\xff", "b", "c")
	docs, err := s.store().List(s.ctx, documents.Query{Collection: "c", Prefix: "a1"})
	if err != nil || len(docs) != 1 || string(docs[0].Value) != "value of a1" || docs[0].Version != 1 {
		s.Fatalf("list: %+v, %v", docs, err)
	}
	q.Limit = 3
	s.keys(q, "", "a", "a1")
	q.After = "a1"
	s.keys(q, "a2", "a\xff", "a\xff\xff")
	q.After = "a11" // need not be there
	s.keys(q, "a2", "a\xff", "a\xff\xff")
	s.keys(documents.Query{Collection: "c", Prefix: "a"}, "a", "a1", "a2", "a\xff", "a\xff\xff")
	s.keys(documents.Query{Collection: "c", Prefix: "a", After: "a1"}, "a2", "a\xff", "a\xff\xff")
	s.keys(documents.Query{Collection: "c", Prefix: "a\xff"}, "a\xff", "a\xff\xff")
	s.keys(documents.Query{Collection: "c", Prefix: "b", After: "a"}, "b")
	s.keys(documents.Query{Collection: "c", Reverse: true}, "c", "b", "a\xff\xff", "a\xff", "a2", "a1", "a", "")
	s.keys(documents.Query{Collection: "c", Reverse: true, After: "a2", Limit: 2}, "a1", "a")
	s.keys(documents.Query{Collection: "c", Reverse: true, Prefix: "a", After: "b", Limit: 1}, "a\xff\xff")
	s.keys(documents.Query{Collection: "c", Reverse: true, Prefix: "a", After: "a"})
	s.apply(remove("c", "a1", documents.Any))
	s.reopen()
	s.keys(documents.Query{Collection: "c", Prefix: "a"}, "a", "a2", "a\xff", "a\xff\xff")

	var writes []documents.Write
	for i := range documents.MaxList + 5 {
		writes = append(writes, write("many", fmt.Sprintf("%05d", i), "", documents.Absent))
	}
	s.apply(writes...)
	docs, err = s.store().List(s.ctx, documents.Query{Collection: "many"})
	if err != nil || len(docs) != documents.MaxList {
		s.Fatalf("%d documents without a limit, %v", len(docs), err)
	}
	docs, err = s.store().List(s.ctx, documents.Query{Collection: "many", Limit: 5000})
	if err != nil || len(docs) != documents.MaxList+5 {
		s.Fatalf("%d documents with a limit of 5000, %v", len(docs), err)
	}
}

func anyBytes(s *suite) {
	keys := []string{"\x00", "\x00\x00", "\x01", "a\x00b", "\xff", "\xff\xff"}
	for i, key := range keys {
		s.apply(write("c", key, "v"+strconv.Itoa(i), documents.Absent))
	}
	for i, key := range keys {
		s.want("c", key, "v"+strconv.Itoa(i), 1)
	}
	s.keys(documents.Query{Collection: "c"}, keys...)
	s.apply(write("c\x01", "k", "x", documents.Absent))
	s.keys(documents.Query{Collection: "c"}, keys...)
}

func ownership(s *suite) {
	value := []byte("before")
	s.apply(documents.Write{Collection: "c", Key: "k", Value: value, Expect: documents.Any})
	copy(value, "XXXXXX")
	s.want("c", "k", "before", 1)
	got, err := s.store().Get(s.ctx, "c", "k")
	if err != nil {
		s.Fatal(err)
	}
	copy(got.Value, "XXXXXX")
	s.want("c", "k", "before", 1)
}

func watch(s *suite) {
	wake, cancel := s.store().Watch("c")
	defer cancel()
	woken := func() {
		s.Helper()
		select {
		case <-wake:
		case <-s.ctx.Done():
			s.Fatal("not woken")
		}
	}
	s.apply(write("c", "k", "1", documents.Any))
	woken()
	s.want("c", "k", "1", 1)
	s.apply(write("other", "k", "1", documents.Any), write("c", "k", "2", documents.Any))
	woken()
	s.want("c", "k", "2", 2)
	s.apply(remove("c", "k", documents.Any))
	s.apply(write("c", "k", "3", documents.Any)) // a full channel does not block
	woken()
	cancel()
	cancel()
	s.apply(write("c", "k", "4", documents.Any))
}

// counter adds one many times from many goroutines: none may be lost.
func counter(s *suite) {
	const workers, each = 8, 50
	s.apply(write("c", "n", "0", documents.Absent))
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for done := 0; done < each; {
				doc, err := s.store().Get(s.ctx, "c", "n")
				if err != nil {
					s.Errorf("get: %v", err)
					return
				}
				n, err := strconv.Atoi(string(doc.Value))
				if err != nil {
					s.Errorf("value %q: %v", doc.Value, err)
					return
				}
				err = s.store().Apply(s.ctx, documents.Relaxed, write("c", "n", strconv.Itoa(n+1), doc.Version))
				switch {
				case err == nil:
					done++
				case !errors.Is(err, documents.ErrConflict):
					s.Errorf("apply: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	s.want("c", "n", strconv.Itoa(workers*each), workers*each+1)
}

// transfer moves amounts between documents in crossing orders: the sum stays,
// and nobody waits for ever.
func transfer(s *suite) {
	const accounts, workers, each = 4, 8, 25
	for i := range accounts {
		s.apply(write("c", strconv.Itoa(i), "100", documents.Absent))
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for done := 0; done < each; {
				from, to := strconv.Itoa((w+done)%accounts), strconv.Itoa((w+done+1+w%2)%accounts)
				a, err1 := s.store().Get(s.ctx, "c", from)
				b, err2 := s.store().Get(s.ctx, "c", to)
				x, err3 := strconv.Atoi(string(a.Value))
				y, err4 := strconv.Atoi(string(b.Value))
				if err := errors.Join(err1, err2, err3, err4); err != nil {
					s.Errorf("get: %v", err)
					return
				}
				err := s.store().Apply(s.ctx, documents.Relaxed,
					write("c", from, strconv.Itoa(x-1), a.Version), write("c", to, strconv.Itoa(y+1), b.Version))
				switch {
				case err == nil:
					done++
				case !errors.Is(err, documents.ErrConflict):
					s.Errorf("apply: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	docs, err := s.store().List(s.ctx, documents.Query{Collection: "c"})
	if err != nil {
		s.Fatal(err)
	}
	sum, writes := 0, int64(0)
	for _, d := range docs {
		n, err := strconv.Atoi(string(d.Value))
		if err != nil {
			s.Fatal(err)
		}
		sum += n
		writes += d.Version - 1
	}
	if sum != 100*accounts || writes != 2*workers*each {
		s.Fatalf("sum %d after %d writes, want %d after %d", sum, writes, 100*accounts, 2*workers*each)
	}
}

func refusals(s *suite) {
	for name, writes := range map[string][]documents.Write{
		"no collection":     {write("", "k", "", documents.Any)},
		"NUL in collection": {write("a\x00b", "k", "", documents.Any)},
		"long key":          {write("c", string(make([]byte, documents.MaxKeyBytes+1)), "", documents.Any)},
		"long value":        {write("c", "k", string(make([]byte, documents.MaxValueBytes+1)), documents.Any)},
		"twice":             {write("c", "k", "1", documents.Any), write("c", "k", "2", documents.Any)},
		"strange version":   {write("c", "k", "1", -2)},
	} {
		if err := s.store().Apply(s.ctx, documents.Durable, writes...); err == nil || errors.Is(err, documents.ErrConflict) {
			s.Errorf("%s: %v", name, err)
		}
	}
	s.missing("c", "k")
	s.apply(write("c", string(make([]byte, documents.MaxKeyBytes)), string(make([]byte, documents.MaxValueBytes)), documents.Any))
}

func closing(s *suite) {
	if err := s.store().Close(); err != nil {
		s.Fatal(err)
	}
	if err := s.store().Apply(s.ctx, documents.Durable, write("c", "k", "", documents.Any)); !errors.Is(err, documents.ErrClosed) {
		s.Errorf("apply after close: %v", err)
	}
	if _, err := s.store().Get(s.ctx, "c", "k"); !errors.Is(err, documents.ErrClosed) {
		s.Errorf("get after close: %v", err)
	}
	if err := s.store().Close(); err != nil {
		s.Errorf("close again: %v", err)
	}
}
