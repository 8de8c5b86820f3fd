package mongo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.mongodb.org/mongo-driver/v2/bson"

	"heed/internal/documents"
	"heed/internal/pull"
)

// throughBSON stores a JSON object and reads it again.
func throughBSON(t testing.TB, object string) (string, error) {
	t.Helper()
	in := pull.Document{Fields: []byte(object), Written: time.UnixMicro(1_767_323_045_123_456), Expires: time.UnixMicro(1_767_409_445_000_001)}
	head, own, err := naturalForm{}.fields(pull.Encode(in))
	if err != nil {
		return "", err
	}
	st := stored{id: "u", version: 1, head: marshal(t, head), own: marshal(t, own)}
	st = parse(marshal(t, st.whole()))
	value, err := naturalForm{}.value(st.head, st.own)
	if err != nil {
		t.Fatalf("%s was stored and cannot be read: %v", object, err)
	}
	out, err := pull.Decode(value)
	if err != nil || !out.Written.Equal(in.Written) || !out.Expires.Equal(in.Expires) {
		t.Fatalf("written %s, expires %s, %v", out.Written, out.Expires, err)
	}
	return string(out.Fields), nil
}

func marshal(t testing.TB, d bson.D) bson.Raw {
	t.Helper()
	b, err := bson.Marshal(append(bson.D{}, d...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNaturalKeeps(t *testing.T) {
	for _, object := range []string{
		`{}`,
		`{"a":1,"b":-9223372036854775808,"c":9223372036854775807}`,
		`{"a":0.1,"b":1.0,"c":-0.0,"d":1e+21,"e":5e-324,"f":1.7976931348623157e+308}`,
		`{"price":19.90,"rate":0.10,"big":18446744073709551615,"long":1234567890123456789012345678901234}`,
		`{"at":"2026-01-02T03:04:05.678Z","early":"0001-01-01T00:00:00.000Z","late":"9999-12-31T23:59:59.999Z"}`,
		`{"not":"2026-02-30T03:04:05.678Z","nor":"2026-01-02T03:04:05Z","zone":"2026-01-02T03:04:05+01:00"}`,
		`{"text":"Zoë 😀 \" \\ \n \u0000 <b>","empty":"","null":null,"yes":true,"no":false}`,
		`{"list":[1,[],[{}],"x",null],"object":{"a":{"b":{"_id":1,"_heed":2}}}}`,
		`{"_id":1,"_heed":{"v":7},"$set":2,"a.b":3,"$":4,".":5,"":6,"100%":7,"%2E":8,"%25":9,"%":10,"a$":11,"x\u0000y":12}`,
	} {
		got, err := throughBSON(t, object)
		if err != nil || got != object {
			t.Errorf("%s\n became %s, %v", object, got, err)
		}
	}
}

func TestNaturalRefuses(t *testing.T) {
	for object, want := range map[string]string{
		`{"n":12345678901234567890123456789012345}`: "more digits",
		`{"n":1e7000}`:  "more digits",
		`{"a":1,"a":2}`: "twice",
		`[1]`:           "not a JSON object",
		`{"a":1} {}`:    "follows",
		`{"a"`:          "not JSON",
		`{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`: "deeper than 32",
		strings.Repeat(`{"a":`, 33) + "1" + strings.Repeat("}", 33):       "deeper than 32",
	} {
		got, err := throughBSON(t, object)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %s, %v, want %q", object, got, err, want)
		}
	}
}

// What other programs store reads like this.
func TestForeignTypes(t *testing.T) {
	decimal := func(s string) bson.Decimal128 {
		d, err := bson.ParseDecimal128(s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	id, err := bson.ObjectIDFromHex("65a1b2c3d4e5f60718293a4b")
	if err != nil {
		t.Fatal(err)
	}
	raw := marshal(t, bson.D{
		{Key: "_id", Value: "u"},
		{Key: "int32", Value: int32(5)},
		{Key: "int64", Value: int64(math.MaxInt64)},
		{Key: "double", Value: 2.0},
		{Key: "nan", Value: math.NaN()},
		{Key: "decimal", Value: decimal("1.10")},
		{Key: "scale", Value: decimal("1E+3")},
		{Key: "inf", Value: decimal("Infinity")},
		{Key: "date", Value: time.UnixMilli(1_767_323_045_678)},
		{Key: "oid", Value: id},
		{Key: "bytes", Value: []byte{1, 2, 3}},
		{Key: "uuid", Value: bson.Binary{Subtype: bson.TypeBinaryUUID, Data: bytes.Repeat([]byte{0xab}, 16)}},
		{Key: "regex", Value: bson.Regex{Pattern: "x"}},
		{Key: "undefined", Value: bson.Undefined{}},
		{Key: "seconds", Value: bson.Timestamp{T: 1_767_323_045}},
		{Key: "a.b", Value: 1},
		{Key: "a%2Eb", Value: 2},
		{Key: "bad\xff", Value: "\xff"},
	})
	st := parse(raw)
	if st.version != 1 || !st.write.IsZero() || st.pending() {
		t.Fatalf("%+v", st)
	}
	value, err := naturalForm{}.value(st.head, st.own)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := pull.Decode(value)
	if err != nil || !doc.Written.IsZero() || !doc.Expires.IsZero() {
		t.Fatalf("%+v, %v", doc, err)
	}
	want := `{"int32":5,"int64":9223372036854775807,"double":2.0,"nan":null,"decimal":1.10,"scale":1E+3,"inf":null,` +
		`"date":"2026-01-02T03:04:05.678Z","oid":"65a1b2c3d4e5f60718293a4b","bytes":"AQID","uuid":"abababab-abab-abab-abab-abababababab",` +
		`"regex":null,"undefined":null,"seconds":"2026-01-02T03:04:05.000Z","a.b":1,"bad�":"�"}`
	if diff := cmp.Diff(want, string(doc.Fields)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !json.Valid(doc.Fields) {
		t.Error("not JSON")
	}

	deep := bson.D{}
	for range 40 {
		deep = bson.D{{Key: "a", Value: deep}}
	}
	for name, d := range map[string]bson.D{
		"deep": deep, "long": {{Key: "a", Value: strings.Repeat("x", pull.MaxBytes)}}, "huge": {{Key: "a", Value: make([]byte, documents.MaxValueBytes)}},
	} {
		if _, err := (naturalForm{}).value(nil, marshal(t, d)); err == nil {
			t.Errorf("%s: was read", name)
		}
	}
}

// TestNaturalProperty: what BSON has for a JSON value gives that value back, byte
// for byte, and dates, whole numbers and doubles keep their type, both ways.
func TestNaturalProperty(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	var value func(depth int) any
	value = func(depth int) any {
		switch n := r.IntN(10); {
		case n == 0 && depth < 5:
			d := bson.D{}
			for i := range r.IntN(5) {
				d = append(d, bson.E{Key: fmt.Sprintf("k%d%c", i, rune(r.IntN(0x250))), Value: value(depth + 1)})
			}
			return d
		case n == 1 && depth < 5:
			l := bson.A{}
			for range r.IntN(5) {
				l = append(l, value(depth+1))
			}
			return l
		case n == 2:
			return int64(r.Uint64()) >> r.IntN(64)
		case n == 3:
			for {
				if f := math.Float64frombits(r.Uint64()); !math.IsNaN(f) && !math.IsInf(f, 0) {
					return f
				}
			}
		case n == 4:
			return bson.DateTime(r.Int64N(253402300800000)) // until the year 9999
		case n == 5:
			return r.IntN(2) == 0
		case n == 6:
			return nil
		case n == 7:
			return float64(r.IntN(2000)-1000) / 8
		default:
			var b strings.Builder
			for range r.IntN(8) {
				b.WriteRune([]rune("aé😀\"\\<\x00\u2028")[r.IntN(8)])
			}
			return b.String()
		}
	}
	for range 3000 {
		in := bson.D{{Key: "a", Value: value(0)}, {Key: "b.$", Value: value(0)}}
		in[1].Key = escape(in[1].Key, true)
		for i := range in {
			escapeAll(in[i].Value)
		}
		raw := marshal(t, in)
		object, err := appendObject(nil, raw, 0)
		if err != nil {
			t.Fatalf("seed %d: %v: %v", seed, in, err)
		}
		again, err := fromJSON(object)
		if err != nil {
			t.Fatalf("seed %d: %s: %v", seed, object, err)
		}
		if out := marshal(t, again); !bytes.Equal(raw, out) {
			t.Fatalf("seed %d:\n%s\nbecame %s\nbecame %s", seed, raw, object, out)
		}
	}
}

func escapeAll(v any) {
	switch v := v.(type) {
	case bson.D:
		for i := range v {
			v[i].Key = escape(v[i].Key, false)
			escapeAll(v[i].Value)
		}
	case bson.A:
		for _, e := range v {
			escapeAll(e)
		}
	}
}

// FuzzNatural: what is taken is read back with the same meaning, and once read it
// does not change any more.
func FuzzNatural(f *testing.F) {
	for _, s := range []string{`{"a":[1,1.50,-0,1e5,"2026-01-02T03:04:05.678Z"]}`, `{"$a.b":{"_id":null}}`, `{"%2E%":"\ud83d\ude00"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, object string) {
		if len(object) > pull.MaxBytes/6 || !json.Valid([]byte(object)) { // escapes may lengthen it
			return
		}
		got, err := throughBSON(t, object)
		if err != nil {
			return
		}
		if again, err := throughBSON(t, got); err != nil || again != got {
			t.Fatalf("%q became %q became %q, %v", object, got, again, err)
		}
		var a, b any
		if json.Unmarshal([]byte(object), &a) != nil {
			return // numbers that only decimals hold
		}
		if err := json.Unmarshal([]byte(got), &b); err != nil || !cmp.Equal(a, b) {
			t.Fatalf("%q became %q, %v", object, got, err)
		}
	})
}

func FuzzForeign(f *testing.F) {
	f.Add([]byte(marshal(f, bson.D{{Key: "_id", Value: "u"}, {Key: metaField, Value: bson.D{{Key: "v", Value: int64(3)}}}, {Key: "a", Value: bson.A{1, "x"}}})))
	f.Fuzz(func(t *testing.T, b []byte) {
		raw := bson.Raw(b)
		if raw.Validate() != nil {
			return // the library does not hand it out
		}
		st := parse(raw)
		value, err := naturalForm{}.value(st.head, st.own)
		if err != nil {
			return
		}
		d, err := pull.Decode(value)
		if err != nil || !json.Valid(d.Fields) {
			t.Fatalf("%s became %q, %v", raw, d.Fields, err)
		}
	})
}
