package condition

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"
)

// Use says what a condition is asked about.
type Use uint8

// The uses.
const (
	ForEvent   Use = iota // an event and the profile of its user
	ForProfile            // a profile alone: traits.* only
)

// Bounds of a tree.
const (
	maxDepth   = 16
	maxNodes   = 256
	maxList    = 1000
	maxPattern = 512     // bytes of a regular expression
	maxRegexp  = 2000    // its instructions
	maxMatched = 4 << 10 // longer text matches no regular expression
	maxText    = 4 << 10
)

// Error says what is wrong where in a tree.
type Error struct {
	Path    string // such as all[1].value; empty for the root
	Message string
}

// Error is "path: message".
func (e *Error) Error() string {
	if e.Path == "" {
		return e.Message
	}
	return e.Path + ": " + e.Message
}

// Check validates a tree. Its error is an *Error.
func Check(c Condition, use Use) error {
	_, err := Compile(c, use)
	return err
}

// Program is a compiled condition. It is immutable and may be used concurrently.
type Program struct {
	junction junction
	kids     []Program
	leaf     comparison
}

type junction uint8

const (
	always junction = iota
	compare
	allOf
	anyOf
	notOf
)

// Eval tells whether the condition holds. A nil Program holds always.
func (p *Program) Eval(f *Facts) bool {
	if p == nil {
		return true
	}
	switch p.junction {
	case compare:
		return p.leaf.eval(f)
	case allOf:
		for i := range p.kids {
			if !p.kids[i].Eval(f) {
				return false
			}
		}
	case anyOf:
		for i := range p.kids {
			if p.kids[i].Eval(f) {
				return true
			}
		}
		return false
	case notOf:
		return !p.kids[0].Eval(f)
	case always:
	}
	return true
}

// Compile checks and compiles a tree. Its error is an *Error.
func Compile(c Condition, use Use) (*Program, error) {
	b := builder{use: use}
	p := &Program{}
	if err := b.build(&c, p, "", 0); err != nil {
		return nil, err
	}
	return p, nil
}

type builder struct {
	use   Use
	nodes int
}

func fail(path, format string, args ...any) error {
	return &Error{Path: path, Message: fmt.Sprintf(format, args...)}
}

func under(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (b *builder) build(c *Condition, p *Program, path string, depth int) error {
	if b.nodes++; b.nodes > maxNodes {
		return fail(path, "the condition has more than %d parts", maxNodes)
	}
	if depth > maxDepth {
		return fail(path, "is nested deeper than %d levels", maxDepth)
	}
	forms := 0
	for _, used := range []bool{c.Field != "" || c.Op != "" || c.Value != nil, c.All != nil, c.Any != nil, c.Not != nil} {
		if used {
			forms++
		}
	}
	switch {
	case forms == 0:
		return nil
	case forms > 1:
		return fail(path, "write one of field, all, any or not; join them with all or any")
	case c.Not != nil:
		p.junction, p.kids = notOf, make([]Program, 1)
		return b.build(c.Not, &p.kids[0], under(path, "not"), depth+1)
	case c.All != nil, c.Any != nil:
		list, name := c.All, "all"
		p.junction = allOf
		if c.Any != nil {
			list, name = c.Any, "any"
			p.junction = anyOf
		}
		if len(list) == 0 {
			return fail(under(path, name), "is empty")
		}
		p.kids = make([]Program, len(list))
		for i := range list {
			if err := b.build(&list[i], &p.kids[i], fmt.Sprintf("%s[%d]", under(path, name), i), depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	p.junction = compare
	return b.leaf(c, &p.leaf, path)
}

func (b *builder) leaf(c *Condition, l *comparison, path string) error {
	if c.Field == "" {
		return fail(under(path, "field"), "is missing")
	}
	f, err := CompileField(c.Field)
	if err != nil {
		return fail(under(path, "field"), "%v", err)
	}
	if b.use == ForProfile && !f.Profile() {
		return fail(under(path, "field"), "%q: only traits.* can be asked about a profile", c.Field)
	}
	l.field = f
	switch c.Op {
	case Eq, Gt, Gte, Lt, Lte, Contains, StartsWith, EndsWith, Matches, In, Exists:
		l.op = c.Op
	case Ne:
		l.op, l.negate = Eq, true
	case Nin:
		l.op, l.negate = In, true
	case Missing:
		l.op, l.negate = Exists, true
	case "":
		return fail(under(path, "op"), "is missing: eq ne gt gte lt lte in nin contains starts_with ends_with matches exists missing")
	default:
		return fail(under(path, "op"), "%q is unknown: eq ne gt gte lt lte in nin contains starts_with ends_with matches exists missing", c.Op)
	}
	return b.literals(c, l, under(path, "value"))
}

func (b *builder) literals(c *Condition, l *comparison, path string) error {
	switch l.op {
	case Exists:
		if c.Value != nil {
			return fail(path, "%s takes no value", c.Op)
		}
		return nil
	case In:
		list, ok := asList(c.Value)
		if !ok {
			return fail(path, "%s takes a list", c.Op)
		}
		if len(list) == 0 || len(list) > maxList {
			return fail(path, "takes 1 to %d values, has %d", maxList, len(list))
		}
		l.list = make([]literal, len(list))
		for i, v := range list {
			if err := l.list[i].set(v); err != nil {
				return fail(fmt.Sprintf("%s[%d]", path, i), "%v", err)
			}
			if err := l.fits(l.list[i].kind, c); err != nil {
				return fail(fmt.Sprintf("%s[%d]", path, i), "%v", err)
			}
		}
		return nil
	case Eq, Ne, Gt, Gte, Lt, Lte, Nin, Contains, StartsWith, EndsWith, Matches, Missing:
	}
	if c.Value == nil {
		return fail(path, "is missing; to ask whether there is one, use exists or missing")
	}
	if err := l.want.set(c.Value); err != nil {
		return fail(path, "%v", err)
	}
	switch l.op {
	case Gt, Gte, Lt, Lte:
		if l.want.kind == boolean {
			return fail(path, "%s compares numbers, texts or times", c.Op)
		}
	case StartsWith, EndsWith, Matches:
		if l.want.source != text {
			return fail(path, "%s takes text", c.Op)
		}
		l.want.kind = text
	case Contains:
		if l.want.source == text {
			l.want.kind = text
		}
	case Eq, Ne, In, Nin, Exists, Missing:
	}
	if l.op == Matches {
		return l.pattern(path)
	}
	if err := l.fits(l.want.kind, c); err != nil {
		return fail(path, "%v", err)
	}
	return nil
}

// fits refuses what can never hold because the event's own fields have types.
func (l *comparison) fits(k kind, c *Condition) error {
	want := l.field.typ
	if want == none || want == k || want == text && k == instant {
		return nil
	}
	names := map[kind]string{boolean: "true or false", text: "text", instant: "an RFC 3339 time", number: "a number"}
	return fmt.Errorf("%s is %s, not %s", c.Field, names[want], names[k])
}

func (l *comparison) pattern(path string) error {
	if len(l.want.text) > maxPattern {
		return fail(path, "is longer than %d bytes", maxPattern)
	}
	tree, err := syntax.Parse(l.want.text, syntax.Perl)
	if err != nil {
		return fail(path, "is not a regular expression (RE2): %v", err)
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return fail(path, "is not a regular expression (RE2): %v", err)
	}
	if len(prog.Inst) > maxRegexp {
		return fail(path, "is too large a regular expression: its repetitions make %d instructions, at most %d", len(prog.Inst), maxRegexp)
	}
	if l.regexp, err = regexp.Compile(l.want.text); err != nil {
		return fail(path, "is not a regular expression (RE2): %v", err)
	}
	return nil
}

func asList(v any) ([]any, bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case []string:
		out := make([]any, len(v))
		for i := range v {
			out[i] = v[i]
		}
		return out, true
	}
	return nil, false
}

// literal is a value that a definition gives, typed once. Text that is an RFC
// 3339 time or date is a time.
type literal struct {
	kind   kind
	source kind // before text was found to be a time
	flag   bool
	num    float64
	text   string
	at     time.Time
}

func (l *literal) set(v any) error {
	switch v := v.(type) {
	case bool:
		l.kind, l.flag = boolean, v
	case string:
		if len(v) > maxText {
			return fmt.Errorf("is longer than %d bytes", maxText)
		}
		l.kind, l.text = text, v
		if at, ok := parseTime(v); ok {
			l.source, l.kind, l.at = text, instant, at
			return nil
		}
	case time.Time:
		l.kind, l.at = instant, v
	case float64:
		l.kind, l.num = number, v
	case float32:
		l.kind, l.num = number, float64(v)
	case int:
		l.kind, l.num = number, float64(v)
	case int64:
		l.kind, l.num = number, float64(v)
	case uint64:
		l.kind, l.num = number, float64(v)
	case interface{ Float64() (float64, error) }: // json.Number
		n, err := v.Float64()
		if err != nil {
			return fmt.Errorf("is not a number: %w", err)
		}
		l.kind, l.num = number, n
	case nil:
		return errors.New("is null: to ask whether there is a value, use exists or missing")
	case []any, []string:
		return errors.New("is a list: only in and nin take one")
	case map[string]any:
		return errors.New("is a map: a condition compares with a fixed text, number, true or false. It cannot refer to another step or field: " +
			"a row keeps times, not what earlier events carried; let the sender put the difference into a property")
	default:
		return fmt.Errorf("is %T: write text, a number, true or false", v)
	}
	l.source = l.kind
	return nil
}

// parseTime reads an RFC 3339 time, or date (its midnight in UTC).
func parseTime(s string) (time.Time, bool) {
	if len(s) < len(time.DateOnly) || len(s) > 40 || s[4] != '-' || s[7] != '-' {
		return time.Time{}, false
	}
	layout := time.RFC3339
	if len(s) == len(time.DateOnly) {
		layout = time.DateOnly
	}
	t, err := time.Parse(layout, s)
	return t, err == nil
}

// comparison is a leaf: whether one of the values of the field satisfies the
// test. ne, nin and missing are the exact opposite of eq, in and exists, so
// they hold for a missing field.
type comparison struct {
	field  *Field
	op     Op
	negate bool
	want   literal
	list   []literal
	regexp *regexp.Regexp
}

func (c *comparison) eval(facts *Facts) bool {
	var found bool
	if c.field.root == ofEvent {
		v := c.field.own(facts.Event)
		found = v.kind != none && c.holds(&v)
	} else if doc := c.field.document(facts); doc != nil {
		found = c.walk(doc, 0, c.field.path)
	}
	return found != c.negate
}

// holds is the test for one value that is there.
func (c *comparison) holds(v *value) bool {
	switch c.op {
	case Exists:
		return true
	case Eq:
		return c.want.equal(v)
	case In:
		for i := range c.list {
			if c.list[i].equal(v) {
				return true
			}
		}
		return false
	case Gt, Gte, Lt, Lte:
		return c.ordered(v)
	case Contains:
		if v.kind == array {
			for at := element(v.raw, 0); at >= 0; at = next(v.raw, at) {
				if e := read(v.raw, at); c.want.equal(&e) {
					return true
				}
			}
			return false
		}
		return v.kind == text && c.want.kind == text && strings.Contains(v.str, c.want.text)
	case StartsWith:
		return v.kind == text && strings.HasPrefix(v.str, c.want.text)
	case EndsWith:
		return v.kind == text && strings.HasSuffix(v.str, c.want.text)
	case Matches:
		return v.kind == text && len(v.str) <= maxMatched && c.regexp.MatchString(v.str)
	case Ne, Nin, Missing: // compiled to their opposites
	}
	return false
}

// equal compares as typed: a number never equals a text.
func (l *literal) equal(v *value) bool {
	switch l.kind {
	case boolean:
		return v.kind == boolean && v.flag == l.flag
	case number:
		if v.kind != number {
			return false
		}
		x, ok := v.float()
		return ok && x == l.num
	case text:
		return v.kind == text && v.str == l.text
	case instant:
		at, ok := v.time()
		return ok && at.Equal(l.at)
	case none, array, object:
	}
	return false
}

func (v *value) time() (time.Time, bool) {
	switch v.kind {
	case instant:
		return v.at, true
	case text:
		return parseTime(v.str)
	case none, boolean, number, array, object:
	}
	return time.Time{}, false
}

func (c *comparison) ordered(v *value) bool {
	var order int
	switch c.want.kind {
	case number:
		if v.kind != number {
			return false
		}
		x, ok := v.float()
		if !ok {
			return false
		}
		switch {
		case x < c.want.num:
			order = -1
		case x > c.want.num:
			order = 1
		case x != c.want.num: // not a number
			return false
		}
	case text:
		if v.kind != text {
			return false
		}
		order = strings.Compare(v.str, c.want.text)
	case instant:
		at, ok := v.time()
		if !ok {
			return false
		}
		order = at.Compare(c.want.at)
	case none, boolean, array, object:
		return false
	}
	switch c.op {
	case Gt:
		return order > 0
	case Gte:
		return order >= 0
	case Lt:
		return order < 0
	default:
		return order <= 0
	}
}

// Fields lists the fields that a tree asks about, each once.
func Fields(c Condition) []string {
	var out []string
	var walk func(c *Condition)
	walk = func(c *Condition) {
		if c.Field != "" && !slices.Contains(out, c.Field) {
			out = append(out, c.Field)
		}
		for i := range c.All {
			walk(&c.All[i])
		}
		for i := range c.Any {
			walk(&c.Any[i])
		}
		if c.Not != nil {
			walk(c.Not)
		}
	}
	walk(&c)
	return out
}
