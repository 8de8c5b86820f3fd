package jsonscan

import (
	"bytes"
	"encoding/json"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// walk reads a text value by value, the way callers do, and builds what
// encoding/json would.
func walk(s *Scanner) any {
	switch s.Kind() {
	case Object:
		out := map[string]any{}
		s.Enter()
		for name, more := s.NextKey(); more; name, more = s.NextKey() {
			k := string(name)
			out[k] = walk(s)
		}
		return out
	case Array:
		out := []any{}
		for s.Enter(); s.NextElement(); {
			out = append(out, walk(s))
		}
		return out
	case String:
		return string(s.Text())
	default:
		raw := s.Value()
		var v any
		if !s.Failed() && json.Unmarshal(raw, &v) != nil {
			return string(raw)
		}
		return v
	}
}

func scan(text string) (v any, f Fault, err error) {
	s := Scanner{MaxDepth: 32, MaxKeys: 256}
	s.Reset([]byte(text))
	v = walk(&s)
	f, err = s.TakeFault(), s.End()
	s.Reset([]byte(text))
	raw := s.Value()
	whole, ferr := s.TakeFault(), s.End()
	if (err == nil) != (ferr == nil) || err == nil && (f != whole || string(raw) != strings.Trim(text, " \t\r\n")) {
		panic("Value and walking disagree on " + text)
	}
	return v, f, err
}

func TestFaults(t *testing.T) {
	f := func(text string, want Fault) {
		t.Helper()
		if _, got, err := scan(text); got != want || err != nil {
			t.Errorf("%.60q: fault %q, error %v; want %q", text, got, err, want)
		}
	}
	f(`{"a":[1,-0.5e-3,true,false,null,"x",{}]}`, NoFault)
	f(`"\u00e9\ud83d\ude00\"\\\/\b\f\n\r\t äß€😀"`, NoFault)
	f("\"a long string of more than eight bytes \xff and more\"", BadUTF8)
	f("{\"\xc3\x28\":1}", BadUTF8)
	f("\"\xed\xa0\x80\"", BadUTF8)
	f("\"a\x00b\"", NulCharacter)
	f(`"a\u0000b"`, NulCharacter)
	f(`{"\u0000":1}`, NulCharacter)
	f("\"12345678\n\"", ControlCharacter)
	f(`"\ud83d"`, LoneSurrogate)
	f(`"\ude00 \ud83d\ude00"`, LoneSurrogate)
	f(`"\ud83d\u0041"`, LoneSurrogate)
	f(`[1e999]`, NumberRange)
	f(`-1E+400`, NumberRange)
	f(`[1e-999, 1e308, 0e9]`, NoFault)
	f(strings.Repeat("9", 400), NumberRange)
	f(`{"a":1,"b":2,"a":3}`, DuplicateKey)
	f(`{"a":1,"\u0061":3}`, DuplicateKey)
	f(`{"abcdefgh1":1,"abcdefgh2":3,"":1,"x":{"abcdefgh1":1}}`, NoFault)
	f(`[{"a":1},{"a":2}]`, NoFault)
	f(strings.Repeat("[", 32)+strings.Repeat("]", 32), NoFault)
	f(strings.Repeat("[", 33)+strings.Repeat("]", 33), TooDeep)
	f(strings.Repeat(`{"a":`, 33)+"1"+strings.Repeat("}", 33), TooDeep)
	keys := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(`,"k` + strings.Repeat("x", i) + `":1`)
		}
		return "{" + b.String()[1:] + "}"
	}
	f(keys(256), NoFault)
	f(keys(257), TooManyKeys)
}

func TestSyntaxErrors(t *testing.T) {
	f := func(text string) {
		t.Helper()
		if _, _, err := scan(text); err == nil {
			t.Errorf("%.60q passes", text)
		}
	}
	for _, text := range []string{
		"", " ", "{", "}", "[", "]", "[1,]", "[,1]", "{,}", `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `{"a" 1}`, `[1 2]`, `{"a":1 "b":2}`,
		"01", "-", "1.", ".5", "1e", "1e+", "+1", "0x1", "NaN", "Infinity", "tru", "nul", "truex", "nulll", `"`, `"a`, `"\`, `"\"`, `"\x"`, `"\u12"`, `"\u12g4"`,
		"[}", "{]", "1 2", "{} {}", "\ufeff{}", "'a'", "[1}", `{"a":[}`,
		strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), strings.Repeat("[", 100_000),
	} {
		f(text)
	}
}

func TestInt(t *testing.T) {
	f := func(text string, want int64, wantOK bool) {
		t.Helper()
		var s Scanner
		s.Reset([]byte(text))
		if v, ok := s.Int(); v != want || ok != wantOK || s.End() != nil {
			t.Errorf("%s is %d %v, want %d %v", text, v, ok, want, wantOK)
		}
	}
	f("0", 0, true)
	f("-12", -12, true)
	f("1767225600000", 1767225600000, true)
	f("1.767225600e12", 1767225600000, true)
	f("1.5", 0, false)
	f("1e300", 0, false)
}

// Depth counts from the base.
func TestSetBase(t *testing.T) {
	s := Scanner{MaxDepth: 2}
	s.Reset([]byte(`{"batch":[[[1]],[[[1]]]]}`))
	s.Enter()
	s.NextKey()
	s.Enter()
	s.SetBase()
	var got []Fault
	for s.NextElement() {
		s.Value()
		got = append(got, s.TakeFault())
	}
	if want := []Fault{NoFault, TooDeep}; !reflect.DeepEqual(got, want) {
		t.Errorf("faults %v, want %v", got, want)
	}
}

func TestScannerDoesNotAllocate(t *testing.T) {
	text := []byte(`{"a":"x\u0041y","bbbbbbbbbbbbbbb":[1,2,{"c":null}],"d":1e3}`)
	s := Scanner{MaxDepth: 32, MaxKeys: 256}
	if n := testing.AllocsPerRun(100, func() {
		s.Reset(text)
		s.Enter()
		for _, more := s.NextKey(); more; _, more = s.NextKey() {
			if s.Kind() == String {
				s.Text()
			} else {
				s.Value()
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// doubled tells whether an object of the text has a key twice, by encoding/json.
func doubled(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	type level struct {
		keys map[string]bool // nil for arrays
		key  bool            // the next string is a key
	}
	var open []level
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return false
		}
		if err != nil {
			return false
		}
		top := func() *level {
			if len(open) == 0 {
				return &level{}
			}
			return &open[len(open)-1]
		}
		if d, isDelim := tok.(json.Delim); isDelim {
			switch d {
			case '{':
				open = append(open, level{map[string]bool{}, true})
				continue
			case '[':
				open = append(open, level{})
				continue
			default:
				open = open[:len(open)-1]
			}
		} else if l := top(); l.keys != nil && l.key {
			if l.keys[tok.(string)] {
				return true
			}
			l.keys[tok.(string)] = true
			l.key = false
			continue
		}
		if l := top(); l.keys != nil {
			l.key = true
		}
	}
}

// encoding/json is the oracle: what it accepts and we do too has the same
// value; what it accepts and we do not has a fault that it ignores.
func FuzzScanner(f *testing.F) {
	for _, text := range []string{
		`{"a":[1,-0.5e-3,true,false,null,"x\u00e9",{}],"b":"\ud83d\ude00"}`, `{"a":1,"a":2}`, `[1e999]`, "\"\xff\"", `"\ud800"`, `[[[[]]]]`, ` {"x" : [ ] } `,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<16 {
			return
		}
		v, fault, err := scan(string(text))
		valid := json.Valid(text)
		switch {
		case err == nil && fault == NoFault:
			var want any
			if uerr := json.Unmarshal(text, &want); uerr != nil {
				t.Fatalf("accepted %q, the oracle says %v", text, uerr)
			}
			if !reflect.DeepEqual(v, want) {
				t.Fatalf("%q is %v, the oracle says %v", text, v, want)
			}
			if doubled(text) {
				t.Fatalf("%q has a key twice", text)
			}
		case err == nil && fault == ControlCharacter, err == nil && fault == NulCharacter:
		case err == nil:
			if !valid && !bytes.ContainsFunc(text, func(r rune) bool { return r < 0x20 }) {
				t.Fatalf("%q: fault %v, but it is no JSON", text, fault)
			}
			if fault == DuplicateKey && utf8.Valid(text) && !doubled(text) {
				t.Fatalf("%q has no key twice", text)
			}
		case valid && fault != TooDeep:
			t.Fatalf("%q is JSON, but %v", text, err)
		}
	})
}

func BenchmarkValue(b *testing.B) {
	text := []byte(`{"messageId":"9b2f3c1e-0000-4000-8000-000000000001","type":"track","event":"product_viewed","userId":"u-1234","timestamp":"2026-01-01T00:00:00.000Z",` +
		`"context":{"page":{"url":"https://shop.example/products/red-shoes","path":"/products/red-shoes","title":"Red shoes"},"locale":"de-DE"},"properties":{"sku":"A-1","price":12.5,"n":3}}`)
	s := Scanner{MaxDepth: 32, MaxKeys: 256}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		s.Reset(text)
		s.Value()
	}
}
