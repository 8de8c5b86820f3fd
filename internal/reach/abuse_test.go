package reach_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"heed/internal/channel"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/profile"
	"heed/internal/reach"
)

// order is whether somebody is asked now.
func (d *desk) order(user string, p *profile.Profile, c *definition.Channel) bool {
	d.t.Helper()
	o, err := d.Await(d.t.Context(), &reach.Question{User: user, Profile: p, Channel: c}, d.now.UnixMicro())
	if err != nil {
		d.t.Fatal(err)
	}
	return o != nil
}

// Many who enter an address at one moment, as in one request, are one question.
func TestAwaitAtOneMoment(t *testing.T) {
	d := newAsking(t)
	letters := &definition.Channel{Name: "letters", Type: "email"}
	for i := range 5 {
		if user := fmt.Sprintf("u%d", i); d.order(user, claims(user, "ann@shop.example"), letters) != (i == 0) {
			t.Errorf("%s is asked, or the first one is not", user)
		}
	}
	// After a crash the user may have turned out to be somebody known.
	ann := claims("ann", "ann@shop.example")
	ann.AnonymousIDs = []string{"u0"}
	if !d.order("ann", ann, letters) {
		t.Error("the same question is not ordered again")
	}
}

// What was confirmed is what stood in the question, whatever others write later.
func TestProofStays(t *testing.T) {
	d := newAsking(t)
	ann, thief := claims("u1", "ann@shop.example"), claims("u2", "ann@shop.example")
	thief.Consent[0].Value = `{"granted":true,"source":"nowhere","wording":"Everything."}`
	wording := func(token string) string {
		t.Helper()
		l, err := d.OpenConfirm(token)
		if err != nil {
			t.Fatal(err)
		}
		c, err := d.Confirmation(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		return c.Wording
	}
	proof := func() string {
		t.Helper()
		c, err := d.Proof(t.Context(), &reach.Question{User: "u1", Profile: ann, Channel: &definition.Channel{Name: "letters", Type: "email"}})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(c.Source, "/", c.Wording)
	}
	first := d.await("u1", ann, "email")
	d.now = d.now.Add(25 * time.Hour)
	second := d.await("u2", thief, "email")
	d.is("the page of the first question", wording(first), "Yes, news.")
	d.is("the page of the second question", wording(second), "Everything.")
	d.is("confirming the first", d.follow(first, true), "done")
	d.is("the proof", proof(), "footer/Yes, news.")
	d.now = d.now.Add(25 * time.Hour)
	d.await("u2", thief, "email")
	d.is("the proof after somebody else entered the address", proof(), "footer/Yes, news.")
}

// A no also counts of who came with the write key: a yes after it needs a new question.
func TestNoOfAClaim(t *testing.T) {
	d := newAsking(t)
	ann, bob := claims("u1", "ann@shop.example"), claims("u2", "ann@shop.example")
	link := d.await("u1", ann, "email")
	d.is("confirming", d.follow(link, true), "done")
	d.now = d.now.Add(25 * time.Hour)
	d.is("confirming for another", d.follow(d.await("u2", bob, "email"), true), "done")

	d.now = d.now.Add(25 * time.Hour)
	ann.Consent[0].Value = "false"
	d.is("a no", d.await("u1", ann, "email"), "")
	d.is("after a no", d.ask(ann, "email"), "declined consent.email")
	ann.Consent[0].Value = "true"
	d.is("a yes after it", d.ask(ann, "email"), "pending")
	d.is("the link of before", d.follow(link, true), "void")
	d.is("the other one", d.ask(bob, "email", func(q *reach.Question) { q.User = "u2" }), "ann@shop.example")
	d.is("a new question", d.follow(d.await("u1", ann, "email"), true), "done")
	d.is("confirmed anew", d.ask(ann, "email"), "ann@shop.example")
}

// YES to a sender answers what that sender asked: others ask other things.
func TestYesToAnotherSender(t *testing.T) {
	d := newAsking(t)
	ann := claims("u1", "ann@shop.example")
	texts := &definition.Channel{Name: "texts", Type: "sms", SMPP: &definition.SMPP{Sender: "+491000"}}
	if !d.order("u1", ann, texts) {
		t.Fatal("nobody is asked")
	}
	yes := func(sender string) {
		d.feedback(channel.Feedback{Kind: channel.Confirmed, Type: "sms", Address: number, Sender: sender})
	}
	yes("+492000")
	d.is("another sender", d.ask(ann, "sms"), "pending")
	d.sent("later", "u2", "sms", number)
	yes("+491000")
	d.is("the sender that asked", d.ask(ann, "sms"), number)
	if told := d.events(); len(told) != 1 || told[0].User != "u1" {
		t.Errorf("it is told of %+v", told)
	}
}

// What a provider reports again does not undo what the reader said since, and what it
// reports for the first time of later does count.
func TestReportAfterResubscribing(t *testing.T) {
	for _, kind := range []channel.FeedbackKind{channel.Unsubscribed, channel.Complained} {
		d := newDesk(t)
		ann := person("ann@shop.example", number)
		d.sent("d1", "u1", "email", "ann@shop.example")
		report := channel.Feedback{
			Kind: kind, Type: "email", Address: "ann@shop.example", ID: "sendgrid/1", At: d.now.UnixMicro(), Reported: true,
		}
		d.now = d.now.Add(time.Second)
		d.feedback(report)
		d.is("reported", d.ask(ann, "email"), "suppressed "+map[channel.FeedbackKind]string{channel.Unsubscribed: "unsubscribed", channel.Complained: "complaint"}[kind])
		d.now = d.now.Add(time.Hour)
		l, err := d.Open(strings.TrimPrefix(d.Unsubscribe(reach.Link{Type: "email", Channel: "letters", Delivery: "d1"}, "ann@shop.example"), "https://heed.shop.example/u/"))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Choose(t.Context(), l, reach.Back); err != nil {
			t.Fatal(err)
		}
		d.now = d.now.Add(time.Hour)
		d.feedback(report)
		d.is("the same report after the reader came back", d.ask(ann, "email"), "ann@shop.example")
		report.ID, report.At = "sendgrid/2", d.now.UnixMicro()
		d.feedback(report)
		if d.ask(ann, "email") == "ann@shop.example" {
			t.Error("a new report does not count")
		}
	}
}

// meanwhile is a store in which something happens once after suppressions were read.
type meanwhile struct {
	documents.Store
	do func()
}

func (m *meanwhile) List(ctx context.Context, q documents.Query) ([]documents.Document, error) {
	docs, err := m.Store.List(ctx, q)
	if do := m.do; do != nil && q.Collection == reach.CollectionSuppressions {
		m.do = nil
		do()
	}
	return docs, err
}

// A STOP holds that comes while a confirmation takes back what was said before.
func TestStopWhileConfirming(t *testing.T) {
	d := newDesk(t)
	store := &meanwhile{Store: d.db.Documents()}
	b, err := reach.New(reach.Deps{
		Documents: store, Log: d.db.Log(), Secret: []byte("0123456789abcdef"), PublicURL: "https://heed.shop.example/",
		Definitions: doubled{}, Clock: func() time.Time { return d.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Book = b
	ann := claims("u1", "ann@shop.example")
	if err := d.Suppress(t.Context(), "sms", number, reach.Unsubscribed, reach.Cause{At: 1}); err != nil {
		t.Fatal(err)
	}
	link := d.await("u1", ann, "sms")
	store.do = func() { d.feedback(channel.Feedback{Kind: channel.Unsubscribed, Type: "sms", Address: number}) }
	d.is("confirming", d.follow(link, true), "done")
	d.is("after STOP", d.ask(ann, "sms"), "suppressed stop")
}
