package engager_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"heed/internal/channel"
	"heed/internal/channel/outbox"
	"heed/internal/documents"
	"heed/internal/engager"
	"heed/internal/engager/order"
	"heed/internal/event"
	"heed/internal/eventlog"
	"heed/internal/inbox"
)

// world is every store of one process on one disk, with a fault at a chosen
// write: the process dies before or after it, and perhaps the power fails too,
// which takes all that was not synced.
type world struct {
	mu      sync.Mutex
	now     disk // what the process sees
	synced  disk // what survives power loss
	dead    bool
	die     func() // tells the process that it is dead
	faultAt int    // the write at which it dies, from 1; 0: never
	after   bool   // it dies after the write
	power   bool   // the power fails with it
	writes  int
	wake    chan struct{}
	watched []chan struct{}
	lie     func(collection string) bool // a broken build: loses the collection
	lazy    bool                         // another one: does not sync documents
	members []string                     // of every audience
}

type disk struct {
	docs    map[string]documents.Document // collection/key
	events  []eventlog.Chunk
	intents []eventlog.Chunk
	keys    map[eventlog.Key]bool
	inbox   map[string]inbox.Message
	sent    map[string][]string // of the recorder: activation -> what it saw
}

func (d disk) clone() disk {
	sent := make(map[string][]string, len(d.sent))
	for k, v := range d.sent {
		sent[k] = slices.Clone(v)
	}
	return disk{
		docs: maps.Clone(d.docs), events: slices.Clone(d.events), intents: slices.Clone(d.intents),
		keys: maps.Clone(d.keys), inbox: maps.Clone(d.inbox), sent: sent,
	}
}

func newWorld() *world {
	d := disk{
		docs: map[string]documents.Document{}, keys: map[eventlog.Key]bool{}, inbox: map[string]inbox.Message{}, sent: map[string][]string{},
	}
	return &world{now: d, synced: d.clone(), wake: make(chan struct{})}
}

var errDead = errors.New("the process is dead")

// read is an operation that changes nothing.
func (w *world) read(do func(d *disk) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return errDead
	}
	return do(&w.now)
}

// write is one that does. outside says that it is seen outside of this disk: a
// power loss does not undo it.
func (w *world) write(sync, outside bool, do func(d *disk) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return errDead
	}
	w.writes++
	hit := w.writes == w.faultAt
	if hit && !w.after {
		w.crash()
		return errDead
	}
	if err := do(&w.now); err != nil {
		if hit {
			w.crash()
			return errDead
		}
		return err
	}
	if sync {
		w.synced = w.now.clone()
	}
	if outside {
		w.synced.sent = w.now.clone().sent
	}
	close(w.wake)
	w.wake = make(chan struct{})
	for _, c := range w.watched {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	if hit {
		w.crash()
		return errDead
	}
	return nil
}

func (w *world) crash() {
	w.dead = true
	if w.power {
		w.now = w.synced.clone()
	}
	w.die()
}

// restart gives the disk to a new process without faults.
func (w *world) restart() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead, w.faultAt = false, 0
}

// The store of documents.

func (w *world) Get(_ context.Context, collection, key string) (d documents.Document, err error) {
	err = w.read(func(disk *disk) error {
		var ok bool
		if d, ok = disk.docs[collection+"|"+key]; !ok {
			return documents.ErrNotFound
		}
		return nil
	})
	return d, err
}

func (w *world) Apply(_ context.Context, durable documents.Durability, writes ...documents.Write) error {
	return w.write(bool(durable) && !w.lazy, false, func(disk *disk) error {
		for _, x := range writes {
			if x.Expect != documents.Any && disk.docs[x.Collection+"|"+x.Key].Version != x.Expect {
				return documents.ErrConflict
			}
		}
		for _, x := range writes {
			if w.lie != nil && w.lie(x.Collection) {
				continue
			}
			k := x.Collection + "|" + x.Key
			if x.Value == nil {
				delete(disk.docs, k)
				continue
			}
			disk.docs[k] = documents.Document{Key: x.Key, Version: disk.docs[k].Version + 1, Value: slices.Clone(x.Value)}
		}
		return nil
	})
}

func (w *world) List(_ context.Context, q documents.Query) (out []documents.Document, err error) {
	err = w.read(func(disk *disk) error {
		for _, k := range slices.Sorted(maps.Keys(disk.docs)) {
			c, key, _ := strings.Cut(k, "|")
			if c == q.Collection && strings.HasPrefix(key, q.Prefix) && key > q.After && (q.Limit == 0 || len(out) < q.Limit) {
				out = append(out, disk.docs[k])
			}
		}
		return nil
	})
	return out, err
}

// Watch wakes after every write, also of other collections.
func (w *world) Watch(string) (<-chan struct{}, func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := make(chan struct{}, 1)
	w.watched = append(w.watched, c)
	return c, func() {}
}

// The log, of one partition.

type worldLog struct{ *world }

func (l worldLog) Partitions() int { return 1 }

func (l worldLog) Append(_ context.Context, s eventlog.Stream, batches []*eventlog.Batch) error {
	return l.write(true, false, func(d *disk) error {
		stream := &d.events
		if s == eventlog.Intents {
			stream = &d.intents
		}
		for _, b := range batches {
			if err := b.Check(s, 1); err != nil {
				return err
			}
			b.Duplicate = make([]bool, len(b.Ends))
			for i, k := range b.Keys {
				b.Duplicate[i] = d.keys[k]
				d.keys[k] = true
			}
			if b.Kept() == 0 {
				continue
			}
			base := uint64(0)
			if n := len(*stream); n > 0 {
				base = (*stream)[n-1].Next()
			}
			*stream = append(*stream, eventlog.Chunk{Base: base, Count: b.Kept(), Data: b.AppendKept(nil)})
		}
		return nil
	})
}

func (l worldLog) Read(_ context.Context, s eventlog.Stream, _ int, from uint64) (eventlog.Reader, error) {
	return &worldReader{l.world, s, from}, nil
}

func (l worldLog) Bounds(context.Context, eventlog.Stream, int) (eventlog.Bounds, error) {
	return eventlog.Bounds{}, nil
}

func (l worldLog) Trim(context.Context, eventlog.Stream, time.Time, []uint64) error { return nil }
func (l worldLog) Close() error                                                     { return nil }
func (w *world) Close() error                                                       { return nil }

type worldReader struct {
	*world
	stream eventlog.Stream
	from   uint64
}

func (r *worldReader) Next(ctx context.Context) (eventlog.Chunk, error) {
	for {
		c, ok, err := r.TryNext()
		if err != nil || ok {
			return c, err
		}
		r.mu.Lock()
		wake := r.wake
		r.mu.Unlock()
		select {
		case <-wake:
		case <-time.After(time.Second):
		case <-ctx.Done():
			return c, ctx.Err()
		}
	}
}

func (r *worldReader) TryNext() (c eventlog.Chunk, ok bool, err error) {
	err = r.read(func(d *disk) error {
		chunks := d.events
		if r.stream == eventlog.Intents {
			chunks = d.intents
		}
		for _, c = range chunks {
			if c.Next() > r.from {
				r.from, ok = c.Next(), true
				return nil
			}
		}
		return nil
	})
	return c, ok, err
}

// The inbox.

type worldInbox struct{ *world }

func (i worldInbox) Put(_ context.Context, m inbox.Message) (fresh bool, err error) {
	err = i.write(true, false, func(d *disk) error {
		if _, known := d.inbox[m.ID]; !known {
			d.inbox[m.ID], fresh = m, true
		}
		return nil
	})
	return fresh, err
}

func (i worldInbox) Settle(context.Context, string, inbox.Settlement) {}
func (i worldInbox) Expire(context.Context, int64, int) (int, error)  { return 0, nil }

// recorder is a channel that shows what it gets each time that it gets it.
type recorder struct{ *world }

func (recorder) Type() string     { return "sms" }
func (recorder) Idempotent() bool { return false }

func (r recorder) Send(_ context.Context, d *channel.Delivery) (channel.Receipt, error) {
	err := r.write(false, true, func(disk *disk) error {
		disk.sent[d.ActivationID] = append(disk.sent[d.ActivationID], d.Body)
		return nil
	})
	return channel.Receipt{}, err
}

// outcomes lists the outcome events in the log.
func (w *world) outcomes() []event.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []event.Event
	for _, c := range w.now.events {
		d := event.NewDecoder(c.Data)
		for {
			var e event.Event
			if ok, err := d.Next(&e); err != nil || !ok {
				break
			}
			if e.Name == event.NameDelivery {
				out = append(out, e)
			}
		}
	}
	return out
}

// letters counts what lies in the outbox; behind is what an end of all work leaves
// no trace of, and is still there.
func (w *world) letters() (n int, behind []string) {
	for key := range w.now.docs {
		switch collection, _, _ := strings.Cut(key, "|"); collection {
		case outbox.Collection:
			n++
		case engager.CollectionOpen, order.CollectionUsers:
			behind = append(behind, key)
		}
	}
	return n, behind
}
