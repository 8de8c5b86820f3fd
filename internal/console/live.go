package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"heed/internal/console/api"
)

// Pace of the live view.
const (
	livePoll   = 100 * time.Millisecond
	livePerSec = int(time.Second / livePoll)
	liveIdle   = 15 * livePerSec // polls without a word before a comment
	maxStreams = 200
)

// streamLive writes server-sent events.
func (c *Console) streamLive(w http.ResponseWriter, r *http.Request) error {
	if c.deps.Live == nil {
		return api.Fail(http.StatusServiceUnavailable, "unavailable", "this process does not run the live feed", "run it with the role analytics")
	}
	user := r.URL.Query().Get("user")
	if len(user) > 512 {
		return api.BadRequest("user is too long", "")
	}
	if !c.openStream() {
		return api.Fail(http.StatusServiceUnavailable, "unavailable", "too many live views are open", "close some")
	}
	defer c.closeStream()
	if user != "" {
		defer c.deps.Live.Watch(user)()
	}
	ctx, rc, stop := c.streaming(w, r)
	defer stop()
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	out := &sse{w: &timedWriter{w, rc}, rc: rc}
	if err := out.comment(); err != nil {
		c.log.Debug("a live view did not begin", "error", err)
	} else if err := c.live(ctx, out, user); err != nil && ctx.Err() == nil {
		c.log.Debug("a live view ended", "error", err)
	}
	return nil
}

// live polls the feed, which is cheap, so that a slow reader costs no memory:
// what it did not fetch in time is counted and gone.
func (c *Console) live(ctx context.Context, out *sse, user string) error {
	tick := time.NewTicker(livePoll)
	defer tick.Stop()
	var afterEvents, afterDeliveries uint64
	var dropped int64
	base := c.deps.Live.Stats().Dropped
	var triggers []byte
	quiet := 0
	for n := 0; ; n++ {
		events, next, missed := c.deps.Live.Events(afterEvents, user)
		if afterEvents > 0 {
			dropped += missed
		}
		afterEvents = next
		if len(events) > 0 || n == 0 {
			if events == nil {
				events = []api.EventSummary{}
			}
			if err := out.send("events", api.LiveEvents{Events: events}); err != nil {
				return err
			}
			quiet = 0
		}
		deliveries, next, missed := c.deps.Live.Deliveries(afterDeliveries, user)
		if afterDeliveries > 0 {
			dropped += missed
		}
		afterDeliveries = next
		if len(deliveries) > 0 || n == 0 {
			if deliveries == nil {
				deliveries = []api.Delivery{}
			}
			if err := out.send("deliveries", api.LiveDeliveries{Deliveries: deliveries}); err != nil {
				return err
			}
			quiet = 0
		}
		if n%livePerSec == 0 {
			stats := c.deps.Live.Stats()
			stats.Dropped = stats.Dropped - base + dropped
			if err := out.send("stats", stats); err != nil {
				return err
			}
			quiet = 0
			next, err := c.sendTriggers(ctx, out, triggers)
			if err != nil {
				return err
			}
			triggers = next
		}
		if quiet++; quiet >= liveIdle {
			if err := out.comment(); err != nil {
				return err
			}
			quiet = 0
		}
		if err := out.flush(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// sendTriggers sends progress that differs from what was sent last.
func (c *Console) sendTriggers(ctx context.Context, out *sse, last []byte) ([]byte, error) {
	progress, err := c.progress(ctx)
	if err != nil {
		c.log.Warn("progress of triggers is not known", "error", err)
		return last, nil
	}
	now, err := json.Marshal(progress)
	if err != nil {
		return last, fmt.Errorf("write progress: %w", err)
	}
	if bytes.Equal(now, last) {
		return last, nil
	}
	progress.AsOf = c.now().UTC()
	return now, out.send("triggers", progress)
}

// progress leaves AsOf out.
func (c *Console) progress(ctx context.Context) (out api.TriggerProgressList, err error) {
	out.Of = c.deps.Log.Partitions()
	if c.deps.Progress != nil {
		out, err = c.deps.Progress.Progress(ctx)
	}
	out.Triggers = append([]api.TriggerProgress{}, out.Triggers...)
	return out, err
}

// GetTriggerProgress answers once.
func (s *server) GetTriggerProgress(ctx context.Context, _ api.GetTriggerProgressRequestObject) (api.GetTriggerProgressResponseObject, error) {
	progress, err := s.c.progress(ctx)
	progress.AsOf = s.c.now().UTC()
	return api.GetTriggerProgress200JSONResponse(progress), err
}

func (c *Console) openStream() bool {
	if c.open.Add(1) > maxStreams {
		c.open.Add(-1)
		return false
	}
	c.streams.Inc()
	return true
}

func (c *Console) closeStream() {
	c.open.Add(-1)
	c.streams.Dec()
}

// sse writes server-sent events.
type sse struct {
	w   *timedWriter
	rc  *http.ResponseController
	buf bytes.Buffer
}

func (s *sse) send(name string, v any) error {
	data, err := json.Marshal(v) // on one line
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	s.buf.WriteString("event: " + name + "\ndata: ")
	s.buf.Write(data)
	s.buf.WriteString("\n\n")
	return nil
}

func (s *sse) comment() error {
	s.buf.WriteString(": \n\n")
	return s.flush()
}

func (s *sse) flush() error {
	if s.buf.Len() == 0 {
		return nil
	}
	if _, err := s.w.Write(s.buf.Bytes()); err != nil {
		return err
	}
	s.buf.Reset()
	return s.rc.Flush()
}
