package render

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// field is a variable that an expression names, with the properties that follow
// it by name: event.properties.product.
type field struct {
	text    string // the path, as written
	steps   []string
	partial bool // an index or a loop goes on from here: [..]
}

// expression is what can be told about one without evaluating it.
type expression struct {
	fields     []field
	calls      []call
	hasDefault bool
	cost       int
	line       int // of the template; 0 if it is not known
}

// call is a use of a filter, with what stands left of it and its arguments.
type call struct {
	name string
	in   operand
	args []operand
}

// operand is one of them: a literal, or something that has its value only when it
// is rendered.
type operand struct {
	value   any
	literal bool
}

// The words that are not variables.
func keyword(s string) bool {
	switch s {
	case "and", "or", "contains", "in", "true", "false", "nil", "reversed", "empty", "blank":
		return true
	}
	return false
}

func isLetter(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isWord(c byte) bool { return isLetter(c) || isDigit(c) || c == '-' }

// analyse reads the tokens of an expression, as the library's lexer does, and
// checks the filters. What it cannot follow, it takes for a use of the whole
// variable, and for no literal.
func analyse(s string, filters map[string]filter) (expression, error) {
	x := expression{cost: 1 + len(s)/64}
	if len(s) > maxExpressionBytes {
		return x, fmt.Errorf("an expression is longer than %d bytes", maxExpressionBytes)
	}
	var (
		wantFilter bool
		arguments  bool // what is read is an argument of the last call
		one        operand
		tokens     int // of it
	)
	literal := func(v any) { one, tokens = operand{v, true}, tokens+1 }
	end := func() operand {
		o := one
		if tokens != 1 {
			o = operand{}
		}
		if arguments {
			last := &x.calls[len(x.calls)-1]
			last.args = append(last.args, o)
			o = operand{}
		}
		one, tokens = operand{}, 0
		return o
	}
	var in operand
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '\'' || c == '"':
			n := strings.IndexByte(s[i+1:], c)
			if n < 0 {
				return x, fmt.Errorf("a text in %q is not closed", s)
			}
			text := s[i+1 : i+1+n]
			if strings.HasSuffix(strings.TrimRight(s[:i], " \t"), "..") || strings.HasPrefix(strings.TrimLeft(s[i+n+2:], " \t"), "..") {
				return x, fmt.Errorf("a range goes from one number to another, and %q is none", cutRunes(text, 40))
			}
			literal(text)
			i += n + 2
			wantFilter = false
		case c == '|':
			in = end()
			wantFilter, arguments = true, false
			i++
		case c == ',' || c == '=':
			end()
			i++
		case isDigit(c) || c == '-' && i+1 < len(s) && isDigit(s[i+1]):
			from := i
			for i++; i < len(s) && (isDigit(s[i]) || s[i] == '.' && i+1 < len(s) && isDigit(s[i+1])); i++ {
			}
			literal(literalNumber(s[from:i]))
		case isLetter(c):
			word, n := scanWord(s[i:])
			i += n
			switch {
			case wantFilter:
				wantFilter = false
				if len(x.calls) == maxFilters {
					return x, fmt.Errorf("an expression has more than %d filters", maxFilters)
				}
				if _, ok := filters[word]; !ok {
					return x, fmt.Errorf("there is no filter %q%s", word, hint(word, filters))
				}
				x.calls = append(x.calls, call{name: word, in: in})
				x.hasDefault = x.hasDefault || word == "default"
				x.cost++
				if arguments = i < len(s) && s[i] == ':'; arguments {
					i++
				}
			case i < len(s) && s[i] == ':': // limit: offset:
				if rest := strings.TrimLeft(s[i+1:], " \t"); rest != "" && (rest[0] == '"' || rest[0] == '\'') {
					return x, fmt.Errorf("%s of a loop must be a number", word)
				}
				tokens++
			case word == "and" || word == "or" || word == "in":
				end()
				arguments = false
			case word == "true" || word == "false":
				literal(word == "true")
			case word == "nil":
				literal(nil)
			case keyword(word):
				tokens++
			default:
				tokens++
				f := field{steps: []string{word}}
				for i < len(s) {
					j := i
					if s[j] != '.' || j+1 >= len(s) || !isLetter(s[j+1]) {
						break
					}
					prop, n := scanWord(s[j+1:])
					f.steps = append(f.steps, prop)
					i = j + 1 + n
				}
				rest := strings.TrimLeft(s[i:], " \t\r\n")
				f.partial = strings.HasPrefix(rest, "[") || strings.HasPrefix(rest, ".") && !strings.HasPrefix(rest, "..")
				f.text = strings.Join(f.steps, ".")
				x.fields = append(x.fields, f)
			}
		default:
			if !strings.ContainsRune(" \t\r\n", rune(c)) {
				tokens++
			}
			i++
		}
	}
	if arguments {
		end()
	}
	return x, nil
}

// literalNumber is a number as the library reads it; one that it cannot hold is
// refused by the library.
func literalNumber(s string) any {
	if n, err := strconv.Atoi(s); err == nil {
		return n
	}
	f, _ := strconv.ParseFloat(s, 64)
	return f
}

func scanWord(s string) (string, int) {
	n := 0
	for n < len(s) && isWord(s[n]) {
		n++
	}
	if n < len(s) && s[n] == '?' {
		n++
	}
	return s[:n], n
}

// hint names a filter that is close by its first letters.
func hint(word string, filters map[string]filter) string {
	var near []string
	for name := range filters {
		if len(word) >= 2 && strings.HasPrefix(name, word[:2]) {
			near = append(near, name)
		}
	}
	if len(near) == 0 {
		return ""
	}
	slices.Sort(near)
	return "; did you mean " + strings.Join(near, ", ") + "?"
}

// What templates may name.
const (
	rootEvent    = "event"
	rootProfile  = "profile"
	rootCampaign = "campaign"
	rootPull     = "pull" // the pull store: pull.<collection>.<field>
	rootForloop  = "forloop"
	// rootActivation is what the message is sent for.
	rootActivation = "activation"

	// The link by which the reader of a message ends messages like it.
	rootUnsubscribe = "unsubscribe_url"
	rootConfirm     = "confirm_url"
)

// below lists what a name has below it; open is set where that is whatever events
// and users carry.
func below(path string) (names []string, open bool) {
	switch path {
	case rootEvent:
		return strings.Fields("name type properties traits context timestamp userId anonymousId sessionId source messageId"), false
	case rootProfile:
		return strings.Fields("id userId traits firstSeen lastSeen country locale timezone device os browser acquisition lastTouch"), false
	case rootCampaign:
		return []string{"name"}, false
	case rootActivation:
		return []string{"id", "at"}, false
	case rootForloop:
		return strings.Fields("index index0 rindex rindex0 first last length"), false
	case "profile.acquisition":
		return strings.Fields("month referrer campaign"), false
	case "profile.acquisition.campaign", "event.context.campaign":
		return strings.Fields("source medium name term content"), false
	case "profile.lastTouch":
		return strings.Fields("source medium campaign at"), false
	case "event.context.page":
		return strings.Fields("url path referrer title"), false
	}
	for _, theirs := range []string{"event.properties", "event.traits", "event.context", "profile.traits", rootPull} {
		if path == theirs || strings.HasPrefix(path, theirs+".") {
			return nil, true
		}
	}
	return nil, false
}

// checkField refuses what can never have a value; local names pass.
func checkField(f field, locals map[string]bool) error {
	root := f.steps[0]
	if locals[root] {
		return nil
	}
	switch root {
	case rootEvent, rootProfile, rootCampaign, rootActivation, rootForloop, rootUnsubscribe, rootConfirm:
	case rootPull:
		if len(f.steps) < 2 {
			return fmt.Errorf("%s is not a field: write pull.<collection>.<field>", f.text)
		}
	default:
		return fmt.Errorf("nothing is called %q here: templates read event, profile, pull, campaign, activation, unsubscribe_url and confirm_url", root)
	}
	for i := 1; i < len(f.steps); i++ {
		path, step := strings.Join(f.steps[:i], "."), f.steps[i]
		names, open := below(path)
		switch {
		case open, slices.Contains(names, step), step == "size":
		case len(names) == 0:
			return fmt.Errorf("%s has no %q: it is a single value", path, step)
		default:
			return fmt.Errorf("%s has no %q: it has %s", path, step, listWords(names))
		}
	}
	return nil
}

// listWords is "a, b and c".
func listWords(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// personalField tells whether a use of the field makes content personal.
func personalField(f field) bool {
	switch f.steps[0] {
	case rootProfile, rootPull:
		return true
	case rootEvent:
		// An identify carries the profile's traits; the whole event has them too.
		return len(f.steps) == 1 || f.steps[1] == "traits"
	}
	return false
}

// tellingField tells whether a use of the field makes content tell of the user. The name
// of the event is what the campaign is about.
func tellingField(f field) bool {
	if f.steps[0] == rootEvent && len(f.steps) == 2 && (f.steps[1] == "name" || f.steps[1] == "type") {
		return false
	}
	return f.steps[0] == rootEvent || personalField(f)
}
