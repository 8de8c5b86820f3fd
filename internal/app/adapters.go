package app

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"heed/internal/analytics"
	"heed/internal/console/api"
	"heed/internal/console/explain"
	"heed/internal/console/sending"
	"heed/internal/console/trial"
	"heed/internal/decider"
	"heed/internal/definition"
	"heed/internal/demo"
	"heed/internal/demo/sample"
	"heed/internal/documents"
	"heed/internal/engager"
	"heed/internal/eventlog"
	"heed/internal/gateway"
	"heed/internal/measure"
	"heed/internal/profile"
	"heed/internal/userstate"
)

// profiles reads the Decider's profiles for the Engager.
type profiles struct {
	state      userstate.Store
	partitions int
}

// Profile is nil for a user that was never seen.
func (p profiles) Profile(ctx context.Context, user string) (*profile.Profile, error) {
	value, err := p.state.Get(ctx, eventlog.PartitionOf(user, p.partitions), userstate.Profile, user)
	if err != nil {
		return nil, fmt.Errorf("profile of %q: %w", user, err)
	}
	if value == nil {
		return nil, nil //nolint:nilnil // no user is no error
	}
	return profile.Decode(value)
}

// known tells whether a profile id is a user id rather than an anonymous one.
func (p profiles) known(ctx context.Context, user string) (bool, error) {
	who, err := p.Profile(ctx, user)
	return who != nil && who.UserID == user, err
}

// In tells whether the membership records have put the user into an audience.
func (p profiles) In(ctx context.Context, user, audience string) (bool, error) {
	names, err := profile.RecordedAudiences(user, func(of string) ([]byte, error) {
		return p.state.Get(ctx, eventlog.PartitionOf(user, p.partitions), userstate.Members, of)
	})
	return slices.Contains(names, audience), err
}

// progress shows the Decider's figures in the console, with the steps in words.
type progress struct {
	decider     *decider.Decider
	definitions interface{ Current() *definition.Set }
}

func (p progress) Progress(context.Context) ([]api.TriggerProgress, error) {
	set := p.definitions.Current()
	var out []api.TriggerProgress
	for _, t := range p.decider.Progress() {
		labels := stepLabels(set, t.Trigger)
		row := api.TriggerProgress{Trigger: t.Trigger, Firings: t.Fired, Steps: []api.StepProgress{}}
		for i, users := range t.Steps {
			row.Users += users
			row.Steps = append(row.Steps, api.StepProgress{Step: i + 1, Label: label(labels, i), Users: users})
		}
		out = append(out, row)
	}
	return out, nil
}

// stepLabels names each single step of a trigger: "win 2 of 3".
func stepLabels(set *definition.Set, name string) []string {
	t := set.AllTriggers()[name]
	if t == nil {
		return nil
	}
	var out []string
	for _, s := range t.Pattern {
		switch {
		case s.Absent != "":
			out = append(out, fmt.Sprintf("no %s for %s", s.Absent, s.For))
		case s.Idle > 0:
			out = append(out, fmt.Sprintf("nothing for %s", s.Idle))
		}
		of, many := s.Event, s.Times
		switch {
		case s.All != nil:
			names := make([]string, len(s.All))
			for i := range s.All {
				names[i] = s.All[i].Event
			}
			of, many = strings.Join(names, ", ")+" in any order:", len(names)
		case s.Distinct != "":
			of = "different " + s.Event
		case s.Event == "":
			continue
		}
		if many <= 1 {
			out = append(out, of)
			continue
		}
		for i := range many {
			out = append(out, fmt.Sprintf("%s %d of %d", of, i+1, many))
		}
	}
	return out
}

func label(labels []string, i int) string {
	if i >= 0 && i < len(labels) {
		return labels[i]
	}
	return fmt.Sprintf("step %d", i+1)
}

// sends lets the console order what the Engager sends.
type sends struct{ *engager.Engager }

func (s sends) SendOnce(ctx context.Context, campaign, id string, users []string) (at int64, of int, err error) {
	o, err := s.Engager.SendOnce(ctx, campaign, id, users)
	return o.At, o.Users, err
}

func (s sends) Ordered(ctx context.Context, campaign, id string) (at int64, of int, err error) {
	o, err := s.Engager.Ordered(ctx, campaign, id)
	return o.At, o.Users, err
}

// sender tells the console what the Engager would do, and has not finished.
type sender struct{ *engager.Engager }

func (s sender) Prospect(ctx context.Context, user, campaign string) (explain.Prospect, error) {
	p, err := s.Engager.Prospect(ctx, user, campaign)
	return explain.Prospect{Wait: p.Wait, Reason: p.Reason, Detail: p.Detail, Template: p.Template, Channel: p.Channel}, err
}

func (s sender) Waiting(ctx context.Context, user string) ([]explain.Waiting, error) {
	all, err := s.Engager.Waiting(ctx, user)
	out := make([]explain.Waiting, len(all))
	for i, w := range all {
		out[i] = explain.Waiting(w)
	}
	return out, err
}

// steering lets the console steer what the Engager does.
type steering struct{ sends }

func (s steering) Sending(ctx context.Context) (sending.Switch, error) {
	now, err := s.Engager.Sending(ctx)
	return sending.Switch(now), err
}

func (s steering) SetSending(ctx context.Context, stop bool, by string) (sending.Switch, error) {
	now, err := s.Engager.SetSending(ctx, stop, by)
	return sending.Switch(now), err
}

func (s steering) Schedules(ctx context.Context) ([]sending.Schedule, error) {
	all, err := s.Engager.Schedules(ctx)
	out := make([]sending.Schedule, len(all))
	for i := range all {
		out[i] = sending.Schedule(all[i])
	}
	return out, err
}

// measures answers what is asked about behavior, here and now; nil: this process
// does not know.
func (n *node) measures() *analytics.Measures {
	if n.facts == nil {
		return nil
	}
	return &analytics.Measures{Zone: n.cfg.Zone, WeekStart: n.cfg.WeekStart, Behavior: n.behavior, Facts: n.facts.store}
}

// knowsMembers tells whether this process knows who is in an audience, or may ask.
func (n *node) knowsMembers() bool { return n.facts != nil || n.away(RoleAnalytics) }

// members lists who is in one of the audiences now, or everybody.
func (n *node) members(ctx context.Context, audiences []string) ([]string, error) {
	q := &measure.Query{Audience: &measure.Audience{}}
	for _, name := range audiences {
		q.Audience.Any = append(q.Audience.Any, measure.Audience{Audience: name})
	}
	now := time.Now().UnixMicro()
	return measure.Everybody(q, func(q *measure.Query) (measure.Result, error) {
		if n.facts == nil {
			return farMeasures{n.peers}.Answer(ctx, q, nil, now)
		}
		return n.measures().Answer(ctx, q, n.audiences.Names(ctx), now)
	})
}

// tries lets the console try what is drafted.
type tries struct{ *engager.Engager }

func (t tries) Try(ctx context.Context, d *trial.Draft) (string, error) {
	return t.Engager.Try(ctx, &engager.Trial{Campaign: *d.Campaign, Templates: d.Templates, User: d.User, To: d.To, Event: d.Cause})
}

func (t tries) Tried(ctx context.Context, id string) (api.Trial, bool, error) {
	tried, known, err := t.Engager.Tried(ctx, id)
	out := api.Trial{
		Id: id, User: tried.User, Campaign: tried.Campaign, Done: tried.Done, Status: api.TrialStatus(tried.Status), Reason: string(tried.Reason),
		Detail: tried.Detail, Channel: tried.Channel, As: tried.As, Subject: tried.Subject, Body: tried.Body, Missing: tried.Missing,
	}
	if tried.Done {
		out.Sentence = tried.Reason.Sentence()
	}
	return out, known, err
}

// health tells how the process fares.
type health struct {
	node    *node
	version string
}

func (h health) Health(ctx context.Context) (api.Health, error) {
	n := h.node
	out := api.Health{
		AsOf: time.Now().UTC(), Status: api.HealthOK, Version: h.version, GoVersion: runtime.Version(), Shape: n.cfg.Shape,
		StartedAt: n.started.UTC(), Revision: n.catalog.Current().Revision, MemoryBytes: residentBytes(),
		Roles: []api.RoleHealth{}, Lags: []api.Lag{},
	}
	for _, p := range n.parts() {
		out.Roles = append(out.Roles, api.RoleHealth{Role: p.Name, Ready: p.Ready, Message: p.Message})
		if !p.Ready {
			out.Status = api.HealthDegraded
		}
	}
	if n.decider != nil {
		consumed, err := n.decider.Consumed(ctx)
		if err != nil {
			return out, fmt.Errorf("the decider's lag: %w", err)
		}
		for p, next := range consumed {
			if !n.decider.Has(p) {
				continue // another process tells
			}
			at, err := n.db.log.Bounds(ctx, eventlog.Events, p)
			if err != nil {
				return out, fmt.Errorf("the decider's lag: %w", err)
			}
			out.Lags = append(out.Lags, api.Lag{
				Role: RoleDecider, Stream: string(eventlog.Events), Partition: p, Events: int64(at.Next - min(next, at.Next)),
			})
		}
	}
	if err := n.factsHealth(ctx, &out); err != nil {
		return out, err
	}
	n.behaviorHealth(&out)
	n.othersHealth(ctx, &out)
	out.Disk = api.Disk{Path: n.cfg.DataDir}
	if db := n.db.embedded; db != nil {
		used, err := db.DiskUsage()
		if err != nil {
			return out, fmt.Errorf("disk usage: %w", err)
		}
		out.Disk.UsedBytes = int64(used)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(n.cfg.DataDir, &fs); err != nil {
		return out, fmt.Errorf("free disk space: %w", err)
	}
	out.Disk.FreeBytes = int64(fs.Bavail) * fs.Bsize
	if n.db.embedded != nil && out.Disk.FreeBytes < n.cfg.Store.Reserve {
		out.Disk.ReserveReached, out.Status = true, api.HealthDegraded
		out.Notes = append(out.Notes, "The disk reserve is reached: events are refused with 503 until there is space again.")
	}
	return out, nil
}

// residentBytes is the memory that the process occupies; where the system does
// not tell, what the Go runtime has mapped.
func residentBytes() int64 {
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		var size, resident int64
		if _, err := fmt.Sscan(string(text), &size, &resident); err == nil {
			return resident * int64(os.Getpagesize())
		}
	}
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// showcase is the demo's crowd and the sample history for the console.
type showcase struct {
	shop   *demo.Shop // nil without --demo
	sample *sample.Loader
	cfg    demo.Config
}

func (c showcase) LoadSample() { c.sample.Load() }

func (c showcase) Demo() api.Demo {
	p := c.sample.Progress()
	past := api.SampleHistory{Status: api.SampleHistoryStatus(p.Status), Done: p.Done, Of: p.Of, Users: p.Users}
	if c.shop == nil {
		return api.Demo{Sample: past}
	}
	state := api.Crowd{Users: c.cfg.CrowdSize}
	if state.Running, _ = c.shop.Crowd().Running(); state.Running {
		state.EventsPerSecond = c.cfg.CrowdRate
	}
	return api.Demo{
		Enabled: true,
		Crowd:   state,
		Sample:  past,
		Tour: []api.TourLink{
			{Title: "Open the shop", Href: "/shop/", Text: "Side by side with Live: win three times in a row, and see how long the pop-up took."},
			{Title: "See yourself", Href: "/live", Text: "Your events, your progress in triggers, and what you were sent."},
			{Title: "Ask why not", Href: "/users", Text: "Win, win, lose: your own page says why there was no pop-up."},
			{Title: "From a bar to a message", Href: "/explore", Text: "Medium-high, Acquisition month, a month, a funnel: click those who are stuck, write to them, and read it in the Outbox."},
			{Title: "See what a campaign was worth", Href: "/campaigns/" + sample.Campaign, Text: "It has ended, and held a tenth back: its lift, how sure that is, and why some got nothing."},
			{Title: "Change your mind", Href: "/triggers/three-wins", Text: "Two wins instead of three: the past beside it says whom that reaches. Save, and it fires."},
			{Title: "Kill it", Href: "/live", Text: "kill -9 the server between two wins and start it again: your progress is kept."},
		},
	}
}

func (c showcase) SetCrowd(_ context.Context, running bool) error {
	if running {
		c.shop.Crowd().Start()
	} else {
		c.shop.Crowd().Stop()
	}
	return nil
}

// trim removes what the log need not keep: by age and, if the log has outgrown
// its cap, by size.
func (n *node) trim(ctx context.Context) error {
	log := n.db.log
	// A rebuild of the rows must find every event of the longest live window.
	floor := time.Now().Add(-longestWindow(n.catalog.Current()))
	for _, s := range []eventlog.Stream{eventlog.Events, eventlog.Intents} {
		before := time.Now().Add(-n.cfg.Retention.Log.Duration())
		if limit := n.cfg.Retention.LogBytes; limit > 0 && n.db.embedded != nil {
			cut, ok, err := n.db.embedded.CutForSize(ctx, s, uint64(limit))
			if err != nil {
				return fmt.Errorf("size of %s: %w", s, err)
			}
			if ok && cut.After(before) {
				before = cut
			}
		}
		if before.After(floor) {
			before = floor
		}
		keep, err := n.consumed(ctx, s)
		if err != nil {
			return err
		}
		if err := log.Trim(ctx, s, before, keep); err != nil {
			return fmt.Errorf("trim %s: %w", s, err)
		}
	}
	return nil
}

// longestWindow is how far back a trigger may look.
func longestWindow(set *definition.Set) (longest time.Duration) {
	for _, t := range set.Triggers {
		window := t.Within.Duration() + t.Delay.Duration()
		for _, s := range t.Pattern {
			window += s.For.Duration() + s.Idle.Duration()
		}
		if t.Reentry != nil {
			window = max(window, t.Reentry.Cooldown.Duration())
		}
		longest = max(longest, window)
	}
	return longest
}

// consumed is how far the readers of a stream have come, partition by partition.
func (n *node) consumed(ctx context.Context, s eventlog.Stream) ([]uint64, error) {
	var consumers []func(context.Context) ([]uint64, error)
	switch {
	case s == eventlog.Events && n.decider != nil:
		consumers = append(consumers, n.decider.Consumed)
	case s == eventlog.Intents && n.engager != nil:
		consumers = append(consumers, n.engager.Consumed)
	}
	var keep []uint64
	for _, c := range consumers {
		at, err := c(ctx)
		if err != nil {
			return nil, err
		}
		if keep == nil {
			keep = slices.Clone(at)
		}
		for p := range keep {
			keep[p] = min(keep[p], at[p])
		}
	}
	if keep == nil { // nobody here reads it: keep what a role of a later start may need
		keep = make([]uint64, n.db.log.Partitions())
	}
	return keep, nil
}

// badEvents reads what the gateway refused from where it records it, so that
// the console shows it also when the gateway is another process.
type badEvents struct{ store documents.Store }

func (b badEvents) BadEvents(ctx context.Context, limit int) ([]api.BadEvent, error) {
	docs, err := b.store.List(ctx, documents.Query{Collection: gateway.BadEvents, Reverse: true, Limit: limit})
	if err != nil {
		return nil, fmt.Errorf("list bad events: %w", err)
	}
	out := []api.BadEvent{}
	for _, d := range docs {
		var e gateway.BadEvent
		if err := json.Unmarshal(d.Value, &e); err != nil {
			return nil, fmt.Errorf("bad event %q: %w", d.Key, err)
		}
		out = append(out, api.BadEvent{At: e.At, Source: e.Source, Reason: e.Reason, Sample: e.Event})
	}
	return out, nil
}
