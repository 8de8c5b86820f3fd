package decider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"heed/internal/condition"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/trigger"
)

// ruleset is one revision of the definitions, compiled. It is immutable.
type ruleset struct {
	revision  int64
	set       *trigger.Set
	index     map[*trigger.Program]int      // in set.Programs()
	audiences map[string]*condition.Program // those that are conditions over the profile
	recorded  bool                          // some trigger has one that is not
	gating
}

// has tells whether the profile puts somebody into an audience.
func (rs *ruleset) has(audience string, f *condition.Facts) bool {
	p, ok := rs.audiences[audience]
	return ok && p.Eval(f)
}

// rulebook compiles each revision once for all partitions.
type rulebook struct {
	definitions Definitions
	logger      *slog.Logger
	metrics     *metrics

	mu   sync.Mutex
	sets map[int64]*ruleset
}

// keptRulesets bounds the revisions that are kept compiled: partitions switch
// within moments of each other.
const keptRulesets = 4

func newRulebook(d Definitions, logger *slog.Logger, m *metrics) *rulebook {
	return &rulebook{definitions: d, logger: logger, metrics: m, sets: make(map[int64]*ruleset)}
}

// errNoRevision: the log names a revision that the definitions do not have.
var errNoRevision = errors.New("no such revision of the definitions")

// at returns a revision; 0 is the empty one.
func (b *rulebook) at(ctx context.Context, revision int64) (*ruleset, error) {
	b.mu.Lock()
	defer b.mu.Unlock() // one compiles, the others wait for it
	if rs := b.sets[revision]; rs != nil {
		return rs, nil
	}
	defs := &definition.Set{}
	if revision > 0 {
		var err error
		defs, err = b.definitions.At(ctx, revision)
		if errors.Is(err, documents.ErrNotFound) {
			return nil, fmt.Errorf("revision %d: %w", revision, errNoRevision)
		}
		if err != nil {
			return nil, fmt.Errorf("load revision %d of the definitions: %w", revision, err)
		}
	}
	rs := b.compile(revision, defs)
	for len(b.sets) >= keptRulesets {
		oldest := revision
		for r := range b.sets {
			oldest = min(oldest, r)
		}
		if oldest == revision {
			break
		}
		delete(b.sets, oldest)
	}
	b.sets[revision] = rs
	return rs, nil
}

// compile leaves out what does not compile: it was checked when it was applied,
// and one definition must not stop the others.
func (b *rulebook) compile(revision int64, defs *definition.Set) *ruleset {
	rs := &ruleset{revision: revision, audiences: make(map[string]*condition.Program, len(defs.Audiences))}
	failed := 0
	for name, a := range defs.Audiences {
		p, err := a.Program()
		if errors.Is(err, definition.ErrBehavior) {
			continue // the log says who is in
		}
		if err != nil {
			failed++
			b.logger.Error("audience left out", "audience", name, "revision", revision, "error", err)
			continue
		}
		rs.audiences[name] = p
	}
	triggers := defs.AllTriggers()
	names := slices.Sorted(maps.Keys(triggers))
	programs := make([]*trigger.Program, 0, len(names))
	var previous []*trigger.Program
	for _, name := range names {
		p, err := compileTrigger(triggers[name])
		if err != nil {
			failed++
			b.logger.Error("trigger left out", "trigger", name, "revision", revision, "error", err)
			continue
		}
		programs = append(programs, p)
		if was := defs.Previous[name]; was != nil {
			if p, err := compileTrigger(was); err == nil {
				previous = append(previous, p)
			}
		}
	}
	rs.set = trigger.NewSet(programs, previous...)
	rs.index = make(map[*trigger.Program]int, len(programs))
	for i, p := range rs.set.Programs() {
		rs.index[p] = i
	}
	for _, p := range rs.set.Programs() {
		if name := p.Audience(); name != "" && rs.audiences[name] == nil {
			rs.recorded = true
		}
	}
	rs.gating = gatingOf(rs.set, defs)
	b.metrics.leftOut.Set(float64(failed))
	return rs
}

func compileTrigger(d *trigger.Definition) (p *trigger.Program, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("compile panicked: %v", r)
		}
	}()
	return trigger.Compile(d)
}

// revisionOf reads the properties of a revision record.
func revisionOf(properties []byte) (int64, bool) {
	var p struct {
		Revision int64 `json:"revision"`
	}
	if json.Unmarshal(properties, &p) != nil || p.Revision <= 0 {
		return 0, false
	}
	return p.Revision, true
}
