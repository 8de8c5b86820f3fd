package provider_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"heed/internal/channel/email/provider"
	"heed/internal/definition"
)

const (
	secret   = "0123456789abcdef"
	topic    = "arn:aws:sns:eu-west-1:123456789012:mail"
	delivery = "0123456789abcdef0123456789abcdef"
)

var now = time.Unix(1_800_000_000, 0)

// call is a call of a provider that anybody may change.
type call struct {
	f definition.Feedback
	h http.Header
	b string
}

func (c *call) read() string {
	got, err := provider.Read(&c.f, c.h, []byte(c.b), now)
	switch {
	case errors.Is(err, provider.ErrForbidden):
		return "forbidden"
	case errors.Is(err, provider.ErrUnreadable):
		return "unreadable"
	case err != nil:
		return err.Error()
	case got.Subscribe != "":
		return "subscribe " + got.Subscribe
	}
	var out []string
	for _, r := range got.Reports {
		text := string(r.Kind)
		if r.Hard {
			text += " hard"
		}
		out = append(out, fmt.Sprintf("%s %s %s %s %d", text, r.ID, r.Address, r.Delivery+r.Sender, r.At/1_000_000))
	}
	return strings.Join(out, "; ")
}

func sns(kind, message string) *call {
	r, _ := http.NewRequest(http.MethodPost, "/", nil)
	r.SetBasicAuth("heed", secret)
	body, _ := json.Marshal(map[string]string{"Type": kind, "MessageId": "m", "TopicArn": topic, "Message": message, "Token": "t0ken", "SubscribeURL": "http://169.254.169.254/"})
	return &call{definition.Feedback{From: "ses", Secret: secret, Topic: topic}, r.Header, string(body)}
}

func sendGrid(t *testing.T, body string) *call {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(slices.Concat([]byte("1800000000"), []byte(body)))
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return &call{definition.Feedback{From: "sendgrid", Secret: base64.StdEncoding.EncodeToString(public)}, http.Header{
		"X-Twilio-Email-Event-Webhook-Signature": {base64.StdEncoding.EncodeToString(signature)}, "X-Twilio-Email-Event-Webhook-Timestamp": {"1800000000"},
	}, body}
}

func mailgun(at time.Time, event string) *call {
	stamp := fmt.Sprint(at.Unix())
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(stamp + "token"))
	return &call{definition.Feedback{From: "mailgun", Secret: secret}, http.Header{}, fmt.Sprintf(
		`{"signature":{"timestamp":%q,"token":"token","signature":%q},"event-data":%s}`, stamp, hex.EncodeToString(m.Sum(nil)), event)}
}

func plain(body string) *call {
	return &call{definition.Feedback{From: "json", Secret: secret}, http.Header{"Authorization": {"Bearer " + secret}}, body}
}

func TestReports(t *testing.T) {
	f := func(what string, c *call, want string) {
		t.Helper()
		if got := c.read(); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", what, got, want)
		}
	}
	const mail = `"mail":{"messageId":"ses-1","source":"b-x@bounces.shop.example","timestamp":"2027-01-15T08:00:00Z"`
	bounce := func(kind string) string {
		return `{"notificationType":"Bounce",` + mail + `},"bounce":{"bounceType":"` + kind + `","bounceSubType":"General","feedbackId":"fb","timestamp":"2027-01-15T08:00:00Z",
			"bouncedRecipients":[{"emailAddress":"ann@shop.example","status":"5.1.1","diagnosticCode":"smtp; 550 no"}]}}`
	}
	f("a hard bounce by SES", sns("Notification", bounce("Permanent")), "bounced hard fb/ann@shop.example ann@shop.example b-x@bounces.shop.example 1800000000")
	f("a soft one", sns("Notification", bounce("Transient")), "bounced fb/ann@shop.example ann@shop.example b-x@bounces.shop.example 1800000000")
	f("a complaint, with the headers", sns("Notification", `{"eventType":"Complaint",`+mail+`,"headers":[{"name":"x-heed-delivery","value":"b-y"}]},
		"complaint":{"feedbackId":"c1","complaintFeedbackType":"abuse","complainedRecipients":[{"emailAddress":"ann@shop.example"}]}}`), "complained c1/ann@shop.example ann@shop.example b-y 0")
	f("who says that it was no spam", sns("Notification", `{"eventType":"Complaint","complaint":{"complaintFeedbackType":"not-spam","complainedRecipients":[{"emailAddress":"a@b.example"}]}}`), "")
	f("a delivery", sns("Notification", `{"eventType":"Delivery",`+mail+`},"delivery":{"recipients":["ann@shop.example"],"timestamp":"2027-01-15T08:00:00Z"}}`),
		"delivered ses-1/ann@shop.example ann@shop.example b-x@bounces.shop.example 1800000000")
	f("an event that says nothing", sns("Notification", `{"eventType":"Open",`+mail+`}}`), "")
	f("the trial of a topic", sns("Notification", "Successfully validated SNS topic for Amazon SES event publishing."), "")
	f("no JSON", sns("Notification", "hello"), "unreadable")
	f("a subscription", sns("SubscriptionConfirmation", ""), "subscribe t0ken")
	f("its end", sns("UnsubscribeConfirmation", ""), "")

	f("SendGrid", sendGrid(t, `[
		{"event":"bounce","type":"bounce","email":"ann@shop.example","sg_event_id":"1","smtp-id":"<`+delivery+`@shop.example>","timestamp":1800000000,"status":"5.1.1","reason":"no"},
		{"event":"bounce","type":"blocked","email":"bob@shop.example","sg_event_id":"2","timestamp":1800000000},
		{"event":"dropped","reason":"Bounced Address","email":"cy@shop.example","sg_event_id":"3","timestamp":1800000000},
		{"event":"dropped","reason":"Spam Content","email":"cy@shop.example","sg_event_id":"4","timestamp":1800000000},
		{"event":"spamreport","email":"di@shop.example","sg_event_id":"5","timestamp":1800000000},
		{"event":"group_unsubscribe","email":"eve@shop.example","sg_event_id":"6","timestamp":1800000000},
		{"event":"deferred","email":"eve@shop.example","sg_event_id":"7","timestamp":1800000000},
		{"event":"open","email":"eve@shop.example","sg_event_id":"8","timestamp":1800000000}]`),
		"bounced hard 1 ann@shop.example "+delivery+" 1800000000; bounced 2 bob@shop.example  1800000000; bounced hard 3 cy@shop.example  1800000000; "+
			"bounced 4 cy@shop.example  1800000000; complained 5 di@shop.example  1800000000; unsubscribed 6 eve@shop.example  1800000000")

	failed := func(severity, reason, code string) *call {
		return mailgun(now, `{"event":"failed","id":"mg","severity":"`+severity+`","reason":"`+reason+`","recipient":"ann@shop.example","timestamp":1800000000.5,
			"delivery-status":{"enhanced-code":"`+code+`","message":"no"},"message":{"headers":{"message-id":"`+delivery+`@shop.example"}}}`)
	}
	f("Mailgun", failed("permanent", "bounce", "5.1.1"), "bounced hard mg ann@shop.example "+delivery+" 1800000000")
	f("the content was disliked", failed("permanent", "bounce", "5.7.1"), "bounced mg ann@shop.example "+delivery+" 1800000000")
	f("later perhaps", failed("temporary", "generic", "4.2.2"), "bounced mg ann@shop.example "+delivery+" 1800000000")
	f("known to Mailgun", failed("permanent", "suppress-complaint", ""), "complained mg ann@shop.example "+delivery+" 1800000000")
	f("a complaint", mailgun(now, `{"event":"complained","id":"mg","recipient":"ann@shop.example","timestamp":1800000000}`), "complained mg ann@shop.example  1800000000")
	f("an old signature", mailgun(now.Add(-10*time.Hour), `{"event":"complained","id":"mg","recipient":"ann@shop.example"}`), "forbidden")

	f("plain", plain(`{"events":[{"id":"1","event":"bounced","hard":true,"address":"ann@shop.example","at":"2027-01-15T08:00:00Z"},{"id":"2","event":"complained","delivery":"`+delivery+`"}]}`),
		"bounced hard 1 ann@shop.example  1800000000; complained 2  "+delivery+" 0")
	f("of nobody", plain(`{"events":[{"id":"1","event":"bounced"}]}`), "unreadable")
	f("without an id", plain(`{"events":[{"event":"bounced","address":"ann@shop.example"}]}`), "unreadable")
	f("what Heed alone may say", plain(`{"events":[{"id":"1","event":"confirmed","address":"ann@shop.example"}]}`), "unreadable")
	f("too many", plain(`{"events":[`+strings.Repeat(`{},`, 10_000)+`{}]}`), "unreadable")
}

// Whatever is changed about a call, it is not the provider's any more.
func TestForgeries(t *testing.T) {
	f := func(what string, c *call, change func(c *call)) {
		t.Helper()
		if got := c.read(); got == "forbidden" {
			t.Fatalf("%s: the call itself is %s", what, got)
		}
		change(c)
		if got := c.read(); got != "forbidden" {
			t.Errorf("%s: %s", what, got)
		}
	}
	none := func(c *call) { c.h = http.Header{} }
	unset := func(c *call) { c.f.Secret = "" }
	calls := map[string]func() *call{
		"ses":      func() *call { return sns("SubscriptionConfirmation", "") },
		"sendgrid": func() *call { return sendGrid(t, `[]`) },
		"mailgun":  func() *call { return mailgun(now, `{"event":"complained","id":"mg","recipient":"a@b.example"}`) },
		"json":     func() *call { return plain(`{"events":[]}`) },
	}
	for name, c := range calls {
		f(name+" without a secret", c(), unset)
		if name != "mailgun" {
			f(name+" without its headers", c(), none)
		}
	}
	f("another topic", sns("SubscriptionConfirmation", ""), func(c *call) { c.b = strings.ReplaceAll(c.b, ":mail", ":mine") })
	f("another password", sns("SubscriptionConfirmation", ""), func(c *call) { c.f.Secret = secret + "x" })
	f("another body", sendGrid(t, `[]`), func(c *call) { c.b = `[{}]` })
	f("another time", sendGrid(t, `[]`), func(c *call) { c.h.Set("X-Twilio-Email-Event-Webhook-Timestamp", "1800000001") })
	f("another token", mailgun(now, `{}`), func(c *call) { c.b = strings.Replace(c.b, `"token":"token"`, `"token":"tokem"`, 1) })
}

// Nothing is fetched but from Amazon, whatever a call or a definition says.
func TestSubscribeURL(t *testing.T) {
	f := func(topic, want string) {
		t.Helper()
		got, err := provider.SubscribeURL(topic, "a&b=c d")
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %s, %v", topic, got, err)
		}
	}
	f(topic, "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=a%26b%3Dc+d&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A123456789012%3Amail")
	f("arn:aws-cn:sns:cn-north-1:123456789012:mail", "https://sns.cn-north-1.amazonaws.com.cn/?Action=ConfirmSubscription&Token=a%26b%3Dc+d&TopicArn=arn%3Aaws-cn%3Asns%3Acn-north-1%3A123456789012%3Amail")
	for _, bad := range []string{"", "arn:aws:sns:evil.example/:123456789012:mail", "arn:aws:sns:169.254.169.254#:123456789012:x", "arn:aws:sns:eu-west-1@evil-1:123456789012:x", "arn:aws:sqs:eu-west-1:123456789012:x", topic + "\n"} {
		f(bad, "")
	}
}

func FuzzRead(f *testing.F) {
	for _, c := range []*call{
		sns("Notification", `{"eventType":"Bounce","bounce":{"bounceType":"Permanent","bouncedRecipients":[{"emailAddress":"a@b.example"}]}}`),
		mailgun(now, `{"event":"failed"}`), plain(`{"events":[{"id":"1","event":"bounced","address":"a@b.example"}]}`),
	} {
		f.Add(c.f.From, c.b)
	}
	f.Add("sendgrid", `[{"event":"bounce","email":"a@b.example","timestamp":1e300}]`)
	f.Fuzz(func(t *testing.T, from, body string) {
		var c *call
		switch from {
		case "ses":
			c = sns("Notification", body)
		case "sendgrid":
			c = sendGrid(t, body)
		case "mailgun":
			c = mailgun(now, body)
		default:
			c = plain(body)
		}
		got, err := provider.Read(&c.f, c.h, []byte(c.b), now)
		if err != nil && len(got.Reports) > 0 {
			t.Errorf("%v, and %d reports", err, len(got.Reports))
		}
		for _, r := range got.Reports {
			if r.Kind == "" || r.At < 0 || r.Delivery != "" && len(r.Delivery) != 32 {
				t.Errorf("%+v", r)
			}
		}
	})
}
