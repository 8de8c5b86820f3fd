// Package peer owns how the processes of an installation know each other and ask
// each other: who lives, with which roles, at which address; requests that one
// process makes on behalf of a member whom another one has let in; and how those
// are told from everybody else's.
//
// It does not own what is asked, or who may ask (console).
//
// A process that lives writes to its document every few seconds. Whether it still
// does is judged by the reader's own clock, so clocks may differ.
package peer

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"heed/internal/documents"
)

// Collection holds the processes that live, by id: Peer.
const Collection = "peers"

const (
	beat   = 5 * time.Second // how often a process says that it lives
	missed = 3               // so many missed beats: it is gone
	forget = 12 * beat       // what is silent for so long is removed
	leave  = 2 * time.Second // to tell that it ends
)

// Peer is a process. Its id never comes again.
type Peer struct {
	ID      string    `json:"id"`
	URL     string    `json:"url"` // by which others reach it: scheme and host
	Version string    `json:"version"`
	Roles   []string  `json:"roles"` // what it can be asked for
	Parts   []Part    `json:"parts"` // what runs in it
	Started time.Time `json:"started"`
	Memory  int64     `json:"memory"` // bytes that it occupies
	// Settings are those that should be equal in all processes that have them.
	Settings map[string]string `json:"settings,omitempty"`
}

// Part is something that runs in a process.
type Part struct {
	Name    string `json:"name"`
	Ready   bool   `json:"ready"`
	Message string `json:"message,omitempty"` // why it is not
}

// Deps is what a Directory works with.
type Deps struct {
	Documents documents.Store
	// Secret of the installation: whoever has it is one of its processes.
	Secret []byte
	// Self is this process now; id and roles are those of the first call. The id
	// is made by New.
	Self   func() Peer
	Logger *slog.Logger
	Clock  func() time.Time
}

// Directory knows the processes, this one among them. Run it once; its other
// methods may be called concurrently, also before.
type Directory struct {
	deps   Deps
	id     string
	roles  []string
	key    []byte // of what processes say to each other
	client *http.Transport

	mu      sync.Mutex
	others  map[string]*sighting
	looked  time.Time // when the documents were last read
	started bool      // they were read once
}

// sighting is what is known of another process.
type sighting struct {
	Peer

	version int64
	silent  time.Duration // for so long it did not change, as far as anybody could have seen it
}

// New makes a Directory that knows of nobody yet.
func New(deps Deps) *Directory {
	sum := hmac.New(sha256.New, deps.Secret)
	sum.Write([]byte("heed peers"))
	return &Directory{
		deps: deps, id: rand.Text(), roles: deps.Self().Roles, key: sum.Sum(nil), client: newTransport(),
		others: map[string]*sighting{},
	}
}

// Run tells that this process lives, and follows the others, until ctx ends; then
// it tells that this one does not any more.
func (d *Directory) Run(ctx context.Context) error {
	wake, cancel := d.deps.Documents.Watch(Collection)
	defer cancel()
	defer d.client.CloseIdleConnections()
	tick := time.NewTicker(beat)
	defer tick.Stop()
	change := time.NewTicker(beat / 5)
	defer change.Stop()
	var said []Part
	for say := true; ; {
		var err error
		if say {
			me := d.Self()
			said = me.Parts
			err = d.announce(ctx, &me)
		}
		if err = errors.Join(err, d.look(ctx)); err != nil && ctx.Err() == nil {
			d.deps.Logger.Warn("the other processes are not known as of now", "error", err)
		}
		for waits := true; waits; {
			select {
			case <-ctx.Done():
				return d.withdraw(ctx)
			case <-tick.C:
				say, waits = true, false
			case <-change.C: // what gets ready, or fails, is told at once
				say = !slices.Equal(said, d.Self().Parts)
				waits = !say
			case <-wake:
				say, waits = false, false
			}
		}
	}
}

// Living waits until one of the processes that are told of in the store shows that it
// lives, and gives it; nil if none does in the time in which each has to.
func Living(ctx context.Context, store documents.Store) (*Peer, error) {
	seen := map[string]int64{}
	tick := time.NewTicker(beat / 10)
	defer tick.Stop()
	const looks = 10 * missed
	for left := looks; ; left-- {
		docs, err := store.List(ctx, documents.Query{Collection: Collection})
		if err != nil {
			return nil, fmt.Errorf("look for other processes: %w", err)
		}
		for _, doc := range docs {
			if version, known := seen[doc.Key]; left < looks && (!known || version != doc.Version) {
				p := new(Peer)
				if err := json.Unmarshal(doc.Value, p); err != nil {
					return nil, fmt.Errorf("what process %s says of itself: %w", doc.Key, err)
				}
				return p, nil
			}
			seen[doc.Key] = doc.Version
		}
		if left == 0 {
			return nil, nil //nolint:nilnil // nobody lives
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}

func (d *Directory) announce(ctx context.Context, me *Peer) error {
	value, err := json.Marshal(me)
	if err == nil {
		err = d.deps.Documents.Apply(ctx, documents.Relaxed, documents.Write{Collection: Collection, Key: me.ID, Value: value, Expect: documents.Any})
	}
	if err != nil {
		return fmt.Errorf("tell that this process lives: %w", err)
	}
	return nil
}

// withdraw removes what announce wrote. If that fails, the others notice the
// silence.
func (d *Directory) withdraw(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leave)
	defer cancel()
	err := d.deps.Documents.Apply(ctx, documents.Relaxed, documents.Write{Collection: Collection, Key: d.id, Expect: documents.Any})
	if err != nil {
		d.deps.Logger.Warn("the other processes could not be told that this one ends", "error", err)
	}
	return nil
}

// look reads who lives, and removes who has been gone for long.
func (d *Directory) look(ctx context.Context) error {
	docs, err := d.deps.Documents.List(ctx, documents.Query{Collection: Collection})
	if err != nil {
		return fmt.Errorf("read which processes live: %w", err)
	}
	for _, gone := range d.see(docs) {
		gone.Collection = Collection
		err := d.deps.Documents.Apply(ctx, documents.Relaxed, gone)
		if err != nil && !errors.Is(err, documents.ErrConflict) && !errors.Is(err, documents.ErrNotFound) {
			return fmt.Errorf("remove a process that is gone: %w", err)
		}
	}
	return nil
}

// see takes in what was read, and tells which documents are to be removed: those
// of processes that are gone, and that of the one whose address this one has now.
func (d *Directory) see(docs []documents.Document) (remove []documents.Write) {
	now, self := d.deps.Clock(), d.Self().URL
	d.mu.Lock()
	defer d.mu.Unlock()
	var passed time.Duration
	if d.started {
		// While nobody could read, nobody was silent.
		passed = min(now.Sub(d.looked), beat)
	}
	first := !d.started
	d.looked, d.started = now, true
	had := d.others
	d.others = make(map[string]*sighting, len(docs))
	for _, doc := range docs {
		if doc.Key == d.id {
			continue
		}
		s := had[doc.Key]
		if s == nil || s.version != doc.Version {
			s = &sighting{version: doc.Version}
			if err := json.Unmarshal(doc.Value, &s.Peer); err != nil {
				d.deps.Logger.Warn("what a process says of itself cannot be read", "process", doc.Key, "error", err)
			}
			s.ID = doc.Key
		} else {
			s.silent += passed
		}
		if s.silent >= forget || first && s.URL == self {
			remove = append(remove, documents.Write{Key: doc.Key, Expect: doc.Version})
			continue
		}
		d.others[doc.Key] = s
	}
	return remove
}

// Self is this process.
func (d *Directory) Self() Peer {
	me := d.deps.Self()
	me.ID, me.Roles = d.id, d.roles
	return me
}

// Here tells whether this process has a role.
func (d *Directory) Here(role string) bool { return slices.Contains(d.roles, role) }

// Others are the other processes that live and have the role (""; any), the one
// that has run longest first.
func (d *Directory) Others(role string) []Peer {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []Peer
	for _, s := range d.others {
		if s.silent < missed*beat && (role == "" || slices.Contains(s.Roles, role)) {
			out = append(out, s.Peer)
		}
	}
	slices.SortFunc(out, func(x, y Peer) int {
		return cmp.Or(x.Started.Compare(y.Started), cmp.Compare(x.ID, y.ID))
	})
	return out
}
