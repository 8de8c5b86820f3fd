package event

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Peek decodes some of the first fields of a bare Avro form: Type, Name, UserID,
// AnonymousID, Timestamp and ReplyTo, and of the context what brought the user:
// the page's URL and referrer, the campaign's source, medium and name.
// Context.Consent becomes nil, every other
// field of e stays as it was, and what stands behind is not looked at.
// It is for events of which little is needed. Strings alias the record.
func Peek(record []byte, e *Event) error {
	r := reader{b: record}
	r.skip(1) // message id
	e.Type = r.kind()
	e.Name = r.string()
	e.UserID = r.string()
	e.AnonymousID = r.string()
	r.skip(2) // group, previous id
	e.Timestamp = r.long()
	r.skipLong() // received
	r.skip(2)    // source, session
	r.skipLong() // depth
	e.ReplyTo = r.string()
	r.skip(2) // properties, traits
	c := &e.Context
	c.Page.URL = r.string()
	r.skip(1) // path
	c.Page.Referrer = r.string()
	r.skip(1) // title
	c.Campaign.Source = r.string()
	c.Campaign.Medium = r.string()
	c.Campaign.Name = r.string()
	c.Consent = nil
	if r.bad {
		return fmt.Errorf("%w: event of %d bytes is wrong at byte %d", ErrCorrupt, len(record), r.i)
	}
	return nil
}

// Plain tells that the event states no consent and carries no context beyond the
// known fields; false if it may. Both stand last, as JSON objects or empty: an
// object ends with a brace, an empty field is a zero.
func Plain(record []byte) bool {
	n := len(record)
	return n > 2 && record[n-1] == 0 && record[n-2] == 0
}

// skip passes over n strings or bytes.
func (r *reader) skip(n int) {
	for ; n > 0 && !r.bad; n-- {
		if r.i < len(r.b) && r.b[r.i] < 0x80 && r.b[r.i]&1 == 0 { // one byte of length
			if r.i += 1 + int(r.b[r.i]>>1); r.i > len(r.b) {
				r.i = len(r.b)
				r.fail()
			}
			continue
		}
		r.bytes()
	}
}

// skipLong passes over a number.
func (r *reader) skipLong() {
	if r.bad || len(r.b)-r.i < 8 {
		r.long()
		return
	}
	// The last byte of a varint is the first without its highest bit.
	ends := ^binary.LittleEndian.Uint64(r.b[r.i:]) & 0x8080808080808080
	if ends == 0 {
		r.long()
		return
	}
	r.i += bits.TrailingZeros64(ends)/8 + 1
}
