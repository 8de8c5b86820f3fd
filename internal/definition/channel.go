package definition

import (
	"cmp"
	"maps"
	"net/url"
	"time"

	"heed/internal/period"
	"heed/internal/render"
)

// Channels that exist without a definition.
const (
	ChannelWeb    = "web"
	ChannelOutbox = "outbox"
)

// Types of channels that need a definition.
const (
	ChannelWebhook = "webhook"
	ChannelPull    = "pull"
	ChannelEmail   = "email"
	ChannelSMS     = "sms"
	ChannelPush    = "push"
	ChannelKafka   = "kafka"
)

// Channel is a way out that is configured by name. "web" and "outbox" exist
// without a definition.
type Channel struct {
	Name string `yaml:"name" json:"name"`
	Type string `yaml:"type" json:"type"` // web | outbox | webhook | pull | email | sms | push | kafka

	// Of a webhook: where it posts, the secret that signs, whether the address may
	// be a private one (of sms by HTTP too), and how long an attempt may take (of
	// kafka too).
	URL          string        `yaml:"url,omitempty" json:"url,omitempty"`
	Secret       string        `yaml:"secret,omitempty" json:"secret,omitempty"`
	AllowPrivate bool          `yaml:"allowPrivate,omitempty" json:"allowPrivate,omitempty"`
	Timeout      period.Period `yaml:"timeout,omitempty" json:"timeout,omitempty"`
	// Of kafka: how its brokers are reached; the topic; what keys are made of: user
	// (default), activation, campaign, none, or a place in the value; and further
	// headers of each record.
	Kafka   *Kafka            `yaml:"kafka,omitempty" json:"kafka,omitempty"`
	Topic   string            `yaml:"topic,omitempty" json:"topic,omitempty"`
	Key     string            `yaml:"key,omitempty" json:"key,omitempty"`
	Headers map[string]string `yaml:"headers,omitempty" json:"headers,omitempty"`
	// Cap bounds the marketing that a user gets by the channel, of all campaigns.
	Cap *Cap `yaml:"cap,omitempty" json:"cap,omitempty"`
	// OnUnknown says what becomes of an attempt that may have arrived, and may not
	// have: hold (it is not repeated: at most once) or retry (at least once). Of
	// email, sms and push; the others tell a repeat from a second message.
	OnUnknown string `yaml:"onUnknown,omitempty" json:"onUnknown,omitempty"`

	// Collection of the pull store that a channel of type pull writes into.
	Collection string `yaml:"collection,omitempty" json:"collection,omitempty"`

	// Of email: how it sends; the key that signs; the sender's postal address, on
	// one line; the domain that mail which cannot be delivered comes back to (empty:
	// the sender's own mailbox); and what is counted: all, clicks or none.
	SMTP     *SMTP  `yaml:"smtp,omitempty" json:"smtp,omitempty"`
	DKIM     *DKIM  `yaml:"dkim,omitempty" json:"dkim,omitempty"`
	Address  string `yaml:"address,omitempty" json:"address,omitempty"`
	Bounces  string `yaml:"bounces,omitempty" json:"bounces,omitempty"`
	Tracking string `yaml:"tracking,omitempty" json:"tracking,omitempty"`
	// Feedback is who reports about its e-mails over HTTP; nil: nobody.
	Feedback *Feedback `yaml:"feedback,omitempty" json:"feedback,omitempty"`
	// Push is of a channel of type push.
	Push *Push `yaml:"push,omitempty" json:"push,omitempty"`
	// Of text messages: SMPP or Twilio carries them.
	SMS    *SMS    `yaml:"sms,omitempty" json:"sms,omitempty"`
	SMPP   *SMPP   `yaml:"smpp,omitempty" json:"smpp,omitempty"`
	Twilio *Twilio `yaml:"twilio,omitempty" json:"twilio,omitempty"`
	// Local, of email and sms: what it sends goes to the Outbox, and nowhere else.
	Local bool `yaml:"local,omitempty" json:"local,omitempty"`
	// TLS, of email, sms and webhook: whom its connections trust, if not whom the
	// system trusts.
	TLS *TLS `yaml:"tls,omitempty" json:"tls,omitempty"`
}

// What Channel.OnUnknown may say.
const (
	Hold  = "hold"
	Retry = "retry"
)

// Unknown is what becomes of an attempt that may have arrived: what the channel says;
// else what is said for all (general); else what suits its kind. A second text message
// costs money and is read twice. A second e-mail has the Message-ID of the first, and a
// second push message takes its place.
func (c *Channel) Unknown(general string) string {
	usual := Retry
	if c.Type == ChannelSMS {
		usual = Hold
	}
	return cmp.Or(c.OnUnknown, general, usual)
}

// Mode is what the channel's content is: HTML, in which what is printed is
// escaped, or text.
func (c *Channel) Mode() render.Mode {
	switch c.Type {
	case ChannelWeb, ChannelOutbox, ChannelEmail:
		return render.HTML
	}
	return render.Text
}

// Mode is what the template's content is on its channel: of the outbox, text if
// it stands for a channel of text.
func (t *Template) Mode(c *Channel) render.Mode {
	if c.Type == ChannelOutbox && (t.As == ChannelSMS || t.As == ChannelPush) {
		return render.Text
	}
	return c.Mode()
}

// Sender is what messages of the channel are sent as, and answered to; "" if it
// is not known here.
func (c *Channel) Sender() string {
	switch {
	case c.SMPP != nil:
		return c.SMPP.Sender
	case c.Twilio != nil:
		return cmp.Or(c.Twilio.From, c.Twilio.MessagingService)
	}
	return ""
}

// maxTimeout of an attempt: a lane of the Engager waits for it.
const maxTimeout = period.Period(10 * time.Second)

func (c *checker) channel(ch *Channel) {
	only := func(typ string, fields ...string) {
		if ch.Type == typ {
			return
		}
		for i := 0; i < len(fields); i += 2 {
			if fields[i+1] != "" {
				c.fail(fields[i], "", "only a channel of type %s has it", typ)
			}
		}
	}
	timeout := ""
	if ch.Timeout != 0 {
		timeout = ch.Timeout.String()
	}
	only(ChannelWebhook, "url", ch.URL, "secret", ch.Secret)
	if ch.Type != ChannelKafka {
		only(ChannelWebhook, "timeout", timeout)
	}
	only(ChannelPull, "collection", ch.Collection)
	only(ChannelKafka, "topic", ch.Topic, "key", ch.Key)
	if ch.Kafka != nil {
		only(ChannelKafka, "kafka", ch.Type)
	}
	if len(ch.Headers) > 0 {
		only(ChannelKafka, "headers", ch.Type)
	}
	c.cap("cap", ch.Cap)
	if ch.OnUnknown != "" {
		c.onUnknown(ch)
	}
	if ch.SMTP != nil {
		only(ChannelEmail, "smtp", ch.Type)
	}
	if ch.DKIM != nil {
		only(ChannelEmail, "dkim", ch.Type)
	}
	if ch.Feedback != nil {
		only(ChannelEmail, "feedback", ch.Type)
	}
	only(ChannelEmail, "address", ch.Address, "bounces", ch.Bounces, "tracking", ch.Tracking)
	if ch.Push != nil {
		only(ChannelPush, "push", ch.Type)
	}
	if ch.Local && ch.Type != ChannelEmail && ch.Type != ChannelSMS {
		c.fail("local", "", "only channels of type email and sms have it")
	}
	c.sms(ch)
	c.tls(ch)
	switch ch.Type {
	case ChannelWeb, ChannelOutbox, ChannelSMS:
	case ChannelEmail:
		c.email(ch)
	case ChannelWebhook:
		u, err := url.Parse(ch.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			c.fail("url", "https://crm.example/heed, without a user or password: the secret signs", "%q is not an address to post to", ch.URL)
		}
		if ch.Timeout < 0 || ch.Timeout > maxTimeout {
			c.fail("timeout", "5s", "%s is not from 0 to %s", ch.Timeout, maxTimeout)
		}
	case ChannelPull:
		c.refer("collection", KindCollection, ch.Collection, maps.Keys(c.set.Collections))
	case ChannelPush:
		c.push(ch.Push)
	case ChannelKafka:
		c.kafkaChannel(ch)
	default:
		c.fail("type", "web, outbox, webhook, pull, email, sms, push or kafka", "%q is not a type of channel", ch.Type)
	}
}

func (c *checker) onUnknown(ch *Channel) {
	switch ch.Type {
	case ChannelEmail, ChannelSMS, ChannelPush:
	default:
		c.fail("onUnknown", "leave it out: a repeat is told from a second message", "only a channel of type email, sms or push has it")
	}
	if ch.OnUnknown != Hold && ch.OnUnknown != Retry {
		c.fail("onUnknown", "hold (at most once) or retry (at least once)", "%q is not what can be done", ch.OnUnknown)
	}
}
