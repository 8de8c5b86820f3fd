package engager

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/policy"
)

// maxCampaignLabels bounds how many campaigns have metrics of their own; the
// others share the label "other".
const maxCampaignLabels = 200

type metrics struct {
	intents     prometheus.Counter
	activations *prometheus.CounterVec
	age         prometheus.Histogram
	send        *prometheus.HistogramVec
	retries     prometheus.Counter
	recovered   prometheus.Counter
	noEvent     prometheus.Counter
	noField     prometheus.Counter
	storeErrors prometheus.Counter
	trimmed     prometheus.Counter
	waits       *prometheus.CounterVec
	released    prometheus.Counter
	armsMet     prometheus.Counter
	missedRuns  prometheus.Counter
	reportBatch prometheus.Histogram

	mu        sync.RWMutex
	campaigns map[string]struct{}
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "heed_engager_" + name, Help: help})
	}
	m := &metrics{
		intents: counter("intents_total", "Intents read from the stream."),
		activations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heed_engager_activations_total", Help: "Activations that ended, by campaign, status and reason.",
		}, []string{"campaign", "status", "reason"}),
		age: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "heed_engager_age_seconds", Help: "From the firing of the trigger to the end of the activation.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}),
		send: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "heed_engager_send_seconds", Help: "Duration of an attempt to send, by type of channel.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}, []string{"channel"}),
		retries:     counter("retries_total", "Attempts that were put off because the channel could not be reached."),
		recovered:   counter("recovered_total", "Open activations that a restart found."),
		noEvent:     counter("event_gone_total", "Intents whose triggering event had left the log."),
		noField:     counter("missing_fields_total", "Fields that a template printed and that had no value."),
		storeErrors: counter("store_errors_total", "Operations of the stores that failed and were repeated."),
		trimmed:     counter("intents_trimmed_total", "Times that retention had removed intents before they were read."),
		waits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heed_engager_waits_total", Help: "Times that an activation was put off, by what it waits for.",
		}, []string{"for"}),
		released:   counter("released_total", "Waiting activations that were let go, to be decided on anew."),
		armsMet:    counter("arms_met_total", "Users who turned out to be two, of both arms of a campaign: they leave its analysis."),
		missedRuns: counter("missed_runs_total", "Scheduled runs that were not made up for after an outage."),
		reportBatch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "heed_engager_report_batch", Help: "Outcomes per write to the log.", Buckets: prometheus.ExponentialBuckets(1, 2, 11),
		}),
		campaigns: make(map[string]struct{}),
	}
	if r != nil {
		r.MustRegister(m.intents, m.activations, m.age, m.send, m.retries, m.recovered, m.noEvent, m.noField, m.storeErrors, m.trimmed, m.waits, m.released, m.armsMet, m.missedRuns, m.reportBatch)
	}
	return m
}

func (m *metrics) ended(campaign string, s Status, r policy.Reason, age time.Duration) {
	m.activations.WithLabelValues(m.label(campaign), string(s), string(r)).Inc()
	m.age.Observe(age.Seconds())
}

func (m *metrics) label(campaign string) string {
	m.mu.RLock()
	_, known := m.campaigns[campaign]
	full := len(m.campaigns) >= maxCampaignLabels
	m.mu.RUnlock()
	if known {
		return campaign
	}
	if full {
		return "other"
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.campaigns) >= maxCampaignLabels {
		return "other"
	}
	m.campaigns[campaign] = struct{}{}
	return campaign
}
