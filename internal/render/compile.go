package render

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/osteele/liquid/expressions"
	"github.com/osteele/liquid/parser"
)

// A template is compiled to a list of nodes.
type node interface{ render(w *writer) error }

type (
	textNode   string
	objectNode struct {
		expr  expressions.Expression
		parts expression
	}
	assignNode struct {
		name  string
		expr  expressions.Expression
		parts expression
	}
	captureNode struct {
		name string
		body []node
	}
	// branchNode is if, unless and case: the first branch that holds.
	branchNode struct {
		subject expressions.Expression // case; nil for if and unless
		parts   expression             // of the subject
		arms    []arm
	}
	arm struct {
		tests  []expressions.Expression // any of them; nil: else
		negate bool
		parts  expression
		body   []node
	}
	loopNode struct {
		loop  expressions.Loop
		parts expression
		body  []node
		empty []node // else
	}
	cycleNode struct {
		group  string
		values []string
	}
	jumpNode struct{ err error }
)

var (
	errBreak    = errors.New("break")
	errContinue = errors.New("continue")
)

// block is a tag of the grammar; it implements parser.BlockSyntax.
type block struct {
	name    string
	end     string   // of an end tag: what it ends
	parents []string // of a clause: where it may stand
}

func (b *block) IsBlock() bool        { return true }
func (b *block) IsBlockEnd() bool     { return b.end != "" }
func (b *block) IsBlockStart() bool   { return b.end == "" && b.parents == nil }
func (b *block) IsClause() bool       { return b.parents != nil }
func (b *block) RequiresParent() bool { return b.end != "" || b.parents != nil }
func (b *block) ParentTags() []string {
	if b.end != "" {
		return []string{b.end}
	}
	return b.parents
}
func (b *block) TagName() string { return b.name }

func (b *block) CanHaveParent(p parser.BlockSyntax) bool {
	if p == nil {
		return !b.RequiresParent()
	}
	for _, name := range b.ParentTags() {
		if name == p.TagName() {
			return true
		}
	}
	return !b.RequiresParent()
}

// grammar is the blocks that templates may use. There is no include: a template
// reads no files.
type grammar struct{}

func (grammar) BlockSyntax(name string) (parser.BlockSyntax, bool) {
	switch name {
	case "if", "unless", "case", "for", "capture", "comment", "raw":
		return &block{name: name}, true
	case "endif", "endunless", "endcase", "endfor", "endcapture", "endcomment", "endraw":
		return &block{name: name, end: name[len("end"):]}, true
	case "elsif":
		return &block{name: name, parents: []string{"if"}}, true
	case "else":
		return &block{name: name, parents: []string{"if", "unless", "case", "for"}}, true
	case "when":
		return &block{name: name, parents: []string{"case"}}, true
	}
	return nil, false
}

type compiler struct {
	filters  map[string]filter
	locals   map[string]bool // names given by assign, capture and for, anywhere
	loops    int             // that what is compiled stands in
	fields   []field
	personal bool
	tells    bool
}

func (c *compiler) compile(source string) ([]node, error) {
	if err := c.scan(source); err != nil {
		return nil, err
	}
	cfg := parser.Config{Grammar: grammar{}}
	root, err := cfg.Parse(source, parser.SourceLoc{LineNo: 1})
	if err != nil {
		return nil, &SyntaxError{Line: err.LineNumber(), Message: cause(err)}
	}
	seq, ok := root.(*parser.ASTSeq)
	if !ok {
		return nil, &SyntaxError{Message: "the template has no content"}
	}
	return c.list(seq.Children, 0)
}

// cause is the library's message without its own framing.
func cause(err parser.Error) string {
	if err.Cause() != nil {
		return err.Cause().Error()
	}
	s := strings.TrimPrefix(err.Error(), "Liquid error")
	if strings.HasPrefix(s, " (line ") {
		_, s, _ = strings.Cut(s, ")")
	}
	return strings.TrimPrefix(s, ": ")
}

// scan looks at the tokens before they are parsed: for what the library passes
// over in silence, and for the names that the template gives itself.
func (c *compiler) scan(source string) error {
	inside := "" // comment or raw
	line := 0
	for _, t := range parser.Scan(source, parser.SourceLoc{LineNo: 1}, nil) {
		switch {
		case inside != "":
			if t.Type == parser.TagTokenType && t.Name == "end"+inside {
				inside = ""
			}
		case t.Type == parser.TextTokenType:
			for _, open := range []string{"{{", "{%"} {
				if i := strings.Index(t.Source, open); i >= 0 {
					return &SyntaxError{Line: t.SourceLoc.LineNo + strings.Count(t.Source[:i], "\n"), Message: open + " is not closed"}
				}
			}
		case t.Type == parser.TagTokenType:
			switch t.Name {
			case "comment", "raw":
				inside, line = t.Name, t.SourceLoc.LineNo
			case "assign", "capture", "for":
				name, _ := scanWord(strings.TrimSpace(t.Args))
				if name == "" {
					return &SyntaxError{Line: t.SourceLoc.LineNo, Message: t.Name + " needs a name"}
				}
				if slices.Contains([]string{rootEvent, rootProfile, rootCampaign, rootPull, rootForloop, rootUnsubscribe, rootConfirm}, name) {
					return &SyntaxError{Line: t.SourceLoc.LineNo, Message: fmt.Sprintf("%s must not take the name %q", t.Name, name)}
				}
				c.locals[name] = true
			}
		}
	}
	if inside != "" {
		return &SyntaxError{Line: line, Message: inside + " is not closed by end" + inside}
	}
	return nil
}

func (c *compiler) list(in []parser.ASTNode, depth int) ([]node, error) {
	if depth > maxNesting {
		return nil, &SyntaxError{Message: fmt.Sprintf("blocks are nested more than %d deep", maxNesting)}
	}
	out := make([]node, 0, len(in))
	for i, n := range in {
		switch n := n.(type) {
		case *parser.ASTText:
			s := n.Source
			if i > 0 && isTrim(in[i-1], parser.Right) {
				s = strings.TrimLeft(s, " \t\r\n")
			}
			if i+1 < len(in) && isTrim(in[i+1], parser.Left) {
				s = strings.TrimRight(s, " \t\r\n")
			}
			if s != "" {
				out = append(out, textNode(s))
			}
		case *parser.ASTRaw:
			out = append(out, textNode(strings.Join(n.Slices, "")))
		case *parser.ASTTrim:
		case *parser.ASTObject:
			x, err := c.analyse(n.Args, n.Token)
			if err != nil {
				return nil, err
			}
			out = append(out, &objectNode{expr: n.Expr, parts: x})
		case *parser.ASTTag:
			t, err := c.tag(n.Token)
			if err != nil {
				return nil, err
			}
			out = append(out, t)
		case *parser.ASTBlock:
			if n.Name == "comment" {
				continue
			}
			b, err := c.block(n, depth)
			if err != nil {
				return nil, err
			}
			out = append(out, b)
		default:
			return nil, &SyntaxError{Message: fmt.Sprintf("unexpected %T", n)}
		}
	}
	return out, nil
}

func isTrim(n parser.ASTNode, d parser.TrimDirection) bool {
	t, ok := n.(*parser.ASTTrim)
	return ok && t.TrimDirection == d
}

func (c *compiler) analyse(args string, t parser.Token) (expression, error) {
	x, err := analyse(args, c.filters)
	if err != nil {
		return x, at(t, err)
	}
	x.line = t.SourceLoc.LineNo
	for _, use := range x.calls {
		if err := c.filters[use.name].check(use); err != nil {
			return x, at(t, fmt.Errorf("%s: %w", use.name, err))
		}
	}
	for _, f := range x.fields {
		if err := checkField(f, c.locals); err != nil {
			return x, at(t, err)
		}
		c.personal, c.tells = c.personal || personalField(f), c.tells || tellingField(f)
		if !c.locals[f.steps[0]] && f.steps[0] != rootForloop {
			c.fields = append(c.fields, f)
		}
	}
	return x, nil
}

func at(t parser.Token, err error) error {
	return &SyntaxError{Line: t.SourceLoc.LineNo, Message: err.Error()}
}

func (c *compiler) tag(t parser.Token) (node, error) {
	switch t.Name {
	case "assign":
		x, err := c.analyse(t.Args, t)
		if err != nil {
			return nil, err
		}
		stmt, err := expressions.ParseStatement(expressions.AssignStatementSelector, t.Args)
		if err != nil {
			return nil, at(t, err)
		}
		return &assignNode{name: stmt.Assignment.Variable, expr: stmt.ValueFn, parts: x}, nil
	case "break", "continue":
		if c.loops == 0 {
			return nil, at(t, fmt.Errorf("%s stands outside of a loop", t.Name))
		}
		if t.Name == "break" {
			return &jumpNode{errBreak}, nil
		}
		return &jumpNode{errContinue}, nil
	case "cycle":
		stmt, err := expressions.ParseStatement(expressions.CycleStatementSelector, t.Args)
		if err != nil {
			return nil, at(t, err)
		}
		return &cycleNode{group: stmt.Group + "\x00" + t.Args, values: stmt.Values}, nil
	case "include", "render":
		return nil, at(t, fmt.Errorf("there is no %s: a template reads no other files", t.Name))
	default:
		return nil, at(t, fmt.Errorf("there is no tag %q", t.Name))
	}
}

func (c *compiler) block(b *parser.ASTBlock, depth int) (node, error) {
	if b.Name == "for" {
		c.loops++
	}
	body, err := c.list(b.Body, depth+1)
	if b.Name == "for" {
		c.loops--
	}
	if err != nil {
		return nil, err
	}
	switch b.Name {
	case "capture":
		name, n := scanWord(strings.TrimSpace(b.Args))
		if n != len(strings.TrimSpace(b.Args)) {
			return nil, at(b.Token, errors.New("capture takes one name"))
		}
		return &captureNode{name: name, body: body}, nil
	case "for":
		return c.loop(b, body, depth)
	case "if", "unless":
		test, parts, err := c.test(b.Token)
		if err != nil {
			return nil, err
		}
		n := &branchNode{arms: []arm{{tests: test, negate: b.Name == "unless", parts: parts, body: body}}}
		return n, c.clauses(n, b, depth)
	case "case":
		test, parts, err := c.test(b.Token)
		if err != nil {
			return nil, err
		}
		n := &branchNode{subject: test[0], parts: parts}
		return n, c.clauses(n, b, depth)
	default:
		return nil, at(b.Token, fmt.Errorf("there is no tag %q", b.Name))
	}
}

func (c *compiler) test(t parser.Token) ([]expressions.Expression, expression, error) {
	x, err := c.analyse(t.Args, t)
	if err != nil {
		return nil, x, err
	}
	if t.Name == "when" {
		stmt, err := expressions.ParseStatement(expressions.WhenStatementSelector, t.Args)
		if err != nil {
			return nil, x, at(t, err)
		}
		return stmt.Exprs, x, nil
	}
	e, err := expressions.Parse(t.Args)
	if err != nil {
		return nil, x, at(t, err)
	}
	return []expressions.Expression{e}, x, nil
}

func (c *compiler) clauses(n *branchNode, b *parser.ASTBlock, depth int) error {
	for i, cl := range b.Clauses {
		body, err := c.list(cl.Body, depth+1)
		if err != nil {
			return err
		}
		a := arm{body: body}
		if cl.Name != "else" {
			if a.tests, a.parts, err = c.test(cl.Token); err != nil {
				return err
			}
		} else if i != len(b.Clauses)-1 {
			return at(cl.Token, errors.New("else must come last"))
		}
		n.arms = append(n.arms, a)
	}
	return nil
}

func (c *compiler) loop(b *parser.ASTBlock, body []node, depth int) (node, error) {
	x, err := c.analyse(b.Args, b.Token)
	if err != nil {
		return nil, err
	}
	stmt, err := expressions.ParseStatement(expressions.LoopStatementSelector, b.Args)
	if err != nil {
		return nil, at(b.Token, err)
	}
	n := &loopNode{loop: stmt.Loop, parts: x, body: body}
	switch len(b.Clauses) {
	case 0:
	case 1:
		if n.empty, err = c.list(b.Clauses[0].Body, depth+1); err != nil {
			return nil, err
		}
	default:
		return nil, at(b.Clauses[1].Token, errors.New("for takes one else"))
	}
	return n, nil
}
