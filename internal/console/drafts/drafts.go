// Package drafts owns the part of the admin API that shows content which is not
// saved yet, as its channel would send it.
//
// It does not own the rendering (render, engager) or how HTML becomes an e-mail
// (letter).
package drafts

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"heed/internal/channel/email/letter"
	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/engager/content"
	"heed/internal/render"
)

// Preview renders what a user would read, in the language of locale or the user's.
type Preview func(ctx context.Context, t *definition.Template, campaign, user, locale string) (content.Rendered, error)

// Deps is what the handlers work with.
type Deps struct {
	Preview     Preview // nil: this process renders nothing
	Definitions interface{ Current() *definition.Set }
}

// Drafts implements a part of api.StrictServerInterface. It may be used
// concurrently.
type Drafts struct{ deps Deps }

// New makes the handlers.
func New(deps Deps) *Drafts { return &Drafts{deps} }

// PreviewTemplate shows a template as its channel would send it.
func (d *Drafts) PreviewTemplate(ctx context.Context, r api.PreviewTemplateRequestObject) (api.PreviewTemplateResponseObject, error) {
	if d.deps.Preview == nil {
		return nil, api.Fail(http.StatusServiceUnavailable, "unavailable", "this process renders nothing", "run it with the role engager")
	}
	ch := d.deps.Definitions.Current().Channels[r.Body.Channel]
	if ch == nil {
		return nil, api.BadRequest(fmt.Sprintf("there is no channel %q", r.Body.Channel), "")
	}
	t := templateOf(r.Body)
	made, err := d.deps.Preview(ctx, t, r.Body.Campaign, r.Body.User, r.Body.Reader)
	if err != nil {
		return nil, mistaken(err)
	}
	out := api.PreviewTemplate200JSONResponse{
		Type: ch.Type, Html: t.Mode(ch) == render.HTML, Locale: made.Locale, Subject: made.Subject, Link: made.Link, Body: made.Body,
		Missing: append([]string{}, made.Missing...),
	}
	if ch.Type == definition.ChannelEmail {
		l, err := letter.New(made.Body, letter.Options{Imprint: ch.Address})
		if err != nil {
			return nil, mistaken(err)
		}
		out.Body, out.Text = l.HTML, l.Text
	}
	return out, nil
}

func templateOf(d *api.TemplateDraft) *definition.Template {
	return &definition.Template{
		Channel: d.Channel, As: d.As, Locale: d.Locale, Text: definition.Text{Subject: d.Subject, Link: d.Link, Body: d.Body},
		Locales: Texts(d.Locales),
	}
}

// Texts are texts by locale; nil if there are none.
func Texts(drafted api.TemplateTexts) map[string]definition.Text {
	if len(drafted) == 0 {
		return nil
	}
	out := make(map[string]definition.Text, len(drafted))
	for locale, text := range drafted {
		out[locale] = definition.Text{Subject: text.Subject, Link: text.Link, Body: text.Body}
	}
	return out
}

// mistaken tells the author what is wrong with the content.
func mistaken(err error) error {
	if _, ok := errors.AsType[*render.SyntaxError](err); ok {
		return api.BadRequest(err.Error(), "")
	}
	for _, theirs := range []error{render.ErrTooMuch, render.ErrTooLong, letter.ErrTooMuch} {
		if errors.Is(err, theirs) {
			return api.BadRequest(err.Error(), "")
		}
	}
	return err
}
