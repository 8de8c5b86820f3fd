// Package content owns how a template becomes what a user reads: its texts, parsed
// once; which of them is in the user's language; and all parts of it, rendered.
//
// It does not own Liquid and its bounds (render), which text stands in for which
// locale (definition), nor whether anything is sent (policy, engager).
package content

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"heed/internal/definition"
	"heed/internal/profile"
	"heed/internal/render"
)

// Content is a template made ready. It is immutable and may be used concurrently.
type Content struct {
	template *definition.Template
	parsed   map[string]*render.Template // by source: what is no body
	bodies   map[string]*render.Template
	personal bool
	tells    bool
}

// Rendered is what a user reads.
type Rendered struct {
	// Locale of the text that was chosen; "" if nobody has said it.
	Locale              string
	Subject, Link, Body string
	// Missing lists fields that were printed without a default and had no value.
	Missing []string
}

// New parses a template, whose bodies are of a mode.
func New(cache *render.Cache, t *definition.Template, mode render.Mode) (*Content, error) {
	c := &Content{template: t, parsed: map[string]*render.Template{}, bodies: map[string]*render.Template{}}
	parse := func(into map[string]*render.Template, what, locale, source string, mode render.Mode) error {
		made, err := cache.Parse(source, mode)
		if err != nil && locale != "" {
			return fmt.Errorf("%s in %s: %w", what, locale, err)
		} else if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		into[source] = made
		c.personal, c.tells = c.personal || made.Personal(), c.tells || made.Tells()
		return nil
	}
	add := func(locale string, text definition.Text) error {
		return cmp.Or(
			parse(c.parsed, "subject", locale, text.Subject, render.Text),
			parse(c.parsed, "link", locale, text.Link, render.Text),
			parse(c.bodies, "body", locale, text.Body, mode))
	}
	if err := add("", t.Text); err != nil {
		return nil, err
	}
	for locale, text := range t.Locales {
		if err := add(locale, text); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Personal tells whether one of the texts is only for a verified user. Which of
// them a user gets says no more of him than his language.
func (c *Content) Personal() bool { return c.personal }

// Tells tells whether one of the texts tells something of the user, or of what the user
// did.
func (c *Content) Tells() bool { return c.tells }

// NeedsProfile tells whether the profile is looked at.
func (c *Content) NeedsProfile() bool { return c.personal || len(c.template.Locales) > 0 }

// Render makes the content in the user's language, or that of reader if it is not
// empty. Errors are those of render; it never waits.
func (c *Content) Render(ctx context.Context, in render.Input, reader string) (Rendered, error) {
	said := c.template.In(cmp.Or(reader, LocaleOf(in.Profile)))
	out := Rendered{Locale: said.Locale}
	for _, p := range []struct {
		part  definition.Part
		among map[string]*render.Template
		into  *string
	}{{said.Subject, c.parsed, &out.Subject}, {said.Link, c.parsed, &out.Link}, {said.Body, c.bodies, &out.Body}} {
		in.Locale = p.part.Locale
		made, err := p.among[p.part.Source].Render(ctx, in)
		if err != nil {
			return Rendered{}, err
		}
		*p.into = made.Text
		out.Missing = append(out.Missing, made.Missing...)
	}
	out.Subject = strings.Join(strings.Fields(out.Subject), " ") // on one line
	out.Link = strings.TrimSpace(out.Link)
	return out, nil
}

// LocaleOf is the language that a user reads: the trait locale, which somebody has
// chosen, else what the user's browser or app said last; "" if neither is known.
func LocaleOf(p *profile.Profile) string {
	if p == nil {
		return ""
	}
	var chosen string
	if json.Unmarshal([]byte(p.Trait("locale")), &chosen) == nil && len(render.Locales(chosen)) > 0 {
		return chosen
	}
	return p.Locale
}
