package definition

import (
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
)

// Channel is a way out that is configured by name. "web" and "outbox" exist
// without a definition.
type Channel struct {
	Name string `yaml:"name" json:"name"`
	Type string `yaml:"type" json:"type"` // web | outbox | webhook | pull

	// Of a webhook: where it posts, the secret that signs, whether the address may
	// be a private one, and how long an attempt may take.
	URL          string        `yaml:"url,omitempty" json:"url,omitempty"`
	Secret       string        `yaml:"secret,omitempty" json:"secret,omitempty"`
	AllowPrivate bool          `yaml:"allowPrivate,omitempty" json:"allowPrivate,omitempty"`
	Timeout      period.Period `yaml:"timeout,omitempty" json:"timeout,omitempty"`
	// Collection of the pull store that a channel of type pull writes into.
	Collection string `yaml:"collection,omitempty" json:"collection,omitempty"`
}

// Mode is what the channel's content is: HTML, in which what is printed is
// escaped, or text.
func (c *Channel) Mode() render.Mode {
	if c.Type == ChannelWeb || c.Type == ChannelOutbox {
		return render.HTML
	}
	return render.Text
}

// Sender is what messages of the channel are sent as, and answered to; "" if it
// is not known here.
func (c *Channel) Sender() string { return "" }

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
	only(ChannelWebhook, "url", ch.URL, "secret", ch.Secret, "timeout", timeout)
	only(ChannelPull, "collection", ch.Collection)
	switch ch.Type {
	case ChannelWeb, ChannelOutbox:
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
	default:
		c.fail("type", "web, outbox, webhook or pull", "%q is not a type of channel", ch.Type)
	}
}
