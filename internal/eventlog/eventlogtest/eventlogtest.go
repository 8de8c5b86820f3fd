// Package eventlogtest owns the conformance suite of eventlog: what every
// driver must do, and nothing that only an embedded one does. Offsets may have
// gaps, records may be seen again, an append may fail although it was written.
package eventlogtest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"heed/internal/eventlog"
)

// wait bounds everything that should happen at once.
const wait = 2 * time.Minute

// Subject is a log under test.
type Subject struct {
	Log eventlog.Log
	// Reopen closes the log and opens it again, as after a restart. Nil skips
	// what needs it.
	Reopen func(t *testing.T) eventlog.Log
	// Repeats: many processes write the log, so it holds repeats and marks none.
	Repeats bool
	// Distinct: its readers drop the repeats that it holds.
	Distinct bool
	// OwnTime: log time comes from servers with clocks that a test cannot move.
	OwnTime bool
}

// Clock is a clock that a test moves.
type Clock struct{ micros atomic.Int64 }

// NewClock starts a clock at a fixed time.
func NewClock() *Clock {
	c := &Clock{}
	c.micros.Store(1_700_000_000_000_000)
	return c
}

// Now is the clock's time.
func (c *Clock) Now() time.Time { return time.UnixMicro(c.micros.Load()) }

// Move moves the clock, back too.
func (c *Clock) Move(d time.Duration) { c.micros.Add(d.Microseconds()) }

// Run runs the suite. Each test opens a fresh, empty log.
func Run(t *testing.T, open func(t *testing.T, clock *Clock) Subject) {
	tests := []struct {
		name string
		run  func(*suite)
	}{
		{"AppendAndRead", appendAndRead},
		{"ReadFromTheMiddle", readFromTheMiddle},
		{"LargeBatch", largeBatch},
		{"Duplicates", duplicates},
		{"Repeats", repeats},
		{"ZeroKey", zeroKey},
		{"ConcurrentDuplicates", concurrentDuplicates},
		{"ConcurrentAppenders", concurrentAppenders},
		{"Tail", tail},
		{"LogTime", logTime},
		{"OffsetAt", offsetAt},
		{"Trim", trim},
		{"TrimEverything", trimEverything},
		{"Reopen", reopen},
		{"Ownership", ownership},
		{"Refusals", refusals},
		{"Close", closing},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			clock := NewClock()
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			defer cancel()
			test.run(&suite{T: t, ctx: ctx, clock: clock, subject: open(t, clock)})
		})
	}
}

type suite struct {
	*testing.T
	ctx     context.Context // one test's deadline
	clock   *Clock
	subject Subject
}

func (s *suite) log() eventlog.Log { return s.subject.Log }

// move moves the clock. That of servers goes on by itself: then time passes, and
// nothing goes back.
func (s *suite) move(d time.Duration) {
	s.clock.Move(d)
	if s.subject.OwnTime && d > 0 {
		time.Sleep(3 * time.Millisecond) // more than the unit of its times
	}
}

func (s *suite) now() time.Time {
	if s.subject.OwnTime {
		return time.Now()
	}
	return s.clock.Now()
}

// Frame is a record as event.AppendEvent frames it: length, then bytes.
func Frame(dst []byte, body string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(body)))
	return append(dst, body...)
}

// Bodies takes framed records apart.
func Bodies(data []byte) ([]string, error) {
	var out []string
	for len(data) > 0 {
		n, w := binary.Uvarint(data)
		if w <= 0 || n > uint64(len(data)-w) {
			return out, fmt.Errorf("torn record behind %d records", len(out))
		}
		out = append(out, string(data[w:w+int(n)]))
		data = data[w+int(n):]
	}
	return out, nil
}

// KeyOf is a dedup key for a body.
func KeyOf(body string) (k eventlog.Key) {
	h := fnv.New128a()
	_, _ = h.Write([]byte(body))
	h.Sum(k[:0])
	return k
}

// MakeBatch is a batch of events with the key of their bodies.
func MakeBatch(partition int, bodies ...string) *eventlog.Batch {
	b := &eventlog.Batch{Partition: partition}
	for _, body := range bodies {
		b.Data = Frame(b.Data, body)
		b.Ends = append(b.Ends, len(b.Data))
		b.Keys = append(b.Keys, KeyOf(body))
	}
	return b
}

// append appends until it is acknowledged, as a client does.
func (s *suite) append(batches ...*eventlog.Batch) {
	s.Helper()
	for {
		err := s.log().Append(s.ctx, eventlog.Events, batches)
		if err == nil {
			return
		}
		if !errors.Is(err, eventlog.ErrUnavailable) {
			s.Fatalf("append: %v", err)
		}
	}
}

func (s *suite) reader(partition int, from uint64) eventlog.Reader {
	s.Helper()
	r, err := s.log().Read(s.ctx, eventlog.Events, partition, from)
	if err != nil {
		s.Fatalf("read %d from %d: %v", partition, from, err)
	}
	s.Cleanup(func() { _ = r.Close() })
	return r
}

func (s *suite) bounds(partition int) eventlog.Bounds {
	s.Helper()
	b, err := s.log().Bounds(s.ctx, eventlog.Events, partition)
	if err != nil {
		s.Fatalf("bounds of %d: %v", partition, err)
	}
	return b
}

// record is one event as a reader saw it.
type record struct {
	offset uint64
	time   int64
	body   string
}

// read reads until the partition's bounds, leaving out what it sees again.
func (s *suite) read(partition int, from uint64) []record {
	s.Helper()
	end := s.bounds(partition).Next
	r := s.reader(partition, from)
	next := from
	var out []record
	for next < end {
		c, err := r.Next(s.ctx)
		if err != nil {
			s.Fatalf("next of %d at %d: %v", partition, next, err)
		}
		bodies, err := Bodies(c.Data)
		if err != nil || len(bodies) != c.Count {
			s.Fatalf("chunk at %d: %d records of %d, %v", c.Base, len(bodies), c.Count, err)
		}
		if c.Next() <= next {
			continue // seen before
		}
		for i, body := range bodies {
			if offset := c.Base + uint64(i); offset >= next {
				out = append(out, record{offset, c.Appended, body})
			}
		}
		next = c.Next()
	}
	return out
}

func (s *suite) bodies(partition int) []string {
	s.Helper()
	var out []string
	for _, r := range s.read(partition, s.bounds(partition).First) {
		out = append(out, r.body)
	}
	return out
}

func (s *suite) want(got, want []string) {
	s.Helper()
	if len(got) != len(want) {
		s.Fatalf("got %d records %.400q, want %d %.400q", len(got), got, len(want), want)
	}
	for i := range got {
		if got[i] != want[i] {
			s.Fatalf("record %d is %q, want %q", i, got[i], want[i])
		}
	}
}

func appendAndRead(s *suite) {
	if n := s.log().Partitions(); n < 2 {
		s.Fatalf("%d partitions", n)
	}
	if b := s.bounds(0); b.First != b.Next || b.Time != 0 {
		s.Fatalf("an empty partition has bounds %+v", b)
	}
	var want []string
	for i := range 50 {
		bodies := []string{fmt.Sprint("a", i), fmt.Sprint("b", i), fmt.Sprint("c", i)}
		s.append(MakeBatch(0, bodies...), MakeBatch(1, fmt.Sprint("other", i)))
		want = append(want, bodies...)
	}
	s.want(s.bodies(0), want)
	if got := s.bodies(1); len(got) != 50 {
		s.Fatalf("partition 1 has %d records", len(got))
	}
	records := s.read(0, s.bounds(0).First)
	for i := 1; i < len(records); i++ {
		if records[i].offset <= records[i-1].offset {
			s.Fatalf("offset %d follows %d", records[i].offset, records[i-1].offset)
		}
	}
	if b := s.bounds(0); b.First > records[0].offset || b.Next <= records[len(records)-1].offset {
		s.Fatalf("bounds %+v do not hold offsets %d to %d", b, records[0].offset, records[len(records)-1].offset)
	}
}

func readFromTheMiddle(s *suite) {
	for i := range 20 {
		s.append(MakeBatch(0, fmt.Sprint("a", i), fmt.Sprint("b", i), fmt.Sprint("c", i)))
	}
	all := s.read(0, s.bounds(0).First)
	for _, from := range all {
		r := s.reader(0, from.offset)
		c, err := r.Next(s.ctx)
		if err != nil {
			s.Fatalf("read from %d: %v", from.offset, err)
		}
		if c.Base > from.offset || c.Next() <= from.offset {
			s.Fatalf("read from %d begins with [%d, %d)", from.offset, c.Base, c.Next())
		}
		_ = r.Close()
	}
}

func largeBatch(s *suite) {
	var want []string
	for i := range 1000 {
		want = append(want, fmt.Sprintf("%d %01000d", i, 0))
	}
	s.append(MakeBatch(0, "before"))
	s.append(MakeBatch(0, want...))
	s.append(MakeBatch(0, "behind"))
	got := s.bodies(0)
	s.want(got, append(append([]string{"before"}, want...), "behind"))
}

// repeats holds what a log may do that many processes write.
func repeats(s *suite) {
	if !s.subject.Repeats {
		s.Skip("the log drops repeats")
	}
	s.append(MakeBatch(0, "a", "b"))
	again := MakeBatch(0, "b", "c", "c")
	s.append(again)
	if again.Duplicate != nil {
		s.Fatalf("duplicates %v: others may not be told so", again.Duplicate)
	}
	want := []string{"a", "b", "b", "c", "c"}
	if s.subject.Distinct {
		want = []string{"a", "b", "c"}
	}
	s.want(s.bodies(0), want)
}

func duplicates(s *suite) {
	if s.subject.Repeats {
		s.Skip("the log may hold repeats")
	}
	s.append(MakeBatch(0, "a", "b"))
	again := MakeBatch(0, "b", "c", "c", "a", "d")
	if err := s.log().Append(s.ctx, eventlog.Events, []*eventlog.Batch{again}); err == nil {
		want := []bool{true, false, true, true, false}
		for i := range want {
			if again.Duplicate == nil || again.Duplicate[i] != want[i] {
				s.Fatalf("duplicates %v, want %v", again.Duplicate, want)
			}
		}
	} else if !errors.Is(err, eventlog.ErrUnavailable) {
		s.Fatal(err)
	} else {
		s.append(again)
	}
	s.want(s.bodies(0), []string{"a", "b", "c", "d"})

	before := s.bounds(0)
	s.append(MakeBatch(0, "a", "d"))
	if after := s.bounds(0); after.Next != before.Next {
		s.Fatalf("nothing but duplicates moved the end from %d to %d", before.Next, after.Next)
	}
	s.append(MakeBatch(1, "x", "y"), MakeBatch(1, "y", "z"))
	s.want(s.bodies(1), []string{"x", "y", "z"})
}

func zeroKey(s *suite) {
	b := MakeBatch(0, "a", "a", "b")
	b.Keys[0], b.Keys[1] = eventlog.Key{}, eventlog.Key{}
	s.append(b)
	n := 0
	for _, body := range s.bodies(0) {
		if body == "a" {
			n++
		}
	}
	if n < 2 {
		s.Fatalf("%d of 2 events without a key were kept", n)
	}
	without := MakeBatch(1, "c", "c")
	without.Keys = nil
	s.append(without)
	if got := s.bodies(1); len(got) < 2 {
		s.Fatalf("got %q", got)
	}
}

func concurrentDuplicates(s *suite) {
	if s.subject.Repeats {
		s.Skip("the log may hold repeats")
	}
	const workers, rounds = 8, 40
	var wg sync.WaitGroup
	var firsts [rounds]atomic.Int64
	var lost atomic.Bool
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				b := MakeBatch(0, fmt.Sprint("shared", i), fmt.Sprint("own", w, "/", i))
				for {
					err := s.log().Append(s.ctx, eventlog.Events, []*eventlog.Batch{b})
					if err == nil {
						break
					}
					lost.Store(true)
					if !errors.Is(err, eventlog.ErrUnavailable) {
						s.Errorf("append: %v", err)
						return
					}
				}
				if b.Duplicate == nil || !b.Duplicate[0] {
					firsts[i].Add(1)
				}
			}
		})
	}
	wg.Wait()
	counts := make(map[string]int)
	for _, body := range s.bodies(0) {
		counts[body]++
	}
	if len(counts) != rounds*(workers+1) {
		s.Fatalf("%d different events, want %d", len(counts), rounds*(workers+1))
	}
	for body, n := range counts {
		if n != 1 {
			s.Fatalf("%q is there %d times", body, n)
		}
	}
	for i := range firsts {
		if n := firsts[i].Load(); n != 1 && !lost.Load() {
			s.Fatalf("%d appenders were told that they were first with event %d", n, i)
		}
	}
}

func concurrentAppenders(s *suite) {
	const workers, rounds = 8, 50
	partitions := s.log().Partitions()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				var batches []*eventlog.Batch
				for p := range min(3, partitions) {
					batches = append(batches, MakeBatch(p, fmt.Sprintf("%d/%d/%d/x", p, w, i), fmt.Sprintf("%d/%d/%d/y", p, w, i)))
				}
				for {
					err := s.log().Append(s.ctx, eventlog.Events, batches)
					if err == nil {
						break
					}
					if !errors.Is(err, eventlog.ErrUnavailable) {
						s.Errorf("append: %v", err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	for p := range min(3, partitions) {
		last := make(map[int]int)
		got := s.bodies(p)
		if len(got) != workers*rounds*2 {
			s.Fatalf("partition %d has %d events, want %d", p, len(got), workers*rounds*2)
		}
		for i := 0; i < len(got); i += 2 {
			var part, w, n, part2, w2, n2 int
			var x, y string
			_, err1 := fmt.Sscanf(got[i], "%d/%d/%d/%s", &part, &w, &n, &x)
			_, err2 := fmt.Sscanf(got[i+1], "%d/%d/%d/%s", &part2, &w2, &n2, &y)
			if err := errors.Join(err1, err2); err != nil {
				s.Fatal(err)
			}
			if part != p || part2 != p || w != w2 || n != n2 || x != "x" || y != "y" {
				s.Fatalf("batch is torn in partition %d: %q, %q", p, got[i], got[i+1])
			}
			if n != last[w] {
				s.Fatalf("appender %d: event %d comes when %d was due", w, n, last[w])
			}
			last[w]++
		}
	}
}

func tail(s *suite) {
	r := s.reader(0, s.bounds(0).Next)
	if c, ok, err := r.TryNext(); ok || err != nil {
		s.Fatalf("an empty partition gave %+v, %v", c, err)
	}
	short, cancel := context.WithCancel(s.ctx)
	cancel()
	if _, err := r.Next(short); !errors.Is(err, context.Canceled) {
		s.Fatalf("next with a cancelled context: %v", err)
	}
	const n = 100
	seen := make(chan []string)
	go func() {
		var got []string
		var next uint64
		for len(got) < n {
			c, err := r.Next(s.ctx)
			if err != nil {
				s.Errorf("tail: %v", err)
				break
			}
			if c.Base < next {
				continue
			}
			next = c.Next()
			bodies, _ := Bodies(c.Data)
			got = append(got, bodies...)
		}
		seen <- got
	}()
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(i))
		s.append(MakeBatch(0, want[i]))
	}
	s.want(<-seen, want)
}

func logTime(s *suite) {
	var last int64
	step := func(move time.Duration, body string) {
		s.Helper()
		s.move(move)
		s.append(MakeBatch(0, body))
		b := s.bounds(0)
		if b.Time < last {
			s.Fatalf("log time went from %d back to %d", last, b.Time)
		}
		last = b.Time
	}
	step(0, "a")
	step(time.Minute, "b")
	if last < s.now().Add(-time.Second).UnixMicro() {
		s.Fatalf("log time %d stays behind the clock %d", last, s.now().UnixMicro())
	}
	step(-time.Hour, "c")
	if s.subject.Reopen != nil {
		s.subject.Log = s.subject.Reopen(s.T)
		if b := s.bounds(0); b.Time != last {
			s.Fatalf("log time is %d after reopening, was %d", b.Time, last)
		}
	}
	step(time.Second, "d")
	step(2*time.Hour, "e")
	var previous int64
	for _, r := range s.read(0, s.bounds(0).First) {
		if r.time < previous {
			s.Fatalf("record %d has log time %d behind %d", r.offset, r.time, previous)
		}
		previous = r.time
	}
	if previous != last {
		s.Fatalf("last record has log time %d, bounds say %d", previous, last)
	}
}

func offsetAt(s *suite) {
	for i := range 12 {
		s.append(MakeBatch(0, fmt.Sprint("a", i), fmt.Sprint("b", i)))
		if i%3 == 0 {
			s.move(time.Second)
		}
	}
	all, b := s.read(0, s.bounds(0).First), s.bounds(0)
	at := func(t int64) uint64 {
		s.Helper()
		offset, err := eventlog.OffsetAt(s.ctx, s.log(), eventlog.Events, 0, b, t)
		if err != nil {
			s.Fatalf("offset at %d: %v", t, err)
		}
		return offset
	}
	first := all[0] // of those with its time
	for _, r := range all {
		if r.time != first.time {
			first = r
		}
		if got := s.read(0, at(r.time))[0]; got != first {
			s.Fatalf("at %d comes %+v, want %+v", r.time, got, first)
		}
	}
	if got := s.read(0, at(0))[0]; got != all[0] {
		s.Fatalf("at the beginning of time comes %+v, want %+v", got, all[0])
	}
	for _, t := range []int64{b.Time + 1, math.MaxInt64} {
		if got := at(t); got != b.Next {
			s.Fatalf("at %d, behind all, is %d, want %d", t, got, b.Next)
		}
	}
}

func trim(s *suite) {
	var cut time.Time
	for i := range 30 {
		if i == 20 {
			cut = s.now()
		}
		s.append(MakeBatch(0, fmt.Sprint("a", i), fmt.Sprint("b", i)), MakeBatch(1, fmt.Sprint("x", i)))
		s.move(time.Minute)
	}
	all0, all1 := s.read(0, s.bounds(0).First), s.read(1, s.bounds(1).First)
	slow := s.reader(0, s.bounds(0).First)
	keep := make([]uint64, s.log().Partitions())
	for p := range keep {
		keep[p] = s.bounds(p).Next
	}
	keep[1] = all1[5].offset
	if err := s.log().Trim(s.ctx, eventlog.Events, cut, keep); err != nil {
		s.Fatal(err)
	}
	check := func() {
		s.Helper()
		b := s.bounds(0)
		for _, r := range all0 {
			if r.time >= cut.UnixMicro() && r.offset < b.First {
				s.Fatalf("record %d of %d is gone, cut was at %d", r.offset, r.time, cut.UnixMicro())
			}
		}
		if b := s.bounds(1); b.First > keep[1] {
			s.Fatalf("partition 1 begins at %d, floor was %d", b.First, keep[1])
		}
		if _, err := s.log().Read(s.ctx, eventlog.Events, 0, all0[0].offset); b.First > all0[0].offset && !errors.Is(err, eventlog.ErrTrimmed) {
			s.Fatalf("read of a trimmed offset: %v", err)
		}
		left := s.read(0, b.First)
		s.want([]string{left[len(left)-1].body}, []string{all0[len(all0)-1].body})
	}
	check()
	if s.bounds(0).First > all0[0].offset {
		if _, err := slow.Next(s.ctx); !errors.Is(err, eventlog.ErrTrimmed) {
			s.Fatalf("a reader that was overtaken gets %v", err)
		}
	}
	if s.subject.Reopen != nil {
		first := s.bounds(0).First
		s.subject.Log = s.subject.Reopen(s.T)
		if b := s.bounds(0); b.First != first {
			s.Fatalf("first is %d after reopening, was %d", b.First, first)
		}
		check()
	}
}

func trimEverything(s *suite) {
	for i := range 10 {
		s.append(MakeBatch(0, fmt.Sprint("a", i), fmt.Sprint("b", i)))
	}
	before := s.bounds(0)
	s.move(time.Hour)
	if err := s.log().Trim(s.ctx, eventlog.Events, s.now(), nil); err != nil {
		s.Fatal(err)
	}
	if s.subject.Reopen != nil {
		s.subject.Log = s.subject.Reopen(s.T)
	}
	if b := s.bounds(0); b.Next != before.Next || b.Time != before.Time {
		s.Fatalf("bounds were %+v, are %+v", before, b)
	}
	s.append(MakeBatch(0, "new"))
	got := s.read(0, s.bounds(0).First)
	if len(got) == 0 || got[len(got)-1].body != "new" || got[len(got)-1].offset < before.Next {
		s.Fatalf("got %+v behind %+v", got, before)
	}
}

func reopen(s *suite) {
	if s.subject.Reopen == nil {
		s.Skip("the driver cannot be reopened")
	}
	var want []string
	for round := range 4 {
		for i := range 25 {
			body := fmt.Sprint(round, "/", i)
			s.append(MakeBatch(0, body))
			want = append(want, body)
		}
		before := s.bounds(0)
		s.subject.Log = s.subject.Reopen(s.T)
		if after := s.bounds(0); after != before {
			s.Fatalf("bounds were %+v, are %+v", before, after)
		}
		if !s.subject.Repeats || s.subject.Distinct {
			s.append(MakeBatch(0, want...)) // every one a duplicate
		}
		s.want(s.bodies(0), want)
	}
}

func ownership(s *suite) {
	b := MakeBatch(0, "first", "second")
	r := s.reader(0, s.bounds(0).Next)
	s.append(b)
	for i := range b.Data {
		b.Data[i] = 0xff
	}
	s.want(s.bodies(0), []string{"first", "second"})
	c, err := r.Next(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	kept := bytes.Clone(c.Data)
	for i := range 100 {
		s.append(MakeBatch(0, fmt.Sprint("more", i)))
	}
	if !bytes.Equal(kept, c.Data) {
		s.Fatal("the log changed a chunk that a reader holds")
	}
}

func refusals(s *suite) {
	refused := func(name string, b *eventlog.Batch) {
		s.Helper()
		if err := s.log().Append(s.ctx, eventlog.Events, []*eventlog.Batch{b}); err == nil || errors.Is(err, eventlog.ErrUnavailable) {
			s.Errorf("%s: %v", name, err)
		}
	}
	refused("no such partition", MakeBatch(s.log().Partitions(), "a"))
	refused("negative partition", MakeBatch(-1, "a"))
	refused("empty", &eventlog.Batch{})
	short := MakeBatch(0, "a", "b")
	short.Keys = short.Keys[:1]
	refused("a key is missing", short)
	beyond := MakeBatch(0, "a", "b")
	beyond.Ends[1]++
	refused("end beyond the data", beyond)
	back := MakeBatch(0, "a", "b")
	back.Ends[0], back.Ends[1] = back.Ends[1], back.Ends[0]
	refused("ends go back", back)
	if _, err := s.log().Read(s.ctx, eventlog.Events, s.log().Partitions(), 0); err == nil {
		s.Error("read of no such partition")
	}
	for p := range s.log().Partitions() {
		if b := s.bounds(p); b.First != b.Next {
			s.Errorf("partition %d holds %+v", p, b)
		}
	}
}

func closing(s *suite) {
	r := s.reader(0, s.bounds(0).Next)
	done := make(chan error)
	go func() {
		for {
			if _, err := r.Next(s.ctx); err != nil {
				done <- err
				return
			}
		}
	}()
	s.append(MakeBatch(0, "a"))
	if err := s.log().Close(); err != nil {
		s.Fatal(err)
	}
	if err := <-done; !errors.Is(err, eventlog.ErrClosed) {
		s.Errorf("a waiting reader gets %v", err)
	}
	if err := s.log().Append(s.ctx, eventlog.Events, []*eventlog.Batch{MakeBatch(0, "b")}); !errors.Is(err, eventlog.ErrClosed) {
		s.Errorf("append after close: %v", err)
	}
	if _, err := s.log().Read(s.ctx, eventlog.Events, 0, 0); !errors.Is(err, eventlog.ErrClosed) {
		s.Errorf("read after close: %v", err)
	}
	if err := s.log().Close(); err != nil {
		s.Errorf("close again: %v", err)
	}
}
