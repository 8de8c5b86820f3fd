package email

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/emersion/go-msgauth/dkim"
	gomail "github.com/wneessen/go-mail"
	"golang.org/x/net/idna"

	"heed/internal/channel"
	"heed/internal/channel/email/letter"
	"heed/internal/channel/email/provider"
	"heed/internal/definition"
)

// Bounds in bytes.
const (
	maxSubject = 1000
	maxAddress = 254
	maxMessage = 2 << 20
)

// message is one e-mail, ready for the wire.
type message struct {
	from, to string // of the envelope
	data     []byte
}

// compose makes the message of a delivery. It is the same for each attempt, but
// for the time that its links know.
func (c *Channel) compose(d *channel.Delivery) (*message, error) {
	def := d.Channel
	from, err := mail.ParseAddress(def.SMTP.From)
	if err != nil {
		return nil, fmt.Errorf("the sender: %w", err)
	}
	to, content, err := c.write(d)
	if err != nil {
		return nil, err
	}
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent(), gomail.WithBoundary("heed-"+d.ID))
	m.SetAddrHeaderFromMailAddress(gomail.HeaderFrom, from)
	m.SetAddrHeaderFromMailAddress(gomail.HeaderTo, &mail.Address{Address: to})
	if def.SMTP.ReplyTo != "" {
		reply, err := mail.ParseAddress(def.SMTP.ReplyTo)
		if err != nil {
			return nil, fmt.Errorf("the address to reply to: %w", err)
		}
		m.SetAddrHeaderFromMailAddress(gomail.HeaderReplyTo, reply)
	}
	m.Subject(d.Subject)
	m.SetDateWithValue(time.UnixMicro(d.Created).UTC())
	_, domain, _ := strings.Cut(from.Address, "@")
	m.SetMessageIDWithValue(d.ID + "@" + domain)
	if d.Unsubscribe != "" {
		m.SetListUnsubscribe(d.Unsubscribe)
		m.SetListUnsubscribePost()
	}
	out := &message{from: from.Address, to: to}
	if local := c.seal.returnPath(d.ID); local != "" {
		m.SetGenHeader(provider.HeaderDelivery, local)
		if def.Bounces != "" {
			out.from = local + "@" + def.Bounces
		}
	}
	m.SetBodyString(gomail.TypeTextPlain, content.Text)
	m.AddAlternativeString(gomail.TypeTextHTML, content.HTML)

	var raw bytes.Buffer
	if _, err := m.WriteTo(&raw); err != nil {
		return nil, fmt.Errorf("write the message: %w", err)
	}
	if out.data, err = c.keys.sign(raw.Bytes(), def.DKIM); err != nil {
		return nil, err
	}
	if len(out.data) > maxMessage {
		return nil, fmt.Errorf("the message has %d bytes, and at most %d are sent", len(out.data), maxMessage)
	}
	return out, nil
}

// write makes the letter of a delivery, and checks where it goes.
func (c *Channel) write(d *channel.Delivery) (to string, content letter.Letter, err error) {
	if to, err = address(d.To); err != nil {
		return "", content, err
	}
	if err := oneLine("subject", d.Subject, maxSubject); err != nil {
		return "", content, err
	}
	if err := oneLine("link to unsubscribe", d.Unsubscribe, maxLink); err != nil {
		return "", content, err
	}
	content, err = letter.New(d.Body, c.options(d))
	return to, content, err
}

// options are what the channel does to the content: count, if it may, and say who
// sends it.
func (c *Channel) options(d *channel.Delivery) letter.Options {
	o := letter.Options{Keep: d.Unsubscribe}
	if d.Unsubscribe != "" {
		o.Imprint = d.Channel.Address
	}
	if d.Test {
		return o
	}
	base, v := c.deps.Base(), visit{delivery: d.ID, channel: d.Channel.Name, sent: c.deps.Now()}
	if d.Channel.Tracking != definition.TrackNone {
		o.Link = func(to string) string {
			if len(to) > maxLink {
				return to
			}
			v := v
			v.to = to
			return base + clickPath + c.seal.link(purposeClick, v)
		}
	}
	if d.Channel.Local {
		return o // who looks at it is no reader of it
	}
	if d.Channel.Tracking == "" || d.Channel.Tracking == definition.TrackAll {
		o.Pixel = base + openPath + c.seal.link(purposeOpen, v)
	}
	return o
}

// signedHeaders are those that a signature covers, whether or not they are there:
// nobody adds a second subject, or another link to unsubscribe.
func signedHeaders() []string {
	return []string{
		"From", "To", "Reply-To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type",
		"List-Unsubscribe", "List-Unsubscribe-Post", "From", "Subject",
	}
}

// keys are those that were read of late: reading one takes as long as a signature.
type keys struct {
	mu   sync.Mutex
	read map[definition.DKIM]crypto.Signer
}

const maxKeys = 64

func (k *keys) signer(key definition.DKIM) (crypto.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.read[key]; s != nil {
		return s, nil
	}
	s, err := key.Signer()
	if err != nil {
		return nil, fmt.Errorf("the key of DKIM %w", err)
	}
	if k.read == nil || len(k.read) >= maxKeys { // keys change rarely: starting over is enough
		k.read = map[definition.DKIM]crypto.Signer{}
	}
	k.read[key] = s
	return s, nil
}

// sign puts a signature in front of a message, if there is a key for it.
func (k *keys) sign(raw []byte, key *definition.DKIM) ([]byte, error) {
	if key == nil {
		return raw, nil
	}
	signer, err := k.signer(*key)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = dkim.Sign(&out, bytes.NewReader(raw), &dkim.SignOptions{
		Domain: key.Domain, Selector: key.Selector, Signer: signer, HeaderKeys: signedHeaders(),
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
	})
	if err != nil {
		return nil, fmt.Errorf("sign the message: %w", err)
	}
	return out.Bytes(), nil
}

// address checks where a message goes: to one mailbox. A domain in other letters
// becomes its ASCII form.
func address(text string) (string, error) {
	if err := oneLine("address", text, maxAddress); err != nil {
		return "", err
	}
	a, err := mail.ParseAddress(text)
	if err != nil {
		return "", fmt.Errorf("%.80q is not an address", text)
	}
	at := strings.LastIndexByte(a.Address, '@')
	local, domain := a.Address[:at], a.Address[at+1:]
	if domain, err = idna.Lookup.ToASCII(domain); err != nil {
		return "", fmt.Errorf("%.80q is not an address: its domain cannot exist", text)
	}
	if strings.ContainsFunc(local, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`<>"\`, r) }) {
		return "", fmt.Errorf("%.80q is an address that few servers take", text)
	}
	return local + "@" + domain, nil
}

var errControl = errors.New("holds a control character")

// oneLine refuses what could begin a header of its own.
func oneLine(what, s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("the %s has %d bytes, and at most %d are sent", what, len(s), limit)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("the %s %w", what, errControl)
	}
	return nil
}
