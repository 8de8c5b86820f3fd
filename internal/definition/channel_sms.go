package definition

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"

	"heed/internal/phone"
)

// SMS is what a channel of text messages says, whoever carries them.
type SMS struct {
	// Country is that of numbers without a country code: an ISO 3166 code.
	Country string     `yaml:"country,omitempty" json:"country,omitempty"`
	Limits  SMSLimits  `yaml:"limits,omitempty" json:"limits,omitzero"`
	Replies SMSReplies `yaml:"replies,omitempty" json:"replies,omitzero"`
}

// SMSLimits bound what a channel may cost, by days in UTC. 0 or none: no limit.
type SMSLimits struct {
	PerDay          int      `yaml:"perDay,omitempty" json:"perDay,omitempty"`                   // segments, which is what is billed
	PerNumberPerDay int      `yaml:"perNumberPerDay,omitempty" json:"perNumberPerDay,omitempty"` // messages to one number
	Countries       []string `yaml:"countries,omitempty" json:"countries,omitempty"`             // of the numbers that may be sent to
}

// SMSReplies are the answers to STOP, START and HELP; "" is one in English.
type SMSReplies struct {
	Stop  string `yaml:"stop,omitempty" json:"stop,omitempty"`
	Start string `yaml:"start,omitempty" json:"start,omitempty"`
	Help  string `yaml:"help,omitempty" json:"help,omitempty"`
}

// SMPP is an account at a message centre that speaks SMPP 3.4.
type SMPP struct {
	Host       string `yaml:"host" json:"host"`
	Port       int    `yaml:"port,omitempty" json:"port,omitempty"` // default 2775, with TLS 3550
	TLS        bool   `yaml:"tls,omitempty" json:"tls,omitempty"`
	SystemID   string `yaml:"systemId" json:"systemId"`
	Password   string `yaml:"password,omitempty" json:"password,omitempty"`
	SystemType string `yaml:"systemType,omitempty" json:"systemType,omitempty"`
	Sender     string `yaml:"sender" json:"sender"`                           // a number, a short code or a name of up to 11 characters
	Window     int    `yaml:"window,omitempty" json:"window,omitempty"`       // unanswered submits; default 10
	PerSecond  int    `yaml:"perSecond,omitempty" json:"perSecond,omitempty"` // segments; 0: as fast as it takes them
	Long       string `yaml:"long,omitempty" json:"long,omitempty"`           // segments (default) | payload
	// ReceiptIDs says how receipts name a message: as its submit was answered
	// (same, the default), or in decimal what was hexadecimal there.
	ReceiptIDs string `yaml:"receiptIds,omitempty" json:"receiptIds,omitempty"`
}

// What SMPP.Long and SMPP.ReceiptIDs may say.
const (
	LongSegments = "segments"
	LongPayload  = "payload"
	IDsSame      = "same"
	IDsDecimal   = "decimal"
)

// Address is where the message centre listens.
func (s *SMPP) Address() (host string, port int) {
	if s.Port == 0 && s.TLS {
		return s.Host, 3550
	}
	return s.Host, cmp.Or(s.Port, 2775)
}

// Twilio is an account at Twilio, or at a provider with the same HTTP API.
type Twilio struct {
	URL              string `yaml:"url,omitempty" json:"url,omitempty"` // default https://api.twilio.com
	AccountSID       string `yaml:"accountSid" json:"accountSid"`
	AuthToken        string `yaml:"authToken" json:"authToken"`
	From             string `yaml:"from,omitempty" json:"from,omitempty"`
	MessagingService string `yaml:"messagingService,omitempty" json:"messagingService,omitempty"`
	// Idempotent says that the provider honours an Idempotency-Key, so that what
	// may have arrived can be repeated.
	Idempotent bool `yaml:"idempotent,omitempty" json:"idempotent,omitempty"`
}

// Base is the address of the provider's API, without a slash at its end.
func (t *Twilio) Base() string {
	return strings.TrimSuffix(cmp.Or(t.URL, "https://api.twilio.com"), "/")
}

// Country is that of numbers without a country code; "" if there is none.
func (c *Channel) Country() string {
	if c.SMS == nil {
		return ""
	}
	return c.SMS.Country
}

func (c *checker) sms(ch *Channel) {
	switch {
	case ch.Type != ChannelSMS:
		for _, p := range []struct {
			path  string
			given bool
		}{{"sms", ch.SMS != nil}, {"smpp", ch.SMPP != nil}, {"twilio", ch.Twilio != nil}} {
			if p.given {
				c.fail(p.path, "", "only a channel of type %s has it", ChannelSMS)
			}
		}
		return
	case ch.Local && (ch.SMPP != nil || ch.Twilio != nil):
		c.fail("local", "leave one of them out", "what a local channel sends goes nowhere, and there is a provider")
	case !ch.Local && (ch.SMPP == nil) == (ch.Twilio == nil):
		c.fail("type", "smpp: {host: smsc.example, systemId: …, password: …, sender: …} or twilio: {accountSid: …, authToken: …, from: …}, or local: true", "a channel of type sms has either smpp or twilio")
	}
	if ch.SMS != nil {
		c.smsLimits(ch.SMS)
	}
	if ch.SMPP != nil {
		c.smpp(ch.SMPP)
	}
	if ch.Twilio != nil {
		c.twilio(ch.Twilio, ch.AllowPrivate)
	}
}

// maxReply bounds an answer, in bytes.
const maxReply = 480

func (c *checker) smsLimits(s *SMS) {
	country := func(path, code string) {
		if !phone.IsCountry(code) {
			c.fail(path, "DE", "%q is not the code of a country", code)
		}
	}
	if s.Country != "" {
		country("sms.country", s.Country)
	}
	for i, code := range s.Limits.Countries {
		country(fmt.Sprintf("sms.limits.countries[%d]", i), code)
	}
	if s.Limits.PerDay < 0 {
		c.fail("sms.limits.perDay", "", "is negative")
	}
	if s.Limits.PerNumberPerDay < 0 {
		c.fail("sms.limits.perNumberPerDay", "", "is negative")
	}
	for _, r := range []struct{ path, text string }{{"stop", s.Replies.Stop}, {"start", s.Replies.Start}, {"help", s.Replies.Help}} {
		if len(r.text) > maxReply {
			c.fail("sms.replies."+r.path, "", "has more than %d bytes", maxReply)
		}
	}
}

func (c *checker) smpp(s *SMPP) {
	// What the protocol's fields hold, without the zero at their end.
	for _, f := range []struct {
		path, text string
		max        int
		needed     bool
	}{{"host", s.Host, 253, true}, {"systemId", s.SystemID, 15, true}, {"systemType", s.SystemType, 12, false}} {
		switch {
		case f.text == "" && f.needed:
			c.fail("smpp."+f.path, "", "is missing")
		case len(f.text) > f.max:
			c.fail("smpp."+f.path, "", "has more than %d bytes", f.max)
		case strings.ContainsFunc(f.text, func(r rune) bool { return r <= ' ' || r > '~' }):
			c.fail("smpp."+f.path, "", "has a character that is not ASCII")
		}
	}
	if s.Port < 0 || s.Port > 65535 {
		c.fail("smpp.port", "2775", "%d is not a port", s.Port)
	}
	c.sender("smpp.sender", s.Sender)
	if s.Window < 0 || s.Window > 1000 {
		c.fail("smpp.window", "10", "%d is not from 1 to 1000", s.Window)
	}
	if s.PerSecond < 0 {
		c.fail("smpp.perSecond", "", "is negative")
	}
	if s.Long != "" && s.Long != LongSegments && s.Long != LongPayload {
		c.fail("smpp.long", LongSegments+" or "+LongPayload, "%q is not a way to send long messages", s.Long)
	}
	if s.ReceiptIDs != "" && s.ReceiptIDs != IDsSame && s.ReceiptIDs != IDsDecimal {
		c.fail("smpp.receiptIds", IDsSame+" or "+IDsDecimal, "%q is not a way to write ids", s.ReceiptIDs)
	}
}

func (c *checker) twilio(t *Twilio, allowPrivate bool) {
	for _, f := range []struct{ path, text string }{{"accountSid", t.AccountSID}, {"authToken", t.AuthToken}} {
		if f.text == "" {
			c.fail("twilio."+f.path, "", "is missing")
		}
	}
	u, err := url.Parse(t.Base())
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && (u.Scheme != "http" || !allowPrivate) {
		c.fail("twilio.url", "https://api.twilio.com; http only with allowPrivate: true", "%q is not the address of an API", t.URL)
	}
	switch {
	case (t.From == "") == (t.MessagingService == ""):
		c.fail("twilio.from", "", "give either from or messagingService")
	case t.From != "":
		c.sender("twilio.from", t.From)
	}
}

// sender checks a sender id: a number, a short code or a name.
func (c *checker) sender(path, text string) {
	const hint = "a number such as +4915112345678, a short code, or a name of up to 11 letters, digits and spaces"
	digits := strings.TrimPrefix(text, "+")
	isDigit := func(r rune) bool { return r >= '0' && r <= '9' }
	switch number := digits != "" && strings.TrimFunc(digits, isDigit) == ""; {
	case number && len(digits) >= 3 && len(digits) <= 15:
	case !number && text != "" && len(text) <= 11 && strings.TrimSpace(text) == text && !strings.ContainsFunc(text, func(r rune) bool {
		return !isDigit(r) && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && !strings.ContainsRune(" -_.&", r)
	}):
	default:
		c.fail(path, hint, "%q is no sender", text)
	}
}
