package engager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"heed/internal/documents"
	"heed/internal/engager/order"
)

// CollectionSchedules keeps how far the schedule of a campaign was worked off:
// campaign -> scheduleState.
const CollectionSchedules = "schedules"

// A campaign on a schedule asks for its audiences at each run, and the run is an
// order (order.Desk) whose id is the time at which it was due: a crash makes the
// same one again. While a campaign is not live its runs are passed over. Of those
// that an outage kept from being made the latest is made up for within
// Config.ScheduleGrace; the others are counted as missed.

// scheduleState is what is kept of a schedule. Times are µs since the Unix epoch.
type scheduleState struct {
	Rule   string `json:"rule"`   // the expression and the zone that it is about
	Seen   int64  `json:"seen"`   // runs due until then were made, missed or passed over
	Last   int64  `json:"last"`   // the last run that was made was due then; 0: none was
	Users  int    `json:"users"`  // of the last run
	Missed int64  `json:"missed"` // runs, ever
}

// Schedule is how a campaign's schedule stands.
type Schedule struct {
	Campaign string
	Next     time.Time // zero: the campaign is not live
	Last     time.Time // when the last run was due; zero: there was none
	Users    int       // of the last run
	Missed   int64     // runs that an outage cost, ever
}

// Schedules tells of all campaigns that have one, by name.
func (e *Engager) Schedules(ctx context.Context) ([]Schedule, error) {
	var out []Schedule
	for name, c := range e.current().byName {
		if c.schedule == nil {
			continue
		}
		st, err := e.scheduleState(ctx, c)
		if err != nil {
			return nil, err
		}
		s := Schedule{Campaign: name, Users: st.Users, Missed: st.Missed}
		if st.Last > 0 {
			s.Last = time.UnixMicro(st.Last)
		}
		if c.live {
			s.Next = c.schedule.Next(time.UnixMicro(max(st.Seen, e.now()-e.cfg.ScheduleGrace.Microseconds())))
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Schedule) int { return strings.Compare(a.Campaign, b.Campaign) })
	return out, nil
}

// scheduleState reads it; of a rule that is new, nothing was due before now.
func (e *Engager) scheduleState(ctx context.Context, c *campaign) (s scheduleState, err error) {
	d, err := e.deps.Documents.Get(ctx, CollectionSchedules, c.name)
	if err == nil {
		err = json.Unmarshal(d.Value, &s)
	} else if errors.Is(err, documents.ErrNotFound) {
		err = nil
	}
	if err != nil {
		return s, fmt.Errorf("read the schedule of %s: %w", c.name, err)
	}
	if s.Rule != c.rule {
		s.Rule, s.Seen = c.rule, e.now()
	}
	return s, nil
}

// schedules makes the runs that are due until ctx ends.
func (e *Engager) schedules(ctx context.Context) {
	t := time.NewTicker(e.cfg.Poll)
	defer t.Stop()
	seen := map[string]scheduleState{} // as it was last written
	for {
		for name, c := range e.current().byName {
			if c.schedule == nil || c.err != nil {
				continue
			}
			if err := e.runDue(ctx, c, seen); err != nil && ctx.Err() == nil {
				e.metrics.storeErrors.Inc()
				e.log.Warn("a scheduled run could not be made yet", "campaign", name, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// runDue makes the run of a campaign that is due, if one is.
func (e *Engager) runDue(ctx context.Context, c *campaign, seen map[string]scheduleState) error {
	now := e.deps.Clock()
	before, known := seen[c.name]
	if !known || before.Rule != c.rule {
		var err error
		if before, err = e.scheduleState(ctx, c); err != nil {
			return err
		}
	}
	after := before
	due, latest := int64(0), time.Time{}
	for at := c.schedule.Next(time.UnixMicro(after.Seen)); !at.IsZero() && !at.After(now); at = c.schedule.Next(at) {
		due, latest = due+1, at
	}
	if due > 0 {
		after.Seen = latest.UnixMicro()
	}
	switch {
	case due == 0 && known && before.Rule == c.rule:
		return nil
	case due == 0 || !c.live:
	case now.Sub(latest) > e.cfg.ScheduleGrace:
		after.Missed += due
	default:
		after.Missed += due - 1
		users, err := e.run(ctx, c, latest)
		if err != nil {
			return err // again, until the grace is over
		}
		after.Last, after.Users = latest.UnixMicro(), users
	}
	if missed := after.Missed - before.Missed; missed > 0 {
		e.metrics.missedRuns.Add(float64(missed))
		e.log.Warn("runs of a schedule were missed", "campaign", c.name, "runs", missed)
	}
	value, err := json.Marshal(after)
	if err != nil {
		return fmt.Errorf("encode the schedule of %s: %w", c.name, err)
	}
	writes := []documents.Write{{Collection: CollectionSchedules, Key: c.name, Value: value, Expect: documents.Any}}
	if after.Last != before.Last && before.Last > 0 {
		// The order before it is not asked for any more, if all of it was made.
		id := runID(time.UnixMicro(before.Last))
		if o, err := e.Ordered(ctx, c.name, id); err == nil && o.ID != "" && o.Next == o.Pages {
			writes = append(writes, order.Gone(c.name, id))
		}
	}
	if err := e.deps.Documents.Apply(ctx, documents.Durable, writes...); err != nil {
		return fmt.Errorf("keep the schedule of %s: %w", c.name, err)
	}
	seen[c.name] = after
	return nil
}

// runID is the id of the order of a run.
func runID(due time.Time) string { return fmt.Sprintf("run-%d", due.Unix()) }

// run orders what is due, and tells for how many users.
func (e *Engager) run(ctx context.Context, c *campaign, due time.Time) (int, error) {
	if o, err := e.Ordered(ctx, c.name, runID(due)); err != nil || o.ID != "" {
		return o.Users, err // made before a crash
	}
	if e.deps.Members == nil {
		return 0, errors.New("this process does not know who is in an audience: it lacks the role analytics")
	}
	users, err := e.deps.Members(ctx, c.audiences)
	if err != nil || len(users) == 0 {
		return 0, err
	}
	o, err := e.SendOnce(ctx, c.name, runID(due), users)
	return o.Users, err
}
