package audiences

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/driver/memory"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/facts"
	"heed/internal/journey"
	"heed/internal/measure"
	"heed/internal/measure/measuretest"
	"heed/internal/profile"
	"heed/internal/reach"
)

// begin is the time at which worlds start.
const begin = 1_795_132_800_000_000

// world is a data folder and the process that keeps the audiences in it, driven
// step by step.
type world struct {
	t     testing.TB
	db    *memory.DB
	now   int64 // unless the clock is real
	real  bool
	asked int           // how often the facts were
	slow  time.Duration // of each time
	set   *definition.Set
	index *journey.Index // nil: the facts answer
	facts *factsOf
	users map[string]*profile.Profile
	k     *Keeper
	past  measuretest.History
	mu    sync.Mutex // of past, users and asked

	entryBytes int // 0: as it is

	// Of crashes: the write at which the process dies, from 1; 0: never.
	writes, dieAt int
	after, power  bool
	dead          bool
	undo          []documents.Write // what a power loss takes back, oldest first
}

var errDead = errors.New("the process is dead")

func newWorld(t testing.TB, partitions int) *world {
	t.Helper()
	w := &world{t: t, now: begin, users: map[string]*profile.Profile{}, set: &definition.Set{}}
	w.db = memory.Open(memory.Config{Partitions: partitions, Clock: w.clock})
	w.facts = &factsOf{w}
	var err error
	if w.index, err = journey.New(journey.Config{Workers: 1, Promote: measuretest.Promoted()}); err != nil {
		t.Fatal(err)
	}
	w.start()
	return w
}

func (w *world) clock() time.Time {
	if w.real {
		return time.Now()
	}
	return time.UnixMicro(w.now)
}

// start starts the process.
func (w *world) start() {
	w.t.Helper()
	book, err := reach.New(reach.Deps{Documents: w.db.Documents(), Log: w.db.Log(), Secret: []byte("0123456789abcdef"), Clock: w.clock})
	if err != nil {
		w.t.Fatal(err)
	}
	deps := Deps{
		Book: book, Log: worldLog{w.db.Log(), w}, Documents: worldDocs{w.db.Documents(), w}, Definitions: w, Profiles: w,
		Measures: w, Index: w, Facts: w.facts, Clock: w.clock,
	}
	k, err := New(Config{}, deps)
	if err != nil {
		w.t.Fatal(err)
	}
	w.k, w.dead = k, false
	if w.entryBytes != 0 {
		k.entryBytes = w.entryBytes
	}
	k.running.Store(true)
}

// restart kills the process, with the power perhaps, and starts it again. The
// index has other numbers then.
func (w *world) restart() {
	w.t.Helper()
	w.dead, w.dieAt = false, 0
	if w.power {
		for _, u := range slices.Backward(w.undo) {
			if err := w.db.Documents().Apply(w.t.Context(), documents.Durable, u); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	w.undo = nil
	if w.index != nil {
		x, err := journey.New(journey.Config{Workers: 1, Promote: measuretest.Promoted()})
		if err != nil {
			w.t.Fatal(err)
		}
		x.Write(func(to *journey.Writer) {
			for _, m := range w.past.Merges {
				to.Merge(m.From, m.To)
			}
			for i := range w.past.Events {
				to.Add(&w.past.Events[i])
			}
		})
		w.index = x
	}
	w.start()
}

// settle lets the process do what there is to do. It is false if it died.
func (w *world) settle() bool {
	w.t.Helper()
	for range 10_000 {
		worked, err := w.k.turn(w.t.Context())
		switch {
		case w.dead:
			return false
		case err != nil:
			w.t.Fatal(err)
		case worked == none:
			return true
		}
	}
	w.t.Fatal("it never comes to rest")
	return false
}

// happen takes events into what is asked.
func (w *world) happen(events ...event.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range events {
		e := &events[i]
		if e.Timestamp == 0 {
			e.Timestamp = w.clock().UnixMicro() - 1
		}
		e.ReceivedAt = w.clock().UnixMicro()
		if w.index != nil {
			w.index.Write(func(to *journey.Writer) { to.Add(e) })
		}
		w.past.Events = append(w.past.Events, *e)
		if e.UserID != "" && w.users[e.UserID] == nil {
			w.users[e.UserID] = &profile.Profile{UserID: e.UserID}
		}
	}
}

// merge makes an id another one's.
func (w *world) merge(from, to string) {
	if w.index != nil {
		w.index.Write(func(x *journey.Writer) { x.Merge(from, to) })
	}
	w.past.Merges = append(w.past.Merges, measuretest.Merge{From: from, To: to})
	p := w.users[from]
	if p == nil {
		p = new(profile.Profile)
		w.users[from] = p
	}
	p.Moved.To = to
}

// define puts definitions in force.
func (w *world) define(yaml string) {
	w.t.Helper()
	docs, problems := definition.Parse("test.yaml", []byte(yaml))
	if len(problems) == 0 {
		w.set, problems = definition.NewSet(1, docs)
	}
	if len(problems) > 0 {
		w.t.Fatal(problems)
	}
}

// What the Keeper works with.

func (w *world) Current() *definition.Set { return w.set }

func (w *world) Profile(_ context.Context, user string) (*profile.Profile, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.users[user], nil
}

func (w *world) Index() (*journey.Index, bool) { return w.index, false }

func (w *world) Answer(ctx context.Context, q *measure.Query, names measure.Names, now int64) (measure.Result, error) {
	q, err := measure.Resolve(q, names)
	if err != nil {
		return measure.Result{}, err
	}
	return w.facts.Query(ctx, q, now)
}

// factsOf answers from the oracle.
type factsOf struct{ w *world }

func (f *factsOf) Query(_ context.Context, q *measure.Query, now int64) (measure.Result, error) {
	f.w.mu.Lock()
	f.w.asked++
	slow := f.w.slow
	res, err := f.w.past.Answer(q, now)
	f.w.mu.Unlock()
	time.Sleep(slow)
	return res, err
}

func (f *factsOf) Status() facts.Status {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	next := make([]uint64, f.w.db.Log().Partitions())
	for p := range next {
		next[p] = 1<<40 + uint64(len(f.w.past.Events)+len(f.w.past.Merges))
	}
	return facts.Status{Next: next}
}

// write is one write of the process; it dies before or after it.
func (w *world) write(do func() error) error {
	if w.dead {
		return errDead
	}
	w.writes++
	hit := w.writes == w.dieAt
	if hit && !w.after {
		w.dead = true
		return errDead
	}
	err := do()
	if hit {
		w.dead = true
		return errDead
	}
	return err
}

type worldLog struct {
	eventlog.Log
	w *world
}

func (l worldLog) Append(ctx context.Context, s eventlog.Stream, batches []*eventlog.Batch) error {
	return l.w.write(func() error {
		l.w.undo = nil
		return l.Log.Append(ctx, s, batches)
	})
}

type worldDocs struct {
	documents.Store
	w *world
}

func (d worldDocs) Apply(ctx context.Context, durable documents.Durability, writes ...documents.Write) error {
	return d.w.write(func() error {
		for _, x := range writes {
			was, err := d.Get(ctx, x.Collection, x.Key)
			if err != nil && !errors.Is(err, documents.ErrNotFound) {
				return err
			}
			d.w.undo = append(d.w.undo, documents.Write{Collection: x.Collection, Key: x.Key, Value: was.Value, Expect: documents.Any})
		}
		if durable == documents.Durable {
			d.w.undo = nil
		}
		return d.Store.Apply(ctx, durable, writes...)
	})
}

// records is what the log holds, in order of partition.
func (w *world) records() (out []event.Event) {
	w.t.Helper()
	for p := range w.db.Log().Partitions() {
		r, err := w.db.Log().Read(w.t.Context(), eventlog.Events, p, 0)
		if err != nil {
			w.t.Fatal(err)
		}
		for {
			c, ok, err := r.TryNext()
			if err != nil {
				w.t.Fatal(err)
			}
			if !ok {
				break
			}
			d := event.NewDecoder(c.Data)
			for {
				var e event.Event
				if ok, err := d.Next(&e); err != nil {
					w.t.Fatal(err)
				} else if !ok {
					break
				}
				if e.Type != event.System && eventlog.PartitionOf(e.User(), w.db.Log().Partitions()) != p {
					w.t.Errorf("an event of %s stands in partition %d", e.User(), p)
				}
				out = append(out, e)
			}
		}
		if err := r.Close(); err != nil {
			w.t.Fatal(err)
		}
	}
	return out
}

// obeyed is who is in which audience for somebody who obeys the records, and
// who entered and left, in order.
func (w *world) obeyed() (in map[string][]string, events map[string][]string) {
	w.t.Helper()
	n := w.db.Log().Partitions()
	sets := map[string]map[string]bool{}
	events = map[string][]string{}
	for _, e := range w.records() {
		if e.Name != event.NameMembership {
			var p struct{ Audience string }
			if err := json.Unmarshal(e.Properties, &p); err != nil || e.Depth != 1 || e.Type != event.Track {
				w.t.Fatalf("%+v: %v", e, err)
			}
			key := p.Audience + " " + e.User()
			events[key] = append(events[key], e.Name)
			if entered := e.Name == event.NameAudienceEntered; sets[p.Audience][e.User()] != entered {
				w.t.Errorf("%s of %s, and the records before it say otherwise", e.Name, key)
			}
			continue
		}
		var m event.Membership
		if err := json.Unmarshal(e.Properties, &m); err != nil || m.Validate() != nil {
			w.t.Fatalf("%s: %v, %v", e.Properties, err, m.Validate())
		}
		if sets[m.Audience] == nil {
			sets[m.Audience] = map[string]bool{}
		}
		if m.Op == event.MembershipReplace {
			p := partitionIn(w.t, e.MessageID)
			maps.DeleteFunc(sets[m.Audience], func(id string, _ bool) bool { return eventlog.PartitionOf(id, n) == p })
		}
		for _, id := range m.Users {
			if m.Op == event.MembershipRemove {
				delete(sets[m.Audience], id)
			} else {
				sets[m.Audience][id] = true
			}
		}
	}
	in = map[string][]string{}
	for name, set := range sets {
		if len(set) > 0 {
			in[name] = slices.Sorted(maps.Keys(set))
		}
	}
	return in, events
}

// partitionIn is the partition that an id of a record names.
func partitionIn(t testing.TB, id string) int {
	t.Helper()
	parts := strings.Split(id, "-")
	p, err := strconv.Atoi(parts[len(parts)-2])
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func track(user, name string) event.Event {
	return event.Event{Type: event.Track, Name: name, UserID: user, Source: "web"}
}
