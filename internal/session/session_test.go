package session

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heed/internal/event"
)

const (
	second = int64(1e6)
	minute = 60 * second
	epoch  = 1_795_132_800 * second
)

func TestSee(t *testing.T) {
	k := NewTracker(100)
	f := func(id string, at, logTime int64, want string) {
		t.Helper()
		u := UserOf(id)
		due := k.Due(&u, epoch+at, epoch+logTime)
		start, begins := k.See(&u, epoch+at, epoch+logTime)
		got := "-"
		if begins {
			got = strconv.FormatInt(start-epoch, 10)
		}
		if got != want {
			t.Errorf("%s at %d begins %s, want %s", id, at, got, want)
		}
		if due != begins {
			t.Errorf("%s at %d: due %t, begins %t", id, at, due, begins)
		}
	}
	f("ann", 0, 0, "-1")
	f("ann", 0, 0, "-")
	f("bob", 5, 5, "4")
	f("ann", Gap-1, Gap, "-")
	f("ann", 2*Gap-1, 2*Gap, strconv.FormatInt(2*Gap-1, 10)) // the silence is over just now: no sooner
	f("ann", 3*Gap, 3*Gap, strconv.FormatInt(3*Gap-1, 10))
	f("ann", 2*Gap, 3*Gap, "-")                                        // late
	f("ann", -100*Gap, 3*Gap, "-")                                     // later still
	f("ann", 4*Gap-1, 4*Gap, "-")                                      // which has not moved the newest back
	f("ann", 4*Gap, 4*Gap+Keep+second, strconv.FormatInt(4*Gap-1, 10)) // forgotten by then
	f("cleo", 9, 9, "8")
}

// Whatever is stored, moved around and taken back in between: the answers are
// those of a map without bounds.
func TestSameAnswersHoweverKept(t *testing.T) {
	type known struct{ last, heard int64 }
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 5))
		j, stored := NewJournal(1000), map[string][]byte{}
		model := map[string]known{}
		now, begun := epoch, 0
		for range 60 {
			now += r.Int64N(20 * minute)
			type call struct {
				user string
				t    int64
			}
			var calls []call
			for range r.IntN(30) {
				calls = append(calls, call{"u" + strconv.Itoa(r.IntN(40)), now - r.Int64N(20*minute)*int64(r.IntN(2))})
			}
			tries := 1
			if r.IntN(4) == 0 {
				tries = 2 // the first one is taken back
			}
			var first []bool
			for try := range tries {
				var begins []bool
				for _, c := range calls[:len(calls)*(try+1)/tries] {
					u := UserOf(c.user)
					_, b := j.Tracker.See(&u, c.t, now)
					begins = append(begins, b)
				}
				if try < tries-1 {
					j.Tracker.Rollback()
					continue
				}
				first = begins
			}
			for i, c := range calls {
				m, ok := model[c.user]
				if ok && now/1e6-m.heard/1e6 > Keep/1e6 {
					ok = false
				}
				want := !ok || c.t-m.last >= Gap
				if ok {
					m = known{max(m.last, c.t), max(m.heard, now)}
				} else {
					m = known{c.t, now}
				}
				model[c.user] = m
				if first[i] != want {
					t.Fatalf("seed %d: %s at %d begins %t, want %t", seed, c.user, c.t-epoch, first[i], want)
				}
				if want {
					begun++
				}
			}
			j.Rows(now, func(name string, row []byte) {
				if row == nil {
					delete(stored, name)
					return
				}
				stored[name] = append([]byte(nil), row...)
			})
			j.Tracker.Commit()
			switch r.IntN(5) {
			case 0:
				j.Tracker.Sweep(now)
			case 1:
				j = reopen(t, stored)
			}
		}
		if begun < 50 {
			t.Fatalf("seed %d: %d sessions say little", seed, begun)
		}
	}
}

func reopen(t *testing.T, stored map[string][]byte) *Journal {
	t.Helper()
	j := NewJournal(1000)
	names := make([]string, 0, len(stored))
	for name := range stored {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if known, err := j.Read(name, stored[name]); !known || err != nil {
			t.Fatalf("row %s: %t, %v", name, known, err)
		}
	}
	return j
}

// The rows stay few: everybody is written anew when the changes have come to as
// much.
func TestJournalIsBounded(t *testing.T) {
	j, stored := NewJournal(100_000), map[string]int{}
	r := rand.New(rand.NewPCG(1, 2))
	written, everybody := 0, 0
	for i := range 3000 {
		for range 20 {
			u := UserOf(strconv.Itoa(r.IntN(5000)))
			j.Tracker.See(&u, epoch+int64(i)*second, epoch+int64(i)*second)
		}
		j.Rows(epoch+int64(i)*second, func(name string, row []byte) {
			written += len(row)
			stored[name] = len(row)
			if row == nil {
				delete(stored, name)
			}
			if name == rowEverybody {
				everybody++
			}
		})
		j.Tracker.Commit()
		size := 0
		for _, n := range stored {
			size += n
		}
		if limit := (1+maxChanges)*(5000*16) + minChanges + changesBytes; size > limit || len(stored) > limit/changesBytes {
			t.Fatalf("%d bytes in %d rows after %d commits", size, len(stored), i)
		}
	}
	if everybody < 3 {
		t.Errorf("everybody was written %d times", everybody)
	}
}

func TestBounded(t *testing.T) {
	k := NewTracker(50)
	for i := range 1000 {
		u := UserOf(strconv.Itoa(i))
		k.See(&u, epoch+int64(i)*second, epoch+int64(i)*second)
		if i%7 == 0 {
			k.Rollback()
			k.See(&u, epoch+int64(i)*second, epoch+int64(i)*second)
		}
		k.Commit()
		if n := len(k.users); n > 50 || n != len(k.at) {
			t.Fatalf("%d users, %d in the map", n, len(k.at))
		}
	}
	if k.Evicted() < 900 {
		t.Errorf("%d were evicted", k.Evicted())
	}
	u := UserOf("999")
	if _, begins := k.See(&u, epoch+1000*second, epoch+1000*second); begins {
		t.Error("the newest one was evicted")
	}
	k.Keep(func(hash uint64) bool { return hash == u.hash })
	if len(k.users) != 1 || k.Bytes() == 0 {
		t.Errorf("%d are left", len(k.users))
	}
}

func TestMerge(t *testing.T) {
	k := NewTracker(10)
	u, a := UserOf("ann"), UserOf("a1")
	k.See(&a, epoch, epoch)
	seen, ok := k.Seen(&a, epoch)
	if !ok {
		t.Fatal("a1 is not known")
	}
	k.Merge(&u, seen, epoch)
	if _, begins := k.See(&u, epoch+20*minute, epoch+20*minute); begins {
		t.Error("the session of the anonymous id does not go on")
	}
	k.Merge(&u, seen, epoch+20*minute) // older than what is known
	if _, begins := k.See(&u, epoch+40*minute, epoch+40*minute); begins {
		t.Error("it went back")
	}
	k.Merge(&a, Seen{Last: epoch + 80*minute, Heard: seconds(epoch)}, epoch+100*minute)
	if _, begins := k.See(&a, epoch+90*minute, epoch+100*minute); !begins {
		t.Error("what was forgotten was merged")
	}
}

func TestRead(t *testing.T) {
	j := NewJournal(10)
	for _, row := range [][]byte{nil, {}, {2}, {1, 2, 3}} {
		if known, err := j.Read("c00000000", row); !known || err == nil {
			t.Errorf("%v: %t, %v", row, known, err)
		}
	}
	if known, _ := j.Read("s0000000000000000", []byte{1}); known {
		t.Error("a row of something else was taken")
	}
}

func TestStart(t *testing.T) {
	cause := event.Event{
		MessageID: "m", Type: event.Page, Name: event.NamePage, AnonymousID: "a1", Source: "shop", Timestamp: 100, ReceivedAt: 200, ReplyTo: "token",
		Properties: []byte(`{"a":1}`), Traits: []byte(`{"b":2}`),
		Context: event.Context{
			Page: event.PageContext{Path: "/"}, Campaign: event.CampaignContext{Source: "letter"}, Device: "mobile",
			Historical: true, Consent: []byte(`{"sms":true}`), Extra: []byte(`{"internal":true}`),
		},
	}
	key := event.KeyOf(cause.Source, cause.MessageID)
	got := Start("a1", &cause, key, 99)
	want := event.Event{
		MessageID: got.MessageID, Type: event.Track, Name: "session_start", AnonymousID: "a1", Source: "heed", Timestamp: 99, ReceivedAt: 200,
		SessionID: got.MessageID, ReplyTo: "token", Context: cause.Context,
	}
	want.Context.Consent = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !Made(&got) || Activity(&got) || !Activity(&cause) {
		t.Error("it counts as activity")
	}
	other := Start("ann", &cause, key, 99)
	if other.User() != "ann" || other.AnonymousID != "a1" || other.MessageID == got.MessageID {
		t.Errorf("of another user: %+v", other)
	}
	if again := Start("a1", &cause, key, 99); again.MessageID != got.MessageID {
		t.Error("the id changes")
	}
	cause.SessionID = "s1"
	if e := Start("a1", &cause, key, 99); e.SessionID != "s1" {
		t.Errorf("session %q", e.SessionID)
	}
	own := event.Event{Type: event.Track, Name: "session_start", Source: "shop"}
	if Made(&own) || !Activity(&own) {
		t.Error("a client's own counts for nothing")
	}
}
