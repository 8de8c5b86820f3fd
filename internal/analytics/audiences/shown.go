package audiences

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/facts"
	"heed/internal/measure"
)

// status is what is shown of an audience.
type status struct {
	print  string // what it is the status of
	state  api.AudienceState
	err    string
	size   int64
	asOf   int64 // 0: it was never counted
	since  int64 // when it was met first
	frozen bool
	moves  []moves
	points []point
}

// staleAfter is how old a size is before it is said to be.
const staleAfter = int64(120e6)

func (s *status) stale(now int64) bool {
	return !s.frozen && now-max(s.asOf, s.since) > staleAfter
}

// show tells others how an audience stands.
func (k *Keeper) show(a *kept) {
	s := statusOf(a.head, a.kind, a.print, a.points)
	k.mu.Lock()
	defer k.mu.Unlock()
	s.since = k.now()
	if was := k.shown[a.name]; was != nil {
		s.since = was.since
	}
	k.shown[a.name] = s
}

func statusOf(h *head, as kind, print string, points []point) *status {
	s := &status{print: print, state: api.AudienceCounting, frozen: as == frozen}
	if h == nil {
		return s
	}
	s.size, s.asOf, s.moves, s.points = h.Size, h.AsOf, slices.Clone(h.Moves), points
	if h.Filled && h.Kind == as && h.Print == print {
		s.state = api.AudienceReady
	}
	return s
}

// showFailure tells others that an audience could not be looked at.
func (k *Keeper) showFailure(a *kept, err error) {
	k.show(a)
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.shown[a.name]
	s.state, s.err = api.AudienceFailed, err.Error()
}

// confirm notes that what is known of an audience holds until now.
func (k *Keeper) confirm(a *kept, now int64) {
	if a.retry != 0 || a.timed || a.kind == frozen || a.err != nil || !a.current() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.shown[a.name]; s != nil {
		s.asOf = now
	}
}

func (k *Keeper) hide(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.shown, name)
}

// behind is for how long the audience that waits most has been as it was.
func (k *Keeper) behind() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	now, most := k.now(), int64(0)
	if k.began != 0 {
		return time.Duration(now-k.began) * time.Microsecond
	}
	for _, s := range k.shown {
		switch {
		case s.frozen, s.asOf == 0 && s.state == api.AudienceFailed: // nothing is old, or nobody can do anything
		case s.asOf == 0:
			most = max(most, now-s.since)
		default:
			most = max(most, now-s.asOf)
		}
	}
	return time.Duration(most) * time.Microsecond
}

// status is how an audience stands: what Run last said, else what is stored.
func (k *Keeper) status(ctx context.Context, set *definition.Set, name string) (*status, error) {
	_, print, wrong := meaning(set, name)
	if k.running.Load() {
		k.mu.Lock()
		s := k.shown[name]
		k.mu.Unlock()
		if s != nil && s.print == print {
			return s, nil
		}
	}
	h, _, err := k.readHead(ctx, name)
	if err != nil {
		return nil, err
	}
	points, err := k.sizes(ctx, name)
	if err != nil {
		return nil, err
	}
	s := statusOf(h, kindOf(set.Audiences[name]), print, points)
	if k.running.Load() {
		s.since = k.now() // it is about to be looked at
	}
	if wrong != nil {
		s.state, s.err = api.AudienceFailed, wrong.Error()
	}
	return s, nil
}

// Audiences lists all of them; of their sizes, at most one an hour.
func (k *Keeper) Audiences(ctx context.Context) ([]api.Audience, error) {
	set := k.deps.Definitions.Current()
	out := make([]api.Audience, 0, len(set.Audiences))
	for _, name := range slices.Sorted(maps.Keys(set.Audiences)) {
		a, err := k.audience(ctx, set, name, reachedInList)
		if err != nil {
			return nil, err
		}
		hourly := a.History[:0]
		for i, p := range a.History {
			if i+1 == len(a.History) || !p.Time.Truncate(time.Hour).Equal(a.History[i+1].Time.Truncate(time.Hour)) {
				hourly = append(hourly, p)
			}
		}
		a.History = hourly
		out = append(out, *a)
	}
	return out, nil
}

// Audience is one of them, nil if it is not defined.
func (k *Keeper) Audience(ctx context.Context, name string) (*api.Audience, error) {
	set := k.deps.Definitions.Current()
	if set.Audiences[name] == nil {
		return nil, nil //nolint:nilnil // none of that name is no error
	}
	return k.audience(ctx, set, name, math.MaxInt64)
}

// audience is one of them; who can be reached of it is asked up to a size.
func (k *Keeper) audience(ctx context.Context, set *definition.Set, name string, largest int64) (*api.Audience, error) {
	s, err := k.status(ctx, set, name)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	copied := *s // Run goes on with it
	k.mu.Unlock()
	reachable := k.reachOf(ctx, set, name, &copied, largest)
	def, now := set.Audiences[name], k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	out := &api.Audience{
		Name: name, Description: def.Description, Kind: api.AudienceKind(kindOf(def)), State: s.state, Error: s.err,
		Size: s.size, AsOf: api.Time(s.asOf), Stale: s.stale(now), Reachable: reachable,
		History: make([]api.AudienceSize, len(s.points)), UsedBy: usedBy(set, name),
	}
	for i, p := range s.points {
		out.History[i] = api.AudienceSize{Time: api.Time(p.at), Size: p.size}
	}
	for _, m := range s.moves {
		if m.At > now-movesKeep {
			out.Entered24h += m.Entered
			out.Left24h += m.Left
		}
	}
	return out, nil
}

// usedBy lists the definitions that name an audience.
func usedBy(set *definition.Set, name string) []api.AudienceUse {
	out := []api.AudienceUse{}
	add := func(k definition.Kind, by string, uses bool) {
		if uses {
			out = append(out, api.AudienceUse{Kind: string(k), Name: by})
		}
	}
	names := func(r measure.Reference) bool { return r.Kind == string(definition.KindAudience) && r.Name == name }
	for _, by := range slices.Sorted(maps.Keys(set.Audiences)) {
		add(definition.KindAudience, by, slices.ContainsFunc(set.Audiences[by].References(), names))
	}
	for _, by := range slices.Sorted(maps.Keys(set.Boards)) {
		add(definition.KindBoard, by, slices.ContainsFunc(set.Boards[by].Charts, func(c definition.Chart) bool {
			return slices.ContainsFunc(c.Query.References(), names)
		}))
	}
	for _, by := range slices.Sorted(maps.Keys(set.Campaigns)) {
		c := set.Campaigns[by]
		add(definition.KindCampaign, by, c.When.Audience == name || slices.Contains(c.Who, name))
	}
	for _, by := range slices.Sorted(maps.Keys(set.Triggers)) {
		add(definition.KindTrigger, by, set.Triggers[by].Audience == name)
	}
	return out
}

// Changes lists who entered and left an audience lately, newest first.
func (k *Keeper) Changes(ctx context.Context, name string, limit int) ([]api.AudienceChange, error) {
	out := []api.AudienceChange{}
	for before := name + "/~"; ; {
		docs, err := k.deps.Documents.List(ctx, documents.Query{Collection: collJournal, Prefix: name + "/", After: before, Reverse: true, Limit: 16})
		if err != nil {
			return nil, fmt.Errorf("list who entered audience %q: %w", name, err)
		}
		for _, d := range docs {
			before = d.Key
			e, err := decodeEntry(0, d.Value)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", d.Key, err)
			}
			for _, of := range []struct {
				change api.AudienceChangeChange
				users  []string
			}{{api.AudienceEntered, e.entered}, {api.AudienceLeft, e.left}} {
				for _, user := range of.users {
					if len(out) == limit {
						return out, nil
					}
					out = append(out, api.AudienceChange{Time: api.Time(e.at), User: user, Change: of.change})
				}
			}
		}
		if len(docs) == 0 {
			return out, nil
		}
	}
}

// sampleUsers is how many members a preview names.
const sampleUsers = 20

// Preview answers a query for users that nobody has saved.
func (k *Keeper) Preview(ctx context.Context, q *measure.Query) (api.AudiencePreview, error) {
	if k.deps.Measures == nil {
		return api.AudiencePreview{}, fmt.Errorf("%w: this process runs no analysis", facts.ErrLoading)
	}
	set, asked := k.deps.Definitions.Current(), *q
	asked.Users = &measure.Users{Limit: sampleUsers}
	if k.deps.Book != nil {
		asked.Users.Limit = measure.MaxPage
	}
	res, err := k.deps.Measures.Answer(ctx, &asked, k.names(ctx, set), k.now())
	if err != nil {
		return api.AudiencePreview{}, err
	}
	out := api.AudiencePreview{
		Size: res.Users.Total, AsOf: api.Time(res.AsOf), Reachable: []api.AudienceReach{},
		Sample: append([]string{}, res.Users.IDs[:min(len(res.Users.IDs), sampleUsers)]...),
	}
	if k.deps.Book != nil {
		ids, more := res.Users.IDs, res.Users.More
		if more {
			ids = ids[:draftReached]
		}
		out.Reachable, err = k.reach(ctx, set, ids, more)
	}
	return out, err
}

// frozenMembers are the members of a frozen audience as a tree.
type frozenMembers struct {
	born int64
	done uint64
	tree *measure.Audience
}

// names looks names up, those of frozen audiences too.
type names struct {
	*definition.Set
	k   *Keeper
	ctx context.Context //nolint:containedctx // of the one query that asks

	waits *bool // it asked for members that are not counted yet
}

func (k *Keeper) names(ctx context.Context, set *definition.Set) names {
	return names{set, k, ctx, new(bool)}
}

// Names looks names up for one query, those of frozen audiences too.
func (k *Keeper) Names(ctx context.Context) measure.Names {
	return k.names(ctx, k.deps.Definitions.Current())
}

var errCounting = errors.New("is frozen, and its members are not counted yet")

// AudienceNamed is measure.Names's.
func (n names) AudienceNamed(name string) (*measure.Audience, error) {
	a := n.Audiences[name]
	if a == nil || a.Frozen == "" {
		return n.Set.AudienceNamed(name)
	}
	h, _, err := n.k.readHead(n.ctx, name)
	if err != nil {
		return nil, err
	}
	_, print, err := meaning(n.Set, name)
	if err != nil {
		return nil, err
	}
	if h == nil || !h.Filled || h.Kind != frozen || h.Print != print {
		*n.waits = true
		return nil, errCounting
	}
	n.k.frozenMu.Lock()
	defer n.k.frozenMu.Unlock()
	if f := n.k.frozen[name]; f.tree != nil && f.born == h.Born && f.done == h.Done {
		return f.tree, nil
	}
	ids, _, err := n.k.members(n.ctx, name, h)
	if err != nil {
		return nil, err
	}
	if ids == nil {
		ids = []string{} // nobody, not everybody
	}
	f := frozenMembers{h.Born, h.Done, &measure.Audience{Users: ids}}
	n.k.frozen[name] = f
	return f.tree, nil
}
