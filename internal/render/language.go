package render

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"
)

// maxLocale bounds what is read as a locale: it may come from a browser.
const maxLocale = 64

// Locale writes a locale such as "pt_br" as BCP 47 does, "pt-BR"; what is none is
// an error.
func Locale(s string) (string, error) {
	if len(s) > maxLocale {
		return "", fmt.Errorf("%.20q… is no locale", s)
	}
	tag, err := language.Parse(s)
	if tag = bare(tag); err != nil || tag.IsRoot() {
		return "", fmt.Errorf("%q is no locale", s)
	}
	return tag.String(), nil
}

// bare leaves out a script that goes without saying: some say zh-Hans-CN and some
// zh-CN.
func bare(tag language.Tag) language.Tag {
	base, script, region := tag.Raw()
	plain, err := language.Compose(base, region, tag.Variants(), tag.Extensions())
	if err != nil {
		return tag
	}
	if inferred, _ := plain.Script(); inferred != script {
		return tag
	}
	return plain
}

// Locales lists a locale and those that stand in for it, the nearest first: de-AT
// and de, zh-TW and zh-Hant. They are CLDR's parents of it. What is no locale has
// none.
func Locales(s string) (out []string) {
	if len(s) > maxLocale {
		return nil
	}
	tag, err := language.Parse(s)
	if err != nil {
		return nil
	}
	for tag = bare(tag); !tag.IsRoot(); tag = tag.Parent() {
		out = append(out, tag.String())
	}
	return out
}

// category is CLDR's plural category of a number, as it is written, in a language:
// English if it is not known.
func category(number, locale string) string {
	tag := language.English
	if len(locale) <= maxLocale {
		if t, err := language.Parse(locale); err == nil && !t.IsRoot() {
			tag = t
		}
	}
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(number, "-"), ".")
	// The rules look at the last digits only.
	last := func(digits string) int {
		n, _ := strconv.Atoi(digits[max(len(digits)-7, 0):]) // "" is 0
		return n
	}
	n := last(whole)
	if len(whole) > 7 {
		n += 10_000_000 // none of the small numbers that have forms of their own
	}
	// Fractions are written without zeros at the end.
	switch plural.Cardinal.MatchPlural(tag, n, len(fraction), len(fraction), last(fraction), last(fraction)) {
	case plural.Zero:
		return "zero"
	case plural.One:
		return "one"
	case plural.Two:
		return "two"
	case plural.Few:
		return "few"
	case plural.Many:
		return "many"
	case plural.Other:
	}
	return "other"
}

// pluralFilter writes {{ n | plural: "win", "wins" }} as 1 win, 2 wins, and with
// {{ n | plural: "one: plik", "few: pliki", "other: plików" }} what the language of
// the text wants. A category without a form has that of other.
func pluralFilter(w *writer, in any, args []any) (any, error) {
	v, err := w.float(in)
	if err != nil {
		return nil, err
	}
	number := strconv.FormatFloat(v, 'f', -1, 64)
	forms := make(map[string]string, len(args))
	for i, arg := range args {
		form, err := w.text(arg)
		if err != nil {
			return nil, err
		}
		name, word, named := strings.Cut(form, ":")
		word = strings.TrimSpace(word)
		switch name {
		case "zero", "one", "two", "few", "many", "other":
		default:
			named = false
		}
		if !named && len(args) == 2 {
			name, word = [...]string{"one", "other"}[i], form
		} else if !named {
			return nil, fmt.Errorf("plural takes two forms, or names each: \"one: ...\", \"few: ...\", \"other: ...\"; %q has no name", cutRunes(form, 40))
		}
		forms[name] = word
	}
	form, ok := forms[category(number, w.locale)]
	if !ok {
		form, ok = forms["other"]
	}
	if !ok {
		return nil, fmt.Errorf("plural has no form for %s", number)
	}
	return w.concat(number+" ", form)
}
