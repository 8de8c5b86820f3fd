package journey_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"heed/internal/event"
	"heed/internal/journey"
	"heed/internal/measure"
	"heed/internal/measure/measuretest"
)

func soak(n int) int {
	if by, err := strconv.Atoi(os.Getenv("HEED_SOAK")); err == nil && by > 0 {
		return n * by
	}
	return n
}

// index takes in a history in batches, merges among them.
func index(t testing.TB, r *rand.Rand, h *measuretest.History) *journey.Index {
	t.Helper()
	x, err := journey.New(journey.Config{Workers: 1 + r.IntN(3), Promote: measuretest.Promoted(), MaxRanked: 1 + r.IntN(8)})
	if err != nil {
		t.Fatal(err)
	}
	merges := h.Merges
	x.Write(func(w *journey.Writer) {
		for i := range h.Events {
			w.Add(&h.Events[i])
			if len(merges) > 0 && r.IntN(len(h.Events)) < len(merges) {
				w.Merge(merges[0].From, merges[0].To)
				merges = merges[1:]
			}
		}
		for _, m := range merges {
			w.Merge(m.From, m.To)
		}
	})
	return x
}

func compare(t *testing.T, x *journey.Index, h *measuretest.History, q *measure.Query, now int64) bool {
	t.Helper()
	text, err := json.Marshal(q)
	if err != nil {
		t.Fatal(err)
	}
	// The query is also read back, so that its JSON says all of it.
	parsed, err := measure.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	want, err := h.Answer(q, now)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	got, supported, err := x.Evaluate(context.Background(), parsed, now)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if !supported {
		t.Fatalf("%s is not supported", text)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s at %d (-oracle +index):\n%s", text, now, diff)
		return false
	}
	return true
}

func TestIndexAnswersAsTheOracle(t *testing.T) {
	for seed := range uint64(soak(250)) {
		r := rand.New(rand.NewPCG(seed, 1))
		h, now := measuretest.Random(r)
		x := index(t, r, h)
		for range 10 {
			if !compare(t, x, h, measuretest.Ask(r, now), now) {
				t.Logf("seed %d", seed)
				for i := range h.Events {
					e := &h.Events[i]
					t.Logf("%s %d %s bot=%t %s %s %s", e.User(), e.Timestamp, e.Name, e.Context.Bot, e.Context.Extra, e.Context.Device, e.Properties)
				}
				t.Log(h.Merges)
				return
			}
		}
	}
}

// Members who are brought up to date by asking about those alone who did something,
// or became somebody else, are those that asking about everybody finds.
func TestMembersSinceAreTheMembers(t *testing.T) {
	asked, joined, forgotten, refused := 0, 0, 0, 0
	for seed := range uint64(soak(150)) {
		r := rand.New(rand.NewPCG(seed, 2))
		h, now := measuretest.Random(r)
		merges := h.Merges
		h.Merges = nil
		all := h.Events
		h.Events = all[:r.IntN(len(all)+1)]
		x := index(t, r, h)
		var queries []*measure.Query
		var told []journey.Members
		members := func(q *measure.Query) (out journey.Members) {
			ok, err := x.Members(t.Context(), q, now, func(_ journey.People, m journey.Members) { out = m })
			if err != nil || !ok {
				t.Fatalf("seed %d: %v, %v", seed, ok, err)
			}
			return out
		}
		for len(queries) < 10 {
			if q := measuretest.Ask(r, now); q.Audience != nil {
				q = &measure.Query{Audience: q.Audience, Where: q.Where, Zone: q.Zone, Users: &measure.Users{}}
				queries, told = append(queries, q), append(told, members(q))
			}
		}
		since, _ := x.Version()
		trims := r.IntN(10) == 0
		x.Write(func(w *journey.Writer) {
			for i := len(h.Events); i < len(all); i++ {
				w.Add(&all[i])
			}
			for _, m := range merges[:r.IntN(len(merges)+1)] {
				w.Merge(m.From, m.To)
				joined++
			}
			if len(all) > 0 && r.IntN(4) == 0 {
				w.Forget(all[r.IntN(len(all))].User())
				forgotten++
			}
			if trims {
				w.Trim(now - 24*3600e6)
			}
		})
		for i, q := range queries {
			var got journey.Members
			ok, err := x.MembersSince(t.Context(), q, now, since, func(_ journey.People, asked, in journey.Members) { got = told[i].But(asked, in) })
			if err != nil || ok == trims {
				t.Fatalf("seed %d: %v, %v", seed, ok, err)
			}
			if trims {
				refused++
				continue
			}
			asked++
			want := members(q)
			x.Look(func(p journey.People) {
				differ := func(id string, _ bool) {
					text, _ := json.Marshal(q)
					t.Errorf("seed %d: %s: %s", seed, text, id)
				}
				p.Differ(want, got, differ)
				p.Differ(got, want, differ)
			})
		}
	}
	if asked == 0 || joined == 0 || forgotten == 0 || refused == 0 {
		t.Errorf("%d asked after %d joined and %d were forgotten, %d refused", asked, joined, forgotten, refused)
	}
}

// Queries run while events come; each of them sees the whole of some moment.
func TestQueriesSeeOneMoment(t *testing.T) {
	x, err := journey.New(journey.Config{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	const users = 10_000
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for round := 0; ; round++ {
			select {
			case <-stop:
				return
			default:
			}
			// Every user of a thousand does the same thing in the same batch.
			x.Write(func(w *journey.Writer) {
				for u := range users / 10 {
					id := "u" + strconv.Itoa(round%10*1000+u)
					w.Add(&event.Event{Name: "a", UserID: id, Timestamp: int64(round) * 1e6})
					w.Add(&event.Event{Name: "b", AnonymousID: "anon" + id, Timestamp: int64(round)*1e6 + 1})
					w.Merge("anon"+id, id)
				}
			})
		}
	})
	q := &measure.Query{Funnel: &measure.Funnel{Steps: []measure.Step{{Event: "a"}, {Event: "b"}}, Window: 1000_000_000}}
	for range 30 {
		res, _, err := x.Evaluate(context.Background(), q, 1e15)
		if err != nil {
			t.Fatal(err)
		}
		steps := res.Funnel.Steps
		if steps[0].Reached%1000 != 0 || steps[0].Reached != steps[1].Reached {
			t.Fatalf("half a batch was seen: %+v", steps)
		}
	}
	close(stop)
	wg.Wait()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := x.Evaluate(ended, q, 1e15); !errors.Is(err, context.Canceled) {
		t.Errorf("a query that was called off: %v", err)
	}
}

// The number at a mark is the number of the users that it leads to.
func TestMarksAreTheirUsers(t *testing.T) {
	marks := 0
	for seed := range uint64(soak(100)) {
		r := rand.New(rand.NewPCG(seed, 4))
		h, now := measuretest.Random(r)
		x := index(t, r, h)
		for range 6 {
			q := measuretest.Ask(r, now)
			res, err := h.Answer(q, now)
			if err != nil {
				t.Fatal(err)
			}
			for i, m := range measuretest.Marks(q, &res) {
				if i%7 != 0 && i > 30 {
					continue
				}
				users, err := m.Mark.Users(q, &res)
				if err != nil {
					t.Fatalf("%+v: %v", m, err)
				}
				users.Users.Limit = 3
				if !compare(t, x, h, users, now) {
					t.Fatalf("seed %d", seed)
				}
				got, _, err := x.Evaluate(context.Background(), users, now)
				if err != nil {
					t.Fatal(err)
				}
				if marks++; got.Users.Total != m.Users {
					text, _ := json.Marshal(q)
					list, _ := json.Marshal(users)
					t.Fatalf("seed %d: %s\nmark %+v says %d, its users are %d: %s", seed, text, m.Mark, m.Users, got.Users.Total, list)
				}
			}
		}
	}
	t.Logf("%d marks", marks)
}

// Who was forgotten never was, and comes back as somebody new.
func TestForget(t *testing.T) {
	for seed := range uint64(soak(100)) {
		r := rand.New(rand.NewPCG(seed, 5))
		h, now := measuretest.Random(r)
		x := index(t, r, h)
		gone := map[string]bool{}
		for _, id := range []string{"u1", "u3"} {
			x.Write(func(w *journey.Writer) { w.Forget(id) })
			gone[id] = true
		}
		// Whoever was merged with them is gone too.
		for range h.Merges {
			for _, m := range h.Merges {
				if gone[m.From] || gone[m.To] {
					gone[m.From], gone[m.To] = true, true
				}
			}
		}
		left := &measuretest.History{}
		for _, m := range h.Merges {
			if !gone[m.From] {
				left.Merges = append(left.Merges, m)
			}
		}
		for _, e := range h.Events {
			// What was set aside belongs to nobody.
			if !gone[e.User()] || e.Context.Bot || journey.Internal(&e) {
				left.Events = append(left.Events, e)
			}
		}
		for _, e := range h.Events[:min(3, len(h.Events))] {
			x.Write(func(w *journey.Writer) { w.Add(&e) })
			left.Events = append(left.Events, e)
		}
		for range 6 {
			if !compare(t, x, left, measuretest.Ask(r, now), now) {
				t.Fatalf("seed %d", seed)
			}
		}
	}
}

func TestTrim(t *testing.T) {
	x, err := journey.New(journey.Config{})
	if err != nil {
		t.Fatal(err)
	}
	x.Write(func(w *journey.Writer) {
		for _, e := range []event.Event{
			{Name: "a", UserID: "old", Timestamp: 10},
			{Name: "a", UserID: "both", Timestamp: 20},
			{Name: "b", UserID: "both", Timestamp: 200},
			{Name: "b", AnonymousID: "anon", Timestamp: 30},
		} {
			e.Context.Campaign.Source = e.Name
			w.Add(&e)
		}
		w.Merge("anon", "old")
		w.Trim(100)
	})
	f := func(a measure.Audience, want ...string) {
		t.Helper()
		res, _, err := x.Evaluate(context.Background(), &measure.Query{Audience: &a, Users: &measure.Users{Limit: 10}}, 1000)
		if err != nil || !slices.Equal(res.Users.IDs, want) {
			t.Errorf("%v, %v, want %v", res.Users, err, want)
		}
	}
	source := "a"
	f(measure.Audience{}, "both")
	f(measure.Audience{Did: &measure.Did{Event: "a"}})
	f(measure.Audience{Did: &measure.Did{Event: "b"}}, "both")
	f(measure.Audience{Is: &measure.Is{Dimension: measure.Dimension{Field: "acquisition.source"}, Values: []*string{&source}}}, "both")
	x.Write(func(w *journey.Writer) {
		w.Add(&event.Event{Name: "c", UserID: "anon", Timestamp: 300})
		w.Add(&event.Event{Name: "c", UserID: "old", Timestamp: 301})
	})
	f(measure.Audience{Did: &measure.Did{Event: "c"}}, "anon", "old")
	if s := x.Stats(); s.Events != 3 || s.Users != 3 {
		t.Errorf("%+v", s)
	}
}

func TestImports(t *testing.T) {
	measuretest.CheckImports(t, func(h *measuretest.History, q *measure.Query, now int64) (measure.Result, error) {
		res, supported, err := index(t, rand.New(rand.NewPCG(1, 1)), h).Evaluate(t.Context(), q, now)
		if !supported {
			t.Errorf("%+v is not supported", q)
		}
		return res, err
	})
}
