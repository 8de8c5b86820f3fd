package decider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/inbox"
	"heed/internal/userstate"
)

const second = int64(1_000_000)

// epoch is the time at which histories start.
const epoch = 1_795_132_800 * second

// clock is set by hand.
type clock struct {
	mu  sync.Mutex
	now int64
}

func (c *clock) Time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.UnixMicro(c.now)
}

func (c *clock) set(now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

// revisions are definitions by revision.
type revisions struct {
	mu   sync.Mutex
	sets map[int64]*definition.Set
	fail error // instead of an answer
}

func (r *revisions) At(_ context.Context, n int64) (*definition.Set, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return nil, r.fail
	}
	if s, ok := r.sets[n]; ok {
		return s, nil
	}
	return nil, fmt.Errorf("definitions: %w", documents.ErrNotFound)
}

func (r *revisions) add(t testing.TB, n int64, yaml string) {
	t.Helper()
	docs, problems := definition.Parse("test.yaml", []byte(yaml))
	if len(problems) > 0 {
		t.Fatalf("definitions: %v", problems)
	}
	set, problems := definition.NewSet(n, docs)
	if len(problems) > 0 {
		t.Fatalf("definitions: %v", problems)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sets == nil {
		r.sets = make(map[int64]*definition.Set)
	}
	r.sets[n] = set
}

// settler adds settlements up.
type settler struct {
	mu  sync.Mutex
	sum map[string]inbox.Settlement
}

func (s *settler) Settle(_ context.Context, token string, add inbox.Settlement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sum == nil {
		s.sum = make(map[string]inbox.Settlement)
	}
	have := s.sum[token]
	have.Events += add.Events
	have.Intents += add.Intents
	s.sum[token] = have
}

// stores are what a Decider stands on.
type stores struct {
	log   eventlog.Log
	state userstate.Store
}

// harness drives a Decider step by step, without its goroutines.
type harness struct {
	t       testing.TB
	clock   *clock
	stores  stores
	defs    *revisions
	settler *settler
	cfg     Config
	d       *Decider
	trap    func(*event.Event)
	seq     int

	registry *prometheus.Registry // of the running one
}

func newHarness(t testing.TB, partitions int, cfg Config) *harness {
	t.Helper()
	c := &clock{now: epoch}
	db := memory.Open(memory.Config{Partitions: partitions, Clock: c.Time, Seed: 1})
	return &harness{
		t: t, clock: c, stores: stores{db.Log(), db.UserState()},
		defs: &revisions{}, settler: &settler{}, cfg: cfg,
	}
}

func (h *harness) ctx() context.Context { return h.t.Context() }

// decider is the running one; crash drops it.
func (h *harness) decider() *Decider {
	h.t.Helper()
	if h.d != nil {
		return h.d
	}
	h.registry = prometheus.NewRegistry()
	d, err := New(h.cfg, Deps{
		Registerer: h.registry,
		Log:        h.stores.log, State: h.stores.state, Definitions: h.defs, Settler: h.settler,
		Logger: slog.New(slog.DiscardHandler), Clock: h.clock.Time,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	d.share.All()
	for _, w := range d.workers {
		w.trap = h.trap
		h.open(w)
	}
	h.d = d
	return d
}

func (h *harness) open(w *worker) {
	h.t.Helper()
	if err := w.open(h.ctx()); err != nil {
		h.t.Fatal(err)
	}
	if err := w.read(h.ctx()); err != nil {
		h.t.Fatal(err)
	}
	w.publish()
}

// crash forgets everything that was not committed.
func (h *harness) crash() { h.d = nil }

// pump decides over everything that is in the log.
func (h *harness) pump() {
	h.t.Helper()
	for again := true; again; { // what one worker sends concerns another
		again = false
		for _, w := range h.decider().workers {
			for h.once(w) {
				again = true
			}
			again = h.tell(w) || again
		}
	}
}

// tell appends the session_start events that a worker has made; false if there
// was none.
func (h *harness) tell(w *worker) bool {
	h.t.Helper()
	if w.sessions.starts.Pending() == 0 {
		return false
	}
	for { // the hostile log says no now and then
		switch err := w.sessions.starts.Flush(h.ctx()); {
		case errors.Is(err, eventlog.ErrUnavailable):
		case err != nil:
			h.t.Fatal(err)
		default:
			return true
		}
	}
}

// pumpOne decides over what one partition holds now.
func (h *harness) pumpOne(w *worker) {
	h.t.Helper()
	bounds, err := h.stores.log.Bounds(h.ctx(), eventlog.Events, w.number)
	if err != nil {
		h.t.Fatal(err)
	}
	for w.next < bounds.Next && h.once(w) {
	}
}

// once is one batch of one worker; false if there was nothing to do.
func (h *harness) once(w *worker) bool {
	h.t.Helper()
	if err := w.fill(); err != nil {
		h.t.Fatal(err)
	}
	if len(w.chunks) == 0 {
		return false
	}
	err := w.step(h.ctx())
	if errors.Is(err, userstate.ErrFenced) || errors.Is(err, eventlog.ErrUnavailable) {
		h.open(w)
		return true
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return true
}

// append puts events into the log as one request, at the clock's time.
func (h *harness) append(events ...event.Event) {
	h.t.Helper()
	now := h.clock.Time().UnixMicro()
	batches := make(map[int]*eventlog.Batch)
	for i := range events {
		e := &events[i]
		h.seq++
		if e.MessageID == "" {
			e.MessageID = fmt.Sprintf("m%d", h.seq)
		}
		if e.Source == "" {
			e.Source = "test"
		}
		if e.Timestamp == 0 {
			e.Timestamp = now
		}
		e.ReceivedAt = now
		put := func(e *event.Event) {
			n := eventlog.PartitionOf(e.User(), h.stores.log.Partitions())
			b := batches[n]
			if b == nil {
				b = &eventlog.Batch{Partition: n}
				batches[n] = b
			}
			b.Data = event.AppendEvent(b.Data, e)
			b.Ends = append(b.Ends, len(b.Data))
			b.Keys = append(b.Keys, event.KeyOf(e.Source, e.MessageID))
		}
		put(e)
		if from, ok := e.Links(); ok { // as the gateway does
			link, _ := e.LinkRecord(from, e.Context.Verified)
			put(&link)
		}
	}
	h.write(slices.Collect(maps.Values(batches))...)
}

func (h *harness) write(batches ...*eventlog.Batch) {
	h.t.Helper()
	err := h.stores.log.Append(h.ctx(), eventlog.Events, batches)
	if err != nil && !errors.Is(err, eventlog.ErrUnavailable) { // written, says the hostile driver
		h.t.Fatal(err)
	}
}

// control puts a control record into every partition.
func (h *harness) control(name, properties string) {
	h.t.Helper()
	for n := range h.stores.log.Partitions() {
		e := event.Event{
			MessageID: "c", Type: event.System, Name: name, Source: event.SourceHeed, Timestamp: h.clock.Time().UnixMicro(),
			Properties: []byte(properties),
		}
		data := event.AppendEvent(nil, &e)
		h.write(&eventlog.Batch{Partition: n, Data: data, Ends: []int{len(data)}, Keys: []eventlog.Key{{}}})
	}
}

// define puts definitions in force through the log.
func (h *harness) define(revision int64, yaml string) {
	h.t.Helper()
	h.defs.add(h.t, revision, yaml)
	h.control(event.NameRevision, fmt.Sprintf(`{"revision":%d}`, revision))
}

// intents reads all that was emitted, in order per partition.
func (h *harness) intents() []event.Intent {
	h.t.Helper()
	return readIntents(h.t, h.stores.log)
}

func readIntents(t testing.TB, log eventlog.Log) []event.Intent {
	t.Helper()
	var out []event.Intent
	for n := range log.Partitions() {
		r, err := log.Read(t.Context(), eventlog.Intents, n, 0)
		if err != nil {
			t.Fatal(err)
		}
		seen := uint64(0)
		for {
			c, ok, err := r.TryNext()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if c.Next() <= seen { // shown again by the hostile driver
				continue
			}
			seen = c.Next()
			for data := c.Data; len(data) > 0; {
				var in event.Intent
				size, err := event.DecodeIntent(data, &in)
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, in)
				data = data[size:]
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// fires are the fire ids, sorted.
func fires(intents []event.Intent) []string {
	var out []string
	for _, in := range intents {
		out = append(out, in.FireID)
	}
	slices.Sort(out)
	return out
}

func track(user, name string) event.Event {
	return event.Event{Type: event.Track, Name: name, UserID: user}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// controls are the control records of a name.
func (h *harness) controls(name string) []event.Event {
	h.t.Helper()
	var out []event.Event
	for n := range h.stores.log.Partitions() {
		h.each(n, func(_ uint64, e event.Event) {
			if e.Name == name {
				out = append(out, e)
			}
		})
	}
	return out
}

// at is the event at an offset.
func (h *harness) at(partition int, offset uint64) (found event.Event) {
	h.t.Helper()
	h.each(partition, func(at uint64, e event.Event) {
		if at == offset {
			found = e
		}
	})
	return found
}

func (h *harness) each(partition int, f func(offset uint64, e event.Event)) {
	h.t.Helper()
	r, err := h.stores.log.Read(h.ctx(), eventlog.Events, partition, 0)
	if err != nil {
		h.t.Fatal(err)
	}
	seen := uint64(0)
	for {
		c, ok, err := r.TryNext()
		if err != nil {
			h.t.Fatal(err)
		}
		if !ok {
			return
		}
		if c.Next() <= seen { // shown again by the hostile driver
			continue
		}
		seen = c.Next()
		d := event.NewDecoder(c.Data)
		for i := range c.Count {
			var e event.Event
			if _, err := d.Next(&e); err != nil {
				h.t.Fatal(err)
			}
			f(c.Base+uint64(i), e)
		}
	}
}

// soak multiplies random cases.
func soak() int {
	if n, err := strconv.Atoi(os.Getenv("HEED_SOAK")); err == nil && n > 1 {
		return n
	}
	return 1
}
