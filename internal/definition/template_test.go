package definition

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const greeting = `kind: template
name: greeting
channel: outbox
locale: en
subject: Hello
body: How are you?
locales:
  de: {subject: Hallo, body: Wie geht es dir?}
  de-AT: {subject: Servus}
  zh-Hant: {body: 你好}
`

func TestTemplateIn(t *testing.T) {
	greet, ok := mustParse(t, greeting)[0].Spec.(*Template)
	if !ok {
		t.Fatal("no template")
	}
	f := func(reader, locale, subject, body string) {
		t.Helper()
		said := greet.In(reader)
		got := []string{said.Locale, said.Subject.Locale + ": " + said.Subject.Source, said.Body.Locale + ": " + said.Body.Source}
		if diff := cmp.Diff([]string{locale, subject, body}, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", reader, diff)
		}
	}
	english := func(reader string) {
		t.Helper()
		f(reader, "en", "en: Hello", "en: How are you?")
	}
	f("de", "de", "de: Hallo", "de: Wie geht es dir?")
	f("de_CH", "de", "de: Hallo", "de: Wie geht es dir?")
	f("de-AT", "de-AT", "de-AT: Servus", "de: Wie geht es dir?")
	f("DE-at-u-ca-gregory", "de-AT", "de-AT: Servus", "de: Wie geht es dir?")
	f("zh-TW", "zh-Hant", "en: Hello", "zh-Hant: 你好")
	english("zh-CN")
	english("en-GB")
	english("fr")
	english("")
	english("english")
	english(strings.Repeat("de-", 40))
	// a script that goes without saying may be said
	f("zh-Hant-HK", "zh-Hant", "en: Hello", "zh-Hant: 你好")
	greet.Locales["zh-TW"] = Text{Subject: "哈囉"}
	f("zh-Hant-TW", "zh-TW", "zh-TW: 哈囉", "zh-Hant: 你好")
	// the text for everybody is the reader's own language, although another stands in farther off
	greet.Locale, greet.Locales["en"] = "en-GB", Text{Subject: "Hi"}
	f("en-GB", "en-GB", "en-GB: Hello", "en-GB: How are you?")
	f("en-US", "en", "en: Hi", "en-GB: How are you?")
}

func TestTemplateProblems(t *testing.T) {
	f := func(old, with, want string) {
		t.Helper()
		docs, problems := Parse("f.yaml", []byte(strings.Replace(greeting, old, with, 1)))
		if problems == nil {
			_, problems = NewSet(1, docs)
		}
		if got := problems.Error(); got != want {
			t.Errorf("%s\n got %s\nwant %s", with, got, want)
		}
	}
	f("x", "x", "")
	f("  de: {subject: Hallo,", "  de: {subjekt: Hallo,", `f.yaml:8:8: template greeting: unknown field "subjekt" (did you mean subject?)`)
	f("  de-AT: {subject: Servus}", "  de-AT: Servus", "f.yaml:9:10: template greeting: string was used where mapping is expected")
	f("  de-AT:", "  de_at:", `f.yaml:9:10: template greeting: locales.de_at: "de_at" is not how the locale is written (write de-AT)`)
	f("  de-AT:", "  german:", `f.yaml:9:11: template greeting: locales.german: "german" is no locale (a BCP 47 tag such as de, de-AT or pt-BR)`)
	f("  zh-Hant:", "  zh-Hans:", `f.yaml:10:12: template greeting: locales.zh-Hans: "zh-Hans" is not how the locale is written (write zh)`)
	f("  de-AT:", "  und-Latn:", `f.yaml:9:13: template greeting: locales.und-Latn: "und-Latn" is no locale (a BCP 47 tag such as de, de-AT or pt-BR)`)
	f("{subject: Servus}", "{}", "f.yaml:9:10: template greeting: locales.de-AT: says nothing (de-AT: {body: ...})")
	f("locale: en", "locale: de", "f.yaml:8:7: template greeting: locales.de: is the language of the text for everybody already")
	f("locale: en", "locale: EN", `f.yaml:4:9: template greeting: locale: "EN" is not how the locale is written (write en)`)
	f("body: 你好", "body: '{{ evnt.name }}'", `f.yaml:10:19: template greeting: locales.zh-Hant.body: line 1: nothing is called "evnt" here: templates read event, profile, pull, campaign, activation, unsubscribe_url and confirm_url`)
	f("body: 你好", `body: "你好\n{{ 2 | plural: 'one: a', 'few: b' }}"`, `f.yaml:10:19: template greeting: locales.zh-Hant.body: line 2: plural: the form for all other numbers is missing: "other: ..."`)
	f("body: 你好", "link: /cart", "f.yaml:10:19: template greeting: locales.zh-Hant.link: only push templates have it: elsewhere write links into the body")
	f("body: 你好", "bodyFile: zh.html", "f.yaml:10:23: template greeting: locales.zh-Hant.bodyFile: no file can be read here (give body)")
}

// Each text may stand in a file of its own.
func TestTemplateBodyFiles(t *testing.T) {
	fsys := fstest.MapFS{
		"t.yaml":  {Data: []byte("kind: template\nname: t\nchannel: outbox\nbodyFile: t.html\nlocales:\n  de: {bodyFile: de.html}\n  fr: {subject: Bonjour}\n")},
		"t.html":  {Data: []byte("Hello")},
		"de.html": {Data: []byte("Hallo")},
	}
	docs, problems := LoadDir(fsys, ".")
	if problems != nil {
		t.Fatal(problems)
	}
	want := &Template{Name: "t", Channel: "outbox", Text: Text{Body: "Hello"}, Locales: map[string]Text{"de": {Body: "Hallo"}, "fr": {Subject: "Bonjour"}}}
	if diff := cmp.Diff(want, docs[0].Spec); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	delete(fsys, "de.html")
	if _, problems := LoadDir(fsys, "."); problems.Error() != "t.yaml:6:18: template t: locales.de.bodyFile: de.html does not exist" {
		t.Error(problems)
	}
}
