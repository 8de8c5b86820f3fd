package reach_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"heed/internal/channel"
	"heed/internal/consent"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/policy"
	"heed/internal/profile"
	"heed/internal/reach"
)

const number = "+4915112345678"

// desk is a Book on a store in memory, with a clock that is set by hand.
type desk struct {
	*reach.Book
	t   *testing.T
	db  *memory.DB
	now time.Time
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{t: t, db: memory.Open(memory.Config{}), now: time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)}
	d.open("0123456789abcdef")
	return d
}

func (d *desk) open(secret string) {
	d.t.Helper()
	b, err := reach.New(reach.Deps{
		Documents: d.db.Documents(), Log: d.db.Log(), Secret: []byte(secret), PublicURL: "https://heed.shop.example/", Clock: func() time.Time { return d.now },
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.Book = b
}

// sent keeps what the Engager would of a delivery to an address.
func (d *desk) sent(id, user, channelType, to string, change ...func(*reach.Record)) {
	d.t.Helper()
	r := reach.Record{Delivery: id, User: user, Known: true, Campaign: "spring", Purpose: consent.Marketing, Channel: channelType, Type: channelType, Depth: 1}
	for _, f := range change {
		f(&r)
	}
	writes, err := d.Writes(r, to)
	if err == nil {
		err = d.db.Documents().Apply(d.t.Context(), documents.Durable, writes...)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) feedback(f channel.Feedback) {
	d.t.Helper()
	if err := d.Inbound(d.t.Context(), f); err != nil {
		d.t.Fatal(err)
	}
}

// person can be written to by letter and by text message.
func person(email, phone string) *profile.Profile {
	return &profile.Profile{
		UserID: "u1", FirstSeen: 1,
		Email:   profile.Address{Value: email, Verified: true, At: 1},
		Phone:   profile.Address{Value: phone, Verified: true, At: 1},
		Consent: []profile.Entry{{Key: "email", Value: "true", At: 1}, {Key: "sms", Value: "true", At: 1}},
	}
}

// ask is the refusal with its detail, or the address.
func (d *desk) ask(p *profile.Profile, channelType string, change ...func(*reach.Question)) string {
	d.t.Helper()
	q := &reach.Question{User: "u1", Profile: p, Purpose: consent.Marketing, Campaign: "spring", Channel: &definition.Channel{Name: channelType, Type: channelType}}
	for _, f := range change {
		f(q)
	}
	a, err := d.Ask(d.t.Context(), q)
	if err != nil {
		d.t.Fatal(err)
	}
	if why := a.Refusal(); why != policy.None {
		if a.To != "" {
			d.t.Errorf("refused with %s, but has the address %s", why, a.To)
		}
		return strings.TrimSpace(string(why) + " " + a.Detail)
	}
	return a.To
}

func transactional(q *reach.Question) { q.Purpose = consent.Transactional }

// said is a feedback event as it stands in the log.
type said struct {
	Name, User, Delivery, Campaign, Channel, Type, Scope, Link, Detail string
	Hard, Machine, Test, Settles                                       bool
	Depth                                                              int
}

func (d *desk) events() (out []said) {
	d.t.Helper()
	for p := range d.db.Log().Partitions() {
		r, err := d.db.Log().Read(d.t.Context(), eventlog.Events, p, 0)
		if err != nil {
			d.t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		for {
			c, ok, err := r.TryNext()
			if err != nil {
				d.t.Fatal(err)
			}
			if !ok {
				break
			}
			dec := event.NewDecoder(c.Data)
			for {
				var e event.Event
				if ok, err := dec.Next(&e); err != nil || !ok {
					break
				}
				var s said
				if err := json.Unmarshal(e.Properties, &s); err != nil {
					d.t.Fatal(err)
				}
				s.Name, s.User, s.Depth = e.Name, e.User(), e.Depth
				if eventlog.PartitionOf(s.User, d.db.Log().Partitions()) != p {
					d.t.Errorf("%s of %s lies in partition %d", s.Name, s.User, p)
				}
				out = append(out, s)
			}
		}
	}
	return out
}

func TestAddresses(t *testing.T) {
	f := func(channelType, address, want string) {
		t.Helper()
		if got, _ := reach.Normal(channelType, address); got != want {
			t.Errorf("%s %q is %q, want %q", channelType, address, got, want)
		}
	}
	f("email", " Ann.B+x@Shop.Example ", "Ann.B+x@shop.example")
	f("email", "ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example")
	for _, bad := range []string{
		"", "ann", "@shop.example", "ann@", "Ann <ann@shop.example>", "ann@shop.example, b@shop.example", "ann@shop.example\r\nBcc: x@y.example",
		`"a b"@shop.example`, "ann@shop.example\x00", strings.Repeat("a", 65) + "@shop.example", "ann@" + strings.Repeat("a", 300) + ".example",
	} {
		f("email", bad, "")
	}
	f("sms", "+49 (151) 123-456/78", "+4915112345678")
	f("sms", "0049 151 12345678", "+4915112345678")
	for _, bad := range []string{"", "0151 12345678", "+0151", "+49 151 x", "+12345", "+1234567890123456", "+", "49 151 12345678"} {
		f("sms", bad, "")
	}
}

func TestAsk(t *testing.T) {
	d := newDesk(t)
	f := func(p *profile.Profile, channelType, want string, change ...func(*reach.Question)) {
		t.Helper()
		if got := d.ask(p, channelType, change...); got != want {
			t.Errorf("%s: %q, want %q", channelType, got, want)
		}
	}
	f(nil, "web", "")
	f(nil, "email", "no_consent")
	f(nil, "email", "no_address", transactional)
	f(person("ann@shop.example", number), "email", "ann@shop.example")
	f(person("ann@shop.example", number), "sms", number)
	f(person("", "0151"), "email", "no_address")
	f(person("", "0151"), "sms", "no_address")
	f(person("", "0151 12345678"), "sms", "no_address")
	f(person("", "0151 12345678"), "sms", "+4915112345678", func(q *reach.Question) {
		q.Channel = &definition.Channel{Name: "texts", Type: "sms", SMS: &definition.SMS{Country: "DE"}}
	})
	f(person("ann@shop.example", number), "push", "no_consent")
	f(person("ann@shop.example", number), "push", "no_address", transactional)
	claimed := person("ann@shop.example", number)
	claimed.Email.Verified = false
	f(claimed, "email", "unverified")
	f(claimed, "email", "unverified", transactional)
	no := person("ann@shop.example", number)
	no.Consent = []profile.Entry{{Key: "email", Value: "false", At: 1}, {Key: "gpc", Value: "true", At: 1}}
	f(no, "email", "declined consent.email")
	f(no, "web", "declined consent.gpc")
	f(no, "email", "ann@shop.example", transactional)
}

// What comes back suppresses what it must, for the purposes that it must, and is
// told to the log once.
func TestInbound(t *testing.T) {
	f := func(name string, fb channel.Feedback, marketing, receipt string, want said) {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.sent("d1", "u1", "email", "ann@shop.example")
			d.sent("d2", "u1", "sms", number)
			d.feedback(fb)
			d.feedback(fb)
			p, channelType := person("ANN@shop.example", number), "email"
			if want.Type == "sms" {
				channelType = "sms"
			}
			if got := d.ask(p, channelType); got != marketing {
				t.Errorf("marketing: %q, want %q", got, marketing)
			}
			if got := d.ask(p, channelType, transactional); got != receipt {
				t.Errorf("transactional: %q, want %q", got, receipt)
			}
			want.User, want.Campaign, want.Channel, want.Depth = "u1", "spring", channelType, 2
			want.Type = channelType
			got := d.events()
			if len(got) != 1 || got[0] != want {
				t.Errorf("the log says %+v, want %+v", got, want)
			}
		})
	}
	const ann, Ann = "ann@shop.example", "ANN@shop.example"
	at := time.Date(2026, 11, 1, 11, 0, 0, 0, time.UTC).UnixMicro()
	f("delivered", channel.Feedback{Kind: channel.Delivered, Delivery: "d1", At: at}, Ann, Ann, said{Name: "heed.delivered", Delivery: "d1"})
	f("soft bounce", channel.Feedback{Kind: channel.Bounced, Delivery: "d1", Detail: "mailbox full", At: at}, Ann, Ann,
		said{Name: "heed.bounced", Delivery: "d1", Detail: "mailbox full"})
	f("hard bounce", channel.Feedback{Kind: channel.Bounced, Hard: true, Delivery: "d1", At: at}, "suppressed hard_bounce", "suppressed hard_bounce",
		said{Name: "heed.bounced", Delivery: "d1", Hard: true})
	f("complaint", channel.Feedback{Kind: channel.Complained, Delivery: "d1", At: at}, "suppressed complaint", Ann, said{Name: "heed.complained", Delivery: "d1"})
	f("by address", channel.Feedback{Kind: channel.Complained, Type: "email", Address: ann, At: at}, "suppressed complaint", Ann, said{Name: "heed.complained"})
	f("unsubscribed", channel.Feedback{Kind: channel.Unsubscribed, Delivery: "d1", At: at}, "suppressed unsubscribed", Ann, said{Name: "heed.unsubscribed", Delivery: "d1"})
	f("scanner", channel.Feedback{Kind: channel.Unsubscribed, Machine: true, Delivery: "d1", At: at}, Ann, Ann, said{Name: "heed.unsubscribed", Delivery: "d1", Machine: true})
	f("machine click", channel.Feedback{Kind: channel.Clicked, Machine: true, Delivery: "d1", Link: "https://shop.example/", At: at}, Ann, Ann,
		said{Name: "heed.clicked", Delivery: "d1", Machine: true, Link: "https://shop.example/"})
	f("stop all", channel.Feedback{Kind: channel.Unsubscribed, Type: "sms", Address: number, At: at}, "suppressed stop", "suppressed stop",
		said{Name: "heed.unsubscribed", Type: "sms"})
	f("stop of a sender that is not known here", channel.Feedback{Kind: channel.Unsubscribed, Type: "sms", Address: number, Sender: "+49 30", At: at},
		"suppressed stop", "suppressed stop", said{Name: "heed.unsubscribed", Type: "sms", Scope: "49 30"})
}

// A receipt on what ended without anybody knowing whether it arrived says that it settles
// that; what comes back about the address alone does not.
func TestReceiptSettles(t *testing.T) {
	d := newDesk(t)
	d.sent("d1", "u1", "email", "ann@shop.example")
	for _, id := range []string{"d1", "nobody's"} {
		writes, err := d.Unsure(t.Context(), id)
		if err == nil && len(writes) > 0 {
			err = d.db.Documents().Apply(t.Context(), documents.Durable, writes...)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	at := d.now.UnixMicro()
	d.feedback(channel.Feedback{Kind: channel.Delivered, Delivery: "d1", At: at})
	d.feedback(channel.Feedback{Kind: channel.Complained, Type: "email", Address: "ann@shop.example", At: at})
	got := d.events()
	if len(got) != 2 || !got[0].Settles || got[0].Delivery != "d1" || got[1].Settles {
		t.Errorf("the log says %+v", got)
	}
}

// What nobody knows suppresses if it names an address, and is no error.
func TestInboundOfStrangers(t *testing.T) {
	d := newDesk(t)
	d.feedback(channel.Feedback{Kind: channel.Opened, Delivery: "nobody's"})
	d.feedback(channel.Feedback{Kind: channel.Unsubscribed, Type: "sms", Address: number})
	if got := d.ask(person("", number), "sms"); got != "suppressed stop" {
		t.Errorf("a stranger's STOP: %q", got)
	}
	if got := d.events(); len(got) != 0 {
		t.Errorf("the log says %+v", got)
	}
	for _, bad := range []channel.Feedback{{Kind: "praised", Delivery: "d1"}, {Kind: channel.Opened, Delivery: strings.Repeat("x", 65)}} {
		if err := d.Inbound(t.Context(), bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// START takes STOP back, at the sender that was answered, and no more than that.
func TestStartAndStop(t *testing.T) {
	d := newDesk(t)
	d.sent("d2", "u1", "sms", number)
	p := person("", number)
	say := func(k channel.FeedbackKind, sender string) {
		d.now = d.now.Add(time.Second)
		d.feedback(channel.Feedback{Kind: k, Type: "sms", Address: number, Sender: sender})
	}
	f := func(what, want string) {
		t.Helper()
		if got := d.ask(p, "sms"); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	say(channel.Unsubscribed, "SHOP")
	f("stop", "suppressed stop")
	say(channel.Resubscribed, "shop")
	f("start", number)
	say(channel.Unsubscribed, "")
	f("stop all", "suppressed stop")
	say(channel.Resubscribed, "")
	f("start all", number)
	say(channel.Unsubscribed, "SHOP")
	say(channel.Resubscribed, "")
	f("start all after stop", number)
	d.now = d.now.Add(-time.Hour)
	say(channel.Unsubscribed, "")
	f("stop after the clock went back", "suppressed stop")
	if err := d.Suppress(t.Context(), "sms", number, reach.HardBounce, reach.Cause{At: 1}); err != nil {
		t.Fatal(err)
	}
	say(channel.Resubscribed, "")
	f("start of a number that bounced", "suppressed hard_bounce")
}

// A list is only heard of: what its owner has said since stands.
func TestListsDoNotOverrideTheOwner(t *testing.T) {
	d := newDesk(t)
	list := func() {
		if err := d.Suppress(t.Context(), "email", "ann@shop.example", reach.Unsubscribed, reach.Cause{At: d.now.UnixMicro() - 1}); err != nil {
			t.Fatal(err)
		}
	}
	p := person("ann@shop.example", "")
	old := d.now
	list()
	if got := d.ask(p, "email"); got != "suppressed unsubscribed" {
		t.Errorf("after the list: %q", got)
	}
	d.now = d.now.Add(time.Minute)
	d.feedback(channel.Feedback{Kind: channel.Resubscribed, Type: "email", Address: "ann@shop.example"})
	d.now = old
	list()
	if got := d.ask(p, "email"); got != "ann@shop.example" {
		t.Errorf("after the same list: %q", got)
	}
}

func TestManual(t *testing.T) {
	d := newDesk(t)
	ctx := t.Context()
	p := person("ann@shop.example", "")
	if err := d.Suppress(ctx, "email", "Ann@Shop.example", reach.Manual, reach.Cause{At: 7, Detail: "asked by phone"}); err != nil {
		t.Fatal(err)
	}
	d.feedback(channel.Feedback{Kind: channel.Complained, Type: "email", Address: "ann@shop.example", At: 9})
	got, err := d.Lookup(ctx, "email", "ann@shop.example")
	if err != nil || len(got) != 2 || got[0].Why != reach.Manual || got[0].Cause.Detail != "asked by phone" || got[1].Why != reach.Complaint {
		t.Errorf("looked up %+v, %v", got, err)
	}
	if counts, err := d.Counts(ctx); err != nil || fmt.Sprint(counts) != "[{email complaint 1} {email manual 1}]" {
		t.Errorf("counted %v, %v", counts, err)
	}
	if found, err := d.Unsuppress(ctx, "email", "ann@shop.example"); err != nil || !found {
		t.Errorf("taken back: %v, %v", found, err)
	}
	if found, err := d.Unsuppress(ctx, "email", "ann@shop.example"); err != nil || found {
		t.Errorf("taken back again: %v, %v", found, err)
	}
	if got := d.ask(p, "email"); got != "suppressed complaint" {
		t.Errorf("an operator lifted a complaint: %q", got)
	}
	if err := d.Suppress(ctx, "email", "nobody", reach.Manual, reach.Cause{}); err == nil || !strings.Contains(err.Error(), "ann@shop.example") {
		t.Errorf("a text that is no address: %v", err)
	}
	if err := d.Suppress(ctx, "email", "ann@shop.example", "whim", reach.Cause{}); err == nil {
		t.Error("a reason that is none was taken")
	}
}

// Addresses do not stand in the store, and mean nothing under another secret.
func TestAddressesAreHashed(t *testing.T) {
	d := newDesk(t)
	d.sent("d1", "u1", "email", "ann@shop.example")
	d.feedback(channel.Feedback{Kind: channel.Unsubscribed, Delivery: "d1"})
	for _, c := range []string{reach.CollectionSuppressions, reach.CollectionDeliveries, reach.CollectionAddressees} {
		docs, err := d.db.Documents().List(t.Context(), documents.Query{Collection: c})
		if err != nil || len(docs) == 0 {
			t.Fatalf("%s: %v, %v", c, docs, err)
		}
		for _, doc := range docs {
			if strings.Contains(doc.Key+string(doc.Value), "shop.example") {
				t.Errorf("%s holds the address: %s %s", c, doc.Key, doc.Value)
			}
		}
	}
	d.open("another secret, of 16 bytes at least")
	if got, err := d.Lookup(t.Context(), "email", "ann@shop.example"); err != nil || len(got) != 0 {
		t.Errorf("under another secret: %v, %v", got, err)
	}
}

func TestLinks(t *testing.T) {
	d := newDesk(t)
	ctx := t.Context()
	d.sent("d1", "u1", "email", "ann@shop.example")
	url := d.Unsubscribe(reach.Link{Type: "email", Channel: "letters", Campaign: "spring", Delivery: "d1"}, "ann@shop.example")
	token, ok := strings.CutPrefix(url, "https://heed.shop.example/u/")
	if !ok || strings.Contains(token, "/") {
		t.Fatalf("the link is %s", url)
	}
	d.now = d.now.Add(10 * 365 * 24 * time.Hour) // it never expires
	l, err := d.Open(token)
	if err != nil || l.Campaign != "spring" || l.Delivery != "d1" {
		t.Fatalf("opened %+v, %v", l, err)
	}
	for i := range token {
		other := byte('A')
		if token[i] == other {
			other = 'B'
		}
		if _, err := d.Open(token[:i] + string(other) + token[i+1:]); err == nil && i != len(token)-1 { // the last letter has unused bits
			t.Fatalf("opened with letter %d changed", i)
		}
	}
	for _, bad := range []string{"", "x", token[:len(token)-4], token + "AAAA", strings.Repeat("A", 5000)} {
		if _, err := d.Open(bad); !errors.Is(err, reach.ErrLink) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	p := person("ann@shop.example", "")
	other := func(q *reach.Question) { q.Campaign = "autumn" }
	f := func(c reach.Choice, stands reach.Standing, spring, autumn string) {
		t.Helper()
		d.now = d.now.Add(time.Second)
		if err := d.Choose(ctx, l, c); err != nil {
			t.Fatal(err)
		}
		if got, err := d.Stands(ctx, l); err != nil || got != stands {
			t.Errorf("%s: stands %+v, %v", c, got, err)
		}
		if a, b := d.ask(p, "email"), d.ask(p, "email", other); a != spring || b != autumn {
			t.Errorf("%s: spring %q, autumn %q", c, a, b)
		}
		if got := d.ask(p, "email", transactional); !stands.Final && got != "ann@shop.example" {
			t.Errorf("%s: a receipt %q", c, got)
		}
	}
	const no, yes = "suppressed unsubscribed", "ann@shop.example"
	f(reach.Campaign, reach.Standing{Campaign: true}, no, yes)
	f(reach.All, reach.Standing{All: true, Campaign: true}, no, no)
	f(reach.Back, reach.Standing{}, yes, yes)
	names := ""
	for _, e := range d.events() {
		names += e.Name + ":" + e.Scope + " "
	}
	if want := "heed.unsubscribed:spring heed.unsubscribed: heed.resubscribed: "; names != want {
		t.Errorf("the log says %s, want %s", names, want)
	}
	if err := d.Choose(ctx, l, "perhaps"); err == nil {
		t.Error("a choice that is none was taken")
	}
	d.feedback(channel.Feedback{Kind: channel.Bounced, Hard: true, Delivery: "d1"})
	f(reach.Back, reach.Standing{All: true, Campaign: true, Final: true}, "suppressed hard_bounce", "suppressed hard_bounce")
}

// Whatever is imported, merged and identified: only the owner of an address
// lifts what keeps messages from it.
func TestNothingButTheOwnerLiftsASuppression(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		d := newDesk(t)
		users := []*profile.Profile{{}, {}, {}}
		addresses := []string{"a@x.example", "B@X.example", "b@x.example"}
		stopped := map[string]bool{} // by the address in small letters
		for range 40 {
			i := r.IntN(len(users))
			d.now = d.now.Add(time.Duration(r.IntN(1e9)))
			address := addresses[r.IntN(len(addresses))]
			key := strings.ToLower(address)
			e := event.Event{Type: event.Identify, Name: event.NameIdentify, UserID: fmt.Sprint("u", i), Timestamp: d.now.UnixMicro() - r.Int64N(1e10)}
			e.Context.Verified, e.Context.Historical = r.IntN(3) > 0, r.IntN(2) == 0
			e.Traits = fmt.Appendf(nil, `{"email":%q,"consent":{"email":{"granted":true,"source":"import"}}}`, address)
			switch r.IntN(8) {
			case 0, 1, 2:
				users[i].Apply(&e)
			case 3:
				users[i].Merge(users[r.IntN(len(users))])
			case 4:
				kinds := []channel.Feedback{{Kind: channel.Unsubscribed}, {Kind: channel.Complained}, {Kind: channel.Bounced, Hard: true}}
				f := kinds[r.IntN(len(kinds))]
				f.Type, f.Address = "email", address
				d.feedback(f)
				stopped[key] = true
			case 5:
				if err := d.Suppress(t.Context(), "email", address, reach.Manual, reach.Cause{At: d.now.UnixMicro()}); err != nil {
					t.Fatal(err)
				}
				stopped[key] = true
			case 6:
				if err := d.Suppress(t.Context(), "email", address, reach.Unsubscribed, reach.Cause{At: 1}); err != nil {
					t.Fatal(err)
				}
				stopped[key] = true
			case 7:
				if _, err := d.Unsuppress(t.Context(), "email", "c@x.example"); err != nil {
					t.Fatal(err)
				}
			}
			for _, p := range users {
				to := d.ask(p, "email")
				if stopped[strings.ToLower(to)] {
					t.Fatalf("seed %d: %s is written to, although it was suppressed", seed, to)
				}
				if p.Email.Verified && p.ConsentTo("email") != "" && stopped[strings.ToLower(p.Email.Value)] != strings.HasPrefix(to, "suppressed") {
					t.Fatalf("seed %d: %s is suppressed: %v, but the answer is %q", seed, p.Email.Value, stopped[strings.ToLower(p.Email.Value)], to)
				}
			}
		}
	}
}

// failing is a store that loses what is written.
type failing struct {
	documents.Store
	err error
}

func (f failing) Apply(context.Context, documents.Durability, ...documents.Write) error { return f.err }

// Feedback that cannot be kept is not acknowledged, and the log hears nothing of
// it.
func TestInboundIsDurableFirst(t *testing.T) {
	d := newDesk(t)
	d.sent("d1", "u1", "email", "ann@shop.example")
	broken := errors.New("the disk is full")
	b, err := reach.New(reach.Deps{
		Documents: failing{d.db.Documents(), broken}, Log: d.db.Log(), Secret: []byte("0123456789abcdef"), Clock: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Inbound(t.Context(), channel.Feedback{Kind: channel.Complained, Delivery: "d1"}); !errors.Is(err, broken) {
		t.Errorf("it was acknowledged: %v", err)
	}
	if got := d.events(); len(got) != 0 {
		t.Errorf("the log says %+v", got)
	}
}

func FuzzOpen(f *testing.F) {
	db := memory.Open(memory.Config{})
	b, err := reach.New(reach.Deps{Documents: db.Documents(), Log: db.Log(), Secret: []byte("0123456789abcdef"), Clock: time.Now})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(strings.TrimPrefix(b.Unsubscribe(reach.Link{Type: "sms", Channel: "c", Campaign: "k", Delivery: "d"}, number), "/u/"))
	f.Add("")
	f.Fuzz(func(t *testing.T, token string) {
		if l, err := b.Open(token); err == nil && !reach.Addressed(l.Type) {
			t.Fatalf("%q opens as %+v", token, l)
		}
	})
}
