package engager_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"heed/internal/channel/outbox"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/engager"
	"heed/internal/measure"
	"heed/internal/policy"
	"heed/internal/profile"
)

// once makes a campaign that an order starts.
func once(id string) func(*definition.Campaign, *definition.Template) {
	return func(c *definition.Campaign, _ *definition.Template) {
		c.When = definition.When{Once: id}
		c.Who = []string{"stuck"} // asked when the list was made, not again
	}
}

func TestSendOnce(t *testing.T) {
	v := newEnv(t)
	v.campaign("letter", "outbox", "Hello {{ profile.traits.name }}", once("o1"))
	v.users["u7"] = &profile.Profile{UserID: "u7", FirstSeen: 1, Traits: []profile.Entry{{Key: "name", Value: `"Ada"`}}}
	v.start()
	var users []string
	for i := range 2500 { // several appends
		users = append(users, fmt.Sprint("u", i))
	}
	o, err := v.e.SendOnce(t.Context(), "letter", "o1", users)
	if err != nil || o.Users != len(users) {
		t.Fatalf("%+v, %v", o, err)
	}
	// Sent twice, also with another list: the first one counts.
	again, err := v.e.SendOnce(t.Context(), "letter", "o1", []string{"somebody"})
	if err != nil || again.Users != len(users) || again.At != o.At {
		t.Errorf("again: %+v, %v", again, err)
	}
	for _, u := range users {
		if got := v.outcomes(u, 1)[0]; got.Status != "sent" || got.Campaign != "letter" || got.Trigger != "" {
			t.Fatalf("%s: %+v", u, got)
		}
	}
	letters := v.letters()
	if len(letters) != len(users) || !slices.Contains(letters, "u7 Hello Ada") {
		t.Errorf("%d letters for %d users", len(letters), len(users))
	}
	if o, err = v.e.Ordered(t.Context(), "letter", "o1"); err != nil || o.Next != o.Pages {
		t.Errorf("%+v, %v", o, err)
	}
}

// A campaign for who enters an audience goes to those of a list too, who are in it by
// what was asked for the list: who is in it may not be known yet.
func TestSendOnceToMembers(t *testing.T) {
	v := newEnv(t)
	v.set.Audiences["stuck"] = &definition.Audience{Name: "stuck", Audience: measure.Audience{Did: &measure.Did{Event: "click"}}}
	on := func(on string) func(*definition.Campaign, *definition.Template) {
		return func(c *definition.Campaign, _ *definition.Template) {
			c.When, c.Who = definition.When{Audience: "stuck", On: on}, []string{"stuck"}
		}
	}
	v.campaign("entering", "outbox", "Hello", on(definition.Enter))
	v.campaign("leaving", "outbox", "Hello", on(definition.Leave))
	v.start()
	for name, want := range map[string]string{"entering": "sent", "leaving": "refused"} {
		user := "u-" + name
		if _, err := v.e.SendOnce(t.Context(), name, "o1", []string{user}); err != nil {
			t.Fatal(err)
		}
		if got := v.outcomes(user, 1)[0]; got.Status != want {
			t.Errorf("%s: %+v, want %s", name, got, want)
		}
	}
}

// letters lists what lies in the outbox.
func (v *env) letters() (out []string) {
	v.t.Helper()
	for after := ""; ; {
		docs, err := v.db.Documents().List(v.t.Context(), documents.Query{Collection: outbox.Collection, After: after})
		if err != nil {
			v.t.Fatal(err)
		}
		if len(docs) == 0 {
			return out
		}
		for _, d := range docs {
			after = d.Key
			var m outbox.Message
			if err := json.Unmarshal(d.Value, &m); err != nil {
				v.t.Fatal(err)
			}
			out = append(out, m.User+" "+m.Body)
		}
	}
}

func TestSendOnceHoldsBack(t *testing.T) {
	v := newEnv(t)
	v.campaign("letter", "outbox", "Hello", once("o1"), func(c *definition.Campaign, _ *definition.Template) { c.Limits.Holdout = "30%" })
	v.start()
	var users []string
	for i := range 300 {
		users = append(users, fmt.Sprint("u", i))
	}
	want := len(users) - len(v.e.Treated("letter", 0.3, users))
	if want < 60 || want > 120 {
		t.Errorf("%d of 300 are held back", want)
	}
	if _, err := v.e.SendOnce(t.Context(), "letter", "o1", users); err != nil {
		t.Fatal(err)
	}
	held := 0
	for _, u := range users {
		if v.outcomes(u, 1)[0].Reason == string(policy.Holdout) {
			held++
		}
	}
	if held != want {
		t.Errorf("%d were held back, %d were said", held, want)
	}
}

func TestSendOnceRefuses(t *testing.T) {
	v := newEnv(t)
	v.start()
	f := func(what, campaign, id string, users ...string) {
		t.Helper()
		if _, err := v.e.SendOnce(t.Context(), campaign, id, users); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
	f("nobody", "c", "o")
	f("no campaign", "", "o", "u")
	f("no order", "c", "", "u")
	f("a long order", "c", strings.Repeat("o", 65), "u")
	f("a user without an id", "c", "o", "u", "")
}

// An order that a crash interrupts anywhere reaches each user once, when whoever
// ordered asks again.
func TestOrderCrashAtEveryWrite(t *testing.T) {
	set := crashSet()
	for _, name := range []string{"pop", "mail", "text"} {
		set.Campaigns[name].When = definition.When{Once: "o"}
		set.Campaigns[name].Limits.Cap = nil
	}
	users := []string{"u0", "u1", "u2"}
	points := 0
	for _, power := range []bool{false, true} {
		for _, after := range []bool{false, true} {
			for k := 1; ; k++ {
				reached := false
				synctest.Test(t, func(t *testing.T) {
					w := newWorld()
					w.faultAt, w.after, w.power = k, after, power
					order := func(e *engager.Engager) {
						_, _ = e.SendOnce(t.Context(), "mail", "o", users) // dies, perhaps
					}
					process(t, w, set, order)
					reached = w.dead
					w.restart()
					process(t, w, set, order)
					outcomes := 0
					for _, e := range w.outcomes() {
						if strings.Contains(string(e.Properties), `"status":"sent"`) {
							outcomes++
						}
					}
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
