package engager_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"heed/internal/definition"
	"heed/internal/measure"
)

// scheduled makes an environment with a campaign on a schedule for two users.
func scheduled(t *testing.T, now, expr string, change ...func(*definition.Campaign)) *env {
	v := newEnv(t)
	v.at(now)
	v.campaign("c", "outbox", "hi", func(c *definition.Campaign, _ *definition.Template) {
		c.When, c.Who = definition.When{Schedule: expr, Zone: "Europe/Berlin"}, []string{"vip"}
		for _, f := range change {
			f(c)
		}
	})
	v.set.Audiences["vip"] = &definition.Audience{Name: "vip", Audience: measure.Audience{Did: &measure.Did{Event: "purchase"}}}
	v.in["u1"], v.in["u2"] = []string{"vip"}, []string{"vip"}
	v.list = func(_ context.Context, audiences []string) ([]string, error) {
		if !slices.Equal(audiences, []string{"vip"}) {
			t.Errorf("asked for %v", audiences)
		}
		return []string{"u1", "u2"}, nil
	}
	return v
}

// state is how the schedule stands, in words.
func (v *env) state() string {
	v.t.Helper()
	all, err := v.e.Schedules(v.t.Context())
	if err != nil || len(all) != 1 {
		v.t.Fatalf("%v, %v", all, err)
	}
	s := all[0]
	at := func(t time.Time) string {
		if t.IsZero() {
			return "never"
		}
		return t.UTC().Format("15:04")
	}
	return fmt.Sprintf("next %s, last %s for %d, missed %d", at(s.Next), at(s.Last), s.Users, s.Missed)
}

func (v *env) expect(when, state string, outcomes ...string) {
	v.t.Helper()
	synctest.Wait()
	if got := v.state(); got != state {
		v.t.Errorf("%s: %s, want %s", when, got, state)
	}
	var got []string
	for _, o := range v.all() {
		got = append(got, strings.TrimSpace(o.event.User()+" "+o.Status+" "+o.Reason))
	}
	slices.Sort(got)
	if !slices.Equal(got, outcomes) {
		v.t.Errorf("%s: outcomes %q, want %q", when, got, outcomes)
	}
}

func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := scheduled(t, "2026-07-01T06:00:00Z", "0 9 * * *") // 09:00 is 07:00Z
		v.start()
		time.Sleep(30 * time.Minute)
		v.expect("before", "next 07:00, last never for 0, missed 0")
		time.Sleep(time.Hour)
		v.expect("after", "next 07:00, last 07:00 for 2, missed 0", "u1 sent", "u2 sent")
		time.Sleep(24 * time.Hour) // once per user, unless said otherwise
		v.expect("the next day", "next 07:00, last 07:00 for 2, missed 0", "u1 refused once", "u1 sent", "u2 refused once", "u2 sent")
		v.revise("c", func(c *definition.Campaign) { no := false; c.Limits.Once = &no })
		time.Sleep(24 * time.Hour)
		v.expect("said otherwise", "next 07:00, last 07:00 for 2, missed 0",
			"u1 refused once", "u1 sent", "u1 sent", "u2 refused once", "u2 sent", "u2 sent")
		// An order is not kept beyond the next run.
		for _, id := range []int64{time.Date(2026, 7, 1, 7, 0, 0, 0, time.UTC).Unix(), time.Date(2026, 7, 2, 7, 0, 0, 0, time.UTC).Unix()} {
			if o, err := v.e.Ordered(t.Context(), "c", fmt.Sprintf("run-%d", id)); err != nil || o.ID != "" {
				t.Errorf("%+v, %v", o, err)
			}
		}
		v.stop()
	})
}

// Of the runs that an outage cost, the latest is made up for if it is not too late.
func TestMissedRuns(t *testing.T) {
	f := func(name string, expr string, outage time.Duration, want string, outcomes ...string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			v := scheduled(t, "2026-07-01T06:30:00Z", expr)
			v.start()
			time.Sleep(time.Minute)
			v.stop()
			time.Sleep(outage)
			v.start()
			time.Sleep(time.Minute)
			v.expect(name, want, outcomes...)
			v.stop()
		})
	}
	f("none", "0 9 * * *", 10*time.Minute, "next 07:00, last never for 0, missed 0")
	f("late", "0 9 * * *", time.Hour, "next 07:00, last 07:00 for 2, missed 0", "u1 sent", "u2 sent")
	f("too late", "0 9 * * *", 2*time.Hour, "next 07:00, last never for 0, missed 1")
	f("several", "0 * * * *", 5*time.Hour, "next 12:00, last 11:00 for 2, missed 4", "u1 sent", "u2 sent")
	f("several, too late", "0 9,10 * * *", 5*time.Hour, "next 07:00, last never for 0, missed 2")
}

// A pause passes runs over, and misses none; a new rule begins anew.
func TestScheduleChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := scheduled(t, "2026-07-01T06:30:00Z", "0 * * * *")
		v.start()
		time.Sleep(time.Minute)
		v.revise("c", status(definition.Paused))
		time.Sleep(3 * time.Hour)
		v.expect("paused", "next never, last never for 0, missed 0")
		v.revise("c", status(definition.Live))
		time.Sleep(time.Minute)
		v.expect("resumed", "next 10:00, last never for 0, missed 0")
		v.revise("c", func(c *definition.Campaign) { c.When.Schedule = "30 * * * *" }) // due two minutes ago
		time.Sleep(time.Minute)
		v.expect("another rule", "next 10:30, last never for 0, missed 0")
		v.stop()
	})
}

// While nobody can say who is in the audience, the run waits, as long as it is not
// too late.
func TestScheduleWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := scheduled(t, "2026-07-01T06:30:00Z", "0 9 * * *")
		answer := v.list
		var broken atomic.Bool
		broken.Store(true)
		v.list = func(ctx context.Context, a []string) ([]string, error) {
			if broken.Load() {
				return nil, errors.New("the facts are being rebuilt")
			}
			return answer(ctx, a)
		}
		v.start()
		time.Sleep(time.Hour)
		v.expect("no answer", "next 07:00, last never for 0, missed 0")
		broken.Store(false)
		time.Sleep(2 * time.Second)
		v.expect("an answer", "next 07:00, last 07:00 for 2, missed 0", "u1 sent", "u2 sent")
		broken.Store(true)
		time.Sleep(26 * time.Hour)
		v.expect("none for too long", "next 07:00, last 07:00 for 2, missed 1", "u1 sent", "u2 sent")
		v.stop()
	})
}

// A run that a crash interrupts anywhere reaches each user once.
func TestScheduleCrashAtEveryWrite(t *testing.T) {
	set := crashSet()
	no := false
	mail := set.Campaigns["mail"]
	mail.When, mail.Limits.Once = definition.When{Schedule: "1 0 1 1 *"}, &no // the clock shows 00:00 on 1 January
	delete(set.Campaigns, "pop")
	delete(set.Campaigns, "text")
	users := []string{"u0", "u1", "u2"}
	points := 0
	for _, power := range []bool{false, true} {
		for _, after := range []bool{false, true} {
			for k := 1; ; k++ {
				reached := false
				synctest.Test(t, func(t *testing.T) {
					w := newWorld()
					w.members = users
					w.faultAt, w.after, w.power = k, after, power
					processFor(t, 2*time.Minute, w, set)
					reached = w.dead
					w.restart()
					processFor(t, 2*time.Minute, w, set)
					outcomes := len(w.outcomes())
					mails, behind := w.letters()
					for _, key := range behind {
						t.Errorf("write %d, after=%v power=%v: left behind: %q", k, after, power, key)
					}
					if outcomes != len(users) || mails != len(users) {
						t.Errorf("write %d, after=%v power=%v: %d letters and %d outcomes for %d users", k, after, power, mails, outcomes, len(users))
					}
				})
				if !reached {
					break
				}
				points++
			}
		}
	}
	if points < 40 {
		t.Errorf("only %d points were tried", points)
	}
	t.Logf("%d crashes", points)
}
