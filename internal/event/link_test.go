package event

import "testing"

func TestLinks(t *testing.T) {
	f := func(want string, e Event) {
		t.Helper()
		from, ok := e.Links()
		if ok != (want != "") || ok && from != want {
			t.Errorf("%+v links %q, %t", e, from, ok)
		}
	}
	f("a", Event{Type: Identify, UserID: "u", AnonymousID: "a"})
	f("p", Event{Type: Alias, UserID: "u", AnonymousID: "a", PreviousID: "p"})
	f("", Event{Type: Identify, UserID: "u"})
	f("", Event{Type: Identify, UserID: "u", AnonymousID: "u"})
	f("", Event{Type: Identify, AnonymousID: "a"})
	f("", Event{Type: Identify, UserID: "u", PreviousID: "p"})
	f("", Event{Type: Alias, AnonymousID: "a", PreviousID: "p"})
	f("", Event{Type: Track, UserID: "u", AnonymousID: "a"})
}

func TestLinkRecord(t *testing.T) {
	e := Event{Type: Identify, MessageID: "m", Source: "shop", UserID: `u"1`, AnonymousID: "a", Timestamp: 7, ReceivedAt: 8}
	r, key := e.LinkRecord("a", true)
	if r.User() != "a" || r.Type != System || r.Name != NameLink || string(r.Properties) != `{"to":"u\"1","trusted":true}` {
		t.Errorf("%+v, %s", r, r.Properties)
	}
	if again, same := e.LinkRecord("a", true); again.MessageID != r.MessageID || same != key || key == KeyOf(e.Source, e.MessageID) {
		t.Error("the key is not that of this link")
	}
	e.Source = "app"
	if _, other := e.LinkRecord("a", true); other == key {
		t.Error("two events have one link record")
	}
}

func TestPlaces(t *testing.T) {
	f := func(own, partition int, offset uint64) {
		t.Helper()
		p, o := PlaceOf(own, OffsetIn(partition, offset))
		if p != partition || o != offset {
			t.Errorf("%d in %d leads to %d in %d", offset, partition, o, p)
		}
	}
	f(3, 0, 0)
	f(0, 7, 1<<48-1)
	f(5, 5, 42)
	if p, o := PlaceOf(3, 42); p != 3 || o != 42 {
		t.Errorf("a plain offset leads to %d in %d", o, p)
	}
	if once := OffsetIn(2, 9); OffsetIn(4, once) != once {
		t.Error("a place moved")
	}
}
