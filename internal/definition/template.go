package definition

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"heed/internal/render"
)

// maxLocales bounds the texts of a template.
const maxLocales = 100

// Said is what a template says to a reader, part by part. Locale is that of the
// text that was chosen, "" where nobody has said.
type Said struct {
	Locale              string
	Subject, Link, Body Part
}

// Part is the Liquid of a part of a text and the locale that it is in.
type Part struct{ Source, Locale string }

// In is what the template says to a reader of a locale: the text that stands in for
// it nearest (that in de for de-AT), else that for everybody. What the one leaves
// out is taken from the next that stands in, and at last from that for everybody.
func (t *Template) In(reader string) Said {
	var out Said
	add := func(locale string, text Text) {
		out.Locale = cmp.Or(out.Locale, locale)
		for _, part := range []struct {
			into   *Part
			source string
		}{{&out.Subject, text.Subject}, {&out.Link, text.Link}, {&out.Body, text.Body}} {
			if part.into.Source == "" {
				*part.into = Part{part.source, locale}
			}
		}
	}
	if len(t.Locales) > 0 {
		for _, locale := range render.Locales(reader) {
			if text, ok := t.Locales[locale]; ok {
				add(locale, text)
			} else if locale == t.Locale {
				break
			}
		}
	}
	add(t.Locale, t.Text)
	return out
}

// text is one of the texts of a template; at is where it stands, before the name of
// a part.
type text struct {
	at, locale string
	Text
}

// texts are all of them, that for everybody first.
func (t *Template) texts() []text {
	out := []text{{locale: t.Locale, Text: t.Text}}
	for _, locale := range slices.Sorted(maps.Keys(t.Locales)) {
		out = append(out, text{"locales." + locale + ".", locale, t.Locales[locale]})
	}
	return out
}

// without says which texts, " in de" or "" for that for everybody, do not print a
// field in their body. One without a body takes another one's.
func (t *Template) without(field string, ch *Channel) (where []string) {
	for _, text := range t.texts() {
		parsed, err := render.Parse(text.Body, t.Mode(ch))
		if text.Body == "" || err != nil || slices.Contains(parsed.Reads(), field) {
			continue
		}
		if text.at != "" {
			where = append(where, " in "+text.locale)
		} else {
			where = append(where, "")
		}
	}
	return where
}

func (c *checker) template(t *Template) {
	ch, ok := c.set.Channels[t.Channel]
	if !ok {
		c.refer("channel", KindChannel, t.Channel, maps.Keys(c.set.Channels))
		return
	}
	if t.Body == "" && t.BodyFile == "" {
		c.fail("body", "give body or bodyFile", "is empty")
	}
	c.locales(t)
	for _, text := range t.texts() {
		c.text(text, t.Mode(ch))
		if text.Link != "" && ch.Type != ChannelPush {
			c.fail(text.at+"link", "", "only push templates have it: elsewhere write links into the body")
		}
	}
	slot, isSlot := strings.CutPrefix(t.As, "slot:")
	switch {
	case ch.Type == ChannelWeb && (t.As == "popup" || t.As == "banner" || t.As == "inline" || isSlot && ValidName(slot)):
	case ch.Type == ChannelWeb:
		c.fail("as", "popup, banner, slot:<name> or inline", "%q is not a way to show web content", t.As)
	case t.As == "":
	case ch.Type != ChannelOutbox:
		c.fail("as", "", "only templates for web and outbox have it")
	case t.As != ChannelEmail && t.As != ChannelSMS && t.As != ChannelPush:
		c.fail("as", "email, sms or push", "%q is nothing that the outbox stands for", t.As)
	}
	if t.Expires < 0 {
		c.fail("expires", "", "is negative")
	}
}

// text checks the parts of a text.
func (c *checker) text(t text, body render.Mode) {
	if t.BodyFile != "" { // heed apply has put the file in its place
		c.fail(t.at+"bodyFile", "give body", "no file can be read here")
	}
	for _, part := range []struct {
		path, source string
		mode         render.Mode
	}{{"body", t.Body, body}, {"subject", t.Subject, render.Text}, {"link", t.Link, render.Text}} {
		parsed, err := render.Parse(part.source, part.mode)
		if err != nil {
			c.fail(t.at+part.path, "", "%v", err)
			continue
		}
		c.pulled(t.at+part.path, parsed.Reads())
	}
}

// locales checks the tags of the texts. They are written in one way only, so that
// none is there twice.
func (c *checker) locales(t *Template) {
	check := func(path, locale string) {
		canonical, err := render.Locale(locale)
		switch {
		case err != nil:
			c.fail(path, "a BCP 47 tag such as de, de-AT or pt-BR", "%v", err)
		case canonical != locale:
			c.fail(path, "write "+canonical, "%q is not how the locale is written", locale)
		}
	}
	if t.Locale != "" {
		check("locale", t.Locale)
	}
	if len(t.Locales) > maxLocales {
		c.fail("locales", "", "%d are more than %d", len(t.Locales), maxLocales)
		return
	}
	for _, locale := range slices.Sorted(maps.Keys(t.Locales)) {
		path := "locales." + locale
		check(path, locale)
		switch {
		case locale == t.Locale:
			c.fail(path, "", "is the language of the text for everybody already")
		case t.Locales[locale] == (Text{}):
			c.fail(path, fmt.Sprintf("%s: {body: ...}", locale), "says nothing")
		}
	}
}
