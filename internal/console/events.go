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

	"heed/internal/console/api"
	"heed/internal/event"
	"heed/internal/event/ocf"
	"heed/internal/eventlog"
	"heed/internal/facts"
	"heed/internal/period"
)

// query selects events of the log.
type query struct {
	from, until int64 // log time in µs; until 0: none
	fromNow     bool
	follow      bool
	limit       int64 // 0: none
	user, name  string
	internal    bool
}

func (q *query) matches(h *event.Header) bool {
	switch {
	case h.Type == event.System && !q.internal:
		return false
	case q.name != "" && h.Name != q.name:
		return false
	case q.user != "" && h.User() != q.user:
		return false
	}
	return true
}

func (c *Console) queryOf(r *http.Request) (query, error) {
	var q query
	var err error
	v := r.URL.Query()
	if q.follow, err = boolOf(r, "follow"); err != nil {
		return q, err
	}
	if q.internal, err = boolOf(r, "internal"); err != nil {
		return q, err
	}
	if text := v.Get("limit"); text != "" {
		q.limit, err = strconv.ParseInt(text, 10, 64)
		if err != nil || q.limit < 1 {
			return q, badRequest("limit is not a number from 1", "")
		}
	}
	q.user, q.name = v.Get("user"), v.Get("name")
	if len(q.user) > 512 || len(q.name) > 512 {
		return q, badRequest("user or name is too long", "")
	}
	return q, c.times(v, &q)
}

func (c *Console) times(v url.Values, q *query) error {
	from := v.Get("from")
	if from == "" && q.follow {
		from = "now"
	}
	switch from {
	case "", "earliest":
	case "now":
		q.fromNow = true
	default:
		t, err := c.timeOf("from", from)
		if err != nil {
			return err
		}
		q.from = t
	}
	if text := v.Get("until"); text != "" {
		t, err := c.timeOf("until", text)
		if err != nil {
			return err
		}
		q.until = t
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
	return 0, badRequest(name+" is not a time", "2026-11-20T08:00:00Z, or a period back such as 15m")
}

// errEnough ends a stream whose limit is reached.
var errEnough = errors.New("enough")

// tail is one partition of a stream that is being read.
type tail struct {
	partition int
	reader    eventlog.Reader
	next, end uint64 // offsets; end: of the moment of asking
	chunk     eventlog.Chunk
	pending   bool // chunk is to be written
}

// fill reads the next chunk below end; it is false when there is none.
func (t *tail) fill() (bool, error) {
	for !t.pending && t.next < t.end {
		chunk, ok, err := t.reader.TryNext()
		if err != nil {
			return false, fmt.Errorf("read the log: %w", err)
		}
		if !ok || chunk.Base >= t.end {
			t.next = t.end
			return false, nil
		}
		if chunk.Next() > t.next {
			t.chunk, t.pending = chunk, true
		}
	}
	return t.pending, nil
}

// selected passes what the query selects to visit, in the order of log time up to
// the end of the moment of asking, then, to follow, as it comes.
// idle is called when a follower has caught up.
func (c *Console) selected(ctx context.Context, q query, visit func(raw []byte) error, idle func() error) error {
	partitions := c.allPartitions()
	if q.user != "" {
		partitions = []int{eventlog.PartitionOf(q.user, len(partitions))}
	}
	tails, err := c.tails(ctx, q, partitions)
	defer func() {
		for _, t := range tails {
			_ = t.reader.Close() // nothing was written
		}
	}()
	if err != nil {
		return err
	}
	for {
		var first *tail
		for _, t := range tails {
			ok, err := t.fill()
			if err != nil {
				return err
			}
			if ok && (first == nil || t.chunk.Appended < first.chunk.Appended) {
				first = t
			}
		}
		if first == nil {
			break
		}
		if err := first.emit(q, visit); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if !q.follow {
		return nil
	}
	return follow(ctx, tails, q, visit, idle)
}

// allPartitions lists the partitions of the log.
func (c *Console) allPartitions() []int {
	out := make([]int, c.deps.Log.Partitions())
	for i := range out {
		out[i] = i
	}
	return out
}

func (c *Console) tails(ctx context.Context, q query, partitions []int) ([]*tail, error) {
	var tails []*tail
	for _, p := range partitions {
		b, err := c.deps.Log.Bounds(ctx, eventlog.Events, p)
		if err != nil {
			return tails, fmt.Errorf("read the log: %w", err)
		}
		from := b.First
		switch {
		case q.fromNow:
			from = b.Next
		case q.from > 0:
			if from, err = eventlog.OffsetAt(ctx, c.deps.Log, eventlog.Events, p, b, q.from); err != nil {
				return tails, fmt.Errorf("read the log: %w", err)
			}
		}
		reader, err := c.deps.Log.Read(ctx, eventlog.Events, p, from)
		if errors.Is(err, eventlog.ErrTrimmed) {
			if b, err = c.deps.Log.Bounds(ctx, eventlog.Events, p); err == nil {
				from = b.First
				reader, err = c.deps.Log.Read(ctx, eventlog.Events, p, from)
			}
		}
		if err != nil {
			return tails, fmt.Errorf("read the log: %w", err)
		}
		tails = append(tails, &tail{partition: p, reader: reader, next: from, end: b.Next})
	}
	return tails, nil
}

// emit passes the pending chunk on.
func (t *tail) emit(q query, visit func(raw []byte) error) error {
	t.pending = false
	if q.until > 0 && t.chunk.Appended >= q.until {
		t.next = t.end // log time only grows
		return nil
	}
	d := event.NewDecoder(t.chunk.Data)
	var h event.Header
	for offset := t.chunk.Base; ; offset++ {
		raw, ok, err := d.Raw()
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if !ok {
			return nil
		}
		if offset < t.next {
			continue
		}
		t.next = offset + 1
		if err := event.DecodeHeader(raw, &h); err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if q.matches(&h) {
			if err := visit(raw); err != nil {
				return err
			}
		}
	}
}

// follow reads what is appended from now on.
func follow(ctx context.Context, tails []*tail, q query, visit func(raw []byte) error, idle func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	type arrival struct {
		tail  *tail
		chunk eventlog.Chunk
		err   error
	}
	arrivals := make(chan arrival, len(tails))
	done := make(chan struct{}, len(tails))
	for _, t := range tails {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				chunk, err := t.reader.Next(ctx)
				select {
				case arrivals <- arrival{t, chunk, err}:
				case <-ctx.Done():
					return
				}
				if err != nil {
					return
				}
			}
		}()
	}
	defer func() { // the readers are closed by the caller, so nobody may use them any more
		cancel()
		for range tails {
			<-done
		}
	}()
	beat := time.NewTicker(15 * time.Second)
	defer beat.Stop()
	for {
		if len(arrivals) == 0 {
			if err := idle(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-beat.C:
		case a := <-arrivals:
			if a.err != nil {
				return fmt.Errorf("read the log: %w", a.err)
			}
			a.tail.chunk = a.chunk
			if err := a.tail.emit(q, visit); err != nil {
				return err
			}
		}
	}
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
	err = c.selected(ctx, q, func(raw []byte) error {
		if err := event.DecodeAvro(raw, &e); err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		line = append(event.AppendJSON(line[:0], &e), '\n')
		if _, err := out.Write(line); err != nil {
			return err
		}
		if n++; n == q.limit {
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
			w.WriteHeader(f.status)
		}
		_ = json.NewEncoder(out).Encode(api.ErrorReply{Error: f.body}) // Flush tells
	}
	if out.Flush() == nil {
		_ = rc.Flush() // the reader has gone
	}
}

// exportEvents writes the log as one file.
func (c *Console) exportEvents(w http.ResponseWriter, r *http.Request) error {
	q := query{}
	v := r.URL.Query()
	var err error
	if q.internal, err = boolOf(r, "internal"); err != nil {
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
		return badRequest("there is no format "+cut(format, 40), "avro, jsonl or parquet")
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
		err = c.selected(ctx, q, func(raw []byte) error {
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
		err = c.selected(ctx, q, file.Append, nil)
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
func (c *Console) exportParquet(w http.ResponseWriter, r *http.Request, q query) error {
	if c.deps.Facts == nil {
		return noFacts()
	}
	text := fmt.Sprintf("SELECT * FROM events WHERE received >= make_timestamp(%d)", q.from)
	if q.until > 0 {
		text += fmt.Sprintf(" AND received < make_timestamp(%d)", q.until)
	}
	file, err := c.deps.Facts.Parquet(r.Context(), text, facts.Options{All: true})
	if err != nil {
		return sqlFailure(err)
	}
	return c.sendParquet(w, r, "events", file)
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
	limit, err := limitOf(r.Params.Limit)
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
