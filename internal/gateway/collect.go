package gateway

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"heed/internal/event"
	"heed/internal/eventlog"
)

// call is one endpoint of the collection API.
type call struct {
	path, short string
	batch       bool
	kind        event.Type
}

//nolint:gochecknoglobals // a constant table
var calls = []call{
	{"track", "t", false, event.Track},
	{"identify", "i", false, event.Identify},
	{"page", "p", false, event.Page},
	{"screen", "s", false, event.Screen},
	{"group", "g", false, event.Group},
	{"alias", "a", false, event.Alias},
	{"batch", "b", true, 0},
}

// collector serves one endpoint.
type collector struct {
	g *Gateway
	call
}

// ServeHTTP takes the events of a call. It answers 200 once they are durable.
func (h collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
	case http.MethodOptions:
		h.g.preflight(w, r)
		return
	default:
		w.Header().Set("Allow", "POST, OPTIONS")
		refuse(w, http.StatusMethodNotAllowed, "use POST")
		return
	}
	g, ring := h.g, h.g.keys()
	c, stated := ring.identify(r)
	allowed := cors(w, r, ring, c)
	if stated && c == nil {
		g.refuse(w, http.StatusUnauthorized, "unknown write key")
		return
	}
	if !allowed {
		g.refuseOrigin(w, r)
		return
	}
	wait, err := waitOf(r)
	if err != nil {
		g.refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	q := g.begin(c)
	o := q.out
	defer g.releaseOutgoing(o)
	if !h.read(w, r, ring, q) {
		g.release(q)
		return
	}
	c = q.c
	if wait > 0 {
		defer g.release(q)
		g.collectAndWait(w, r, q, wait)
		return
	}
	q.accept()
	began := q.now
	g.release(q)
	if g.append(w, r, o, began) {
		g.answer(w, o, c, began)
	}
}

// read takes the body in and finds out whether the call may be worked on;
// false: the answer has been given.
func (h collector) read(w http.ResponseWriter, r *http.Request, ring *keyring, q *request) bool {
	g := h.g
	q.address = g.address(r.RemoteAddr, r.Header["X-Forwarded-For"])
	err := q.read(r)
	switch {
	case err != nil:
	case h.batch:
		err = q.parseBatch()
	default:
		err = q.parseOne(h.kind)
	}
	if err != nil {
		// gzip is known by its first bytes; the header only explains a failure.
		if coding := r.Header.Get("Content-Encoding"); errors.Is(err, errJSON) && coding != "" && coding != "identity" && coding != "gzip" {
			err = errEncoding
		}
		g.refuseAll(w, q, err)
		return false
	}
	if q.c == nil {
		key := q.keyInBody()
		if q.c = ring.byKey[key]; q.c == nil {
			g.refuse(w, http.StatusUnauthorized, unknownKey(key))
			return false
		}
		if !cors(w, r, ring, q.c) {
			g.refuseOrigin(w, r)
			return false
		}
	}
	if !g.allowRequest(q) {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter(q.now)))
		g.refuse(w, http.StatusTooManyRequests, "too many events")
		return false
	}
	q.surroundings(r)
	return true
}

// keyInBody is the write key in the body: of the batch, or of its first event.
func (q *request) keyInBody() string {
	if q.key == "" && len(q.items) > 0 {
		return q.items[0].stated.WriteKey
	}
	return q.key
}

// unknownKey says what is wrong with a call whose key is no source's.
func unknownKey(key string) string {
	if key == "" {
		return "no write key: send it as writeKey in the body or the address, or as Authorization: Bearer KEY"
	}
	return "unknown write key"
}

// allowRequest counts the events against the rates of the key and the address.
func (g *Gateway) allowRequest(q *request) bool {
	n := max(1, len(q.items))
	if !q.c.limiter.AllowN(q.now, n) {
		return false
	}
	if q.c.server || !q.address.IsValid() || q.address.IsLoopback() {
		return true
	}
	return g.meters.addresses.allow(hashAddress(cutAddress(q.address)), n, g.cfg.AddressRate*window, q.now)
}

// append makes what was taken durable; false: the answer has been given.
func (g *Gateway) append(w http.ResponseWriter, r *http.Request, o *outgoing, began time.Time) bool {
	if len(o.batches) == 0 {
		return true
	}
	err := g.deps.Log.Append(r.Context(), eventlog.Events, o.batches)
	g.metrics.append.Observe(g.clock().Sub(began).Seconds())
	if err == nil {
		return true
	}
	wait := "1"
	if errors.Is(err, eventlog.ErrDiskFull) {
		wait = "10"
	} else if r.Context().Err() == nil {
		g.log.Warn("append failed", "error", err)
	}
	w.Header().Set("Retry-After", wait)
	g.refuse(w, http.StatusServiceUnavailable, "events cannot be stored at the moment")
	return false
}

// answer tells what became of each event.
func (g *Gateway) answer(w http.ResponseWriter, o *outgoing, c *caller, began time.Time) {
	duplicates := o.accepted - o.kept()
	c.counts.accepted.Add(float64(o.accepted - duplicates))
	if duplicates > 0 {
		c.counts.duplicate.Add(float64(duplicates))
	}
	if o.rejected > 0 {
		c.counts.rejected.Add(float64(o.rejected))
	}
	if o.status != http.StatusOK {
		g.countRefused(o.status)
	}
	if o.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter(began)))
	}
	o.answer = append(o.answer, '}', '\n')
	respond(w, o.status, o.answer)
}

// kept is how many events of the call are no repeats.
func (o *outgoing) kept() int {
	n := 0
	for i := range o.parts {
		p := &o.parts[i]
		if len(p.ends) == 0 {
			continue
		}
		n += p.batch.Kept()
		for _, link := range p.links {
			if p.batch.Duplicate == nil || !p.batch.Duplicate[link] {
				n--
			}
		}
	}
	return n
}

func respond(w http.ResponseWriter, status int, body []byte) {
	h := w.Header()
	h["Content-Type"] = contentJSON
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	if status != http.StatusOK {
		w.WriteHeader(status)
	}
	_, _ = w.Write(body) // a client that went away is no matter: it will resend
}

// refuse answers a call as a whole.
func refuse(w http.ResponseWriter, status int, reason string) {
	text, err := json.Marshal(reason)
	if err != nil { // of a string: cannot happen
		text = []byte(`""`)
	}
	respond(w, status, []byte(`{"error":`+string(text)+"}\n"))
}

func (g *Gateway) refuse(w http.ResponseWriter, status int, reason string) {
	g.countRefused(status)
	refuse(w, status, reason)
}

// refuseTrouble answers a call that is refused as a whole.
func (g *Gateway) refuseTrouble(w http.ResponseWriter, err error) {
	t := errJSON
	errors.As(err, &t)
	g.refuse(w, t.status, t.reason)
}

func (g *Gateway) countRefused(status int) {
	g.metrics.refused.WithLabelValues(strconv.Itoa(status)).Inc()
}

// refuseAll answers a body that could not be read.
func (g *Gateway) refuseAll(w http.ResponseWriter, q *request, err error) {
	t := errJSON
	errors.As(err, &t)
	if t.status == http.StatusRequestEntityTooLarge {
		w.Header().Set("Connection", "close") // rather than read on to its end
	}
	if q.c != nil {
		q.c.counts.rejected.Inc()
		g.noteBad(q.c.name, event.Refusal(t.reason), q.body, q.now)
	}
	g.refuse(w, t.status, t.reason)
}
