package gateway

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	events   *prometheus.CounterVec
	refused  *prometheus.CounterVec
	append   prometheus.Histogram
	wait     prometheus.Histogram
	messages *prometheus.CounterVec
	slow     prometheus.Counter
	lost     prometheus.Counter
}

// counts are the counters of one source, looked up once.
type counts struct {
	accepted, duplicate, rejected prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, g *Gateway) (*metrics, error) {
	m := &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heed_gateway_events_total", Help: "Events by source and what became of them: accepted, duplicate (accepted before) or rejected.",
		}, []string{"source", "outcome"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heed_gateway_refused_requests_total", Help: "Requests that were refused as a whole, by status.",
		}, []string{"status"}),
		append: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "heed_gateway_append_seconds", Help: "Time until the events of a request were durable.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		wait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "heed_gateway_wait_seconds", Help: "Time that requests with ?wait= waited for their messages.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 12),
		}),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heed_gateway_messages_total", Help: "Messages handed to browsers, by way: stream, reply or slot.",
		}, []string{"way"}),
		slow: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "heed_gateway_slow_streams_total", Help: "Streams that were ended because the client did not read.",
		}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "heed_gateway_bad_events_unrecorded_total", Help: "Rejected events that are not in the record of bad events because it could not keep up.",
		}),
	}
	if reg == nil {
		return m, nil
	}
	streams := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "heed_gateway_streams", Help: "Open streams of messages.",
	}, func() float64 { return float64(g.streams.count()) })
	for _, c := range []prometheus.Collector{m.events, m.refused, m.append, m.wait, m.messages, m.slow, m.lost, streams} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) of(source string) counts {
	return counts{
		m.events.WithLabelValues(source, "accepted"),
		m.events.WithLabelValues(source, "duplicate"),
		m.events.WithLabelValues(source, "rejected"),
	}
}
