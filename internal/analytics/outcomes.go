package analytics

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"heed/internal/console/api"
	"heed/internal/documents"
)

// Collection holds the counts of outcomes: one document per partition, written
// together with the offset behind the last event that they count, so that a
// restart neither loses nor doubles one.
const Collection = "analytics_outcomes"

// Bounds of what is counted in a partition: names come from definitions, but
// may be of any age.
const (
	maxCampaigns = 2000
	maxReasons   = 200 // of a campaign
)

// outcomes counts by campaign.
type outcomes map[string]*campaignCounts

type campaignCounts struct {
	// ByReason is keyed by status and reason, separated by a space.
	ByReason  map[string]int64 `json:"byReason,omitempty"`
	Shown     int64            `json:"shown,omitempty"`
	Clicked   int64            `json:"clicked,omitempty"`
	Dismissed int64            `json:"dismissed,omitempty"`
	// Feedback counts what came back, by status; what machines did as "machine "
	// and the status, and what settled an unknown outcome as "settled " and the
	// status too.
	Feedback map[string]int64 `json:"feedback,omitempty"`
	Tests    int64            `json:"tests,omitempty"`
	Since    int64            `json:"since,omitempty"` // µs, of the first outcome
}

// saved is the document of a partition.
type saved struct {
	Next     uint64   `json:"next"`
	Outcomes outcomes `json:"outcomes"`
}

func (o outcomes) add(d *api.Delivery, at int64) {
	c := o[d.Campaign]
	if c == nil {
		if len(o) >= maxCampaigns {
			return
		}
		c = &campaignCounts{ByReason: map[string]int64{}, Since: at}
		o[strings.Clone(d.Campaign)] = c
	}
	c.Since = min(c.Since, at)
	switch {
	case d.Status.Follows():
		c.follow(d)
	case d.Test:
		c.Tests++
	default:
		key := string(d.Status) + " " + d.Reason
		if _, ok := c.ByReason[key]; !ok && len(c.ByReason) >= maxReasons {
			key = string(d.Status) + " other"
		}
		if c.ByReason == nil {
			c.ByReason = map[string]int64{}
		}
		c.ByReason[key]++
	}
}

// follow counts what followed an outcome.
func (c *campaignCounts) follow(d *api.Delivery) {
	if d.Test {
		return
	}
	count := func(before string) {
		if c.Feedback == nil {
			c.Feedback = map[string]int64{}
		}
		c.Feedback[before+string(d.Status)]++
	}
	if d.Settles && !d.Machine {
		count(settled)
	}
	switch {
	case d.Machine:
		count(machine)
	case d.Status == api.StatusShown:
		c.Shown++
	case d.Status == api.StatusClicked:
		c.Clicked++
	case d.Status == api.StatusDismissed:
		c.Dismissed++
	default:
		count("")
	}
}

// machine stands before what a scanner or a proxy did, settled before what ended the
// doubt about an outcome.
const machine, settled = "machine ", "settled "

// Report adds the partitions' counts of a campaign up.
func (a *Analytics) Report(campaign string) api.CampaignReport {
	sum := map[string]int64{}
	var since int64
	r := api.CampaignReport{Campaign: campaign, AsOf: a.now().UTC(), Outcomes: []api.StatusCount{}}
	for _, s := range a.shards {
		s.mu.Lock()
		if c := s.outcomes[campaign]; c != nil {
			for key, n := range c.ByReason {
				sum[key] += n
			}
			r.Shown += c.Shown
			r.Clicked += c.Clicked
			r.Dismissed += c.Dismissed
			for into, key := range map[*int64]string{
				&r.Delivered: "delivered", &r.Bounced: "bounced", &r.Opened: "opened", &r.Complained: "complained",
				&r.Unsubscribed: "unsubscribed", &r.MachineOpened: machine + "opened", &r.MachineClicked: machine + "clicked",
			} {
				*into += c.Feedback[key]
			}
			r.UnknownArrived += c.Feedback[settled+"delivered"] + c.Feedback[settled+"shown"]
			r.UnknownBounced += c.Feedback[settled+"bounced"]
			r.Tests += c.Tests
			if since == 0 || c.Since < since {
				since = c.Since
			}
		}
		s.mu.Unlock()
	}
	r.Since = api.Time(since)
	for key, n := range sum {
		status, reason, _ := strings.Cut(key, " ")
		r.Activations += n
		if status == string(api.StatusSent) {
			r.Sent += n
		}
		r.Outcomes = append(r.Outcomes, api.StatusCount{Status: status, Reason: reason, Count: n})
	}
	slices.SortFunc(r.Outcomes, func(x, y api.StatusCount) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Status, y.Status), cmp.Compare(x.Reason, y.Reason))
	})
	return r
}

func shardKey(partition int) string { return fmt.Sprintf("%05d", partition) }

// restore reads the partition's counts.
func (s *shard) restore(ctx context.Context) error {
	d, err := s.a.deps.Documents.Get(ctx, Collection, shardKey(s.partition))
	if errors.Is(err, documents.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the counts of outcomes: %w", err)
	}
	was := saved{}
	if err := json.Unmarshal(d.Value, &was); err != nil {
		return fmt.Errorf("read the counts of outcomes: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next, s.outcomes = was.Next, was.Outcomes
	if s.outcomes == nil {
		s.outcomes = outcomes{}
	}
	return nil
}

// save writes the counts of the partitions that have moved.
func (a *Analytics) save(ctx context.Context) error {
	for _, s := range a.shards {
		if err := s.save(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *shard) save(ctx context.Context) error {
	s.mu.Lock()
	at := s.next
	if at == s.savedAt || !s.begun {
		s.mu.Unlock()
		return nil
	}
	value, err := json.Marshal(saved{Next: at, Outcomes: s.outcomes})
	s.mu.Unlock()
	if err != nil {
		return fmt.Errorf("save the counts of outcomes: %w", err)
	}
	// Relaxed: what power loss takes is counted again from the log.
	err = s.a.deps.Documents.Apply(ctx, documents.Relaxed, documents.Write{
		Collection: Collection, Key: shardKey(s.partition), Value: value, Expect: documents.Any,
	})
	if err != nil {
		return fmt.Errorf("save the counts of outcomes: %w", err)
	}
	s.mu.Lock()
	s.savedAt = at
	s.mu.Unlock()
	return nil
}
