package message

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hamba/avro/v2"

	"heed/internal/definition"
	"heed/internal/event"
)

// Schemas tells the schemas that a registry knows by number. An event.Refusal
// says that it has none of that number, another error that it cannot be asked at
// the moment.
type Schemas interface {
	Schema(ctx context.Context, id uint32) (avro.Schema, error)
}

// format reads the value of a message as JSON. The result is good until the next
// call.
type format interface {
	json(ctx context.Context, value []byte) ([]byte, error)
}

func formatOf(s *definition.Stream, schemas Schemas) (format, error) {
	if s.Format != definition.FormatAvro {
		return asIs{}, nil
	}
	f := &inAvro{framing: s.Avro.Framing, schemas: schemas, in: avro.NewReader(nil, 0)}
	if s.Avro.Schema == "" {
		if schemas == nil {
			return nil, errors.New("message: neither a schema nor a registry")
		}
		return f, nil
	}
	var err error
	if f.schema, err = definition.ParseSchema(s.Avro.Schema); err != nil {
		return nil, fmt.Errorf("message: %w", err)
	}
	f.header = event.SingleObjectHeader(f.schema)
	return f, nil
}

// asIs is the format JSON.
type asIs struct{}

func (asIs) json(_ context.Context, value []byte) ([]byte, error) { return value, nil }

// inAvro is the format Avro.
type inAvro struct {
	framing string
	schema  avro.Schema // nil: the registry tells it
	header  []byte      // of a single object with that schema
	schemas Schemas
	in      *avro.Reader
	out     []byte
}

func (f *inAvro) json(ctx context.Context, value []byte) ([]byte, error) {
	schema := f.schema
	switch f.framing {
	case definition.FramingNone:
	case definition.FramingConfluent:
		if len(value) < 5 || value[0] != 0 {
			return nil, event.Refusal("does not begin as messages with a schema registry do")
		}
		if schema == nil {
			var err error
			if schema, err = f.schemas.Schema(ctx, binary.BigEndian.Uint32(value[1:5])); err != nil {
				return nil, err
			}
		}
		value = value[5:]
	default:
		if len(value) < len(f.header) || value[0] != f.header[0] || value[1] != f.header[1] {
			return nil, event.Refusal("does not begin as a single object in Avro does")
		}
		if !bytes.Equal(value[:len(f.header)], f.header) {
			return nil, event.Refusal("is written with another schema, of the fingerprint " + hex.EncodeToString(value[2:len(f.header)]))
		}
		value = value[len(f.header):]
	}
	f.in.Error = nil
	f.in.Reset(value)
	f.out = f.out[:0]
	err := f.write(schema, 0)
	if err == nil && f.in.Error != nil {
		err = errBroken
	}
	if err == nil {
		f.in.Peek()
		if f.in.Error == nil {
			err = event.Refusal("has more bytes than its schema")
		}
	}
	return f.out, err
}

const errBroken event.Refusal = "is not what its schema says"

// write appends the next value of the input.
func (f *inAvro) write(schema avro.Schema, depth int) error {
	if f.in.Error != nil {
		return errBroken
	}
	if depth > maxDepth {
		return event.Refusal("nested too deep")
	}
	if len(f.out) > MaxBytes {
		return tooBig
	}
	switch s := schema.(type) {
	case *avro.RefSchema:
		return f.write(s.Schema(), depth)
	case *avro.NullSchema:
		f.out = append(f.out, "null"...)
	case *avro.PrimitiveSchema:
		f.primitive(s)
	case *avro.RecordSchema:
		f.out = append(f.out, '{')
		for i, field := range s.Fields() {
			if i > 0 {
				f.out = append(f.out, ',')
			}
			f.out = append(event.AppendQuoted(f.out, field.Name()), ':')
			if err := f.write(field.Type(), depth+1); err != nil {
				return err
			}
		}
		f.out = append(f.out, '}')
	case *avro.UnionSchema:
		i := f.in.ReadLong()
		if i < 0 || i >= int64(len(s.Types())) {
			return errBroken
		}
		return f.write(s.Types()[i], depth+1)
	case *avro.EnumSchema:
		symbol, ok := s.Symbol(int(f.in.ReadInt()))
		if !ok {
			return errBroken
		}
		f.out = event.AppendQuoted(f.out, symbol)
	case *avro.FixedSchema:
		raw := make([]byte, min(s.Size(), MaxBytes))
		f.in.Read(raw)
		f.bytes(raw, s.Logical())
	case *avro.ArraySchema:
		return f.blocks('[', ']', func() error { return f.write(s.Items(), depth+1) })
	case *avro.MapSchema:
		return f.blocks('{', '}', func() error {
			f.out = append(f.text(f.in.ReadString()), ':')
			return f.write(s.Values(), depth+1)
		})
	default:
		return event.Refusal("its schema is of the type " + string(schema.Type()))
	}
	return nil
}

// blocks appends the items of an array or map.
func (f *inAvro) blocks(open, end byte, item func() error) error {
	f.out = append(f.out, open)
	for first := true; ; {
		n, _ := f.in.ReadBlockHeader()
		if n < 0 || f.in.Error != nil {
			return errBroken
		}
		if n == 0 {
			break
		}
		for ; n > 0; n-- {
			if !first {
				f.out = append(f.out, ',')
			}
			first = false
			if err := item(); err != nil {
				return err
			}
		}
	}
	f.out = append(f.out, end)
	return nil
}

func (f *inAvro) primitive(s *avro.PrimitiveSchema) {
	logical := avro.LogicalType("")
	if l := s.Logical(); l != nil {
		logical = l.Type()
	}
	switch s.Type() {
	case avro.String:
		f.out = f.text(f.in.ReadString())
	case avro.Bytes:
		f.bytes(f.in.ReadBytes(), s.Logical())
	case avro.Boolean:
		f.out = strconv.AppendBool(f.out, f.in.ReadBool())
	case avro.Int:
		f.number(int64(f.in.ReadInt()), logical)
	case avro.Long:
		f.number(f.in.ReadLong(), logical)
	case avro.Float:
		f.float(float64(f.in.ReadFloat()), 32)
	case avro.Double:
		f.float(f.in.ReadDouble(), 64)
	default: // is no primitive: has a type of its own
	}
}

// text appends a string; bytes that are not UTF-8 become U+FFFD.
func (f *inAvro) text(s string) []byte { return event.AppendQuoted(f.out, s) }

// float appends a number; JSON has no others than finite ones.
func (f *inAvro) float(n float64, bits int) {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		f.out = append(f.out, "null"...)
		return
	}
	f.out = strconv.AppendFloat(f.out, n, 'g', -1, bits)
}

// number appends a number, or the date or time that it stands for.
func (f *inAvro) number(n int64, logical avro.LogicalType) {
	var at time.Time
	layout := time.RFC3339Nano
	switch logical {
	case avro.Date:
		at, layout = time.Unix(n*24*60*60, 0), time.DateOnly
	case avro.TimestampMillis:
		at = time.UnixMilli(n)
	case avro.TimestampMicros:
		at = time.UnixMicro(n)
	case avro.LocalTimestampMillis:
		at, layout = time.UnixMilli(n), "2006-01-02T15:04:05.999999"
	case avro.LocalTimestampMicros:
		at, layout = time.UnixMicro(n), "2006-01-02T15:04:05.999999"
	case avro.TimeMillis:
		at, layout = time.UnixMilli(n), "15:04:05.999999"
	case avro.TimeMicros:
		at, layout = time.UnixMicro(n), "15:04:05.999999"
	default: // a number
	}
	if at = at.UTC(); at.Year() < 1 || at.Year() > 9999 || at.IsZero() {
		f.out = strconv.AppendInt(f.out, n, 10)
		return
	}
	f.out = append(at.AppendFormat(append(f.out, '"'), layout), '"')
}

// bytes appends a decimal as a number, other bytes in base64.
func (f *inAvro) bytes(raw []byte, logical avro.LogicalSchema) {
	if d, ok := logical.(*avro.DecimalLogicalSchema); ok && len(raw) <= 64 {
		f.out = append(f.out, decimal(raw, d.Scale())...)
		return
	}
	f.out = append(f.out, '"')
	f.out = base64.StdEncoding.AppendEncode(f.out, raw)
	f.out = append(f.out, '"')
}

// decimal writes an unscaled number in two's complement.
func decimal(raw []byte, scale int) string {
	n := new(big.Int).SetBytes(raw)
	if len(raw) > 0 && raw[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(raw))*8))
	}
	digits := n.Text(10)
	if scale <= 0 || scale > 100 {
		return digits
	}
	sign := ""
	if rest, negative := strings.CutPrefix(digits, "-"); negative {
		sign, digits = "-", rest
	}
	if missing := scale + 1 - len(digits); missing > 0 {
		digits = string(slices.Repeat([]byte{'0'}, missing)) + digits
	}
	whole, part := digits[:len(digits)-scale], strings.TrimRight(digits[len(digits)-scale:], "0")
	if part == "" {
		return sign + whole
	}
	return sign + whole + "." + part
}
