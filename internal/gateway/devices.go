package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"

	"heed/internal/device"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/webpush"
)

// Devices keeps the browsers that take notifications; *device.Store does.
type Devices interface {
	Put(ctx context.Context, d device.Device) (device.Device, error)
	Remove(ctx context.Context, endpoint string) (device.Device, bool, error)
}

// Events that say what a browser's user wants.
const (
	nameSubscribed   = "push_subscribed"
	nameUnsubscribed = "push_unsubscribed"
)

// maxSubscription bounds a call about a subscription, in bytes.
const maxSubscription = 4 << 10

// pushKey is the answer to a browser that is about to subscribe.
type pushKey struct {
	Channel   string `json:"channel"`
	PublicKey string `json:"publicKey"`
}

// servePushKey tells the key that a subscription is bound to: GET /v1/push/key.
func (g *Gateway) servePushKey(w http.ResponseWriter, r *http.Request) {
	if g.reader(w, r, http.MethodGet) == nil {
		return
	}
	ch := g.deps.Definitions.Current().PushChannel(queryValue(r.URL.RawQuery, "channel"))
	if ch == nil {
		g.refuse(w, http.StatusNotFound, "there is no such channel of type push")
		return
	}
	key, err := ch.Push.Key()
	if err != nil {
		g.log.Error("a channel's key cannot be used", "channel", ch.Name, "error", err)
		g.refuse(w, http.StatusServiceUnavailable, "the channel's key cannot be used")
		return
	}
	b, err := json.Marshal(pushKey{ch.Name, key.Public()})
	if err != nil { // of two texts: cannot happen
		b = nil
	}
	h := w.Header()
	h["Content-Type"] = contentJSON
	h["Cache-Control"] = noStore
	_, _ = w.Write(b) // a client that went away is no matter
}

// subscription is a PushSubscription as browsers write it, and the channel whose
// key it is bound to.
type subscription struct {
	Channel  string `json:"channel"`
	Endpoint string `json:"endpoint"`
	Keys     struct {
		P256dh string `json:"p256dh"`
		Auth   string `json:"auth"`
	} `json:"keys"`
}

// readSubscription reads the body of a call; nil if it was refused.
func (g *Gateway) readSubscription(w http.ResponseWriter, r *http.Request) *subscription {
	body, err := readUpTo(nil, r.Body, -1, maxSubscription)
	var s subscription
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	if err != nil || s.Endpoint == "" {
		g.refuse(w, http.StatusBadRequest, `the body is not {"channel", "endpoint", "keys": {"p256dh", "auth"}}`)
		return nil
	}
	return &s
}

// serveSubscribe makes a browser a device of its user: POST /v1/push/subscribe. A
// known user's it becomes only by proof, as that user's messages go there; the
// word of anybody else makes it the anonymous id's. The log hears of it, with the
// consent that the browser asked for.
func (g *Gateway) serveSubscribe(w http.ResponseWriter, r *http.Request) {
	c := g.reader(w, r, http.MethodPost)
	if c == nil {
		return
	}
	who, err := readersOf(r, c)
	if err != nil {
		g.refuseTrouble(w, err)
		return
	}
	s := g.readSubscription(w, r)
	if s == nil {
		return
	}
	ch := g.deps.Definitions.Current().PushChannel(s.Channel)
	if ch == nil {
		g.refuse(w, http.StatusNotFound, "there is no such channel of type push")
		return
	}
	if _, err := ch.Push.Endpoint(s.Endpoint); err != nil {
		g.refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if _, err := webpush.ParseSubscriber(s.Keys.P256dh, s.Keys.Auth); err != nil {
		g.refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	d := device.Device{User: who.proven, Proven: who.proven != "", Channel: ch.Name, Endpoint: s.Endpoint, P256dh: s.Keys.P256dh, Auth: s.Keys.Auth}
	if !d.Proven {
		if d.User = who.anonymous; g.known(r.Context(), d.User) {
			g.refuse(w, errUnproven.status, errUnproven.reason)
			return
		}
	}
	if d, err = g.deps.Devices.Put(r.Context(), d); err == nil {
		err = g.appendDevice(r.Context(), c, &d, nameSubscribed, `{"push":{"granted":true,"source":"browser"}}`)
	}
	g.answerDevice(w, r, err)
}

// serveUnsubscribe forgets a browser: POST /v1/push/unsubscribe. Its endpoint is
// the proof.
func (g *Gateway) serveUnsubscribe(w http.ResponseWriter, r *http.Request) {
	c := g.reader(w, r, http.MethodPost)
	if c == nil {
		return
	}
	s := g.readSubscription(w, r)
	if s == nil {
		return
	}
	d, found, err := g.deps.Devices.Remove(r.Context(), s.Endpoint)
	if err == nil && found {
		err = g.appendDevice(r.Context(), c, &d, nameUnsubscribed, "")
	}
	g.answerDevice(w, r, err)
}

// appendDevice tells the log what became of a device. A repeat has the same id,
// and the log drops it.
func (g *Gateway) appendDevice(ctx context.Context, c *caller, d *device.Device, name, consent string) error {
	properties, err := json.Marshal(struct {
		Device  string `json:"device"`
		Channel string `json:"channel"`
	}{d.ID(), d.Channel})
	if err != nil { // of two texts: cannot happen
		return err
	}
	sum := sha256.Sum256([]byte(name + "\x00" + d.User + "\x00" + d.ID() + "\x00" + strconv.FormatInt(d.Since.UnixMicro(), 10)))
	now := g.clock().UnixMicro()
	e := event.Event{
		MessageID: "push-" + base64.RawURLEncoding.EncodeToString(sum[:16]), Type: event.Track, Name: name,
		Timestamp: now, ReceivedAt: now, Source: c.name, Properties: properties,
	}
	e.Context.Consent = []byte(consent)
	if d.Proven {
		e.UserID, e.Context.Verified = d.User, true
	} else {
		e.AnonymousID = d.User
	}
	data := event.AppendEvent(nil, &e)
	return g.deps.Log.Append(ctx, eventlog.Events, []*eventlog.Batch{{
		Partition: eventlog.PartitionOf(d.User, g.partitions), Data: data, Ends: []int{len(data)},
		Keys: []eventlog.Key{event.KeyOf(e.Source, e.MessageID)},
	}})
}

func (g *Gateway) answerDevice(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		if r.Context().Err() == nil {
			g.log.Warn("a device cannot be kept", "error", err)
		}
		w.Header().Set("Retry-After", "1")
		g.refuse(w, http.StatusServiceUnavailable, "devices cannot be kept at the moment")
		return
	}
	w.Header()["Cache-Control"] = noStore
	w.WriteHeader(http.StatusNoContent)
}
