package device_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"heed/internal/device"
	"heed/internal/documents"
	"heed/internal/driver/memory"
)

type world struct {
	*device.Store
	t   *testing.T
	now time.Time
}

func open(t *testing.T) *world {
	t.Helper()
	db := memory.Open(memory.Config{})
	t.Cleanup(func() { _ = db.Close() })
	w := &world{t: t, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	w.Store = device.New(db.Documents(), func() time.Time { return w.now })
	return w
}

func (w *world) put(user, endpoint string, proven bool) device.Device {
	w.t.Helper()
	w.now = w.now.Add(time.Second)
	d, err := w.Put(w.t.Context(), device.Device{User: user, Endpoint: endpoint, Proven: proven, Channel: "push", P256dh: "p", Auth: "a"})
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// want compares the endpoints of a user, oldest first.
func (w *world) want(user string, endpoints ...string) {
	w.t.Helper()
	all, err := w.List(w.t.Context(), user)
	if err != nil {
		w.t.Fatal(err)
	}
	got := []string{}
	for _, d := range all {
		got = append(got, d.Endpoint)
	}
	if fmt.Sprint(got) != fmt.Sprint(endpoints) {
		w.t.Errorf("%s has %v, want %v", user, got, endpoints)
	}
}

func TestOneOwner(t *testing.T) {
	w := open(t)
	first := w.put("anon", "https://a", false)
	w.put("ada", "https://b", true)
	w.put("adam", "https://c", true) // a prefix is not the user
	if again := w.put("anon", "https://a", false); !again.Since.Equal(first.Since) {
		t.Error("told again, it is as if it were new")
	}
	if moved := w.put("ada", "https://a", true); moved.Since.Equal(first.Since) {
		t.Error("it was hers all the time")
	}
	w.want("anon")
	w.want("ada", "https://b", "https://a")
	d, found, err := w.Remove(t.Context(), "https://a")
	if err != nil || !found || d.User != "ada" || !d.Proven || d.Channel != "push" {
		t.Errorf("removed %+v, %t, %v", d, found, err)
	}
	if _, found, err := w.Remove(t.Context(), "https://a"); found || err != nil {
		t.Errorf("removed twice: %t, %v", found, err)
	}
	w.want("ada", "https://b")
	w.want("adam", "https://c")
}

func TestOldestGivesWay(t *testing.T) {
	w := open(t)
	want := []string{}
	for i := range device.MaxPerUser + 2 {
		w.put("ada", fmt.Sprint("https://", i), true)
		if i >= 2 {
			want = append(want, fmt.Sprint("https://", i))
		}
	}
	w.want("ada", want...)
	if _, found, _ := w.Remove(t.Context(), "https://0"); found {
		t.Error("the oldest one is still somebody's")
	}
}

// However users quarrel about a device, it ends as exactly one's.
func TestQuarrel(t *testing.T) {
	w := open(t)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for range 20 {
				d := device.Device{User: fmt.Sprint("u", i), Endpoint: "https://x", Channel: "push"}
				if _, err := w.Put(t.Context(), d); err != nil && !errors.Is(err, documents.ErrConflict) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	owners := 0
	for i := range 4 {
		list, err := w.List(t.Context(), fmt.Sprint("u", i))
		if err != nil {
			t.Fatal(err)
		}
		owners += len(list)
	}
	if owners != 1 {
		t.Errorf("%d users have it", owners)
	}
}
