package engager_test

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"heed/internal/channel"
	"heed/internal/channel/outbox"
	"heed/internal/channel/web"
	"heed/internal/definition"
	"heed/internal/engager"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/period"
	"heed/internal/profile"
	"heed/internal/reach"
)

// texters are users who can be sent text messages.
type texters struct{}

func (texters) Profile(_ context.Context, user string) (*profile.Profile, error) {
	return texter(user), nil
}
func (texters) In(context.Context, string, string) (bool, error) { return false, nil }

// texter has a verified number of their own, and agreed to marketing by it.
func texter(user string) *profile.Profile {
	return &profile.Profile{
		UserID: user, FirstSeen: 1, Phone: profile.Address{Value: "+49 151 " + fmt.Sprintf("%08d", crc32.ChecksumIEEE([]byte(user))%1e8), Verified: true, At: 1},
		Consent: []profile.Entry{{Key: "sms", Value: "true", At: 1}}, Timezone: "UTC",
	}
}

type fixed struct{ set *definition.Set }

func (f fixed) Current() *definition.Set { return f.set }

// crashSet has a campaign per channel; the one of the pop-up has a cap.
func crashSet() *definition.Set {
	campaign := func(name, ch string, c *definition.Cap) *definition.Campaign {
		return &definition.Campaign{
			Name: name, When: definition.When{Trigger: "t"}, Status: definition.Live,
			What:   []definition.Variant{{Channel: ch, Template: name}},
			Limits: definition.CampaignLimits{Holdout: "0%", Cap: c},
		}
	}
	template := func(name, ch string) *definition.Template {
		return &definition.Template{Name: name, Channel: ch, Text: definition.Text{Body: "{{ event.properties.n }} for " + name}}
	}
	return &definition.Set{
		Revision: 1,
		Channels: map[string]*definition.Channel{"sms": {Name: "sms", Type: "sms"}, "web": {Name: "web", Type: "web"}, "outbox": {Name: "outbox", Type: "outbox"}},
		Templates: map[string]*definition.Template{
			"pop": template("pop", "web"), "mail": template("mail", "outbox"), "text": template("text", "sms"),
		},
		Campaigns: map[string]*definition.Campaign{
			"pop":  campaign("pop", "web", &definition.Cap{Count: 2, Per: period.Period(time.Hour)}),
			"mail": campaign("mail", "outbox", nil),
			"text": campaign("text", "sms", nil),
		},
	}
}

const secret = "0123456789abcdef"

func crashConfig() engager.Config {
	var c engager.Config
	c.Lanes, c.Grace, c.Poll, c.Backoff = 2, 50*time.Millisecond, 20*time.Millisecond, 50*time.Millisecond
	return c
}

// process runs an Engager on the world for some (virtual) seconds, or until it
// dies.
func process(t *testing.T, w *world, set *definition.Set, do ...func(*engager.Engager)) {
	t.Helper()
	processFor(t, 5*time.Second, w, set, do...)
}

func processFor(t *testing.T, length time.Duration, w *world, set *definition.Set, do ...func(*engager.Engager)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w.die = cancel
	book, err := reach.New(reach.Deps{Documents: w, Log: worldLog{w}, Secret: []byte(secret), PublicURL: "https://heed.shop.example", Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	cfg := crashConfig()
	if length > time.Minute {
		cfg.Poll = time.Second
	}
	e, err := engager.New(cfg, engager.Deps{
		Log: worldLog{w}, Documents: w, Inbox: worldInbox{w}, Definitions: fixed{set}, Profiles: texters{}, Book: book,
		Channels: []channel.Channel{web.New(worldInbox{w}), outbox.New(w), recorder{w}},
		Secret:   []byte(secret),
		Members:  func(context.Context, []string) ([]string, error) { return w.members, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- e.Run(ctx) }()
	for _, f := range do {
		f(e)
	}
	time.AfterFunc(length, cancel)
	if err := <-done; err != nil {
		t.Fatalf("run: %v", err)
	}
}

// feed writes the events and intents that a Decider would have.
func feed(t *testing.T, w *world) []event.Intent {
	t.Helper()
	w.die = func() {}
	var intents []event.Intent
	events, stream := &eventlog.Batch{}, &eventlog.Batch{}
	for i := range 6 {
		user := fmt.Sprintf("u%d", i%2) // three each: one more than the cap
		e := event.Event{
			MessageID: fmt.Sprintf("m%d", i), Name: "win", UserID: user, Source: "shop", Timestamp: time.Now().UnixMicro(),
			Properties: fmt.Appendf(nil, `{"n":%d}`, i),
		}
		events.Data = event.AppendEvent(events.Data, &e)
		events.Ends = append(events.Ends, len(events.Data))
		events.Keys = append(events.Keys, eventlog.Key(event.KeyOf(e.Source, e.MessageID)))
		in := event.Intent{FireID: fmt.Sprintf("%032d", i), User: user, Trigger: "t", At: time.Now().UnixMicro(), Offset: uint64(i), CauseID: e.MessageID}
		intents = append(intents, in)
		stream.Data = event.AppendIntent(stream.Data, &in)
		stream.Ends = append(stream.Ends, len(stream.Data))
	}
	for s, b := range map[eventlog.Stream]*eventlog.Batch{eventlog.Events: events, eventlog.Intents: stream} {
		if err := (worldLog{w}).Append(t.Context(), s, []*eventlog.Batch{b}); err != nil {
			t.Fatal(err)
		}
	}
	return intents
}

// check is the checker outside: it compares intents, outcomes and what can be
// seen.
func check(w *world, intents []event.Intent) (problems []string) {
	fail := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	type outcome struct{ Status, Reason, Delivery, Activation, Campaign string }
	got := map[string][]outcome{}
	for _, e := range w.outcomes() {
		var o outcome
		if err := json.Unmarshal(e.Properties, &o); err != nil {
			fail("outcome: %v", err)
		}
		got[o.Activation] = append(got[o.Activation], o)
	}
	mails := map[string]int{}
	for k, d := range w.now.docs {
		if strings.HasPrefix(k, outbox.Collection+"|") {
			var m outbox.Message
			if err := json.Unmarshal(d.Value, &m); err != nil {
				fail("outbox: %v", err)
			}
			mails[m.ID]++
		}
		if strings.HasPrefix(k, engager.CollectionOpen+"|") {
			fail("still open: %s", k)
		}
	}
	pops := map[string]int{} // by user
	for _, in := range intents {
		for _, name := range []string{"mail", "pop", "text"} {
			id := engager.ActivationID(in.FireID, name)
			delivery := engager.DeliveryID([]byte(secret), id)
			if len(got[id]) != 1 {
				fail("%s of fire %s has %d outcomes", name, in.FireID[30:], len(got[id]))
				continue
			}
			o := got[id][0]
			seen := 0
			switch name {
			case "mail":
				seen = mails[delivery]
			case "pop":
				if _, ok := w.now.inbox[delivery]; ok {
					seen = 1
				}
				pops[in.User] += seen
			case "text":
				seen = len(w.now.sent[id])
				if _, known := w.now.docs[reach.CollectionDeliveries+"|"+delivery]; seen > 0 && !known {
					fail("%s of fire %s was sent, and nobody knows whose it was", name, in.FireID[30:])
				}
			}
			switch {
			case seen > 1:
				fail("%s of fire %s was seen %d times", name, in.FireID[30:], seen)
			case o.Status == "sent" && seen == 0, o.Status == "refused" && seen != 0, o.Status == "failed" && seen != 0:
				fail("%s of fire %s: %s %s, but seen %d times", name, in.FireID[30:], o.Status, o.Reason, seen)
			case o.Status == "held" && name != "text":
				fail("%s of fire %s was held", name, in.FireID[30:])
			}
			delete(got, id)
		}
	}
	if len(got) > 0 {
		fail("outcomes of unknown activations: %v", slices.Collect(maps.Keys(got)))
	}
	for user, n := range pops {
		if n != 2 {
			fail("%s got %d pop-ups, the cap is 2", user, n)
		}
		var times []int64
		d := w.now.docs[engager.CollectionCaps+"|"+user+"\x00pop"]
		if err := json.Unmarshal(d.Value, &times); err != nil || len(times) != n {
			fail("%s got %d pop-ups, the cap counts %d", user, n, len(times))
		}
	}
	return problems
}

// crashes dies at every write in turn, before and after it, with and without
// power loss, and lets a second process finish; it returns what was wrong. It
// stops once there are enough problems (0: never).
func crashes(t *testing.T, build func(*world), enough int) (problems []string, points int) {
	t.Helper()
	for _, power := range []bool{false, true} {
		for _, after := range []bool{false, true} {
			for k := 1; ; k++ {
				reached := false
				synctest.Test(t, func(t *testing.T) {
					w := newWorld()
					intents := feed(t, w)
					build(w)
					w.writes, w.faultAt, w.after, w.power = 0, k, after, power
					process(t, w, crashSet())
					reached = w.dead
					w.restart()
					process(t, w, crashSet())
					for _, p := range check(w, intents) {
						problems = append(problems, fmt.Sprintf("write %d, after=%v power=%v: %s", k, after, power, p))
					}
				})
				if enough > 0 && len(problems) >= enough {
					return problems, points
				}
				if !reached {
					break
				}
				points++
			}
		}
	}
	return problems, points
}

func TestCrashAtEveryWrite(t *testing.T) {
	problems, points := crashes(t, func(*world) {}, 0)
	for _, p := range problems {
		t.Error(p)
	}
	if points < 100 {
		t.Errorf("only %d points were tried", points)
	}
	t.Logf("%d crashes", points)
}

// Builds that lose the ledger, the open notes or the caps, or that do not sync
// before they send, are caught.
func TestCheckerCatchesBrokenBuilds(t *testing.T) {
	f := func(name string, build func(*world)) {
		t.Helper()
		problems, _ := crashes(t, build, 1)
		if len(problems) == 0 {
			t.Errorf("%s: everything looks right", name)
			return
		}
		t.Logf("%s: %s", name, problems[0])
	}
	without := func(collection string) func(*world) {
		return func(w *world) { w.lie = func(c string) bool { return c == collection } }
	}
	f("without ledger", without(engager.CollectionLedger))
	f("without open notes", without(engager.CollectionOpen))
	f("without caps", without(engager.CollectionCaps))
	f("without records", without(reach.CollectionDeliveries))
	f("without sync", func(w *world) { w.lazy = true })
}

// What waits (for a delay, for the end of quiet hours, for a pause or a stop to be
// lifted) is neither lost nor sent twice by a crash anywhere, and nothing is sent
// too early.
func TestWaitingCrashAtEveryWrite(t *testing.T) {
	live := crashSet()
	live.Campaigns["mail"].Delay = period.Period(10 * time.Second)
	live.Campaigns["text"].Limits.Quiet = &definition.Quiet{From: "23:00", To: "00:01"} // the clock shows 00:00
	live.Campaigns["pop"].Delay = live.Campaigns["mail"].Delay
	points := 0
	f := func(name string, halt, lift func(*engager.Engager)) {
		t.Helper()
		for _, power := range []bool{false, true} {
			for _, after := range []bool{false, true} {
				for k := 1; ; k++ {
					reached := false
					synctest.Test(t, func(t *testing.T) {
						w := newWorld()
						intents := feed(t, w)
						w.writes, w.faultAt, w.after, w.power = 0, k, after, power
						processFor(t, 3*time.Minute, w, live, halt)
						reached = w.dead
						w.restart()
						processFor(t, 5*time.Minute, w, live, lift)
						for _, p := range check(w, intents) {
							t.Errorf("%s: write %d, after=%v power=%v: %s", name, k, after, power, p)
						}
						for _, e := range w.outcomes() {
							early := time.UnixMicro(intents[0].At)
							switch {
							case strings.Contains(string(e.Properties), `"campaign":"text"`):
								early = early.Add(time.Minute)
							default:
								early = early.Add(10 * time.Second)
							}
							if time.UnixMicro(e.Timestamp).Before(early) {
								t.Errorf("%s: write %d: decided at %s: %s", name, k, time.UnixMicro(e.Timestamp), e.Properties)
							}
						}
					})
					if !reached {
						break
					}
					points++
				}
			}
		}
	}
	nothing := func(*engager.Engager) {}
	f("waits", nothing, nothing)
	f("stopped",
		func(e *engager.Engager) { _, _ = e.SetSending(t.Context(), true, "ada") }, // dies, perhaps
		func(e *engager.Engager) { _, _ = e.SetSending(t.Context(), false, "ada") })
	if points < 200 {
		t.Errorf("only %d points were tried", points)
	}
	t.Logf("%d crashes", points)
}

// What had begun ends in an outcome even if its campaign is paused or gone after
// the crash.
func TestCrashThenDefinitionsChange(t *testing.T) {
	gone := crashSet()
	gone.Campaigns = map[string]*definition.Campaign{}
	for _, after := range []bool{false, true} {
		for k := 1; ; k++ {
			reached := false
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				feed(t, w)
				w.writes, w.faultAt, w.after = 0, k, after
				process(t, w, crashSet())
				reached = w.dead
				w.restart()
				process(t, w, gone)
				seen := map[string]int{}
				for _, e := range w.outcomes() {
					seen[e.MessageID]++
				}
				for key := range w.now.docs {
					if strings.HasPrefix(key, engager.CollectionOpen+"|") {
						t.Errorf("write %d: still open: %s", k, key)
					}
					if c, key, _ := strings.Cut(key, "|"); c == engager.CollectionLedger {
						_, id, _ := strings.Cut(key, "-")
						if seen["d-"+id] != 1 {
							t.Errorf("write %d: activation %s was begun and has %d outcomes", k, id, seen["d-"+id])
						}
					}
				}
			})
			if !reached {
				break
			}
		}
	}
}
