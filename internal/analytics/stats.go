package analytics

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	"heed/internal/analytics/alerts"
	"heed/internal/console/api"
)

const (
	rateSeconds = 5
	minutes     = 60
	topNames    = 100
)

// series keeps what is counted as it was a moment ago. It advances about once
// a second.
type series struct {
	mu       sync.Mutex
	at       [rateSeconds + 1]time.Time
	totals   [rateSeconds + 1]int64
	names    [rateSeconds + 1]map[string]int64
	i        int // of the newest
	minute   int64
	perMin   [minutes]int64
	failures [minutes]int64
	channels map[string]*channelMinutes
	lastAll  int64
	lastFail int64
	stats    api.LiveStats
}

func (s *series) begin(now time.Time) {
	for i := range s.at {
		s.at[i] = now
	}
	s.minute, s.channels = now.Unix()/60, map[string]*channelMinutes{}
	s.stats = api.LiveStats{AsOf: now.UTC(), Since: now.UTC(), ByName: []api.NameCount{}, PerMinute: make([]int64, minutes)}
}

// counted is what the shards hold together.
type counted struct {
	events, other, failures int64
	newest, lag             int64
	users                   float64
	names                   map[string]tally
	channels                map[string]alerts.Minute
}

func (a *Analytics) add(now time.Time, users bool) counted {
	all := counted{names: map[string]tally{}, channels: map[string]alerts.Minute{}}
	for _, s := range a.shards {
		s.mu.Lock()
		all.events += s.events
		all.other += s.other
		all.failures += s.failures
		all.newest = max(all.newest, s.newest)
		all.lag = max(all.lag, s.lag)
		if users {
			all.users += s.users(now)
		}
		for name, t := range s.names {
			sum := all.names[name]
			all.names[name] = tally{sum.count + t.count, max(sum.last, t.last)}
		}
		for name, m := range s.channels {
			sum := all.channels[name]
			all.channels[name] = alerts.Minute{Sent: sum.Sent + m.Sent, Failed: sum.Failed + m.Failed}
		}
		s.mu.Unlock()
	}
	return all
}

// behind is how far the feed is behind the log, µs.
func (a *Analytics) behind() int64 {
	var lag int64
	for _, s := range a.shards {
		s.mu.Lock()
		lag = max(lag, s.lag)
		s.mu.Unlock()
	}
	return lag
}

// advance makes the figures of this second.
func (s *series) advance(a *Analytics) {
	now := a.now()
	all := a.add(now, true)
	s.mu.Lock()
	defer s.mu.Unlock()
	minute := now.Unix() / 60
	for ; s.minute < minute; s.minute++ {
		if minute-s.minute > minutes {
			s.minute = minute - minutes
		}
		s.perMin[(s.minute+1)%minutes], s.failures[(s.minute+1)%minutes] = 0, 0
		for _, c := range s.channels {
			c.perMin[(s.minute+1)%minutes] = alerts.Minute{}
		}
	}
	s.perMin[minute%minutes] += all.events - s.lastAll
	s.failures[minute%minutes] += all.failures - s.lastFail
	s.lastAll, s.lastFail = all.events, all.failures
	s.advanceChannels(all.channels, minute)

	s.i = (s.i + 1) % len(s.at)
	old := (s.i + 1) % len(s.at)
	s.at[s.i], s.totals[s.i] = now, all.events
	counts := make(map[string]int64, len(all.names))
	for name, t := range all.names {
		counts[name] = t.count
	}
	s.names[s.i] = counts
	seconds := max(1, now.Sub(s.at[old]).Seconds())

	stats := api.LiveStats{
		AsOf: now.UTC(), Since: a.since.UTC(), Events: all.events, OtherNames: all.other,
		EventsPerSecond: round(float64(all.events-s.totals[old]) / seconds),
		ActiveUsers:     int64(math.Round(all.users)),
		LastEventAt:     api.Time(all.newest), BehindMs: all.lag / 1000,
		ByName: make([]api.NameCount, 0, len(all.names)), PerMinute: make([]int64, 0, minutes),
	}
	for n := minute - minutes + 1; n <= minute; n++ {
		stats.PerMinute = append(stats.PerMinute, s.perMin[n%minutes])
		stats.Failures += s.failures[n%minutes]
	}
	for name, t := range all.names {
		stats.ByName = append(stats.ByName, api.NameCount{
			Name: name, Count: t.count, LastSeen: api.Time(t.last),
			PerSecond: round(float64(t.count-s.names[old][name]) / seconds),
		})
	}
	slices.SortFunc(stats.ByName, func(x, y api.NameCount) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Name, y.Name))
	})
	s.stats = stats
}

func round(v float64) float64 { return math.Round(v*10) / 10 }

// Stats are the figures of the last second.
func (a *Analytics) Stats() api.LiveStats {
	a.series.mu.Lock()
	stats := a.series.stats
	a.series.mu.Unlock()
	stats.ByName = slices.Clone(stats.ByName[:min(topNames, len(stats.ByName))])
	for _, n := range a.series.rest() {
		stats.OtherNames += n.Count
	}
	stats.Dropped = a.sampled.Load()
	return stats
}

// rest are the names beyond those that Stats lists.
func (s *series) rest() []api.NameCount {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats.ByName[min(topNames, len(s.stats.ByName)):]
}

// Names lists every name that was seen since the start, most frequent first.
func (a *Analytics) Names() []api.NameCount {
	a.series.mu.Lock()
	defer a.series.mu.Unlock()
	return slices.Clone(a.series.stats.ByName)
}
