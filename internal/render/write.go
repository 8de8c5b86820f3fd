package render

import (
	"context"
	"fmt"
	"html"
	"maps"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	"github.com/osteele/liquid/expressions"
	"github.com/osteele/liquid/values"
)

// markup is text that is not escaped any more: what a capture rendered, or what
// the author passed through raw.
type markup struct{ s string }

func (m markup) String() string { return m.s }

// writer is one rendering: its variables, its output and what it may still do.
// The filters are closures over it, so that they count against its bounds.
type writer struct {
	ctx     context.Context
	html    bool
	locale  string // of the text
	cfg     expressions.Config
	vars    map[string]any
	scope   expressions.Context
	out     []byte
	steps   int
	bytes   int // of values
	missing []string
	cycles  map[string]int
}

//nolint:gochecknoglobals // a pool of scratch space; it carries nothing from one rendering to the next
var writers = sync.Pool{New: func() any {
	w := &writer{vars: make(map[string]any)}
	for name, f := range filterTable() {
		w.cfg.AddFilter(name, func(in any, args ...any) (any, error) {
			if len(args) < f.min || len(args) > f.max {
				return nil, fmt.Errorf("takes %s", f.arguments())
			}
			return f.fn(w, in, args)
		})
	}
	return w
}}

func acquire() *writer {
	w := writers.Get().(*writer)
	clear(w.vars)
	w.out, w.missing, w.cycles = w.out[:0], nil, nil
	w.steps, w.bytes = 0, 0
	w.scope = expressions.NewContext(w.vars, w.cfg)
	return w
}

func release(w *writer) {
	w.ctx = nil
	clear(w.vars)
	if cap(w.out) <= MaxOutputBytes {
		writers.Put(w)
	}
}

// step counts work; it fails once there was too much, or time is up.
func (w *writer) step(n int) error {
	before := w.steps
	w.steps += n
	if w.steps > maxSteps {
		return ErrTooMuch
	}
	if before/stepsPerCheck != w.steps/stepsPerCheck {
		if err := context.Cause(w.ctx); err != nil {
			return err
		}
	}
	return nil
}

// grow counts bytes of values.
func (w *writer) grow(n int) error {
	w.bytes += n
	if n > maxTextBytes || w.bytes > maxValueBytes {
		return ErrTooMuch
	}
	return nil
}

func (w *writer) write(s string) error {
	if len(w.out)+len(s) > MaxOutputBytes {
		return ErrTooLong
	}
	w.out = append(w.out, s...)
	return nil
}

func (w *writer) walk(nodes []node) error {
	for _, n := range nodes {
		if err := w.step(1); err != nil {
			return err
		}
		if err := n.render(w); err != nil {
			return err
		}
	}
	return nil
}

// eval is the value of an expression; errors say where it stands.
func (w *writer) eval(e expressions.Expression, parts *expression) (any, error) {
	err := w.step(parts.cost)
	if err == nil {
		var v any
		if v, err = e.Evaluate(w.scope); err == nil {
			return v, nil
		}
	}
	return nil, parts.at(err)
}

// at says in which line an expression went wrong.
func (x *expression) at(err error) error { return fmt.Errorf("line %d: %w", x.line, err) }

func (t textNode) render(w *writer) error { return w.write(string(t)) }

func (n *jumpNode) render(*writer) error { return n.err }

func (n *objectNode) render(w *writer) error {
	v, err := w.eval(n.expr, &n.parts)
	if err != nil {
		return err
	}
	if !n.parts.hasDefault {
		for _, f := range n.parts.fields {
			if w.isMissing(f) && !slices.Contains(w.missing, f.text) {
				w.missing = append(w.missing, f.text)
			}
		}
	}
	return w.print(v)
}

// isMissing tells whether a field of the input has no value.
func (w *writer) isMissing(f field) bool {
	var v any
	switch f.steps[0] {
	case rootEvent, rootProfile, rootCampaign, rootPull:
		v = w.vars[f.steps[0]]
	default:
		return false
	}
	for _, s := range f.steps[1:] {
		m, ok := v.(map[string]any)
		if !ok {
			// .size, .first and .last of a text or list
			return v == nil
		}
		if v, ok = m[s]; !ok && s == "size" {
			return false
		}
	}
	return v == nil
}

// print writes a value as {{ }} does.
func (w *writer) print(v any) error {
	switch v := v.(type) {
	case nil:
		return nil
	case markup:
		return w.write(v.s)
	case []any:
		for _, e := range v {
			if err := w.step(1); err != nil {
				return err
			}
			if err := w.print(e); err != nil {
				return err
			}
		}
		return nil
	}
	s, err := w.text(v)
	if err != nil {
		return err
	}
	if w.html {
		s = html.EscapeString(s)
	}
	return w.write(s)
}

// text is a value as text, within the bounds.
func (w *writer) text(v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case markup:
		return v.s, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int:
		return strconv.Itoa(v), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case []any:
		return w.join(v, "")
	case map[string]any:
		return w.json(v)
	case ranger:
		l, err := w.list(v)
		if err != nil {
			return "", err
		}
		return w.join(l, "")
	case unknown:
		return "", nil
	}
	return "", fmt.Errorf("cannot print a %T", v)
}

// ranger is what the library makes of (1..n).
type ranger interface {
	Len() int
	Index(i int) any
}

// list is a value as a list, within the bounds. The values of an object come in
// order of key.
func (w *writer) list(v any) ([]any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case []any:
		return v, nil
	case map[string]any:
		keys := slices.Sorted(maps.Keys(v))
		out := make([]any, len(keys))
		for i, k := range keys {
			out[i] = v[k]
		}
		return out, w.grow(16 * len(out))
	case ranger:
		n := v.Len()
		if n <= 0 {
			return nil, nil
		}
		if n > maxElements {
			return nil, ErrTooMuch
		}
		if err := w.grow(16 * min(n, maxTextBytes/16)); err != nil {
			return nil, err
		}
		out := make([]any, n)
		for i := range out {
			out[i] = v.Index(i)
		}
		return out, nil
	}
	return []any{v}, nil
}

func (n *assignNode) render(w *writer) error {
	v, err := w.eval(n.expr, &n.parts)
	if err != nil {
		return err
	}
	w.vars[n.name] = v
	return nil
}

func (n *captureNode) render(w *writer) error {
	start := len(w.out)
	err := w.walk(n.body)
	s := string(w.out[start:])
	w.out = w.out[:start]
	if gerr := w.grow(len(s)); gerr != nil {
		return gerr
	}
	// Without a character that HTML minds, text stays text and can be compared.
	if w.html && html.EscapeString(s) != s {
		w.vars[n.name] = markup{s}
	} else {
		w.vars[n.name] = s
	}
	return err
}

func (n *branchNode) render(w *writer) error {
	var subject any
	if n.subject != nil {
		v, err := w.eval(n.subject, &n.parts)
		if err != nil {
			return err
		}
		subject = plain(v)
	}
	for i := range n.arms {
		a := &n.arms[i]
		hit := a.tests == nil
		for _, t := range a.tests {
			v, err := w.eval(t, &a.parts)
			if err != nil {
				return err
			}
			if n.subject != nil {
				hit = values.Equal(subject, plain(v))
			} else {
				hit = (v != nil && v != false) != a.negate
			}
			if hit {
				break
			}
		}
		if hit {
			return w.walk(a.body)
		}
	}
	return nil
}

func plain(v any) any {
	if m, ok := v.(markup); ok {
		return m.s
	}
	return v
}

func (n *loopNode) render(w *writer) error {
	v, err := w.eval(n.loop.Expr, &n.parts)
	if err != nil {
		return err
	}
	var items ranger
	switch v := v.(type) {
	case nil:
		items = listed(nil)
	case ranger:
		items = v
	case []any:
		items = listed(v)
	case map[string]any: // pairs of key and value
		keys := slices.Sorted(maps.Keys(v))
		pairs := make(listed, len(keys))
		for i, k := range keys {
			pairs[i] = []any{k, v[k]}
		}
		items = pairs
	default:
		items = listed(nil)
	}
	from, count, err := n.window(w, max(items.Len(), 0))
	if err != nil {
		return err
	}
	if count == 0 {
		return w.walk(n.empty)
	}
	name := n.loop.Variable
	outer, outerLoop := w.vars[name], w.vars[rootForloop]
	defer func() { w.vars[name], w.vars[rootForloop] = outer, outerLoop }()
	for i := range count {
		if err := w.step(1); err != nil {
			return err
		}
		at := from + i
		if n.loop.Reversed {
			at = from + count - 1 - i
		}
		w.vars[name] = items.Index(at)
		w.vars[rootForloop] = map[string]any{
			"first": i == 0, "last": i == count-1, "index": i + 1, "index0": i,
			"rindex": count - i, "rindex0": count - i - 1, "length": count,
		}
		err := w.walk(n.body)
		switch err {
		case nil, errContinue: //nolint:errorlint // made here and never wrapped
		case errBreak:
			return nil
		default:
			return err
		}
	}
	return nil
}

type listed []any

func (l listed) Len() int        { return len(l) }
func (l listed) Index(i int) any { return l[i] }

// window applies offset and limit.
func (n *loopNode) window(w *writer, length int) (from, count int, err error) {
	number := func(e expressions.Expression, what string) (int, error) {
		v, err := w.eval(e, &n.parts)
		if err != nil {
			return 0, err
		}
		switch v := v.(type) {
		case int:
			return max(v, 0), nil
		case float64:
			return max(int(v), 0), nil
		}
		return 0, n.parts.at(fmt.Errorf("%s of a loop must be a number", what))
	}
	count = length
	if n.loop.Offset != nil {
		if from, err = number(n.loop.Offset, "offset"); err != nil {
			return 0, 0, err
		}
		from = min(from, length)
		count = length - from
	}
	if n.loop.Limit != nil {
		limit, err := number(n.loop.Limit, "limit")
		if err != nil {
			return 0, 0, err
		}
		count = min(count, limit)
	}
	return from, count, nil
}

func (n *cycleNode) render(w *writer) error {
	if w.cycles == nil {
		w.cycles = make(map[string]int)
	}
	i := w.cycles[n.group]
	w.cycles[n.group] = i + 1
	return w.write(n.values[i%len(n.values)])
}

// cutRunes is the first n characters.
func cutRunes(s string, n int) string {
	if n <= 0 {
		return ""
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

func runes(s string) int { return utf8.RuneCountInString(s) }
