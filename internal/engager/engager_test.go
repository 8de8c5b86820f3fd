package engager_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"heed/internal/channel"
	"heed/internal/channel/outbox"
	"heed/internal/condition"
	"heed/internal/consent"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/driver/memory"
	"heed/internal/driver/pebble"
	"heed/internal/engager"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/inbox"
	"heed/internal/measure"
	"heed/internal/period"
	"heed/internal/policy"
	"heed/internal/profile"
	"heed/internal/reach"
)

// What stands for a text message is text: nothing in it is escaped.
func TestOutboxAsSMS(t *testing.T) {
	v := newEnv(t)
	v.campaign("texts", "outbox", `Won: {{ event.properties.product }}`, func(_ *definition.Campaign, tpl *definition.Template) { tpl.As = "sms" })
	v.campaign("letters", "outbox", `Won: {{ event.properties.product }}`)
	v.start()
	v.fire("u1")
	v.outcomes("u1", 2)
	mails, err := outbox.List(t.Context(), v.db.Documents(), "", 10)
	got := map[string]string{}
	for _, m := range mails {
		got[m.Campaign] = m.As + " " + m.Body
	}
	want := map[string]string{"texts": "sms Won: <Bike>", "letters": " Won: &lt;Bike&gt;"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("messages (-want +got)\n%s%v", diff, err)
	}
}

// Everybody reads the text in the own language, and the outcome says which it was.
func TestTextInTheUsersLanguage(t *testing.T) {
	v := newEnv(t)
	v.campaign("greet", "outbox", "Hello", func(_ *definition.Campaign, tpl *definition.Template) {
		tpl.Locale, tpl.Locales = "en", map[string]definition.Text{"de": {Body: "Hallo"}, "pt-BR": {Body: "Oi"}}
	})
	v.users["austrian"] = &profile.Profile{FirstSeen: 1, Locale: "de-AT"}
	v.users["brazilian"] = &profile.Profile{FirstSeen: 1, Locale: "de", Traits: []profile.Entry{{Key: "locale", Value: `"pt_BR"`}}}
	v.users["french"] = &profile.Profile{FirstSeen: 1, Locale: "fr"}
	v.start()
	got := map[string]string{}
	for _, user := range []string{"austrian", "brazilian", "french", "unknown"} {
		got[user] = v.one(user).Locale
	}
	mails, err := outbox.List(t.Context(), v.db.Documents(), "", 10)
	for _, m := range mails {
		got[m.User] += " " + m.Body
	}
	want := map[string]string{"austrian": "de Hallo", "brazilian": "pt-BR Oi", "french": "en Hello", "unknown": "en Hello"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("(-want +got)\n%s%v", diff, err)
	}
}

func TestWebMessage(t *testing.T) {
	v := newEnv(t)
	v.campaign("winners", "web", `<b>{{ profile.traits.name }}</b> {{ event.properties.product }} {{ event.properties.nothing }}`,
		func(_ *definition.Campaign, tpl *definition.Template) {
			tpl.As, tpl.Expires = "slot:hero", period.Period(time.Minute)
		})
	v.users["u1"] = &profile.Profile{UserID: "u1", FirstSeen: 1, Traits: []profile.Entry{{Key: "name", Value: `"A&B"`}}}
	v.start()
	settled, cancel := v.db.Inbox().Watch("token")
	defer cancel()
	in := v.fire("u1", func(in *event.Intent) { in.ReplyTo, in.Depth = "token", 1 })
	if s := <-settled; s != (inbox.Settlement{Done: 1}) {
		t.Errorf("settled %+v", s)
	}
	// Settled means that the message is there.
	got, err := v.db.Inbox().Pending(t.Context(), "u1", 0, time.Now().UnixMicro())
	if err != nil {
		t.Fatal(err)
	}
	id := engager.ActivationID(in.FireID, "winners")
	delivery := engager.DeliveryID([]byte(secret), id)
	want := []inbox.Message{{
		ID: delivery, User: "u1", Campaign: "winners", Template: "winners", Kind: "slot", Slot: "hero",
		HTML: "<b>A&amp;B</b> &lt;Bike&gt; ", Expires: in.At + 60_000_000, CauseID: "m1", ReplyTo: "token", Personal: true, Depth: 2,
	}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(inbox.Message{}, "Seq", "Created")); diff != "" {
		t.Errorf("message (-want +got)\n%s", diff)
	}
	o := v.outcomes("u1", 1)[0]
	e := o.event
	if e.MessageID != "d-"+id || e.Source != event.SourceHeed || e.Type != event.Track || e.UserID != "u1" || e.AnonymousID != "anon" || e.Depth != 2 {
		t.Errorf("outcome event %+v", e)
	}
	if diff := cmp.Diff(outcome{
		Status: "sent", Campaign: "winners", Template: "winners", Channel: "web", Delivery: delivery, Activation: id, Fire: in.FireID,
		Trigger: "t", Cause: "m1", Attempts: 1, Missing: []string{"event.properties.nothing"},
	}, o, cmpopts.IgnoreUnexported(outcome{})); diff != "" {
		t.Errorf("outcome (-want +got)\n%s", diff)
	}
}

// spiedLog remembers outcomes that were not marked as Heed's own: those would be
// refused on a full disk.
type spiedLog struct {
	eventlog.Log
	foreign atomic.Int32
}

func (l *spiedLog) Append(ctx context.Context, s eventlog.Stream, batches []*eventlog.Batch) error {
	for _, b := range batches {
		if !b.Own {
			l.foreign.Add(1)
		}
	}
	return l.Log.Append(ctx, s, batches)
}

type spiedStores struct {
	stores
	log *spiedLog
}

func (s spiedStores) Log() eventlog.Log { return s.log }

func TestOutcomesAreOwn(t *testing.T) {
	v := newEnv(t)
	v.campaign("winners", "web", "won", func(_ *definition.Campaign, tpl *definition.Template) { tpl.As = "popup" })
	db := v.db
	log := &spiedLog{Log: db.Log()}
	v.db = spiedStores{db, log}
	v.start()
	v.db = db // what the test appends is others'
	if o := v.one("u1"); o.Status != "sent" || log.foreign.Load() > 0 {
		t.Errorf("outcome %+v, %d appends were not marked as own", o, log.foreign.Load())
	}
}

// An intent without a campaign gives nothing but the settlement.
func TestSettlesWithoutCampaign(t *testing.T) {
	v := newEnv(t)
	v.start()
	settled, cancel := v.db.Inbox().Watch("token")
	defer cancel()
	v.fire("u1", func(in *event.Intent) { in.ReplyTo = "token" })
	if s := <-settled; s != (inbox.Settlement{Done: 1}) {
		t.Errorf("settled %+v", s)
	}
}

func TestOutcomes(t *testing.T) {
	type change = func(*definition.Campaign, *definition.Template)
	f := func(name, ch, body string, how change, intent func(*event.Intent), want string) {
		t.Helper()
		v := newEnv(t)
		v.users["vip"] = &profile.Profile{UserID: "vip", FirstSeen: 1, Traits: []profile.Entry{{Key: "vip", Value: "true"}}}
		for name, vip := range map[string]bool{"vips": true, "none": false} {
			where := &condition.Condition{Field: "traits.vip", Op: condition.Eq, Value: vip}
			v.set.Audiences[name] = &definition.Audience{Name: name, Audience: measure.Audience{Where: where}}
		}
		if how == nil {
			how = func(*definition.Campaign, *definition.Template) {}
		}
		if intent == nil {
			intent = func(*event.Intent) {}
		}
		did := measure.Audience{Did: &measure.Did{Event: "purchase"}}
		for _, name := range []string{"buyers", "others"} {
			v.set.Audiences[name] = &definition.Audience{Name: name, Audience: did}
		}
		v.in["vip"] = []string{"buyers", "gone"}
		v.campaign("c", ch, body, how)
		v.start()
		defer v.stop()
		o := v.one("vip", intent)
		if got := o.Status + " " + o.Reason; got != want+" " && got != want {
			t.Errorf("%s: got %s (%s), want %s", name, got, o.Detail, want)
		}
		pending, err := v.db.Inbox().Pending(t.Context(), "vip", 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		mails, err := outbox.List(t.Context(), v.db.Documents(), "", 10)
		if err != nil {
			t.Fatal(err)
		}
		if seen := len(pending) + len(mails); (o.Status == "sent") != (seen == 1) {
			t.Errorf("%s: %s, but %d messages", name, o.Status, seen)
		}
	}
	limits := func(l definition.CampaignLimits) change {
		return func(c *definition.Campaign, _ *definition.Template) { c.Limits = l }
	}
	who := func(names ...string) change {
		return func(c *definition.Campaign, _ *definition.Template) { c.Who = names }
	}
	f("plain", "web", "hi", nil, nil, "sent")
	f("outbox", "outbox", "hi", nil, nil, "sent")
	f("in the audience", "web", "hi", who("vips"), nil, "sent")
	f("in one of them", "web", "hi", who("none", "vips"), nil, "sent")
	f("in none", "web", "hi", who("none"), nil, "refused audience")
	f("in one by behavior", "web", "hi", who("none", "buyers"), nil, "sent")
	f("in none by behavior", "web", "hi", who("others", "none"), nil, "refused audience")
	f("started by an audience", "outbox", "hi", func(c *definition.Campaign, _ *definition.Template) { c.When = definition.When{Audience: "buyers"} },
		func(in *event.Intent) { in.Trigger = "audience:buyers:enter" }, "sent")
	f("started by leaving it", "outbox", "hi", func(c *definition.Campaign, _ *definition.Template) {
		c.When = definition.When{Audience: "buyers", On: "leave"}
	}, func(in *event.Intent) { in.Trigger = "audience:buyers:leave" }, "sent")
	f("held back", "web", "hi", limits(definition.CampaignLimits{Holdout: "100%"}), nil, "refused holdout")
	f("a test that is over", "web", "hi", nil, func(in *event.Intent) { in.Test = true }, "refused not_live")
	old := func(in *event.Intent) { in.At -= 301_000_000 }
	f("too late", "web", "hi", nil, old, "refused expired")
	f("too late for nothing", "outbox", "hi", nil, old, "sent")
	f("late but long lived", "web", "hi", func(_ *definition.Campaign, tpl *definition.Template) { tpl.Expires = period.Period(time.Hour) }, old, "sent")
	f("send now", "web", "hi", nil, func(in *event.Intent) { in.Trigger, in.Campaign, in.Offset = "", "c", event.NoOffset }, "sent")
	f("send now, ended", "web", "hi", func(c *definition.Campaign, _ *definition.Template) { c.Status = definition.Ended },
		func(in *event.Intent) { in.Trigger, in.Campaign = "", "c" }, "refused not_live")
	f("send now, unknown", "web", "hi", nil, func(in *event.Intent) { in.Trigger, in.Campaign = "", "?" }, "refused not_live")
	f("no such template", "web", "hi", func(c *definition.Campaign, _ *definition.Template) { c.What[0].Template = "?" }, nil, "failed definition")
	f("no such channel", "web", "hi", func(c *definition.Campaign, _ *definition.Template) { c.What[0].Channel = "?" }, nil, "failed definition")
	f("no such audience", "web", "hi", who("?"), nil, "failed definition")
	f("bad template", "web", "{{ nonsense }}", nil, nil, "failed definition")
	f("failing template", "web", "{{ 1 | divided_by: event.properties.none }}", nil, nil, "failed render")
	f("runaway template", "web", "{% for i in (1..100000000) %}{% endfor %}", nil, nil, "failed render")
	f("empty", "web", "{% if profile.traits.x %}hi{% endif %} ", nil, nil, "refused empty")
	f("event gone", "web", "hi {{ event.name }}", nil, func(in *event.Intent) { in.Offset = event.NoOffset }, "sent")
}

func TestCap(t *testing.T) {
	v := newEnv(t)
	v.campaign("c", "web", "hi", func(c *definition.Campaign, _ *definition.Template) {
		c.Limits.Cap = &definition.Cap{Count: 2, Per: period.Period(time.Hour)}
	})
	v.start()
	for range 2 {
		v.fire("u1")
	}
	v.fire("u1")
	v.fire("u2")
	got := ""
	for _, o := range v.outcomes("u1", 3) {
		got += o.Status + o.Reason + " "
	}
	if want := "sent sent refusedcap "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if o := v.outcomes("u2", 1)[0]; o.Status != "sent" {
		t.Errorf("another user: %s %s", o.Status, o.Reason)
	}
}

func TestRetries(t *testing.T) {
	down := &channel.Error{Class: channel.Temporary, Err: errors.New("421 try later")}
	bad := &channel.Error{Class: channel.Permanent, Err: errors.New("550 no such user")}
	unsure := errors.New("connection lost")
	by := "" // what the channel says itself
	f := func(name string, idempotent bool, onUnknown string, answers []error, want string, attempts int) {
		t.Helper()
		v := newEnv(t)
		v.set.Channels["sms"].OnUnknown = by
		v.cfg.MaxAttempts, v.cfg.OnUnknown = 3, onUnknown
		v.sms.idempotent, v.sms.answers = idempotent, answers
		v.campaign("c", "sms", "hi")
		v.start()
		o := v.one("u1")
		v.stop()
		if o.Status+" "+o.Reason != want || len(v.sms.seen) != attempts {
			t.Errorf("%s: %s %s after %d attempts, want %s after %d", name, o.Status, o.Reason, len(v.sms.seen), want, attempts)
		}
		for i, d := range v.sms.seen {
			if d.Attempt != i+1 || d.ID != v.sms.seen[0].ID {
				t.Errorf("%s: attempt %d is number %d", name, i+1, d.Attempt)
			}
		}
		left, err := v.db.Documents().List(t.Context(), documents.Query{Collection: engager.CollectionOpen})
		if err != nil || len(left) != 0 {
			t.Errorf("%s: still open: %v %v", name, left, err)
		}
	}
	f("at once", false, definition.Hold, nil, "sent ", 1)
	f("down twice", false, definition.Hold, []error{down, down}, "sent ", 3)
	f("down for long", false, definition.Hold, []error{down, down, down}, "failed unavailable", 3)
	f("refused", false, definition.Hold, []error{down, bad}, "failed rejected", 2)
	f("unsure, held", false, definition.Hold, []error{unsure}, "held unknown", 1)
	f("unsure, repeated", false, definition.Retry, []error{unsure}, "sent ", 2)
	f("unsure, idempotent", true, definition.Hold, []error{unsure}, "sent ", 2)
	f("unsure, and nothing is said", false, "", []error{unsure}, "sent ", 2) // it is no text message
	by = definition.Hold
	f("unsure, held by the channel", false, definition.Retry, []error{unsure}, "held unknown", 1)
	by = definition.Retry
	f("unsure, repeated by the channel", false, definition.Hold, []error{unsure}, "sent ", 2)
}

// What was not even tried does not count as an attempt, until it is too late.
func TestUntried(t *testing.T) {
	v := newEnv(t)
	v.cfg.MaxAttempts = 2
	busy := &channel.Error{Class: channel.Temporary, Err: errors.New("left alone"), Untried: true}
	v.sms.answers = []error{busy, busy, busy, busy, busy}
	v.campaign("c", "sms", "hi")
	v.start()
	if o := v.one("u1"); o.Status != "sent" || o.Attempts != 1 {
		t.Errorf("%s %s after %d attempts", o.Status, o.Reason, o.Attempts)
	}
	v.stop()

	v = newEnv(t)
	v.cfg.GiveUp = time.Nanosecond
	v.sms.answers = []error{busy}
	v.campaign("c", "sms", "hi")
	v.start()
	if o := v.one("u1"); o.Status != "failed" || o.Reason != string(policy.Unavailable) {
		t.Errorf("%s %s", o.Status, o.Reason)
	}
}

// A parked activation is decided anew: a campaign that was ended meanwhile does
// not send.
func TestParkedIsDecidedAnew(t *testing.T) {
	v := newEnv(t)
	v.cfg.Backoff, v.cfg.MaxBackoff = time.Hour, time.Hour
	v.sms.answers = []error{&channel.Error{Class: channel.Temporary, Err: errors.New("down")}}
	v.campaign("c", "sms", "hi")
	v.start()
	settled, cancel := v.db.Inbox().Watch("token")
	defer cancel()
	v.fire("u1", func(in *event.Intent) { in.ReplyTo = "token" })
	<-settled
	v.stop()
	// After a restart, with the parked note made due.
	docs, err := v.db.Documents().List(t.Context(), documents.Query{Collection: engager.CollectionOpen})
	if err != nil || len(docs) != 1 {
		t.Fatalf("%v %v", docs, err)
	}
	key := docs[0].Key[:5] + "0000000000000001" + docs[0].Key[21:]
	if err := v.db.Documents().Apply(t.Context(), documents.Relaxed,
		documents.Write{Collection: engager.CollectionOpen, Key: docs[0].Key, Expect: documents.Any},
		documents.Write{Collection: engager.CollectionOpen, Key: key, Value: docs[0].Value, Expect: documents.Any}); err != nil {
		t.Fatal(err)
	}
	v.set.Campaigns["c"].Status = definition.Ended
	v.start()
	if o := v.outcomes("u1", 1)[0]; o.Reason != string(policy.NotLive) {
		t.Errorf("%s %s", o.Status, o.Reason)
	}
	if len(v.sms.seen) != 1 {
		t.Errorf("%d attempts", len(v.sms.seen))
	}
}

// Gaps, redelivered records and lost acknowledgements change nothing.
func TestHostileStores(t *testing.T) {
	v := newEnv(t)
	db := memory.Open(memory.Config{})
	v.db = db
	h := memory.AllHostile()
	h.LostAck = 0.2
	db.SetHostile(memory.Hostile{Gap: h.Gap})
	v.campaign("c", "web", "{{ event.properties.product }}")
	v.campaign("d", "outbox", "{{ event.properties.product }}")
	for i := range 200 {
		v.fire(fmt.Sprintf("u%d", i%10))
	}
	db.SetHostile(h)
	v.start()
	for i := range 10 {
		v.outcomes(fmt.Sprintf("u%d", i), 40)
	}
	v.stop()
	db.SetHostile(memory.Hostile{})
	v.start() // reads what it had not kept of its position again
	v.stop()
	seen := map[string]int{}
	for p := range v.db.Log().Partitions() {
		r, err := v.db.Log().Read(t.Context(), eventlog.Events, p, 0)
		if err != nil {
			t.Fatal(err)
		}
		for {
			c, ok, err := r.TryNext()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			d := event.NewDecoder(c.Data)
			for {
				var e event.Event
				if ok, _ := d.Next(&e); !ok {
					break
				}
				if e.Name == event.NameDelivery {
					seen[e.MessageID]++
				}
			}
		}
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s has %d outcomes", id, n)
		}
	}
	pending := 0
	for i := range 10 {
		list, err := v.db.Inbox().Pending(t.Context(), fmt.Sprintf("u%d", i), 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		pending += len(list)
	}
	mails, err := outbox.List(t.Context(), v.db.Documents(), "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) != 400 || pending != 200 || len(mails) != 200 {
		t.Errorf("%d outcomes, %d pop-ups, %d mails", len(seen), pending, len(mails))
	}
}

// What was worked off is kept, and is where the next start reads on.
func TestConsumed(t *testing.T) {
	v := newEnv(t)
	v.campaign("c", "outbox", "hi")
	v.start()
	v.fire("u1")
	v.fire("u1")
	v.outcomes("u1", 2)
	v.stop()
	got, err := v.e.Consumed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := make([]uint64, 8)
	want[eventlog.PartitionOf("u1", 8)] = 2
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestExpireLedger(t *testing.T) {
	v := newEnv(t)
	v.campaign("c", "outbox", "hi")
	v.start()
	v.fire("u1", func(in *event.Intent) { in.At -= (50 * time.Hour).Microseconds() })
	v.fire("u1")
	v.outcomes("u1", 2)
	n, err := v.e.ExpireLedger(t.Context(), time.Now().Add(-24*time.Hour))
	if err != nil || n != 1 {
		t.Errorf("removed %d, %v", n, err)
	}
	left, err := v.db.Documents().List(t.Context(), documents.Query{Collection: engager.CollectionLedger})
	if err != nil || len(left) != 1 {
		t.Errorf("left %d, %v", len(left), err)
	}
}

func TestExpireCaps(t *testing.T) {
	v := newEnv(t)
	store := v.db.Documents()
	now := time.Now()
	for user, at := range map[string]time.Time{"old": now.Add(-50 * time.Hour), "new": now} {
		value := fmt.Appendf(nil, "[%d,%d]", at.Add(-time.Hour).UnixMicro(), at.UnixMicro())
		if err := store.Apply(t.Context(), documents.Relaxed, documents.Write{Collection: engager.CollectionCaps, Key: user, Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	v.start()
	n, err := v.e.ExpireCaps(t.Context(), now.Add(-24*time.Hour))
	if err != nil || n != 1 {
		t.Errorf("removed %d, %v", n, err)
	}
	if _, err := store.Get(t.Context(), engager.CollectionCaps, "new"); err != nil {
		t.Errorf("the newer one: %v", err)
	}
}

func TestConfig(t *testing.T) {
	f := func(want bool, change func(*engager.Config)) {
		t.Helper()
		var c engager.Config
		c.Defaults()
		change(&c)
		if err := c.Validate(); (err == nil) != want {
			t.Errorf("%+v: %v", c, err)
		}
	}
	f(true, func(*engager.Config) {})
	f(false, func(c *engager.Config) { c.Lanes = -1 })
	f(false, func(c *engager.Config) { c.OnUnknown = "maybe" })
	f(false, func(c *engager.Config) { c.SendTimeout = -1 })
	f(false, func(c *engager.Config) { c.ReportBatch = 1 << 20 })
}

// One activation of a pop-up from the intent in the log to the settlement, one
// at a time: on Pebble with its three syncs, of which the Engager waits for one.
func BenchmarkWebActivation(b *testing.B) {
	f := func(name string, open func(b *testing.B) stores) {
		b.Run(name, func(b *testing.B) {
			v := newEnv(b)
			v.db = open(b)
			v.cfg.ReportLinger = 20 * time.Millisecond
			v.campaign("winners", "web", "<h2>{{ profile.traits.firstName | default: 'You' }}: +50 %</h2>", func(c *definition.Campaign, _ *definition.Template) {
				c.Limits.Cap = &definition.Cap{Count: 1000, Per: period.Period(time.Hour)}
			})
			v.start()
			settled, cancel := v.db.Inbox().Watch("token")
			defer cancel()
			b.ReportAllocs()
			var took []time.Duration
			for b.Loop() {
				in := v.prepare(fmt.Sprintf("u%d", v.fires%1000), func(in *event.Intent) { in.ReplyTo = "token" })
				began := time.Now()
				v.intent(in)
				<-settled
				took = append(took, time.Since(began))
			}
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
			v.stop()
		})
	}
	f("memory", func(*testing.B) stores { return memory.Open(memory.Config{}) })
	f("pebble", func(b *testing.B) stores {
		db, err := pebble.Open(pebble.Config{Dir: b.TempDir(), Reserve: 1}, pebble.Deps{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := db.Close(); err != nil {
				b.Error(err)
			}
		})
		return db
	})
}

// Text messages go to a verified number with the link that ends them; STOP stops
// the next one, through a merge and an import, and START lets it come again.
func TestStopIsHeardBeforeTheNextSend(t *testing.T) {
	v := newEnv(t)
	v.sms.kind = "sms"
	v.set.Channels["sms"] = &definition.Channel{Name: "sms", Type: "sms"}
	v.campaign("offer", "sms", "Half price")
	v.users["u1"] = texter("u1")
	v.start()
	if o := v.one("u1"); o.Status != "sent" {
		t.Fatalf("the first one: %+v", o)
	}
	d := v.sms.seen[0]
	if d.To == "" || !strings.HasPrefix(d.Unsubscribe, "https://heed.shop.example/u/") {
		t.Fatalf("sent to %q, with %q", d.To, d.Unsubscribe)
	}
	l, err := v.book.Open(strings.TrimPrefix(d.Unsubscribe, "https://heed.shop.example/u/"))
	if err != nil || l.Campaign != "offer" || l.Delivery != d.ID {
		t.Errorf("the link says %+v, %v", l, err)
	}
	say := func(k channel.FeedbackKind) {
		t.Helper()
		if err := v.book.Inbound(t.Context(), channel.Feedback{Kind: k, Type: "sms", Address: d.To}); err != nil {
			t.Fatal(err)
		}
	}
	say(channel.Unsubscribed)
	v.users["u2"] = texter("u2")
	v.users["u2"].Merge(v.users["u1"])
	v.users["u2"].Phone = v.users["u1"].Phone
	for i, user := range []string{"u1", "u2"} {
		v.fire(user)
		o := v.outcomes(user, 2-i)[1-i]
		if o.Status != "refused" || o.Reason != string(policy.Suppressed) || o.Detail != "stop" {
			t.Errorf("%s after STOP: %+v", user, o)
		}
	}
	say(channel.Resubscribed)
	v.fire("u1")
	if o := v.outcomes("u1", 3)[2]; o.Status != "sent" {
		t.Errorf("after START: %+v", o)
	}
}

// A user who moved to another one is written to as that one.
func TestAddressOfAMovedUser(t *testing.T) {
	v := newEnv(t)
	v.sms.kind = "sms"
	v.set.Channels["sms"] = &definition.Channel{Name: "sms", Type: "sms"}
	v.campaign("offer", "sms", "Half price")
	v.users["anon"] = &profile.Profile{FirstSeen: 1, Moved: profile.Move{To: "u1", At: 1}}
	v.users["u1"] = texter("u1")
	v.start()
	v.fire("anon", func(in *event.Intent) { in.User, in.Offset = "anon", event.NoOffset })
	if o := v.outcomes("anon", 1)[0]; o.Status != "sent" || v.sms.seen[0].To == "" {
		t.Errorf("%+v", o)
	}
}

// Nobody is written to by text message without having agreed, or at a number that
// is only claimed; a receipt needs no consent, and is neither held back nor capped.
func TestReach(t *testing.T) {
	f := func(name, want string, change func(p *profile.Profile, c *definition.Campaign)) {
		t.Helper()
		v := newEnv(t)
		v.sms.kind = "sms"
		v.set.Channels["sms"] = &definition.Channel{Name: "sms", Type: "sms"}
		p := texter("u1")
		v.campaign("c", "sms", "hi", func(c *definition.Campaign, _ *definition.Template) { change(p, c) })
		v.users["u1"] = p
		v.start()
		o := v.one("u1")
		if got := strings.TrimSpace(o.Status + " " + o.Reason); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if o.Status == "sent" && v.set.Campaigns["c"].Purpose == consent.Transactional && v.sms.seen[0].Unsubscribe != "" {
			t.Errorf("%s: a receipt says how to end it", name)
		}
		v.stop()
	}
	receipt := func(c *definition.Campaign) { c.Purpose, c.Limits.Holdout = consent.Transactional, "100%" }
	f("nothing said", "refused no_consent", func(p *profile.Profile, _ *definition.Campaign) { p.Consent = nil })
	f("a receipt", "sent", func(p *profile.Profile, c *definition.Campaign) { p.Consent = nil; receipt(c) })
	f("declined", "refused declined", func(p *profile.Profile, _ *definition.Campaign) {
		p.Consent = []profile.Entry{{Key: "marketing", Value: "false", At: 2}, {Key: "sms", Value: "true", At: 1}}
	})
	f("claimed", "refused unverified", func(p *profile.Profile, c *definition.Campaign) { p.Phone.Verified = false; receipt(c) })
	f("no number", "refused no_address", func(p *profile.Profile, c *definition.Campaign) { p.Phone.Value = "0151"; receipt(c) })
}

// Whoever claims to be a known user and confirms an address of their own gets what
// anybody may read, and nothing that tells of that user: no traits, and nothing of what
// the user did.
func TestClaimedAddress(t *testing.T) {
	f := func(name, body, want string, change func(p *profile.Profile)) {
		t.Helper()
		v := newEnv(t)
		v.sms.kind = "sms"
		v.set.Channels["sms"] = &definition.Channel{Name: "sms", Type: "sms"}
		v.set.Sending = &definition.Sending{Name: definition.SendingSettings, OptIn: &definition.OptIn{SMS: &definition.Asking{Channel: "sms", Template: "confirm"}}}
		v.set.Templates["confirm"] = &definition.Template{Name: "confirm", Channel: "sms", Text: definition.Text{Body: "Reply YES"}}
		v.campaign("c", "sms", body)
		p := texter("u1")
		p.Phone.Verified = false
		p.Traits = []profile.Entry{{Key: "name", Value: `"Ada"`}}
		change(p)
		v.users["u1"] = p
		v.start()
		o, err := v.book.Await(t.Context(), &reach.Question{User: "u1", Profile: p, Channel: v.set.Channels["sms"]}, time.Now().UnixMicro())
		if err != nil || o == nil {
			t.Fatalf("%s: %+v, %v", name, o, err)
		}
		number, _ := reach.Normal("sms", p.Phone.Value)
		_, token, _ := strings.Cut(v.book.ConfirmLink(reach.Link{Type: "sms", Channel: "sms"}, number, o.At), reach.ConfirmPath)
		l, err := v.book.OpenConfirm(token)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := v.book.Confirm(t.Context(), l); err != nil || !c.Done {
			t.Fatalf("%s: %+v, %v", name, c, err)
		}
		out := v.one("u1")
		if got := strings.TrimSpace(out.Status + " " + out.Reason); got != want {
			t.Errorf("%s: %s, want %s (%s)", name, got, want, out.Detail)
		}
		v.stop()
	}
	claimed := func(*profile.Profile) {}
	f("an offer for anybody", "Half price", "sent", claimed)
	f("what the campaign is about", "Half price after {{ event.name }}", "sent", claimed)
	f("a trait", "Hello {{ profile.traits.name }}", "refused unverified", claimed)
	f("a trait that decides", "{% if profile.traits.name == 'Ada' %}Hello{% else %}Bye{% endif %}", "refused unverified", claimed)
	f("what the user did", "Still want {{ event.properties.product }}?", "refused unverified", claimed)
	f("a visitor's own", "Hello {{ profile.traits.name }}", "sent", func(p *profile.Profile) { p.UserID = "" })
	f("vouched for", "Hello {{ profile.traits.name }}", "sent", func(p *profile.Profile) { p.Phone.Verified = true })
}
