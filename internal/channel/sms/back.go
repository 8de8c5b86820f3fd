package sms

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"heed/internal/channel"
	"heed/internal/channel/sms/smpp"
	"heed/internal/channel/sms/twilio"
	"heed/internal/definition"
)

// listener takes what a message centre brings for a channel.
type listener struct {
	*Channel
	name string
}

// Message implements smpp.Handler.
func (l *listener) Message(ctx context.Context, m smpp.Message) error {
	def := l.deps.Definitions.Current().Channels[l.name]
	if def == nil {
		return fmt.Errorf("sms: channel %s is not defined any more", l.name)
	}
	if m.Part.Of > 1 {
		return l.join(ctx, def, &m)
	}
	return l.hear(ctx, def, &heard{from: m.From, text: smpp.Text(m.Coding, m.Data)})
}

// Receipt implements smpp.Handler. A message has one receipt that it arrived, that
// of its last segment, and one for each segment that did not.
func (l *listener) Receipt(ctx context.Context, r smpp.Receipt) error {
	def := l.deps.Definitions.Current().Channels[l.name]
	if def == nil || def.SMPP == nil || r.State == smpp.Underway {
		return nil
	}
	id := r.ID
	if def.SMPP.ReceiptIDs == definition.IDsDecimal {
		if n, err := strconv.ParseUint(id, 10, 64); err == nil {
			id = strconv.FormatUint(n, 16)
		}
	}
	p, ok, err := l.sent.find(ctx, l.name, id)
	if err != nil {
		return err
	}
	if !ok || r.State == smpp.Delivered && !p.Last {
		return nil // somebody else's, or not the whole message
	}
	number, _ := numberOf(r.From, def.Country())
	f := channel.Feedback{
		Kind: channel.Delivered, Type: Type, Channel: l.name, Delivery: p.Delivery, Address: number, ID: "receipt", At: l.deps.Now().UnixMicro(),
	}
	if r.State != smpp.Delivered {
		f.Kind, f.Detail = channel.Bounced, string(r.State)
		if r.Error != "" {
			f.Detail += ", error " + r.Error
		}
	}
	return l.deps.Inbound(ctx, f)
}

// maxCallback bounds the body of a callback, in bytes.
const maxCallback = 64 << 10

// Register implements channel.Receiver.
func (c *Channel) Register(mux *http.ServeMux) {
	mux.HandleFunc("POST /hooks/sms/{channel}/status", c.signed(c.status))
	mux.HandleFunc("POST /hooks/sms/{channel}/inbound", c.signed(c.inbound))
}

// signed lets callbacks through that the channel's provider has signed.
func (c *Channel) signed(next func(*definition.Channel, http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		def := c.deps.Definitions.Current().Channels[r.PathValue("channel")]
		if def == nil || def.Twilio == nil || c.deps.PublicURL == "" {
			http.NotFound(w, r)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxCallback)
		if err := r.ParseForm(); err != nil {
			http.Error(w, "the form cannot be read", http.StatusBadRequest)
			return
		}
		if !twilio.Verify(def.Twilio.AuthToken, c.public(r.URL.RequestURI()), r.PostForm, r.Header.Get(twilio.SignatureHeader)) {
			http.Error(w, "the signature is wrong", http.StatusForbidden)
			return
		}
		if err := next(def, w, r); err != nil {
			c.deps.Logger.Error("what a provider reported was not kept", "channel", def.Name, "error", err)
			http.Error(w, "try again later", http.StatusServiceUnavailable)
		}
	}
}

// status takes a report about a message that was sent.
func (c *Channel) status(def *definition.Channel, w http.ResponseWriter, r *http.Request) error {
	form := r.PostForm
	status := form.Get("MessageStatus")
	f := channel.Feedback{
		Type: Type, Channel: def.Name, Delivery: r.URL.Query().Get("delivery"), Address: form.Get("To"), ID: "status/" + form.Get("MessageSid"), At: c.deps.Now().UnixMicro(),
	}
	switch status {
	case "delivered":
		f.Kind = channel.Delivered
	case "undelivered", "failed":
		f.Kind = channel.Bounced
		code, _ := strconv.Atoi(form.Get("ErrorCode")) // none is 0
		judge(&f, code, def)
		f.Detail = fmt.Sprintf("%s, error %d", status, code)
	default: // on its way
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if err := c.deps.Inbound(r.Context(), f); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// judge says what a provider's code means for the number, if it means anything.
func judge(f *channel.Feedback, code int, def *definition.Channel) bool {
	switch {
	case twilio.Stopped(code):
		f.Kind, f.Sender = channel.Unsubscribed, def.Sender()
	case twilio.Hard(code):
		f.Kind, f.Hard = channel.Bounced, true
	default:
		return false
	}
	return true
}

// inbound takes a message that somebody wrote. The answer to it is sent as every
// message is, so none is in the reply.
func (c *Channel) inbound(def *definition.Channel, w http.ResponseWriter, r *http.Request) error {
	form := r.PostForm
	err := c.hear(r.Context(), def, &heard{
		from: form.Get("From"), text: form.Get("Body"), id: form.Get("MessageSid"), answered: form.Get("OptOutType") != "",
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	_, err = w.Write([]byte("<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response></Response>"))
	return err
}
