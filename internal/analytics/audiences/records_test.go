package audiences

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heed/internal/driver/memory"
	"heed/internal/event"
)

func user(i int) string { return fmt.Sprintf("u%05d", i) }

// Records stay within their bounds, and together name everybody once.
func TestRecordsOfMany(t *testing.T) {
	e := &entry{seq: 40, at: begin, replace: true}
	for i := range 4000 {
		e.added = append(e.added, user(i))
	}
	for i := range 500 {
		e.added = append(e.added, user(10_000+i)+strings.Repeat("x", 120))
	}
	made, err := batches("all", 7, e, 2, nil)
	if err != nil || len(made) != 2 {
		t.Fatalf("%d batches, %v", len(made), err)
	}
	again, err := batches("all", 7, e, 2, nil)
	if diff := cmp.Diff(made, again); err != nil || diff != "" {
		t.Errorf("told again, it is something else: %v\n%s", err, diff)
	}
	var users []string
	for _, b := range made {
		d := event.NewDecoder(b.Data)
		for n := 0; ; n++ {
			var ev event.Event
			if ok, err := d.Next(&ev); err != nil {
				t.Fatal(err)
			} else if !ok {
				if n < 3 {
					t.Errorf("%d records in partition %d", n, b.Partition)
				}
				break
			}
			var m event.Membership
			if err := json.Unmarshal(ev.Properties, &m); err != nil || m.Validate() != nil || len(ev.Properties) > event.MaxJSONBytes {
				t.Errorf("%v, %v, %d bytes", err, m.Validate(), len(ev.Properties))
			}
			if want := map[bool]string{true: event.MembershipReplace, false: event.MembershipAdd}[n == 0]; m.Op != want {
				t.Errorf("record %d is to %s", n, m.Op)
			}
			users = append(users, m.Users...)
		}
	}
	slices.Sort(users)
	slices.Sort(e.added)
	if !slices.Equal(users, e.added) {
		t.Errorf("%d users are told, want %d", len(users), len(e.added))
	}
}

func TestEntriesAreReadBack(t *testing.T) {
	e := &entry{seq: 3, at: -5, replace: true, entered: []string{"a", "b"}, left: []string{""}, removed: []string{"c"}}
	b := e.append(nil)
	got, err := decodeEntry(3, b)
	if diff := cmp.Diff(e, got, cmp.AllowUnexported(entry{})); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	for n := range b {
		if _, err := decodeEntry(3, b[:n]); err == nil {
			t.Errorf("%d of %d bytes are taken for an entry", n, len(b))
		}
	}
}

// Appends that fail although they were written are made again, and repeat
// nothing.
func TestLostAcks(t *testing.T) {
	play := func(lost float64) (map[string][]string, map[string][]string) {
		w := newWorld(t, 3)
		w.entryBytes = 512
		w.start()
		w.db.SetHostile(memory.Hostile{LostAck: lost})
		w.define("kind: audience\nname: buyers\ndid: {event: purchase}\n---\nkind: audience\nname: once\ndid: {event: purchase, max: 1}\n")
		for i := range 30 {
			for n := range 20 {
				w.happen(track(user(i*15+n), "purchase"))
			}
			for range 12 {
				w.now += 500e6 // what failed is tried again
				w.settle()
			}
		}
		return w.obeyed()
	}
	members, events := play(0)
	for range 3 {
		gotMembers, gotEvents := play(0.3)
		if diff := cmp.Diff(members, gotMembers); diff != "" {
			t.Errorf("members:\n%s", diff)
		}
		if diff := cmp.Diff(events, gotEvents); diff != "" {
			t.Errorf("events:\n%s", diff)
		}
	}
}
