package render

import (
	"fmt"
	"slices"
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
	hasDefault bool
	cost       int
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
// variable.
func analyse(s string, filters map[string]filter) (expression, error) {
	x := expression{cost: 1 + len(s)/64}
	if len(s) > maxExpressionBytes {
		return x, fmt.Errorf("an expression is longer than %d bytes", maxExpressionBytes)
	}
	count := 0
	wantFilter := false
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '\'' || c == '"':
			end := strings.IndexByte(s[i+1:], c)
			if end < 0 {
				return x, fmt.Errorf("a text in %q is not closed", s)
			}
			i += end + 2
			wantFilter = false
		case c == '|':
			wantFilter = true
			i++
		case isDigit(c):
			for i < len(s) && (isDigit(s[i]) || s[i] == '.' && i+1 < len(s) && isDigit(s[i+1])) {
				i++
			}
		case isLetter(c):
			word, n := scanWord(s[i:])
			i += n
			switch {
			case wantFilter:
				wantFilter = false
				count++
				if count > maxFilters {
					return x, fmt.Errorf("an expression has more than %d filters", maxFilters)
				}
				if _, ok := filters[word]; !ok {
					return x, fmt.Errorf("there is no filter %q%s", word, hint(word, filters))
				}
				x.hasDefault = x.hasDefault || word == "default"
				x.cost++
			case i < len(s) && s[i] == ':': // limit: offset:
			case keyword(word):
			default:
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
			i++
		}
	}
	return x, nil
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

func eventField(s string) bool {
	switch s {
	case "name", "type", "properties", "traits", "context", "timestamp", "userId", "anonymousId", "sessionId", "source", "messageId":
		return true
	}
	return false
}

func profileField(s string) bool {
	switch s {
	case "id", "userId", "traits", "firstSeen", "lastSeen", "country", "locale", "timezone", "device", "os", "browser", "acquisition", "lastTouch":
		return true
	}
	return false
}

// checkField refuses what can never have a value; local names pass.
func checkField(f field, locals map[string]bool) error {
	root := f.steps[0]
	if locals[root] || root == rootForloop {
		return nil
	}
	second := ""
	if len(f.steps) > 1 {
		second = f.steps[1]
	}
	switch root {
	case rootEvent:
		if second != "" && !eventField(second) {
			return fmt.Errorf("event has no %q: it has name, type, properties, traits, context, timestamp, userId, anonymousId, sessionId, source and messageId", second)
		}
	case rootProfile:
		if second != "" && !profileField(second) {
			return fmt.Errorf("profile has no %q: it has id, userId, traits, firstSeen, lastSeen, country, locale, timezone, device, os, browser, acquisition and lastTouch", second)
		}
	case rootPull:
		if len(f.steps) < 2 {
			return fmt.Errorf("%s is not a field: write pull.<collection>.<field>", f.text)
		}
	case rootCampaign:
		if second != "" && second != "name" {
			return fmt.Errorf("campaign has no %q: it has name", second)
		}
	case rootActivation:
		if second != "" && second != "id" && second != "at" {
			return fmt.Errorf("activation has no %q: it has id and at", second)
		}
	case rootUnsubscribe, rootConfirm:
		if second != "" {
			return fmt.Errorf("%s has no %q: it is a link", root, second)
		}
	default:
		return fmt.Errorf("nothing is called %q here: templates read event, profile, pull, campaign, activation, unsubscribe_url and confirm_url", root)
	}
	return nil
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
