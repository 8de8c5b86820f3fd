// Package render owns how a template becomes content: the Liquid that authors
// write, what it may read, the escaping of what it prints into HTML, and the
// bounds of a rendering. Expressions and their grammar are osteele/liquid's;
// the walk over the parsed template, the filters and the tags are ours, because
// they count steps and bytes: no template can hang or exhaust the Engager.
//
// It does not own who gets what (policy) nor how it is delivered (channel). It
// does no I/O and reads no clock.
package render

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"heed/internal/event"
	"heed/internal/profile"
)

// Bounds of a template and of one rendering.
const (
	MaxTemplateBytes   = 64 << 10
	MaxOutputBytes     = 64 << 10
	maxNesting         = 32
	maxExpressionBytes = 4 << 10
	maxFilters         = 32 // in one expression

	maxSteps      = 20_000  // nodes walked
	maxValueBytes = 4 << 20 // made by filters and captures in all
	maxTextBytes  = MaxOutputBytes
	maxElements   = 10_000
	stepsPerCheck = 64 // steps between two looks at the context
)

// Errors that callers decide on.
var (
	// ErrTooMuch: the rendering went over one of its bounds.
	ErrTooMuch = errors.New("render: template does too much")
	// ErrTooLong: the content is longer than MaxOutputBytes.
	ErrTooLong = errors.New("render: content is longer than 64 KiB")
)

// SyntaxError says what is wrong with a template and where.
type SyntaxError struct {
	Line    int // from 1; 0 if unknown
	Message string
}

func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return e.Message
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Message)
}

// Mode says what a template's output is.
type Mode uint8

// The modes.
const (
	Text Mode = iota // printed values are left as they are
	HTML             // printed values are escaped, unless the filter raw says otherwise
)

// Template is a parsed template. It is immutable and may be used concurrently.
type Template struct {
	mode     Mode
	nodes    []node
	reads    []string
	personal bool
	tells    bool
}

// Input is what a template may read.
type Input struct {
	Event    *event.Event     // the triggering event; nil if there is none or it is gone
	User     string           // profile id
	Profile  *profile.Profile // nil: nothing is known
	Campaign string
	// Activation is the id of what the message is sent for, and At when that was, in
	// µs since the Unix epoch; "" and 0 if nothing is sent.
	Activation string
	At         int64
	// Pull looks the user's document of a collection up: a JSON object, or nil. It
	// is asked for the collections that the template names. nil: there are none.
	Pull func(collection string) []byte
	// Locale is the language of the text; "" if it is not known.
	Locale string
	// Unsubscribe is the address of the page that ends messages like this one; ""
	// if there is none.
	Unsubscribe string
	// Confirm is the address of the page on which somebody confirms to want
	// messages; "" in all but those that ask for it.
	Confirm string
}

// Result is rendered content.
type Result struct {
	Text string
	// Missing lists fields that were printed without a default and had no
	// value, in order of first use.
	Missing []string
}

// Parse reads a template. Errors are *SyntaxError.
func Parse(source string, mode Mode) (t *Template, err error) {
	if len(source) > MaxTemplateBytes {
		return nil, &SyntaxError{Message: fmt.Sprintf("the template has %d bytes, at most %d are allowed", len(source), MaxTemplateBytes)}
	}
	defer func() {
		// The library panics on numbers that it cannot hold.
		if r := recover(); r != nil {
			t, err = nil, &SyntaxError{Message: unreadable(r)}
		}
	}()
	c := compiler{locals: map[string]bool{}, filters: filterTable()}
	nodes, err := c.compile(source)
	if err != nil {
		return nil, err
	}
	t = &Template{mode: mode, nodes: nodes, personal: c.personal, tells: c.tells}
	for _, f := range c.fields {
		if !slices.Contains(t.reads, f.text) {
			t.reads = append(t.reads, f.text)
		}
	}
	return t, nil
}

func unreadable(r any) string {
	var number *strconv.NumError
	if err, ok := r.(error); ok && errors.As(err, &number) {
		return fmt.Sprintf("the number %.40s is out of range", number.Num)
	}
	return fmt.Sprintf("an expression cannot be read: %.200v", r)
}

// Personal tells whether the content may depend on the profile, the pull store
// or a stream, and so is only for a verified user. When in doubt it is true.
func (t *Template) Personal() bool { return t.personal }

// Tells tells whether the content may say anything of the user, or of what the user did:
// more than Personal, for a reader who may not be the one who did it.
func (t *Template) Tells() bool { return t.tells }

// Reads lists the fields that the template names, such as
// "event.properties.product".
func (t *Template) Reads() []string { return slices.Clone(t.reads) }

// pulls lists the collections of the pull store that the template names.
func (t *Template) pulls() (out []string) {
	for _, r := range t.reads {
		if rest, ok := strings.CutPrefix(r, rootPull+"."); ok {
			if name, _, _ := strings.Cut(rest, "."); !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// readsRoot tells whether the template names a variable at all.
func (t *Template) readsRoot(root string) bool {
	for _, r := range t.reads {
		if r == root || strings.HasPrefix(r, root+".") {
			return true
		}
	}
	return false
}

// Render makes the content. It ends with an error once a bound is reached or
// ctx is over; it never waits.
func (t *Template) Render(ctx context.Context, in Input) (res Result, err error) {
	w := acquire()
	defer release(w)
	w.ctx, w.html, w.locale = ctx, t.mode == HTML, in.Locale
	w.bind(t, in)
	defer func() {
		// The library's conversions panic on some values, by design or not.
		if r := recover(); r != nil {
			res, err = Result{}, fmt.Errorf("render: %v", r)
		}
	}()
	if err := w.walk(t.nodes); err != nil {
		if errors.Is(err, errBreak) || errors.Is(err, errContinue) {
			err = errors.New("break or continue outside a loop")
		}
		return Result{}, fmt.Errorf("render: %w", err)
	}
	return Result{Text: string(w.out), Missing: w.missing}, nil
}
