package event

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// Which of two records holds is a matter of their times, in whatever order they are read.
func TestMerges(t *testing.T) {
	begin := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	var m Merges
	f := func(from, to string, at int, want bool) {
		t.Helper()
		e := Event{Type: System, Name: NameMerge}
		e.Properties = fmt.Appendf(nil, `{"from":%q,"to":%q,"at":%q}`, from, to, begin.Add(time.Duration(at)*time.Millisecond).Format(time.RFC3339Nano))
		got, holds, err := m.Read(&e)
		if err != nil || holds != want || got.From != from || got.To != to {
			t.Errorf("%s is %s at %d: %+v, %t, %v; want %t", from, to, at, got, holds, err, want)
		}
	}
	f("a", "u", 1, true)
	f("a", "a", 5, true)
	f("a", "u", 5, false) // of the same request: the id had turned out to be somebody's by then
	f("a", "u", 4, false)
	f("b", "u", 4, true)
	f("a", "u", 6, true)
	f("", "u", 7, false)
	if _, _, err := m.Read(&Event{Properties: []byte("{")}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("what cannot be read: %v", err)
	}
	for i := range 3 * maxParted {
		id := fmt.Sprint(i)
		f(id, id, i*int(keepParted/time.Millisecond)/maxParted, true)
	}
	if n := len(m.parted); n > maxParted+2 {
		t.Errorf("%d ids are remembered", n)
	}
}
