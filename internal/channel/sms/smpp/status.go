package smpp

import (
	"fmt"
	"time"

	"heed/internal/channel"
)

// Status is how a request was answered; 0 is well.
type Status uint32

// The statuses that are decided on, of SMPP 3.4, section 5.1.3.
const (
	invalidLength   Status = 0x01
	invalidCommand  Status = 0x03
	notBound        Status = 0x04
	alreadyBound    Status = 0x05
	systemError     Status = 0x08
	invalidSource   Status = 0x0a
	invalidTarget   Status = 0x0b
	bindFailed      Status = 0x0d
	invalidPassword Status = 0x0e
	invalidSystemID Status = 0x0f
	queueFull       Status = 0x14
	submitFailed    Status = 0x45
	throttled       Status = 0x58
	tryLater        Status = 0x64 // said by us: a message was not kept, send it again
	unparsable      Status = 0x65 // said by us: it cannot be understood
)

func (s Status) String() string {
	var name string
	switch s {
	case invalidLength:
		name = "invalid message length"
	case notBound:
		name = "not bound for this"
	case alreadyBound:
		name = "already bound"
	case systemError:
		name = "system error"
	case invalidSource:
		name = "invalid sender"
	case invalidTarget:
		name = "invalid number"
	case bindFailed:
		name = "bind failed"
	case invalidPassword:
		name = "invalid password"
	case invalidSystemID:
		name = "invalid system id"
	case queueFull:
		name = "queue full"
	case submitFailed:
		name = "submit failed"
	case throttled:
		name = "throttled"
	default:
		return fmt.Sprintf("status 0x%02x", uint32(s))
	}
	return fmt.Sprintf("%s (0x%02x)", name, uint32(s))
}

// ofSubmit classes the answer to a submit that was not taken. What is wrong with
// the message itself stays wrong; everything else may pass.
func (s Status) ofSubmit(pause time.Duration) error {
	e := &channel.Error{Class: channel.Temporary, Err: fmt.Errorf("smpp: the answer was: %s", s)}
	switch {
	case s == throttled || s == queueFull:
		e.After = pause
	case s == invalidLength, s == invalidSource, s == invalidTarget,
		s >= 0x33 && s <= 0x34,                       // numbers of destinations, their lists
		s >= 0x40 && s <= 0x44,                       // flags
		s >= 0x48 && s <= 0x51,                       // kinds of addresses
		s >= 0x61 && s <= 0x63,                       // times and canned messages
		s >= 0xc0 && s <= 0xc4, s == 0x06, s == 0x07: // optional parameters, priority, receipts
		e.Class = channel.Permanent
	}
	return e
}
