package condition

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/bits"
	"strconv"
	"time"
	"unsafe"
)

// The scanner finds a path in the bytes of a JSON document without building it
// and without allocating. Bytes that are not JSON never panic: what cannot be
// read is missing.

// kind is the type of a value.
type kind uint8

const (
	none kind = iota // missing, null or unreadable
	boolean
	number
	text
	instant // a time: only fields of the event itself
	array
	object
)

// value is what a path leads to.
type value struct {
	kind kind
	flag bool
	at   time.Time
	str  string // text; of a number, its JSON
	raw  []byte // of an array or object, its JSON
}

// alias is b as a string, without a copy.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func skipSpace(b []byte, i int) int {
	for i < len(b) && b[i] <= ' ' && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString returns the index of the quote that ends the string whose first
// byte behind the opening quote is b[i], or -1.
//
// It looks at eight bytes at a time (Hacker's Delight, 6-1: the first zero byte
// of a word).
func skipString(b []byte, i int) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	for i+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, slash := w^ones*'"', w^ones*'\\'
		found := ((quote-ones)&^quote | (slash-ones)&^slash) & highs
		if found == 0 {
			i += 8
			continue
		}
		if i += bits.TrailingZeros64(found) / 8; b[i] == '"' {
			return i
		}
		i += 2
	}
	for i < len(b) {
		switch b[i] {
		case '"':
			return i
		case '\\':
			i++
		}
		i++
	}
	return -1
}

// skipValue returns the index behind the value that starts at b[i], or -1.
func skipValue(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		if end := skipString(b, i+1); end >= 0 {
			return end + 1
		}
		return -1
	case '{', '[':
		depth := 0
		for ; i < len(b); i++ {
			switch b[i] {
			case '"':
				if i = skipString(b, i+1); i < 0 {
					return -1
				}
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
		}
		return -1
	}
	start := i
	for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ']' && b[i] > ' ' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}

// unquote is the text of a JSON string without its quotes. It allocates only if
// there are escapes.
func unquote(b []byte) (string, bool) {
	if bytes.IndexByte(b, '\\') < 0 {
		return alias(b), true
	}
	quoted := make([]byte, 0, len(b)+2)
	quoted = append(append(append(quoted, '"'), b...), '"')
	var s string
	err := json.Unmarshal(quoted, &s)
	return s, err == nil
}

// read is the value at b[i].
func read(b []byte, i int) value {
	end := skipValue(b, i)
	if end < 0 {
		return value{}
	}
	return readTo(b, i, end)
}

// readTo is the value at b[i], which ends at end.
func readTo(b []byte, i, end int) value {
	switch c := b[i]; {
	case c == '"':
		if s, ok := unquote(b[i+1 : end-1]); ok {
			return value{kind: text, str: s}
		}
	case c == '{':
		return value{kind: object, raw: b[i:end]}
	case c == '[':
		return value{kind: array, raw: b[i:end]}
	case c == '-' || c >= '0' && c <= '9':
		return value{kind: number, str: alias(b[i:end])}
	case string(b[i:end]) == "true":
		return value{kind: boolean, flag: true}
	case string(b[i:end]) == "false":
		return value{kind: boolean}
	}
	return value{}
}

// float is the number a JSON number says, if it is one that a float64 holds.
func (v *value) float() (float64, bool) {
	s := v.str
	// Most numbers are short and whole, or have a few decimals.
	if len(s) <= 15 && s != "-" {
		i, neg := 0, s[0] == '-'
		if neg {
			i = 1
		}
		var n int64
		decimals := -1
		for ; i < len(s); i++ {
			switch c := s[i]; {
			case c >= '0' && c <= '9':
				n = n*10 + int64(c-'0')
				if decimals >= 0 {
					decimals++
				}
			case c == '.' && decimals < 0:
				decimals = 0
			default:
				return slowFloat(s)
			}
		}
		x := float64(n)
		if decimals > 0 {
			// Both are exact, so the quotient is the correctly rounded value.
			x /= pow10[decimals]
		}
		if neg {
			x = -x
		}
		return x, true
	}
	return slowFloat(s)
}

//nolint:gochecknoglobals // a table of constants
var pow10 = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

func slowFloat(s string) (float64, bool) {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' {
			return 0, false
		}
	}
	x, err := strconv.ParseFloat(s, 64)
	return x, err == nil
}

// walk follows path in the value at b[i] and tells whether a value it leads to
// satisfies the test. A path with [] leads to many.
func (c *comparison) walk(b []byte, i int, path []segment) bool {
	i = skipSpace(b, i)
	if len(path) == 0 {
		v := read(b, i)
		return v.kind != none && c.holds(&v)
	}
	seg := &path[0]
	if seg.key != "" {
		i = member(b, i, seg.key)
		return i >= 0 && c.walk(b, i, path[1:])
	}
	for n, at := 0, element(b, i); at >= 0; n, at = n+1, next(b, at) {
		if (seg.any || n == seg.index) && c.walk(b, at, path[1:]) {
			return true
		}
		if !seg.any && n >= seg.index {
			return false
		}
	}
	return false
}

// collector gathers texts.
type collector struct {
	dst  []string
	room int
}

func (c *collector) walk(b []byte, i int, path []segment) {
	i = skipSpace(b, i)
	if len(path) == 0 {
		v := read(b, i)
		if before := len(c.dst); c.room > 0 {
			c.dst = v.appendText(c.dst)
			c.room -= len(c.dst) - before
		}
		return
	}
	seg := &path[0]
	if seg.key != "" {
		if i = member(b, i, seg.key); i >= 0 {
			c.walk(b, i, path[1:])
		}
		return
	}
	for n, at := 0, element(b, i); at >= 0 && c.room > 0; n, at = n+1, next(b, at) {
		if seg.any || n == seg.index {
			c.walk(b, at, path[1:])
		}
		if !seg.any && n >= seg.index {
			return
		}
	}
}

// member is the index of the value of a key in the object at b[i], or -1. Of
// doubled keys, which the collector refuses, the first counts.
func member(b []byte, i int, key string) int {
	if i >= len(b) || b[i] != '{' {
		return -1
	}
	for i++; ; i++ {
		var name []byte
		if name, i = nameAt(b, i); i < 0 {
			return -1
		}
		if string(name) == key {
			return i
		}
		if len(name) > len(key) && bytes.IndexByte(name, '\\') >= 0 {
			if s, ok := unquote(name); ok && s == key {
				return i
			}
		}
		if i = skipValue(b, i); i < 0 {
			return -1
		}
		i = skipSpace(b, i)
		if i >= len(b) || b[i] != ',' {
			return -1
		}
	}
}

// nameAt is the name of a member that begins at b[i], still quoted inside, and the
// index of its value, or -1.
func nameAt(b []byte, i int) (name []byte, at int) {
	i = skipSpace(b, i)
	if i >= len(b) || b[i] != '"' {
		return nil, -1
	}
	end := skipString(b, i+1)
	if end < 0 {
		return nil, -1
	}
	name = b[i+1 : end]
	i = skipSpace(b, end+1)
	if i >= len(b) || b[i] != ':' {
		return nil, -1
	}
	return name, skipSpace(b, i+1)
}

// element is the index of the first element of the array at b[i], or -1.
func element(b []byte, i int) int {
	if i >= len(b) || b[i] != '[' {
		return -1
	}
	i = skipSpace(b, i+1)
	if i >= len(b) || b[i] == ']' {
		return -1
	}
	return i
}

// next is the index of the element behind the one at b[i], or -1.
func next(b []byte, i int) int {
	if i = skipValue(b, i); i < 0 {
		return -1
	}
	i = skipSpace(b, i)
	if i >= len(b) || b[i] != ',' {
		return -1
	}
	if i = skipSpace(b, i+1); i >= len(b) {
		return -1
	}
	return i
}

// appendText appends the text to correlate by, if v has one.
func (v *value) appendText(dst []string) []string {
	switch v.kind {
	case text:
		if v.str != "" {
			dst = append(dst, v.str)
		}
	case boolean:
		dst = append(dst, strconv.FormatBool(v.flag))
	case number:
		whole := v.str != "-0"
		for i := range len(v.str) {
			if c := v.str[i]; (c < '0' || c > '9') && (c != '-' || i > 0) {
				whole = false
				break
			}
		}
		if whole {
			return append(dst, v.str)
		}
		if x, ok := v.float(); ok {
			if x == 0 {
				return append(dst, "0")
			}
			if math.Abs(x) < 1e21 {
				return append(dst, strconv.FormatFloat(x, 'f', -1, 64))
			}
			return append(dst, strconv.FormatFloat(x, 'g', -1, 64))
		}
	case instant:
		dst = append(dst, v.at.UTC().Format(time.RFC3339Nano))
	case none, array, object:
	}
	return dst
}
