package audiences

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"heed/internal/definition"
	"heed/internal/documents"
	"heed/internal/eventlog"
	"heed/internal/facts"
	"heed/internal/journey"
	"heed/internal/measure"
)

// kept is an audience that is kept. It belongs to Run.
type kept struct {
	name  string
	def   *definition.Audience // nil: it is not defined any more
	kind  kind
	print string
	reads journey.Reads
	timed bool
	err   error // of its definition

	read    bool // what is stored was read
	head    *head
	version int64    // of the document of the head
	told    *members // what the log was told
	behind  int      // ids in the journal since all members were written
	events  []listed // entries of the journal with events, oldest first
	points  []point  // sizes
	unsaved int64    // time of the first of them that is not stored; 0: all are
	sized   int64    // when they were stored last
	saved   int64    // when the head was

	at      int64 // when it was looked at last
	whole   int64 // when all users were asked about last; 0: they have to be
	partly  bool  // the last look asked about some of them
	asked   version
	newest  int64   // event of the index then
	since   uint64  // version of the index that told stands for
	ahead   bool    // which had events that were still to come
	facts   bool    // they answered, not the index
	changes float64 // of the last looks, the latest counting most
	fails   int     // looks in a row that failed
	retry   int64   // not before; 0: it did not fail
}

// listed is an entry of the journal with its number of events.
type listed struct {
	seq uint64
	n   int
}

// version tells states of what is asked apart.
type version struct{ index, facts uint64 }

// look is a kind of look at an audience.
type look uint8

const (
	none   look = iota
	atSome      // who did something since the last look; what time alone changes waits
	atAll
)

// rests tells whether there may be no such look now.
func (k *Keeper) rests(l look) bool { return k.deps.Clock().Before(k.rested[l]) }

// current tells whether what is kept is what the definition means.
func (a *kept) current() bool {
	return a.head != nil && a.head.Filled && a.head.Kind == a.kind && a.head.Print == a.print
}

// due tells what look an audience needs. While everybody may not be looked at,
// those who did something are, if that is possible.
func (k *Keeper) due(a *kept, now int64, v version, newest int64) look {
	every := k.cfg.TimeEvery.Microseconds()
	changed := func() bool {
		if a.facts || k.index == nil {
			return a.asked.facts != v.facts
		}
		return newest >= a.at || a.asked.index != v.index && k.index.Changed(&a.reads, a.asked.index)
	}
	must := func(is bool) look {
		if is {
			return atAll
		}
		return none
	}
	switch {
	case a.retry != 0:
		return must(now >= a.retry)
	case a.def == nil || !a.read:
		return atAll
	case a.err != nil:
		return none
	case a.kind == frozen && !a.current():
		return must(now >= a.frozenAt())
	case !a.current() || a.at == 0:
		return atAll
	case a.kind == frozen: // only ids become others
		return must(now-a.at >= every && changed())
	}
	old := now-a.whole >= k.atLeast || a.timed && now-a.whole >= every
	switch {
	case old && !k.rests(atAll):
		return atAll
	case changed() && k.partial(a):
		return atSome
	}
	return must(old || changed())
}

// partial tells whether it can be enough to ask about those who have done something
// since the last look.
func (k *Keeper) partial(a *kept) bool {
	return k.index != nil && a.kind == byBehavior && a.current() && !a.facts && !a.ahead && len(a.told.other) == 0 && a.whole != 0
}

func (a *kept) frozenAt() int64 {
	at, err := time.Parse(time.RFC3339, a.def.Frozen)
	if err != nil {
		return math.MaxInt64 // it was checked
	}
	return at.UnixMicro()
}

// urgency grows with the time since the last look, the faster the more changed
// then.
func (a *kept) urgency(now int64) float64 {
	return float64(max(1, now-a.at)) * (1 + math.Log2(1+a.changes))
}

// look brings an audience up to date.
func (k *Keeper) look(ctx context.Context, a *kept, now int64, kind look) error {
	if !a.read {
		a.whole, k.loaded = 0, true
		if err := k.load(ctx, a); err != nil {
			return err
		}
	}
	a.partly = kind == atSome
	whole := a.whole
	a.whole = 0 // should this fail
	if a.head != nil && (a.def == nil || a.head.Kind != a.kind && (a.head.Kind == byProfile || a.kind == byProfile)) {
		if err := k.clear(ctx, a, now); err != nil {
			return err
		}
	}
	switch {
	case a.def == nil:
		delete(k.kept, a.name)
		return nil
	case a.err != nil:
		k.showFailure(a, a.err)
		a.retry = 0
		return nil //nolint:nilerr // there is nothing to try again
	case a.kind == frozen && now < a.frozenAt():
		a.retry = 0
		return nil // its time has not come
	}
	if a.head == nil {
		a.head = &head{Born: now, Kind: a.kind}
	}
	before := a.head.Size
	n := 0
	var err error
	if a.kind == byProfile {
		res, err := k.deps.Measures.Answer(ctx, a.def.Query(), k.names(ctx, k.set), now)
		if err != nil {
			return err
		}
		a.head.Size = res.Users.Total
	} else if n, err = k.compare(ctx, a, now); err != nil {
		return err
	}
	same := a.current() && a.head.Size == before && n == 0
	a.head.Kind, a.head.Print, a.head.Filled = a.kind, a.print, true
	if a.at, a.retry, a.fails = now, 0, 0; !a.partly {
		whole = now
	}
	a.whole, a.since, a.ahead = whole, a.asked.index, a.newest >= now
	a.changes = a.changes/2 + float64(n)/2
	if err := k.save(ctx, a, now, !same); err != nil {
		return err
	}
	result := "changed"
	if same {
		result = "same"
	}
	k.metrics.looks.WithLabelValues(result).Inc()
	k.show(a)
	return nil
}

// failed notes that an audience could not be looked at.
func (k *Keeper) failed(a *kept, now int64, err error) {
	k.metrics.looks.WithLabelValues("failed").Inc()
	a.retry = now + (retryAfter << min(a.fails, 6)).Microseconds()
	if errors.Is(err, facts.ErrLoading) || errors.Is(err, facts.ErrBusy) {
		return
	}
	if a.fails++; a.fails == 1 {
		k.log.Warn("an audience could not be looked at; it will be tried again", "audience", a.name, "error", err)
	}
	k.showFailure(a, err)
}

// load reads what is stored, and tells the log what it may not have been told.
func (k *Keeper) load(ctx context.Context, a *kept) (err error) {
	a.told, a.behind, a.events = &members{other: map[string]struct{}{}}, 0, nil
	if a.head, a.version, err = k.readHead(ctx, a.name); err != nil {
		return err
	}
	if a.head == nil {
		a.points, a.read = nil, true
		return nil
	}
	if a.points, err = k.sizes(ctx, a.name); err != nil {
		return err
	}
	a.unsaved, a.saved = 0, a.head.AsOf
	ids, open, err := k.members(ctx, a.name, a.head)
	if err != nil {
		return err
	}
	for _, e := range open {
		if err := k.tell(ctx, a, e); err != nil {
			return err
		}
	}
	if len(open) > 0 {
		return k.load(ctx, a) // with them
	}
	a.events = nil
	err = k.journal(ctx, a.name, 0, func(e *entry) {
		a.listed(e)
		if e.seq > a.head.Folded {
			a.behind += e.size()
		}
	})
	if err != nil {
		return err
	}
	for some := range slices.Chunk(ids, 10_000) { // the index goes on between them
		k.reading(func(p people) { p.put(a.told, some) })
	}
	a.read = true
	return nil
}

// listed notes an entry if it has events.
func (a *kept) listed(e *entry) {
	if n := len(e.entered) + len(e.left); n > 0 {
		a.events = append(a.events, listed{e.seq, n})
	}
}

// clear takes everybody out of an audience and forgets it.
func (k *Keeper) clear(ctx context.Context, a *kept, now int64) error {
	if a.version == 0 { // nobody was told anything
		a.head = nil
		return nil
	}
	if a.head.Kind != byProfile {
		if err := k.commit(ctx, a, &entry{at: now, replace: true}); err != nil {
			return err
		}
	}
	if err := k.forget(ctx, a.name); err != nil {
		return err
	}
	if err := k.write(ctx, a, documents.Relaxed, documents.Write{Collection: collHeads, Key: a.name, Expect: a.version}); err != nil {
		return err
	}
	a.head, a.version, a.told, a.points, a.behind, a.events = nil, 0, &members{other: map[string]struct{}{}}, nil, 0, nil
	return nil
}

// compare asks who is in, and tells the log how that differs from what it was
// told; n is how many come and go.
func (k *Keeper) compare(ctx context.Context, a *kept, now int64) (n int, err error) {
	is, c, err := k.ask(ctx, a, now)
	if err != nil {
		return 0, err
	}
	if !a.current() {
		c.silence()
	}
	for _, e := range split(now, !a.head.Filled && a.head.Done == 0, c, k.entryBytes) {
		if err := k.commit(ctx, a, e); err != nil {
			return 0, err
		}
	}
	a.told, a.head.Size = is, is.len()
	for name, list := range map[string][]string{"entered": c.entered, "left": c.left, "added": c.added, "removed": c.removed} {
		k.metrics.changes.WithLabelValues(name).Add(float64(len(list)))
	}
	a.behind += c.size()
	if a.behind > max(foldFrom, int(a.head.Size/2)) {
		return c.size(), k.fold(ctx, a)
	}
	return c.size(), nil
}

// ask finds who is in now.
func (k *Keeper) ask(ctx context.Context, a *kept, now int64) (is *members, c *change, err error) {
	moved := func(id string) (string, error) { return k.movedTo(ctx, id) }
	if a.kind == frozen && a.current() {
		k.reading(func(p people) {
			is = follow(p, a.told)
			c, err = differ(p, a.told, is, moved)
		})
		return is, c, err
	}
	names := k.names(ctx, k.set)
	q, err := measure.Resolve(a.def.Query(), names)
	if *names.waits {
		return nil, nil, facts.ErrLoading
	}
	if err != nil {
		return nil, nil, err
	}
	if a.partly {
		var failed error
		answered, err := k.index.MembersSince(ctx, q, now, a.since, func(p journey.People, asked, in journey.Members) {
			is = &members{known: a.told.known.But(asked, in)}
			c, failed = differ(people{p, true}, a.told, is, moved)
		})
		if err = errors.Join(err, failed); err != nil || answered {
			return is, c, err
		}
		a.partly = false
	}
	if k.index != nil {
		var failed error
		answered, err := k.index.Members(ctx, q, now, func(p journey.People, m journey.Members) {
			is = &members{known: m}
			c, failed = differ(people{p, true}, a.told, is, moved)
		})
		if err = errors.Join(err, failed); err != nil || answered {
			a.facts = false
			return is, c, err
		}
	}
	if !k.factsReady() {
		return nil, nil, facts.ErrLoading
	}
	q.Users = &measure.Users{Limit: math.MaxInt32}
	res, err := k.deps.Facts.Query(ctx, q, now)
	if errors.Is(err, facts.ErrUnsupported) && k.index != nil {
		err = fmt.Errorf("the behavioral index lacks what it asks of events (behavior.promote adds properties), and %w", err)
	}
	if err != nil {
		return nil, nil, err
	}
	a.facts = true
	k.reading(func(p people) {
		is = &members{other: map[string]struct{}{}}
		p.put(is, res.Users.IDs)
		c, err = differ(p, a.told, is, moved)
	})
	return is, c, err
}

// reading reads the index, if there is one.
func (k *Keeper) reading(read func(p people)) {
	if k.index == nil {
		read(people{})
		return
	}
	k.index.Look(func(p journey.People) { read(people{p, true}) })
}

// follow is the members with those who have become somebody else in their place.
func follow(p people, was *members) *members {
	is := &members{other: map[string]struct{}{}}
	if p.any {
		is.known = p.Follow(was.known)
	}
	for id := range was.other {
		if to, ok := p.today(id); !ok || !p.Put(&is.known, to) {
			is.other[id] = struct{}{}
		}
	}
	return is
}

// commit makes a step of an audience true: it is written down, then the log is
// told, then that is. Whatever stops it, a later load goes on from there.
func (k *Keeper) commit(ctx context.Context, a *kept, e *entry) error {
	e.seq = a.head.Done + 1
	writes := []documents.Write{{Collection: collJournal, Key: journalKey(a.name, e.seq), Value: e.append(nil), Expect: documents.Absent}}
	if a.version == 0 { // the log must not be told by somebody who forgets who it was
		w, err := a.head.writeOf(a.name, documents.Absent)
		if err != nil {
			return err
		}
		writes = append(writes, w)
	}
	if err := k.write(ctx, a, documents.Durable, writes...); err != nil {
		return err
	}
	a.version = max(a.version, 1)
	return k.tell(ctx, a, e)
}

// tell lets the log know of an entry of the journal.
func (k *Keeper) tell(ctx context.Context, a *kept, e *entry) error {
	made, err := batches(a.name, a.head.Born, e, k.deps.Log.Partitions(), func(user string) (string, string, error) { return k.ids(ctx, user) })
	if err != nil {
		return err
	}
	waited := k.waiting()
	err = k.deps.Log.Append(ctx, eventlog.Events, made)
	waited()
	if err != nil {
		a.read = false
		return fmt.Errorf("tell the log who is in audience %q: %w", a.name, err)
	}
	h := a.head
	h.Done = e.seq
	if e.replace {
		h.Size = 0
	}
	h.Size += int64(len(e.entered) + len(e.added) - len(e.left) - len(e.removed))
	h.count(e.at, len(e.entered), len(e.left))
	a.listed(e)
	return k.saveHead(ctx, a)
}

// waiting begins a time that does not count as work; what it returns ends it.
func (k *Keeper) waiting() (end func()) {
	began := k.deps.Clock()
	return func() { k.waited += k.deps.Clock().Sub(began) }
}

// count notes who entered and left.
func (h *head) count(at int64, entered, left int) {
	h.Moves = slices.DeleteFunc(h.Moves, func(m moves) bool { return m.At <= at-movesKeep })
	if entered+left == 0 {
		return
	}
	part := at / movesEvery * movesEvery
	if n := len(h.Moves); n == 0 || h.Moves[n-1].At < part {
		h.Moves = append(h.Moves, moves{At: part})
	}
	last := &h.Moves[len(h.Moves)-1]
	last.Entered += int64(entered)
	last.Left += int64(left)
}

// write stores something of an audience. If that fails, nobody knows what is
// stored: it is read again.
func (k *Keeper) write(ctx context.Context, a *kept, d documents.Durability, writes ...documents.Write) error {
	defer k.waiting()()
	if err := k.deps.Documents.Apply(ctx, d, writes...); err != nil {
		a.read = false
		return fmt.Errorf("store audience %q: %w", a.name, err)
	}
	return nil
}

func (k *Keeper) saveHead(ctx context.Context, a *kept, more ...documents.Write) error {
	w, err := a.head.writeOf(a.name, a.version)
	if err != nil {
		return err
	}
	if err := k.write(ctx, a, documents.Relaxed, append(more, w)...); err != nil {
		return err
	}
	a.version++
	return nil
}

// How often is stored what did not change, and the sizes.
const (
	saveEvery  = int64(30e6)
	sizesEvery = minute
)

// save stores the head if it changed or is old, and the sizes in time.
func (k *Keeper) save(ctx context.Context, a *kept, now int64, changed bool) error {
	a.head.AsOf = now
	if a.kind == frozen {
		a.head.AsOf = a.frozenAt()
	}
	a.note(point{now / minute * minute, a.head.Size})
	var more []documents.Write
	if a.unsaved != 0 && now-a.sized >= sizesEvery {
		more = sizesWrites(a.name, a.points, a.unsaved)
		a.unsaved, a.sized = 0, now
		old := now - sizesFor
		for len(a.points) > 1 && a.points[0].at < old {
			if first, next := a.points[0].at, a.points[1].at; first/day != next/day {
				more = append(more, documents.Write{Collection: collSizes, Key: sizesKey(a.name, first), Expect: documents.Any})
			}
			a.points = a.points[1:]
		}
	}
	if !changed && len(more) == 0 && now-a.saved < saveEvery {
		return nil
	}
	a.saved = now
	return k.saveHead(ctx, a, more...)
}

// note keeps a size, if it is not the last one; of a minute the last.
func (a *kept) note(p point) {
	switch n := len(a.points); {
	case n > 0 && a.points[n-1].size == p.size:
		return
	case n > 0 && a.points[n-1].at >= p.at:
		p.at = a.points[n-1].at
		a.points = append(slices.Clip(a.points[:n-1]), p) // others read them
	default:
		a.points = append(a.points, p)
	}
	if a.unsaved == 0 {
		a.unsaved = p.at
	}
}

// fold writes all members, and drops what nobody needs of the journal.
func (k *Keeper) fold(ctx context.Context, a *kept) error {
	h := a.head
	prefix := a.name + "/"
	dropOthers := func() error {
		return k.remove(ctx, collMembers, prefix, func(key string) bool { return !strings.HasPrefix(key, roundPrefix(a.name, h.Round)) })
	}
	if err := dropOthers(); err != nil {
		return err // those of a fold that was interrupted
	}
	var chunk []byte
	var writes []documents.Write
	next := func() {
		writes = append(writes, documents.Write{
			Collection: collMembers, Key: fmt.Sprintf("%s%06x", roundPrefix(a.name, h.Round+1), len(writes)), Value: chunk, Expect: documents.Any,
		})
		chunk = nil
	}
	put := func(id string) {
		if chunk = append(binary.AppendUvarint(chunk, uint64(len(id))), id...); len(chunk) >= chunkBytes {
			next()
		}
	}
	k.reading(func(p people) {
		if p.any {
			p.Differ(a.told.known, journey.Members{}, func(id string, _ bool) { put(id) })
		}
	})
	for id := range a.told.other {
		put(id)
	}
	if len(chunk) > 0 {
		next()
	}
	for some := range slices.Chunk(writes, 8) {
		if err := k.write(ctx, a, documents.Relaxed, some...); err != nil {
			return err
		}
	}
	h.Round++
	h.Folded = h.Done
	if err := k.saveHead(ctx, a); err != nil {
		return err
	}
	a.behind = 0
	n, first := 0, len(a.events)
	keep := map[string]bool{} // for the list of who entered and left
	for first > 0 && n < keptChanges {
		first--
		n += a.events[first].n
		keep[journalKey(a.name, a.events[first].seq)] = true
	}
	a.events = a.events[first:]
	if err := k.remove(ctx, collJournal, prefix, func(key string) bool { return !keep[key] }); err != nil {
		return err
	}
	return dropOthers()
}
