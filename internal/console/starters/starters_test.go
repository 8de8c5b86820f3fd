package starters

import (
	"strings"
	"testing"

	"heed/internal/channel/email/letter"
	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/engager/content"
	"heed/internal/event"
	"heed/internal/profile"
	"heed/internal/render"
)

// Each design holds together as a template of a live campaign, and says all it says
// to somebody of whom nothing is known.
func TestDesigns(t *testing.T) {
	out, err := New().ListTemplateStarters(t.Context(), api.ListTemplateStartersRequestObject{})
	if err != nil {
		t.Fatal(err)
	}
	docs := []definition.Document{definition.NewDocument(definition.KindChannel, "email", &definition.Channel{
		Name: "email", Type: definition.ChannelEmail, Address: "Shop Ltd, 1 High Street", SMTP: &definition.SMTP{Host: "smtp.example", From: "news@shop.example"},
	})}
	shown := map[string]int{}
	for _, s := range out.(api.ListTemplateStarters200JSONResponse).Starters {
		spec, err := definition.DecodeSpec(definition.KindTemplate, s.Spec)
		if err != nil {
			t.Fatal(err)
		}
		tpl := spec.(*definition.Template)
		if tpl.Name != s.Name || tpl.Channel != s.Type || tpl.Description == "" {
			t.Errorf("%s: %+v", s.Name, tpl)
		}
		kind, _, _ := strings.Cut(tpl.As, ":")
		shown[tpl.Channel+" "+kind]++
		docs = append(docs, definition.NewDocument(definition.KindTemplate, s.Name, tpl),
			definition.NewDocument(definition.KindCampaign, s.Name, &definition.Campaign{
				Name: s.Name, Status: definition.Live, When: definition.When{Once: "o1"}, What: []definition.Variant{{Channel: tpl.Channel, Template: s.Name}},
			}))

		c, err := content.New(render.NewCache(1), tpl, render.HTML)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []*profile.Profile{nil, {Traits: []profile.Entry{{Key: "firstName", Value: `"Ada"`}}}} {
			made, err := c.Render(t.Context(), render.Input{Profile: p, Event: new(event.Event), Unsubscribe: "https://x.example"}, "")
			if err != nil || len(made.Missing) > 0 {
				t.Errorf("%s: %v, missing %v", s.Name, err, made.Missing)
			}
			if p != nil && c.Personal() && !strings.Contains(made.Subject+made.Body, "Ada") {
				t.Errorf("%s does not greet Ada", s.Name)
			}
			if !strings.Contains(made.Body, "prefers-color-scheme: dark") {
				t.Errorf("%s says nothing of a dark screen", s.Name)
			}
			if tpl.Channel != definition.ChannelEmail {
				continue
			}
			if l, err := letter.New(made.Body, letter.Options{Imprint: "Shop Ltd"}); err != nil || !strings.Contains(l.Text, "https://x.example") || made.Subject == "" {
				t.Errorf("%s as a letter: %+v, %v", s.Name, l, err)
			}
		}
	}
	if _, problems := definition.NewSet(1, docs); problems != nil {
		t.Error(problems)
	}
	for _, want := range []string{"web popup", "web banner", "web slot", "email "} {
		if shown[want] < 2 {
			t.Errorf("%d designs for %s", shown[want], want)
		}
	}
}
