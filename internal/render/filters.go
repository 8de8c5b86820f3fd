package render

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/osteele/liquid/values"
	"github.com/osteele/tuesday"
)

// filter is one filter: what stands left of it, and its arguments.
type filter struct {
	min, max int
	fn       func(w *writer, in any, args []any) (any, error)
}

// unknown stands for what a filter gets only when it is rendered.
type unknown struct{}

// check refuses a use of a filter that cannot go well, whatever the fields in it
// turn out to be.
func (f filter) check(use call) error {
	if n := len(use.args); n < f.min || n > f.max {
		return fmt.Errorf("takes %s, not %d", f.arguments(), n)
	}
	value := func(o operand) any {
		if o.literal {
			return o.value
		}
		return unknown{}
	}
	args := make([]any, len(use.args))
	for i, o := range use.args {
		args[i] = value(o)
	}
	w := acquire()
	defer release(w)
	w.ctx = context.Background()
	_, err := f.fn(w, value(use.in), args)
	return err
}

func (f filter) arguments() string {
	switch {
	case f.max == 0:
		return "no arguments"
	case f.min == f.max && f.min == 1:
		return "1 argument"
	case f.min == f.max:
		return fmt.Sprintf("%d arguments", f.min)
	}
	return fmt.Sprintf("%d to %d arguments", f.min, f.max)
}

// filterTable is all filters that templates may use.
func filterTable() map[string]filter {
	str := func(fn func(string) string) filter {
		return filter{0, 0, func(w *writer, in any, _ []any) (any, error) {
			s, err := w.text(in)
			if err != nil {
				return nil, err
			}
			return w.keep(fn(s))
		}}
	}
	num := func(fn func(float64) float64) filter {
		return filter{0, 0, func(w *writer, in any, _ []any) (any, error) {
			v, err := w.float(in)
			if err != nil {
				return nil, err
			}
			return tidy(fn(v)), nil
		}}
	}
	arith := func(fn func(a, b float64) (float64, error)) filter {
		return filter{1, 1, func(w *writer, in any, args []any) (any, error) {
			a, err := w.float(in)
			if err != nil {
				return nil, err
			}
			b, err := w.float(args[0])
			if err != nil {
				return nil, err
			}
			v, err := fn(a, b)
			if err != nil {
				return nil, err
			}
			return tidy(v), nil
		}}
	}
	seq := func(lo, hi int, fn func(w *writer, l []any, args []any) (any, error)) filter {
		return filter{lo, hi, func(w *writer, in any, args []any) (any, error) {
			l, err := w.list(in)
			if err != nil {
				return nil, err
			}
			if err := w.step(1 + len(l)/16); err != nil {
				return nil, err
			}
			return fn(w, l, args)
		}}
	}
	return map[string]filter{
		// values
		"default": {1, 1, func(_ *writer, in any, args []any) (any, error) {
			if in == nil || in == false || values.IsEmpty(in) || in == (markup{}) {
				return args[0], nil
			}
			return in, nil
		}},
		"json": {0, 0, func(w *writer, in any, _ []any) (any, error) { return w.json(in) }},
		"raw": {0, 0, func(w *writer, in any, _ []any) (any, error) {
			s, err := w.text(in)
			return markup{s}, err
		}},
		"size": {0, 0, func(_ *writer, in any, _ []any) (any, error) {
			switch v := in.(type) {
			case ranger:
				return max(v.Len(), 0), nil
			case map[string]any:
				return len(v), nil
			}
			return values.Length(plain(in)), nil
		}},

		// texts
		"append": {1, 1, func(w *writer, in any, args []any) (any, error) { return w.concat(in, args[0]) }},
		"prepend": {1, 1, func(w *writer, in any, args []any) (any, error) {
			return w.concat(args[0], in)
		}},
		"capitalize": str(func(s string) string {
			first := cutRunes(s, 1)
			return strings.ToUpper(first) + s[len(first):]
		}),
		"downcase":       str(strings.ToLower),
		"upcase":         str(strings.ToUpper),
		"strip":          str(strings.TrimSpace),
		"lstrip":         str(func(s string) string { return strings.TrimLeft(s, " \t\r\n") }),
		"rstrip":         str(func(s string) string { return strings.TrimRight(s, " \t\r\n") }),
		"strip_newlines": str(func(s string) string { return strings.NewReplacer("\r", "", "\n", "").Replace(s) }),
		"strip_html":     str(stripHTML),
		"url_encode":     str(url.QueryEscape),
		"url_decode": {0, 0, func(w *writer, in any, _ []any) (any, error) {
			s, err := w.text(in)
			if err != nil {
				return nil, err
			}
			if s, err = url.QueryUnescape(s); err != nil {
				return nil, err
			}
			return w.keep(s)
		}},
		"escape": {0, 0, func(w *writer, in any, _ []any) (any, error) { return w.escape(in, html.EscapeString) }},
		"escape_once": {0, 0, func(w *writer, in any, _ []any) (any, error) {
			return w.escape(in, func(s string) string { return html.EscapeString(html.UnescapeString(s)) })
		}},
		"newline_to_br": {0, 0, func(w *writer, in any, _ []any) (any, error) {
			return w.escape(in, func(s string) string {
				if w.html {
					s = html.EscapeString(s)
				}
				return strings.ReplaceAll(s, "\n", "<br />\n")
			})
		}},
		"remove":        {1, 1, replaceFilter(-1)},
		"remove_first":  {1, 1, replaceFilter(1)},
		"replace":       {2, 2, replaceFilter(-1)},
		"replace_first": {2, 2, replaceFilter(1)},
		"slice":         {1, 2, sliceFilter},
		"split":         {1, 1, splitFilter},
		"truncate":      {0, 2, truncateFilter},
		"truncatewords": {0, 2, truncateWordsFilter},

		// lists
		"join": seq(0, 1, func(w *writer, l []any, args []any) (any, error) {
			sep := " "
			if len(args) == 1 {
				var err error
				if sep, err = w.text(args[0]); err != nil {
					return nil, err
				}
			}
			return w.join(l, sep)
		}),
		"first": seq(0, 0, func(_ *writer, l []any, _ []any) (any, error) {
			if len(l) == 0 {
				return nil, nil
			}
			return l[0], nil
		}),
		"last": seq(0, 0, func(_ *writer, l []any, _ []any) (any, error) {
			if len(l) == 0 {
				return nil, nil
			}
			return l[len(l)-1], nil
		}),
		"compact": seq(0, 0, func(w *writer, l []any, _ []any) (any, error) {
			return w.keepList(slices.DeleteFunc(slices.Clone(l), func(v any) bool { return v == nil }))
		}),
		"concat": seq(1, 1, func(w *writer, l []any, args []any) (any, error) {
			more, err := w.list(args[0])
			if err != nil {
				return nil, err
			}
			if len(l)+len(more) > maxElements {
				return nil, ErrTooMuch
			}
			return w.keepList(slices.Concat(l, more))
		}),
		"reverse": seq(0, 0, func(w *writer, l []any, _ []any) (any, error) {
			l = slices.Clone(l)
			slices.Reverse(l)
			return w.keepList(l)
		}),
		"map": seq(1, 1, func(w *writer, l []any, args []any) (any, error) {
			key, err := w.text(args[0])
			if err != nil {
				return nil, err
			}
			out := make([]any, len(l))
			for i, e := range l {
				if m, ok := e.(map[string]any); ok {
					out[i] = m[key]
				}
			}
			return w.keepList(out)
		}),
		"where": seq(1, 2, func(w *writer, l []any, args []any) (any, error) {
			key, err := w.text(args[0])
			if err != nil {
				return nil, err
			}
			var out []any
			for _, e := range l {
				m, ok := e.(map[string]any)
				if !ok {
					continue
				}
				v := m[key]
				if len(args) == 1 && v != nil && v != false || len(args) == 2 && values.Equal(v, args[1]) {
					out = append(out, e)
				}
			}
			return w.keepList(out)
		}),
		"sort": seq(0, 1, sortFilter(func(v any) any { return v })),
		"sort_natural": seq(0, 1, sortFilter(func(v any) any {
			if s, ok := v.(string); ok {
				return strings.ToLower(s)
			}
			return v
		})),
		"uniq": seq(0, 0, func(w *writer, l []any, _ []any) (any, error) {
			seen := map[string]bool{}
			var out []any
			for _, e := range l {
				s, err := w.json(e)
				if err != nil {
					return nil, err
				}
				if !seen[s] {
					seen[s] = true
					out = append(out, e)
				}
			}
			return w.keepList(out)
		}),
		"sum": seq(0, 1, func(w *writer, l []any, args []any) (any, error) {
			total := 0.0
			for _, e := range l {
				if len(args) == 1 {
					m, _ := e.(map[string]any)
					key, err := w.text(args[0])
					if err != nil {
						return nil, err
					}
					e = m[key]
				}
				v, err := w.float(e)
				if err != nil {
					return nil, err
				}
				total += v
			}
			return tidy(total), nil
		}),

		// numbers
		"abs":      num(math.Abs),
		"ceil":     num(math.Ceil),
		"floor":    num(math.Floor),
		"plus":     arith(func(a, b float64) (float64, error) { return a + b, nil }),
		"minus":    arith(func(a, b float64) (float64, error) { return a - b, nil }),
		"times":    arith(func(a, b float64) (float64, error) { return a * b, nil }),
		"at_least": arith(func(a, b float64) (float64, error) { return math.Max(a, b), nil }),
		"at_most":  arith(func(a, b float64) (float64, error) { return math.Min(a, b), nil }),
		"modulo": arith(func(a, b float64) (float64, error) {
			if b == 0 {
				return 0, errDivision
			}
			return math.Mod(a, b), nil
		}),
		"divided_by": {1, 1, func(w *writer, in any, args []any) (any, error) {
			a, err := w.float(in)
			if err != nil {
				return nil, err
			}
			b, err := w.float(args[0])
			if err != nil {
				return nil, err
			}
			if b == 0 {
				return nil, errDivision
			}
			if _, whole := args[0].(int); whole { // Liquid: a whole divisor gives a whole number
				return tidy(math.Floor(a / b)), nil
			}
			return tidy(a / b), nil
		}},
		"round": {0, 1, func(w *writer, in any, args []any) (any, error) {
			v, err := w.float(in)
			if err != nil {
				return nil, err
			}
			places := 0.0
			if len(args) == 1 {
				if places, err = w.float(args[0]); err != nil {
					return nil, err
				}
			}
			scale := math.Pow10(int(min(max(places, 0), 9)))
			return tidy(math.Round(v*scale) / scale), nil
		}},
		"money":  {0, 2, moneyFilter},
		"number": {0, 1, numberFilter},
		"plural": {2, 6, pluralFilter},

		// times
		"date": {1, 2, dateFilter},
	}
}

var errDivision = errors.New("division by zero")

// keep counts a text that a filter made.
func (w *writer) keep(s string) (any, error) {
	if err := w.grow(len(s)); err != nil {
		return nil, err
	}
	return s, w.step(len(s) / 256)
}

func (w *writer) keepList(l []any) (any, error) {
	if len(l) > maxElements {
		return nil, ErrTooMuch
	}
	w.bytes += 16 * len(l)
	if w.bytes > maxValueBytes {
		return nil, ErrTooMuch
	}
	return l, nil
}

func (w *writer) concat(a, b any) (any, error) {
	s, err := w.text(a)
	if err != nil {
		return nil, err
	}
	t, err := w.text(b)
	if err != nil {
		return nil, err
	}
	if len(s)+len(t) > maxTextBytes {
		return nil, ErrTooMuch
	}
	return w.keep(s + t)
}

// escape applies fn and marks the outcome as escaped, if that is of interest.
func (w *writer) escape(in any, fn func(string) string) (any, error) {
	s, err := w.text(in)
	if err != nil {
		return nil, err
	}
	v, err := w.keep(fn(s))
	if s, ok := v.(string); ok && w.html {
		return markup{s}, err
	}
	return v, err
}

// join is a list as one text.
func (w *writer) join(l []any, sep string) (string, error) {
	var b strings.Builder
	for i, e := range l {
		if i > 0 {
			b.WriteString(sep)
		}
		if _, nested := e.([]any); nested { // flat, as Liquid does; and no deep recursion
			var err error
			if e, err = w.json(e); err != nil {
				return "", err
			}
		}
		s, err := w.text(e)
		if err != nil {
			return "", err
		}
		b.WriteString(s)
		if b.Len() > maxTextBytes {
			return "", ErrTooMuch
		}
	}
	return b.String(), w.grow(b.Len())
}

// json is a value as JSON. Characters that HTML minds are written as \u00XX.
func (w *writer) json(v any) (string, error) {
	if err := w.weigh(v, new(int)); err != nil {
		return "", err
	}
	switch m := v.(type) {
	case markup:
		v = m.s
	case ranger:
		l, err := w.list(m)
		if err != nil {
			return "", err
		}
		v = l
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("as JSON: %w", err)
	}
	return string(b), w.grow(len(b))
}

// weigh refuses a value that would be too long as text, before it is made.
func (w *writer) weigh(v any, total *int) error {
	switch v := v.(type) {
	case string:
		*total += len(v)
	case markup:
		*total += len(v.s)
	case []any:
		for _, e := range v {
			if err := w.weigh(e, total); err != nil {
				return err
			}
		}
	case map[string]any:
		for k, e := range v {
			*total += len(k)
			if err := w.weigh(e, total); err != nil {
				return err
			}
		}
	}
	if *total += 4; *total > 2*maxTextBytes {
		return ErrTooMuch
	}
	return nil
}

// float is a value as a number; texts that are numbers count.
func (w *writer) float(v any) (float64, error) {
	switch v := v.(type) {
	case nil:
		return 0, nil
	case int:
		return float64(v), nil
	case float64:
		return v, nil
	case unknown:
		return 1, nil // nothing is divided by zero
	}
	s, err := w.text(v)
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return 0, fmt.Errorf("%q is not a number", cutRunes(s, 40))
	}
	return f, nil
}

// tidy makes whole numbers int again, as loops and indexes want them.
func tidy(f float64) any {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int(f)
	}
	return f
}

func replaceFilter(times int) func(w *writer, in any, args []any) (any, error) {
	return func(w *writer, in any, args []any) (any, error) {
		s, err := w.text(in)
		if err != nil {
			return nil, err
		}
		old, err := w.text(args[0])
		if err != nil {
			return nil, err
		}
		with := ""
		if len(args) == 2 {
			if with, err = w.text(args[1]); err != nil {
				return nil, err
			}
		}
		n := times
		if n < 0 {
			n = strings.Count(s, old)
		}
		if len(s)+n*max(len(with)-len(old), 0) > maxTextBytes {
			return nil, ErrTooMuch
		}
		return w.keep(strings.Replace(s, old, with, times))
	}
}

func sliceFilter(w *writer, in any, args []any) (any, error) {
	start, err := w.float(args[0])
	if err != nil {
		return nil, err
	}
	length := 1.0
	if len(args) == 2 {
		if length, err = w.float(args[1]); err != nil {
			return nil, err
		}
	}
	s, err := w.text(in)
	if err != nil {
		return nil, err
	}
	n := runes(s)
	from := int(min(max(start, -1e6), 1e6))
	if from < 0 {
		from += n
	}
	if from < 0 || from >= n || length <= 0 {
		return "", nil
	}
	rest := s[len(cutRunes(s, from)):]
	return w.keep(cutRunes(rest, int(min(length, 1e6))))
}

func splitFilter(w *writer, in any, args []any) (any, error) {
	s, err := w.text(in)
	if err != nil {
		return nil, err
	}
	sep, err := w.text(args[0])
	if err != nil {
		return nil, err
	}
	var parts []string
	switch {
	case s == "":
	case sep == " ":
		parts = strings.Fields(s)
	default:
		if parts = strings.SplitN(s, sep, maxElements+2); len(parts) > maxElements {
			return nil, ErrTooMuch
		}
	}
	for len(parts) > 0 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	out := make([]any, len(parts))
	for i, p := range parts {
		out[i] = p
	}
	return w.keepList(out)
}

func truncateFilter(w *writer, in any, args []any) (any, error) {
	n, tail, err := w.cutAt(args, 50)
	if err != nil {
		return nil, err
	}
	s, err := w.text(in)
	if err != nil || runes(s) <= n {
		return s, err
	}
	return w.keep(cutRunes(s, max(n-runes(tail), 0)) + tail)
}

func truncateWordsFilter(w *writer, in any, args []any) (any, error) {
	n, tail, err := w.cutAt(args, 15)
	if err != nil {
		return nil, err
	}
	s, err := w.text(in)
	if err != nil {
		return nil, err
	}
	words := strings.Fields(s)
	if len(words) <= n {
		return s, nil
	}
	return w.keep(strings.Join(words[:n], " ") + tail)
}

func (w *writer) cutAt(args []any, usual int) (n int, tail string, err error) {
	n, tail = usual, "..."
	if len(args) > 0 {
		f, err := w.float(args[0])
		if err != nil {
			return 0, "", err
		}
		n = int(min(max(f, 0), 1e6))
	}
	if len(args) > 1 {
		tail, err = w.text(args[1])
	}
	return n, tail, err
}

func sortFilter(fold func(any) any) func(w *writer, l []any, args []any) (any, error) {
	return func(w *writer, l []any, args []any) (any, error) {
		key := ""
		if len(args) == 1 {
			var err error
			if key, err = w.text(args[0]); err != nil {
				return nil, err
			}
		}
		of := func(v any) any {
			if key != "" {
				m, _ := v.(map[string]any)
				v = m[key]
			}
			return fold(plain(v))
		}
		l = slices.Clone(l)
		slices.SortStableFunc(l, func(a, b any) int {
			x, y := of(a), of(b)
			switch {
			case x == nil && y == nil:
				return 0
			case x == nil: // values that are missing come last
				return 1
			case y == nil:
				return -1
			case values.Less(x, y):
				return -1
			case values.Less(y, x):
				return 1
			}
			return 0
		})
		return w.keepList(l)
	}
}

func stripHTML(s string) string {
	var b strings.Builder
	for {
		open := strings.IndexByte(s, '<')
		if open < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:open])
		end := strings.IndexByte(s[open:], '>')
		if end < 0 {
			return b.String()
		}
		s = s[open+end+1:]
	}
}

// wide finds field widths in a date's format that would pad without bound.
var wide = regexp.MustCompile(`%[-_^#0:]*\d{2,}`)

// dateFilter writes a time by strftime. It reads the times of events and
// profiles, dates, and numbers of seconds or milliseconds since 1970, and shows
// them in a zone if one is given.
func dateFilter(w *writer, in any, args []any) (any, error) {
	if in == nil || in == "" {
		return nil, nil
	}
	if in == (unknown{}) {
		return nil, dateLiterals(args)
	}
	format, err := w.text(args[0])
	if err != nil {
		return nil, err
	}
	if len(format) > 256 || wide.MatchString(format) {
		return nil, errors.New("the format of a date is too long")
	}
	t, err := w.time(in)
	if err != nil {
		return nil, err
	}
	if len(args) == 2 {
		name, err := w.optional(args, 1)
		if err != nil {
			return nil, err
		}
		zone, _ := zoneOf(name)
		t = t.In(zone)
	}
	s, err := tuesday.Strftime(format, t)
	if err != nil {
		return nil, err
	}
	return w.keep(s)
}

// dateLiterals refuses a format that cannot be written and a zone that does not
// exist.
func dateLiterals(args []any) error {
	if format, ok := args[0].(string); ok {
		if len(format) > 256 || wide.MatchString(format) {
			return errors.New("the format of a date is too long")
		}
		if _, err := tuesday.Strftime(format, time.Time{}); err != nil {
			return err
		}
	}
	if len(args) == 2 {
		name, ok := args[1].(string)
		if _, known := zoneOf(name); ok && !known {
			return fmt.Errorf("%q is no time zone: write one such as \"Europe/Berlin\", or profile.timezone", cutRunes(name, 40))
		}
	}
	return nil
}

func (w *writer) time(v any) (time.Time, error) {
	switch v := v.(type) {
	case int:
		return sinceEpoch(float64(v)), nil
	case float64:
		return sinceEpoch(v), nil
	}
	s, err := w.text(v)
	if err != nil {
		return time.Time{}, err
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02", "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time", cutRunes(s, 40))
}

// sinceEpoch takes numbers up to the year 5138 as seconds, larger ones as ms.
func sinceEpoch(v float64) time.Time {
	if math.Abs(v) < 1e11 {
		v *= 1000
	}
	return time.UnixMilli(int64(min(max(v, -6e13), 2e14))).UTC()
}
