package content_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"heed/internal/definition"
	"heed/internal/engager/content"
	"heed/internal/profile"
	"heed/internal/render"
)

// TestContent renders templates for readers. Commands:
//
//	template            a definition; answers what it reads
//	render [trait=V] [browser=LOCALE] [reader=LOCALE] [name=NAME]
//	count               how many get which text: a user and the browser's locale a line
func TestContent(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		cache := render.NewCache(10)
		var (
			c   *content.Content
			tpl *definition.Template
		)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			arg := func(name string) (v string) {
				if d.HasArg(name) {
					d.ScanArgs(t, name, &v)
				}
				return v
			}
			switch d.Cmd {
			case "template":
				doc, err := definition.ParseOne(definition.KindTemplate, "t", []byte(d.Input))
				if err != nil {
					return err.Error()
				}
				tpl = doc.Spec.(*definition.Template)
				if c, err = content.New(cache, tpl, render.HTML); err != nil {
					return err.Error()
				}
				return fmt.Sprintf("personal: %v, needs the profile: %v", c.Personal(), c.NeedsProfile())
			case "render":
				p := &profile.Profile{Locale: arg("browser")}
				if v := arg("name"); v != "" {
					p.Traits = append(p.Traits, profile.Entry{Key: "firstName", Value: `"` + v + `"`})
				}
				if v := arg("trait"); v != "" {
					p.Traits = append(p.Traits, profile.Entry{Key: "locale", Value: v})
				}
				got, err := c.Render(t.Context(), render.Input{Profile: p}, arg("reader"))
				if err != nil {
					return err.Error()
				}
				var b strings.Builder
				fmt.Fprintf(&b, "locale %q\n%s\n%s\n", got.Locale, got.Subject, strings.TrimSpace(got.Body))
				if got.Link != "" {
					fmt.Fprintf(&b, "link %s\n", got.Link)
				}
				if len(got.Missing) > 0 {
					fmt.Fprintf(&b, "missing %v\n", got.Missing)
				}
				return b.String()
			case "count":
				tally := content.NewTally(tpl)
				for line := range strings.Lines(d.Input) {
					user, locale, _ := strings.Cut(strings.TrimSpace(line), " ")
					var p *profile.Profile
					if locale != "nobody" {
						p = &profile.Profile{Locale: locale}
					}
					tally.Add(user, p)
				}
				var b strings.Builder
				for _, r := range tally.Readers() {
					fmt.Fprintf(&b, "%q fallback=%v: %d, %d unknown, first %q\n", r.Locale, r.Fallback, r.Users, r.Unknown, r.First)
				}
				return b.String()
			}
			return "unknown command"
		})
	})
}
