// Package journey owns the behavioral index: in memory, each user's events as an
// ordered array of eight-byte words, who did what on which day as roaring
// bitmaps, and what users are as columns of small numbers. It answers the
// measures that walk users' histories (audiences, funnels, retention, paths,
// breakdowns of users) in milliseconds, and saves itself so that a start needs
// only what the log has since.
//
// It answers what it can answer exactly and says so where it cannot: whoever
// asks takes such a query to the facts. It does not own the meaning of a measure
// (measure), the events themselves (eventlog, facts) or who feeds it.
//
// One writer and any number of readers may use an Index at once. A query sees
// one state of the whole index: the writer waits for the queries under way, so
// writes come in batches. See docs/adr/0008-behavioral-index.md.
package journey

import (
	"errors"
	"math"
	"runtime"
	"sync"

	"github.com/cespare/xxhash/v2"

	"heed/internal/journey/bitset"
	"heed/internal/journey/lists"
	"heed/internal/journey/presence"
)

// Config bounds the index.
type Config struct {
	// Workers is how many cores one query uses; default all. So that collecting goes
	// on, the one that takes the last core stops again and again.
	Workers int
	// Promote are fields of events (context.device, event.source, properties.x)
	// that conditions and dimensions may ask of the index. Each combination of
	// their values with a name is a kind, of which there are at most 8,191.
	Promote []string
	// MaxValues is how many distinct values a trait may have before the index
	// leaves it to the facts.
	MaxValues int
	// MaxTraits is how many traits are kept, and as many keys of consent.
	MaxTraits int
	// MaxRanked is how many values each worker of a query holds at once to rank them;
	// of more, the query makes another pass. Default 262,144, of 16 bytes each.
	MaxRanked int
}

// Defaults fills in what is unset.
func (c *Config) Defaults() {
	if c.Workers == 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.MaxValues == 0 {
		c.MaxValues = 50_000
	}
	if c.MaxTraits == 0 {
		c.MaxTraits = 32
	}
	if c.MaxRanked == 0 {
		c.MaxRanked = 1 << 18
	}
}

// Validate checks the settings.
func (c *Config) Validate() error {
	if c.Workers < 1 || c.MaxValues < 1 || c.MaxTraits < 0 || c.MaxRanked < 1 {
		return errors.New("journey: workers, maxValues and maxRanked must be at least 1, maxTraits at least 0")
	}
	if len(c.Promote) > 8 {
		return errors.New("journey: at most 8 fields can be promoted")
	}
	for _, f := range c.Promote {
		if _, err := newField(f); err != nil {
			return err
		}
	}
	return nil
}

// A word is one event: its time in µs since the Unix epoch, and the code of its
// kind below.
const (
	codeBits = 13
	codeMask = 1<<codeBits - 1
	maxKinds = codeMask
	maxTime  = 1<<(64-codeBits) - 1 // in the year 2041
)

const dayMicros = 86_400_000_000

func dayOf(t int64) int32 { return int32(t / dayMicros) }

func timeOf(word uint64) int64 { return int64(word >> codeBits) }

func word(t int64, code uint16) uint64 { return uint64(t)<<codeBits | uint64(code) }

// Index is the behavioral index.
type Index struct {
	cfg    Config
	fields []field // promoted

	mu sync.RWMutex // queries read, the writer writes

	// Users have dense numbers. A number whose user was merged into another is
	// dead: its id is empty, it has no events, and moved says where it went.
	ids    []string
	texts  texts // of them
	byHash map[uint64]uint32
	odd    map[string]uint32 // ids whose hash is taken, and ids that were merged
	moved  map[uint32]uint32
	was    map[uint32]string // ids of dead numbers, for who knew them
	mixed  map[string]bool   // see Mixed

	events  lists.Lists // by user: words in order of time
	firstAt []int64     // first event that counts, in µs; never: none
	alive   bitset.Set  // users that have one
	newest  int64       // greatest firstAt
	version uint64      // grows with every change

	// Versions of the latest change: of events by name, of who exists and what they
	// are, of whose anything is.
	touched []uint64
	changed []uint64 // by user: of their latest event, and of who has become who
	recent  []uint32 // users of the latest changes, by version modulo the length
	people  uint64
	joined  uint64
	trimmed uint64
	total   int64 // events in all
	minTime int64
	maxTime int64

	kinds  []kind
	byKind map[string]uint16
	key    []byte // what is looked for in it, or kept
	coarse bool   // kinds ran out: names from then on are one kind each, or none
	names  dictionary
	lost   bool // names ran out: what has none is not in the index

	did *presence.Map // who did what on which day

	places      [6]column
	acquisition [3]column
	lastTouch   column // text of the latest touch that is not direct
	traits      columns
	consent     columns

	aside [2]map[int64][]int64 // times of bots' and internal events, by day
	next  map[int]int64        // next offset of each partition of the log
}

const never = math.MaxInt64

// New makes an empty index. The configuration must be valid.
func New(cfg Config) (*Index, error) {
	cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	x := &Index{
		cfg:    cfg,
		byHash: map[uint64]uint32{}, odd: map[string]uint32{}, moved: map[uint32]uint32{}, was: map[uint32]string{}, mixed: map[string]bool{},
		byKind:  map[string]uint16{},
		did:     presence.New(),
		traits:  newColumns(cfg.MaxTraits, cfg.MaxValues),
		consent: newColumns(cfg.MaxTraits, cfg.MaxValues),
		aside:   [2]map[int64][]int64{{}, {}},
		next:    map[int]int64{},
		recent:  make([]uint32, 1<<16),
		newest:  math.MinInt64, minTime: math.MaxInt64, maxTime: math.MinInt64,
	}
	for i := range x.places {
		x.places[i] = newColumn(cfg.MaxValues, true)
	}
	for i := range x.acquisition {
		x.acquisition[i] = newColumn(cfg.MaxValues, false)
	}
	x.lastTouch = newColumn(cfg.MaxValues, true)
	x.lastTouch.longest = maxTouch
	for _, name := range cfg.Promote {
		f, err := newField(name)
		if err != nil {
			return nil, err
		}
		x.fields = append(x.fields, f)
	}
	return x, nil
}

// Stats says how much the index holds.
type Stats struct {
	Users  int64 // that exist
	Events int64
	Kinds  int
	Bytes  int64 // of memory, about
}

// Stats sums up the index.
func (x *Index) Stats() Stats {
	x.mu.RLock()
	defer x.mu.RUnlock()
	s := Stats{Users: int64(x.alive.Count()), Events: x.total, Kinds: len(x.kinds)}
	s.Bytes += x.events.Bytes() + x.did.Bytes() + int64(cap(x.firstAt))*8 + int64(len(x.byHash))*24
	for _, id := range x.ids {
		s.Bytes += int64(len(id)) + 16
	}
	x.eachColumn(func(c *column) { s.Bytes += c.bytes() })
	return s
}

func (x *Index) eachColumn(visit func(c *column)) {
	for i := range x.places {
		visit(&x.places[i])
	}
	for i := range x.acquisition {
		visit(&x.acquisition[i])
	}
	visit(&x.lastTouch)
	for _, cs := range []*columns{&x.traits, &x.consent} {
		for i := range cs.list {
			visit(&cs.list[i].column)
		}
	}
}

// Next is the offset of a partition of the log from which the index lacks
// records.
func (x *Index) Next(partition int) int64 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.next[partition]
}

// number is the user that an id belongs to today.
func (x *Index) number(id string) (uint32, bool) {
	u, ok := x.byHash[xxhash.Sum64String(id)]
	if !ok || x.ids[u] != id {
		if u, ok = x.odd[id]; !ok {
			return 0, false
		}
	}
	for {
		to, gone := x.moved[u]
		if !gone {
			return u, true
		}
		u = to
	}
}

// enter is number, for a user that may be new. It keeps a copy of a new id.
func (x *Index) enter(id string) uint32 {
	if u, ok := x.number(id); ok {
		return u
	}
	u := uint32(len(x.ids))
	x.ids = append(x.ids, "")
	x.events.Add()
	x.firstAt = append(x.firstAt, never)
	x.name(u, id)
	return u
}

// name gives a user an id.
func (x *Index) name(u uint32, id string) {
	x.key = append(x.key[:0], id...)
	id = x.texts.keep(x.key)
	x.ids[u] = id
	h := xxhash.Sum64String(id)
	if _, taken := x.byHash[h]; taken {
		x.odd[id] = u
	} else {
		x.byHash[h] = u
	}
}
