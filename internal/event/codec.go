package event

import (
	_ "embed" // the schemas
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"
)

// Schema is the published Avro schema of an Event, in docs/format/event.avsc.
//
//go:embed event.avsc
var Schema string

// IntentSchema is the published Avro schema of an Intent.
//
//go:embed intent.avsc
var IntentSchema string

// Fingerprints (CRC-64-AVRO of the canonical form) tell which version of a
// schema wrote a chunk.
const (
	Fingerprint       uint64 = 0xc7a4e7a1040f1684
	IntentFingerprint uint64 = 0x2e09b795b527349e
)

// ErrCorrupt says that bytes are not what this package wrote.
var ErrCorrupt = errors.New("event: corrupt record")

// AppendEvent appends the event's Avro form behind its length as an unsigned
// varint: the form in the log. It allocates only to grow dst. Strings must be
// valid UTF-8.
func AppendEvent(dst []byte, e *Event) []byte {
	start := len(dst)
	dst = AppendAvro(append(dst, 0, 0), e)
	return sealLength(dst, start)
}

// sealLength writes the length of what stands 2 bytes behind start, moving it
// if the length needs another size.
func sealLength(dst []byte, start int) []byte {
	n := len(dst) - start - 2
	if n >= 1<<7 && n < 1<<14 {
		dst[start], dst[start+1] = byte(n)|0x80, byte(n>>7)
		return dst
	}
	var prefix [binary.MaxVarintLen64]byte
	k := binary.PutUvarint(prefix[:], uint64(n))
	for range k - 2 {
		dst = append(dst, 0)
	}
	copy(dst[start+k:], dst[start+2:start+2+n])
	copy(dst[start:], prefix[:k])
	return dst[:start+k+n]
}

// AppendAvro appends the event's bare Avro form, as it stands in object
// container files.
func AppendAvro(dst []byte, e *Event) []byte {
	dst = appendString(dst, e.MessageID)
	dst = append(dst, byte(e.Type)<<1)
	dst = appendString(dst, e.Name)
	dst = appendString(dst, e.UserID)
	dst = appendString(dst, e.AnonymousID)
	dst = appendString(dst, e.GroupID)
	dst = appendString(dst, e.PreviousID)
	dst = binary.AppendVarint(dst, e.Timestamp)
	dst = binary.AppendVarint(dst, e.ReceivedAt)
	dst = appendString(dst, e.Source)
	dst = appendString(dst, e.SessionID)
	dst = binary.AppendVarint(dst, int64(e.Depth))
	dst = appendString(dst, e.ReplyTo)
	dst = appendBytes(dst, e.Properties)
	dst = appendBytes(dst, e.Traits)
	c := &e.Context
	dst = appendString(dst, c.Page.URL)
	dst = appendString(dst, c.Page.Path)
	dst = appendString(dst, c.Page.Referrer)
	dst = appendString(dst, c.Page.Title)
	dst = appendString(dst, c.Campaign.Source)
	dst = appendString(dst, c.Campaign.Medium)
	dst = appendString(dst, c.Campaign.Name)
	dst = appendString(dst, c.Campaign.Term)
	dst = appendString(dst, c.Campaign.Content)
	dst = appendString(dst, c.Device)
	dst = appendString(dst, c.OS)
	dst = appendString(dst, c.Browser)
	dst = appendString(dst, c.Screen)
	dst = appendString(dst, c.Locale)
	dst = appendString(dst, c.Timezone)
	dst = appendString(dst, c.Country)
	dst = appendString(dst, c.UserAgent)
	dst = appendString(dst, c.IP)
	dst = append(dst, bit(c.Bot), bit(c.Historical), bit(c.Verified))
	dst = appendBytes(dst, c.Consent)
	return appendBytes(dst, c.Extra)
}

func appendString(dst []byte, s string) []byte {
	if len(s) < 64 { // one byte of length: nearly always
		return append(append(dst, byte(len(s))<<1), s...)
	}
	return append(binary.AppendVarint(dst, int64(len(s))), s...)
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendVarint(dst, int64(len(b))), b...)
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// Decoder reads the events of a chunk one after the other. It keeps nothing
// but the bytes that are left; it is used by one goroutine.
type Decoder struct {
	rest []byte
}

// NewDecoder reads events that AppendEvent wrote.
func NewDecoder(data []byte) Decoder { return Decoder{rest: data} }

// Next decodes the next event over all fields of e, whose strings and bytes
// then alias the data. ok is false at the end and on an error, behind which
// there is no going on.
func (d *Decoder) Next(e *Event) (ok bool, err error) {
	record, ok, err := d.take()
	if !ok {
		return false, err
	}
	if err := DecodeAvro(record, e); err != nil {
		d.rest = nil
		return false, err
	}
	return true, nil
}

// Skip passes over the next event.
func (d *Decoder) Skip() (ok bool, err error) {
	_, ok, err = d.take()
	return ok, err
}

// Raw is Next without decoding: the bare Avro form of the next event.
func (d *Decoder) Raw() (record []byte, ok bool, err error) { return d.take() }

func (d *Decoder) take() (record []byte, ok bool, err error) {
	if len(d.rest) == 0 {
		return nil, false, nil
	}
	record, n, err := cut(d.rest)
	if err != nil {
		d.rest = nil
		return nil, false, err
	}
	d.rest = d.rest[n:]
	return record, true, nil
}

// cut takes the first length-prefixed record, which ends at n.
func cut(b []byte) (record []byte, n int, err error) {
	size, k := binary.Uvarint(b)
	if k <= 0 || size > uint64(len(b)-k) {
		return nil, 0, fmt.Errorf("%w: length of a record reaches behind the end of %d bytes", ErrCorrupt, len(b))
	}
	n = k + int(size)
	return b[k:n:n], n, nil
}

// DecodeAvro decodes an event's bare Avro form, as Next does.
func DecodeAvro(record []byte, e *Event) error {
	r := reader{b: record}
	e.MessageID = r.string()
	e.Type = r.kind()
	e.Name = r.string()
	e.UserID = r.string()
	e.AnonymousID = r.string()
	e.GroupID = r.string()
	e.PreviousID = r.string()
	e.Timestamp = r.long()
	e.ReceivedAt = r.long()
	e.Source = r.string()
	e.SessionID = r.string()
	e.Depth = r.int()
	e.ReplyTo = r.string()
	e.Properties = r.bytes()
	e.Traits = r.bytes()
	c := &e.Context
	c.Page.URL = r.string()
	c.Page.Path = r.string()
	c.Page.Referrer = r.string()
	c.Page.Title = r.string()
	c.Campaign.Source = r.string()
	c.Campaign.Medium = r.string()
	c.Campaign.Name = r.string()
	c.Campaign.Term = r.string()
	c.Campaign.Content = r.string()
	c.Device = r.string()
	c.OS = r.string()
	c.Browser = r.string()
	c.Screen = r.string()
	c.Locale = r.string()
	c.Timezone = r.string()
	c.Country = r.string()
	c.UserAgent = r.string()
	c.IP = r.string()
	c.Bot = r.bool()
	c.Historical = r.bool()
	c.Verified = r.bool()
	c.Consent = r.bytes()
	c.Extra = r.bytes()
	if r.bad || r.i != len(record) {
		return fmt.Errorf("%w: event of %d bytes is wrong at byte %d", ErrCorrupt, len(record), r.i)
	}
	return nil
}

// reader reads Avro's primitives. Behind the first error it returns zeros.
type reader struct {
	b   []byte
	i   int
	bad bool
}

func (r *reader) fail() {
	r.bad = true
}

func (r *reader) long() int64 {
	if r.bad {
		return 0
	}
	v, n := binary.Varint(r.b[r.i:])
	if n <= 0 {
		r.fail()
		return 0
	}
	r.i += n
	return v
}

func (r *reader) int() int {
	v := r.long()
	if v != int64(int32(v)) {
		r.fail()
		return 0
	}
	return int(v)
}

func (r *reader) bytes() []byte {
	if r.bad {
		return nil
	}
	var n int
	if r.i < len(r.b) && r.b[r.i] < 0x80 { // one byte of length
		n = int(r.b[r.i])
		if n&1 != 0 {
			r.fail()
			return nil
		}
		n >>= 1
		r.i++
	} else {
		v := r.long()
		if v < 0 || v > int64(len(r.b)) {
			r.fail()
			return nil
		}
		n = int(v)
	}
	if n > len(r.b)-r.i {
		r.fail()
		return nil
	}
	if n == 0 {
		return nil
	}
	v := r.b[r.i : r.i+n : r.i+n]
	r.i += n
	return v
}

// string aliases the bytes, which by contract do not change.
func (r *reader) string() string {
	b := r.bytes()
	return unsafe.String(unsafe.SliceData(b), len(b))
}

func (r *reader) bool() bool {
	if r.bad || r.i == len(r.b) || r.b[r.i] > 1 {
		r.fail()
		return false
	}
	r.i++
	return r.b[r.i-1] == 1
}

func (r *reader) kind() Type {
	v := r.long()
	if v < 0 || v > int64(System) {
		r.fail()
		return 0
	}
	return Type(v)
}

// AppendIntent appends the intent's Avro form behind its length: the form on
// the stream of intents.
func AppendIntent(dst []byte, in *Intent) []byte {
	start := len(dst)
	dst = append(dst, 0, 0)
	dst = appendString(dst, in.FireID)
	dst = appendString(dst, in.User)
	dst = appendString(dst, in.Trigger)
	dst = appendString(dst, in.Campaign)
	dst = appendString(dst, in.Key)
	dst = binary.AppendVarint(dst, in.At)
	dst = binary.AppendVarint(dst, int64(in.Offset)) // NoOffset is -1
	dst = appendString(dst, in.CauseID)
	dst = appendString(dst, in.ReplyTo)
	dst = binary.AppendVarint(dst, int64(in.Depth))
	dst = append(dst, bit(in.Test))
	return sealLength(dst, start)
}

// DecodeIntent decodes the first intent of b, of n bytes with its length; its
// strings alias b.
func DecodeIntent(b []byte, in *Intent) (n int, err error) {
	record, n, err := cut(b)
	if err != nil {
		return 0, err
	}
	r := reader{b: record}
	in.FireID = r.string()
	in.User = r.string()
	in.Trigger = r.string()
	in.Campaign = r.string()
	in.Key = r.string()
	in.At = r.long()
	in.Offset = uint64(r.long())
	in.CauseID = r.string()
	in.ReplyTo = r.string()
	in.Depth = r.int()
	in.Test = r.bool()
	if r.bad || r.i != len(record) {
		return 0, fmt.Errorf("%w: intent of %d bytes is wrong at byte %d", ErrCorrupt, len(record), r.i)
	}
	return n, nil
}
