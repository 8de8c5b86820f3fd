package pull_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/driver/memory"
	"heed/internal/period"
	"heed/internal/pull"
)

func TestExpiry(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	db := memory.Open(memory.Config{})
	s := pull.New(db.Documents(), func() time.Time { return now })
	short := &definition.Collection{Name: "scores", TTL: period.Period(time.Hour)}
	long := &definition.Collection{Name: "kept"}
	const users = 1200 // several pages
	for i := range users {
		if _, err := s.Put(t.Context(), short, fmt.Sprint("u", i), []byte(`{"n":1}`)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Put(t.Context(), long, "u0", []byte(`{"n":2}`)); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour - time.Microsecond)
	if n, err := s.Expire(t.Context(), "scores"); n != 0 || err != nil {
		t.Errorf("removed %d before their time, %v", n, err)
	}
	if _, err := s.Put(t.Context(), short, "u7", []byte(`{"n":3}`)); err != nil { // lives on
		t.Fatal(err)
	}
	now = now.Add(time.Microsecond)
	if doc, err := s.Fields(t.Context(), "scores", "u1"); doc != nil || err != nil {
		t.Errorf("an expired document is read: %s, %v", doc, err)
	}
	if n, err := s.Expire(t.Context(), "scores"); n != users-1 || err != nil {
		t.Errorf("removed %d of %d, %v", n, users-1, err)
	}
	if doc, err := s.Fields(t.Context(), "scores", "u7"); string(doc) != `{"n":3}` || err != nil {
		t.Errorf("%s, %v", doc, err)
	}
	if doc, err := s.Fields(t.Context(), "kept", "u0"); string(doc) != `{"n":2}` || err != nil {
		t.Errorf("%s, %v", doc, err)
	}
}

func TestUnreadable(t *testing.T) {
	db := memory.Open(memory.Config{})
	s := pull.New(db.Documents(), time.Now)
	for _, value := range []string{"", "\x02", "\x01too short"} {
		w := documents.Write{Collection: "pull.scores", Key: "u", Value: []byte(value), Expect: documents.Any}
		if err := db.Documents().Apply(t.Context(), documents.Relaxed, w); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), "scores", "u"); err == nil || errors.Is(err, pull.ErrNotFound) {
			t.Errorf("%q: got %v, want an error that says so", value, err)
		}
	}
}
