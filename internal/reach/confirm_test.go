package reach_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"heed/internal/channel"
	"heed/internal/definition"
	"heed/internal/profile"
	"heed/internal/reach"
)

// doubled are definitions with double opt-in for both channels.
type doubled struct{}

func (doubled) Current() *definition.Set {
	a := &definition.Asking{Channel: "letters", Template: "confirm"}
	return &definition.Set{Sending: &definition.Sending{OptIn: &definition.OptIn{Email: a, SMS: a}}}
}

// newAsking is a desk at which a yes must be confirmed.
func newAsking(t *testing.T) *desk {
	t.Helper()
	d := newDesk(t)
	b, err := reach.New(reach.Deps{
		Documents: d.db.Documents(), Log: d.db.Log(), Secret: []byte("0123456789abcdef"), PublicURL: "https://heed.shop.example/",
		Definitions: doubled{}, Clock: func() time.Time { return d.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	d.Book = b
	return d
}

// claims is somebody who entered an address on a page.
func claims(user, email string) *profile.Profile {
	p := person(email, number)
	p.UserID, p.Email.Verified, p.Phone.Verified = user, false, false
	p.Consent[0].Value = `{"granted":true,"source":"footer","wording":"Yes, news."}`
	return p
}

// await orders that a user is asked, and gives the link; "" if nobody is asked.
func (d *desk) await(user string, p *profile.Profile, channelType string) string {
	d.t.Helper()
	q := &reach.Question{User: user, Profile: p, Channel: &definition.Channel{Name: "letters", Type: channelType}}
	o, err := d.Await(d.t.Context(), q, d.now.UnixMicro())
	if err != nil {
		d.t.Fatal(err)
	}
	if o == nil {
		return ""
	}
	if len(o.ID) != 32 || o.At != d.now.UnixMicro() {
		d.t.Errorf("%+v", o)
	}
	to := d.ask(p, channelType, func(q *reach.Question) { q.User, q.Asked = user, o.At })
	id := fmt.Sprintf("q-%s-%d", user, o.At)
	d.sent(id, user, channelType, to)
	return strings.TrimPrefix(d.ConfirmLink(reach.Link{Type: channelType, Channel: "letters", Campaign: "confirm:" + channelType, Delivery: id}, to, o.At), "https://heed.shop.example/confirm/")
}

// follow opens a link, and confirms by it or only looks.
func (d *desk) follow(token string, confirm bool) string {
	d.t.Helper()
	l, err := d.OpenConfirm(token)
	if err != nil {
		return err.Error()
	}
	do := d.Confirmation
	if confirm {
		do = d.Confirm
	}
	c, err := do(d.t.Context(), l)
	switch {
	case err != nil:
		d.t.Fatal(err)
	case c.Done:
		return "done"
	case c.Void:
		return "void"
	}
	return "open"
}

func (d *desk) is(what, got, want string) {
	d.t.Helper()
	if got != want {
		d.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// A yes is pending until the owner of the address confirms it; looking does not. It
// vouches for the address of those who were asked, and of nobody else.
func TestConfirm(t *testing.T) {
	d := newAsking(t)
	ann := claims("u1", "ann@shop.example")
	d.is("before", d.ask(ann, "email"), "pending")
	d.is("a receipt", d.ask(ann, "email", transactional), "unverified")
	link := d.await("u1", ann, "email")
	d.is("looking", d.follow(link, false), "open")
	d.is("looking", d.ask(ann, "email"), "pending")
	d.is("confirming", d.follow(link, true), "done")
	d.is("again", d.follow(link, true), "done")
	d.is("after", d.ask(ann, "email"), "ann@shop.example")
	d.is("a receipt of whoever claims to be u1", d.ask(ann, "email", transactional), "unverified")
	ann.UserID = ""
	d.is("a receipt of somebody unknown", d.ask(ann, "email", transactional), "ann@shop.example")
	ann.UserID = "u1"
	d.is("asked once more", d.await("u1", ann, "email"), "")
	d.is("what became of it", fmt.Sprint(d.events()), "[{heed.confirmed u1 q-u1-1793534400000000 spring email email   Yes, news. false false false false 2}]")

	// Whoever enters the address later has confirmed nothing.
	thief := claims("u2", "ann@shop.example")
	as := func(user string) func(*reach.Question) { return func(q *reach.Question) { q.User = user } }
	d.is("somebody else", d.ask(thief, "email", as("u2")), "pending")
	d.now = d.now.Add(25 * time.Hour)
	second := d.await("u2", thief, "email")
	d.is("their link", d.follow(second, true), "done")
	d.is("somebody else who has it too", d.ask(thief, "email", as("u2")), "ann@shop.example")
	d.is("the first one", d.ask(ann, "email"), "ann@shop.example")

	// A server that vouches for the yes, or a switch that is off, needs no question.
	vouched := person("bob@shop.example", number)
	d.is("a server's address", d.ask(vouched, "email"), "pending")
	vouched.Consent[0].Value = `{"granted":true,"confirmed":true}`
	d.is("a server's yes", d.ask(vouched, "email"), "bob@shop.example")
	d.is("no address", d.ask(claims("u3", ""), "email"), "no_address")
}

// Links are good for a week, for what they were made for, and until a no.
func TestConfirmLinks(t *testing.T) {
	d := newAsking(t)
	ann := claims("u1", "ann@shop.example")
	link := d.await("u1", ann, "email")
	off := strings.TrimPrefix(d.Unsubscribe(reach.Link{Type: "email", Channel: "letters"}, "ann@shop.example"), "https://heed.shop.example/u/")
	bad := reach.ErrLink.Error()
	d.is("a link to unsubscribe", d.follow(off, true), bad)
	if _, err := d.Open(link); err == nil {
		t.Error("a link to confirm unsubscribes")
	}
	for i := range len(link) {
		d.is("a changed link", d.follow(link[:i]+string('A'+(link[i]+1)%26)+link[i+1:], true), bad)
	}
	d.is("cut off", d.follow(link[:len(link)-4], true), bad)
	d.now = d.now.Add(reach.ConfirmWithin)
	d.is("too old", d.follow(link, true), "void")
	d.is("still", d.ask(ann, "email"), "pending")

	fresh := d.await("u1", ann, "email")
	d.is("in time", d.follow(fresh, true), "done")
	// A no of who owns the address voids it all.
	ann.Email.Verified = true
	ann.Consent[0].Value = "false"
	d.now = d.now.Add(time.Hour)
	d.is("a no", d.await("u1", ann, "email"), "")
	ann.Consent[0].Value = "true"
	d.is("a yes after it", d.ask(ann, "email"), "pending")
	d.is("the link of before", d.follow(fresh, true), "void")
}

// An address is asked once a day and three times a month, whoever enters it; a crash
// between the note and the order orders the same.
func TestAwait(t *testing.T) {
	d := newAsking(t)
	asked := 0
	for i := range 24 * 40 {
		user := fmt.Sprintf("u%d", i%7)
		first := d.await(user, claims(user, "ann@shop.example"), "email")
		if first != "" {
			asked++
			d.is("after a crash", d.await(user, claims(user, "ann@shop.example"), "email"), first)
		}
		d.now = d.now.Add(time.Hour)
	}
	if asked != 6 { // 3, and after 30 days 3 again
		t.Errorf("asked %d times", asked)
	}
}

// YES to a text message confirms what was asked, and nothing if nothing was.
func TestConfirmByReply(t *testing.T) {
	d := newAsking(t)
	ann := claims("u1", "ann@shop.example")
	yes := func() {
		d.feedback(channel.Feedback{Kind: channel.Confirmed, Type: "sms", Channel: "texts", Address: number, Detail: "text message: YES"})
	}
	yes()
	d.is("nobody asked", d.ask(ann, "sms"), "pending")
	d.await("u1", ann, "sms")
	yes()
	yes()
	d.is("asked", d.ask(ann, "sms"), number)
	d.is("the other channel", d.ask(ann, "email"), "pending")
	if told := d.events(); len(told) != 1 || told[0].Name != "heed.confirmed" || told[0].User != "u1" {
		t.Errorf("%+v", told)
	}
	d.feedback(channel.Feedback{Kind: channel.Unsubscribed, Type: "sms", Address: number})
	yes() // only START takes back a STOP
	d.is("after STOP", d.ask(ann, "sms"), "suppressed stop")
}
