// Package jsonscan owns reading JSON in one pass: it validates and hands out
// slices of the input, without reflection and without allocating. It tells
// broken syntax, behind which nothing can be read, from faults of a value,
// behind which reading goes on (so that one bad event of a batch does not take
// the others with it).
//
// It does not own what the values mean.
package jsonscan

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// hardDepth is the nesting at which reading stops: a Fault tells of the soft
// limit long before.
const hardDepth = 1024

// ErrSyntax says that the input is not JSON.
var ErrSyntax = errors.New("not valid JSON")

// Fault is what is wrong with a value although its syntax is right.
type Fault uint8

// The faults.
const (
	NoFault Fault = iota
	BadUTF8
	NulCharacter
	ControlCharacter
	LoneSurrogate
	NumberRange
	DuplicateKey
	TooDeep
	TooManyKeys
)

// String is the reason as clients read it.
func (f Fault) String() string {
	switch f {
	case BadUTF8:
		return "invalid UTF-8"
	case NulCharacter:
		return "NUL character in a string"
	case ControlCharacter:
		return "control character in a string"
	case LoneSurrogate:
		return "half a surrogate pair in a string"
	case NumberRange:
		return "number out of range"
	case DuplicateKey:
		return "duplicate key"
	case TooDeep:
		return "nested too deep"
	case TooManyKeys:
		return "too many keys in one object"
	default:
		return ""
	}
}

// Kind is the kind of a value.
type Kind uint8

// The kinds.
const (
	Invalid Kind = iota
	Null
	False
	True
	Number
	String
	Array
	Object
)

// Scanner reads one JSON text. The zero Scanner with limits is ready for
// Reset. It is used by one goroutine and keeps its room for the next text.
type Scanner struct {
	// MaxDepth and MaxKeys are the limits of nesting (counted from where
	// SetBase was called last) and of the keys in one object; 0 is no limit.
	MaxDepth, MaxKeys int

	data  []byte
	pos   int
	depth int
	base  int
	first bool // an object or array was entered and nothing of it read
	err   bool
	fault Fault

	keys    []key      // of all objects that are open
	frames  []int32    // where each open container's keys begin
	objects [16]uint64 // bit per open container: it is an object
	scratch []byte     // unescaped strings
}

// key is a member's name, with what tells most names apart.
type key struct {
	mark uint64
	name []byte
}

// Reset starts on a text. What Text returned before is invalid from now on.
func (s *Scanner) Reset(data []byte) {
	s.data, s.pos, s.depth, s.base, s.first, s.err, s.fault = data, 0, 0, 0, false, false, NoFault
	s.keys, s.frames, s.scratch = s.keys[:0], s.frames[:0], s.scratch[:0]
}

// Pos is where the scanner stands in the text.
func (s *Scanner) Pos() int { return s.pos }

// SetBase makes the present nesting the one from which MaxDepth counts.
func (s *Scanner) SetBase() { s.base = s.depth }

// TakeFault returns the first fault since the last call and forgets it.
func (s *Scanner) TakeFault() Fault {
	f := s.fault
	s.fault = NoFault
	return f
}

// Failed tells whether the syntax broke; every method then returns zeros.
func (s *Scanner) Failed() bool { return s.err }

// End tells whether the text is one whole JSON value.
func (s *Scanner) End() error {
	if !s.err {
		s.space()
		if s.pos == len(s.data) && s.depth == 0 {
			return nil
		}
	}
	return fmt.Errorf("%w: at byte %d of %d", ErrSyntax, s.pos, len(s.data))
}

func (s *Scanner) fail() { s.err = true }

func (s *Scanner) note(f Fault) {
	if s.fault == NoFault {
		s.fault = f
	}
}

func (s *Scanner) space() {
	if s.pos < len(s.data) && s.data[s.pos] > ' ' { // nearly always
		return
	}
	s.skipSpace()
}

func (s *Scanner) skipSpace() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// Kind looks at the next value without reading it.
func (s *Scanner) Kind() Kind {
	if s.err {
		return Invalid
	}
	s.space()
	if s.pos == len(s.data) {
		return Invalid
	}
	switch c := s.data[s.pos]; c {
	case '{':
		return Object
	case '[':
		return Array
	case '"':
		return String
	case 't':
		return True
	case 'f':
		return False
	case 'n':
		return Null
	default:
		if c == '-' || c-'0' < 10 {
			return Number
		}
		return Invalid
	}
}

// Enter reads the beginning of an object or array. Its members are read with
// NextKey, its elements with NextElement, each until it says false.
func (s *Scanner) Enter() bool {
	k := s.Kind()
	if k != Object && k != Array {
		s.fail()
		return false
	}
	s.pos++
	return s.push(k == Object)
}

func (s *Scanner) push(object bool) bool {
	if s.depth == hardDepth {
		s.note(TooDeep)
		s.fail()
		return false
	}
	if object {
		s.objects[s.depth/64] |= 1 << (s.depth % 64)
	} else {
		s.objects[s.depth/64] &^= 1 << (s.depth % 64)
	}
	s.depth++
	s.frames = append(s.frames, int32(len(s.keys)))
	if s.MaxDepth > 0 && s.depth-s.base > s.MaxDepth {
		s.note(TooDeep)
	}
	s.first = true
	return true
}

func (s *Scanner) pop() {
	s.depth--
	s.keys = s.keys[:s.frames[s.depth]]
	s.frames = s.frames[:s.depth]
	s.first = false
}

// NextKey reads the next member's name, which is valid until the next Reset;
// more is false at the object's end.
func (s *Scanner) NextKey() (name []byte, more bool) {
	if !s.next('}') {
		return nil, false
	}
	name = s.name()
	return name, !s.err
}

// NextElement tells whether the array has another element.
func (s *Scanner) NextElement() bool { return s.next(']') }

// next reads what stands in front of a member or element, or the end.
func (s *Scanner) next(end byte) bool {
	if s.err {
		return false
	}
	s.space()
	if s.pos == len(s.data) {
		s.fail()
		return false
	}
	c := s.data[s.pos]
	if c == end {
		s.pos++
		s.pop()
		return false
	}
	if s.first {
		s.first = false
		return true
	}
	if c != ',' {
		s.fail()
		return false
	}
	s.pos++
	s.space()
	return true
}

// name reads a member's name and the colon.
func (s *Scanner) name() []byte {
	if s.pos >= len(s.data) || s.data[s.pos] != '"' {
		s.fail()
		return nil
	}
	raw, escaped := s.text()
	if escaped {
		raw = s.unescape(raw)
	}
	s.space()
	if s.err || s.pos == len(s.data) || s.data[s.pos] != ':' {
		s.fail()
		return nil
	}
	s.pos++
	s.addKey(raw)
	return raw
}

// addKey remembers a name of the innermost object, noting a repeat.
func (s *Scanner) addKey(name []byte) {
	from := int(s.frames[s.depth-1])
	if s.MaxKeys > 0 && len(s.keys)-from >= s.MaxKeys {
		s.note(TooManyKeys) // and compare no more: the work stays bounded
		return
	}
	mark := uint64(len(name)) << 56
	if len(name) >= 8 {
		mark ^= binary.LittleEndian.Uint64(name) ^ bits.RotateLeft64(binary.LittleEndian.Uint64(name[len(name)-8:]), 29)
	} else {
		for _, c := range name {
			mark = mark<<7 ^ uint64(c) ^ mark>>57
		}
	}
	for i := range s.keys[from:] {
		if k := &s.keys[from+i]; k.mark == mark && bytes.Equal(k.name, name) {
			s.note(DuplicateKey)
			return
		}
	}
	s.keys = append(s.keys, key{mark, name})
}

// Text reads a string. The result aliases the input, or, if it had escapes, the
// scanner's own room: both are valid until the next Reset.
func (s *Scanner) Text() []byte {
	if s.Kind() != String {
		s.fail()
		return nil
	}
	raw, escaped := s.text()
	if escaped {
		return s.unescape(raw)
	}
	return raw
}

// Value reads any value and returns it as it stands in the input.
func (s *Scanner) Value() []byte {
	k := s.Kind()
	start := s.pos
	if k >= Array {
		s.container()
	} else {
		s.scalar(k)
	}
	if s.err {
		return nil
	}
	return s.data[start:s.pos]
}

// Int reads a number as a whole one; ok is false if it is none.
func (s *Scanner) Int() (v int64, ok bool) {
	if s.Kind() != Number {
		s.fail()
		return 0, false
	}
	raw := s.Value()
	text := unsafe.String(unsafe.SliceData(raw), len(raw))
	if v, err := strconv.ParseInt(text, 10, 64); err == nil {
		return v, true
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}

func (s *Scanner) scalar(k Kind) {
	switch k {
	case String:
		if raw, escaped := s.text(); escaped {
			s.checkEscapes(raw)
		}
	case Number:
		s.number()
	case True:
		s.word("true")
	case False:
		s.word("false")
	case Null:
		s.word("null")
	default:
		s.fail()
	}
}

func (s *Scanner) word(w string) {
	if len(s.data)-s.pos < len(w) || string(s.data[s.pos:s.pos+len(w)]) != w {
		s.fail()
		return
	}
	s.pos += len(w)
}

// container reads a whole object or array without recursion.
func (s *Scanner) container() {
	outer := s.depth
	if !s.Enter() {
		return
	}
	for s.depth > outer {
		object := s.objects[(s.depth-1)/64]>>((s.depth-1)%64)&1 != 0
		if object {
			if !s.next('}') {
				if s.err {
					return
				}
				continue
			}
			s.name()
		} else if !s.next(']') {
			if s.err {
				return
			}
			continue
		}
		if k := s.Kind(); k >= Array {
			s.pos++
			s.push(k == Object)
		} else {
			s.scalar(k)
		}
		if s.err {
			return
		}
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// text reads a string and returns what stands between the quotes.
func (s *Scanner) text() (raw []byte, escaped bool) {
	s.pos++
	start, i, data := s.pos, s.pos, s.data
	high := false
	for {
		// Eight bytes at a time while nothing among them is special: a byte's
		// high bit is set if it was, or if a difference went below zero. Only
		// behind the first such byte a borrow can set one for nothing.
		for i+8 <= len(data) {
			w := binary.LittleEndian.Uint64(data[i:])
			special := w | ((w ^ ones*'"') - ones) | ((w ^ ones*'\\') - ones) | (w - ones*0x20)
			if special &= highs; special != 0 {
				i += bits.TrailingZeros64(special) / 8
				break
			}
			i += 8
		}
		if i >= len(data) {
			s.pos = i
			s.fail()
			return nil, false
		}
		switch c := data[i]; {
		case c == '"':
			s.pos = i + 1
			raw = data[start:i:i]
			if high && !utf8.Valid(raw) {
				s.note(BadUTF8)
			}
			return raw, escaped
		case c == '\\':
			escaped = true
			i += 2
		case c == 0:
			s.note(NulCharacter)
			i++
		case c < 0x20:
			s.note(ControlCharacter)
			i++
		case c >= 0x80:
			high = true
			for i < len(data) && data[i] >= 0x80 {
				i++
			}
		default:
			i++
		}
	}
}

// checkEscapes validates the escapes of a string that nobody wants unescaped.
func (s *Scanner) checkEscapes(raw []byte) {
	for i := bytes.IndexByte(raw, '\\'); i < len(raw); {
		if raw[i] != '\\' {
			i++
			continue
		}
		_, n := s.escape(raw[i:])
		if n == 0 {
			s.fail()
			return
		}
		i += n
	}
}

// escape reads the escape sequence at the start of b: n bytes, 0 if it is none.
// Two \u of a surrogate pair are one.
func (s *Scanner) escape(b []byte) (r rune, n int) {
	if len(b) < 2 {
		return 0, 0
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
	default:
		return 0, 0
	}
	r, ok := hex4(b[2:])
	if !ok {
		return 0, 0
	}
	if r == 0 {
		s.note(NulCharacter)
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if len(b) >= 12 && b[6] == '\\' && b[7] == 'u' {
		if low, ok := hex4(b[8:]); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, 12
			}
		}
	}
	s.note(LoneSurrogate)
	return utf8.RuneError, 6
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c-'0' < 10:
			c -= '0'
		case c|0x20-'a' < 6:
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// unescape writes the string's meaning into the scanner's room.
func (s *Scanner) unescape(raw []byte) []byte {
	start := len(s.scratch)
	for len(raw) > 0 {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			i = len(raw)
		}
		s.scratch = append(s.scratch, raw[:i]...)
		raw = raw[i:]
		if len(raw) == 0 {
			break
		}
		r, n := s.escape(raw)
		if n == 0 {
			s.fail()
			return nil
		}
		s.scratch = utf8.AppendRune(s.scratch, r)
		raw = raw[n:]
	}
	return s.scratch[start:len(s.scratch):len(s.scratch)]
}

// number reads a number by JSON's grammar.
func (s *Scanner) number() {
	start, i, data := s.pos, s.pos, s.data
	digits := func() bool {
		from := i
		for i < len(data) && data[i]-'0' < 10 {
			i++
		}
		return i > from
	}
	if data[i] == '-' {
		i++
	}
	if i < len(data) && data[i] == '0' {
		i++
	} else if !digits() {
		s.fail()
		return
	}
	if i < len(data) && data[i] == '.' {
		i++
		if !digits() {
			s.fail()
			return
		}
	}
	exponent := false
	if i < len(data) && data[i]|0x20 == 'e' {
		exponent = true
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		if !digits() {
			s.fail()
			return
		}
	}
	s.pos = i
	if exponent || i-start > 300 {
		if raw := data[start:i]; !finite(raw) {
			s.note(NumberRange)
		}
	}
}

func finite(raw []byte) bool {
	f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(raw), len(raw)), 64)
	return err == nil && !math.IsInf(f, 0)
}
