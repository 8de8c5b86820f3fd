package definition

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"regexp"
	"strings"
)

// Feedback is who reports about a channel's e-mails by calling back.
type Feedback struct {
	From string `yaml:"from" json:"from"` // ses | sendgrid | mailgun | json
	// Secret proves a call: the password in the address that Amazon SNS was given, the
	// verification key of SendGrid, the signing key of Mailgun, a bearer token.
	Secret string `yaml:"secret" json:"secret"`
	Topic  string `yaml:"topic,omitempty" json:"topic,omitempty"` // of Amazon SNS: its ARN
}

// What Feedback.From may say.
const (
	FeedbackSES      = "ses"
	FeedbackSendGrid = "sendgrid"
	FeedbackMailgun  = "mailgun"
	FeedbackJSON     = "json"
)

// minFeedbackSecret is in characters.
const minFeedbackSecret = 16

var topicForm = regexp.MustCompile(`^arn:aws(-cn|-us-gov)?:sns:[a-z]{2}(-[a-z]+)+-[0-9]{1,2}:[0-9]{12}:[A-Za-z0-9_-]{1,256}$`)

// ValidTopic tells the name of a topic of Amazon SNS.
func ValidTopic(arn string) bool { return topicForm.MatchString(arn) }

func (c *checker) feedback(f *Feedback) {
	const topic = "topic: arn:aws:sns:eu-west-1:123456789012:mail"
	switch f.From {
	case FeedbackSES:
		if !ValidTopic(f.Topic) {
			c.fail("feedback.topic", topic, "%q is not a topic of Amazon SNS", f.Topic)
		}
	case FeedbackSendGrid, FeedbackMailgun, FeedbackJSON:
		if f.Topic != "" {
			c.fail("feedback.topic", "", "only ses has it")
		}
	default:
		c.fail("feedback.from", "ses, sendgrid, mailgun or json", "%q is nobody whose reports are understood", f.From)
	}
	if f.Secret == Masked || strings.HasPrefix(f.Secret, "${") { // it says nothing about the secret
		return
	}
	if f.From == FeedbackSendGrid {
		der, err := base64.StdEncoding.DecodeString(f.Secret)
		if err == nil {
			var key any
			key, err = x509.ParsePKIXPublicKey(der)
			if _, ok := key.(*ecdsa.PublicKey); err == nil && ok {
				return
			}
		}
		c.fail("feedback.secret", "Settings > Mail Settings > Event Webhook > Signature Verification shows it", "is not the verification key of SendGrid")
		return
	}
	if len(f.Secret) < minFeedbackSecret {
		c.fail("feedback.secret", "openssl rand -hex 16", "has fewer than %d characters", minFeedbackSecret)
	}
}
