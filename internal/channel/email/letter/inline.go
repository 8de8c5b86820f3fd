package letter

import (
	"cmp"
	"slices"
	"strings"

	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"
)

// sheet is the styles of a document: mail clients drop much of what is not in an
// element's own style attribute.
type sheet struct {
	rules []rule
	rest  strings.Builder // what only a client can decide: media, states, fonts
}

// rule is one selector with what it declares.
type rule struct {
	selector     cascadia.Sel
	declarations []declaration
}

type declaration struct {
	property, value string
	important       bool
}

// add reads a style sheet. What cannot be read is left out, as browsers do.
func (s *sheet) add(text string) {
	for block := range blocks(text) {
		if strings.HasPrefix(block.prelude, "@") {
			s.keep(block)
			continue
		}
		declared := declarationsOf(block.body)
		for _, text := range split(block.prelude, ',') {
			if selector := selectorOf(text); selector != nil {
				s.rules = append(s.rules, rule{selector, declared})
			} else {
				writeRule(&s.rest, text, declared)
			}
		}
	}
}

// keep keeps a rule for clients. What it declares must win over what is inlined.
func (s *sheet) keep(b block) {
	name, _, _ := strings.Cut(b.prelude, " ")
	switch name, _, _ = strings.Cut(name, "("); strings.ToLower(name) {
	case "@media", "@supports":
		s.rest.WriteString(b.prelude + " {\n")
		for inner := range blocks(b.body) {
			if !strings.HasPrefix(inner.prelude, "@") {
				writeRule(&s.rest, inner.prelude, declarationsOf(inner.body))
			}
		}
		s.rest.WriteString("}\n")
	case "@font-face", "@keyframes":
		s.rest.WriteString(b.prelude + " {" + b.body + "}\n")
	default: // @import, @charset and the like mean nothing in a letter
	}
}

func writeRule(b *strings.Builder, selector string, declared []declaration) {
	b.WriteString(selector + " {")
	for _, d := range declared {
		b.WriteString(d.property + ":" + d.value + " !important;")
	}
	b.WriteString("}\n")
}

// selectorOf compiles a selector; nil if it is for clients alone, or costs more
// than a look at an element and those above it.
func selectorOf(text string) cascadia.Sel {
	for _, class := range []string{":has", ":contains", ":matches", ":hover", ":focus", ":active", ":visited", ":target"} {
		if strings.Contains(text, class) {
			return nil
		}
	}
	selector, err := cascadia.Parse(text)
	if err != nil {
		return nil
	}
	return selector
}

// inline writes what the rules say into an element and those in it.
func (s *sheet) inline(n *html.Node) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		s.inline(c)
	}
	if n.Type != html.ElementNode {
		return
	}
	var matched []rule
	for _, r := range s.rules {
		if r.selector.Match(n) {
			matched = append(matched, r)
		}
	}
	if len(matched) == 0 {
		return
	}
	slices.SortStableFunc(matched, func(a, b rule) int {
		x, y := a.selector.Specificity(), b.selector.Specificity()
		return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]), cmp.Compare(x[2], y[2]))
	})
	var all []declaration
	for _, r := range matched {
		all = append(all, r.declarations...)
	}
	all = append(all, declarationsOf(attr(n, "style"))...)
	slices.SortStableFunc(all, func(a, b declaration) int { return rank(a) - rank(b) })
	setAttr(n, "style", written(all))
}

func rank(d declaration) int {
	if d.important {
		return 1
	}
	return 0
}

// written are declarations of which the last one of a property counts.
func written(all []declaration) string {
	var b strings.Builder
	for i, d := range all {
		if slices.ContainsFunc(all[i+1:], func(later declaration) bool { return later.property == d.property }) {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(';')
		}
		b.WriteString(d.property + ":" + d.value)
	}
	return b.String()
}

func setAttr(n *html.Node, key, value string) {
	for i := range n.Attr {
		if n.Attr[i].Key == key {
			n.Attr[i].Val = value
			return
		}
	}
	n.Attr = append(n.Attr, html.Attribute{Key: key, Val: value})
}

// declarationsOf reads "color: red; margin: 0 !important".
func declarationsOf(text string) (out []declaration) {
	for _, part := range split(text, ';') {
		property, value, ok := strings.Cut(part, ":")
		property, value = strings.ToLower(strings.TrimSpace(property)), strings.TrimSpace(value)
		plain, important := strings.CutSuffix(strings.ToLower(value), "important")
		if important {
			if plain = strings.TrimRight(plain, " \t\r\n"); strings.HasSuffix(plain, "!") {
				value = strings.TrimSpace(value[:len(plain)-1])
			} else {
				important = false
			}
		}
		if ok && property != "" && value != "" && !strings.ContainsAny(property, " \t\r\n{}") {
			out = append(out, declaration{property, value, important})
		}
	}
	return out
}

// block is "prelude {body}"; an at-rule may have no body.
type block struct{ prelude, body string }

// blocks takes a style sheet apart. It ends with what is not closed.
func blocks(text string) func(func(block) bool) {
	text = uncomment(text)
	return func(yield func(block) bool) {
		for {
			end := scan(text, func(c byte) bool { return c == '{' || c == ';' || c == '}' })
			if end == len(text) {
				return
			}
			b := block{prelude: strings.TrimSpace(text[:end])}
			opened := text[end] == '{'
			text = text[end+1:]
			if opened {
				depth := 1
				end := scan(text, func(c byte) bool {
					switch c {
					case '{':
						depth++
					case '}':
						depth--
					}
					return depth == 0
				})
				b.body = text[:end]
				text = text[min(end+1, len(text)):]
			}
			if b.prelude != "" && (opened || b.prelude[0] == '@') && !yield(b) {
				return
			}
		}
	}
}

// split cuts a text at a byte that is not inside of a string or brackets.
func split(text string, at byte) (out []string) {
	for text != "" {
		end := scan(text, func(c byte) bool { return c == at })
		if part := strings.TrimSpace(text[:end]); part != "" {
			out = append(out, part)
		}
		text = text[min(end+1, len(text)):]
	}
	return out
}

// scan gives the place of the first byte outside of strings and brackets at
// which found holds, or the length of the text.
func scan(text string, found func(c byte) bool) int {
	quote, brackets := byte(0), 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\':
			i++
		case quote != 0:
			if c == quote || c == '\n' {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '(' || c == '[':
			brackets++
		case c == ')' || c == ']':
			brackets = max(brackets-1, 0)
		case brackets == 0 && found(c):
			return i
		}
	}
	return len(text)
}

func uncomment(text string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "/*")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		if _, text, found = strings.Cut(rest, "*/"); !found {
			return b.String()
		}
	}
}
