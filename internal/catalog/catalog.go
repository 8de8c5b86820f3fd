// Package catalog owns the definitions of an installation over time: it stores
// them with version, author and time, applies changes as one transaction,
// numbers the revisions, keeps secrets encrypted, and hands the set in force to
// the roles.
//
// It does not own what a definition means or how it is parsed (definition).
package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"heed/internal/definition"
	"heed/internal/documents"
)

// Collections of documents.Store that the catalog owns.
const (
	collCurrent   = "definitions"          // kind/name -> record
	collVersions  = "definition_versions"  // kind/name/000000000001 -> record
	collRevisions = "definition_revisions" // 000000000001 -> revisionDoc; "head" -> headDoc
	headKey       = "head"
)

// keepRevisions is how many revisions can still be loaded by At: enough for any
// log that a decider may have to replay.
const keepRevisions = 1000

// Errors that callers decide on.
var (
	// ErrNotFound: no such definition, version or revision.
	ErrNotFound = errors.New("no such definition")
	// ErrConflict: somebody else changed the definition meanwhile.
	ErrConflict = errors.New("the definition was changed by somebody else meanwhile")
)

// Record is one version of one definition.
type Record struct {
	Kind    definition.Kind `json:"kind"`
	Name    string          `json:"name"`
	Version int64           `json:"version"` // starts at 1
	Author  string          `json:"author"`
	At      time.Time       `json:"at"`
	Deleted bool            `json:"deleted,omitempty"`
	Spec    json.RawMessage `json:"spec,omitempty"` // secrets sealed
	// ReadOnly: loaded from a folder at start; change it there.
	ReadOnly bool `json:"-"`
}

type revisionDoc struct {
	Revision int64            `json:"revision"`
	Author   string           `json:"author"`
	At       time.Time        `json:"at"`
	Versions map[string]int64 `json:"versions"` // ref -> version
}

type headDoc struct {
	Revision int64 `json:"revision"`
}

// Config holds what a catalog depends on.
type Config struct {
	Store documents.Store
	// Key seals secrets at rest: 32 bytes.
	Key []byte
	Now func() time.Time
	Log *slog.Logger
	// Random makes write keys.
	Random func(b []byte)
	// Secrets resolves ${env:NAME} and ${file:PATH}.
	Getenv   func(string) (string, bool)
	ReadFile func(string) ([]byte, error)
	// OnRevision tells the log that a revision is in force: after each Apply that
	// changed something, and by Announce.
	OnRevision func(ctx context.Context, revision int64) error
}

// Catalog keeps the definitions. All methods may be called concurrently.
type Catalog struct {
	cfg     Config
	seal    sealer
	current atomic.Pointer[definition.Set]

	applying sync.Mutex // one change at a time in this process

	mu       sync.Mutex
	wakes    map[chan struct{}]struct{}
	readOnly map[string]string // ref -> file
}

// Open loads the newest revision, or makes the first, empty one.
func Open(ctx context.Context, cfg Config) (*Catalog, error) {
	s, err := newSealer(cfg.Key, cfg.Random)
	if err != nil {
		return nil, err
	}
	c := &Catalog{cfg: cfg, seal: s, wakes: map[chan struct{}]struct{}{}, readOnly: map[string]string{}}
	head, _, err := c.head(ctx)
	if err != nil {
		return nil, err
	}
	set, err := c.At(ctx, head)
	if err != nil {
		return nil, err
	}
	c.current.Store(set)
	return c, nil
}

// Announce calls OnRevision for the newest revision again, in case that it was
// stored but a crash came before it was announced.
func (c *Catalog) Announce(ctx context.Context) error {
	head := c.Current().Revision
	if head == 0 || c.cfg.OnRevision == nil {
		return nil
	}
	if err := c.cfg.OnRevision(ctx, head); err != nil {
		return fmt.Errorf("announce revision %d: %w", head, err)
	}
	return nil
}

// Current is the newest set. It is never nil.
func (c *Catalog) Current() *definition.Set { return c.current.Load() }

// Changed wakes the channel after Current has changed.
func (c *Catalog) Changed() (wake <-chan struct{}, cancel func()) {
	ch := make(chan struct{}, 1)
	c.mu.Lock()
	c.wakes[ch] = struct{}{}
	c.mu.Unlock()
	return ch, func() {
		c.mu.Lock()
		delete(c.wakes, ch)
		c.mu.Unlock()
	}
}

// Run follows changes that other processes make, until ctx ends.
func (c *Catalog) Run(ctx context.Context) error {
	wake, cancel := c.cfg.Store.Watch(collRevisions)
	defer cancel()
	for { // the first look is for what changed since Open
		head, _, err := c.head(ctx)
		if err == nil && head > c.Current().Revision {
			var set *definition.Set
			if set, err = c.At(ctx, head); err == nil {
				c.publish(set)
			}
		}
		if err != nil && ctx.Err() == nil {
			c.cfg.Log.Error("definitions could not be reloaded", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		}
	}
}

// At loads a revision; 0 is the empty one.
func (c *Catalog) At(ctx context.Context, revision int64) (*definition.Set, error) {
	if cur := c.current.Load(); cur != nil && cur.Revision == revision {
		return cur, nil
	}
	if revision == 0 {
		set, problems := definition.NewSet(0, nil)
		return set, problems.Err()
	}
	rev, err := c.revision(ctx, revision)
	if err != nil {
		return nil, err
	}
	docs, err := c.load(ctx, rev)
	if err != nil {
		return nil, err
	}
	set, problems := definition.NewSet(revision, docs)
	if problems != nil {
		return nil, fmt.Errorf("stored revision %d does not hold together: %w", revision, problems)
	}
	return set, c.previous(ctx, set, rev.Versions)
}

func (c *Catalog) publish(set *definition.Set) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if set.Revision <= c.current.Load().Revision {
		return
	}
	c.current.Store(set)
	for ch := range c.wakes {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
}

// Head is the number of the newest revision.
func (c *Catalog) head(ctx context.Context) (revision, version int64, err error) {
	d, err := c.cfg.Store.Get(ctx, collRevisions, headKey)
	if errors.Is(err, documents.ErrNotFound) {
		return 0, documents.Absent, nil
	}
	if err != nil {
		return 0, 0, fmt.Errorf("read the newest revision: %w", err)
	}
	var h headDoc
	if err := json.Unmarshal(d.Value, &h); err != nil {
		return 0, 0, fmt.Errorf("read the newest revision: %w", err)
	}
	return h.Revision, d.Version, nil
}

func (c *Catalog) revision(ctx context.Context, n int64) (revisionDoc, error) {
	rev := revisionDoc{Versions: map[string]int64{}}
	if n == 0 {
		return rev, nil
	}
	d, err := c.cfg.Store.Get(ctx, collRevisions, number(n))
	if errors.Is(err, documents.ErrNotFound) {
		return rev, fmt.Errorf("revision %d: %w: %w", n, ErrNotFound, err)
	}
	if err != nil {
		return rev, fmt.Errorf("read revision %d: %w", n, err)
	}
	if err := json.Unmarshal(d.Value, &rev); err != nil {
		return rev, fmt.Errorf("read revision %d: %w", n, err)
	}
	return rev, nil
}

// load reads the definitions of a revision with their secrets resolved.
func (c *Catalog) load(ctx context.Context, rev revisionDoc) ([]definition.Document, error) {
	docs := make([]definition.Document, 0, len(rev.Versions))
	for _, ref := range slices.Sorted(maps.Keys(rev.Versions)) {
		r, err := c.version(ctx, ref, rev.Versions[ref])
		if err != nil {
			return nil, err
		}
		spec, err := definition.DecodeSpec(r.Kind, r.Spec)
		if err != nil {
			return nil, err
		}
		if err := c.openSecrets(spec); err != nil {
			return nil, fmt.Errorf("%s: %w", ref, err)
		}
		docs = append(docs, definition.NewDocument(r.Kind, r.Name, spec))
	}
	return docs, nil
}

func (c *Catalog) version(ctx context.Context, ref string, v int64) (Record, error) {
	var r Record
	d, err := c.cfg.Store.Get(ctx, collVersions, ref+"/"+number(v))
	if errors.Is(err, documents.ErrNotFound) {
		return r, fmt.Errorf("%s version %d: %w", ref, v, ErrNotFound)
	}
	if err != nil {
		return r, fmt.Errorf("read %s version %d: %w", ref, v, err)
	}
	if err := json.Unmarshal(d.Value, &r); err != nil {
		return r, fmt.Errorf("read %s version %d: %w", ref, v, err)
	}
	return r, nil
}

// Get is the newest version of a definition, its secrets masked.
func (c *Catalog) Get(ctx context.Context, k definition.Kind, name string) (Record, error) {
	ref := definition.Ref(k, name)
	d, err := c.cfg.Store.Get(ctx, collCurrent, ref)
	if errors.Is(err, documents.ErrNotFound) {
		return Record{}, fmt.Errorf("%s: %w", ref, ErrNotFound)
	}
	if err != nil {
		return Record{}, fmt.Errorf("read %s: %w", ref, err)
	}
	return c.masked(d.Value)
}

// List is the newest version of every definition of a kind ("" for all), in
// order of kind and name, their secrets masked.
func (c *Catalog) List(ctx context.Context, k definition.Kind) ([]Record, error) {
	prefix := ""
	if k != "" {
		prefix = string(k) + "/"
	}
	return c.list(ctx, collCurrent, prefix)
}

// Versions lists what a definition was, oldest first, its secrets masked.
func (c *Catalog) Versions(ctx context.Context, k definition.Kind, name string) ([]Record, error) {
	rs, err := c.list(ctx, collVersions, definition.Ref(k, name)+"/")
	if err == nil && len(rs) == 0 {
		err = fmt.Errorf("%s: %w", definition.Ref(k, name), ErrNotFound)
	}
	return rs, err
}

func (c *Catalog) list(ctx context.Context, coll, prefix string) ([]Record, error) {
	var out []Record
	after := ""
	for {
		page, err := c.cfg.Store.List(ctx, documents.Query{Collection: coll, Prefix: prefix, After: after, Limit: 1000})
		if err != nil {
			return nil, fmt.Errorf("list definitions: %w", err)
		}
		for _, d := range page {
			r, err := c.masked(d.Value)
			if err != nil {
				return nil, err
			}
			out = append(out, r)
			after = d.Key
		}
		if len(page) < 1000 {
			return out, nil
		}
	}
}

func (c *Catalog) masked(value []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(value, &r); err != nil {
		return r, fmt.Errorf("read a definition: %w", err)
	}
	if !r.Deleted {
		spec, err := definition.DecodeSpec(r.Kind, r.Spec)
		if err != nil {
			return r, err
		}
		maskSecrets(spec)
		if r.Spec, err = definition.MarshalSpec(spec); err != nil {
			return r, err
		}
	}
	c.mu.Lock()
	_, r.ReadOnly = c.readOnly[definition.Ref(r.Kind, r.Name)]
	c.mu.Unlock()
	return r, nil
}

// Export writes everything as YAML that Apply reads; secrets are written ***.
func (c *Catalog) Export(ctx context.Context) ([]byte, error) {
	records, err := c.List(ctx, "")
	if err != nil {
		return nil, err
	}
	var docs []definition.Document
	for _, r := range records {
		spec, err := definition.DecodeSpec(r.Kind, r.Spec)
		if err != nil {
			return nil, err
		}
		docs = append(docs, definition.NewDocument(r.Kind, r.Name, spec))
	}
	order := definition.Kinds()
	slices.SortStableFunc(docs, func(a, b definition.Document) int {
		if d := slices.Index(order, a.Kind) - slices.Index(order, b.Kind); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	return definition.Marshal(docs)
}

func number(n int64) string { return fmt.Sprintf("%012d", n) }
