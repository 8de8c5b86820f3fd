package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"heed/internal/console/analysis"
	"heed/internal/console/api"
	"heed/internal/event"
	"heed/internal/event/ocf"
	"heed/internal/eventlog/logread"
	"heed/internal/facts"
	"heed/internal/period"
)

// queryOf reads which events of the log are wanted.
func (c *Console) queryOf(r *http.Request) (q logread.Query, err error) {
	v := r.URL.Query()
	if q.Follow, err = boolOf(r, "follow"); err != nil {
		return q, err
	}
	if q.Internal, err = boolOf(r, "internal"); err != nil {
		return q, err
	}
	if text := v.Get("limit"); text != "" {
		q.Limit, err = strconv.ParseInt(text, 10, 64)
		if err != nil || q.Limit < 1 {
			return q, api.BadRequest("limit is not a number from 1", "")
		}
	}
	q.User, q.Name = v.Get("user"), v.Get("name")
	if len(q.User) > 512 || len(q.Name) > 512 {
		return q, api.BadRequest("user or name is too long", "")
	}
	return q, c.times(v, &q)
}

func (c *Console) times(v url.Values, q *logread.Query) error {
	from := v.Get("from")
	if from == "" && q.Follow {
		from = "now"
	}
	switch from {
	case "", "earliest":
	case "now":
		q.FromNow = true
	default:
		t, err := c.timeOf("from", from)
		if err != nil {
			return err
		}
		q.From = t
	}
	if text := v.Get("until"); text != "" {
		t, err := c.timeOf("until", text)
		if err != nil {
			return err
		}
		q.Until = t
	}
	return nil
}

// timeOf reads RFC 3339 or a period back from now.
func (c *Console) timeOf(name, text string) (int64, error) {
	if len(text) <= 64 {
		if t, err := time.Parse(time.RFC3339, text); err == nil {
			return t.UnixMicro(), nil
		}
		if p, err := period.Parse(text); err == nil {
			return c.now().Add(-time.Duration(p)).UnixMicro(), nil
		}
	}
	return 0, api.BadRequest(name+" is not a time", "2026-11-20T08:00:00Z, or a period back such as 15m")
}

// errEnough ends a stream whose limit is reached.
var errEnough = errors.New("enough")

// allPartitions lists the partitions of the log.
func (c *Console) allPartitions() []int {
	out := make([]int, c.deps.Log.Partitions())
	for i := range out {
		out[i] = i
	}
	return out
}

// writeWait bounds one write to a stream, so that a stuck reader lets go.
const writeWait = 30 * time.Second

// streaming prepares an answer that goes on: it outlives the server's write
// timeout, and each write has its own.
func (c *Console) streaming(w http.ResponseWriter, r *http.Request) (context.Context, *http.ResponseController, func()) {
	ctx, cancel := context.WithCancel(r.Context())
	stop := make(chan struct{})
	go func() {
		select {
		case <-c.stopping:
			cancel()
		case <-stop:
		}
	}()
	w.Header().Set("X-Accel-Buffering", "no")
	return ctx, http.NewResponseController(w), func() { close(stop); cancel() }
}

// timedWriter gives each write its deadline.
type timedWriter struct {
	w  io.Writer
	rc *http.ResponseController
}

func (t *timedWriter) Write(b []byte) (int, error) {
	// Not every connection has deadlines; the write itself tells.
	_ = t.rc.SetWriteDeadline(time.Now().Add(writeWait))
	return t.w.Write(b)
}

// streamEvents writes JSON lines.
func (c *Console) streamEvents(w http.ResponseWriter, r *http.Request) error {
	q, err := c.queryOf(r)
	if err != nil {
		return err
	}
	ctx, rc, stop := c.streaming(w, r)
	defer stop()
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := bufio.NewWriterSize(&timedWriter{w, rc}, 64<<10)
	flush := func() error {
		if err := out.Flush(); err != nil {
			return err
		}
		return rc.Flush()
	}
	var e event.Event
	var line []byte
	var n int64
	err = logread.Select(ctx, c.deps.Log, q, func(raw []byte) error {
		if err := event.DecodeAvro(raw, &e); err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		line = append(event.AppendJSON(line[:0], &e), '\n')
		if _, err := out.Write(line); err != nil {
			return err
		}
		if n++; n == q.Limit {
			return errEnough
		}
		return nil
	}, flush)
	c.finish(w, out, rc, n > 0, err)
	return nil
}

// finish ends a stream of lines: an error becomes the last one.
func (c *Console) finish(w http.ResponseWriter, out *bufio.Writer, rc *http.ResponseController, begun bool, err error) {
	if err != nil && !errors.Is(err, errEnough) && !errors.Is(err, context.Canceled) {
		c.log.Warn("a stream of events ended early", "error", err)
		f := failureOf(err)
		if !begun {
			w.WriteHeader(f.Status)
		}
		_ = json.NewEncoder(out).Encode(api.ErrorReply{Error: f.Body}) // Flush tells
	}
	if out.Flush() == nil {
		_ = rc.Flush() // the reader has gone
	}
}

// exportEvents writes the log as one file.
func (c *Console) exportEvents(w http.ResponseWriter, r *http.Request) error {
	q := logread.Query{}
	v := r.URL.Query()
	var err error
	if q.Internal, err = boolOf(r, "internal"); err != nil {
		return err
	}
	if err := c.times(v, &q); err != nil {
		return err
	}
	format := v.Get("format")
	if format == "" {
		format = "avro"
	}
	if format != "avro" && format != "jsonl" && format != "parquet" {
		return api.BadRequest("there is no format "+cut(format, 40), "avro, jsonl or parquet")
	}
	c.audit(r.Context(), askedOf(r.Context()).caller.who, "export", "events", format)
	if format == "parquet" {
		return c.exportParquet(w, r, q)
	}
	ctx, rc, stop := c.streaming(w, r)
	defer stop()
	w.Header().Set("Content-Disposition", `attachment; filename="events.`+format+`"`)
	out := bufio.NewWriterSize(&timedWriter{w, rc}, 64<<10)
	if format == "jsonl" {
		w.Header().Set("Content-Type", "application/x-ndjson")
		var e event.Event
		var line []byte
		err = logread.Select(ctx, c.deps.Log, q, func(raw []byte) error {
			if err := event.DecodeAvro(raw, &e); err != nil {
				return fmt.Errorf("read the log: %w", err)
			}
			line = append(event.AppendJSON(line[:0], &e), '\n')
			_, err := out.Write(line)
			return err
		}, nil)
		c.finish(w, out, rc, true, err)
		return nil
	}
	w.Header().Set("Content-Type", "application/avro")
	file, err := ocf.NewWriter(out, ocf.Deflate, c.deps.Random)
	if err == nil {
		err = logread.Select(ctx, c.deps.Log, q, file.Append, nil)
	}
	if err == nil {
		err = file.Flush()
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		// Half a file must not look like a whole one: the connection is cut.
		c.log.Warn("an export ended early", "error", err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// exportParquet writes the events that are kept for analysis, by when they were
// received. Control records are none of them.
func (c *Console) exportParquet(w http.ResponseWriter, r *http.Request, q logread.Query) error {
	if c.deps.Facts == nil {
		return analysis.NoFacts()
	}
	text := fmt.Sprintf("SELECT * FROM events WHERE received >= make_timestamp(%d)", q.From)
	if q.Until > 0 {
		text += fmt.Sprintf(" AND received < make_timestamp(%d)", q.Until)
	}
	file, err := c.deps.Facts.Parquet(r.Context(), text, facts.Options{All: true})
	if err != nil {
		return analysis.SQLRefusal(err)
	}
	return c.analysis.SendParquet(w, r, "events", file)
}

// ListEventNames lists what was seen and what is declared.
func (s *server) ListEventNames(_ context.Context, _ api.ListEventNamesRequestObject) (api.ListEventNamesResponseObject, error) {
	c := s.c
	out := api.ListEventNames200JSONResponse{Since: c.now().UTC(), Names: []api.EventName{}}
	declared := c.deps.Definitions.Current().Events
	seen := map[string]bool{}
	if c.deps.Live != nil {
		out.Since = c.deps.Live.Stats().Since
		for _, n := range c.deps.Live.Names() {
			name := api.EventName{Name: n.Name, Count: n.Count, LastSeen: n.LastSeen}
			if d := declared[n.Name]; d != nil {
				name.Declared, name.Key, name.Description = true, d.Key, d.Description
			}
			seen[n.Name] = true
			out.Names = append(out.Names, name)
		}
	}
	for _, name := range sorted(declared) {
		if d := declared[name]; !seen[name] {
			out.Names = append(out.Names, api.EventName{Name: name, Declared: true, Key: d.Key, Description: d.Description})
		}
	}
	return out, nil
}

// ListEventFields lists what events of a name carried.
func (s *server) ListEventFields(_ context.Context, r api.ListEventFieldsRequestObject) (api.ListEventFieldsResponseObject, error) {
	out := api.ListEventFields200JSONResponse{Fields: []api.EventField{}}
	if s.c.deps.Live != nil {
		out.Fields = append(out.Fields, s.c.deps.Live.Fields(r.Params.Name)...)
	}
	return out, nil
}

// ListBadEvents lists what the collector refused.
func (s *server) ListBadEvents(ctx context.Context, r api.ListBadEventsRequestObject) (api.ListBadEventsResponseObject, error) {
	limit, err := api.PageSize(r.Params.Limit)
	if err != nil {
		return nil, err
	}
	out := api.ListBadEvents200JSONResponse{Events: []api.BadEvent{}}
	if s.c.deps.BadEvents != nil {
		events, err := s.c.deps.BadEvents.BadEvents(ctx, limit)
		if err != nil {
			return nil, err
		}
		out.Events = append(out.Events, events...)
	}
	return out, nil
}
