package profile

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"heed/internal/event"
	"heed/internal/touch"
)

const second = int64(1_000_000)

// base is 2026-11-20T00:00:00Z.
const base = 1_795_132_800 * second

func at(sec int64) int64 { return base + sec*second }

func page(sec int64) *event.Event {
	return &event.Event{Type: event.Page, Name: event.NamePage, AnonymousID: "a1", Timestamp: at(sec), Source: "shop"}
}

func identify(sec int64, traits string) *event.Event {
	return &event.Event{
		Type: event.Identify, Name: event.NameIdentify, UserID: "u1", AnonymousID: "a1", Timestamp: at(sec),
		Source: "shop", Traits: []byte(traits),
	}
}

func apply(t *testing.T, events ...*event.Event) *Profile {
	t.Helper()
	p := new(Profile)
	for _, e := range events {
		p.Apply(e)
	}
	return p
}

func TestFirstTouch(t *testing.T) {
	first, later, before := page(100), page(200), page(50)
	first.Context.Campaign = event.CampaignContext{Source: "mail", Name: "autumn"}
	first.Context.Page.Referrer = "https://a.example/"
	later.Context.Campaign = event.CampaignContext{Source: "ads", Name: "winter"}
	p := apply(t, first, later)
	want := Acquisition{
		Campaign: event.CampaignContext{Source: "mail", Name: "autumn"},
		Referrer: "https://a.example/", Month: "2026-11",
	}
	if diff := cmp.Diff(want, p.Acquisition); diff != "" {
		t.Fatalf("acquisition (-want +got):\n%s", diff)
	}
	// An event that happened earlier and arrives later is the true first touch.
	before.Context.Page.Referrer = "https://b.example/"
	p.Apply(before)
	if p.Acquisition.Referrer != "https://b.example/" || p.Acquisition.Campaign.Source != "" || p.FirstSeen != at(50) {
		t.Fatalf("earlier event: %+v, first seen %d", p.Acquisition, p.FirstSeen)
	}
}

func TestLastTouch(t *testing.T) {
	came := func(sec int64, source, referrer string) *event.Event {
		e := page(sec)
		e.Context.Page.URL = "https://shop.example/cart"
		e.Context.Page.Referrer = referrer
		if source != "" {
			e.Context.Campaign = event.CampaignContext{Source: source, Medium: "mail", Name: "autumn", Term: "boots"}
		}
		return e
	}
	p := apply(t, came(100, "letter", ""))
	f := func(source, medium, campaign string, sec int64) {
		t.Helper()
		want := Touch{Touch: touch.Touch{Source: source, Medium: medium, Campaign: campaign}, At: at(sec)}
		if p.LastTouch != want {
			t.Errorf("%+v, want %+v", p.LastTouch, want)
		}
	}
	f("letter", "mail", "autumn", 100)
	p.Apply(came(2000, "", "https://search.example/"))
	f("search.example", "referral", "", 2000)
	for _, e := range []*event.Event{
		came(3000, "", ""), // directly
		came(3100, "", "https://www.paypal.com/return"),       // from the payment
		came(3200, "letter", "https://accounts.shop.example"), // from one of its own pages
		came(1500, "ads", ""),                                 // late: it was before the other
		{Type: event.Track, Name: event.NameShown, Timestamp: at(4000), Context: came(0, "letter", "").Context}, // no activity
	} {
		if p.Apply(e); p.LastTouch.At != at(2000) {
			t.Fatalf("%+v brought the user: %+v", e, p.LastTouch)
		}
	}
	// The same again moves the time in steps.
	p.Apply(came(2000+299, "", "https://search.example/"))
	f("search.example", "referral", "", 2000)
	p.Apply(came(2000+300, "", "https://search.example/"))
	f("search.example", "referral", "", 2300)
	// Another one of the same time counts: it came later.
	p.Apply(came(2300, "ads", ""))
	f("ads", "mail", "autumn", 2300)
	// Of two users who are one, the later touch counts.
	other := apply(t, came(2400, "partner", ""))
	p.Merge(other)
	f("partner", "mail", "autumn", 2400)
	p.Merge(apply(t, came(2350, "late", "")))
	f("partner", "mail", "autumn", 2400)
}

func TestLastSeenMovesInSteps(t *testing.T) {
	p := apply(t, page(0))
	f := func(sec int64, changed bool, last int64) {
		t.Helper()
		if got := p.Apply(page(sec)); got != changed || p.LastSeen != at(last) {
			t.Errorf("page at %d: changed %v, last seen %d; want %v, %d", sec, got, (p.LastSeen-base)/second, changed, last)
		}
	}
	f(0, false, 0)
	f(299, false, 0)
	f(300, true, 300)
	f(10, false, 300)
	f(599, false, 300)
	f(5000, true, 5000)
}

// Who is on a list was not here: the profile knows what it says, and no visit.
func TestImportIsNoVisit(t *testing.T) {
	imported := func(sec int64) *event.Event {
		return &event.Event{Type: event.Identify, Name: event.NameImported, UserID: "u1", Timestamp: at(sec), Traits: []byte(`{"plan":"gold"}`)}
	}
	p := &Profile{}
	if !p.Apply(imported(10)) || !p.Known() || p.LastSeen != 0 || p.FirstSeen != at(10) || p.UserID != "u1" || p.Trait("plan") != `"gold"` {
		t.Errorf("imported: %+v", p)
	}
	again, err := Decode(p.Append(nil))
	if err != nil || again.LastSeen != 0 || again.FirstSeen != p.FirstSeen {
		t.Errorf("read back: %+v, %v", again, err)
	}
	p.Apply(page(20))
	if p.LastSeen != at(20) {
		t.Errorf("after a visit: last seen %d", p.LastSeen)
	}
	p.Apply(imported(7200))
	if p.LastSeen != at(20) || p.FirstSeen != at(10) {
		t.Errorf("imported again: first seen %d, last seen %d", p.FirstSeen, p.LastSeen)
	}
}

func TestPlacesFollowLastSeen(t *testing.T) {
	p := apply(t, page(0))
	f := func(sec int64, country, want string) {
		t.Helper()
		e := page(sec)
		e.Context.Country = country
		p.Apply(e)
		if p.Country != want {
			t.Errorf("at %d: country %q, want %q", sec, p.Country, want)
		}
	}
	f(1, "DE", "DE")   // unknown so far
	f(2, "FR", "DE")   // not before last seen moves
	f(400, "FR", "FR") // it moved
	f(401, "", "FR")
	f(-5, "IT", "FR") // earlier than everything: only first seen moves
	if p.FirstSeen != at(-5) {
		t.Errorf("first seen %d", p.FirstSeen)
	}
}

func TestTraitsLastWriteWinsByEventTime(t *testing.T) {
	writes := []*event.Event{
		identify(10, `{"plan":"free","age":30}`),
		identify(20, `{"plan":"pro", "tags": ["a", "b"]}`),
		identify(30, `{"age":null,"name":"Ann"}`),
		identify(25, `{"age":31}`),
	}
	const want = `{"name":"Ann","plan":"pro","tags":["a","b"]}`
	// Whatever the order of arrival: the same traits.
	for _, order := range [][]int{{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}, {1, 3, 0, 2}} {
		p := new(Profile)
		for _, i := range order {
			p.Apply(writes[i])
		}
		if got := string(p.AppendTraits(nil)); got != want {
			t.Errorf("order %v: %s, want %s", order, got, want)
		}
	}
	p := apply(t, writes...)
	if p.Trait("age") != "" || p.Trait("plan") != `"pro"` {
		t.Errorf("age %q, plan %q", p.Trait("age"), p.Trait("plan"))
	}
	// A tie goes to the later one in the log.
	p.Apply(identify(20, `{"plan":"max"}`))
	if p.Trait("plan") != `"max"` {
		t.Errorf("tie: plan %s", p.Trait("plan"))
	}
}

func TestTraitsAreBounded(t *testing.T) {
	p := new(Profile)
	for i := range 100 {
		p.Apply(identify(int64(i), fmt.Sprintf(`{"k%03d":"%s"}`, i, strings.Repeat("x", 1000))))
	}
	if n := entriesBytes(p.Traits); n > MaxTraitsBytes || n < MaxTraitsBytes-2000 {
		t.Fatalf("traits hold %d bytes", n)
	}
	// What is there may still change and shrink.
	if !p.Apply(identify(1000, `{"k000":"y"}`)) || p.Trait("k000") != `"y"` {
		t.Fatalf("k000 = %.20s", p.Trait("k000"))
	}
	if len(p.Append(nil)) > MaxTraitsBytes+2000 {
		t.Fatalf("encoded: %d bytes", len(p.Append(nil)))
	}
}

func TestUnreadableTraitsChangeNothing(t *testing.T) {
	f := func(traits string) {
		t.Helper()
		p := apply(t, identify(0, `{"a":1}`))
		p.Apply(identify(1, traits))
		if got := string(p.AppendTraits(nil)); got != `{"a":1}` {
			t.Errorf("%s: %s", traits, got)
		}
	}
	f(`{"a":`)
	f(`[1]`)
	f(`null`)
	f(`"x"`)
	f(`{"a":1}{"a":2}`)
}

func TestAddressesNeedVerification(t *testing.T) {
	verified := func(sec int64, traits string) *event.Event {
		e := identify(sec, traits)
		e.Context.Verified = true
		return e
	}
	p := new(Profile)
	f := func(e *event.Event, want Address) {
		t.Helper()
		p.Apply(e)
		if p.Email != want {
			t.Errorf("%s: %+v, want %+v", e.Traits, p.Email, want)
		}
	}
	f(identify(10, `{"email":"eve@x.example"}`), Address{"eve@x.example", false, at(10)})
	f(verified(5, `{"email":"ann@x.example"}`), Address{"ann@x.example", true, at(5)})
	f(identify(20, `{"email":"eve@x.example"}`), Address{"ann@x.example", true, at(5)})
	f(identify(21, `{"email":17}`), Address{"ann@x.example", true, at(5)})
	f(verified(30, `{"email":"ann@y.example"}`), Address{"ann@y.example", true, at(30)})
	f(verified(29, `{"email":"ann@z.example"}`), Address{"ann@y.example", true, at(30)})
	f(verified(40, `{"email":""}`), Address{"", false, at(40)})
}

// A trusted user id vouches for no address, however the mark of it is written.
func TestClaimedAddress(t *testing.T) {
	f := func(extra string, want bool) {
		t.Helper()
		var p Profile
		e := identify(1, `{"email":"a@x.example"}`)
		e.Context.Verified, e.Context.Extra = true, []byte(extra)
		p.Apply(e)
		if p.Email.Verified != want {
			t.Errorf("%s: verified %v", extra, p.Email.Verified)
		}
	}
	f("", true)
	f(`{"library":{"claimed":true}}`, true)
	f(`{"claimed":true}`, false)
	f(`{"claimed" : false}`, false)
	f(`{"cl\u0061imed":null}`, false)
}

// A statement holds since it was made, not since it was told, so that an old list
// does not override what was said meanwhile; and a refusal always finds room.
func TestConsentIsKept(t *testing.T) {
	var p Profile
	p.Apply(identify(1, `{"consent":{"email":false}}`))
	p.Apply(identify(100, `{"consent":{"email":{"granted":true,"at":"2026-01-01T00:00:00Z"}}}`))
	if p.ConsentTo("email") != "false" {
		t.Errorf("an old yes overrode a no: %s", p.ConsentTo("email"))
	}
	long := strings.Repeat("x", 500)
	for i := range 60 { // until nothing fits any more
		p.Apply(identify(int64(200+i), fmt.Sprintf(`{"consent":{"k%d":"%s"}}`, i, long[:500>>(i/10*2)])))
	}
	p.Apply(identify(300, `{"consent":{"sms":true}}`))
	p.Apply(identify(301, `{"consent":{"push":{"granted":false,"wording":"`+strings.Repeat("y", 5000)+`"},"marketing":false}}`))
	if p.ConsentTo("sms") != "" || p.ConsentTo("push") != "false" || p.ConsentTo("marketing") != "false" {
		t.Errorf("sms %s, push %s, marketing %s", p.ConsentTo("sms"), p.ConsentTo("push"), p.ConsentTo("marketing"))
	}
	var into Profile
	for i := range 20 {
		into.Apply(identify(int64(200+i), fmt.Sprintf(`{"consent":{"j%d":"%s"}}`, i, long)))
	}
	into.Merge(&p)
	if into.ConsentTo("push") != "false" || into.ConsentTo("marketing") != "false" {
		t.Errorf("a merge lost a refusal: %s", into.AppendConsent(nil))
	}
}

func TestConsent(t *testing.T) {
	p := new(Profile)
	f := func(sec int64, consent, want string) {
		t.Helper()
		e := page(sec)
		e.Context.Consent = []byte(consent)
		p.Apply(e)
		if got := string(p.AppendConsent(nil)); got != want {
			t.Errorf("%s at %d: %s, want %s", consent, sec, got, want)
		}
	}
	f(10, `{"email":true}`, `{"email":true}`)
	f(20, `{"sms":false}`, `{"email":true,"sms":false}`)
	f(30, `{"email":false}`, `{"email":false,"sms":false}`)
	f(25, `{"email":true}`, `{"email":false,"sms":false}`) // older word
	f(40, `nonsense`, `{"email":false,"sms":false}`)
	p.Apply(identify(50, `{"consent":{"sms":true}}`))
	if p.ConsentTo("sms") != "true" || p.ConsentTo("push") != "" {
		t.Errorf("sms %q, push %q", p.ConsentTo("sms"), p.ConsentTo("push"))
	}
}

func TestLinks(t *testing.T) {
	p := apply(t, identify(1, `{}`))
	for i := range 150 {
		p.Link(fmt.Sprintf("a%d", i%120))
	}
	if len(p.AnonymousIDs) != MaxAnonymousIDs || p.AnonymousIDs[0] != "a0" || !p.Full() {
		t.Fatalf("%d ids, first %s", len(p.AnonymousIDs), p.AnonymousIDs[0])
	}
	if !p.Has("u1") || !p.Has("a99") || p.Has("a100") || p.Has("") {
		t.Error("it does not know its ids")
	}
	e := identify(2, `{}`)
	e.AnonymousID = "a"
	if q := apply(t, e); len(q.AnonymousIDs) != 0 || q.UserID != "u1" {
		t.Fatalf("an identify linked %v by itself", q.AnonymousIDs)
	}
}

func TestMerge(t *testing.T) {
	at := func(sec int64) int64 { return sec * 1_000_000 }
	user := &Profile{
		UserID: "u1", AnonymousIDs: []string{"old"}, FirstSeen: at(100), LastSeen: at(200),
		Acquisition: Acquisition{Referrer: "late"}, Country: "DE", Locale: "de",
		Traits:  []Entry{{"plan", `"pro"`, at(150)}, {"was", `1`, at(100)}},
		Consent: []Entry{{"email", `true`, at(150)}},
		Email:   Address{Value: "u@example.com", Verified: true, At: at(10)},
	}
	anonymous := &Profile{
		AnonymousIDs: []string{"older"}, FirstSeen: at(50), LastSeen: at(300),
		Acquisition: Acquisition{Referrer: "early"}, Country: "AT", Browser: "Firefox",
		Traits:  []Entry{{"cart", `2`, at(60)}, {"plan", `"free"`, at(60)}, {"was", `2`, at(120)}},
		Consent: []Entry{{"email", `false`, at(160)}},
		Email:   Address{Value: "typed@example.com", At: at(250)}, Phone: Address{Value: "+49", At: at(1)},
		Moved: Move{To: "u1"}, Waiting: true,
	}
	want := &Profile{
		UserID: "u1", AnonymousIDs: []string{"old", "older"}, FirstSeen: at(50), LastSeen: at(300),
		Acquisition: Acquisition{Referrer: "early"}, Country: "AT", Locale: "de", Browser: "Firefox",
		Traits:  []Entry{{"cart", `2`, at(60)}, {"plan", `"pro"`, at(150)}, {"was", `2`, at(120)}},
		Consent: []Entry{{"email", `false`, at(160)}},
		Email:   Address{Value: "u@example.com", Verified: true, At: at(10)}, Phone: Address{Value: "+49", At: at(1)},
	}
	got := *user
	got.Merge(anonymous)
	if diff := cmp.Diff(want, &got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got.Merge(anonymous) // once more: nothing new
	got.Merge(new(Profile))
	if diff := cmp.Diff(want, &got); diff != "" {
		t.Errorf("again (-want +got):\n%s", diff)
	}
	fresh := new(Profile)
	fresh.Merge(anonymous)
	if fresh.FirstSeen != at(50) || fresh.Country != "AT" || len(fresh.Traits) != 3 || fresh.Apart() {
		t.Errorf("into nobody: %+v", fresh)
	}
}

func TestMarksAreKept(t *testing.T) {
	p := &Profile{FirstSeen: 7, LastSeen: 9, Moved: Move{To: "u1", At: 8, Trusted: true}, Waiting: true}
	got, err := Decode(p.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if g := got.GlanceAt(maphash.MakeSeed(), nil); !g.Apart() {
		t.Error("at a glance it is like others")
	}
	if g := new(Profile).GlanceAt(maphash.MakeSeed(), nil); g.Apart() {
		t.Error("at a glance nobody is like others")
	}
}

func TestReservedEventsAreNoActivity(t *testing.T) {
	f := func(typ event.Type, name string) {
		t.Helper()
		p := new(Profile)
		if p.Apply(&event.Event{Type: typ, Name: name, UserID: "u1", Timestamp: at(1)}) || p.Known() {
			t.Errorf("%s counted: %+v", name, p)
		}
	}
	f(event.System, event.NameTick)
	f(event.Track, event.NameDelivery)
	f(event.Track, event.NameShown)
}

// random makes events of one user that touch everything.
func random(r *rand.Rand) *event.Event {
	e := page(r.Int64N(4000))
	e.Context.Country = pick(r, "", "", "DE", "FR")
	e.Context.Locale = pick(r, "", "de", "fr")
	e.Context.Device = pick(r, "", "phone", "desktop")
	if r.IntN(3) == 0 {
		e.Context.Campaign.Source = pick(r, "", "letter", "ads")
		e.Context.Page.URL = pick(r, "", "https://shop.example/", "https://shop.example/cart")
		e.Context.Page.Referrer = pick(r, "", "https://shop.example/", "https://search.example/", "https://www.paypal.com/")
	}
	e.Context.Browser = pick(r, "", "Firefox")
	e.Context.Verified = r.IntN(4) == 0
	e.Context.Consent = []byte(pick(r, "", "", `{"email":true}`, `{"email":false,"sms":true}`, `{"email":null}`, `bad`))
	switch r.IntN(8) {
	case 0:
		e.Type, e.Name, e.UserID = event.Identify, event.NameIdentify, "u1"
		e.AnonymousID = pick(r, "a1", "a2", "")
		e.Traits = []byte(pick(r, `{"plan":"pro","email":"a@x.example"}`, `{"plan":"free","phone":"+49"}`, `{"plan":null}`, `{"consent":{"sms":false}}`))
	case 1:
		e.Type, e.Name = event.Track, event.NameShown
	case 2:
		e.UserID = "u1"
	}
	return e
}

func pick(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }

func TestGlanceAgreesWithApply(t *testing.T) {
	seed := maphash.MakeSeed()
	skipped, changes := 0, 0
	for s := range uint64(300) {
		r := rand.New(rand.NewPCG(s, 1))
		p := new(Profile)
		var g Glance
		for i := range 60 {
			e := random(r)
			quick := i > 0 && g.Unchanged(seed, e)
			before := p.Append(nil)
			changed := p.Apply(e)
			if !changed && !bytes.Equal(before, p.Append(nil)) {
				t.Fatalf("seed %d: Apply changed the profile and did not say so", s)
			}
			if quick && changed {
				t.Fatalf("seed %d, event %d: glance says unchanged, Apply changed: %+v", s, i, e)
			}
			if quick {
				skipped++
			} else if Counts(e) {
				g = p.GlanceAt(seed, e)
			}
			if changed {
				changes++
			}
		}
	}
	if skipped < 1000 || changes < 1000 {
		t.Fatalf("the histories show nothing: %d skipped, %d changes", skipped, changes)
	}
}

func TestCodecRoundTrip(t *testing.T) {
	for s := range uint64(200) {
		r := rand.New(rand.NewPCG(s, 2))
		p := new(Profile)
		for range 1 + r.IntN(30) {
			e := random(r)
			e.Context.Campaign.Name = pick(r, "", "autumn")
			e.Context.Page.Referrer = pick(r, "", "https://a.example/")
			p.Apply(e)
		}
		data := p.Append(nil)
		got, err := Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, got); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s", s, diff)
		}
		for n := range data {
			if n == 0 {
				continue
			}
			// Cut between two fields it reads as what came before.
			if cut, err := Decode(data[:n]); err == nil && n > 1 && !bytes.Equal(cut.Append(nil), data[:n]) {
				t.Fatalf("cut at %d of %d reads as something else", n, len(data))
			}
		}
	}
}

func TestDecodeRefusesLaterVersions(t *testing.T) {
	if _, err := Decode([]byte{version + 1}); err == nil {
		t.Fatal("a later version was read")
	}
	// A field added later is skipped.
	data := append(apply(t, page(1)).Append(nil), 99, 2, 'h', 'i')
	if p, err := Decode(data); err != nil || p.FirstSeen != at(1) {
		t.Fatalf("%+v, %v", p, err)
	}
}

func TestSmall(t *testing.T) {
	e := page(1)
	e.Context.Locale, e.Context.Device = "de-DE", "desktop"
	if n := len(apply(t, e).Append(nil)); n > 64 {
		t.Errorf("an anonymous visitor's profile takes %d bytes", n)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(new(Profile).Append(nil))
	r := rand.New(rand.NewPCG(1, 1))
	p := new(Profile)
	for range 40 {
		p.Apply(random(r))
	}
	f.Add(p.Append(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Decode(data)
		if err != nil {
			return
		}
		again, err := Decode(p.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(p.AnonymousIDs, again.AnonymousIDs) || p.LastSeen != again.LastSeen {
			t.Fatalf("%+v became %+v", p, again)
		}
	})
}

func BenchmarkGlance(b *testing.B) {
	seed := maphash.MakeSeed()
	p, e := new(Profile), page(1)
	p.Apply(e)
	g := p.GlanceAt(seed, e)
	b.ReportAllocs()
	for b.Loop() {
		if !g.Unchanged(seed, e) {
			b.Fatal("changed")
		}
	}
}

// That a yes was confirmed counts from who can vouch for it, and stays while it is
// repeated; a no ends it.
func TestConfirmedConsent(t *testing.T) {
	p := &Profile{}
	f := func(sec int64, verified bool, value, want string) {
		t.Helper()
		e := identify(sec, `{"consent":{"email":`+value+`}}`)
		e.Context.Verified = verified
		p.Apply(e)
		if got := p.ConsentTo("email"); got != want {
			t.Errorf("%s at %d: %s, want %s", value, sec, got, want)
		}
	}
	f(1, false, `{"granted":true,"confirmed":true}`, `{"granted":true}`)
	f(2, true, `{"granted":true,"confirmed":true}`, `{"granted":true,"confirmed":true}`)
	f(3, false, `true`, `{"granted":true,"confirmed":true}`)
	browser := &Profile{}
	browser.Apply(identify(3, `{"consent":{"email":true,"sms":true}}`))
	browser.Consent[0].At++
	p.Merge(browser) // who signs in repeats it too
	if email, sms := p.ConsentTo("email"), p.ConsentTo("sms"); email != `{"granted":true,"confirmed":true}` || sms != "true" {
		t.Errorf("merged: %s and %s", email, sms)
	}
	f(4, false, `false`, `false`)
	f(5, false, `true`, `true`)
}
