package decider

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what an operator watches. Counters grow when a batch is
// committed, so nothing is counted twice after a panic or a take-over.
type metrics struct {
	events    *prometheus.CounterVec
	discarded *prometheus.CounterVec
	survey    prometheus.Histogram
	firings   prometheus.Counter
	wakes     prometheus.Counter
	unmatched *prometheus.CounterVec
	poisoned  prometheus.Counter
	unpulled  prometheus.Counter
	corrupt   prometheus.Counter
	lost      prometheus.Counter
	ticks     prometheus.Counter
	sessions  prometheus.Counter
	evicted   prometheus.Counter
	reopened  prometheus.Counter
	leftOut   prometheus.Gauge
	ids       idMetrics
	commit    prometheus.Histogram
	batch     prometheus.Histogram
}

const (
	namespace = "heed"
	subsystem = "decider"
)

func newMetrics() *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help})
	}
	return &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "events_total", Help: "Events read from the log and committed.",
		}, []string{"partition"}),
		discarded: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "discarded_total",
			Help: "Events discarded before any rows are read: by name those that no trigger reads, by user those that are for others.",
		}, []string{"by"}),
		survey: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "survey_seconds",
			Help:    "Time of going over the users of a partition to see whom triggers with an audience are for.",
			Buckets: prometheus.ExponentialBuckets(10e-3, 4, 10),
		}),
		firings: counter("firings_total", "Intents committed."),
		wakes:   counter("wakes_total", "Users woken by a timer."),
		unmatched: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "unmatched_total",
			Help: "Events, rows and firings that did not count, by reason.",
		}, []string{"reason"}),
		unpulled: counter("unpulled_total", "Documents of the pull store that could not be read and counted as missing."),
		poisoned: counter("poisoned_total", "Events and timers that were skipped because they cannot be processed."),
		corrupt:  counter("corrupt_total", "Stored rows and profiles that could not be read."),
		lost:     counter("lost_total", "Events that retention removed before they were decided; on Kafka, records with up to 256 of them."),
		ticks:    counter("ticks_total", "Ticks appended to the log."),
		sessions: counter("sessions_total", "Sessions that began, told with a session_start of Heed."),
		evicted:  counter("sessions_evicted_total", "Users whose last activity was forgotten early for want of room (decider.session_users)."),
		reopened: counter("reopened_total", "Times a partition was opened again after an error."),
		ids:      newIDMetrics(counter),
		leftOut: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "definitions_left_out", Help: "Definitions in force that do not compile.",
		}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "commit_seconds", Help: "Time of a commit of user state.",
			Buckets: prometheus.ExponentialBuckets(50e-6, 2, 14),
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "batch_events", Help: "Events of a commit.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 8),
		}),
	}
}

func (m *metrics) register(r prometheus.Registerer, d *Decider) error {
	if r == nil {
		return nil
	}
	all := []prometheus.Collector{
		m.events, m.discarded, m.survey, m.firings, m.wakes, m.unmatched, m.poisoned, m.unpulled, m.corrupt, m.lost, m.ticks,
		m.sessions, m.evicted, m.reopened, m.leftOut, m.commit, m.batch,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "sessions_pending",
			Help: "Commits with a session_start that is not in the log yet.",
		}, func() float64 { return float64(d.Telling()) }),
	}
	for _, c := range append(all, m.ids.all()...) {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}

// report counts a committed batch.
func (b *batch) report() {
	m, t := b.w.metrics, &b.counted
	b.w.events.Add(float64(t.events))
	m.batch.Observe(float64(t.events))
	add := func(c prometheus.Counter, n int) {
		if n > 0 {
			c.Add(float64(n))
		}
	}
	add(m.discarded.WithLabelValues("name"), t.discarded)
	add(m.discarded.WithLabelValues("user"), t.outside)
	add(m.firings, len(b.intents))
	add(m.wakes, t.wakes)
	add(m.sessions, t.sessions)
	s := &b.w.sessions
	add(m.evicted, s.journal.Tracker.Evicted()-s.evicted)
	s.evicted = s.journal.Tracker.Evicted()
	add(m.poisoned, t.poisoned)
	add(m.corrupt, t.corrupt)
	m.ids.report(&t.ids)
	for _, c := range [...]struct {
		reason string
		n      int
	}{
		{"late", t.counts.Late},
		{"stale", t.counts.Stale},
		{"evicted", t.counts.Evicted},
		{"limit", t.counts.Limited},
		{"audience", t.counts.Outside},
		{"depth", t.counts.Deep},
		{"edited", t.counts.Dropped},
	} {
		if c.n > 0 {
			m.unmatched.WithLabelValues(c.reason).Add(float64(c.n))
		}
	}
}
