package templates_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"heed/internal/console/api"
	"heed/internal/console/templates"
	"heed/internal/definition"
	"heed/internal/profile"
	"heed/internal/render"
)

// world renders for users of whom only the first name of one is known.
type world struct{ set *definition.Set }

func (w world) Current() *definition.Set { return w.set }

func (w world) Preview(ctx context.Context, t *definition.Template, _, user string) (subject, body string, missing []string, err error) {
	made, err := render.Parse(t.Body, render.HTML)
	if err != nil {
		return "", "", nil, err
	}
	p := &profile.Profile{}
	if user == "ada" {
		p.Traits = []profile.Entry{{Key: "firstName", Value: `"Ada"`}}
	}
	res, err := made.Render(ctx, render.Input{User: user, Profile: p})
	return "", res.Text, res.Missing, err
}

func TestPreview(t *testing.T) {
	w := world{&definition.Set{Templates: map[string]*definition.Template{"hi": {Name: "hi", Channel: "web", Body: "Hi {{ profile.traits.firstName }}"}}}}
	h := templates.Templates{Deps: templates.Deps{Definitions: w, Renderer: w}}
	ask := func(user, name, spec string) (api.PreviewTemplateResponseObject, error) {
		body := &api.TemplatePreviewRequest{User: user, Template: name}
		if spec != "" {
			body.Spec = json.RawMessage(spec)
		}
		return h.PreviewTemplate(t.Context(), api.PreviewTemplateRequestObject{Body: body})
	}
	f := func(user, name, spec, body, missing, wrong string) {
		t.Helper()
		r, err := ask(user, name, spec)
		x, ok := r.(api.PreviewTemplate200JSONResponse)
		if err != nil || !ok || x.Body != body || strings.Join(x.Missing, " ") != missing || !strings.Contains(x.Error, wrong) || wrong == "" && x.Error != "" || x.User != user {
			t.Errorf("%s %s %s: %+v, %v", user, name, spec, r, err)
		}
	}
	f("ada", "hi", "", "Hi Ada", "", "")
	f("bob", "hi", "", "Hi ", "profile.traits.firstName", "")
	f("ada", "hi", `{"channel":"web","as":"popup","body":"Bye {{ profile.traits.firstName | upcase }}"}`, "Bye ADA", "", "")
	f("ada", "", `{"channel":"web","body":"{{ evnt.x }}"}`, "", "", `line 1: nothing is called "evnt"`)
	f("ada", "", `{"channel":"web","body":"{% for i in (1..9999) %}{% for j in (1..9999) %}x{% endfor %}{% endfor %}"}`, "", "", "too")
	refused := func(status int, user, name, spec string) {
		t.Helper()
		_, err := ask(user, name, spec)
		if e, ok := errors.AsType[*api.Refusal](err); !ok || e.Status != status {
			t.Errorf("%s %s %s: %v", user, name, spec, err)
		}
	}
	refused(404, "ada", "gone", "")
	refused(400, "", "hi", "")
	refused(400, "ada", "", `{"channel":3}`)
	h.Renderer = nil
	refused(503, "ada", "hi", "")
}
