// Package segment owns how a text becomes the segments of a text message: in the
// seven-bit alphabet of GSM if all of it can be written so, else in UCS-2, and cut
// so that no character is cut apart. Providers bill by the segment, so editors
// show the count before anything is sent (web/console counts alike, and both are
// held against testdata/vectors.json).
//
// It does not own how segments travel (smpp, twilio).
package segment

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Encoding is how characters are written.
type Encoding string

// The encodings.
const (
	GSM7 Encoding = "GSM-7"
	UCS2 Encoding = "UCS-2"
)

// Units that fit into a message of one segment, and into each of several: these
// give up six bytes to say which part they are.
const (
	single7, each7   = 160, 153
	single16, each16 = 70, 67
)

// Count is what a text takes. A unit is a septet in GSM-7 and a UTF-16 code unit
// in UCS-2.
type Count struct {
	Encoding Encoding `json:"encoding"`
	Units    int      `json:"units"`
	Segments int      `json:"segments"`
}

// Of counts a text.
func Of(text string) Count {
	e, units, segments := split(text)
	return Count{Encoding: e, Units: units, Segments: len(segments)}
}

// Split encodes a text and cuts it: each GSM-7 segment has one septet per byte,
// each UCS-2 segment is big-endian. An empty text has no segment.
func Split(text string) (Encoding, [][]byte) {
	e, _, parts := split(text)
	out := make([][]byte, len(parts))
	for i, part := range parts {
		out[i] = encode(part, e)
	}
	return e, out
}

// Encode encodes a text as one piece.
func Encode(text string) (Encoding, []byte) {
	e := encodingOf(text)
	return e, encode(text, e)
}

func encodingOf(text string) Encoding {
	for _, r := range text {
		if septets(r) == 0 {
			return UCS2
		}
	}
	return GSM7
}

func encode(text string, e Encoding) []byte {
	out := make([]byte, 0, 2*len(text))
	for _, r := range text {
		switch {
		case e == UCS2:
			for _, u := range utf16.AppendRune(nil, r) {
				out = append(out, byte(u>>8), byte(u))
			}
		case septets(r) == 2:
			out = append(out, escape, extended(r))
		default:
			out = append(out, byte(index(r)))
		}
	}
	return out
}

func split(text string) (e Encoding, units int, parts []string) {
	e = encodingOf(text)
	size := septets
	single, each := single7, each7
	if e == UCS2 {
		size, single, each = utf16.RuneLen, single16, each16
	}
	from, used := 0, 0
	for i, r := range text {
		n := max(size(r), 1) // what is no UTF-8 becomes U+FFFD
		units += n
		if used+n > each {
			parts = append(parts, text[from:i])
			from, used = i, 0
		}
		used += n
	}
	if text != "" {
		parts = append(parts, text[from:])
	}
	if units <= single && text != "" {
		parts = []string{text}
	}
	return e, units, parts
}

// The alphabet of GSM 03.38, in order of its septets. 0x1b leads to the few
// characters beside it.
const alphabet = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
	"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"

const escape = 0x1b

// septets that a character takes; 0 if the alphabet lacks it.
func septets(r rune) int {
	switch {
	case r >= ' ' && r <= 'Z' && r != '@' && r != '$', r >= 'a' && r <= 'z': // the usual ones, without a search
		return 1
	case extended(r) != 0:
		return 2
	case r != escape && index(r) >= 0:
		return 1
	}
	return 0
}

func index(r rune) int {
	at := strings.IndexRune(alphabet, r)
	if at < 0 {
		return -1
	}
	return utf8.RuneCountInString(alphabet[:at])
}

func extended(r rune) byte {
	switch r {
	case '\f':
		return 0x0a
	case '^':
		return 0x14
	case '{':
		return 0x28
	case '}':
		return 0x29
	case '\\':
		return 0x2f
	case '[':
		return 0x3c
	case '~':
		return 0x3d
	case ']':
		return 0x3e
	case '|':
		return 0x40
	case '€':
		return 0x65
	}
	return 0
}

// Text reads what somebody wrote back: septets, one per byte. What the alphabet
// lacks becomes U+FFFD.
func Text(septets []byte) string {
	runes := []rune(alphabet)
	var b strings.Builder
	for i := 0; i < len(septets); i++ {
		switch s := septets[i]; {
		case s == escape:
			r := utf8.RuneError
			if i++; i < len(septets) {
				for _, c := range "\f^{}\\[~]|€" {
					if extended(c) == septets[i] {
						r = c
					}
				}
			}
			b.WriteRune(r)
		case int(s) < len(runes):
			b.WriteRune(runes[s])
		default:
			b.WriteRune(utf8.RuneError)
		}
	}
	return b.String()
}

// TextUCS2 reads what somebody wrote back in UCS-2; an odd byte at the end is
// left out.
func TextUCS2(data []byte) string {
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = uint16(data[2*i])<<8 | uint16(data[2*i+1])
	}
	return string(utf16.Decode(units))
}
