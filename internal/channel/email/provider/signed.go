package provider

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"heed/internal/channel"
	"heed/internal/definition"
)

// Headers of a call of SendGrid.
const (
	sendGridSignature = "X-Twilio-Email-Event-Webhook-Signature"
	sendGridTimestamp = "X-Twilio-Email-Event-Webhook-Timestamp"
)

// sendGrid is an event of SendGrid.
type sendGrid struct {
	Event     string  `json:"event"`
	Type      string  `json:"type"` // of a bounce: bounce or blocked
	Email     string  `json:"email"`
	ID        string  `json:"sg_event_id"`
	MessageID string  `json:"smtp-id"`
	Reason    string  `json:"reason"`
	Status    string  `json:"status"`
	Timestamp float64 `json:"timestamp"` // s
}

// readSendGrid believes what is signed with the key whose public half is the channel's
// secret.
func readSendGrid(f *definition.Feedback, h http.Header, body []byte) (c Call, err error) {
	der, err := base64.StdEncoding.DecodeString(f.Secret)
	if err != nil {
		return c, ErrForbidden
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	key, ok := parsed.(*ecdsa.PublicKey)
	signature, serr := base64.StdEncoding.DecodeString(h.Get(sendGridSignature))
	if err != nil || !ok || serr != nil {
		return c, ErrForbidden
	}
	sum := sha256.Sum256(slices.Concat([]byte(h.Get(sendGridTimestamp)), body))
	if !ecdsa.VerifyASN1(key, sum[:], signature) {
		return c, ErrForbidden
	}
	var events []sendGrid
	if err := decode(body, &events); err != nil {
		return c, err
	}
	if err := tooMany(len(events)); err != nil {
		return c, err
	}
	for _, e := range events {
		r := Report{
			ID: e.ID, Delivery: deliveryOf(e.MessageID), Address: e.Email, Detail: strings.TrimSpace(e.Status + " " + e.Reason), At: seconds(e.Timestamp),
		}
		switch e.Event {
		case "delivered":
			r.Kind = channel.Delivered
		case "bounce":
			r.Kind, r.Hard = channel.Bounced, e.Type != "blocked"
		case "dropped":
			r.dropped(e.Reason)
		case "spamreport":
			r.Kind = channel.Complained
		case "unsubscribe", "group_unsubscribe":
			r.Kind = channel.Unsubscribed
		default:
			continue
		}
		c.Reports = append(c.Reports, r)
	}
	return c, nil
}

// dropped says what it means that SendGrid did not even try, because of what it knows
// of the address.
func (r *Report) dropped(reason string) {
	switch strings.ToLower(reason) {
	case "spam reporting address":
		r.Kind = channel.Complained
	case "unsubscribed address":
		r.Kind = channel.Unsubscribed
	case "bounced address", "invalid":
		r.Kind, r.Hard = channel.Bounced, true
	default:
		r.Kind = channel.Bounced
	}
}

func seconds(s float64) int64 {
	if !(s > 0 && s < 1e11) { // also NaN
		return 0
	}
	return int64(math.Round(s * 1e6))
}

// mailgun is a call of Mailgun.
type mailgun struct {
	Signature struct {
		Timestamp json.Number `json:"timestamp"`
		Token     string      `json:"token"`
		Signature string      `json:"signature"`
	} `json:"signature"`
	Event struct {
		Event     string  `json:"event"`
		ID        string  `json:"id"`
		Severity  string  `json:"severity"`
		Reason    string  `json:"reason"`
		Recipient string  `json:"recipient"`
		Timestamp float64 `json:"timestamp"` // s
		Status    struct {
			Message     string `json:"message"`
			Description string `json:"description"`
			Enhanced    string `json:"enhanced-code"`
		} `json:"delivery-status"`
		Message struct {
			Headers struct {
				MessageID string `json:"message-id"`
			} `json:"headers"`
		} `json:"message"`
	} `json:"event-data"`
}

// TokenAge bounds the age of a signature with a token: it is tried again for 8 hours.
const TokenAge = 9 * time.Hour

// readMailgun believes a signature by the channel's secret that is not old.
func readMailgun(f *definition.Feedback, body []byte, now time.Time) (c Call, err error) {
	var m mailgun
	if err := decode(body, &m); err != nil {
		return c, err
	}
	s := m.Signature
	mac := hmac.New(sha256.New, []byte(f.Secret))
	mac.Write([]byte(s.Timestamp.String() + s.Token))
	if f.Secret == "" || !same(hex.EncodeToString(mac.Sum(nil)), s.Signature) {
		return c, ErrForbidden
	}
	signed, err := strconv.ParseInt(s.Timestamp.String(), 10, 64)
	if age := now.Sub(time.Unix(signed, 0)); err != nil || age > TokenAge || age < -TokenAge {
		return c, fmt.Errorf("%w: it was signed more than %s ago", ErrForbidden, TokenAge)
	}
	c.Token, c.Signed = s.Token, time.Unix(signed, 0)
	e := m.Event
	r := Report{
		ID: e.ID, Delivery: deliveryOf(e.Message.Headers.MessageID), Address: e.Recipient, At: seconds(e.Timestamp),
		Detail: strings.TrimSpace(e.Status.Enhanced + " " + e.Status.Message + " " + e.Status.Description),
	}
	switch e.Event {
	case "delivered":
		r.Kind = channel.Delivered
	case "failed":
		// "Permanent" is also what a mailbox says that dislikes the content.
		r.Kind, r.Hard = channel.Bounced, e.Severity == "permanent" && (e.Reason == "bounce" || e.Reason == "suppress-bounce") && !strings.HasPrefix(e.Status.Enhanced, "5.7.")
		switch e.Reason {
		case "suppress-complaint":
			r.Kind = channel.Complained
		case "suppress-unsubscribe":
			r.Kind = channel.Unsubscribed
		}
	case "complained":
		r.Kind = channel.Complained
	case "unsubscribed":
		r.Kind = channel.Unsubscribed
	default:
		return c, nil
	}
	c.Reports = []Report{r}
	return c, nil
}
