package decider

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/cespare/xxhash/v2"

	"heed/internal/condition"
	"heed/internal/definition"
	"heed/internal/event"
	"heed/internal/profile"
	"heed/internal/trigger"
	"heed/internal/userstate"
)

// Who a trigger with an audience is for. Of somebody who cannot begin it, events
// are discarded before any rows are read: the set of those who may be in the
// audience, or have rows of such a trigger, is kept per partition as a bitmap of
// hashes of user ids. A hash that two users share costs a look at the rows, no
// more. Nobody is ever missing: a set is made by going over what is committed,
// while everybody who joins meanwhile is noted; until that is done nothing is
// discarded.

// gating is what of a ruleset decides who is looked at.
type gating struct {
	gates   map[string][]trigger.Gate // by event name
	guarded []string                  // audiences of the gates
	print   [32]byte                  // equal: sets that were made for one serve the other
}

func gatingOf(set *trigger.Set, defs *definition.Set) gating {
	g := gating{gates: set.Gates()}
	if len(g.gates) == 0 {
		return g
	}
	sum := sha256.New()
	note := func(format string, args ...any) { sum.Write(fmt.Appendf(nil, format, args...)) }
	seen := make(map[string]bool)
	for _, p := range set.Programs() {
		for _, gates := range g.gates {
			for i := range gates {
				if gates[i].Program != p {
					continue
				}
				if name := gates[i].Audience; !seen[name] {
					seen[name] = true
					g.guarded = append(g.guarded, name)
				}
				note("%q %x %q\n", p.Name, p.Pattern, gates[i].Audience)
			}
		}
	}
	for _, name := range g.guarded {
		if a := defs.Audiences[name]; a != nil {
			profile, decided := a.Profile()
			where, err := json.Marshal(profile)
			note("%q %t %s %v\n", name, decided, where, err)
		}
	}
	sum.Sum(g.print[:0])
	return g
}

// crowds are users by audience, as hashes of their ids.
type crowds map[string]*roaring.Bitmap

func newCrowds(audiences []string) crowds {
	c := make(crowds, len(audiences))
	for _, name := range audiences {
		c[name] = roaring.New()
	}
	return c
}

func (c crowds) add(audience string, hash uint32) {
	if set := c[audience]; set != nil {
		set.Add(hash)
	}
}

func hashOf(user string) uint32 { return uint32(xxhash.Sum64String(user)) }

// targets is what a partition knows of who its triggers are for. All but done
// belongs to the worker.
type targets struct {
	print   [32]byte
	made    crowds // nil: not known
	joined  crowds // since the survey under way was ordered; nil: none is
	ordered int    // surveys so far
	next    int64  // by the clock, µs: when the next is ordered

	done atomic.Pointer[survey]
}

// survey is one way over the users of a partition.
type survey struct {
	worker *worker
	number int
	rules  *ruleset
	found  crowds
}

// forget drops what is known: somebody else may have decided meanwhile.
func (t *targets) forget() {
	t.made, t.joined, t.next = nil, nil, 0
	t.ordered++ // a survey under way does not count
}

// join notes that a user may begin what is for an audience now.
func (t *targets) join(audience, user string) {
	hash := hashOf(user)
	t.made.add(audience, hash)
	t.joined.add(audience, hash)
}

// joinAll notes that a user may be known to any trigger.
func (t *targets) joinAll(rules *ruleset, user string) {
	for _, name := range rules.guarded {
		t.join(name, user)
	}
}

// target takes a survey that is done, and orders one if it is time. It is called
// between batches: everybody who joined before is committed.
func (w *worker) target() {
	t := &w.targets
	if len(w.rules.gates) == 0 {
		t.forget()
		return
	}
	if t.print != w.rules.print {
		t.print, t.made, t.next = w.rules.print, nil, 0
	}
	if s := t.done.Swap(nil); s != nil && s.number == t.ordered && s.rules.print == t.print {
		for name, set := range s.found {
			if since := t.joined[name]; since != nil {
				set.Or(since)
			}
		}
		t.made, t.joined = s.found, nil
	}
	now := w.d.deps.Clock().UnixMicro()
	if now < t.next && t.next-now <= w.d.cfg.SurveyEvery.Microseconds() {
		return
	}
	s := &survey{worker: w, number: t.ordered + 1, rules: w.rules}
	select {
	case w.d.surveys <- s:
		t.ordered, t.joined = s.number, newCrowds(w.rules.guarded)
		t.next = now + w.d.cfg.SurveyEvery.Microseconds()
	default: // those before are not taken up yet
	}
}

// Of a survey: users that are read at once, and the rest that follows, so that it
// takes at most a few hundredths of a core.
const (
	surveyPage = 500
	surveyRest = 10 * time.Millisecond
)

// survey makes the surveys that are ordered.
func (d *Decider) survey(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case s := <-d.surveys:
			began := d.deps.Clock()
			err := s.make(ctx, d, surveyRest)
			if ctx.Err() != nil {
				return nil //nolint:nilerr // the error is that of the end
			}
			if err != nil {
				// Nothing is discarded until the next one.
				d.deps.Logger.Error("the users of a partition could not be gone over", "partition", s.worker.number, "error", err)
				continue
			}
			d.metrics.survey.Observe(d.deps.Clock().Sub(began).Seconds())
		}
	}
}

// make goes over profiles and rows.
func (s *survey) make(ctx context.Context, d *Decider, rest time.Duration) error {
	s.found = newCrowds(s.rules.guarded)
	err := s.scan(ctx, d, userstate.Profile, rest, func(user string, value []byte) {
		p, err := profile.Decode(value)
		if err != nil {
			s.all(user) // it is dealt with when it is read for an event
			return
		}
		facts := condition.Facts{Traits: p.AppendTraits(nil)}
		for name, set := range s.found {
			if s.rules.has(name, &facts) {
				set.Add(hashOf(user))
			}
		}
	})
	if err != nil {
		return err
	}
	err = s.scan(ctx, d, userstate.Members, rest, func(user string, value []byte) {
		ms, err := profile.DecodeMemberships(value)
		if err != nil {
			s.all(user)
			return
		}
		for _, m := range ms {
			s.found.add(m.Audience, hashOf(user))
		}
	})
	if err != nil {
		return err
	}
	var state trigger.State
	err = s.scan(ctx, d, userstate.Rows, rest, func(name string, value []byte) {
		var u user
		if u.setRows(value) != nil || s.rules.set.Decode(u.rows, &state) != nil {
			s.all(name)
			return
		}
		state.Knows(func(p *trigger.Program) { s.found.add(p.Audience(), hashOf(name)) })
	})
	if err != nil {
		return err
	}
	s.worker.targets.done.Store(s)
	return nil
}

func (s *survey) all(user string) {
	for _, set := range s.found {
		set.Add(hashOf(user))
	}
}

// scan visits every user with a value of that kind.
func (s *survey) scan(ctx context.Context, d *Decider, kind userstate.Kind, rest time.Duration, visit func(user string, value []byte)) error {
	pause := time.NewTimer(0)
	defer pause.Stop()
	for after := ""; ; {
		rows, err := d.deps.State.Scan(ctx, s.worker.number, kind, "", after, surveyPage)
		if err != nil {
			return fmt.Errorf("scan users: %w", err)
		}
		for i := range rows {
			visit(rows[i].User, rows[i].Value)
		}
		if len(rows) < surveyPage {
			return nil
		}
		after = rows[len(rows)-1].User
		pause.Reset(rest)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
		}
	}
}

// notedAgain is how much log time passes before a refusal of somebody outside the
// audience goes all the way again, so that explain knows of it.
const notedAgain = int64(24 * time.Hour / time.Microsecond)

// outside tells whether an event that triggers read means nothing since its
// user, u if in the cache, is none of those that they are for.
func (b *batch) outside(e *event.Event, u *user, logTime int64) bool {
	w := b.w
	gates := w.rules.gates[e.Name]
	if len(gates) == 0 || w.targets.made == nil || e.Type == event.Identify || e.Type == event.Alias ||
		u != nil && (u.reading || u.glance.Apart()) { // the profile, and who it is, may change within the batch
		return false
	}
	hash := hashOf(e.User())
	for i := range gates {
		if set := w.targets.made[gates[i].Audience]; set == nil || set.Contains(hash) {
			return false
		}
	}
	facts := condition.Facts{Event: e}
	if u != nil {
		facts.Traits = u.traits
	}
	for i := range gates {
		if !gates[i].Refuses(&facts) {
			continue
		}
		if u == nil || !u.known {
			return false
		}
		if logTime-u.refused >= notedAgain {
			u.refused = logTime
			return false
		}
	}
	for i := range gates {
		if gates[i].Refuses(&facts) {
			w.board.scores[w.rules.index[gates[i].Program]].refused[trigger.Outside-1]++
			b.counted.counts.Outside++
			b.changed = true
		}
	}
	b.counted.outside++
	return true
}

// joins notes who joined an audience by what a batch made of the profile.
func (b *batch) joins(u *user) {
	t := &b.w.targets
	if t.made == nil && t.joined == nil {
		return
	}
	facts := condition.Facts{Traits: u.traits}
	for _, name := range b.w.rules.guarded {
		if b.w.rules.has(name, &facts) {
			t.join(name, u.id)
		}
	}
}
