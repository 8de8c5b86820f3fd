package definition

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"heed/internal/measure"
	"heed/internal/trigger"
)

// Limits on what is parsed.
const (
	// MaxBytes bounds one file or request body.
	MaxBytes = 4 << 20
	// MaxDocuments bounds the definitions in one file or request body.
	MaxDocuments = 5_000
	maxDepth     = 64
	maxBrackets  = 2_000
	// The parser compares every key of a map with those before it.
	maxEffort = 20_000_000
)

// Document is one definition with the place it was read from.
type Document struct {
	Kind Kind
	Name string
	Spec any // *Source, *trigger.Definition, ... by kind

	file string
	node ast.Node
}

// Ref names a definition: "campaign/winners".
func (d Document) Ref() string { return Ref(d.Kind, d.Name) }

// In is the document with its file put into a folder: for problems that are
// found later.
func (d Document) In(dir string) Document {
	if d.file != "" {
		d.file = filepath.Join(dir, d.file)
	}
	return d
}

// Ref joins a kind and a name.
func Ref(k Kind, name string) string { return string(k) + "/" + name }

// NewDocument wraps a spec that was not parsed here.
func NewDocument(k Kind, name string, spec any) Document {
	return Document{Kind: k, Name: name, Spec: spec}
}

// Kinds lists the kinds that can be defined.
func Kinds() []Kind {
	return []Kind{KindSource, KindEvent, KindDimension, KindAudience, KindTrigger, KindTemplate, KindChannel, KindCampaign, KindCollection, KindStream, KindSettings, KindFunnel, KindBoard}
}

// NewSpec makes an empty spec of the kind; ok is false for an unknown kind.
func NewSpec(k Kind) (spec any, ok bool) {
	switch k {
	case KindSource:
		return new(Source), true
	case KindEvent:
		return new(Event), true
	case KindAudience:
		return new(Audience), true
	case KindDimension:
		return new(measure.Dimension), true
	case KindTrigger:
		return new(trigger.Definition), true
	case KindTemplate:
		return new(Template), true
	case KindChannel:
		return new(Channel), true
	case KindCampaign:
		return new(Campaign), true
	case KindCollection:
		return new(Collection), true
	case KindStream:
		return new(Stream), true
	case KindSettings:
		return new(Sending), true
	case KindFunnel:
		return new(Funnel), true
	case KindBoard:
		return new(Board), true
	}
	return nil, false
}

// Parse reads YAML (and so JSON) with any number of documents. Unknown and
// doubled keys fail. The documents that could be read are returned beside the
// problems of the others.
func Parse(file string, data []byte) ([]Document, Problems) {
	at := func(line, column int, format string, args ...any) Problems {
		return Problems{{File: file, Line: line, Column: column, Message: fmt.Sprintf(format, args...)}}
	}
	if len(data) > MaxBytes {
		return nil, at(0, 0, "larger than %d bytes", MaxBytes)
	}
	tree, p := parseTree(file, data)
	if p != nil {
		return nil, Problems{*p}
	}
	if len(tree.Docs) > MaxDocuments {
		return nil, at(0, 0, "more than %d documents", MaxDocuments)
	}
	var docs []Document
	var problems Problems
	for _, doc := range tree.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.NullType || doc.Body.Type() == ast.CommentType {
			continue
		}
		d, p := parseDocument(file, doc.Body)
		if p != nil {
			problems = append(problems, *p)
			continue
		}
		docs = append(docs, d)
	}
	return docs, problems
}

// ParseOne reads a single definition whose kind and name are known from
// elsewhere (the path of a request); both may be left out of the text.
func ParseOne(k Kind, name string, data []byte) (Document, error) {
	if len(data) > MaxBytes {
		return Document{}, Problems{{Kind: k, Name: name, Message: fmt.Sprintf("larger than %d bytes", MaxBytes)}}
	}
	tree, p := parseTree("", data)
	if p != nil {
		return Document{}, Problems{*p}
	}
	if len(tree.Docs) != 1 || tree.Docs[0].Body == nil {
		return Document{}, Problems{{Kind: k, Name: name, Message: "give exactly one definition"}}
	}
	d, p := decode("", k, name, tree.Docs[0].Body)
	if p != nil {
		return Document{}, Problems{*p}
	}
	return d, nil
}

// parseTree reads the YAML unless the parser would take long for it: it recurses
// into brackets and into dashes of one line, and its time grows with the square
// of the keys of a map.
func parseTree(file string, data []byte) (*ast.File, *Problem) {
	if deepest(data) > maxBrackets {
		return nil, &Problem{File: file, Message: "brackets are nested too deeply"}
	}
	tokens := lexer.Tokenize(string(data))
	keys, effort, dashes := 0, 0, 0
	for i, tk := range tokens {
		if dashes++; tk.Type != token.SequenceEntryType || i > 0 && tk.Position.Line != tokens[i-1].Position.Line {
			dashes = 0
		}
		switch {
		case tk.Type == token.MappingValueType:
			effort += keys
			keys++
		case tk.Type == token.DocumentHeaderType || tk.Type == token.DocumentEndType:
			keys = 0
		case dashes > maxDepth:
			p := problemAt(file, tk, "nested too deeply")
			return nil, &p
		}
		if effort > maxEffort {
			p := problemAt(file, tk, "has too many keys in one document: split it")
			return nil, &p
		}
	}
	tree, err := parser.Parse(tokens, 0)
	if err != nil {
		p := problemOf(file, err)
		return nil, &p
	}
	return tree, nil
}

func parseDocument(file string, body ast.Node) (Document, *Problem) {
	mapping, ok := body.(*ast.MappingNode)
	if !ok {
		p := problemAt(file, body.GetToken(), "a definition is a map that begins with its kind")
		p.Hint = "kind: trigger"
		return Document{}, &p
	}
	kind := Kind(scalarOf(mapping, "kind"))
	if kind == "" {
		p := problemAt(file, body.GetToken(), "kind is missing")
		p.Hint = "one of " + kindList()
		return Document{}, &p
	}
	name := scalarOf(mapping, "name")
	return decode(file, kind, name, body)
}

func decode(file string, kind Kind, name string, body ast.Node) (Document, *Problem) {
	fail := func(p Problem) (Document, *Problem) {
		p.Kind, p.Name = kind, name
		return Document{}, &p
	}
	spec, ok := NewSpec(kind)
	if !ok {
		p := problemAt(file, body.GetToken(), fmt.Sprintf("kind %q is not known", kind))
		p.Hint = "one of " + kindList()
		return Document{}, &p
	}
	mapping, ok := body.(*ast.MappingNode)
	if !ok {
		return fail(problemAt(file, body.GetToken(), "a definition is a map"))
	}
	if tk, why := unsafeNode(mapping, 0); why != "" {
		return fail(problemAt(file, tk, why))
	}
	values := *mapping
	values.Values = slices.DeleteFunc(slices.Clone(mapping.Values), func(v *ast.MappingValueNode) bool {
		return keyOf(v) == "kind"
	})
	if given := scalarOf(mapping, "kind"); given != "" && Kind(given) != kind {
		return fail(problemAt(file, body.GetToken(), fmt.Sprintf("kind is %q, expected %q", given, kind)))
	}
	if given := scalarOf(mapping, "name"); given != "" && given != name {
		return fail(problemAt(file, body.GetToken(), fmt.Sprintf("name is %q, expected %q", given, name)))
	}
	if err := yaml.NodeToValue(&values, spec, yaml.Strict()); err != nil {
		p := problemOf(file, err)
		if p.Line == 0 {
			place(&p, culprit(&values, kind, err))
		}
		if word, found := strings.CutPrefix(p.Message, `unknown field "`); found {
			word, _, _ = strings.Cut(word, `"`)
			if why := trigger.Unsayable(word); kind == KindTrigger && why != "" {
				p.Message = word + ": " + why
			} else if n := nearest(word, fieldNames(reflect.TypeOf(spec), nil)); n != "" {
				p.Hint = "did you mean " + n + "?"
			}
		}
		return fail(p)
	}
	if !ValidName(name) {
		p := problemAt(file, body.GetToken(), fmt.Sprintf("name %q cannot be used", name))
		p.Hint = "1 to 64 letters, digits, - _ and ., beginning with a letter or digit"
		return fail(p)
	}
	setName(spec, name)
	return Document{Kind: kind, Name: name, Spec: spec, file: file, node: mapping}, nil
}

// ValidName tells whether a definition may be called that.
func ValidName(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !alnum && (i == 0 || c != '-' && c != '_' && c != '.') {
			return false
		}
	}
	return true
}

func setName(spec any, name string) {
	reflect.ValueOf(spec).Elem().FieldByName("Name").SetString(name)
}

// Problem places a message at a path inside the document: its own line if the
// path can be found, else the line of the document.
func (d Document) Problem(path, message, hint string) Problem {
	p := Problem{File: d.file, Kind: d.Kind, Name: d.Name, Path: path, Message: message, Hint: hint}
	if d.node == nil {
		return p
	}
	place(&p, d.node.GetToken())
	for at := path; at != ""; {
		if yp, err := yaml.PathString("$." + at); err == nil {
			if n, err := yp.FilterNode(d.node); err == nil && n != nil {
				place(&p, n.GetToken())
				break
			}
		}
		cut := strings.LastIndexAny(at, ".[")
		if cut < 0 {
			break
		}
		at = at[:cut]
	}
	return p
}

func problemAt(file string, tk *token.Token, message string) Problem {
	p := Problem{File: file, Message: message}
	place(&p, tk)
	return p
}

func place(p *Problem, tk *token.Token) {
	if tk != nil && tk.Position != nil {
		p.Line, p.Column = tk.Position.Line, tk.Position.Column
	}
}

func problemOf(file string, err error) Problem {
	if ye, ok := errors.AsType[yaml.Error](err); ok {
		return problemAt(file, ye.GetToken(), ye.GetMessage())
	}
	return Problem{File: file, Message: err.Error()}
}

// culprit finds the value that an error without a place comes from: the one
// that fails alike when it stands alone.
func culprit(m *ast.MappingNode, kind Kind, err error) *token.Token {
	for _, v := range m.Values {
		alone := *m
		alone.Values = []*ast.MappingValueNode{v}
		spec, _ := NewSpec(kind)
		if again := yaml.NodeToValue(&alone, spec, yaml.Strict()); again != nil && again.Error() == err.Error() {
			return v.Value.GetToken()
		}
	}
	return m.GetToken()
}

// unsafeNode finds what could blow up while decoding: aliases and deep nesting.
func unsafeNode(n ast.Node, depth int) (*token.Token, string) {
	if n == nil {
		return nil, ""
	}
	if depth > maxDepth {
		return n.GetToken(), "nested too deeply"
	}
	switch n := n.(type) {
	case *ast.AliasNode, *ast.AnchorNode, *ast.MergeKeyNode:
		return n.GetToken(), "anchors, aliases and merge keys are not supported: write it out"
	case *ast.MappingNode:
		for _, v := range n.Values {
			if tk, why := unsafeNode(v, depth+1); why != "" {
				return tk, why
			}
		}
	case *ast.MappingValueNode:
		if tk, why := unsafeNode(n.Key, depth+1); why != "" {
			return tk, why
		}
		return unsafeNode(n.Value, depth)
	case *ast.SequenceNode:
		for _, v := range n.Values {
			if tk, why := unsafeNode(v, depth+1); why != "" {
				return tk, why
			}
		}
	}
	return nil, ""
}

// deepest bounds the nesting of flow brackets before the parser recurses.
func deepest(data []byte) int {
	depth, most := 0, 0
	for _, c := range data {
		switch c {
		case '[', '{':
			depth++
			most = max(most, depth)
		case ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return most
}

func scalarOf(m *ast.MappingNode, key string) string {
	for _, v := range m.Values {
		if keyOf(v) != key {
			continue
		}
		if s, ok := v.Value.(ast.ScalarNode); ok {
			return fmt.Sprint(s.GetValue())
		}
	}
	return ""
}

func keyOf(v *ast.MappingValueNode) string {
	if v.Key == nil || v.Key.GetToken() == nil {
		return ""
	}
	return v.Key.GetToken().Value
}

func kindList() string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// fieldNames collects every key that may appear inside a kind.
func fieldNames(t reflect.Type, seen []reflect.Type) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || slices.Contains(seen, t) {
		return nil
	}
	seen = append(seen, t)
	var names []string
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name != "" && name != "-" {
			names = append(names, name)
		}
		names = append(names, fieldNames(f.Type, seen)...)
	}
	return names
}

// Marshal writes documents as YAML that Parse reads back.
func Marshal(docs []Document) ([]byte, error) {
	var out bytes.Buffer
	for i, d := range docs {
		if i > 0 {
			out.WriteString("---\n")
		}
		fmt.Fprintf(&out, "kind: %s\n", d.Kind)
		b, err := yaml.MarshalWithOptions(d.Spec, yaml.UseLiteralStyleIfMultiline(true), yaml.IndentSequence(true))
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", d.Ref(), err)
		}
		out.Write(b)
	}
	return out.Bytes(), nil
}

// DecodeSpec reads a spec that MarshalSpec wrote.
func DecodeSpec(k Kind, data []byte) (any, error) {
	spec, ok := NewSpec(k)
	if !ok {
		return nil, fmt.Errorf("kind %q is not known", k)
	}
	if err := json.Unmarshal(data, spec); err != nil {
		return nil, fmt.Errorf("stored %s: %w", k, err)
	}
	return spec, nil
}

// MarshalSpec writes a spec as JSON, the form in which it is stored.
func MarshalSpec(spec any) ([]byte, error) { return json.Marshal(spec) }
