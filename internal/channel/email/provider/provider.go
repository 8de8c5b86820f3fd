// Package provider owns what e-mail providers report about messages by calling back
// over HTTP: telling that a call is the provider's, and reading it. It is pure.
//
// It does not own what follows from a report, or that it is kept (email,
// channel.Inbound). Whoever calls bounds the body.
package provider

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"heed/internal/channel"
	"heed/internal/definition"
)

// Errors of a call.
var (
	// ErrForbidden: it is not the provider's.
	ErrForbidden = errors.New("the call is not signed with the channel's secret")
	// ErrUnreadable: it is, and says nothing that is understood.
	ErrUnreadable = errors.New("the report cannot be read")
)

// HeaderDelivery names the delivery, signed, to whoever reports a message.
const HeaderDelivery = "X-Heed-Delivery"

// maxReports bounds the reports of one call.
const maxReports = 10_000

// Report is what one message, or one address, came to.
type Report struct {
	Kind     channel.FeedbackKind // Delivered, Bounced, Complained or Unsubscribed
	Hard     bool                 // of a bounce: the address will never work
	ID       string               // the provider's, for repeats
	Delivery string               // "" if the report does not name it
	Sender   string               // of the envelope, or as the message names itself; "" if the report has neither
	Address  string
	Detail   string
	At       int64 // µs since the Unix epoch; 0: it does not say
}

// Call is what a call says.
type Call struct {
	Reports []Report
	// Subscribe is the token by which the provider wants to hear that its calls are
	// welcome; "" if it does not ask.
	Subscribe string
	// Token is good for these reports alone, Signed is when it was: the signature says
	// nothing of the body. "" of providers who sign all of it, or send a password.
	Token  string
	Signed time.Time
}

// Read checks and reads a call. Its errors are ErrForbidden and ErrUnreadable.
func Read(f *definition.Feedback, h http.Header, body []byte, now time.Time) (Call, error) {
	switch f.From {
	case definition.FeedbackSES:
		return readSES(f, h, body)
	case definition.FeedbackSendGrid:
		return readSendGrid(f, h, body)
	case definition.FeedbackMailgun:
		return readMailgun(f, body, now)
	}
	return readPlain(f, h, body)
}

func same(a, b string) bool {
	return b != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

func decode(body []byte, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return nil
}

func tooMany(n int) error {
	if n > maxReports {
		return fmt.Errorf("%w: it holds %d reports, and at most %d are taken at once", ErrUnreadable, n, maxReports)
	}
	return nil
}

// deliveryOf is the delivery that a Message-ID of ours names.
func deliveryOf(messageID string) string {
	local, _, _ := strings.Cut(strings.Trim(messageID, "<> "), "@")
	if len(local) != 32 || strings.Trim(local, "0123456789abcdef") != "" {
		return ""
	}
	return local
}

// plain is the form for everybody else.
type plain struct {
	Events []struct {
		ID       string    `json:"id"`
		Event    string    `json:"event"`
		Hard     bool      `json:"hard"`
		Delivery string    `json:"delivery"`
		Address  string    `json:"address"`
		Detail   string    `json:"detail"`
		At       time.Time `json:"at"`
	} `json:"events"`
}

func readPlain(f *definition.Feedback, h http.Header, body []byte) (c Call, err error) {
	token, _ := strings.CutPrefix(h.Get("Authorization"), "Bearer ")
	if !same(token, f.Secret) {
		return c, ErrForbidden
	}
	var p plain
	if err := decode(body, &p); err != nil {
		return c, err
	}
	if err := tooMany(len(p.Events)); err != nil {
		return c, err
	}
	for i, e := range p.Events {
		r := Report{
			Kind: channel.FeedbackKind(e.Event), Hard: e.Hard, ID: e.ID, Delivery: deliveryOf(e.Delivery), Address: e.Address, Detail: e.Detail, At: micros(e.At),
		}
		switch r.Kind {
		case channel.Delivered, channel.Bounced, channel.Complained, channel.Unsubscribed:
		default:
			return Call{}, fmt.Errorf("%w: events[%d].event: %.40q is not delivered, bounced, complained or unsubscribed", ErrUnreadable, i, e.Event)
		}
		if e.ID == "" || r.Delivery == "" && r.Address == "" {
			return Call{}, fmt.Errorf("%w: events[%d] needs an id, and a delivery or an address", ErrUnreadable, i)
		}
		c.Reports = append(c.Reports, r)
	}
	return c, nil
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}
