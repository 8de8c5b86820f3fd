package letter

import (
	"fmt"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// textOf is what a document says, with the addresses of its links.
func textOf(doc *html.Node) string {
	w := &writer{}
	w.walk(doc)
	return w.out.String()
}

// writer writes words; white space between them is decided as the next one
// comes.
type writer struct {
	out   strings.Builder
	lines int  // that end before the next word
	space bool // stands before the next word
	pre   int  // inside of preformatted text
	list  []int
}

func (w *writer) breakLines(n int) {
	if w.out.Len() > 0 {
		w.lines = max(w.lines, n)
	}
}

func (w *writer) word(s string) {
	switch {
	case w.lines > 0:
		w.out.WriteString(strings.Repeat("\n", w.lines))
	case w.space && w.out.Len() > 0:
		w.out.WriteByte(' ')
	}
	w.lines, w.space = 0, false
	w.out.WriteString(s)
}

func (w *writer) text(s string) {
	if w.pre > 0 {
		for i, line := range strings.Split(strings.Trim(s, "\n"), "\n") {
			if i > 0 {
				w.lines = min(w.lines+1, 2)
			}
			if line != "" {
				w.word(line)
			}
		}
		return
	}
	if strings.TrimLeft(s, " \t\r\n\f") != s {
		w.space = true
	}
	for i, word := range strings.Fields(s) {
		w.space = w.space || i > 0
		w.word(word)
	}
	if s != "" && strings.TrimRight(s, " \t\r\n\f") != s {
		w.space = true
	}
}

func (w *writer) children(n *html.Node) {
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		w.walk(c)
	}
}

func (w *writer) walk(n *html.Node) {
	switch n.Type {
	case html.TextNode:
		w.text(n.Data)
	case html.ElementNode:
		w.element(n)
	case html.DocumentNode:
		w.children(n)
	default: // comments, the doctype
	}
}

func (w *writer) element(n *html.Node) {
	if hidden(n) {
		return
	}
	switch n.DataAtom {
	case atom.Head, atom.Style, atom.Script, atom.Template, atom.Noscript, atom.Svg:
	case atom.Br:
		w.lines = min(w.lines+1, 2)
	case atom.Hr:
		w.breakLines(2)
		w.word("---")
		w.breakLines(2)
	case atom.Img:
		w.text(attr(n, "alt"))
	case atom.A:
		w.link(n)
	case atom.Ul, atom.Ol:
		first := 0 // no numbers
		if n.DataAtom == atom.Ol {
			first = 1
		}
		w.list = append(w.list, first)
		w.block(n, 2)
		w.list = w.list[:len(w.list)-1]
	case atom.Li:
		w.breakLines(1)
		w.word(w.bullet())
		w.space = true
		w.children(n)
		w.breakLines(1)
	case atom.Pre:
		w.pre++
		w.block(n, 2)
		w.pre--
	case atom.P, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6, atom.Table, atom.Blockquote, atom.Dl:
		w.block(n, 2)
	case atom.Div, atom.Tr, atom.Section, atom.Article, atom.Header, atom.Footer, atom.Main, atom.Center, atom.Figure, atom.Figcaption,
		atom.Address, atom.Dt, atom.Dd, atom.Caption:
		w.block(n, 1)
	case atom.Td, atom.Th:
		w.space = true
		w.children(n)
		w.space = true
	default:
		w.children(n)
	}
}

func (w *writer) block(n *html.Node, lines int) {
	w.breakLines(lines)
	w.children(n)
	w.breakLines(lines)
}

func (w *writer) bullet() string {
	if len(w.list) == 0 || w.list[len(w.list)-1] == 0 {
		return "-"
	}
	n := &w.list[len(w.list)-1]
	*n++
	return fmt.Sprintf("%d.", *n-1)
}

// link writes what a link says and where it leads, unless that is the same.
func (w *writer) link(n *html.Node) {
	before := w.out.Len()
	w.children(n)
	said := strings.TrimSpace(w.out.String()[before:])
	to := strings.TrimSpace(attr(n, "href"))
	switch bare := strings.TrimPrefix(to, "mailto:"); {
	case to == "" || strings.HasPrefix(to, "#") || said == to || said == bare:
	case said == "":
		w.word(bare)
	default:
		w.space, w.lines = true, 0
		w.word("(" + bare + ")")
	}
}

// hidden tells what is not shown: so do preheaders, the line that mailboxes show
// beside the subject.
func hidden(n *html.Node) bool {
	style := strings.ToLower(strings.Join(strings.Fields(attr(n, "style")), ""))
	return strings.Contains(style, "display:none") || strings.Contains(style, "visibility:hidden")
}
