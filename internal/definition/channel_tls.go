package definition

import (
	"net/url"

	"heed/internal/clienttls"
)

// TLS is whom an encrypted connection trusts, and how Heed proves who it is; {}
// trusts whom the system trusts. CA, Cert and Key are files in PEM, or their content.
type TLS struct {
	CA         string `yaml:"ca,omitempty" json:"ca,omitempty"`
	Cert       string `yaml:"cert,omitempty" json:"cert,omitempty"`
	Key        string `yaml:"key,omitempty" json:"key,omitempty"`
	ServerName string `yaml:"serverName,omitempty" json:"serverName,omitempty"`
}

func (t *TLS) client() clienttls.Config {
	return clienttls.Config{Enabled: true, CA: t.CA, Cert: t.Cert, Key: t.Key, ServerName: t.ServerName}
}

// Encryption is how the channel's connections are encrypted, if they are.
func (ch *Channel) Encryption(encrypted bool) clienttls.Config {
	switch {
	case !encrypted:
		return clienttls.Config{}
	case ch.TLS == nil:
		return clienttls.Config{Enabled: true}
	}
	return ch.TLS.client()
}

// Encrypts tells whether the channel has encrypted connections of its own.
func (ch *Channel) Encrypts() bool {
	secure := func(address string) bool {
		u, err := url.Parse(address)
		return err == nil && u.Scheme == "https"
	}
	switch {
	case ch.SMTP != nil:
		return ch.SMTP.TLS != NoTLS
	case ch.SMPP != nil:
		return ch.SMPP.TLS
	case ch.Twilio != nil:
		return secure(ch.Twilio.Base())
	}
	return ch.Type == ChannelWebhook && secure(ch.URL)
}

func (c *checker) tls(ch *Channel) {
	if ch.TLS == nil {
		return
	}
	switch {
	case ch.Type != ChannelEmail && ch.Type != ChannelSMS && ch.Type != ChannelWebhook:
		c.fail("tls", "", "only channels of type email, sms and webhook have it; that of kafka stands in kafka.tls")
	case !ch.Encrypts():
		c.fail("tls", "smpp.tls: true, smtp.tls: starttls, or an address with https", "the channel's connections are not encrypted")
	default:
		if err := ch.TLS.client().Validate(); err != nil {
			c.fail("tls", "", "%v", err)
		}
	}
}
