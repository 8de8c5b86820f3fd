package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"heed/internal/documents"
	"heed/internal/event"
)

// BadEvents is the collection of the newest rejected events, with the reason.
const BadEvents = "bad_events"

// Bounds of the record of bad events.
const (
	// MaxBadEvents is how many are kept.
	MaxBadEvents = 10_000

	maxBadBytes  = 1 << 10 // of one event
	badQueue     = 1024    // waiting to be written
	badPause     = 250 * time.Millisecond
	badPerWrite  = 100
	maxBadPerReq = 20 // of one request: one broken client does not fill the record
)

// BadEvent is one of them, the JSON of its document. Keys are in order of time.
type BadEvent struct {
	At     time.Time `json:"at"`
	Source string    `json:"source"`
	Reason string    `json:"reason"`
	Event  string    `json:"event"` // as it came, cut
}

// badEvents records rejected events beside the requests, and drops what it
// cannot keep up with.
type badEvents struct {
	queue chan BadEvent
	mu    sync.Mutex
	keys  []string // of all that are recorded, oldest first
	n     int      // keeps keys of one µs apart
}

func (b *badEvents) init() { b.queue = make(chan BadEvent, badQueue) }

// record notes what was refused of a request.
func (q *request) record() {
	n := 0
	for i := range q.items {
		if it := &q.items[i]; it.why != "" && it.why != refusedRate {
			if n++; n > maxBadPerReq {
				q.g.metrics.lost.Inc()
				continue
			}
			q.g.noteBad(q.c.name, it.why, q.body[it.start:it.end], q.now)
		}
	}
}

func (g *Gateway) noteBad(source string, why event.Refusal, raw []byte, now time.Time) {
	text := strings.ToValidUTF8(event.Cut(string(raw[:min(len(raw), maxBadBytes+4)]), maxBadBytes), "�")
	select {
	case g.bad.queue <- BadEvent{now.UTC(), source, string(why), text}:
	default:
		g.metrics.lost.Inc()
	}
}

// Refused records what was refused that came by another way than a request.
func (g *Gateway) Refused(source, why string, raw []byte, now time.Time) {
	g.noteBad(source, event.Refusal(why), raw, now)
}

// run writes until ctx ends, and then what is left.
func (b *badEvents) run(ctx context.Context, g *Gateway) {
	known := b.load(ctx, g) == nil
	ticker := time.NewTicker(badPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			b.write(last, g)
			return
		case <-ticker.C:
			if !known {
				known = b.load(ctx, g) == nil
				continue
			}
			b.write(ctx, g)
		}
	}
}

// load reads which keys there are.
func (b *badEvents) load(ctx context.Context, g *Gateway) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.keys = b.keys[:0]
	after := ""
	for {
		docs, err := g.deps.Documents.List(ctx, documents.Query{Collection: BadEvents, After: after})
		if err != nil {
			g.log.Warn("cannot read the record of bad events", "error", err)
			return err
		}
		for _, d := range docs {
			b.keys = append(b.keys, d.Key)
		}
		if len(docs) < documents.MaxList {
			return nil
		}
		after = docs[len(docs)-1].Key
	}
}

// write stores what waits and removes what is too much, oldest first.
func (b *badEvents) write(ctx context.Context, g *Gateway) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		var writes []documents.Write
		var keys []string
		for len(keys) < badPerWrite {
			select {
			case e := <-b.queue:
				value, err := json.Marshal(e)
				if err != nil { // of strings and a time: cannot happen
					continue
				}
				b.n++
				key := fmt.Sprintf("%016x-%08x", e.At.UnixMicro(), uint32(b.n))
				keys = append(keys, key)
				writes = append(writes, documents.Write{Collection: BadEvents, Key: key, Value: value, Expect: documents.Any})
				continue
			default:
			}
			break
		}
		if len(keys) == 0 {
			return
		}
		drop := max(0, len(b.keys)+len(keys)-MaxBadEvents)
		for _, key := range b.keys[:drop] {
			writes = append(writes, documents.Write{Collection: BadEvents, Key: key, Expect: documents.Any})
		}
		if err := g.deps.Documents.Apply(ctx, documents.Relaxed, writes...); err != nil {
			g.metrics.lost.Add(float64(len(keys)))
			g.log.Warn("cannot write the record of bad events", "error", err)
			return
		}
		b.keys = append(append(b.keys[:0], b.keys[drop:]...), keys...)
	}
}
