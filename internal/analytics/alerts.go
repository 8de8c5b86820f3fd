package analytics

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"heed/internal/analytics/alerts"
	"heed/internal/channel"
	"heed/internal/condition"
	"heed/internal/console/api"
	"heed/internal/definition"
	"heed/internal/measure"
)

// Bounds of what is looked at.
const (
	maxChannels   = 200 // of a partition
	refusedLooked = 1000
	maxOutages    = 20 // that are told
	// alertsEvery is how long an answer is given again.
	alertsEvery = 10 * time.Second
)

// channelMinutes are the outcomes of a channel by minute, as series.perMin.
type channelMinutes struct {
	was    alerts.Minute // in all, a moment ago
	perMin [minutes]alerts.Minute
}

// sending counts what came of a message; the shard's lock is held.
func (s *shard) sending(d *api.Delivery) {
	m, ok := s.channels[d.Channel]
	if !ok && len(s.channels) >= maxChannels {
		return
	}
	switch {
	case d.Test:
		return
	case d.Status == api.StatusSent:
		m.Sent++
	case d.Status == api.StatusFailed:
		m.Failed++
	default:
		return
	}
	s.channels[d.Channel] = m
}

// advanceChannels takes over what was counted since the last time; the lock of
// the series is held, and minutes that have passed are empty.
func (s *series) advanceChannels(all map[string]alerts.Minute, minute int64) {
	for name, sum := range all {
		c := s.channels[name]
		if c == nil {
			c = &channelMinutes{}
			s.channels[name] = c
		}
		m := &c.perMin[minute%minutes]
		m.Sent += sum.Sent - c.was.Sent
		m.Failed += sum.Failed - c.was.Failed
		c.was = sum
	}
}

// sendings are the last minutes of each channel, the current one last.
func (a *Analytics) sendings() map[string][]alerts.Minute {
	s := &a.series
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string][]alerts.Minute{}
	for name, c := range s.channels {
		for n := s.minute - alerts.FailingMinutes + 1; n <= s.minute; n++ {
			out[name] = append(out[name], c.perMin[n%minutes])
		}
	}
	return out
}

// Alerts tells what is out of the ordinary. Its methods may be called
// concurrently; the fields are set before.
type Alerts struct {
	// Live counts what this process saw.
	Live *Analytics
	// Measures knows how events came on the days before; nil: silence is not noticed.
	Measures *Measures
	// BadEvents lists what the collector refused, newest first.
	BadEvents interface {
		BadEvents(ctx context.Context, limit int) ([]api.BadEvent, error)
	}
	Definitions interface{ Current() *definition.Set }
	// Outages are the destinations that fail now; nil: this process sends nothing.
	Outages func(now time.Time) []channel.Outage
	Clock   func() time.Time

	mu   sync.Mutex
	last api.AlertList
}

// Alerts answers as of a moment ago; of destinations, as of now.
func (a *Alerts) Alerts(ctx context.Context) (api.AlertList, error) {
	now := a.Clock()
	list, err := a.compared(ctx, now)
	if err == nil {
		var failing []channel.Outage
		if a.Outages != nil {
			failing = a.Outages(now)
		}
		list.Alerts = append(OutageAlerts(failing, now), list.Alerts...)
	}
	return list, err
}

// compared is what differs from its own past.
func (a *Alerts) compared(ctx context.Context, now time.Time) (api.AlertList, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.last.AsOf.IsZero() && now.Sub(a.last.AsOf) < alertsEvery {
		return a.last, nil
	}
	out := api.AlertList{AsOf: now.UTC(), Alerts: a.channels(now)}
	refused, err := a.refused(ctx, now)
	if err != nil {
		return api.AlertList{}, err
	}
	out.Alerts = append(out.Alerts, refused...)
	silent, err := a.silent(ctx, now)
	if err != nil {
		if ctx.Err() != nil {
			return api.AlertList{}, err
		}
		out.Notes = append(out.Notes, fmt.Sprintf("Whether key events fell silent is not known: %v. It is looked at again by itself; Health says how analysis fares.", err))
	}
	out.Alerts = append(out.Alerts, silent...)
	a.last = out
	return out, nil
}

// OutageAlerts says of destinations that they fail.
func OutageAlerts(failing []channel.Outage, now time.Time) []api.Alert {
	out := []api.Alert{}
	for _, o := range failing {
		out = append(out, api.Alert{
			Kind: api.DestinationFailing, Subject: o.Channel + " " + o.Destination, Since: o.Since.UTC(), Count: int64(o.Failures),
			WindowSeconds: int(now.Sub(o.Since).Seconds()),
			Title:         fmt.Sprintf("%s, where channel %s sends to, fails", o.Destination, o.Channel),
			Detail: fmt.Sprintf("%d attempts in a row failed, the last one with: %s. It is left alone for a while and then tried again; what is for it waits.",
				o.Failures, strings.TrimSuffix(o.Reason, ".")),
			Advice: "See whether it is up and whether the channel's address and account are right; pause the campaigns that send over it if it lasts.",
			Href:   "/channels/" + url.PathEscape(o.Channel),
		})
	}
	slices.SortFunc(out, func(x, y api.Alert) int {
		return cmp.Or(strings.Compare(x.Subject, y.Subject), x.Since.Compare(y.Since))
	})
	out = slices.CompactFunc(out, func(x, y api.Alert) bool { return x.Subject == y.Subject }) // addresses on one host
	return out[:min(len(out), maxOutages)]
}

func (a *Alerts) channels(now time.Time) []api.Alert {
	out := []api.Alert{}
	for name, minutes := range a.Live.sendings() {
		f, failing := alerts.Failing(minutes, now.UnixMicro())
		if !failing {
			continue
		}
		of := f.Failed + f.Sent
		alert := api.Alert{
			Kind: api.ChannelFailing, Subject: name, Since: api.Time(f.Since), Count: f.Failed, Of: of, WindowSeconds: alerts.FailingMinutes * 60,
			Title:  fmt.Sprintf("Channel %s fails", name),
			Detail: fmt.Sprintf("%d of %d messages failed in the last %d minutes.", f.Failed, of, alerts.FailingMinutes),
			Advice: "Look at what the failed deliveries say, and at the provider's status; pause the campaigns that send over it if it lasts.",
			Href:   "/live",
		}
		if d := a.Live.lastFailure(name); d != nil {
			alert.Detail += " The last one: " + d.Reason + "."
			if d.Campaign != "" {
				alert.Href = "/campaigns/" + d.Campaign + "?status=failed"
			}
		}
		out = append(out, alert)
	}
	slices.SortFunc(out, func(x, y api.Alert) int { return strings.Compare(x.Subject, y.Subject) })
	return out
}

// lastFailure is the newest failed delivery of a channel, nil if none is kept.
func (a *Analytics) lastFailure(channel string) *api.Delivery {
	failed, _, _ := a.deliveries.since(0, func(d *seenDelivery) bool { return d.Channel == channel && d.Status == api.StatusFailed })
	if len(failed) == 0 {
		return nil
	}
	return &failed[len(failed)-1]
}

func (a *Alerts) refused(ctx context.Context, now time.Time) ([]api.Alert, error) {
	events, err := a.BadEvents.BadEvents(ctx, refusedLooked)
	if err != nil {
		return nil, fmt.Errorf("look at refused events: %w", err)
	}
	times := make([]int64, len(events))
	for i := range events {
		times[i] = events[i].At.UnixMicro()
	}
	jump, jumped := alerts.Refused(times, len(events) < refusedLooked, now.UnixMicro())
	if !jumped {
		return nil, nil
	}
	why, source, n := mostRefused(events[:jump.Count])
	return []api.Alert{{
		Kind: api.BadEventsJump, Since: api.Time(jump.Since), Count: jump.Count, Usual: round(jump.Usual), WindowSeconds: int(alerts.RefusedWindow.Seconds()),
		Title: "Many events are refused",
		Detail: fmt.Sprintf("%d were refused in the last %d minutes, usual are %.4g. %d of them, from source %s: %s.",
			jump.Count, int(alerts.RefusedWindow.Minutes()), round(jump.Usual), n, cmp.Or(source, "unknown"), why),
		Advice: "See what came and why it was refused, and repair the client that sends it: what is refused is not kept.",
		Href:   "/data/events",
	}}, nil
}

// mostRefused is the most frequent reason and its source.
func mostRefused(events []api.BadEvent) (reason, source string, n int) {
	type cause struct{ reason, source string }
	counts := map[cause]int{}
	for _, e := range events {
		c := cause{e.Reason, e.Source}
		if counts[c]++; counts[c] > n {
			reason, source, n = c.reason, c.source, counts[c]
		}
	}
	return reason, source, n
}

// silent looks at how the key events came in the hours of the last days. What
// was imported says nothing about when events come.
func (a *Alerts) silent(ctx context.Context, now time.Time) ([]api.Alert, error) {
	set := a.Definitions.Current()
	var names []string
	for name, e := range set.Events {
		if e.Key {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if a.Measures == nil || len(names) == 0 {
		return nil, nil
	}
	last := map[string]int64{}
	for _, n := range a.Live.Names() {
		last[n.Name] = n.LastSeen.UnixMicro()
	}
	from := now.UTC().Truncate(time.Hour).Add(-(alerts.BaselineDays + 1) * 24 * time.Hour)
	var out []api.Alert
	for some := range slices.Chunk(names, measure.MaxMatches) {
		q := &measure.Query{
			Range: measure.Range{From: from.Format(time.RFC3339)}, Zone: "UTC",
			Where:  condition.Condition{Field: "context.historical", Op: condition.Ne, Value: true},
			Series: &measure.Series{Count: measure.CountEvents, Per: measure.Hour},
		}
		for _, name := range some {
			q.Series.Of = append(q.Series.Of, measure.Match{Event: name})
		}
		res, err := a.Measures.Answer(ctx, q, set, now.UnixMicro())
		if err != nil {
			return nil, err
		}
		for i, name := range some {
			h := alerts.History{From: from.UnixMicro(), Last: last[name]}
			for _, n := range res.Series.Lines[i].Points {
				h.Hours = append(h.Hours, int64(n))
			}
			s, silent := alerts.Silent(&h, now.UnixMicro())
			if !silent {
				continue
			}
			out = append(out, api.Alert{
				Kind: api.EventSilent, Subject: name, Since: api.Time(s.Since), Usual: round(s.Missed), WindowSeconds: int((now.UnixMicro() - s.Since) / 1e6),
				Title:  fmt.Sprintf("No %s any more", name),
				Detail: fmt.Sprintf("None has come since then, where about %.0f are usual at these hours.", s.Missed),
				Advice: "See whether the page or app still sends it: a release may have taken it out, or people cannot get that far.",
				Href:   trendOf(name),
			})
		}
	}
	return out, nil
}

// trendOf is the page of how often an event came.
func trendOf(event string) string {
	trend, _ := json.Marshal(map[string]any{"events": []string{event}, "count": measure.CountEvents}) // texts have a JSON form
	return "/explore?" + url.Values{"view": {"trend"}, "trend": {string(trend)}, "range": {`{"last":"8d"}`}}.Encode()
}
