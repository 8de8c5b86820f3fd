package sms

import (
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/channel"
)

// Sessions implements channel.Connected.
func (c *Channel) Sessions() []channel.Session {
	s := &c.sessions
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]channel.Session, 0, len(s.byName))
	for name, r := range s.byName {
		f := r.client.Figures()
		out = append(out, channel.Session{
			Channel: name, Destination: net.JoinHostPort(r.config.Host, strconv.Itoa(r.config.Port)),
			Bound: f.Bound, Since: f.Since, Reason: f.Why, Window: f.Window, InFlight: f.InFlight, Waiting: f.Waiting, Throttled: f.Throttle,
		})
	}
	slices.SortFunc(out, func(x, y channel.Session) int { return strings.Compare(x.Channel, y.Channel) })
	return out
}

// collector reads the figures of the sessions when it is asked for.
type collector struct {
	channel *Channel
	bound, window, inFlight, waiting,
	binds, breaks, unanswered, throttled, long *prometheus.Desc
}

// watch registers what is counted; nil: nowhere.
func (c *Channel) watch(r prometheus.Registerer) {
	if r == nil {
		return
	}
	c.answered = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "heed_smpp_submit_seconds", Help: "From submitting a segment to the message centre's answer.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 14),
	}, []string{"channel"})
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	r.MustRegister(c.answered, &collector{
		channel:    c,
		bound:      desc("heed_smpp_bound", "1 while there is a session with the message centre.", "channel"),
		window:     desc("heed_smpp_window", "Submits that may wait for their answer.", "channel"),
		inFlight:   desc("heed_smpp_window_used", "Submits that wait for their answer.", "channel"),
		waiting:    desc("heed_smpp_waiting", "Submits that wait for a place in the window, or for the rate.", "channel"),
		binds:      desc("heed_smpp_binds_total", "Sessions that were begun.", "channel"),
		breaks:     desc("heed_smpp_breaks_total", "Sessions that broke, and attempts that came to none.", "channel"),
		unanswered: desc("heed_smpp_enquiries_unanswered_total", "Times that the message centre did not answer whether the line is alive.", "channel"),
		throttled:  desc("heed_smpp_throttled_total", "Submits that the message centre refused for being too many.", "channel"),
		long:       desc("heed_sms_long_texts", "Texts that people wrote of which parts are waited for, or were a moment ago."),
	})
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.bound, c.window, c.inFlight, c.waiting, c.binds, c.breaks, c.unanswered, c.throttled, c.long} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.MustNewConstMetric(c.long, prometheus.GaugeValue, float64(c.channel.long.Load()))
	s := &c.channel.sessions
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, r := range s.byName {
		f := r.client.Figures()
		bound := 0.0
		if f.Bound {
			bound = 1
		}
		for _, m := range []struct {
			desc  *prometheus.Desc
			kind  prometheus.ValueType
			value float64
		}{
			{c.bound, prometheus.GaugeValue, bound},
			{c.window, prometheus.GaugeValue, float64(f.Window)},
			{c.inFlight, prometheus.GaugeValue, float64(f.InFlight)},
			{c.waiting, prometheus.GaugeValue, float64(f.Waiting)},
			{c.binds, prometheus.CounterValue, float64(f.Binds)},
			{c.breaks, prometheus.CounterValue, float64(f.Breaks)},
			{c.unanswered, prometheus.CounterValue, float64(f.Unanswered)},
			{c.throttled, prometheus.CounterValue, float64(f.Throttled)},
		} {
			to <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value, name)
		}
	}
}
