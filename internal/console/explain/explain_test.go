package explain_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"heed/internal/console/api"
	"heed/internal/console/explain"
	"heed/internal/definition"
	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/policy"
	"heed/internal/profile"
	"heed/internal/userstate"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// world is what explanations are made of.
type world struct {
	*explain.Campaigns
	t       *testing.T
	db      *memory.DB
	set     *definition.Set
	reason  policy.Reason
	waiting []explain.Waiting
	steps   []string
}

func open(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, db: memory.Open(memory.Config{Partitions: 8}), set: &definition.Set{Campaigns: map[string]*definition.Campaign{}}}
	t.Cleanup(func() { _ = w.db.Close() })
	w.Campaigns = &explain.Campaigns{Deps: explain.Deps{
		Log: w.db.Log(), State: w.db.UserState(), Definitions: w, Sender: w, Triggers: w, Now: time.Now, Budget: 10 * time.Second,
	}}
	return w
}

func (w *world) Current() *definition.Set { return w.set }

func (w *world) Prospect(context.Context, string, string) (explain.Prospect, error) {
	if w.reason == policy.None {
		return explain.Prospect{Channel: "web", Template: "wow"}, nil
	}
	return explain.Prospect{Reason: w.reason}, nil
}

func (w *world) Waiting(context.Context, []string) ([]explain.Waiting, error) { return w.waiting, nil }

// silent is a process that does not tell of triggers.
type silent struct{}

func (silent) ExplainTrigger(context.Context, string, string) (api.TriggerExplanation, error) {
	return api.TriggerExplanation{}, errors.New("nobody decides")
}

func (w *world) ExplainTrigger(_ context.Context, user, name string) (api.TriggerExplanation, error) {
	return api.TriggerExplanation{User: user, Trigger: name, Text: w.steps}, nil
}

func (w *world) define(name string, status definition.Status, when definition.When) {
	w.set.Campaigns[name] = &definition.Campaign{Name: name, Status: status, When: when}
}

func (w *world) profile(id string, p *profile.Profile) {
	w.t.Helper()
	part, err := w.db.UserState().Open(w.t.Context(), eventlog.PartitionOf(id, 8))
	if err != nil {
		w.t.Fatal(err)
	}
	p.FirstSeen = 1
	if err := part.Commit(w.t.Context(), &userstate.Commit{
		Base: part.Next(), Next: part.Next(), Rows: []userstate.Row{{Kind: userstate.Profile, User: id, Value: p.Append(nil)}},
	}); err != nil {
		w.t.Fatal(err)
	}
}

// outcome appends one of a user, so many minutes after the start.
func (w *world) outcome(user, name string, minute int, properties string) {
	w.t.Helper()
	at := start.Add(time.Duration(minute) * time.Minute).UnixMicro()
	e := event.Event{
		MessageID: fmt.Sprint(user, name, minute, properties), Type: event.Track, Name: name, UserID: user, Timestamp: at, ReceivedAt: at,
		Source: event.SourceHeed, Properties: []byte(properties),
	}
	data := event.AppendEvent(nil, &e)
	for {
		err := w.db.Log().Append(w.t.Context(), eventlog.Events, []*eventlog.Batch{{
			Partition: eventlog.PartitionOf(user, 8), Data: data, Ends: []int{len(data)}, Keys: []eventlog.Key{event.KeyOf(e.Source, e.MessageID)},
		}})
		if err == nil {
			return
		}
		if !errors.Is(err, eventlog.ErrUnavailable) {
			w.t.Fatal(err)
		}
	}
}

func (w *world) explain(user, campaign string) api.CampaignExplanation {
	w.t.Helper()
	r, err := w.ExplainCampaign(w.t.Context(), api.ExplainCampaignRequestObject{Id: user, Name: campaign})
	if err != nil {
		w.t.Fatal(err)
	}
	x, ok := r.(api.ExplainCampaign200JSONResponse)
	if !ok {
		w.t.Fatalf("%T", r)
	}
	return api.CampaignExplanation(x)
}

func TestAnswer(t *testing.T) {
	w := open(t)
	w.profile("ada", &profile.Profile{UserID: "ada", AnonymousIDs: []string{"anon"}})
	w.steps = []string{"1 of 3 steps done since noon; waits for win.", "It has not fired."}
	f := func(campaign, want string, got bool) {
		t.Helper()
		if x := w.explain("ada", campaign); x.Answer != want || x.Got != got || x.Text[0] != want {
			t.Errorf("%s: %t %s\nwant %s\n%s", campaign, x.Got, x.Answer, want, strings.Join(x.Text, "\n"))
		}
	}
	w.define("c", definition.Live, definition.When{Trigger: "t"})
	f("c", "No attempt is known: its trigger t has not fired. 1 of 3 steps done since noon; waits for win.", false)
	w.define("a", definition.Live, definition.When{Audience: "vip", On: definition.Leave})
	f("a", "No attempt is known: it starts when the user leaves the audience vip, which has not happened while it was live.", false)
	w.define("o", definition.Live, definition.When{Once: "x1"})
	f("o", "No attempt is known: it was sent once, by hand, and this user was not among those it was sent to.", false)
	w.define("d", definition.Draft, definition.When{Trigger: "t"})
	f("d", "No attempt is known: the campaign is not live (draft).", false)

	w.waiting = []explain.Waiting{{Campaign: "c", At: start.UnixMicro(), Due: start.Add(time.Minute).UnixMicro(), Attempts: 2, Detail: "421 busy"}}
	f("c", "Waiting since 2026-01-02 at 03:04:05 UTC, to be tried again on 2026-01-02 at 03:05:05 UTC after 2 attempts: 421 busy.", false)
	w.waiting[0].Why = policy.QuietHours
	f("c", "Waiting since 2026-01-02 at 03:04:05 UTC, until 2026-01-02 at 03:05:05 UTC: it is quiet hours where the user is.", false)
	w.waiting[0].Why = policy.Channel
	f("c", "Waiting since 2026-01-02 at 03:04:05 UTC, to be tried on 2026-01-02 at 03:05:05 UTC: the channel takes nothing at the moment: it is left alone after failures, or has sent as much as its rate allows (421 busy).", false)
	w.waiting[0].Why, w.waiting[0].Due = policy.Paused, 0
	f("c", "Waiting since 2026-01-02 at 03:04:05 UTC: the campaign is paused.", false)
	// Also what the user did before the log-in is the user's.
	w.outcome("anon", event.NameDelivery, 1, `{"status":"refused","reason":"holdout","campaign":"c","channel":""}`)
	f("c", "Refused on 2026-01-02 at 03:05:05 UTC: The user is in the group that is held back to measure what the campaign achieves.", false)
	w.outcome("ada", event.NameDelivery, 2, `{"status":"failed","reason":"render","campaign":"c","channel":"web","detail":"line 3: no"}`)
	f("c", "Failed by web on 2026-01-02 at 03:06:05 UTC: The template failed or did too much while it was rendered (line 3: no).", false)
	w.outcome("ada", event.NameDelivery, 3, `{"status":"sent","campaign":"c","channel":"web"}`)
	w.outcome("ada", event.NameShown, 4, `{"campaign":"c","channel":"web"}`)
	w.outcome("ada", event.NameDelivery, 5, `{"status":"refused","reason":"cap","campaign":"c","test":true}`)
	w.outcome("bob", event.NameDelivery, 6, `{"status":"failed","reason":"rejected","campaign":"c"}`)
	f("c", "Sent by web on 2026-01-02 at 03:07:05 UTC.", true)
	if x := w.explain("ada", "c"); len(x.Outcomes) != 5 || !x.Complete || x.Outcomes[1].Text != "Shown on 2026-01-02 at 03:08:05 UTC." ||
		!strings.HasPrefix(x.Outcomes[0].Text, "As a test: Refused") {
		t.Errorf("%+v", x.Outcomes)
	}
	w.outcome("ada", event.NameDelivery, 7, `{"status":"held","reason":"unknown","campaign":"c","channel":"sms"}`)
	f("c", "Held by sms on 2026-01-02 at 03:11:05 UTC: It is unknown whether an interrupted attempt arrived, and the channel must not repeat it.", false)
	w.outcome("ada", event.NameDelivered, 8, `{"campaign":"c","channel":"sms","settles":true}`)
	f("c", "Delivered on 2026-01-02 at 03:12:05 UTC. Until then it was unknown whether it had arrived.", true)
}

// Every reason there is makes one sentence about what would be decided now.
func TestNow(t *testing.T) {
	w := open(t)
	w.profile("ada", &profile.Profile{UserID: "ada"})
	w.define("c", definition.Live, definition.When{Trigger: "t"})
	if x := w.explain("ada", "c"); !x.Now.Send || x.Now.Text != "Decided just now, it would be sent by web, with template wow." {
		t.Errorf("%+v", x.Now)
	}
	seen := map[string]bool{}
	for _, r := range policy.Reasons() {
		w.reason = r
		x := w.explain("ada", "c")
		if x.Now.Send || x.Now.Reason != string(r) || seen[x.Now.Text] || !strings.HasSuffix(x.Now.Text, ".") {
			t.Errorf("%s: %+v", r, x.Now)
		}
		seen[x.Now.Text] = true
	}
}

func TestUsers(t *testing.T) {
	w := open(t)
	w.profile("ada", &profile.Profile{UserID: "ada"})
	w.profile("anon", &profile.Profile{Moved: profile.Move{To: "ada", At: start.UnixMicro()}})
	w.define("b", definition.Draft, definition.When{Trigger: "t"})
	w.outcome("ada", event.NameDelivery, 1, `{"status":"sent","campaign":"gone","channel":"sms"}`)
	x := w.explain("anon", "b")
	if x.User != "ada" || x.Text[0] != "anon is ada since 2026-01-02 at 03:04:05 UTC." || x.Status != "draft" {
		t.Errorf("%+v", x)
	}
	r, err := w.ExplainCampaigns(t.Context(), api.ExplainCampaignsRequestObject{Id: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	all, ok := r.(api.ExplainCampaigns200JSONResponse)
	if !ok || len(all.Campaigns) != 2 || all.Campaigns[0].Campaign != "b" || all.Campaigns[1].Campaign != "gone" || !all.Campaigns[1].Got || all.Campaigns[1].Status != "" {
		t.Errorf("%+v", r)
	}
	for _, bad := range [][2]string{{"nobody", "b"}, {"ada", "never"}, {"", "b"}, {strings.Repeat("x", 1000), "b"}} {
		_, err := w.ExplainCampaign(t.Context(), api.ExplainCampaignRequestObject{Id: bad[0], Name: bad[1]})
		if e, ok := errors.AsType[*api.Refusal](err); !ok || e.Status != 404 {
			t.Errorf("%v: %v", bad, err)
		}
	}
	// While nobody tells of the trigger, the rest is told.
	w.define("d", definition.Live, definition.When{Trigger: "t"})
	w.Triggers = silent{}
	if x := w.explain("ada", "d"); !strings.Contains(strings.Join(x.Text, " "), "is not known at the moment: nobody decides.") || x.Now.Text == "" {
		t.Errorf("%+v", x)
	}
	// Where nothing is sent from and no trigger is known, these parts are missing.
	w.Sender, w.Triggers = nil, nil
	w.define("c", definition.Live, definition.When{Trigger: "t"})
	if x := w.explain("ada", "c"); x.Now.Text != "" || x.Answer != "No attempt is known: it starts when trigger t fires." {
		t.Errorf("%+v", x)
	}
}
