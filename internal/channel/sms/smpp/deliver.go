package smpp

import (
	"strings"

	"heed/internal/channel/sms/segment"
)

// Message is a text that somebody sent to a number of the account.
type Message struct {
	From string // with "+" if it is an international number
	To   string
	Text string // of a long message: one of its parts
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
	if class&esmHeader != 0 && len(data) > 0 {
		data = data[min(len(data), 1+int(data[0])):]
	}
	return deliver{message: &Message{From: from, To: to, Text: textOf(coding, data)}}, nil
}

func international(ton byte, number string) string {
	if ton == tonInternational && number != "" && number[0] != '+' {
		return "+" + number
	}
	return number
}

func textOf(coding byte, data []byte) string {
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
