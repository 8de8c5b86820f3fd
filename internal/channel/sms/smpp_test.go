package sms_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"heed/internal/channel"
	"heed/internal/channel/sms"
	"heed/internal/channel/sms/smstest"
	"heed/internal/definition"
)

const ada = "+4915112345678"

// overSMPP defines a channel at a message centre.
func overSMPP(c *smstest.Centre, change ...func(*definition.Channel)) *definition.Channel {
	def := &definition.Channel{
		Name: "texts", Type: sms.Type, SMS: &definition.SMS{Country: "DE"},
		SMPP: &definition.SMPP{Host: "127.0.0.1", Port: c.Port, SystemID: "heed", Password: "s3cret", Sender: "Heed"},
	}
	for _, f := range change {
		f(def)
	}
	return def
}

func TestSubmit(t *testing.T) {
	c := smstest.Start(t)
	def := overSMPP(c)
	w := newWorld(t, "", def)
	stop := w.run()
	if e := c.Await("bind"); e.System != "heed" || e.Password != "s3cret" || e.Version != 0x34 {
		t.Errorf("bind %+v", e)
	}
	r, err := w.send(def, "d1", "0151 12345678", "Hello Ada, that is 5 € {off}")
	if err != nil || !r.Fresh {
		t.Fatalf("%+v, %v", r, err)
	}
	e := c.Await("submit")
	if e.To != "4915112345678" || e.ToTON != 1 || e.From != "Heed" || e.FromTON != 5 || e.Text != "Hello Ada, that is 5 € {off}" || e.Coding != 0 || e.UDH != "" || e.Receipt != 1 {
		t.Errorf("submit %+v", e)
	}
	if r.Reference != e.ID {
		t.Errorf("reference %q of message %q", r.Reference, e.ID)
	}
	if _, err := w.send(def, "d2", ada, "Привет 😀"); err != nil {
		t.Fatal(err)
	}
	if e := c.Await("submit"); e.Text != "Привет 😀" || e.Coding != 8 {
		t.Errorf("submit %+v", e)
	}
	stop()
	c.Await("unbind")
}

func TestLong(t *testing.T) {
	c := smstest.Start(t)
	segments := overSMPP(c)
	payload := overSMPP(c, func(d *definition.Channel) { d.Name, d.SMPP.Long = "payload", definition.LongPayload })
	w := newWorld(t, "", segments, payload)
	w.run()
	f := func(def *definition.Channel, text string, want int, coding int) {
		t.Helper()
		if _, err := w.send(def, "d"+text[:4], ada, text); err != nil {
			t.Fatal(err)
		}
		var got, reference string
		for i := range want {
			e := c.Await("submit")
			got += e.Text
			if e.Coding != coding || e.Payload != (def == payload) {
				t.Errorf("%.10s…: segment %+v", text, e)
			}
			if e.Payload {
				continue
			}
			if reference == "" {
				reference = e.UDH[4:6]
			}
			if want := fmt.Sprintf("0003%s%02x%02x", reference, want, i+1); e.UDH != want {
				t.Errorf("%.10s…: header %s, want %s", text, e.UDH, want)
			}
			if wanted := 2 - (i+1)/want; e.Receipt != wanted {
				t.Errorf("%.10s…: segment %d wants receipts %d", text, i, e.Receipt)
			}
		}
		if got != text {
			t.Errorf("%q came out as %q", text, got)
		}
	}
	f(segments, strings.Repeat("Hello € ", 50), 3, 0)
	f(segments, strings.Repeat("Ж😀 ", 40), 3, 8)
	f(payload, strings.Repeat("Hello € ", 50), 1, 0)
	f(payload, strings.Repeat("Ж😀 ", 40), 1, 8)
	_, err := w.send(segments, "d", ada, strings.Repeat("a", 153*sms.MaxSegments+1))
	if failure(t, err).Class != channel.Permanent {
		t.Errorf("too long: %v", err)
	}
}

func TestReceipts(t *testing.T) {
	c := smstest.Start(t)
	def := overSMPP(c)
	w := newWorld(t, "", def)
	stop := w.run()
	c.Await("bind")
	ids := map[string]string{}
	for _, id := range []string{"d1", "d2", "d3"} {
		r, err := w.send(def, id, ada, "Hello")
		if err != nil {
			t.Fatal(err)
		}
		ids[id] = r.Reference
	}
	receipt := func(id, stat string) {
		t.Helper()
		c.Do(map[string]any{"do": "receipt", "id": id, "to": ada[1:], "stat": stat, "err": "011"})
		if e := c.Await("delivered"); e.Status != 0 {
			t.Errorf("the receipt of %s was answered with %d", id, e.Status)
		}
	}
	receipt(ids["d1"], "DELIVRD")
	if f := w.said(); f.Kind != channel.Delivered || f.Delivery != "d1" || f.Address != ada || f.Channel != "texts" || f.Type != "sms" || f.At != w.now.UnixMicro() {
		t.Errorf("%+v", f)
	}
	receipt(ids["d2"], "UNDELIV")
	if f := w.said(); f.Kind != channel.Bounced || f.Delivery != "d2" || f.Hard || f.Detail != "UNDELIV, error 011" {
		t.Errorf("%+v", f)
	}
	receipt("nobody's", "DELIVRD")
	receipt(ids["d3"], "ENROUTE")
	w.silent()

	// Of a long message only the last segment says that it arrived, each that it
	// did not.
	last, err := w.send(def, "long", ada, strings.Repeat("a", 200))
	if err != nil {
		t.Fatal(err)
	}
	first := ""
	for first == "" {
		if e := c.Await("submit"); e.UDH != "" {
			first = e.ID
		}
	}
	receipt(first, "DELIVRD")
	w.silent()
	receipt(last.Reference, "DELIVRD")
	if f := w.said(); f.Kind != channel.Delivered || f.Delivery != "long" {
		t.Errorf("%+v", f)
	}
	receipt(first, "EXPIRED")
	if f := w.said(); f.Kind != channel.Bounced || f.Delivery != "long" {
		t.Errorf("%+v", f)
	}

	// What was sent before a restart is known after it, days later too.
	stop()
	w.Channel = w.open("")
	w.now = w.now.AddDate(0, 0, 5)
	w.run()
	c.Await("bind")
	receipt(ids["d3"], "DELIVRD")
	if f := w.said(); f.Kind != channel.Delivered || f.Delivery != "d3" {
		t.Errorf("%+v", f)
	}
}

func TestStopOverSMPP(t *testing.T) {
	c := smstest.Start(t)
	def := overSMPP(c, func(d *definition.Channel) { d.SMS.Replies.Help = "Call 110." })
	w := newWorld(t, "", def)
	w.run()
	c.Await("bind")
	write := func(text string, status int) {
		t.Helper()
		c.Do(map[string]any{"do": "deliver", "from": ada[1:], "to": "Heed", "text": text})
		if e := c.Await("delivered"); e.Status != status {
			t.Errorf("%q was answered with %d, want %d", text, e.Status, status)
		}
	}
	heard := func(kind channel.FeedbackKind) channel.Feedback {
		t.Helper()
		f := w.said()
		if f.Kind != kind || f.Address != ada || f.Sender != "Heed" || f.Channel != "texts" || f.Delivery != "" || f.ID == "" {
			t.Errorf("%+v, want %s", f, kind)
		}
		return f
	}
	answered := func(with string) {
		t.Helper()
		if e := c.Await("submit"); e.To != ada[1:] || !strings.Contains(e.Text, with) || e.Receipt != 0 {
			t.Errorf("answer %+v, want %q", e, with)
		}
	}
	write("See you at the end of March", 0)
	w.silent()
	w.inbound(errors.New("the disk is full")) // what is not kept comes again
	write("STOP", 0x64)
	w.inbound(nil)
	write(" Stop! ", 0)
	first := heard(channel.Unsubscribed)
	answered("unsubscribed")
	write("STOP", 0) // once more: the same wish, and no second answer
	if again := heard(channel.Unsubscribed); again.ID != first.ID {
		t.Errorf("a repeat has the id %q, the first %q", again.ID, first.ID)
	}
	write("help", 0)
	answered("Call 110.") // the next answer is this one
	write("YES", 0)
	heard(channel.Resubscribed)
	answered("again")
	write("yes", 0) // of somebody who has taken back what was said: it answers a question, if one was asked
	heard(channel.Confirmed)
	write("Opt-out", 0)
	if f := heard(channel.Unsubscribed); f.ID == first.ID {
		t.Error("a new wish has an old id")
	}
	answered("unsubscribed")
	for range 10 {
		write("HELP", 0)
	}
	answered("Call 110.") // the fifth of the day, and the last
	write("START", 0)
	heard(channel.Resubscribed)
	w.now = w.now.AddDate(0, 0, 1)
	write("STOP", 0)
	heard(channel.Unsubscribed)
	answered("unsubscribed")
	w.silent()
}

func TestRefusals(t *testing.T) {
	c := smstest.Start(t)
	def := overSMPP(c)
	w := newWorld(t, "", def)
	w.run()
	c.Await("bind")
	f := func(status int, class channel.ErrorClass) *channel.Error {
		t.Helper()
		c.Do(map[string]any{"do": "behave", "submit": status, "times": 1})
		_, err := w.send(def, "d1", ada, "Hello")
		e := failure(t, err)
		if e.Class != class {
			t.Errorf("status %#x: %v, want %v", status, err, class)
		}
		return e
	}
	for status, class := range map[int]channel.ErrorClass{0x0b: channel.Permanent, 0x45: channel.Temporary} {
		if e := f(status, class); e.After != 0 {
			t.Errorf("status %#x: %+v", status, e)
		}
	}
	if e := f(0x58, channel.Temporary); e.After <= 0 || e.Untried {
		t.Errorf("throttled: %+v", e)
	}
	_, err := w.Send(t.Context(), &channel.Delivery{ID: "d1", To: ada, Body: "Hello", Channel: def})
	if e := failure(t, err); e.Class != channel.Temporary || !e.Untried || e.After <= 0 {
		t.Errorf("while it throttles: %v", err)
	}
	// It is heard again after a while.
	if _, err := w.send(def, "d1", ada, "Hello"); err != nil {
		t.Fatal(err)
	}
	// The rest of a message of which a part was taken waits for that.
	c.Do(map[string]any{"do": "behave", "submit": 0x58, "times": 1, "after": 1})
	if _, err := w.send(def, "d2", ada, strings.Repeat("a", 300)); err != nil {
		t.Error(err)
	}
	var parts []string
	for len(parts) < 3 {
		if e := c.Await("submit"); e.UDH != "" {
			parts = append(parts, e.UDH[8:]+e.ID[:min(len(e.ID), 1)])
		}
	}
	if got := strings.Join(parts, " "); got != "01m 02 02m" {
		t.Errorf("parts and whether they were taken: %s", got)
	}
}

func TestBindRefused(t *testing.T) {
	c := smstest.Start(t)
	c.Do(map[string]any{"do": "behave", "bind": 0x0e})
	def := overSMPP(c)
	w := newWorld(t, "", def)
	w.run()
	c.Await("bind")
	c.Await("close")
	for {
		_, err := w.Send(t.Context(), &channel.Delivery{ID: "d1", To: ada, Body: "Hello", Channel: def})
		e := failure(t, err)
		if e.Class != channel.Temporary || !e.Untried {
			t.Fatalf("%+v", e)
		}
		if strings.Contains(err.Error(), "invalid password") {
			break
		}
	}
	told := w.Outages(w.now)
	for deadline := time.Now().Add(patience); len(told) == 0 && time.Now().Before(deadline); told = w.Outages(w.now) {
		time.Sleep(5 * time.Millisecond)
	}
	if len(told) != 1 || told[0].Channel != def.Name || told[0].Failures < 2 || !strings.Contains(told[0].Reason, "invalid password") {
		t.Fatalf("of the message centre is told: %+v", told)
	}
	c.Do(map[string]any{"do": "behave"}) // it is repaired
	if _, err := w.send(def, "d1", ada, "Hello"); err != nil {
		t.Error(err)
	}
	if told := w.Outages(w.now); told != nil {
		t.Errorf("it takes messages: %+v", told)
	}
}

// A submit that was written and not answered may have arrived: it is not repeated
// here, and whoever asked is told.
func TestUncertain(t *testing.T) {
	c := smstest.Start(t)
	def := overSMPP(c)
	w := newWorld(t, "", def)
	w.run()
	c.Await("bind")
	c.Do(map[string]any{"do": "behave", "submit": "cut", "times": 1})
	_, err := w.send(def, "d1", ada, "Hello")
	if e := failure(t, err); e.Class != channel.Uncertain {
		t.Errorf("cut: %v", err)
	}
	c.Await("submit")
	c.Await("bind") // again, by itself
	if _, err := w.send(def, "d2", ada, "again"); err != nil {
		t.Error(err)
	}
	if e := c.Await("submit"); e.Text != "again" {
		t.Errorf("%q was submitted after the break", e.Text)
	}

	c.Do(map[string]any{"do": "behave", "submit": "hang", "times": 1})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := w.Send(ctx, &channel.Delivery{ID: "d3", To: ada, Body: "Hello", Channel: def})
		done <- err
	}()
	c.Await("submit")
	cancel()
	if err := <-done; failure(t, err).Class != channel.Uncertain {
		t.Errorf("hanging: %v", err)
	}

	c.Do(map[string]any{"do": "drop"})
	c.Await("bind")
	if _, err := w.send(def, "d4", ada, "and again"); err != nil {
		t.Error(err)
	}
}

func TestSessionsFollowDefinitions(t *testing.T) {
	one, two := smstest.Start(t), smstest.Start(t)
	first := overSMPP(one)
	w := newWorld(t, "", first)
	w.run()
	if _, err := w.send(first, "d0", ada, "Hello"); err != nil {
		t.Fatal(err)
	}
	moved := overSMPP(two)
	w.defs.define(moved)
	one.Await("unbind")
	two.Await("bind")
	if _, err := w.send(moved, "d1", ada, "Hello"); err != nil {
		t.Error(err)
	}
	_, err := w.Send(t.Context(), &channel.Delivery{ID: "d2", To: ada, Body: "Hello", Channel: first})
	if e := failure(t, err); e.Class != channel.Temporary || !e.Untried {
		t.Errorf("as it was defined before: %v", err)
	}
	w.defs.define()
	two.Await("unbind")
}

func TestNumbersAndLimits(t *testing.T) {
	c := smstest.Start(t)
	def := overSMPP(c, func(d *definition.Channel) {
		d.SMS.Limits = definition.SMSLimits{PerDay: 5, PerNumberPerDay: 2, Countries: []string{"DE", "AT"}}
	})
	w := newWorld(t, "", def)
	w.run()
	c.Await("bind")
	refused := func(to, body, why string) {
		t.Helper()
		_, err := w.send(def, "d", to, body)
		if e := failure(t, err); e.Class != channel.Permanent || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", to, err, why)
		}
	}
	sent := func(to, body string) {
		t.Helper()
		if _, err := w.send(def, "d", to, body); err != nil {
			t.Errorf("%s: %v", to, err)
		}
	}
	refused("ada@example.com", "Hello", "not a number")
	refused("", "Hello", "no number")
	refused("+12125550123", "Hello", "DE, AT only")
	refused(ada, "", "0 segments")
	sent(ada, "one")
	c.Do(map[string]any{"do": "behave", "submit": 0x45, "times": 1})
	if _, err := w.send(def, "d", ada, "not taken"); failure(t, err).Class != channel.Temporary {
		t.Error(err)
	}
	sent("0151 12345678", "two, what was not taken does not count")
	refused(ada, "three", "2 messages a day to one number")
	sent("+436641234567", strings.Repeat("a", 161))
	refused("+436641234568", strings.Repeat("a", 161), "5 segments a day")
	// Another day, and a restart in between.
	w.now = w.now.AddDate(0, 0, 1)
	sent(ada, "one")
}
