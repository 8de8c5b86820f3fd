package express

import (
	"bytes"
	"net/http"
	"strings"
)

// A head that is served here has at most so many bytes and header lines.
const (
	maxHead  = 4 << 10
	maxLines = 48
)

// maxLength is the longest body that is served here: what a handler leaves
// unread is skipped, so it must be short.
const maxLength = 1 << 20

// head is what a plain request says in front of its body.
type head struct {
	target string // path?query
	host   string
	length int
	lines  []line // the headers that handlers read, in order
}

// line is one header.
type line struct{ name, value string }

// parse reads a whole head, blank line included. ok is false if it is anything
// but the plainest form, be it wrong or only unusual: that is for net/http to
// judge. Whatever passes here, net/http reads in the same way.
func (h *head) parse(text string, wanted map[string]string) (ok bool) {
	h.lines, h.host, h.length = h.lines[:0], "", -1
	rest, ok := strings.CutPrefix(text, "POST ")
	if !ok {
		return false
	}
	first, rest, ok := strings.Cut(rest, "\r\n")
	if !ok {
		return false
	}
	if h.target, ok = strings.CutSuffix(first, " HTTP/1.1"); !ok || !plainTarget(h.target) {
		return false
	}
	for n := 0; ; n++ {
		var text string
		if text, rest, ok = strings.Cut(rest, "\r\n"); !ok || n > maxLines {
			return false
		}
		if text == "" {
			return rest == "" && h.host != "" && h.length >= 0
		}
		name, value, ok := strings.Cut(text, ":")
		if !ok || !plainName(name) {
			return false
		}
		if value = strings.Trim(value, " \t"); !plainValue(value) {
			return false
		}
		if !h.add(name, value, wanted) {
			return false
		}
	}
}

// add takes a header in; false: the request is not plain.
func (h *head) add(name, value string, wanted map[string]string) bool {
	switch {
	case is(name, "content-length"):
		if h.length >= 0 || value == "" || len(value) > 7 {
			return false
		}
		h.length = 0
		for _, c := range []byte(value) {
			if c < '0' || c > '9' {
				return false
			}
			h.length = 10*h.length + int(c-'0')
		}
		return h.length <= maxLength
	case is(name, "host"):
		if h.host != "" || !plainHost(value) {
			return false
		}
		h.host = value
		return true
	case is(name, "connection"):
		return is(value, "keep-alive")
	case is(name, "transfer-encoding"), is(name, "expect"), is(name, "upgrade"), is(name, "trailer"), is(name, "te"):
		return false
	}
	if len(name) < 32 {
		var room [32]byte
		lower := room[:len(name)]
		for i := range lower {
			lower[i] = lowered(name[i])
		}
		if canonical, ok := wanted[string(lower)]; ok {
			h.lines = append(h.lines, line{canonical, value})
		}
	}
	return true
}

func lowered(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c | 0x20
	}
	return c
}

// is compares without regard to case; lower is in lower case.
func is(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		if lowered(s[i]) != lower[i] {
			return false
		}
	}
	return true
}

// plainTarget: a path and perhaps a query, of nothing but what needs no care.
func plainTarget(s string) bool {
	if s == "" || s[0] != '/' {
		return false
	}
	path, query, _ := strings.Cut(s, "?")
	for _, c := range []byte(path) {
		if !letterOrDigit(c) && c != '/' && c != '_' && c != '-' {
			return false
		}
	}
	for _, c := range []byte(query) {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return !strings.HasPrefix(path, "//")
}

func plainName(s string) bool {
	for _, c := range []byte(s) {
		if !letterOrDigit(c) && c != '-' && c != '_' {
			return false
		}
	}
	return s != ""
}

func plainValue(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' && c != '\t' || c >= 0x7f {
			return false
		}
	}
	return true
}

func plainHost(s string) bool {
	for _, c := range []byte(s) {
		if !letterOrDigit(c) && c != '.' && c != '-' && c != ':' && c != '[' && c != ']' {
			return false
		}
	}
	return s != ""
}

func letterOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// end finds the end of the head in what has arrived, or -1.
func end(b []byte) int {
	if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
		return i + 4
	}
	return -1
}

// bareNewline tells whether some line ends without a carriage return, so that the
// head may end in another way.
func bareNewline(b []byte) bool {
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return false
		}
		if i == 0 || b[i-1] != '\r' {
			return true
		}
		b = b[i+1:]
	}
}

// appendResponse writes status line and headers of an answer with a body of n
// bytes.
func appendResponse(dst []byte, status int, date string, h http.Header, n int) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = appendInt(dst, status)
	dst = append(dst, ' ')
	dst = append(dst, http.StatusText(status)...)
	dst = append(dst, "\r\nDate: "...)
	dst = append(dst, date...)
	for name, values := range h {
		for _, v := range values {
			if !plainName(name) || !plainValue(v) {
				continue // nothing of a request may end a line of the answer
			}
			dst = append(dst, "\r\n"...)
			dst = append(dst, name...)
			dst = append(dst, ": "...)
			dst = append(dst, v...)
		}
	}
	if status != http.StatusNoContent {
		dst = append(dst, "\r\nContent-Length: "...)
		dst = appendInt(dst, n)
	}
	return append(dst, "\r\n\r\n"...)
}
