package stream

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"heed/internal/definition"
	"heed/internal/driver/memory"
)

// Each process that reads a stream has its own trouble: it stays while another one
// works, and goes when it is over, or the process.
func TestTroubleOfEachProcess(t *testing.T) {
	docs, problems := definition.Parse("", []byte("kind: stream\nname: bets\nkafka: {brokers: [\"127.0.0.1:1\"]}\ntopic: bets\nuserId: key\nevent: bet\n"))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	set, problems := definition.NewSet(1, docs)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	db := memory.Open(memory.Config{})
	defer func() { _ = db.Close() }()
	now := time.Unix(1_800_000_000, 0)
	process := func(at string) *reader {
		deps := Deps{Process: at, Documents: db.Documents(), Clock: func() time.Time { return now }}
		return &reader{s: &Streams{deps: deps}, name: "bets", log: slog.New(slog.DiscardHandler)}
	}
	save := func(r *reader, leaving bool) {
		t.Helper()
		now = now.Add(time.Second)
		r.alive()
		if err := r.save(t.Context(), leaving); err != nil {
			t.Fatal(err)
		}
	}
	f := func(what, want string) {
		t.Helper()
		states, err := States(t.Context(), db.Documents(), set, now)
		if err != nil || len(states) != 1 {
			t.Fatalf("%+v, %v", states, err)
		}
		got := states[0]
		if want == "" && got.Error != "" || !strings.Contains(got.Error, want) || (got.Error == "") != got.ErrorAt.IsZero() {
			t.Errorf("%s: %q since %s, want %q", what, got.Error, got.ErrorAt, want)
		}
	}
	one, two := process("http://one"), process("http://two")
	one.trouble(reading, errors.New("cut off"))
	save(one, false)
	f("alone", "http://one: cut off")
	for range 3 {
		save(two, false)
		f("another one works", "1 of 2 processes that read it have trouble, the others go on; http://one: cut off")
	}
	two.trouble(reading, errors.New("cut off too"))
	save(two, false)
	f("both", "http://one: cut off")
	one.trouble(reading, nil)
	save(one, false)
	f("the first is back", "http://two: cut off too")
	save(two, true)
	f("the other one ends", "")
	one.trouble(reading, errors.New("again"))
	save(one, false)
	f("again", "again")
	now = now.Add(silentFor + time.Second)
	f("killed", "")
}
