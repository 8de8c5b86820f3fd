package unsubscribe_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"heed/internal/driver/memory"
	"heed/internal/gateway/unsubscribe"
	"heed/internal/reach"
)

const address = "ann@shop.example"

// site is the page on a store in memory.
type site struct {
	t    *testing.T
	book *reach.Book
	path string // of Ann's link
	mux  *http.ServeMux
}

func newSite(t *testing.T, wrap func(*reach.Book) unsubscribe.Book) *site {
	t.Helper()
	db := memory.Open(memory.Config{})
	book, err := reach.New(reach.Deps{Documents: db.Documents(), Log: db.Log(), Secret: []byte("0123456789abcdef"), PublicURL: "https://heed.shop.example", Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	page, err := unsubscribe.New(wrap(book), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, book: book, mux: http.NewServeMux()}
	s.path = strings.TrimPrefix(book.Unsubscribe(reach.Link{Type: "email", Channel: "letters", Campaign: "spring", Delivery: "d1"}, address), "https://heed.shop.example")
	page.Register(s.mux)
	return s
}

func plain(b *reach.Book) unsubscribe.Book { return b }

func (s *site) do(method, path, contentType, body string) (int, string) {
	s.t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	s.mux.ServeHTTP(w, r)
	if h := w.Header(); w.Code == http.StatusOK && (!strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || h.Get("Cache-Control") != "no-store") {
		s.t.Errorf("%s: headers %v", method, h)
	}
	b, err := io.ReadAll(w.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return w.Code, string(b)
}

const form = "application/x-www-form-urlencoded"

func (s *site) suppressed() int {
	s.t.Helper()
	list, err := s.book.Lookup(s.t.Context(), "email", address)
	if err != nil {
		s.t.Fatal(err)
	}
	return len(list)
}

// Following the link changes nothing, however often: scanners do it too.
func TestLookingChangesNothing(t *testing.T) {
	s := newSite(t, plain)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		for _, query := range []string{"", "?List-Unsubscribe=One-Click", "?choice=all"} {
			if code, _ := s.do(method, s.path+query, "", ""); code != http.StatusOK {
				t.Errorf("%s %s: %d", method, query, code)
			}
		}
	}
	if n := s.suppressed(); n != 0 {
		t.Errorf("looking unsubscribed: %d", n)
	}
	if code, _ := s.do(http.MethodPost, s.path+"?choice=all", form, ""); code != http.StatusBadRequest || s.suppressed() != 0 {
		t.Errorf("a choice in the address counts: %d", code)
	}
}

func TestOneClick(t *testing.T) {
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	if err := errors.Join(m.WriteField("List-Unsubscribe", "One-Click"), m.Close()); err != nil {
		t.Fatal(err)
	}
	for contentType, body := range map[string]string{form: "List-Unsubscribe=One-Click", m.FormDataContentType(): b.String()} {
		s := newSite(t, plain)
		if code, _ := s.do(http.MethodPost, s.path, contentType, body); code != http.StatusOK || s.suppressed() != 1 {
			t.Errorf("%s: %d, suppressed %d", contentType, code, s.suppressed())
		}
	}
}

func TestChoices(t *testing.T) {
	s := newSite(t, plain)
	f := func(choice, title string, buttons ...string) {
		t.Helper()
		method := http.MethodPost
		if choice == "" {
			method = http.MethodGet
		}
		code, body := s.do(method, s.path, form, url.Values{"choice": {choice}}.Encode())
		if code != http.StatusOK || !strings.Contains(body, "<title>"+title+"</title>") || strings.Contains(body, "<script") {
			t.Errorf("%s: %d %s", choice, code, body)
		}
		if got := strings.Count(body, "<button"); got != len(buttons) {
			t.Errorf("%s: %d buttons", choice, got)
		}
		for _, b := range buttons {
			if !strings.Contains(body, `value="`+b+`"`) {
				t.Errorf("%s: no button %s", choice, b)
			}
		}
	}
	f("", "Do you want to unsubscribe?", "all", "campaign")
	f("campaign", "Messages like this one have stopped", "all", "back")
	f("all", "You are unsubscribed", "back")
	f("", "You are unsubscribed", "back")
	f("back", "You are subscribed again", "all", "campaign")
	if err := s.book.Suppress(t.Context(), "email", address, reach.HardBounce, reach.Cause{At: 1}); err != nil {
		t.Fatal(err)
	}
	f("", "Nothing is sent to this e-mail address")
}

func TestWrongRequests(t *testing.T) {
	s := newSite(t, plain)
	f := func(method, path, contentType, body string, want int) {
		t.Helper()
		if code, _ := s.do(method, path, contentType, body); code != want {
			t.Errorf("%s %.30s %.30q: %d, want %d", method, path, body, code, want)
		}
	}
	f(http.MethodGet, "/u/nonsense", "", "", http.StatusNotFound)
	f(http.MethodPost, "/u/nonsense", form, "choice=all", http.StatusNotFound)
	f(http.MethodPost, s.path, form, "choice=none", http.StatusBadRequest)
	f(http.MethodPost, s.path, form, "", http.StatusBadRequest)
	f(http.MethodPost, s.path, "text/plain", "choice=all", http.StatusBadRequest)
	f(http.MethodPost, s.path, form, "choice=all&x="+strings.Repeat("x", 1<<20), http.StatusBadRequest)
	f(http.MethodPost, s.path, "multipart/form-data; boundary=x", "--x\r\n", http.StatusBadRequest)
	f(http.MethodDelete, s.path, "", "", http.StatusMethodNotAllowed)
	if s.suppressed() != 0 {
		t.Error("a wrong request unsubscribed")
	}
}

// broken cannot keep what is chosen.
type broken struct{ *reach.Book }

func (broken) Choose(context.Context, reach.Link, reach.Choice) error {
	return errors.New("the disk is full")
}

// Nobody is told to be unsubscribed who is not.
func TestFailure(t *testing.T) {
	s := newSite(t, func(b *reach.Book) unsubscribe.Book { return broken{b} })
	code, body := s.do(http.MethodPost, s.path, form, "choice=all")
	if code != http.StatusServiceUnavailable || strings.Contains(body, "unsubscribed") || !strings.Contains(body, "Nothing was changed") {
		t.Errorf("%d %s", code, body)
	}
}
