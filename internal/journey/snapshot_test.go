package journey_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"heed/internal/event"
	"heed/internal/journey"
	"heed/internal/measure"
	"heed/internal/measure/measuretest"
)

func save(t testing.TB, x *journey.Index) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := x.Save(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func load(data []byte) (*journey.Index, error) {
	return journey.Load(context.Background(), journey.Config{Promote: measuretest.Promoted()}, bytes.NewReader(data), nil)
}

func TestLoadedIndexAnswersAsTheOracle(t *testing.T) {
	for seed := range uint64(soak(100)) {
		r := rand.New(rand.NewPCG(seed, 2))
		h, now := measuretest.Random(r)
		// What comes after the snapshot comes on top of the loaded one.
		n := r.IntN(len(h.Events) + 1)
		x := index(t, r, &measuretest.History{Events: h.Events[:n]})
		x, err := load(save(t, x))
		if err != nil {
			t.Fatal(err)
		}
		x.Write(func(w *journey.Writer) {
			for _, m := range h.Merges {
				w.Merge(m.From, m.To)
			}
			for i := range h.Events[n:] {
				w.Add(&h.Events[n+i])
			}
		})
		first := save(t, x)
		if x, err = load(first); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, save(t, x)) {
			t.Fatalf("seed %d: what was loaded is saved differently", seed)
		}
		for range 10 {
			if !compare(t, x, h, measuretest.Ask(r, now), now) {
				t.Fatalf("seed %d", seed)
			}
		}
	}
}

func TestSaveWhileWriting(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	h := &measuretest.History{}
	for range 30_000 {
		h.Events = append(h.Events, event.Event{Name: "a", UserID: string(rune('A' + r.IntN(20))), Timestamp: r.Int64N(1e9) * 1000})
	}
	half := &measuretest.History{Events: h.Events[:15_000]}
	x := index(t, r, half)
	x.Write(func(w *journey.Writer) { w.Next(3, 15_000) })
	want := save(t, x)
	pipe := &slowly{x: x, late: h.Events[15_000:]}
	if err := x.Save(context.Background(), pipe); err != nil {
		t.Fatal(err)
	}
	if len(pipe.late) > 0 {
		t.Fatal("nothing was written meanwhile")
	}
	if !bytes.Equal(pipe.data.Bytes(), want) {
		t.Error("what was written meanwhile is in the snapshot")
	}
	y, err := load(pipe.data.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if y.Next(3) != 15_000 || y.Next(4) != 0 {
		t.Errorf("next offsets %d and %d", y.Next(3), y.Next(4))
	}
	h.Merges = []measuretest.Merge{{From: "A", To: "B"}}
	now := int64(1e12)
	for range 8 {
		compare(t, x, h, measuretest.Ask(r, now), now)
		compare(t, y, half, measuretest.Ask(r, now), now)
	}
}

// slowly is a file during whose writing events come, late ones among them.
type slowly struct {
	x    *journey.Index
	late []event.Event
	data bytes.Buffer
}

func (s *slowly) Write(p []byte) (int, error) {
	s.x.Write(func(w *journey.Writer) {
		for i := range s.late {
			w.Add(&s.late[i])
		}
		w.Merge("A", "B")
		s.late = nil
	})
	return s.data.Write(p)
}

func TestDamagedSnapshots(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	h, _ := measuretest.Random(r)
	good := save(t, index(t, r, h))
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1 << r.IntN(8)
		if _, err := load(bad); !errors.Is(err, journey.ErrSnapshot) {
			t.Fatalf("byte %d of %d: %v", i, len(good), err)
		}
		if _, err := load(good[:i]); !errors.Is(err, journey.ErrSnapshot) {
			t.Fatalf("cut at %d of %d: %v", i, len(good), err)
		}
	}
	if _, err := journey.Load(context.Background(), journey.Config{}, bytes.NewReader(good), nil); !errors.Is(err, journey.ErrSnapshot) {
		t.Errorf("other promoted fields: %v", err)
	}
}

// FuzzLoad gives payloads that pass the checksum.
func FuzzLoad(f *testing.F) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 3))
		h, _ := measuretest.Random(r)
		f.Add(journey.Payload(save(f, index(f, r, h))))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		x, err := load(journey.Framed(payload))
		if err != nil {
			return
		}
		// It may answer anything, but it answers.
		if _, _, err := x.Evaluate(context.Background(), &measure.Query{Users: &measure.Users{Limit: 10}}, 1e15); err != nil {
			t.Fatal(err)
		}
		save(t, x)
	})
}
