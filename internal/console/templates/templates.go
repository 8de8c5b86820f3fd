// Package templates owns what the admin API says of templates: how one would read
// to a user, also while it is only a draft.
//
// It does not own rendering (render, engager) or keeping them (catalog).
package templates

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/event"
	"heed/internal/render"
)

// Renderer renders as the Engager would.
type Renderer interface {
	// Preview renders what a user would read; missing are fields without a value.
	Preview(ctx context.Context, t *definition.Template, campaign, user string) (subject, body string, missing []string, err error)
}

// Deps is what previews are made of; Renderer may be nil.
type Deps struct {
	Definitions interface{ Current() *definition.Set }
	Renderer    Renderer
}

// Templates answers the API's calls about templates. Its methods may be called
// concurrently.
type Templates struct{ Deps }

// PreviewTemplate renders a template, or a draft of one, as a user would read it.
func (t *Templates) PreviewTemplate(ctx context.Context, r api.PreviewTemplateRequestObject) (api.PreviewTemplateResponseObject, error) {
	asked := r.Body
	if t.Renderer == nil {
		return nil, api.Fail(http.StatusServiceUnavailable, "unavailable", "this process does not render", "ask the process that runs the engager role")
	}
	if asked.User == "" || len(asked.User) > event.MaxIDBytes {
		return nil, api.BadRequest("user is not the id of a user", "")
	}
	set := t.Definitions.Current()
	template := set.Templates[asked.Template]
	if len(asked.Spec) > 0 {
		spec, err := definition.DecodeSpec(definition.KindTemplate, asked.Spec)
		draft, ok := spec.(*definition.Template)
		if err != nil || !ok {
			return nil, api.BadRequest("spec is not that of a template", "channel, as, subject and body")
		}
		template = draft
	}
	if template == nil {
		return nil, api.NotFound("there is no template of this name")
	}
	out := api.PreviewTemplate200JSONResponse{User: asked.User, Missing: []string{}}
	subject, body, missing, err := t.Renderer.Preview(ctx, template, asked.Template, asked.User)
	switch syntax, wrong := errors.AsType[*render.SyntaxError](err); {
	case wrong:
		out.Error = syntax.Error()
	case errors.Is(err, render.ErrTooMuch), errors.Is(err, render.ErrTooLong), errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		out.Error = err.Error()
	case err != nil:
		out.Error = fmt.Sprintf("it cannot be rendered for this user: %v", err)
	}
	out.Subject, out.Body, out.Missing = subject, body, append(out.Missing, missing...)
	return out, nil
}
