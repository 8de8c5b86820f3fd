package event

import "strings"

// Nobody tells ids that many people would share: what is left of a variable
// that was not set. So it does those that no address can hold: a browser takes
// . and .. out of a path.
func Nobody(id string) bool {
	id = strings.TrimSpace(id)
	switch n := len(id); {
	case n > 15: // the longest of them
		return false
	case n == 0:
		return true
	case n == 1:
		return id == "0" || id == "-" || id == "."
	}
	switch id[0] | 0x20 {
	case 'n':
		return strings.EqualFold(id, "null") || strings.EqualFold(id, "nil") || strings.EqualFold(id, "none") || strings.EqualFold(id, "nan")
	case 'u':
		return strings.EqualFold(id, "undefined") || strings.EqualFold(id, "unknown")
	case 'g':
		return strings.EqualFold(id, "guest")
	case 'a':
		return strings.EqualFold(id, "anonymous") || strings.EqualFold(id, "anon")
	case 't':
		return strings.EqualFold(id, "true")
	case 'f':
		return strings.EqualFold(id, "false")
	case '-':
		return id == "-1"
	case '.':
		return id == ".."
	case '{': // and [
		return id == "{}" || id == "[]" || strings.EqualFold(id, "[object Object]")
	case '(':
		return strings.EqualFold(id, "(not set)") || strings.EqualFold(id, "(none)")
	case '"', '\'':
		return id == `""` || id == "''"
	}
	return false
}
