package sms_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/channel"
	"heed/internal/channel/sms/smstest"
)

// figures are the metrics of a channel, without their labels.
func figures(t *testing.T, r prometheus.Gatherer) map[string]float64 {
	t.Helper()
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			switch {
			case m.GetCounter() != nil:
				out[f.GetName()] += m.GetCounter().GetValue()
			case m.GetGauge() != nil:
				out[f.GetName()] += m.GetGauge().GetValue()
			case m.GetHistogram() != nil:
				out[f.GetName()] += float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return out
}

// A session is seen from outside: that it is there, how much is under way and waits,
// that it is throttled, and why it is not there any more.
func TestSessionIsWatched(t *testing.T) {
	c := smstest.Start(t)
	def := overSMPP(c)
	def.SMPP.Window = 1
	registry := prometheus.NewPedanticRegistry()
	w := newWorld(t, "", def)
	w.metrics = registry
	w.Channel = w.open("")
	w.run()
	c.Await("bind")
	until := func(what string, is func(map[string]float64, channel.Session) bool) {
		t.Helper()
		var got map[string]float64
		var session channel.Session
		for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			got = figures(t, registry)
			if all := w.Sessions(); len(all) == 1 {
				session = all[0]
			}
			if is(got, session) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %+v, %+v", what, got, session)
			}
		}
	}
	until("bound", func(m map[string]float64, s channel.Session) bool {
		return m["heed_smpp_bound"] == 1 && m["heed_smpp_binds_total"] == 1 && m["heed_smpp_window"] == 1 &&
			s.Bound && s.Channel == "texts" && s.Destination == fmt.Sprintf("127.0.0.1:%d", c.Port) && !s.Since.IsZero() && s.Reason == ""
	})
	if _, err := w.send(def, "d1", ada, "Hello"); err != nil {
		t.Fatal(err)
	}
	until("answered", func(m map[string]float64, _ channel.Session) bool {
		return m["heed_smpp_submit_seconds"] == 1 && m["heed_smpp_window_used"] == 0 && m["heed_smpp_waiting"] == 0
	})

	c.Do(map[string]any{"do": "behave", "submit": 0x58, "times": 1})
	if _, err := w.send(def, "d2", ada, "Hello"); err == nil {
		t.Error("it was not throttled")
	}
	until("throttled", func(m map[string]float64, _ channel.Session) bool { return m["heed_smpp_throttled_total"] == 1 })

	// One hangs, and the next waits for its place.
	c.Do(map[string]any{"do": "behave", "submit": "hang"})
	done := make(chan struct{}, 2)
	for _, id := range []string{"d3", "d4"} {
		go func() {
			_, _ = w.send(def, id, ada, "Hello")
			done <- struct{}{}
		}()
	}
	until("full", func(m map[string]float64, s channel.Session) bool {
		return m["heed_smpp_window_used"] == 1 && m["heed_smpp_waiting"] == 1 && s.InFlight == 1 && s.Waiting == 1 && s.Window == 1
	})
	c.Do(map[string]any{"do": "behave", "bind": 0x0e})
	c.Do(map[string]any{"do": "drop"})
	until("down", func(m map[string]float64, s channel.Session) bool {
		return m["heed_smpp_bound"] == 0 && m["heed_smpp_breaks_total"] >= 2 && !s.Bound && !s.Since.IsZero() && strings.Contains(s.Reason, "invalid password")
	})
	c.Do(map[string]any{"do": "behave"})
	<-done
	<-done
	until("up again", func(m map[string]float64, s channel.Session) bool { return m["heed_smpp_bound"] == 1 && s.Bound })

	bring(t, c, partOf(1, 1, 2, "ST"), 0)
	if m := figures(t, registry); m["heed_sms_long_texts"] != 1 {
		t.Errorf("%+v", m)
	}
}
