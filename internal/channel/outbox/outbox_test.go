package outbox_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"heed/internal/channel"
	"heed/internal/channel/outbox"
	"heed/internal/driver/memory"
)

func TestSendAndList(t *testing.T) {
	db := memory.Open(memory.Config{})
	c := outbox.New(db.Documents())
	send := func(id string, at, created int64, want bool) {
		t.Helper()
		r, err := c.Send(t.Context(), &channel.Delivery{ID: id, User: "u", Campaign: "c", Subject: "s", Body: "b" + id, At: at, Created: created})
		if err != nil || r.Fresh != want {
			t.Errorf("%s: %+v %v", id, r, err)
		}
	}
	send("x", 2_000_000, 1, true)
	send("y", 1_000_000, 1, true)
	send("x", 2_000_000, 9, false) // a repeat, however late, is the same message
	send("z", 30_000_000, 1, true)
	list := func(before string, limit int) (ids string, last string) {
		t.Helper()
		got, err := outbox.List(t.Context(), db.Documents(), before, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range got {
			ids, last = ids+m.ID, m.Key
			if m.Body != "b"+m.ID || m.Created != 1 {
				t.Errorf("message %+v", m)
			}
		}
		return ids, last
	}
	ids, last := list("", 2)
	if diff := cmp.Diff("zx", ids); diff != "" {
		t.Error(diff)
	}
	if ids, _ = list(last, 2); ids != "y" {
		t.Errorf("the rest is %q", ids)
	}
}
