package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"

	"heed/internal/definition"
	"heed/internal/event"
	"heed/internal/inbox"
)

// Bounds of a waiting call.
const (
	maxWait      = 2 * time.Second
	maxWaitUsers = 16 // whose messages a reply may carry
)

var errWait = errors.New("wait: write it like 200 (milliseconds) or 200ms, at most 2s")

// waitOf reads ?wait=: 0 if the call does not ask for it.
func waitOf(r *http.Request) (time.Duration, error) {
	if r.URL.RawQuery == "" {
		return 0, nil
	}
	text := queryValue(r.URL.RawQuery, "wait")
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if ms, merr := strconv.ParseFloat(text, 64); merr == nil {
		d, err = time.Duration(ms*float64(time.Millisecond)), nil
	}
	if err != nil || d < 0 {
		return 0, errWait
	}
	return min(d, maxWait), nil
}

// collectAndWait is collecting with an answer that carries the messages which
// the events caused, as soon as everything they caused is settled or time is
// up. The events are durable either way.
func (g *Gateway) collectAndWait(w http.ResponseWriter, r *http.Request, q *request, wait time.Duration) {
	q.replyTo = strconv.FormatUint(rand.Uint64(), 36) + strconv.FormatUint(rand.Uint64(), 36)
	settled, cancel := g.deps.Inbox.Watch(q.replyTo)
	defer cancel()
	q.accept()
	o := q.out
	if !g.append(w, r, o, q.now) {
		return
	}
	if n := o.kept(); n > 0 && len(q.users) > 0 {
		g.settle(r.Context(), settled, n, wait)
		g.metrics.wait.Observe(g.clock().Sub(q.now).Seconds())
	}
	o.answer = append(o.answer, `,"messages":[`...)
	o.answer = append(g.caused(r.Context(), o.answer, q), ']')
	g.answer(w, o, q.c, q.now)
}

// settle waits until n events and all that they caused are done.
func (g *Gateway) settle(ctx context.Context, settled <-chan inbox.Settlement, n int, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var sum inbox.Settlement
	for sum.Events < n || sum.Done < sum.Intents {
		select {
		case s := <-settled:
			sum.Events += s.Events
			sum.Intents += s.Intents
			sum.Done += s.Done
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		case <-g.stopping:
			return
		}
	}
}

// answerable notes whose messages may go into the reply: those of a user whose
// id is proven, and of an anonymous id, which nobody else knows. An unproven
// user id gets nothing, not even what this request caused.
func (q *request) answerable(e *event.Event) {
	user := e.User()
	if len(q.users) == maxWaitUsers || e.UserID != "" && !e.Context.Verified {
		return
	}
	if slices.ContainsFunc(q.users, func(r recipient) bool { return r.id == user }) {
		return
	}
	q.users = append(q.users, recipient{user, e.Context.Verified})
}

// recipient is somebody whose messages a reply may carry.
type recipient struct {
	id     string
	proven bool
}

// caused appends the messages that this request caused for its users.
func (g *Gateway) caused(ctx context.Context, out []byte, q *request) []byte {
	start := len(out)
	for _, user := range q.users {
		// An anonymous id that is somebody's user id is no secret.
		if !user.proven && g.known(ctx, user.id) {
			continue
		}
		pending, err := g.deps.Inbox.Pending(ctx, user.id, 0, g.clock().UnixMicro())
		if err != nil {
			g.log.Warn("cannot read pending messages", "error", err)
			continue
		}
		for i := range pending {
			if m := &pending[i]; m.ReplyTo == q.replyTo && !g.held(m) {
				if len(out) > start {
					out = append(out, ',')
				}
				out = appendMessage(out, m)
				g.metrics.messages.WithLabelValues("reply").Inc()
			}
		}
	}
	return out
}

// held tells whether a message must not be shown now, although it was sent: its
// campaign is paused, or all sending is stopped. It waits, and may expire.
func (g *Gateway) held(m *inbox.Message) bool {
	if g.deps.Stopped != nil && g.deps.Stopped() {
		return true
	}
	c := g.deps.Definitions.Current().Campaigns[m.Campaign]
	return c != nil && c.Status == definition.Paused && !m.Test
}

// known tells whether an id is that of a known user rather than an anonymous
// one. On doubt it is.
func (g *Gateway) known(ctx context.Context, id string) bool {
	p, err := g.deps.Profiles.Profile(ctx, id)
	if err != nil {
		g.log.Warn("cannot read a profile", "error", err)
		return true
	}
	return p != nil && p.UserID == id
}

// message is what pages get.
type message struct {
	ID       string `json:"id"`
	Campaign string `json:"campaign"`
	Kind     string `json:"kind"`
	Slot     string `json:"slot,omitempty"`
	HTML     string `json:"html"`
	Expires  string `json:"expires,omitempty"`
	Cause    string `json:"cause,omitempty"` // message id of the event that completed the trigger
	Personal bool   `json:"personal,omitempty"`
	Test     bool   `json:"test,omitempty"`
}

func appendMessage(dst []byte, m *inbox.Message) []byte {
	out := message{ID: m.ID, Campaign: m.Campaign, Kind: m.Kind, Slot: m.Slot, HTML: m.HTML, Cause: m.CauseID, Personal: m.Personal, Test: m.Test}
	if m.Expires > 0 {
		out.Expires = time.UnixMicro(m.Expires).UTC().Format("2006-01-02T15:04:05.000Z")
	}
	b, err := json.Marshal(out)
	if err != nil { // of strings and booleans: cannot happen
		return dst
	}
	return append(dst, b...)
}

// readers are the profile ids whose messages the one who asks may have.
type readers struct {
	proven    string // a user id that was proven
	anonymous string // an anonymous id: as good as a key, unless it is a known user's id
}

var (
	errNobody   = &trouble{http.StatusBadRequest, "anonymousId or userId is required"}
	errUnproven = &trouble{http.StatusForbidden, "the user id needs a valid signature"}
)

// readersOf reads who asks.
func readersOf(r *http.Request, c *caller) (readers, error) {
	query := r.URL.RawQuery
	user, anonymous := queryValue(query, "userId"), queryValue(query, "anonymousId")
	var who readers
	if user != "" && len(user) <= event.MaxIDBytes && !event.Nobody(user) && c.verified(user, queryValue(query, "signature")) {
		who.proven = user
	}
	if anonymous != "" && anonymous != who.proven && len(anonymous) <= event.MaxIDBytes && !event.Nobody(anonymous) {
		who.anonymous = anonymous
	}
	switch {
	case who != (readers{}):
		return who, nil
	case user != "":
		return who, errUnproven
	default:
		return who, errNobody
	}
}

// ids are those of the readers that there are.
func (who readers) ids() []string {
	var ids []string
	for _, id := range []string{who.proven, who.anonymous} {
		if id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// may tells whether id may be read now: an anonymous id stops being a key once
// it turns out to be a known user's.
func (g *Gateway) may(ctx context.Context, who readers, c *caller, id string) bool {
	return id == who.proven || c.verified(id, "") || !g.known(ctx, id)
}

// reader finds who asks for messages, or answers.
func (g *Gateway) reader(w http.ResponseWriter, r *http.Request, method string) *caller {
	if r.Method == http.MethodOptions {
		g.preflight(w, r)
		return nil
	}
	if r.Method != method {
		w.Header().Set("Allow", method+", OPTIONS")
		g.refuse(w, http.StatusMethodNotAllowed, "use "+method)
		return nil
	}
	ring := g.keys()
	c, _ := ring.identify(r)
	allowed := cors(w, r, ring, c)
	if c == nil {
		g.refuse(w, http.StatusUnauthorized, "unknown write key")
		return nil
	}
	if !allowed {
		g.refuseOrigin(w, r)
		return nil
	}
	if !c.server {
		now := g.clock()
		a := g.address(r.RemoteAddr, r.Header["X-Forwarded-For"])
		if a.IsValid() && !a.IsLoopback() && !g.meters.addresses.allow(hashAddress(cutAddress(a)), 1, g.cfg.AddressRate*window, now) {
			w.Header().Set("Retry-After", strconv.Itoa(retryAfter(now)))
			g.refuse(w, http.StatusTooManyRequests, "too many requests")
			return nil
		}
	}
	return c
}

// serveSlot answers with the newest message that waits for a slot.
func (g *Gateway) serveSlot(w http.ResponseWriter, r *http.Request) {
	c := g.reader(w, r, http.MethodGet)
	if c == nil {
		return
	}
	who, err := readersOf(r, c)
	if err != nil {
		g.refuseTrouble(w, err)
		return
	}
	slot := r.PathValue("slot")
	var newest *inbox.Message
	for _, id := range who.ids() {
		if !g.may(r.Context(), who, c, id) {
			continue
		}
		pending, err := g.deps.Inbox.Pending(r.Context(), id, 0, g.clock().UnixMicro())
		if err != nil {
			g.unavailable(w, r, err)
			return
		}
		for i := range pending {
			if m := &pending[i]; m.Kind == kindSlot && m.Slot == slot && !g.held(m) && (newest == nil || m.Created >= newest.Created) {
				newest = m
			}
		}
	}
	if newest == nil {
		w.Header()["Cache-Control"] = noStore
		w.WriteHeader(http.StatusNoContent)
		return
	}
	g.metrics.messages.WithLabelValues("slot").Inc()
	respond(w, http.StatusOK, append(appendMessage(nil, newest), '\n'))
}

const kindSlot = "slot"

func (g *Gateway) unavailable(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() == nil {
		g.log.Warn("the inbox does not answer", "error", err)
	}
	w.Header().Set("Retry-After", "1")
	g.refuse(w, http.StatusServiceUnavailable, "messages cannot be read at the moment")
}
