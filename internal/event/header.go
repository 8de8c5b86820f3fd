package event

import "fmt"

// Header is the first fields of an event: what who counts or filters needs.
type Header struct {
	Type        Type
	Name        string
	UserID      string
	AnonymousID string
	Timestamp   int64
}

// User is the profile id, as Event.User.
func (h *Header) User() string {
	if h.UserID != "" {
		return h.UserID
	}
	return h.AnonymousID
}

// DecodeHeader decodes the first fields of a bare Avro form, without looking at
// the rest. Strings alias the record.
func DecodeHeader(record []byte, h *Header) error {
	r := reader{b: record}
	_ = r.bytes()
	h.Type = r.kind()
	h.Name = r.string()
	h.UserID = r.string()
	h.AnonymousID = r.string()
	_, _ = r.bytes(), r.bytes()
	h.Timestamp = r.long()
	if r.bad {
		return fmt.Errorf("%w: event of %d bytes is wrong at byte %d", ErrCorrupt, len(record), r.i)
	}
	return nil
}
