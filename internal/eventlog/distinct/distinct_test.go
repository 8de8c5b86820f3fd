package distinct

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/eventlog/eventlogtest"
)

// fake is a partition of records that hold whatever was appended.
type fake struct {
	eventlog.Log
	chunks []eventlog.Chunk
	first  uint64 // what is in front of it is gone
	reads  int    // chunks that were read
	onRead func() // called when a reader is made
}

func (f *fake) Partitions() int { return 1 }

func (f *fake) Bounds(context.Context, eventlog.Stream, int) (eventlog.Bounds, error) {
	if len(f.chunks) == 0 {
		return eventlog.Bounds{}, nil
	}
	last := f.chunks[len(f.chunks)-1]
	return eventlog.Bounds{First: f.first, Next: last.Next(), Time: last.Appended}, nil
}

func (f *fake) Read(_ context.Context, _ eventlog.Stream, _ int, from uint64) (eventlog.Reader, error) {
	if f.onRead != nil {
		f.onRead()
	}
	if from < f.first {
		return nil, eventlog.ErrTrimmed
	}
	i, _ := slices.BinarySearchFunc(f.chunks, from, func(c eventlog.Chunk, from uint64) int {
		if c.Next() <= from {
			return -1
		}
		return 1
	})
	return &fakeReader{f: f, at: i}, nil
}

type fakeReader struct {
	f  *fake
	at int
}

func (r *fakeReader) TryNext() (eventlog.Chunk, bool, error) {
	if r.at >= len(r.f.chunks) {
		return eventlog.Chunk{}, false, nil
	}
	r.at++
	r.f.reads++
	return r.f.chunks[r.at-1], true, nil
}

func (r *fakeReader) Next(context.Context) (eventlog.Chunk, error) {
	c, ok, err := r.TryNext()
	if !ok && err == nil {
		err = context.Canceled
	}
	return c, err
}

func (r *fakeReader) Close() error { return nil }

// watched notes how far a reader says that it has read.
type watched struct {
	eventlog.Reader
	next uint64
}

func (w *watched) TryNext() (eventlog.Chunk, bool, error) {
	c, ok, err := w.Reader.TryNext()
	if ok {
		w.next = c.Next()
	}
	return c, ok, err
}

// key is that of a number; 0 has none.
func key(n int) (k eventlog.Key) {
	if n > 0 {
		k = event.KeyOf("s", fmt.Sprint(n))
	}
	return k
}

// grow appends a record with the events of these numbers, behind a gap.
func (f *fake) grow(gap uint64, at int64, numbers ...int) {
	b, _ := f.Bounds(context.Background(), eventlog.Events, 0)
	c := eventlog.Chunk{Base: b.Next + gap, Count: len(numbers), Appended: at}
	for _, n := range numbers {
		c.Data = append(c.Data, 2)
		c.Data = binary.BigEndian.AppendUint16(c.Data, uint16(n))
		c.Keys = append(c.Keys, key(n))
	}
	f.chunks = append(f.chunks, c)
}

// given is what a reader gives: offsets with numbers.
func given(t *testing.T, r eventlog.Reader, from uint64, most int) (offsets []uint64, numbers []int) {
	t.Helper()
	for range most {
		c, ok, err := r.TryNext()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		if len(c.Data) != 3*c.Count || len(c.Keys) != c.Count {
			t.Fatalf("a part of %d events has %d bytes and %d keys", c.Count, len(c.Data), len(c.Keys))
		}
		for i := range c.Count {
			n := int(binary.BigEndian.Uint16(c.Data[3*i+1:]))
			if c.Keys[i] != key(n) {
				t.Fatalf("offset %d has another one's key", c.Base+uint64(i))
			}
			if o := c.Base + uint64(i); o >= from {
				offsets, numbers = append(offsets, o), append(numbers, n)
			}
		}
	}
	return offsets, numbers
}

// expected is the rule, read off all that there is.
func expected(f *fake, ids int, horizon int64) (offsets []uint64) {
	type past struct {
		n  int
		at int64
	}
	var all []past
	for _, c := range f.chunks {
		for i := range c.Count {
			n := int(binary.BigEndian.Uint16(c.Data[3*i+1:]))
			repeat := false
			for _, p := range all[max(0, len(all)-ids):] {
				repeat = repeat || n > 0 && p.n == n && c.Appended-p.at <= horizon
			}
			if !repeat {
				offsets = append(offsets, c.Base+uint64(i))
			}
			if n > 0 {
				all = append(all, past{n, c.Appended})
			}
		}
	}
	return offsets
}

// TestRule: wherever and whenever readers begin, and however they are mixed, they
// see what the rule says.
func TestRule(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		f := &fake{}
		ids, horizon := 1+rng.IntN(40), int64(1+rng.IntN(60))*1e6
		l, err := New(f, Config{IDs: ids, Horizon: time.Second}, nil)
		if err != nil {
			t.Fatal(err)
		}
		l.horizon = horizon
		type open struct {
			r    eventlog.Reader
			from uint64
			got  []uint64
		}
		var readers []*open
		at, names := int64(0), 1+rng.IntN(60)
		for range 120 {
			switch rng.IntN(4) {
			case 0, 1:
				at += rng.Int64N(3e6)
				numbers := make([]int, 1+rng.IntN(4))
				for i := range numbers {
					numbers[i] = rng.IntN(names)
				}
				f.grow(uint64(rng.IntN(3)*rng.IntN(3000)), at, numbers...)
			case 2:
				b, _ := f.Bounds(t.Context(), eventlog.Events, 0)
				from := rng.Uint64N(b.Next + 1)
				r, err := l.Read(t.Context(), eventlog.Events, 0, from)
				if err != nil {
					t.Fatal(err)
				}
				readers = append(readers, &open{r: &watched{Reader: r}, from: from})
			default:
				if len(readers) == 0 {
					continue
				}
				o := readers[rng.IntN(len(readers))]
				offsets, _ := given(t, o.r, o.from, rng.IntN(8))
				o.got = append(o.got, offsets...)
			}
		}
		want := expected(f, ids, horizon)
		for i, o := range readers {
			offsets, _ := given(t, o.r, o.from, 1<<20)
			o.got = append(o.got, offsets...)
			if b, _ := f.Bounds(t.Context(), eventlog.Events, 0); o.from < b.Next && o.r.(*watched).next != b.Next {
				t.Fatalf("seed %d: reader %d was told of [%d, %d), the log ends at %d", seed, i, o.from, o.r.(*watched).next, b.Next)
			}
			first, _ := slices.BinarySearch(want, o.from)
			if !slices.Equal(o.got, want[first:]) {
				t.Fatalf("seed %d, %d ids, horizon %d: reader %d from %d gave\n%v, want\n%v", seed, ids, horizon, i, o.from, o.got, want[first:])
			}
		}
		for range 2 { // each has something to read behind what all have read
			f.grow(0, at, 0)
			for _, o := range readers {
				given(t, o.r, 0, 1)
			}
		}
		if n := len(l.parts[0].scans); n > 1 {
			t.Errorf("seed %d: readers that have all caught up share %d scans", seed, n)
		}
		for _, o := range readers {
			if err := o.r.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(l.parts[0].scans); n > 1 {
			t.Errorf("seed %d: %d scans are left without readers", seed, n)
		}
	}
}

// TestBounds: who has read all is at the end, also if repeats come last, and the end
// was asked for before.
func TestBounds(t *testing.T) {
	f := &fake{}
	l, err := New(f, Config{IDs: 10, Horizon: time.Hour}, nil)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := l.Read(t.Context(), eventlog.Events, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	r := &watched{Reader: inner}
	for _, numbers := range [][]int{{1, 2, 3}, {3, 1}, {4, 2}, {4}} {
		f.grow(5, 1, numbers...)
		b, err := l.Bounds(t.Context(), eventlog.Events, 0)
		if err != nil {
			t.Fatal(err)
		}
		if given(t, r, 0, 9); r.next != b.Next {
			t.Errorf("behind %v: read up to %d, the end was %d", numbers, r.next, b.Next)
		}
	}
}

// TestTidy: what all readers are past is let go of, and not what one is not.
func TestTidy(t *testing.T) {
	f := &fake{}
	l, err := New(f, Config{IDs: 10, Horizon: time.Hour}, nil)
	if err != nil {
		t.Fatal(err)
	}
	front, err := l.Read(t.Context(), eventlog.Events, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	behind, err := l.Read(t.Context(), eventlog.Events, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 * minTidy {
		f.grow(0, 1, 7)
	}
	if offsets, _ := given(t, front, 0, 1<<20); len(offsets) != 1 {
		t.Fatalf("the reader in front gave %v", offsets)
	}
	if n := len(l.parts[0].scans[0].repeats); n != 3*minTidy-1 {
		t.Errorf("%d repeats are known while a reader is behind, want all", n)
	}
	if offsets, _ := given(t, behind, 0, 1<<20); len(offsets) != 1 {
		t.Fatalf("the reader behind gave %v", offsets)
	}
	for range 4 * minTidy {
		f.grow(0, 1, 7)
	}
	given(t, front, 0, 1<<20)
	given(t, behind, 0, 1<<20)
	for range minTidy {
		f.grow(0, 1, 7)
		given(t, front, 0, 1)
		given(t, behind, 0, 1)
	}
	if n := len(l.parts[0].scans[0].repeats); n > 6*minTidy {
		t.Errorf("%d repeats are kept that all readers are past", n)
	}
	l.parts[0].look(behind.(*reader), &f.chunks[0], l.dropped) // shown again
	for range 6 * minTidy {
		f.grow(0, 1, 7)
	}
	given(t, front, 0, 1<<20)
	anew, err := l.Read(t.Context(), eventlog.Events, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if offsets, _ := given(t, anew, 1, 1<<20); len(offsets) != 0 {
		t.Errorf("who begins where repeats were let go of gets %d of them", len(offsets))
	}
}

// TestPast: who begins in the middle reads little more than what is remembered.
func TestPast(t *testing.T) {
	f := &fake{}
	for i := range 200_000 {
		f.grow(0, int64(i), 1+i%60_000)
	}
	l, err := New(f, Config{IDs: 10_000, Horizon: time.Hour}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.reads = 0
	if _, err := l.Read(t.Context(), eventlog.Events, 0, 150_000); err != nil {
		t.Fatal(err)
	}
	if f.reads < 10_000 || f.reads > 30_000 {
		t.Errorf("%d records were read for 10,000 ids", f.reads)
	}
}

// TestSilence: what Heed itself makes has no keys, and does not make who begins
// read more than the horizon.
func TestSilence(t *testing.T) {
	f := &fake{}
	for i := range 200_000 {
		f.grow(0, int64(i)*1e6, 0)
	}
	l, err := New(f, Config{Horizon: 10_000 * time.Second}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(t.Context(), eventlog.Events, 0, 150_000); err != nil {
		t.Fatal(err)
	}
	if f.reads < 10_000 || f.reads > 30_000 {
		t.Errorf("%d records were read for 10,000 seconds", f.reads)
	}
}

// TestTrimmed: what retention leaves while somebody looks at the past counts.
func TestTrimmed(t *testing.T) {
	f := &fake{}
	for i := range 20_000 {
		f.grow(0, 1, 1+i%15_000)
	}
	l, err := New(f, Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	reads := 0
	f.onRead = func() { // the first piece is there, the second one not any more
		if reads++; reads == 3 {
			f.first = 4_000
		}
	}
	r, err := l.Read(t.Context(), eventlog.Events, 0, 15_000)
	if err != nil {
		t.Fatal(err)
	}
	offsets, _ := given(t, r, 0, 1<<20)
	if len(offsets) != 4_000 || offsets[0] != 15_000 || offsets[3_999] != 18_999 {
		t.Errorf("%d events were given; want the 4,000 whose first occurrence is gone", len(offsets))
	}
}

// TestLagging: a log that does not show what it has is no log without a past.
func TestLagging(t *testing.T) {
	f := &fake{}
	for i := range 10 {
		f.grow(0, 1, 1+i)
	}
	l, err := New(lagging{f}, Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Read(t.Context(), eventlog.Events, 0, 10); !errors.Is(err, eventlog.ErrUnavailable) {
		t.Errorf("reading behind 10 events that are not shown: %v", err)
	}
}

// lagging says how long a log is, and shows only the first three records.
type lagging struct{ *fake }

func (l lagging) Read(ctx context.Context, s eventlog.Stream, n int, from uint64) (eventlog.Reader, error) {
	return (&fake{chunks: l.chunks[:3]}).Read(ctx, s, n, from)
}

// TestAgain: who comes back to where it was need not look at the past again.
func TestAgain(t *testing.T) {
	f := &fake{}
	for i := range 1_000 {
		f.grow(0, 1, 1+i%700)
	}
	l, err := New(f, Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		r, err := l.Read(t.Context(), eventlog.Events, 0, 600)
		if err != nil {
			t.Fatal(err)
		}
		if offsets, _ := given(t, r, 0, 1<<20); len(offsets) != 100 {
			t.Errorf("%d events were given, want 100", len(offsets))
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if f.reads != 600+3*400 {
		t.Errorf("%d records were read, want 600 before and 400 each time", f.reads)
	}
}

// TestDamaged: data that are no events are not passed over.
func TestDamaged(t *testing.T) {
	f := &fake{}
	f.grow(0, 1, 1, 2)
	f.grow(0, 1, 1, 3)
	f.grow(0, 1, 4)
	f.chunks[1].Data = f.chunks[1].Data[:5]
	l, err := New(f, Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Read(t.Context(), eventlog.Events, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if c, ok, err := r.TryNext(); !ok || err != nil || c.Count != 2 {
		t.Fatalf("%+v, %v, %v", c, ok, err)
	}
	for range 2 {
		if c, _, err := r.TryNext(); !errors.Is(err, event.ErrCorrupt) {
			t.Errorf("%+v, %v", c, err)
		}
	}
}

// TestConformance: a log with repeats is one without for its readers, also where it
// shows records again.
func TestConformance(t *testing.T) {
	for name, hostile := range map[string]memory.Hostile{"Benign": {}, "Hostile": {Gap: 0.3, Redeliver: 0.2}} {
		t.Run(name, func(t *testing.T) {
			eventlogtest.Run(t, func(t *testing.T, clock *eventlogtest.Clock) eventlogtest.Subject {
				db := memory.Open(memory.Config{Clock: clock.Now, Repeats: true})
				db.SetHostile(hostile)
				l, err := New(db.Log(), Config{}, nil)
				if err != nil {
					t.Fatal(err)
				}
				return eventlogtest.Subject{Log: l, Repeats: true, Distinct: true}
			})
		})
	}
}

// BenchmarkRead is what it costs per event to read records of so many events, a
// hundredth of them repeats: for who is in front, and for who follows.
func BenchmarkRead(b *testing.B) {
	const events, ids = 1_000_000, 200_000
	for _, size := range []int{1, 20, 250} {
		f := &fake{}
		rng := rand.New(rand.NewPCG(1, 2))
		var at uint64
		for n := 0; n < events; n += size {
			c := eventlog.Chunk{Base: at, Count: size, Data: make([]byte, 3*size), Keys: make([]eventlog.Key, size)}
			for i := range size {
				c.Data[3*i] = 2
				k := n + i
				if rng.IntN(100) == 0 {
					k -= rng.IntN(min(k, ids) + 1)
				}
				binary.LittleEndian.PutUint64(c.Keys[i][:], uint64(k+1)*0x9E3779B97F4A7C15)
			}
			f.chunks, at = append(f.chunks, c), c.Next()
		}
		for _, readers := range []int{1, 2} {
			b.Run(fmt.Sprintf("%d/%d", size, readers), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					l, err := New(f, Config{IDs: ids}, nil)
					if err != nil {
						b.Fatal(err)
					}
					var open []eventlog.Reader
					for range readers {
						r, err := l.Read(b.Context(), eventlog.Events, 0, 0)
						if err != nil {
							b.Fatal(err)
						}
						open = append(open, r)
					}
					for _, r := range open {
						for {
							if _, ok, err := r.TryNext(); err != nil {
								b.Fatal(err)
							} else if !ok {
								break
							}
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/events/float64(readers), "ns/event")
			})
		}
	}
}

func BenchmarkSee(b *testing.B) {
	w := newWindow(100_000, 1<<60)
	rng := rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	for b.Loop() {
		w.see(rng.Uint64(), 1)
	}
}
