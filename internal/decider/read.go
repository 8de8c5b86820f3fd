package decider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"heed/internal/eventlog"
	"heed/internal/profile"
	"heed/internal/trigger"
	"heed/internal/userstate"
)

// TriggerProgress is how far users are with a trigger, over all partitions, as
// of their last commits.
type TriggerProgress struct {
	Trigger string
	// Steps[i] is the number of rows that have done i + 1 steps and wait for
	// the next one. With `by` a user may have several rows.
	Steps []int64
	// Fired counts the firings since the trigger's name came into being, Last
	// is the logical time of the latest one (µs, 0: none).
	Fired int64
	Last  int64
	// Refused counts what matched and did not fire, by trigger.Reason.
	Refused map[string]int64
}

// Progress is how far users are with every trigger in force, in order of name.
type Progress struct {
	Triggers   []TriggerProgress
	Partitions int // that are counted
}

// Progress tells it of the partitions that are this process's and in hand.
func (d *Decider) Progress() (out Progress) {
	byName := make(map[string]*TriggerProgress)
	revision := int64(-1)
	own := d.own()
	for _, w := range own {
		w.shared.mu.Lock()
		if w.shared.known() {
			revision = max(revision, w.shared.board.revision)
		}
		w.shared.mu.Unlock()
	}
	for _, w := range own {
		if w.shared.add(revision, byName) {
			out.Partitions++
		}
	}
	out.Triggers = make([]TriggerProgress, 0, len(byName))
	for _, p := range byName {
		out.Triggers = append(out.Triggers, *p)
	}
	slices.SortFunc(out.Triggers, func(a, b TriggerProgress) int { return cmp.Compare(a.Trigger, b.Trigger) })
	return out
}

// known tells whether the partition was opened since it became this process's. The
// caller holds the lock.
func (s *shared) known() bool { return s.rules != nil && !errors.Is(s.err, errStopped) }

// add sums the partition's counts up, unless it still decides by an older
// revision: it switches within moments.
func (s *shared) add(revision int64, byName map[string]*TriggerProgress) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.known() || s.board.revision != revision {
		return false
	}
	for i := range s.board.scores {
		from := &s.board.scores[i]
		p := byName[from.name]
		if p == nil {
			p = &TriggerProgress{Trigger: from.name, Steps: make([]int64, len(from.steps)), Refused: make(map[string]int64)}
			byName[from.name] = p
		}
		for k, n := range from.steps {
			if k < len(p.Steps) {
				// Rows that came back with an old pattern were never counted.
				p.Steps[k] += max(n, 0)
			}
		}
		p.Fired += from.fired
		p.Last = max(p.Last, from.last)
		for r, n := range from.refused {
			if n > 0 {
				p.Refused[trigger.Reason(r+1).String()] += n
			}
		}
	}
	return true
}

// Consumed tells, partition by partition, the offset of the stream of events
// behind the last one that is decided and committed; 0 for a partition that is
// not opened yet, or another process's. Retention must not remove what is at it or behind it.
func (d *Decider) Consumed(context.Context) ([]uint64, error) {
	out := make([]uint64, len(d.workers))
	for _, w := range d.own() {
		w.shared.mu.Lock()
		out[w.number] = w.shared.next
		w.shared.mu.Unlock()
	}
	return out, nil
}

// Next is the first offset that is not decided, of each partition that is this
// process's.
func (d *Decider) Next(context.Context) (map[int]uint64, error) {
	out := map[int]uint64{}
	for _, w := range d.own() {
		w.shared.mu.Lock()
		if w.shared.known() {
			out[w.number] = w.shared.next
		}
		w.shared.mu.Unlock()
	}
	return out, nil
}

// Telling is how many commits have made a session_start that is not in the log yet.
func (d *Decider) Telling() int {
	n := 0
	for _, w := range d.own() {
		n += w.sessions.starts.Pending()
	}
	return n
}

// Profile reads a user's hot profile; nil if the user was never seen.
func (d *Decider) Profile(ctx context.Context, user string) (*profile.Profile, error) {
	value, err := d.deps.State.Get(ctx, d.workerOf(user).number, userstate.Profile, user)
	if err != nil {
		return nil, fmt.Errorf("profile of %q: %w", user, err)
	}
	if value == nil {
		return nil, nil //nolint:nilnil // no user is no error
	}
	p, err := profile.Decode(value)
	if err != nil {
		return nil, fmt.Errorf("profile of %q: %w", user, err)
	}
	return p, nil
}

// Found is a user that a search found.
type Found struct {
	User    string
	Profile *profile.Profile
}

// SearchUsers lists users whose profile id starts with prefix, in order of id,
// at most limit.
func (d *Decider) SearchUsers(ctx context.Context, prefix string, limit int) ([]Found, error) {
	var rows []userstate.Row
	for _, w := range d.workers {
		some, err := d.deps.State.Scan(ctx, w.number, userstate.Profile, prefix, "", limit)
		if err != nil {
			return nil, fmt.Errorf("search users %q: %w", prefix, err)
		}
		rows = append(rows, some...)
	}
	slices.SortFunc(rows, func(a, b userstate.Row) int { return strings.Compare(a.User, b.User) })
	rows = rows[:min(len(rows), limit)]
	out := make([]Found, 0, len(rows))
	for _, r := range rows {
		p, err := profile.Decode(r.Value)
		if err != nil {
			return nil, fmt.Errorf("profile of %q: %w", r.User, err)
		}
		out = append(out, Found{User: r.User, Profile: p})
	}
	return out, nil
}

func (d *Decider) workerOf(user string) *worker {
	return d.workers[eventlog.PartitionOf(user, len(d.workers))]
}
