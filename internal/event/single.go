package event

import (
	"strconv"
	"strings"

	"github.com/hamba/avro/v2"
	"github.com/hamba/avro/v2/pkg/crc64"
)

// canonical is the Parsing Canonical Form of a schema. The library's leaves the
// logical types in, and so has other fingerprints than all others.
func canonical(schema avro.Schema) string {
	named := func(s avro.NamedSchema, typ, rest string) string {
		return `{"name":"` + s.FullName() + `","type":"` + typ + `",` + rest + `}`
	}
	switch s := schema.(type) {
	case *avro.RefSchema:
		return `"` + s.Schema().FullName() + `"`
	case *avro.RecordSchema:
		var fields []string
		for _, f := range s.Fields() {
			fields = append(fields, `{"name":"`+f.Name()+`","type":`+canonical(f.Type())+`}`)
		}
		return named(s, "record", `"fields":[`+strings.Join(fields, ",")+`]`)
	case *avro.EnumSchema:
		return named(s, "enum", `"symbols":["`+strings.Join(s.Symbols(), `","`)+`"]`)
	case *avro.FixedSchema:
		return named(s, "fixed", `"size":`+strconv.Itoa(s.Size()))
	case *avro.ArraySchema:
		return `{"type":"array","items":` + canonical(s.Items()) + `}`
	case *avro.MapSchema:
		return `{"type":"map","values":` + canonical(s.Values()) + `}`
	case *avro.UnionSchema:
		var types []string
		for _, t := range s.Types() {
			types = append(types, canonical(t))
		}
		return "[" + strings.Join(types, ",") + "]"
	default:
		return `"` + string(schema.Type()) + `"`
	}
}

// SingleObjectHeader is what stands before one object by itself in Avro's
// single-object encoding: a marker, and the fingerprint of the schema as all other
// libraries compute it (the versions of the log's own schemas are not that).
func SingleObjectHeader(schema avro.Schema) []byte {
	sum := crc64.NewWithByteOrder(crc64.LittleEndian)
	_, _ = sum.Write([]byte(canonical(schema))) // never fails
	return sum.Sum([]byte{0xC3, 0x01})
}
