package inbox

import (
	"encoding/binary"
	"errors"
	"fmt"

	"heed/internal/varint"
)

// messageFormat is the version of an encoded message.
const messageFormat = 1

// AppendMessage encodes a message, for drivers that store bytes: format, state,
// flags, numbers as varints, strings behind their length.
func AppendMessage(dst []byte, m *Message) []byte {
	if dst == nil {
		dst = make([]byte, 0, len(m.HTML)+len(m.ID)+len(m.User)+len(m.Campaign)+len(m.Template)+len(m.Kind)+len(m.Slot)+len(m.CauseID)+len(m.ReplyTo)+64)
	}
	var flags byte
	if m.Personal {
		flags |= 1
	}
	if m.Test {
		flags |= 2
	}
	dst = append(dst, messageFormat, byte(m.State), flags)
	dst = binary.AppendUvarint(dst, m.Seq)
	dst = binary.AppendVarint(dst, m.Created)
	dst = binary.AppendVarint(dst, m.Expires)
	dst = binary.AppendVarint(dst, int64(m.Depth))
	for _, s := range []string{m.ID, m.User, m.Campaign, m.Template, m.Kind, m.Slot, m.HTML, m.CauseID, m.ReplyTo} {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	return dst
}

// ErrCorrupt: what was read cannot be what was written.
var ErrCorrupt = errors.New("inbox: damaged message")

// ParseMessage decodes a message; its strings are copies.
func ParseMessage(b []byte, m *Message) error {
	if len(b) < 3 {
		return fmt.Errorf("%w: %d bytes", ErrCorrupt, len(b))
	}
	if b[0] != messageFormat {
		return fmt.Errorf("message has format %d, this version reads %d", b[0], messageFormat)
	}
	d := varint.NewReader(b[3:])
	*m = Message{State: State(b[1]), Personal: b[2]&1 != 0, Test: b[2]&2 != 0}
	m.Seq = d.Uvarint()
	m.Created, m.Expires = d.Varint(), d.Varint()
	m.Depth = int(d.Varint())
	for _, s := range []*string{&m.ID, &m.User, &m.Campaign, &m.Template, &m.Kind, &m.Slot, &m.HTML, &m.CauseID, &m.ReplyTo} {
		*s = d.String()
	}
	if d.Bad() || len(d.Rest()) > 0 {
		return fmt.Errorf("%w: %d bytes, %d are left", ErrCorrupt, len(b), len(d.Rest()))
	}
	return nil
}
