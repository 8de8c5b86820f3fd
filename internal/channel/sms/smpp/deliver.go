package smpp

import (
	"encoding/binary"
	"fmt"
	"strings"

	"heed/internal/channel/sms/segment"
)

// Message is a text that somebody sent to a number of the account, or a part of a
// long one.
type Message struct {
	From   string // with "+" if it is an international number
	To     string
	Coding byte
	Data   []byte // Text reads it
	Part   Part
}

// Part says which part of a long text a message is; the zero value: it is all of it.
// What a sender writes at about the same time has another reference each.
type Part struct {
	Reference  string
	Number, Of int // Number counts from 1
}

// Receipt says what became of a segment.
type Receipt struct {
	ID    string // by which its submit was answered
	From  string // the number that it was sent to
	State State
	Error string // the network's code, "" if there is none
}

// State is where a message ended.
type State string

// The final states, and one for those that are not.
const (
	Delivered     State = "DELIVRD"
	Expired       State = "EXPIRED"
	Deleted       State = "DELETED"
	Undeliverable State = "UNDELIV"
	Rejected      State = "REJECTD"
	Underway      State = "ENROUTE" // or accepted, or unknown
)

// stateOf reads the number of a state.
func stateOf(b byte) State {
	switch b {
	case 2:
		return Delivered
	case 3:
		return Expired
	case 4:
		return Deleted
	case 5:
		return Undeliverable
	case 8:
		return Rejected
	}
	return Underway
}

// deliver is what a deliver_sm brings: one of the two.
type deliver struct {
	message *Message
	receipt *Receipt
}

// parseDeliver reads the body of a deliver_sm.
func parseDeliver(body []byte) (deliver, error) {
	f := fields{rest: body}
	f.string(6) // service type
	fromTON, _ := f.byte(), f.byte()
	from := f.string(21)
	toTON, _ := f.byte(), f.byte()
	to := f.string(21)
	class := f.byte()
	f.bytes(2) // protocol id, priority
	f.string(17)
	f.string(17)
	f.bytes(2) // registered delivery, replace
	coding := f.byte()
	f.byte() // id of a canned message
	data := f.bytes(int(f.byte()))
	if f.err != nil {
		return deliver{}, f.err
	}
	var receipted string
	var state State
	var sar Part
	for {
		tag, value, ok := f.tlv()
		if !ok {
			break
		}
		switch {
		case tag == tagReceiptedID:
			receipted = strings.TrimRight(string(value[:min(len(value), maxID)]), "\x00")
		case tag == tagMessageState && len(value) == 1:
			state = stateOf(value[0])
		case tag == tagPayload && len(data) == 0:
			data = value
		case tag == tagReference && len(value) == 2:
			sar.Reference = fmt.Sprintf("sar%d", binary.BigEndian.Uint16(value))
		case tag == tagParts && len(value) == 1:
			sar.Of = int(value[0])
		case tag == tagPart && len(value) == 1:
			sar.Number = int(value[0])
		}
	}
	if f.err != nil {
		return deliver{}, f.err
	}
	from, to = international(fromTON, from), international(toTON, to)
	switch class & esmKind {
	case esmReceipt:
		r := parseReceipt(data)
		if receipted != "" {
			r.ID = receipted
		}
		if state != "" {
			r.State = state
		}
		r.From = from
		return deliver{receipt: &r}, nil
	case esmIntermediate:
		return deliver{receipt: &Receipt{From: from, State: Underway}}, nil
	}
	part := sar
	if class&esmHeader != 0 && len(data) > 0 {
		header := data[1:min(len(data), 1+int(data[0]))]
		data = data[1+len(header):]
		if p := partOf(header); p.Reference != "" {
			part = p
		}
	}
	if part.Reference == "" || part.Of < 2 || part.Number < 1 || part.Number > part.Of {
		part = Part{}
	}
	return deliver{message: &Message{From: from, To: to, Coding: coding, Data: data, Part: part}}, nil
}

// Elements of a user data header that say which part of a text follows (3GPP TS
// 23.040, 9.2.3.24): with a reference of one byte, and of two.
const (
	elementPart     = 0x00
	elementPartWide = 0x08
)

// partOf reads a user data header; what it does not say stays empty.
func partOf(header []byte) (p Part) {
	for len(header) >= 2 {
		kind, n := header[0], int(header[1])
		if header = header[2:]; n > len(header) {
			return p
		}
		e := header[:n]
		header = header[n:]
		switch {
		case kind == elementPart && n == 3:
			p = Part{fmt.Sprintf("8bit%d", e[0]), int(e[2]), int(e[1])}
		case kind == elementPartWide && n == 4:
			p = Part{fmt.Sprintf("16bit%d", binary.BigEndian.Uint16(e)), int(e[3]), int(e[2])}
		}
	}
	return p
}

func international(ton byte, number string) string {
	if ton == tonInternational && number != "" && number[0] != '+' {
		return "+" + number
	}
	return number
}

// Text reads what somebody wrote.
func Text(coding byte, data []byte) string {
	switch coding {
	case UCS2:
		return segment.TextUCS2(data)
	case Latin1:
		runes := make([]rune, len(data))
		for i, b := range data {
			runes[i] = rune(b)
		}
		return string(runes)
	}
	return segment.Text(data)
}

// Bounds of what is read of a receipt's text, in bytes.
const (
	maxReceipt = 512
	maxID      = 65
)

// parseReceipt reads the text of a receipt, which most message centres write as
// appendix B of SMPP 3.4 does: "id:… sub:001 dlvrd:001 submit date:… done date:…
// stat:DELIVRD err:000 text:…". What is missing stays empty.
func parseReceipt(data []byte) Receipt {
	r := Receipt{State: Underway}
	for word := range strings.FieldsSeq(string(data[:min(len(data), maxReceipt)])) {
		key, value, _ := strings.Cut(word, ":")
		switch strings.ToLower(key) {
		case "id":
			if r.ID == "" {
				r.ID = value[:min(len(value), maxID)]
			}
		case "stat":
			for b := range byte(9) {
				if s := stateOf(b); strings.EqualFold(value, string(s)) {
					r.State = s
				}
			}
		case "err":
			if strings.Trim(value, "0") != "" {
				r.Error = value[:min(len(value), 8)]
			}
		case "text": // the rest is the message's
			return r
		}
	}
	return r
}
