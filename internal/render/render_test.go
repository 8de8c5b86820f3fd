package render_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"heed/internal/event"
	"heed/internal/profile"
	"heed/internal/render"
	"heed/internal/touch"
)

func input() render.Input {
	e := &event.Event{
		MessageID: "m1", Type: event.Track, Name: "win", UserID: "u1", Timestamp: 1_795_000_000_000_000,
		Source:     "shop",
		Properties: []byte(`{"product":"<b>Bike</b>","price":1234.5,"count":3,"items":[{"n":"a","p":2},{"n":"b","p":1}],"big":12345678,"none":null,"note":"<a>\nb"}`),
		Context:    event.Context{Page: event.PageContext{URL: "https://shop.example/x?a=1&b=2", Path: "/x"}, Country: "NL", Extra: []byte(`{"shelf":7}`)},
	}
	p := &profile.Profile{UserID: "u1", FirstSeen: 1_790_000_000_000_000, Traits: []profile.Entry{{Key: "firstName", Value: `"O'Ann <x>"`}, {Key: "vip", Value: "true"}}}
	p.LastTouch = profile.Touch{Touch: touch.Touch{Source: "letter", Medium: "mail"}, At: 1_790_000_000_000_000}
	return render.Input{Event: e, User: "u1", Profile: p, Campaign: "winners"}
}

func TestRender(t *testing.T) {
	f := func(mode render.Mode, source, want string) {
		t.Helper()
		tpl, err := render.Parse(source, mode)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			return
		}
		got, err := tpl.Render(t.Context(), input())
		if err != nil {
			t.Errorf("%s: %v", source, err)
			return
		}
		if got.Text != want {
			t.Errorf("%s:\n got %q\nwant %q", source, got.Text, want)
		}
	}
	html := func(source, want string) { t.Helper(); f(render.HTML, source, want) }
	text := func(source, want string) { t.Helper(); f(render.Text, source, want) }

	html(`<h2>{{ profile.traits.firstName | default: 'You' }}: +50 %</h2>`, `<h2>O&#39;Ann &lt;x&gt;: +50 %</h2>`)
	html(`{{ profile.traits.lastName | default: 'You' }}`, `You`)
	html(`{{ event.properties.product }}`, `&lt;b&gt;Bike&lt;/b&gt;`)
	html(`{{ event.properties.product | raw }}`, `<b>Bike</b>`)
	html(`{{ event.properties.product | raw | upcase }}`, `&lt;B&gt;BIKE&lt;/B&gt;`) // whatever follows raw is escaped again
	html(`{{ event.properties.product | escape }}`, `&lt;b&gt;Bike&lt;/b&gt;`)
	html(`{{ event.properties.note | newline_to_br }}`, "&lt;a&gt;<br />\nb")
	html(`{% capture x %}<i>{{ event.properties.product }}</i>{% endcapture %}{{ x }}`, `<i>&lt;b&gt;Bike&lt;/b&gt;</i>`)
	html(`{% capture x %}yes{% endcapture %}{% if x == 'yes' %}ok{% endif %}`, `ok`)
	html(`<script>var x = {{ event.properties.product | json | raw }}</script>`, `<script>var x = "\u003cb\u003eBike\u003c/b\u003e"</script>`)
	html(`{% raw %}{{ x }}{% endraw %}`, `{{ x }}`)
	html(`a{% comment %}{{ profile.traits.x }}{% endcomment %}b`, `ab`)
	text(`{{ event.properties.product }}`, `<b>Bike</b>`)
	text(`{{ event.name }} {{ event.type }} {{ event.context.page.path }} {{ event.context.country }} {{ event.context.shelf }} {{ campaign.name }} {{ profile.id }}`, `win track /x NL 7 winners u1`)
	text(`{{ event.timestamp | date: "%Y-%m-%d %H:%M" }}`, `2026-11-18 11:06`)
	text(`{{ profile.firstSeen | date: "%d %b" }}`, `21 Sep`)
	text(`{{ profile.lastTouch.source }} {{ profile.lastTouch.medium }} {{ profile.lastTouch.campaign | default: "-" }} {{ profile.lastTouch.at | date: "%d %b" }}`, `letter mail - 21 Sep`)
	text(`{{ event.properties.big }} {{ event.properties.price }}`, `12345678 1234.5`)
	text(`{{ event.properties.price | money }} {{ event.properties.big | money: "EUR" }} {{ -0.5 | money: "CHF" }}`, "1,234.50 €12,345,678.00 -CHF\u00a00.50")
	text(`{{ event.timestamp | date: "%H:%M", "Europe/Berlin" }} {{ "2026-07-01T22:30:00Z" | date: "%d %H:%M %Z", "Europe/Berlin" }} {{ event.timestamp | date: "%H:%M", profile.timezone }} {{ 0 | date: "%H", event.properties.product }}`, `12:06 02 00:30 CEST 11:06 00`)
	text(`{{ event.properties.price | number }} {{ event.properties.price | number: "de-DE" }} {{ 1.23456 | number: "fr" }} {{ event.properties.nothing | number }}`, `1,234.5 1.234,5 1,235 `)
	text(`{{ event.properties.count | plural: "win", "wins" }}, {{ 1 | plural: "win", "wins" }}`, `3 wins, 1 win`)
	text(`{% for i in event.properties.items %}{{ forloop.index }}{{ i.n }}{% unless forloop.last %},{% endunless %}{% endfor %}`, `1a,2b`)
	text(`{% for i in (1..5) reversed limit:2 offset:1 %}{{ i }}{% endfor %}`, `32`)
	text(`{% for i in (1..9) %}{% if i == 2 %}{% continue %}{% endif %}{% if i > 4 %}{% break %}{% endif %}{{ i }}{% endfor %}`, `134`)
	text(`{% for i in event.properties.nothing %}x{% else %}none{% endfor %}`, `none`)
	text(`{% for kv in event.properties.items.first %}{{ kv[0] }}={{ kv[1] }};{% endfor %}`, `n=a;p=2;`)
	text(`{% for i in (1..4) %}{% cycle 'a', 'b' %}{% endfor %}`, `abab`)
	text(`{% case event.name %}{% when 'loss' %}L{% when 'win', 'draw' %}W{% else %}?{% endcase %}`, `W`)
	text(`{% if event.properties.count > 5 %}a{% elsif event.properties.count >= 3 and profile.traits.vip %}b{% else %}c{% endif %}`, `b`)
	text(`{% assign n = event.properties.count | times: 2 | plus: 0.5 %}{{ n }} {{ 7 | divided_by: 2 }} {{ 7 | divided_by: 2.0 }} {{ 2.345 | round: 2 }}`, `6.5 3 3.5 2.35`)
	text("a {{- 'b' -}} c\n{%- if true -%} d {%- endif %}", `abcd`)
	text(`{{ "a,b,c" | split: "," | reverse | join: "-" }} {{ event.properties.items | map: "p" | sort | join }} {{ event.properties.items | sum: "p" }} {{ event.properties.items.size }}`, `c-b-a 1 2 3 2`)
	text(`{{ "Grüße an alle" | truncate: 6, "…" }} {{ "one two three" | truncatewords: 2 }} {{ "Grüße" | slice: 2, 2 }} {{ "été" | capitalize }}`, `Grüße… one two... üß Été`)
	text(`{{ (1..3) }} {{ (1..3) | join: "," }}`, `123 1,2,3`)
	text(`{{ "2026-11-20" | date: "%A" }} {{ 0 | date: "%Y" }} {{ event.properties.nothing | date: "%Y" }}`, `Friday 1970 `)
}

// Amounts are written as the user's language writes them.
func TestMoney(t *testing.T) {
	f := func(amount, currency, locale, want string) {
		t.Helper()
		made, err := render.Parse(fmt.Sprintf(`{{ %s | money: %q, %q }}`, amount, currency, locale), render.Text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := made.Render(t.Context(), render.Input{})
		if text := strings.NewReplacer("\u00a0", "_", "\u202f", "~").Replace(got.Text); err != nil || text != want {
			t.Errorf("%s %s in %s: %s, want %s (%v)", amount, currency, locale, text, want, err)
		}
	}
	f("1234567.5", "USD", "en-US", "$1,234,567.50")
	f("-1234.5", "eur", "en", "-€1,234.50")
	f("1234.5", "EUR", "de-DE", "1.234,50_€")
	f("-1234.5", "EUR", "de", "-1.234,50_€")
	f("1234.5", "EUR", "fr_FR", "1~234,50_€")
	f("1234.5", "EUR", "nl", "€_1.234,50")
	f("1234.5", "CHF", "de-CH", "CHF_1’234.50")
	f("1234.5", "EUR", "de-AT", "€_1_234,50")
	f("1234.5", "BRL", "pt-BR", "R$_1.234,50")
	f("1234.5", "PLN", "pl", "1_234,50_zł")
	f("1234.5", "SEK", "sv-SE", "1_234,50_SEK")
	f("1234.4", "JPY", "ja-JP", "¥1,234")
	f("1234.5", "GBP", "", "£1,234.50")
	f("1234.5", "", "de", "1.234,50")
	f("-0.001", "USD", "xx", "$0.00")
	f("999.999", "EUR", "tlh", "€1,000.00")
}

// What is sent says what it is sent for; a preview is sent for nothing.
func TestActivation(t *testing.T) {
	f := func(in render.Input, want string) {
		t.Helper()
		tpl, err := render.Parse(`{{ activation.id | json }} {{ activation.at | json }}`, render.Text)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tpl.Render(t.Context(), in); err != nil || got.Text != want || len(got.Missing) > 0 {
			t.Errorf("%+v, %v, want %q", got, err, want)
		}
	}
	f(render.Input{Activation: "a1", At: 1_700_000_000_123_000}, `"a1" "2023-11-14T22:13:20.123Z"`)
	f(render.Input{}, `"" null`)
	if _, err := render.Parse(`{{ activation.user }}`, render.Text); err == nil || !strings.Contains(err.Error(), "it has id and at") {
		t.Error(err)
	}
}

func TestMissing(t *testing.T) {
	f := func(source string, in render.Input, want ...string) {
		t.Helper()
		tpl, err := render.Parse(source, render.HTML)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tpl.Render(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Missing); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", source, diff)
		}
	}
	f(`{{ event.properties.product }} {{ profile.traits.firstName }}`, input())
	f(`{{ event.properties.colour }} {{ event.properties.colour | upcase }} {{ profile.traits.x.y }}`, input(), "event.properties.colour", "profile.traits.x.y")
	f(`{{ event.properties.colour | default: "red" }}`, input())
	f(`{% if event.properties.colour %}{{ event.properties.colour }}{% endif %}`, input())
	f(`{{ event.properties.product }}`, render.Input{User: "u"}, "event.properties.product")
}

func TestPersonal(t *testing.T) {
	f := func(source string, want bool) {
		t.Helper()
		tpl, err := render.Parse(source, render.HTML)
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		if got := tpl.Personal(); got != want {
			t.Errorf("%s: personal is %v, want %v", source, got, want)
		}
	}
	f(`hello`, false)
	f(`{{ event.properties.x }} {{ campaign.name }} {{ event.context.page.path }}`, false)
	f(`{{ 'profile.traits.x' }}`, false)
	f(`{% raw %}{{ profile.id }}{% endraw %}`, false)
	f(`{{ profile.traits.x }}`, true)
	f(`{{ "a" | append: profile.id }}`, true)
	f(`{% if event.properties[profile.traits.x] %}a{% endif %}`, true)
	f(`{% assign a = profile %}{{ a.traits.x }}`, true)
	f(`{% for t in profile.traits %}{{ t[0] }}{% endfor %}`, true)
	f(`{% case 1 %}{% when profile.traits.n %}x{% endcase %}`, true)
	f(`{% for i in (1..3) limit: profile.traits.n %}x{% endfor %}`, true)
	f(`{% if 1 == 2 %}{% elsif profile.traits.vip %}x{% endif %}`, true)
	f(`{{ event.traits.email }}`, true) // an identify carries the profile's traits
	f(`{{ event | json }}`, true)
	f(`{{ event["traits"] }}`, true)
	f(`{{ pull.scores.next_best }}`, true)
}

func TestParseErrors(t *testing.T) {
	f := func(source string, line int, want string) {
		t.Helper()
		_, err := render.Parse(source, render.HTML)
		var syntax *render.SyntaxError
		if !errors.As(err, &syntax) || syntax.Line != line || !strings.Contains(syntax.Message, want) {
			t.Errorf("%q: got %v, want line %d: ... %s ...", source, err, line, want)
		}
	}
	f("a\n{{ event.properties.x", 2, "not closed")
	f("{% if event.name %}", 1, "unterminated")
	f("{% comment %} x", 1, "not closed")
	f("a\n\n{{ evnt.properties.x }}", 3, `nothing is called "evnt"`)
	f("{{ event.props.x }}", 1, `event has no "props"`)
	f("{{ profile.name }}", 1, `profile has no "name"`)
	f("{{ event.name | upcse }}", 1, `did you mean upcase`)
	f("{% include 'x' %}", 1, "no other files")
	f("{% tablerow i in (1..2) %}{% endtablerow %}", 1, "no tag")
	f("{{ event.name | | upcase }}", 1, "syntax error")
	f("{{ 'a }}", 1, "syntax error")
	f("{{ event\n.name }}", 1, "not closed") // an expression is one line
	f("{% endif %}", 1, "not inside")
	f("{% if true %}{% else %}{% elsif true %}{% endif %}", 1, "must come last")
	f("{% for event in (1..2) %}{% endfor %}", 1, "must not take the name")
	f(strings.Repeat("{% if true %}", 40)+strings.Repeat("{% endif %}", 40), 0, "nested")
	f("{{ 99999999999999999999 }}", 0, "the number 99999999999999999999 is out of range")
	f("{% assign a = 99999999999999999999 %}", 0, "the number 99999999999999999999 is out of range")
	f("{{ 1"+strings.Repeat("0", 400)+".5 }}", 0, "out of range")
	f("{{ 1 "+strings.Repeat("| plus: 1", 33)+" }}", 1, "more than 32 filters")
	f(strings.Repeat("a", render.MaxTemplateBytes+1), 0, "at most")
}

// What goes wrong for everybody is found before anything is sent.
func TestMistakesOfUse(t *testing.T) {
	wrong := func(source, want string) {
		t.Helper()
		_, err := render.Parse("a\n"+source, render.HTML)
		if err == nil || err.Error() != "line 2: "+want {
			t.Errorf("%s:\n got %v\nwant line 2: %s", source, err, want)
		}
	}
	wrong(`{{ event.properties.n | plural: "one: a", "few: b" }}`, `plural: the form for all other numbers is missing: "other: ..."`)
	wrong(`{{ 2 | plural: "a", "b", "c" }}`, `plural: it takes two forms, or names each: "one: ...", "few: ...", "other: ..."; "a" has no name`)
	wrong(`{{ 2 | plural: "other: a", "other: b" }}`, `plural: the form for other is there twice`)
	wrong(`{{ 2 | plural: "other: a" }}`, `plural: takes 2 to 6 arguments, not 1`)
	wrong(`{{ "two" | plural: "a", "b" }}`, `plural: "two" is not a number`)
	wrong(`{{ event.name | upcase: 1 }}`, `upcase: takes no arguments, not 1`)
	wrong(`{{ event.name | append }}`, `append: takes 1 argument, not 0`)
	wrong(`{{ event.name | replace: "a" }}`, `replace: takes 2 arguments, not 1`)
	wrong(`{{ event.properties.n | plus: "a" }}`, `plus: "a" is not a number`)
	wrong(`{{ event.properties.n | times: 2 | divided_by: 0 }}`, `divided_by: division by zero`)
	wrong(`{{ event.name | truncate: "long" }}`, `truncate: "long" is not a number`)
	wrong(`{% assign a = "x" | round %}`, `round: "x" is not a number`)
	wrong(`{% for i in event.properties.items | slice: "a" %}{% endfor %}`, `slice: "a" is not a number`)
	wrong(`{% if event.name | plus: "a" %}{% endif %}`, `plus: "a" is not a number`)
	wrong(`{{ "tomorrow" | date: "%d" }}`, `date: "tomorrow" is not a time`)
	wrong(`{{ event.timestamp | date: '%999999999d' }}`, `date: the format of a date is too long`)
	wrong(`{{ event.timestamp | date: "%H", "Europe/Berln" }}`, `date: "Europe/Berln" is no time zone: write one such as "Europe/Berlin", or profile.timezone`)
	wrong(`{{ "%zz" | url_decode }}`, `url_decode: invalid URL escape "%zz"`)
	wrong(`{% break %}`, `break stands outside of a loop`)
	wrong(`{% for i in (1..2) %}{% else %}{% continue %}{% endfor %}`, `continue stands outside of a loop`)
	wrong(`{% for i in (1..2) limit: "x" %}{% endfor %}`, `limit of a loop must be a number`)
	wrong(`{% for i in ("a"..3) %}{% endfor %}`, `a range goes from one number to another, and "a" is none`)
	wrong(`{{ (1.."b") }}`, `a range goes from one number to another, and "b" is none`)
	wrong(`{{ profile.acquisition.source }}`, `profile.acquisition has no "source": it has month, referrer and campaign`)
	wrong(`{{ profile.lastTouch.referrer }}`, `profile.lastTouch has no "referrer": it has source, medium, campaign and at`)
	wrong(`{{ event.context.page.search }}`, `event.context.page has no "search": it has url, path, referrer and title`)
	wrong(`{{ event.context.campaign.id }}`, `event.context.campaign has no "id": it has source, medium, name, term and content`)
	wrong(`{{ profile.country.name }}`, `profile.country has no "name": it is a single value`)
	wrong(`{{ unsubscribe_url.x }}`, `unsubscribe_url has no "x": it is a single value`)
	wrong(`{% for i in (1..2) %}{{ forloop.count }}{% endfor %}`, `forloop has no "count": it has index, index0, rindex, rindex0, first, last and length`)

	right := func(source string) {
		t.Helper()
		made, err := render.Parse(source, render.HTML)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			return
		}
		if _, err := made.Render(t.Context(), input()); err != nil {
			t.Errorf("%s: %v", source, err)
		}
	}
	right(`{{ event.properties.count | divided_by: event.properties.count | plus: -1.5 | at_least: 0 }}`)
	right(`{{ event.properties.count | plural: event.name, profile.traits.firstName }}`)
	right(`{{ event.timestamp | date: event.name, profile.timezone }}`)
	right(`{{ event.name | slice: -2, 2 | append: (1..3) | append: event.properties["note"] | prepend: "a, b | c" }}`)
	right(`{{ (1..3) | join: ", " }} {{ (1..3) | size }} {{ event.name.size }}`)
	right(`{% if event.name == "a" and event.properties.count | plus: 1 %}{% endif %}`)
	right(`{% for i in event.properties.items | sort: "p" limit: 1 offset: 0 %}{% for j in (1..3) reversed %}{% break %}{% endfor %}{% continue %}{% endfor %}`)
	right(`{% case event.name | upcase %}{% when "A", "B" %}{% endcase %}{% cycle "a", "b" %}`)
	right(`{{ event.context.device.model }} {{ event.context.shelf }} {{ event.properties.a.b.c }} {{ profile.traits.x.y }}`)
	right(`{{ event.properties.items | map: "n" | where: "p", 2 | concat: event.properties.items | uniq | compact | reverse | first | default: nil }}`)
	right(`{{ event.properties.count | money: "EUR", profile.locale }} {{ event.properties.count | number }} {{ profile.traits.x | json | raw }}`)
	right(`{{ event.properties.items | sum: "p" }} {{ event.name | truncatewords: 2, "" }} {{ event.name | split: "" | size }}`)
}

// Runaway templates end soon, with an error and little memory.
func TestBounds(t *testing.T) {
	f := func(source string, want error) {
		t.Helper()
		tpl, err := render.Parse(source, render.HTML)
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		began := time.Now()
		_, err = tpl.Render(t.Context(), input())
		if !errors.Is(err, want) && !strings.Contains(err.Error(), want.Error()) { // filters' errors come as text
			t.Errorf("%s: got %v, want %v", source, err, want)
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("%s: took %v", source, d)
		}
	}
	f(`{% for i in (1..1000000000) %}{% endfor %}`, render.ErrTooMuch)
	f(`{% for i in (1..100000) %}{% for j in (1..100000) %}{% for k in (1..100000) %}{% endfor %}{% endfor %}{% endfor %}`, render.ErrTooMuch)
	f(`{% for i in (1..10000) %}0123456789{% endfor %}`, render.ErrTooLong)
	f(`{% assign s = 'aaaaaaaaaa' %}{% for i in (1..60) %}{% assign s = s | append: s %}{% endfor %}`, render.ErrTooMuch)
	f(`{% assign s = 'aaaaaaaaaa' %}{% for i in (1..60) %}{% assign s = s | replace: 'a', s %}{% endfor %}`, render.ErrTooMuch)
	f(`{% assign s = 'ab' %}{% for i in (1..60) %}{% capture s %}{{ s }}{{ s }}{% endcapture %}{% endfor %}`, render.ErrTooLong)
	f(`{% assign a = 'a b c' | split: ' ' %}{% for i in (1..60) %}{% assign a = a | concat: a %}{% endfor %}`, render.ErrTooMuch)
	f(`{{ (1..1000000000) | join }}`, render.ErrTooMuch)
	f(`{{ (1..1000000000) | json }}`, render.ErrTooMuch)
	f(`{{ (1..1000000000) }}`, render.ErrTooMuch)
	f(`{{ (1..1000000000) | reverse | first }}`, render.ErrTooMuch)
	f(`{{ (1..1000000000) | append: 'x' }}`, render.ErrTooMuch)
	f(`{% assign f = '%999999999d' %}{{ event.timestamp | date: f }}`, errors.New("line 1: "))
	f(`{% assign n = 0 %}{{ 1 | divided_by: n }}`, errors.New("division by zero"))
	f("a\n{{ event.properties.product | plus: 1 }}", errors.New("is not a number"))
	f("a\n{{ event.properties.product | plus: 1 }}", errors.New("line 2: "))
	f("a\n{% if event.properties.product %}{% for i in (1..2) limit: event.name %}{% endfor %}{% endif %}", errors.New("line 2: limit of a loop"))
	f(`{% assign n = 'a' %}{{ (n..3) }}`, errors.New("can't convert"))
}

func TestDeadline(t *testing.T) {
	tpl, err := render.Parse(`{% for i in (1..3000) %}{{ i }} {% endfor %}`, render.Text)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tpl.Render(ctx, input()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := tpl.Render(t.Context(), input()); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestCache(t *testing.T) {
	c := render.NewCache(2)
	a, err := c.Parse("a", render.HTML)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := c.Parse("a", render.HTML); again != a {
		t.Error("parsed twice")
	}
	if other, _ := c.Parse("a", render.Text); other == a {
		t.Error("one template for two modes")
	}
}

// No template panics, hangs, or prints event data into HTML unescaped without
// the word raw.
func FuzzRender(f *testing.F) {
	for _, s := range []string{
		`{{ event.properties.product | append: "x" | upcase }}`, `{% for i in (1..3) %}{{ i }}{% endfor %}`,
		`{% capture a %}{{ event.properties.product }}{% endcapture %}{{ a | strip }}`, `{% case 1 %}{% when 1 %}x{% endcase %}`,
		`{{ event.properties.items | map: "p" | sort | uniq | join: "," }}`, `{{ 5 | date: "%Y" }}`, `{% assign a = event.properties.items %}{{ a[0].n }}`,
		`{{ 99999999999999999999 }}`,
	} {
		f.Add(s)
	}
	in := input()
	in.Event.Properties = []byte(`{"product":"<evil>","items":[{"n":"<evil>","p":2}]}`)
	f.Fuzz(func(t *testing.T, source string) {
		tpl, err := render.Parse(source, render.HTML)
		if err != nil {
			return
		}
		got, err := tpl.Render(t.Context(), in)
		if err != nil {
			return
		}
		if len(got.Text) > render.MaxOutputBytes {
			t.Fatalf("%d bytes", len(got.Text))
		}
		if strings.Contains(got.Text, "<evil>") && !strings.Contains(source, "<evil>") && !strings.Contains(source, "raw") && !strings.Contains(source, "<") {
			t.Fatalf("%q printed %q", source, got.Text)
		}
	})
}

func BenchmarkRender(b *testing.B) {
	tpl, err := render.Parse(`<h2>{{ profile.traits.firstName | default: 'You' }}: +50 %</h2><p>{{ event.properties.product }}</p>`, render.HTML)
	if err != nil {
		b.Fatal(err)
	}
	in := input()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tpl.Render(b.Context(), in); err != nil {
			b.Fatal(err)
		}
	}
}

// Plural forms are those of the text's language.
func TestPlural(t *testing.T) {
	f := func(locale, number, forms, want string) {
		t.Helper()
		var got render.Result
		made, err := render.Parse(fmt.Sprintf(`{{ %s | plural: %s }}`, number, forms), render.Text)
		if err == nil {
			got, err = made.Render(t.Context(), render.Input{Locale: locale})
		}
		if got.Text != want && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s %s %s: %q, %v, want %q", locale, number, forms, got.Text, err, want)
		}
	}
	const (
		two    = `"win", "wins"`
		polish = `"one: plik", "few: pliki", "many: plików", "other: pliku"`
		arabic = `"zero: z", "one: o", "two: t", "few: f", "many: m", "other: r"`
	)
	f("", "1", two, "1 win")
	f("", "0", two, "0 wins")
	f("", "1.5", two, "1.5 wins")
	f("", `"1"`, two, "1 win")
	f("", "10000001", two, "10000001 wins")
	f("no language", "1", two, "1 win")
	f("fr-CA", "0", `"jour", "jours"`, "0 jour")
	f("fr", "1.5", `"jour", "jours"`, "1.5 jour")
	f("ja", "1", two, "1 wins") // it has no singular
	f("pl", "1", polish, "1 plik")
	f("pl-PL", "3", polish, "3 pliki")
	f("pl", "5", polish, "5 plików")
	f("pl", "12", polish, "12 plików")
	f("pl", "22", polish, "22 pliki")
	f("pl", "1.5", polish, "1.5 pliku")
	f("pl", "123456789012", polish, "123456789012 plików")
	f("pl", "3", two, "3 wins")
	f("ru", "21", `"one: файл", "other: файлов"`, "21 файл")
	f("ru", "3", `"one: файл", "other: файлов"`, "3 файлов")
	f("ar", "0", arabic, "0 z")
	f("ar", "2", arabic, "2 t")
	f("ar", "11", arabic, "11 m")
	f("ar", "100", arabic, "100 r")
	f("en", "2", `"one: a", "few: b"`, "the form for all other numbers is missing")
	f("en", "2", `"a", "b", "c"`, "it takes two forms, or names each")
	f("en", `"x"`, two, "is not a number")
}
