package decider

import "github.com/prometheus/client_golang/prometheus"

// idMetrics count what becomes of ids that are linked.
type idMetrics struct {
	parked, handedOver, forwarded, merged prometheus.Counter
	refused, overflow                     *prometheus.CounterVec
}

func newIDMetrics(counter func(name, help string) prometheus.Counter) idMetrics {
	vector := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}, []string{"reason"})
	}
	return idMetrics{
		parked:     counter("parked_total", "Events that were kept back until the hand-over of a linked id came."),
		handedOver: counter("handed_over_total", "Ids whose rows and profile were handed over to the user that they were linked to."),
		forwarded:  counter("forwarded_total", "Events of ids that had moved, given to their users."),
		merged:     counter("merged_total", "Ids that were merged into a user."),
		refused:    vector("links_refused_total", "Links of ids that were refused, by reason."),
		overflow:   vector("parked_overflow_total", "Waits for a hand-over that were given up: too many events or bytes, or too long."),
	}
}

func (m *idMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.parked, m.handedOver, m.forwarded, m.merged, m.refused, m.overflow}
}

func (m *idMetrics) report(t *idTally) {
	m.parked.Add(float64(t.parked))
	m.handedOver.Add(float64(t.handedOver))
	m.forwarded.Add(float64(t.forwarded))
	m.merged.Add(float64(t.merged))
	for reason, n := range t.refused {
		m.refused.WithLabelValues(reason).Add(float64(n))
	}
	for reason, n := range t.overflow {
		m.overflow.WithLabelValues(reason).Add(float64(n))
	}
}
