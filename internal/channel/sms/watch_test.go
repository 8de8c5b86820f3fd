package sms_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"heed/internal/channel"
	"heed/internal/channel/outbox"
	"heed/internal/channel/sms"
	"heed/internal/channel/sms/smstest"
	"heed/internal/definition"
	"heed/internal/driver/servertest"
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

// A session is encrypted by whom the operator trusts; what is wrong with a certificate is
// told in words.
func TestPrivateAuthority(t *testing.T) {
	ca, keys := servertest.Certify(t)
	strangeCA, strangeKeys := servertest.Certify(t)
	guarded := smstest.Start(t, "SMPP_CERT="+ca, "SMPP_KEY="+keys)
	strict := smstest.Start(t, "SMPP_CERT="+ca, "SMPP_KEY="+keys, "SMPP_CA="+ca)
	over := func(c *smstest.Centre, trust definition.TLS) (*world, *definition.Channel) {
		def := overSMPP(c, func(d *definition.Channel) { d.SMPP.TLS, d.TLS = true, &trust })
		w := newWorld(t, "", def)
		w.run()
		return w, def
	}
	for c, trust := range map[*smstest.Centre]definition.TLS{
		guarded: {CA: ca},
		strict:  {CA: ca, Cert: ca, Key: keys},
	} {
		w, def := over(c, trust)
		if _, err := w.send(def, "d1", ada, "Hello"); err != nil {
			t.Error(err)
		}
		c.Await("submit")
	}
	refused := func(c *smstest.Centre, trust definition.TLS, why string) {
		t.Helper()
		w, _ := over(c, trust)
		for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) { // a line that is cut off may hide why, once
			told := w.Outages(w.now)
			if len(told) == 1 && strings.Contains(told[0].Reason, why) {
				return
			}
			if time.Now().After(deadline) {
				t.Errorf("%+v, want %q", told, why)
				return
			}
		}
	}
	refused(guarded, definition.TLS{}, "an authority that is not known here")
	refused(guarded, definition.TLS{CA: strangeCA}, "an authority that is not known here")
	refused(guarded, definition.TLS{CA: ca, ServerName: "smsc.example"}, "and not for smsc.example")
	refused(strict, definition.TLS{CA: ca}, "give tls.cert and tls.key")
	refused(strict, definition.TLS{CA: ca, Cert: strangeCA, Key: strangeKeys}, "") // it hangs up without a word
	refused(guarded, definition.TLS{CA: "/nowhere.pem"}, "tls.ca: open /nowhere.pem")
}

// What a local channel sends goes to the Outbox as it would have gone to a provider:
// checked, counted, and to a number in full.
func TestLocal(t *testing.T) {
	def := &definition.Channel{
		Name: "local-sms", Type: sms.Type, Local: true, SMS: &definition.SMS{Country: "DE", Limits: definition.SMSLimits{PerNumberPerDay: 1}},
	}
	w := newWorld(t, "", def)
	if r, err := w.send(def, "d1", "0151 12345678", "Hello <Ada>"); err != nil || !r.Fresh {
		t.Fatalf("%+v, %v", r, err)
	}
	caught, err := outbox.List(t.Context(), w.store, "", 10)
	if err != nil || len(caught) != 1 || caught[0].To != ada || caught[0].As != sms.Type || caught[0].Channel != "local-sms" || caught[0].Body != "Hello <Ada>" {
		t.Errorf("%+v, %v", caught, err)
	}
	for to, why := range map[string]string{"ada@shop.example": "not a number", ada: "1 messages a day"} {
		if _, err := w.send(def, "d2", to, "Hello"); failure(t, err).Class != channel.Permanent || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", to, err, why)
		}
	}
}
