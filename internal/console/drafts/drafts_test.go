package drafts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/engager/content"
	"heed/internal/render"
)

type fixed struct{ set *definition.Set }

func (f fixed) Current() *definition.Set { return f.set }

func TestPreviewTemplate(t *testing.T) {
	set := &definition.Set{Channels: map[string]*definition.Channel{
		"news": {Name: "news", Type: definition.ChannelEmail, Address: "Shop Ltd, 1 High Street"},
		"crm":  {Name: "crm", Type: definition.ChannelWebhook},
	}}
	d := New(Deps{Definitions: fixed{set}, Preview: func(_ context.Context, t *definition.Template, campaign, user, locale string) (content.Rendered, error) {
		if parsed, err := render.Parse(t.Body, set.Channels[t.Channel].Mode()); err != nil {
			return content.Rendered{}, fmt.Errorf("body: %w", err)
		} else if len(parsed.Reads()) > 0 {
			return content.Rendered{}, errors.New("the store is down")
		}
		said := t.In(locale)
		return content.Rendered{Locale: said.Locale, Subject: said.Subject.Source + " " + user, Body: said.Body.Source, Missing: []string{"profile.traits.name"}}, nil
	}})
	ask := func(draft api.TemplateDraft) (api.PreviewTemplate200JSONResponse, error) {
		t.Helper()
		out, err := d.PreviewTemplate(t.Context(), api.PreviewTemplateRequestObject{Body: &draft})
		p, _ := out.(api.PreviewTemplate200JSONResponse)
		return p, err
	}
	mail, err := ask(api.TemplateDraft{Channel: "news", Subject: "Hi", User: "ada", Body: `<style>b{color:red}</style><p>Hello <b>you</b>`})
	if err != nil || mail.Type != "email" || !mail.Html || mail.Subject != "Hi ada" || !strings.Contains(mail.Body, `<b style="color:red">`) || mail.Text != "Hello you\n\nShop Ltd, 1 High Street" || len(mail.Missing) != 1 {
		t.Errorf("%+v, %v", mail, err)
	}
	if post, err := ask(api.TemplateDraft{Channel: "crm", Body: `{"a": "<b>"}`}); err != nil || post.Body != `{"a": "<b>"}` || post.Text != "" {
		t.Errorf("%+v, %v", post, err)
	}
	german := api.TemplateDraft{Channel: "crm", Locale: "en", Body: "{}", Locales: api.TemplateTexts{"de": {Body: `"ja"`}}, Reader: "de-AT"}
	if post, err := ask(german); err != nil || post.Locale != "de" || post.Body != `"ja"` || post.Html {
		t.Errorf("%+v, %v", post, err)
	}
	f := func(draft api.TemplateDraft, status int, message string) {
		t.Helper()
		_, err := ask(draft)
		got := 0
		if bad, ok := errors.AsType[*api.Refusal](err); ok {
			got = bad.Status
		}
		if got != status || err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%+v: %v", draft, err)
		}
	}
	f(api.TemplateDraft{Channel: "gone", Body: "x"}, http.StatusBadRequest, `no channel "gone"`)
	f(api.TemplateDraft{Channel: "news", Body: "x\n{{ y"}, http.StatusBadRequest, "line 2")
	f(api.TemplateDraft{Channel: "news", Body: "<style>" + strings.Repeat("p{a:b}", 2000) + "</style>" + strings.Repeat("<p>", 2000)}, http.StatusBadRequest, "too much")
	f(api.TemplateDraft{Channel: "news", Body: "{{ profile.id }}"}, 0, "the store is down")
	d = New(Deps{Definitions: fixed{set}})
	f(api.TemplateDraft{Channel: "news", Body: "x"}, http.StatusServiceUnavailable, "renders nothing")
}
