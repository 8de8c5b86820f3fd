package journey

import (
	"context"
	"errors"
	"math/bits"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"heed/internal/condition"
	"heed/internal/journey/bitset"
	"heed/internal/measure"
)

// errFacts says that only the facts can answer.
var errFacts = errors.New("not in the index")

// Evaluate answers a resolved query at a time (µs since the Unix epoch). If the
// index cannot answer it exactly, supported is false.
func (x *Index) Evaluate(ctx context.Context, q *measure.Query, now int64) (res measure.Result, supported bool, err error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	e := &query{x: x, q: q, ctx: ctx}
	res, err = e.answer(now)
	if errors.Is(err, errFacts) {
		return measure.Result{}, false, nil
	}
	return res, true, err
}

// query is one query under way.
type query struct {
	x     *Index
	q     *measure.Query
	ctx   context.Context
	f     measure.Frame
	span  measure.Span
	only  bitset.Set // nobody else is asked about; nil: everybody
	users bitset.Set // that exist and are in the audience
	sees  []bool     // by kind: Where lets it pass
}

// choose finds out what the query is about, its users last.
func (e *query) choose(now int64) (err error) {
	q := e.q
	if q.Bots || q.Internal || e.x.lost {
		return errFacts
	}
	if e.f, err = q.Frame(now); err != nil {
		return err
	}
	if e.span, err = e.f.Span(q.Range); err != nil {
		return err
	}
	if q.Live != nil {
		e.span = measure.Span{From: e.f.AsOf - int64(q.Live.Minutes)*60e6, To: e.f.AsOf}
	}
	if e.sees, err = e.kindsWhere(q.Where); err != nil {
		return err
	}
	e.users = e.existing()
	if e.only != nil {
		e.users.And(e.only)
	}
	if q.Audience != nil {
		e.users, err = e.audience(q.Audience, e.users)
	}
	return err
}

func (e *query) answer(now int64) (res measure.Result, err error) {
	q, none := e.q, measure.Result{}
	if err := e.choose(now); err != nil {
		return none, err
	}
	res = measure.Result{
		Kind: q.Kind(), From: e.span.From, To: e.span.To, AsOf: e.f.AsOf, Zone: e.f.Zone.String(),
		Excluded: measure.Excluded{Bots: e.x.excluded(0, e.span), Internal: e.x.excluded(1, e.span)},
	}
	switch q.Kind() {
	case measure.KindUsers:
		res.Users = e.page(q.Users)
	case measure.KindFunnel:
		res.Funnel, err = e.funnel(q.Funnel)
	case measure.KindRetention:
		res.Retention, err = e.retention(q.Retention)
	case measure.KindPaths:
		res.Paths, err = e.paths(q.Paths)
	case measure.KindBreakdown:
		res.Breakdown, err = e.breakdown(q.Breakdown)
	case measure.KindSeries:
		res.Series, err = e.series(q.Series)
	case measure.KindSessions:
		res.Sessions, err = e.sessions(q.Sessions)
	case measure.KindLive:
		res.Live, err = e.live(q.Live)
	default:
		err = errFacts
	}
	if err == nil {
		err = e.ctx.Err()
	}
	return res, err
}

// existing is the users that exist before as-of.
func (e *query) existing() bitset.Set {
	out := e.x.alive.Clone(len(e.x.ids))
	if e.f.AsOf > e.x.newest {
		return out
	}
	for u, at := range e.x.firstAt {
		if at >= e.f.AsOf && at != never {
			out.Remove(uint32(u))
		}
	}
	return out
}

func (x *Index) excluded(which int, in measure.Span) int64 {
	n := int64(0)
	for day, times := range x.aside[which] {
		if in.From <= day*dayMicros && (day+1)*dayMicros <= in.To {
			n += int64(len(times))
			continue
		}
		if (day+1)*dayMicros <= in.From || day*dayMicros >= in.To {
			continue
		}
		for _, t := range times {
			if in.Holds(t) {
				n++
			}
		}
	}
	return n
}

// kindsWhere tells per kind whether a condition holds.
func (e *query) kindsWhere(c condition.Condition) ([]bool, error) {
	for _, f := range condition.Fields(c) {
		if !e.x.knows(f) {
			return nil, errFacts
		}
	}
	p, err := condition.Compile(c, condition.ForEvent)
	if err != nil {
		return nil, err
	}
	free, named := len(condition.Fields(c)) == 0, onlyName(c)
	out := make([]bool, len(e.x.kinds))
	for code := 1; code < len(e.x.kinds); code++ {
		k := &e.x.kinds[code]
		if k.coarse && !named {
			return nil, errFacts
		}
		out[code] = free || p.Eval(&condition.Facts{Event: &k.sample})
	}
	return out, nil
}

// matching tells per kind whether a match, of what can be seen, takes it.
func (e *query) matching(m measure.Match, sees []bool) ([]bool, error) {
	out, err := e.kindsWhere(m.Where)
	if err != nil {
		return nil, err
	}
	name, known := uint32(0), true
	if m.Event != "" {
		name, known = e.x.names.find(m.Event)
	}
	for code := 1; code < len(out); code++ {
		k := &e.x.kinds[code]
		named := m.Event == "" && k.counts || m.Event != "" && known && k.name == name
		out[code] = out[code] && sees[code] && named
	}
	return out, nil
}

// counting tells per kind whether it counts as activity and can be seen.
func (e *query) counting(sees []bool) []bool {
	out := make([]bool, len(sees))
	for code := 1; code < len(out); code++ {
		out[code] = sees[code] && e.x.kinds[code].counts
	}
	return out
}

func (e *query) all() []bool {
	out := make([]bool, len(e.x.kinds))
	for i := range out {
		out[i] = true
	}
	return out
}

// walk visits the members of a set, in parallel; lists are those of them whose
// events are read. Each worker makes its own visitor, and what that gathered is
// joined afterwards, one worker at a time in no order.
func walk[T any](e *query, users, lists bitset.Set, begin func() (T, func(u uint32)), join func(T)) error {
	const chunk = 64 // words: 4,096 users
	workers := max(1, min(e.x.cfg.Workers, (len(users)+chunk-1)/chunk))
	gathered := make([]T, workers)
	var at atomic.Int64
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			state, visit := begin()
			for e.ctx.Err() == nil {
				from := int(at.Add(chunk)) - chunk
				if from >= len(users) {
					break
				}
				for i := from; i < min(from+chunk, len(users)); i++ {
					if lists != nil {
						e.approach(i, lists[i])
					}
					users.Each(i, i+1, visit)
				}
				// The writer and the gateway get their turn. Where all cores are at work, the
				// network is looked at only when one of them has nothing to do for a moment.
				if w > 0 && w == runtime.GOMAXPROCS(0)-1 {
					time.Sleep(gap)
				} else {
					runtime.Gosched()
				}
			}
			gathered[w] = state
		})
	}
	wg.Wait()
	if err := e.ctx.Err(); err != nil {
		return err
	}
	for _, g := range gathered {
		join(g)
	}
	return nil
}

// gap is how long a worker that takes the last core leaves it alone after each
// piece, which takes about ten times as long.
const gap = 50 * time.Microsecond

// approach reads a little of each list that is about to be visited: the processor
// fetches these side by side, and a visitor, who does much with each, would wait for
// one after the other.
//
//go:noinline
func (e *query) approach(i int, word uint64) (sum uint64) {
	for ; word != 0; word &= word - 1 {
		if list := e.x.events.At(uint32(i<<6 + bits.TrailingZeros64(word))); len(list) > 0 {
			sum += list[0] + list[len(list)-1]
		}
	}
	return sum
}

// before is the events of a user that happened before as-of. If all of them did,
// as is usual, a list's end is not looked at: of a million lists that is a wait
// for memory each, of what a walk reads from the start.
func (e *query) before(u uint32) []uint64 {
	list := e.x.events.At(u)
	if e.x.maxTime < e.f.AsOf {
		return list
	}
	if n := len(list); n > 0 && timeOf(list[n-1]) >= e.f.AsOf {
		return list[:from(list, e.f.AsOf)]
	}
	return list
}

// within is the events of a user in a span.
func (e *query) within(u uint32, in measure.Span) []uint64 {
	list := e.before(u)
	if n := len(list); n > 0 && timeOf(list[n-1]) >= in.To {
		list = list[:from(list, in.To)]
	}
	if len(list) > 0 && timeOf(list[0]) < in.From {
		list = list[from(list, in.From):]
	}
	return list
}

// page lists users in order of id.
func (e *query) page(p *measure.Users) *measure.UsersResult {
	res := &measure.UsersResult{Total: int64(e.users.Count())}
	if p.Limit == 0 {
		return res
	}
	// A heap would do with less, but a page is near the start for most.
	var ids []string
	cut := func() {
		slices.SortFunc(ids, strings.Compare)
		if len(ids) > p.Limit {
			ids, res.More = ids[:p.Limit], true
		}
	}
	e.users.Each(0, len(e.users), func(u uint32) {
		id := e.x.ids[u]
		if p.After != "" && id <= p.After {
			return
		}
		if res.More && id > ids[p.Limit-1] {
			return
		}
		if ids = append(ids, id); len(ids) >= 4*p.Limit+4096 {
			cut()
		}
	})
	cut()
	res.IDs = ids
	return res
}
