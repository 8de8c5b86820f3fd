package smpp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// command is the id of a PDU's kind; answers have the highest bit set.
type command uint32

// The commands that are used here, of SMPP 3.4, section 5.1.2.1.
const (
	genericNack     command = 0x80000000
	bindTransceiver command = 0x00000009
	unbind          command = 0x00000006
	submitSM        command = 0x00000004
	deliverSM       command = 0x00000005
	enquireLink     command = 0x00000015
	alert           command = 0x00000102 // the only request that has no answer
	answer          command = 0x80000000
)

// Bounds of a PDU, in bytes: a payload has at most 64 KiB.
const (
	headerSize = 16
	maxPDU     = 68 << 10
)

// pdu is one unit of the protocol.
type pdu struct {
	command command
	status  Status
	seq     uint32
	body    []byte
}

func (p *pdu) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(headerSize+len(p.body)))
	b = binary.BigEndian.AppendUint32(b, uint32(p.command))
	b = binary.BigEndian.AppendUint32(b, uint32(p.status))
	b = binary.BigEndian.AppendUint32(b, p.seq)
	return append(b, p.body...)
}

// readPDU reads the next one. After an error the stream cannot be read on.
func readPDU(r io.Reader) (pdu, error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return pdu{}, err
	}
	n := binary.BigEndian.Uint32(h[:])
	if n < headerSize || n > maxPDU {
		return pdu{}, fmt.Errorf("a PDU of %d bytes", n)
	}
	p := pdu{
		command: command(binary.BigEndian.Uint32(h[4:])), status: Status(binary.BigEndian.Uint32(h[8:])),
		seq: binary.BigEndian.Uint32(h[12:]), body: make([]byte, n-headerSize),
	}
	_, err := io.ReadFull(r, p.body)
	return p, err
}

// appendString appends a field that ends with a zero; what does not fit into max
// bytes with it is an error.
func appendString(b []byte, name, s string, max int) ([]byte, error) {
	if len(s) >= max || bytes.IndexByte([]byte(s), 0) >= 0 {
		return nil, fmt.Errorf("%s has %d bytes or a zero in it; the protocol has room for %d", name, len(s), max-1)
	}
	return append(append(b, s...), 0), nil
}

// fields reads a body. The first thing that is missing ends it: err stays.
type fields struct {
	rest []byte
	err  error
}

var errShort = errors.New("the PDU is too short")

func (f *fields) bytes(n int) []byte {
	if f.err != nil || len(f.rest) < n {
		f.err = errShort
		return make([]byte, min(n, 2)) // enough for a number
	}
	out := f.rest[:n]
	f.rest = f.rest[n:]
	return out
}

func (f *fields) byte() byte { return f.bytes(1)[0] }

func (f *fields) string(max int) string {
	n := bytes.IndexByte(f.rest[:min(len(f.rest), max)], 0)
	if f.err != nil || n < 0 {
		f.err = errShort
		return ""
	}
	out := string(f.rest[:n])
	f.rest = f.rest[n+1:]
	return out
}

// Optional parameters that are read or written.
const (
	tagReceiptedID  = 0x001e
	tagMessageState = 0x0427
	tagPayload      = 0x0424
	tagReference    = 0x020c // of a long text, and which part it is
	tagParts        = 0x020e
	tagPart         = 0x020f
)

// tlv reads the next optional parameter; ok is false at the end.
func (f *fields) tlv() (tag uint16, value []byte, ok bool) {
	if f.err != nil || len(f.rest) == 0 {
		return 0, nil, false
	}
	tag = binary.BigEndian.Uint16(f.bytes(2))
	n := int(binary.BigEndian.Uint16(f.bytes(2)))
	if f.err != nil || n > len(f.rest) {
		f.err = errShort
		return 0, nil, false
	}
	return tag, f.bytes(n), true
}

func appendTLV(b []byte, tag uint16, value []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, tag)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

// bodyOf a bind.
func (c *Config) bindBody() ([]byte, error) {
	b, err := appendString(nil, "the system id", c.SystemID, 16)
	if err == nil {
		// Nine bytes by the letter; message centres take longer ones.
		b, err = appendString(b, "the password", c.Password, 65)
	}
	if err == nil {
		b, err = appendString(b, "the system type", c.SystemType, 13)
	}
	return append(b, 0x34, 0, 0, 0), err // version 3.4, any kind and range of addresses
}

// Submit is one segment of a message.
type Submit struct {
	Sender string // a number in E.164, a short code or a name
	To     string // E.164
	// Part: the data begins with a header that says which part of a message it is.
	Part   bool
	Coding byte // DefaultAlphabet or UCS2
	Data   []byte
	// Payload: the data travels as message_payload, whatever its length up to
	// 64 KiB; else it has at most 254 bytes.
	Payload bool
	// Receipt asks for one: always, or only if the segment does not arrive.
	Receipt Wanted
	// Accepted is told the message centre's id as soon as the answer is read, before
	// anything that comes after it: also an answer that Submit no longer waits for.
	// It must not block. May be nil.
	Accepted func(id string)
}

// Wanted says which receipts are.
type Wanted byte

// The receipts.
const (
	Always    Wanted = 1
	OnFailure Wanted = 2
)

// Codings of data.
const (
	DefaultAlphabet byte = 0 // a septet of GSM-7 per byte
	Latin1          byte = 3
	UCS2            byte = 8
)

const (
	esmHeader       = 0x40 // the data begins with a user data header
	esmKind         = 0x3c
	esmReceipt      = 0x04
	esmIntermediate = 0x20
)

func (m *Submit) body() ([]byte, error) {
	b := []byte{0} // default service
	ton, npi, sender := senderOf(m.Sender)
	b, err := appendString(append(b, ton, npi), "the sender", sender, 21)
	if err != nil {
		return nil, err
	}
	to := m.To
	if len(to) > 0 && to[0] == '+' {
		to = to[1:]
	}
	if b, err = appendString(append(b, tonInternational, npiNumber), "the number", to, 21); err != nil {
		return nil, err
	}
	class := byte(0)
	if m.Part {
		class = esmHeader
	}
	b = append(b, class, 0, 0, 0, 0, byte(m.Receipt), 0, m.Coding, 0)
	switch {
	case m.Payload && len(m.Data) <= 0xffff:
		return appendTLV(append(b, 0), tagPayload, m.Data), nil
	case !m.Payload && len(m.Data) <= 254:
		return append(append(b, byte(len(m.Data))), m.Data...), nil
	}
	return nil, fmt.Errorf("a segment of %d bytes", len(m.Data))
}

const (
	tonInternational = 1
	tonShortCode     = 3
	tonName          = 5
	npiUnknown       = 0
	npiNumber        = 1 // E.164
)

// senderOf says what kind of address a sender is.
func senderOf(s string) (ton, npi byte, address string) {
	digits := s
	if len(s) > 0 && s[0] == '+' {
		digits = s[1:]
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return tonName, npiUnknown, s
		}
	}
	if len(digits) > 8 || len(digits) < len(s) {
		return tonInternational, npiNumber, digits
	}
	return tonShortCode, npiUnknown, digits
}
