// Package unsubscribe owns the pages behind the links in messages: GET /u/{token}
// shows what holds for an address, GET /confirm/{token} what is to be confirmed
// (double opt-in). Neither changes anything, because scanners follow links; POST does
// what the owner of the address wants. They work without scripts and without signing
// in: the token is signed.
//
// It does not own links, nor what is kept of an address (reach).
package unsubscribe

import (
	"context"
	"crypto/sha256"
	_ "embed" // the page
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strings"

	"heed/internal/definition"
	"heed/internal/reach"
)

// Book knows the links and does what is wanted: a reach.Book.
type Book interface {
	Open(token string) (reach.Link, error)
	Stands(ctx context.Context, l reach.Link) (reach.Standing, error)
	Choose(ctx context.Context, l reach.Link, want reach.Choice) error

	OpenConfirm(token string) (reach.Link, error)
	Confirmation(ctx context.Context, l reach.Link) (reach.Confirmed, error)
	Confirm(ctx context.Context, l reach.Link) (reach.Confirmed, error)
}

// maxBody bounds a POST, in bytes: it says one word.
const maxBody = 4 << 10

// Page serves the pages. It may be used concurrently.
type Page struct {
	book   Book
	log    *slog.Logger
	html   *template.Template
	policy string // Content-Security-Policy
}

//go:embed page.html
var source string

// New makes the page.
func New(b Book, log *slog.Logger) (*Page, error) {
	html, err := template.New("page").Parse(source)
	if err != nil {
		return nil, fmt.Errorf("unsubscribe: %w", err)
	}
	_, style, _ := strings.Cut(source, "<style>")
	style, _, _ = strings.Cut(style, "</style>")
	sum := sha256.Sum256([]byte(style))
	return &Page{
		book: b, log: log, html: html,
		policy: "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'",
	}, nil
}

// Register adds the routes.
func (p *Page) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET "+reach.UnsubscribePath+"{token}", p.serve)
	mux.HandleFunc("POST "+reach.UnsubscribePath+"{token}", p.serve)
	mux.HandleFunc("GET "+reach.ConfirmPath+"{token}", p.confirm)
	mux.HandleFunc("POST "+reach.ConfirmPath+"{token}", p.confirm)
}

// view is what the page shows.
type view struct {
	Title string
	reach.Standing
	Broken, Failed bool
	Changed        bool
	Address        string           // "e-mail address"
	Messages       string           // "e-mails"
	Confirm        *reach.Confirmed // of a link to confirm
}

// about is a view of a page about an address that a type of channel sends to.
func about(channelType string) *view {
	v := &view{Address: "e-mail address", Messages: "e-mails"}
	switch channelType {
	case definition.ChannelSMS:
		v.Address, v.Messages = "phone number", "text messages"
	case definition.ChannelPush:
		v.Address, v.Messages = "device", "notifications"
	}
	return v
}

func (p *Page) serve(w http.ResponseWriter, r *http.Request) {
	l, err := p.book.Open(r.PathValue("token"))
	if err != nil {
		p.write(w, http.StatusNotFound, &view{Title: "This link does not work", Broken: true})
		return
	}
	v := about(l.Type)
	if r.Method == http.MethodPost {
		want, err := wanted(w, r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := p.book.Choose(r.Context(), l, want); err != nil {
			p.failed(w, v, err)
			return
		}
		v.Changed = true
	}
	if v.Standing, err = p.book.Stands(r.Context(), l); err != nil {
		p.failed(w, v, err)
		return
	}
	switch {
	case v.Final:
		v.Title = "Nothing is sent to this " + v.Address
	case v.All:
		v.Title = "You are unsubscribed"
	case v.Campaign:
		v.Title = "Messages like this one have stopped"
	case v.Changed:
		v.Title = "You are subscribed again"
	default:
		v.Title = "Do you want to unsubscribe?"
	}
	p.write(w, http.StatusOK, v)
}

// confirm shows what is to be confirmed, and with a POST confirms it.
func (p *Page) confirm(w http.ResponseWriter, r *http.Request) {
	l, err := p.book.OpenConfirm(r.PathValue("token"))
	if err != nil {
		p.write(w, http.StatusNotFound, &view{Title: "This link does not work", Broken: true})
		return
	}
	v, do := about(l.Type), p.book.Confirmation
	if r.Method == http.MethodPost {
		do = p.book.Confirm
		v.Changed = true
	}
	now, err := do(r.Context(), l)
	v.Confirm = &now
	status := http.StatusOK
	switch {
	case err != nil:
		p.failed(w, v, err)
		return
	case now.Done:
		v.Title = "You are subscribed"
	case now.Void:
		v.Title, status = "This link is no longer valid", http.StatusGone
	default:
		v.Title = "Do you want our " + v.Messages + "?"
	}
	p.write(w, status, v)
}

// wanted reads what a POST wants: a button of the page, or the one click of
// RFC 8058, which a mailbox sends for its owner.
func wanted(w http.ResponseWriter, r *http.Request) (reach.Choice, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseMultipartForm(maxBody); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		return "", errors.New("the form cannot be read")
	}
	if r.PostFormValue("List-Unsubscribe") == "One-Click" {
		return reach.All, nil
	}
	switch c := reach.Choice(r.PostFormValue("choice")); c {
	case reach.All, reach.Campaign, reach.Back:
		return c, nil
	}
	return "", errors.New("send List-Unsubscribe=One-Click, or choice=all, campaign or back")
}

func (p *Page) failed(w http.ResponseWriter, v *view, err error) {
	p.log.Error("somebody could not unsubscribe or confirm", "error", err)
	v.Title, v.Failed = "That did not work", true
	w.Header().Set("Retry-After", "5")
	p.write(w, http.StatusServiceUnavailable, v)
}

func (p *Page) write(w http.ResponseWriter, status int, v *view) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Robots-Tag", "noindex")
	w.WriteHeader(status)
	if err := p.html.Execute(w, v); err != nil {
		p.log.Debug("the page could not be written", "error", err) // the caller has gone
	}
}
