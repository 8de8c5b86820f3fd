package journey_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"heed/internal/event"
	"heed/internal/journey"
)

func TestTraitsOfUsers(t *testing.T) {
	x, err := journey.New(journey.Config{MaxValues: 3, MaxTraits: 4})
	if err != nil {
		t.Fatal(err)
	}
	identify := func(user string, at int64, traits string) *event.Event {
		return &event.Event{Type: event.Identify, Name: event.NameIdentify, UserID: user, Timestamp: at, Traits: []byte(traits)}
	}
	x.Write(func(w *journey.Writer) {
		w.Add(identify("ann", 1, `{"plan":"pro","spent":12.5,"email":"a@x"}`))
		w.Add(identify("bob", 1, `{"plan":"free","spent":-3,"email":"b@x"}`))
		w.Add(identify("cid", 1, `{"plan":"free","email":"c@x","vip":true}`))
		w.Add(identify("dan", 1, `{"plan":{"name":"pro"},"email":"d@x","vip":false}`))
		w.Add(identify("dan", 2, `{"plan":null,"gone":1,"vip":false}`)) // there is no room for a fifth
		w.Add(&event.Event{Type: event.Track, Name: "win", AnonymousID: "eve", Timestamp: 1})
		w.Merge("bob", "ann") // the later write wins, and the same time is kept by who it was
	})
	got, users, complete := x.Traits(1)
	if users != 4 || complete {
		t.Errorf("%d users, complete %t; want 4 and that keys had no room", users, complete)
	}
	number := func(n float64) *float64 { return &n }
	want := []journey.Trait{
		{Key: "email", Wide: true},
		{Key: "plan", Users: 2, Distinct: 1, Kinds: []byte(`"`), Values: []journey.TraitValue{{JSON: `"free"`, Users: 2}}},
		{Key: "spent", Users: 1, Distinct: 1, Kinds: []byte("0"), Least: number(-3), Greatest: number(-3), Values: []journey.TraitValue{{JSON: "-3", Users: 1}}},
		{Key: "vip", Users: 2, Distinct: 2, Kinds: []byte("t"), Values: []journey.TraitValue{{JSON: "false", Users: 1}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("traits (-want +got):\n%s", diff)
	}
	if all, _, _ := x.Traits(9); len(all) < 4 || len(all[3].Values) != 2 {
		t.Errorf("not all values: %v", all)
	}
}
