package engager_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"heed/internal/consent"
	"heed/internal/definition"
	"heed/internal/driver/memory"
	"heed/internal/engager"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/period"
	"heed/internal/profile"
)

// A month of traffic in Berlin and New York, in which the clocks of both are
// changed: nobody gets more than a cap allows, nobody is disturbed in quiet hours,
// and every activation has one outcome.
func TestMonth(t *testing.T) {
	f := func(name, begin string) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { month(t, begin) })
		})
	}
	f("clocks forward", "2026-03-05T00:00:00Z") // New York on 8 March, Berlin on 29 March
	f("clocks back", "2026-10-20T00:00:00Z")    // Berlin on 25 October, New York on 1 November
}

const (
	monthDays  = 30
	monthUsers = 50
)

func month(t *testing.T, begin string) {
	v := newEnv(t)
	v.at(begin)
	start := v.now()
	v.cfg.Poll = 30 * time.Second
	rng := rand.New(rand.NewPCG(1, 2))
	day := period.Period(24 * time.Hour)
	v.quiet("21:00", "08:00")
	v.set.Sending.Cap = &definition.Cap{Count: 4, Per: 7 * day}
	v.set.Sending.Holdout = "5%"
	v.set.Channels["outbox"] = &definition.Channel{Name: "outbox", Type: "outbox", Cap: &definition.Cap{Count: 2, Per: 2 * day}}
	goal := &definition.Goal{Event: "purchase", Within: 3 * day}
	v.campaign("basket", "outbox", "Your basket", func(c *definition.Campaign, _ *definition.Template) {
		c.Limits = definition.CampaignLimits{Cap: &definition.Cap{Count: 1, Per: day}}
		c.Goal, c.Delay = goal, period.Period(time.Hour)
	})
	v.campaign("offer", "sms", "Half price", func(c *definition.Campaign, _ *definition.Template) { c.Goal = goal })
	v.campaign("popup", "web", "Hello", func(c *definition.Campaign, tpl *definition.Template) {
		tpl.As, c.Limits.Cap = "popup", &definition.Cap{Count: 1, Per: day}
	})
	v.campaign("receipt", "sms", "Paid", func(c *definition.Campaign, _ *definition.Template) { c.Purpose = consent.Transactional })
	no := false
	v.campaign("digest", "outbox", "Today", func(c *definition.Campaign, _ *definition.Template) {
		c.When, c.Limits.Once = definition.When{Schedule: "30 2 * * *", Zone: "Europe/Berlin"}, &no
	})
	users := make([]string, monthUsers)
	zones := map[string]*time.Location{}
	for i := range users {
		name := "Europe/Berlin"
		if i%2 == 1 {
			name = "America/New_York"
		}
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		users[i] = fmt.Sprint("u", i)
		zones[users[i]], v.users[users[i]] = zone, in(name)
	}
	runs := 0
	v.list = func(context.Context, []string) ([]string, error) {
		runs++
		return users, nil
	}
	v.start()

	const onTrigger = 4
	want := 0 // activations
	sleepTo := func(at time.Time) { time.Sleep(at.Sub(v.now())) }
	for d := range monthDays {
		type moment struct {
			at   time.Duration
			user string
			buys bool
		}
		var moments []moment
		for _, u := range users {
			for range 1 + rng.IntN(2) {
				at := time.Duration(rng.Int64N(int64(24 * time.Hour)))
				moments = append(moments, moment{at, u, false})
				if rng.IntN(4) == 0 {
					moments = append(moments, moment{min(at+time.Duration(rng.Int64N(int64(6*time.Hour))), 24*time.Hour), u, true})
				}
			}
		}
		slices.SortFunc(moments, func(a, b moment) int { return int(a.at - b.at) })
		paused := false
		for _, m := range moments {
			sleepTo(start.Add(time.Duration(d)*24*time.Hour + m.at))
			// A pause for an afternoon, and a stop of everything for another one.
			if hours := m.at.Hours(); d == 10 && !paused && hours > 12 || paused && hours > 18 {
				synctest.Wait()
				paused = !paused
				v.revise("offer", status(map[bool]definition.Status{true: definition.Paused, false: definition.Live}[paused]))
			} else if d == 12 {
				if _, err := v.e.SetSending(t.Context(), hours > 12 && hours < 18, "ada"); err != nil {
					t.Fatal(err)
				}
			}
			if m.buys {
				v.did(m.user, "purchase")
				continue
			}
			v.fire(m.user)
			want += onTrigger
			if paused {
				want--
			}
		}
		if paused {
			v.revise("offer", status(definition.Live))
		}
	}
	for _, name := range []string{"digest"} {
		v.revise(name, status(definition.Ended))
	}
	time.Sleep(5 * 24 * time.Hour)
	synctest.Wait()
	v.stop()
	want += runs * len(users)

	got, sends, reasons, refused := v.all(), 0, map[string]int{}, 0
	sent := map[string][]int64{} // what counts for a cap: user, and campaign or channel
	seen := map[string]bool{}
	for _, o := range got {
		user, at := o.event.User(), o.event.Timestamp
		if seen[o.Activation] {
			t.Errorf("%s has two outcomes", o.Activation)
		}
		seen[o.Activation] = true
		if o.Status != "sent" {
			refused++
			reasons[o.Reason]++
			continue
		}
		sends++
		if o.Campaign == "receipt" {
			continue
		}
		sent[user+" all"] = append(sent[user+" all"], at)
		sent[user+" "+o.Campaign] = append(sent[user+" "+o.Campaign], at)
		sent[user+" "+o.Channel] = append(sent[user+" "+o.Channel], at)
		if local := time.UnixMicro(at).In(zones[user]); o.Channel != "web" && (local.Hour() >= 21 || local.Hour() < 8) {
			t.Errorf("%s got %s at %s", user, o.Campaign, local)
		}
	}
	for key, times := range sent {
		slices.Sort(times)
		limit := func(count int, per period.Period) {
			for i := range times {
				if j := i + count; j < len(times) && times[j]-times[i] < per.Micros() {
					t.Errorf("%s: more than %d within %s, at %s", key, count, per, time.UnixMicro(times[j]))
				}
			}
		}
		switch _, of, _ := strings.Cut(key, " "); of {
		case "all":
			limit(4, 7*day)
		case "basket", "popup":
			limit(1, day)
		case "outbox":
			limit(2, 2*day)
		}
	}
	if len(got) != want || sends+refused != want {
		t.Errorf("%d sends + %d refusals are %d outcomes of %d activations", sends, refused, len(got), want)
	}
	for _, r := range []string{"cap", "cap_all", "cap_channel", "holdout", "global_holdout", "converted"} {
		if reasons[r] == 0 {
			t.Errorf("nothing was refused for %s: the month is too quiet", r)
		}
	}
	if runs != monthDays {
		t.Errorf("%d runs in %d days", runs, monthDays)
	}
	t.Logf("%d days, %d users: %d activations = %d sent + %d refused", monthDays, len(users), want, sends, refused)
	for _, r := range slices.Sorted(maps.Keys(reasons)) {
		t.Logf("  refused %-15s %d", r, reasons[r])
	}
}

// did appends an event that completes nothing.
func (v *env) did(user, name string) {
	v.t.Helper()
	v.fires++
	e := event.Event{MessageID: fmt.Sprintf("p%d", v.fires), Name: name, AnonymousID: user, Source: "shop", Timestamp: v.now().UnixMicro()}
	data := event.AppendEvent(nil, &e)
	v.append(eventlog.Events, &eventlog.Batch{
		Partition: eventlog.PartitionOf(user, v.db.Log().Partitions()), Data: data, Ends: []int{len(data)},
		Keys: []eventlog.Key{eventlog.Key(event.KeyOf(e.Source, e.MessageID))},
	})
}

// What quiet hours kept back leaves at the rate, and in no burst; also what a stop
// kept back.
func TestReleasedAtARate(t *testing.T) {
	const users, rate = 10_000, 200
	f := func(name, now string, hold, lift func(*engager.Engager)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newEnv(t)
				v.at(now)
				v.db = memory.Open(memory.Config{Partitions: 4, Clock: v.clock})
				v.cfg.Poll = 500 * time.Millisecond
				v.quiet("21:00", "08:00")
				v.set.Sending.Release = rate
				v.campaign("c", "outbox", "Good morning")
				v.users = map[string]*profile.Profile{}
				v.start()
				hold(v.e)
				for i := range users {
					v.fire(fmt.Sprint("u", i))
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if n := len(v.all()); n != 0 {
					t.Fatalf("%d outcomes of what waits", n)
				}
				lift(v.e)
				time.Sleep(20 * time.Minute)
				synctest.Wait()
				v.stop()
				var times []int64
				for _, o := range v.all() {
					if o.Status != "sent" {
						t.Fatalf("%+v", o)
					}
					times = append(times, o.event.Timestamp)
				}
				slices.Sort(times)
				if len(times) != users {
					t.Fatalf("%d of %d were sent", len(times), users)
				}
				most, j := 0, 0
				for i := range times {
					for times[i]-times[j] >= time.Second.Microseconds() {
						j++
					}
					most = max(most, i-j+1)
				}
				took := time.Duration(times[users-1]-times[0]) * time.Microsecond
				if most > rate+1 || took < users/rate*time.Second-time.Second || took > users/rate*time.Second*11/10 {
					t.Errorf("%d in %s, at most %d within a second; the rate is %d", users, took, most, rate)
				}
				t.Logf("%d in %s, at most %d within a second; the rate is %d", users, took, most, rate)
			})
		})
	}
	set := func(stop bool) func(*engager.Engager) {
		return func(e *engager.Engager) {
			if _, err := e.SetSending(t.Context(), stop, "ada"); err != nil {
				t.Error(err)
			}
		}
	}
	f("quiet hours", "2026-07-01T07:50:00Z", func(*engager.Engager) {}, func(*engager.Engager) {})
	f("a stop", "2026-07-01T12:00:00Z", set(true), set(false))
}
