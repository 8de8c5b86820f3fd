package gateway

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"heed/internal/inbox"
)

// streams counts the open ones, in all, by user and by network.
type streams struct {
	mu        sync.Mutex
	total     int
	users     map[string]int
	addresses map[string]int
	idle      chan struct{} // replaced and closed when the last one ends
}

func (s *streams) init() {
	s.users, s.addresses, s.idle = map[string]int{}, map[string]int{}, make(chan struct{})
}

func (s *streams) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// enter takes a place; ok is false if there is none.
func (s *streams) enter(cfg *Config, user, address string) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= cfg.MaxStreams || s.users[user] >= cfg.MaxUserStreams || s.addresses[address] >= cfg.MaxAddressStreams {
		return nil, false
	}
	s.total++
	s.users[user]++
	s.addresses[address]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.total--
		down(s.users, user)
		down(s.addresses, address)
		if s.total == 0 {
			close(s.idle)
			s.idle = make(chan struct{})
		}
	}, true
}

func down(m map[string]int, name string) {
	if m[name]--; m[name] == 0 {
		delete(m, name)
	}
}

// drained waits until all have ended; it is false if that takes too long.
func (s *streams) drained(most time.Duration) bool {
	s.mu.Lock()
	total, idle := s.total, s.idle
	s.mu.Unlock()
	if total == 0 {
		return true
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-idle:
		return true
	case <-timer.C:
		return false
	}
}

// serveStream is a user's stream of messages. A new connection gets all that
// wait; one that goes on (Last-Event-ID) what came since. Whatever is not
// acknowledged stays, so a client that is dropped loses nothing.
func (g *Gateway) serveStream(w http.ResponseWriter, r *http.Request) {
	c := g.reader(w, r, http.MethodGet)
	if c == nil {
		return
	}
	who, err := readersOf(r, c)
	if err != nil {
		g.refuseTrouble(w, err)
		return
	}
	ids := who.ids()
	network := cutAddress(g.address(r.RemoteAddr, r.Header["X-Forwarded-For"]))
	leave, ok := g.streams.enter(&g.cfg, ids[0], network.String())
	if !ok {
		w.Header().Set("Retry-After", "30")
		g.refuse(w, http.StatusTooManyRequests, "too many streams")
		return
	}
	defer leave()
	s := &stream{g: g, w: w, rc: http.NewResponseController(w), c: c, who: who, ids: ids, after: cursorOf(lastEventID(r), len(ids)), ahead: map[string]bool{}}
	if err := s.serve(r.Context()); err != nil && r.Context().Err() == nil {
		g.log.Debug("stream ended", "error", err)
	}
}

// lastEventID is where the client says it is. The query serves clients that
// cannot set headers on a first connection.
func lastEventID(r *http.Request) string {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return id
	}
	return queryValue(r.URL.RawQuery, "lastEventId")
}

// cursorOf reads a position: the last Seq seen of each of n users, joined by
// dots. What does not fit starts from the beginning.
func cursorOf(text string, n int) []uint64 {
	after := make([]uint64, n)
	parts := strings.Split(text, ".")
	if len(parts) != n {
		return after
	}
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 64)
		if err != nil {
			return make([]uint64, n)
		}
		after[i] = v
	}
	return after
}

// stream is one open connection.
type stream struct {
	g    *Gateway
	w    http.ResponseWriter
	rc   *http.ResponseController
	c    *caller
	who  readers
	ids  []string
	buf  []byte
	held []inbox.Message // waits for a pause or a stop to end: what tells whether it has
	// after is behind what was written, by user, but before what is held back: so a
	// client that comes again gets that. ahead is what was written behind it.
	after []uint64
	ahead map[string]bool // by message
}

// lookAgain is how often it is looked whether what is held back may go. Nothing is read
// for that: the definitions and the stop are in memory.
const lookAgain = 300 * time.Millisecond

func (s *stream) serve(ctx context.Context) error {
	g := s.g
	// The server's limit on reading a request must not end the stream.
	if err := s.rc.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	wake, cancel := g.deps.Inbox.Subscribe(s.ids...)
	defer cancel()
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	h.Set("X-Accel-Buffering", "no")
	s.buf = append(s.buf[:0], "retry: 2000\n\n"...)
	if err := s.flush(); err != nil {
		return err
	}
	beat := time.NewTicker(g.cfg.Heartbeat.Duration())
	defer beat.Stop()
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for changed := true; ; {
		if changed {
			if err := s.pending(ctx); err != nil {
				return err
			}
		}
		again := look.C
		if len(s.held) == 0 {
			again = nil
		}
		select {
		case <-wake:
			changed = true
		case <-again:
			changed = slices.ContainsFunc(s.held, func(m inbox.Message) bool { return !g.held(&m) })
		case <-beat.C:
			changed = true // a word that something came may have been lost
			s.buf = append(s.buf[:0], ":\n\n"...)
			if err := s.flush(); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		case <-g.stopping:
			return nil
		}
	}
}

// pending writes what has come for the users, one message at a time. What a pause or
// a stop holds back is left for later.
func (s *stream) pending(ctx context.Context) error {
	s.held = s.held[:0]
	for i, id := range s.ids {
		messages, err := s.g.deps.Inbox.Pending(ctx, id, s.after[i], s.g.clock().UnixMicro())
		if err != nil {
			return err
		}
		if len(messages) == 0 || !s.g.may(ctx, s.who, s.c, id) {
			continue
		}
		passed := true // all so far
		for j := range messages {
			m := &messages[j]
			if s.g.held(m) {
				passed = false
				s.held = append(s.held, inbox.Message{Campaign: m.Campaign, Test: m.Test})
				continue
			}
			was := s.ahead[m.ID]
			if passed {
				s.after[i] = max(s.after[i], m.Seq)
				delete(s.ahead, m.ID)
			} else {
				s.ahead[m.ID] = true
			}
			if was {
				continue
			}
			s.buf = append(s.buf[:0], "id: "...)
			for k, seq := range s.after {
				if k > 0 {
					s.buf = append(s.buf, '.')
				}
				s.buf = strconv.AppendUint(s.buf, seq, 10)
			}
			s.buf = append(s.buf, "\nevent: message\ndata: "...)
			s.buf = appendMessage(s.buf, m) // JSON has no line breaks
			s.buf = append(s.buf, "\n\n"...)
			if err := s.flush(); err != nil {
				return err
			}
			s.g.metrics.messages.WithLabelValues("stream").Inc()
		}
	}
	return nil
}

// flush writes the buffer to the connection; a client that does not read is
// dropped.
func (s *stream) flush() error {
	deadline := time.Now().Add(s.g.cfg.WriteTimeout.Duration()) // the connection's clock, not the gateway's
	if err := s.rc.SetWriteDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	_, err := s.w.Write(s.buf)
	if err == nil {
		err = s.rc.Flush()
	}
	if cap(s.buf) > keepBytes {
		s.buf = nil
	}
	if err != nil && !time.Now().Before(deadline) {
		s.g.metrics.slow.Inc()
	}
	return err
}
