package provider

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"heed/internal/channel"
	"heed/internal/definition"
)

// notification is a call of Amazon SNS.
type notification struct {
	Type     string `json:"Type"`
	TopicARN string `json:"TopicArn"`
	Token    string `json:"Token"`
	Message  string `json:"Message"`
}

// ses is what Amazon SES says in one: as an event or, of older set-ups, a
// notification.
type ses struct {
	EventType        string `json:"eventType"`
	NotificationType string `json:"notificationType"`
	Mail             struct {
		MessageID string `json:"messageId"`
		Source    string `json:"source"`
		Headers   []struct {
			Name  string `json:"name"`
			Value string `json:"value"`
		} `json:"headers"`
	} `json:"mail"`
	Bounce struct {
		Type       string `json:"bounceType"`
		SubType    string `json:"bounceSubType"`
		FeedbackID string `json:"feedbackId"`
		Recipients []struct {
			Address    string `json:"emailAddress"`
			Status     string `json:"status"`
			Diagnostic string `json:"diagnosticCode"`
		} `json:"bouncedRecipients"`
		Timestamp time.Time `json:"timestamp"`
	} `json:"bounce"`
	Complaint struct {
		Type       string `json:"complaintFeedbackType"`
		FeedbackID string `json:"feedbackId"`
		Recipients []struct {
			Address string `json:"emailAddress"`
		} `json:"complainedRecipients"`
		Timestamp time.Time `json:"timestamp"`
	} `json:"complaint"`
	Delivery struct {
		Recipients []string  `json:"recipients"`
		Timestamp  time.Time `json:"timestamp"`
	} `json:"delivery"`
}

// readSES believes who knows the secret, which is the password in the address that SNS
// was given, and speaks of the channel's own topic.
func readSES(f *definition.Feedback, h http.Header, body []byte) (c Call, err error) {
	_, password, _ := (&http.Request{Header: h}).BasicAuth()
	if !same(password, f.Secret) {
		return c, ErrForbidden
	}
	var n notification
	if err := decode(body, &n); err != nil {
		return c, err
	}
	if !same(n.TopicARN, f.Topic) {
		return c, ErrForbidden
	}
	switch n.Type {
	case "SubscriptionConfirmation":
		c.Subscribe = n.Token
		return c, nil
	case "Notification":
	default:
		return c, nil
	}
	var s ses
	if err := decode([]byte(n.Message), &s); err != nil {
		if strings.HasPrefix(n.Message, "Successfully validated SNS topic") {
			return c, nil
		}
		return c, err
	}
	return s.call()
}

func (s *ses) call() (c Call, err error) {
	// SES puts a Message-ID of its own in the place of ours.
	sender := s.Mail.Source
	for _, header := range s.Mail.Headers {
		if strings.EqualFold(header.Name, HeaderDelivery) {
			sender = header.Value
		}
	}
	if err := tooMany(max(len(s.Bounce.Recipients), len(s.Complaint.Recipients), len(s.Delivery.Recipients))); err != nil {
		return c, err
	}
	switch kind := s.EventType + s.NotificationType; kind {
	case "Bounce":
		for _, r := range s.Bounce.Recipients {
			c.Reports = append(c.Reports, Report{
				Kind: channel.Bounced, Hard: s.Bounce.Type == "Permanent", ID: s.Bounce.FeedbackID + "/" + r.Address, Sender: sender, Address: r.Address,
				Detail: strings.TrimSpace(fmt.Sprintf("%s %s %s %s", s.Bounce.Type, s.Bounce.SubType, r.Status, r.Diagnostic)), At: micros(s.Bounce.Timestamp),
			})
		}
	case "Complaint":
		if s.Complaint.Type == "not-spam" {
			break
		}
		for _, r := range s.Complaint.Recipients {
			c.Reports = append(c.Reports, Report{
				Kind: channel.Complained, ID: s.Complaint.FeedbackID + "/" + r.Address, Sender: sender, Address: r.Address,
				Detail: s.Complaint.Type, At: micros(s.Complaint.Timestamp),
			})
		}
	case "Delivery":
		for _, to := range s.Delivery.Recipients {
			c.Reports = append(c.Reports, Report{
				Kind: channel.Delivered, ID: s.Mail.MessageID + "/" + to, Sender: sender, Address: to, At: micros(s.Delivery.Timestamp),
			})
		}
	}
	return c, nil
}

// SubscribeURL is where Amazon SNS hears that its calls are welcome. It is made of the
// topic that the channel names: nothing is fetched from where a call says.
func SubscribeURL(topic, token string) (string, error) {
	parts := strings.Split(topic, ":")
	if !definition.ValidTopic(topic) {
		return "", fmt.Errorf("%q is not a topic of Amazon SNS", topic)
	}
	host := "sns." + parts[3] + ".amazonaws.com"
	if parts[1] == "aws-cn" {
		host += ".cn"
	}
	query := url.Values{"Action": {"ConfirmSubscription"}, "TopicArn": {topic}, "Token": {token}}
	return "https://" + host + "/?" + query.Encode(), nil
}
