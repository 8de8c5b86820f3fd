package mongo

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"

	"heed/internal/documents"
	"heed/internal/pull"
)

// maxDepth bounds objects and lists within each other, in both directions.
const maxDepth = 32

// opaqueForm keeps a value as it is.
type opaqueForm struct{}

func (opaqueForm) fields(value []byte) (head, own bson.D, err error) {
	return bson.D{}, bson.D{{Key: "b", Value: bson.Binary{Data: value}}}, nil
}

func (opaqueForm) value(_, own bson.Raw) ([]byte, error) {
	_, b, ok := own.Lookup("b").BinaryOK()
	if !ok {
		return nil, errors.New("the stored document has no value")
	}
	return append(make([]byte, 0, len(b)), b...), nil
}

// naturalForm keeps a document of the pull store as other programs would: its
// members are fields, with the types that BSON has for them.
type naturalForm struct{}

func (naturalForm) fields(value []byte) (head, own bson.D, err error) {
	d, err := pull.Decode(value)
	if err != nil {
		return nil, nil, err
	}
	if own, err = fromJSON(d.Fields); err != nil {
		return nil, nil, err
	}
	head = bson.D{{Key: "written", Value: d.Written.UnixMicro()}}
	if !d.Expires.IsZero() {
		head = append(head, bson.E{Key: "expires", Value: d.Expires.UnixMicro()})
	}
	return head, own, nil
}

func (naturalForm) value(head, own bson.Raw) ([]byte, error) {
	var d pull.Document // written by somebody else: nobody knows when
	if t, ok := head.Lookup("written").AsInt64OK(); ok {
		d.Written = time.UnixMicro(t)
	}
	if t, ok := head.Lookup("expires").AsInt64OK(); ok {
		d.Expires = time.UnixMicro(t)
	}
	if len(own) > documents.MaxValueBytes {
		return nil, fmt.Errorf("the stored document has %d bytes, at most %d are read", len(own), documents.MaxValueBytes)
	}
	var err error
	if d.Fields, err = appendObject(nil, own, 0); err != nil {
		return nil, err
	}
	if len(d.Fields) > pull.MaxBytes {
		return nil, fmt.Errorf("the stored document has %d bytes as JSON, at most %d are read", len(d.Fields), pull.MaxBytes)
	}
	return pull.Encode(d), nil
}

// fromJSON makes BSON of a JSON object. Numbers keep their exact value, dates as
// toDate knows them become dates.
func fromJSON(object []byte) (bson.D, error) {
	in := json.NewDecoder(bytes.NewReader(object))
	in.UseNumber()
	v, err := readValue(in, 0)
	if err != nil {
		return nil, err
	}
	d, ok := v.(bson.D)
	if !ok {
		return nil, errors.New("the document is not a JSON object")
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the document")
	}
	return d, nil
}

func readValue(in *json.Decoder, depth int) (any, error) {
	t, err := in.Token()
	if err != nil {
		return nil, fmt.Errorf("the document is not JSON: %w", err)
	}
	switch t := t.(type) {
	case json.Delim:
		if depth == maxDepth {
			return nil, fmt.Errorf("the document is deeper than %d", maxDepth)
		}
		if t == '{' {
			return readObject(in, depth)
		}
		list := bson.A{}
		for in.More() {
			v, err := readValue(in, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := in.Token() // ]
		return list, err
	case json.Number:
		return fromNumber(t.String())
	case string:
		if at, ok := toDate(t); ok {
			return at, nil
		}
		return t, nil
	default:
		return t, nil // true, false, nil
	}
}

func readObject(in *json.Decoder, depth int) (bson.D, error) {
	d := bson.D{}
	seen := map[string]bool{}
	for in.More() {
		t, err := in.Token()
		if err != nil {
			return nil, fmt.Errorf("the document is not JSON: %w", err)
		}
		name, _ := t.(string) // nothing else is a name
		if seen[name] {
			return nil, fmt.Errorf("the document has the member %.40q twice", name)
		}
		seen[name] = true
		v, err := readValue(in, depth+1)
		if err != nil {
			return nil, err
		}
		d = append(d, bson.E{Key: escape(name, depth == 0), Value: v})
	}
	_, err := in.Token() // }
	return d, err
}

// fromNumber finds the type that gives a number back as it was written: a whole
// number, the nearest double, or a decimal of up to 34 digits.
func fromNumber(text string) (any, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && strconv.FormatInt(n, 10) == text {
		return n, nil
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && doubleText(f) == text {
		return f, nil
	}
	d, err := bson.ParseDecimal128(text)
	if err != nil {
		return nil, fmt.Errorf("the number %.60s has more digits than MongoDB keeps (34)", text)
	}
	return d, nil
}

// doubleText is the shortest text of a double, which shows that it is one.
func doubleText(f float64) string {
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}

// dateForm is how BSON's dates read: UTC, in milliseconds.
const dateForm = "2006-01-02T15:04:05.000Z"

// toDate takes for a date what reads exactly as one; other texts stay texts.
func toDate(text string) (bson.DateTime, bool) {
	if len(text) != len(dateForm) {
		return 0, false
	}
	t, err := time.Parse(dateForm, text)
	if err != nil || t.Format(dateForm) != text {
		return 0, false
	}
	return bson.NewDateTimeFromTime(t), true
}

func appendObject(dst []byte, d bson.Raw, depth int) ([]byte, error) {
	if depth == maxDepth {
		return nil, fmt.Errorf("the stored document is deeper than %d", maxDepth)
	}
	elements, err := d.Elements()
	if err != nil {
		return nil, fmt.Errorf("the stored document: %w", err)
	}
	seen := make(map[string]bool, len(elements))
	dst = append(dst, '{')
	for _, e := range elements {
		name := e.Key()
		if depth == 0 && (name == "_id" || name == metaField) {
			continue
		}
		if name = unescape(name); seen[name] {
			continue // the first one counts, as with MongoDB
		}
		if len(seen) > 0 {
			dst = append(dst, ',')
		}
		seen[name] = true
		dst = append(appendString(dst, name), ':')
		if dst, err = appendValue(dst, e.Value(), depth+1); err != nil {
			return nil, err
		}
	}
	return append(dst, '}'), nil
}

// appendValue writes as JSON what another program may have stored. What has no
// meaning in a text, such as NaN or code, is null.
func appendValue(dst []byte, v bson.RawValue, depth int) ([]byte, error) {
	if err := v.Validate(); err != nil {
		return nil, fmt.Errorf("the stored document: %w", err)
	}
	switch v.Type {
	case bson.TypeEmbeddedDocument:
		return appendObject(dst, v.Document(), depth)
	case bson.TypeArray:
		if depth == maxDepth {
			return nil, fmt.Errorf("the stored document is deeper than %d", maxDepth)
		}
		values, err := v.Array().Values()
		if err != nil {
			return nil, fmt.Errorf("the stored document: %w", err)
		}
		dst = append(dst, '[')
		for i, v := range values {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendValue(dst, v, depth+1); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case bson.TypeString, bson.TypeSymbol:
		text, ok := v.StringValueOK() // Validate lets some lengths pass that cannot be read
		if v.Type == bson.TypeSymbol {
			text, ok = v.SymbolOK()
		}
		if !ok {
			return nil, errors.New("the stored document: a text in it is cut off")
		}
		return appendString(dst, text), nil
	case bson.TypeInt32:
		return strconv.AppendInt(dst, int64(v.Int32()), 10), nil
	case bson.TypeInt64:
		return strconv.AppendInt(dst, v.Int64(), 10), nil
	case bson.TypeDouble:
		if f := v.Double(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return append(dst, doubleText(f)...), nil
		}
	case bson.TypeDecimal128:
		if d := v.Decimal128(); !d.IsNaN() && d.IsInf() == 0 {
			return append(dst, d.String()...), nil
		}
	case bson.TypeBoolean:
		return strconv.AppendBool(dst, v.Boolean()), nil
	case bson.TypeDateTime:
		return appendString(dst, time.UnixMilli(v.DateTime()).UTC().Format(dateForm)), nil
	case bson.TypeTimestamp:
		seconds, _ := v.Timestamp()
		return appendString(dst, time.Unix(int64(seconds), 0).UTC().Format(dateForm)), nil
	case bson.TypeObjectID:
		return appendString(dst, v.ObjectID().Hex()), nil
	case bson.TypeBinary:
		subtype, b, ok := v.BinaryOK() // likewise
		if !ok {
			return nil, errors.New("the stored document: binary data in it are cut off")
		}
		if subtype == bson.TypeBinaryUUID && len(b) == 16 {
			return appendString(dst, fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])), nil
		}
		return appendString(dst, base64.StdEncoding.EncodeToString(b)), nil
	default:
	}
	return append(dst, "null"...), nil
}

func appendString(dst []byte, s string) []byte {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	_ = out.Encode(strings.ToValidUTF8(s, string(utf8.RuneError))) // a text is always JSON
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte{'\n'})...)
}

// escape makes a name that MongoDB takes as a field's everywhere. '.' and NUL,
// '$' in front, and on top the names that are MongoDB's and ours, become a '%'
// with two digits; so does a '%' that would be read as one.
func escape(name string, top bool) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if c == '.' || c == 0 || i == 0 && (c == '$' || c == '_' && top && (name == "_id" || name == metaField)) || c == '%' && escaped(name[i:]) {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// escaped tells whether a text begins with what escape writes.
func escaped(s string) bool {
	if len(s) < 3 || s[0] != '%' {
		return false
	}
	switch s[1:3] {
	case "2E", "00", "24", "5F", "25":
		return true
	}
	return false
}

func unescape(name string) string {
	name = strings.ToValidUTF8(name, string(utf8.RuneError))
	if !strings.Contains(name, "%") {
		return name
	}
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		c := name[i]
		if escaped(name[i:]) {
			c = byte(strings.IndexByte(hex, name[i+1])<<4 | strings.IndexByte(hex, name[i+2]))
			i += 2
		}
		b.WriteByte(c)
	}
	return b.String()
}
