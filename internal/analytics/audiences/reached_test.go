package audiences

import (
	"fmt"
	"testing"

	"heed/internal/definition"
	"heed/internal/measure"
	"heed/internal/profile"
	"heed/internal/reach"
)

// Who can be reached is what the decision would answer for each member.
func TestReached(t *testing.T) {
	w := newWorld(t, 2)
	w.define("kind: audience\nname: buyers\ndid: {event: purchase}\n")
	w.set.Channels["letters"] = &definition.Channel{Name: "letters", Type: definition.ChannelEmail}
	for i := range 30 {
		w.happen(track(user(i), "purchase"))
		p := &profile.Profile{
			UserID: user(i), FirstSeen: 1, Email: profile.Address{Value: fmt.Sprintf("u%d@shop.example", i), Verified: i%2 == 0, At: 1},
			Consent: []profile.Entry{{Key: "email", Value: fmt.Sprint(i%3 > 0), At: 1}, {Key: "marketing", Value: fmt.Sprint(i != 1), At: 1}},
		}
		w.users[user(i)] = p
	}
	book, ok := w.k.deps.Book.(*reach.Book)
	if !ok {
		t.Fatal("the world has another book")
	}
	if err := book.Suppress(t.Context(), "email", "U2@shop.example", reach.Complaint, reach.Cause{At: 1}); err != nil {
		t.Fatal(err)
	}
	w.settle()
	const want = "[{false letters 9} {false outbox 29} {false web 29}]" // of 10 with an address and consent, one complained; another wants no marketing at all
	a, err := w.k.Audience(t.Context(), "buyers")
	if err != nil || a.Size != 30 || fmt.Sprint(a.Reachable) != want {
		t.Errorf("%+v, %v", a, err)
	}
	q, err := measure.ParseUsers([]byte(`{"did": {"event": "purchase"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := w.k.Preview(t.Context(), q); err != nil || fmt.Sprint(got.Reachable) != want || len(got.Sample) != 20 {
		t.Errorf("%+v, %v", got, err)
	}
}

// Of more members than are asked it is said that there are at least so many.
func TestReachedOfMany(t *testing.T) {
	w := newWorld(t, 1)
	w.define("kind: audience\nname: buyers\ndid: {event: purchase}\n")
	w.set.Channels = map[string]*definition.Channel{"outbox": {Name: "outbox", Type: definition.ChannelOutbox}}
	q, err := measure.ParseUsers([]byte(`{"did": {"event": "purchase"}}`))
	if err != nil {
		t.Fatal(err)
	}
	happened := 0
	f := func(members int, draft, saved string) {
		t.Helper()
		for ; happened < members; happened++ {
			w.happen(track(user(happened), "purchase"))
		}
		w.settle()
		got, err := w.k.Preview(t.Context(), q)
		if err != nil || got.Size != int64(members) || fmt.Sprint(got.Reachable) != draft {
			t.Errorf("the draft of %d: %d, %v, %v", members, got.Size, got.Reachable, err)
		}
		a, err := w.k.Audience(t.Context(), "buyers")
		if err != nil || a.Size != int64(members) || fmt.Sprint(a.Reachable) != saved {
			t.Errorf("%d saved: %d, %v, %v", members, a.Size, a.Reachable, err)
		}
	}
	f(measure.MaxPage, "[{false outbox 10000}]", "[{false outbox 10000}]")
	f(measure.MaxPage+1, "[{true outbox 2000}]", "[{false outbox 10001}]")
	f(mostReached+1, "[{true outbox 2000}]", "[{true outbox 50000}]")
}
