// Package audiences keeps who is in the audiences by behavior: it asks again
// when something may have changed, and tells the log who has come and gone, as
// membership records for the Decider and as one event a user for triggers and
// people. It also counts the audiences by profile, for people only.
//
// It does not own what an audience means (measure), who answers (journey, facts),
// or what becomes of a membership (decider, engager). Nobody waits for it: while
// it stands still, the last members known go on to count, and how old they are
// is shown. docs/adr/0013-audiences.md says why it is as it is.
package audiences

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/eventlog"
	"heed/internal/facts"
	"heed/internal/journey"
	"heed/internal/measure"
	"heed/internal/profile"
	"heed/internal/reach"
)

// Config is what an operator may set.
type Config struct {
	// Rest is how many times as long as a look at an audience took is rested
	// after it, from looks at everybody and from looks at those who did something
	// each by themselves: 10 takes at most an eleventh of a core for either. Behind the
	// first look at each, which reads its members, is rested once as long.
	Rest int `yaml:"rest"`
	// TimeEvery is how often is looked at what changes by time alone.
	TimeEvery time.Duration `yaml:"time_every"`
}

// Defaults fills what is zero.
func (c *Config) Defaults() {
	if c.Rest == 0 {
		c.Rest = 10
	}
	if c.TimeEvery == 0 {
		c.TimeEvery = 15 * time.Second
	}
}

// Validate says what is wrong.
func (c *Config) Validate() error {
	switch {
	case c.Rest < 1 || c.Rest > 1000:
		return fmt.Errorf("rest is %d: 1 to 1000", c.Rest)
	case c.TimeEvery < time.Second || c.TimeEvery > time.Hour:
		return fmt.Errorf("time_every is %s: 1s to 1h", c.TimeEvery)
	}
	return nil
}

// Definitions gives the definitions in force.
type Definitions interface{ Current() *definition.Set }

// Measures resolves a query and answers it.
type Measures interface {
	Answer(ctx context.Context, q *measure.Query, names measure.Names, now int64) (measure.Result, error)
}

// Facts answers a resolved query that the index cannot answer.
type Facts interface {
	Query(ctx context.Context, q *measure.Query, now int64) (measure.Result, error)
	Status() facts.Status
}

// Index is where the behavioral index comes from; *analytics.Behavior is.
type Index interface {
	// Index is nil if there is none; loading says that there will be.
	Index() (x *journey.Index, loading bool)
}

// Profiles reads the Decider's profiles; nil if nothing is known of a user.
type Profiles interface {
	Profile(ctx context.Context, user string) (*profile.Profile, error)
}

// Book tells who may be written to; a reach.Book.
type Book interface {
	Ask(ctx context.Context, q *reach.Question) (reach.Answer, error)
}

// Deps are what the keeping works with.
type Deps struct {
	Log         eventlog.Log
	Documents   documents.Store
	Definitions Definitions
	Profiles    Profiles
	Book        Book     // nil: who can be reached is not counted
	Measures    Measures // nil: nothing can be counted here
	Index       Index    // nil: there is none
	Facts       Facts    // nil: there are none
	Logger      *slog.Logger
	Registerer  prometheus.Registerer
	Clock       func() time.Time
}

// Keeper keeps the audiences. Run it once, in one process; its other methods may
// be called concurrently, also if it does not run.
type Keeper struct {
	cfg     Config
	deps    Deps
	log     *slog.Logger
	metrics *metrics

	// Of Run.
	set    *definition.Set
	index  *journey.Index // what the numbers of kept members are of
	opened bool           // what is stored was looked through
	until  []uint64       // what the log held then: facts that have less are not asked
	kept   map[string]*kept
	waited time.Duration // for stores, in this turn
	loaded bool          // members were read from the store, in this turn
	rested [3]time.Time  // by kind of look: none before that
	// atLeast is how often every audience is looked at, so that what is stored says
	// that it still holds.
	atLeast    int64
	entryBytes int // of ids in an entry of the journal

	running atomic.Bool
	mu      sync.Mutex
	shown   map[string]*status // what Run last said
	began   int64              // when Run began, µs; 0 once it knows the audiences

	reachMu sync.Mutex
	reached map[string]reached

	frozenMu sync.Mutex
	frozen   map[string]frozenMembers
}

// New checks the configuration.
func New(cfg Config, deps Deps) (*Keeper, error) {
	cfg.Defaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("audiences: %w", err)
	}
	if deps.Log == nil || deps.Documents == nil || deps.Definitions == nil || deps.Profiles == nil {
		return nil, errors.New("audiences: log, documents, definitions and profiles are needed")
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Clock == nil {
		deps.Clock = time.Now
	}
	k := &Keeper{
		cfg: cfg, deps: deps, log: deps.Logger, kept: map[string]*kept{}, shown: map[string]*status{}, frozen: map[string]frozenMembers{}, reached: map[string]reached{},
		atLeast: minute, entryBytes: 128 << 10,
	}
	var err error
	if k.metrics, err = newMetrics(deps.Registerer, k.behind); err != nil {
		return nil, fmt.Errorf("audiences: %w", err)
	}
	return k, nil
}

// Pace of the keeping.
const (
	lookEvery  = 100 * time.Millisecond // whether something has changed
	retryAfter = 5 * time.Second
)

// Ready is nil: nobody waits for it.
func (k *Keeper) Ready() error { return nil }

// Run keeps the audiences until ctx ends. What fails is tried again.
func (k *Keeper) Run(ctx context.Context) error {
	k.mu.Lock()
	k.began = k.now()
	k.mu.Unlock()
	k.running.Store(true)
	defer k.running.Store(false)
	rest := time.NewTimer(0)
	defer rest.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-rest.C:
		}
		began := k.deps.Clock()
		k.waited, k.loaded = 0, false
		worked, err := k.turn(ctx)
		if ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) || errors.Is(err, documents.ErrClosed) {
			return nil // the error is that of the end
		}
		now := k.deps.Clock()
		switch {
		case err != nil:
			k.log.Warn("the audiences cannot be kept; it will be tried again", "error", err)
			rest.Reset(retryAfter)
		case worked != none:
			took := now.Sub(began) - k.waited
			k.metrics.seconds.Add(took.Seconds())
			pause := took * time.Duration(k.cfg.Rest)
			if k.loaded {
				pause = took // until all are loaded, nobody enters or leaves the others
			}
			k.rested[worked] = now.Add(pause)
			rest.Reset(0)
		default:
			pause := lookEvery
			for _, until := range k.rested {
				if left := until.Sub(now); left > 0 {
					pause = min(pause, left)
				}
			}
			rest.Reset(pause)
		}
	}
}

// now is the clock in µs.
func (k *Keeper) now() int64 { return k.deps.Clock().UnixMicro() }

// turn looks at the audience that needs it most, if one does. Looks at those who
// did something go first: they are short, and somebody may be waiting for them.
func (k *Keeper) turn(ctx context.Context) (worked look, err error) {
	ready, err := k.ready(ctx)
	if err != nil || !ready {
		return none, err
	}
	if set := k.deps.Definitions.Current(); set != k.set {
		k.define(set)
	}
	now, v, newest := k.now(), version{}, int64(math.MinInt64)
	if k.index != nil {
		v.index, newest = k.index.Version()
	}
	if k.deps.Facts != nil {
		for _, next := range k.deps.Facts.Status().Next {
			v.facts += next
		}
	}
	var next *kept
	most := 0.0
	for _, name := range slices.Sorted(maps.Keys(k.kept)) {
		a := k.kept[name]
		needs := k.due(a, now, v, newest)
		if needs == none {
			k.confirm(a, now)
			continue
		}
		if k.rests(needs) || worked == atSome && needs == atAll {
			continue
		}
		if urgency := a.urgency(now); next == nil || needs < worked || urgency > most {
			next, most, worked = a, urgency, needs
		}
	}
	if next == nil {
		return none, nil
	}
	next.asked, next.newest = v, newest
	if err := k.look(ctx, next, now, worked); err != nil {
		if ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) || errors.Is(err, documents.ErrClosed) {
			return worked, err
		}
		k.failed(next, now, err)
	}
	return worked, nil
}

// ready sees to it that there is something to ask, and that all of what the log
// held at the start is in it: else many would seem to leave.
func (k *Keeper) ready(ctx context.Context) (bool, error) {
	if k.deps.Measures == nil {
		return false, nil
	}
	var x *journey.Index
	if k.deps.Index != nil {
		var loading bool
		if x, loading = k.deps.Index.Index(); loading {
			return false, nil
		}
	}
	if k.until == nil {
		until := make([]uint64, k.deps.Log.Partitions())
		for p := range until {
			b, err := k.deps.Log.Bounds(ctx, eventlog.Events, p)
			if err != nil {
				return false, err
			}
			until[p] = b.Next
		}
		k.until = until
	}
	if x == nil && !k.factsReady() {
		return false, nil
	}
	if k.opened && x == k.index {
		return true, nil
	}
	// Numbers of another index mean nothing: members are read anew.
	k.index, k.set, k.opened = x, nil, false
	clear(k.kept)
	names, err := k.storedNames(ctx)
	if err != nil {
		return false, err
	}
	for _, name := range names {
		k.kept[name] = &kept{name: name}
	}
	k.opened = true
	return true, nil
}

// factsReady tells whether the facts can be asked who is in an audience.
func (k *Keeper) factsReady() bool {
	if k.deps.Facts == nil {
		return false
	}
	st := k.deps.Facts.Status()
	if st.Repair != nil || slices.ContainsFunc(st.Lost, func(l facts.Lost) bool { return !l.Final }) {
		return false
	}
	for p, until := range k.until {
		if p >= len(st.Next) || st.Next[p] < until {
			return false
		}
	}
	return true
}

// define takes over the definitions.
func (k *Keeper) define(set *definition.Set) {
	k.set = set
	for name, def := range set.Audiences {
		a := k.kept[name]
		if a == nil {
			a = &kept{name: name}
			k.kept[name] = a
		}
		a.def, a.kind, a.retry = def, kindOf(def), 0
		tree, print, err := meaning(set, name)
		a.err = err // of a dimension that is not there any more, say; the set was checked
		a.print = print
		a.reads, a.timed = journey.Reads{}, false
		if err == nil {
			reads(tree, &a.reads)
			a.timed = timed(tree)
		}
		if a.read { // else what is stored is shown
			k.show(a)
		}
	}
	for name, a := range k.kept {
		if set.Audiences[name] == nil {
			a.def = nil
			k.hide(name)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.began = 0
}
