package unsubscribe_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"heed/internal/definition"
	"heed/internal/driver/memory"
	"heed/internal/gateway/unsubscribe"
	"heed/internal/profile"
	"heed/internal/reach"
)

type optIn struct{}

func (optIn) Current() *definition.Set {
	return &definition.Set{Sending: &definition.Sending{OptIn: &definition.OptIn{Email: &definition.Asking{Channel: "letters", Template: "confirm"}}}}
}

// A link to confirm shows what is agreed to and a button; only the button confirms,
// once is enough, and a link that is too old says what to do.
func TestConfirmPage(t *testing.T) {
	db := memory.Open(memory.Config{})
	now := time.Now()
	book, err := reach.New(reach.Deps{
		Documents: db.Documents(), Log: db.Log(), Secret: []byte("0123456789abcdef"), PublicURL: "https://heed.shop.example", Definitions: optIn{},
		Clock: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	s := newSite(t, func(*reach.Book) unsubscribe.Book { return book })
	link := func(to string) string {
		t.Helper()
		p := &profile.Profile{
			FirstSeen: 1, Email: profile.Address{Value: to},
			Consent: []profile.Entry{{Key: "email", Value: `{"granted":true,"wording":"Yes, <b>news</b>."}`, At: 1}},
		}
		o, err := book.Await(t.Context(), &reach.Question{User: "u1", Profile: p, Channel: &definition.Channel{Name: "letters", Type: "email"}}, now.UnixMicro())
		if err != nil || o == nil {
			t.Fatalf("%v, %v", o, err)
		}
		return strings.TrimPrefix(book.ConfirmLink(reach.Link{Type: "email", Channel: "letters", Delivery: "d1"}, to, o.At), "https://heed.shop.example")
	}
	f := func(method, path string, code int, title string, buttons int) {
		t.Helper()
		got, body := s.do(method, path, form, "")
		if got != code || method != http.MethodHead && (!strings.Contains(body, "<title>"+title+"</title>") || strings.Count(body, "<button") != buttons) || strings.Contains(body, "<b>") {
			t.Errorf("%s: %d %s", method, got, body)
		}
	}
	ann, bob := link("ann@shop.example"), link("bob@shop.example")
	for range 3 {
		f(http.MethodHead, ann, http.StatusOK, "", 0)
		f(http.MethodGet, ann+"?confirm=1", http.StatusOK, "Do you want our e-mails?", 1)
	}
	f(http.MethodPost, ann, http.StatusOK, "You are subscribed", 0)
	f(http.MethodPost, ann, http.StatusOK, "You are subscribed", 0)
	f(http.MethodGet, "/confirm/nonsense", http.StatusNotFound, "This link does not work", 0)
	f(http.MethodPost, strings.Replace(s.path, "/u/", "/confirm/", 1), http.StatusNotFound, "This link does not work", 0)
	now = now.Add(reach.ConfirmWithin)
	f(http.MethodPost, bob, http.StatusGone, "This link is no longer valid", 0)
	f(http.MethodGet, ann, http.StatusOK, "You are subscribed", 0)
}
