package rows

import (
	"math"
	"unicode/utf8"
	"unsafe"

	"heed/internal/condition"
)

// Property is a property of events that has a column of its own: null where the
// event has no such property, or one that does not fit. Then the JSON says it.
type Property struct {
	Key  string `json:"key"`
	Type Type   `json:"type"` // Varchar, Double or Boolean
}

// Column is the name of its column.
func (p Property) Column() string { return "properties." + p.Key }

// Bounds of what gets a column and of what fits into it.
const (
	maxKey  = 64
	maxText = 128
)

// simpleKey tells whether a key can name a column and a field: letters, digits and
// what does not mean anything to either.
func simpleKey(key string) bool {
	if key == "" || len(key) > maxKey {
		return false
	}
	for i := range len(key) {
		c := key[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '-' && c != ' ') {
			return false
		}
	}
	return true
}

// typeOf is the type of the column that the value fits into; "": none. What fits is
// said by the column exactly: its text is the one that measures and conditions read
// from the JSON.
func typeOf(v condition.Scalar) Type {
	switch v.Kind {
	case condition.ScalarTrue, condition.ScalarFalse:
		return Boolean
	case condition.ScalarText:
		if v.Text != "" && len(v.Text) <= maxText && plain(v.Text) {
			return Varchar
		}
	case condition.ScalarNumber:
		if size := math.Abs(v.Number); size == math.Trunc(size) && size < 1e15 && !padded(v.Text) || size >= 1e-4 && size < 1e15 {
			return Double
		}
	case condition.ScalarNone, condition.ScalarOther:
	}
	return ""
}

// plain tells whether a text stands in JSON as it is.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == '"' || s[i] == '\\' {
			return false
		}
	}
	return utf8.ValidString(s)
}

// padded tells of numbers that begin with a needless 0: JSON has none, but what is
// read as one keeps it in its text.
func padded(s string) bool {
	if s[0] == '-' {
		s = s[1:]
	}
	return len(s) > 1 && s[0] == '0' && s[1] != '.' && s[1] != 'e' && s[1] != 'E'
}

// properties writes the JSON and what of it has columns.
func (b *Block) properties(row int, doc []byte) {
	b.blob(colProperties, row, doc)
	if len(doc) == 0 || len(b.Promoted) == 0 {
		return
	}
	kept := StringOf((*[16]byte)(b.at(colProperties, row, 16)))
	var seen uint64
	condition.Members(unsafe.Slice(unsafe.StringData(kept), len(kept)), func(key string, v condition.Scalar) {
		col, ok := b.byKey[key]
		if !ok || seen>>(col-columnCount)&1 == 1 {
			return
		}
		seen |= 1 << (col - columnCount)
		if v.Kind == condition.ScalarNone {
			return
		}
		if typeOf(v) != b.Columns[col].Type {
			b.partly[col-columnCount] = true
			return
		}
		switch v.Kind {
		case condition.ScalarText:
			WriteString(b.at(col, row, 16), v.Text, func(text string) unsafe.Pointer { return b.within(kept, text) })
		case condition.ScalarNumber:
			b.u64(col, row, math.Float64bits(v.Number+0)) // no -0
		default:
			b.bit(col, row, v.Kind == condition.ScalarTrue)
		}
		b.valid(col, row)
	})
}

// within is where a text stands in one that is kept, or a copy that is kept too.
func (b *Block) within(kept, text string) unsafe.Pointer {
	at := unsafe.Pointer(unsafe.StringData(text))
	if uintptr(at)-uintptr(unsafe.Pointer(unsafe.StringData(kept))) < uintptr(len(kept)) {
		return at
	}
	return b.keep(text)
}

// Has tells whether the block has the column of a property, and whether that says
// all that its rows' JSON says of it.
func (b *Block) Has(p Property) (has, whole bool) {
	for i, mine := range b.Promoted {
		if mine == p {
			return true, !b.partly[i]
		}
	}
	return false, false
}
