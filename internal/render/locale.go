package render

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones must mean the same on every machine
	"unicode"
	"unicode/utf8"
)

// notation is how a language writes numbers and amounts.
type notation struct {
	group, point string
	behind       bool // the currency stands behind the amount
}

// notationOf reads a locale such as "de-CH" or "pt_BR"; English for what is not
// known.
func notationOf(locale string) notation {
	const space, narrow = "\u00a0", "\u202f"
	lang, region, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(locale), "_", "-"), "-")
	is := func(langs ...string) bool { return slices.Contains(langs, lang) }
	switch {
	case is("de", "fr", "it") && region == "ch":
		return notation{group: "’", point: "."}
	case is("de") && region == "at":
		return notation{group: space, point: ","}
	case is("nl"), is("pt") && region == "br", is("tr"):
		return notation{group: ".", point: ","}
	case is("de", "es", "it", "da", "el", "id", "hr", "sl", "ro"):
		return notation{group: ".", point: ",", behind: true}
	case is("fr"):
		return notation{group: narrow, point: ",", behind: true}
	case is("pt", "pl", "cs", "sk", "hu", "bg", "uk", "ru", "sv", "nb", "nn", "no", "fi", "et", "lv", "lt"):
		return notation{group: space, point: ",", behind: true}
	}
	return notation{group: ",", point: "."}
}

// number writes a number with so many places.
func (n notation) number(v float64, places int) string {
	digits := strconv.FormatFloat(math.Abs(v), 'f', places, 64)
	whole, fraction, _ := strings.Cut(digits, ".")
	var b strings.Builder
	if v < 0 && strings.Trim(digits, "0.") != "" {
		b.WriteByte('-')
	}
	for i, d := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteString(n.group)
		}
		b.WriteRune(d)
	}
	if fraction != "" {
		b.WriteString(n.point + fraction)
	}
	return b.String()
}

// sign is how a currency is written: "€", "CHF".
func sign(currency string) string {
	switch currency {
	case "USD":
		return "$"
	case "EUR":
		return "€"
	case "GBP":
		return "£"
	case "JPY":
		return "¥"
	case "INR":
		return "₹"
	case "PLN":
		return "zł"
	case "BRL":
		return "R$"
	}
	return currency
}

// places of a currency's smallest unit.
func placesOf(currency string) int {
	if slices.Contains([]string{"JPY", "KRW", "VND", "CLP", "ISK", "HUF", "PYG", "UGX", "XAF", "XOF"}, currency) {
		return 0
	}
	return 2
}

// money writes an amount of a currency, "" for none.
func (n notation) money(v float64, currency string) string {
	amount := n.number(v, placesOf(currency))
	s := sign(currency)
	if s == "" {
		return amount
	}
	if n.behind {
		return amount + "\u00a0" + s
	}
	minus := ""
	if rest, negative := strings.CutPrefix(amount, "-"); negative {
		minus, amount = "-", rest
	}
	if last, _ := utf8.DecodeLastRuneInString(s); unicode.IsLetter(last) || n.point == "," {
		s += "\u00a0"
	}
	return minus + s + amount
}

// optional reads an argument that may be left out or have no value: "" then.
func (w *writer) optional(args []any, i int) (string, error) {
	if i >= len(args) || args[i] == nil {
		return "", nil
	}
	return w.text(args[i])
}

// moneyFilter writes {{ 1234.5 | money: "EUR", "de" }} as 1.234,50 €.
func moneyFilter(w *writer, in any, args []any) (any, error) {
	if in == nil {
		return nil, nil
	}
	v, err := w.float(in)
	if err != nil {
		return nil, err
	}
	currency, err := w.optional(args, 0)
	if err != nil {
		return nil, err
	}
	locale, err := w.optional(args, 1)
	if err != nil {
		return nil, err
	}
	return w.keep(notationOf(cmp.Or(locale, w.locale)).money(v, strings.ToUpper(cutRunes(currency, 8))))
}

// numberFilter writes {{ 1234.5 | number: "de" }} as 1.234,5, with at most three
// places.
func numberFilter(w *writer, in any, args []any) (any, error) {
	if in == nil {
		return nil, nil
	}
	v, err := w.float(in)
	if err != nil {
		return nil, err
	}
	locale, err := w.optional(args, 0)
	if err != nil {
		return nil, err
	}
	v = math.Round(v*1000) / 1000
	_, fraction, _ := strings.Cut(strconv.FormatFloat(v, 'f', -1, 64), ".")
	return w.keep(notationOf(cmp.Or(locale, w.locale)).number(v, len(fraction)))
}

// zoneOf is a time zone by its name, "" for UTC; for what is none, such as a
// user's browser may say, it is UTC and known is false.
func zoneOf(name string) (zone *time.Location, known bool) {
	if name == "Local" || len(name) > 64 {
		return time.UTC, false
	}
	l, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC, false
	}
	return l, true
}
