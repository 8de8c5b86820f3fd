package backtest

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"heed/internal/event"
	"heed/internal/trigger"
)

// tally is what a run comes to. Figures are kept by level of the user, so
// that those of users who are left out later can be taken away again.
type tally struct {
	levels   [levels]figures
	fired    map[string]*fired
	bytes    int64 // of fired, about
	counts   Counts
	examples []Example // the newest, in no order
}

type figures struct {
	firings int64
	days    map[int64]int64 // by number of the day
	refused Refused
	outcome Outcome
}

// fired is a user with a firing.
type fired struct {
	counts   bool // within the range
	received bool
	sent     []int64 // what the cap may still count, oldest first
}

const firedBytes = 120

func newTally() tally { return tally{fired: make(map[string]*fired)} }

// take counts what an event or a timer did.
func (r *run) take(user string, _ *event.Event, traits []byte, out *trigger.Result) {
	t := &r.tally
	f := &t.levels[levelOf(user)]
	t.counts.Late += int64(out.Counts.Late)
	t.counts.Evicted += int64(out.Counts.Evicted)
	t.counts.Deep += int64(out.Counts.Deep)
	for i := range out.Refusals {
		no := &out.Refusals[i]
		if no.At < r.from {
			continue
		}
		switch no.Reason {
		case trigger.Limited:
			f.refused.Limit++
		case trigger.Outside:
			f.refused.Audience++
		case trigger.Canceled:
			f.refused.Cancelled++
		default: // counted elsewhere, or what only matters live
		}
	}
	for i := range out.Firings {
		r.fire(f, user, traits, &out.Firings[i])
	}
}

func (r *run) fire(f *figures, user string, traits []byte, fire *trigger.Firing) {
	t := &r.tally
	counts := fire.At >= r.from
	if !counts && r.req.Campaign == nil {
		return
	}
	who := t.fired[user]
	if who == nil {
		who = &fired{}
		t.fired[strings.Clone(user)] = who
		t.bytes += firedBytes + int64(len(user))
	}
	r.outcome(f, who, user, traits, fire.At)
	if !counts {
		return
	}
	who.counts = true
	f.firings++
	r.firings.Add(1)
	if f.days == nil {
		f.days = make(map[int64]int64)
	}
	f.days[floor(fire.At, day)]++
	t.example(r, user, fire)
}

// outcome asks the campaign, in its own order: audience, holdout, cap.
func (r *run) outcome(f *figures, who *fired, user string, traits []byte, at int64) {
	c := r.req.Campaign
	if c == nil {
		return
	}
	o := &f.outcome
	if at < r.from {
		o = &Outcome{} // the warm-up fills the caps alone
	}
	in := len(c.Who) == 0 || slices.ContainsFunc(c.Who, func(name string) bool { return r.inAudience(user, name, traits) })
	switch {
	case !in:
		o.Audience++
		return
	case c.Holdout > 0 && r.b.deps.HeldOut != nil && r.b.deps.HeldOut(c.Name, user, c.Holdout):
		o.Holdout++
		return
	}
	if c.Cap != nil {
		per := c.Cap.Per.Micros()
		before := cap(who.sent)
		for len(who.sent) > 0 && at-who.sent[0] >= per {
			who.sent = who.sent[1:]
		}
		if len(who.sent) >= c.Cap.Count {
			o.Cap++
			return
		}
		who.sent = append(who.sent, at)
		r.tally.bytes += 8 * int64(cap(who.sent)-before)
	}
	o.Sends++
	if at >= r.from && !who.received {
		who.received = true
	}
}

// example keeps the firing if it is among the newest.
func (t *tally) example(r *run, user string, f *trigger.Firing) {
	if r.req.Examples == 0 {
		return
	}
	oldest := -1
	if len(t.examples) >= r.req.Examples {
		oldest = 0
		for i := range t.examples {
			if newer(&t.examples[i], &t.examples[oldest]) > 0 {
				oldest = i
			}
		}
		if f.At < t.examples[oldest].At {
			return
		}
	}
	back, _ := r.prog.Reach()
	partition, offset := event.PlaceOf(0, f.Offset)
	e := Example{
		User: strings.Clone(user), Key: strings.Clone(f.Key), At: f.At, FireID: f.FireID, Timer: f.Timer,
		Partition: partition, Offset: offset, Since: f.At - back,
	}
	if oldest < 0 {
		t.examples = append(t.examples, e)
	} else if newer(&e, &t.examples[oldest]) < 0 {
		t.examples[oldest] = e
	}
}

// newer orders the newest first, ties by fire id.
func newer(a, b *Example) int {
	return cmp.Or(cmp.Compare(b.At, a.At), bytes.Compare(a.FireID[:], b.FireID[:]))
}

// keep takes away the users below the level.
func (t *tally) keep(level int32) {
	for user, who := range t.fired {
		if levelOf(user) < level {
			t.bytes -= firedBytes + int64(len(user)+8*cap(who.sent))
			delete(t.fired, user)
		}
	}
	t.examples = slices.DeleteFunc(t.examples, func(e Example) bool { return levelOf(e.User) < level })
}

// floor is n divided by unit, rounded down.
func floor(n, unit int64) int64 {
	q := n / unit
	if n%unit < 0 {
		q--
	}
	return q
}

// result adds the levels up, and scales if users or time were left out.
func (r *run) result() *Result {
	halved := float64(int64(1) << r.level)
	share := r.share / halved
	t := &r.tally
	res := &Result{
		From: r.asked, Until: r.now, LogFrom: r.logFrom, WarmedFrom: r.begin, Short: r.short,
		Share: share, Profiles: r.profiles, Pulls: asks(r.req.Trigger, "pull."), Sampled: r.level > 0,
		Counts: t.counts, Examples: t.examples,
	}
	days := map[int64]int64{}
	var outcome Outcome
	for i := r.level; i < levels; i++ {
		f := &t.levels[i]
		res.Firings += f.firings
		for d, n := range f.days {
			days[d] += n
		}
		res.Refused.add(f.refused)
		outcome.add(f.outcome)
	}
	for _, who := range t.fired {
		if who.counts {
			res.Users++
		}
		if who.received {
			outcome.Recipients++
		}
	}
	slices.SortFunc(res.Examples, func(a, b Example) int { return newer(&a, &b) })
	res.Examples = res.Examples[:min(len(res.Examples), r.req.Examples)]
	if r.req.Campaign != nil {
		res.Campaign = &outcome
	}
	for d := floor(r.asked, day); d <= floor(r.now-1, day) && r.from == r.asked; d++ {
		res.Days = append(res.Days, Day{Day: d * day, Firings: days[d]})
	}
	if share < 1 {
		res.scale(share, r.users/halved)
	}
	return res
}

// scale makes the figures those of all users and the whole time. How many users
// more than those of the time that was read there are, nobody knows: they are
// scaled by the share of the users alone.
func (r *Result) scale(share, users float64) {
	up := func(share float64, ns ...*int64) {
		for _, n := range ns {
			*n = int64(float64(*n)/share + 0.5)
		}
	}
	up(share, &r.Firings, &r.Refused.Limit, &r.Refused.Audience, &r.Refused.Cancelled)
	up(users, &r.Users)
	for i := range r.Days {
		up(share, &r.Days[i].Firings)
	}
	if c := r.Campaign; c != nil {
		up(share, &c.Audience, &c.Holdout, &c.Cap)
		c.Sends = max(0, r.Firings-c.Audience-c.Holdout-c.Cap)
		up(users, &c.Recipients)
	}
}

func (r *Refused) add(o Refused) {
	r.Limit += o.Limit
	r.Audience += o.Audience
	r.Cancelled += o.Cancelled
}

func (o *Outcome) add(b Outcome) {
	o.Audience += b.Audience
	o.Holdout += b.Holdout
	o.Cap += b.Cap
	o.Sends += b.Sends
}
