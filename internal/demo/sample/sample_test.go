package sample

import (
	"context"
	"encoding/json"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"heed/internal/consent"
	"heed/internal/definition"
	"heed/internal/driver/pebble"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/phone"
	"heed/internal/policy"
	"heed/internal/profile"
	"heed/internal/reach"
)

var (
	until    = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	products = []Product{{"kettle", "Copper Kettle", "Kitchen", 6900}, {"lamp", "Reading Lamp", "Light", 4900}}
)

func TestHistoryIsBelievable(t *testing.T) {
	p := Past{Seed: 1, Users: 4000, Until: until}
	last := map[string]int64{}
	ids := map[string]bool{}
	names := map[string]int{}
	days := map[string]map[int64]bool{} // of the last 28
	first := map[string]string{}
	for e := range p.Events(products) {
		user := e.User()
		if e.Timestamp <= last[user] {
			t.Fatalf("%s: an event at %d follows one at %d", user, e.Timestamp, last[user])
		}
		last[user] = e.Timestamp
		if ids[e.MessageID] {
			t.Fatalf("message id %s is there twice", e.MessageID)
		}
		ids[e.MessageID] = true
		names[e.Name]++
		if !e.Context.Historical || e.Source != Source {
			t.Fatalf("%s is not marked as history: %+v", e.MessageID, e)
		}
		if at := time.UnixMicro(e.Timestamp); at.After(until) || at.Before(until.AddDate(0, -months, 0)) {
			t.Fatalf("%s happened at %s", e.MessageID, at)
		}
		for _, raw := range [][]byte{e.Properties, e.Traits} {
			if raw != nil && !json.Valid(raw) {
				t.Fatalf("%s: %s", e.MessageID, raw)
			}
		}
		if first[user] == "" {
			first[user] = time.UnixMicro(e.Timestamp).UTC().Format("2006-01")
		}
		if day := (until.UnixMicro() - e.Timestamp) / 86400e6; day < 28 {
			if days[user] == nil {
				days[user] = map[int64]bool{}
			}
			days[user][day] = true
		}
	}
	if len(last) != p.Users {
		t.Errorf("%d users have a history, want %d", len(last), p.Users)
	}
	for name := range strings.FieldsSeq("page identify click_event1 custom_event2 product_view cart_add checkout_start purchase payment_failed win loss support_message") {
		if names[name] < 20 {
			t.Errorf("%s happened %d times", name, names[name])
		}
	}
	if c, d := names["click_event1"], names["custom_event2"]; d*10 > c*9 || d*10 < c {
		t.Errorf("%d of %d clicks lead on: no funnel to look at", d, c)
	}
	// Each class of engagement and each month of acquisition has people in it.
	classes := [4]int{}
	for _, d := range days {
		switch n := len(d); {
		case n >= 10:
			classes[3]++
		case n >= 5:
			classes[2]++
		case n >= 2:
			classes[1]++
		default:
			classes[0]++
		}
	}
	for i, n := range classes {
		if n < p.Users/200 {
			t.Errorf("engagement classes low to high are %v: the one at %d is empty", classes, i)
		}
	}
	months := map[string]int{}
	for _, m := range first {
		months[m]++
	}
	for m := until.AddDate(0, -13, 0); m.Before(until); m = m.AddDate(0, 1, 0) {
		if months[m.Format("2006-01")] < p.Users/100 {
			t.Errorf("%d users came in %s", months[m.Format("2006-01")], m.Format("2006-01"))
		}
	}
	t.Logf("%d events, engagement %v, by month %v, names %v", len(ids), classes, months, names)
}

func TestHistoryIsRepeatable(t *testing.T) {
	p := Past{Seed: 7, Users: 50, Until: until}
	var a, b []event.Event
	for e := range p.Events(products) {
		a = append(a, *e)
	}
	for e := range p.Events(products) {
		b = append(b, *e)
	}
	if !reflect.DeepEqual(a, b) {
		t.Error("two makings of the same history differ")
	}
}

// However often loading is interrupted, each event is in the log once.
func TestLoadGoesOn(t *testing.T) {
	db, err := pebble.Open(pebble.Config{Dir: t.TempDir(), Reserve: 1}, pebble.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	book := newBook(t, db)
	now := until
	var of int
	for round := 0; ; round++ {
		ctx, cancel := context.WithCancel(t.Context())
		l := NewLoader(300, Deps{
			Log: db.Log(), Documents: db.Documents(), Book: book, Products: products, Logger: slog.New(slog.DiscardHandler),
			Now: func() time.Time { return now },
		})
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		if round == 0 {
			l.Load()
		}
		p := l.Progress()
		for ; p.Status == Absent || p.Status == Loading && (round > 2 || p.Done < (round+1)*1500); p = l.Progress() {
			select {
			case err := <-done:
				t.Fatalf("it ended: %v, %+v", err, l.Progress())
			case <-time.After(time.Millisecond):
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if p.Status == Failed {
			t.Fatal(p.Err)
		}
		if of = p.Of; p.Status == Loaded {
			break
		}
		now = now.Add(time.Hour) // a later start goes on with the same history
	}
	seen := map[string]bool{}
	for partition := range db.Log().Partitions() {
		r, err := db.Log().Read(t.Context(), eventlog.Events, partition, 0)
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
			for range c.Count {
				var e event.Event
				if ok, err := d.Next(&e); err != nil || !ok {
					t.Fatal(ok, err)
				}
				if seen[e.MessageID] {
					t.Fatalf("%s is in the log twice", e.MessageID)
				}
				seen[e.MessageID] = true
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != of {
		t.Errorf("%d events are in the log, want %d", len(seen), of)
	}
	suppressed, err := book.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for _, c := range suppressed {
		got += int(c.Addresses)
	}
	if want := len(Past{Seed: 1, Users: 300, Until: until}.Suppressed()); got != want || want == 0 {
		t.Errorf("%d addresses are suppressed, want %d", got, want)
	}
}

func newBook(t *testing.T, db *pebble.DB) *reach.Book {
	t.Helper()
	book, err := reach.New(reach.Deps{
		Documents: db.Documents(), Log: db.Log(), Secret: []byte("0123456789abcdef"), Clock: func() time.Time { return until },
	})
	if err != nil {
		t.Fatal(err)
	}
	return book
}

// Of the people who are there, each channel reaches some and is kept from others
// for every reason.
func TestWhoCanBeReached(t *testing.T) {
	db, err := pebble.Open(pebble.Config{Dir: t.TempDir(), Reserve: 1}, pebble.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	book := newBook(t, db)
	past := Past{Seed: 1, Users: 4000, Until: until}
	if err := book.Hear(t.Context(), past.Suppressed()); err != nil {
		t.Fatal(err)
	}
	users := map[string]*profile.Profile{}
	for e := range past.Events(products) {
		p := users[e.User()]
		if p == nil {
			p = &profile.Profile{}
			users[e.User()] = p
		}
		p.Apply(e)
	}
	seen := map[string]string{} // address -> user
	for _, typ := range []string{definition.ChannelEmail, definition.ChannelSMS} {
		reached, refused := 0, map[policy.Reason]int{}
		for user, p := range users {
			a, err := book.Ask(t.Context(), &reach.Question{
				User: user, Profile: p, Purpose: consent.Marketing, Channel: &definition.Channel{Name: typ, Type: typ},
			})
			if err != nil {
				t.Fatal(err)
			}
			if why := a.Refusal(); why != policy.None {
				refused[why]++
				continue
			}
			reached++
			if seen[a.To] != "" {
				t.Errorf("%s is the address of %s and of %s", a.To, seen[a.To], user)
			}
			seen[a.To] = user
			if n, err := phone.Parse(a.To, ""); typ == definition.ChannelSMS && (err != nil || n.E164 != a.To || n.Country != p.Country) {
				t.Errorf("%s of %s: %+v, %v", a.To, p.Country, n, err)
			}
			if p.Locale == "" || p.Timezone == "" {
				t.Errorf("%s: locale %q, zone %q", user, p.Locale, p.Timezone)
			}
		}
		if reached < past.Users/20 || refused[policy.NoConsent] == 0 || refused[policy.Declined] == 0 || refused[policy.Suppressed] == 0 {
			t.Errorf("%s reaches %d of %d; not %v", typ, reached, past.Users, refused)
		}
		if missing := refused[policy.NoAddress]; (missing > 0) != (typ == definition.ChannelSMS) {
			t.Errorf("%d have no address for %s", missing, typ) // an account has an e-mail address
		}
		t.Logf("%s reaches %d of %d; not %v", typ, reached, past.Users, refused)
	}
	for _, p := range users {
		for _, e := range p.Consent {
			if s := consent.Read(e.Value); s.Source == "" || s.Wording == "" || s.At != e.At {
				t.Fatalf("%s: %s since %d", e.Key, e.Value, e.At)
			}
		}
	}
}

// Ranges of numbers end before anybody's telephone rings.
func TestNumbersEnd(t *testing.T) {
	f := func(country, first, last string, size int) {
		t.Helper()
		got := []string{number(country, 0), number(country, size-1), number(country, size)}
		if want := []string{first, last, ""}; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", country, got, want)
		}
	}
	f("DE", "+493023125000", "+498999998999", 5000)
	f("FR", "+33639980000", "+33639989999", 10_000)
	f("GB", "+447700900000", "+447700900999", 1000)
	f("US", "+12125550100", "+13475550199", 600)
	f("AT", "", "", 1)
}
