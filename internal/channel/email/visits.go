package email

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/mileusna/useragent"

	"heed/internal/channel"
)

// Paths of what is in messages, with a token behind each.
const (
	clickPath = "/c/"
	openPath  = "/o/"
)

const inboundTimeout = 2 * time.Second

// Register implements channel.Receiver. Links change nothing of what anybody gets:
// scanners follow all of them.
func (c *Channel) Register(mux *http.ServeMux) {
	mux.HandleFunc("GET "+clickPath+"{token}", c.click)
	mux.HandleFunc("GET "+openPath+"{token}", c.open)
	mux.HandleFunc("POST "+hookPath+"{channel}", c.hook)
}

// click leads on to where the link led. It leads nowhere that Heed has not signed.
func (c *Channel) click(w http.ResponseWriter, r *http.Request) {
	v, ok := c.seal.visit(purposeClick, r.PathValue("token"))
	quiet(w)
	if !ok {
		http.Error(w, "This link is incomplete, or not one of ours.", http.StatusNotFound)
		return
	}
	c.visited(r, channel.Clicked, v)
	w.Header().Set("Location", v.to)
	w.WriteHeader(http.StatusFound)
}

// open answers with an image of one transparent pixel.
func (c *Channel) open(w http.ResponseWriter, r *http.Request) {
	v, ok := c.seal.visit(purposeOpen, r.PathValue("token"))
	quiet(w)
	if !ok {
		http.NotFound(w, r)
		return
	}
	c.visited(r, channel.Opened, v)
	w.Header().Set("Content-Type", "image/gif")
	_, _ = w.Write([]byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"))
}

func quiet(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("X-Robots-Tag", "noindex")
}

// visited tells of an opening or a click, once an hour. The reader goes on even if
// it cannot be kept.
func (c *Channel) visited(r *http.Request, kind channel.FeedbackKind, v visit) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), inboundTimeout)
	defer cancel()
	now := c.deps.Now()
	machine := byMachine(r) || now.Sub(v.sent) < tooSoon
	if kind == channel.Clicked {
		machine = c.visits.burst(v.delivery, v.to, now) || machine
	}
	err := c.deps.Inbound(ctx, channel.Feedback{
		Kind: kind, Delivery: v.delivery, Type: Type, Channel: v.channel, Machine: machine, Link: v.to, At: now.UnixMicro(),
		ID: fmt.Sprintf("%t-%d-%x", machine, now.Unix()/3600, hashOf(v.to)),
	})
	if err != nil {
		c.deps.Logger.Warn("what a reader did could not be kept", "kind", kind, "delivery", v.delivery, "error", err)
	}
}

// When a visit is no person's: so soon after the sending, or this many links of a
// message so close together.
const (
	tooSoon     = 5 * time.Second
	burstWithin = 5 * time.Second
	burstLinks  = 3
	maxBursts   = 4096 // messages that are remembered
)

// byMachine tells by the request that a scanner, a proxy or a preview made it. A
// proxy that fetches images may do so whether or not anybody looks.
func byMachine(r *http.Request) bool {
	for _, header := range []string{"Purpose", "Sec-Purpose", "X-Purpose", "X-Moz"} {
		if v := strings.ToLower(r.Header.Get(header)); strings.Contains(v, "prefetch") || strings.Contains(v, "preview") {
			return true
		}
	}
	agent := strings.ToLower(r.UserAgent())
	if r.Method == http.MethodHead || !strings.Contains(agent, "mozilla/") && !strings.Contains(agent, "outlook") && !strings.Contains(agent, "mail") {
		return true
	}
	if agent == "mozilla/5.0" { // what Apple's privacy proxy calls itself
		return true
	}
	for _, sign := range []string{
		"imageproxy", "mailproxy", "scanner", "preview", "headless", "barracuda", "proofpoint", "mimecast", "safelinks", "forcepoint", "fireeye",
		"trendmicro", "symantec", "sophos", "cloudmark",
	} {
		if strings.Contains(agent, sign) {
			return true
		}
	}
	return useragent.Parse(r.UserAgent()).Bot
}

// visits remember which links of a message were followed of late.
type visits struct {
	mu   sync.Mutex
	seen map[string]*burst // by delivery
}

type burst struct {
	links map[uint64]bool
	began time.Time
}

// burst tells whether so many links of a message were followed so fast that no
// person did it.
func (v *visits) burst(delivery, link string, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	b := v.seen[delivery]
	if b == nil || now.Sub(b.began) > burstWithin {
		if b == nil && len(v.seen) >= maxBursts {
			v.forget(now)
		}
		b = &burst{map[uint64]bool{}, now}
		v.seen[delivery] = b
	}
	b.links[hashOf(link)] = true
	return len(b.links) >= burstLinks
}

func (v *visits) forget(now time.Time) {
	for delivery, b := range v.seen {
		if now.Sub(b.began) > burstWithin {
			delete(v.seen, delivery)
		}
	}
	if len(v.seen) >= maxBursts { // a flood
		clear(v.seen)
	}
}

func hashOf(s string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(s)) // never fails
	return h.Sum64()
}
