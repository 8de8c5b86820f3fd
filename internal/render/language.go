package render

import (
	"errors"
	"fmt"
	"slices"
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

// Locales lists a locale and those that stand in for it, the nearest first: de-AT,
// de and de-DE; zh-HK, zh-Hant and zh-TW; nb and no. They are CLDR's parents of it,
// and behind each that names no region the same in its likeliest one. What is no
// locale has none.
func Locales(s string) (out []string) {
	if len(s) > maxLocale {
		return nil
	}
	tag, err := language.Parse(s)
	if err != nil {
		return nil
	}
	add := func(tag language.Tag) {
		for _, one := range []string{tag.String(), atHome(tag).String()} {
			if !slices.Contains(out, one) {
				out = append(out, one)
			}
		}
	}
	for tag = bare(tag); !tag.IsRoot(); tag = parent(tag) {
		add(tag)
	}
	if slices.Contains(out, norwegian) { // which is written as nb unless it says nn
		add(language.Make("nb"))
	}
	return out
}

const norwegian = "no"

// parent is CLDR's; x/text does not know yet that Norwegian has one.
func parent(tag language.Tag) language.Tag {
	up := tag.Parent()
	if s := tag.String(); up.IsRoot() && (s == "nb" || s == "nn") {
		return language.Make(norwegian)
	}
	return up
}

// atHome is a language without a region in its likeliest one, pt-BR for pt; other
// tags, and what is at home nowhere, are left as they are.
func atHome(tag language.Tag) language.Tag {
	base, script, region := tag.Raw()
	likely, _ := tag.Region()
	if region.IsCountry() || region.IsGroup() || !likely.IsCountry() || len(tag.Variants())+len(tag.Extensions()) > 0 {
		return tag
	}
	parts := []any{base, likely}
	if script.String() != "Zzzz" { // not the unknown one
		parts = append(parts, script)
	}
	there, err := language.Compose(parts...)
	if err != nil {
		return tag
	}
	return bare(there)
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
	texts := make([]string, len(args))
	for i, arg := range args {
		if arg == (unknown{}) {
			return nil, nil
		}
		if texts[i], err = w.text(arg); err != nil {
			return nil, err
		}
	}
	forms, err := formsOf(texts)
	if err != nil {
		return nil, err
	}
	number := strconv.FormatFloat(v, 'f', -1, 64)
	form, ok := forms[category(number, w.locale)]
	if !ok {
		form = forms["other"]
	}
	return w.concat(number+" ", form)
}

// formsOf reads the forms of plural, by category: one and other if there are two
// without a name. That of other is always there.
func formsOf(texts []string) (map[string]string, error) {
	forms := make(map[string]string, len(texts))
	for i, form := range texts {
		name, word, named := strings.Cut(form, ":")
		word = strings.TrimSpace(word)
		switch name {
		case "zero", "one", "two", "few", "many", "other":
		default:
			named = false
		}
		if !named && len(texts) == 2 {
			name, word = [...]string{"one", "other"}[i], form
		} else if !named {
			return nil, fmt.Errorf("it takes two forms, or names each: \"one: ...\", \"few: ...\", \"other: ...\"; %q has no name", cutRunes(form, 40))
		}
		if _, twice := forms[name]; twice {
			return nil, fmt.Errorf("the form for %s is there twice", name)
		}
		forms[name] = word
	}
	if _, ok := forms["other"]; !ok {
		return nil, errors.New("the form for all other numbers is missing: \"other: ...\"")
	}
	return forms, nil
}
