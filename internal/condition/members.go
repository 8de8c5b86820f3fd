package condition

// Scalar is what a member of an object says, as Field.Texts and conditions read it.
type Scalar struct {
	Kind   ScalarKind
	Text   string  // of a text, itself; of a number, its JSON; it may alias the document
	Number float64 // of a number
}

// ScalarKind is the type of a Scalar.
type ScalarKind uint8

// The kinds. None is a member that counts as missing; Other is an array, an object
// or a number that no float64 holds.
const (
	ScalarNone ScalarKind = iota
	ScalarText
	ScalarNumber
	ScalarTrue
	ScalarFalse
	ScalarOther
)

// Members visits the members of a JSON object as far as it can be read. Of doubled
// keys only the first counts to a Field.
func Members(doc []byte, visit func(key string, v Scalar)) {
	i := skipSpace(doc, 0)
	if i >= len(doc) || doc[i] != '{' {
		return
	}
	for i++; ; i++ {
		name, at := nameAt(doc, i)
		if at < 0 {
			return
		}
		end := skipValue(doc, at)
		if key, ok := unquote(name); ok {
			var v value
			if end >= 0 {
				v = readTo(doc, at, end)
			}
			visit(key, v.scalar())
		}
		if i = end; i < 0 {
			return
		}
		if i = skipSpace(doc, i); i >= len(doc) || doc[i] != ',' {
			return
		}
	}
}

func (v *value) scalar() Scalar {
	switch v.kind {
	case text:
		return Scalar{Kind: ScalarText, Text: v.str}
	case boolean:
		if v.flag {
			return Scalar{Kind: ScalarTrue}
		}
		return Scalar{Kind: ScalarFalse}
	case number:
		if x, ok := v.float(); ok {
			return Scalar{Kind: ScalarNumber, Text: v.str, Number: x}
		}
		return Scalar{Kind: ScalarOther}
	case array, object:
		return Scalar{Kind: ScalarOther}
	case none, instant:
	}
	return Scalar{}
}
