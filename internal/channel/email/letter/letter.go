// Package letter owns how rendered HTML becomes the content of an e-mail: its
// CSS inlined, its links replaced, and a text twin for who reads no HTML.
//
// It does not own the envelope, the headers or the transport (email). It does no
// I/O and may be called concurrently.
package letter

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Bounds of one letter.
const (
	// MaxBytes is how long the HTML may become.
	MaxBytes = 512 << 10
	// maxMatches is how often a selector may be held against an element: tens of
	// milliseconds.
	maxMatches = 200_000
)

// ErrTooMuch says that a letter goes over one of its bounds.
var ErrTooMuch = errors.New("letter: the content is too much for an e-mail")

// Letter is content in its two forms.
type Letter struct{ HTML, Text string }

// Options are what else becomes of the content.
type Options struct {
	// Link gives what stands for a link's address; nil leaves all of them. It is
	// not asked for links that begin with Keep, or that lead elsewhere than to the
	// web.
	Link func(address string) string
	Keep string
	// Pixel is the address of an image that tells of an opening; "" for none.
	Pixel string
	// Imprint is a line that ends the letter unless it is in it already.
	Imprint string
}

// New makes a letter of HTML, be it a document or a piece of one.
func New(body string, o Options) (Letter, error) {
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		return Letter{}, fmt.Errorf("letter: read the HTML: %w", err)
	}
	p := parts{}
	p.find(doc)
	if p.body == nil { // a frame set
		return Letter{}, errors.New("letter: the HTML has no body")
	}
	if n := len(p.sheet.rules); n*p.elements > maxMatches {
		return Letter{}, fmt.Errorf("%w: it has %d elements and %d selectors", ErrTooMuch, p.elements, n)
	}
	p.sheet.inline(p.body)
	l := Letter{Text: textOf(doc)}
	if o.Imprint != "" && !strings.Contains(squeeze(l.Text), squeeze(o.Imprint)) {
		p.body.AppendChild(imprint(o.Imprint))
		l.Text += "\n\n" + o.Imprint
	}
	if o.Link != nil {
		for _, link := range p.links {
			relink(link, o)
		}
	}
	if o.Pixel != "" {
		p.body.AppendChild(element(atom.Img, "src", o.Pixel, "width", "1", "height", "1", "alt", "", "style", "display:block;border:0"))
	}
	p.complete(doc)
	out := bounded{}
	if err := html.Render(&out, doc); err != nil {
		return Letter{}, err
	}
	l.HTML = out.String()
	return l, nil
}

// parts are the places of a document that matter here.
type parts struct {
	head, body      *html.Node
	links           []*html.Node
	sheet           sheet
	doctype, scaled bool
	elements        int
}

func (p *parts) find(n *html.Node) {
	for c := n.FirstChild; c != nil; {
		next := c.NextSibling
		switch {
		case c.Type == html.DoctypeNode:
			p.doctype = true
		case c.Type == html.ElementNode && (c.DataAtom == atom.Script || c.DataAtom == atom.Base):
			n.RemoveChild(c) // no mailbox runs it; a base would lead links elsewhere
			c = next
			continue
		case c.Type == html.ElementNode && c.DataAtom == atom.Style:
			if t := c.FirstChild; t != nil && c.Namespace == "" {
				p.sheet.add(t.Data)
			}
			n.RemoveChild(c)
			c = next
			continue
		case c.Type == html.ElementNode:
			p.element(c)
		}
		p.find(c)
		c = next
	}
}

func (p *parts) element(c *html.Node) {
	p.elements++
	switch c.DataAtom {
	case atom.Head:
		p.head = c
	case atom.Body:
		p.body = c
	case atom.A, atom.Area:
		p.links = append(p.links, c)
	case atom.Meta:
		p.scaled = p.scaled || strings.EqualFold(attr(c, "name"), "viewport")
	default: // it only counts
	}
}

// complete adds what a phone needs to show the letter at its size.
func (p *parts) complete(doc *html.Node) {
	if !p.doctype {
		doc.InsertBefore(&html.Node{Type: html.DoctypeNode, Data: "html"}, doc.FirstChild)
	}
	if !p.scaled {
		p.head.InsertBefore(element(atom.Meta, "name", "viewport", "content", "width=device-width, initial-scale=1"), p.head.FirstChild)
	}
	if rest := p.sheet.rest.String(); rest != "" {
		style := element(atom.Style)
		style.AppendChild(&html.Node{Type: html.TextNode, Data: rest})
		p.head.AppendChild(style)
	}
	p.head.InsertBefore(element(atom.Meta, "http-equiv", "Content-Type", "content", "text/html; charset=utf-8"), p.head.FirstChild)
}

func relink(n *html.Node, o Options) {
	for i := range n.Attr {
		if n.Attr[i].Key != "href" {
			continue
		}
		to := strings.TrimSpace(n.Attr[i].Val)
		if web(to) && (o.Keep == "" || !strings.HasPrefix(to, o.Keep)) {
			n.Attr[i].Val = o.Link(to)
		}
	}
}

// web tells addresses that a browser opens from those of mail, telephones and
// places in the letter.
func web(address string) bool {
	scheme, _, ok := strings.Cut(address, "://")
	return ok && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"))
}

func imprint(line string) *html.Node {
	n := element(atom.Div, "style", "padding:16px;font:12px/1.5 sans-serif;color:#6b6b6b;text-align:center")
	n.AppendChild(&html.Node{Type: html.TextNode, Data: line})
	return n
}

func element(a atom.Atom, attributes ...string) *html.Node {
	n := &html.Node{Type: html.ElementNode, DataAtom: a, Data: a.String()}
	for i := 0; i < len(attributes); i += 2 {
		n.Attr = append(n.Attr, html.Attribute{Key: attributes[i], Val: attributes[i+1]})
	}
	return n
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }

// bounded is a builder that ends at MaxBytes.
type bounded struct{ strings.Builder }

func (b *bounded) room(n int) error {
	if b.Len()+n > MaxBytes {
		return fmt.Errorf("%w: it is longer than %d KiB", ErrTooMuch, MaxBytes>>10)
	}
	return nil
}

// Write implements io.Writer.
func (b *bounded) Write(p []byte) (int, error) {
	if err := b.room(len(p)); err != nil {
		return 0, err
	}
	return b.Builder.Write(p)
}

// WriteString implements io.StringWriter.
func (b *bounded) WriteString(s string) (int, error) {
	if err := b.room(len(s)); err != nil {
		return 0, err
	}
	return b.Builder.WriteString(s)
}

// WriteByte implements io.ByteWriter.
func (b *bounded) WriteByte(c byte) error {
	if err := b.room(1); err != nil {
		return err
	}
	return b.Builder.WriteByte(c)
}
