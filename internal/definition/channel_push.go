package definition

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"heed/internal/period"
	"heed/internal/webpush"
)

// Push is what a channel of type push has: notifications of users' browsers.
type Push struct {
	// Subject is where the people of a push service reach the sender: a mailto: or
	// https: address.
	Subject string `yaml:"subject" json:"subject"`
	// PrivateKey is what push services know the sender by (VAPID). It is made when
	// it is absent; with another one every subscription is void.
	PrivateKey string `yaml:"privateKey,omitempty" json:"privateKey,omitempty"`
	// TTL is how long the service keeps a message for a browser that is away.
	TTL period.Period `yaml:"ttl,omitempty" json:"ttl,omitempty"`
	// Urgency says what a message is worth to a battery: very-low, low, normal or
	// high.
	Urgency string `yaml:"urgency,omitempty" json:"urgency,omitempty"`
	// Icon is shown beside the text; Link is what a click opens if the template
	// does not say.
	Icon string `yaml:"icon,omitempty" json:"icon,omitempty"`
	Link string `yaml:"link,omitempty" json:"link,omitempty"`
	// Services are hosts of push services besides those of the known browsers, and
	// AllowPrivate lets them be in a private network and without TLS.
	Services     []string `yaml:"services,omitempty" json:"services,omitempty"`
	AllowPrivate bool     `yaml:"allowPrivate,omitempty" json:"allowPrivate,omitempty"`
}

const (
	defaultPushTTL     = 24 * time.Hour
	maxPushTTL         = 28 * 24 * time.Hour // what services keep at most
	defaultPushUrgency = "normal"
	maxEndpoint        = 1 << 10 // bytes
)

// browsers are the push services of Chrome and its relatives, Firefox, Edge and
// Safari. Subscriptions come from anybody: without this list Heed could be told
// to post to any server.
func browsers() []string {
	return []string{"fcm.googleapis.com", "jmt17.google.com", "push.services.mozilla.com", "notify.windows.com", "push.apple.com"}
}

// Lasts is how long a service shall keep a message.
func (p *Push) Lasts() time.Duration { return cmp.Or(p.TTL.Duration(), defaultPushTTL) }

// Urgent is the urgency of a message.
func (p *Push) Urgent() string { return cmp.Or(p.Urgency, defaultPushUrgency) }

// Key is the channel's private key.
func (p *Push) Key() (webpush.Key, error) {
	k, err := webpush.ParseKey(p.PrivateKey)
	if err != nil {
		return k, fmt.Errorf("the channel's private key: %w", err)
	}
	return k, nil
}

// Endpoint reads the address of a subscription, and refuses it if the channel
// must not post there.
func (p *Push) Endpoint(address string) (*url.URL, error) {
	if len(address) > maxEndpoint {
		return nil, fmt.Errorf("the endpoint is longer than %d bytes", maxEndpoint)
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return nil, errors.New("the endpoint is no address")
	case u.Scheme != "https" && (u.Scheme != "http" || !p.AllowPrivate):
		return nil, errors.New("the endpoint is not https")
	}
	host := strings.ToLower(u.Hostname())
	known := func(service string) bool { return host == service || strings.HasSuffix(host, "."+service) }
	if !slices.ContainsFunc(browsers(), known) && !slices.ContainsFunc(p.Services, known) {
		return nil, fmt.Errorf("the endpoint's host %s is not among the push services that the channel knows", host)
	}
	return u, nil
}

// PushChannel is the channel that browsers subscribe to: the named one or, if
// none is named, the first by name. nil if there is none.
func (s *Set) PushChannel(name string) *Channel {
	var first *Channel
	for _, ch := range s.Channels {
		if ch.Push != nil && (name == "" || ch.Name == name) && (first == nil || ch.Name < first.Name) {
			first = ch
		}
	}
	return first
}

func (c *checker) push(p *Push) {
	if p == nil {
		c.fail("push", "push: {subject: \"mailto:ops@shop.example\"}", "a channel of type push needs it")
		return
	}
	if u, err := url.Parse(p.Subject); err != nil || u.Scheme != "mailto" && u.Scheme != "https" || u.Opaque+u.Host == "" {
		c.fail("push.subject", "mailto:ops@shop.example: the push service's people write there", "%q is no mailto: or https: address", p.Subject)
	}
	if k := p.PrivateKey; k != "" && k != Masked && !strings.HasPrefix(k, "${") {
		if _, err := webpush.ParseKey(k); err != nil {
			c.fail("push.privateKey", "leave it out and one is made", "%v", err)
		}
	}
	if p.TTL < 0 || p.TTL.Duration() > maxPushTTL {
		c.fail("push.ttl", "24h", "%s is not from 0 to 28d", p.TTL)
	}
	if p.Urgency != "" && !slices.Contains([]string{"very-low", "low", "normal", "high"}, p.Urgency) {
		c.fail("push.urgency", "very-low, low, normal or high", "%q is not an urgency", p.Urgency)
	}
	for _, f := range []struct{ path, address string }{{"push.icon", p.Icon}, {"push.link", p.Link}} {
		if f.address != "" && !WebAddress(f.address) {
			c.fail(f.path, "https://shop.example/cart or /cart", "%q is no address of a page", f.address)
		}
	}
	for i, host := range p.Services {
		if u, err := url.Parse("https://" + host); err != nil || u.Hostname() != host || host != strings.ToLower(host) {
			c.fail(fmt.Sprintf("push.services[%d]", i), "push.example", "%q is not the name of a host", host)
		}
	}
}

// WebAddress tells whether a text is an address that a click may open: http or
// https, or a path on the site itself.
func WebAddress(text string) bool {
	u, err := url.Parse(text)
	if err != nil || strings.ContainsAny(text, "\\ \t\r\n") {
		return false
	}
	if u.Scheme == "" {
		return u.Host == "" && strings.HasPrefix(text, "/")
	}
	return (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}
