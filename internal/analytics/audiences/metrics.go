package audiences

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	looks   *prometheus.CounterVec
	seconds prometheus.Counter
	changes *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer, behind func() time.Duration) (*metrics, error) {
	m := &metrics{
		looks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heed_audiences_evaluations_total", Help: "Looks at who is in an audience, by what came of them: changed, same, failed.",
		}, []string{"result"}),
		seconds: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "heed_audiences_evaluation_seconds_total", Help: "Time that looks at audiences took, without waiting for what they write.",
		}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "heed_audiences_changes_total", Help: "Users who came into an audience or went: entered and left, with an event; added and removed, without.",
		}, []string{"change"}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{
		m.looks, m.seconds, m.changes,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "heed_audiences_behind_seconds", Help: "For how long the audience that waits most to be looked at has been as it was.",
		}, func() float64 { return behind().Seconds() }),
	} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
